"""A service's own face: it ends in order, with the exit code that its owner chose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nrmbus.bus.errors import BusError
from nrmbus.bus.serving import Listening, Server, pages


def test_a_service_that_ends_itself_tidies_and_keeps_its_exit_code(tmp_path: Path) -> None:
    """Told by itself to stop, a service comes back from serving: no signal cuts what its owner still has to close."""
    listening = Listening(tmp_path)
    ended: list[str] = []

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        asyncio.get_running_loop().call_soon(server.stop)
        yield
        ended.append("what ran beside it")

    server = Server(pages({}, listening, running), listening)
    asyncio.run(server.run_until_told())

    assert ended == ["what ran beside it"]


def test_why_a_service_did_not_start_is_not_swallowed(tmp_path: Path) -> None:
    """Who calls it learns the reason, which is all that its log will ever say: a desk that does not believe the directory, say."""
    listening = Listening(tmp_path)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        if listening.port:
            raise BusError("the directory went back")
        yield

    with pytest.raises(BusError, match="the directory went back"):
        asyncio.run(Server(pages({}, listening, running), listening).run_until_told())
    listening.socket.close()
