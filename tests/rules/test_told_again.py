"""Notices of a new beginning: an agency that was told of an end is told when the same begins again."""

from nrmbus.events.model import Fact
from nrmbus.rules import View
from rules.given import Bench
from rules.stories import begun, child_planned, left, planned, signalled

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


class TestTrustedAgain:
    """A person takes consent back, the agency deletes what it had, and later she agrees to it again."""

    def test_reaches_the_agency_before_what_it_is_sent_next(self) -> None:
        """Its own desk would keep the letter shut otherwise: the last word that it heard is the withdrawal."""
        b = planned(Bench())
        b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
        b.say("ngo-l", "consent.stop_confirmed")
        given = b.say("vac", "consent.given", receivers=["ngo-l"])
        assert given.audience.recipients == ()

        sent = b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], letter=True)
        assert sent.audience.earlier == {"ngo-l": (given.id,)}
        again = b.say("vac", "referral.submitted", ref="R-10", to=["ngo-l"], letter=True)
        assert again.audience.earlier == {}

    def test_opens_the_letter_at_the_agency(self) -> None:
        """By its own events alone, after a deletion and after its access was ended."""
        for end in ("consent.withdrawn", "access.revoked"):
            b = planned(Bench())
            b.say(UNIT, end, receivers=["ngo-l"], approver="A-2")
            b.say("ngo-l", "consent.stop_confirmed")
            b.say("vac", "consent.given", receivers=["ngo-l"])
            b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], letter=True)
            assert not b.rules.keeps_shut(own_view(b, "ngo-l"), b.facts[-1].event, "ngo-l"), end


def own_view(b: Bench, agency: str) -> View:
    """Return the fold of the events that reached *agency*, with the consents that went before them."""
    full = own = b.rules.start(b.subject)
    for fact in b.facts:
        earlier = b.rules.audience(full, fact.event).earlier.get(agency, ())
        mine = [each for each in b.facts if each.event.id in earlier]
        mine += [fact] if agency in (fact.event.source, *fact.recipients) else []
        for each in mine:
            recipients = () if each.event.source == agency else (agency,)
            own = b.rules.evolve(own, Fact.of(each.event, recipients, each.registered, each.number))
        full = b.rules.evolve(full, fact)
    return own
