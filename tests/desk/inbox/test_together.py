"""Records that wait together share a transaction: the same result as one by one, and after a fault or a kill nothing is lost."""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from agencies import town
from desk.given import BED, REF, FakeRegistrar, Given, Read, consumed, desk_of, killed_at_call
from nrmbus.desk.access import opening
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox import hear, release, settle, store, transaction
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox import queue
from nrmbus.desk.state import parking
from nrmbus.desk.store import sqlite as ledger_module
from nrmbus.desk.store import tables
from nrmbus.rules import Rules
from nrmbus.shelter import procedure as shelter
from nrmbus.wire.envelope import Signed
from nrmbus.wire.record import Record

CASES = tuple(f"{number:02x}" * 16 for number in range(1, 6))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(release, "FIRST_WAIT", 0.0)


def asked(registrar: FakeRegistrar, cases: Sequence[str] = CASES, ref: str = REF) -> list[Read]:
    """Return requests for a woman's bed, one of each of *cases*."""
    parts = {"coded": {"category": "women"}}
    how: dict[str, Any] = {"referral": ref, "parts": parts, "opens": ["shelter"]}
    events = [registrar.event("special-unit", "shelter.bed_requested", BED, case=each, **how) for each in cases]
    return [registrar.register(each, to="shelter") for each in events]


async def hear_waiting(given: Given, records: list[Read]) -> Read:
    """Let the desk read the first of *records*, while the others wait behind it; return the first."""
    first, *others = records
    first.consumer.behind = list(others)
    await given.hear(first)
    return first


async def hear_all(given: Given, records: list[Read]) -> None:
    """Let the desk read on from its ledger's position, like its consumer, until it has handled all *records*."""
    for _ in range(100):
        position = given.desk.seat.ledger.positions.get(0)
        left = [each for each in records if position is None or each.offset >= position.next_offset]
        if not left:
            return
        try:
            await hear_waiting(given, left)
        except Broken:
            continue
    pytest.fail("the desk reads the same records again and again")


async def outcome(given: Given) -> dict[str, Any]:
    """Return the state that the records must have left behind."""
    return {
        "inbox": [(row.inbox_number, row.id) for row in await given.rows("inbox")],
        "events": [(row.id, row.parts, row.shut) for row in await given.rows("events")],
        "outbox": [(row.type, row.id, row.clear) for row in await given.rows("outbox")],
        "tasks": [(row.kind, row.event, row.done is None) for row in await given.rows("tasks")],
        "parked": [(row.subject, row.error) for row in await given.rows("parked")],
        "position": dict(given.desk.seat.ledger.positions),
        "book": given.desk.book,
    }


async def test_what_waits_is_committed_together(tmp_path: Path) -> None:
    """Five letters of five cases need two commits: one records that they are opened, one stores all that follows."""
    async with desk_of("shelter", tmp_path) as given:
        before = given.desk.seat.ledger.count
        first = await hear_waiting(given, asked(given.registrar))

        assert given.desk.seat.ledger.count == before + 2
        assert len(await given.rows("events")) == len(await given.rows("inbox")) == len(CASES)
        assert given.desk.seat.ledger.positions[0].next_offset == len(CASES)
        assert first.consumer.committed == 1
        assert not given.desk.working


async def test_the_result_is_that_of_one_by_one(tmp_path: Path) -> None:
    """Events, answers, tasks and book are the same; one bed is offered once, although both requests shared a transaction."""
    registrar = FakeRegistrar(town())
    records = asked(registrar)
    async with desk_of("shelter", tmp_path / "one", registrar=registrar) as given:
        for each in records:
            await given.hear(each)
        alone = await outcome(given)
    async with desk_of("shelter", tmp_path / "all", registrar=registrar) as given:
        await hear_waiting(given, records)

        assert await outcome(given) == alone
        answers = [row.type for row in await given.rows("outbox") if row.origin == "procedure"]
        assert answers == ["shelter.bed_offered"] + ["shelter.bed_refused"] * (len(CASES) - 1)


async def test_an_untrusted_record_among_them_changes_nothing_for_the_others(tmp_path: Path) -> None:
    """A record that nobody vouches for is set aside, and the next delivery still follows the last one."""
    async with desk_of("shelter", tmp_path) as given:
        known = asked(given.registrar, CASES[:2])
        unknown = consumed(Record(b"ff" * 16, b"{}", ()), to="shelter", offset=2)
        await hear_waiting(given, [*known, unknown])
        (third,) = asked(given.registrar, CASES[2:3])
        third.offset = 3
        await given.hear(third)

        assert len(await given.rows("events")) == len(await given.rows("inbox")) == 3
        assert [(row.offset, row.code) for row in await given.rows("set_aside")] == [(2, "not_a_delivery")]


