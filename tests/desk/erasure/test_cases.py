"""Erasing a case destroys every key to its letters, even for somebody with the folder; signed clear text stays and verifies."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import insert, update

from agencies import BUS, CASE, NOW, SIGNAL
from desk.access.test_opening import CONSENT, readings, until_sent
from desk.given import CANARY, REF, Given, desk_of
from generations import before_type
from nrmbus.backup import folders
from nrmbus.backup.store import Store
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.desk.store import sqlite, tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.letter import Container, Place
from nrmbus.wire.record import Record
from patience import eventually

OTHER = "ef" * 16


async def hear_a_letter(given: Given, case: str = CASE) -> tuple[Container, Place]:
    """Have an NGO send vac a letter; return the letter as it travelled, and its place."""
    said = given.registrar.event(
        "ngo-a", "referral.info_supplied", {"question": "language"}, case=case, referral=REF,
        parts={"story": {"answer": CANARY}}, opens=["vac"],
    )  # fmt: skip
    await given.hear(given.registrar.register(said, to="vac"))
    signed = decode(said)
    letter = signed.letter()
    assert letter is not None
    return letter, Place(BUS, "ngo-a", signed.id, case)


async def hear_that_it_is_due(given: Given, case: str = CASE, ground: str = "decision") -> str:
    """Have the bus publish that the case is due for erasure; return the event's id."""
    said = given.registrar.event("timekeeper", "access.erasure_due", {"ground": ground}, case=case)
    await given.hear(given.registrar.register(said, to="vac"))
    return decode(said).id


async def secrets_of(given: Given, place: Place) -> dict[Any, bytes]:
    """Return the letter's content keys that the ledger still opens."""
    with given.desk.seat.ledger.read() as tx:
        return dict(case_keys.secrets_of(given.desk.seat, tx, place))


def of_type(sent: list[Record], type_: str) -> list[Any]:
    """Return the events of one type in *sent*."""
    return [decode(each).event() for each in sent if decode(each).type == type_]


async def tasks_of(given: Given, case: str) -> list[tuple[str, str, str | None]]:
    """Return the tasks of *case*: kind, what it is about, and when it was done."""
    return [(row.kind, row.about, row.done) for row in await given.rows("tasks") if row.subject == case]


async def test_nothing_is_erased_before_it_is_due(tmp_path: Path) -> None:
    """A decision alone destroys nothing: a week for objections follows."""
    async with desk_of("vac", tmp_path) as given:
        _, place = await hear_a_letter(given)
        assert await rounds.erase_due(given.desk) == ()
        assert await secrets_of(given, place)


async def test_what_is_due_by_a_clock_years_ahead_waits_for_this_desks_own(tmp_path: Path) -> None:
    """If the bus's clock is wrong, registrar and timekeeper agree that all is over; the desk's own clock prevents the erasure."""
    async with desk_of("vac", tmp_path) as given:
        _, place = await hear_a_letter(given)
        given.registrar.time = NOW + timedelta(days=6 * 365)
        await hear_that_it_is_due(given, ground="retention")

        given.clock.time = NOW + timedelta(days=30)
        assert await rounds.erase_due(given.desk) == ()
        assert await secrets_of(given, place)
        with given.desk.seat.ledger.read() as tx:
            assert rounds.waiting(tx, "vac") == 1

        given.clock.time = given.registrar.time - timedelta(minutes=5)
        assert await rounds.erase_due(given.desk) == (CASE,)
        assert await secrets_of(given, place) == {}


async def test_an_order_that_this_release_cannot_read_waits_for_the_upgrade(tmp_path: Path) -> None:
    """Given an order of a later release, which says its ground elsewhere, then it destroys nothing and ends no desk; the case is shown as parked."""
    async with desk_of("vac", tmp_path) as given:
        _, place = await hear_a_letter(given)
        said = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        order = given.registrar.register(said, to="vac")
        with before_type("access.erasure_due"):
            await given.hear(order)
        async with given.desk.seat.ledger.write() as tx:
            of_type = tables.events.c.type == "access.erasure_due"
            tx.execute(update(tables.events).where(of_type).values(value=b"{}"))

        assert await rounds.erase_due(given.desk) == ()
        assert await secrets_of(given, place)
        assert [row.error for row in await given.rows("parked")] == ["UnknownType"]


