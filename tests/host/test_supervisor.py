"""A bus that is up: who dies is started again, and when the supervisor goes, everybody does."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brokers import Broker
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.errors import FolderHeld, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import locked
from nrmbus.bus.reach import Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli import health
from nrmbus.directory.admission import Newcomer, admit, read_directory
from nrmbus.directory.heads import EVERY
from nrmbus.directory.operator_inbox import Outcome
from nrmbus.host import log_rotation, request_loop, supervisor
from nrmbus.host.service_state import LONGEST_PAUSE_SECONDS, Running
from nrmbus.host.supervisor import Supervisor
from patience import interruptible, lives, until


def status(folder: BusFolder) -> dict[str, dict[str, int]]:
    """Return the content of the status file."""
    try:
        found: dict[str, dict[str, int]] = json.loads((folder.run / "services.json").read_bytes())
    except FileNotFoundError:
        return {}
    return found


def pids(folder: BusFolder) -> set[int]:
    """Return the pids of all processes of a bus in the status file."""
    return {each["pid"] for each in status(folder).values()}


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Return the list of the bus's messages in this module, from its beginning."""
    return []


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Iterator[Supervisor]:
    """Yield a running bus for the tests of this module."""
    folder = BusFolder(tmp_path_factory.mktemp("up"))
    folder.create(play=True)
    with Supervisor(folder, notify=said.append) as supervisor:
        until(
            "its services run",
            lambda: status(folder).keys() >= {"broker", "registrar", "timekeeper", "auditor"},
        )
        yield supervisor


@pytest.mark.broker
@pytest.mark.parametrize(
    "service", ["registrar", *(pytest.param(each, marks=pytest.mark.slow) for each in ("timekeeper", "auditor"))]
)
def test_a_killed_service_is_started_at_once(up: Supervisor, service: str) -> None:
    """The restart is automatic and counted; `make bench` measures its duration."""
    before = status(up.folder)[service]
    up.kill(service)

    until("it has another pid", lambda: status(up.folder)[service]["pid"] != before["pid"])
    assert status(up.folder)[service]["restarts"] == before["restarts"] + 1
    assert lives(status(up.folder)[service]["pid"])


@pytest.mark.broker
@pytest.mark.parametrize("service", ["auditor", pytest.param("broker", marks=pytest.mark.slow)])
def test_a_service_with_a_due_certificate_gets_another_and_restarts(up: Supervisor, service: str) -> None:
    """Renewal needs no person: the service's connections, and the broker, then carry the new certificate."""
    before, tls = status(up.folder)[service]["pid"], Tls(up.folder.service(service))
    if service == "broker":
        tls.certificate.unlink()
    else:  # a good one, in the last third of its life
        short = Authority(up.folder).issue(service, certificate.request(tls), life=timedelta(minutes=1))
        certificate.keep(tls, short, tls.ca.read_bytes())
    assert certificate.is_due(tls, certificate.now())

    up.look_at_certificates()
    until("it has another pid", lambda: status(up.folder)[service]["pid"] != before)
    assert not certificate.is_due(tls, certificate.now())
    until("the rights are the declared ones", lambda: Gate(up.folder).check() == ())


