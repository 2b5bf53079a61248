"""Whatever happens in whatever order, each event is said once, numbered without gaps, and answered."""

import asyncio
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agencies import SIGNAL, town
from desk.given import FakeRegistrar, Given, Read, desk_of
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

CASES = ("aa" * 16, "bb" * 16)
SETTLED = {"registered", "refused", "failed"}


class StrictRegistrar:
    """Answers as the real one must: the same receipt for known bytes, a gap out of order, one number each for the rest."""

    def __init__(self) -> None:
        self.fake = FakeRegistrar(town())
        self.due: dict[str, int] = defaultdict(lambda: 1)
        self.known: dict[tuple[str, str], Read] = {}
        self.inbox: list[Read] = []
        self.registered: list[tuple[str, str]] = []

    def take(self, record: Record, verdict: str) -> None:
        """Judge *record*, and append the desk's delivery to its inbox."""
        signed = decode(record)
        identity = (signed.subject, signed.id)
        if identity in self.known:
            self.inbox.append(self.known[identity])
            return
        if verdict == "unreadable":
            self.inbox.append(self.fake.answer(record, "unreadable"))
            return
        if signed.sequence != self.due[signed.subject]:
            about = {"subject": signed.subject, "id": signed.id, "expected_sequence": self.due[signed.subject]}
            self.inbox.append(self.fake.answer(record, "sequence_gap", **about))
            return
        self.due[signed.subject] += 1
        if verdict == "registered":
            self.known[identity] = self.fake.register(record, to="ngo-a")
            self.registered.append(identity)
        elif verdict == "audience_changed":
            self.known[identity] = self.fake.refuse(
                record, verdict, rule="W9", seal_to={"coded": ("special-unit",), "story": ("vac",)}
            )
        else:
            self.known[identity] = self.fake.refuse(record, "consent_refused")
        self.inbox.append(self.known[identity])


class World:
    """A desk, its registrar, and the records in transit between them."""

    def __init__(self, home: Path) -> None:
        self.home, self.registrar = home, StrictRegistrar()
        self.outbox: list[Record] = []
        self.asked = self.heard = 0

    async def play(self, operations: list[Any]) -> list[Any]:
        """Do *operations*, then let everything come to rest; return the rows of the outbox."""
        for operations_of_one_life in lives(operations):
            async with desk_of("ngo-a", self.home) as desk:
                for operation in operations_of_one_life:
                    await self.do(desk, operation)
        async with desk_of("ngo-a", self.home) as desk:
            for _ in range(60):
                await self.do(desk, "send")
                while self.outbox:
                    await self.do(desk, "registered")
                while self.heard < len(self.registrar.inbox):
                    await self.do(desk, "hear")
            return await desk.rows("outbox")

    async def do(self, desk: Given, operation: Any) -> None:
        """Do one operation, which may happen at any time."""
        match operation:
            case ("say", case):
                self.asked += 1
                await desk.ask(type="case.signal_recorded", case=CASES[case], data=SIGNAL, sealed={"age_band": "25-34"})
            case "send":
                self.outbox += await desk.out()
            case "twice" if self.outbox:
                self.outbox.insert(0, self.outbox[0])
            case "hear" if self.heard < len(self.registrar.inbox):
                self.heard += 1
                await desk.hear(self.registrar.inbox[self.heard - 1])
            case "again" if self.heard:
                await desk.hear(self.registrar.inbox[self.heard - 1])
            case "registered" | "refused" | "audience_changed" | "unreadable" if self.outbox:
                self.registrar.take(self.outbox.pop(0), operation)
            case _:
                pass  # the operation has no target


def lives(operations: list[Any]) -> list[list[Any]]:
    """Return the operations between the kills, life by life."""
    found: list[list[Any]] = [[]]
    for operation in operations:
        if operation == "kill":
            found.append([])
        else:
            found[-1].append(operation)
    return found


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 1)),
        st.sampled_from(["send", "send", "hear", "hear", "registered", "registered"]),
        st.sampled_from(["kill", "again", "twice", "refused", "audience_changed", "unreadable"]),
    ),
    min_size=4,
    max_size=30,
)


PASSING_ANSWER_FIRST = [("say", 0), "send", "kill", "unreadable", "send", "refused"]
"""One copy of the bytes gets a passing answer, and the copy that the desk sends after a kill gets a numbered refusal."""


@pytest.mark.thorough
@example(PASSING_ANSWER_FIRST)
@given(OPERATIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_event_is_answered_once_in_any_order_of_things(operations: list[Any]) -> None:
    """After kills, repeated sendings, late and double receipts, refusals and gaps every row is answered, and no event is doubled."""
    with TemporaryDirectory() as home:
        world = World(Path(home))
        rows = asyncio.run(world.play(operations))

    assert {row.state for row in rows} <= {"closed"}
    assert {row.verdict for row in rows} <= SETTLED
    assert len([row for row in rows if row.replaced_by is None]) == world.asked
    assert len(set(world.registrar.registered)) == len(world.registrar.registered)
    assert sorted(world.registrar.registered) == sorted(
        (row.subject, row.id) for row in rows if row.verdict == "registered"
    )
    for case in CASES:
        numbers = sorted(row.sequence for row in rows if row.subject == case and row.sequence is not None)
        assert numbers == list(range(1, world.registrar.due[case]))