@pytest.mark.parametrize(
    ("type_", "data"),
    [("access.erasure_due", {"ground": "decision"}), ("access.reseal_due", {"holder": "vac"})],
    ids=["that a case is to be erased", "that the glass is broken"],
)
async def test_what_the_timekeeper_alone_says_does_nothing_in_anothers_mouth(
    tmp_path: Path, type_: str, data: dict[str, Any]
) -> None:
    """A rogue agency or registrar cannot have a case erased or a letter resealed: the desk checks who published the event."""
    referral = "9e" * 16 if type_ == "access.reseal_due" else None
    async with desk_of("vac", tmp_path) as given:
        _, place = await hear_a_letter(given)
        said = given.registrar.event("migration", type_, data, referral=referral)
        await given.hear(given.registrar.register(said, to="vac"))

        assert await rounds.erase_due(given.desk) == ()
        assert await secrets_of(given, place)
        assert type_ not in [row.type for row in await given.rows("events")]
        assert "forged" in [row.kind for row in await given.rows("tasks")]


async def test_after_an_erasure_no_file_of_the_folder_opens_the_letter(tmp_path: Path) -> None:
    """After an erasure, today's folder, the agency's keys and the letter as it travelled do not open the letter.

    Key of the case, kept content keys and ciphertext were in its files before; afterwards none is, in no free page and
    not in the write-ahead file. The other case opens as before.
    """
    async with desk_of("vac", tmp_path) as given:
        letter, place = await hear_a_letter(given)
        _, other = await hear_a_letter(given, OTHER)
        (part,) = [each for each in letter.sealed if not isinstance(each, bytes)][:1]
        before = [row.sealed for row in await given.rows("case_keys") if row.subject == CASE]
        before += [row.sealed for row in await given.rows("letter_keys") if row.subject == CASE]
        before += [row.letter[100:400] for row in await given.rows("events") if row.subject == CASE and row.letter]
        assert len(before) == 3
        assert part.name in await secrets_of(given, place)
        content = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
        assert all(secret in content for secret in before)

        await hear_that_it_is_due(given)
        assert await rounds.erase_due(given.desk) == (CASE,)

        content = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
        assert not any(secret in content for secret in before)
        assert await secrets_of(given, place) == {}
        assert await secrets_of(given, other)
    content = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert not any(secret in content for secret in before)


async def test_erased_while_a_reading_is_being_put_on_record_it_is_not_opened(tmp_path: Path) -> None:
    """The desk has confirmed the erasure by then: the earlier reader is told so, and reads nothing."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        await given.settle()
        asking = asyncio.ensure_future(given.door.get("/v1/inbox", params={"open": True, "actor": "S-17"}))
        sent = await until_sent(given)
        await hear_that_it_is_due(given)
        assert await rounds.erase_due(given.desk) == (CASE,)
        await given.hear(given.registrar.register(sent, to="vac"))
        (shown,) = (await asking).json()["events"]

        assert CANARY not in str(shown)
        assert shown["shut"] == "erased"
        assert await readings(given) == [("desk", "receipt")]


async def test_nobody_takes_the_id_of_what_the_desk_says_by_itself(tmp_path: Path) -> None:
    """The id follows from the timekeeper's event: if somebody used it at the door first, the desk could not confirm its erasure."""
    due = said_by_itself("timekeeper", "what anybody can work out", "D-ERASE")
    taken = {"type": "consent.given", "data": CONSENT, "case": CASE, "actor": "S-1"}
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        id = said_by_itself("vac", due, AccessErasureConfirmed.type)
        refused = await given.door.post("/v1/events", json=taken | {"id": id})
        said = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"}, id=due)
        await given.hear(given.registrar.register(said, to="vac"))
        assert await rounds.erase_due(given.desk) == (CASE,)

        assert [row.id for row in await given.rows("outbox") if row.type == AccessErasureConfirmed.type] == [id]
        assert refused.status_code == 422
        assert refused.json()["problems"] == [{"pointer": "/id", "kind": "string_pattern_mismatch"}]


