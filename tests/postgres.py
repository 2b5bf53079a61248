"""A PostgreSQL server for tests, from the system's own programs: in a folder of its own, by a Unix socket, for no other user."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from nrmbus.desk.store.address import Address
from nrmbus.desk.store.ledger import Ledger
from patience import until

USER: Final = "nrmbus"


def programs() -> list[Path]:
    """Return the folder of `initdb` and `postgres`, the newest version's; empty if there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    path = [Path(found).parent for name in ("initdb",) if (found := shutil.which(name))]
    return [each for each in (*reversed(debian), *path) if (each / "postgres").exists()][:1]


SERVERS: Final = programs() if find_spec("asyncpg") else []
EACH_SERVER: Final = [pytest.param(each, marks=pytest.mark.server, id="server") for each in SERVERS]
"""Parameters of a fixture whose tests need a server; without one there are no such tests."""


class Server:
    """A server of *programs* in *folder*, running or not."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        # The server refuses to run as root.
        self._who: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        if self._who:
            shutil.chown(folder, "nobody", "nogroup")
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the server's files."""
        how = ["--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--no-instructions"]
        self._run("initdb", *how, "--pgdata", str(self._folder / "data"))

    def _run(self, program: str, *args: str) -> None:
        command = [str(self._programs / program), *args]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._who)

    def start(self, *settings: str) -> None:
        """Start, and wait until it answers."""
        quick = ("fsync=off", "listen_addresses=", f"unix_socket_directories={self._folder}", "shared_buffers=16MB")
        options = [part for each in (*quick, "max_connections=60", *settings) for part in ("-c", each)]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._who)
        until("PostgreSQL answers", self._answers)

    def _answers(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self._folder)]
        return subprocess.run(ready, check=False).returncode == 0

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """End the server at once, as a power cut does."""
        if self._process is None:
            return
        self._process.send_signal(sig)
        self._process.wait()
        self._process = None

    def signal(self, sig: int) -> None:
        """Send *sig* to the server and to each of its processes."""
        if self._process is None:
            return
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, check=True
        )
        for pid in (self._process.pid, *map(int, children.stdout.split())):
            with suppress(ProcessLookupError):  # a connection has just ended, and its process with it
                os.kill(pid, sig)

    def address(self, place: Path) -> Address:
        """Return the address of the ledger that stands for the file at *place*."""
        return Address.parse(f"postgresql://{USER}@/postgres?host={self._folder}&search_path={schema_at(place)}")

    async def at(self, place: Path) -> Address:
        """Return the same, after making room for the ledger."""
        connection = await self.connect()
        try:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_at(place)}")
        finally:
            await connection.close()
        return self.address(place)

    def schema_of(self, ledger: Ledger) -> str:
        """Return the schema of an open ledger."""
        return str(ledger.place).rpartition("search_path=")[2].rstrip("')")

    async def holds(self, part: bytes) -> bool:
        """Return whether a file of a database has *part*, once the server has written all that it has in memory."""
        connection = await self.connect()
        try:
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
        files = (each for each in (self._folder / "data" / "base").rglob("*") if each.is_file())
        return any(part in each.read_bytes() for each in files)

    async def connect(self) -> Any:
        """Return a connection of another program."""
        import asyncpg  # noqa: PLC0415 - an extra, which an environment of before may lack

        return await asyncpg.connect(host=str(self._folder), user=USER, database="postgres")


def schema_at(place: Path) -> str:
    """Return the name of the schema that stands for the file at *place*."""
    return "l" + hashlib.sha256(str(place).encode()).hexdigest()[:20]


@contextmanager
def serving(*settings: str) -> Iterator[Server]:
    """Yield a server that runs until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="nrm-pg-", dir="/tmp"))
    server = Server(SERVERS[0], folder)
    try:
        server.make()
        server.start(*settings)
        yield server
    finally:
        server.kill(signal.SIGQUIT)
        shutil.rmtree(folder)
