"""Words of a child, who bars nobody, and who is then found to be an adult: the words hold, also at the desk of the agency."""

from typing import Any, Final

import pytest

from nrmbus.events.model import Event
from rules.given import Bench, Said
from rules.stories import BODIES, LEGAL, child_begun, child_flagged, child_planned, left
from rules.test_duties import desk

UNIT: Final = "special-unit"
FOUND: Final = "safeguard.age_assessed"
CHILD: Final[dict[str, Any]] = {
    "letter": True,
    "urgency": "normal",
    "services": ["legal"],
    "child": True,
    "legal_basis": LEGAL,
}


class OneDesk:
    """A boy's case, and what the desk of one agency makes of the events that it is told."""

    def __init__(self, agency: str, *, knows: bool) -> None:
        """Begin with a child whom a school found, and who is referred to the agency if it *knows* him."""
        self.agency, self.b = agency, child_flagged(Bench())
        self.said: list[Said] = []
        if knows:
            self.refer("R-1")

    def refer(self, ref: str, *, child: bool | None = True) -> Event:
        """Have the school refer the boy to the agency with a letter, which says *child* of his age, or nothing."""
        more = {key: each for key, each in {**CHILD, "child": child}.items() if each is not None}
        return self.says("school", "referral.submitted", ref=ref, to=[self.agency], **more).event

    def grown_up(self) -> Said:
        """Have the special unit take him on, and find an adult a day later."""
        b = self.b.at("1:00")
        self.says("school", "referral.submitted", ref="R-10", to=[UNIT], child=True, legal_basis=LEGAL, letter=True)
        for type, more in (("referral.acknowledged", {"ref": "R-10"}), ("referral.accepted", {"ref": "R-10"})):
            self.says(UNIT, type, **more)
        self.says(UNIT, "identification.stage_entered")
        b.at("d1 9:00")
        return self.says(UNIT, FOUND)

    def says(self, by: str, type: str, **more: Any) -> Said:
        """Register it."""
        self.said.append(self.b.say(by, type, **more))
        return self.said[-1]

    def first(self) -> dict[str, list[str]]:
        """Return what came first with each event that the agency was told, by type."""
        types = {fact.event.id: fact.event.type for fact in self.b.facts}
        firsts = {each.event.type: each.audience.earlier.get(self.agency, ()) for each in self.said}
        return {type: [types[id] for id in ids] for type, ids in firsts.items() if ids}

    def shut(self, letter: Event) -> tuple[bool, bool]:
        """Return whether registrar and desk keep *letter* shut now."""
        own = desk(self.b, self.agency, *self.said)
        views = (self.b.view, own)
        registrar, there = (self.b.rules.keeps_shut(view, letter, self.agency, self.b.now) for view in views)
        return registrar, there


@pytest.mark.parametrize("agency", ["vac", "ngo-l"])
@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
class TestAWordOfAChild:
    """Given a boy who refuses an agency, or takes his consent back, and whose word bars nobody (reading 3)."""

    @pytest.mark.parametrize("knows", [False, True], ids=["that did not know him", "that knew him"])
    def test_p2_shuts_the_letters_at_the_desk_once_he_is_found_to_be_an_adult(
        self, agency: str, type: str, *, knows: bool
    ) -> None:
        """P2: given a letter that the agency got as a child's, when he is found to be an adult, then desk and registrar keep it shut."""
        case = OneDesk(agency, knows=knows)
        case.says("school", type, receivers=[agency])
        letter = case.refer("R-2")
        assert case.first() == {}
        assert case.shut(letter) == (False, False)

        found = case.grown_up()
        assert agency in found.audience.recipients
        assert found.audience.opens == {}
        assert case.first() == ({} if knows else {FOUND: [type]})
        assert case.shut(letter) == (True, True)

    def test_p2_opens_the_letters_at_a_desk_that_does_not_know_of_a_child(self, agency: str, type: str) -> None:
        """P2: given a referral that does not say that he is a child, when the agency gets it first, then desk and registrar open its letter."""
        case = OneDesk(agency, knows=False)
        case.says("school", type, receivers=[agency])
        letter = case.refer("R-2", child=None)
        assert case.shut(letter) == (False, False)

        case.grown_up()
        assert case.shut(letter) == (True, True)

    def test_p2_holds_again_after_a_consent_that_the_agency_hears(self, agency: str, type: str) -> None:
        """P2: given a consent until the day after, when he is found to be an adult and the day is over, then both keep the letter shut."""
        case = OneDesk(agency, knows=False)
        case.says("school", type, receivers=[agency])
        letter = case.refer("R-2")
        case.says("school", "consent.given", receivers=[agency], expires="2026-03-04", given_by="individual")
        case.grown_up()
        assert case.shut(letter) == (False, False)
        case.b.at("d3 9:00")

        assert case.shut(letter) == (True, True)


