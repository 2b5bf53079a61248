"""``nrmbus upgrade``: what a change of the release does here is said before it is done, and two steps can be taken by a person."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from nrmbus.bus.embedded import jars, metadata_level
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import BusError, FolderHeld
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.vitals import RELEASE
from nrmbus.cli import health
from nrmbus.cli.operate import upgrade
from nrmbus.desk.store import schema
from nrmbus.desk.store.place import on_tables


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


def asked(folder: BusFolder, *arguments: str) -> tuple[int, str]:
    """Return exit status and output of the command on *folder*."""
    done = CliRunner().invoke(upgrade.app, [*arguments, "--data", str(folder.path)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def parts(folder: BusFolder) -> dict[str, str]:
    """Return the result of each part."""
    status, output = asked(folder, "--check", "--json")
    found = json.loads(output)
    assert found["well"] is (status == 0)
    assert found["release"] == RELEASE
    return {each["part"]: each["result"] for each in found["parts"]}


@pytest.fixture
def stopped(tmp_path: Path) -> BusFolder:
    """Given a stopped bus on its own Kafka with the ledger of one agency."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    home = folder.agency("ngo-a").path
    home.mkdir(parents=True)
    (home / "agency.json").write_text("{}")
    on_tables(folder.agency("ngo-a").ledger, schema.bring_up)
    return folder


def restamp(folder: BusFolder, revision: str) -> None:
    """Have another release's ledger."""
    with closing(sqlite3.connect(folder.agency("ngo-a").ledger)) as ledger, ledger:
        ledger.execute("UPDATE alembic_version SET version_num = ?", (revision,))


