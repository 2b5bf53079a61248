"""When the relay sends: at once, or together with what comes while the rows sent before are unanswered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agencies import SIGNAL
from desk.given import Given, desk_of
from nrmbus.desk import relay
from nrmbus.desk.broker_clock import BrokerClock
from nrmbus.wire import ids
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record
from patience import eventually

CASES = tuple(f"{number:02x}" * 16 for number in range(1, 4))


@asynccontextmanager
async def sending(home: Path) -> AsyncIterator[Given]:
    """A desk whose relay runs, and has looked at an empty outbox."""
    async with desk_of("ngo-a", home) as given:
        running = asyncio.create_task(given.relay.run())
        yield given
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def sent(given: Given, *cases: str) -> None:
    """Wait until the events of *cases* are sent, in this order."""

    def are_sent() -> bool:
        return [decode(each).subject for each in given.sent] == list(cases)

    await eventually("the relay has sent them", are_sent)


async def test_what_comes_while_an_event_is_unanswered_leaves_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event that was sent, when two of other cases are published, then one commit signs both when the answer is there."""
    monkeypatch.setattr(relay, "GATHER_SECONDS", 600.0)
    async with sending(tmp_path) as given:
        ledger = given.desk.seat.ledger
        await given.ask(type="case.signal_recorded", data=SIGNAL, case=CASES[0])
        await sent(given, CASES[0])
        for case in CASES[1:]:
            await given.ask(type="case.signal_recorded", data=SIGNAL, case=case)
        await eventually("the relay has seen them, and waits for an answer", lambda: given.desk.heard._waiters)
        assert len(given.sent) == 1

        before = ledger.count
        await given.hear(given.registrar.register(given.sent[0], to="ngo-a"))
        await sent(given, *CASES)
        assert ledger.count == before + 2, "one commit for the answer, and one for both signatures"


async def test_an_event_of_a_desk_with_nothing_under_way_is_sent_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event that was sent and answered, the next one waits for nothing."""
    monkeypatch.setattr(relay, "GATHER_SECONDS", 600.0)
    async with sending(tmp_path) as given:
        for number, case in enumerate(CASES):
            await given.ask(type="case.signal_recorded", data=SIGNAL, case=case)
            await sent(given, *CASES[: number + 1])
            await given.hear(given.registrar.register(given.sent[-1], to="ngo-a"))


async def test_a_registrar_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    """Given an event without an answer, the next one is sent all the same, after a moment."""
    async with sending(tmp_path) as given:
        for number, case in enumerate(CASES):
            await given.ask(type="case.signal_recorded", data=SIGNAL, case=case)
            await sent(given, *CASES[: number + 1])


@pytest.mark.parametrize("partitions", [1, 3])
async def test_an_event_goes_to_the_partition_of_its_case_whatever_the_topic_has(partitions: int) -> None:
    """Given an outbox to which somebody added partitions, an event is sent to the one that the registrar reads."""
    places = list[tuple[Any, ...]]()

    class Producer:
        """Keeps where a record is sent."""

        async def send_and_wait(self, *where: Any, **_: Any) -> Any:
            """Take a record."""
            places.append(where)
            return SimpleNamespace(timestamp=1000 * time.time())

    send = relay.through(cast("Any", Producer()), "nrm.outbox.ngo-a", BrokerClock(), partitions)
    for case in CASES:
        await send(Record(case.encode(), b"{}", ()))

    due = [ids.partition_of(case, partitions) for case in CASES]
    assert places == [
        ("nrm.outbox.ngo-a", b"{}", case.encode(), number) for case, number in zip(CASES, due, strict=True)
    ]
