"""A refusal is shown with its rule's sentence, which says what to do, wherever an agency reads it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, SIGNAL, town
from desk.given import REF, Given, desk_of
from nrmbus.rules.placed import placed
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import SENTENCES
from nrmbus.wire.record import Record
from patience import eventually

EVENT: dict[str, Any] = {"type": "case.signal_recorded", "data": SIGNAL}
ID = "01890000-0000-7000-8000-000000000001"


@pytest.mark.thorough
@pytest.mark.parametrize("rule", town().rules.profile.refusals)
async def test_a_refusal_of_the_rules_has_the_sentence_of_its_rule(rule: str, tmp_path: Path) -> None:
    """The profile's sentence is shown at once and later, for the whole request and for its event."""
    profile = town().rules.profile
    cited = profile.refusals[rule]
    says = placed(cited.says, profile)
    assert "{" not in says
    async with desk_of("ngo-a", tmp_path) as here:
        sent = await here.said(**EVENT, id=ID)
        await here.hear(here.registrar.refuse(sent, cited.code, rule))
        later = (await here.door.get(f"/v1/events/{ID}")).json()
        again = await here.ask(**EVENT, id=ID)

    assert (later["code"], later["rule"], later["sentence"]) == (cited.code, rule, says)
    assert (again["verdict"], again["sentence"]) == ("refused", says)
    assert again["events"][0]["sentence"] == says


async def test_a_refusal_of_the_wire_has_the_sentence_of_its_code(tmp_path: Path) -> None:
    """The sentence is shown also if the refusal's rule is not in the profile."""
    async with desk_of("ngo-a", tmp_path) as here:
        sent = await here.said(**EVENT)
        await here.hear(here.registrar.refuse(sent, "stale", "W3"))
        (row,) = await here.rows("outbox")
        found = (await here.door.get(f"/v1/events/{row.id}")).json()

    assert found["sentence"] == SENTENCES["stale"]


async def test_the_task_about_what_could_not_be_sent_says_what_to_do(tmp_path: Path) -> None:
    """The task's reader needs no table of codes."""
    async with desk_of("ngo-a", tmp_path) as here:
        sent = await here.said(**EVENT)
        await here.hear(here.registrar.answer(sent, "unreadable"))
        (task,) = await here.rows("tasks")

    assert json.loads(task.about)["sentence"] == SENTENCES["unreadable"]


@pytest.mark.parametrize("code", ["agency_suspended", "sequence_gap"])
async def test_what_failed_is_sent_again_once_and_is_answered(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event that failed, when it is sent again by hand and gets another passing answer, then nobody sends it a third time."""
    monkeypatch.setattr("nrmbus.desk.relay.FIRST_PATIENCE", 0.0)
    async with desk_of("ngo-a", tmp_path) as here:
        sent = await here.said(**EVENT, id=ID)
        await here.hear(here.registrar.answer(sent, "signature_invalid"))
        asked = await here.door.post(f"/v1/events/{ID}/again")
        assert asked.status_code == 202
        assert await here.out() == [sent]
        how = {"subject": CASE, "id": ID, "expected_sequence": 7} if code == "sequence_gap" else {}
        await here.hear(here.registrar.answer(sent, code, **how))

        assert await here.out() == []
        (row,) = await here.rows("outbox")
        assert (row.state, row.verdict, row.code) == ("closed", "failed", "signature_invalid")


async def test_an_event_of_the_procedure_registered_after_a_passing_answer_leaves_no_task(tmp_path: Path) -> None:
    """Given an offer of a bed that got a passing answer, when another copy is registered, then the task about the offer is closed."""
    async with desk_of("shelter", tmp_path) as here:
        offer = await offer_to(here, CASE)
        await here.hear(here.registrar.answer(offer, "agency_suspended"))
        before = {row.kind for row in await here.rows("tasks") if row.done is None}
        await here.hear(here.registrar.register(offer, to="shelter"))
        after = [row.kind for row in await here.rows("tasks") if row.done is None]

    assert (before, after) == ({"not_sent"}, [])


async def offer_to(here: Given, case: str) -> Record:
    """Have the house asked for a woman's bed; return its answer, sent."""
    asked = here.registrar.event(
        "special-unit", "shelter.bed_requested", {"to": ["shelter"], "urgency": "urgent"},
        parts={"coded": {"category": "women"}}, opens=["shelter"], referral=REF, case=case,
    )  # fmt: skip
    await here.hear(here.registrar.register(asked, to="shelter"))
    (receipt,) = await here.out()
    await here.hear(here.registrar.register(receipt, to="shelter"))
    (answer,) = await here.out()
    return answer


OTHER = "ef" * 16


async def test_a_bed_is_not_offered_twice_after_a_passing_answer(tmp_path: Path) -> None:
    """Given the only bed, whose offer got a passing answer, when another request comes, then it is refused, and the first offer may be sent again."""
    async with desk_of("shelter", tmp_path) as here:
        offer = await offer_to(here, CASE)
        await here.hear(here.registrar.answer(offer, "agency_suspended"))
        second = await offer_to(here, OTHER)
        await here.hear(here.registrar.register(second, to="shelter"))
        await here.hear(here.registrar.register(offer, to="shelter"))

        assert [decode(each).type for each in (offer, second)] == ["shelter.bed_offered", "shelter.bed_refused"]
        assert [(bed.subject, bed.category, bed.offered) for bed in here.desk.book.beds] == [(CASE, "women", True)]  # type: ignore[attr-defined]  # the book of a shelter


async def test_a_bed_is_free_once_the_registrar_refuses_after_a_passing_answer(tmp_path: Path) -> None:
    """Given the only bed, whose offer got a passing answer, when the registrar refuses another copy, then the next request is offered the bed."""
    async with desk_of("shelter", tmp_path) as here:
        offer = await offer_to(here, CASE)
        await here.hear(here.registrar.answer(offer, "agency_suspended"))
        await here.hear(here.registrar.refuse(offer, "not_open", "G-51"))
        (task,) = [row for row in await here.rows("tasks") if row.kind == "refused" and row.done is None]
        second = await offer_to(here, OTHER)

    assert decode(second).type == "shelter.bed_offered"
    assert task.subject == CASE


async def test_a_reading_that_the_registrar_refused_says_by_which_rule(tmp_path: Path) -> None:
    """The answer names the refusal, its rule and what the reader can do."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(**EVENT)
        cited = here.town.rules.profile.refusals["G-05"]

        async def refuse() -> None:
            sent: list[Record] = []

            async def out() -> bool:
                sent.extend(await here.out())
                return bool(sent)

            await eventually("the desk asks the registrar", out)
            await here.hear(here.registrar.refuse(sent[0], cited.code, "G-05"))

        asking = here.door.post(f"/v1/cases/{CASE}/reads", params={"what": "case", "actor": "S-1"})
        answer = await refused(asking, refuse)

    assert (answer["code"], answer["refusal"], answer["rule"]) == ("read_refused", cited.code, "G-05")
    assert answer["detail"] == cited.says


async def refused(asking: Any, refuse: Any) -> dict[str, Any]:
    """Return the answer to *asking*, while the registrar does *refuse*."""
    answer, _ = await asyncio.gather(asking, refuse())
    return dict(answer.json())
