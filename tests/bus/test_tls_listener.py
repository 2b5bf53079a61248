"""Other machines reach a door by TLS alone, and whoever is slow or floods it keeps nobody out."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from nrmbus.bus import http_server
from nrmbus.bus.embedded.ports import free_ports
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.http_server import MOST, Listening, Server
from nrmbus.bus.pki import building, certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.certificate import now
from nrmbus.bus.pki.door_authority import LIFE, RENEWED_BEFORE, DoorAuthority
from nrmbus.bus.reach import Tls
from nrmbus.bus.tls_listener import HANDSHAKES, SOON, Listen, TlsListener
from patience import PATIENCE, eventually

WHERE = Path("agency.json")


def listen(**more: Any) -> Listen:
    """Return settings on a free port of this machine, with what *more* says."""
    asked = {"address": "127.0.0.1", "port": free_ports(1)[0], "names": ["127.0.0.1", "desk.example.org"]} | more
    found = Listen.parse(asked, WHERE)
    assert found is not None
    return found


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body, once it is there."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    body = await Request(scope, receive).body()
    await JSONResponse({"size": len(body), "scheme": scope["scheme"]})(scope, receive, send)


@asynccontextmanager
async def served(home: Path, beyond: TlsListener | None = None, app: ASGIApp = echo) -> AsyncIterator[Listening]:
    """Serve *app* on this machine, and for others at *beyond*, during the block."""
    listening = Listening(home, beyond=beyond)
    server = Server(app, listening)
    serving = asyncio.create_task(server.run_until_told())
    await eventually("it listens", lambda: server.started)
    try:
        yield listening
    finally:
        server.stop()
        await serving
        listening.close()


def trusting(ca: Path, **how: Any) -> ssl.SSLContext:
    """Return the context of a client that trusts *ca* alone."""
    context = ssl.create_default_context(cafile=str(ca))
    for name, value in how.items():
        setattr(context, name, value)
    return context


async def size_of(beyond: TlsListener, context: ssl.SSLContext, body: bytes = b"") -> Any:
    """Return the answer of the door to another machine's request."""
    async with httpx.AsyncClient(verify=context, timeout=PATIENCE) as client:
        return (await client.post(beyond.url, content=body)).json()


async def test_a_door_is_reached_by_its_own_authority(tmp_path: Path) -> None:
    """Given names, the desk makes a certificate; who trusts its authority is served, by TLS 1.3 and nothing else."""
    beyond = TlsListener(listen(), tmp_path, "ngo-a")
    ca = tmp_path / "door" / "ca.pem"
    async with served(tmp_path, beyond):
        assert await size_of(beyond, trusting(ca), bytes(100_000)) == {"size": 100_000, "scheme": "https"}
        for context in (
            trusting(ca, maximum_version=ssl.TLSVersion.TLSv1_2),
            ssl.create_default_context(),
        ):
            with pytest.raises(httpx.ConnectError):
                await size_of(beyond, context)
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(beyond.url.replace("https", "http"))

    assert (tmp_path / "door" / "key.pem").stat().st_mode & 0o777 == 0o600
    again = TlsListener(listen(), tmp_path, "ngo-a")  # the authority stays, so that systems need not be told again
    async with served(tmp_path, again):
        assert (await size_of(again, trusting(ca)))["size"] == 0


def certified(home: Path, name: str) -> tuple[Path, Path, Path]:
    """Return the files of a certificate of another authority: certificate, key, authority."""
    authority = DoorAuthority(home / f"authority-of-{name}", name)
    made = authority.issue(("127.0.0.1",))
    (home / f"{name}.pem").write_bytes(made.chain)
    (home / f"{name}.key").write_bytes(made.key)
    return home / f"{name}.pem", home / f"{name}.key", authority.ca


