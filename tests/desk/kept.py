"""Both kinds of ledger for the desk's tests: a file, and a PostgreSQL server where its programs are installed.

A module runs on both with ``pytestmark = pytest.mark.usefixtures("kept")`` and the fixtures imported from here.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from nrmbus.desk.store.place import Place
from nrmbus.desk.store.suspending import suspend
from postgres import EACH_SERVER, SERVERS, Server, serving

KINDS: Final = ("sqlite", *("postgresql" for _ in SERVERS))


class _Here:
    """The server that keeps the ledgers of the test that runs; None if files do."""

    server: Server | None = None


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL server for the whole session."""
    with serving() as server:
        yield server


@pytest.fixture(params=EACH_SERVER)
def postgresql(request: pytest.FixtureRequest) -> Server:
    """Return the same to a test that has no sense without a server."""
    return request.getfixturevalue("server")  # type: ignore[no-any-return]  # the fixture above


@pytest.fixture(params=[pytest.param(kind, marks=[pytest.mark.server] * (kind != "sqlite")) for kind in KINDS])
async def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the test's ledgers kept in files or on a server; return which."""
    if request.param == "postgresql":
        monkeypatch.setattr(_Here, "server", request.getfixturevalue("server"))
        suspend(asyncio.get_running_loop())
    return str(request.param)


@contextmanager
def kept_on(server: Server) -> Iterator[None]:
    """Have the ledgers of the block kept on *server*."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Here, "server", server)
        yield


async def place_at(path: Path) -> Place:
    """Return the place of the ledger that a desk keeps in the file *path*, or for it on the server."""
    return path if _Here.server is None else await _Here.server.at(path)
