"""A desk seals a letter again, in an emergency or at a registrar's request: the record comes first, withdrawn data stay closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import BUS, CASE, NOW, SIGNAL, town
from desk.access.test_opening import consented, readings, withdrawn
from desk.given import CANARY, FakeRegistrar, Given, Read, desk_of
from desk.letters.test_case_keys import desk_with_keys
from nrmbus.desk.access.break_glass import WITHOUT_ANSWER
from nrmbus.desk.erasure import rounds
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.web.work.known import Known
from nrmbus.desk.web.work.queues import picked, queue_of
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

GLASS = "9e" * 16
TEN_MINUTES = timedelta(minutes=10)
SEALED: dict[str, Any] = {
    "identity": {"name": CANARY, "birth_date": "1996-02-29"},
    "contact": {"contact": {"method": "phone", "value": "+994000000001"}},
    "story": {"facts": CANARY},
    "money": {"income": CANARY},
}
REFERRAL = {"to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}


def referred(registrar: FakeRegistrar) -> Read:
    """Return the referral in which the NGO tells vac the person's identity."""
    record = registrar.event("ngo-a", "referral.submitted", REFERRAL, referral="d1" * 16, parts=SEALED, opens=("vac",))
    return registrar.register(record, to="vac")


def broken(
    registrar: FakeRegistrar, to: str, reason: str = "missing_person", *, by: str = "special-unit", **more: Any
) -> Read:
    """Return the emergency request of two of the staff of *by*."""
    said: dict[str, Any] = {"approver": "S-2", "referral": GLASS} | more
    return registrar.register(registrar.event(by, "access.break_glass", {"reason": reason}, **said), to=to)


def due(given: Given, to: str, holder: str | None = None, *, after: timedelta = TEN_MINUTES) -> Read:
    """Return the timekeeper's event that the letter may be sealed again, registered *after* the last one by every clock."""
    registrar, clock = given.registrar, given.clock
    registrar.time += after
    clock.time = max(clock.time, registrar.time)
    record = registrar.event("timekeeper", "access.reseal_due", {"holder": holder or to}, referral=GLASS)
    return registrar.register(record, to=to)


async def resealed(given: Given) -> Record:
    """Return the resealed letter that the desk sends automatically."""
    (record,) = await sealed_anew(given)
    return record


async def sealed_anew(given: Given) -> list[Record]:
    """Return all resealed letters, after everything that the desk sent is registered."""
    sent: list[Record] = []
    while found := await given.out():
        for record in found:
            sent.append(record)
            await given.hear(given.registrar.register(record, to=given.desk.seat.me))
    return [each for each in sent if decode(each).type == "access.resealed"]


def opened(record: Record, by: str) -> dict[str, Any]:
    """Return the letter's parts as *by* can open them."""
    container, signed = decode(record).letter(), decode(record)
    assert container is not None
    place = {"bus": BUS, "source": signed.source, "id": signed.id, "subject": CASE}
    return {part: dict(fields) for part, fields in container.open(by, town().identities[by].sealing, **place).items()}