@pytest.mark.broker
def test_a_log_that_is_full_is_emptied_while_its_service_runs(up: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest lines of a full log are kept."""
    log = up.folder.logs / "registrar.log"
    before = log.stat().st_size
    monkeypatch.setattr(log_rotation, "FULL", before)

    up.look_at_certificates()
    until("it is emptied", lambda: log.stat().st_size < before)
    assert log.with_name("registrar.log.1").stat().st_size >= before


@pytest.mark.broker
def test_the_directorys_head_is_signed_when_it_is_due(up: Supervisor) -> None:
    """The head is signed again after an hour, without a person or a timer."""

    def signed() -> datetime:
        head = asyncio.run(read_directory(up.folder)).head
        assert head is not None
        return head.time

    before = signed()
    until("a later second has come", lambda: wall_now() > before)  # heads are dated to the second
    up._head_due = 0.0  # as if the hour were over
    until("another head is there", lambda: signed() > before)
    assert EVERY.total_seconds() - 60 < up._head_due - time.monotonic() <= EVERY.total_seconds() == 3600


@pytest.mark.slow
@pytest.mark.broker
def test_a_killed_broker_comes_back_where_it_was(up: Supervisor) -> None:
    """Clients reconnect automatically: no other service is restarted."""
    until("every service has Kafka", lambda: not health.not_ready(up.folder))
    before, where = status(up.folder), up.folder.bootstrap
    up.kill("broker")

    until("it has another pid", lambda: status(up.folder)["broker"]["pid"] != before["broker"]["pid"])
    assert up.folder.bootstrap == where
    until("every service has Kafka again", lambda: not health.not_ready(up.folder))
    after = status(up.folder)
    assert lives(after["broker"]["pid"])
    assert {name for name in before if after[name]["pid"] != before[name]["pid"]} == {"broker"}


@pytest.mark.broker
def test_a_new_agencys_desk_is_started(up: Supervisor) -> None:
    """Admission writes its file, and nobody has to be told."""
    asyncio.run(admit(up.folder, {"ngo-a": Newcomer("ngo_outreach")}, BEFORE_ANY_TICK))

    until("its desk runs", lambda: "ngo-a" in status(up.folder))
    assert lives(status(up.folder)["ngo-a"]["pid"])
    until("its desk has a door", up.folder.agency("ngo-a").door.exists)


@pytest.mark.slow
@pytest.mark.broker
def test_a_desk_that_cannot_start_is_reported_as_failing(up: Supervisor, said: list[str]) -> None:
    """The failure is reported once, with the last line of its log, and is in the status file as long as it lasts."""
    agency = up.folder.agency("ngo-f")
    asyncio.run(admit(up.folder, {"ngo-f": Newcomer("ngo_outreach")}, BEFORE_ANY_TICK))
    good = agency.agency_json.read_bytes()
    agency.agency_json.write_text(json.dumps(json.loads(good) | {"reader": "nobody"}))
    with suppress(NoBus):  # the process may have ended already
        up.kill("ngo-f")

    until("it is failing", lambda: "ngo-f" in health.failing(up.folder))
    told = [line for line in said if line.startswith("ngo-f is failing: it ended 5 times in a minute.")]
    assert len(told) == 1
    assert "The desk of ngo-f does not start: `reader` in agency.json is not a staff number" in told[0]
    assert health.failing(up.folder)["ngo-f"] in told[0]
    agency.agency_json.write_bytes(good)
    until("it runs again", lambda: "ngo-f" not in health.not_ready(up.folder))
    assert lives(status(up.folder)["ngo-f"]["pid"])


@pytest.mark.slow
@pytest.mark.broker
def test_the_desk_of_who_is_suspended_stands_still_until_it_is_admitted_again(
    up: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker refuses the desk of a suspended agency, so the desk would end and restart for ever."""
    asyncio.run(admit(up.folder, {"ngo-a": Newcomer("ngo_outreach")}, BEFORE_ANY_TICK))
    until("its desk runs", lambda: "ngo-a" in status(up.folder))
    gate = Gate(up.folder)
    gate.suspend("ngo-a")
    with suppress(NoBus):  # the process may have ended already
        up.kill("ngo-a")

    until("it has ended", lambda: "ngo-a" not in status(up.folder))
    looked: list[frozenset[str]] = []
    suspended: Any = vars(Gate)["suspended"]

    def seen(gate: Gate) -> frozenset[str]:
        looked.append(suspended.fget(gate))
        return looked[-1]

    monkeypatch.setattr(Gate, "suspended", property(seen))
    begun, begin = list[str](), Supervisor._begin

    def noted(supervisor: Supervisor, service: Running) -> None:
        begun.append(service.name)
        begin(supervisor, service)

    monkeypatch.setattr(Supervisor, "_begin", noted)
    until("it was looked at again, and again", lambda: len([each for each in looked if "ngo-a" in each]) > 1)
    assert "ngo-a" not in {*begun, *status(up.folder)}
    gate.admit_again("ngo-a")
    until("its desk runs again", lambda: "ngo-a" in status(up.folder))


@pytest.mark.broker
def test_a_second_instance_is_refused_with_the_holder(up: Supervisor) -> None:
    """The first instance is not disturbed."""
    before = pids(up.folder)

    with (
        pytest.raises(FolderHeld, match=f"is held by process {os.getpid()} since"),
        Supervisor(BusFolder(up.folder.path)),
    ):
        pass
    assert pids(up.folder) == before
    assert all(map(lives, before))


@pytest.mark.broker
def test_killing_a_missing_service_is_reported(up: Supervisor) -> None:
    """The message lists the running services."""
    with pytest.raises(NoBus, match=r"there are auditor, broker, .*registrar, timekeeper"):
        up.kill("coordinator")


@pytest.mark.broker
def test_every_service_has_a_log_of_its_own(up: Supervisor) -> None:
    """Only the owner may read a log."""
    for service in ("broker", "registrar", "timekeeper", "auditor"):
        assert (up.folder.logs / f"{service}.log").stat().st_mode & 0o077 == 0


@contextmanager
def commanded(folder: BusFolder, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Yield the process of ``nrmbus up``, started as by a person, once the bus is up."""
    argv = [sys.executable, "-c", "from nrmbus.cli import main; main()", "up", "--play", "--data", str(folder.path)]
    with (
        interruptible(),
        subprocess.Popen([*argv, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "is up: folder" in line:
                break
        else:
            pytest.fail(f"it ended before it was up: {lines}")
        assert any("its private keys are unprotected" in each for each in lines)
        assert health.not_ready(folder) == {}
        yield process
        process.kill()


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> BusFolder:
    """Return the folder of a bus that is started again for each test, however the test before ended it."""
    return BusFolder(tmp_path_factory.mktemp("at-home"))


@pytest.fixture
def command(at_home: BusFolder) -> Iterator[tuple[subprocess.Popen[str], BusFolder]]:
    """Yield the process of ``nrmbus up`` with its own broker."""
    with commanded(at_home) as process:
        yield process, at_home


def ends_cleanly(process: subprocess.Popen[str], folder: BusFolder, told: signal.Signals) -> None:
    """Send *told*: the exit status is 0, no process is left, and the folder is free."""
    running = pids(folder)
    process.send_signal(told)

    until("it ends", lambda: process.poll() is not None)
    assert process.returncode == 0
    assert not any(map(lives, running))
    assert not folder.is_held
    assert status(folder) == {}


@pytest.mark.slow
@pytest.mark.broker
def test_on_a_cluster_that_is_there_no_broker_is_started(broker: Broker, tmp_path: Path) -> None:
    """With ``--bootstrap`` everything else is the same, Ctrl-C ends it cleanly, and the cluster is left unchanged."""
    broker.fresh_bus()
    folder = BusFolder(tmp_path / "bus")

    with commanded(folder, "--bootstrap", broker.bootstrap, "--plaintext") as process:
        assert status(folder).keys() == {"registrar", "timekeeper", "auditor"}
        assert folder.bootstrap == broker.bootstrap
        ends_cleanly(process, folder, signal.SIGINT)
    assert lives(broker.kafka.pid or 0)


@pytest.mark.slow
@pytest.mark.broker
def test_kill_9_of_the_supervisor_leaves_nobody(command: tuple[subprocess.Popen[str], BusFolder]) -> None:
    """No broker and no service is left; the next start finds a free folder (the next test does)."""
    process, folder = command
    running = pids(folder)
    process.send_signal(signal.SIGKILL)

    until("all are gone", lambda: not any(map(lives, running)))
    assert not folder.is_held


@pytest.mark.slow
@pytest.mark.broker
def test_a_signal_ends_it_cleanly(command: tuple[subprocess.Popen[str], BusFolder]) -> None:
    """After SIGTERM the broker and every service are gone, and the exit status is 0."""
    process, folder = command
    ends_cleanly(process, folder, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.broker
def test_a_service_that_does_not_listen_is_ended_too(command: tuple[subprocess.Popen[str], BusFolder]) -> None:
    """Frozen services and a frozen broker delay nobody."""
    process, folder = command
    running = pids(folder)
    for pid in running:
        os.kill(pid, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)

    until("it ends", lambda: process.poll() is not None)
    until("all are gone", lambda: not any(map(lives, running)))


def test_a_bus_goes_on_when_requests_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error and a skipped request are reported once and retried; completed requests are reported."""
    said: list[str] = []
    passes: list[Exception | tuple[Outcome, ...]] = [
        RuntimeError("CANARY"),
        RuntimeError("CANARY"),
        (Outcome("ngo-a", "request_invalid"), Outcome("ngo-b")),
        (Outcome("ngo-a", "request_invalid"),),
    ]
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    running = request_loop.Answering(folder, said.append)

    async def answers(_folder: BusFolder) -> tuple[Outcome, ...]:
        found = passes.pop(0)
        if not passes:
            running._ended.set()
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(request_loop, "answer", answers)
    monkeypatch.setattr(request_loop, "REQUESTS_SECONDS", 0.0)
    running._answer()

    assert said == [
        "Requests of agencies could not be answered (RuntimeError); it is tried again.",
        "ngo-b has asked for another certificate, and has it.",
        "A request in the topic of ngo-a was passed over: request_invalid.",
    ]


def test_a_broker_that_goes_away_during_a_look_holds_up_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a head that is never signed, since the broker went away meanwhile, then services are started all the same, and the bus ends."""
    said, begun = list[str](), list[str]()
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    running = Supervisor(folder, notify=said.append)
    running._services["registrar"] = Running("registrar")

    async def never(_folder: BusFolder) -> None:
        await asyncio.Event().wait()

    def begin(service: Running) -> None:
        service.begin()
        begun.append(service.name)

    monkeypatch.setattr(supervisor, "sign_head", never)
    monkeypatch.setattr(supervisor, "BROKER_SECONDS", 0.01)
    monkeypatch.setattr(running, "_begin", begin)
    running._thread = threading.Thread(target=running._watch, daemon=True)
    running._thread.start()
    until("the registrar is started", lambda: begun == ["registrar"])
    running.stop()

    assert said[0] == "The directory's head could not be signed (TimeoutError); it is tried again."


def test_a_lock_that_another_process_holds_holds_up_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given another command that holds the lock for numbering, when a head is due, then the watching thread goes on after its limit."""
    said: list[str] = []
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    monkeypatch.setattr(supervisor, "BROKER_SECONDS", 0.01)
    signing = threading.Thread(target=Supervisor(folder, notify=said.append)._sign_head, args=(0.0,), daemon=True)
    with locked(folder.run / "admitting"):
        signing.start()
        until("the thread goes on", lambda: not signing.is_alive())

    assert said == ["The directory's head could not be signed (TimeoutError); it is tried again."]


def test_an_answer_that_hangs_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a pass that never ends, since the broker has moved meanwhile, then the next pass is made."""
    said: list[str] = []
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    running = request_loop.Answering(folder, said.append)

    async def answers(_folder: BusFolder) -> tuple[Outcome, ...]:
        if not said:
            await asyncio.Event().wait()
        running._ended.set()
        return (Outcome("ngo-b"),)

    monkeypatch.setattr(request_loop, "answer", answers)
    monkeypatch.setattr(request_loop, "REQUESTS_SECONDS", 0.0)
    monkeypatch.setattr(request_loop, "ANSWER_SECONDS", 0.01, raising=False)
    running.start()
    until("the next pass is made", lambda: len(said) > 1)

    assert said[0] == "Requests of agencies could not be answered (TimeoutError); it is tried again."


def test_a_service_that_cannot_start_is_given_time() -> None:
    """After quick first restarts the pauses grow, so that a broken service does not use up the machine."""
    service = Running("registrar")
    pauses = []
    for _ in range(10):
        service.begin()
        pauses.append(service.pause(service.started + 0.1))

    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[2] > 0.0
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    service.begin()
    assert service.pause(service.started + 60) == 0.0


def test_five_ends_in_a_minute_are_a_failure_and_five_in_more_are_not() -> None:
    """The time of each end counts, however long the service lived in between; a minute of life ends the failure."""
    quick, slow = Running("registrar"), Running("auditor")

    assert [quick.fails(at) for at in (0, 15, 30, 45, 60)] == [False] * 4 + [True]
    assert not any(slow.fails(at) for at in range(0, 600, 16))
    quick.failing = "it says why"
    quick.begin()
    assert not quick.has_recovered(quick.started + 59)
    assert quick.has_recovered(quick.started + 61)
