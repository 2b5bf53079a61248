"""Handlers of a program: each event is handed over at least once, and the events of a case one after the other."""

import asyncio
import signal
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from itertools import takewhile
from typing import Any, Final, TypeAlias

from nrmbus.client.cursors import CursorStore
from nrmbus.client.errors import DoorError
from nrmbus.client.received import Cursor, Received
from nrmbus.events.model import Data

Handler: TypeAlias = Callable[[Received[Any]], Awaitable[None] | None]
DeadLetter: TypeAlias = Callable[[Received[Data | None], Exception], Awaitable[None] | None]

PAUSES: Final = (1.0, 5.0, 25.0, 120.0)
"""Seconds before each further attempt of a handler."""
AT_ONCE: Final = 8
"""Handlers that are at work at the same time."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_WINDOW: Final = 1000
"""Events handed over behind one that is not dealt with; a program that dies there gets them again."""
_OF_THE_STORE: Final = 2
"""Threads of a run beside those of its handlers, to load and to store the cursor."""
_ENDS: Final = (SystemExit, KeyboardInterrupt)
"""Errors that would end the event loop, and with it the thread of a `Desk`, if a task ended with them."""


WAIT_PER_SLOT: Final = 8
"""Events for each slot that wait for another attempt without one. If more fail, what is behind the handlers is away.

Further ones keep their slot then: no event that has not been tried yet uses up its attempts in the outage.
"""


class HandlerFailed(Exception):
    """A handler failed for good, and no dead-letter hook took the event. The cursor stays before it, so nothing is lost."""

    def __init__(self, event: Received[Data | None]) -> None:
        """Name the *event* by type and id."""
        self.event = event
        super().__init__(
            f"the handler of {event.type} failed for event {event.id}: mend it and run again, or give dead_letter"
        )


class NotKnown(Exception):
    """The event has a version that this release, or the desk's, does not know, so no handler can read it."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the event has a version that is not known here: upgrade, then read it again")


class WaitCancelled(Exception):
    """A handler, a hook or a store waited for something that was cancelled. The run itself goes on."""

    def __init__(self) -> None:
        """Say what happened."""
        super().__init__("what the function waited for was cancelled")


@dataclass(slots=True, eq=False)
class _Place:
    """Place of an event in the order of the inbox, from its hand-over until everything before it is dealt with."""

    cursor: Cursor
    done: bool = False
    task: asyncio.Task[None] | None = None


