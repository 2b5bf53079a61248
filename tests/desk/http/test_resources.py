"""A system sees where its cases stand, from its own ledger alone: steps, referrals, beds, payments, receipts, readings, agencies."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, SIGNAL
from desk.access.test_opening import consented, supplied
from desk.given import BED, REF, Given, desk_of
from desk.web.cases.given import came

OTHER = "ef" * 16
CONSENT = {"purposes": ["services"], "receivers": ["vac"], "given_by": "individual", "form": "written"}
REFERRAL = {"to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}
DECLINED = {"reason": "no_capacity", "declined_by": "provider"}
CLOSED = {"reason": "lost_contact", "follow_up": False}
RECOGNISED = {"status": "ActualVictimOfTrafficking", "deciding_body": "Police", "reasons": ["indicators_met"]}
ORDER = {
    "kind": "one_time_allowance", "tariff": "az-2024", "amount": {"value": "400.00", "currency": "AZN"}, "payee": "person",
    "decision": "01890000-0000-7000-8000-000000000009",
}  # fmt: skip


async def get(here: Given, path: str, **params: Any) -> Any:
    """Return the answer of the desk to a question."""
    answer = await here.door.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def steps_of(here: Given) -> dict[str, Any]:
    """Return the steps of the case, by type."""
    return {each["type"]: each for each in (await get(here, "/v1/steps", case=CASE))["steps"]}


async def test_the_steps_of_a_case_are_what_the_rules_allow_now(tmp_path: Path) -> None:
    """A step is open, or names the rule in the way with its article and what to do; it follows the case."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        before = await steps_of(here)
        await here.registered(type="case.closed", data=CLOSED)
        after = await steps_of(here)

    assert before["case.closed"]["open"] is before["referral.submitted"]["open"] is True
    assert (before["case.reopened"]["open"], before["case.reopened"]["code"], before["case.reopened"]["rule"]) == (
        False, "wrong_state", "G-40",
    )  # fmt: skip
    assert before["case.reopened"]["article"]
    assert "status" in before["case.reopened"]["sentence"]
    assert before["referral.accepted"]["code"] == "unknown_reference"
    assert "identification.status_decided" not in before, "no step of this agency's role"
    assert (after["case.reopened"]["open"], after["case.closed"]["open"]) == (True, False)


async def test_a_person_of_whom_the_desk_does_not_know_the_age_may_be_referred(tmp_path: Path) -> None:
    """An agency that heard of a plan and of no signal may refer; only where it knows of a child do others come first."""
    plan = {"to": ["ngo-a"], "services": ["legal"], "planned_end_days": 120}
    async with desk_of("ngo-a", tmp_path) as here:
        for type_, data in (
            ("plan.adopted", plan),
            ("safeguard.child_flagged", {"to": ["ngo-a"], "basis": "appearance"}),
        ):
            event = here.registrar.event("vac", type_, data)
            await here.hear(here.registrar.register(event, to="ngo-a"))
            referral = (await steps_of(here))["referral.submitted"]
            assert (referral["open"], referral.get("rule")) == (
                (True, None) if type_ == "plan.adopted" else (False, "G-21")
            )


async def test_an_answer_is_a_step_for_each_record_that_it_may_answer(tmp_path: Path) -> None:
    """A shelter that was asked for two beds of one case has an offer to make for each."""
    async with desk_of("shelter", tmp_path) as here:
        for ref in (REF, OTHER):
            event = here.registrar.event("special-unit", "shelter.bed_requested", BED, referral=ref)
            await here.hear(here.registrar.register(event, to="shelter"))
        answer = await get(here, "/v1/steps", case=CASE)
        offers = [each for each in answer["steps"] if each["type"] == "shelter.bed_offered"]

        assert [(each["ref"], each["open"]) for each in offers] == [(REF, True), (OTHER, True)]
        assert answer["version"] == 2
        assert (await here.door.get("/v1/steps", params={"case": "01" * 16})).status_code == 404


