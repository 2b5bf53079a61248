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
BROKEN: Final = "access.break_glass"
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

    def refer(self, b: Bench, mode: str = "referral") -> Said:
        """Send a letter to the agency, which it may open."""
        more: dict[str, Any] = {"urgency": "normal", "services": ["legal"], "legal_basis": LEGAL, "letter": True}
        return b.say(self.by, "referral.submitted", ref="R-9", to=[self.agency], mode=mode, **more)

    def rules_against(self, b: Bench, by: str, type: str, **said: Any) -> set[str]:
        """Return every rule that refuses the event."""
        return {each.rule for each in b.rules.refusals(b.view, b.event(by, type, **said), b.now)}

    def is_out(self, b: Bench, day: str) -> bool:
        """Return whether nobody may turn to the agency on *day*."""
        b.at(day)
        said: dict[str, Any] = {"ref": "R-8", "to": [self.agency], "legal_basis": LEGAL}
        return "G-67" in self.rules_against(b, self.by, "referral.submitted", **said)

    def test_p2_lets_it_hear_of_her_in_these_days_alone(self, *, child: bool) -> None:
        """P2: when the last day is over, then nobody turns to the agency any more, and it is told nothing more of the person."""
        b = self.let_in(child)
        sent = b.event(self.by, "referral.submitted", ref="R-9", to=[self.agency], legal_basis=LEGAL, letter=True)

        def told(day: str) -> tuple[str, ...]:
            audience = b.rules.audience(b.view, sent, None, b.at(day).now)
            assert audience.recipients == audience.opens["identity"]
            return audience.recipients

        assert not self.is_out(b, "d10 23:59")
        assert told("d10 23:59") == (self.agency,)
        assert self.is_out(b, "d11 0:00")
        assert told("d11 0:00") == ()
        assert b.rules.why(b.view, sent, self.agency, None, b.now).code == "access_revoked"

    def test_keeps_its_part_until_an_event_ends_it(self, *, child: bool) -> None:
        """When the last day is over, then the agency answers what it was asked, and is late if it does not."""
        b = self.let_in(child)
        self.refer(b)
        late = b.fork()
        b.at("d11 9:00")

        assert b.view.on_case(self.agency)
        assert refused(b, self.agency, "referral.declined", ref="R-9") is None
        assert any(each.startswith("D-SERVICE") for each in late.through("d40 9:00"))

    def test_p7_is_followed_by_a_withdrawal_that_reaches_it(self, *, child: bool) -> None:
        """P7: when the person withdraws after the last day, then the agency is told, and deletes what it got in these days."""
        b = self.let_in(child)
        b.say(self.agency, "consent.stop_confirmed")
        self.refer(b)
        b.at("d11 9:00")
        withdrawn = b.say(self.by, "consent.withdrawn", receivers=[self.agency])
        late = b.fork()

        assert self.agency in withdrawn.audience.recipients
        b.say(self.agency, "consent.stop_confirmed")
        assert "D-STOP" not in b.codes
        assert any(each.startswith("D-STOP") for each in late.through("d20 9:00"))

    def test_is_followed_by_another_end_of_the_access(self, *, child: bool) -> None:
        """When two officers end the access once more after the last day, then the agency is told, and has no part."""
        b = self.let_in(child)
        self.refer(b)
        b.at("d11 9:00")
        ended = b.say(UNIT, REVOKED, receivers=[self.agency], letter=True, **TWO)

        assert self.agency in ended.audience.recipients
        assert not b.view.on_case(self.agency)

    @pytest.mark.parametrize("day", ["d10 9:00", "d11 9:00"], ids=["in these days", "afterwards"])
    def test_p2_gives_it_no_case(self, day: str, *, child: bool) -> None:
        """P2: when the agency would take the case over by a plan or a transfer, then that is refused."""
        b = self.let_in(child)
        self.refer(b, mode="transfer")
        b.at(day)

        assert "G-67" in self.rules_against(b, self.agency, "plan.adopted", to=[self.by])
        assert refused(b, self.agency, "referral.accepted", ref="R-9") == "G-67"
        assert refused(b, self.agency, "referral.declined", ref="R-9") is None

    def test_leaves_the_case_with_its_holder(self, *, child: bool) -> None:
        """When the agency accepts a referral and its last day passes, then no day moves the case to another agency."""
        b = self.let_in(child)
        before = b.rules.holder(b.view, b.event(self.by, "case.closed"))
        self.refer(b)
        b.say(self.agency, "referral.accepted", ref="R-9")

        def holder(day: str) -> str | None:
            return b.rules.holder(b.view, b.at(day).event(self.by, "case.closed"))

        assert before not in (None, self.agency)
        assert (holder("d10 9:00"), holder("d11 9:00")) == (before, before)

    def test_gives_it_the_case_back_by_a_consent_without_an_end(self, *, child: bool) -> None:
        """When a consent without a last day follows, then the agency takes a case over as any agency."""
        b = self.let_in(child)
        self.refer(b, mode="transfer")
        b.say(self.by, "consent.given", **self.consent)

        assert refused(b, self.agency, "referral.accepted", ref="R-9") is None

    def test_p2_ends_with_a_withdrawal(self, *, child: bool) -> None:
        """P2: when that consent is taken back before its last day, then the agency reads nothing from then on."""
        b = self.let_in(child)
        sent = self.refer(b)
        b.say(self.by, "consent.withdrawn", receivers=[self.agency])

        assert b.rules.keeps_shut(b.view, sent.event, self.agency, b.now)
        assert self.is_out(b, "d10 9:00")

    def test_p6_leaves_it_no_question_that_it_would_not_see(self, *, child: bool) -> None:
        """P6: when the last day is over, then nobody asks the agency about its referral: nothing waits for the answer."""
        b = self.let_in(child)
        self.refer(b)
        b.say(self.agency, "referral.accepted", ref="R-9")
        b.consents("hospital", by=self.by)
        b.say(self.agency, "referral.submitted", ref="R-12", to=["hospital"], urgency="normal", legal_basis=LEGAL)
        assert refused(b, "hospital", "referral.info_requested", ref="R-12") is None

        b.at("d11 9:00")
        assert refused(b, "hospital", "referral.info_requested", ref="R-12") == "G-51"

    @pytest.mark.parametrize(
        ("type", "said"),
        [
            ("access.granted", {"what": "case", "purpose": "case_work"}),
            ("access.granted", {"what": "export", "purpose": "case_work"}),
            ("case.copy_issued", {"ref": "R-9"}),
            ("referral.submitted", {"ref": "R-10", "to": ["hospital"]}),
            ("service.requested", {"ref": "S-1", "to": ["hospital"]}),
            ("shelter.bed_requested", {"ref": "B-9", "to": ["hospital"]}),
            ("needs.assessed", {"to": ["hospital"], "letter": True}),
        ],
    )
    def test_p2_reads_and_hands_on_nothing_afterwards(self, type: str, said: dict[str, Any], *, child: bool) -> None:
        """P2: when the last day is over, then the agency neither reads nor hands on the case, as while its access was ended."""
        b = self.let_in(child)
        self.refer(b)
        b.say(self.agency, "referral.accepted", ref="R-9")

        assert "G-67" not in self.rules_against(b.at("d10 9:00"), self.agency, type, **said)
        assert "G-67" in self.rules_against(b.at("d11 9:00"), self.agency, type, **said)

    def test_still_gives_its_answers_afterwards(self, *, child: bool) -> None:
        """When the last day is over, then the agency answers a referral and a request for a service of these days."""
        b = self.let_in(child)
        self.refer(b)
        asker = "ngo-shelter" if child else "vac"
        b.say(asker, "service.requested", ref="S-1", to=[self.agency])
        b.at("d11 9:00").say(self.agency, "referral.accepted", ref="R-9")

        assert refused(b, self.agency, "referral.completed", ref="R-9") is None
        assert refused(b, self.agency, "service.delivered", ref="S-1") is None

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