class Run:
    """One run of a program's handlers."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        store: CursorStore,
        stop: asyncio.Event,
        *,
        dead_letter: DeadLetter | None = None,
        pauses: Sequence[float] = PAUSES,
        at_once: int = AT_ONCE,
    ) -> None:
        """Prepare a run of *handlers*, by type. *stop* ends it once the handlers that are at work have ended."""
        self._handlers, self._store, self._dead_letter, self._pauses = handlers, store, dead_letter, pauses
        self._slots, self._storing, self._moved = asyncio.Semaphore(at_once), asyncio.Lock(), asyncio.Event()
        self._pausing = asyncio.Semaphore(WAIT_PER_SLOT * at_once)
        # The loop's own threads stay free: a new connection looks up the desk's name there.
        self._threads = ThreadPoolExecutor(at_once + _OF_THE_STORE, "nrmbus-handler")
        self._places: deque[_Place] = deque()
        self._last: dict[str, _Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self.stop = stop

    async def of(self, inbox: AsyncIterator[Received[Data | None]]) -> None:
        """Hand over the events of *inbox* until it ends or `stop` is set, and store the cursor behind each.

        Raises:
            HandlerFailed: a handler failed for good.
            SystemExit, KeyboardInterrupt: a function of the program asked for the end of the program.
        """
        reading, stopping = asyncio.ensure_future(self._read(inbox)), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() or reading.exception():
                self.stop.set()
            while self._tasks:
                await asyncio.wait(self._tasks)
            await self._advance()
        finally:
            left = [reading, stopping, *self._tasks]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            self._threads.shutdown(wait=False)
        if self._error is not None:
            raise self._error
        if not reading.cancelled():
            reading.result()

    async def _read(self, inbox: AsyncIterator[Received[Data | None]]) -> None:
        try:
            await self._hand_over(inbox)
        except _ENDS as error:
            self._end(error)

    async def _hand_over(self, inbox: AsyncIterator[Received[Data | None]]) -> None:
        async for event in inbox:
            place = _Place(event.cursor, done=event.type not in self._handlers)
            self._places.append(place)
            if not place.done:
                place.task = asyncio.create_task(self._handle(event, place, self._last.get(event.case)))
                self._last[event.case] = place
                self._tasks.add(place.task)
                place.task.add_done_callback(self._tasks.discard)
            elif len(self._places) >= _WINDOW:
                await self._advance()
            while len(self._places) >= _WINDOW:
                self._moved.clear()
                await self._moved.wait()

    async def _handle(self, event: Received[Data | None], place: _Place, before: _Place | None) -> None:
        """Deal with *event* after the one *before* it in its case."""
        try:
            if before is not None and before.task is not None:
                await asyncio.wait({before.task})
            await self._deal(event, place)
        except (Exception, *_ENDS) as error:  # noqa: BLE001 - of the hook or the store, or of the program: the run ends with it
            self._end(error)
        except asyncio.CancelledError:
            self._end(HandlerFailed(event))  # heard only if it is not the run that is cancelled
            raise
        finally:
            if self._last.get(event.case) is place:
                del self._last[event.case]

    async def _deal(self, event: Received[Data | None], place: _Place) -> None:
        """Call the handler until it succeeds or fails for good, and store the cursor if the event is dealt with then."""
        for pause in (*self._pauses, None):
            async with self._slots:  # an event that waits, for its case or for another attempt, has none
                if self.stop.is_set():  # set if the one before was not dealt with
                    return
                failure = await self._failure_of(event)
                is_for_good = isinstance(failure, DoorError) and not failure.retryable
                is_last = pause is None or event.data is None or is_for_good
                if failure is None or (is_last and await self._is_buried(event, failure)):
                    place.done = True
                    await self._advance()
                if failure is None or is_last:
                    return
                await self._pausing.acquire()  # with its slot, if so many wait already (`WAIT_PER_SLOT`)
            try:
                named = failure.retry_after if isinstance(failure, DoorError) else None
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), max(pause or 0, named or 0))
            finally:
                self._pausing.release()

    async def _failure_of(self, event: Received[Data | None]) -> Exception | None:
        """Hand *event* to its handler once; return what the handler raised, if it failed."""
        if event.data is None:
            return NotKnown()
        try:
            await self.called(self._handlers[event.type], event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the handler gets the event again
            return error
        return None

    async def _is_buried(self, event: Received[Data | None], failure: Exception) -> bool:
        """Hand *event* to the dead-letter hook; without one, end the run and return False."""
        if self._dead_letter is None:
            failed = HandlerFailed(event)
            failed.__cause__ = failure
            self._end(failed)
            return False
        await self.called(self._dead_letter, event, failure)
        return True

    async def called(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what *function* returns; one that is no coroutine function runs in a thread of this run.

        Raises:
            WaitCancelled: the function ended with a cancellation, and nobody cancelled the task that called it.
        """
        try:
            if iscoroutinefunction(function):
                return await function(*arguments)
            work = partial(copy_context().run, function, *arguments)
            found = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            return await found if isawaitable(found) else found
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise WaitCancelled from error

    def _end(self, error: BaseException) -> None:
        self._error = self._error or error
        self.stop.set()

    async def _advance(self) -> None:
        """Store the cursor of the last event before which, and with which, everything is dealt with."""
        async with self._storing:
            behind = [*takewhile(lambda place: place.done, self._places)]
            if behind:
                await self.called(self._store.store, behind[-1].cursor)
            for _ in behind:  # only now: a place that could not be stored is stored with a later one
                self._places.popleft()
            self._moved.set()


@contextmanager
def ended_by(signals: Iterable[signal.Signals], end: Callable[[], None]) -> Iterator[None]:
    """Call *end* at each of *signals* while the block runs, if it runs in the main thread."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {each: signal.signal(each, lambda *_: end()) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