async def test_a_renewed_certificate_is_taken_up_with_the_next_connection(tmp_path: Path) -> None:
    """Given the agency's own files, a restart is not needed; files that do not belong together change nothing."""
    chain, key, ca = certified(tmp_path, "first")
    beyond = TlsListener(listen(certificate=str(chain), key=str(key), names=[]), tmp_path, "ngo-a")
    async with served(tmp_path, beyond):
        assert (await size_of(beyond, trusting(ca)))["size"] == 0

        other_chain, other_key, other_ca = certified(tmp_path, "second")
        other_chain.replace(chain)
        assert (await size_of(beyond, trusting(ca)))["size"] == 0
        other_key.replace(key)
        assert (await size_of(beyond, trusting(other_ca)))["size"] == 0
        with pytest.raises(httpx.ConnectError):
            await size_of(beyond, trusting(ca))


async def test_another_certificate_of_the_doors_own_authority_comes_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk that runs for months shows a certificate that is valid."""
    beyond = TlsListener(listen(), tmp_path, "ngo-a")
    before = beyond.context()
    assert beyond.context() is before

    at = now() + LIFE - RENEWED_BEFORE
    monkeypatch.setattr(certificate, "now", lambda: at)

    assert beyond.context() is not before
    beyond.socket.close()


async def test_a_certificate_of_a_clock_that_was_ahead_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that was started while its clock was four hours ahead, when the clock is right, then the next connection has a certificate that is valid now."""
    DoorAuthority(tmp_path / "door", "door of ngo-a")
    with monkeypatch.context() as wrong:
        wrong.setattr(building, "now", lambda: now() + timedelta(hours=4))
        beyond = TlsListener(listen(), tmp_path, "ngo-a")

    async with served(tmp_path, beyond):
        assert (await size_of(beyond, trusting(tmp_path / "door" / "ca.pem")))["size"] == 0
    before = beyond.context()
    assert beyond.context() is before


async def test_a_damaged_key_of_the_doors_authority_leaves_the_earlier_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a key in which one byte is damaged, when another certificate is due, then the door is still reached under the one before."""
    beyond = TlsListener(listen(), tmp_path, "ngo-a")
    key = tmp_path / "door" / "key.pem"
    raw = bytearray(key.read_bytes())
    raw[60] ^= 1
    key.write_bytes(raw)
    async with served(tmp_path, beyond):
        at = now() + LIFE - RENEWED_BEFORE
        with monkeypatch.context() as later:
            later.setattr(certificate, "now", lambda: at)
            assert (await size_of(beyond, trusting(tmp_path / "door" / "ca.pem")))["size"] == 0


async def test_an_error_before_the_handshake_closes_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an error that nobody foresaw, then the client is not left waiting for an answer."""
    beyond = TlsListener(listen(), tmp_path, "ngo-a")
    monkeypatch.setattr(beyond, "context", Mock(side_effect=RuntimeError))
    async with served(tmp_path, beyond):
        reader, writer = await asyncio.open_connection("127.0.0.1", beyond.socket.getsockname()[1])
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


