"""What ``nrmbus replay`` calls verified: a history in which somebody changed anything is not."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nrmbus.cli.auditing import AuditedHistory, broken_links
from nrmbus.directory import Identity
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import SigningKey
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from registrar.given import Bus


def with_header(record: Record, name: str, value: bytes) -> Record:
    """The record with another value of one header."""
    return replace(record, headers=tuple((each, value if each == name else old) for each, old in record.headers))


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    """A bus on which four signals were registered."""
    bus = Bus(tmp_path)
    bus.admit("registrar", "registrar")
    bus.key = bus.identities["registrar"].signing
    shard = bus.shard()
    for number in range(4):
        bus.signal(shard, case=f"{number:032x}")
    return bus


@pytest.fixture
async def history(bus: Bus) -> AsyncIterator[AuditedHistory]:
    """What reads its history; the broker is not asked."""
    history = AuditedHistory("127.0.0.1:9", 1, bus.directory)
    yield history
    await history.stop()


async def test_a_history_as_it_was_written_is_verified(bus: Bus, history: AuditedHistory) -> None:
    """Registrar, senders, audiences and the chain."""
    entries = [history._entry(record) for record in bus.history]

    assert [entry.registration.number for entry in entries] == [1, 2, 3, 4]
    assert list(broken_links(entries)) == []


@pytest.mark.parametrize("missing", [0, 1, 2])
async def test_a_number_that_was_taken_out_is_found(bus: Bus, history: AuditedHistory, missing: int) -> None:
    """The next one names the digest of what is not there."""
    entries = [history._entry(record) for index, record in enumerate(bus.history) if index != missing]

    assert next(broken_links(entries)) == (0, missing + 2)


async def test_two_that_changed_places_are_found(bus: Bus, history: AuditedHistory) -> None:
    """Order is part of what happened."""
    first, second, *rest = [history._entry(record) for record in bus.history]

    assert next(broken_links([second, first, *rest])) == (0, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda record, other: with_header(record, REGISTRATION, dict(other.headers)[REGISTRATION]),
        lambda record, other: with_header(record, AUDIENCE, dict(other.headers)[AUDIENCE]),
        lambda record, other: replace(other, headers=(*other.headers[:-2], *record.headers[-2:])),
        lambda record, other: replace(record, value=other.value + b" "),
    ],
    ids=["another's registration", "another's audience", "another's envelope", "other data"],
)
async def test_a_record_that_was_altered_is_found(
    bus: Bus, history: AuditedHistory, change: Callable[[Record, Record], Record]
) -> None:
    """Each part is tied to the others by a digest or a signature."""
    with pytest.raises(WireError):
        history._entry(change(bus.history[2], bus.history[1]))


async def test_an_event_signed_by_somebody_else_is_found(bus: Bus, history: AuditedHistory, tmp_path: Path) -> None:
    """Though the registrar says that it was registered: the sender's key in the directory decides."""
    shard = bus.shard()
    bus.identities["ngo-a"] = Identity("ngo-a", SigningKey.generate(), Identity.at(tmp_path / "x", "ngo-a").sealing)
    bus.history.clear()
    bus.signal(shard, case="f" * 32)

    with pytest.raises(WireError):
        history._entry(bus.history[0])
