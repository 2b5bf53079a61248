"""The hotline's desk and the intake file: the key that messages are sealed to, over its whole life."""

from datetime import timedelta
from pathlib import Path

import pytest

from desk.own_bus import BUS, OwnBus
from desk.own_bus import bus as bus  # noqa: PLC0414 - a fixture
from intake.given import CANARY, ID, NOW, WRITTEN, holder, on_disk
from nrmbus.desk import intake
from nrmbus.intake.messages import Hotline
from nrmbus.intake.store import IntakeStore

HOTLINE = Hotline(BUS, "vac")


def write(home: Path) -> None:
    """Have a person write to the intake."""
    store, person = IntakeStore(home), holder()
    store.take(person, ID, lambda to: HOTLINE.seal(WRITTEN, to, id=ID, ref=person.ref), now=NOW)
    store.close()


def text(bus: OwnBus) -> object:
    """Return what the desk reads with the keys that it has now."""
    store = IntakeStore(bus.home)
    thread = store.thread(1)
    store.close()
    assert thread is not None
    return HOTLINE.opened(thread.messages[0].letter, bus.identity.opening, id=ID, ref=thread.ref)["story"]["text"]


async def test_a_message_outlives_the_key_that_it_was_sealed_to(bus: OwnBus) -> None:
    """The desk seals it to the next key before the earlier one is destroyed."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    first = bus.identity.sealing.kid
    write(bus.home)

    await bus.round(91)
    assert bus.identity.sealing.kid != first
    assert await bus.round(121) == (first,)

    assert text(bus) == CANARY
    assert b"CANARY" not in on_disk(bus.home)


async def test_no_key_is_destroyed_while_messages_wait_for_the_next_one(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk that was killed, or had no room, in the middle of the change finishes it first."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    first = bus.identity.sealing.kid
    write(bus.home)

    def full(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as broken:
        broken.setattr(IntakeStore, "replace", full)
        for day in (91, 121):
            with pytest.raises(InterruptedError):
                await bus.round(day)
    assert first in bus.held()

    assert await bus.round(121) == (first,)
    assert text(bus) == CANARY


async def test_a_message_that_nobody_can_open_has_the_file_written_once_a_minute(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes from an old backup, and its key is gone. Each look tries it again; a second look has nothing to write."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    write(bus.home)
    store = IntakeStore(bus.home)
    store.replace(ID, b"sealed to a key that is gone", "gone")
    store.close()
    told: list[object] = []
    monkeypatch.setattr(IntakeStore, "tell", lambda _, key, now: told.append((key, now)))
    seat = bus.given.desk.seat

    for _ in range(2):
        await intake.tend(seat, bus.home)

    assert not told


async def test_a_time_named_by_a_clock_that_was_ahead_is_corrected_at_the_next_look(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that looked while its clock was ten days ahead, when the clock is right, then the public page knows when the desk was last here."""
    IntakeStore(bus.home).close()
    seat = bus.given.desk.seat

    for now in (NOW + timedelta(days=10), NOW):
        monkeypatch.setattr(intake, "wall_time", lambda now=now: now)
        await intake.tend(seat, bus.home)

    store = IntakeStore(bus.home)
    assert store.seen == NOW
    store.close()


async def test_an_agency_without_an_intake_gets_no_file(bus: OwnBus) -> None:
    """Only the public page makes one."""
    await bus.round(1)

    assert not IntakeStore.is_at(bus.home)
