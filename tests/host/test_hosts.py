"""Registrar, timekeeper and auditor on a second machine, which takes over by Kafka alone.

The operator admits the machine, and can revoke the admission.
"""

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from forked import Forked, service
from nrmbus.auditor.history.whole import audited
from nrmbus.auditor.log.publisher import published
from nrmbus.bus.clock import WallClock
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, clock_check
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.cli import health
from nrmbus.cli.hosts import hosts_of
from nrmbus.cli.membership import invitation, standby
from nrmbus.client.door import SHORTEST_PAUSE, Door
from nrmbus.client.errors import DoorError
from nrmbus.directory import DirectoryError, renewal
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.directory.commands import read_as
from nrmbus.directory.operator_inbox import answer
from nrmbus.directory.standby import Standby
from nrmbus.host import services
from nrmbus.wire import times
from nrmbus.wire.ids import new_event_id
from nrmbus.wire.keys import keyfile
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.names import CHECKPOINTS
from patience import LONGEST_WAIT, lives, until
from typed import Done, run

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text())
SERVICES = ("registrar", "timekeeper", "auditor")
HOW = (signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow))
HOST = "host-b"
OPEN: dict[str, Any] = {"keys_unprotected": True}


@dataclass
class Machine:
    """A machine with its own folder; nobody restarts the processes of its services."""

    folder: BusFolder
    processes: dict[str, Forked] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start services, whichever machine works then."""
        self.processes |= {each: service(each, self.folder) for each in names}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to each service."""
        for each in SERVICES:
            self.processes[each].send_signal(number)

    def health(self, name: str) -> dict[str, Any]:
        """Return the health of a service, or an empty mapping without an answer."""
        found = asyncio.run(health.ask(self.folder, name))
        return dict(found) if found else {}

    def works(self) -> bool:
        """Return whether all services work here, and are ready."""
        return all(map(self.has_the_turn, SERVICES))

    def has_the_turn(self, name: str) -> bool:
        """Return whether a service works here, and is ready."""
        found = self.health(name)
        return bool(found.get("ready") and not found.get("standby"))

    def stands_by(self) -> bool:
        """Return whether all stand by here."""
        return all(self.health(each).get("standby") for each in SERVICES)

    def lives(self, name: str) -> bool:
        """Return whether the process of a service is there."""
        return lives(self.processes[name].pid)

    def yields(self, name: str) -> bool:
        """Return whether a service has ended here, or stands by."""
        return not self.lives(name) or bool(self.health(name).get("standby"))

    def end(self) -> None:
        """End all of it."""
        for each in self.processes.values():
            each.send_signal(signal.SIGCONT)
            each.kill()
            each.wait(20)


@dataclass
class Two:
    """The first machine, and the standby host."""

    first: Machine
    second: Machine


def joined(operator: BusFolder, home: Path, host: str = HOST) -> BusFolder:
    """Return the folder of a machine that the operator has admitted as a standby host, by files alone."""
    folder, invited, file = BusFolder(home / host), home / "invitation.json", home / f"{host}.standby.json"
    invitation.invite(invited, data=operator.path)
    invitation.join(invited, data=folder.path)
    standby.request(host, out=file, data=folder.path, **OPEN)
    standby.admit(file, fingerprint=Standby.read(file).fingerprint, data=operator.path, **OPEN)
    standby.take(file, data=folder.path, **OPEN)
    return folder