async def test_records_of_one_case_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second record of a case begins another transaction, so that it meets all that the first one changed."""
    whole, runs = transaction.handle_together, list[list[str]]()

    async def noted(desk: Any, records: Sequence[Any]) -> None:
        runs.append([each.key.decode()[:2] for each in records])
        await whole(desk, records)

    monkeypatch.setattr("nrmbus.desk.inbox.middleware.handle_together", noted)
    async with desk_of("shelter", tmp_path) as given:
        records = asked(given.registrar, [CASES[0], CASES[1], CASES[0], CASES[2], CASES[0]])
        await hear_waiting(given, records)

        assert runs == [["01", "02"], ["01", "03"], ["01"]]
        heard = [row.id for row in await given.rows("events")]
        assert heard == [dict(each.headers)["ce_id"].decode() for each in records]


async def test_no_letter_opens_before_all_openings_are_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of the ledger's file sees the row of each letter before the first of them opens."""
    whole, seen = letters._open, list[int]()
    async with desk_of("shelter", tmp_path) as given:

        def noted(seat: Any, signed: Signed, *more: Any) -> letters.Opened:
            with seat.ledger.read() as tx:
                reads = tables.reads.c.event
                assert tx.scalar(select(func.count()).where(reads == signed.id))
                seen.append(tx.scalar(select(func.count(reads.distinct()))) or 0)
            return whole(seat, signed, *more)

        monkeypatch.setattr(letters, "_open", noted)
        await hear_waiting(given, asked(given.registrar))

    assert seen == [len(CASES)] * len(CASES)


class Broken(Exception):
    """A mistake in a procedure."""


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the desk may catch it."""


async def test_one_that_fails_is_parked_and_takes_nobody_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are undone, in memory too, and read again one by one: the others are handled, and only the faulty case waits."""
    whole = shelter.keep

    def keep(book: Any, now: Any) -> Any:
        if now.event.subject == CASES[2]:
            raise Broken
        return whole(book, now)

    monkeypatch.setattr(shelter, "keep", keep)
    async with desk_of("shelter", tmp_path) as given:
        records, book = asked(given.registrar), given.desk.book
        with pytest.raises(Broken):
            await hear_waiting(given, records)

        assert records[0].consumer.again == [records[0].offset]
        assert (await given.rows("events"), given.desk.book, dict(given.desk.seat.ledger.positions)) == ([], book, {})
        await hear_all(given, records)
        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASES[2], "Broken")]
        assert len(await given.rows("events")) == len(CASES)
        assert given.desk.one_by_one == 0
        await hear_waiting(given, later := asked(given.registrar, CASES[3:], "ef" * 16))
        assert later[0].consumer.committed == 1


def broken_for(case: str) -> Any:
    """Return the step of the Rules that judges whether a letter stays shut, with an error for the letters of *case*."""
    whole = Rules.keeps_shut

    def keeps_shut(rules: Rules, view: Any, event: Any, *more: Any) -> bool:
        if event.subject == case:
            raise Broken
        return whole(rules, view, event, *more)

    return keeps_shut


async def test_a_case_with_which_the_rules_cannot_go_on_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a case that is parked since the Rules fail at its history, when its next letter comes, then it waits closed behind, and all others are read."""
    whole = Rules.evolve

    def evolve(rules: Rules, view: Any, fact: Any) -> Any:
        if fact.event.subject == CASES[2]:
            raise Broken
        return whole(rules, view, fact)

    async with desk_of("shelter", tmp_path) as given:
        with monkeypatch.context() as patch:
            patch.setattr(Rules, "evolve", evolve)
            await hear_all(given, asked(given.registrar))
            await hear_all(given, asked(given.registrar, ref="ef" * 16))

        assert [(row.subject, row.error) for row in await given.rows("parked")] == [
            (CASES[2], "Broken"),
            (CASES[2], parking.BEHIND),
        ]
        assert len(await given.rows("events")) == 2 * len(CASES)
        assert given.desk.seat.trouble is None
        assert await receipts(given, CASES[2]) == 1
        assert await release.release(given.desk, given.inbox, CASES[2]) == 0
        assert await receipts(given, CASES[2]) == 2


async def test_a_letter_at_which_the_rules_fail_is_parked_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given Rules that fail when they judge a letter, after four tries it is stored closed, and only its case waits for a person."""
    async with desk_of("shelter", tmp_path) as given:
        with monkeypatch.context() as patch:
            patch.setattr(Rules, "keeps_shut", broken_for(CASES[2]))
            await hear_all(given, asked(given.registrar))

        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASES[2], "Broken")]
        assert {row.subject for row in await given.rows("reads")} == {*CASES} - {CASES[2]}
        assert await receipts(given, CASES[2]) == 0
        assert await release.release(given.desk, given.inbox, CASES[2]) == 0
        assert await receipts(given, CASES[2]) == 1


