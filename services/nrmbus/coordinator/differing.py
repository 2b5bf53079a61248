"""Two profiles of the Rules compared, in the words of a page: what changes for people, and where only the law behind it does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from nrmbus.rules.handbook.differences import Difference, differences
from nrmbus.rules.handbook.lookup import facts_of, has_words
from nrmbus.rules.profile import Profile
from nrmbus.web.words import Words

_OF_THE_LAW: Final = frozenset({"basis", "unverified"})
"""Members of a row that say on which law it rests, and whether that law could be read."""
_NAMED: Final = frozenset({"types", "refusals", "clocks"})


@dataclass(frozen=True, slots=True)
class Line:
    """One difference in words; an empty text where a profile does not have it."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Group:
    """Differences of one table of the profiles."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs: groups of lines, and the rows of which only the law behind them differs."""

    groups: tuple[Group, ...]
    of_the_law: tuple[str, ...]

    @property
    def count(self) -> int:
        """Return the number of differences that change what somebody may do, must do or sees."""
        return sum(len(each.lines) for each in self.groups)


def compared(t: Words, before: Profile, after: Profile) -> Compared:
    """Return what differs from *before* to *after*; each side names the body that decides by its own profile."""
    words = tuple(Words(t.language, **facts_of(each)) for each in (before, after))
    groups: dict[str, list[Line]] = {}
    laws: dict[str, None] = {}
    for each in differences(before, after):
        if each.table in {"name", "laws"}:  # a law's title alone changes nothing: the rows that cite the law are listed
            continue
        if each.path[-1] in _OF_THE_LAW:
            laws[_place(t, each, (before, after), is_whole=False)] = None
        else:
            if each.path[-1] == "says":
                sides = [_says(*of, str(each.path[1])) for of in zip(words, (before, after), strict=True)]
            else:
                sides = [_text(t, each, each.before), _text(t, each, each.after)]
            line = Line(_place(t, each, (before, after)), *sides)
            groups.setdefault(each.table, []).append(line)
    titles = _titles(t)
    found = tuple(Group(titles.get(table, table), tuple(lines)) for table, lines in groups.items())
    return Compared(found, tuple(laws))


def _titles(t: Words) -> Mapping[str, str]:
    return {
        "roles": t("Roles that act together"), "types": t("Events"), "statuses": t("The way of a case"),
        "refusals": t("Refusals"), "clocks": t("Deadlines"), "periods": t("Periods"), "allowance": t("Allowance"),
        "calendar": t("Calendar"), "retention": t("How long data are kept"), "timezone": t("Time zone"),
        "k": t("Smallest number shown in figures"), "emergency": t("Emergency access"), "abroad": t("Own citizens found abroad"),
        "referral_parts": t("Parts of a referral that a role opens"),
    }  # fmt: skip


def _place(t: Words, of: Difference, profiles: tuple[Profile, Profile], *, is_whole: bool = True) -> str:
    """Return the row and the value of a difference in words; without the value, unless *is_whole*."""
    name = str(of.path[1]) if len(of.path) > 1 else ""
    rest = [str(each) for each in of.path[2:]]
    match of.table:
        case "types":
            row = t.capital(t.type(name))
        case "clocks":
            row = f"{t.capital(t.code('clock', name))} ({name})"
        case "refusals":
            cited = next(found.refusals[name] for found in reversed(profiles) if name in found.refusals)
            row = f"{t.refusal(cited.code)} ({name})"
        case "statuses":
            row, rest = t("Transition {id}", id=name if len(rest) == 0 else rest[0]), rest[1:]
        case _:
            row = _value(t, name) if name else _titles(t).get(of.table, of.table)
    below = [_value(t, each) for each in rest if each not in {*_OF_THE_LAW, "length", "says"}]
    return ": ".join([row, ", ".join(below)]) if is_whole and below else row