@contextmanager
def bus(home: Path) -> Iterator[BusFolder]:
    """Yield the operator's folder while its Kafka runs; no service runs yet."""
    operator = BusFolder(home / "operator")
    operator.create()
    with operator.held():
        kafka = EmbeddedKafka(operator)
        kafka.fetch()
        kafka.start()
        try:
            asyncio.run(admit(operator, {"ngo-a": Newcomer("ngo_outreach")}, WallClock().now()))
            yield operator
        finally:
            kafka.stop()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Yield a bus whose services work on the first machine, and stand by on the second."""
    home = tmp_path_factory.mktemp("hosts")
    with bus(home) as operator:
        made = Two(Machine(operator), Machine(joined(operator, home)))
        try:
            made.first.start(*SERVICES, "ngo-a")
            until("the first works", made.first.works)
            until("its desk is ready", lambda: made.first.health("ngo-a").get("ready"))
            made.second.start(*SERVICES)
            until("the second stands by", made.second.stands_by)
            yield made
        finally:
            made.second.end()
            made.first.end()


class Load:
    """Events that the desk of the first machine publishes one after the other, until the block ends.

    An event that the desk cannot take now is sent again with the same id, as every client does. Any other refusal ends
    the load and the test.
    """

    def __init__(self, folder: BusFolder) -> None:
        self._folder, self._stop = folder, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._publish()))
        self.verdicts: list[str] = []
        self.longest = 0.0
        """Longest time from one verdict to the next, in seconds."""

    async def _publish(self) -> None:
        async with Door.of(self._folder.agency("ngo-a").path) as door:
            last = time.monotonic()
            while not self._stop.is_set():
                event = {**SIGNAL, "id": new_event_id(int(time.time() * 1000))}
                found: dict[str, Any] = {}
                while found.get("verdict") is None:
                    try:
                        found = dict(await door.publish(event, wait=LONGEST_WAIT))
                    except DoorError as error:
                        if not error.retryable:
                            raise
                        await asyncio.sleep(error.retry_after or SHORTEST_PAUSE)
                self.verdicts.append(str(found["verdict"]))
                self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        self._grows_to(4)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def goes_on(self) -> None:
        """Wait until more events are registered than now."""
        self._grows_to(len(self.verdicts) + 6)

    def _grows_to(self, count: int) -> None:
        def grown() -> bool:
            assert self._thread.is_alive(), "the desk refused an event; the thread's error says why"
            return len(self.verdicts) >= count

        until("events are registered", grown)


def placed(operator: BusFolder) -> list[tuple[str, str, str]]:
    """Return the services on standby hosts as the operator sees them."""
    return [(each.host, each.service, each.state) for each in hosts_of(operator)]


def test_the_operator_sees_who_stands_by_and_where(two: Two) -> None:
    """Given an admitted host whose services stand by, then status shows them, with their certificates' ends."""
    until("all are seen", lambda: placed(two.first.folder) == [(HOST, each, "stands by") for each in sorted(SERVICES)])

    checked = json.loads(
        run("check", "--agencies", "--json", "--keys-unprotected", "--data", two.first.folder.path).stdout
    )
    assert [
        (each["host"], each["service"], step["step"], step["well"])
        for each in checked["hosts"]
        for step in each["steps"]
    ] == [(HOST, each, step, True) for each in sorted(SERVICES) for step in ("connected", "certificate")]
    (agency,) = checked["agencies"]
    assert (agency["agency"], [each["step"] for each in agency["steps"] if each["well"]]) == (
        "ngo-a",
        ["connected", "release", "certificate", "rights", "inbox"],
    ), "it has said nothing yet"
    shown = run("status", "--data", two.first.folder.path)
    assert re.search(rf"{HOST} +registrar +stands by +127\.0\.0\.1 +(29|30) days", shown.stdout), shown.stdout


def test_the_host_checks_its_way_to_the_broker_and_its_clock(two: Two) -> None:
    """Given a standby host without an agency, then check and status there work with its own certificate, and check compares the clocks."""
    data = ("--data", two.second.folder.path)
    checked = run("check", "--keys-unprotected", *data)
    assert checked.returncode == 0, checked.stdout
    assert "This machine's clock and the broker's differ by 0." in checked.stdout
    shown = run("status", *data)
    assert shown.returncode == 0, shown.stdout
    assert "3 of 3 ready" in shown.stdout