async def receipts(given: Given, case: str) -> int:
    """Return how many letters of *case* the desk says that it opened."""
    return len([row for row in await given.rows("outbox") if row.type == "letter.opened" and row.subject == case])


async def test_only_what_was_not_committed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the second transaction leaves the first one as it is, and reading goes on behind the first."""
    monkeypatch.setattr(store, "store", killed_at_call(store.store, 2, Broken))
    async with desk_of("shelter", tmp_path) as given:
        records = asked(given.registrar, [CASES[0], CASES[1], CASES[0]])
        with pytest.raises(Broken):
            await hear_waiting(given, records)

        assert records[0].consumer.again == [records[2].offset]
        assert len(await given.rows("events")) == 2


async def test_a_commit_that_fails_leaves_memory_as_the_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk refuses the shared commit, position, book and views are those before it, and all is read again."""
    async with desk_of("shelter", tmp_path) as given:
        records, book = asked(given.registrar), given.desk.book
        with monkeypatch.context() as patch:
            whole, commits = ledger_module._commit, count()

            def refuse(transaction: Any) -> None:
                if next(commits) == 0:  # the openings are on record
                    return whole(transaction)
                transaction.rollback()
                raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

            patch.setattr(ledger_module, "_commit", refuse)
            with pytest.raises(OperationalError):
                await hear_waiting(given, records)

        assert {row.subject for row in await given.rows("reads")} == set(CASES)
        assert (await given.rows("events"), given.desk.book, dict(given.desk.seat.ledger.positions)) == ([], book, {})
        await hear_all(given, records)
        assert len(await given.rows("events")) == len(CASES)


CUTS: dict[str, tuple[Any, str]] = {
    "at the opening of a letter": (letters, "record_reads"),
    "at storing": (store, "store"),
    "at what is said": (queue, "put"),
    "at the procedure": (hear, "finish"),
    "at what follows the commit": (settle, "remember"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [0, 2, 4])
@pytest.mark.parametrize("cut", CUTS)
async def test_killed_among_records_that_wait_together_a_desk_loses_and_doubles_nothing(
    cut: str, times: int, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL at any moment, a restarted desk reads on and ends in the same state as an unharmed one."""
    registrar = FakeRegistrar(town())
    records = asked(registrar)
    async with desk_of("shelter", tmp_path / "unharmed", registrar=registrar) as given:
        await hear_waiting(given, records)
        whole = await outcome(given)
    async with desk_of("shelter", tmp_path / "killed", registrar=registrar) as given:
        with monkeypatch.context() as patch:
            target, name = CUTS[cut]
            patch.setattr(target, name, killed_at_call(getattr(target, name), times, Killed, after=when == "after"))
            with pytest.raises(Killed):
                await hear_waiting(given, records)
    async with desk_of("shelter", tmp_path / "killed", registrar=registrar) as given:
        assert len(await given.rows("events")) in {0, len(CASES)}
        await hear_all(given, records)

        assert await outcome(given) == whole


async def wait_for_the_inbox(given: Given, cases: Sequence[str] = CASES) -> None:
    """Have a request of each case come while more records follow, so that its letter waits."""
    given.desk.end_of = lambda _: 1_000
    await hear_waiting(given, asked(given.registrar, cases))
    given.desk.end_of = lambda _: 0
    assert given.desk.parked == set(cases)


async def test_letters_that_waited_are_let_through_together(tmp_path: Path) -> None:
    """Once the inbox is read to its end, five letters of five cases need two commits, and no case stays behind."""
    async with desk_of("shelter", tmp_path) as given:
        await wait_for_the_inbox(given)
        before = given.desk.seat.ledger.count
        await release.release_by_itself(given.desk, given.inbox)

        assert given.desk.seat.ledger.count == before + 2
        assert (await given.rows("parked"), given.desk.parked) == ([], set())
        assert [row.type for row in await given.rows("outbox") if row.origin == "receipt"] == ["letter.opened"] * len(
            CASES
        )


async def test_a_case_that_fails_among_those_let_through_waits_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on, and the faulty one waits for a person."""
    whole = shelter.keep

    def keep(book: Any, now: Any) -> Any:
        if now.event.subject == CASES[2]:
            raise Broken
        return whole(book, now)

    async with desk_of("shelter", tmp_path) as given:
        await wait_for_the_inbox(given)
        monkeypatch.setattr(shelter, "keep", keep)
        await release.release_by_itself(given.desk, given.inbox)

        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASES[2], "Broken")]
        assert given.desk.parked == {CASES[2]}
        opened = [row.subject for row in await given.rows("outbox") if row.type == "letter.opened"]
        assert opened == [*CASES[:2], *CASES[3:]]


