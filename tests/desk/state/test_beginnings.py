"""A desk that lost its ledger reads the inbox again, and opens no letter that was erased or withdrawn before."""

from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, NOW, SIGNAL, town
from desk.given import CANARY, REF, FakeRegistrar, Given, Read, desk_of
from nrmbus.desk.access import opening
from nrmbus.desk.erasure import rounds
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.state import beginnings
from nrmbus.desk.store.ledger import Beginning
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

pytestmark = pytest.mark.usefixtures("kept")

UNTIL = 100
SHARING: dict[str, Any] = {
    "purposes": ["information_sharing"],
    "receivers": ["special-unit"],
    "given_by": "individual",
    "form": "written",
}

TAKEN_BACK = {"purposes": ["information_sharing"], "receivers": ["special-unit"]}


async def begun(given: Given, *, number: int | None = 1, previous: str = "0" * 64, lost: bool = True) -> None:
    """Begin a new ledger on a filled inbox, whose first remaining delivery is *number*."""
    seat = given.desk.seat
    first = Beginning(UNTIL, number, previous, times.write(NOW), times.write(NOW), lost)
    async with seat.ledger.write() as tx:
        seat.ledger.begin(tx, 0, first)
    given.desk.end_of = lambda _: UNTIL


def told(registrar: FakeRegistrar, type_: str, data: dict[str, Any], by: str = "ngo-a", **more: Any) -> Read:
    """Return *by*'s event as delivered to the special unit."""
    return registrar.register(registrar.event(by, type_, data, **more), to="special-unit")


def signal(registrar: FakeRegistrar) -> Read:
    """Return a signal, whose coded facts need no consent."""
    return told(registrar, "case.signal_recorded", SIGNAL, parts={"coded": {"sex": "F"}}, opens=["special-unit"])


async def opened(given: Given) -> set[str]:
    """Return the events whose letters the desk opened automatically."""
    return {row.event for row in await given.rows("reads")}


async def caught_up(given: Given) -> None:
    """Do the desk's work after the inbox is read to its end."""
    await rounds.erase_due(given.desk)
    await rounds.delete_stopped(given.desk)
    await release_by_itself(given.desk, given.inbox)


async def test_no_letter_is_opened_before_the_inbox_was_read_again(tmp_path: Path) -> None:
    """A case waits whatever its legal basis, and continues once the desk has read to the end."""
    registrar = FakeRegistrar(town())
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        await begun(given)
        await given.hear(signal(registrar))
        assert (await opened(given), [row.error for row in await given.rows("parked")]) == (set(), ["InboxUnread"])

        await caught_up(given)
        assert len(await opened(given)) == 1
        assert await given.rows("parked") == []


async def test_p7_what_was_erased_before_the_ledger_was_lost_is_not_opened_again(tmp_path: Path) -> None:
    """The erasure order is behind the letter in the inbox, and counts before anything opens."""
    registrar = FakeRegistrar(town())
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        await begun(given)
        letter = signal(registrar)
        await given.hear(letter)
        await given.hear(told(registrar, "access.erasure_due", {"ground": "decision"}, by="timekeeper"))
        await caught_up(given)

        assert await opened(given) == set()
        assert await given.rows("letter_keys") == await given.rows("case_keys") == []
        (row, *_) = await given.rows("events")
        assert (row.letter, row.shut) == (None, "erased")


async def test_p7_an_erasure_that_is_due_keeps_a_letter_shut_before_it_is_done(tmp_path: Path) -> None:
    """The letter stays shut even while the desk cannot destroy anything yet."""
    registrar = FakeRegistrar(town())
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        await begun(given)
        letter = signal(registrar)
        await given.hear(letter)
        await given.hear(told(registrar, "access.erasure_due", {"ground": "decision"}, by="timekeeper"))
        await release_by_itself(given.desk, given.inbox)

        assert await opened(given) == set()
        signed = decode_of(letter)
        with given.desk.seat.ledger.read() as tx:
            assert opening.why_shut(given.desk, signed, tx) == "erased"


def decode_of(read: Read) -> Any:
    """Return the delivered signed event."""
    return decode(Record(read.key, read.value, tuple(read.headers)).split()[0])


async def test_p6_what_the_person_took_back_stays_shut(tmp_path: Path) -> None:
    """The withdrawal is behind the letter in the inbox that is read again."""
    registrar = FakeRegistrar(town())
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        await begun(given)
        parts = {"story": {"answer": CANARY}}
        await given.hear(
            told(
                registrar,
                "referral.info_supplied",
                {"question": "language"},
                referral=REF,
                parts=parts,
                opens=["special-unit"],
            )
        )
        await given.hear(told(registrar, "consent.withdrawn", TAKEN_BACK))
        await caught_up(given)

        assert await opened(given) == set()


