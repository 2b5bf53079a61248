"""`nrmbus ledger copy`: a stopped desk's ledger goes to a server and back, and the desk starts there."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from nrmbus.bus.errors import BusError, FolderHeld
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli.app import app
from nrmbus.desk.store import sqlite, tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import place_of, run
from postgres import EACH_SERVER, Server, serving


@pytest.fixture(params=EACH_SERVER, scope="module")
def server() -> Iterator[Server]:
    """Yield a PostgreSQL server."""
    with serving() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> BusFolder:
    """Given a bus with the stopped desk of one agency."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    home = folder.agency("ngo-a")
    write_json(home.agency_json, {"agency": "ngo-a", "port": 20123})
    run(name_of(folder), home.ledger)
    return folder


async def name_of(folder: BusFolder) -> str:
    """Return the random name of the desk's ledger."""
    ledger = await Ledger.open(place_of(folder.agency("ngo-a")), bus=folder.settings.bus, agency="ngo-a")
    try:
        return ledger.id
    finally:
        await ledger.close()


def copied(folder: BusFolder, to: str) -> str:
    """Give the command; return what it prints. Raises what it raises."""
    words = ["ledger", "copy", "ngo-a", "--to", to, "--data", str(folder.path)]
    return str(CliRunner().invoke(app, words, catch_exceptions=False).output)


def test_the_desk_starts_where_its_ledger_was_copied_to(server: Server, folder: BusFolder) -> None:
    """The setting follows the copy, there and back, and every other setting stays."""
    home = folder.agency("ngo-a")
    address, name = asyncio.run(server.at(folder.path)), run(name_of(folder), home.ledger)

    with folder.alone("ngo-a"), pytest.raises(FolderHeld, match="is held by process"):
        copied(BusFolder(folder.path), address.url)
    with pytest.raises(BusError, match="that the server runs and that --to and the password file are right"):
        copied(folder, f"postgresql:///ledger?host={folder.path}")
    assert "Copied and compared: " in copied(folder, address.url)
    assert json.loads(home.agency_json.read_bytes()) == {"agency": "ngo-a", "port": 20123, "ledger": address.url}
    assert run(name_of(folder), address) == name

    again = f"{address.url}&application_name=nrmbus"
    with pytest.raises(BusError, match="two addresses lead to one database"):
        copied(folder, again)
    with pytest.raises(BusError, match="move the file away"):
        copied(folder, "file")
    home.ledger.rename(home.path / "before.sqlite")
    copied(folder, "file")
    assert json.loads(home.agency_json.read_bytes()) == {"agency": "ngo-a", "port": 20123}
    assert run(name_of(folder), home.ledger) == name


def test_a_full_disk_ends_a_copy_in_a_sentence_without_rows(
    server: Server, folder: BusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no room for the copy, then the command says so, repeats no row, and changes nothing; with room it goes on."""
    home = folder.agency("ngo-a")
    address = asyncio.run(server.at(folder.path / "full"))
    run(filled(folder), home.ledger)
    copied(folder, address.url)
    before = home.agency_json.read_bytes()
    home.ledger.rename(home.path / "before.sqlite")
    with monkeypatch.context() as full:
        full.setattr(sqlite, "_SETTINGS", (*sqlite._SETTINGS, "max_page_count=1"))
        with pytest.raises(BusError, match=r"^Nothing was copied\. .*make room") as failed:
            copied(folder, "file")

    assert "CANARY" not in f"{failed.value!r} {failed.value.__cause__!r}"
    assert home.agency_json.read_bytes() == before
    assert "Copied and compared: " in copied(folder, "file")


async def filled(folder: BusFolder) -> None:
    """Give the desk's ledger a row that needs more room than an empty ledger has."""
    ledger = await Ledger.open(place_of(folder.agency("ngo-a")), bus=folder.settings.bus, agency="ngo-a")
    try:
        async with ledger.write() as tx:
            tx.execute(insert(tables.case_labels).values(subject="ab" * 16, kid="x", sealed=b"CANARY" * 100_000))
    finally:
        await ledger.close()


def test_what_is_no_address_changes_nothing(folder: BusFolder) -> None:
    """A password on a command line would be in every list of processes: it is refused, and not repeated."""
    with pytest.raises(BusError, match=r"Nothing was copied\. --to is `file`") as refused:
        copied(folder, "postgresql://nrmbus:CANARY@db/ledger")
    assert "CANARY" not in str(refused.value)
    with pytest.raises(BusError, match="is there already"):
        copied(folder, "file")
    with pytest.raises(BusError, match="There is no desk of ngo-b"):
        CliRunner().invoke(
            app, ["ledger", "copy", "ngo-b", "--to", "file", "--data", str(folder.path)], catch_exceptions=False
        )
