"""The pages' words: gettext catalogues in Azerbaijani, English and Russian, and times and lengths for people.

The English sentence is the key of a message. Codes are keys of their own: the context of a code's message is its code
list, and English has words for them too. Every subject of the pages has a catalogue of its own, and all are read together.

A message may have places for facts of the profile: ``({decider})`` for the roles that decide, ``{D-REFER}`` for the
length of a clock, ``{D-SERVICE.urgent}`` for that of one urgency, ``{recovery}``, ``{stay}`` and ``{follow_up}`` for periods,
and ``{allowance}`` for the one-time allowance. Words without a profile leave the brackets out.
"""

import gettext
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.lists import format_list
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from babel.numbers import format_currency
from babel.units import format_unit
from pydantic import BaseModel

from nrmbus.packed import packed
from nrmbus.web.languages import LANGUAGES, Language

LOCALE: Final = packed("web/locale")
_FACT: Final = re.compile(
    r" \(\{decider\}\)|\{(?P<clock>D-[A-Z0-9]+)(?:\.(?P<urgency>[a-z]+))?\}|\{(?P<period>recovery|stay|follow_up)\}|\{allowance\}"
)
Lengths = Sequence[tuple[str, int, str]]
"""How long a duty may take: urgency, number and unit; without an urgency if it makes no difference."""
_UNITS: Final = {"duration-day": 86_400, "duration-hour": 3_600, "duration-minute": 60, "duration-second": 1}


def catalogues(language: Language) -> list[Catalog]:
    """Return the catalogues of *language*, in the order of their names. Other files beside them are an editor's or Finder's."""
    found = []
    beside = (each for each in (LOCALE / language).iterdir() if each.name.endswith(".po") and each.name[0] != ".")
    for path in sorted(beside, key=lambda each: each.name):
        with path.open("rb") as file:
            found.append(pofile.read_po(file, locale=language, domain=path.name.removesuffix(".po")))
    return found


@cache
def _translations(language: Language) -> tuple[gettext.NullTranslations, frozenset[tuple[str, str]]]:
    """Return the messages of *language*, and the codes whose words are the code itself, as in English some are."""
    whole = Catalog(locale=language)
    for catalogue in catalogues(language):
        for message in catalogue:
            if message.id and message.string and not message.fuzzy:
                whole.add(message.id, message.string, context=message.context)
    same = frozenset((str(each.context), str(each.id)) for each in whole if each.context and each.id == each.string)
    compiled = BytesIO()
    mofile.write_mo(compiled, whole)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled), same


def default_language(profile: str) -> Language:
    """Return the language for a reader who asked for none that the pages speak: Azerbaijani under a *profile* of Azerbaijan, else English."""
    return "az" if is_of_azerbaijan(profile) else "en"


def is_of_azerbaijan(profile: str) -> bool:
    """Return whether the profile called *profile* is one of Azerbaijan, where the pages' own texts come from."""
    return profile.startswith("az@")


def language_of(*wanted: str | None, accepted: str | None = None, default: Language = "az") -> Language:
    """Return the first of *wanted* that the pages speak, else the browser's first *accepted* one (Accept-Language), else the *default*."""
    weighed = []
    for place, each in enumerate((accepted or "")[:200].split(",")):
        name, _, rest = each.strip().partition(";")
        weight = rest.strip().removeprefix("q=") or "1"
        known = weight.replace(".", "", 1).isdecimal()
        if known and float(weight) == 0:  # "not acceptable" (RFC 9110, section 12.4.2)
            continue
        weighed.append((-float(weight) if known else 0.0, place, name.strip().lower().partition("-")[0]))
    asked = [*wanted, *(name for _, _, name in sorted(weighed))]
    return cast("Language", next((each for each in asked if each in LANGUAGES), default))