async def test_what_was_signed_in_the_clear_stays(tmp_path: Path) -> None:
    """Envelopes, registrations and the record of readers stay; the door shows the letter as erased."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        await hear_that_it_is_due(given)
        rows = [(row.number, row.headers, row.value) for row in await given.rows("events")]
        reads, inbox = await given.rows("reads"), await given.rows("inbox")
        await rounds.erase_due(given.desk)

        assert [(row.number, row.headers, row.value) for row in await given.rows("events")] == rows
        assert (await given.rows("reads"), await given.rows("inbox")) == (reads, inbox)
        assert [row.shut for row in await given.rows("events")] == ["erased", None]
        (read, _) = (await given.door.get("/v1/inbox", params={"technical": True})).json()["events"]
        assert read["shut"] == "erased"
        assert "letter" not in read


async def test_the_tasks_that_the_procedure_gave_end_with_the_case(tmp_path: Path) -> None:
    """Given a task about a letter, when its case is erased, then the task is done and says nothing; that of another case stays."""
    async with desk_of("vac", tmp_path) as given:
        for case in (CASE, OTHER):
            await hear_a_letter(given, case)
        ((kind, about, _),) = await tasks_of(given, OTHER)
        await hear_that_it_is_due(given)
        assert await rounds.erase_due(given.desk) == (CASE,)

        assert await tasks_of(given, CASE) == [(kind, "{}", times.write(NOW))]
        assert await tasks_of(given, OTHER) == [(kind, about, None)]


async def test_tasks_that_an_earlier_release_left_behind_an_erasure_end_too(tmp_path: Path) -> None:
    """Given an erased case with a task about an earlier event, when the desk looks, then that task ends; one about a later event stays."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        ((kind, about, _),) = await tasks_of(given, CASE)
        await hear_that_it_is_due(given)
        await rounds.erase_due(given.desk)
        async with given.desk.seat.ledger.write() as tx:
            tx.execute(update(tables.tasks).values(about=about, done=None))
        await hear_a_letter(given)
        assert await rounds.erase_due(given.desk) == ()

        assert await tasks_of(given, CASE) == [(kind, "{}", times.write(NOW)), (kind, about, None)]


async def test_a_task_of_the_desk_itself_outlives_its_case(tmp_path: Path) -> None:
    """Given a record that nobody signed, when its case is erased, then somebody still has to look at it."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        said = given.registrar.event("migration", "access.erasure_due", {"ground": "decision"})
        await given.hear(given.registrar.register(said, to="vac"))
        await hear_that_it_is_due(given)
        assert await rounds.erase_due(given.desk) == (CASE,)

        assert ("forged", None) in [(kind, done) for kind, _, done in await tasks_of(given, CASE)]


async def test_it_is_confirmed_once_with_the_horizon(tmp_path: Path) -> None:
    """The confirmation is signed by the agency and names its order; a second look or a restart confirms nothing more."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        due = await hear_that_it_is_due(given)
        await given.out()
        assert await rounds.erase_due(given.desk) == (CASE,)
        assert await rounds.erase_due(given.desk) == ()
        rows = [row for row in await given.rows("outbox") if row.type == AccessErasureConfirmed.type]
        assert len(rows) == 1
        assert due in rows[0].clear.decode()
        (done,) = await given.rows("erasures")
        assert (done.ground, done.cause, done.done) == ("decision", due, times.write(NOW))
        assert '"ground":"decision"' in rows[0].clear.decode()
        assert f'"horizon":"{done.horizon}"' in rows[0].clear.decode()
        # Keys of 1 January: their 90 days are over on 1 April, and 30 days later they are gone.
        assert done.horizon == "2026-05-01T00:00:00Z"
    async with desk_of("vac", tmp_path) as given:
        assert await rounds.erase_due(given.desk) == ()


