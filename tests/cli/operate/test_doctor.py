"""The doctor and the keys: each fault is shown with the command that fixes it, and a real bus does not run with open keys."""

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, insert, update
from typer.testing import CliRunner

from brokers import Broker
from desk.store.given import put_rows
from nrmbus.bus import vitals
from nrmbus.bus.errors import KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import write_json
from nrmbus.bus.reach import Tls
from nrmbus.cli.app import app
from nrmbus.cli.membership.keys import private_keys, unlock
from nrmbus.cli.operate import doctor, folder_faults, topic_faults
from nrmbus.cli.operate.service_faults import of_stopped
from nrmbus.cli.operate.topic_faults import TopicRead, of_admitters, of_clocks, of_quarantine, of_sealing_keys
from nrmbus.desk.store import schema, tables
from nrmbus.desk.store.place import on_tables
from nrmbus.directory import Identity, Operator
from nrmbus.directory.admission import admit
from nrmbus.directory.epochs import Ending
from nrmbus.directory.operator import Admitter
from nrmbus.host.services import run_service
from nrmbus.wire import times
from nrmbus.wire.keys import keyfile
from postgres import EACH_SERVER, Server, serving

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PUBLIC = {"name": {"az": "a", "en": "e", "ru": "r"}, "run_by": "ngo", "phone": "1", "port": 8480}


@pytest.fixture(autouse=True)
def _nothing_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no passphrase, and no terminal to ask."""
    monkeypatch.delenv(keyfile.SETTING, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    keyfile.hold(None)
    yield
    keyfile.hold(None)


def made(path: Path, *, play: bool = False) -> BusFolder:
    """Return a bus with one agency and the operator's keys, as a first start leaves it, without a broker."""
    folder = BusFolder(path)
    folder.create(play=play)
    Identity.at(folder.agency("ngo-a").path, "ngo-a")
    Operator(folder.path)
    Admitter.at(folder.path, "admitter-a")
    assert Authority(folder).ca
    write_json(folder.agency("ngo-a").agency_json, {"agency": "ngo-a", "role": "ngo_outreach"})
    write_json(folder.agency("ngo-a").door, {"url": "http://127.0.0.1:1", "token": "example"})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> BusFolder:
    """Return a bus for real cases."""
    return made(tmp_path / "bus")


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a key file outside the folder, named in the environment."""
    path = tmp_path / "elsewhere" / "nrmbus.key"
    path.parent.mkdir()
    assert CliRunner().invoke(app, ["keys", "new", str(path)]).exit_code == 0
    monkeypatch.setenv(keyfile.SETTING, str(path))
    return path


def codes(folder: BusFolder, now: datetime = NOW) -> set[str]:
    """Return the codes of serious findings in the files."""
    return {each.code for each in folder_faults.findings(folder, now) if each.serious}


def topic(number: int, event: str, source: str) -> dict[str, Any]:
    """Return a row of an event that a desk heard, registered at NOW."""
    return {
        "subject": "c" * 32, "source": source, "id": event, "type": "case.closed", "technical": 0, "time": times.write(NOW),
        "registered": times.write(NOW), "partition": 0, "inbox_number": number, "number": number, "recipients": "[]",
        "headers": b"{}", "value": b"{}", "parts": "[]",
    }  # fmt: skip


def said_at(number: int, event: str, made: datetime) -> dict[str, Any]:
    """Return a row of an event that a desk published at *made*, by its clock."""
    return {
        "turn": number, "subject": "c" * 32, "id": event, "type": "case.closed", "origin": "door", "state": "closed",
        "asked": "", "clear": b"{}", "made": times.write(made),
    }  # fmt: skip


def say(ahead: int, tx: Connection) -> None:
    """Make the tables of a ledger, with an event that its desk published so many seconds *ahead* of its registration."""
    schema.bring_up(tx)
    with tx.begin():
        put_rows(tx, range(1, 2))
        tx.execute(update(tables.events).values(registered=times.write(NOW)))
        tx.execute(update(tables.outbox).values(made=times.write(NOW + timedelta(seconds=ahead))))


@pytest.fixture(params=EACH_SERVER)
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Yield a PostgreSQL server to be killed."""
    with serving() as server:
        yield server


