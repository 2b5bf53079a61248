"""Waiting for a statement: a cancellation is delivered, whatever the server answered meanwhile."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.util import await_only

from nrmbus.desk.store.suspending import committed, suspending_loop


class ServerGone(Exception):
    """Error of a statement whose server was killed."""


def of_a_server(work: Any) -> Any:
    """Return what *work* returns on a loop whose tasks wait for statements inside plain functions."""
    loop = suspending_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def test_a_task_that_swallows_the_error_of_its_statement_still_ends() -> None:
    """Given a relay that tries again after each error, a cancellation during a statement that then fails ends the relay."""

    async def scenario() -> asyncio.Task[None]:
        asked, answer = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def statement() -> None:
            asked.set()
            await answer

        async def relay() -> None:
            while True:
                try:
                    await_only(statement())
                except ServerGone:
                    await asyncio.sleep(3600)

        running = asyncio.create_task(relay())
        await asked.wait()
        running.cancel()
        await asyncio.sleep(0)
        answer.set_exception(ServerGone())
        await asyncio.wait([running], timeout=30)
        return running

    assert of_a_server(scenario()).cancelled()


@pytest.mark.parametrize("how", ["done", "failed"])
def test_a_commit_is_waited_for_and_then_the_cancellation_counts(how: str) -> None:
    """A commit that succeeds says that its task was cancelled; one that fails ends the task."""

    async def scenario() -> tuple[bool, asyncio.Task[bool]]:
        work = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(committed(work))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.sleep(0)
        was_done = running.done()
        if how == "done":
            work.set_result(None)
        else:
            work.set_exception(ServerGone())
        await asyncio.wait([running], timeout=30)
        return was_done, running

    was_done, running = asyncio.run(scenario())
    assert not was_done
    assert running.cancelled() if how == "failed" else running.result()