async def test_the_agencys_own_certificate_is_named_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk cannot renew it; that of its own authority it renews by itself."""
    chain, key, _ = certified(tmp_path, "first")
    own = TlsListener(listen(certificate=str(chain), key=str(key)), tmp_path, "ngo-a")
    made = TlsListener(listen(), tmp_path, "ngo-a")
    assert own.ending() is None

    at = now() + LIFE - SOON
    monkeypatch.setattr(certificate, "now", lambda: at)

    found = own.ending()
    assert found is not None
    assert "put a newer one into the files" in found["sentence"]
    assert made.ending() is None
    own.socket.close()
    made.socket.close()


async def test_clients_may_need_a_certificate(tmp_path: Path) -> None:
    """Given authorities of clients, a client without a certificate of theirs is refused before it can ask anything."""
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    authority, client = Authority(folder), Tls(tmp_path / "client")
    authority.equip("ngo-a", client.home)
    beyond = TlsListener(listen(clients=str(authority.path)), tmp_path, "ngo-a")
    known, stranger = trusting(tmp_path / "door" / "ca.pem"), trusting(tmp_path / "door" / "ca.pem")
    known.load_cert_chain(client.certificate, client.key)
    other_chain, other_key, _ = certified(tmp_path, "other")
    stranger.load_cert_chain(other_chain, other_key)
    async with served(tmp_path, beyond):
        assert (await size_of(beyond, known))["size"] == 0
        for context in (stranger, trusting(tmp_path / "door" / "ca.pem")):
            with pytest.raises(httpx.TransportError):
                await size_of(beyond, context)


async def test_endless_handshakes_keep_nobody_out(tmp_path: Path) -> None:
    """Anybody in the network may connect and say nothing: so many stay open, and who speaks TLS is served."""
    beyond = TlsListener(listen(), tmp_path, "ngo-a")
    port = beyond.socket.getsockname()[1]
    async with served(tmp_path, beyond), AsyncExitStack() as stack:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * HANDSHAKES)]
        for _, writer in silent:
            stack.callback(writer.close)
        assert (await size_of(beyond, trusting(tmp_path / "door" / "ca.pem")))["size"] == 0
        for reader, _ in silent[:HANDSHAKES]:
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == b""


@pytest.mark.thorough
async def test_a_flood_from_outside_closes_no_connection_of_this_machine(tmp_path: Path) -> None:
    """A local program whose connection rests keeps it, however many others connect."""
    beyond = TlsListener(listen(), tmp_path, "ngo-a")
    context = trusting(tmp_path / "door" / "ca.pem")
    async with served(tmp_path, beyond) as listening, AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        stack.callback(writer.close)
        for _ in range(MOST + 5):
            _, other = await asyncio.open_connection("127.0.0.1", beyond.socket.getsockname()[1], ssl=context)
            stack.callback(other.close)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


SLOW = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nho",
    "half a body": b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nname=",
    "half a body behind a whole request": b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\nPOST / HTTP/1.1\r\nho",
}


@pytest.mark.thorough
@pytest.mark.parametrize("sent", SLOW)
async def test_a_client_that_does_not_finish_its_request_is_cut_off(
    tmp_path: Path, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that never comes to its end does not hold a connection, nor a handler, for ever."""
    monkeypatch.setattr(http_server, "SLOW_SECONDS", 0.05)
    async with served(tmp_path) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.write(SLOW[sent])
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        assert answer.count(b"HTTP/1.1") == sent.count("whole")
        writer.close()


async def test_a_client_whose_body_goes_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come earns patience: a large body over a slow line is not cut off."""
    monkeypatch.setattr(http_server, "SLOW_SECONDS", 0.05)
    async with served(tmp_path) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        size = 1_000 * http_server.BYTES_A_SECOND
        writer.write(f"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n".encode())
        writer.write(bytes(size // 2))
        silent, later = await asyncio.open_connection("127.0.0.1", listening.port)
        assert await silent.read() == b""  # one that came later is cut off
        later.close()
        writer.write(bytes(size - size // 2))
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()


async def test_a_request_under_another_hosts_name_is_refused(tmp_path: Path) -> None:
    """A page on the web that gives its own name this machine's address gets nothing."""
    async with served(tmp_path) as listening, httpx.AsyncClient(timeout=PATIENCE) as client:
        url = f"http://127.0.0.1:{listening.port}/"
        for host in ("evil.example", f"evil.example:{listening.port}", "127.0.0.1.evil.example", ""):
            refused = await client.get(url, headers={"host": host})
            assert (refused.status_code, refused.json()["code"]) == (421, "other_host")
            assert "evil" not in refused.text
        for host in (f"localhost:{listening.port}", "127.0.0.1", "LOCALHOST:1"):
            assert (await client.get(url, headers={"host": host})).status_code == 200


