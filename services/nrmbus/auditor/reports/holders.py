"""Holders report, from the verified history: which agencies hold what of a person, on which ground, and who read it. Pure.

The history names the agencies that each letter was sealed to, and each reading before it happened. It holds no word of
any letter, and cannot say which parts are empty: every part of a type is sent, padded, even an empty one. A desk knows
that of the parts sealed to it, and passes it in as `Written`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.reports.erasure_certificate import Confirmed, certificate
from nrmbus.directory.entry import Contact
from nrmbus.events.access import Access, AccessGranted, AccessPurpose
from nrmbus.events.consent import ConsentStopConfirmed
from nrmbus.events.deadline import DeadlineLifted
from nrmbus.events.model import Event, Part
from nrmbus.events.registry import versions
from nrmbus.rules import View, ends_keeping
from nrmbus.rules.event_context import SHARING
from nrmbus.wire.names import STATISTICS

Ground = Literal["consent", "consent_over", "override", "law"]
"""What an agency's knowledge rests on; ``consent_over`` is a consent whose last day has passed."""
StopState = Literal["missing", "deleted", "must_retain"]
Written = Mapping[tuple[str, str], Mapping[Part, bool]]
"""For each letter that a desk opened (by source and id of the event), whether anything is written in each part."""

READING: Final = "access.granted"
STOP: Final = "D-STOP"
SERVICES: Final = ("timekeeper", STATISTICS)
"""Roles that receive events of every case and hold no person's file."""
_SOURCES: Final = re.compile(r" *\[[^\]]*\]")
"""Marks of the source of a basis in the profile, for its maintainers: ``[S2]``, ``[D]``."""


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """Access record: somebody was about to read something or to hand it on, and the registrar registered that."""

    agency: str
    actor: str
    what: Access
    purpose: AccessPurpose
    parts: tuple[Part, ...]
    event: str | None
    at: datetime
    number: int
    off_record: datetime | None = None
    """The time of a reading off the record, which was before it was recorded; None for every other."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Withdrawal of the person's consent: its time, and the agency's answer or the time when the answer is due."""

    at: datetime
    state: StopState
    due: datetime | None = None
    breached: bool = False
    lifted: datetime | None = None
    """When two members of staff recorded that the agency cannot answer any more; None for every other."""


@dataclass(slots=True)
class Holder:
    """One agency that knows of the case, with what it may hold, and why."""

    agency: str
    role: str
    contact: Contact | None = None
    """Name, address and number of the agency, from its entry in the directory."""
    ground: Ground = "law"
    basis: str = ""
    """The act behind the first event that the agency received; empty if that is a rule of the bus alone."""
    since: datetime | None = None
    """When the consent or override was registered, or else when the agency first received an event."""
    parts: set[Part] = field(default_factory=set)
    """Parts of letters sealed to the agency, its own among them, that may be empty or not: nobody here knows.

    Parts that the agency has confirmed to have deleted are left out, and parts known to be `written` or empty.
    """
    written: set[Part] = field(default_factory=set)
    """Parts of letters sealed to the agency in which something is known to be written."""
    received: dict[str, datetime] = field(default_factory=dict)
    """First time of each type of event that the agency received."""
    published: dict[str, datetime] = field(default_factory=dict)
    """First time of each type of event that the agency published."""
    readings: list[AccessRecord] = field(default_factory=list)
    stopped: Stopped | None = None
    erased: Confirmed | None = None
    """The agency's confirmation that it destroyed all data of the case, with the horizon of its backups."""
    owes_erasure_since: datetime | None = None
    """When the agency was told to erase the case, if it has not confirmed yet."""
    unread: bool = False
    """True if this release cannot read an event that the agency sent or received: its letters and readings may be missing."""

    def has(self, part: Part, *, filled: bool | None) -> None:
        """Note a *part* sealed to the agency, and whether something is written there; None if nobody here knows."""
        if filled:
            self.written.add(part)
            self.parts.discard(part)
        elif filled is None and part not in self.written:
            self.parts.add(part)

    def has_only(self, parts: Iterable[tuple[Part, bool | None]]) -> None:
        """Replace all parts noted so far: the agency has deleted the others."""
        self.parts, self.written = set(), set()
        for part, filled in parts:
            self.has(part, filled=filled)


@dataclass(frozen=True, slots=True)
class HoldersReport:
    """Holders report of one case; ``statistics`` says whether the statistics hold coded facts of the case.

    ``over`` is when the retention period ended, or None while the case is kept. ``unread`` is the number of events that
    this release cannot read; their senders and recipients are among the holders.
    """

    subject: str
    child: bool
    holders: tuple[Holder, ...]
    statistics: bool
    over: datetime | None = None
    unread: int = 0


def access_records(entries: Iterable[Entry]) -> list[AccessRecord]:
    """Return the access records among *entries*, in order."""
    return [reading for entry in entries if entry.event and (reading := _reading(entry.event, entry)) is not None]