async def test_the_holder_seals_what_the_reason_needs_and_its_opening_is_on_record_first(tmp_path: Path) -> None:
    """From a received letter, the asking agency gets the parts that the reason needs; nobody else gets any, and nobody gets the story."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), referred(given.registrar), broken(given.registrar, "vac")):
            await given.hear(record)
        assert ("desk", "emergency") not in await readings(given)
        await given.hear(due(given, "vac"))
        answer = await resealed(given)

        signed = decode(answer)
        assert signed.event().data.to_mapping() == {"parts": ["contact", "identity"]}
        assert (signed.attributes["ce_referral"], signed.event().actor) == (GLASS, "by-itself")
        assert opened(answer, "special-unit") == {"contact": SEALED["contact"], "identity": SEALED["identity"]}
        for other in ("ngo-a", "fund", "migration", "statistics"):
            assert opened(answer, other) == {}
        rows = [(row.who, row.purpose, row.part) for row in await given.rows("reads") if row.purpose == "emergency"]
        assert sorted(rows) == [("desk", "emergency", "contact"), ("desk", "emergency", "identity")]


async def test_its_own_words_are_sealed_anew_too(tmp_path: Path) -> None:
    """The referring agency seals its own letter again in an emergency; opening its own words is not recorded as a reading."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        flat = {name: value for fields in SEALED.values() for name, value in fields.items() if name != "income"}
        said = {key: value for key, value in REFERRAL.items() if key != "to"}
        await given.registered(type="referral.submitted", data=said, to=["vac"], ref="d1" * 16, sealed=flat)
        await given.hear(broken(given.registrar, "ngo-a", "security_breach"))
        await given.hear(due(given, "ngo-a"))
        answer = await resealed(given)

        assert opened(answer, "special-unit") == {"contact": SEALED["contact"]}
        assert [row for row in await given.rows("reads") if row.purpose == "emergency"] == []


async def test_what_came_under_a_key_that_was_destroyed_since_is_sealed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emergency depends on no epoch: letters kept under the case's key can be sealed again months later."""
    async with desk_with_keys(tmp_path, monkeypatch) as desk:
        for record in (consented(desk.given.registrar), referred(desk.given.registrar)):
            await desk.given.hear(record)
        old = desk.given.desk.seat.identity.sealing.kid
        desk.rotate(NOW + timedelta(days=1))
        desk.given.clock.time = NOW + timedelta(days=31)
        desk.given.registrar.time = desk.given.clock.time
        assert await rounds.end_epochs(desk.given.desk.seat, tmp_path) == (old,)
        for record in (broken(desk.given.registrar, "vac"), due(desk.given, "vac")):
            await desk.given.hear(record)
        answer = await resealed(desk.given)

    assert opened(answer, "special-unit") == {"contact": SEALED["contact"], "identity": SEALED["identity"]}


@pytest.mark.parametrize(("hours", "answered"), [(24, True), (25, False)])
async def test_a_desk_that_was_off_for_a_day_opens_and_seals_nothing(
    tmp_path: Path, hours: int, *, answered: bool
) -> None:
    """After a day the emergency is over and the asking agency has found another way: a task tells a person to check what is still due."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), referred(given.registrar)):
            await given.hear(record)
        given.clock.time = NOW + timedelta(hours=hours)
        for record in (broken(given.registrar, "vac"), due(given, "vac")):
            await given.hear(record)

        assert len(await sealed_anew(given)) == answered
        assert (("desk", "emergency") in await readings(given)) is answered
        assert await tasks(given) == (["resealed"] if answered else ["call_asker"])


async def test_what_she_has_taken_back_stays_closed_in_an_emergency(tmp_path: Path) -> None:
    """The holder may not open the withdrawn data either: its answer names no parts."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), referred(given.registrar), withdrawn(given.registrar)):
            await given.hear(record)
        for record in (broken(given.registrar, "vac"), due(given, "vac")):
            await given.hear(record)
        answer = await resealed(given)

        assert decode(answer).event().data.to_mapping() == {"parts": []}
        assert opened(answer, "special-unit") == {"contact": {}, "identity": {}}
        assert ("desk", "emergency") not in await readings(given)


@asynccontextmanager
async def holder(home: Path) -> AsyncIterator[Given]:
    """Yield the desk of vac, which the NGO has told the person's identity."""
    async with desk_of("vac", home) as given:
        for record in (consented(given.registrar), referred(given.registrar)):
            await given.hear(record)
        yield given


async def tasks(given: Given) -> list[str]:
    """Return the kinds of the tasks that the emergency gave."""
    return [row.kind for row in await given.rows("tasks") if row.kind in ("resealed", *WITHOUT_ANSWER)]