@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
def test_p2_a_shelter_that_a_child_refused_may_offer_a_bed(type: str) -> None:
    """P2: given a request for a bed, which says nothing of age, when the shelter gets it first, then its desk opens the letter and lets it answer."""
    b = child_begun(Bench())
    refused = b.at("3:00").say(UNIT, type, receivers=["ngo-shelter"])
    asked = b.at("4:00").say(UNIT, "shelter.bed_requested", ref="B-10", to=["ngo-shelter"], letter=True)
    own = desk(b, "ngo-shelter", refused, asked)

    assert not b.rules.keeps_shut(own, asked.event, "ngo-shelter", b.now)
    assert b.rules.judge(own, b.event("ngo-shelter", "shelter.bed_offered", ref="B-10"), b.now) is None


@pytest.mark.parametrize("agency", ["vac", "ngo-l"])
@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
class TestADeskThatDoesNotKnowOfAChild:
    """Given an agency whose desk was not told that the person is a child, or was told of an adult."""

    @pytest.mark.parametrize("said", [None, False], ids=["nothing of age", "no child"])
    def test_p2_hears_of_the_child_before_the_refusal(self, agency: str, type: str, *, said: bool | None) -> None:
        """P2: given a referral that says nothing of age, or an adult, when the child refuses the agency, then desk and registrar open its letter."""
        case = OneDesk(agency, knows=False)
        letter = case.refer("R-2", child=said)
        case.says("school", type, receivers=[agency])

        assert case.first() == {type: ["safeguard.child_flagged"]}
        assert case.shut(letter) == (False, False)
        case.grown_up()
        assert case.shut(letter) == (True, True)

    def test_p2_hears_of_the_child_before_a_consent_for_some_days(self, agency: str, type: str) -> None:
        """P2: given a word that the agency hears with a consent until 3 March, when that day is over, then both open the letter still."""
        case = OneDesk(agency, knows=False)
        case.says("school", type, receivers=[agency])
        case.says("school", "consent.given", receivers=[agency], expires="2026-03-03", given_by="individual")
        letter = case.refer("R-2", child=None)
        case.b.at("d3 9:00")

        assert case.shut(letter) == (False, False)

    def test_hears_it_once(self, agency: str, type: str) -> None:
        """When another word follows, then that word comes alone."""
        case = OneDesk(agency, knows=False)
        case.refer("R-2", child=None)
        case.says("school", type, receivers=[agency])
        case.says("school", "consent.given", receivers=[agency], given_by="individual")
        again = case.says("school", type, receivers=[agency])

        assert again.audience.earlier == {}

    def test_hears_nothing_of_age_where_nobody_is_refused(self, agency: str, type: str) -> None:
        """When the child refuses another agency, then this one is told of no child."""
        case = OneDesk(agency, knows=False)
        case.refer("R-2", child=None)
        case.says("school", type, receivers=["hospital"])

        assert case.first() == {}


@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
@pytest.mark.parametrize("child", [False, True], ids=["as an adult", "as a child"])
def test_p2_a_word_from_before_the_flag_is_a_childs_from_the_flag_on(type: str, *, child: bool) -> None:
    """P2: given a request for a bed, and a person who refused the shelter before the flag, when the child is flagged, then the shelter opens the letter."""
    b = Bench()
    b.say("ngo-a", "case.signal_recorded", child=child, letter=True)
    b.consents("shelter")
    said = [b.say("ngo-a", "shelter.bed_requested", ref="B-9", to=["shelter"], letter=True)]
    said.append(b.say("ngo-a", type, receivers=["shelter"]))
    assert b.rules.keeps_shut(desk(b, "shelter", *said), said[0].event, "shelter", b.now)
    said.append(b.say("ngo-a", "safeguard.child_flagged", to=BODIES))

    assert "shelter" in said[-1].audience.recipients
    assert not b.rules.keeps_shut(b.view, said[0].event, "shelter", b.now)
    assert not b.rules.keeps_shut(desk(b, "shelter", *said), said[0].event, "shelter", b.now)


@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
def test_p2_a_word_from_before_the_flag_is_a_childs_from_the_next_event_on(type: str) -> None:
    """P2: given a shelter that gave no bed and was refused before the flag, when a bed is asked for again, then the shelter opens that letter."""
    b = Bench()
    b.say("ngo-a", "case.signal_recorded", child=True, letter=True)
    b.consents("shelter")
    said = [b.say("ngo-a", "shelter.bed_requested", ref="B-9", to=["shelter"], letter=True)]
    said += [b.say("ngo-a", type, receivers=["shelter"]), b.say("shelter", "shelter.bed_refused", ref="B-9")]
    flagged = b.say("ngo-a", "safeguard.child_flagged", to=BODIES)
    said.append(b.say("ngo-a", "shelter.bed_requested", ref="B-10", to=["shelter"], letter=True))

    assert "shelter" not in flagged.audience.recipients
    assert not b.rules.keeps_shut(desk(b, "shelter", *said), said[-1].event, "shelter", b.now)