async def test_every_open_step_fits_and_every_closed_one_is_refused_alike(tmp_path: Path) -> None:
    """The steps say what the check of the event itself says."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        found = await steps_of(here)
        for type_, data in (
            ("consent.given", CONSENT),
            ("case.closed", CLOSED),
            ("case.reopened", {"reason": "person_returned"}),
        ):
            body = {"events": [{"type": type_, "case": CASE, "actor": "S-1", "data": data}]}
            (check,) = (await here.door.post("/v1/checks", json=body)).json()["checks"]
            assert found[type_].get("code") == check.get("code"), type_
            assert found[type_]["open"] == (check["verdict"] == "fits"), type_


@pytest.mark.parametrize("ref", [REF, None], ids=["named", "without a reference"])
async def test_an_order_is_paid_by_its_reference_or_as_the_only_one(tmp_path: Path, ref: str | None) -> None:
    """What the fund ordered it may pay, of the kind and the decision of the order; one without a reference too."""
    async with desk_of("fund", tmp_path) as here:
        decided = here.registrar.event(
            "special-unit", "identification.status_decided", RECOGNISED, id=ORDER["decision"]
        )
        await here.hear(here.registrar.register(decided, to="fund"))
        await here.settle()
        await here.registered(type="payment.ordered", data=ORDER, **({"ref": ref} if ref else {}))
        said = (await get(here, "/v1/steps", case=CASE))["steps"]

    # The fund's own procedure orders the allowance, too.
    paid = {each.get("ref"): each["open"] for each in said if each["type"] == "payment.executed"}
    assert len(paid) == 2
    assert paid[ref] is True


async def test_beds_say_what_became_of_each_request_and_nothing_of_the_letter(tmp_path: Path) -> None:
    """A shelter sees its places, and each request with its own answer; the category is in the letter alone."""
    async with desk_of("shelter", tmp_path) as here:
        event = here.registrar.event(
            "special-unit",
            "shelter.bed_requested",
            BED,
            referral=REF,
            parts={"coded": {"category": "women"}},
            opens=["shelter"],
        )
        await here.hear(here.registrar.register(event, to="shelter"))
        await here.settle()
        page = await get(here, "/v1/beds")

        assert page["places"] == {"women": 1}
        assert [(each["case"], each["ref"], each["source"]) for each in page["beds"]] == [(CASE, REF, "special-unit")]
        assert [(each["agency"], each["state"]) for each in page["beds"][0]["houses"]] == [("shelter", "offered")]
        assert "women" not in str(page["beds"])
        assert (await get(here, "/v1/beds", case=OTHER))["beds"] == []


async def test_payments_say_what_became_of_each_order(tmp_path: Path) -> None:
    """An order is executed when the agency that pays says so."""
    async with desk_of("special-unit", tmp_path) as here:
        order = here.registrar.event("fund", "payment.ordered", ORDER, referral=REF)
        await here.hear(here.registrar.register(order, to="special-unit"))
        page = await get(here, "/v1/payments", ref=REF)

        assert [(each["amount"], each["state"], each["kind"]) for each in page["payments"]] == [
            ("400.00", "ordered", "one_time_allowance")
        ]
        assert page["next"] is None


async def test_referrals_say_who_is_waited_for_and_until_when(tmp_path: Path) -> None:
    """The receiver that has not answered is named, with the duty's time; filters find what this agency sent or received."""
    async with desk_of("vac", tmp_path) as here:
        for type_, data, ref in (("case.signal_recorded", SIGNAL, None), ("referral.submitted", REFERRAL, REF)):
            event = here.registrar.event("ngo-a", type_, data, referral=ref)
            await here.hear(here.registrar.register(event, to="vac"))
        sent = await get(here, "/v1/referrals", direction="sent")
        received = await get(here, "/v1/referrals", direction="received")
        waiting = await get(here, "/v1/referrals", state="submitted")
        done = await get(here, "/v1/referrals", state="completed")

        assert sent["referrals"] == done["referrals"] == []
        assert waiting["referrals"] == received["referrals"]
        (each,) = received["referrals"]
        assert (each["direction"], each["waits_for"], each["overdue"]) == ("received", ["vac"], False)
        assert each["due"] > each["registered"]


