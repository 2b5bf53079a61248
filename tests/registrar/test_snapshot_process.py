"""The process that writes a snapshot beside a running registrar, on a real broker."""

import asyncio
import json
import signal
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from brokers import Broker
from desk.live import LiveBus, live, log_of, signal_of
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Identity
from nrmbus.registrar import snapshot_process
from nrmbus.registrar.snapshot import Head
from nrmbus.registrar.snapshot_process import SnapshotService, snapshots_of
from nrmbus.wire import ids
from nrmbus.wire.names import REGISTRAR
from patience import LONGEST_WAIT, eventually
from registrar.test_snapshot import Town


def service_of(bus: LiveBus) -> SnapshotService:
    """The registrar's own part, as its process has it, for a bus on which little was registered."""
    key = Identity.at(bus.folder.service(REGISTRAR), REGISTRAR).signing
    return SnapshotService(
        bus.folder,
        snapshots_of(bus.folder, 0),
        key,
        lambda kid: {key.kid: key.verify_key}[kid],
        least=1,
        gives_way=False,
    )


def reached(bus: LiveBus) -> Any:
    """How far the registrar's history is, by its high-water mark."""
    number, digest = (bus.folder.service(REGISTRAR) / "history" / "0").read_text().split()
    return SimpleNamespace(number=int(number), previous=digest)


async def written(service: SnapshotService, memory: Any) -> list[str]:
    """Consider a snapshot, wait for the end of its process, and return what the log says."""
    with capture_logs() as lines:
        service.consider(cast("Any", memory))
        await eventually("the process has ended", lambda: service._task is None)
    return [each["event"] for each in lines]


@pytest.mark.slow
@pytest.mark.broker
async def test_the_next_start_goes_on_from_what_another_process_folded(broker: Broker) -> None:
    """Written beside the running registrar, used at the next start, thrown away when altered: it decides alike each time."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        home = bus.folder.service(REGISTRAR)

        async def publish() -> None:
            async with bus.door("ngo-a") as door:
                await door.publish(signal_of(ids.new_ref()), wait=LONGEST_WAIT)

        async def restarted(word: str) -> None:
            seen = log_of(bus.folder, REGISTRAR).count(word)
            bus.start(REGISTRAR)
            await bus.served()
            assert log_of(bus.folder, REGISTRAR).count(word) == seen + 1

        await publish()
        bus.kill(REGISTRAR, signal.SIGTERM)
        service = service_of(bus)
        assert await written(service, reached(bus)) == ["snapshot_written"]
        assert service.last is not None
        first = service.last.number
        await restarted('"event": "snapshot_used"')
        await publish()
        bus.kill(REGISTRAR, signal.SIGTERM)
        memory = reached(bus)
        assert memory.number > first
        assert await written(service, memory) == ["snapshot_written"], "from the one before"
        assert len(list((home / "snapshots").iterdir())) == 2
        await restarted('"event": "snapshot_used"')
        await publish()
        bus.kill(REGISTRAR, signal.SIGTERM)
        state = service.snapshots.state_path(service.last)
        state.write_bytes(state.read_bytes()[:-1])
        await restarted('"code": "state_altered"')
        await publish()


@pytest.mark.parametrize("ends", ["fails", "is cancelled"])
async def test_a_process_that_wrote_no_snapshot_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Given a process that was killed while it wrote, then half a state is gone, and the snapshot before is there."""
    town = Town(tmp_path)
    town.go_on()
    head = town.write()
    service = SnapshotService(cast("Any", None), town.kept, town.bus.key, town.key_of, least=1)
    half = town.kept.folder / ".0.4711.abcdef01"

    async def made(_self: SnapshotService, _number: int) -> None:
        half.write_bytes(b"half a state")
        if ends == "is cancelled":
            await asyncio.Event().wait()

    monkeypatch.setattr(SnapshotService, "made", made)
    service.consider(town.live.memory)
    await eventually("the process has begun to write, or is over", lambda: half.exists() or service._task is None)
    if ends == "is cancelled":
        await service.stop()
    await eventually("the process is over", lambda: service._task is None)

    assert sorted(town.kept.folder.iterdir()) == [town.kept.head_path, town.kept.state_path(head)]


async def test_a_machine_that_refuses_to_give_way_has_its_snapshot_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a refusal of every change of priority by systemd, when the process starts, then it folds with its share of the machine."""
    folder = BusFolder(tmp_path / "bus")
    head = Head("a-bus", 0, "1" * 64, "2" * 64, 7, "3" * 64, 41, "4" * 64)
    refuse = "import os\ndef refuse(*_): raise PermissionError\nos.sched_setscheduler = os.nice = refuse\n"
    run = f"import sys; sys.stdin.readline(); sys.stdout.write({json.dumps(asdict(head))!r})"
    monkeypatch.setattr(snapshot_process, "_GIVE_WAY", refuse + snapshot_process._GIVE_WAY)
    monkeypatch.setattr(snapshot_process, "_RUN", run)
    service = SnapshotService(folder, cast("Any", SimpleNamespace(partition=0)), cast("Any", None), cast("Any", None))

    assert await service.made(head.number) == head


@pytest.mark.slow
@pytest.mark.broker
async def test_a_snapshot_that_is_not_of_this_history_is_not_signed(broker: Broker) -> None:
    """Where the registrar's own chain has another digest, or goes further than what is committed, no snapshot is written."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as door:
            await door.publish(signal_of(ids.new_ref()), wait=LONGEST_WAIT)
        bus.kill(REGISTRAR, signal.SIGTERM)
        service, memory = service_of(bus), reached(bus)

        assert await written(service, SimpleNamespace(number=memory.number, previous="0" * 64)) == ["snapshot_failed"]
        assert await written(service, SimpleNamespace(number=memory.number + 10, previous="0" * 64)) == [
            "snapshot_failed"
        ]
        assert not service.snapshots.head_path.exists()
