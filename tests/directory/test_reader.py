"""A process that keeps the directory up to date goes on from no entry that it did not believe."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from directory.given import Office
from nrmbus.bus.kafka import clients
from nrmbus.directory import DirectoryError
from nrmbus.directory.entry import Entry
from nrmbus.directory.reader import DirectoryReader


class Topic:
    """A consumer of a topic whose records all come at once; once fetched they do not come again."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.at = 0

    async def position(self, _: object) -> int:
        """Return the place of the next record."""
        return self.at

    async def getmany(self, partition: object, timeout_ms: int) -> dict[object, list[Any]]:
        """Return the records that did not come yet."""
        came, self.at = self.values[self.at :], len(self.values)
        return {partition: [SimpleNamespace(value=each) for each in came]} if came else {}


async def test_an_entry_that_is_not_believed_is_heard_by_every_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a record that is not believed, when a request reads it, then the process that follows the directory hears of it too: the entries behind it are not known here."""
    office, topic, heard = Office(tmp_path), Topic(), list[Entry]()

    @asynccontextmanager
    async def reading(*_: object, **__: object) -> AsyncIterator[tuple[Topic, int]]:
        yield topic, len(topic.values)

    monkeypatch.setattr(clients, "reader", lambda *_, **__: topic)
    monkeypatch.setattr(clients, "reading", reading)
    identity = office.identity("ngo-a")
    entry = office.operator.number(office.admitted(office.asked(identity)), office.directory)
    reader = DirectoryReader("127.0.0.1:1", office.directory, heard.append)
    topic.values = [b"no entry", entry]

    with pytest.raises(DirectoryError) as first:
        await reader.catch_up()
    for again in (reader.catch_up, reader.follow):
        with pytest.raises(DirectoryError) as caught:
            await again()
        assert caught.value.code == first.value.code
    assert heard == []
