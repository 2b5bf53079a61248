"""Statements on a server: the task that made the call waits, and other tasks run meanwhile.

A desk's code calls a statement without `await`, several functions deep (decision 0031). On a server the statement takes
a round trip, during which the event loop must go on. So each task of such a desk runs in a greenlet: a statement
switches to the loop, and back when the server has answered (decision 0046). SQLAlchemy's own asyncio layer does the same
for one function at a time.

A statement is never cut short by a cancellation, since its connection would be lost with it: the task is cancelled at
its next own `await`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

_T = TypeVar("_T")


async def until_done(work: asyncio.Future[Any]) -> bool:
    """Wait until *work* is done, whatever came of it; return whether this task was cancelled meanwhile."""
    is_cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            is_cancelled = True
    return is_cancelled


async def committed(work: asyncio.Future[Any]) -> bool:
    """Wait until the commit *work* is done, and raise its error; return whether this task was cancelled meanwhile.

    Raises:
        CancelledError: the commit failed, and the task was cancelled. Whoever cancels a task is waiting for its end, so
            the error must not hide the cancellation.
    """
    is_cancelled = await until_done(work)
    if is_cancelled and (error := work.exception()) is not None:
        raise asyncio.CancelledError from error
    work.result()
    return is_cancelled


class _Own:
    """Wait of the task itself, as against the wait for the answer to a statement."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self.value)


async def _answered(statement: Awaitable[_T]) -> _T:
    return await statement


def suspending_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose tasks may wait inside plain functions, with SQLAlchemy's `await_`."""
    loop = asyncio.new_event_loop()
    suspend(loop)
    return loop


def suspend(loop: asyncio.AbstractEventLoop) -> None:
    """Let every task that *loop* begins from now on wait inside plain functions."""
    in_greenlet = _runner()

    def task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        return asyncio.Task(in_greenlet(coroutine), loop=loop, **more)

    loop.set_task_factory(task)


def _runner() -> Callable[[Coroutine[Any, Any, _T]], Coroutine[Any, Any, _T]]:
    from greenlet import getcurrent, greenlet  # noqa: PLC0415 - only a ledger on a server needs it

    class Suspending(greenlet):  # type: ignore[misc]  # without its types
        """Greenlet of one task."""

        __sqlalchemy_greenlet_provider__ = True

    def driven(coroutine: Coroutine[Any, Any, _T]) -> _T:
        step: Callable[[Any], Any] = coroutine.send
        given: Any = None
        loop = getcurrent().parent
        while True:
            try:
                awaited = step(given)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # what the coroutine returned
            try:
                step, given = coroutine.send, loop.switch(_Own(awaited))
            except BaseException as error:  # noqa: BLE001 - whatever the loop throws into the task
                step, given = coroutine.throw, error

    async def in_greenlet(coroutine: Coroutine[Any, Any, _T]) -> _T:
        here = Suspending(driven, getcurrent())
        here.gr_context = getcurrent().gr_context
        task, is_owed = asyncio.current_task(), False
        asked = here.switch(coroutine)
        while not here.dead:
            try:
                if isinstance(asked, _Own):
                    if is_owed and task is not None and task.cancelling():
                        is_owed = False
                        raise asyncio.CancelledError
                    answer = await asked
                else:
                    answering = asyncio.Task(_answered(asked), loop=asyncio.get_running_loop())
                    is_owed = await until_done(answering) or is_owed
                    answer = answering.result()
            except BaseException:  # noqa: BLE001 - thrown into the task, wherever it waits
                asked = here.throw(*sys.exc_info())
            else:
                asked = here.switch(answer)
        return asked  # type: ignore[no-any-return]  # what the coroutine returned

    return in_greenlet