async def calls(given: Given) -> list[tuple[str, ...]]:
    """Return the kind of task and the asker of each row about an emergency without an answer, in the list of what waits."""
    queue = queue_of("vac", "waits")
    assert queue is not None
    found = picked(queue, (await Known(given.desk).fresh()).items, given.clock.time)
    return [(each.code, *each.agencies) for each in found if each.about == "task" and each.urgency == "emergency"]


def ended(registrar: FakeRegistrar, agency: str) -> Read:
    """Return the unit's event that ends the access of *agency*."""
    return registrar.register(registrar.event("special-unit", "access.revoked", {"receivers": [agency]}), to="vac")


async def is_answered(given: Given) -> bool:
    """Return whether the desk sealed again; if not, it opened nothing either. Either way a person has a task, and none to call the asker."""
    found = bool(await sealed_anew(given))
    assert (("desk", "emergency") in await readings(given)) is found
    assert await tasks(given) == (["resealed"] if found else ["check_asker"])
    return found


class TestARegistrarAndATimekeeperThatLie:
    """Given a holder's desk, when both bring what the Rules refuse, then nothing is opened or sealed, and a person decides."""

    async def test_p2_a_role_that_may_not_break_the_glass_is_sealed_nothing(self, tmp_path: Path) -> None:
        """An embassy asks, and the ten minutes are over."""
        async with holder(tmp_path) as given:
            await given.hear(broken(given.registrar, "vac", by="embassy"))
            await given.hear(due(given, "vac"))

            assert not await is_answered(given)

    async def test_p2_a_desk_that_was_off_for_a_day_does_not_call_such_a_role_either(self, tmp_path: Path) -> None:
        """The embassy's request is too old, too: the row says first that the records contradict it, and not to call."""
        async with holder(tmp_path) as given:
            given.clock.time = NOW + timedelta(hours=25)
            await given.hear(broken(given.registrar, "vac", by="embassy"))
            await given.hear(due(given, "vac"))

            assert not await is_answered(given)
            assert await calls(given) == [("check_asker", "embassy")]

    @pytest.mark.parametrize("approver", [None, "S-1", "s-01"])
    async def test_p2_one_person_alone_is_sealed_nothing(self, approver: str | None, tmp_path: Path) -> None:
        """Nobody approved the request, or the same person did, however the number is spelt."""
        async with holder(tmp_path) as given:
            await given.hear(broken(given.registrar, "vac", approver=approver))
            await given.hear(due(given, "vac"))

            assert not await is_answered(given)

    @pytest.mark.parametrize(
        ("reason", "seconds", "answered"),
        [("missing_person", 539, False), ("missing_person", 540, True), ("imminent_danger", 0, True)],
        ids=["before the ten minutes are over", "a minute early, as the registrar allows", "in imminent danger"],
    )
    async def test_p2_the_time_to_object_has_to_pass(
        self, reason: str, seconds: int, tmp_path: Path, *, answered: bool
    ) -> None:
        """The answer is registered as due that long after the request; danger does not wait."""
        async with holder(tmp_path) as given:
            await given.hear(broken(given.registrar, "vac", reason))
            await given.hear(due(given, "vac", after=timedelta(seconds=seconds)))

            assert await is_answered(given) is answered

    @pytest.mark.parametrize(
        ("reason", "behind", "answered"),
        [("missing_person", 301, False), ("missing_person", 300, True), ("imminent_danger", 3600, True)],
        ids=["ahead of this desk's clock", "two clocks that differ", "in imminent danger"],
    )
    async def test_p2_the_time_passes_by_this_desks_clock_too(
        self, reason: str, behind: int, tmp_path: Path, *, answered: bool
    ) -> None:
        """The registrar dates the answer more than five minutes ahead; danger waits for no clock."""
        async with holder(tmp_path) as given:
            await given.hear(broken(given.registrar, "vac", reason))
            said = due(given, "vac")
            given.clock.time = given.registrar.time - timedelta(seconds=behind)
            await given.hear(said)

            assert await is_answered(given) is answered

    @pytest.mark.parametrize("days", [0, 31], ids=["of this month", "of another month"])
    async def test_p2_a_fourth_request_of_a_month_is_sealed_nothing(self, days: int, tmp_path: Path) -> None:
        """The desk heard of three requests of this agency in other cases."""
        async with holder(tmp_path) as given:
            for number in range(3):
                await given.hear(broken(given.registrar, "vac", case=f"{number:02x}" * 16))
            given.registrar.time += timedelta(days=days)
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac"))

            assert await is_answered(given) is bool(days)


