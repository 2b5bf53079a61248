"""Lines that agencies share which give services, ask for beds, or have the person's consent."""

from importlib import import_module

import pytest

from agencies import ROLES
from given import Story, given, says
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.events.access import AccessRevoked
from nrmbus.events.consent import ConsentGiven, ConsentWithdrawn
from nrmbus.events.erasure import AccessTerminated
from nrmbus.events.recovery import PeriodEnded, PeriodStarted
from nrmbus.events.safeguard import AgeAssessed
from nrmbus.events.shelter import BedRefused, BedRequested, OfferLapsed
from nrmbus.events.support import ServiceRequested

UNIT, FULL = "special-unit", BedRefused(reason="no_capacity")
ASKERS = ("vac", "ngo-a", "ngo-shelter", "special-unit")


def agency(me: str) -> Story:
    """Return the agency *me*, which has heard nothing yet."""
    return given(import_module(f"nrmbus.{ROOMS[ROLES.get(me, me)]}.procedure"), me=me)


@pytest.mark.parametrize("me", ["ngo-a", "ngo-l", "ngo-shelter", "shelter", "vac", "iom", "hospital", "school"])
def test_whoever_gives_services_answers_a_request_for_one(me: str) -> None:
    """A request for a service has a clock, so it is a step with words of its own and nothing to read; the own one is no task."""
    asked = ServiceRequested(service="legal", urgency="urgent", to=(me,))

    agency(me).when(says("special-unit", asked, "S-1")).then("service")
    agency(me).when(says(me, asked, "S-2")).then()


class TestBed:
    """A shelter that says no sends nobody back to the street: another one is named."""

    @pytest.mark.parametrize("me", ASKERS)
    def test_after_a_no_the_shelters_are_named_that_consent_covers(self, me: str) -> None:
        """Another shelter is named if consent covers it, and nobody without consent."""
        other = "ngo-shelter" if me != "ngo-shelter" else "shelter"
        consent = ConsentGiven(
            purposes=("information_sharing",), receivers=(other,), given_by="individual", form="written"
        )
        request = says(me, BedRequested(to=("house-n",), urgency="emergency"), "B-1")

        covered = agency(me).heard(says("ngo-l", consent), request).when(says("house-n", FULL, "B-1"))
        assert covered.then("ask_another_shelter").task.alternatives == (other,)
        alone = agency(me).heard(request).when(says("house-n", FULL, "B-1"))
        assert alone.then("ask_another_shelter").task.alternatives == ()

    def test_nobody_asks_another_while_one_that_was_asked_may_offer(self) -> None:
        """Two shelters were asked: the first no is noted, and the last one is the task."""
        story = agency(UNIT).heard(says(UNIT, BedRequested(to=("ngo-shelter", "shelter"), urgency="emergency"), "B-1"))

        story.when(says("shelter", FULL, "B-1")).then()
        story.when(says("ngo-shelter", FULL, "B-1")).then("ask_another_shelter")

    def test_an_offer_that_lapsed_is_as_a_no(self) -> None:
        """The timekeeper ends the offer: whoever asked looks on."""
        story = agency("ngo-a").heard(says("ngo-a", BedRequested(to=("shelter",), urgency="emergency"), "B-1"))

        story.when(says("timekeeper", OfferLapsed(shelter="shelter"), "B-1")).then("ask_another_shelter")


@pytest.mark.parametrize("me", ["vac", "ngo-shelter", "shelter"])
def test_a_person_who_is_found_to_be_an_adult_is_asked(me: str) -> None:
    """Whoever supports a person asks an adult for consent to all that follows; a child's assessment is noted."""
    agency(me).when(says(UNIT, AgeAssessed(result="adult"))).then("ask_adult")
    agency(me).when(says(UNIT, AgeAssessed(result="child"))).then()


@pytest.mark.parametrize("me", ["vac", "ngo-shelter", "shelter"])
def test_support_goes_on_whatever_a_period_does(me: str) -> None:
    """The recovery period is the deciding body's, so its beginning and its end ask nothing of a supporter."""
    agency(me).when(says(UNIT, PeriodStarted(days=30)), says(UNIT, PeriodEnded(reason="period_elapsed"))).then()


STOPS = ("vac", "ngo-a", "ngo-l", "shelter", "ngo-shelter", "fund", "migration", "consulate", "iom", "hospital", UNIT)


@pytest.mark.parametrize("me", [*STOPS, "prosecution"])
def test_whoever_may_know_no_more_stops_and_confirms(me: str) -> None:
    """Consent is taken back, or access ended: the agency that this is about has the step, another one reads."""
    taken = ConsentWithdrawn(purposes=("information_sharing",), receivers=(me,))

    agency(me).heard(says("ngo-x", PeriodStarted(days=30))).when(says("ngo-x", taken)).then("stop")
    agency(me).when(says("guardianship", AccessRevoked(receivers=(me,)))).then("stop")
    agency(me).when(says("ngo-x", ConsentWithdrawn(purposes=("services",), receivers=("somebody",)))).then("read")


@pytest.mark.parametrize("me", [*STOPS, "prosecution"])
def test_whoever_knew_nothing_when_consent_was_taken_back_has_nothing_to_stop(me: str) -> None:
    """The withdrawal is the first that the agency hears of the case: it comes with the consent that followed the withdrawal."""
    taken = ConsentWithdrawn(purposes=("information_sharing",), receivers=(me,))

    agency(me).when(says("ngo-x", taken)).then("read")


@pytest.mark.parametrize("me", [*STOPS, "prosecution", "guardianship", "child-commission", "hotline", "police-x"])
def test_whoever_holds_a_case_deletes_it_after_an_authority_has_ended_access(me: str) -> None:
    """The desk erases what it holds; the agency's own files are a person's to delete, or to keep by an objection."""
    ended = AccessTerminated(body="court", scope="case")

    assert "object" in agency(me).when(says("court", ended)).then("stop").task.sentence
