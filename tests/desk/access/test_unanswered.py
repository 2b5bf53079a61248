"""An answer to an emergency counts once it is registered: until then nobody is told that it was sealed, and after a refusal a person is told.

`services/nrmbus/desk/README.md` (Letters) has the table of all states of a request.
"""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from agencies import CASE, SIGNAL
from desk.access.test_break_glass import (
    GLASS,
    REFERRAL,
    TEN_MINUTES,
    broken,
    calls,
    due,
    ended,
    holder,
    referred,
    sealed_anew,
)
from desk.access.test_opening import consented, withdrawn
from desk.given import Given, Read, desk_of
from desk.state.test_beginnings import begun
from nrmbus.desk.access.break_glass import CALL_ASKER, CHECK_ASKER, HANDED_OVER, SEALED, WITHOUT_ANSWER
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.procedure.interface import Result, Task
from nrmbus.desk.web.work.known import Known
from nrmbus.desk.web.work.queues import picked, queue_of
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

HER_REFUSAL = {"receivers": ["special-unit"], "purposes": ["tracing"], "given_by": "individual"}
ANEW = "8e" * 16


async def open_tasks(given: Given) -> list[str]:
    """Return the kinds of the open tasks about emergencies."""
    kinds = (SEALED, *WITHOUT_ANSWER)
    return [row.kind for row in await given.rows("tasks") if row.kind in kinds and row.done is None]


async def waiting_answer(given: Given) -> Record:
    """Return the answer that the desk has sent, after all else that it sent is registered."""
    while found := await given.out():
        for record in found:
            if decode(record).type == "access.resealed":
                return record
            await given.hear(given.registrar.register(record, to="vac"))
    raise AssertionError("the desk sent no answer")


async def test_nobody_is_told_of_an_answer_before_it_is_registered(tmp_path: Path) -> None:
    """Given an answer under way, then no task says that the agency was sealed something; once it is registered, one does."""
    async with holder(tmp_path) as given:
        await given.hear(broken(given.registrar, "vac"))
        await given.hear(due(given, "vac"))
        answer = await waiting_answer(given)
        before = await open_tasks(given)
        await given.hear(given.registrar.register(answer, to="vac"))

        assert (before, await open_tasks(given)) == ([], [SEALED])
        assert await calls(given) == []