class TestAnEmergencyAfterAConsentForSomeDays:
    """Given a legal NGO whose access was ended, with a part in the case by a consent until 12 March."""

    def let_in(self) -> Bench:
        """It was asked for help on the day of the consent."""
        b = cut(planned(Bench()))
        b.say("vac", "consent.given", receivers=["ngo-l"], expires="2026-03-12")
        b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], urgency="normal", services=["legal"], letter=True)
        return b.at("d10 23:30")

    def test_p2_is_no_way_to_read(self) -> None:
        """P2: when the last day is over, then the NGO may not ask for what it would need in an emergency."""
        b, said = self.let_in(), {"reason": "missing_person", "ref": "E-1", **TWO}

        assert refused(b, "ngo-l", BROKEN, **said) is None
        assert refused(b.at("d11 0:30"), "ngo-l", BROKEN, **said) == "G-70"

    def test_p2_gets_no_late_answer(self) -> None:
        """P2: when it asked on the last day, then nothing is sealed to it after midnight."""
        b = self.let_in()
        b.say("ngo-l", BROKEN, reason="missing_person", ref="E-1", **TWO)
        b.say_due("access.reseal_due")

        assert refused(b, "vac", "access.resealed", ref="E-1", letter=True) is None
        (emergency,) = b.view.emergencies.values()
        assert b.rules.may_be_answered(b.view, emergency, b.now)
        assert refused(b.at("d11 0:30"), "vac", "access.resealed", ref="E-1", letter=True) == "G-70"
        assert not b.rules.may_be_answered(b.view, emergency, b.now)

    @pytest.mark.parametrize(("asked", "due"), [("d10 23:49", True), ("d10 23:50", False)])
    def test_p2_makes_no_answer_due_after_midnight(self, asked: str, *, due: bool) -> None:
        """P2: when the ten minutes end at midnight, then no agency is told that an answer is due, and no letter is opened for it."""
        b = self.let_in().at(asked)
        b.say("ngo-l", BROKEN, reason="missing_person", ref="E-1", **TWO)

        assert any(each.startswith("access.reseal_due") for each in b.through("d11 1:00")) is due


