"""An agency's desk for a program: events as the published models, verdicts and errors as types."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeAlias, TypedDict, TypeVar, Unpack, cast

import httpx

from nrmbus import environment
from nrmbus.client.cursors import Ask, CursorAtDesk, CursorStore
from nrmbus.client.door import LONGEST_PAUSE, Door, Json
from nrmbus.client.errors import DoorError, Unreachable, understood
from nrmbus.client.handlers import AT_ONCE, PAUSES, SIGNALS, DeadLetter, Handler, Run, ended_by
from nrmbus.client.received import BEGINNING, Cursor, Received, received
from nrmbus.client.verdicts import Verdict, verdict_of
from nrmbus.events.codes import DocumentType
from nrmbus.events.document import PART_OF, DocumentShared
from nrmbus.events.model import Data, Letter
from nrmbus.wire import times
from nrmbus.wire.ids import new_event_id

Model = TypeVar("Model", bound=Data)
Content = TypeVar("Content", bound=Data | None)
Wanted: TypeAlias = Callable[[Received[Model]], Awaitable[None] | None]
"""Handler of one model."""

PATIENCE: Final = 10.0
"""Seconds for which an event is offered again to a desk that is away or starts again."""
WAIT: Final = 10.0
"""Seconds to wait for a verdict; an ordinary one takes a tenth of a second."""


class Document(NamedTuple):
    """Content of a shared document. Its name is in the letter of the event that announced it."""

    media_type: str
    content: bytes


class Members(TypedDict, total=False):
    """Members of an event beside its data, each as `POST /v1/events` has it."""

    actor: str
    """Staff number of the person who acts; only the agency knows whose it is. It has a digit."""
    case: str
    """The case; left out, an event that begins a case gets a new reference."""
    sealed: Letter | Mapping[str, Any]
    """The letter: everything about a person."""
    ref: str
    """Referral, bed, hold, payment, service or review that the event is about; a new one for its first event (`new_ref`)."""
    approver: str
    """Staff number of the second person, if two must act."""
    consent: Iterable[str]
    """Ids of the consents that the event rests on."""
    decision: str
    """Id of the decision that the event rests on."""
    cause: str
    """Id of the event that this one answers."""
    legal_basis: str
    """Act and article of the legal basis."""
    time: datetime
    """When it happened, in UTC to the second; left out, it happened now."""
    incident: str
    expected_version: int
    """Events of the case that the program had seen; refused as ``version_passed`` if there are more."""
    id: str
    """Id of the event, a UUIDv7 (`new_event_id`): the same id again gives the answer of the first time."""


class Within(TypedDict, total=False):
    """Bounds of the time of an entry, each with a zone."""

    since: datetime
    """Only entries with this time or a later one."""
    until: datetime
    """Only entries with a time before this one."""


class Only(Within, total=False):
    """Members by which the inbox is filtered, each by equality, and bounds of the time of registration."""

    case: str
    type: str
    source: str
    ref: str


def asked_for(**members: Any) -> dict[str, Any]:
    """Return *members* as parameters of the door: a time with its zone."""
    return {name: each.isoformat() if isinstance(each, datetime) else each for name, each in members.items()}


def spoken(models: Iterable[type[Data]]) -> dict[str, int]:
    """Return the version of each type of *models*.

    Raises:
        ValueError: a type is given in two versions.
    """
    found: dict[str, int] = {}
    for model in models:
        if found.setdefault(model.type, model.version) != model.version:
            raise ValueError(f"{model.type} is given in two versions; a program speaks one")
    return found


def event_of(event: Data | Mapping[str, Any], **members: Unpack[Members]) -> Json:
    """Return the whole event in JSON types, with an id, so that its publication can be repeated."""
    if isinstance(event, Data):
        body: Json = {"type": event.type, "version": event.version, "data": event.to_mapping()}
    else:
        body = dict(event)
    body |= {name: _plain(value) for name, value in members.items() if value is not None}
    return {"id": new_event_id(), **body}


def announcement(kept: Json, document_type: DocumentType, *, name: str, to: Iterable[str]) -> Json:
    """Return the event that announces to the agencies in *to* the document that a desk *kept*, as `Door.upload` answered."""
    return {
        "type": DocumentShared.type,
        "version": DocumentShared.version,
        "document": kept["document"],
        "data": {"to": sorted(set(to)), "document_type": document_type, "chunks": kept["chunks"]},
        "sealed": {f"{PART_OF[document_type]}_file": {**kept["file"], "name": name}},
    }


def _plain(value: Any) -> Any:
    match value:
        case Letter():
            return value.to_mapping()
        case datetime():
            return times.write(value)
        case str() | int() | Mapping():
            return value
        case _:
            return list(value)


class AsyncDesk:
    """Desk of an agency. Use as an async context manager.

    Methods raise a `DoorError`, whose class says whether another attempt can help; a refusal by the Rules is no error but
    a `Refused` verdict.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: str | Path | None = None,
        certificate: tuple[str | Path, str | Path] | None = None,
        speaks: Iterable[type[Data]] = (),
        patience: float = PATIENCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Use the desk at *url* with *token*.

        Args:
            url: ``http://127.0.0.1:PORT`` of a desk on this machine, or the ``https`` address of another one.
            token: as `nrmbus token add` shows it, or that of the desk's ``door.json``.
            ca: file with the authority of the desk's certificate, if that is not a public one.
            certificate: files with this program's own certificate and its key, if the desk asks for one.
            speaks: models of the events that come in another version than ``agency.json`` declares, or 1.
            patience: seconds for which `publish` tries again while the desk is away.
            transport: answers instead of a network, for tests (`nrmbus.client.testing.FakeDesk`).
        """
        self._take(
            Door(url, token, ca=ca, certificate=certificate, speaks=spoken(speaks), transport=transport), patience
        )

    def _take(self, door: Door, patience: float) -> None:
        self.door, self._patience = door, patience
        self._handlers: dict[str, Handler] = {}
        self._runs: dict[Run, asyncio.AbstractEventLoop] = {}

    @classmethod
    def of(cls, home: Path | None = None, *, speaks: Iterable[type[Data]] = (), patience: float = PATIENCE) -> Self:
        """Return the desk whose folder, or ``door.json``, is *home*; without it, the one that ``NRMBUS_DOOR`` names.

        A desk that moves or gets another token is found again there.

        Raises:
            Unreachable: there is no such file, since the desk never ran; or no *home* is given or set.
        """
        named = environment.DOOR.get()
        if home is None and named is None:
            raise Unreachable("unreachable", "no desk is named: give its folder, or set NRMBUS_DOOR to its door.json")
        desk = cls.__new__(cls)
        desk._take(Door.of(home or Path(str(named)), speaks=spoken(speaks)), patience)  # noqa: SLF001 - an object of this class
        return desk

    async def __aenter__(self) -> Self:
        await self.door.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.door.__aexit__(*error)

    async def publish(
        self, event: Data | Mapping[str, Any], *, wait: float = WAIT, **members: Unpack[Members]
    ) -> Verdict:
        """Publish *event* and return the verdict; `Pending` if it did not come within *wait* seconds.

        Args:
            event: a published model, as ``ReferralAccepted(next_step="reception")``, registered in its version; or the
                whole event in JSON types, as in ``deploy/examples``.
            wait: seconds, at most 30.
            members: the rest of the event (`Members`): ``case``, ``actor``, ``sealed``, ``ref`` and so on.

        While the desk is away, the event is offered again for the seconds of ``patience``, under one id: it is published
        once.

        Raises:
            DoorError: the desk did not take the event. After a retryable one, publish it again with the same ``id``.
        """
        body = event_of(event, **members)
        return understood(verdict_of, await self._patiently(lambda: self.door.publish(body, wait=wait)))

    async def publish_all(self, events: Iterable[Mapping[str, Any]], *, wait: float = WAIT) -> list[Verdict]:
        """Publish *events* (each of `event_of`) in their order, and return the verdict on each.

        The desk takes all or none. An event without ``case`` belongs to that of the event before it. A refused event does
        not hold up those behind it.

        Raises:
            DoorError: the desk took none; ``problems`` point below ``/events/NUMBER``.
        """
        bodies = [event_of(each) for each in events]
        answer = await self._patiently(lambda: self.door.post("/v1/batches", {"events": bodies}, wait=str(wait)))
        return understood(lambda: [verdict_of(each) for each in answer["published"]])

    async def share(
        self,
        content: bytes,
        document_type: DocumentType,
        *,
        name: str,
        to: Iterable[str],
        wait: float = WAIT,
        **members: Unpack[Members],
    ) -> Verdict:
        """Share a document with the agencies in *to*, and return the verdict on its announcement; the desk sends the content.

        Args:
            content: at most 10,000,000 bytes: PDF, JPEG, PNG, TIFF, or plain text in UTF-8.
            document_type: says in which part of the letter the file lies, and so who may open it.
            name: the file's name, which stands in the letter alone.
            to: the agencies.
            wait: as for `publish`.
            members: as for `publish`; ``case`` and ``actor`` are needed.

        Raises:
            DoorError: as `publish`; ``document_unfit`` or ``document_too_large`` for a content that is not taken.
        """
        case = members.get("case", "")
        kept = await self._patiently(lambda: self.door.upload(case, content))

        announced = understood(lambda: announcement(kept, document_type, name=name, to=to))
        return await self.publish(announced, wait=wait, **members)

    async def document(
        self, event_id: str, *, case: str | None = None, actor: str | None = None, purpose: str = "case_work"
    ) -> Document:
        """Return the document that the event *event_id* announces, of this agency or of another, compared with its digest.

        Args:
            event_id: id of the event ``document.shared``.
            case: reference of its case; needed if an event of another case has the same id.
            actor: staff number of the person who reads, who is on record first; left out, that of ``agency.json``.
            purpose: what the person reads for, as `nrmbus.events.access.AccessPurpose` has it.

        Raises:
            DoorError: ``document_incomplete``, which is retryable, until the last chunk has come; ``document_shut`` if it may
                not be opened.
        """
        return Document(*await self.door.document(event_id, case=case, actor=actor, purpose=purpose))

    async def _patiently(self, ask: Callable[[], Awaitable[Json]]) -> Json:
        """Return what *ask* returns; while the desk is away, ask again for the seconds of ``patience``."""
        return await self.door.patiently(ask, self._patience)

    def _until(self, stop: asyncio.Event, waiting: Callable[[DoorError], None]) -> Ask:
        """Return how to ask as long as the desk is away, until *stop* is set, and then for the seconds of ``patience``."""

        async def ask_on(ask: Callable[[], Awaitable[Json]]) -> Json:
            heard = False
            while True:
                try:
                    return await self._patiently(ask)
                except DoorError as error:
                    if not error.retryable or stop.is_set():
                        raise
                    if not heard:
                        waiting(error)
                    heard, pause = True, error.retry_after or LONGEST_PAUSE
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

        return ask_on

    async def verdict(self, event_id: str) -> Verdict:
        """Return the verdict on an event of this agency, as it is now.

        Raises:
            RequestRefused: ``not_found`` if the agency never published it.
        """
        return understood(verdict_of, await self.door.event(event_id))

    async def inbox(
        self,
        *,
        after: Cursor | str = BEGINNING,
        opened: bool = False,
        actor: str | None = None,
        follow: bool = True,
        waiting: Callable[[DoorError], None] = lambda _: None,
        **only: Unpack[Only],
    ) -> AsyncGenerator[Received[Data | None], None]:
        """Yield the events that this agency received, in order, and go on as they come.

        Args:
            after: the cursor of the last event that the program has dealt with; left out, from the beginning.
            opened: with letters; each reading is registered first, for *actor*.
            actor: staff number of the person who reads; left out, that of ``agency.json``.
            follow: end after the newest event if False.
            waiting: called once each time that the desk stops answering, with the reason, while this waits for it.
            only: members that an event must have (`Only`): ``case``, ``type``, ``source``, ``ref``; and ``since`` and
                ``until`` (only with ``follow=False``) by the time of registration.

        If the desk's ledger was replaced, *waiting* hears ``inbox_restarted`` and every event comes again, with its id.

        Raises:
            DoorError: the desk refuses for good: the token, say, or ``reader_unnamed``.
            ValueError: ``until`` is given to an inbox that is followed, which has no end.
        """
        if follow and "until" in only:
            raise ValueError("an inbox that is followed has no end: give follow=False with until")
        cursor = Cursor.parse(after) if isinstance(after, str) else after
        pages = self.door.pages(
            after=cursor.row, ledger=cursor.ledger, follow=follow, waiting=waiting, opened=opened, actor=actor,
            **asked_for(**only),
        )  # fmt: skip
        async with aclosing(pages):
            async for page in pages:
                for row in page:
                    yield understood(received, row, row.get("ledger"))

    async def open(self, event: Received[Content], *, actor: str | None = None) -> Received[Content]:
        """Return *event* with its letter, as far as this agency may open it; the reading is registered first, for *actor*.

        Raises:
            DoorError: ``inbox_restarted`` if the desk's ledger was replaced meanwhile; ``reader_unnamed``; ``inbox_unread``,
                which is retryable, until the desk has read the records behind the letter.
        """
        row, ledger = event.cursor
        page = await self.door.inbox(after=row - 1, ledger=ledger, limit=1, opened=True, actor=actor)
        return cast("Received[Content]", understood(lambda: received(page["events"][0], page.get("ledger"))))

    def on(self, event: type[Model]) -> Callable[[Wanted[Model]], Wanted[Model]]:
        """Return a decorator that makes a function the handler of *event*, in the version of that class.

        Raises:
            ValueError: the type has a handler, or is spoken in another version.
        """

        def registered(handler: Wanted[Model]) -> Wanted[Model]:
            if event.type in self._handlers or self.door.speaks.get(event.type, event.version) != event.version:
                raise ValueError(f"{event.type} has a handler, or is spoken in another version")
            self.door.speaks[event.type] = event.version
            self._handlers[event.type] = handler
            return handler

        return registered

    async def run(
        self,
        cursor: CursorStore | str,
        *,
        dead_letter: DeadLetter | None = None,
        pauses: Sequence[float] = PAUSES,
        at_once: int = AT_ONCE,
        follow: bool = True,
        waiting: Callable[[DoorError], None] = lambda _: None,
        signals: Iterable[signal.Signals] = SIGNALS,
    ) -> None:
        """Hand each event to its handler (`on`), and store the cursor after it; end at a signal, or at `stop`.

        An event comes **at least once**: again after a crash between handler and cursor, and after each failure. Make a
        handler idempotent by ``event.id``. Events of a case come one after the other, in order; those of several cases at
        the same time. A type without a handler is passed over.

        Args:
            cursor: where the place in the inbox is kept: `CursorFile`, `CursorTable`, your own, or a name, under which the
                desk keeps it for this token.
            dead_letter: gets an event whose handler failed for good, with the error; then the event counts as dealt with.
                Without it, the run ends with `HandlerFailed` and the cursor stays before the event.
            pauses: seconds before each further attempt. An error of the desk that is not retryable has none.
            at_once: how many handlers are at work at the same time; an event that waits for another attempt is not counted.
            follow: end when everything that is there now is dealt with, if False.
            waiting: as for `inbox`; called too when the desk that keeps the cursor stops answering.
            signals: end the run in order: handlers at work may end, and the cursor is stored.

        Raises:
            HandlerFailed: see *dead_letter*.
            DoorError: as `inbox`.
        """
        stop = asyncio.Event()
        ask = self._until(stop, waiting) if follow else self._patiently
        store = CursorAtDesk(self.door, cursor, ask) if isinstance(cursor, str) else cursor
        run = Run(self._handlers, store, stop, dead_letter=dead_letter, pauses=pauses, at_once=at_once)

        async def events() -> AsyncGenerator[Received[Data | None], None]:
            try:
                after = await run.called(store.load)
            except DoorError as error:
                if error.retryable and stop.is_set():
                    return  # stopped before the desk came
                raise
            async with aclosing(self.inbox(after=after, follow=follow, waiting=waiting)) as inbox:
                async for event in inbox:
                    yield event

        self._runs[run] = asyncio.get_running_loop()
        try:
            with ended_by(signals, self.stop):
                await run.of(events())
        finally:
            del self._runs[run]

    def stop(self) -> None:
        """End each `run` in order; from any thread."""
        for run, loop in tuple(self._runs.items()):
            loop.call_soon_threadsafe(run.stop.set)

    async def case(self, ref: str) -> Json:
        """Return a case as this agency sees it: status, version, open referrals, duties."""
        return await self.door.case(ref)

    async def timeline(self, ref: str, **within: Unpack[Within]) -> list[Json]:
        """Return the events of a case that this agency sent or received, in order; *within* is the time of registration.

        ``received`` of an event is when this desk received it, or let it through if it was parked.
        """
        return await self._all(f"/v1/cases/{ref}/timeline", **within)

    async def cases(self, **within: Unpack[Within]) -> list[Json]:
        """Return the cases that this agency knows; *within* is the time of the newest event (``last``)."""
        return await self._all("/v1/cases", **within)

    async def referrals(self, **members: str | datetime) -> list[Json]:
        """Return the referrals that this agency sent or received, with their answers.

        *members* select: ``case``, ``ref``, ``state``, ``direction``, and ``since`` and ``until`` by the time of registration.
        """
        return await self._all("/v1/referrals", **members)

    async def tasks(self, **members: str | datetime) -> list[Json]:
        """Return the tasks that wait for a person of this agency.

        *members* select: ``case``, ``kind``, ``task``, and ``since`` and ``until`` by the time at which the task was opened.
        """
        return await self._all("/v1/tasks", **members)

    async def _all(self, path: str, **members: str | datetime) -> list[Json]:
        """Return the entries of all pages of a list."""
        asked = asked_for(**members)
        found: list[Json] = []
        while True:
            page = await self.door.get(path, **asked)
            found += next((each for each in page.values() if isinstance(each, list)), ())
            if page.get("next") is None:
                return found
            asked["after"] = str(page["next"])

    async def health(self) -> Json:
        """Return how far the desk is, and what is wrong with it if something is."""
        return await self.door.health()
