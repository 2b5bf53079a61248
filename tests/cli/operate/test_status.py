"""``nrmbus status`` shows on one screen who is up, behind or silent, and which keys and certificates end soon.

The exit status says whether all is well.
"""

import asyncio
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nrmbus.bus import vitals
from nrmbus.bus.errors import KafkaFailed, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import write_json
from nrmbus.cli import health
from nrmbus.cli.operate import faults, status
from nrmbus.cli.operate.service_faults import of_services
from nrmbus.cli.operate.status import Status, look, shown

NOBODY = 2**22 + 1
"""Number of a process that no system gives."""
READY = {"ready": True, "lag": 0, "outbox_open": 0, "tasks": 0, "parked": 0, "sealing_key": None}
PEER = {
    "agency": "ngo-b",
    "suspended": False,
    "connected": ["192.0.2.7"],
    "certificate_ends": "2999-01-01T00:00:00+00:00",
}
AUDITOR = {
    **READY,
    "numbers": {"0": 24, "1": 6},
    "signed": {"0": 14, "1": 6},
    "cosigned": {"0": {"size": 14, "witnesses": 8}, "1": {"size": 5, "witnesses": 7}},
}


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Status]:
    """Looks at a bus in plain text that runs here, whose services and agencies elsewhere answer as given."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka:9092", tls=False)

    def made(
        healths: Mapping[str, Any], *peers: Mapping[str, Any], running: bool = True, brokers: tuple[int, int] = (1, 1)
    ) -> Status:
        async def answered(_: BusFolder) -> Mapping[str, Any]:
            return healths

        monkeypatch.setattr(health, "ask_all", answered)
        monkeypatch.setattr(status, "peers_of", lambda _: list(peers))
        monkeypatch.setattr(status, "hosts_of", lambda _: ())
        monkeypatch.setattr(status, "brokers_of", lambda _: brokers)
        if not running:
            return look(folder)
        with folder.held():
            return look(folder)

    return made


class TestReady:
    """`nrmbus status --ready` is for a health check: it says whether the services of one machine move."""

    def ready(self, folder: BusFolder, monkeypatch: pytest.MonkeyPatch, **healths: Any) -> tuple[int, str]:
        """Return exit status and output where a desk and its neighbour answer so."""

        async def answered(_: BusFolder) -> Mapping[str, Any]:
            return healths

        monkeypatch.setattr(health, "ask_all", answered)
        done = CliRunner().invoke(status.app, ["--ready", "--data", str(folder.path)])
        return done.exit_code, done.output

    def test_what_moves_is_ready(self, desk: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a desk that answers and moves, then there is no word, although its certificate ends tomorrow."""
        assert self.ready(desk, monkeypatch, **{"ngo-b": READY}) == (0, "")

    def test_what_stands_still_or_is_silent_is_not(self, desk: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a desk that stands still at a record, or does not answer, then it is named with the reason."""
        stuck = self.ready(desk, monkeypatch, **{"ngo-b": {**READY, "ready": False, "lag": 7}})
        silent = self.ready(desk, monkeypatch, **{"ngo-b": None})

        assert stuck == (1, "ngo-b is not ready. It has 7 records of its inbox still to read.\n")
        assert silent == (1, "ngo-b is not ready. It does not answer.\n")

    def test_where_nothing_runs_nothing_is_ready(self, desk: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a folder in which no service runs, then that is no health."""
        monkeypatch.setattr(health, "expected", lambda _: ())

        code, said = self.ready(desk, monkeypatch)
        assert code == 1
        assert said.startswith("No service of nrmbus runs")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BusFolder:
    """Return the folder of a machine on which one desk must run; the desk's certificate ends tomorrow."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka:9092", tls=False)
    monkeypatch.setattr(health, "expected", lambda _: ("ngo-b",))
    monkeypatch.setattr(status, "ends", lambda _: datetime.now(UTC) + timedelta(days=1))
    return folder


def screen(found: Status) -> str:
    """Return what a person sees on a terminal of 100 columns, without colours."""
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(shown(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_is_well(looked: Callable[..., Status]) -> None:
    """Given a bus whose services are ready, then the screen says so, and how far the history is signed and co-signed."""
    found = looked({"registrar": READY, "auditor": AUDITOR, "ngo-a": {**READY, "tasks": 3}}, PEER)

    assert found.well
    seen = screen(found)
    assert "3 of 3 ready" in seen
    assert "30 registered, 20 under a checkpoint, 19 co-signed by 8 witnesses" in seen
    assert "connected from 192.0.2.7" in seen
    assert json.dumps([each.name for each in found.services]) == '["registrar", "auditor", "ngo-a"]'


def test_a_folder_with_brackets_in_its_name_is_shown_whole(looked: Callable[..., Status]) -> None:
    """Given a folder whose name looks like a colour of the terminal, then the screen has it, to be copied from there."""
    assert "/srv/bus [old]/a, " in screen(replace(looked({"registrar": READY}), folder="/srv/bus [old]/a"))


@pytest.mark.parametrize(
    ("health_of_one", "state", "remark"),
    [
        (None, "away", "It does not answer."),
        ({**READY, "ready": False, "lag": 7}, "not ready", "It has 7 records of its inbox still to read."),
        ({**READY, "ready": False, "trouble": "inbox_gap"}, "not ready", "deliver"),
    ],
)
def test_who_is_not_ready_is_named_with_the_reason(
    looked: Callable[..., Status], health_of_one: Mapping[str, Any] | None, state: str, remark: str
) -> None:
    """Given one service that is away or behind, then its row stands out, and all is not well."""
    found = looked({"registrar": READY, "ngo-a": health_of_one})

    assert not found.well
    assert (found.services[1].state, remark in found.services[1].remark) == (state, True)
    assert "1 of 2 ready" in screen(found)


@pytest.mark.parametrize(
    ("health_of_one", "remark"),
    [
        ({**READY, "open_tasks": ["ledger_older"]}, "It began with an older copy of its ledger"),
        ({"ready": True, "standby": "The desk of ngo-a runs already: host b."}, "runs already: host b"),
    ],
)
def test_what_a_person_should_know_of_a_ready_desk_is_said(
    looked: Callable[..., Status], health_of_one: Mapping[str, Any], remark: str
) -> None:
    """Given a desk that began with an older copy, or stands by for another host, then it is well, and the screen says so."""
    found = looked({"ngo-a": health_of_one})

    assert found.well
    assert remark in found.services[0].remark


class TestOnAnAgencysMachine:
    """The operator is elsewhere, and the command has no key: the desk knows whether it hears the bus."""

    @pytest.fixture
    def asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Status]:
        """Look at an agency's machine whose desk answers as given, or leaves that to the real question."""
        folder = BusFolder(tmp_path)
        folder.create(bootstrap="kafka:9092", tls=False)
        (tmp_path / "keys").mkdir(exist_ok=True)
        (tmp_path / "keys" / "operator.pub").write_bytes(b"of another machine")
        monkeypatch.setattr(health, "expected", lambda _: ("ngo-b",))

        def made(answer: Mapping[str, Any] | None = None) -> Status:
            async def answered(_: BusFolder) -> Mapping[str, Any]:
                return {"ngo-b": answer}

            if answer is not None:
                monkeypatch.setattr(health, "ask_all", answered)
            return look(folder)

        return made

    def test_a_desk_that_hears_the_bus_says_so(self, asked: Callable[..., Status]) -> None:
        """Given an answer of Kafka two seconds ago, then all is well, and the line of Kafka says it."""
        found = asked({**READY, "silent": 1.7})
        assert found.well
        assert "kafka:9092, answered within the last 2 seconds" in screen(found)

    def test_an_answer_that_is_late_is_told_before_it_is_a_fault(self, asked: Callable[..., Status]) -> None:
        """Given seven seconds without an answer, then the screen says so, and the exit status leaves a slow machine alone."""
        found = asked({**READY, "silent": 7.4})
        assert found.well
        assert "kafka:9092, last answer 7 seconds ago, and one is due every 2 seconds" in screen(found)

    def test_a_silence_is_told_before_the_desk_is_not_ready(self, asked: Callable[..., Status]) -> None:
        """Given half a minute without an answer, then the desk may still be ready, and the screen says since when, and what to do."""
        found = asked({**READY, "silent": 30.4})
        assert not found.well
        (fault,) = found.faults
        assert "Kafka has not answered ngo-b for 30 seconds, since 20" in fault
        assert "nrmbus check --data" in fault
        assert "answered within" not in screen(found)

    def test_a_long_silence_is_the_reason_why_it_is_not_ready(self, asked: Callable[..., Status]) -> None:
        """Given hours without a line, then neither the lag, which nobody knows, nor the directory, which nobody can read, is named first."""
        for known in ({"lag": None}, {"lag": None, "held_up": "directory_stale"}, {"lag": 4}):
            found = asked({**READY, "ready": False, "silent": 7_260.0, **known})
            assert not found.well
            assert "Kafka has not answered it for 121 minutes, since 20" in found.services[0].remark
            assert not found.faults, "once is enough"

    def test_a_desk_that_began_without_a_line_waits_and_is_not_away(
        self, asked: Callable[..., Status], tmp_path: Path
    ) -> None:
        """Given a desk that Kafka never answered, then the door is closed, and a mark tells why and since when."""
        assert asked().services[0].state == "away"

        BusFolder(tmp_path).unanswered_marker("ngo-b").write("Kafka does not answer. The desk tries again.")
        found = asked()
        assert "answered within" not in screen(found)
        (desk,) = found.services
        assert desk.state == "not ready"
        assert desk.remark.startswith(
            "Kafka does not answer. The desk tries again. It has tried for 0 seconds, since 20"
        )

    def test_where_nothing_runs_nothing_is_well(
        self, asked: Callable[..., Status], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given an agency's machine, or a standby host, on which nothing runs, then the screen says so in red, with the command."""
        monkeypatch.setattr(health, "expected", lambda _: ())
        folder = BusFolder(tmp_path)
        assert (asked().well, asked().notes) == (False, (f"No desk runs here: nrmbus run AGENCY --data '{tmp_path}'",))

        write_json(folder.agency("ngo-b").agency_json, {})
        assert (asked().well, len(asked().faults), asked().notes) == (False, 1, ())
        folder.be_host("host-b")
        (folder.service("registrar") / "keys").mkdir(parents=True)
        found = asked()
        assert not found.well
        assert [each.split(" Mend: ")[0] for each in found.faults] == [
            "The desk of ngo-b does not run.",
            "The registrar does not run.",
        ]
        assert "not running" in screen(found)

    def test_a_standby_service_is_missed_beside_a_desk(self, asked: Callable[..., Status], tmp_path: Path) -> None:
        """Given a standby host whose desk runs, then a stopped service is a fault. An agency there may have left."""
        folder = BusFolder(tmp_path)
        folder.be_host("host-b")
        (folder.service("registrar") / "keys").mkdir(parents=True)
        write_json(folder.agency("ngo-c").agency_json, {})

        found = asked(READY)
        assert found.faults == (f"The registrar does not run. Mend: nrmbus run registrar --data '{tmp_path}'",)
        assert not found.well


def test_a_service_that_ends_again_and_again_is_failing(looked: Callable[..., Status], tmp_path: Path) -> None:
    """Given the supervisor's report, then the last line of the log is shown in place of "does not answer"."""
    write_json(
        tmp_path / "run" / "services.json", {"registrar": {"pid": None, "restarts": 4, "failing": "The disk is full."}}
    )
    (service,) = looked({"registrar": None}).services

    assert (service.state, service.restarts) == ("failing", 4)
    assert service.remark.endswith("The disk is full.")


@pytest.mark.parametrize(
    ("brokers", "of_brokers", "expected"),
    [
        (1, {"broker": {"pid": os.getpid(), "restarts": 0}}, []),
        (1, {"broker": {"pid": NOBODY, "restarts": 2}}, [("broker", "away", 2, "being started.")]),
        (1, {"broker": {"pid": None, "restarts": 5, "failing": "No space left"}}, [("broker", "failing", 5, "No space left")]),
        (3, {each: {"pid": os.getpid(), "restarts": 1} for each in ("broker.1", "broker.3")}, [("broker.2", "away", 0, "being started.")]),
    ],
    ids=["it runs", "it was killed", "its disk is full", "one of three"],
)  # fmt: skip
def test_a_broker_that_is_down_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brokers: int, of_brokers: dict[str, Any], expected: list[Any]
) -> None:
    """Given a bus with its own Kafka, then table and doctor name a broker that the supervisor does not keep up."""
    folder = BusFolder(tmp_path)
    folder.create(brokers=brokers)
    write_json(folder.run / "services.json", of_brokers | {"registrar": {"pid": 8, "restarts": 0}})

    async def answered(_: BusFolder) -> Mapping[str, Any]:
        return {"registrar": READY}

    monkeypatch.setattr(health, "ask_all", answered)
    monkeypatch.setattr(status, "peers_of", lambda _: [])
    monkeypatch.setattr(status, "hosts_of", lambda _: ())
    with folder.held():
        found = look(folder)
        faults = [each.what for each in of_services(folder, {"registrar": READY})]

    down = [each for each in found.services if each.name != "registrar"]
    assert [(each.name, each.state, each.restarts) for each in down] == [each[:3] for each in expected]
    assert all(each.remark.endswith(end) for each, (*_, end) in zip(down, expected, strict=True))
    assert [f"Kafka's process {each.name} is down" in what for each, what in zip(down, faults, strict=True)] == [
        True
    ] * len(down)
    assert all(f"{each.name}: {each.remark[:20]}" in screen(found) for each in down)


def test_a_broker_that_is_frozen_is_missed(looked: Callable[..., Status]) -> None:
    """Given a frozen broker among three, then a fault is shown, although the process runs and the bus goes on."""
    assert looked({"registrar": READY}, brokers=(3, 3)).well

    found = looked({"registrar": READY}, brokers=(2, 3))
    assert not found.well
    assert "Of 3 brokers of Kafka, 2 are there." in screen(found)


def test_what_ends_soon_is_said(looked: Callable[..., Status]) -> None:
    """Given a certificate elsewhere or a sealing key in its last days, then a line shows the remaining time."""
    soon = (datetime.now(UTC) + timedelta(days=3, hours=1)).isoformat()
    key = {"ends": soon, "sentence": "The sealing key ends soon: nrmbus agency rotate ngo-a"}
    token = {"token": "booking", "ends": soon, "sentence": "The token booking ends soon: nrmbus token add ngo-a NAME"}
    found = looked({"ngo-a": {**READY, "sealing_key": key, "token_ends": token}}, {**PEER, "certificate_ends": soon})

    assert found.ending == (
        "The certificate of ngo-b ends in 3 days.",
        "ngo-a: The sealing key ends soon: nrmbus agency rotate ngo-a",
        "ngo-a: The token booking ends soon: nrmbus token add ngo-a NAME",
    )
    assert not found.well
    assert looked({"ngo-a": READY}, {**PEER, "certificate_ends": soon, "suspended": True}).well, "it has no need of one"


def test_a_certificate_ends_soon_from_the_day_on_which_the_doctor_says_so(looked: Callable[..., Status]) -> None:
    """Given a certificate that is due for renewal, then nothing is shown until the alerts' limit is reached."""
    due, late = ((datetime.now(UTC) + faults.SOON + timedelta(hours=hours)).isoformat() for hours in (1, -1))

    assert looked({"ngo-a": READY}, {**PEER, "certificate_ends": due}).ending == ()
    assert looked({"ngo-a": READY}, {**PEER, "certificate_ends": late}).ending


def test_a_public_page_has_no_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hotline's page is a process without a broker: the screen lists the page as ready, without a certificate."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)

    async def answered(_: BusFolder) -> Mapping[str, Any]:
        return {"hotline": READY, "public.hotline": {"ready": True}}

    monkeypatch.setattr(health, "ask_all", answered)
    monkeypatch.setattr(status, "peers_of", lambda _: [])
    monkeypatch.setattr(status, "hosts_of", lambda _: ())
    with folder.held():
        found = look(folder)

    assert [(each.name, each.state) for each in found.services] == [("hotline", "ready"), ("public.hotline", "ready")]


def test_an_agency_that_is_silent_stands_out(looked: Callable[..., Status]) -> None:
    """Given a desk on another machine without a connection, then the desk is shown. Only its people know of a fault."""
    found = looked({"registrar": READY}, {**PEER, "connected": []})

    assert "not connected" in screen(found)
    assert found.well


@pytest.mark.parametrize(
    ("error", "well", "says"),
    [
        (KafkaFailed("no answer"), False, "Kafka does not answer, or refuses: the agencies elsewhere are not shown."),
        (KeysSealed("sealed"), True, "not shown: the operator's key needs its key file."),
    ],
)
def test_agencies_that_cannot_be_listed_are_no_silence(
    looked: Callable[..., Status],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
    well: bool,  # noqa: FBT001 - a case of the table
    says: str,
) -> None:
    """Given a broker that does not answer though every service is still ready, then all is not well; a key that stays closed is no fault."""
    looked({"registrar": READY})

    def refused(_: BusFolder) -> list[dict[str, Any]]:
        raise error

    monkeypatch.setattr(status, "peers_of", refused)
    folder = BusFolder(tmp_path)
    with folder.held():
        found = look(folder)

    assert found.elsewhere == ()
    assert found.well is well
    assert says in " ".join(screen(found).split())


def test_a_bus_that_does_not_run_is_one_sentence(looked: Callable[..., Status]) -> None:
    """Given a folder whose bus does not run, then the screen has the command to start the bus."""
    found = looked({}, running=False)

    assert not found.well
    assert "not running" in screen(found)
    assert found.notes[0].startswith("The bus is not running: nrmbus up --data")


def test_services_that_were_started_one_by_one_are_a_bus_that_runs(
    looked: Callable[..., Status], tmp_path: Path
) -> None:
    """Given Kafka elsewhere and services from ``nrmbus run``, then the bus runs, and a missing service is a fault."""
    folder, names = BusFolder(tmp_path), ("registrar", "timekeeper", "auditor")
    with ExitStack() as started:
        for each in names[:2]:
            started.enter_context(folder.alone(each))
        found = looked(dict.fromkeys(names[:2], READY), PEER, running=False)
        assert (found.running, found.well, found.notes, len(found.elsewhere)) == (True, False, (), 1)
        assert found.faults == (f"The auditor does not run. Mend: nrmbus run auditor --data '{tmp_path}'",)
        started.enter_context(folder.alone("auditor"))
        assert looked(dict.fromkeys(names, READY), running=False).well


def test_a_stopped_desk_of_the_operators_machine_is_a_fault_beside_services_that_answer(
    looked: Callable[..., Status], tmp_path: Path
) -> None:
    """Given Kafka elsewhere, and the bus's services that ``nrmbus run`` started, when a desk of this machine does not run, then all is not well."""
    folder, names = BusFolder(tmp_path), ("registrar", "timekeeper", "auditor")
    write_json(folder.agency("ngo-a").agency_json, {})
    with ExitStack() as started:
        for each in names:
            started.enter_context(folder.alone(each))
        found = looked(dict.fromkeys(names, READY), running=False)
        assert not found.well
        assert found.faults == (f"The desk of ngo-a does not run. Mend: nrmbus run ngo-a --data '{tmp_path}'",)
        started.enter_context(folder.alone("ngo-a"))
        assert looked(dict.fromkeys((*names, "ngo-a"), READY), running=False).well


def test_nobody_waits_for_the_desk_of_a_suspended_agency_without_tls(
    looked: Callable[..., Status], tmp_path: Path
) -> None:
    """Given Kafka elsewhere in plain text, and an agency of this machine that is suspended or has left, then its stopped desk is no fault."""
    folder, names = BusFolder(tmp_path), ("registrar", "timekeeper", "auditor")
    write_json(folder.agency("ngo-a").agency_json, {})
    Authority(folder).suspend("ngo-a")
    with ExitStack() as started:
        for each in names:
            started.enter_context(folder.alone(each))
        found = looked(dict.fromkeys(names, READY), running=False)
    assert (found.faults, found.well) == ((), True)


@pytest.mark.parametrize(
    ("runs", "stopped"),
    [
        ("ngo-a", "The public page of ngo-a does not run. Mend: nrmbus run public ngo-a"),
        ("public.ngo-a", "The desk of ngo-a does not run. Mend: nrmbus run ngo-a"),
    ],
)
def test_of_an_agency_that_runs_its_page_and_its_desk_are_missed(
    looked: Callable[..., Status], tmp_path: Path, runs: str, stopped: str
) -> None:
    """Given an agency's desk and public page, when either does not run, then a fault is shown.

    An agency that has left runs neither.
    """
    folder = BusFolder(tmp_path)
    folder.keys.mkdir(exist_ok=True)
    (folder.keys / "operator.pub").write_bytes(b"of another machine")
    public = {"name": {"az": "a", "en": "e", "ru": "r"}, "run_by": "ngo", "phone": "1", "port": 8480}
    for agency in ("ngo-a", "ngo-left"):
        write_json(folder.agency(agency).agency_json, {"public": public})

    with folder.alone(runs):
        assert looked({runs: READY}, running=False).faults == (f"{stopped} --data '{tmp_path}'",)


def test_nobody_waits_for_who_is_suspended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a suspended agency of this machine, then it is shown as such and counts as no fault."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    write_json(folder.agency("ngo-a").agency_json, {})
    monkeypatch.setattr(health, "suspended", lambda _: frozenset({"ngo-a"}))

    assert [(each.name, each.state) for each in status._services(folder, {})] == [("ngo-a", "suspended")]
    assert asyncio.run(health.ask_all(folder)) == {}


def test_a_number_past_its_limit_is_a_fault_on_the_screen(
    looked: Callable[..., Status], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given ready services with numbers past their limits, then all is not well, and each number has a command."""
    shown = {
        "nrmbus_outbox_oldest_seconds": 3700.0,
        "nrmbus_letters_unopened": 4.0,
        "nrmbus_certificate_left_seconds": 864_000.0,
    }
    beside = {"nrmbus_checkpoint_age_seconds": 61.0, "nrmbus_clocks_overdue": 2.0}
    found = looked({"auditor": {**AUDITOR, "shown": beside}, "ngo-a": {**READY, "shown": shown}})

    assert not found.well
    assert (found.services[1].unopened, found.services[1].days) == (4, 10)
    seen = " ".join(screen(found).split())
    assert "The oldest event of ngo-a has had no answer for 1 h 1 min. Mend: nrmbus check" in seen
    assert "newest checkpoint 61 s ago, 2 duties overdue" in seen
    monkeypatch.setattr(vitals, "LEAST_FREE", 2**62)
    assert "MiB are free on the disk. Mend:" in screen(looked({"ngo-a": READY}))


def test_the_age_of_the_canary_is_on_the_screen(looked: Callable[..., Status]) -> None:
    """Given a bus with a canary, then one line says how old the newest test hand-over is."""
    seen = screen(looked({"canary": {**READY, "canary_age": 12.4}}))

    assert "the newest test hand-over that came back was sent 12 s ago" in seen
