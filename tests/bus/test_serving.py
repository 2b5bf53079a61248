"""A service's own face: it ends in order, with the exit code that its owner chose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from nrmbus.bus.errors import BusError
from nrmbus.bus.serving import MOST, Listening, Server, pages


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


BEGUN = {
    "half a question": b"GET /heal",
    "a question": b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
    "half a form": b"POST /form/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nname=",
}


@pytest.mark.parametrize("begun", BEGUN)
async def test_who_opens_connections_without_end_keeps_nobody_out(tmp_path: Path, begun: str) -> None:
    """Anybody on the machine may connect: so many stay open, who asks something is answered, and files are left for the desk.

    Who waits for a long answer meanwhile, gets it.
    """
    listening, is_over = Listening(tmp_path), asyncio.Event()

    async def page(_: str) -> dict[str, Any]:
        return {"here": True}

    async def slow(_: str) -> dict[str, Any]:
        await is_over.wait()
        return {"here": "after a while"}

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    async def form(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await Response()(scope, receive, send)

    server = Server(pages({"/health": page, "/slow": slow}, listening, running, {"/form": form}), listening)
    serving = asyncio.create_task(server.run_until_told())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    async with (
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{listening.port}", headers={"authorization": f"Bearer {listening.token}"}
        ) as client,
        AsyncExitStack() as stack,
    ):
        waiting = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0.1)
        for _ in range(3 * MOST):
            _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
            stack.callback(writer.close)
            writer.write(BEGUN[begun])
        assert (await client.get("/health")).json() == {"here": True}
        is_over.set()
        assert (await waiting).json() == {"here": "after a while"}
        assert len(server.server_state.connections) <= MOST
    server.stop()
    await serving
