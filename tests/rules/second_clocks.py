"""A second reading of section 5: which event may begin or end a duty, who owes it, and when it is due, from the text of RULES.md.

It says what the text allows of a change of the running duties. Conditions of a row and agencies that left are the engine's to
find; a duty that begins or ends by anything that no sentence names is a difference, and so is another day than the text's.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final

import holidays

from rules.second_judge import SHARING, ZONE, Second, table, words
from rules.second_parties import Parties

OFF: Final = frozenset({date(2026, 3, 9)})
"""Days off in lieu that the profile names: its calendar is no table of the page."""
LIFTING: Final = (
    "case.closed", "case.withdrawn", "case.signal_dismissed", "case.merged", "consent.stop_confirmed", "access.revoked", "consent.refused",
    "consent.withdrawn", "access.erasure_due", "deadline.lifted", "referral.completed", "referral.declined", "referral.expired", "safeguard.age_assessed",
)  # fmt: skip
"""Ends of a case, departures and refusals (section 5, above and below its table)."""
REVIVING: Final = ("case.reopened", "letter.unreadable", "letter.opened")
"""A re-opening brings duties back; a letter that nobody could read ends none."""
WORDS: Final = ("consent.given", "consent.overridden", "safeguard.child_flagged", "safeguard.age_assessed")
"""A new word of the person, and that she is a child, bring back what her refusal had lifted."""
BACK: Final = frozenset({"D-ACK", "D-ANSWER", "D-INFO", "D-RG", "D-RECOVERY", "D-REVIEW30", "D-CG"})
"""What is owed again once her refusal no longer stands; of the others the agency would not hear of the end."""
MOVING: Final = frozenset({"D-SHELTER", "D-RECOVERY", "D-TRAVEL"})
"""Duties whose length is said by an event or moved by another one."""
_UNIT: Final = {"hour": "hours", "working day": "working", "calendar day": "days"}


class Row:
    """One duty of the table."""

    def __init__(self, cells: list[str]) -> None:
        """Read the row."""
        self.code = re.findall(r"D-[A-Z0-9]+", cells[0])[-1]
        self.starts = [(each.strip()[0], words(each)) for each in cells[1].split("; ")]
        self.ends = words(cells[3])
        self.lifted = "lifted: by an adult's refusal" in cells[4]
        self.length, self.moved, self.owed = cells[2], "moved by" in cells[4] or "waits for" in cells[4], cells[5]

    def begins_by(self, type: str) -> str | None:
        """Return T or R if an event of *type* may begin it."""
        return next((at for at, types in self.starts if type in types), None)

    def lasts(self, urgency: str | None) -> tuple[int, str] | None:
        """Return number and unit; None if the event says them."""
        found = dict(re.findall(r"(emergency|urgent|normal): ([^;]+)", self.length))
        text = found.get(urgency or "normal") or found["normal"] if found else self.length
        one = re.fullmatch(r"(\d+) (hour|working day|calendar day)s?", text.strip())
        return (int(one[1]), _UNIT[one[2]]) if one else None


ROWS: Final = {row.code: row for row in map(Row, table("clocks"))}


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("AZ", years=year))


def works(day: date) -> bool:
    """Return whether *day* is a working day in Azerbaijan."""
    return day.weekday() < 5 and day not in _holidays(day.year) and day not in OFF


def due(start: datetime, number: int, unit: str) -> datetime:
    """Return the end of *number* hours, working or calendar days after *start*: hours run through, days end at 24:00."""
    if unit == "hours":
        return start + timedelta(hours=number)
    day = start.astimezone(ZONE).date()
    while number:
        day += timedelta(days=1)
        number -= unit == "days" or works(day)
    return datetime.combine(day + timedelta(days=1), time(), ZONE).astimezone(UTC)


def unexplained(
    case: Parties, event: Any, registered: datetime, before: tuple[Any, ...], after: tuple[Any, ...]
) -> Iterator[str]:
    """Yield each duty that begins or ends by *event* otherwise than the text says, is due at another time, or owed by nobody in it.

    *case* has heard the event.
    """
    old, new = ({(clock.code, clock.cause, clock.answerable): clock for clock in each} for each in (before, after))
    for key in new.keys() - old.keys():
        clock, row = new[key], ROWS[key[0]]
        at = row.begins_by(event.type)
        if clock.cause != event.id:
            if event.type not in REVIVING and not (event.type in WORDS and key[0] in BACK):
                yield f"{key[0]} of another event begins by {event.type}"
        elif at is None:
            yield f"{key[0]} begins by {event.type}"
        else:
            yield from _begun(case, event, row, clock, event.time if at == "T" else registered)
    day = f"{registered.astimezone(ZONE):%Y-%m-%d}"
    for key in old.keys() - new.keys():
        row = ROWS[key[0]]
        if _in_vain(case, old[key], day) and not _in_vain(case, old[key], ""):
            continue  # reading 161: a consent has expired since the last event
        if row.lifted and key[0] not in BACK and event.type in WORDS:
            continue  # so it has, and she consents anew: others may have met the duty meanwhile
        restarted = row.begins_by(event.type) is not None
        if key[2] in case.deleted and not case.on_case(key[2]):
            continue  # reading 139: the part ended that had brought it back
        if event.type not in row.ends and event.type not in LIFTING and not restarted and event.type not in REVIVING:
            yield f"{key[0]} ends by {event.type}"


def _begun(case: Second, event: Any, row: Row, clock: Any, start: datetime) -> Iterator[str]:
    if clock.start != start:
        yield f"{row.code} begins at {clock.start}, and by the text at {start}"
    lasts = row.lasts(getattr(event.data, "urgency", None))
    is_asked = event.type in (
        "referral.acknowledged",
        "referral.accepted",
        "referral.info_requested",
    )  # the referral has the urgency
    if lasts and clock.due and row.code not in MOVING and not (is_asked and "urgent" in row.length):
        wanted = due(start, *lasts)
        if clock.due != wanted:
            yield f"{row.code} is due at {clock.due}, and by the text at {wanted}"
    to = set(getattr(event.data, "to", None) or ())
    owing = {
        "the agency that published it": {event.source},
        "each agency that was asked": to,
        "the deciding body that was asked": {each for each in to if case.within(each, "DECIDERS")},
        "each agency that was asked, other than the deciding body": {
            each for each in to if not case.within(each, "DECIDERS")
        },
        "the deciding body": set(case.units),
        "the agency that sent the referral": {case.senders.get(event.referral or "", "")},
        "each receiver of the consent that knows the case": set(getattr(event.data, "receivers", ())),
    }.get(row.owed.split(";")[0].strip())
    if owing is not None and clock.answerable not in owing:
        yield f"{row.code} is owed by {clock.answerable}, and by the text by {sorted(owing)}"


class Lifted:
    """Duties that an adult's word has lifted: none is owed meanwhile, and each is owed again later by that time."""

    def __init__(self) -> None:
        """Know of none."""
        self.since: dict[tuple[str, str, str], tuple[Any, datetime]] = {}
        self.again = 0
        """Duties that came back."""

    def heard(
        self, case: Second, event: Any, registered: datetime, before: tuple[Any, ...], after: tuple[Any, ...]
    ) -> Iterator[str]:
        """Yield each duty that is owed against the person's word after *event*, which *case* has heard, or not owed again."""
        old, new = ({(clock.code, clock.cause, clock.answerable): clock for clock in each} for each in (before, after))
        day = f"{registered.astimezone(ZONE):%Y-%m-%d}"
        for key, clock in new.items():
            if _in_vain(case, clock, day):
                yield f"{key[0]} is owed by {key[2]} against the person's word"
        for key in old.keys() - new.keys():
            if key[0] in BACK and _in_vain(case, old[key], day) and event.type not in ROWS[key[0]].ends:
                self.since[key] = (old[key], registered)
        for key, (clock, since) in tuple(self.since.items()):
            row, again = ROWS[key[0]], new.get(key)
            if again is None and (event.type in (*LIFTING, *REVIVING, *row.ends) or row.begins_by(event.type)):
                if (
                    event.type not in ("consent.refused", "consent.withdrawn", "safeguard.age_assessed")
                    or event.type in row.ends
                ):
                    del self.since[key]
            elif again is not None:
                del self.since[key]
                self.again += 1
                yield from _again(row, clock, again, registered - since)
            elif not _in_vain(case, clock, day):
                yield f"{key[0]} of {key[2]} is not owed again after {event.type}"


def _in_vain(case: Second, clock: Any, day: str) -> bool:
    """Return whether an adult refuses on *day* the agency that owes *clock*, or the one that waits for the answer to its question."""
    concerned = (clock.answerable, *(clock.told if clock.code == "D-INFO" else ()))
    words = [case.stands(agency, SHARING, day) for agency in concerned]
    return ROWS[clock.code].lifted and not case.child and any(word in ("refused", "withdrawn") for word in words)


def _again(row: Row, clock: Any, again: Any, lifted: timedelta) -> Iterator[str]:
    if clock.due is None or again.due is None:
        return
    lasts = row.lasts(None)
    if again.due < clock.due or (
        lasts and lasts[1] == "hours" and "urgent" not in row.length and again.due != clock.due + lifted
    ):
        yield f"{row.code} is due at {again.due} again, and was at {clock.due} when it was lifted for {lifted}"