async def test_a_refusal_that_a_consent_unknown_to_the_desk_lifted_delays_no_rescue(tmp_path: Path) -> None:
    """Given a holder that recorded a refusal of the unit, and a later consent that reached others alone, when the unit is in an emergency, then it is answered.

    The registrar knows both, and refuses the request and the answer while the refusal stands.
    """
    refused = {"receivers": ["special-unit"], "purposes": ["tracing"], "given_by": "individual"}
    async with holder(tmp_path) as given:
        await given.settle()
        await given.registered(type="consent.refused", data=refused)
        assert "consent.refused" in [row.type for row in await given.rows("events")]
        await given.hear(broken(given.registrar, "vac", "imminent_danger"))
        await given.hear(due(given, "vac", after=timedelta()))

        assert await is_answered(given)


class TestAnAskerWhoseAccessEnds:
    """Given an asker whose access is ended, since somebody there recruited others, then nobody is urged to call it."""

    @pytest.mark.parametrize("hours", [0, 25], ids=["in time", "too late to answer"])
    async def test_p2_before_the_answer_is_due(self, hours: int, tmp_path: Path) -> None:
        """When the end of its access is heard before the answer is due, then nothing is handed over and no task is opened."""
        async with holder(tmp_path) as given:
            given.clock.time = NOW + timedelta(hours=hours)
            await given.hear(broken(given.registrar, "vac", by="ngo-a"))
            await given.hear(ended(given.registrar, "ngo-a"))
            await given.hear(due(given, "vac"))

            assert await sealed_anew(given) == []
            assert await tasks(given) == []

    async def test_p2_behind_the_due_answer_in_an_inbox_that_is_not_read_yet(self, tmp_path: Path) -> None:
        """When a desk that was off reads the end of its access behind the due answer, then no task is opened."""
        async with holder(tmp_path) as given:
            await given.hear(broken(given.registrar, "vac", by="ngo-a"))
            given.desk.end_of = lambda _: 6
            await given.hear(due(given, "vac"))
            await given.hear(ended(given.registrar, "ngo-a"))
            await release_by_itself(given.desk, given.inbox)

            assert await sealed_anew(given) == []
            assert await tasks(given) == []

    async def test_p2_after_the_task_was_opened(self, tmp_path: Path) -> None:
        """When the end of its access is heard after the task to call it was opened, then the task's row is gone."""
        async with holder(tmp_path) as given:
            given.clock.time = NOW + timedelta(hours=25)
            await given.hear(broken(given.registrar, "vac", by="ngo-a"))
            await given.hear(due(given, "vac"))
            before = await calls(given)
            await given.hear(ended(given.registrar, "ngo-a"))

            assert (before, await calls(given)) == ([("call_asker", "ngo-a")], [])


@pytest.mark.parametrize("first", ["refusal", "due"])
async def test_p2_a_late_request_of_an_agency_that_the_person_refuses_leads_to_no_call(
    first: str, tmp_path: Path
) -> None:
    """Given a request too late to answer, when the person's refusal of the asker is known before or after, then the row says to ask a supervisor.

    The row stays, since a consent that the desk does not know may have lifted the refusal.
    """
    said = {"receivers": ["ngo-a"], "purposes": ["information_sharing"], "given_by": "individual"}
    async with holder(tmp_path) as given:
        given.clock.time = NOW + timedelta(hours=25)
        await given.hear(broken(given.registrar, "vac", by="ngo-a"))
        if first == "due":
            await given.hear(due(given, "vac"))
            assert await calls(given) == [("call_asker", "ngo-a")]
        refused = given.registrar.event("special-unit", "consent.refused", said)
        await given.hear(given.registrar.register(refused, to="vac"))
        if first == "refusal":
            await given.hear(due(given, "vac"))

        assert await calls(given) == [("check_asker", "ngo-a")]
        assert await tasks(given) == ["check_asker" if first == "refusal" else "call_asker"]