class TestAnAnswerThatIsNotRegistered:
    """Given an answer of the desk, when the registrar does not register it, then a person is told that nothing was handed over."""

    @pytest.mark.parametrize("is_known", [True, False], ids=["known here", "known to the registrar alone"])
    async def test_p2_a_refusal_by_the_person_leads_to_the_supervisor_and_to_no_call(
        self, tmp_path: Path, *, is_known: bool
    ) -> None:
        """When she refused the unit while the desk was off, then staff ask a supervisor, also where the desk does not know of it."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            given.desk.end_of = lambda _: 99
            await given.hear(due(given, "vac"))
            given.registrar.time += timedelta(hours=3)
            given.clock.time = given.registrar.time
            given.desk.end_of = lambda _: None
            if is_known:
                refused = given.registrar.event("ngo-a", "consent.refused", HER_REFUSAL)
                await given.hear(given.registrar.register(refused, to="vac"))
            given.desk.ahead[CASE] = (0, 1)
            await release_by_itself(given.desk, given.inbox)
            await given.hear(given.registrar.refuse(await waiting_answer(given), "person_refused", "G-71"))

            assert await open_tasks(given) == [CHECK_ASKER]
            assert await calls(given) == [(CHECK_ASKER, "special-unit")]

    @pytest.mark.parametrize(
        ("answered_after", "kind"),
        [(timedelta(hours=23, minutes=50), CALL_ASKER), (TEN_MINUTES, CHECK_ASKER)],
        ids=["too late", "the unit has no part in the case any more"],
    )
    async def test_an_answer_that_came_too_late_leads_to_a_call_and_another_one_to_the_supervisor(
        self, answered_after: timedelta, kind: str, tmp_path: Path
    ) -> None:
        """When the line was cut until the day was over, then staff call the unit; within the day G-70 has another reason."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac", after=answered_after))
            given.clock.time += timedelta(minutes=30)
            given.registrar.time = given.clock.time
            await given.hear(given.registrar.refuse(await waiting_answer(given), "not_available", "G-70"))

            assert await open_tasks(given) == [kind]
            assert await calls(given) == [(kind, "special-unit")]

    @pytest.mark.parametrize("is_known", [True, False], ids=["known here", "known to the registrar alone"])
    async def test_p2_a_desk_that_is_out_of_the_case_sends_nobody_to_the_telephone(
        self, tmp_path: Path, *, is_known: bool
    ) -> None:
        """When this agency's own access ended behind the answer, then its staff, who may know no more of the person, ask a supervisor."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac", by="ngo-a"))
            await given.hear(due(given, "vac"))
            answer = await waiting_answer(given)
            if is_known:
                await given.hear(ended(given.registrar, "vac"))
            await given.hear(given.registrar.refuse(answer, "not_on_case", "G-05"))

            assert await open_tasks(given) == [CHECK_ASKER]
            assert await calls(given) == [(CHECK_ASKER, "ngo-a")]

    async def test_p2_a_refusal_within_the_day_that_is_read_days_later_leads_to_no_call(self, tmp_path: Path) -> None:
        """When she withdrew her consent from the asker, which left, and this desk was off from then on, then staff ask a supervisor."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac"))
            refused = given.registrar.refuse(await waiting_answer(given), "not_available", "G-70")
            given.clock.time = given.registrar.time = given.registrar.time + timedelta(hours=30)
            await given.hear(refused)

            assert await open_tasks(given) == [CHECK_ASKER]
            assert await calls(given) == [(CHECK_ASKER, "special-unit")]

    async def test_a_passing_answer_leads_to_a_call_until_the_same_bytes_are_registered(self, tmp_path: Path) -> None:
        """When the agency was suspended for a moment, then staff call the unit; when another copy is registered, then the call is over."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac"))
            answer = await waiting_answer(given)
            await given.hear(given.registrar.answer(answer, "agency_suspended"))
            before = (await open_tasks(given), await calls(given))
            await given.hear(given.registrar.register(answer, to="vac"))

            assert before == ([CALL_ASKER], [(CALL_ASKER, "special-unit")])
            assert (await open_tasks(given), await calls(given)) == ([SEALED], [])

    async def test_a_letter_that_cannot_be_sent_leads_to_a_call(self, tmp_path: Path) -> None:
        """When the registrar names a reader whom this desk seals nothing to, then the answer ends here, and staff call the unit."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac"))
            wrong = {"contact": ("migration",), "health": (), "identity": ("special-unit",), "story": ()}
            answer = await waiting_answer(given)
            await given.hear(given.registrar.refuse(answer, "audience_changed", rule="W9", seal_to=wrong))
            before = await open_tasks(given)

            assert await given.out() == []
            assert (before, await open_tasks(given)) == ([], [CALL_ASKER])

    async def test_p2_nobody_calls_an_agency_whose_access_has_ended(self, tmp_path: Path) -> None:
        """When the asker's access was ended behind the answer, then no task is opened, and its staff are told nothing more."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac", by="ngo-a"))
            await given.hear(due(given, "vac"))
            answer = await waiting_answer(given)
            await given.hear(ended(given.registrar, "ngo-a"))
            await given.hear(given.registrar.refuse(answer, "not_available", "G-70"))

            assert await open_tasks(given) == []

    async def test_a_task_of_an_earlier_release_that_it_was_sealed_is_over(self, tmp_path: Path) -> None:
        """Given an upgrade between the answer and its refusal, when the desk hears the refusal, then no task says any more that something was sealed."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac"))
            answer = await waiting_answer(given)
            cause = decode(answer).event().causationid
            assert cause is not None
            async with given.desk.seat.ledger.write() as tx:
                given.desk.say(tx, Result((), (Task(SEALED, HANDED_OVER, CASE, cause, GLASS),)), None)
            await given.hear(given.registrar.refuse(answer, "person_refused", "G-71"))

            assert await open_tasks(given) == [CHECK_ASKER]


@pytest.mark.parametrize(("code", "rule"), [("person_refused", "G-71"), ("not_available", "G-70")])
@pytest.mark.parametrize("hours", [1, 30])
async def test_a_ledger_that_begins_again_reads_the_refusal_of_its_answer_first(
    hours: int, code: str, rule: str, tmp_path: Path
) -> None:
    """Given an answer that the registrar refused for the person's word, or since the asker has left, when the ledger is lost and the inbox read again, then nothing is sealed, and nobody is sent to the telephone."""
    (tmp_path / "first").mkdir()
    async with desk_of("vac", tmp_path / "first") as given:
        registrar = given.registrar
        heard = [consented(registrar), referred(registrar), broken(registrar, "vac"), due(given, "vac")]
        for record in heard:
            await given.hear(record)
        while found := await given.out():
            for each in found:
                is_answer = decode(each).type == "access.resealed"
                refused = partial(registrar.refuse, each, code, rule)
                heard.append(refused() if is_answer else registrar.register(each, to="vac"))
                await given.hear(heard[-1])
        assert await open_tasks(given) == [CHECK_ASKER]
    async with desk_of("vac", tmp_path / "second", registrar=registrar) as given:
        given.clock.time = registrar.time = registrar.time + timedelta(hours=hours)
        given.desk.end_of = lambda _: len(heard)
        for record in heard:
            await given.hear(record)
        await release_by_itself(given.desk, given.inbox)

        assert await sealed_anew(given) == []
        assert await open_tasks(given) == [CHECK_ASKER]