async def test_a_ledger_may_begin_behind_what_the_broker_has_no_more(tmp_path: Path) -> None:
    """The first remaining delivery is accepted, the next must follow it, and the ledger counts as unaltered."""
    registrar = FakeRegistrar(town())
    gone = [signal(registrar) for _ in range(3)]
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        await begun(given, number=None)
        await given.hear(told(registrar, "consent.given", SHARING))
        await given.hear(told(registrar, "consent.given", SHARING))
        await given.hear(gone[1])  # an earlier delivery comes again

        assert given.desk.seat.ledger.positions[0].inbox_number == 5
        assert given.desk.health()["ledger_lost"]["missing"] == 3
        assert not await given.desk.unaltered.is_altered(CASE)
        assert await given.rows("set_aside") == []
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        assert given.desk.health()["ledger_lost"]["missing"] == 3
        assert not await given.desk.unaltered.is_altered(CASE)


async def test_a_case_whose_beginning_is_gone_is_shown_as_incomplete(tmp_path: Path) -> None:
    """Such a case has no status, version or deadlines, which would be wrong; a later case is complete."""
    registrar, other = FakeRegistrar(town()), "ef" * 16
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        signal(registrar)
        await begun(given, number=None)
        await given.hear(told(registrar, "consent.given", SHARING))
        await given.hear(told(registrar, "case.signal_recorded", SIGNAL, case=other))
        old, new = [(await given.door.get(f"/v1/cases/{case}")).json() for case in (CASE, other)]

        assert (old["incomplete"], "status" in old, "version" in old, "open_deadlines" in old) == (
            True,
            False,
            False,
            False,
        )
        assert "lost" in old["sentence"]
        assert ("incomplete" in new, new["status"]) == (False, "SUSPECTED")


@pytest.mark.parametrize(("number", "since"), [(1, None), (7, times.write(NOW)), (None, times.write(NOW))])
async def test_health_and_a_task_say_from_when_on_the_desk_knows(
    kept: str, tmp_path: Path, number: int | None, since: str | None
) -> None:
    """They also say what the desk cannot know, and what to do; the task is opened once. A ledger on a server comes back by the server's means."""
    async with desk_of("special-unit", tmp_path) as given:
        await begun(given, number=number)
        for _ in range(2):
            await beginnings.tell(given.desk.seat)

        lost = (await given.door.get("/health")).json()["ledger_lost"]
        (task,) = (await given.door.get("/v1/tasks")).json()["tasks"]
        assert (lost["since"], lost["missing"]) == (since, number - 1 if number else None)
        assert (task["kind"], task["sentence"]) == ("ledger_lost", lost["sentence"])
        assert (since or "nothing that it was told is missing") in lost["sentence"]
        assert ("nrmbus restore" in lost["sentence"]) is (kept == "sqlite")
        assert ("by the own means of its PostgreSQL server" in lost["sentence"]) is (kept == "postgresql")


async def test_a_ledger_that_was_made_with_its_inbox_says_nothing_of_a_loss(tmp_path: Path) -> None:
    """A desk that starts for the first time on a filled inbox has lost nothing."""
    async with desk_of("special-unit", tmp_path) as given:
        await begun(given, lost=False)
        await beginnings.tell(given.desk.seat)

        assert given.desk.health()["ledger_lost"] is None
        assert await given.rows("tasks") == []


async def test_a_gap_says_what_to_do(tmp_path: Path) -> None:
    """The task of an inbox that stands still has a sentence."""
    registrar = FakeRegistrar(town())
    signal(registrar)
    async with desk_of("special-unit", tmp_path, registrar=registrar) as given:
        with pytest.raises(Exception, match="inbox_gap"):
            await given.hear(signal(registrar))

        (task,) = (await given.door.get("/v1/tasks")).json()["tasks"]
        assert (task["kind"], task["code"]) == ("inbox_gap", "inbox_gap")
        assert "operator" in task["sentence"]


async def test_a_desk_that_was_killed_before_it_read_anything_has_lost_no_ledger(tmp_path: Path) -> None:
    """Its own receipts lie in the inbox, and its ledger has the events that they are about: the inbox is not even looked at."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(type="case.signal_recorded", data=SIGNAL)
    async with desk_of("ngo-a", tmp_path) as given:
        await beginnings.look(given.desk.seat, "127.0.0.1:1", 1)

        assert not given.desk.seat.ledger.beginnings