class TestCheck:
    def test_a_ledger_of_this_release_is_done(self, stopped: BusFolder) -> None:
        """Nothing is to be done, and the exit status says so."""
        assert parts(stopped)["ngo-a"] == "done"

    def test_a_ledger_of_an_earlier_release_is_upgraded_at_the_next_start(
        self, stopped: BusFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is said before, and prevented where the disk has no room for it."""
        monkeypatch.setattr(schema, "REVISION", "next")
        assert parts(stopped)["ngo-a"] == "next"

        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 0))
        assert parts(stopped)["ngo-a"] == "prevents"

    def test_a_ledger_of_a_newer_release_prevents_it(self, stopped: BusFolder) -> None:
        """After a step back too far, the sentence names the release to install."""
        restamp(stopped, "0099")

        assert parts(stopped)["ngo-a"] == "prevents"
        assert "install that release, or a newer one" in asked(stopped, "--check")[1]

    @pytest.mark.parametrize(
        ("address", "result"),
        [("postgresql://nobody@127.0.0.1:1/ledger", "later"), ("mysql://127.0.0.1/ledger", "prevents")],
    )
    def test_a_ledger_that_cannot_be_looked_at_is_said_to_be_so(
        self, stopped: BusFolder, address: str, result: str
    ) -> None:
        """Given a server that is away, or an address that is none, then the others are looked at all the same."""
        stopped.agency("ngo-a").agency_json.write_text(json.dumps({"ledger": address}))

        found = parts(stopped)

        assert found["ngo-a"] == result
        assert "Kafka" in found

    def test_a_damaged_ledger_prevents_it(self, stopped: BusFolder) -> None:
        """Given a damaged ledger, then no release can upgrade the file, and the sentence names the page to read."""
        stopped.agency("ngo-a").ledger.write_bytes(b"damaged" * 1000)

        assert parts(stopped)["ngo-a"] == "prevents"
        assert "the file is damaged (deploy/RUNBOOK.md#ledger-gone)" in asked(stopped, "--check")[1]

    def test_services_and_desks_of_another_release_are_named(
        self, stopped: BusFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each is listed with what it runs; old and new go on beside each other, so none of them prevents anything."""

        async def healths(_: BusFolder) -> Mapping[str, Any]:
            waits = {"ready": True, "standby": "Another process of the auditor works."}
            return {
                "registrar": {"release": RELEASE},
                "auditor": {"ready": True},
                "auditor.2": waits,
                "timekeeper": None,
            }

        def peer(agency: str, *releases: str, suspended: bool = False) -> dict[str, Any]:
            return {"agency": agency, "suspended": suspended, "releases": list(releases)}

        monkeypatch.setattr(health, "ask_all", healths)
        monkeypatch.setattr(
            upgrade,
            "peers_of",
            lambda _: [peer("vac", RELEASE), peer("fund", "0.0.9"), peer("ngo-l"), peer("ngo-x", suspended=True)],
        )
        monkeypatch.setattr(metadata_level, "read", lambda _: metadata_level.MetadataLevel("a", "a"))

        with stopped.held():
            found = parts(stopped)

        expected = {"registrar": "done", "auditor": "next", "auditor.2": "later", "timekeeper": "later"}
        expected |= {"vac": "done", "fund": "later", "ngo-l": "later"}
        assert {name: found.get(name) for name in (*expected, "ngo-x")} == {**expected, "ngo-x": None}

    def test_each_part_is_printed_as_it_is(self, stopped: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given brackets in what was found, then they are printed, and are no markup."""
        monkeypatch.setattr(upgrade, "looks", lambda _: [upgrade.Look("ngo-l", "later", "runs 0.1.0[/red] elsewhere")])

        assert "runs 0.1.0[/red] elsewhere" in asked(stopped, "--check")[1]


def test_one_thing_at_a_time(stopped: BusFolder) -> None:
    """Without a choice, or with two, nothing is done."""
    for arguments in ((), ("--check", "--finish")):
        with pytest.raises(BusError, match="Give one of"):
            asked(stopped, *arguments)


class TestBack:
    def test_the_ledgers_of_this_machine_are_taken_back(self, stopped: BusFolder) -> None:
        """The command names each ledger and its revision."""
        status, output = asked(stopped, "--back-to", RELEASE)

        assert status == 0
        assert f"ngo-a: the ledger is at revision {schema.REVISION}" in output

    def test_a_damaged_ledger_does_not_keep_the_others_back(self, stopped: BusFolder) -> None:
        """Given a damaged and a sound ledger, then the first is named, the second taken back, and the status is 1."""
        before = stopped.agency("damaged")
        before.path.mkdir()
        before.agency_json.write_text("{}")
        before.ledger.write_bytes(b"damaged" * 1000)

        done = CliRunner().invoke(upgrade.app, ["--back-to", RELEASE, "--data", str(stopped.path)])
        assert done.exit_code == 1
        assert "damaged: the ledger was not taken back: the file is damaged" in done.output
        assert "ngo-a: the ledger is at revision" in done.output

    def test_a_server_that_is_away_is_one_sentence(self, stopped: BusFolder) -> None:
        """Nothing is taken back then, and nobody reads a traceback."""
        stopped.agency("ngo-a").agency_json.write_text('{"ledger": "postgresql://nobody@127.0.0.1:1/ledger"}')

        with pytest.raises(BusError, match="server"):
            asked(stopped, "--back-to", RELEASE)

    def test_nothing_is_taken_back_while_something_runs(self, stopped: BusFolder) -> None:
        """A running desk would write on into tables that are gone."""
        with stopped.held(), pytest.raises(FolderHeld, match="stop it first"):
            asked(stopped, "--back-to", RELEASE)

    def test_no_desk_starts_while_its_ledger_is_taken_back(
        self, stopped: BusFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given a service manager that starts a desk again meanwhile, then the desk waits: it would upgrade the ledger once more."""
        take_back, desk, refused = schema.take_back, BusFolder(stopped.path), list[FolderHeld]()

        def started(*asked_for: Any) -> str:
            with pytest.raises(FolderHeld) as caught, desk.alone("ngo-a"):
                pass
            refused.append(caught.value)
            return take_back(*asked_for)

        monkeypatch.setattr(schema, "take_back", started)
        assert asked(stopped, "--back-to", RELEASE)[0] == 0
        assert refused


@pytest.mark.slow
@pytest.mark.broker
def test_kafkas_metadata_stays_where_it_is_until_a_person_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a bus of an earlier Kafka, then this Kafka runs on the old metadata and says so; a command raises them."""
    run = subprocess.run

    def formatted_before(command: list[str], **settings: Any) -> Any:
        at = command.index("--config") if "format" in command else len(command)
        return run(
            [*command[:at], *(["--release-version", "4.2"] if at < len(command) else []), *command[at:]], **settings
        )

    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=True)
    kafka = EmbeddedKafka(folder)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", formatted_before)
        kafka.start()
    try:
        before = parts(folder)["Kafka metadata"]
        status, said = asked(folder, "--finish", "--json")
        kafka.restart()
        after = parts(folder)["Kafka metadata"]
    finally:
        kafka.stop()

    assert (before, status, after) == ("later", 0, "done")
    newest = jars.KAFKA.rpartition(".")[0]
    assert f"at level {newest}-" in said
