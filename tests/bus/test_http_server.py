"""A service's HTTP server ends in order, with the exit code that its owner chose."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest
from starlette.responses import Response

from nrmbus.bus import http_server
from nrmbus.bus.embedded.ports import free_ports, is_free
from nrmbus.bus.errors import BusError
from nrmbus.bus.http_server import ENDS_SECONDS, MOST, Listening, Server, pages
from patience import PATIENCE, eventually


def test_a_service_that_ends_itself_tidies_and_keeps_its_exit_code(tmp_path: Path) -> None:
    """A service that stops itself returns from serving, so its owner can close everything without a signal."""
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


def test_a_connection_at_rest_is_let_go_by_the_client_first(tmp_path: Path) -> None:
    """Given a program that asks every few seconds, then no request of it meets a connection that the service has just ended."""
    listening = Listening(tmp_path)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    server = Server(pages({}, listening, running), listening)
    kept_by_the_client = httpx.Limits().keepalive_expiry
    assert kept_by_the_client is not None
    assert server.config.timeout_keep_alive > 2 * kept_by_the_client
    listening.socket.close()


def written(home: Path) -> dict[str, Any]:
    """The door file of *home*."""
    return dict(json.loads((home / "door.json").read_bytes()))


def test_address_and_token_stay_over_a_restart(tmp_path: Path) -> None:
    """Connected programs keep working after a restart, and only the file's owner can read the token."""
    first = Listening(tmp_path)
    first.socket.close()
    again = Listening(tmp_path)
    again.socket.close()

    assert (again.port, again.token, again.moved) == (first.port, first.token, False)
    assert (tmp_path / "door.json").stat().st_mode & 0o777 == 0o600


def test_a_port_that_another_program_has_costs_the_token_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that listened there may have received the token, so port and token are new, and the log says so."""
    monkeypatch.setattr(http_server, "_PATIENCE", 0.0)
    first = Listening(tmp_path)
    second = Listening(tmp_path)
    second.socket.close()
    first.socket.close()

    assert second.moved
    assert second.port != first.port
    assert second.token != first.token
    assert written(tmp_path)["token"] == second.token
    assert "door_moved" in "".join(capsys.readouterr())


def test_a_port_is_a_services_own_before_it_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two desks that start at the same time never end up at one port: the second of them would end with an error."""
    monkeypatch.setattr(http_server, "_PATIENCE", 0.0)
    first = Listening(tmp_path / "ngo-a")
    second = Listening(tmp_path / "shelter", first.port)
    taken = is_free(first.port)
    for each in (first, second):
        each.close()

    assert not taken, "nobody who looks for a free port gets it"
    assert second.moved
    assert second.port != first.port


async def test_who_connects_before_a_service_has_started_waits_for_it(tmp_path: Path) -> None:
    """A client that is early is answered, not refused."""
    listening = Listening(tmp_path)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    server = Server(pages({}, listening, running), listening)
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    serving = asyncio.create_task(server.run_until_told())
    answer = await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()
    server.stop()
    await serving

    assert answer == b"HTTP/1.1 404 Not Found\r\n", "the service has no such page, and says so itself"


def test_a_door_file_that_is_gone_renews_the_token(tmp_path: Path) -> None:
    """It is how a token is renewed: delete the file and start the desk again."""
    first = Listening(tmp_path)
    first.socket.close()
    (tmp_path / "door.json").unlink()
    again = Listening(tmp_path)
    again.socket.close()

    assert again.token != first.token


@pytest.mark.parametrize(
    "alter",
    [
        lambda file: file.chmod(0o640),
        lambda file: file.write_text('{"url": "http://127.0.0.1:80", "token": "short"}'),
        lambda file: file.write_text("no JSON"),
        lambda file: file.write_text('["a list"]'),
    ],
    ids=["open to others", "a port and a token that are none", "no JSON", "no object"],
)
def test_a_token_that_others_may_know_or_that_is_none_is_not_taken_again(
    alter: Callable[[Path], None], tmp_path: Path
) -> None:
    """Nor does a damaged file keep a service from starting."""
    first = Listening(tmp_path)
    first.socket.close()
    alter(tmp_path / "door.json")
    again = Listening(tmp_path)
    again.socket.close()

    assert len(again.token) == len(first.token)
    assert again.token != first.token
    assert not again.moved


