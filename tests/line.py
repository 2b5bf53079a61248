"""A bad line, as a program: it passes connections on, late, and cuts one of them now and then.

``line.py line PORT HOST`` listens on 127.0.0.2:PORT and passes on to HOST:PORT. ``line.py door HOME SOCKET`` passes
connections at a Unix socket on to the door of the desk in HOME, with neither delay nor cut.
"""

import asyncio
import json
import random
import sys
from contextlib import suppress
from pathlib import Path

DELAY = 0.04
"""Seconds that a piece is late, each way."""
CUT = 0.002
"""Chance that a connection is cut at a piece."""


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, bad: bool) -> None:
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def late() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece or (bad and random.random() < CUT):
                return
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(late())
    with suppress(OSError):
        while piece := await reader.read(65536):
            pieces.put_nowait((loop.time() + (DELAY if bad else 0.0), piece))
            if sending.done():
                break
    pieces.put_nowait((loop.time(), b""))
    with suppress(OSError):
        await sending


async def _both(ours: tuple[asyncio.StreamReader, asyncio.StreamWriter], host: str, port: int, *, bad: bool) -> None:
    try:
        with suppress(OSError):
            theirs = await asyncio.open_connection(host, port)
            try:
                ways = (_pass_on(ours[0], theirs[1], bad=bad), _pass_on(theirs[0], ours[1], bad=bad))
                tasks = [asyncio.create_task(each) for each in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for each in tasks:
                    each.cancel()
            finally:
                theirs[1].close()
    finally:
        ours[1].close()


async def _line(port: int, host: str) -> None:
    server = await asyncio.start_server(lambda *ours: _both(ours, host, port, bad=True), "127.0.0.2", port)
    await server.serve_forever()


async def _door(home: Path, socket: Path) -> None:
    async def asked(*ours: asyncio.StreamReader | asyncio.StreamWriter) -> None:
        try:
            url = json.loads((home / "door.json").read_bytes())["url"]
        except FileNotFoundError:
            ours[1].close()  # type: ignore[union-attr]
            return
        host, _, port = url.removeprefix("http://").rpartition(":")
        await _both(ours, host, int(port), bad=False)  # type: ignore[arg-type]

    socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(asked, str(socket))
    await server.serve_forever()


if __name__ == "__main__":
    kind, first, second = sys.argv[1:]
    random.seed(7)
    asyncio.run(_line(int(first), second) if kind == "line" else _door(Path(first), Path(second)))
