"""The history is written anew without what was kept long enough: nothing else changes, and whatever is killed, it is one or the other."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from brokers import Broker
from nrmbus.bus import clients, cutting
from nrmbus.bus.folder import BusFolder
from nrmbus.registrar import rewriting
from nrmbus.registrar.memory import HistoryError, Memory
from nrmbus.registrar.rewriting import Rewriting
from nrmbus.wire.record import Record
from registrar.given import BUS
from registrar.kept import Kept, bare, numbers
from rules.given import ONE_YEAR

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

CASES = TopicPartition("nrm.cases", 0)
STEPS = ("marked", "rolling", "rolled", "writing", "written", "committed", "cut")


@pytest.fixture(name="kept")
def _kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture(autouse=True)
def _with_years(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "load_profile", lambda _: ONE_YEAR)
    monkeypatch.setattr(rewriting, "BATCH", 4)


@pytest.fixture(name="folder")
def _folder(kafka: Broker, kept: Kept) -> BusFolder:
    """A bus under the id of the history, which stands in its topic as the registrar writes it."""
    folder = kafka.fresh_bus()
    made = json.loads((folder.path / "bus.json").read_bytes())
    (folder.path / "bus.json").write_text(json.dumps(made | {"bus": BUS}))
    asyncio.run(write(folder, kept.history))
    return folder


async def write(folder: BusFolder, records: list[Record]) -> None:
    """Write *records* as one transaction of the registrar."""
    producer = clients.transactional_producer(folder.as_operator, "nrm-registrar-p0")
    await producer.start()
    try:
        async with producer.transaction():
            for each in records:
                await (await producer.send(CASES.topic, each.value, each.key, partition=0, headers=list(each.headers)))
    finally:
        await producer.stop()


async def read(folder: BusFolder) -> list[Record]:
    """What a reader of the topic sees, from its beginning."""
    found = []
    async with clients.reading(folder.as_operator, CASES) as (reader, end):
        while await reader.position(CASES) < end:
            for records in (await reader.getmany(CASES, timeout_ms=200)).values():
                found += [Record(each.key, each.value, tuple(each.headers)) for each in records]
    return found


def of(folder: BusFolder, kept: Kept, told: Any = None) -> Rewriting:
    """The rewriting of this bus."""
    return Rewriting(folder, kept.bus.directory, told=told)


def files_with(broker: Broker, secrets: list[bytes]) -> list[str]:
    """The broker's files of the history in which any of *secrets* stands."""
    paths = broker.kafka.folder.kafka.glob("nrm.cases-*/*")
    return [path.name for path in paths if path.is_file() and any(each in path.read_bytes() for each in secrets)]


def gone(broker: Broker, secrets: list[bytes]) -> bool:
    """Whether they are off the disk, or will be when the broker has looked."""
    until = time.monotonic() + rewriting.GONE_SECONDS
    while files_with(broker, secrets):
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


async def test_what_was_kept_long_enough_leaves_history_and_disk_and_nothing_else_does(
    kafka: Broker, folder: BusFolder, kept: Kept
) -> None:
    """Every other record is the same, byte for byte; offsets go on, and the registrar reads it as the one before.

    The bytes are searched in the broker's files: they were there, and are in none. Done again, nothing is due.
    """
    assert files_with(kafka, kept.secrets)
    steps: list[str] = []
    rewritten = of(folder, kept, lambda what, *_: steps.append(what))
    assert set((await rewritten.due())[0]) == set(kept.ENVELOPES)

    (stripped,) = await rewritten.strip()

    assert (stripped.cases, stripped.envelopes) == (1, 4)
    assert tuple(dict.fromkeys(steps)) == ("reading", *STEPS, "done")
    assert await read(folder) == kept.stripped
    assert await rewritten.strip() == ()
    assert cutting.on_disk(kafka.kafka.folder.kafka, "nrm.cases", 0)[-1] == stripped.end
    assert gone(kafka, kept.secrets)
    memory = Memory(bus=BUS, partition=0, rules=kept.bus.rules)
    for each in await read(folder):
        memory.fold(each)
    memory.check_head(lambda kid: kept.bus.directory.any_verify_key("registrar", kid))
    assert (memory.number, memory.inbox_numbers) == (len(kept.history), kept.shard.memory.inbox_numbers)