def test_a_port_that_is_set_goes_before_that_of_the_last_start(tmp_path: Path) -> None:
    """The token stays: the port is the agency's own choice."""
    (port,) = free_ports(1)
    first = Listening(tmp_path)
    first.socket.close()
    again = Listening(tmp_path, port)
    again.socket.close()

    assert (again.port, again.token) == (port, first.token)
    assert written(tmp_path)["url"] == f"http://127.0.0.1:{port}"


def test_why_a_service_did_not_start_is_not_swallowed(tmp_path: Path) -> None:
    """The caller gets the reason of a failed start, such as a desk that rejects the directory; no log has it."""
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


@pytest.mark.thorough
@pytest.mark.parametrize("begun", BEGUN)
async def test_endless_connections_keep_nobody_out(tmp_path: Path, begun: str) -> None:
    """Anybody on the machine may connect: so many stay open, who asks something is answered, and files are left for the desk.

    A client that waits for a long answer still gets it.
    """
    listening, is_asked, is_over = Listening(tmp_path), asyncio.Event(), asyncio.Event()

    async def page(_: str) -> dict[str, Any]:
        return {"here": True}

    async def slow(_: str) -> dict[str, Any]:
        is_asked.set()
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
    await eventually("it listens", lambda: server.started)
    async with (
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{listening.port}",
            headers={"authorization": f"Bearer {listening.token}"},
            timeout=PATIENCE,
        ) as client,
        AsyncExitStack() as stack,
    ):
        waiting = asyncio.create_task(client.get("/slow"))
        await is_asked.wait()
        for _ in range(2 * MOST):
            _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
            stack.callback(writer.close)
            writer.write(BEGUN[begun])
        assert (await client.get("/health")).json() == {"here": True}
        is_over.set()
        assert (await waiting).json() == {"here": "after a while"}
        assert len(server.server_state.connections) <= MOST
    server.stop()
    await serving


@asynccontextmanager
async def serving(home: Path) -> AsyncIterator[tuple[Server, Listening]]:
    """Run a server that shows nothing, until the end of the block."""
    listening = Listening(home)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    server = Server(pages({}, listening, running), listening)
    task = asyncio.create_task(server.run_until_told())
    try:
        await eventually("it listens", lambda: server.started)
        yield server, listening
    finally:
        server.stop()
        await task


async def test_of_too_many_connections_the_longest_idle_one_is_closed(tmp_path: Path) -> None:
    """Given as many idle connections as there may be, then one more closes the oldest, and who has just connected can still ask."""
    async with serving(tmp_path) as (server, listening):
        there: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        for count in range(1, MOST + 1):  # each is accepted before the next one comes
            there.append(await asyncio.open_connection("127.0.0.1", listening.port))
            await eventually("it is accepted", lambda count=count: len(server.server_state.connections) == count)  # type: ignore[misc]

        there.append(await asyncio.open_connection("127.0.0.1", listening.port))

        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                assert await there[0][0].read() == b""
        there[-2][1].write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert (await there[-2][0].readline()).startswith(b"HTTP/1.1 ")
        for _, writer in there:
            writer.close()


@asynccontextmanager
async def endless(home: Path, part: bytes) -> AsyncIterator[tuple[Server, asyncio.StreamReader, asyncio.Event]]:
    """Yield a server, a client of its endless answer, and an event that is set when the answer has ended."""
    listening, is_over = Listening(home), asyncio.Event()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        del scope
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        try:
            while not gone.done():
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if len(part) == 1:
                    await gone
        finally:
            gone.cancel()
            is_over.set()

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    server = Server(pages({}, listening, running, {"/endless": answer}), listening)
    serving = asyncio.create_task(server.run_until_told())
    await eventually("it listens", lambda: server.started)
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    writer.write(f"GET /endless/ HTTP/1.1\r\nhost: 127.0.0.1:{listening.port}\r\n\r\n".encode())
    try:
        yield server, reader, is_over
    finally:
        server.stop()
        await serving
        writer.close()