class TestARealBus:
    """A bus for real cases never has open keys by accident."""

    def test_it_is_not_run_with_nothing_to_protect_its_keys(self, tmp_path: Path) -> None:
        """The sentence names both options, before any key is made."""
        folder = BusFolder(tmp_path / "bus")
        folder.create()

        with pytest.raises(KeysSealed, match=r"NRMBUS_KEY_FILE=FILE .*--keys-unprotected"):
            unlock(folder)
        assert not private_keys(folder)

    def test_with_the_explicit_option_it_runs(self, folder: BusFolder, capsys: pytest.CaptureFixture[str]) -> None:
        """The meaning is printed each time."""
        unlock(folder, unprotected=True)

        assert "are unprotected" in capsys.readouterr().err
        assert keyfile.held() is None

    def test_open_keys_are_not_used_because_a_key_file_was_named(self, folder: BusFolder, key_file: Path) -> None:
        """Open keys must be sealed first: a mixture would look protected."""
        del key_file
        with pytest.raises(KeysSealed, match="nrmbus keys protect"):
            unlock(folder)

    @pytest.mark.parametrize("service", ["ngo-a", "timekeeper", "registrar", "auditor"])
    def test_no_key_is_sealed_while_somebody_has_it_open(
        self, folder: BusFolder, key_file: Path, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A running service could not start again, unnoticed; one that `nrmbus run` started counts as a whole bus does."""
        del key_file
        refusals = []

        def main(*_: object, **_more: object) -> None:
            shown = CliRunner().invoke(app, ["keys", "protect", "--data", str(folder.path)])
            refusals.append((shown.exit_code, str(shown.exception)))

        ran = ModuleType("ran")
        monkeypatch.setattr(ran, "main", main, raising=False)
        monkeypatch.setattr("nrmbus.bus.standby.working", lambda *_: nullcontext())
        monkeypatch.setattr("nrmbus.host.services.importlib.import_module", lambda _: ran)
        run_service(service, folder)

        ((status, said),) = refusals
        assert status == 1
        assert f"nrmbus run has started {service}: end that first" in said
        assert not any(map(keyfile.is_sealed, private_keys(folder)))

    @pytest.mark.thorough
    def test_its_keys_are_sealed_by_one_command_and_open_with_the_key_file_alone(
        self, folder: BusFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The keys stay the same; without the key file, or with another, no key opens."""
        kids = Identity.at(folder.agency("ngo-a").path, "ngo-a").kids
        shown = CliRunner().invoke(app, ["keys", "protect", "--data", str(folder.path)])
        assert shown.exit_code == 0, shown.output
        assert shown.output.startswith("7 of 7 private keys")
        assert all(map(keyfile.is_sealed, private_keys(folder)))

        keyfile.hold(None)
        unlock(folder)
        assert Identity.at(folder.agency("ngo-a").path, "ngo-a").kids == kids
        assert Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)
        keyfile.hold(None)
        key_file.write_text("another key file altogether")
        with pytest.raises(KeysSealed, match="does not open"):
            unlock(folder)
        monkeypatch.delenv(keyfile.SETTING)
        with pytest.raises(KeysSealed, match=r"are sealed.*NRMBUS_KEY_FILE=FILE") as refused:
            unlock(folder)
        assert "--keys-unprotected" not in str(refused.value)
        with pytest.raises(KeysSealed, match=r"are sealed.*--keys-unprotected opens no sealed key"):
            unlock(folder, unprotected=True)
        with pytest.raises(KeysSealed, match="NRMBUS_KEY_FILE=FILE"):
            Identity.at(folder.agency("ngo-a").path, "ngo-a")
        with pytest.raises(KeysSealed, match="NRMBUS_KEY_FILE=FILE"):
            assert Authority(folder).ca

    @pytest.mark.thorough
    def test_a_sealing_that_was_cut_is_found_and_ended(
        self, folder: BusFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the cut each key is sealed, and one is also raw under another name: no start ignores the raw key."""
        del key_file
        seeds = [path.read_bytes() for path in private_keys(folder)]
        protect = ["keys", "protect", "--data", str(folder.path)]
        with monkeypatch.context() as cut:
            cut.setattr(keyfile, "_end", lambda _: None)
            assert CliRunner().invoke(app, protect).exit_code == 0
        keyfile.hold(None)

        assert "keys_unprotected" in codes(folder)
        with pytest.raises(KeysSealed, match="nrmbus keys protect"):
            unlock(folder)
        assert CliRunner().invoke(app, protect).exit_code == 0
        assert codes(folder) == set()
        left = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
        assert not [seed for seed in seeds for content in left if seed in content]
        keyfile.hold(None)
        unlock(folder)

    @pytest.mark.thorough
    def test_a_writing_that_was_cut_is_found_and_ended(self, folder: BusFolder, key_file: Path) -> None:
        """Given copies left by killed processes, then no start ignores a raw copy, a sealed copy keeps nobody from starting, and sealing ends both."""
        del key_file
        path = folder.agency("ngo-a").path / "keys" / "sealing.seed"
        raw, sealed = (path.with_name(f".sealing.seed.4711.{digits}") for digits in ("0a1b2c3d", "1a1b2c3d"))
        seed = path.read_bytes()
        protect = ["keys", "protect", "--data", str(folder.path)]
        assert CliRunner().invoke(app, protect).exit_code == 0
        raw.write_bytes(seed)
        sealed.write_bytes(path.read_bytes()[:100])
        for each in (raw, sealed):
            each.chmod(0o600)

        assert {raw, sealed} < set(private_keys(folder))
        assert codes(folder) == {"keys_unprotected"}
        keyfile.hold(None)
        with pytest.raises(KeysSealed, match="1 of 9 private keys lie unprotected: nrmbus keys protect"):
            unlock(folder)
        raw.unlink()
        unlock(folder)
        keyfile.hold(None)
        raw.write_bytes(seed)
        shown = CliRunner().invoke(app, protect)

        assert shown.output.startswith("0 of 7 private keys were sealed")
        assert not [each for each in (raw, sealed) if each.exists()]
        assert codes(folder) == set()

    def test_a_key_file_beside_the_keys_is_refused(
        self, folder: BusFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thief of the folder would have keys and key file."""
        inside = folder.path / "nrmbus.key"
        key_file.rename(inside)
        monkeypatch.setenv(keyfile.SETTING, str(inside))

        assert "key_file_inside" in codes(folder)
        for path in private_keys(folder):
            path.unlink()
        with pytest.raises(KeysSealed, match="elsewhere"):
            unlock(folder)

    def test_a_bus_for_playing_has_raw_keys_with_any_option(
        self, tmp_path: Path, key_file: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A bus for playing says so at each start; the doctor notes the raw keys, and does not call them wrong."""
        del key_file
        folder = made(tmp_path / "play", play=True)
        unlock(folder)
        assert "a bus for playing: its private keys are unprotected" in capsys.readouterr().err

        assert keyfile.held() is None
        assert codes(folder) == set()
        assert [each.code for each in folder_faults.findings(folder, NOW)] == ["keys_unprotected"]


class TestTheDoctor:
    """Each finding has one line: fault, reason and command."""

    def test_open_keys_are_found(self, folder: BusFolder) -> None:
        """Open keys are the only fault of such a new bus, and the check leaves no files behind."""
        before = set(folder.path.rglob("*"))
        assert codes(folder) == {"keys_unprotected"}
        assert set(folder.path.rglob("*")) == before

    def test_a_key_that_is_destroyed_meanwhile_is_no_fault(
        self, folder: BusFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A desk runs, and destroys a key between the doctor's list and the doctor's look."""
        listed = [*private_keys(folder), folder.path / "agencies" / "ngo-a" / "keys" / "destroyed.seed"]
        monkeypatch.setattr(folder_faults, "private_keys", lambda _: listed)

        assert codes(folder) == {"keys_unprotected"}

    @pytest.mark.parametrize(("play", "is_wrong"), [(False, True), (True, False)])
    def test_open_keys_are_harmless_on_a_bus_for_playing_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, play: bool, is_wrong: bool
    ) -> None:
        """Given open keys as the only finding, then the last line says that nothing is wrong for a bus for playing alone."""

        async def nothing(*_: object) -> list[Any]:
            return []

        monkeypatch.setattr(doctor, "_of_the_services", nothing)
        monkeypatch.setattr(doctor, "_of_the_broker", lambda _: asyncio.sleep(0, ([], TopicRead())))
        monkeypatch.setattr(doctor, "_of_the_peers", lambda _: [])
        monkeypatch.setattr(doctor, "_of_the_topics", lambda _: [])
        said = CliRunner().invoke(app, ["doctor", "--data", str(made(tmp_path / "bus", play=play).path)])

        assert "unprotected" in said.output
        assert (said.exit_code, "Nothing is wrong" in said.output) == (int(is_wrong), not is_wrong), said.output

    @pytest.mark.parametrize(
        "where",
        ["agencies/ngo-a/keys/signing.seed", "agencies/ngo-a/door.json", "agencies/ngo-a", "bus.json", "keys", "."],
    )
    def test_files_open_to_others_are_found(self, folder: BusFolder, where: str) -> None:
        """Files and folders are found; the command is chmod with the path."""
        path = folder.path / where
        path.chmod(path.stat().st_mode | 0o040)

        found = [each for each in folder_faults.findings(folder, NOW) if each.code == "permissions"]
        assert [each.mend for each in found] == [f"chmod {'700' if path.is_dir() else '600'} '{path.resolve()}'"]

    @pytest.mark.parametrize(
        "where",
        ["auditor/users.json", "auditor/logs/p0/head", "timekeeper/ledger.sqlite", "registrar/spans/spans.jsonl"],
    )
    def test_service_files_open_to_others_are_found(self, folder: BusFolder, where: str) -> None:
        """A service's folder is found too, whichever services exist; Kafka's own files are behind a closed folder."""
        for path in (folder.path / where, folder.kafka / "nrm.cases-0" / "0.log"):
            path.parent.mkdir(parents=True)
            path.touch(0o644)
        found = [each.what for each in folder_faults.findings(folder, NOW) if each.code == "permissions"]

        loose = [folder.path / where, *(folder.path / where).parents, folder.kafka]
        expected = {path for path in loose if path.is_relative_to(folder.path) and path.stat().st_mode & 0o077}
        assert found == [f"{path.resolve()} can be read or changed by other users." for path in sorted(expected)]

    def test_a_folder_of_which_all_is_open_is_one_finding(self, folder: BusFolder) -> None:
        """After a copy without file modes, a line for each file would hide the other findings."""
        for path in folder.path.rglob("*"):
            path.chmod(0o755)

        (found,) = [each for each in folder_faults.findings(folder, NOW) if each.code == "permissions"]
        assert "files and folders can be read" in found.what
        assert found.mend == f"chmod -R go= '{folder.path.resolve()}'"

    def test_a_key_that_was_replaced_is_a_private_key_still(self, folder: BusFolder) -> None:
        """A replaced key of an agency or a service opens letters for weeks, and is sealed with the others."""
        for home, name in ((folder.agency("ngo-a").path, "ngo-a"), (folder.service("timekeeper"), "timekeeper")):
            before = set(private_keys(folder))
            Identity.at(home, name).succeeded(home)
            added = {path.parent.name for path in set(private_keys(folder)) - before}
            assert added >= {"past"}, name

    @pytest.mark.parametrize(("seconds", "wrong"), [(-3600, False), (4, False), (60, True)])
    def test_a_desk_whose_clock_is_ahead_is_found(self, folder: BusFolder, seconds: int, wrong: bool) -> None:  # noqa: FBT001 - a column
        """The desk's newest event counts; events from before its clock was set do not, nor events of others."""
        ledger = folder.agency("ngo-a").ledger
        engine = create_engine(f"sqlite:///{ledger}")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        tables.METADATA.create_all(engine)
        said = [("a1", "ngo-a", 9999), ("b2", "ngo-a", seconds), ("c3", "vac", 9999)]
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            for number, (event, source, ahead) in enumerate(said):
                connection.execute(insert(tables.events), [topic(number, event, source)])
                connection.execute(insert(tables.outbox), [said_at(number, event, NOW + timedelta(seconds=ahead))])
        engine.dispose()
        ledger.chmod(0o600)
        before = set(ledger.parent.iterdir())

        found = [each for each in folder_faults.findings(folder, NOW) if each.code == "clock_skew"]
        assert set(ledger.parent.iterdir()) == before
        assert [each.what for each in found] == (
            ["The clock of ngo-a's desk is at least 60 s ahead of the registrar's, by its newest event."]
            if wrong
            else []
        )

    def test_a_desk_on_a_server_whose_clock_is_ahead_is_found(self, folder: BusFolder, own_server: Server) -> None:
        """Given a ledger that was copied to a server, then its events count there, and those of the file that the copy left do not."""
        home = folder.agency("ngo-a")
        place = asyncio.run(own_server.at(home.ledger))
        for where, ahead in ((home.ledger, 9999), (place, 60)):
            on_tables(where, partial(say, ahead))
        write_json(home.agency_json, {"agency": "ngo-a", "role": "ngo_outreach", "ledger": place.url})

        with_server = [each.what for each in folder_faults.findings(folder, NOW) if each.code == "clock_skew"]
        own_server.kill()
        without_server = [each.code for each in folder_faults.findings(folder, NOW) if each.code == "clock_skew"]

        assert ["at least 60 s ahead" in each for each in with_server] == [True]
        assert without_server == []

    @pytest.mark.parametrize(("days", "wrong"), [(0, False), (22, False), (24, True), (31, True)])
    def test_a_certificate_that_nobody_renewed_is_found(self, folder: BusFolder, days: int, wrong: bool) -> None:  # noqa: FBT001 - a column
        """A certificate lives 30 days and is renewed ten days before its end."""
        Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)

        assert ("certificate" in codes(folder, datetime.now(UTC) + timedelta(days=days))) is wrong

    def test_a_certificate_that_nobody_needs_is_no_fault(self, folder: BusFolder) -> None:
        """Given an agency that is suspended or retired, then the operator's doctor passes over its ended certificate."""
        Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)
        later = datetime.now(UTC) + timedelta(days=31)
        assert "certificate" in codes(folder, later)

        Authority(folder).suspend("ngo-a")
        assert "certificate" not in codes(folder, later)

    @pytest.mark.parametrize("closed", [frozenset[str](), frozenset({"ngo-a"})])
    def test_on_an_agencys_machine_the_directory_tells_who_needs_none(
        self, folder: BusFolder, monkeypatch: pytest.MonkeyPatch, closed: frozenset[str]
    ) -> None:
        """Given a certificate near its end on a joined machine, then a fault is found unless the agency is closed."""
        tls = Tls(folder.agency("ngo-a").path)
        Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)
        short = Authority(folder).issue("ngo-a", certificate.request(tls), life=timedelta(minutes=1))
        certificate.keep(tls, short, tls.ca.read_bytes())
        (folder.keys / "operator.seed").rename(folder.keys / "operator.pub")
        monkeypatch.setattr(doctor, "_of_the_broker", lambda _: asyncio.sleep(0, ([], TopicRead(closed=closed))))
        shown = CliRunner().invoke(app, ["doctor", "--json", "--data", str(folder.path)])

        found = {each["code"] for each in json.loads(shown.output)["findings"]}
        assert ("certificate" in found) is not closed.issuperset({"ngo-a"})

    def test_a_full_disk_is_found(self, folder: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        """The doctor finds a full disk before Kafka stops."""
        monkeypatch.setattr(vitals, "LEAST_FREE", 2**62)

        assert "disk" in codes(folder)

    @pytest.mark.parametrize(
        ("topic", "wrong"),
        [
            (TopicRead(NOW, NOW, NOW), []),
            (TopicRead(NOW + timedelta(seconds=4), NOW, NOW), []),
            (TopicRead(NOW + timedelta(seconds=60), NOW, NOW), ["clock_skew"]),
            (TopicRead(NOW, NOW + timedelta(minutes=2), NOW), ["clock_skew"]),
            (TopicRead(NOW, NOW - timedelta(minutes=2), NOW), ["clock_skew"]),
            (TopicRead(NOW, NOW, NOW, stale=True), ["directory_stale"]),
            (TopicRead(), []),
        ],
    )
    def test_clocks_and_directory(self, topic: TopicRead, wrong: list[str]) -> None:
        """Clocks are compared by the broker's time of the newest record, the directory by the time of its newest head."""
        assert [each.code for each in of_clocks(topic, NOW)] == wrong

    @pytest.mark.parametrize(("admitters", "told"), [(2, True), (3, False), (None, False)])
    def test_a_list_of_two_admitters_is_noted(self, admitters: int | None, told: bool) -> None:  # noqa: FBT001 - a column
        """Given two admitters, of whom nobody could replace a lost key, then a note names the command that adds a third; a bus for playing has none."""
        found = list(of_admitters(TopicRead(admitters=admitters)))
        assert [(each.code, each.serious) for each in found] == [("admitters_two", False)] * told
        assert all("nrmbus admitter add NAME --key KEY" in each.mend for each in found)

    def test_a_sealing_key_near_its_end_is_found_with_the_command(self, tmp_path: Path) -> None:
        """The key is found before and after letters stop to reach the agency; a person's command replaces it."""
        soon = Ending("ngo-a", NOW + timedelta(days=3), "sealing_key_old")
        over = Ending("vac", NOW - timedelta(days=3), "sealing_key_over")
        service = Ending("timekeeper", NOW, "sealing_key_over")
        found = list(of_sealing_keys(BusFolder(tmp_path), TopicRead(ending=(soon, over, service)), NOW))
        assert [each.code for each in found] == ["sealing_key"] * 3
        assert [each.mend for each in found] == ["nrmbus agency rotate ngo-a", "nrmbus agency rotate vac", "nrmbus up"]
        assert "ends on 2026-03-05" in found[0].what
        assert "has ended" in found[1].what
        assert all(each.serious for each in found)

    def test_the_exit_status_shows_faults(self, folder: BusFolder, key_file: Path) -> None:
        """The exit status is 1 while something is wrong, and 0 when all is fixed; a program gets one object."""
        shown = CliRunner().invoke(app, ["doctor", "--json", "--data", str(folder.path)])
        assert shown.exit_code == 1
        assert json.loads(shown.output)["well"] is False

        assert CliRunner().invoke(app, ["keys", "protect", "--data", str(folder.path)]).exit_code == 0
        shown = CliRunner().invoke(app, ["doctor", "--data", str(folder.path)])
        assert shown.exit_code == 0
        assert "Nothing is wrong" not in shown.output, "desks were not asked, since the bus does not run"
        assert "No fault was found" in shown.output
        assert key_file.read_text().strip() not in shown.output


@pytest.mark.broker
async def test_on_a_bus_that_runs_clocks_and_directory_are_looked_at(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's newest head shows both clocks, which agree here: nothing is wrong.

    Four hours later without another head, the directory is stale.
    """
    folder = broker.fresh_bus()
    await admit(folder, {}, NOW)

    topic = await topic_faults.read_topic(folder, folder.as_operator)

    assert topic.newest is not None
    assert topic.head_appended is not None
    assert list(of_clocks(topic, datetime.now(UTC))) == []
    slow = datetime.now(UTC) - timedelta(minutes=1)
    assert [each.code for each in of_clocks(topic, slow)] == ["clock_skew"]

    monkeypatch.setattr(topic_faults, "wall_now", lambda: datetime.now(UTC) + timedelta(hours=4))
    later = await topic_faults.read_topic(folder, folder.as_operator)
    assert [each.code for each in of_clocks(later, datetime.now(UTC))] == ["directory_stale"]


@pytest.mark.broker
async def test_a_bus_started_late_changes_the_sealing_keys_of_its_own_services(broker: Broker) -> None:
    """Eleven weeks later the keys end soon: the doctor finds them, the next start replaces them, and a further start does nothing."""
    folder = broker.fresh_bus(play=False)
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=77)
    services = set(await admit(folder, {}, long_ago))
    before = (await topic_faults.read_topic(folder, folder.as_operator)).ending
    assert {each.agency for each in before} == services

    now = datetime.now(UTC).replace(microsecond=0)
    assert set(await admit(folder, {}, now)) == services
    assert (await topic_faults.read_topic(folder, folder.as_operator)).ending == ()
    assert await admit(folder, {}, now) == ()


def test_a_submission_in_quarantine_is_found_for_a_day() -> None:
    """Given records in quarantine, then those of the last day are a fault; an older one was seen by somebody."""
    old, new = NOW - timedelta(days=2), NOW - timedelta(hours=2)
    assert list(of_quarantine(TopicRead(quarantined=(old,)), NOW)) == []

    (found,) = of_quarantine(TopicRead(quarantined=(old, new)), NOW)
    assert (found.code, found.serious) == ("quarantine", True)


def test_a_desk_of_an_agencys_machine_that_does_not_run_is_found(folder: BusFolder) -> None:
    """Given a joined folder, then a stopped desk is a fault, unless it runs, or its agency is closed."""
    assert list(of_stopped(folder, ())) == [], "the operator's desks are asked"
    (folder.keys / "operator.seed").rename(folder.keys / "operator.pub")

    assert [each.code for each in of_stopped(folder, ())] == ["stopped"]
    assert list(of_stopped(folder, {"ngo-a"})) == []
    with folder.alone("ngo-a"):
        assert list(of_stopped(folder, ())) == []


def test_a_slip_in_the_name_of_a_setting_is_found(folder: BusFolder) -> None:
    """Given a setting of the mail server under a name that no release reads, then it is found, and the name is not repeated."""
    home = folder.agency("ngo-a")
    right = json.loads(home.agency_json.read_bytes()) | {"supervisor": "authority", "smtp": {}, "public": {}}
    write_json(home.agency_json, right)
    assert "setting_unread" not in codes(folder)

    write_json(home.agency_json, right | {"CANARY": {"host": "mail.example.org"}, "Reader": "a-1"})

    (found,) = [str(each) for each in folder_faults.findings(folder, NOW) if each.code == "setting_unread"]
    assert "2 members" in found
    assert "reader, port" in found
    assert "CANARY" not in found


def test_a_public_page_that_does_not_run_is_found(folder: BusFolder) -> None:
    """Given an agency with a public page on its own machine, then the stopped page is a fault with its command, unless the agency is closed."""
    (folder.keys / "operator.seed").rename(folder.keys / "operator.pub")
    body = json.loads(folder.agency("ngo-a").agency_json.read_bytes())
    write_json(folder.agency("ngo-a").agency_json, {**body, "public": PUBLIC})

    with folder.alone("ngo-a"):
        (found,) = of_stopped(folder, ())
        assert (found.code, found.what) == ("stopped", "The public page of ngo-a does not run.")
        assert found.mend == f"nrmbus run public ngo-a --data '{folder.path}'"
        assert list(of_stopped(folder, {"ngo-a"})) == []
        with folder.alone("public.ngo-a"):
            assert list(of_stopped(folder, ())) == []


def test_what_nobody_runs_on_anothers_cluster_is_found(tmp_path: Path) -> None:
    """Given Kafka elsewhere, then a service or a desk that neither ``nrmbus up`` nor ``nrmbus run`` runs is a fault, unless its agency is closed."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka.example.org:9093", tls=True)
    write_json(folder.agency("ngo-a").agency_json, {})
    found = list(of_stopped(folder, ()))
    assert [each.what.split()[-4] for each in found] == ["ngo-a", "registrar", "timekeeper", "auditor"]
    assert {each.mend for each in found} == {f"nrmbus up --data '{tmp_path}'"}

    with folder.alone("registrar"), folder.alone("timekeeper"):
        (auditor,) = of_stopped(folder, {"ngo-a"})
        Authority(folder).suspend("ngo-a")
        assert list(of_stopped(folder, ())) == [auditor]
    assert (auditor.code, auditor.serious, auditor.mend) == ("stopped", True, f"nrmbus run auditor --data '{tmp_path}'")
    with folder.held():
        assert list(of_stopped(folder, ())) == [], "nrmbus up is asked"