@pytest.mark.parametrize("step", STEPS)
async def test_killed_between_two_steps_it_is_finished_or_never_was(
    kafka: Broker, folder: BusFolder, kept: Kept, step: str
) -> None:
    """kill -9 of the process that writes: the next start has one whole history, with every number once."""
    killed = await asyncio.to_thread(run_and_be_killed, folder, kept, step)
    assert killed == -signal.SIGKILL

    rewritten = of(folder, kept)
    assert rewritten.unfinished
    assert await rewritten.finish()
    found = await read(folder)
    assert numbers(found) == list(range(1, len(kept.history) + 1))
    committed = STEPS.index(step) >= STEPS.index("committed")
    assert found == (kept.stripped if committed else kept.history)
    assert not await rewritten.finish()
    assert len(await rewritten.strip()) == (0 if committed else 1)
    assert await read(folder) == kept.stripped
    assert gone(kafka, kept.secrets)


def run_and_be_killed(folder: BusFolder, kept: Kept, step: str) -> int:
    """Have another process write it anew, and kill itself at *step*; its exit status."""
    entries = [raw.decode() for raw in kept.bus.directory.signed]
    operator = kept.bus._operator.public.hex()
    argument = json.dumps({"folder": str(folder.path), "operator": operator, "entries": entries, "step": step})
    return subprocess.run([sys.executable, __file__, argument], check=False, timeout=60, env=_environment()).returncode


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


async def test_without_finishing_a_history_with_numbers_twice_is_not_served(folder: BusFolder, kept: Kept) -> None:
    """Between commit and cut a registrar that somebody starts says what to do, and runs not."""
    assert await asyncio.to_thread(run_and_be_killed, folder, kept, "committed") == -signal.SIGKILL
    memory, found = Memory(bus=BUS, partition=0, rules=kept.bus.rules), await read(folder)
    for each in found[: len(kept.history)]:
        memory.fold(each)

    with pytest.raises(HistoryError, match="nrmbus retention apply"):
        memory.fold(found[len(kept.history)])


async def test_a_registrar_that_still_runs_commits_nothing_more(folder: BusFolder, kept: Kept) -> None:
    """Its transactional id is taken before the end is read: what it writes then is in no history."""
    registrar = clients.transactional_producer(folder.as_operator, "nrm-registrar-p0")
    await registrar.start()

    async def late() -> None:
        await registrar.begin_transaction()
        await (await registrar.send(CASES.topic, b"late", b"late", partition=0))
        await registrar.commit_transaction()

    def told(what: str, *_: int) -> None:
        if what == "rolled":
            tasks.append(asyncio.ensure_future(late()))

    tasks: list[asyncio.Future[None]] = []
    await of(folder, kept, told).strip()
    (done,) = await asyncio.gather(*tasks, return_exceptions=True)
    await registrar.stop()
    assert isinstance(done, Exception)
    assert await read(folder) == kept.stripped


@pytest.mark.parametrize("at", [2, 7, 8])
async def test_a_history_of_which_somebody_cut_an_envelope_out_is_left_as_it_is(
    kafka: Broker, kept: Kept, at: int
) -> None:
    """Sabotage: nothing explains it, so nothing is written anew over it."""
    folder = kafka.fresh_bus()
    made = json.loads((folder.path / "bus.json").read_bytes())
    (folder.path / "bus.json").write_text(json.dumps(made | {"bus": BUS}))
    records = [bare(each) if number == at else each for number, each in enumerate(kept.history, 1)]
    await write(folder, records)

    with pytest.raises(HistoryError, match=f"registration {at} has no envelope"):
        await of(folder, kept).strip()
    assert await read(folder) == records


def _be_killed(argument: str) -> None:
    from nrmbus.directory import Directory  # noqa: PLC0415 - in the other process alone
    from nrmbus.wire.keys import VerifyKey  # noqa: PLC0415 - likewise

    given = json.loads(argument)
    directory = Directory(BUS, VerifyKey(bytes.fromhex(given["operator"])))
    for raw in given["entries"]:
        directory.add(raw.encode())
    vars(rewriting).update(load_profile=lambda _: ONE_YEAR, BATCH=4)

    def told(what: str, *_: int) -> None:
        if what == given["step"]:
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(Rewriting(BusFolder(Path(given["folder"])), directory, told=told).strip())


if __name__ == "__main__":
    _be_killed(sys.argv[1])
