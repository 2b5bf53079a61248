"""A case as its pages show it: who is on it, what is due, and what happened, in the reader's words."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, select

from nrmbus.desk.http import courses, views
from nrmbus.desk.outbox import refusals
from nrmbus.desk.state import labels, parking
from nrmbus.desk.state.open_duties import held_until, open_duties
from nrmbus.desk.store import tables
from nrmbus.desk.versions import Speaks
from nrmbus.desk.web.acts.around import decisions_of, name_of, staff_name
from nrmbus.desk.web.acts.form import form_of
from nrmbus.desk.web.acts.told import Fact, facts
from nrmbus.desk.web.called import called
from nrmbus.desk.web.shell import NotFound, Visit
from nrmbus.desk.web.work.kinds import OVER
from nrmbus.events.document import DocumentShared
from nrmbus.events.registry import TYPES, data_type, versions
from nrmbus.rules import View
from nrmbus.rules.clocks import Clock
from nrmbus.wire import times

NEWEST: Final[Speaks] = {name: max(versions(name)) for name, _ in TYPES}
"""People read every event in its newest version, which loses nothing."""

_OUTBOX: Final = tables.outbox.c
_NEWS: Final = timedelta(days=3)
"""Time for which a refusal stands on the first page of its case."""
_SAME: Final = ("receivers", "to", "purposes", "document_type")
"""Fields in which two steps of one type about one record agree if they are the same step."""
_WAITS: Final = frozenset({parking.AHEAD, parking.BEHIND})
"""Reasons of parked records that end without anybody."""


@dataclass(frozen=True, slots=True)
class Due:
    """A running duty."""

    what: str
    who: str
    is_mine: bool
    due: str
    iso: str
    is_late: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something out of the ordinary, and what to do."""

    title: str
    sentence: str
    type: str = ""
    """Type of the event that answers it, if the agency has to answer."""
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the timeline."""

    id: str
    title: str
    by: str
    when: str
    iso: str
    lines: tuple[str, ...]
    facts: tuple[Fact, ...]
    has_letter: bool
    is_document: bool
    is_late: bool


class Case:
    """One case of this agency."""

    def __init__(self, visit: Visit, tx: Connection, subject: str | None = None) -> None:
        """Look at the case *subject* within *tx*, by default that of the page's address.

        Raises:
            NotFound: there is no such case, or it is another agency's.
        """
        self.visit, self.subject = visit, visit.path("ref") if subject is None else subject
        desk = visit.door.desk
        told = views.case(tx, desk, self.subject)
        self.unsent = tuple(_unregistered(visit, tx, self.subject))
        if told is None and not self.unsent:
            raise NotFound
        self.told: Mapping[str, Any] = told or {}
        self.view: View = desk.cases.view(tx, self.subject)
        if self.view.policy:
            visit.under(desk.seat.rules.profile_for(self.view))
        self.label = labels.of(desk.seat, tx, self.subject)
        """The agency's own label; empty if the case has none."""
        self.colleague = labels.colleague_of(tx, self.subject)
        self.is_whole = not self.told.get("incomplete", False)
        self.clocks: tuple[Clock, ...] = desk.seat.rules.clocks(self.view, visit.now) if self.is_whole else ()

    @property
    def path(self) -> str:
        """Return the address of its first page, below the root."""
        return f"/cases/{self.subject}"

    @property
    def name(self) -> str:
        """Return what the page calls it."""
        return self.label or self.reference

    @property
    def reference(self) -> str:
        """Return the beginning of the reference, which commands and other agencies know it by."""
        return self.visit.t("Case {reference}", reference=self.subject[:8])

    @property
    def standing(self) -> list[str]:
        """Return the facts of the identity bar."""
        t = self.visit.t
        has_it = self.visit.door.staff.members.name_of(self.colleague) if self.colleague else ""
        found = (
            self.reference if self.label else "",
            t("Status: {status}", status=self.status) if self.is_whole and self.view.status else self.status,
            self.person,
            t("Colleague: {name}", name=has_it) if has_it else "",
        )
        return [each for each in found if each]

    @property
    def status(self) -> str:
        """Return the status in words."""
        t, status = self.visit.t, self.view.status if self.is_whole else None
        return t.code("status", status) if status else t("The status is not known here")

    @property
    def person(self) -> str:
        """Return whether the procedure for children applies; empty if nobody said, or if nothing follows from it any more."""
        child = self.view.child
        if child is None or (not child and self.view.status in OVER):
            return ""
        return self.visit.t("Child: the procedure for children applies") if child else self.visit.t("Adult")

    def places(self) -> list[dict[str, Any]]:
        """Return the pages of the case that the member may see."""
        t, here = self.visit.t, self.visit.request.url.path
        names = {
            "": t("Overview"), "/timeline": t("Timeline"), "/letters": t("Letters"), "/referrals": t("Referrals"),
            "/documents": t("Documents"), "/reads": t("Who read"),
        }  # fmt: skip
        hidden = set() if "see_reads" in self.visit.me.permissions else {"/reads"}
        return [
            {"text": text, "path": self.path + below, "is_here": here.endswith(self.path + below)}
            for below, text in names.items()
            if below not in hidden
        ]

    # -- who, and until when

    def agencies(self) -> list[tuple[str, str]]:
        """Return the agencies on the case by name, each with its role in words."""
        t, entries, me = self.visit.t, self.visit.door.seat.directory.entries, self.visit.door.seat.me
        found = []
        for id in self.view.parts:
            entry = entries.get(id)
            name = called(self.visit.door, id)
            role = t.capital(t.agency_role(entry.role)) if entry else ""
            found.append((role, t("{agency} (your agency)", agency=name) if id == me else name))
        return [(name, role) for role, name in sorted(found)]

    def agency(self, id: str) -> str:
        """Return the name of an agency as people know it."""
        return agency(self.visit, id)

    def duties(self) -> list[Due]:
        """Return the running duties and the offered beds, the earliest first."""
        t, me = self.visit.t, self.visit.door.seat.me
        known = open_duties(self.clocks, me, self.visit.now)
        ordered = sorted(known, key=lambda each: (each.due is None, each.due, each.code))
        found = []
        for each in ordered:
            what = t.code("clock", each.code)
            late = each.breached or (each.due is not None and each.due < self.visit.now)
            found.append(
                Due(
                    what=t.capital(what),
                    who=self.agency(each.answerable),
                    is_mine=each.answerable == me,
                    due=t.deadline(each.due) if each.due else t("paused by a question"),
                    iso=times.write(each.due) if each.due else "",
                    is_late=late,
                )
            )
        return sorted([*found, *self._held()], key=lambda each: (not each.iso, each.iso))

    def _held(self) -> Iterator[Due]:
        """Yield each bed that is held for the person, for the shelter and for the agency that asked."""
        t, me = self.visit.t, self.visit.door.seat.me
        view = self.view if self.is_whole else None
        if view is None or not view.beds:
            return
        for (ref, shelter), until in held_until(self.visit.door.seat.rules.due(view)).items():
            if me in (shelter, view.beds[ref].asker):
                yield Due(
                    what=t("A bed is held: admission"), who=self.agency(shelter), is_mine=shelter == me,
                    due=t.deadline(until), iso=times.write(until), is_late=until < self.visit.now,
                )  # fmt: skip

    def notices(self) -> list[Notice]:
        """Return what is out of the ordinary: an unknown beginning, waiting records, withdrawn consents."""
        t, found = self.visit.t, list[Notice]()
        if not self.is_whole:
            sentence = t(
                "This desk lost its store, and the beginning of this case with it. So status, deadlines and next steps are "
                "not shown. Ask the agency that referred the case, or the auditor, before you decide anything."
            )
            found.append(Notice(t("Only a part of this case is known here"), sentence))
        if because := self.told.get("parked_because"):
            found.append(self._parked(because))
        return [*found, *(self._stop(each) for each in self.told.get("stops", ()))]

    def _parked(self, because: Mapping[str, Any]) -> Notice:
        t, error, type = self.visit.t, because["error"], self.visit.t.type(because["type"])
        if error in _WAITS:
            sentence = t(
                "Newer messages of this case come in right now. You need do nothing: they appear by themselves."
            )
        elif error == parking.UNKNOWN["unknown_profile"]:
            sentence = t(
                "The case is under a profile of the Rules that this desk does not have. Ask your administrator to add it "
                "(nrmbus rules add) and to start the desk again: the case then goes on by itself."
            )
        elif error in parking.NOT_READ:
            sentence = t(
                "“{type}” came in a form that this release cannot read. Ask your administrator to update the desk: "
                "the case then goes on by itself.", type=type,
            )  # fmt: skip
        elif error == parking.STUCK:
            sentence = t(
                "“{type}” could not be handled because of a fault of the desk’s machine. Ask your administrator to repair "
                "the machine: the case then goes on by itself.", type=type,
            )  # fmt: skip
        else:
            sentence = t(
                "“{type}” could not be handled, and everything after it waits. Ask your administrator to have the desk "
                "repaired and the case released.", type=type,
            )  # fmt: skip
        title = t.many("{n} message of this case waits", "{n} messages of this case wait", because["waiting"])
        return Notice(title, sentence, is_late=error not in _WAITS)

    def _stop(self, stop: Mapping[str, Any]) -> Notice:
        t, withdrawn = self.visit.t, self.day(stop["withdrawn"])
        is_mine, answer = stop["agency"] == self.visit.door.seat.me, stop["answer"]
        name, due = self.agency(stop["agency"]), self.deadline(stop.get("due"))
        if is_mine:
            title = t("The person withdrew consent for your agency on {day}", day=withdrawn)
        else:
            title = t("The person withdrew consent for {agency} on {day}", agency=name, day=withdrawn)
        if answer == "deleted":
            sentence = t("Answered: the data were deleted.")
        elif answer == "must_retain":
            sentence = t(
                "Answered: the law obliges the agency to keep the data. Nobody may use them for anything else."
            )
        elif answer == "confirmed":
            sentence = t("Answered: the data are no longer used.")
        elif is_mine and due:
            sentence = t("Stop using what you have of this person. Answer by {due} that you did.", due=due)
        elif is_mine:
            sentence = t("Stop using what you have of this person. Answer that you did.")
        elif due:
            sentence = t("The agency has not answered yet. Its answer is due by {due}.", due=due)
        elif stop.get("told", True):
            sentence = t("The agency has not answered yet.")
        else:
            sentence = t("Your agency knows of no answer. If another agency told it of the case, it owes one.")
        type = "consent.stop_confirmed" if is_mine and answer == "missing" else ""
        return Notice(title, sentence, type, bool(stop.get("overdue")))

    # -- what happened

    def steps(
        self, events: Iterable[Mapping[str, Any]], actors: Mapping[str, str], *, under_day: bool = False
    ) -> Iterator[Step]:
        """Yield *events* as steps of the timeline; *actors* are the staff numbers behind the agency's own.

        Steps that stand *under_day*, the heading with their day, have the time alone.
        """
        for each in events:
            yield self._step(each, actors, under_day=under_day)

    def _step(self, event: Mapping[str, Any], actors: Mapping[str, str], *, under_day: bool) -> Step:
        t, lines = self.visit.t, list[str]()
        if event.get("unknown"):
            lines.append(t("This release cannot read it. Ask your administrator to update the desk."))
        if event.get("parked"):
            lines.append(t("It waits to be handled."))
        if (document := event.get("document")) and not document["complete"]:
            lines.append(t("{came} of {chunks} pieces have come.", came=document["came"], chunks=document["chunks"]))
        registered = t.clock(_time(event["registered"])) if under_day else self.moment(event["registered"])
        if self.day(event["time"]) != self.day(event["registered"]):
            lines.append(t("It happened on {moment}.", moment=self.moment(event["time"])))
        by = self.agency(event["source"])
        if event["id"] in actors:
            by = t("{agency}, {name}", agency=by, name=staff_name(self.visit, actors[event["id"]]))
        return Step(
            id=event["id"],
            title=t.type(event["type"]),
            by=by,
            when=t("{moment}, registered as number {number}", moment=registered, number=event["number"]),
            iso=event["registered"],
            lines=tuple(lines),
            facts=tuple(self.facts(event["type"], event["data"])) if "data" in event else (),
            has_letter=bool(event["parts"]) or "shut" in event,
            is_document=event["type"] == DocumentShared.type,
            is_late=event["type"] == "deadline.breached",
        )

    def facts(self, type: str, data: Mapping[str, Any], letter: Mapping[str, Any] | None = None) -> Iterator[Fact]:
        """Yield the fields of an event that are in the clear, or those of its *letter*, each with its label."""
        model = data_type(type, NEWEST[type]) if type in NEWEST else None
        if model is None:
            return
        form = form_of(model)
        fields = form.clear if letter is None else [each for of in form.parts.values() for each in of]
        said = {"data": data} if letter is None else {"sealed": letter}
        yield from facts(self.visit, fields, said, decisions_of(self.visit, self.view))

    def day(self, at: str) -> str:
        """Return the day of a time of the ledger."""
        return self.visit.t.day(_time(at))

    def moment(self, at: str | None) -> str:
        """Return a time of the ledger; empty if there is none."""
        return self.visit.t.moment(_time(at)) if at else ""

    def deadline(self, at: str | None) -> str:
        """Return a deadline of the ledger; empty if there is none."""
        return self.visit.t.deadline(_time(at)) if at else ""


