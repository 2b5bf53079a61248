"""The page's sentences in Azerbaijani, English and Russian: one catalogue, read once; times and lengths as people write them."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

import yaml

Language = Literal["az", "en", "ru"]
LANGUAGES: Final[Mapping[Language, str]] = {"az": "Azərbaycanca", "en": "English", "ru": "Русский"}
"""Each language by its own name; the first is the page's unless somebody asks for another."""

_FOLDER: Final = Path(__file__).parent / "words"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every sentence by its key, in every language."""
    found: dict[str, Mapping[str, str]] = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        if twice := read.keys() & found.keys():
            message = f"the catalogue has a key twice: {min(twice)}"
            raise ValueError(message)
        found |= read
    return found


def language_of(asked: str | None, kept: str | None, accepted: str | None) -> Language:
    """The language: *asked* for in the address, else *kept* in the cookie, else the browser's first that we have."""
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
    """The sentences of one language; times are shown in *zone*."""

    def __init__(self, language: Language, zone: ZoneInfo) -> None:
        """Speak *language*."""
        self.language, self.zone = language, zone
        self._all = catalogue()

    def __call__(self, key: str, **values: Any) -> str:
        """The sentence *key* with *values* in it. Raises KeyError for one that is not in the catalogue."""
        sentence = self._all[key][self.language]
        return sentence.format(**values) if values else sentence

    def gloss(self, family: str, code: str | None) -> str:
        """What *code* means; empty for one that the catalogue does not know, which is then shown alone."""
        found = self._all.get(f"{family}.{code}")
        return found[self.language] if found else ""

    def refusal(self, code: str | None) -> str:
        """The sentence of a refusal; those of the wire share one."""
        return self.gloss("refusal", code) or self("refusal.of_the_wire")

    def moment(self, time: datetime) -> str:
        """Day and time to the second."""
        return f"{self.day(time)}, {self.clock(time)}"

    def day(self, time: datetime) -> str:
        """The day, with the month in words: no reader takes it for the month."""
        here = time.astimezone(self.zone)
        return self("date.day", day=here.day, month=self.gloss("month", str(here.month)), year=here.year)

    def weekday(self, time: datetime) -> str:
        """The day with its name."""
        name = self.gloss("day", str(time.astimezone(self.zone).weekday()))
        return f"{self.day(time)}, {name}"

    def clock(self, time: datetime) -> str:
        """Hours, minutes, seconds."""
        return time.astimezone(self.zone).strftime("%H:%M:%S")

    def duration(self, seconds: int) -> str:
        """A length in its two largest units."""
        counts = []
        for size, unit in _UNITS:
            count, seconds = divmod(seconds, size)
            counts.append((count, unit))
        first = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
        largest = [f"{count} {self('length.' + unit)}" for count, unit in counts[first : first + 2] if count]
        return " ".join(largest) or f"0 {self('length.s')}"
