"""A TCP relay before a broker that holds requests back, as a network would that delivers them late.

The relay understands only the header of each request: length, api key, version, correlation id, client id. After a client
has hung up, the relay keeps the connection to the broker open for the held requests, and reads the late answers.
"""

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nrmbus.bus.embedded import ports
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.embedded.node import Node
from nrmbus.bus.folder import BusFolder
from patience import until

BEGIN, ADD_PARTITIONS, ADD_OFFSETS, END, COMMIT_OFFSETS = 22, 24, 25, 26, 28
"""Api keys of InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn and TxnOffsetCommit."""
_LENGTH: Final = struct.Struct(">i")
_HEADER: Final = struct.Struct(">hhih")
"""Api key, version, correlation id, and length of the client id, with which each request begins."""


@dataclass(eq=False)
class Request:
    """Held request, and the broker's answer."""

    correlation: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None
    """The error code of its last part, with which the answer to each of these requests ends; None before the answer."""


@dataclass(eq=False)
class Held:
    """Held requests of one kind by one client: the first *most*, or all, until `release`."""

    key: int
    client: bytes
    most: int | None
    loop: asyncio.AbstractEventLoop
    released: asyncio.Event = field(default_factory=asyncio.Event)
    caught: list[Request] = field(default_factory=list)

    def takes(self, key: int, client: bytes) -> bool:
        """Return whether a request is one of them."""
        wanted = (self.key, self.client) == (key, client) and not self.released.is_set()
        return wanted and (self.most is None or len(self.caught) < self.most)

    def no_more(self) -> None:
        """Let later ones pass from now on."""
        self.most = len(self.caught)

    def release(self) -> list[int | None]:
        """Let them go on to the broker; return the error codes of its answers."""
        self.loop.call_soon_threadsafe(self.released.set)
        until("the broker has answered late requests", lambda: all(each.ended.is_set() for each in self.caught))
        return [each.code for each in self.caught]


class Relay:
    """The relay, with a thread of its own."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self.endings: list[tuple[bytes, bool]] = []
        """Of each EndTxn that was sent: the client's id, and whether it commits."""
        self._held: list[Held] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._over = asyncio.Event()

    @property
    def address(self) -> str:
        """HOST:PORT for clients."""
        return f"{ports.HOST}:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close all connections."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def hold(self, key: int, client: str, *, most: int | None = None) -> Held:
        """Hold back requests of this api key by the client of this id, all of them or the first *most*."""
        held = Held(key, client.encode(), most, self._loop)
        self._held.append(held)
        return held

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())  # the tasks of its connections are cancelled at its end

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, ports.HOST, self.port)
        self._ready.set()
        await self._over.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late: dict[int, Request] = {}
        try:
            up_reader, up_writer = await asyncio.open_connection(ports.HOST, self._target)
        except OSError:
            writer.close()
            return
        down = asyncio.create_task(_answers(up_reader, writer, late))
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    up_writer.write(await self._next(reader, late))
                    await up_writer.drain()
            for each in list(late.values()):  # its client has hung up; the broker has not
                await each.ended.wait()
        except asyncio.CancelledError:
            return  # the relay stops; asyncio would report a cancelled connection as an error
        finally:
            down.cancel()
            up_writer.close()
            writer.close()

    async def _next(self, reader: asyncio.StreamReader, late: dict[int, Request]) -> bytes:
        """Return a client's next request with its length; wait here while the request is held."""
        length, body = await _frame(reader)
        key, _, correlation, named = _HEADER.unpack_from(body)
        client = body[_HEADER.size : _HEADER.size + max(0, named)]
        if key == END:
            self.endings.append((client, body[-1] == 1))
        held = next((each for each in self._held if each.takes(key, client)), None)
        if held is not None:
            late[correlation] = Request(correlation)
            held.caught.append(late[correlation])
            await held.released.wait()
        return length + body


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    length = await reader.readexactly(_LENGTH.size)
    return length, await reader.readexactly(_LENGTH.unpack(length)[0])


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: dict[int, Request]) -> None:
    """Pass on the broker's answers; note how it answered what was *late*."""
    try:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                length, body = await _frame(reader)
                request = late.pop(_LENGTH.unpack_from(body)[0], None)
                if request is not None:
                    request.code = int.from_bytes(body[-2:], signed=True)
                    request.ended.set()
                if not writer.is_closing():
                    with suppress(ConnectionError):
                        writer.write(length + body)
                        await writer.drain()
    finally:
        for each in late.values():
            each.ended.set()
        writer.close()


class Relayed(EmbeddedKafka):
    """Broker in plain text with one more listener, whose advertised port is the relay's."""

    def __init__(self, folder: BusFolder) -> None:
        super().__init__(folder)
        self.behind, self.relay = ports.free_ports(2)

    def _properties(self, data: str, node: Node) -> bytes:
        """Return the properties of any broker, and the listener behind the relay."""
        lines = super()._properties(data, node).decode().splitlines()
        settings = dict(line.split("=", 1) for line in lines)
        settings["listeners"] += f",RELAYED://{ports.HOST}:{self.behind}"
        settings["advertised.listeners"] += f",RELAYED://{ports.HOST}:{self.relay}"
        settings["listener.security.protocol.map"] += ",RELAYED:PLAINTEXT"
        return "".join(f"{name}={value}\n" for name, value in settings.items()).encode()


@contextmanager
def relayed(home: Path) -> Iterator[tuple[EmbeddedKafka, Relay]]:
    """A broker with its data in *home*, and a relay before it, until the end of the block."""
    folder = BusFolder(home)
    folder.create(play=True, tls=False)
    kafka = Relayed(folder)
    relay = Relay(kafka.relay, kafka.behind)
    relay.start()
    try:
        kafka.fetch()
        kafka.start()
        yield kafka, relay
    finally:
        kafka.stop()
        relay.stop()