async def test_a_folder_restored_from_before_an_erasure_erases_again_and_confirms_nothing_twice(tmp_path: Path) -> None:
    """A desk restored from a backup, made while it ran, reads what it missed: it erases the case again and does not confirm twice."""
    home, old, store = tmp_path / "home", tmp_path / "old", Store.at(tmp_path / "backup")
    home.mkdir()
    async with desk_of("vac", home) as given:
        _, place = await hear_a_letter(given)
        registrar = given.registrar
        with store.held():
            files = folders.keep(home, lambda: folders.paths(home), store, None, lambda *_: None)
    folders.put_back(store, files.items(), old)
    since = []
    async with desk_of("vac", home, registrar=registrar) as given:
        due = registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        since.append(registrar.register(due, to="vac"))
        await given.hear(since[0])
        assert await rounds.erase_due(given.desk) == (CASE,)
        for type_ in ("letter.opened", AccessErasureConfirmed.type):  # a case has one event under way at a time
            (said,) = await given.out()
            assert decode(said).type == type_
            since.append(registrar.register(said, to="vac"))
            await given.hear(since[-1])

    async with desk_of("vac", old, registrar=registrar) as given:
        assert await secrets_of(given, place)
        given.clock.time = NOW + timedelta(days=2)  # otherwise it would send the same bytes
        for each in since:
            await given.hear(each)
        assert await rounds.erase_due(given.desk) == (CASE,)
        assert await secrets_of(given, place) == {}
        assert of_type(await given.out(), AccessErasureConfirmed.type) == []


async def test_what_this_agency_had_said_itself_goes_too(tmp_path: Path) -> None:
    """The agency's own letters and drafts are erased once they are answered; the erasure waits for a draft that is under way."""
    async with desk_of("vac", tmp_path) as given:
        signal = SIGNAL | {"detector": "vac"}
        await given.ask(type="case.signal_recorded", data=signal, sealed={"notes": CANARY})
        (sent,) = await given.out()
        await hear_that_it_is_due(given)
        assert await rounds.erase_due(given.desk) == ()
        await given.hear(given.registrar.register(sent, to="vac"))
        assert await rounds.erase_due(given.desk) == (CASE,)
        (row,) = [row for row in await given.rows("outbox") if row.type == "case.signal_recorded"]
        assert (row.letter, row.draft, row.asked) == (None, None, "")
        assert await given.rows("letter_keys") == []


