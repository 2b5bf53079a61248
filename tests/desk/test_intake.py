"""The hotline's desk and the intake file: the key that messages are sealed to, over its whole life."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from desk.own_bus import BUS, OwnBus
from desk.own_bus import bus as bus  # noqa: PLC0414 - a fixture
from intake.given import CANARY, ID, NOW, WRITTEN, holder, on_disk
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk import intake
from nrmbus.intake.messages import Hotline
from nrmbus.intake.store import FILE, FOLDER, IntakeStore
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys.keys import SealingKey

HOTLINE = Hotline(BUS, "vac")


def write(home: Path, id: str = ID) -> None:
    """Have a person write to the intake."""
    store, person = IntakeStore(home), holder()
    store.take(person, id, lambda to: HOTLINE.seal(WRITTEN, to, id=id, ref=person.ref), now=NOW)
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
        monkeypatch.setattr(intake, "wall_now", lambda now=now: now)
        await intake.tend(seat, bus.home)

    store = IntakeStore(bus.home)
    assert store.seen == NOW
    store.close()


async def test_an_agency_without_an_intake_gets_no_file(bus: OwnBus) -> None:
    """Only the public page makes one."""
    await bus.round(1)

    assert not IntakeStore.is_at(bus.home)


BEYOND = ID[:-1] + "b"
STRANGE = {
    "the hotline's key": "UPDATE about SET public = x'00'",
    "a key as a text": "UPDATE about SET public = 'x'",
    "the desk's last look": "UPDATE about SET seen = 7.5",
    "the last use": "UPDATE clock SET at = 'never'",
    "a last use that is not UTF-8": "UPDATE clock SET at = CAST(x'ff' AS TEXT)",
    "an id": "UPDATE messages SET id = x'00ff' WHERE id LIKE '%b'",
    "a long id": "UPDATE messages SET id = printf('%070000d', 1) WHERE id LIKE '%b'",
    "a letter": "UPDATE messages SET letter = 'text', kid = 'x' WHERE id LIKE '%b'",
    "a letter as a number": "UPDATE messages SET letter = 99999999999, kid = 'x' WHERE id LIKE '%b'",
    "a large letter": "UPDATE messages SET letter = zeroblob(300000), kid = 'x' WHERE id LIKE '%b'",
    "another suite": "UPDATE messages SET letter = CAST('nrl1nrm2' AS BLOB), kid = 'x' WHERE id LIKE '%b'",
    "the time of a message": "UPDATE messages SET at = 'never' WHERE id LIKE '%b'",
    "a reference": "UPDATE threads SET ref = x'00ff' WHERE number = 2",
    "a holder's key": "UPDATE threads SET public = x'00' WHERE number = 2",
    "the last visit": "UPDATE threads SET touched = 'never' WHERE number = 2",
    "a visit that is not UTF-8": "UPDATE threads SET touched = CAST(x'ff' AS TEXT) WHERE number = 2",
    "a visit at the end of time": "UPDATE threads SET touched = '9999-12-31T23:59:00Z' WHERE number = 2",
    "the days": "UPDATE threads SET keep_days = 99999999999 WHERE number = 2",
    "no days": "UPDATE threads SET keep_days = 'x' WHERE number = 2",
}
"""A value that no release writes, by what it stands for; the second person's thread is number 2."""


@pytest.mark.thorough
@pytest.mark.parametrize("what", STRANGE)
async def test_a_strange_value_in_the_file_keeps_no_key_and_no_other_message(bus: OwnBus, what: str) -> None:
    """Given a value that the public page's process put into the file, when the hotline's key ends, then the desk hands every other message over, destroys the key and deletes what is too old."""
    store = IntakeStore(bus.home)
    store.keep(90)
    await bus.round(1)
    first = bus.identity.sealing.kid
    for person, id in ((holder(), ID), (holder(2), BEYOND)):
        store.take(person, id, partial(HOTLINE.seal, WRITTEN, id=id, ref=person.ref), now=wall_now())
    with edited(bus.home) as file:
        file.execute("UPDATE clock SET at = '2020-01-01T00:00:00Z'")  # so that the visits are read, too
        file.execute(STRANGE[what])

    await bus.round(91)
    assert await bus.round(121) == (first,)

    assert text(bus) == CANARY
    assert store.key_kid == bus.identity.sealing.kid
    with edited(bus.home) as file:
        file.execute("UPDATE threads SET touched = '2020-01-01T00:00:00Z' WHERE number = 1")
    assert store.expire(wall_now()) == 1
    store.close()


@pytest.mark.parametrize("what", ["the hotline's key", "a letter", "a large letter"])
async def test_a_person_is_told_once_of_a_strange_value(bus: OwnBus, what: str) -> None:
    """Given a value that cannot be read, when the desk looks again and again, then one task says where it is and what to do, and nothing of the value."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    write(bus.home, BEYOND)

    for _ in range(3):
        with edited(bus.home) as file:
            file.execute(STRANGE[what])
        await intake.tend(bus.given.desk.seat, bus.home)

    (task,) = await bus.given.rows("tasks")
    assert (task.kind, task.subject) == ("intake_damaged", "")
    assert "public/intake.sqlite" in task.about


async def test_a_message_to_a_key_that_is_gone_is_nobodys_task(bus: OwnBus) -> None:
    """Given a message from an old copy of the file, whose key was destroyed, then the desk opens no task: nobody can do anything."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    person, gone = holder(), SealingKey.generate()
    store = IntakeStore(bus.home)
    store.tell(gone.seal_to, NOW)
    store.close()
    write(bus.home)

    await intake.tend(bus.given.desk.seat, bus.home)

    assert await bus.given.rows("tasks") == []
    with edited(bus.home) as file:
        ((letter,),) = file.execute("SELECT letter FROM messages").fetchall()
    assert HOTLINE.opened(letter, {gone.kid: gone}, id=ID, ref=person.ref)["story"]["text"] == CANARY


async def test_what_cannot_be_read_at_all_is_a_damaged_file(bus: OwnBus) -> None:
    """Given a thread without a time, when the desk's pages ask for it, then the file is damaged, and the error has nothing of the value."""
    IntakeStore(bus.home).close()
    await bus.round(1)
    write(bus.home)
    with edited(bus.home) as file:
        file.execute("UPDATE threads SET touched = 'CANARY'")

    with pytest.raises(sqlite3.DatabaseError) as raised:
        await intake.in_store(bus.home, IntakeStore.threads)

    assert "CANARY" not in str(raised.value)
