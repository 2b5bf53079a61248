"""The history in the auditor's memory: how it learns where the topic ends."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition

from auditor.web import given
from auditor.web.given import Hall


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
