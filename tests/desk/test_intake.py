"""The hotline's desk and the intake file: the key that messages are sealed to, over its whole life."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from desk.own_bus import BUS, OwnBus
from desk.own_bus import bus as bus  # noqa: PLC0414 - a fixture
from intake.given import CANARY, ID, NOW, WRITTEN, holder, on_disk
from nrmbus.desk import intake
from nrmbus.intake.messages import Hotline
from nrmbus.intake.store import FILE, FOLDER, IntakeStore
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys.keys import SealingKey

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


@contextmanager
def edited(home: Path) -> Iterator[sqlite3.Connection]:
    """Open the file as its other process can, and keep what is changed."""
    with closing(sqlite3.connect(home / FOLDER / FILE)) as file, file:
        yield file


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


async def test_p2_who_takes_over_the_public_page_reads_no_earlier_message(bus: OwnBus) -> None:
    """Given a message and its answer, when an intruder in the page's process writes a key of his own into the file, then the desk seals nothing to that key, and the person and the hotline read on."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    write(bus.home)
    answer, person, intruder = ID[:-1] + "a", holder(), SealingKey.generate()
    await intake.answer(
        bus.given.desk.seat, bus.home, 1, "at the side door", id=answer, who="4711", last=1, look=lambda: None
    )
    with edited(bus.home) as file:
        file.execute("UPDATE threads SET public = ?", (intruder.public,))
        file.execute("UPDATE messages SET kid = 'x', who = coalesce(who, '1')")

    await intake.tend(bus.given.desk.seat, bus.home)

    with edited(bus.home) as file:
        assert file.execute("SELECT DISTINCT kid FROM messages").fetchall() == [(bus.identity.sealing.kid,)]
        letters = dict(file.execute("SELECT id, letter FROM messages").fetchall())
    for id, letter in letters.items():
        with pytest.raises((LetterClosed, KeyError)):
            HOTLINE.opened_by(replace(person, key=intruder), letter, id=id)
    assert text(bus) == CANARY
    assert HOTLINE.opened_by(person, letters[answer], id=answer) == "at the side door"


async def test_an_answer_outlives_the_key_too(bus: OwnBus) -> None:
    """Given an answer, when the hotline's key is destroyed after the next one, then the person and the hotline still read the answer."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    first = bus.identity.sealing.kid
    write(bus.home)
    answer, person = ID[:-1] + "a", holder()
    await intake.answer(
        bus.given.desk.seat, bus.home, 1, "at the side door", id=answer, who="4711", last=1, look=lambda: None
    )

    await bus.round(91)
    assert await bus.round(121) == (first,)

    with edited(bus.home) as file:
        ((letter,),) = file.execute("SELECT letter FROM messages WHERE id = ?", (answer,)).fetchall()
    assert HOTLINE.opened_by(person, letter, id=answer) == "at the side door"
    parts = HOTLINE.opened(letter, bus.identity.opening, id=answer, ref=person.ref)
    assert parts == {"story": {"text": "at the side door"}}


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
