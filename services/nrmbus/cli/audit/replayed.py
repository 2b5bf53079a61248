"""Contents of a replay, in every form: cases with their registrations, status and clocks, as of a moment."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import Counts, is_reading, is_sealed_again, refusal_of, successor
from nrmbus.auditor.history.selection import Selection
from nrmbus.auditor.web.pages.document import document
from nrmbus.auditor.web.pages.rendering import place_of
from nrmbus.cli.shown import plain
from nrmbus.rules import Clock, Profile
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

    @property
    def is_one(self) -> bool:
        """Whether it is a case: the number under which an auditor's searches stand has nothing but readings."""
        return self.counts.readings < len(self.known) or not self.known

    def rows(self, *, readings: bool) -> list[Entry]:
        """Return the selected registrations, readings only if *readings*."""
        return [each for each in self.entries if readings or not is_reading(each)]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A history as of ``now``; ``as_of`` is None where that is the moment of looking."""

    seen: Audited
    chosen: Selection
    as_of: datetime | None
    now: datetime
    cases: tuple[Case, ...]

    @classmethod
    def of(
        cls, seen: Audited, chosen: Selection, *, subject: str | None, as_of: datetime | None, now: datetime
    ) -> Self:
        """Replay the *chosen* registrations of the case *subject*, or of all cases, as known at *as_of*."""
        cases = []
        for each in (subject,) if subject else seen.history.spoken_of():
            known = seen.history.about(each, as_of)
            shown = [entry for entry in known if chosen.has(entry)]
            if shown or (subject and chosen.all):
                view = seen.view(each, known)
                cases.append(Case(each, view.status, seen.rules.clocks(view), shown, known))
        return cls(
            seen=seen,
            chosen=chosen,
            as_of=as_of,
            now=now,
            cases=tuple(cases),
        )

    @property
    def profile(self) -> Profile:
        """The Rules by which the history was judged."""
        return self.seen.rules.profile

    @property
    def total(self) -> int:
        """How many numbers were verified: the whole history."""
        return len(self.seen.history.entries)

    @property
    def verified(self) -> str:
        """Size of the verified history in words, whatever part is shown."""
        kept = "" if self.seen.partitions == 1 else f" in {self.seen.partitions} partitions"
        return f"{self.total} registrations{kept}"

    def place(self, entry: Entry) -> str:
        """Return the number of *entry*, after its partition if there are several; `nrmbus why` takes it."""
        return place_of(one=self.seen.partitions == 1)(entry.registration)

    def html(self) -> str:
        """Return the replay as one HTML document that loads nothing."""
        subjects = [case.subject for case in self.cases]
        return document(self.seen, subjects, self.chosen, as_of=self.as_of, now=self.now)


def mapping(replayed: Replayed) -> dict[str, Any]:
    """Return the replay as one JSON object."""
    cases = [
        {
            "case": case.subject,
            "status": case.status,
            "counts": asdict(case.counts),
            "open_deadlines": [_clock(clock, replayed.now) for clock in case.clocks],
            "history": [row_of(entry, case.known, replayed.profile) for entry in case.entries],
        }
        for case in replayed.cases
    ]
    as_of = {"as_of": times.write(replayed.as_of)} if replayed.as_of else {}
    return {"verified": replayed.total, **as_of, "cases": cases}


def rows(replayed: Replayed) -> Iterator[dict[str, Any]]:
    """Yield one JSON object for each registration, with its case."""
    for case in replayed.cases:
        yield from ({"case": case.subject, **row_of(entry, case.known, replayed.profile)} for entry in case.entries)


def row_of(entry: Entry, known: Iterable[Entry] = (), profile: Profile | None = None) -> dict[str, Any]:
    """Return one registration in JSON types; what does not apply is left out.

    *known* are the registrations of its case, where the second sealing of an event is looked for; *profile* has the
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
        "sealed_again": True if is_sealed_again(entry) else None,
        "followed_by": _place(again) if again else None,
        "code": said.code,
        "rule": said.rule,
        "article": said.article,
        "sentence": refusal_of(entry, profile) if profile else None,
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
