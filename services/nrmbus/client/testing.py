"""A desk in memory, for the tests of a program: no bus, no files, no keys.

The fake reads every request by the desk's own code and the published models, so a request that it takes fits a real desk. It
judges nothing: no rule of the mechanism, no consent, no right to open a part of a letter, no deadline. A test says what is
refused. Nothing is signed, so `verify_original` has nothing to verify.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import count
from typing import Any, Final, NamedTuple, cast

import httpx

from nrmbus.client import fake_questions
from nrmbus.client.desk import AsyncDesk
from nrmbus.client.fake_questions import Json
from nrmbus.client.sse import MEDIA_TYPE
from nrmbus.client.sync import Desk
from nrmbus.desk import versions
from nrmbus.desk.errors import DeskError, problem
from nrmbus.desk.http import request as event_request
from nrmbus.desk.outbox.content import TEXT, Upload, differing
from nrmbus.events.access import is_reader
from nrmbus.events.casting import cast as cast_to
from nrmbus.events.codes import DocumentType
from nrmbus.events.document import PART_OF, DocumentShared, DocumentSharedLetter
from nrmbus.events.errors import Problem
from nrmbus.events.model import Data, Draft, Letter
from nrmbus.events.nearest import nearest
from nrmbus.events.registry import versions as published_versions
from nrmbus.wire import times
from nrmbus.wire.ids import new_event_id, new_ref

URL: Final = "http://127.0.0.1"
TOKEN: Final = "fake-desk"  # noqa: S105 - it opens nothing
_LOOK: Final = 0.01
"""Seconds between two looks at what a test has put into the inbox, which it may do in any thread."""
_UNJUDGED: Final = "This desk is a fake for tests: it does not judge the case."


def _refused(error: DeskError, request: httpx.Request) -> httpx.Response:
    headers = {"content-type": "application/problem+json"}
    if error.code == "token_required":
        headers["www-authenticate"] = "Bearer"
    if error.code == "method_not_allowed":
        headers["allow"] = fake_questions.allowed(request)
    return httpx.Response(error.status, headers=headers, content=json.dumps(problem(error)), request=request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One opening of a letter: a real desk has it registered before anything is shown."""

    actor: str
    event: str
    parts: tuple[str, ...]


class _Refusal(NamedTuple):
    type: str
    code: str
    sentence: str
    rule: str | None
    article: str | None


@dataclass(slots=True)
class _Heard:
    """Row of the inbox."""

    row: int
    number: int
    id: str
    case: str
    source: str
    time: str
    data: Data
    letter: Letter | None
    ref: str | None

    @property
    def type(self) -> str:
        """Return the type of the event."""
        return self.data.type


