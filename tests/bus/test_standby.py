"""A process that waits for its turn; what two processes do with a real broker is in `host/test_replicas.py` and `host/test_hosts.py`."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from nrmbus.bus import standby
from nrmbus.bus.errors import KafkaFailed, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.telemetry import log
from nrmbus.wire.names import TIMEKEEPER
from patience import eventually


async def test_who_waits_for_its_turn_waits_for_the_broker_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a broker too slow to answer, then a service does not end and begin again beside it, but asks again until its turn comes."""
    folder, silent = BusFolder(tmp_path), [KafkaConnectionError(), KafkaConnectionError()]
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    pauses: list[int] = []

    def pause_after(attempts: int) -> float:
        pauses.append(attempts)
        return 0.0

    async def be_member(self: standby._Member, *, patient: bool) -> None:
        assert not patient
        if silent:
            raise silent.pop()
        self.answered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(standby._Member, "_be_member", be_member)
    monkeypatch.setattr(standby, "pause_after", pause_after)
    member = standby._Member(folder, TIMEKEEPER, "a", folder.standby_marker(TIMEKEEPER))
    waiting = asyncio.create_task(member._run())
    await eventually("its turn has come, or it has ended", lambda: member.answered.is_set() or waiting.done())

    assert not waiting.done()
    assert pauses == [1, 2]
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(("error", "said"), [(NoBus("no certificate"), NoBus), (RuntimeError(), KafkaFailed)])
def test_who_cannot_even_ask_for_its_turn_ends(
    error: Exception, said: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that is replaced just now, no file descriptor left: the supervisor starts it again, nobody waits for ever."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=False)

    async def be_member(_: standby._Member, *, patient: bool) -> None:
        assert not patient
        raise error

    monkeypatch.setattr(standby._Member, "_be_member", be_member)

    with pytest.raises(said), standby.working(folder, TIMEKEEPER):
        pytest.fail("it works without its turn")


async def test_a_log_says_who_works_and_who_stands_by_and_nothing_of_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a member that stands by and then gets its turn, then its log has a line for each, which reads as no error."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    member = standby._Member(folder, TIMEKEEPER, "a", folder.standby_marker(TIMEKEEPER))
    member._consumer = cast("AIOKafkaConsumer", SimpleNamespace(pause=lambda *_: None))
    monkeypatch.setattr("nrmbus.bus.standby.private.generation", lambda _: 1)
    monkeypatch.setattr(standby.OneWorks, "since", None)
    log.set_up_log(TIMEKEEPER)
    try:
        await member.on_partitions_assigned([])
        await member.on_partitions_assigned([standby.WORK])
    finally:
        structlog.reset_defaults()

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["event"], each["service"], each.get("error")) for each in lines] == [
        ("stands_by", TIMEKEEPER, None),
        ("works", TIMEKEEPER, None),
    ]
