"""P1 on a whole bus: whatever is killed or frozen, nothing that was accepted is lost, doubled or out of order."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Identity
from nrmbus.play.chaos import DESKS, FIRST, OF_THREE, Chaos, look_into_ledgers, play
from nrmbus.play.chaos_report import REGISTRAR_SECONDS, Fault, Found, limit_of
from nrmbus.play.load import Agency
from nrmbus.play.trail import Anomalies

ACCEPTED = [("ngo-a", "case-1", "event-1"), ("ngo-a", "case-2", "event-2"), ("ngo-b", "case-3", "event-3")]


def ledgers(home: Path) -> BusFolder:
    """Ledgers in which everything of ACCEPTED was closed once and heard once."""
    folder = BusFolder(home)
    for desk in DESKS:
        path = folder.agency(desk).ledger
        path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(path)) as ledger, ledger:
            ledger.execute("create table outbox (subject, id, state, verdict)")
            ledger.execute("create table events (subject, source, id)")
            for agency, case, event in ACCEPTED:
                if agency == desk:
                    ledger.execute("insert into outbox values (?, ?, 'closed', 'registered')", (case, event))
                if desk in (agency, "special-unit"):
                    ledger.execute("insert into events values (?, ?, ?)", (case, agency, event))
    return folder


def looked(folder: BusFolder, desk: str = "ngo-a", harm: str = "") -> tuple[int, int, int]:
    """Return the counts after *harm* to the ledger of *desk*: unclosed, doubled, unheard."""
    with closing(sqlite3.connect(folder.agency(desk).ledger)) as ledger, ledger:
        ledger.execute(harm)
    found = Found("", 0)
    look_into_ledgers(folder, ACCEPTED, found)
    assert found.anomaly == any((found.unclosed, found.doubled, found.unheard))
    return found.unclosed, found.doubled, found.unheard


def test_ledgers_in_order_are_found_in_order(tmp_path: Path) -> None:
    """Everything that a door accepted was closed once, and heard once."""
    assert looked(ledgers(tmp_path)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("desk", "harm", "found"),
    [
        ("ngo-a", "update outbox set state = 'signed' where id = 'event-1'", (1, 0, 0)),
        ("ngo-a", "update outbox set verdict = 'refused' where id = 'event-1'", (1, 0, 0)),
        ("ngo-a", "delete from events where id = 'event-2'", (1, 0, 0)),
        ("ngo-b", "insert into outbox select * from outbox", (0, 1, 0)),
        ("special-unit", "insert into events select * from events where id = 'event-3'", (0, 1, 0)),
        ("special-unit", "delete from events where id = 'event-3'", (0, 0, 1)),
    ],
)
def test_a_ledger_that_lost_or_doubled_is_found(
    tmp_path: Path, desk: str, harm: str, found: tuple[int, int, int]
) -> None:
    """Sabotage: one row is altered, and the look into the ledgers says what."""
    assert looked(ledgers(tmp_path), desk, harm) == found


def test_a_registrar_that_refuses_the_load_is_found() -> None:
    """The Rules accept the whole load, so one refusal is an anomaly; an event that was sealed again is none."""
    assert Found("", 0, trail=Anomalies(registered=60, refused=1)).anomaly
    assert not Found("", 0, trail=Anomalies(registered=60, sealed_again=1)).anomaly


class Cut:
    """A producer whose first attempt fails with *error*."""

    def __init__(self, error: Exception) -> None:
        self.errors, self.sent = [error], list[bytes | None]()

    async def send_and_wait(self, _topic: str, value: bytes | None, *_: object, **__: object) -> None:
        """Fail once, then take it."""
        if self.errors:
            raise self.errors.pop()
        self.sent.append(value)


@pytest.mark.parametrize("error", [KafkaConnectionError(), ConnectionResetError()], ids=["of Kafka", "of the system"])
async def test_a_write_that_is_cut_is_sent_again(tmp_path: Path, error: Exception) -> None:
    """Given a connection that breaks while an event is written, then the same event is sent again, without a gap."""
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    chaos, cut = Chaos(folder, 1), Cut(error)
    agency = Agency(Identity.at(tmp_path / "vac", "vac"), "ngo-l", ["0" * 32])
    submission = agency.submit("0" * 32, datetime(2026, 3, 2, tzinfo=UTC), 1)
    await chaos._until_acknowledged(cut, submission)

    assert cut.sent == [submission.record.value]
    assert chaos.acknowledged == [("vac", "0" * 32, submission.id)]


def test_a_late_service_is_named() -> None:
    """A registrar has 10 s, a desk 2 s; where the broker was killed, nothing is promised."""
    slow = [Fault(kind, "", seconds) for kind, seconds in (("kill registrar", 10.0), ("restart desk", 2.0))]
    quick = [Fault(kind, "", seconds) for kind, seconds in (("kill registrar", 9.9), ("kill broker", 30.0))]

    assert Found("", 0, faults=[*slow, *quick]).late == slow


@pytest.mark.broker
@pytest.mark.slow
def test_p1_a_bus_under_faults_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Services and broker killed, frozen past a session, restarted; the registrar is back within 10 s each time."""
    since = time.monotonic()
    found = play(
        tmp_path / "bus",
        faults=len(FIRST),
        seed=7,
        notify=lambda number, what: print(f"{time.monotonic() - since:6.1f} s  {number} {what}"),  # noqa: T201 - what it had come to
    )

    assert not found.anomaly, found
    assert [each for each in found.late if limit_of(each.kind) == REGISTRAR_SECONDS] == []
    assert {each.kind for each in found.faults} == set(FIRST)
    assert found.acknowledged > 100
    assert found.accepted > 50


def test_of_three_brokers_one_is_harmed_at_a_time(tmp_path: Path) -> None:
    """Given three brokers, then a plan kills and freezes one of them, and never all; one broker is the broker."""
    one, three = BusFolder(tmp_path / "one"), BusFolder(tmp_path / "three")
    one.create()
    three.create(brokers=3)

    plan = Chaos(three, 1).plan(60)
    assert {each for each in plan if "broker" in each} == set(OF_THREE)
    assert {Chaos(three, seed)._named("one broker") for seed in range(30)} == {"broker.1", "broker.2", "broker.3"}
    assert not set(OF_THREE) & set(Chaos(one, 1).plan(60))
