"""Selection of registrations for a command: by case, agency, type, time and number, as typed."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from nrmbus.auditor.history.history import Entry, History
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.rules.profile import matches
from nrmbus.wire import times

LEAST_OF_AN_ID: Final = 8
"""The fewest characters of an id that name an event; fewer digits are a number."""

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBERS: Final = re.compile(r"(\d{1,15})(\.\.(\d{1,15})?)?")
_PLACE: Final = re.compile(r"(?:(\d{1,4})/)?(\d{1,15})")


class NoSuchEvent(BusError):
    """Raised when no registration has what was typed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Registrations to show; a field that is None excludes nothing. Times are inclusive; the end of *numbers* may be open."""

    agency: str | None = None
    type: str | None = None
    first: datetime | None = None
    last: datetime | None = None
    numbers: tuple[int, int | None] | None = None

    @property
    def all(self) -> bool:
        """True if the selection excludes nothing."""
        return self == Selection()

    def has(self, entry: Entry) -> bool:
        """Return whether *entry* is selected. A refusal has no type, so that a selection by ``type`` excludes it."""
        said = entry.registration
        if self.agency is not None and not entry.concerns(self.agency):
            return False
        if self.type is not None and not (entry.said and matches(entry.said.type, self.type)):
            return False
        if (self.first and said.time < self.first) or (self.last and said.time > self.last):
            return False
        if self.numbers is None:
            return True
        low, high = self.numbers
        return low <= said.number and (high is None or said.number <= high)


EVERYTHING: Final = Selection()


def moment(text: str | None, zone: ZoneInfo, option: str, *, begin: bool = False) -> datetime | None:
    """Return the time that *text* means: a time in UTC, or the end (*begin*: the beginning) of a day in *zone*.

    Raises:
        BusError: *text* is neither; the message names the *option*.
    """
    if text is None:
        return None
    read = times.read(text)
    midnight = None
    with suppress(
        ValueError, OverflowError
    ):  # in the other zone, the first and the last possible day lie outside the range
        if read is not None:
            read.astimezone(zone)
            return read
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        day = day if begin or day is None else day + timedelta(days=1)
        midnight = datetime.combine(day, time(), zone).astimezone(UTC) if day else None
    if midnight is None:
        raise BusError(
            f"{option} wants a day of the calendar like 2026-03-02, or a time in UTC to the second like 2026-03-02T09:00:00Z."
        )
    return midnight if begin else midnight - timedelta(seconds=1)


def numbers(text: str | None) -> tuple[int, int | None] | None:
    """Return the numbers that *text* means: ``12``, ``12..20`` or ``12..`` for all from there on.

    Raises:
        BusError: *text* has another form.
    """
    if text is None:
        return None
    found = _NUMBERS.fullmatch(text)
    if found is None or (found[3] and int(found[3]) < int(found[1])):
        raise BusError("--number wants a number of replay, or some: 12, 12..20, or 12.. for all from there on.")
    if found[2] is None:
        return int(found[1]), int(found[1])
    return int(found[1]), int(found[3]) if found[3] else None


def found_event(history: History, event: str, subject: str | None) -> Entry:
    """Return the registration that *event* names: by id or its beginning, by number, or by type (the last one of the type).

    A number may follow its partition, as in ``1/12``. If several have one id, the registered one is returned.

    Raises:
        NoSuchEvent: *event* names none.
        BusError: *event* names several events, or has no form of a name.
    """
    entries = [each for each in history.entries if subject in (None, each.registration.subject)]
    place = _PLACE.fullmatch(event) if len(event.rpartition("/")[2]) < LEAST_OF_AN_ID else None
    if place:
        partition, number = int(place[1]) if place[1] else None, int(place[2])
        return _one([each for each in entries if _stands_at(each, partition, number)])
    if "." in event:
        kind = event.removeprefix("nrm.")
        return _one([each for each in entries if each.said and each.said.type == kind][-1:])
    if len(event) < LEAST_OF_AN_ID:
        raise BusError(
            f"EVENT wants an id, its first {LEAST_OF_AN_ID} characters or more, a number of nrmbus replay, or a type."
        )
    found = [each for each in entries if each.registration.id.startswith(event.lower())]
    return _one([each for each in found if each.registration.verdict == "registered"] or found)


def _stands_at(entry: Entry, partition: int | None, number: int) -> bool:
    said = entry.registration
    return said.number == number and partition in (None, said.partition)


def _one(found: Sequence[Entry]) -> Entry:
    named = {(each.registration.source, each.registration.subject, each.registration.id) for each in found}
    if len(named) == 1:
        return found[0]
    if not named:
        raise NoSuchEvent("The history has no such event: nrmbus replay lists the events by number.")
    raise BusError("EVENT names more than one event: give more of its id, its --case, or PARTITION/NUMBER.")


def time_of(folder: BusFolder, history: History) -> datetime:
    """Return the time now by the bus's clock: real time, or on a bus for playing the time of the last registration."""
    if folder.settings.play and history.entries:
        return max(entry.registration.time for entry in history.entries)
    return wall_now()