@pytest.mark.parametrize("word", ["access ended", "consent withdrawn"])
async def test_p2_a_desk_that_may_know_no_more_of_her_sends_nobody_to_the_telephone(word: str, tmp_path: Path) -> None:
    """Given a desk that was off for a day, when it reads that it is out of the case and then the request, then its staff ask a supervisor."""
    async with holder(tmp_path) as given:
        await given.settle()
        await given.hear(broken(given.registrar, "vac", by="ngo-a"))
        await given.hear(ended(given.registrar, "vac") if word == "access ended" else withdrawn(given.registrar))
        await given.hear(due(given, "vac", after=timedelta(hours=25)))

        assert await open_tasks(given) == [CHECK_ASKER]
        assert await calls(given) == [(CHECK_ASKER, "ngo-a")]


async def test_p2_a_call_sends_to_the_supervisor_once_the_desk_is_out_of_the_case(tmp_path: Path) -> None:
    """Given a task to call the asker, when this agency's access ends, then the row of the task says to ask a supervisor."""
    async with holder(tmp_path) as given:
        await given.settle()
        await given.hear(broken(given.registrar, "vac", by="ngo-a"))
        await given.hear(due(given, "vac", after=timedelta(hours=25)))
        before = await calls(given)
        await given.hear(ended(given.registrar, "vac"))

        assert (before, await calls(given)) == ([(CALL_ASKER, "ngo-a")], [(CHECK_ASKER, "ngo-a")])


async def has_nothing(given: Given) -> list[Read]:
    """Let the desk hear of the person, and hold no letter that it can open; return the records that it heard."""
    record = given.registrar.event(
        "ngo-a", "referral.submitted", REFERRAL, referral="d1" * 16, parts={"identity": {"name": "Alina Example"}},
        opens=("shelter",),
    )  # fmt: skip
    heard = [consented(given.registrar), given.registrar.register(record, to="vac")]
    for each in heard:
        await given.hear(each)
    await given.settle()
    return heard


class TestAnAnswerThatHandsNothingOver:
    """Given a desk that can open none of its letters, when its answer without any part is registered, then nobody is told that something was sealed."""

    async def test_staff_call_the_agency(self, tmp_path: Path) -> None:
        """The agency has got nothing, so the task to call comes first, as without an answer."""
        async with desk_of("vac", tmp_path) as given:
            await has_nothing(given)
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac"))
            (answer,) = await sealed_anew(given)

            assert decode(answer).event().data.to_mapping() == {"parts": []}
            assert await open_tasks(given) == [CALL_ASKER]
            assert await calls(given) == [(CALL_ASKER, "special-unit")]

    async def test_p2_a_desk_whose_consent_she_withdrew_sends_nobody_to_the_telephone(self, tmp_path: Path) -> None:
        """When she withdrew the consent for this agency, then the letters stay closed and its staff ask a supervisor."""
        async with holder(tmp_path) as given:
            await given.settle()
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(withdrawn(given.registrar))
            await given.hear(due(given, "vac"))
            (answer,) = await sealed_anew(given)

            assert decode(answer).event().data.to_mapping() == {"parts": []}
            assert await calls(given) == [(CHECK_ASKER, "special-unit")]

    async def test_a_ledger_that_begins_again_has_the_call_too(self, tmp_path: Path) -> None:
        """When the ledger is lost and the inbox read again days later, then the desk still says to call."""
        (tmp_path / "first").mkdir()
        async with desk_of("vac", tmp_path / "first") as given:
            registrar = given.registrar
            heard = await has_nothing(given)
            for record in (broken(registrar, "vac"), due(given, "vac")):
                heard.append(record)
                await given.hear(record)
            heard.append(registrar.register(await waiting_answer(given), to="vac"))
        async with desk_of("vac", tmp_path / "second", registrar=registrar) as given:
            given.clock.time = registrar.time = registrar.time + timedelta(hours=30)
            for record in heard:
                await given.hear(record)

            assert await open_tasks(given) == [CALL_ASKER]


