"""A desk of the statistics after a month off makes the same figures, byte for byte, however often interrupted."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from agencies import BUS, NOW
from desk.given import desk_of
from nrmbus.bus.kafka import clients
from nrmbus.desk.access import break_glass
from nrmbus.desk.errors import DeskError
from nrmbus.statistics import service
from nrmbus.statistics.history import Histories
from nrmbus.statistics.service import Reader
from nrmbus.wire.record import Record
from registrar.kept_long_enough import Kept
from statistics_story import CODED, SIGNAL, Story

BATCH: Final = 6


def month() -> Story:
    """Return a month: twelve women, twelve more a week later, a second case of one of them, and an erasure."""
    story = Story()
    for number in range(13, 25):
        story.happens(
            "ngo-a", "case.signal_recorded", SIGNAL, case=f"{number:032x}", parts=CODED, opens=("statistics",),
            at=NOW + timedelta(days=7),
        )  # fmt: skip
    again = {"coded": {**CODED["coded"], "previous_case": f"{13:032x}"}}
    story.happens(
        "ngo-a", "case.signal_recorded", SIGNAL, case=f"{25:032x}", parts=again, opens=("statistics",),
        at=NOW + timedelta(days=20),
    )  # fmt: skip
    story.erased(2)
    return story


class Killed(Exception):
    """The process ended here."""


async def test_desk_that_was_off_for_a_month_makes_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk is killed between batches and while it opens letters, and never makes figures of a part."""
    monkeypatch.setattr(service, "WITHIN_SECONDS", 0.0)
    story = month()
    async with desk_of("statistics", tmp_path / "on", registrar=story.registrar) as given:
        for each in story.deliveries:
            await given.hear(each)
        due = await story.draft(given)

    async def killed(*about: Any, **more: Any) -> Any:
        raise Killed

    off, heard = tmp_path / "off", 0
    while heard < len(story.deliveries):
        async with desk_of("statistics", off, registrar=story.registrar) as given:
            for each in story.deliveries[max(0, heard - 1) : heard + BATCH]:  # the last one comes twice
                await given.hear(each)
            heard += BATCH
            with monkeypatch.context() as patch:
                patch.setattr(break_glass, "opened", killed)
                with pytest.raises((DeskError, Killed)) as caught:
                    await story.draft(given)
            if heard < len(story.deliveries) - 1:
                assert getattr(caught.value, "code", "") == "inbox_unread"
    async with desk_of("statistics", off, registrar=story.registrar) as given:
        made = await story.draft(given)

    assert due.table("signalled_by_sex").cell("_T") == 23
    assert made.to_json() == due.to_json()


class Interrupted:
    """Kafka consumer of one partition, whose broker goes away after some records."""

    def __init__(self, records: list[Record], breaks_after: int) -> None:
        self._records, self._left, self._at = records, breaks_after, 0

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""

    def assign(self, partitions: list[Any]) -> None:
        """Read *partitions*."""
        (self._place,) = partitions

    def seek(self, _: Any, offset: int) -> None:
        """Go on at *offset*."""
        self._at = offset

    async def end_offsets(self, _: Any) -> Mapping[Any, int]:
        """Return where the history ends."""
        return {self._place: len(self._records)}

    async def position(self, _: Any) -> int:
        """Return the next offset."""
        return self._at

    async def getmany(self, **_: Any) -> Mapping[Any, list[Any]]:
        """Return the next two records; raise where the broker has gone."""
        if self._left <= 0:
            raise KafkaConnectionError
        first, self._at = self._at, min(self._at + 2, len(self._records))
        self._left -= 2
        taken = enumerate(self._records[first : self._at], first)
        return {self._place: [SimpleNamespace(key=r.key, value=r.value, headers=r.headers, offset=n) for n, r in taken]}


async def test_reading_of_the_history_goes_on_where_the_broker_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the broker goes away, each registration counts once, and the place is that of one reading."""
    kept = Kept()
    seat = SimpleNamespace(
        me="statistics", directory=kept.bus.directory, registrar_key=lambda _: kept.bus.key.verify_key
    )
    settings = SimpleNamespace(bus=BUS, partitions=1)
    folder = SimpleNamespace(settings=settings, reach=lambda _: None, agency=lambda _: SimpleNamespace(path=None))
    reader = Reader(cast("Any", folder), cast("Any", SimpleNamespace(seat=seat)))
    times = 0
    while True:
        times += 1
        monkeypatch.setattr(clients, "reader", lambda *_, **__: Interrupted(kept.history, 3))
        try:
            await reader.read()
        except KafkaConnectionError:
            continue
        break
    whole = Histories(BUS, 1, lambda _: kept.bus.key.verify_key)
    for record in kept.history:
        whole.take(record, 0)

    assert times > 2
    assert (reader.histories.facts, reader.histories.checkpoints) == (whole.facts, whole.checkpoints)