@pytest.mark.parametrize("how", HOW)
def test_the_second_host_takes_over_and_the_first_one_stands_by_when_it_returns(
    two: Two, how: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    """P1: given events under way, when the first host's services are killed or frozen, then the second host registers on, each event once.

    The first host's processes that wake up say nothing more: they end, or stand by. Started again they stand by.
    """
    with Load(two.first.folder) as load:
        began = time.monotonic()
        two.first.signal(how)
        until("the second works", two.second.works)
        ready = time.monotonic() - began
        load.goes_on()
        record_property(
            "measured",
            f"two hosts, {how.name}: nothing registered for {load.longest:.1f} s, timekeeper and auditor ready after {ready:.1f} s",
        )
        two.first.signal(signal.SIGCONT)
        until("the first works no more", lambda: all(map(two.first.yields, SERVICES)))
        two.first.start(*(each for each in SERVICES if not two.first.lives(each)))
        until("the first stands by", two.first.stands_by)
        load.goes_on()
    assert set(load.verdicts) == {"registered"}
    assert '"event": "followed"' in (two.second.folder.logs / "registrar.log").read_text(), (
        "it had folded the history before"
    )

    two.second.signal(signal.SIGKILL)
    until("the first works again", two.first.works)
    two.second.start(*SERVICES)
    until("the second stands by again", two.second.stands_by)


def signed(folder: BusFolder) -> dict[int, Checkpoint]:
    """Return the published checkpoints by size, each signed by a log key of the auditor."""
    directory = asyncio.run(read_as(folder, folder.service("auditor")))

    async def read() -> list[Checkpoint]:
        topic, found = TopicPartition(CHECKPOINTS, 0), list[Checkpoint]()
        async with clients.reading(folder.reach(folder.service("auditor")), topic) as (consumer, end):
            while await consumer.position(topic) < end:
                for record in (await consumer.getmany(topic, timeout_ms=200)).get(topic, ()):
                    said = published(record.value, folder.settings.bus, directory.log_keys())
                    assert said is not None
                    found.append(said.checkpoint)
        return found

    checkpoints = asyncio.run(read())
    assert [each.size for each in checkpoints] == sorted({each.size for each in checkpoints})
    return {each.size: each for each in checkpoints}


@pytest.mark.slow
def test_the_auditor_of_the_second_host_goes_on_with_the_same_log(two: Two) -> None:
    """P5: given a lost auditor, then the second host's auditor rebuilds the log and signs on after the last checkpoint.

    The first auditor later signs on in the same way. An auditor that ends in order signs all registrations.
    """
    folder = two.first.folder
    before = signed(folder)
    two.first.processes["auditor"].kill()
    until("the second auditor works", lambda: two.second.has_the_turn("auditor"))
    overdue(folder, due=timedelta(hours=1))
    two.first.start("auditor")
    number = two.first.health("registrar").get("numbers") or two.second.health("registrar")["numbers"]
    until("the second has read it", lambda: two.second.health("auditor").get("numbers") == number)

    two.second.processes["auditor"].send_signal(signal.SIGTERM)
    until("the first auditor works again", lambda: two.first.has_the_turn("auditor"))

    after = signed(folder)
    assert max(after) == max(number.values()) > max(before, default=0)
    until("the first has read it too", lambda: two.first.health("auditor")["size"] == number)
    shown = two.first.health("auditor")
    assert (shown["trouble"], shown["signed"]) == (None, number)
    two.second.start("auditor")
    until("the second auditor stands by", lambda: two.second.health("auditor").get("standby"))


def overdue(folder: BusFolder, *, due: timedelta) -> str:
    """Publish a signal whose 24 hours end *due* from now; return the case."""

    async def publish() -> str:
        since = times.write(WallClock().now() + due - timedelta(hours=24))
        async with Door.of(folder.agency("ngo-a").path) as door:
            return str((await door.publish({**SIGNAL, "time": since}, wait=LONGEST_WAIT))["case"])

    return asyncio.run(publish())


def breaches(folder: BusFolder, cases: list[str]) -> list[int]:
    """Return how often the breach of each of *cases* is in the verified history; the timekeeper was never refused anything."""
    entries = asyncio.run(audited(folder)).history.entries
    told = [each for each in entries if each.registration.source == "timekeeper"]
    assert all(each.event is not None for each in told), "nothing of the timekeeper's was refused"
    found = Counter(
        each.registration.subject for each in told if each.event is not None and each.event.type == "deadline.breached"
    )
    return [found[each] for each in cases]


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_a_missed_deadline_is_an_event_once_whichever_host_says_it(two: Two, how: signal.Signals) -> None:
    """P10: given deadlines before, during and after the first host's loss, and on its return, each gives one event."""
    folder = two.first.folder
    cases = [overdue(folder, due=timedelta(seconds=seconds)) for seconds in (1, 4, 8, 16)]
    until("the first says one", lambda: breaches(folder, cases)[0])
    two.first.signal(how)
    cases += [overdue(folder, due=timedelta(seconds=seconds)) for seconds in (1, 4)]
    until("all are said", lambda: all(breaches(folder, cases)))

    two.first.signal(signal.SIGCONT)
    until("the first works no more", lambda: all(map(two.first.yields, SERVICES)))
    two.first.start(*(each for each in SERVICES if not two.first.lives(each)))
    until("the first stands by", two.first.stands_by)
    two.second.signal(signal.SIGKILL)
    cases += [overdue(folder, due=timedelta(seconds=seconds)) for seconds in (1, 4)]
    until("all are said", lambda: all(breaches(folder, cases)))
    until("the first works", two.first.works)
    two.second.start(*SERVICES)
    until("the second stands by", two.second.stands_by)

    assert breaches(folder, cases) == [1] * len(cases)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    """Yield the operator's folder of a bus whose services do not run."""
    with bus(tmp_path_factory.mktemp("admitting")) as folder:
        yield folder


def asked(operator: BusFolder, home: Path, host: str) -> tuple[BusFolder, Path]:
    """Return the folder of a machine that asks to be a standby host, and its request."""
    folder, invited, file = BusFolder(home / host), home / f"{host}.invitation.json", home / f"{host}.standby.json"
    invitation.invite(invited, data=operator.path)
    invitation.join(invited, data=folder.path)
    standby.request(host, out=file, data=folder.path, **OPEN)
    return folder, file


def admitted(operator: BusFolder, file: Path, fingerprint: str | None = None) -> None:
    """Have the operator admit the host of the request in *file*."""
    digits = fingerprint or Standby.read(file).fingerprint
    standby.admit(file, fingerprint=digits, data=operator.path, **OPEN)


def test_a_request_is_admitted_once_and_by_its_fingerprint_alone(operator: BusFolder, tmp_path: Path) -> None:
    """Given a request, then another fingerprint admits nothing; admitted, neither request nor host's name is admitted again."""
    _, file = asked(operator, tmp_path, "host-once")
    with pytest.raises(BusError, match="standby_other"):
        admitted(operator, file, "0123 4567")
    assert Authority(operator).hosts(certificate.now()) == {}
    admitted(operator, file)
    with pytest.raises(BusError, match="standby_known"):
        admitted(operator, file)
    _, other = asked(operator, tmp_path / "other", "host-once")
    with pytest.raises(BusError, match="standby_known"):
        admitted(operator, other)


@pytest.mark.parametrize("days", [-8, 8])
def test_a_request_of_another_week_is_not_admitted(operator: BusFolder, tmp_path: Path, days: int) -> None:
    """Given a request that is old, or made by a clock that is days ahead, then nothing is admitted, and the sentence names the clocks."""
    _, file = asked(operator, tmp_path, f"host-old{days}".replace("-", ""))
    request = Standby.read(file)
    request.model_copy(update={"made": request.made + timedelta(days=days)}).write(file)

    with pytest.raises(BusError, match="set both clocks"):
        admitted(operator, file)


def test_an_answer_opens_once_and_on_the_host_that_asked(operator: BusFolder, tmp_path: Path) -> None:
    """Given an answer, then no other machine can take it, nor the host before it is answered, with changed certificates, or a second time."""
    folder, file = asked(operator, tmp_path, "host-answer")
    thief, _ = asked(operator, tmp_path / "thief", "host-answer")
    with pytest.raises(BusError, match="standby_unanswered"):
        standby.take(file, data=folder.path, **OPEN)
    admitted(operator, file)
    with pytest.raises(BusError, match="standby_not_ours"):
        standby.take(file, data=thief.path, **OPEN)
    assert not (thief.service("registrar") / "keys").exists()
    swapped, answer = tmp_path / "swapped.json", Standby.read(file)
    certificates = dict(zip(SERVICES, reversed([(answer.certificates or {})[each] for each in SERVICES]), strict=True))
    answer.model_copy(update={"certificates": certificates}).write(swapped)
    with pytest.raises(BusError, match="certificate_altered"):
        standby.take(swapped, data=folder.path, **OPEN)

    standby.take(file, data=folder.path, **OPEN)

    assert (folder.host, folder.service("registrar").joinpath("keys", "signing.seed").exists()) == ("host-answer", True)
    with pytest.raises(BusError, match="standby_not_ours"):
        standby.take(file, data=folder.path, **OPEN)


@pytest.fixture
def key_files(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield two key files; afterwards this process holds no passphrase."""
    made = tmp_path / "right.keys", tmp_path / "wrong.keys"
    for each in made:
        each.write_text(os.urandom(32).hex())
        each.chmod(0o600)
    yield made
    keyfile.hold(None)


def test_an_answer_needs_the_hosts_passphrase(
    operator: BusFolder, tmp_path: Path, key_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a host whose keys are sealed, then another passphrase takes nothing, and what was taken is sealed too."""
    invited, folder, file = tmp_path / "invitation.json", BusFolder(tmp_path / "sealed"), tmp_path / "sealed.json"
    invitation.invite(invited, data=operator.path)
    data, (right, wrong) = ("--data", folder.path), key_files

    def done(key_file: Path, *command: str | Path) -> Done:
        keyfile.hold(None)
        monkeypatch.setenv(keyfile.SETTING, str(key_file))
        return run("standby", *command, *data)

    assert run("join", invited, *data).returncode == 0
    assert done(right, "request", "host-sealed", "--out", file).returncode == 0
    keyfile.hold(None)
    admitted(operator, file)

    refused = done(wrong, "take", file)
    assert (refused.returncode, folder.host) == (1, None), refused.stderr
    taken = done(right, "take", file)
    assert taken.returncode == 0, taken.stderr
    assert all(keyfile.is_sealed(folder.service(each) / "keys" / "signing.seed") for each in SERVICES)


def test_a_host_that_is_taken_off_gets_nothing_and_no_other_certificate(operator: BusFolder, tmp_path: Path) -> None:
    """P2: given a revoked host, then its certificates read nothing, and its signing keys get no new certificate.

    The services of the first machine go on, and the host's name is free again.
    """
    folder, file = asked(operator, tmp_path, "host-off")
    admitted(operator, file)
    standby.take(file, data=folder.path, **OPEN)
    home = folder.service("registrar")
    directory = asyncio.run(read_as(folder, home))
    renewed = renewal.certified(operator, directory, renewal.ask(folder, "registrar"))
    assert renewed.certificate
    assert Authority(operator).count("registrar", "host-off", certificate.now()) == 2

    standby.revoke("host-off", data=operator.path, **OPEN)

    with pytest.raises(TopicAuthorizationFailedError):
        asyncio.run(read_as(folder, home))
    with pytest.raises(DirectoryError, match="standby_unknown"):
        renewal.certified(operator, directory, renewal.ask(folder, "registrar"))
    with pytest.raises(BusError, match="standby_unknown"):
        standby.revoke("host-off", data=operator.path, **OPEN)
    assert "host-off" not in Authority(operator).hosts(certificate.now())
    asyncio.run(read_as(operator, operator.service("registrar")))
    _, again = asked(operator, tmp_path / "again", "host-off")
    admitted(operator, again)


def test_a_host_with_a_wrong_clock_waits_until_it_is_right(
    operator: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a host whose clock is a minute ahead, then its service does not begin, says so once, and begins when the clock is set."""
    folder, file = asked(operator, tmp_path, "host-clock")
    admitted(operator, file)
    standby.take(file, data=folder.path, **OPEN)
    said: list[str] = []
    ahead, looks = 60.0, 0

    def now() -> float:
        nonlocal looks
        looks += 1
        return time.time() + (ahead if looks <= 4 else 0.0)  # two looks, each before sending and after the answer

    monkeypatch.setattr(clock_check, "now", now)
    monkeypatch.setattr(services, "CLOCK_SECONDS", 0.01)

    services.wait_for_clock(folder, "registrar", said.append)

    assert looks == 6
    assert len(said) == 1
    assert re.match(r"This host's clock is (59|60) s ahead of the broker's", said[0])
    outcomes = asyncio.run(answer(operator))
    assert outcomes == (), "the operator passes the records over"