class TestACaseWhoseBeginningIsGone:
    """Given a ledger that was lost, and a broker that has the consent and the referral no more, when a request hands nothing over, then the missing part of this agency proves nothing."""

    @pytest.mark.parametrize(
        "after", [TEN_MINUTES, timedelta(hours=25)], ids=["nothing that can be opened", "too late to answer"]
    )
    async def test_staff_call_the_agency(self, after: timedelta, tmp_path: Path) -> None:
        """The desk knows of no part of this agency, and of nothing that ended one."""
        async with desk_of("vac", tmp_path) as given:
            await begun_behind_the_referral(given)
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac", after=after))
            await release_by_itself(given.desk, given.inbox)
            await given.settle()

            assert await open_tasks(given) == [CALL_ASKER]
            assert await calls(given) == [(CALL_ASKER, "special-unit")]

    async def test_p2_an_agency_that_left_the_case_sends_nobody_to_the_telephone(self, tmp_path: Path) -> None:
        """The desk reads its own word that it deleted what it had of the person, so its staff ask a supervisor."""
        async with desk_of("vac", tmp_path) as given:
            await begun_behind_the_referral(given)
            gone = given.registrar.event("vac", "consent.stop_confirmed", {"answer": "deleted"})
            await given.hear(given.registrar.register(gone, to="vac"))
            await given.hear(broken(given.registrar, "vac"))
            await given.hear(due(given, "vac", after=timedelta(hours=25)))
            await release_by_itself(given.desk, given.inbox)

            assert await open_tasks(given) == [CHECK_ASKER]
            assert await calls(given) == [(CHECK_ASKER, "special-unit")]


async def begun_behind_the_referral(given: Given) -> None:
    """Begin a new ledger, to which the person's consent and the referral come no more."""
    for gone in (consented, referred):
        gone(given.registrar)
    await begun(given, number=None)


async def heard_after_a_day(given: Given) -> None:
    """Let a desk that was off hear a request, and the later one of the same agency a day after."""
    heard = [broken(given.registrar, "vac"), due(given, "vac")]
    given.registrar.time += timedelta(hours=25)
    heard.append(broken(given.registrar, "vac", referral=ANEW))
    given.registrar.time += TEN_MINUTES
    announced = given.registrar.event("timekeeper", "access.reseal_due", {"holder": "vac"}, referral=ANEW)
    heard.append(given.registrar.register(announced, to="vac"))
    given.clock.time = given.registrar.time
    for record in heard:
        await given.hear(record)


class TestARequestThatIsAskedAgain:
    """Given a request that came too late to answer, when the agency asks again and is answered, then nobody is sent to the telephone."""

    async def test_the_answer_to_the_later_request_ends_the_call(self, tmp_path: Path) -> None:
        """The desk was off for a day, and reads both requests when it comes back."""
        async with holder(tmp_path) as given:
            await given.settle()
            await heard_after_a_day(given)
            before = await open_tasks(given)

            assert len(await sealed_anew(given)) == 1
            assert (before, await open_tasks(given)) == ([CALL_ASKER], [SEALED])
            assert await calls(given) == []

    async def test_a_call_remains_if_the_later_answer_hands_nothing_over(self, tmp_path: Path) -> None:
        """The machine came back with new keys, so its letters do not open, and the answer to the later request has no part."""
        async with desk_of("vac", tmp_path) as given:
            await has_nothing(given)
            await heard_after_a_day(given)

            assert len(await sealed_anew(given)) == 1
            assert await open_tasks(given) == [CALL_ASKER, CALL_ASKER]
            assert await calls(given) == [(CALL_ASKER, "special-unit")] * 2

    async def test_a_call_remains_if_the_later_request_was_refused_too(self, tmp_path: Path) -> None:
        """The registrar refuses the answer to the later request, so nothing was handed over at all."""
        async with holder(tmp_path) as given:
            await given.settle()
            await heard_after_a_day(given)
            await given.hear(given.registrar.answer(await waiting_answer(given), "signature_invalid"))

            assert await calls(given) == [(CALL_ASKER, "special-unit")] * 2


async def test_a_request_of_an_agency_that_she_refuses_waits_no_longer_than_an_answer_is_possible(
    tmp_path: Path,
) -> None:
    """Given her refusal of the unit in this desk's records, when the unit asks, then its row stays for the officer who may object, and ends after a day."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        await given.registered(type="consent.refused", data=HER_REFUSAL)
        await given.hear(broken(given.registrar, "ngo-a"))
        queue = queue_of("ngo", "waits")
        assert queue is not None
        items = (await Known(given.desk).fresh()).items
        hours = (0, 23, 25)
        shown = [picked(queue, items, given.clock.time + timedelta(hours=each)) for each in hours]

        assert [[each.agencies for each in rows if each.about == "emergency"] for rows in shown] == [
            [("special-unit",)],
            [("special-unit",)],
            [],
        ]