def agency(visit: Visit, id: str) -> str:
    """Return the name of an agency as people know it."""
    return name_of(visit, id)


def by_day(steps: Iterable[Step], visit: Visit) -> list[tuple[str, list[Step]]]:
    """Return *steps* under the day on which each was registered."""
    return [(day, list(each)) for day, each in groupby(steps, lambda step: visit.t.day(_time(step.iso)))]


def course(
    visit: Visit, tx: Connection, subject: str, *, before: int, limit: int, **wanted: Any
) -> list[dict[str, Any]]:
    """Return the events of the case before number *before*, the newest first; *wanted* are ``types`` and ``source``."""
    return courses.course(tx, visit.door.desk, subject, NEWEST, before=before, limit=limit, **wanted)


def actors(tx: Connection, subject: str) -> dict[str, str]:
    """Return the staff number behind each event that this agency's people published in the case."""
    rows = select(_OUTBOX.id, _OUTBOX.clear).where(_OUTBOX.subject == subject, _OUTBOX.origin == "door")
    return {row.id: json.loads(row.clear)["actor"] for row in tx.execute(rows)}


def _unregistered(visit: Visit, tx: Connection, subject: str) -> Iterator[Mapping[str, Any]]:
    """Yield this agency's events in the case that are not registered: they wait, were refused, or could not be sent.

    ``is_past`` says that the same step was registered since, or that the refusal is old.
    """
    rows = select(tables.outbox).where(_OUTBOX.subject == subject, _OUTBOX.replaced_by.is_(None))
    registered = set[tuple[Any, ...]]()
    for row in tx.execute(rows.order_by(_OUTBOX.seq.desc())).all():
        clear = json.loads(row.clear)
        said = (clear["data"].get(name, ()) for name in _SAME)
        same = (frozenset([each] if isinstance(each, str) else each) for each in said)
        kind = (row.type, clear.get("referral"), *same)
        if row.verdict == "registered":
            registered.add(kind)
        elif not data_type(row.type, clear["version"]).technical:
            actor = clear["actor"] if row.origin == "door" else ""
            is_past = kind in registered or visit.now - _time(row.made) > _NEWS
            yield {**refusals.told(visit.door.seat, views.state_of(tx, row)), "actor": actor, "is_past": is_past}


def _time(at: str) -> datetime:
    read = times.read(at)
    assert read is not None  # noqa: S101 - for mypy: the desk wrote it
    return read