def _value(t: Words, name: str) -> str:
    """Return the words for the *name* of a value; the name itself if there are none."""
    words = {
        "DECIDERS": t("Body that decides on the status"), "hours": t("hours"), "days": t("days"),
        "working_days": t("working days"), "event_days": t("days, unless a decision says otherwise"),
        "recovery_days": t("Recovery and reflection period, in days"), "stay_days": t("Longest stay, in days"),
        "bed_offer_hours": t("How long a bed is kept, in hours"), "follow_up_months": t("Months of the follow-up"),
        "activation_notice_hours": t("Notice of another profile, in hours"),
        "silent_minutes": t("Minutes after which an agency does not read"), "tariffs": t("Amount"),
        "days_off": t("Days off besides the holidays"), "country": t("Country whose holidays are kept"),
        "weekend": t("Weekend"), "working_days_": t("Working days in place of days off"), "by": t("published by"),
        "sees": t("told to"), "opens": t("opened by"), "kind": t("Kind"), "classes": t("classes"), "types": t("events"),
        "starts": t("begins with"), "ends_by": t("ended by"), "answerable": t("owed by"), "told": t("told to"),
        "decisions": t("decisions"), "care": t("care"), "money": t("money"), "years": t("years"), "urgency": t("by urgency"), "refer_from": t("time runs from"),
    }  # fmt: skip
    return words.get(name, name.replace("_", " "))


def _text(t: Words, of: Difference, raw: str | None) -> str:
    """Return one side of a difference in words."""
    if raw is None:
        return t("does not apply")
    if of.kind in {"added", "removed"} and of.table in {*_NAMED, "statuses"} and len(of.path) <= 3:
        return t("applies")
    if of.table == "roles" or of.path[-1] in {"by", "sees"}:
        return ", ".join(_role(t, each) for each in raw.split(", "))
    if raw == "nothing":
        return t("none")
    if of.path[-1] == "tariffs":
        return ", ".join(
            f"{t.money(each['value'], each['currency'])} ({_day(t, each['valid_from'])})" for each in json.loads(raw)
        )
    return _list(t, raw)


def _day(t: Words, written: str) -> str:
    """Return the day *written* in a profile in words; anything else as it is."""
    try:
        return t.day(date.fromisoformat(written))
    except ValueError:
        return written


def _says(t: Words, profile: Profile, rule: str) -> str:
    """Return what *rule* of *profile* says to the agency that it refuses; a sentence of one country alone has no translation.

    A field that such a sentence names stands there without the marks of code.
    """
    cited = profile.refusals[rule]
    is_known = has_words(rule, cited.says)
    return (
        f"{t.refusal(cited.code)} {t.code('remedy', cited.code)}" if is_known else t.placed(cited.says).replace("`", "")
    )


def _role(t: Words, name: str) -> str:
    return name if name.isupper() else t.agency_role(name)


def _list(t: Words, raw: str) -> str:
    """Return *raw* for people: JSON as its values, and types of events by their words."""
    found: Any = None
    if raw[:1] in "[{":
        found = json.loads(raw)
    if isinstance(found, list) and all(isinstance(each, str | int) for each in found):
        return ", ".join(_day(t, str(each)) for each in found)
    return ", ".join(_day(t, _event(t, each)) for each in raw.split(", ")) if found is None else raw


def _event(t: Words, name: str) -> str:
    """Return a type of events, or a family of types such as ``payment.*``, in words; any other *name* as it is."""
    families = {
        "identification.*": t("identification"), "recovery.*": t("recovery period"), "review.*": t("review"),
        "stay.*": t("stay"), "return.*": t("return"), "safeguard.*": t("protection of a child"),
        "justice.*": t("proceedings"), "payment.*": t("payments"), "fund.*": t("grants of the fund"), "*": t("everything else"),
    }  # fmt: skip
    if name in families:
        return families[name]
    return t.type(name) if "." in name and " " not in name else name