async def test_a_client_that_reads_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody reads ends, and its connection is there for somebody else."""
    monkeypatch.setattr(http_server, "UNREAD_SECONDS", 0.05)
    async with endless(tmp_path, b"x" * 65_536) as (server, _, is_over):
        async with asyncio.timeout(PATIENCE):
            await is_over.wait()
        await eventually("the connection is gone", lambda: not server.server_state.connections)


async def test_a_client_that_reads_slowly_is_not_cut_off(tmp_path: Path) -> None:
    """Who takes minutes for a page of letters gets the page: what counts is whether less waits than a minute ago."""
    async with endless(tmp_path, b"x" * 65_536) as (server, _, _):
        await eventually("a client is there", lambda: server.server_state.connections)
        client: Any = next(iter(server.server_state.connections))
        await eventually("it does not keep up", lambda: client.flow.write_paused)
        waits = client.transport.get_write_buffer_size()

        client._look_whether_read(waits + 1)
        assert not client.transport.is_closing()

        client._look_whether_read(waits)
        assert client.transport.is_closing()


async def test_a_connection_rests_no_longer_if_its_request_ends_after_the_answer(tmp_path: Path) -> None:
    """A request can be refused before its body has come; the connection is then let go as after any other."""
    async with serving(tmp_path) as (server, listening):
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.write(b"POST /health HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 4\r\n\r\n")
        assert b" 40" in await reader.readline()
        client: Any = next(iter(server.server_state.connections))
        await eventually("it rests", lambda: client.timeout_keep_alive_task)
        writer.write(b"late")
        await eventually("the body has come", lambda: client.conn.their_state is not h11.SEND_BODY)

        assert client.timeout_keep_alive_task is not None
        writer.close()


@pytest.mark.thorough
async def test_an_idle_stream_keeps_no_service_from_its_end(tmp_path: Path) -> None:
    """A client that waits for the next event is cut off in good time."""
    async with endless(tmp_path, b"x") as (server, reader, is_over):
        assert b"200 OK" in await reader.readline()
        async with asyncio.timeout(ENDS_SECONDS):
            server.stop()
            await is_over.wait()


@pytest.mark.parametrize("written", ["bearer {}", "BEARER  {} "])
async def test_the_scheme_of_a_services_token_is_written_in_any_case(tmp_path: Path, written: str) -> None:
    """Given a client that writes the scheme in its own way, then the service answers as the desk's door does, and tells others the scheme."""
    listening = Listening(tmp_path)
    listening.socket.close()

    async def page(_: str) -> dict[str, Any]:
        return {"here": True}

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    app = pages({"/health": page}, listening, running)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        given = await client.get("/health", headers={"authorization": written.format(listening.token)})
        other = await client.get("/health", headers={"authorization": written.format("another")})

    assert given.json() == {"here": True}
    assert (other.status_code, other.headers["www-authenticate"]) == (401, "Bearer")


async def test_metrics_are_behind_the_token_as_well(tmp_path: Path) -> None:
    """Any account of the machine reaches the port; how much a service does is not for everybody."""
    listening = Listening(tmp_path)
    listening.socket.close()

    async def metrics() -> bytes:
        return b"nrmbus_ready 1.0\n"

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    app = pages({}, listening, running, metrics=metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        without = await client.get("/metrics")
        given = await client.get("/metrics", headers={"authorization": f"Bearer {listening.token}"})

    assert (without.status_code, without.content, without.headers["www-authenticate"]) == (401, b"", "Bearer")
    assert (given.status_code, given.content) == (200, b"nrmbus_ready 1.0\n")
    assert given.headers["content-type"].startswith("text/plain; version=0.0.4")
