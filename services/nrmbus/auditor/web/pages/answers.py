"""Answers of the page: each question is recorded, then the history is read, then the page is made."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from markupsafe import Markup

from nrmbus.auditor.history.history import Entry, History
from nrmbus.auditor.history.live import LiveHistory
from nrmbus.auditor.history.outcomes import VERDICTS
from nrmbus.auditor.history.search import Search, cases_of
from nrmbus.auditor.history.selection import Selection, moment, numbers
from nrmbus.auditor.log.logs import Logs
from nrmbus.auditor.reports.figures import Figures, by_agency
from nrmbus.auditor.reports.inclusion import inclusion
from nrmbus.auditor.reports.inclusion import shown as logs_shown
from nrmbus.auditor.reports.waterfall import WaterfallWords, waterfall, waterfall_html
from nrmbus.auditor.web.access_log import AccessLog, OnRecord, Question
from nrmbus.auditor.web.pages import shown
from nrmbus.auditor.web.pages.visit import Visit
from nrmbus.auditor.web.sessions import Session
from nrmbus.auditor.web.users import Users
from nrmbus.bus.clock import Clock
from nrmbus.bus.errors import BusError
from nrmbus.directory import Directory
from nrmbus.events.access import Access
from nrmbus.events.registry import TYPES
from nrmbus.rules import Profile
from nrmbus.telemetry.span_file import Span
from nrmbus.web.words import Words
from nrmbus.wire import ids

PAGE: Final = 50
"""Number of registrations on one page of results."""
CASES: Final = 50


class Missing(Exception):
    """Raised when the history has no such case or event."""


class Kept(Protocol):
    """Interface of the auditor to its page."""

    logs: Logs | None
    turn: asyncio.Lock
    """The lock for work on the logs."""

    @property
    def stopped_at(self) -> str | None:
        """The code and the record at which the history stopped the auditor, or None."""

    @property
    def caught_up(self) -> bool:
        """True if the auditor has read the history to its end."""

    @property
    def refused(self) -> Mapping[str, str]:
        """The code of the refused last co-signature, by agency."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Parts of the running auditor that answers need."""

    kept: Kept
    access_log: AccessLog
    seen: LiveHistory
    clock: Clock
    directory: Directory
    spans: Callable[[str], list[Span]]
    """Returns the spans of an event, by its id; may block on files."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: template and values, and the place of its recorded question."""

    template: str
    on_record: OnRecord | None = None
    values: dict[str, Any] = field(default_factory=dict)
    status: int = 200


Record = Callable[[Session, Opened, Question, str], Awaitable[OnRecord]]
_Places = Mapping[str, str]


