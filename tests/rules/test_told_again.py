"""Notices of a new beginning: an agency that was told of an end is told when the same begins again."""

from rules.given import Bench
from rules.stories import begun, child_planned, left, signalled

UNIT = "special-unit"


class TestFoundAChildAgain:
    """An assessment that was wrong is put right: the person was taken for an adult, and is a child."""

    def test_notifies_the_flagged_bodies(self) -> None:
        """Guardianship and the child commission protect the child from there on, so both hear of the assessment."""
        b = child_planned(Bench())
        b.say(UNIT, "safeguard.age_assessed", result="adult")
        said = b.say(UNIT, "safeguard.age_assessed", result="child")

        assert {"guardianship", "child-commission"} <= set(said.audience.recipients)

    def test_gives_them_their_part_again(self) -> None:
        """The bodies may assign a representative and decide on best interests, as before."""
        b = child_planned(Bench())
        b.say(UNIT, "safeguard.age_assessed", result="adult")
        assert not b.view.on_case("guardianship")
        b.say(UNIT, "safeguard.age_assessed", result="unclear")

        assert b.ask("guardianship", "safeguard.representative_assigned") is None
        assert b.ask("child-commission", "safeguard.best_interests_decided") is None

    def test_is_not_in_the_way_of_what_the_person_refused_as_an_adult(self) -> None:
        """A child's refusal bars nobody, and the assessment itself is about a child already."""
        b = child_planned(Bench())
        b.say(UNIT, "safeguard.age_assessed", result="adult")
        b.say("school", "consent.refused", receivers=["guardianship"])
        said = b.say(UNIT, "safeguard.age_assessed", result="child")

        assert "guardianship" in said.audience.recipients

    def test_changes_no_parts_of_a_child_who_was_one_all_along(self) -> None:
        """A body that has deleted its data gets no part by a second assessment with the same result."""
        b = child_planned(Bench())
        b.say("school", "consent.withdrawn", receivers=["guardianship"])
        b.say("guardianship", "consent.stop_confirmed")
        b.say(UNIT, "safeguard.age_assessed", result="child")

        assert not b.view.on_case("guardianship")


class TestOpenedAgain:
    """A closed case is opened by another agency than the one that closed it."""

    def test_notifies_the_agency_that_closed_it(self) -> None:
        """The detector closed the case for lost contact; its duty of 24 hours runs again, so the detector is notified."""
        b = signalled(Bench()).at("1:00")
        b.say("ngo-a", "case.closed", reason="lost_contact")
        said = b.at("2:00").say(UNIT, "case.reopened")

        assert said.audience.recipients == ("ngo-a",)
        assert b.codes == ["D-REFER"]

    def test_notifies_the_referrer_that_was_notified_of_the_closing(self) -> None:
        """The unit notified the referring NGO of the closing, and notifies it of the re-opening."""
        b = begun(Bench())
        b.say(UNIT, "case.closed", reason="lost_contact")
        said = b.say(UNIT, "case.reopened")

        assert said.audience.recipients == ("ngo-a",)

    def test_notifies_the_holder_by_a_plan(self) -> None:
        """The assistance centre closed the case; the special unit opens it."""
        b = left(Bench()).at("d150 9:00")
        b.say("vac", "case.closed")
        b.say("ngo-a", "consent.withdrawn", receivers=["ngo-l"])
        said = b.say(UNIT, "case.reopened")

        assert said.audience.recipients == ("shelter", "vac")

    def test_notifies_no_agency_that_deleted_its_data(self) -> None:
        """A child's referrer has no part any more and shows no case, so there is nothing to open for it."""
        b = child_planned(Bench())
        b.say("ngo-shelter", "shelter.discharged", ref="B-10", reason="own_request")
        b.say("vac", "case.closed")
        b.say(UNIT, "consent.withdrawn", receivers=["vac"])
        b.say("vac", "consent.stop_confirmed")

        assert "vac" not in b.say(UNIT, "case.reopened").audience.recipients

    def test_gives_the_earlier_status_under_any_reference(self) -> None:
        """A re-opening that carries the reference of a referral took the case to no status at all."""
        b = begun(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])
        b.say("vac", "referral.declined", ref="R-9")
        b.say(UNIT, "case.closed", reason="lost_contact")
        b.say(UNIT, "case.reopened", ref="R-9")

        assert b.view.status == "UNDER_IDENTIFICATION"