class Words:
    """Sentences of one language; times are shown in *zone*.

    Facts of the profile that stand in sentences: *deciders* are the roles that decide, *clocks* the lengths of its duties and
    periods, *allowance* the amount and currency of the one-time allowance, *rules* the rules by which it refuses, *laws* the
    acts and articles that it cites.
    """

    def __init__(
        self,
        language: Language,
        zone: ZoneInfo,
        *,
        deciders: Sequence[str] = (),
        clocks: Mapping[str, Lengths] | None = None,
        allowance: tuple[str, str] | None = None,
        rules: Collection[str] = (),
        laws: Sequence[str] = (),
    ) -> None:
        """Use *language*."""
        self.language, self.zone, self.laws = language, zone, laws
        self._deciders, self._clocks, self._allowance, self._rules = deciders, clocks or {}, allowance, rules
        self._known, self._same = _translations(language)

    def __call__(self, sentence: str, /, *, ctx: str | None = None, **values: Any) -> str:
        """Return the English *sentence* in this language, with *values*; as it is if no catalogue has it.

        *ctx* tells apart two meanings of the same English words. Of nothing there is nothing: a catalogue would give its own header.
        """
        if not sentence:
            return ""
        found = self.placed(self._known.pgettext(ctx, sentence) if ctx else self._known.gettext(sentence))
        return found.format(**values) if values else found

    def placed(self, text: str) -> str:
        """Return *text* with the facts of the profile in their places."""
        return _FACT.sub(self._fact, text) if "{" in text else text

    def _fact(self, found: re.Match[str]) -> str:
        if (name := found["clock"] or found["period"]) is not None:
            urgency = found["urgency"]
            known = self._clocks.get(name, ())
            return self.lengths([("", n, unit) for each, n, unit in known if each == urgency] if urgency else known)
        if found[0] == "{allowance}":
            return self.money(*self._allowance) if self._allowance else self("no fixed amount")
        return f" ({self.roles(self._deciders)})" if self._deciders else ""

    def lengths(self, lengths: Lengths) -> str:
        """Return how long a duty may take, by urgency if it makes a difference."""
        texts = []
        for urgency, number, unit in lengths:
            text = self._length(number, unit)
            texts.append(f"{self.code('Urgency', urgency)}: {text}" if urgency else text)
        return "; ".join(texts) or self("no deadline")

    def knows(self, fact: str) -> bool:
        """Return whether the profile has the duty, period or rule *fact*, or the ``allowance``."""
        if fact == "allowance":
            return self._allowance is not None
        return fact in self._rules or bool(self._clocks.get(fact))

    def money(self, amount: str, currency: str) -> str:
        """Return *amount* with the code of its *currency*."""
        pattern = "#,##0.00 ¤¤" if Decimal(amount) % 1 else "#,##0 ¤¤"
        return str(format_currency(Decimal(amount), currency, pattern, locale=self.language, currency_digits=False))

    def _length(self, n: int, unit: str) -> str:
        if unit == "hours":
            return self.many("{n} hour", "{n} hours", n)
        if unit == "working_days":
            return self.many("{n} working day", "{n} working days", n)
        if unit == "event_days":
            return self.many(
                "as many days as the decision says, or else {n} day",
                "as many days as the decision says, or else {n} days",
                n,
            )
        if unit == "months":
            return self.many("{n} month", "{n} months", n)
        return self.many("{n} calendar day", "{n} calendar days", n)

    def many(self, one: str, other: str, n: int, **values: Any) -> str:
        """Return *one* or *other* in this language, as the number *n* asks for."""
        return self._known.ngettext(one, other, n).format(n=n, **values)

    def code(self, family: str, code: str) -> str:
        """Return the words of *code* of the code list *family*; without any, the code with spaces."""
        return self.meaning(family, code) or code.replace("_", " ").capitalize()

    def meaning(self, family: str, code: str) -> str:
        """Return the words of *code* of *family*; empty without any."""
        found = self.placed(self._known.pgettext(family, code))
        return found if found != code or (family, code) in self._same else ""

    def refusal(self, code: str | None) -> str:
        """Return the sentence of a refusal; refusals of the wire that people seldom meet share one."""
        return self.meaning("refusal", code or "") or self.code("refusal", "of_the_wire")

    def agency_role(self, role: str) -> str:
        """Return the name of an agency's role."""
        return self.code("role", role)

    def roles(self, roles: Sequence[str]) -> str:
        """Return the names of *roles* as alternatives: one, or another."""
        return str(format_list([self.agency_role(each) for each in roles], "or", self.language))

    def field(self, model: type[BaseModel], name: str) -> str:
        """Return the label of a field of an event: its description."""
        return self.label(model.model_fields[name].description or name)

    def label(self, description: str) -> str:
        """Return the label of a field by its *description* in the model."""
        return self.placed(self._known.pgettext("field", description))

    def capital(self, text: str) -> str:
        """Return *text* with a capital letter at its beginning; in Azerbaijani, i becomes İ."""
        return f"İ{text[1:]}" if self.language == "az" and text.startswith("i") else text[:1].upper() + text[1:]

    def _here(self, time: datetime) -> datetime:
        """Return *time* in the zone; in UTC at either end of the calendar, where the zone has no such year.

        An event may name any time, and its page has to open.
        """
        try:
            return time.astimezone(self.zone)
        except OverflowError:
            return time

    def day(self, time: datetime | date) -> str:
        """Return the day with the month in words, so that day and month cannot be confused."""
        here = self._here(time) if isinstance(time, datetime) else time
        return str(format_date(here, "d MMMM y", locale=self.language))

    def weekday(self, time: datetime) -> str:
        """Return the day with its name."""
        return str(format_datetime(self._here(time), "d MMMM y, EEEE", locale=self.language))

    def clock(self, time: datetime, *, seconds: bool = False) -> str:
        """Return hours and minutes; *seconds* too where order counts."""
        return str(format_time(self._here(time), "HH:mm:ss" if seconds else "HH:mm", locale=self.language))

    def moment(self, time: datetime, *, seconds: bool = False) -> str:
        """Return day, hours and minutes; *seconds* too where order counts."""
        return f"{self.day(time)}, {self.clock(time, seconds=seconds)}"

    def deadline(self, time: datetime) -> str:
        """Return day and time of a deadline; midnight is the end of the day before."""
        if self.clock(time) == "00:00":
            return f"{self.day(time - timedelta(minutes=1))}, 24:00"
        return self.moment(time)

    def length(self, length: timedelta) -> str:
        """Return a length in its largest unit, without a sign."""
        return str(format_timedelta(abs(length), locale=self.language, threshold=1.2))

    def duration(self, seconds: int) -> str:
        """Return a length in its two largest units, rounded down."""
        counts = []
        for unit, size in _UNITS.items():
            count, seconds = divmod(seconds, size)
            counts.append((count, unit))
        first = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
        shown = [each for each in counts[first : first + 2] if each[0]] or counts[-1:]
        return " ".join(format_unit(count, unit, "short", locale=self.language) for count, unit in shown)

    def type(self, type: str) -> str:
        """Return the name of an event's type."""
        return self.code("type", type)
