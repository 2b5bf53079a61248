"""Parts in a case, and its holder: who has one by a request, who holds after a transfer, and which of several bodies that decide."""

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.rules import Agency, Rules, load_profile
from rules.given import Bench
from rules.stories import LEGAL, accepted, begun, child_referred, consented, referred, signalled

UNIT = "special-unit"
SECOND = "special-unit-2"


def holder(b: Bench) -> str | None:
    """Return who holds the case now."""
    return b.rules.holder(b.view, b.facts[-1].event)


class TestAnAskersPart:
    """Given an assistance centre that was referred a person, and asks others for something."""

    def test_ends_with_its_own_referral(self) -> None:
        """When it declines the referral, then it has no part by the bed that it asked for, and hears of the offer all the same."""
        b = referred(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-2", to=["vac"])
        b.say("vac", "shelter.bed_requested", ref="B-1", to=["shelter"])
        b.say("vac", "referral.declined", ref="R-2")

        assert not b.view.on_case("vac")
        assert b.say("shelter", "shelter.bed_offered", ref="B-1").audience.recipients == ("vac",)

    def test_is_none_by_a_service(self) -> None:
        """When it declines the referral, then it has no part by the service that it asked for, and hears of the answer all the same."""
        b = referred(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-2", to=["vac"])
        b.say("vac", "service.requested", ref="S-1", to=["ngo-l"])
        b.say("vac", "referral.declined", ref="R-2")

        assert not b.view.on_case("vac")
        assert "vac" in b.say("ngo-l", "service.scheduled", ref="S-1").audience.recipients

    def test_is_none_by_a_flag(self) -> None:
        """When it flags a child and then declines, then only the bodies that the flag reached have a part by it."""
        b = referred(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-2", to=["vac"])
        b.say("vac", "safeguard.child_flagged", to=["child-commission", "guardianship"])
        b.say("vac", "referral.declined", ref="R-2")

        assert not b.view.on_case("vac")
        assert b.view.on_case("guardianship")


def handed_over(b: Bench) -> Bench:
    """The special unit has begun, and transfers the case to the assistance centre, which accepts."""
    begun(b).say(UNIT, "referral.submitted", ref="R-8", to=["vac"], mode="transfer")
    b.say("vac", "referral.accepted", ref="R-8")
    return b


class TestACaseThatTheUnitHandedOver:
    """Given a case that the special unit transferred to the assistance centre."""

    def test_is_handed_on_by_the_agency_that_has_it(self) -> None:
        """When the centre transfers it to a legal NGO, then that NGO holds it, and not the unit again."""
        b = handed_over(Bench())
        assert holder(b) == "vac"
        b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], mode="transfer")
        accepted = b.say("ngo-l", "referral.accepted", ref="R-9")

        assert holder(b) == "ngo-l"
        assert accepted.audience.recipients == ("vac",)

    def test_is_taken_away_by_no_third_agency(self) -> None:
        """When the NGO that found her transfers it to a legal NGO, then the centre holds it still."""
        b = handed_over(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-9", to=["ngo-l"], mode="transfer")
        b.say("ngo-l", "referral.accepted", ref="R-9")

        assert holder(b) == "vac"

    def test_is_moved_by_a_third_agency_once_the_centre_is_let_in_for_some_days_only(self) -> None:
        """When the centre's access was ended, a consent for some days lets it in, and the unit has deleted all, then a transfer moves the case."""
        b = handed_over(Bench())
        b.say(UNIT, "access.revoked", receivers=["vac"], letter=True, approver="A-2")
        b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
        b.say(UNIT, "consent.stop_confirmed", answer="deleted")
        b.say("ngo-a", "consent.given", receivers=["vac"], given_by="individual", expires="2026-03-12")
        b.say("ngo-a", "referral.submitted", ref="R-5", to=["vac"])
        b.say("vac", "referral.accepted", ref="R-5")
        b.say("ngo-a", "referral.submitted", ref="R-9", to=["ngo-l"], mode="transfer")
        b.say("ngo-l", "referral.accepted", ref="R-9")

        assert holder(b) == "ngo-l"

    def test_is_the_units_again_once_that_begins(self) -> None:
        """When the unit, which had deleted all, is asked again, then the centre holds the case until the unit begins."""
        b = handed_over(Bench())
        b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
        b.say(UNIT, "consent.stop_confirmed", answer="deleted")
        b.consents(UNIT)
        b.say("ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis=LEGAL)
        b.say(UNIT, "referral.accepted", ref="R-9")
        assert holder(b) == "vac"
        b.say(UNIT, "identification.stage_entered")

        assert holder(b) == UNIT


def two_units() -> Bench:
    """She agrees to two bodies that decide, and is referred to both."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, SECOND: Agency(SECOND, "special_unit")})
    consented(b).consents(SECOND)
    b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, SECOND], legal_basis=LEGAL)
    return b


class TestTwoBodiesThatDecide:
    """Given a referral to two bodies that decide."""

    def test_a_revocation_leaves_the_one_that_accepted_able_to_begin(self) -> None:
        """When one has accepted and the sender takes the referral back from the other, then the first begins."""
        b = two_units()
        b.say(UNIT, "referral.accepted", ref="R-1")
        b.say("ngo-a", "referral.revoked", ref="R-1")
        assert str(b.view.status) == "REFERRED"
        b.say(UNIT, "identification.stage_entered")

        assert str(b.view.status) == "UNDER_IDENTIFICATION"

    def test_the_one_that_began_holds_the_case(self) -> None:
        """When both accept and the second begins, then the second holds the case."""
        b = two_units()
        for each in (UNIT, SECOND):
            b.say(each, "referral.accepted", ref="R-1")
        b.say(SECOND, "identification.stage_entered")

        assert holder(b) == SECOND

    def test_papers_go_to_the_one_that_was_asked(self) -> None:
        """When she agreed to one alone and is referred to it, then the other gets none of her papers, and need not be agreed to."""
        b = Bench()
        b.rules = Rules(load_profile(POLICY), {**AGENCIES, SECOND: Agency(SECOND, "special_unit")})
        accepted(b)
        papers = b.say("ngo-a", "handover.document_transferred", ref="R-1", letter=True).audience

        assert papers.recipients == (UNIT,)
        assert {each for openers in papers.opens.values() for each in openers} == {UNIT}

    def test_a_childs_papers_go_to_the_one_that_was_asked(self) -> None:
        """When a child, whom nobody asks for consent, is referred to one, then the other hears nothing of the papers."""
        b = Bench()
        b.rules = Rules(load_profile(POLICY), {**AGENCIES, SECOND: Agency(SECOND, "special_unit")})
        child_referred(b)

        assert b.say("school", "handover.document_transferred", ref="R-10", letter=True).audience.recipients == (UNIT,)

    def test_one_that_declined_gets_no_papers(self) -> None:
        """When one declines, then the papers go to the other; when both have, there is nobody to hand them to."""
        b = two_units()
        b.say(SECOND, "referral.declined", ref="R-1")
        assert b.fork().say("ngo-a", "handover.document_transferred", ref="R-1").audience.recipients == (UNIT,)
        b.say(UNIT, "referral.declined", ref="R-1")

        refusal = b.ask("ngo-a", "handover.document_transferred", ref="R-1")
        assert refusal
        assert refusal.rule == "G-04"

    def test_one_that_deleted_gets_no_papers(self) -> None:
        """When the deciding body of a child's referral has deleted all, then nothing is handed to the body before another referral."""
        b = child_referred(Bench())
        b.say(UNIT, "referral.accepted", ref="R-10")
        b.say("school", "consent.withdrawn", receivers=[UNIT])
        b.say(UNIT, "consent.stop_confirmed")

        refusal = b.ask("school", "handover.document_transferred", ref="R-10")
        assert refusal
        assert refusal.rule == "G-04"

    def test_one_that_acknowledges_after_the_other_has_begun_owes_no_answer(self) -> None:
        """When the first has begun, then the second may still give a receipt, and no event could meet an answer of it (reading 142)."""
        b = two_units()
        b.say(UNIT, "referral.accepted", ref="R-1")
        b.say(UNIT, "identification.stage_entered")
        b.say(SECOND, "referral.acknowledged", ref="R-1")

        assert "D-ANSWER" not in b.codes

    def test_one_does_not_begin_what_another_one_has_found(self) -> None:
        """When one gives the signal, the other hears of it, and begins only after a referral that it accepts; the first may begin."""
        b = Bench()
        b.rules = Rules(load_profile(POLICY), {**AGENCIES, SECOND: Agency(SECOND, "special_unit")})
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.consents(SECOND, by=UNIT)
        b.say(UNIT, "consent.given", receivers=[UNIT], approver="A-2")
        taken = b.ask(SECOND, "identification.stage_entered")

        assert taken
        assert taken.rule == "G-41"
        assert b.ask(UNIT, "identification.stage_entered") is None

    def test_no_other_is_asked_while_one_works_on_the_case(self) -> None:
        """When one has begun and the other has deleted, then a referral to the other would undo what the first has found: it is refused."""
        b = two_units()
        b.say(UNIT, "referral.accepted", ref="R-1")
        b.say(SECOND, "referral.declined", ref="R-1")
        b.say(UNIT, "identification.stage_entered")
        b.say("ngo-a", "consent.withdrawn", receivers=[SECOND])
        b.say(SECOND, "consent.stop_confirmed", answer="deleted")
        b.consents(SECOND)
        again = b.ask("ngo-a", "referral.submitted", ref="R-9", to=[SECOND], legal_basis=LEGAL)

        assert again
        assert again.rule == "G-40"


def test_a_house_that_deleted_hears_nothing_by_its_offer() -> None:
    """Given a child and a shelter whose offer stands, when the shelter has deleted what it was told, then it hears of no decision."""
    b = child_referred(Bench())
    b.say(UNIT, "referral.accepted", ref="R-10")
    b.say(UNIT, "identification.stage_entered")
    b.say(UNIT, "shelter.bed_requested", ref="B-1", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-1")
    decided = b.event("child-commission", "safeguard.best_interests_decided")
    assert "ngo-shelter" in b.rules.audience(b.view, decided).recipients
    b.say("school", "consent.withdrawn", receivers=["ngo-shelter"])
    b.say("ngo-shelter", "consent.stop_confirmed", answer="deleted")

    assert "ngo-shelter" not in b.rules.audience(b.view, decided).recipients


def test_an_expiry_reaches_the_unit_that_still_owes_its_answer() -> None:
    """Given a referral to the special unit and a legal NGO, when the NGO's time is over, then the unit hears of it, and owes its own answer still."""
    b = consented(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["ngo-l", UNIT], legal_basis=LEGAL)
    due = next(each for each in b.rules.due(b.view) if each.type == "referral.expired")
    expired = b.event("timekeeper", due.type, data=due.data, cause=due.cause, reference=due.ref, at=due.at)
    assert b.rules.audience(b.view, expired).recipients == ("ngo-a", "ngo-l", UNIT)
    b.say_due("referral.expired")

    assert "D-ACK" in b.codes
    assert b.view.status == "REFERRED"


def test_an_embassy_under_a_bar_holds_last() -> None:
    """Given that nobody holds the case by right and a consulate has the longest part, when a bar is set, then another agency holds."""
    b = signalled(Bench())
    b.consents("consulate", "ngo-l", UNIT)
    for ref, to in (("R-1", "consulate"), ("R-2", "ngo-l")):
        b.say("ngo-a", "referral.submitted", ref=ref, to=[to])
    for each in (UNIT, "ngo-a"):
        b.say("ngo-l", "consent.withdrawn", receivers=[each])
        b.say(each, "consent.stop_confirmed", answer="deleted")
    assert holder(b) == "consulate"
    b.say("ngo-l", "stay.embassy_barred")

    assert holder(b) == "ngo-l"


def test_of_two_bodies_with_one_flag_the_first_by_name_hears_of_an_emergency() -> None:
    """Given a child in whose case only the flagged bodies are third to an emergency, then the child commission hears of it, before guardianship."""
    b = child_referred(Bench())
    b.say(UNIT, "referral.accepted", ref="R-10")
    b.say(UNIT, "identification.stage_entered")
    b.say(UNIT, "shelter.bed_requested", ref="B-1", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-1")
    b.say(UNIT, "consent.withdrawn", receivers=["school"])
    b.say("school", "consent.stop_confirmed", answer="deleted")
    asked = b.event("ngo-shelter", "access.break_glass", ref="E-1", reason="missing_person", approver="A-2")

    assert b.rules.audience(b.view, asked).recipients == ("child-commission", UNIT)


@pytest.mark.parametrize("deletes_first", [True, False])
def test_a_referrer_that_deleted_hears_of_no_reopening(*, deletes_first: bool) -> None:
    """Given the referring NGO, when the NGO deletes all before the closing or after, then nobody tells the NGO of the re-opening.

    Of the closing it is told as the referrer, as long as it has not deleted (reading 145).
    """
    b = begun(Bench())
    b.say(UNIT, "consent.withdrawn", receivers=["ngo-a"], purposes=["services"])
    closed = None if deletes_first else b.say(UNIT, "case.closed")
    b.say("ngo-a", "consent.stop_confirmed", answer="deleted")
    closed = closed or b.say(UNIT, "case.closed")

    assert ("ngo-a" in closed.audience.recipients) is not deletes_first
    assert "ngo-a" not in b.rules.audience(b.view, b.event(UNIT, "case.reopened")).recipients


def test_an_auditor_that_placed_a_hold_is_no_holder() -> None:
    """Given a hold of the auditor, when a court ends access, then every agency of the case is told, and not the auditor."""
    b = begun(Bench())
    b.say("auditor", "access.hold_placed", until="2026-12-31", reasons=["objection"])
    told = b.rules.audience(b.view, b.event("court", "access.terminated", approver="A-2")).recipients

    assert UNIT in told
    assert "auditor" not in told
