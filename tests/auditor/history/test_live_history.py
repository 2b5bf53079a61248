"""The history in the auditor's memory: how it learns where the topic ends."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from auditor.web import given
from auditor.web.given import Hall
from nrmbus.auditor.history.history import History, HistoryError
from nrmbus.wire.record import Record


async def test_no_question_waits_for_a_silent_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is asked on a connection that waits for no record: a broker answers the requests of a connection in order."""
    hall = Hall(tmp_path, monkeypatch)
    waiting: list[given._Following] = []
    join, ends = given._Following.join, given._Following.ends

    def joined(reader: given._Following, offsets: dict[TopicPartition, int]) -> None:
        waiting.append(reader)
        join(reader, offsets)

    async def asked(reader: given._Following, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        assert reader not in waiting
        return await ends(reader, partitions)

    monkeypatch.setattr(given._Following, "join", joined)
    monkeypatch.setattr(given._Following, "ends", asked)
    async with hall.seen.reading() as seen:
        assert len(seen.history.entries) == len(hall.written.records)
    assert len(waiting) == 1


async def test_a_slow_directory_loses_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key newer than the known directory, which the broker does not show in time: the question fails, and the next has it all."""
    hall = Hall(tmp_path, monkeypatch)
    take, count, failed = History.take, 0, list[str]()

    def taken(history: History, record: Record, partition: int) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise HistoryError(partition, 2, "signature_invalid")
        take(history, record, partition)

    async def catch_up() -> None:
        failed.append("once")
        raise KafkaTimeoutError

    monkeypatch.setattr(History, "take", taken)
    monkeypatch.setattr(hall.seen, "_catch_up", catch_up)
    with pytest.raises(KafkaTimeoutError):
        async with hall.seen.reading():
            pass

    async with hall.seen.reading() as seen:
        assert len(seen.history.entries) == len(hall.written.records)
    assert hall.seen.trouble is None
    assert failed == ["once"]
