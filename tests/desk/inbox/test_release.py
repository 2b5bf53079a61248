"""After an upgrade a desk automatically handles the records that were unknown before, in order, even if it is killed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from agencies import CASE, town
from desk.earlier_release import DECIDED, VICTIM, by_itself, consented, decided, outcome, parked, payments, waiting
from desk.given import CANARY, FakeRegistrar, Given, desk_of, killed_at_call
from generations import before_type, before_version
from nrmbus.desk.access import opening
from nrmbus.desk.erasure import rounds
from nrmbus.desk.inbox import hear, release, settle
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox import queue
from nrmbus.desk.procedure.interface import Heard
from nrmbus.desk.state import parking
from nrmbus.fund import procedure as fund

WRITES = 5
"""Release of the records that `waiting` leaves: two recorded readings, and three records."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(release, "FIRST_WAIT", 0.0)


class TestAfterTheUpgrade:
    async def test_the_case_goes_on_by_itself_in_order(self, tmp_path: Path) -> None:
        """Each record goes to its handler in order of arrival: the first allowance before the consent, the second after it."""
        registrar = FakeRegistrar(town())
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            await by_itself(given)

            assert await payments(given) == ["deposit", "person"]
            assert await parked(given) == []
            assert given.desk.parked == set()
            assert (await given.door.get(f"/v1/cases/{CASE}")).json()["parked"] is False
            assert "parked_because" not in (await given.door.get(f"/v1/cases/{CASE}")).json()
            await given.hear(decided(registrar))
            assert len(await payments(given)) == 3, "the case is free"

    async def test_the_letter_is_opened_and_its_sender_told_so(self, tmp_path: Path) -> None:
        """The reading is recorded first, as for a new letter; then the reader may open the letter too."""
        registrar = FakeRegistrar(town())
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            await by_itself(given)
            (first, *_) = await given.read()

            receipts = [row.type for row in await given.rows("outbox") if row.origin == "receipt"]
            assert receipts == ["letter.opened", "letter.opened"]
            assert [row.purpose for row in await given.rows("reads")][:4] == ["release"] * 4
            assert first["letter"] == {"coded": {"exploitation": ["ForcedLabour"]}, "story": {"notes": CANARY}}
            assert (first["version"], first["published"], first["data"]) == (1, 2, VICTIM[1])

    async def test_nobody_has_to_look_at_it_any_more(self, tmp_path: Path) -> None:
        """The release completes the task that asked for the upgrade."""
        registrar = FakeRegistrar(town())
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            assert len((await given.door.get("/v1/tasks")).json()["tasks"]) == 1
            await by_itself(given)

            assert [task["kind"] for task in (await given.door.get("/v1/tasks")).json()["tasks"]] == ["read"]

    async def test_it_ends_as_if_the_desk_had_always_known(self, tmp_path: Path) -> None:
        """Events, receipts, orders and the procedure's book are those of a desk that was upgraded in time."""
        registrar, twin = FakeRegistrar(town()), FakeRegistrar(town())
        await waiting(tmp_path / "late", registrar)
        async with desk_of("fund", tmp_path / "in time", registrar=twin) as given:
            for record in (decided(twin), consented(twin), decided(twin)):
                await given.hear(record)
            due = await shape(given)
        async with desk_of("fund", tmp_path / "late", registrar=registrar) as given:
            await by_itself(given)

            assert await shape(given) == due

    async def test_what_comes_meanwhile_stays_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A record that comes while its case is released is handled after its predecessors, and not lost."""
        heard: list[str] = []
        whole = fund.keep

        def keep(book: Any, now: Heard) -> Any:
            heard.append(now.event.id)
            return whole(book, now)

        monkeypatch.setattr(fund, "keep", keep)
        registrar = FakeRegistrar(town())
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            later = [consented(registrar), decided(registrar, 1), decided(registrar)]

            async def arriving() -> None:
                for record in later:
                    await given.hear(record)

            await asyncio.gather(by_itself(given), arriving())

            assert await parked(given) == []
            assert heard == [row.id for row in await given.rows("events")]

    async def test_a_case_that_waits_for_a_person_goes_on_waiting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An upgrade may not fix the fault of a parked record: only a person knows."""
        async with desk_of("fund", tmp_path) as given:
            with monkeypatch.context() as patch:
                patch.setattr(fund, "keep", broken)
                record = decided(given.registrar, 1)
                for _ in range(settle.TRIES - 1):
                    with pytest.raises(Broken):
                        await given.hear(record)
                await given.hear(record)
            await given.hear(consented(given.registrar))
            await by_itself(given)

            assert await parked(given) == [(CASE, "Broken"), (CASE, "Behind")]

    async def test_what_fails_on_the_way_is_for_a_person(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The case stops with the reason on record and a task, and the next start does not try again."""
        registrar = FakeRegistrar(town())
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            with monkeypatch.context() as patch:
                patch.setattr(fund, "keep", broken_at("consent.given"))
                await by_itself(given)
            tasks = [task for task in (await given.door.get("/v1/tasks")).json()["tasks"] if task["kind"] == "parked"]
            stopped = await parked(given)
            await by_itself(given)

            assert stopped == await parked(given) == [(CASE, "Broken"), (CASE, "UnknownVersion")]
            assert [task["sentence"] for task in tasks] == [
                "consent.given could not be handled (Broken): have the desk mended, then release the case at its door."
            ]
            assert (await given.door.post(f"/v1/cases/{CASE}/release")).json()["left"] == 0
            assert await payments(given) == ["deposit", "person"]

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (
                ValueError(),
                "could not be handled (ValueError): have the desk mended, then release the case at its door.",
            ),
            (OperationalError("", {}, Exception("disk")), "Mend the machine; the desk then lets the case through"),
        ],
        ids=["of the procedure", "of the machine"],
    )
    async def test_the_task_of_a_record_that_is_known_now_says_why_it_waits_still(
        self, fault: Exception, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given a task to upgrade the desk, when the upgraded desk cannot handle the record either, then the task says what to do now."""

        def fails(*_: object) -> None:
            raise fault

        registrar = FakeRegistrar(town())
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            monkeypatch.setattr(fund, "keep", fails)
            await by_itself(given)

            (task,) = [each for each in (await given.door.get("/v1/tasks")).json()["tasks"] if each["kind"] == "parked"]
            assert says in task["sentence"]
            assert "upgrade the desk" not in task["sentence"]

    async def test_a_desk_upgraded_too_little_stops_at_the_next_unknown(self, tmp_path: Path) -> None:
        """The desk handles the types that it knows; the others wait for the next upgrade, and a task says so."""
        registrar = FakeRegistrar(town())
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            said = [decided(registrar), consented(registrar), decided(registrar)]
            with before_version(2), before_type("consent.given"):
                for record in said:
                    await given.hear(record)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            with before_type("consent.given"):
                await by_itself(given)
                assert await parked(given) == [(CASE, "UnknownType"), (CASE, "UnknownVersion")]
                assert await payments(given) == ["deposit"]
                (task,) = [
                    task for task in (await given.door.get("/v1/tasks")).json()["tasks"] if task["kind"] == "parked"
                ]
                assert "does not know consent.given" in task["sentence"]
            await by_itself(given)

            assert await payments(given) == ["deposit", "person"]

    @pytest.mark.parametrize("write", range(1, WRITES + 1))
    async def test_a_full_disk_on_the_way_is_no_records_fault(
        self, write: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full disk at any write is retried until it works; nobody is asked, and the case is free at the end."""
        registrar, tried = FakeRegistrar(town()), 0
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            whole = given.desk.seat.ledger.write

            def full() -> Any:
                nonlocal tried
                tried += 1
                if tried in {write, write + 1}:
                    raise OperationalError("BEGIN", {}, Exception("database or disk is full"))
                return whole()

            monkeypatch.setattr(given.desk.seat.ledger, "write", full)
            await by_itself(given)

            assert tried >= WRITES + 2
            assert await payments(given) == ["deposit", "person"]
            assert await parked(given) == []
            assert given.desk.parked == set()
            assert [row.kind for row in await given.rows("tasks") if row.done is None] == ["read"]

    async def test_a_ledger_that_fails_in_the_middle_of_a_record_is_no_records_fault_either(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A partial write is rolled back, and retried until it is complete."""
        registrar, tried = FakeRegistrar(town()), 0
        await waiting(tmp_path, registrar)
        async with desk_of("fund", tmp_path, registrar=registrar) as given:
            whole = queue.put

            def full(*args: Any, **kwargs: Any) -> str:
                nonlocal tried
                tried += 1
                if tried in {2, 3, 5}:
                    raise OperationalError("INSERT", {}, Exception("database or disk is full"))
                return whole(*args, **kwargs)

            monkeypatch.setattr(queue, "put", full)
            await by_itself(given)

            assert await payments(given) == ["deposit", "person"]
            assert [row.kind for row in await given.rows("tasks") if row.done is None] == ["read"]


async def test_p5_a_letter_erased_while_it_is_let_through_stays_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a waiting letter, when its case is erased between the opening and the storing, then its row says that it was erased."""
    registrar, whole = FakeRegistrar(town()), opening.open_letter
    await waiting(tmp_path, registrar)
    async with desk_of("fund", tmp_path, registrar=registrar) as given:

        async def erased_after(*args: Any, **how: Any) -> letters.Opened:
            found = await whole(*args, **how)
            async with given.desk.seat.ledger.write() as tx:
                rounds.erase(tx, [CASE])
            return found

        monkeypatch.setattr(opening, "open_letter", erased_after)
        await by_itself(given)

        assert await parked(given) == []
        rows = [row for row in await given.rows("events") if row.type == DECIDED]
        assert [(row.letter, row.shut, row.parts) for row in rows] == [(None, "erased", "[]")] * 2


async def shape(given: Given) -> dict[str, Any]:
    """Return `outcome` without the ids, which differ between histories."""
    return {
        "events": [(row.type, row.parts, row.recipients, row.technical) for row in await given.rows("events")],
        "outbox": sorted((row.type, row.origin) for row in await given.rows("outbox")),
        "payments": await payments(given),
        "tasks": [row.kind for row in await given.rows("tasks") if row.done is None],
        "earned": len(getattr(given.desk.book, "earned", ())),
        "case": {
            name: value for name, value in (await given.door.get(f"/v1/cases/{CASE}")).json().items() if name != "case"
        },
    }


class Broken(Exception):
    """A procedure's mistake."""


def broken(*_: Any) -> Any:
    """Raise an error, as a faulty procedure does."""
    raise Broken(CANARY)


def broken_at(type_: str) -> Callable[[Any, Heard], Any]:
    """Return a procedure that raises an error for one type."""
    keep = fund.keep

    def sometimes(book: Any, heard: Heard) -> Any:
        if heard.event.type == type_:
            raise Broken(CANARY)
        return keep(book, heard)

    return sometimes


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the desk may catch it."""


def killed_at(times: int, target: Any, name: str, monkeypatch: pytest.MonkeyPatch, *, when: str) -> None:
    """Let *name* of *target* be called so many times; then kill the desk ``before`` or ``after`` the next call."""
    cut = killed_at_call(getattr(target, name), times, Killed, after=when == "after")
    monkeypatch.setattr(target, name, cut)


CUTS: dict[str, tuple[Any, str]] = {
    "at the opening of a letter": (letters, "record_reads"),
    "at what is said": (queue, "put"),
    "at the end of the procedure": (hear, "finish"),
    "at letting go": (parking, "let_go"),
    "between two records": (release, "_first"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [0, 1, 2])
@pytest.mark.parametrize("cut", CUTS)
async def test_killed_while_it_lets_a_case_through_a_desk_loses_and_doubles_nothing(
    cut: str, times: int, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL at any moment, a restarted desk continues automatically and ends in the same state as an unharmed one."""
    registrar = FakeRegistrar(town())
    await waiting(tmp_path / "killed", registrar)
    (tmp_path / "unharmed").mkdir()
    for file in (tmp_path / "killed").glob("ledger.sqlite*"):
        (tmp_path / "unharmed" / file.name).write_bytes(file.read_bytes())
    async with desk_of("fund", tmp_path / "unharmed", registrar=registrar) as given:
        await by_itself(given)
        whole = await outcome(given)
    async with desk_of("fund", tmp_path / "killed", registrar=registrar) as given:
        with monkeypatch.context() as patch:
            killed_at(times, *CUTS[cut], patch, when=when)
            if (cut, times) == ("at the opening of a letter", 2):  # there are two letters: it is not killed
                await by_itself(given)
            else:
                with pytest.raises(Killed):
                    await by_itself(given)
    async with desk_of("fund", tmp_path / "killed", registrar=registrar) as given:
        await by_itself(given)

        assert await outcome(given) == whole
        assert await payments(given) == ["deposit", "person"]


async def test_a_desk_upgraded_after_it_was_killed_hears_again_what_it_had_not_acknowledged(tmp_path: Path) -> None:
    """The unknown record was stored before it was acknowledged: redelivered, it is still one event."""
    registrar = FakeRegistrar(town())
    record = decided(registrar)
    async with desk_of("fund", tmp_path, registrar=registrar) as given:
        with before_version(2):
            await given.hear(record)
    async with desk_of("fund", tmp_path, registrar=registrar) as given:
        await given.hear(record)
        assert await parked(given) == [(CASE, "UnknownVersion")]
        await by_itself(given)

        assert await payments(given) == ["deposit"]
        assert len(await given.rows("events")) == 1