async def test_a_waiting_letter_at_which_the_rules_fail_waits_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a letter that waited for the inbox, when the Rules fail at it, then its case is for a person and the others go on."""
    async with desk_of("shelter", tmp_path) as given:
        await wait_for_the_inbox(given)
        with monkeypatch.context() as patch:
            patch.setattr(Rules, "keeps_shut", broken_for(CASES[0]))
            await release.release_by_itself(given.desk, given.inbox)

        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASES[0], "Broken")]
        assert [row.subject for row in await given.rows("tasks") if row.kind == parking.TASK] == [CASES[0]]
        assert await receipts(given, CASES[0]) == 0


async def test_a_lasting_fault_of_the_machine_at_one_case_ends_the_release_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file that can never be read for the first case, the others are let through, a task shows the first, and it follows after the repair."""
    async with desk_of("shelter", tmp_path) as given:
        await wait_for_the_inbox(given)
        await hear_waiting(given, asked(given.registrar, CASES[:1], ref="ef" * 16))
        with monkeypatch.context() as patch:
            patch.setattr(opening, "open_letter", unreadable_for(CASES[0]))
            for _ in range(2):
                await release.release_by_itself(given.desk, given.inbox)
            assert [(row.subject, row.error) for row in await given.rows("parked")] == [
                (CASES[0], parking.STUCK),
                (CASES[0], parking.BEHIND),
            ]
            assert given.desk.stuck == given.desk.parked == {CASES[0]}
            assert [(row.subject, row.done) for row in await given.rows("tasks") if row.kind == parking.TASK] == [
                (CASES[0], None)
            ]

        await release.release_by_itself(given.desk, given.inbox, sorted(given.desk.stuck))
        assert (await given.rows("parked"), given.desk.parked, given.desk.stuck) == ([], set(), set())
        assert [row.done is None for row in await given.rows("tasks") if row.kind == parking.TASK] == [False]
        answers = [row for row in await given.rows("outbox") if row.origin == "procedure" and row.subject == CASES[0]]
        assert [json.loads(row.clear)["causationid"] for row in answers] == [
            row.id for row in await given.rows("events") if row.subject == CASES[0]
        ]


def unreadable_for(case: str) -> Any:
    """Return the opening of letters with an error of the disk for *case*; it kills a release that tries without end."""
    whole, tries = opening.open_letter, count()

    async def open_letter(desk: Any, signed: Signed, **how: Any) -> letters.Opened:
        if signed.subject == case:
            if next(tries) > 40:
                raise Killed
            raise OSError
        return await whole(desk, signed, **how)

    return open_letter


async def test_a_case_that_meets_a_passing_fault_of_the_machine_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file that cannot be read for the first case until the others are through, then the first one follows without a task."""
    async with desk_of("shelter", tmp_path) as given:
        await wait_for_the_inbox(given)
        whole = opening.open_letter

        async def open_letter(desk: Any, signed: Signed, **how: Any) -> letters.Opened:
            if signed.subject == CASES[0] and len(given.desk.parked) > 1:
                raise OSError
            return await whole(desk, signed, **how)

        monkeypatch.setattr(opening, "open_letter", open_letter)
        await release.release_by_itself(given.desk, given.inbox)

        assert (await given.rows("parked"), given.desk.parked, given.desk.stuck) == ([], set(), set())
        assert [row for row in await given.rows("tasks") if row.kind == parking.TASK] == []


async def test_the_task_about_a_gap_is_opened_once_the_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a full disk when a delivery turns out to be missing, when there is room again, then a person is asked to look, once."""

    def opens_no_task(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    registrar = FakeRegistrar(town())
    _, behind = asked(registrar, CASES[:2])
    async with desk_of("shelter", tmp_path, registrar=registrar) as given:
        with monkeypatch.context() as full:
            full.setattr(settle, "open_task", opens_no_task)
            for _ in range(2):
                with pytest.raises((DeskError, OperationalError)):
                    await given.hear(behind)
        assert await given.rows("tasks") == []

        for _ in range(2):
            with pytest.raises(DeskError, match="inbox_gap"):
                await given.hear(behind)
        assert [row.kind for row in await given.rows("tasks")] == ["inbox_gap"]