async def test_a_referral_that_was_declined_waits_for_no_answer_to_a_question(tmp_path: Path) -> None:
    """Given a receiver that asks its sender and then declines, then nobody is waited for, and no question is open."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT | {"purposes": ["information_sharing"]})
        await here.registered(type="referral.submitted", version=1, data=REFERRAL, ref=REF)
        await came(here, "referral.info_requested", {"question": "safe_contact"}, by="vac", referral=REF)
        (asked,) = (await get(here, "/v1/referrals"))["referrals"]
        await came(here, "referral.declined", DECLINED, by="vac", referral=REF)
        (declined,) = (await get(here, "/v1/referrals"))["referrals"]

    assert (asked["waits_for"], asked["receivers"][0]["asked"]) == (["ngo-a"], True)
    assert (declined["waits_for"], declined["receivers"][0]["asked"]) == ([], False)


async def test_a_referral_of_a_case_without_its_beginning_has_no_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that lost its ledger, and with it the beginning of a case, then nothing says when its referral is due or that it is overdue."""
    async with desk_of("vac", tmp_path) as here:
        await came(here, "case.signal_recorded", SIGNAL)
        await came(here, "referral.submitted", REFERRAL, referral=REF)
        here.clock.time += timedelta(days=30)
        (whole,) = (await get(here, "/v1/referrals"))["referrals"]
        monkeypatch.setattr("nrmbus.desk.state.beginnings.is_incomplete", lambda *_: True)
        (part,) = (await get(here, "/v1/referrals"))["referrals"]

    assert whole["overdue"] is True
    assert {"due", "overdue"}.isdisjoint(part)
    assert part["waits_for"] == whole["waits_for"] == ["vac"]


async def test_an_accepted_referral_is_due_to_its_sender_no_more(tmp_path: Path) -> None:
    """Given a receiver that accepted in time and is at work, of which the sender is told nothing, then the referral is never overdue at the sender."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT | {"purposes": ["information_sharing"]})
        await here.registered(type="referral.submitted", version=1, data=REFERRAL, ref=REF)
        await came(here, "referral.accepted", {"next_step": "plan"}, by="vac", referral=REF)
        here.clock.time += timedelta(days=30)
        (each,) = (await get(here, "/v1/referrals"))["referrals"]
        case = await get(here, f"/v1/cases/{CASE}")

    assert each["waits_for"] == case["open_referrals"] == []
    assert [duty for duty in case["open_deadlines"] if duty.get("ref") == REF] == []
    assert {"due", "overdue"}.isdisjoint(each)


async def test_a_receiver_waits_for_no_answer_that_it_does_not_hear(tmp_path: Path) -> None:
    """Given a referral to two agencies, when this one has accepted, then it waits for nobody: the other answers the sender alone."""
    async with desk_of("vac", tmp_path) as here:
        await came(here, "case.signal_recorded", SIGNAL)
        await came(here, "referral.submitted", REFERRAL | {"to": ["fund", "vac"]}, referral=REF)
        await here.settle()
        (asked,) = (await get(here, "/v1/referrals"))["referrals"]
        opened = (await get(here, f"/v1/cases/{CASE}"))["open_referrals"]
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        (accepted,) = (await get(here, "/v1/referrals"))["referrals"]
        left = (await get(here, f"/v1/cases/{CASE}"))["open_referrals"]

    assert (asked["waits_for"], opened) == (["vac"], [REF])
    assert (accepted["waits_for"], left) == ([], [])


async def test_receipts_are_the_registrars_verdicts(tmp_path: Path) -> None:
    """Events without a verdict have no receipt; a filter finds what was refused, with the sentence."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        refused = await here.said(type="consent.given", data=CONSENT)
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        await here.said(type="consent.given", data=CONSENT)
        everything = (await get(here, "/v1/receipts"))["receipts"]
        only = (await get(here, "/v1/receipts", verdict="refused"))["receipts"]
        page = await get(here, "/v1/receipts", limit=1)

        assert [each["verdict"] for each in everything] == ["registered", "refused"]
        assert [(each["code"], each["type"]) for each in only] == [("wrong_state", "consent.given")]
        assert only[0]["sentence"]
        assert (await get(here, "/v1/receipts", after=page["next"]))["receipts"] == only
        at = everything[0]["closed"]
        assert (await get(here, "/v1/receipts", since=at))["receipts"] == everything
        assert (await get(here, "/v1/receipts", until=at))["receipts"] == []
        assert (await get(here, "/v1/receipts", since="2030-01-01T00:00:00Z"))["receipts"] == []
        assert (await get(here, "/v1/receipts", until="2030-01-01T00:00:00Z", verdict="refused"))["receipts"] == only