class TestALedgerThatBeginsAgain:
    """Given an emergency that was answered in time, when the ledger is lost and the inbox read again days later, then nobody is sent to the telephone."""

    async def test_its_own_answer_ends_the_task(self, tmp_path: Path) -> None:
        """The request is too old by then, so a task is opened, and the own answer behind the request ends it."""
        registrar, heard = await answered_in_time(tmp_path / "first")
        async with desk_of("vac", tmp_path / "second", registrar=registrar) as given:
            given.clock.time = registrar.time = registrar.time + timedelta(hours=30)
            for record in heard:
                await given.hear(record)

            assert [(row.kind, row.done is None) for row in await given.rows("tasks") if row.kind == "call_asker"] == [
                ("call_asker", False)
            ]
            assert await calls(given) == []

    async def test_no_task_is_opened_by_a_desk_that_reads_to_the_end_first(self, tmp_path: Path) -> None:
        """The answer is in the records that the desk reads before the emergency."""
        registrar, heard = await answered_in_time(tmp_path / "first")
        async with desk_of("vac", tmp_path / "second", registrar=registrar) as given:
            given.clock.time = registrar.time = registrar.time + timedelta(hours=30)
            given.desk.end_of = lambda _: len(heard)
            for record in heard:
                await given.hear(record)
            await release_by_itself(given.desk, given.inbox)

            assert await tasks(given) == []
            assert await calls(given) == []
            assert await given.rows("parked") == []


async def answered_in_time(home: Path) -> tuple[FakeRegistrar, list[Read]]:
    """Return the registrar of a desk that answered an emergency in time, and all that the desk heard."""
    home.mkdir()
    async with desk_of("vac", home) as given:
        heard = [
            consented(given.registrar),
            referred(given.registrar),
            broken(given.registrar, "vac"),
            due(given, "vac"),
        ]
        for record in heard:
            await given.hear(record)
        while sent := await given.out():
            for each in sent:
                heard.append(given.registrar.register(each, to="vac"))
                await given.hear(heard[-1])
        assert "access.resealed" in [row.type for row in await given.rows("events")]
        return given.registrar, heard