async def test_what_comes_after_an_erasure_is_erased_too(tmp_path: Path) -> None:
    """A letter under way and a draft that is then refused are erased too."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        await hear_that_it_is_due(given)
        await rounds.erase_due(given.desk)
        await hear_a_letter(given)
        assert await given.rows("case_keys")
        assert await rounds.erase_due(given.desk) == ()
        assert await given.rows("case_keys") == []
        assert [row.letter for row in await given.rows("events") if row.subject == CASE] == [None, None, None]


async def test_cut_in_between_it_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk killed during an erasure is unchanged; the next look erases and confirms."""
    async with desk_of("vac", tmp_path) as given:
        _, place = await hear_a_letter(given)
        await hear_that_it_is_due(given)

        def cut(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(rounds, "_confirm", cut)
            with pytest.raises(KeyboardInterrupt):
                await rounds.erase_due(given.desk)
        assert await secrets_of(given, place)
        assert await rounds.erase_due(given.desk) == (CASE,)


async def test_a_ledger_that_does_not_overwrite_would_be_noticed(tmp_path: Path) -> None:
    """Sabotage of the test above: without ``secure_delete`` a deleted key is still found in the file."""
    async with desk_of("vac", tmp_path) as given, given.desk.seat.ledger.write() as tx:
        row = {"subject": CASE, "kid": "x", "sealed": b"a key that is deleted" * 3}
        tx.execute(insert(tables.case_keys).values(**row))
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        other.execute("PRAGMA secure_delete=OFF")
        other.execute("DELETE FROM case_keys")
        other.commit()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    assert b"a key that is deleted" in (tmp_path / "ledger.sqlite").read_bytes()


async def test_who_reads_the_ledger_meanwhile_keeps_nothing_of_it_on_the_disk(tmp_path: Path) -> None:
    """While a backup reads the ledger, the keys stay in the write-ahead file; they leave the file as soon as the backup is done."""

    def left(keys: list[bytes]) -> int:
        files = [path.read_bytes() for path in tmp_path.glob("ledger.sqlite*")]
        return sum(any(key in file for file in files) for key in keys)

    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        keys = [row.sealed for table in ("case_keys", "letter_keys") for row in await given.rows(table)]
        assert left(keys) == len(keys) == 2
        await hear_that_it_is_due(given)
        backup = sqlite3.connect(tmp_path / "ledger.sqlite")
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM events").fetchone()
        assert await rounds.erase_due(given.desk) == (CASE,)
        assert (left(keys), (await given.door.get("/health")).json()["erasing"]) == (2, 1)
        backup.close()

        looking = asyncio.create_task(rounds.run(given.desk, tmp_path, lambda: True))

        async def is_done() -> bool:
            return not (await given.door.get("/health")).json()["erasing"]

        await eventually("nothing is left to erase", is_done)
        looking.cancel()
        assert left(keys) == 0


async def test_whoever_is_killed_before_the_file_is_emptied_empties_it_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full at the next look, the file is emptied at the look after that; the desk keeps running."""
    full = iter([True, False])

    def emptied(path: Path) -> bool:
        if next(full, False):
            raise sqlite3.OperationalError("database or disk is full")
        return _checkpoint(path)

    _checkpoint = sqlite._checkpoint
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        key = (await given.rows("case_keys"))[0].sealed
        await hear_that_it_is_due(given)
        with monkeypatch.context() as killed:
            killed.setattr(Ledger, "off_the_disk", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                await rounds.erase_due(given.desk)
        assert any(key in path.read_bytes() for path in tmp_path.glob("ledger.sqlite*"))

        monkeypatch.setattr(sqlite, "_checkpoint", emptied)
        monkeypatch.setattr(rounds, "LOOK_EVERY", 0.05)
        looking = asyncio.create_task(rounds.run(given.desk, tmp_path, lambda: True))

        def is_empty() -> bool:
            assert not looking.done()
            return not any(key in path.read_bytes() for path in tmp_path.glob("ledger.sqlite*"))

        await eventually("the file is emptied", is_empty)
        looking.cancel()


async def test_the_timekeeper_is_not_asked_and_confirms_nothing(tmp_path: Path) -> None:
    """The timekeeper keeps a ledger as desks do, but confirms no erasure: the registrar would refuse the event in every case."""
    async with desk_of("timekeeper", tmp_path) as given:
        async with given.desk.seat.ledger.write() as tx:
            rounds.order(tx, CASE, cause="", ground="decision", at=times.write(NOW))

        assert await rounds.erase_due(given.desk) == (CASE,)
        assert await given.rows("outbox") == []


async def test_what_was_erased_is_confirmed_again_when_another_decides_so_or_its_years_are_over(tmp_path: Path) -> None:
    """Each erasure order gets exactly one answer, since a week runs for each and overdue agencies are reported to its author."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        causes = []
        for ground, erased in (("decision", (CASE,)), ("decision", (CASE,)), ("retention", (CASE,))):
            causes.append(await hear_that_it_is_due(given, ground=ground))
            assert await rounds.erase_due(given.desk) == erased
            assert await rounds.erase_due(given.desk) == ()
        said = [row.clear.decode() for row in await given.rows("outbox") if row.type == AccessErasureConfirmed.type]
        assert [cause in each for cause, each in zip(causes, said, strict=True)] == [True] * 3
        assert ['"ground":"retention"' in each for each in said] == [False, False, True]


async def test_of_two_orders_that_come_together_the_last_is_answered(tmp_path: Path) -> None:
    """One confirmation of the agency ends both duties, and later looks confirm nothing more."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        causes = [await hear_that_it_is_due(given) for _ in range(2)]
        assert [await rounds.erase_due(given.desk) for _ in range(3)] == [(CASE,), (), ()]
        (said,) = [row.clear.decode() for row in await given.rows("outbox") if row.type == AccessErasureConfirmed.type]
        assert [cause in said for cause in causes] == [False, True]
