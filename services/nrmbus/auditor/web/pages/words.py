"""Catalogue of the page's sentences in Azerbaijani, English and Russian, read once; times and lengths for people."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

import yaml

Language = Literal["az", "en", "ru"]
LANGUAGES: Final[Mapping[Language, str]] = {"az": "Azərbaycanca", "en": "English", "ru": "Русский"}
"""Languages with their own names; the first is the default of the page."""

_FOLDER: Final = Path(__file__).parent / "words"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Return every sentence in every language, by its key."""
    found: dict[str, Mapping[str, str]] = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        if twice := read.keys() & found.keys():
            message = f"the catalogue has a key twice: {min(twice)}"
            raise ValueError(message)
        found |= read
    return found


def language_of(asked: str | None, kept: str | None, accepted: str | None) -> Language:
    """Return the language: *asked* for in the address, else *kept* in the cookie, else the browser's first known one."""
    wanted = [asked or "", kept or ""]
    weighed = []
    for place, each in enumerate((accepted or "")[:200].split(",")):
        name, _, rest = each.strip().partition(";")
        weight = rest.strip().removeprefix("q=") or "1"
        known = weight.replace(".", "", 1).isdecimal()
        weighed.append((-float(weight) if known else 0.0, place, name.strip().lower().partition("-")[0]))
    wanted += [name for _, _, name in sorted(weighed)]
    return cast("Language", next((each for each in wanted if each in LANGUAGES), "az"))


class Words:
    """Sentences of one language; times are shown in *zone*."""

    def __init__(self, language: Language, zone: ZoneInfo) -> None:
        """Use *language*."""
        self.language, self.zone = language, zone
        self._all = catalogue()

    def __call__(self, key: str, **values: Any) -> str:
        """Return the sentence *key* with *values*. Raises KeyError if the catalogue does not have the key."""
        sentence = self._all[key][self.language]
        return sentence.format(**values) if values else sentence

    def gloss(self, family: str, code: str | None) -> str:
        """Return the meaning of *code*, or an empty text if the catalogue does not know it; then the code is shown alone."""
        found = self._all.get(f"{family}.{code}")
        return found[self.language] if found else ""

    def refusal(self, code: str | None) -> str:
        """Return the sentence of a refusal; refusals of the wire share one."""
        return self.gloss("refusal", code) or self("refusal.of_the_wire")

    def moment(self, time: datetime) -> str:
        """Return day and time to the second."""
        return f"{self.day(time)}, {self.clock(time)}"

    def day(self, time: datetime) -> str:
        """Return the day with the month in words, so that day and month cannot be confused."""
        here = time.astimezone(self.zone)
        return self("date.day", day=here.day, month=self.gloss("month", str(here.month)), year=here.year)

    def weekday(self, time: datetime) -> str:
        """Return the day with its name."""
        name = self.gloss("day", str(time.astimezone(self.zone).weekday()))
        return f"{self.day(time)}, {name}"

    def clock(self, time: datetime) -> str:
        """Return hours, minutes and seconds."""
        return time.astimezone(self.zone).strftime("%H:%M:%S")

    def duration(self, seconds: int) -> str:
        """Return a length in its two largest units."""
        counts = []
        for size, unit in _UNITS:
            count, seconds = divmod(seconds, size)
            counts.append((count, unit))
        first = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
        largest = [f"{count} {self('length.' + unit)}" for count, unit in counts[first : first + 2] if count]
        return " ".join(largest) or f"0 {self('length.s')}"