class TestAChildInDangerAfterAConsentForSomeDays:
    """Given a child whose assistance centre was shut out, and a consent of the carer to that centre until 12 March."""

    def let_in(self) -> Bench:
        """The centre had adopted the plan; in these days the unit asks it for help, and it agrees."""
        b = cut(child_planned(Bench()), "vac")
        b.say(UNIT, "consent.given", receivers=["vac"], given_by="caregiver", expires="2026-03-12")
        b.say(UNIT, "referral.submitted", ref="R-9", to=["vac"], services=["legal"], legal_basis=LEGAL, letter=True)
        b.say("vac", "referral.accepted", ref="R-9")
        return b

    @pytest.mark.parametrize("day", ["d10 9:00", "d11 9:00"], ids=["in these days", "afterwards"])
    def test_is_asked_about_by_the_house_in_an_emergency(self, day: str) -> None:
        """When the child is missing, then the house may ask the unit, which holds the case, for what the emergency needs."""
        b = self.let_in().at(day)
        asked = b.say("ngo-shelter", BROKEN, reason="missing_person", ref="E-1", **TWO)

        assert UNIT in asked.audience.recipients


class TestTheHouseOfAConsentForSomeDays:
    """Given a house whose access was ended, a consent to it until 12 March, and the person, who moves there in these days."""

    def moved(self) -> Bench:
        """She lived in the state's house before."""
        b = housed(Bench())
        b.consents("ngo-shelter")
        b.say(UNIT, "shelter.bed_requested", ref="B-2", to=["ngo-shelter"], letter=True)
        b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
        cut(b, "ngo-shelter")
        b.consents("ngo-shelter", given_by="individual", expires="2026-03-12")
        b.say(UNIT, "shelter.bed_requested", ref="B-3", to=["ngo-shelter"], letter=True)
        b.say("ngo-shelter", "shelter.bed_offered", ref="B-3")
        b.say("shelter", "shelter.discharged", ref="B-1")
        b.say("ngo-shelter", "shelter.admitted", ref="B-3")
        return b

    @pytest.mark.parametrize("day", ["d10 9:00", "d11 9:00"], ids=["in these days", "afterwards"])
    def test_stays_the_house_where_she_lives(self, day: str) -> None:
        """When the last day is over, then it still discharges her, keeps her access, and her case is not closed before."""
        b = self.moved().at(day)
        assert [house.state for _, house in b.view.houses() if house.agency == "ngo-shelter"][-1:] == ["admitted"]
        assert refused(b, UNIT, REVOKED, receivers=["ngo-shelter"], **TWO) == "G-69"
        assert refused(b, UNIT, "case.closed", reason="lost_contact") == "G-49"

        b.say("ngo-shelter", "shelter.discharged", ref="B-3")
        assert refused(b, UNIT, "case.closed", reason="lost_contact") is None


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
