"""An auditor that no longer audits does not look ready: whatever ends its work ends the process, and its supervisor starts it again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from brokers import Broker
from nrmbus.auditor import app
from nrmbus.auditor.app import Auditor
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.bus.folder import BusFolder
from nrmbus.telemetry import trace
from nrmbus.wire.names import AUDITOR, CASES


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Take back the log and the trace that `app.main` sets up, which later tests of this process would write to."""
    yield
    structlog.reset_defaults()
    trace.shut_down()


def test_on_a_machine_of_her_own_she_waits_for_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no broker at her start, then she tries again until there is one; beside the operator her supervisor does that."""
    folder, ends = BusFolder(tmp_path), [SystemExit(0), KafkaConnectionError(), KafkaConnectionError()]
    folder.create(bootstrap="127.0.0.1:1", tls=False)
    pauses: list[float] = []

    async def run(_: BusFolder) -> None:
        raise ends.pop()

    monkeypatch.setattr(app, "_run", run)
    monkeypatch.setattr("time.sleep", pauses.append)
    with pytest.raises(KafkaConnectionError):
        app.main(folder)

    folder.keys.mkdir()
    (folder.keys / "operator.pub").touch()
    with pytest.raises(SystemExit):
        app.main(folder)
    (pause,) = pauses
    assert 0.5 <= pause <= 1.0


async def test_a_task_that_was_cancelled_by_a_library_ends_the_process() -> None:
    """Given work that a library cancelled while nobody ended the auditor, then the process ends; at its own end it does not."""
    auditor = object.__new__(Auditor)
    auditor._ending, auditor.failed = asyncio.Event(), False
    told: list[bool] = []
    auditor.stop = lambda: told.append(True)
    work = asyncio.create_task(asyncio.sleep(60))
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    auditor._ended(work)
    assert (auditor.failed, told) == (True, [True])

    auditor.failed = False
    auditor._ending.set()
    auditor._ended(work)
    assert (auditor.failed, told) == (False, [True])


@pytest.mark.slow
@pytest.mark.broker
async def test_a_reader_that_has_nothing_to_read_is_closed_in_order(broker: Broker) -> None:
    """Given a comparison of no record, as after a first checkpoint over one registration, then nothing is cancelled."""
    folder = broker.fresh_bus()
    cases = TopicPartition(CASES, 0)
    for _ in range(5):
        async with TopicReader(folder.as_operator, AUDITOR) as reader:
            reader.join({cases: 0})
            assert await reader.passed({cases: 0})
