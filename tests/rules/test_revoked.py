"""The end of one agency's access: somebody of a group recruited the others, and the agency that helps him knows their cases."""

from typing import Any, Final

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.rules import Agency, Rules, load_profile
from rules.given import Bench, Said
from rules.stories import LEGAL, begun, child_housed, child_planned, housed, planned, served
from rules.test_duties import desk

UNIT: Final = "special-unit"
REVOKED: Final = "access.revoked"
TWO: Final[dict[str, Any]] = {"approver": "A-2"}


def cut(b: Bench, agency: str = "ngo-l", by: str = UNIT) -> Bench:
    """Two officers end the access of *agency*."""
    b.say(by, REVOKED, receivers=[agency], letter=True, **TWO)
    return b


def refused(b: Bench, by: str, type: str, **said: Any) -> str | None:
    """The rule that refuses the event, or None."""
    refusal = b.ask(by, type, **said)
    return refusal.rule if refusal else None


class TestTheAgencyThatIsOut:
    """What it still hears, says and owes."""

    def test_has_no_part_and_hears_nothing_more(self) -> None:
        """Neither as a member of the plan nor by what stops something."""
        b = cut(planned(Bench()))
        assert not b.view.on_case("ngo-l")
        assert "ngo-l" not in b.say("vac", "plan.revised").audience.recipients
        assert "ngo-l" not in b.say("vac", "case.withdrawn").audience.recipients

    def test_does_not_learn_why(self) -> None:
        """It could warn somebody: the ground is for who decides."""
        said = planned(Bench()).say(UNIT, REVOKED, receivers=["ngo-l"], letter=True, **TWO)
        assert "ngo-l" in said.audience.recipients
        assert said.audience.opens == {"story": ()}

    @pytest.mark.parametrize(
        ("type", "said", "rule"),
        [
            ("access.granted", {}, "G-67"),
            ("case.copy_issued", {"ref": "R-2"}, "G-67"),
            ("needs.assessed", {"to": ["vac"]}, "G-05"),
            ("referral.accepted", {"ref": "R-2"}, "G-05"),
        ],
    )
    def test_neither_reads_nor_acts(self, type: str, said: dict[str, Any], rule: str) -> None:
        """Not even what every agency may do that once knew a case."""
        assert refused(cut(served(Bench())), "ngo-l", type, **said) == rule

    def test_answers_within_three_working_days_and_is_late_otherwise(self) -> None:
        """As after a withdrawal; who ended the access hears of silence."""
        b = cut(planned(Bench()))
        assert "D-STOP" in b.codes
        assert "D-STOP 13 Mar 24:00 ngo-l,special-unit" in b.fork().through("d20 9:00")
        b.say("ngo-l", "consent.stop_confirmed")
        assert "D-STOP" not in b.codes

    def test_hears_of_no_other_agencys_breach(self) -> None:
        """The agency had asked another house for a bed: the delay is told to the house alone."""
        b = begun(Bench())
        b.consents("ngo-shelter")
        b.say("ngo-a", "shelter.bed_requested", ref="B-9", to=["ngo-shelter"])
        before = b.fork()
        cut(b, "ngo-a")

        assert "D-BED 2 Mar 16:15 ngo-a,ngo-shelter" in before.through("d1 23:00")
        assert "D-BED 2 Mar 16:15 ngo-shelter" in b.through("d1 23:00")

    def test_hears_no_breach_as_a_supervisor(self) -> None:
        """A supervisor without access learns by no breach of an agency still on the case."""
        b = planned(Bench())
        b.rules = Rules(load_profile(POLICY), {**AGENCIES, "ngo-l": Agency("ngo-l", "ngo_legal", "shelter")})
        b.consents("ngo-shelter")
        b.say(UNIT, "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
        b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
        b.say("vac", "service.requested", ref="S-1", to=["ngo-l"])
        cut(b, "shelter")
        late = [each for each in b.through("d20 9:00") if each.startswith("D-SERVICE")]

        assert [each.rpartition(" ")[2] for each in late] == ["ngo-l,vac"]

    def test_keeps_its_letters_shut(self) -> None:
        """What it received by consent opens no more, to nobody there."""
        b = served(Bench())
        (letter,) = [
            fact.event
            for fact in b.facts
            if fact.event.referral and fact.event.type == "referral.submitted" and "ngo-l" in fact.recipients
        ]
        assert not b.rules.keeps_shut(b.view, letter, "ngo-l")
        cut(b)
        assert b.rules.keeps_shut(b.view, letter, "ngo-l")
        assert b.rules.why(b.view, b.event("vac", "plan.revised"), "ngo-l").code == "not_on_case"

    def test_comes_back_by_the_persons_own_word_to_somebody_else(self) -> None:
        """She is asked alone: her consent lets it in again, an override does not."""
        b = cut(planned(Bench()))
        assert refused(b, "vac", "consent.overridden", receivers=["ngo-l"]) == "G-67"
        b.say("vac", "consent.given", receivers=["ngo-l"])
        assert b.view.revoked == {}
        assert refused(b, "vac", "needs.assessed", to=["ngo-l"]) is None

    @pytest.mark.parametrize("given_by", ["caregiver", "other"])
    def test_does_not_come_back_by_the_word_of_a_relative(self, given_by: str) -> None:
        """He may be the recruiter: an adult is asked alone; that the agency gives services is no news of her."""
        b = cut(planned(Bench()))
        assert refused(b, "vac", "consent.given", receivers=["ngo-l"], given_by=given_by) == "G-67"
        assert refused(b, "vac", "consent.given", receivers=["ngo-l"], given_by=given_by, purposes=["services"]) is None
        assert refused(b, "vac", "consent.given", receivers=["fund"], given_by=given_by) is None

    def test_comes_back_by_a_childs_carer(self) -> None:
        """The carer speaks for a child; nobody else does."""
        b = cut(child_planned(Bench()), "vac")
        assert refused(b, UNIT, "consent.given", receivers=["vac"], given_by="other") == "G-67"
        assert refused(b, UNIT, "consent.given", receivers=["vac"], given_by="caregiver") is None

    def test_does_not_come_back_by_a_consent_to_services_alone(self) -> None:
        """Only a consent that it may know of her lets it in."""
        b = cut(planned(Bench()))
        b.say("vac", "consent.given", receivers=["ngo-l"], purposes=["services"])
        assert refused(b, "vac", "needs.assessed", to=["ngo-l"]) == "G-67"


@pytest.mark.parametrize("child", [False, True], ids=["of an adult", "of a child's carer"])
class TestAConsentForSomeDays:
    """Given an agency whose access was ended, and a consent to it until 12 March."""

    def let_in(self, child: bool) -> Bench:  # noqa: FBT001 -- the parameter of each test
        """It is the legal NGO in an adult's case, and in a child's case the assistance centre."""
        self.agency, self.by, given_by = ("vac", UNIT, "caregiver") if child else ("ngo-l", "vac", "individual")
        self.consent: dict[str, Any] = {"receivers": [self.agency], "given_by": given_by}
        b = cut(child_planned(Bench()) if child else planned(Bench()), self.agency)
        b.say(self.by, "consent.given", **self.consent, expires="2026-03-12")
        return b

    def refer(self, b: Bench) -> Said:
        """Send a letter to the agency, which it may open."""
        more: dict[str, Any] = {"urgency": "normal", "services": ["legal"], "legal_basis": LEGAL, "letter": True}
        return b.say(self.by, "referral.submitted", ref="R-9", to=[self.agency], **more)

    def is_out(self, b: Bench, day: str) -> bool:
        """Return whether nobody may turn to the agency on *day*."""
        b.at(day)
        asked = b.event(self.by, "referral.submitted", ref="R-8", to=[self.agency], legal_basis=LEGAL)
        return "G-67" in {each.rule for each in b.rules.refusals(b.view, asked, b.now)}

    def test_p2_lets_it_in_for_these_days_alone(self, *, child: bool) -> None:
        """P2: when the last day is over, then the agency is out without an event: it has no part, and does nothing more."""
        b = self.let_in(child)
        self.refer(b)
        assert not self.is_out(b, "d10 23:59")
        assert refused(b, self.agency, "referral.accepted", ref="R-9") is None

        assert self.is_out(b, "d11 0:00")
        assert refused(b, self.agency, "referral.accepted", ref="R-9") == "G-05"
        assert not b.rules.as_of(b.view, b.now).on_case(self.agency)

    def test_p2_keeps_its_letters_shut_afterwards(self, *, child: bool) -> None:
        """P2: when the last day is over, then a letter of these days stays shut, for the registrar and at the agency's desk."""
        b = self.let_in(child)
        sent = self.refer(b)
        views = (b.view, desk(b, self.agency, sent))

        def shut(day: str) -> list[bool]:
            b.at(day)
            return [b.rules.keeps_shut(view, sent.event, self.agency, b.now) for view in views]

        assert shut("d10 9:00") == [False, False]
        assert shut("d11 9:00") == [True, True]

    def test_leaves_no_duty_behind(self, *, child: bool) -> None:
        """When the agency owes an answer at the end of these days, then nobody is late with it."""
        b = self.let_in(child)
        self.refer(b)

        assert "D-SERVICE" in b.codes
        assert not [each for each in b.through("d40 9:00") if each.startswith("D-SERVICE")]

    def test_may_be_made_longer(self, *, child: bool) -> None:
        """When another consent until 20 March follows in time, then the agency is out again after that day."""
        b = self.let_in(child).at("d10 9:00")
        b.say(self.by, "consent.given", **self.consent, expires="2026-03-20")

        assert not self.is_out(b, "d18 9:00")
        assert self.is_out(b, "d19 9:00")

    @pytest.mark.parametrize("day", ["d10 9:00", "d15 9:00"], ids=["in these days", "afterwards"])
    def test_is_followed_by_one_without_an_end(self, day: str, *, child: bool) -> None:
        """When a consent without a last day follows, then the agency stays."""
        b = self.let_in(child).at(day)
        b.say(self.by, "consent.given", **self.consent)

        assert not self.is_out(b, "d60 9:00")

    def test_is_made_longer_by_nobody_else(self, *, child: bool) -> None:
        """When the word is a relative's or an override, then it is refused, as while the agency is out."""
        b = self.let_in(child)

        assert refused(b, self.by, "consent.given", receivers=[self.agency], given_by="other") == "G-67"
        assert refused(b, self.by, "consent.overridden", receivers=[self.agency]) == "G-67"

    def test_ends_with_another_end_of_the_access(self, *, child: bool) -> None:
        """When two officers end the access again in these days, then a later consent until 20 March holds until that day."""
        b = cut(self.let_in(child), self.agency)
        assert self.is_out(b, "d10 9:00")
        b.say(self.by, "consent.given", **self.consent, expires="2026-03-20")

        assert not self.is_out(b, "d18 9:00")
        assert self.is_out(b, "d19 9:00")

    @pytest.mark.parametrize(("reason", "out"), [("other", True), ("closed_in_error", False)])
    def test_lapses_with_the_closing(self, reason: str, *, out: bool, child: bool) -> None:
        """When the case is closed and opened again, then the agency is out at once, unless the case was closed in error."""
        b = self.let_in(child)
        b.say("ngo-shelter" if child else "shelter", "shelter.discharged", ref="B-10" if child else "B-1")
        b.say(self.by, "case.closed")
        b.say(self.by, "case.reopened", reason=reason)

        assert self.is_out(b, "d10 9:00") is out
        assert self.is_out(b, "d11 9:00")


class TestWhoseAccess:
    """Whose access may be ended, and by whom."""

    def test_is_a_childs_helper_too(self) -> None:
        """A child's word bars nobody; here two officers do."""
        b = child_housed(Bench())
        b.say("school", "referral.submitted", ref="R-9", to=["vac"], legal_basis=LEGAL)
        cut(b, "vac")
        assert refused(b, "school", "referral.submitted", ref="R-11", to=["vac"], legal_basis=LEGAL) == "G-67"

    def test_is_not_that_of_a_house_where_the_person_lives(self) -> None:
        """She is found another bed first; nobody stands on the street by a stroke of the pen."""
        assert refused(housed(Bench()), UNIT, REVOKED, receivers=["shelter"], **TWO) == "G-69"

    def test_is_ended_by_two(self) -> None:
        """No officer alone cuts a lawyer off from a client."""
        assert refused(planned(Bench()), UNIT, REVOKED, receivers=["ngo-l"]) == "G-20"

    def test_is_not_ended_by_another_helper(self) -> None:
        """The special unit, a guardian body or the prosecution; no competitor."""
        assert refused(planned(Bench()), "vac", REVOKED, receivers=["ngo-l"], **TWO) == "G-01"

    def test_leaves_somebody_who_holds_the_case(self) -> None:
        """The centre held it by its plan: the unit holds it from then on, and hears so."""
        b = cut(planned(Bench()), "vac")
        assert refused(b, UNIT, "case.reopened") != "G-06"
        assert refused(b, "vac", "case.closed") in ("G-05", "G-06")
        assert refused(b, UNIT, "case.closed") != "G-06"
