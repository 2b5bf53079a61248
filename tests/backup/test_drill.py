"""The drill: a bus is backed up while it runs, lost, and stands up again elsewhere with every number, proof and offset."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner, Result

from nrmbus.backup.store import Manifest, Store
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.bus.reach import reach
from nrmbus.cli import health
from nrmbus.cli.app import app
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer, home_of
from nrmbus.host.supervisor import Supervisor
from patience import LONGEST_WAIT, PATIENCE, until

pytestmark = pytest.mark.broker

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
AGENCIES = {"ngo-a": Newcomer("ngo_outreach"), "special-unit": Newcomer("special_unit")}
OPEN = "--keys-unprotected"
Records = dict[tuple[str, int], list[tuple[Any, ...]]]


def typed(*command: object) -> Result:
    """Run a command of `nrmbus`."""
    return CliRunner().invoke(app, [str(each) for each in command])


def done(*command: object) -> dict[str, Any]:
    """Run a command that has to succeed; return what it prints as JSON."""
    result = typed(*command, "--json")
    assert result.exit_code == 0, result.output
    body: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return body


def refused(*command: object) -> str:
    """Run a command that has to fail; return its code."""
    result = typed(*command, "--json")
    assert result.exit_code == 1, result.output
    return str(json.loads(result.stdout.splitlines()[-1])["code"])


@contextmanager
def up(folder: BusFolder) -> Iterator[BusFolder]:
    """Have the bus run in the block, every service ready."""
    with Supervisor(folder, agencies=AGENCIES):
        until("every service is ready", lambda: not health.not_ready(folder))
        yield folder


def asked(folder: BusFolder, name: str) -> dict[str, Any]:
    """Return the health of a service."""

    async def health_of() -> dict[str, Any]:
        async with Door.of(home_of(folder, name)) as door:
            return await door.health()

    return asyncio.run(health_of())


def published(folder: BusFolder, agency: str, example: str, **more: str) -> dict[str, Any]:
    """Publish one of the examples; return the registered answer."""

    async def publish() -> dict[str, Any]:
        async with Door.of(folder.agency(agency).path) as door:
            return await door.publish(json.loads((EXAMPLES / f"{example}.json").read_text()) | more, wait=LONGEST_WAIT)

    answer = asyncio.run(publish())
    assert answer["verdict"] == "registered", answer
    return answer


def records(folder: BusFolder, manifest: Manifest) -> Records:
    """Return the committed records of a running bus as far as *manifest* goes, as another client reads them."""
    settings = {"group.id": "nrm-look", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer({**reach(folder.as_operator).confluent(), **settings, "enable.partition.eof": True})
    due = {(topic, int(number)): one for topic, each in manifest.records.items() for number, one in each.items()}
    found: Records = {place: [] for place in due}
    unread = set(due)
    try:
        consumer.assign([TopicPartition(*place, each.begin) for place, each in due.items()])
        while unread:
            (message,) = consumer.consume(1, PATIENCE)
            place = str(message.topic()), message.partition() or 0
            if message.error() is not None or (message.offset() or 0) >= due[place].end:
                unread.discard(place)
            elif place in unread:
                time = message.timestamp()[1]  # who set the time is another: the broker, and then the restore
                found[place].append((message.offset(), time, message.key(), message.value(), message.headers()))
    finally:
        consumer.close()
    return found


@dataclass
class Drill:
    """A bus that was, its backups, and the bus that stands for it."""

    store: Store
    before: BusFolder
    after: BusFolder
    case: str = ""
    evidence: Path = Path()
    keys: list[str] = field(default_factory=list)
    records: Records = field(default_factory=dict)
    number: int = 0
    generation: int = 0


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    """Return a bus of two agencies that spoke, was backed up twice while it ran, and is gone."""
    home = tmp_path_factory.mktemp("drill")
    made = Drill(Store.at(home / "backup"), BusFolder(home / "before"), BusFolder(home / "after"))
    made.before.create(partitions=2)
    made.before.send_canary(0)
    data = ("--data", made.before.path, OPEN)
    with up(made.before) as folder:
        made.case = published(folder, "ngo-a", "signal")["case"]
        first = done("backup", made.store.path, *data)
        published(folder, "ngo-a", "consent", case=made.case)
        published(folder, "ngo-a", "signal")
        until("two agencies have co-signed", lambda: _cosigned(folder))
        exported = typed("export", "--case", made.case, "--out", home / "evidence", "--data", folder.path)
        assert exported.exit_code == 0, exported.output
        made.evidence = home / "evidence"
        made.keys = [word for line in exported.stdout.splitlines() if "  --" in line for word in line.split()]
        second = done("backup", made.store.path, *data)
        manifest = made.store.manifest()
        made.records = records(folder, manifest)
        made.number = sum(each.number for each in manifest.records["nrm.cases"].values())
    made.generation = second["generation"]
    assert first["generation"] < made.generation
    assert sum(second["numbers"].values()) == made.number > sum(first["numbers"].values())
    made.before.path.rename(home / "gone")
    return made


def _cosigned(folder: BusFolder) -> bool:
    found = asked(folder, "auditor")["cosigned"]
    return any(each["witnesses"] >= len(AGENCIES) for each in found.values())


@pytest.fixture(scope="module")
def restored(drill: Drill) -> Drill:
    """Return the drill with the bus restored into an empty folder elsewhere, not started yet."""
    assert done("backup", drill.store.path, "--verify", "--data", drill.after.path)["verified"]
    done("restore", drill.store.path, "--data", drill.after.path, OPEN)
    return drill


@pytest.mark.slow
def test_each_part_that_is_lost_comes_back_alone(restored: Drill) -> None:
    """A ledger, keys, settings, the auditor's log or the broker's data, each lost alone, come back, and nothing else changes."""
    folder, ngo = restored.after, restored.after.agency("ngo-a")
    logs = folder.service("auditor") / "logs"
    lost = {"ledger": ngo.ledger, "keys": ngo.keys, "settings": ngo.agency_json, "log": logs, "broker": folder.kafka}
    for part, path in lost.items():
        before = _times(folder)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        only = ("--agency", "ngo-a") if part == "ledger" else ()
        done("restore", restored.store.path, "--part", part, *only, "--data", folder.path, OPEN)

        assert path.exists()
        scope = folder.service("auditor") if part == "log" else path
        assert not [
            each for each, time in _times(folder).items() if before.get(each) != time and not each.is_relative_to(scope)
        ]


def _times(folder: BusFolder) -> dict[Path, int]:
    """Return when each file of *folder* was changed, apart from locks and from what the authority notes at each start."""
    made_again = (folder.run, folder.logs, folder.keys / "authority")
    return {
        path: path.stat().st_mtime_ns
        for path in folder.path.rglob("*")
        if path.is_file() and path.suffix != ".lock" and not any(map(path.is_relative_to, made_again))
    }


def test_an_older_backup_is_not_put_over_what_is_newer(restored: Drill) -> None:
    """A registrar that has numbered more than the backup has keeps its broker, which the machine remembers when the disk is gone."""
    folder, data = restored.after, ("--data", restored.after.path, OPEN)
    mark = next(folder.service("registrar").glob("history/*"))
    before, number = mark.read_text(), restored.store.manifest().records["nrm.cases"][mark.name].number
    gone = folder.kafka.rename(folder.path.with_name("kafka"))
    mark.write_text(f"{number + 1} {before.split()[1]}\n")

    assert refused("restore", restored.store.path, "--part", "broker", *data) == "newer_here"
    mark.write_text(before)
    gone.rename(folder.kafka)
    assert refused("restore", restored.store.path, "--part", "broker", *data) == "newer_here"
    assert refused("restore", restored.store.path, *data) == "folder_not_empty"


def test_the_bus_stands_up_elsewhere_with_every_number_proof_and_offset(restored: Drill) -> None:
    """Each record is at its offset with its bytes and time; evidence of before verifies; numbers, and the backup, go on.

    P9: the name in a letter is nowhere in the backup.
    """
    restored.after.listen(Listening(("127.0.0.2:29093",)))

    with up(restored.after) as folder:
        assert records(folder, restored.store.manifest()) == restored.records
        assert typed("verify", restored.evidence, *restored.keys).exit_code == 0
        assert refused("restore", restored.store.path, "--part", "ledger", "--data", folder.path, OPEN) == "bus_running"
        published(folder, "special-unit", "signal")
        referral = published(folder, "ngo-a", "referral", case=restored.case, ref="ab" * 16)
        until("the special unit has the referral", lambda: referral["id"] in _received(folder, "special-unit"))
        until("the auditor has all", lambda: _reached(folder))
        again = restored.evidence.with_name("again")
        assert typed("export", "--case", restored.case, "--out", again, "--data", folder.path).exit_code == 0
        assert set(_lines(restored.evidence)) <= set(_lines(again))
        numbers = done("backup", restored.store.path, "--data", folder.path, OPEN)["numbers"]
        assert sum(numbers.values()) > restored.number
        assert numbers == asked(folder, "registrar")["numbers"]
        assert not [path for path in restored.store.path.rglob("*") if path.is_file() and b"Alina" in path.read_bytes()]


@pytest.mark.slow
def test_a_lost_machine_comes_back_beside_topics_that_are_newer(restored: Drill) -> None:
    """The folder alone is restored, older than the broker's topics: nothing is numbered twice, and desks have what they said."""
    data = ("--data", restored.after.path, OPEN)
    with up(restored.after) as folder:  # it goes on after the backup
        published(folder, "ngo-a", "consent", case=restored.case)
        known, number = _case(folder, restored.case), _numbers(folder)
    lost = restored.after.path.rename(restored.after.path.with_name("lost"))
    done("restore", restored.store.path, "--generation", restored.generation, "--part", "folder", *data)
    assert refused("restore", restored.store.path, "--part", "folder", *data) == "folder_not_empty"
    assert not restored.after.kafka.exists()
    (lost / "kafka").rename(restored.after.kafka)

    with up(restored.after) as folder:
        until("the desk has every event of its case", lambda: _case(folder, restored.case) == known)
        assert _numbers(folder) == number
        published(folder, "ngo-a", "consent", case=restored.case)
        until("the auditor has all", lambda: _reached(folder))
        assert _numbers(folder) > number
        again = restored.evidence.with_name("third")
        assert typed("export", "--case", restored.case, "--out", again, "--data", folder.path).exit_code == 0
        assert set(_lines(restored.evidence)) <= set(_lines(again))


def _case(folder: BusFolder, case: str) -> dict[str, Any]:
    async def known() -> dict[str, Any]:
        async with Door.of(folder.agency("ngo-a").path) as door:
            return await door.case(case)

    return asyncio.run(known())


def _numbers(folder: BusFolder) -> int:
    return sum(asked(folder, "registrar")["numbers"].values())


def _received(folder: BusFolder, agency: str) -> list[str]:
    async def inbox() -> dict[str, Any]:
        async with Door.of(folder.agency(agency).path) as door:
            return await door.inbox()

    return [each["id"] for each in asyncio.run(inbox())["events"]]


def _reached(folder: BusFolder) -> bool:
    numbers = asked(folder, "registrar")["numbers"]
    return bool(asked(folder, "auditor")["numbers"] == numbers)


def _lines(evidence: Path) -> list[str]:
    """Return the registrations in a file of evidence, without their proofs, which a larger tree changes."""
    found = [json.loads(line) for line in evidence.read_text().splitlines()]
    return [json.dumps({**each, "proof": None}) for each in found if each["kind"] == "registration"]