async def test_a_receipt_of_an_event_that_was_sealed_again_names_the_id_of_the_request(tmp_path: Path) -> None:
    """Given an event that the desk sealed again twice, then its receipt, and its state by each of its ids, has the id that the program gave."""
    async with desk_of("ngo-a", tmp_path) as here:
        own = (await here.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "25-34", "sex": "F"}))["id"]
        ids = [own]
        for agencies in (("special-unit",), ("special-unit", "statistics")):
            (sent,) = await here.out()
            await here.hear(here.registrar.refuse(sent, "audience_changed", seal_to={"coded": agencies}))
            ids.append((await get(here, f"/v1/events/{own}"))["id"])
        (again,) = await here.out()
        await here.hear(here.registrar.register(again, to="ngo-a"))
        (receipt,) = (await get(here, "/v1/receipts"))["receipts"]
        states = [await get(here, f"/v1/events/{each}") for each in ids]

    assert len(set(ids)) == 3
    assert {(each["id"], each["asked_id"], each["verdict"]) for each in (receipt, *states)} == {
        (ids[-1], own, "registered")
    }


async def test_readings_of_all_cases_are_one_list(tmp_path: Path) -> None:
    """Whoever supervises the agency's readers sees each opening, by reader or purpose."""
    async with desk_of("vac", tmp_path) as here:
        await here.hear(consented(here.registrar))
        await here.hear(supplied(here.registrar))
        await here.read(actor="S-17", purpose="supervision")
        mine = (await get(here, "/v1/reads", who="S-17"))["reads"]

        assert mine
        assert {each["purpose"] for each in mine} == {"supervision"}
        assert {each["case"] for each in mine} == {CASE}
        assert (await get(here, "/v1/reads", who="S-17", purpose="court"))["reads"] == []
        assert (await get(here, "/v1/reads", until="2026-03-02T04:00:00Z"))["reads"] == []


async def test_the_directory_lists_agencies_and_roles(tmp_path: Path) -> None:
    """A system finds the agencies to which it may refer, page by page."""
    async with desk_of("ngo-a", tmp_path) as here:
        everybody = (await get(here, "/v1/directory"))["agencies"]
        first = await get(here, "/v1/directory", limit=1)
        second = await get(here, "/v1/directory", limit=1, after=first["next"])
        units = (await get(here, "/v1/directory", role="special_unit"))["agencies"]

        assert [each["agency"] for each in everybody] == sorted(here.town.agencies)
        assert [*first["agencies"], *second["agencies"]] == everybody[:2]
        assert [(each["agency"], each["state"], each["reachable"]) for each in units] == [
            ("special-unit", "admitted", True)
        ]


@pytest.mark.parametrize("path", ["/v1/beds", "/v1/payments", "/v1/referrals", "/v1/receipts", "/v1/reads"])
async def test_an_agency_sees_nothing_of_a_case_that_it_has_nothing_of(path: str, tmp_path: Path) -> None:
    """All of this comes from the agency's own ledger, so a filter finds no case of others."""
    async with desk_of("ngo-a", tmp_path) as here:
        page = await get(here, path, case=OTHER)

        assert page[path.rpartition("/")[2]] == []
        assert page["next"] is None
