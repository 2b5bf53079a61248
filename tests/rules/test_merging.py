"""Two cases of one person: the special unit goes on with one of them. RULES.md, `case.merged`."""

from collections.abc import Callable

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.rules import Rules, load_profile
from rules.given import Bench
from rules.stories import (
    LEGAL,
    accepted,
    begun,
    child_begun,
    identified,
    merging,
    offered,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    signalled,
    under_review,
    without_status,
)

UNIT = "special-unit"


def ends(b: Bench, **said: str) -> str | None:
    """Return the rule that keeps *b* from ending by a merge, or None."""
    refusal = b.ask(UNIT, "case.merged", outcome="ends", letter=True, **{"approver": "A-2", **said})
    return refusal.rule if refusal else None


class TestTheCaseThatEnds:
    """Of two cases, the one that the special unit goes on with no more."""

    def test_is_closed_and_owes_nothing(self) -> None:
        """Its duties end with it; nobody is late with what another case sees through."""
        b = begun(Bench())
        assert b.codes == ["D-RG"]

        b.say(UNIT, "case.merged", outcome="ends", approver="A-2")

        assert (b.view.status, b.codes) == ("CLOSED", [])

    def test_comes_back_with_its_duties_when_the_merge_was_an_error(self) -> None:
        """Two women of one name: what the special unit owed the second is owed again."""
        b = begun(Bench())
        b.say(UNIT, "case.merged", outcome="ends", approver="A-2")

        b.at("d3 9:00").say(UNIT, "case.reopened", reason="closed_in_error")

        assert (b.view.status, b.codes) == ("UNDER_IDENTIFICATION", ["D-RG"])

    @pytest.mark.parametrize("story", [presumed, identified, refused_by_grounds, without_status])
    def test_is_none_in_which_something_was_decided(self, story: Callable[[Bench], Bench]) -> None:
        """A recovery period, a recognition, a review that may be asked for, and her word against the unit stay where they are."""
        refused = ends(story(Bench()))
        assert refused == ("G-30" if story is without_status else "G-40")

    @pytest.mark.parametrize("again", ["after a review", "by another referral"])
    def test_is_none_in_which_something_was_decided_though_identification_begins_again(self, again: str) -> None:
        """The person has won a review, or the unit has come back: what was decided is not lost by a status of before."""
        if again == "after a review":
            b = under_review(Bench()).at("d10 9:00")
            b.say(UNIT, "review.decided", ref="V-1")
        else:
            b = presumed(Bench())
            b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
            b.say(UNIT, "consent.stop_confirmed")
            b.say("ngo-a", "consent.given", receivers=[UNIT])
            b.say("ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis=LEGAL)
            b.say(UNIT, "referral.accepted", ref="R-9")
        b.say("shelter", "shelter.discharged", ref="B-1", reason="own_request")

        assert ends(b) == "G-40"

    def test_has_no_open_referral(self) -> None:
        """The agency that waits gets its answer first: `declined` as a duplicate."""
        assert ends(referred(Bench())) == "G-49"
        b = referred(Bench())
        b.say(UNIT, "referral.declined", ref="R-1", reason="duplicate")
        assert ends(b) is None
        assert ends(accepted(Bench())) is None

    def test_has_no_plan_in_force_and_no_open_order_of_money(self) -> None:
        """Whoever helps her goes on in this case, so the other one ends."""
        b = begun(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-6", to=["vac"])
        b.say("vac", "referral.accepted", ref="R-6")
        b.say("vac", "plan.adopted", to=["ngo-l"])
        assert ends(b) == "G-49"
        b.say("vac", "plan.completed")
        assert ends(b) is None

        b.say("vac", "referral.submitted", ref="R-7", to=["fund"], services=["cash"])
        b.say("fund", "referral.accepted", ref="R-7")
        b.say("fund", "payment.ordered", ref="P-7", kind="other_financial_assistance")
        assert ends(b) == "G-49"
        b.say("fund", "payment.executed", ref="P-7", kind="other_financial_assistance")
        assert ends(b) is None


class TestMerging:
    """Who may do it, and on what ground."""

    def test_needs_a_second_member_of_staff(self) -> None:
        """An error joins two people's lives."""
        assert ends(begun(Bench()), approver="A-1") == "G-20"

    def test_needs_the_adults_consent_to_the_special_unit(self) -> None:
        """Of an anonymous notice the unit knows too little; it links the cases."""
        assert ends(signalled(Bench())) == "G-32"
        linked = signalled(Bench()).ask(UNIT, "case.linked", confidence="possible")
        assert linked is None

    def test_asks_no_child(self) -> None:
        """A child is not asked."""
        assert ends(child_begun(Bench())) is None

    def test_is_the_special_units_alone(self) -> None:
        """Nobody else sees both cases."""
        refusal = planned(Bench()).ask("vac", "case.merged", approver="A-2")
        assert refusal is not None
        assert refusal.rule == "G-01"


class TestTheCaseThatContinues:
    """Of two cases, the one that the special unit goes on with."""

    def test_owes_the_person_a_question_within_five_working_days(self) -> None:
        """No consent comes over from the other case: the unit asks her again whom it may tell."""
        b = merging(Bench())

        assert "D-MERGE 16 Mar 24:00" in b.deadlines, "Saturday to Monday are not worked: 9 March is a day off"
        b.at("d5 9:00").say(UNIT, "consent.given", receivers=["ngo-shelter"])
        assert "D-MERGE" not in b.codes

    def test_is_not_one_that_the_person_has_ended(self) -> None:
        """Her withdrawal holds for the case in which she gave it."""
        b = presumed(Bench())
        b.say("ngo-a", "case.withdrawn")
        refusal = b.ask(UNIT, "case.merged", approver="A-2")
        assert refusal is not None
        assert refusal.rule == "G-40"

    def test_goes_on_as_it_was(self) -> None:
        """Status and duties stay."""
        b = offered(Bench())
        before = (b.view.status, b.codes)
        b.say(UNIT, "case.merged", approver="A-2")
        assert (b.view.status, sorted({*b.codes} - {"D-MERGE"})) == before


def test_no_agency_learns_the_other_case() -> None:
    """The other reference is sealed to nobody; an agency of one case knows no more of the other than before."""
    b = planned(Bench())
    said = b.say(UNIT, "case.merged", letter=True, approver="A-2")
    assert set(said.audience.opens.values()) == {()}
    assert Rules(load_profile(POLICY), AGENCIES).may_publish("ngo-a", "case.merged") is False


def test_a_copy_names_a_referral_that_its_giver_knows() -> None:
    """S43: the client's copy is one of three of the same form; any party of the referral gives it, also after it has left."""
    b = accepted(Bench())
    assert b.ask("ngo-a", "case.copy_issued", ref="R-1") is None
    assert b.ask(UNIT, "case.copy_issued", ref="R-1") is None
    unknown = b.ask("ngo-a", "case.copy_issued", ref="R-2")
    assert unknown is not None
    assert unknown.rule == "G-03"