class Answers:
    """Pages about the history."""

    def __init__(self, opened: Opened, users: Users, record: Record) -> None:
        """Answer from *opened*; *record* records a question, or finds its earlier record."""
        self._opened, self._users, self._recorded = opened, users, record

    def now(self) -> datetime:
        """Return the bus's time."""
        return self._opened.clock.now()

    def profiles(self, first: Profile) -> tuple[Profile, ...]:
        """Return the profile in force, by the history read so far, and then the others of this bus, of which *first* is one."""
        rules = self._opened.seen.rules
        if rules is None:
            return (first,)
        now = rules.profile_at(self.now())
        return (now, *(each for each in rules.profiles if each is not now))

    def alarms(self, t: Words) -> list[str]:
        """Return the warnings at the top of every page."""
        kept, trouble = self._opened.kept, self._opened.seen.trouble
        found = []
        if kept.stopped_at is not None:
            found.append(
                t(
                    "The auditor has stopped: the history does not verify ({where}). Earlier registrations hold; nothing more is appended or signed.",
                    where=kept.stopped_at,
                )
            )
        if trouble is not None:
            place = f"{trouble.partition}/{trouble.number}"
            found.append(
                t(
                    "The history does not verify at number {place} ({code}). Later registrations are not shown, and new questions are not answered.",
                    place=place,
                    code=trouble.code,
                )
            )
        if kept.stopped_at is None and not kept.caught_up:
            found.append(t("The auditor has not read the history to its end yet."))
        found += [
            t(
                "A co-signature of {agency} was not accepted ({code}): that witness may have seen another history.",
                agency=agency,
                code=code,
            )
            for agency, code in sorted(kept.refused.items())
        ]
        return found

    async def _record(
        self, visit: Visit, what: Access, subject: str | None = None, event: str | None = None, words: str = ""
    ) -> OnRecord:
        session = visit.session
        if session is None:
            raise Missing
        about = subject or self._users.own_number()
        question = Question(session.actor, session.purpose, what, about, event)
        return await self._recorded(session, self._opened, question, words)

    async def _missing(self, visit: Visit) -> Missing:
        """Record a question about an unknown case or event, and return the exception to raise."""
        await self._record(visit, "search", words=visit.request.url.path)
        return Missing()

    # -- search ------------------------------------------------------------------------------------------------------

    async def search(self, visit: Visit) -> Shown:
        """Return the page of cases and registrations that fit a search."""
        asked = {
            name: visit.asked(name) for name in ("q", "agency", "type", "verdict", "from", "to", "number", "readings")
        }
        form = {
            "asked": {**asked, "first": asked["from"], "last": asked["to"]},
            "agencies": sorted(self._opened.directory.entries),
            "verdicts": VERDICTS,
            "types": list(dict.fromkeys(name for name, _ in TYPES)),
            "found": None,
        }
        if not visit.asked("go") and not any(asked.values()):
            return Shown("search.html.j2", None, form)
        search, errors = self._read(asked, visit.t)
        if errors:
            return Shown("search.html.j2", None, form | {"errors": errors}, 422)
        record = await self._record(visit, "search", words=urlencode(asked))
        async with self._opened.seen.reading() as seen:
            form["found"] = self._results(visit, asked, search, seen.history)
        return Shown("search.html.j2", record, form)

    def _read(self, asked: _Places, t: Words) -> tuple[Search, dict[str, str]]:
        """Return the search, and by field what is wrong with what was typed."""
        errors: dict[str, str] = {}
        reference = asked["q"].lower()
        if not Search.reads(reference):
            errors["q"] = t("Give a case's reference or an event's id, or at least the first 8 characters of one.")
        first, last = _period(asked, t, errors)
        wanted = None
        try:
            wanted = numbers(asked["number"] or None)
        except BusError:
            errors["number"] = t("Numbers are written 12, 12..20 or 12.. .")
        chosen = Selection(asked["agency"] or None, asked["type"] or None, first, last, wanted)
        return Search(chosen, reference, asked["verdict"], bool(asked["readings"])), errors

    def _results(self, visit: Visit, asked: _Places, search: Search, history: History) -> dict[str, Any]:
        found = search.registrations(history)
        pages = max(1, -(-len(found) // PAGE))
        given = visit.asked("page", 6)
        page = min(int(given), pages) if given.isascii() and given.isdecimal() and int(given) else 1

        def at(number: int) -> str | None:
            return _address(asked, number) if 1 <= number <= pages else None

        cases = list(cases_of(found, history, self._users.own_number()))
        return {
            "cases": cases[:CASES],
            "case_count": len(cases),
            "count": len(found),
            "readings": search.readings_beside(history),
            "with_readings": _address({**asked, "readings": "1"}, 1),
            "rows": [
                shown.row(each, history.about(each.registration.subject))
                for each in found[(page - 1) * PAGE : page * PAGE]
            ],
            "page": page,
            "pages": pages,
            "before": at(page - 1),
            "after": at(page + 1),
        }

    # -- a case, an event --------------------------------------------------------------------------------------------

    async def case(self, visit: Visit) -> Shown:
        """Return the page of one case, now or as it was known at a moment."""
        ref, t = str(visit.request.path_params["ref"]), visit.t
        async with self._opened.seen.reading() as seen:
            known = bool(seen.history.about(ref))
        if not known or not ids.REF.fullmatch(ref):
            raise await self._missing(visit)
        record = await self._record(visit, "case", ref)
        errors: dict[str, str] = {}
        as_of = _moment(visit.asked("as_of"), t, "as_of", errors)
        given = visit.asked("step", 9)
        step = int(given) if given.isascii() and given.isdecimal() and as_of is None else None
        async with self._opened.seen.reading() as seen:
            case = shown.case(seen, ref, t, step=step, as_of=as_of, now=self.now())
        return Shown("case.html.j2", record, {"case": case, "errors": errors})

    async def event(self, visit: Visit) -> Shown:
        """Return the page of one registration: event, rule, proof, receivers, and consequences."""
        async with self._opened.seen.reading() as seen:
            found = _found(seen.history.entries, visit)
        if found is None:
            raise await self._missing(visit)
        said = found.registration
        record = await self._record(visit, "event", said.subject, said.id)
        opened, t = self._opened, visit.t
        place = said.partition, said.number
        proof = await inclusion(opened.kept.logs, opened.kept.turn, opened.directory, place, said.digest)
        spans = await asyncio.to_thread(opened.spans, said.id)
        words = WaterfallWords(
            t("after {ms} ms"),
            t("took {ms} ms"),
            t("its parent span is not kept here"),
            t("other events in the same step: {count}"),
        )
        # `waterfall_html` escapes every value.
        trace = Markup(waterfall_html(waterfall(spans), words)) if spans else ""  # noqa: S704
        async with opened.seen.reading() as seen:
            event = shown.event(seen, found, t, self.now())
        return Shown("event.html.j2", record, {"event": event, "inclusion": proof, "trace": trace})

    # -- agencies, checkpoints ---------------------------------------------------------------------------------------

    async def agencies(self, visit: Visit) -> Shown:
        """Return the page of refusals and breaches by agency."""
        asked = {name: visit.asked(name) for name in ("from", "to")}
        errors: dict[str, str] = {}
        first, last = _period(asked, visit.t, errors)
        values: dict[str, Any] = {
            "rows": None,
            "asked": {"first": asked["from"], "last": asked["to"]},
            "errors": errors,
        }
        if errors:
            return Shown("agencies.html.j2", None, values, 422)
        record = await self._record(visit, "figures", words=urlencode(asked))
        async with self._opened.seen.reading() as seen:
            values["rows"] = [_figures(each) for each in by_agency(seen, (first, last))]
        return Shown("agencies.html.j2", record, values)

    async def checkpoints(self, _: Visit) -> Shown:
        """Return the page of checkpoints and witnesses. It is about no case and no person, so it is not recorded."""
        opened = self._opened
        logs = await asyncio.to_thread(list, logs_shown(opened.kept.logs, opened.directory, opened.kept.refused))
        return Shown("checkpoints.html.j2", None, {"logs": logs})


def _found(entries: Iterable[Entry], visit: Visit) -> Entry | None:
    """Return the registration of the address: by id, and if several have the id, by number or else the registered one."""
    id, partition, number = str(visit.request.path_params["id"]), visit.asked("partition"), visit.asked("number")
    same = [each for each in entries if each.registration.id == id]
    place = f"{partition}/{number}"
    exact = [each for each in same if f"{each.registration.partition}/{each.registration.number}" == place]
    registered = [each for each in same if each.registration.verdict == "registered"]
    return next(iter([*exact, *registered, *same]), None)


def _address(asked: _Places, page: int) -> str:
    query = {name: value for name, value in asked.items() if value} | {"go": "1", "page": str(page)}
    return f"/search?{urlencode(query)}"


def _moment(text: str, t: Words, field: str, errors: dict[str, str], *, begin: bool = False) -> datetime | None:
    """Return the moment *text*, or None; if it is none, note in *errors* what is wrong with *field*."""
    try:
        return moment(text or None, t.zone, field, begin=begin)
    except BusError:
        errors[field] = t("A day is written like 2026-03-02, a time like 2026-03-02T09:00:00Z.")
        return None


def _period(asked: _Places, t: Words, errors: dict[str, str]) -> tuple[datetime | None, datetime | None]:
    first, last = _moment(asked["from"], t, "from", errors, begin=True), _moment(asked["to"], t, "to", errors)
    if first is not None and last is not None and first > last:
        errors["to"] = t("The first day is after the last day.")
    return first, last


def _figures(each: Figures) -> dict[str, Any]:
    return {
        "agency": each.agency,
        "role": each.role,
        "signals": each.signals,
        "registered": each.registered,
        "refused": each.refusals.total(),
        "sealed_again": each.sealed_again,
        "refusals": [
            {"code": code, "rule": rule, "count": count} for (code, rule), count in each.refusals.most_common()
        ],
        "breached": sum(map(len, each.breaches.values())),
        "breaches": [
            {"code": code, "count": len(points), "points": points} for code, points in sorted(each.breaches.items())
        ],
    }