def unread_readings(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the events among *entries* that may be access records, and that this release cannot read."""
    for entry in entries:
        said = entry.said
        if said is not None and entry.event is None and (said.type == READING or not versions(said.type)):
            yield entry


def _reading(event: Event, entry: Entry) -> AccessRecord | None:
    if not isinstance(event.data, AccessGranted):
        return None
    said, at = event.data, entry.registration
    parts = tuple(said.parts or ())
    before = event.time if event.time < event.recordedtime else None
    return AccessRecord(
        event.source, event.actor, said.what, said.purpose, parts, said.event, at.time, at.number, before
    )


def held(seen: Audited, subject: str, made: datetime, written: Written | None = None) -> HoldersReport:
    """Return the report of the case *subject*, from the history so far and the parts that a desk knows as *written*.

    *made* is the time of the report: a consent is a ground until the end of its last day.
    """
    entries, rules = seen.history.about(subject), seen.rules
    holders: dict[str, Holder] = {}
    papers: dict[str, datetime] = {}
    own: dict[str, list[tuple[Part, bool | None]]] = {}
    coded, unread = False, 0

    def holder(agency: str) -> Holder:
        entry = seen.directory.entries.get(agency)
        return holders.setdefault(agency, Holder(agency, entry.role if entry else "", entry.contact if entry else None))

    view = rules.start(subject)
    for entry in entries:
        event, fact, at = entry.event, entry.fact, entry.registration.time
        if event is None or fact is None:
            unread += _unread(seen, entry, holder)
            continue
        papers[event.id] = at
        if not event.data.technical:
            holder(event.source).published.setdefault(event.type, at)
            for agency in fact.recipients:
                _received(holder(agency), event.type, at, _basis(seen, event.type, entry.registration.policy.name))
        if event.sealeddigest is not None and event.data.letter is not None:
            known = (written or {}).get((event.source, event.id), {})
            own.setdefault(event.source, []).extend((part, known.get(part)) for part in event.data.letter.part_names())
            opens = dict(rules.audience(view, event, entry.registration.policy.name, at).opens)
            coded = coded or bool(opens.get("coded"))
            for part in event.data.letter.part_names():
                for agency in {event.source, *opens.get(part, ())}:
                    holder(agency).has(part, filled=known.get(part))
        if isinstance(event.data, ConsentStopConfirmed) and event.data.answer == "deleted":
            holder(event.source).has_only(own.get(event.source, ()))
        # The end of the retention period leaves the grounds as they were until then.
        view = view if ends_keeping(event) else rules.evolve(view, fact)
    for reading in access_records(entries):
        holder(reading.agency).readings.append(reading)
    confirmed = _erasures(entries, holder)
    stops, today = _stops(seen, view, entries), made.astimezone(rules.profile_for(view).zone).date()
    for each in holders.values():
        _ground(each, view, papers, today)
        each.stopped = stops.get(each.agency)
    found = tuple(each for _, each in sorted(holders.items()) if each.role not in SERVICES)
    figures = coded and not confirmed.issuperset(seen.directory.of_role(STATISTICS))
    over = seen.history.over(subject)
    return HoldersReport(subject, view.child is True, found, figures, over.registration.time if over else None, unread)


def _unread(seen: Audited, entry: Entry, holder: Callable[[str], Holder]) -> bool:
    """Note the sender and the recipients of an event that this release cannot read; return False for a refusal."""
    if entry.said is None:
        return False
    kind, at, source = entry.said.type, entry.registration.time, entry.registration.source
    told: tuple[str, ...] = ()
    if not any(each.technical for each in versions(kind).values()):
        told = entry.audience.recipients
        holder(source).published.setdefault(kind, at)
    for agency in told:
        _received(holder(agency), kind, at, _basis(seen, kind, entry.registration.policy.name))
    for agency in (source, *told):
        holder(agency).unread = True
    return True


def _erasures(entries: Iterable[Entry], holder: Callable[[str], Holder]) -> frozenset[str]:
    """Note which holders have confirmed the erasure, and which still owe the confirmation; return the former."""
    said = certificate(entries)
    for each in said.confirmed:
        holder(each.agency).erased = each
        holder(each.agency).has_only(())
    for agency in said.missing:
        holder(agency).owes_erasure_since = said.due
    return frozenset(each.agency for each in said.confirmed) - {*said.missing}


def _basis(seen: Audited, kind: str, policy: str) -> str:
    row = seen.rules.row(kind, policy)
    return _SOURCES.sub("", row.basis).partition(";")[0].strip(" ,") if row else ""


def _received(holder: Holder, kind: str, at: datetime, basis: str) -> None:
    if not holder.received and not holder.published:
        holder.basis, holder.since = basis, at
    holder.received.setdefault(kind, at)


def _ground(holder: Holder, view: View, papers: Mapping[str, datetime], today: date) -> None:
    """Set the ground: the consent or override that stands for *holder*, or stood before its withdrawal; else the law."""
    standing = view.consents.get((holder.agency, SHARING))
    if standing is None or view.child or standing.kind == "refused":
        return
    if standing.on(today) is not standing:
        holder.ground, holder.since = "consent_over", None
        return
    holder.ground = "override" if standing.kind == "overridden" else "consent"
    holder.since = papers.get(standing.id) if standing.kind != "withdrawn" else None


def _stops(seen: Audited, view: View, entries: Iterable[Entry]) -> dict[str, Stopped]:
    due = {clock.answerable: clock for clock in seen.rules.clocks(view) if clock.code == STOP}
    said = ((entry.event.data, entry.registration) for entry in entries if entry.event)
    lifts = {data.agency: at for data, at in said if isinstance(data, DeadlineLifted) and data.rule == STOP}
    found = {}
    for agency, stop in view.stops.items():
        state: StopState = "missing"
        if not stop.open:
            state = "must_retain" if stop.answer == "must_retain" else "deleted"
        clock, lift = (due.get(agency), lifts.get(agency)) if stop.open else (None, None)
        is_lifted = lift is not None and lift.number > stop.mark.number
        if stop.open and clock is None and not is_lifted:
            continue  # the agency was told nothing, so it owes no answer
        found[agency] = Stopped(
            stop.mark.registered,
            state,
            clock.due if clock else None,
            breached=bool(clock and clock.breached),
            lifted=lift.time if lift is not None and is_lifted else None,
        )
    return found