@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
def test_p2_a_shelter_that_a_child_refuses_after_the_request_may_offer_a_bed(type: str) -> None:
    """P2: given a request for a bed, which says nothing of age, when the child refuses the shelter, then its desk lets it answer still."""
    b = child_begun(Bench())
    asked = b.at("4:00").say(UNIT, "shelter.bed_requested", ref="B-10", to=["ngo-shelter"], letter=True)
    refused = b.say(UNIT, type, receivers=["ngo-shelter"])
    own = desk(b, "ngo-shelter", asked, refused)

    assert not b.rules.keeps_shut(own, asked.event, "ngo-shelter", b.now)
    assert b.rules.judge(own, b.event("ngo-shelter", "shelter.bed_offered", ref="B-10"), b.now) is None


@pytest.mark.parametrize("agency", ["vac", "ngo-l"])
def test_p2_a_referral_that_says_child_makes_no_child_of_an_adult_at_the_desk(agency: str) -> None:
    """P2: given a boy found to be an adult, who refused an agency and lets it in until 4 March, when a referral says child, then that day counts at its desk too."""
    case = OneDesk(agency, knows=False)
    case.says("school", "consent.refused", receivers=[agency])
    case.grown_up()
    case.says("school", "consent.given", receivers=[agency], expires="2026-03-04")
    letter = case.refer("R-2")
    assert case.first()["referral.submitted"][0] == FOUND
    assert case.shut(letter) == (False, False)
    case.b.at("d3 9:00")

    assert case.shut(letter) == (True, True)


class TestAWordOfAnAdult:
    """Given an agency that got a letter as a child's, and did not hear that the person was found to be an adult."""

    @pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
    def test_p2_is_no_word_of_a_child_for_its_desk(self, type: str) -> None:
        """P2: when the adult refuses the agency, then it hears first what was found, and keeps the letter shut."""
        case = OneDesk("ngo-l", knows=True)
        letter = case.refer("R-2")
        assert "ngo-l" not in case.grown_up().audience.recipients
        case.says("school", type, receivers=["ngo-l"])

        assert case.first() == {type: [FOUND]}
        assert case.shut(letter) == (True, True)

    def test_comes_alone_where_the_agency_knows_what_was_found(self) -> None:
        """When the adult has refused it once, then what was found is not told again with the next word."""
        case = OneDesk("ngo-l", knows=True)
        case.grown_up()
        case.says("school", "consent.refused", receivers=["ngo-l"])
        case.says("school", "consent.given", receivers=["ngo-l"])
        case.says("school", "consent.withdrawn", receivers=["ngo-l"])

        assert case.first() == {"consent.refused": [FOUND]}

    def test_is_no_reason_to_tell_of_a_finding_that_is_over(self) -> None:
        """When he is found to be a child after all, then a refusal comes alone."""
        case = OneDesk("ngo-l", knows=True)
        case.grown_up()
        case.says(UNIT, FOUND, result="child")
        case.says("school", "consent.refused", receivers=["ngo-l"])

        assert case.first() == {}


@pytest.mark.parametrize("agency", ["vac", "ngo-l"])
class TestAChildAfterAll:
    """Given an agency that was told that the boy who had refused it is an adult, or that heard it with a refusal."""

    @pytest.mark.parametrize("refuses", ["as a child", "as an adult"])
    @pytest.mark.parametrize("again", [FOUND, "safeguard.child_flagged"])
    def test_p2_opens_the_letters_at_the_desk_again(self, agency: str, again: str, refuses: str) -> None:
        """P2: when he is found or flagged to be a child after all, then the agency is told so, and opens a child's letter as the registrar has it."""
        case = OneDesk(agency, knows=True)
        if refuses == "as a child":
            case.says("school", "consent.refused", receivers=[agency])
        case.grown_up()
        if refuses == "as an adult":
            case.says("school", "consent.refused", receivers=[agency])
        more: dict[str, Any] = {"result": "child"} if again == FOUND else {"to": BODIES}
        said = case.says(UNIT, again, **more)

        assert agency in said.audience.recipients
        assert case.shut(case.refer("R-3")) == (False, False)

    def test_is_told_once(self, agency: str) -> None:
        """When a second assessment finds a child as well, then an agency without another reason is not told."""
        case = OneDesk(agency, knows=True)
        case.says("school", "consent.refused", receivers=[agency])
        case.grown_up()
        case.says(UNIT, FOUND, result="child")
        case.says(UNIT, FOUND, result="child")

        assert agency in case.said[-2].audience.recipients
        assert (agency in case.said[-1].audience.recipients) == (agency == "vac")


def test_who_is_not_told_of_an_assessment() -> None:
    """Given agencies that are on the case and that the boy has not refused, and one that he refused and that knows nothing, then neither is told."""
    b = child_planned(Bench())
    b.say(UNIT, "consent.refused", receivers=["hospital"])

    assert not {"hospital", "school"} & {*b.say(UNIT, FOUND).audience.recipients}


def test_a_consent_that_tells_of_a_bar_is_on_record_itself() -> None:
    """Given a consent with which the unit hears what a refusal had kept from it, then a later event may rest on that consent."""
    b = left(Bench())
    b.say("ngo-a", "consent.refused", receivers=[UNIT])
    b.say("vac", "case.closed")
    (given,) = b.consents(UNIT)

    assert given.audience.earlier[UNIT]
    assert b.view.papers.get(given.id) is not None