class TestBeforeTheInboxIsRead:
    """A withdrawal may follow the timekeeper's event, so the desk first reads its inbox to the end."""

    async def test_p7_a_withdrawal_behind_it_keeps_the_letter_closed(self, tmp_path: Path) -> None:
        """Given a desk that was off, when the answer is due and a withdrawal follows, then its answer names no parts."""
        async with desk_of("vac", tmp_path) as given:
            for record in (consented(given.registrar), referred(given.registrar), broken(given.registrar, "vac")):
                await given.hear(record)
            given.desk.end_of = lambda _: 6
            await given.hear(due(given, "vac"))
            assert given.desk.ahead == {CASE: (0, 6)}
            assert await sealed_anew(given) == []
            await given.hear(withdrawn(given.registrar))
            await release_by_itself(given.desk, given.inbox)
            answer = await resealed(given)

            assert decode(answer).event().data.to_mapping() == {"parts": []}
            assert opened(answer, "special-unit") == {"contact": {}, "identity": {}}
            assert ("desk", "emergency") not in await readings(given)

    async def test_without_one_the_desk_answers_once_the_end_is_read(self, tmp_path: Path) -> None:
        """Given a desk that was off for an hour, when it has read the inbox, then it answers the emergency, and no person has to act."""
        async with desk_of("vac", tmp_path) as given:
            for record in (consented(given.registrar), referred(given.registrar), broken(given.registrar, "vac")):
                await given.hear(record)
            given.desk.end_of = lambda _: 6
            await given.hear(due(given, "vac"))
            await given.hear(consented(given.registrar))
            await release_by_itself(given.desk, given.inbox)
            answer = await resealed(given)

            assert opened(answer, "special-unit") == {"contact": SEALED["contact"], "identity": SEALED["identity"]}
            assert await given.rows("parked") == []

    async def test_a_letter_that_waits_is_not_opened_for_an_emergency_either(self, tmp_path: Path) -> None:
        """Given a letter that is parked unopened, when the answer is due, then nothing is opened before the case is let through."""
        async with desk_of("vac", tmp_path) as given:
            given.desk.end_of = lambda _: 3
            await given.hear(referred(given.registrar))
            given.desk.end_of = lambda _: None
            for record in (consented(given.registrar), broken(given.registrar, "vac"), due(given, "vac")):
                await given.hear(record)
            assert await given.rows("reads") == []
            assert given.desk.ahead == {CASE: (0, 4)}, "the desk goes on when it has read this far"
            await release_by_itself(given.desk, given.inbox)
            answer = await resealed(given)

            assert opened(answer, "special-unit") == {"contact": SEALED["contact"], "identity": SEALED["identity"]}


@pytest.mark.parametrize("holder", ["ngo-a", "vac"], ids=["another is the holder", "nobody asked"])
async def test_a_desk_that_is_not_asked_seals_nothing(holder: str, tmp_path: Path) -> None:
    """Neither an event for another holder nor one without a request makes the desk seal anything."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), referred(given.registrar)):
            await given.hear(record)
        if holder != "vac":
            await given.hear(broken(given.registrar, "vac"))
        await given.hear(due(given, "vac", holder))

        assert [row.type for row in await given.rows("outbox") if row.type == "access.resealed"] == []
        assert ("desk", "emergency") not in await readings(given)


async def test_a_registrar_that_names_another_reader_gets_nothing_sealed_to_him(tmp_path: Path) -> None:
    """The desk seals to the agency named in the request it heard itself; a rogue registrar cannot name another reader."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), referred(given.registrar), broken(given.registrar, "vac")):
            await given.hear(record)
        await given.hear(due(given, "vac"))
        (answer,) = (each for each in await sent(given) if decode(each).type == "access.resealed")
        wrong = {"contact": ("migration",), "health": (), "identity": ("special-unit",), "story": ()}
        await given.hear(given.registrar.refuse(answer, "audience_changed", rule="W9", seal_to=wrong))

        assert [decode(each).type for each in await sent(given)] == []
        last = [row for row in await given.rows("outbox") if row.type == "access.resealed"][-1]
        assert (last.verdict, last.code, last.value) == ("failed", "audience_not_allowed", None)


async def test_an_audience_that_could_never_be_is_not_sealed_to(tmp_path: Path) -> None:
    """A rogue registrar names the fund for the story of a signal: the desk seals it to nobody, and a person looks."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "25-34", "notes": CANARY})
        (record,) = await given.out()
        seal_to = {"coded": ("special-unit", "statistics"), "story": ("fund",)}
        await given.hear(given.registrar.refuse(record, "audience_changed", rule="W9", seal_to=seal_to))

        assert await given.out() == []
        last = (await given.rows("outbox"))[-1]
        assert (last.verdict, last.code, last.letter) == ("failed", "audience_not_allowed", None)
        assert [row.kind for row in await given.rows("tasks")] == ["not_sent"]


async def sent(given: Given) -> list[Record]:
    """Return the records the desk sends until it is quiet; register every record but the resealed letters."""
    found: list[Record] = []
    while new := await given.out():
        found += new
        for record in new:
            if decode(record).type != "access.resealed":
                await given.hear(given.registrar.register(record, to=given.desk.seat.me))
    return found
