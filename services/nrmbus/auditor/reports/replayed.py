"""Contents of a replay: cases with their registrations, status and clocks, as of a moment, as objects and as JSON types."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import Counts, document_of, is_reading, is_sealed_again, refusal_of, successor
from nrmbus.auditor.history.selection import Selection
from nrmbus.auditor.reports.plain import plain
from nrmbus.rules import Clock, Rules
from nrmbus.wire import times


@dataclass(frozen=True, slots=True)
class Case:
    """One case: the selected registrations; status, clocks and counts come from everything that was known."""

    subject: str
    status: str | None
    clocks: tuple[Clock, ...]
    entries: list[Entry]
    known: list[Entry]
    """All registrations and refusals of the case by then, selected or not."""

    @property
    def counts(self) -> Counts:
        """How many registrations of each outcome there are in all that was known."""
        return Counts.of(self.known)


def replayed(
    seen: Audited,
    chosen: Selection,
    *,
    subject: str | None = None,
    as_of: datetime | None = None,
    now: datetime | None = None,
) -> Iterator[Case | None]:
    """Yield the *chosen* registrations of the case *subject*, or of each case, as known at *as_of*; None for a case without any.

    Its clocks are those at *as_of*, else at *now*, else just after the last registration.

    Events about no case, such as released figures, are among them if a type or a number is chosen: else nobody would
    find them who does not know the subject of an agency's bulletin.
    """
    every = seen.history.spoken_of()
    if chosen.type is not None or chosen.numbers is not None:
        every = (*every, *seen.history.bulletins())
    for each in (subject,) if subject else every:
        known = seen.history.about(each, as_of)
        shown = [entry for entry in known if chosen.has(entry)]
        if shown or (subject and chosen.all):
            view = seen.latest(each) if as_of is None else seen.view(each, known)
            yield Case(each, view.status, seen.rules.clocks(view, as_of or now), shown, known)
        else:
            yield None


def case_mapping(case: Case, rules: Rules, now: datetime) -> dict[str, Any]:
    """Return *case* as one JSON object; a clock is overdue as of *now*."""
    return {
        "case": case.subject,
        "status": case.status,
        "counts": asdict(case.counts),
        "open_deadlines": [_clock(clock, now) for clock in case.clocks],
        "history": [row_of(entry, case.known, rules) for entry in case.entries],
    }


def row_of(entry: Entry, known: Iterable[Entry] = (), rules: Rules | None = None) -> dict[str, Any]:
    """Return one registration in JSON types; what does not apply is left out.

    *known* are the registrations of its case, where the second sealing of an event is looked for; *rules* have the
    sentences of refusals.
    """
    said = entry.registration
    again = successor(entry, known)
    row = {
        "number": said.number,
        "partition": said.partition,
        "time": said.time,
        "source": said.source,
        "id": said.id,
        "type": entry.said.type if entry.said else None,
        "version": entry.said.version if entry.said else None,
        "unknown": True if entry.said and not entry.event else None,
        "verdict": said.verdict,
        "reading": True if is_reading(entry) else None,
        "document": document_of(entry),
        "sealed_again": True if is_sealed_again(entry) else None,
        "followed_by": _place(again) if again else None,
        "code": said.code,
        "rule": said.rule,
        "article": said.article,
        "sentence": refusal_of(entry, rules) if rules else None,
        "policy": said.policy.name,
        "told": list(entry.audience.recipients) if entry.said else None,
    }
    found: dict[str, Any] = plain(row)
    return found


def _place(entry: Entry) -> dict[str, Any]:
    said = entry.registration
    return {"number": said.number, "partition": said.partition, "id": said.id}


def _clock(clock: Clock, now: datetime) -> dict[str, Any]:
    return {
        "code": clock.code,
        "answerable": clock.answerable,
        "cause": clock.cause,
        "start": times.write(clock.start),
        "due": times.write(clock.due) if clock.due else None,
        "overdue": clock.breached or (clock.due is not None and clock.due < now),
        "breached": clock.breached,
    }