GOOD: dict[str, Any] = {"address": "10.1.2.3", "port": 8443, "names": ["desk.example.org"]}
WRONG: dict[str, tuple[Any, str]] = {
    "not an object": ("10.1.2.3:8443", "its members"),
    "an unknown member": (GOOD | {"Elnara": 1}, "its members"),
    "no address": ({"port": 8443, "names": ["a"]}, "address"),
    "a name as an address": (GOOD | {"address": "desk.example.org"}, "address"),
    "a port as text": (GOOD | {"port": "8443"}, "port"),
    "a truth as a port": (GOOD | {"port": True}, "port"),
    "a name that is none": (GOOD | {"names": ["a b"]}, "names"),
    "a certificate without its key": (GOOD | {"certificate": "cert.pem"}, "certificate and key"),
    "an old version": (GOOD | {"tls": "1.1"}, "tls"),
    "a list of versions": (GOOD | {"tls": ["1.3"]}, "tls"),
    "no text": (GOOD | {"clients": 1}, "clients"),
    "the home of somebody unknown": (GOOD | {"certificate": "~nobody-here/c", "key": "~nobody-here/k"}, "certificate"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_setting_is_refused_by_the_member(what: str) -> None:
    """The desk does not start, and the sentence names the member and repeats nothing."""
    with pytest.raises(BusError) as refused:
        Listen.parse(WRONG[what][0], WHERE)

    assert f"`{WRONG[what][1]}`" in str(refused.value)
    assert "Elnara" not in str(refused.value)


@pytest.mark.parametrize("name", ["a" * 60 + ":8443", "a-" * 40 + "_", "a" * 64, "a..b", ".a", ""])
def test_a_wrong_name_is_refused_at_once(name: str) -> None:
    """A port behind a long name once took more time than anybody waits for a start."""
    with pytest.raises(BusError, match="`names`"):
        Listen.parse({"address": "0.0.0.0", "port": 8443, "names": [name]}, WHERE)  # noqa: S104 - another machine's


@pytest.mark.parametrize(
    "name", ["a", "desk.example.org", "desk.example.org.", "xn--b1a.example", "a" * 63, "10.0.0.7"]
)
def test_a_host_has_a_name_or_an_address(name: str) -> None:
    """What the certificate of the door's own authority may name."""
    found = Listen.parse({"address": "0.0.0.0", "port": 8443, "names": [name]}, WHERE)  # noqa: S104 - another machine's

    assert found is not None
    assert found.names == (name,)


def test_without_tls_a_desk_does_not_listen_beyond_this_machine(tmp_path: Path) -> None:
    """Given no certificate and no names for one, or files that cannot be used, the start is refused with what to do."""
    with pytest.raises(BusError, match="without TLS it listens on this machine alone"):
        Listen.parse({"address": "0.0.0.0", "port": 8443}, WHERE)  # noqa: S104 - what is refused
    chain, _, _ = certified(tmp_path, "first")
    _, other_key, _ = certified(tmp_path, "second")
    for key in (tmp_path / "missing.key", other_key, chain):
        with pytest.raises(BusError, match="cannot be used"):
            TlsListener(listen(certificate=str(chain), key=str(key)), tmp_path, "ngo-a")


async def test_an_address_that_is_taken_is_said_to_be_so(tmp_path: Path) -> None:
    """The desk does not start on another port, which nobody would find."""
    first = TlsListener(listen(), tmp_path, "ngo-a")
    with pytest.raises(BusError, match="another program has port"):
        TlsListener(listen(port=first.socket.getsockname()[1]), tmp_path, "ngo-a")
    first.socket.close()


def test_a_port_that_the_account_may_not_have_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an account without the right to port 443, then the sentence names this port, who was not started, and the setting."""

    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, f"Permission denied: {address}")

    chain, key, _ = certified(tmp_path, "page")
    asked = {"address": "0.0.0.0", "port": 443, "certificate": str(chain), "key": str(key)}  # noqa: S104 - not bound
    page = Listen.parse(asked, WHERE, who="The public page", member="public.listen")
    assert page is not None
    monkeypatch.setattr(socket, "socket", Refusing)

    with pytest.raises(
        BusError, match=r"^The public page was not started: this account may not listen on port 443\."
    ) as no:
        TlsListener(page, tmp_path, "hotline")

    assert "`public.listen`" in str(no.value)
    assert "firewall" in str(no.value)