@dataclass(slots=True)
class _Said:
    """Events of one request of the agency, and the answer."""

    wanted: Mapping[str, Any]
    drafts: tuple[Draft, ...]
    document: str | None = None
    """Upload that the events announce."""
    answer: Json = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Return whether the verdict is a refusal: then the upload may be announced again."""
        return self.answer.get("verdict") == "refused"

    @property
    def id(self) -> str:
        """Return the id under which the agency asked."""
        return self.drafts[0].id or ""


class _Uploaded(NamedTuple):
    """Content that this agency uploaded, or that an event in its inbox announces."""

    case: str
    content: bytes
    file: Upload


class FakeDesk(httpx.AsyncBaseTransport):
    """Desk of one agency, which answers what the door of a real one answers.

    Attributes:
        published: drafts that were registered, in order, each with its ``data``, ``letter`` and the members of the envelope.
        readings: letters that were opened.
        tasks, referrals: what ``desk.tasks()`` and ``desk.referrals()`` return.
        reader: staff number that reads if a program names none, as in ``agency.json``.
        pending: while true, no verdict comes; the next look at an event after that has one.
        away: while true, nobody answers at the desk's address.
    """

    def __init__(self, agency: str = "ngo-a", *, agencies: Iterable[str] = ("special-unit", "shelter")) -> None:
        """Make the desk of *agency*, on a bus with these other *agencies*."""
        self.agency, self.agencies = agency, frozenset({agency, *agencies})
        self.published: list[Draft] = []
        self.readings: list[Reading] = []
        self.tasks: list[Json] = []
        self.referrals: list[Json] = []
        self.reader: str | None = None
        self.pending = self.away = False
        self._ledger = os.urandom(8).hex()
        self._numbers = count(1)
        self._cursors: dict[str, Json] = {}
        self._inbox: list[_Heard] = []
        self._said: dict[str, _Said] = {}
        self._refusals: list[_Refusal] = []
        self._uploads: dict[str, _Uploaded] = {}
        self._shared: dict[str, tuple[DocumentType, _Uploaded]] = {}
        """Documents by the event that announces them, of this agency and of others."""
        self._course: list[tuple[int, Draft | _Heard]] = []
        """What this agency published and received, with its number."""

    def desk(self, **how: Any) -> AsyncDesk:
        """Return the desk as a program uses it; *how* as for `AsyncDesk`."""
        return AsyncDesk(**{"url": URL, "token": TOKEN, "transport": self, **how})

    def sync_desk(self, **how: Any) -> Desk:
        """Return the desk for a program without asyncio."""
        return Desk(**{"url": URL, "token": TOKEN, "transport": self, **how})

    def receive(
        self,
        event: Data,
        *,
        source: str = "special-unit",
        case: str | None = None,
        sealed: Letter | None = None,
        ref: str | None = None,
        at: datetime | None = None,
        id: str | None = None,
    ) -> str:
        """Have *source* publish *event* for this agency; return the event's id.

        The letter *sealed* is open to this agency in all its parts: the fake knows no Rules. Of a ``document.shared``
        without its content, no chunk comes (`receive_document`).
        """
        heard = _Heard(
            row=len(self._inbox) + 1, number=next(self._numbers), id=id or new_event_id(), case=case or new_ref(), source=source,
            time=times.write(at or self.now()), data=event, letter=sealed, ref=ref,
        )  # fmt: skip
        self._inbox.append(heard)
        self._course.append((heard.number, heard))
        return heard.id

    def receive_document(
        self,
        content: bytes,
        document_type: DocumentType,
        *,
        name: str = "document.pdf",
        source: str = "special-unit",
        case: str | None = None,
    ) -> str:
        """Have *source* share a document with this agency, all of it; return the id of the event that announces it.

        Raises:
            ValueError: a desk would not take the content.
        """
        try:
            file = Upload.of(new_event_id(), content, times.write(self.now()))
        except DeskError as error:
            raise ValueError(error.sentence) from None
        where = f"{PART_OF[document_type]}_file"
        said = {"name": name, "media_type": file.media_type, "size": file.size, "sha256": file.sha256}
        letter = DocumentSharedLetter.from_mapping({where: said})
        announced = DocumentShared(to=(self.agency,), document_type=document_type, chunks=file.chunks)
        id, case = new_event_id(), case or new_ref()
        self._shared[id] = (
            document_type,
            _Uploaded(case, content, file),
        )  # before a program in another thread sees the event
        return self.receive(announced, source=source, case=case, sealed=letter, id=id)

    def refuse(
        self, event: type[Data], code: str, sentence: str, *, rule: str | None = None, article: str | None = None
    ) -> None:
        """Refuse the next event of this type, as the registrar or a rule would."""
        self._refusals.append(_Refusal(event.type, code, sentence, rule, article))

    def lose_ledger(self) -> None:
        """Number the rows of the inbox from the start again, as a desk whose ledger was replaced."""
        self._ledger = os.urandom(8).hex()
        self._cursors.clear()

    @property
    def me(self) -> str:
        """Return the agency, as the desk's own code asks for it."""
        return self.agency

    def now(self) -> datetime:
        """Return the time, to the second."""
        return datetime.now(UTC).replace(microsecond=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer *request* as a desk does."""
        if self.away:
            raise httpx.ConnectError("the fake desk is away", request=request)
        body = await request.aread()
        try:
            self._admit(request)
            fake_questions.check_parameters(request, fake_questions.route_of(request))
            until = time.monotonic() + float(request.url.params.get("wait", "0"))
            if (content := self._document(request)) is not None:
                return content
            status, answer = self._answer(request, body)
            if request.url.path == "/v1/inbox/stream":
                return httpx.Response(status, headers={"content-type": MEDIA_TYPE}, content=self._events(request))
            while answer.get("events") == [] and time.monotonic() < until:
                await asyncio.sleep(_LOOK)
                status, answer = self._answer(request, body)
        except DeskError as error:
            return _refused(error, request)
        return httpx.Response(status, json=answer, request=request)

    async def _events(self, request: httpx.Request) -> AsyncIterator[bytes]:
        """Yield server-sent events, until the desk is away or has another ledger."""
        ledger, asked, speaks = (
            self._ledger,
            request.url.params,
            versions.asked(request.url.params.get_list("speaks"), {}),
        )
        yield b": open\n\n"
        while not self.away and self._ledger == ledger:
            try:
                page = self._page(asked, speaks)
            except DeskError as error:
                asked = asked.remove("after").remove("ledger")
                yield f"event: inbox_restarted\nid: 0-{ledger}\ndata: {json.dumps(problem(error))}\n\n".encode()
                continue
            for row in page["events"]:
                asked = asked.set("after", row["row"]).set("ledger", ledger)
                yield f"id: {row['row']}-{ledger}\ndata: {json.dumps(row)}\n\n".encode()
            await asyncio.sleep(_LOOK)

    @staticmethod
    def _admit(request: httpx.Request) -> None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise DeskError("token_required")

    def _answer(self, request: httpx.Request, body: bytes) -> tuple[int, Json]:
        asked = request.url.params
        speaks = versions.asked(asked.get_list("speaks"), {})
        match [request.method, *request.url.path.strip("/").split("/")]:
            case ["POST", "v1", "events" | "batches" as kind]:
                key = fake_questions.key_of(request)
                answer = self._publish(body, speaks, key) if kind == "events" else self._publish_all(body, speaks)
                return (HTTPStatus.ACCEPTED if answer["verdict"] == "pending" else HTTPStatus.OK), answer
            case ["GET", "v1", "events", id]:
                answer = self._look(id)
                first, *others = answer["events"]
                return HTTPStatus.OK, {**first, **answer, "id": first["id"]} if others else first
            case ["GET", "v1", "inbox", "stream"]:
                return HTTPStatus.OK, {}
            case ["GET", "v1", "inbox"]:
                return HTTPStatus.OK, self._page(asked, speaks)
            case ["GET", "v1", "cases"]:
                cases: list[Json] = [
                    {"case": ref, "events": len(at), "last": max(at)} for ref, at in sorted(self._cases().items())
                ]
                rows = [
                    each
                    for each in cases
                    if each["case"] > asked.get("after", "") and fake_questions.is_within(each["last"], asked)
                ]
                return HTTPStatus.OK, fake_questions.page_of("cases", rows, asked, "case")
            case ["GET", "v1", "cases", ref] if ref in self._cases():
                return HTTPStatus.OK, self._case(ref)
            case ["GET", "v1", "cases", ref, "timeline"] if ref in self._cases():
                return HTTPStatus.OK, self._timeline(ref, asked, speaks)
            case ["POST", "v1", "documents"]:
                return HTTPStatus.OK, self._upload(asked.get("case", ""), body)
            case ["GET", "v1", "tasks" | "referrals" as kind]:
                cursor, at = ("task", "opened") if kind == "tasks" else ("row", "registered")
                return HTTPStatus.OK, fake_questions.page_of(
                    kind, fake_questions.wanted(getattr(self, kind), asked, cursor, at), asked, cursor
                )
            case [method, "v1", "cursors", name]:
                return HTTPStatus.OK, self._cursor(method, name, int(asked.get("after", "0")), asked.get("ledger"))
            case ["GET", "health"]:
                return HTTPStatus.OK, {"service": self.agency, "live": True, "ready": True}
            case _:
                raise DeskError("not_found")

    # -- publishing --------------------------------------------------------------------------------------------------

    def _publish(self, body: bytes, speaks: versions.Speaks, key: str | None) -> Json:
        said = self._taken(body, speaks, self._said, key)
        self._said[said.id] = said
        return self._look(said.id)

    def _publish_all(self, body: bytes, speaks: versions.Speaks) -> Json:
        """Take all events of a request, or none; an event without a case belongs to the case of the event before."""
        taken, known = list[_Said](), dict(self._said)
        for number, each in enumerate(event_request.events_in(body)):
            before = event_request.case_before([one.drafts for one in taken])
            whole = {**each, "case": before} if event_request.follows(each, is_first=not taken) else each
            try:
                taken.append(self._taken(json.dumps(whole).encode(), speaks, known))
                known[taken[-1].id] = taken[-1]
            except DeskError as error:
                raise error.of_event(number) from None
        self._said = known
        published = [self._look(each.id) for each in taken]
        verdicts = {each["verdict"] for each in published}
        worst = next((each for each in ("pending", "refused") if each in verdicts), "registered")
        return {"verdict": worst, "published": published}

    def _taken(self, body: bytes, speaks: versions.Speaks, known: Mapping[str, _Said], key: str | None = None) -> _Said:
        """Return the events of the request *body* with the idempotency *key*: those that are *known* by its id, if it is a repetition."""
        wanted, _ = event_request.read(body, key)
        drafts = event_request.drafts_of(cast("Any", self), wanted, speaks)
        unknown = [
            Problem(pointer, "unknown_recipient", nearest=nearest(agency, self.agencies))
            for pointer, agency in event_request.agencies_in(wanted)
            if agency not in self.agencies
        ]
        if unknown:
            raise DeskError("unknown_recipient", unknown)
        said = {
            name: value for name, value in wanted if name not in {"case", "incident", "document"}
        }  # a repetition may name its case, and another upload of the same content
        if wanted.document is not None and drafts[0].id not in known:
            if any(each.document == wanted.document and not each.is_refused for each in known.values()):
                raise DeskError("document_unknown")
            self._announced(wanted.document, drafts[0])
        before = known.get(drafts[0].id or "", _Said(said, drafts, wanted.document))
        if before.wanted != said or (wanted.case or wanted.incident) not in (None, before.drafts[0].subject):
            raise DeskError("id_reused")
        return before

    def _look(self, id: str) -> Json:
        """Return the answer on the events *id*, judged now if they were not before and verdicts come."""
        said = self._said.get(id)
        if said is None:
            raise DeskError("not_found")
        if said.answer.get("verdict", "pending") == "pending":
            said.answer = self._together([self._judge(draft) for draft in said.drafts])
        return said.answer

    def _judge(self, draft: Draft) -> Json:
        state: Json = {
            "id": draft.id, "case": draft.subject, "type": draft.type, "version": draft.version, "state": "signed",
            "verdict": "pending", "receipts": 0, "again": False, "time": times.write(draft.time),
        }  # fmt: skip
        if receivers := draft.data.to_mapping().get("receivers"):
            state["receivers"] = receivers
        if self.pending:
            return state
        state |= {"state": "closed", "number": next(self._numbers), "receipt": os.urandom(32).hex(), "receipts": 1}
        refusal = next((each for each in self._refusals if each.type == draft.type), None)
        if refusal is None:
            self.published.append(draft)
            self._course.append((state["number"], draft))
            return state | {"verdict": "registered"}
        self._refusals.remove(refusal)
        ground = {name: value for name, value in refusal._asdict().items() if name != "type" and value is not None}
        return state | {"verdict": "refused", **ground}

    @staticmethod
    def _together(states: list[Json]) -> Json:
        first = next((each for each in states if each["verdict"] != "registered"), states[0])
        names = ("verdict", "id", "case", "type", "code", "sentence", "rule", "article", "number", "receipt")
        return {name: first[name] for name in names if name in first} | {"events": states}

    # -- documents ---------------------------------------------------------------------------------------------------

    def _upload(self, case: str, content: bytes) -> Json:
        document, ends = new_event_id(), times.write(self.now() + timedelta(days=1))
        found = Upload.of(document, content, ends)
        self._uploads[document] = _Uploaded(case, content, found)
        file = {name: getattr(found, name) for name in ("media_type", "size", "sha256")}
        return {"document": document, "case": case, "chunks": found.chunks, "file": file, "ends": ends}

    def _announced(self, document: str, draft: Draft) -> None:
        """Note that *draft* announces an upload of its case.

        Raises:
            DeskError: as a desk: ``document_unknown``, ``unknown_field``.
        """
        uploaded = self._uploads.get(document)
        if uploaded is None or uploaded.case != draft.subject:
            raise DeskError("document_unknown")
        if problems := differing(draft, uploaded.file):
            raise DeskError("unknown_field", problems)
        self._shared[draft.id or ""] = cast("DocumentShared", draft.data).document_type, uploaded

    def _document(self, request: httpx.Request) -> httpx.Response | None:
        """Return the answer with a document, if *request* reads one; the reading is in `readings` first."""
        path = request.url.path.strip("/").split("/")
        if [request.method, *path[:-1]] != ["GET", "v1", "documents"]:
            return None
        shared = self._shared.get(path[-1])
        if shared is None and any(
            each.id == path[-1] and isinstance(each.data, DocumentShared) for each in self._inbox
        ):
            raise DeskError("document_incomplete")
        if shared is None or request.url.params.get("case", shared[1].case) != shared[1].case:
            raise DeskError("not_found")
        if path[-1] not in {*(each.id for each in self.published), *(each.id for each in self._inbox)}:
            raise DeskError("document_incomplete")
        reader = request.url.params.get("actor") or self.reader
        if reader is None:
            raise DeskError("reader_unnamed")
        kind, uploaded = shared
        self._read(reader, path[-1], (PART_OF[kind],))
        media = uploaded.file.media_type
        headers = {"content-type": f"{media}; charset=utf-8" if media == TEXT else media}
        return httpx.Response(HTTPStatus.OK, headers=headers, content=uploaded.content, request=request)

    # -- looking -----------------------------------------------------------------------------------------------------

    def _page(self, asked: httpx.QueryParams, speaks: versions.Speaks) -> Json:
        after, opens = int(asked.get("after", "0")), asked.get("open") == "true"
        if after > len(self._inbox) or (asked.get("ledger") not in (None, self._ledger) and (after or opens)):
            raise DeskError("inbox_restarted")
        reader = asked.get("actor") or self.reader
        if opens and reader is None:
            raise DeskError("reader_unnamed")
        only = [(name, asked[name]) for name in ("case", "type", "source", "ref") if name in asked]
        rows = [
            each
            for each in self._inbox
            if each.row > after
            and all(getattr(each, name) == is_ for name, is_ in only)
            and fake_questions.is_within(each.time, asked)
            and (asked.get("technical") == "true" or not each.data.technical)
        ]
        limit = int(asked.get("limit", "200"))
        return {
            "ledger": self._ledger,
            "events": [self._shown(each, speaks, reader if opens else None) for each in rows[:limit]],
            "next": rows[limit - 1].row if len(rows) > limit else None,
        }

    def _shown(self, heard: _Heard, speaks: versions.Speaks, reader: str | None) -> Json:
        model = type(heard.data)
        version = versions.version_of(speaks, model.type)
        parts: tuple[Any, ...] = model.letter.part_names() if model.letter and heard.letter else ()
        letter: Mapping[str, Any] = heard.letter.to_mapping() if heard.letter and reader else {}
        now = cast_to(published_versions(model.type), model.version, version, heard.data.to_mapping(), letter)
        body: Json = {
            "row": heard.row, "partition": 0, "inbox_number": heard.row, "number": heard.number, "id": heard.id,
            "type": model.type, "published": model.version, "version": version, "case": heard.case,
            "source": heard.source, "time": heard.time, "registered": heard.time, "parts": list(parts),
            "technical": model.technical, "data": dict(now.data),
        }  # fmt: skip
        if isinstance(heard.data, DocumentShared):
            came = heard.data.chunks if heard.id in self._shared else 0
            body["document"] = {"chunks": heard.data.chunks, "came": came, "complete": came == heard.data.chunks}
        if reader and parts:
            self._read(reader, heard.id, parts)
            body["letter"] = versions.by_part(model.type, version, now.letter, parts)
        more = {"ref": heard.ref, "lost": versions.listed(now.lost) or None}
        return body | {name: value for name, value in more.items() if value is not None}

    def _read(self, reader: str, event: str, parts: tuple[str, ...]) -> None:
        """Note that *reader* reads *parts* of *event*.

        Raises:
            DeskError: ``unknown_field``: *reader* is no staff number of a person.
        """
        if not is_reader(reader):
            raise DeskError("unknown_field", [Problem("?actor", "string_pattern_mismatch")])
        self.readings.append(Reading(actor=reader, event=event, parts=parts))

    def _cursor(self, method: str, name: str, after: int, ledger: str | None) -> Json:
        if method == "PUT":
            if after > len(self._inbox) or ledger not in (None, self._ledger):
                raise DeskError("inbox_restarted")
            self._cursors[name] = {
                "name": name, "after": after, "ledger": self._ledger, "moved": times.write(self.now())
            }  # fmt: skip
        if name not in self._cursors:
            raise DeskError("not_found")
        return self._cursors.pop(name) if method == "DELETE" else self._cursors[name]

    def _cases(self) -> Mapping[str, list[str]]:
        """Return the times of the events of each case."""
        found: dict[str, list[str]] = {}
        for draft in self.published:
            found.setdefault(draft.subject, []).append(times.write(draft.time))
        for heard in self._inbox:
            found.setdefault(heard.case, []).append(heard.time)
        return found

    def _case(self, ref: str) -> Json:
        known = {"case": ref, "incomplete": True, "sentence": _UNJUDGED, "events": len(self._cases()[ref])}
        return {**known, "open_referrals": [], "parked": False}

    def _timeline(self, ref: str, asked: httpx.QueryParams, speaks: versions.Speaks) -> Json:
        """Return what this agency published and received of a case, in the order of the numbers."""
        after, limit = int(asked.get("after", "0")), int(asked.get("limit", "200"))
        of_case = [
            self._told(number, each, speaks)
            for number, each in self._course
            if number > after and ref == (each.case if isinstance(each, _Heard) else each.subject)
        ]
        of_case = [
            each
            for each in of_case
            if fake_questions.is_within(each["registered"], asked)
            and (asked.get("technical") == "true" or not each["technical"])
        ]
        return {"events": of_case[:limit], "next": of_case[limit - 1]["number"] if len(of_case) > limit else None}

    def _told(self, number: int, said: Draft | _Heard, speaks: versions.Speaks) -> Json:
        if isinstance(said, Draft):
            said = _Heard(
                row=0, number=number, id=said.id or "", case=said.subject, source=self.agency,
                time=times.write(said.time), data=said.data, letter=said.letter, ref=said.referral,
            )  # fmt: skip
        of_inbox = ("row", "partition", "inbox_number")
        shown = self._shown(said, speaks, None) | {"received": said.time}
        return {name: value for name, value in shown.items() if name not in of_inbox}
