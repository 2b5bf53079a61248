"""The desk for a program without asyncio: the same names, and each call waits for its answer."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack, cast

import httpx

from nrmbus.client.cursors import CursorStore
from nrmbus.client.desk import PATIENCE, WAIT, AsyncDesk, Content, Document, Members, Model, Only, Wanted, Within
from nrmbus.client.door import Json
from nrmbus.client.errors import DoorError
from nrmbus.client.handlers import AT_ONCE, PAUSES, SIGNALS, DeadLetter, ended_by
from nrmbus.client.received import BEGINNING, Cursor, Received
from nrmbus.client.verdicts import Verdict
from nrmbus.events.codes import DocumentType
from nrmbus.events.model import Data

Result = TypeVar("Result")


class _Loop:
    """Event loop in a thread of its own, for callers in any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nrmbus-desk", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what *work* returns; an interrupt of the caller cancels it, and comes once *work* has ended.

        SystemExit and KeyboardInterrupt of *work* reach the caller; in a task they would end the loop's thread instead.

        Raises:
            RuntimeError: the desk was closed, or this process was forked after the desk was made; or the caller runs in the
                loop itself, which would wait for its own work for ever.
        """
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError(
                "this desk has no thread here: make a Desk in each process after a fork, and use it before it is closed"
            )
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "this desk waits for the function that called it: call it from a handler that is a plain function, not from "
                "`waiting` or a coroutine"
            )
        carried = self._carried(work)
        future = asyncio.run_coroutine_threadsafe(carried, self._loop)
        try:
            result, end = future.result()
        except BaseException:
            if future.cancel():
                asyncio.run_coroutine_threadsafe(self._end_of(carried), self._loop).result()
            raise
        if end is not None:
            raise end
        return cast("Result", result)

    @staticmethod
    async def _carried(work: Coroutine[Any, Any, Result]) -> tuple[Result | None, BaseException | None]:
        try:
            return await work, None
        except (SystemExit, KeyboardInterrupt) as error:
            return None, error

    @staticmethod
    async def _end_of(work: Coroutine[Any, Any, Any]) -> None:
        """Wait until the cancelled *work* has ended: what it used may be closed only then."""
        if running := [each for each in asyncio.all_tasks() if each.get_coro() is work]:
            await asyncio.wait(running)

    def close(self) -> None:
        """End the loop and its thread."""
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Desk:
    """Desk of an agency. Use as a context manager; methods are those of `AsyncDesk`."""

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
        """Use the desk at *url* with *token*, as `AsyncDesk` does."""
        how: dict[str, Any] = {"ca": ca, "certificate": certificate, "speaks": speaks, "patience": patience}
        self._take(AsyncDesk(url, token, **how, transport=transport))

    def _take(self, desk: AsyncDesk) -> None:
        self._desk, self._loop = desk, _Loop()

    @classmethod
    def of(cls, home: Path | None = None, *, speaks: Iterable[type[Data]] = (), patience: float = PATIENCE) -> Self:
        """Return the desk of `AsyncDesk.of`."""
        desk = cls.__new__(cls)
        desk._take(AsyncDesk.of(home, speaks=speaks, patience=patience))  # noqa: SLF001 - an object of this class
        return desk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.run(self._desk.__aexit__(*error))
        self._loop.close()

    def publish(self, event: Data | Mapping[str, Any], *, wait: float = WAIT, **members: Unpack[Members]) -> Verdict:
        """Publish *event* and return the verdict, as `AsyncDesk.publish`."""
        return self._loop.run(self._desk.publish(event, wait=wait, **members))

    def publish_all(self, events: Iterable[Mapping[str, Any]], *, wait: float = WAIT) -> list[Verdict]:
        """Publish *events* in their order, all or none, as `AsyncDesk.publish_all`."""
        return self._loop.run(self._desk.publish_all(events, wait=wait))

    def share(
        self,
        content: bytes,
        document_type: DocumentType,
        *,
        name: str,
        to: Iterable[str],
        wait: float = WAIT,
        **members: Unpack[Members],
    ) -> Verdict:
        """Share a document, as `AsyncDesk.share`."""
        return self._loop.run(self._desk.share(content, document_type, name=name, to=to, wait=wait, **members))

    def document(
        self, event_id: str, *, case: str | None = None, actor: str | None = None, purpose: str = "case_work"
    ) -> Document:
        """Return the document that an event announces, as `AsyncDesk.document`."""
        return self._loop.run(self._desk.document(event_id, case=case, actor=actor, purpose=purpose))

    def verdict(self, event_id: str) -> Verdict:
        """Return the verdict on an event of this agency, as it is now."""
        return self._loop.run(self._desk.verdict(event_id))

    def inbox(
        self,
        *,
        after: Cursor | str = BEGINNING,
        opened: bool = False,
        actor: str | None = None,
        follow: bool = True,
        waiting: Callable[[DoorError], None] = lambda _: None,
        **only: Unpack[Only],
    ) -> Iterator[Received[Data | None]]:
        """Yield the events that this agency received, in order, and go on as they come, as `AsyncDesk.inbox`."""
        events = self._desk.inbox(after=after, opened=opened, actor=actor, follow=follow, waiting=waiting, **only)

        async def following() -> Received[Data | None]:
            return await anext(events)

        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield self._loop.run(following())
        finally:
            self._loop.run(events.aclose())

    def open(self, event: Received[Content], *, actor: str | None = None) -> Received[Content]:
        """Return *event* with its letter, as `AsyncDesk.open`."""
        return self._loop.run(self._desk.open(event, actor=actor))

    def on(self, event: type[Model]) -> Callable[[Wanted[Model]], Wanted[Model]]:
        """Return a decorator that makes a function the handler of *event*, as `AsyncDesk.on`."""
        return self._desk.on(event)

    def run(
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
        """Hand each event to its handler, as `AsyncDesk.run`; handlers run in threads, which may use this desk."""
        running = self._desk.run(
            cursor, dead_letter=dead_letter, pauses=pauses, at_once=at_once, follow=follow, waiting=waiting, signals=()
        )
        with ended_by(signals, self.stop):
            self._loop.run(running)

    def stop(self) -> None:
        """End `run` in order; from any thread."""
        self._desk.stop()

    def case(self, ref: str) -> Json:
        """Return a case as this agency sees it."""
        return self._loop.run(self._desk.case(ref))

    def timeline(self, ref: str, **within: Unpack[Within]) -> list[Json]:
        """Return the events of a case that this agency sent or received, in order, as `AsyncDesk.timeline`."""
        return self._loop.run(self._desk.timeline(ref, **within))

    def referrals(self, **members: str | datetime) -> list[Json]:
        """Return the referrals that this agency sent or received, with their answers, as `AsyncDesk.referrals`."""
        return self._loop.run(self._desk.referrals(**members))

    def cases(self, **within: Unpack[Within]) -> list[Json]:
        """Return the cases that this agency knows, as `AsyncDesk.cases`."""
        return self._loop.run(self._desk.cases(**within))

    def tasks(self, **members: str | datetime) -> list[Json]:
        """Return the tasks that wait for a person of this agency, as `AsyncDesk.tasks`."""
        return self._loop.run(self._desk.tasks(**members))

    def health(self) -> Json:
        """Return how far the desk is, and what is wrong with it if something is."""
        return self._loop.run(self._desk.health())
