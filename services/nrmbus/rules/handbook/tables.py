"""Tables and a diagram of a profile, in Markdown, for the pages that people read.

A table has the profile's values in every column but the last one, if that is a remark: a remark is written by hand in
the page, and is kept by the row's anchor when the table is made again.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from nrmbus.rules.handbook.diagram import mermaid
from nrmbus.rules.handbook.explaining import moving, rule_sentence
from nrmbus.rules.handbook.words import ANSWERABLE, BEFORE_THE_CASE, CONDITIONS, TOLD
from nrmbus.rules.placed import length_in_words, placed
from nrmbus.rules.profile import ClockRule, Profile, Row
from nrmbus.rules.why import WORDS

Rows = Iterable[tuple[str, ...]]
Remarks = Mapping[str, str]
_UNREAD: Final = "*u*"
_ROW: Final = re.compile(r'^\| <a id="([^"]+)"></a>.*\| ([^|]*?) ?\|$', re.MULTILINE)


def renewed(text: str, profile: Profile) -> str:
    """Return *text* with each table that it has a place for made of *profile*. Raise ValueError if a mark is missing."""
    found = 0
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if begin not in text and end not in text:
            continue
        before, _, rest = text.partition(begin)
        old, closed, after = rest.partition(end)
        if not closed or end in before + old or begin in old + after:
            message = f"the file has no place for the table: write {begin} and {end} where it belongs"
            raise ValueError(message)
        found += 1
        text = f"{before}{begin}\n{table(profile, dict(_ROW.findall(old)))}\n{end}{after}"
    if not found:
        message = "the file has no place for a table: write <!-- types --> and <!-- end of types --> where it belongs"
        raise ValueError(message)
    return text


def _table(head: tuple[str, ...], rows: Rows) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines)


def _code(names: Iterable[str], nothing: str = "nobody") -> str:
    return ", ".join(f"`{name}`" for name in names) or nothing


def _anchored(name: str, *, code: bool = True) -> str:
    return f'<a id="{name.lower()}"></a>{f"`{name}`" if code else name}'


# Section 3


def types(profile: Profile, _: Remarks) -> str:
    """Return the ground of each type: who publishes, who is told, who opens."""
    head = ("type", "who publishes", "who is told, beside the sender", "who opens its letter", "ground", "u")
    rows = (
        (_anchored(name), _code(row.by), _told(row), _opens(row), row.basis, _UNREAD if row.unverified else "")
        for name, row in profile.types.items()
    )
    return _table(head, rows)


def _told(row: Row) -> str:
    return f"{_code(row.sees)}; a barred agency too" if row.stops else _code(row.sees)


def _opens(row: Row) -> str:
    return "; ".join(f"{part}: {_code(terms)}" for part, terms in row.opens.items()) or "no letter, or nobody"


def words(_: Profile, __: Remarks) -> str:
    """Return the words of the table of types."""
    return _table(("word", "is"), ((f"`{term}`", said) for term, said in sorted(WORDS.items())))


def parts(profile: Profile, _: Remarks) -> str:
    """Return the parts of a letter by the role that opens them at most; roles with the same parts share a row."""
    found: dict[tuple[str, ...], list[str]] = {}
    for role, allowed in profile.referral_parts.items():
        found.setdefault(tuple(allowed), []).append("all others" if role == "others" else f"`{role}`")
    return _table(("role", "parts"), ((", ".join(roles), _code(allowed)) for allowed, roles in found.items()))


def groups(profile: Profile, _: Remarks) -> str:
    """Return the roles of each group."""
    return _table(("group", "roles"), ((f"`{name}`", _code(sorted(profile.expand((name,))))) for name in profile.roles))


# Section 2


def statuses(profile: Profile, remarks: Remarks) -> str:
    """Return the rows of section 2; the anchors of a row are its transitions, and stand at their first row."""
    seen: set[str] = set()
    rows = []
    for row in profile.statuses.transitions:
        ids = [each for each in row.id.split(", ") if each[:1] == "T"]
        cell = ", ".join(each if each in seen else _anchored(each, code=False) for each in ids) or row.id
        first = next((each.lower() for each in ids if each not in seen), "")
        seen.update(ids)
        before = ", ".join(BEFORE_THE_CASE if each == "none" else each for each in row.from_)
        to = {None: "stays", "before": "the status before"}.get(row.to, row.to)
        condition = CONDITIONS[row.when] if row.when else ""
        rows.append((cell, before, str(to), _code(row.events), condition, remarks.get(first, "")))
    return _table(("transition", "from", "to", "event", "only if", "remark"), rows)


def afterwards(profile: Profile, _: Remarks) -> str:
    """Return the statuses in which little else may still be published, and what may come in any status."""
    rows = [(status, _code(only)) for status, only in profile.statuses.only.items()]
    return _table(("status", "still published"), [*rows, ("any", _code(profile.statuses.always))])


# Section 4


def refusals(profile: Profile, remarks: Remarks) -> str:
    """Return the rules in the order of asking."""
    rows = (
        (
            _anchored(rule, code=False), f"`{cited.code}`", placed(cited.says, profile), cited.basis, _UNREAD if cited.unverified else "",
            remarks.get(rule.lower()) or rule_sentence(rule),
        )
        for rule, cited in profile.refusals.items()
    )  # fmt: skip
    return _table(("rule", "code", "the sender reads", "basis", "u", "refused when"), rows)


# Section 5


def clocks(profile: Profile, remarks: Remarks) -> str:
    """Return the clocks."""
    head = ("duty", "from", "length", "ends by", "moved, lifted, goes on", "owed by; also told", "basis", "u", "remark")
    rows = (
        (
            _anchored(code, code=False), *_clock(rule), rule.basis, _UNREAD if rule.unverified else "",
            remarks.get(code.lower(), ""),
        )
        for code, rule in profile.clocks.items()
    )  # fmt: skip
    return _table(head, rows)


def _clock(rule: ClockRule) -> Iterator[str]:
    yield "; ".join(_event(start.events, start.when, f"{start.at} ") for start in rule.starts)
    yield "; ".join(length_in_words(rule.length))
    yield "; ".join(_event(end.events, end.when) for end in rule.ends_by)
    yield "; ".join(f"{line.title.lower()}: {', '.join(line.texts)}" for line in moving(rule))
    yield f"{ANSWERABLE[rule.answerable]}; {TOLD[rule.told]}"


def _event(events: tuple[str, ...], when: str | None, before: str = "") -> str:
    return f"{before}{_code(events)}{f', if {CONDITIONS[when]}' if when else ''}"  # type: ignore[index]


def values(profile: Profile, _: Remarks) -> str:
    """Return the values that are no row of another table."""
    periods, emergency, kept = profile.periods, profile.emergency, profile.retention
    rows = [
        ("an offer of a bed stands", f"{periods.bed_offer_hours} hours, if the offer names none"),
        ("reminders after closing", f"{', '.join(map(str, periods.follow_up_months))} months"),
        ("the second hold on a removal", f"{periods.stay_days} days"),
        ("the recovery period begins with", f"{periods.recovery_days} days"),
        ("an agency without a desk is shown as not reading after", f"{periods.silent_minutes} minutes"),
        *((f"the allowance, for decisions from {each.valid_from} on", f"{each.value} {each.currency} (`{each.tariff}`)") for each in profile.allowance.tariffs),
        ("the smallest published figure", str(profile.k)),
        ("days between the end of access and the erasure", str(kept.objection_days)),
        ("longest hold on an erasure", f"{kept.hold_days} days"),
        ("a letter that nobody fetched is reported after", f"{kept.letter_days} days"),
        *((f"years of keeping, class `{name}`", "for ever" if row.years is None else str(row.years)) for name, row in kept.classes.items()),
        ("minutes to object to an emergency request", f"{emergency.object_minutes}; none for {_code(emergency.at_once)}"),
        ("hours to answer an emergency request", str(emergency.answer_hours)),
        ("emergency requests a month", str(emergency.monthly)),
        *((f"parts for the emergency `{reason}`", _code(allowed)) for reason, allowed in emergency.parts.items()),
    ]  # fmt: skip
    return _table(("value", "is"), rows)


def diagram(profile: Profile, _: Remarks) -> str:
    """Return the statuses as a diagram that GitHub draws."""
    return f"```mermaid\n{mermaid(profile)}\n```"


TABLES: Final[Mapping[str, Callable[[Profile, Remarks], str]]] = {
    "types": types,
    "words": words,
    "parts": parts,
    "groups": groups,
    "diagram": diagram,
    "statuses": statuses,
    "afterwards": afterwards,
    "refusals": refusals,
    "clocks": clocks,
    "values": values,
}
"""Each table by the name in its marks, ``<!-- name -->`` and ``<!-- end of name -->``."""
