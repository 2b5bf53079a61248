"""Consents with a last day: none undoes a refusal, a withdrawal or the end of an access for longer than it holds."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.model import Event
from rules.given import Bench, Said, moment
from rules.stories import (
    CONSENTED,
    LEGAL,
    accepted,
    arranged,
    begun,
    child_planned,
    home,
    identified,
    merging,
    planned,
    screened,
    signalled,
    wishing,
)
from rules.test_duties import desk

UNIT: Final = "special-unit"
PAST: Final = "2026-03-01"
DECIDED: Final = "identification.status_decided"
TWO: Final[dict[str, Any]] = {"approver": "A-2"}


def taken_back(type: str = "consent.withdrawn") -> Bench:
    """On 10 March she takes back what the assistance centre may know of her, or refuses it."""
    b = planned(Bench())
    b.say("ngo-a", type, receivers=["vac"])
    return b


def told(b: Bench) -> tuple[str, ...]:
    """Return who would be told of a decision on the status now."""
    return b.rules.audience(b.view, b.event(UNIT, DECIDED, letter=True)).recipients


def refused(b: Bench, by: str, type: str, **said: Any) -> str | None:
    """Return the rule that refuses the event, or None."""
    refusal = b.ask(by, type, **said)
    return refusal.rule if refusal else None


class TestAConsentThatIsTypedAfterItsLastDay:
    """Given a consent that was on paper only, and had expired by the day of its registration."""

    @pytest.mark.parametrize(("type", "rule"), [("consent.withdrawn", "G-31"), ("consent.refused", "G-30")])
    def test_undoes_no_word_of_the_person(self, type: str, rule: str) -> None:
        """When she had taken her word back before, then the centre is told nothing, nothing may be sent to it, and its letters stay shut."""
        b = taken_back(type)
        (given,) = b.consents("vac", expires=PAST)

        assert given.audience.recipients == ()
        assert "vac" not in told(b)
        assert refused(b, "ngo-a", "needs.assessed", to=["vac"]) == rule
        assert b.rules.keeps_shut(b.view, b.event(UNIT, DECIDED, letter=True), "vac")

    def test_lets_nobody_in_whose_access_was_ended(self) -> None:
        """When two officers had ended the access of the legal NGO, then it stays out."""
        b = planned(Bench())
        b.say(UNIT, "access.revoked", receivers=["ngo-l"], letter=True, **TWO)
        b.consents("ngo-l", by="vac", expires=PAST)

        assert list(b.view.revoked) == ["ngo-l"]
        assert refused(b, "vac", "needs.assessed", to=["ngo-l"]) == "G-67"

    def test_takes_no_standing_consent_away(self) -> None:
        """When another consent stands, then that one goes on standing."""
        b = planned(Bench())
        b.consents("vac", expires=PAST)

        assert "vac" in told(b)

    def test_gives_nothing_by_itself(self) -> None:
        """When nothing was said of the hospital before, then no consent covers it."""
        b = planned(Bench())
        b.consents("hospital", expires=PAST)

        assert refused(b, "vac", "needs.assessed", to=["hospital"]) == "G-32"


class TestAnEventThatIsRegisteredLate:
    """Given a consent to the centre until 7 March, and a decision that a desk sealed on 6 March and that is registered on 8 March."""

    def decision(self) -> tuple[Bench, Event]:
        """The desk was offline meanwhile."""
        b = screened(Bench()).at("d3 12:00")
        b.consents("vac", expires="2026-03-05")
        b.at("d4 11:00").say(UNIT, "identification.reasonable_grounds_decided")
        b.consents("vac", expires="2026-03-07")
        sealed = moment("d4 18:00")
        return b.at("d6 9:00"), b.event(UNIT, DECIDED, letter=True, recorded=sealed, at=sealed)

    def test_uses_no_consent_that_has_expired_by_then(self) -> None:
        """When the registrar looks for its audience, then the consent is over, as it is for the verdict (reading 21)."""
        b, decided = self.decision()
        sealed = b.rules.audience(b.view, decided)
        registered = b.rules.audience(b.view, decided, None, b.now)

        assert "vac" in sealed.opens["story"], "the desk cannot know when it will be registered"
        assert "vac" not in registered.opens["story"]
        assert b.rules.why(b.view, decided, "vac", None, b.now).parts == ()
        assert set(registered.opens["story"]) < set(sealed.opens["story"]), (
            "so the desk seals to fewer, within its bound"
        )


class TestAConsentForSomeDays:
    """Given a withdrawal, and after it a consent until 12 March."""

    def test_lets_the_agency_hear_until_its_last_day(self) -> None:
        """When it is 12 March, then the centre hears, and on 13 March it does not: the withdrawal holds again."""
        b = taken_back()
        b.consents("vac", expires="2026-03-12")

        assert "vac" in told(b.at("d10 9:00"))
        letter = b.say(UNIT, DECIDED, letter=True).event
        assert not b.rules.keeps_shut(b.view, letter, "vac", b.now)
        b.at("d11 9:00")
        assert "vac" not in told(b)
        assert refused(b, "ngo-a", "needs.assessed", to=["vac"]) == "G-31"
        assert b.rules.keeps_shut(b.view, letter, "vac", b.now), "what it got in these days is shut again, too"

    def test_may_be_made_longer(self) -> None:
        """When another consent until 20 March follows in time, then the withdrawal holds again after that day."""
        b = taken_back()
        b.consents("vac", expires="2026-03-12")
        b.at("d10 9:00").consents("vac", expires="2026-03-20")

        assert "vac" in told(b.at("d18 9:00"))
        assert "vac" not in told(b.at("d19 9:00"))

    def test_is_followed_by_one_without_an_end(self) -> None:
        """When she consents without a last day, then the withdrawal is over for good."""
        b = taken_back()
        b.consents("vac", expires="2026-03-12")
        b.at("d30 9:00").consents("vac")

        assert "vac" in told(b.at("d60 9:00"))

    def test_ends_with_the_closing(self) -> None:
        """When the case is closed and opened again, then what she allowed has lapsed and what she took back stands."""
        b = begun(Bench())
        b.say("ngo-a", "consent.withdrawn", receivers=["vac"])
        b.consents("vac", "ngo-l", expires="2026-12-31")
        b.say(UNIT, "case.closed")
        b.say(UNIT, "case.reopened")

        assert refused(b, "ngo-a", "needs.assessed", to=["vac"]) == "G-31"
        assert refused(b, "ngo-a", "needs.assessed", to=["ngo-l"]) == "G-32"

    def test_does_not_break_the_glass_once_it_is_over(self) -> None:
        """When its days are over, then the refusal of a child too keeps the agency from an emergency."""
        b = child_planned(Bench())
        b.say(UNIT, "consent.refused", receivers=["ngo-shelter"])
        b.consents("ngo-shelter", by=UNIT, expires="2026-03-12")
        asked: dict[str, Any] = {"ref": "E-1", "reason": "missing_person", **TWO}
        in_time, late = (
            b.at(day).ask("ngo-shelter", "access.break_glass", **asked) for day in ("d10 9:00", "d11 9:00")
        )

        assert in_time is None
        assert late is not None
        assert late.because == "G-71"

    def test_hides_no_withdrawal_that_another_agency_recorded(self) -> None:
        """When the special unit found the person and the days are over, then the unit records no consent for itself against the word to the NGO."""
        b = Bench()
        b.say(UNIT, "case.signal_recorded", detector="special_unit")
        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis="a law")
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.consents(UNIT, expires="2026-03-04")
        b.at("d9 9:00").say(UNIT, "consent.overridden", receivers=[UNIT])

        assert refused(b, UNIT, "consent.given", receivers=[UNIT], **TWO) == "G-36"


class TestAnAgencyThatDidNotKnowTheCase:
    """Given a word of hers against the hospital, which has heard nothing of the case, and after it a consent until 12 March."""

    def referred(self, type: str) -> tuple[Bench, Said]:
        """She is referred to the hospital on 10 March."""
        b = planned(Bench())
        b.say("ngo-a", type, receivers=["hospital"])
        b.consents("hospital", expires="2026-03-12")
        return b, b.say("vac", "referral.submitted", ref="R-7", to=["hospital"], letter=True)

    @pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
    def test_p2_keeps_its_letters_shut_after_the_last_day(self, type: str) -> None:
        """P2: when it is 13 March, then its desk keeps the letter shut as the registrar does: it heard her word with the consent."""
        b, sent = self.referred(type)
        own = desk(b, "hospital", sent)
        b.at("d10 9:00")
        assert not b.rules.keeps_shut(own, sent.event, "hospital", b.now)
        b.at("d11 9:00")

        assert b.rules.keeps_shut(b.view, sent.event, "hospital", b.now)
        assert b.rules.keeps_shut(own, sent.event, "hospital", b.now)

    @pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
    def test_hears_her_word_once_and_owes_nothing_by_it(self, type: str) -> None:
        """When another referral follows, then nothing comes before it; nobody waits for a stop of what had not begun."""
        b, sent = self.referred(type)
        own = desk(b, "hospital", sent)

        first = [fact.event.type for fact in b.facts if fact.event.id in sent.audience.earlier["hospital"]]
        assert first == [type, "consent.given"]
        assert b.say("vac", "referral.submitted", ref="R-8", to=["hospital"]).audience.earlier == {}
        assert [clock.code for clock in b.rules.clocks(own)] == ["D-SERVICE"]

    def test_hears_a_refusal_that_an_override_replaced(self) -> None:
        """When the case is opened again, then the refusal stands again for the desk of the hospital, too."""
        b = planned(Bench())
        refused = b.say("ngo-a", "consent.refused", receivers=["hospital"])
        overridden = b.say("ngo-a", "consent.overridden", receivers=["hospital"])
        sent = b.say("vac", "referral.submitted", ref="R-7", to=["hospital"], legal_basis=LEGAL)

        assert sent.audience.earlier == {"hospital": (refused.id, overridden.id)}


def deciding() -> Bench:
    """On 2 March she refuses the special unit, consents to it until 3 March, and it begins; its decision is due on 10 March."""
    return deciding_at_its_desk()[0]


def deciding_at_its_desk() -> tuple[Bench, Said]:
    """Return the same, and the referral, which is the first that the unit hears of the case."""
    b = signalled(Bench()).at("0:40")
    b.say("ngo-a", "consent.refused", receivers=[UNIT])
    b.consents(*(each for each in CONSENTED if each != UNIT))
    b.consents(UNIT, expires="2026-03-03")
    said = b.at("1:10").say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT], legal_basis=LEGAL, letter=True)
    b.at("2:00").say(UNIT, "referral.acknowledged", ref="R-1")
    b.at("4:00").say(UNIT, "referral.accepted", ref="R-1")
    b.at("4:15").say(UNIT, "identification.stage_entered")
    return b, said


def decision(b: Bench) -> str:
    """Return when the decision on reasonable grounds is due, or that nobody owes it."""
    return next((each for each in b.deadlines if each.startswith("D-RG")), "nobody owes it")


class TestADutyOfAnAgencyThatIsRefusedAgain:
    """Given a special unit that is to decide, and that she refuses again from 4 March on: it may decide nothing (G-30)."""

    def test_is_not_breached_where_no_event_came_in_between(self) -> None:
        """When the day comes on which the decision was due, then nobody is late, and a breach is refused."""
        b = deciding()

        assert b.through("d12 9:00") == []
        data = DeadlineBreached(rule="D-RG", due=moment("d10 0:00"), late_by_minutes=0)
        assert refused(b, "timekeeper", "deadline.breached", data=data) == "G-51"

    def test_is_lifted_for_whoever_looks_after_another_event(self) -> None:
        """When anything else is registered on 5 March, then the unit owes the decision no more."""
        b = deciding().at("d3 9:00")
        assert decision(b) == "D-RG 10 Mar 24:00"
        b.say("ngo-a", "needs.assessed", to=["vac"], letter=True)

        assert decision(b) == "nobody owes it"
        assert b.through("d12 9:00") == []

    def test_is_shown_to_nobody_from_that_day_on(self) -> None:
        """When it is 4 March, then neither the registrar nor the unit's own desk shows the decision as owed, though no event came."""
        b, said = deciding_at_its_desk()
        own = desk(b, UNIT, said)

        def shown(day: str) -> list[list[str]]:
            now = moment(day)
            return [[clock.code for clock in b.rules.clocks(view, now)] for view in (b.view, own)]

        assert shown("d1 23:59") == [["D-RG"], ["D-RG"]]
        assert shown("d2 0:00") == [[], []]
        assert b.rules.next_change(own, moment("d1 23:59")) == moment("d2 0:00")
        assert b.rules.next_change(own, moment("d2 0:00")) is None

    @pytest.mark.parametrize("in_between", [True, False], ids=["another event", "no event"])
    def test_is_owed_again_later_by_those_days(self, *, in_between: bool) -> None:
        """When she consents anew on 12 March, then five working days were no days of the unit, whether an event came or not."""
        b = deciding()
        if in_between:
            b.at("d5 9:00").say("ngo-a", "needs.assessed", to=["vac"], letter=True)
        b.at("d10 9:00").consents(UNIT)

        assert decision(b) == "D-RG 17 Mar 24:00"
        assert b.through("d12 9:00") == []

    @pytest.mark.parametrize("late", [False, True], ids=["in time", "days later"])
    def test_is_owed_again_later_by_those_days_after_a_breach(self, *, late: bool) -> None:
        """When a bed was not found on 2 March, then the decision is due by the same days, whenever that breach is registered."""
        b = deciding()
        b.say(UNIT, "shelter.bed_requested", ref="B-1", to=["shelter"], letter=True)
        if late:
            b.at("d5 9:00")
        b.say_due("deadline.breached")
        b.at("d10 9:00").consents(UNIT)

        assert [(clock.code, clock.breached) for clock in b.rules.clocks(b.view) if clock.breached] == [("D-BED", True)]
        assert decision(b) == "D-RG 17 Mar 24:00"

    def test_is_breached_on_a_day_of_the_consent(self) -> None:
        """When an answer was due on 3 March, then it is late on that day, also if the timekeeper speaks of it on 4 March."""
        b = signalled(Bench()).at("0:10")
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.consents(UNIT, expires="2026-03-03")
        b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT], legal_basis=LEGAL)
        b.at("0:20").say(UNIT, "referral.acknowledged", ref="R-1")
        b.at("d2 9:00").say_due("deadline.breached")

        assert [(clock.code, clock.breached) for clock in b.view.running if clock.answerable == UNIT] == [
            ("D-ANSWER", True)
        ]

    def test_is_breached_on_a_day_of_the_consent_also_after_another_breach(self) -> None:
        """When two answers of the NGO were due on 3 March, then both are late, also if the timekeeper speaks of them on 4 March only."""
        b = signalled(Bench()).at("0:40")
        b.say("ngo-a", "consent.refused", receivers=["ngo-l"])
        b.consents("ngo-l", expires="2026-03-03")
        more = {"urgency": "emergency", "services": ["legal"], "letter": True}
        b.say("ngo-a", "referral.submitted", ref="R-1", to=["ngo-l"], **more)
        b.at("13:00").say("ngo-l", "referral.info_requested", ref="R-1")
        b.at("d2 0:05")
        b.say_due("deadline.breached")
        b.say_due("deadline.breached")

        said = [fact.event.data for fact in b.facts]
        assert [each.rule for each in said if isinstance(each, DeadlineBreached)] == ["D-REFER", "D-INFO"]
        assert not [each for each in b.through("d30 9:00") if each.startswith("D-INFO")]

    def test_is_no_answer_to_an_agency_that_is_refused_again(self) -> None:
        """When the legal NGO asked something while it was let know, then the answer is owed no more from the day after."""
        b = signalled(Bench()).at("0:40")
        b.say("ngo-a", "consent.refused", receivers=["ngo-l"])
        b.consents("ngo-l", expires="2026-03-03")
        b.say("ngo-a", "referral.submitted", ref="R-1", to=["ngo-l"], urgency="normal", services=["legal"], letter=True)
        b.say("ngo-l", "referral.info_requested", ref="R-1")
        assert "D-INFO" in b.codes

        assert not [each for each in b.through("d30 9:00") if each.startswith("D-INFO")]

    def test_waits_for_no_answer_of_an_agency_that_is_refused_again(self) -> None:
        """When the unit asked the NGO that referred her, and she refuses that NGO again, then the decision is due in time, though no event came."""
        b = begun(Bench())
        b.say(UNIT, "consent.refused", receivers=["ngo-a"])
        b.consents("ngo-a", by=UNIT, expires="2026-03-04")
        b.say(UNIT, "referral.info_requested", ref="R-1")
        assert decision(b) == "D-RG paused"

        assert [each for each in b.through("d20 9:00") if each.startswith("D-RG")]

    @pytest.mark.parametrize(
        ("begins", "asks", "last_day", "due", "said"),
        [
            ("d3 9:00", "d11 9:00", "2026-03-14", "13 Mar 24:00", "14 Mar 24:00"),
            ("d10 9:00", "d17 9:00", "2026-03-25", "19 Mar 24:00", "25 Mar 24:00"),
        ],
        ids=["on a Saturday", "on a day of Novruz"],
    )
    def test_is_late_also_where_the_wait_ends_on_a_day_off(
        self, begins: str, asks: str, last_day: str, due: str, said: str
    ) -> None:
        """When the decision was due on the day of the question, then it is due on that day still, and announced as late when the wait ends."""
        b = accepted(Bench()).at(begins)
        b.say(UNIT, "identification.stage_entered")
        b.at(asks).say(UNIT, "consent.refused", receivers=["ngo-a"])
        b.consents("ngo-a", by=UNIT, expires=last_day)
        assert decision(b) == f"D-RG {due}"
        b.say(UNIT, "referral.info_requested", ref="R-1")

        assert f"D-RG {said} ngo-a,special-unit" in b.through("d40 9:00")
        assert decision(b) == f"D-RG {due}"

    def test_expires_a_referral_when_the_wait_for_the_answer_ends(self) -> None:
        """When the legal NGO asked after its time was over, then the referral expires once nobody owes it that answer any more."""
        b = begun(Bench())
        b.consents("ngo-l")
        b.say(UNIT, "consent.refused", receivers=["ngo-a"])
        b.consents("ngo-a", by=UNIT, expires="2026-03-12")
        b.say("ngo-a", "referral.submitted", ref="R-2", to=["ngo-l"], urgency="emergency", services=["legal"])
        b.at("d3 9:00").say("ngo-l", "referral.info_requested", ref="R-2")

        assert [each for each in b.through("d30 9:00") if each.startswith("referral.expired")] == [
            "referral.expired 12 Mar 24:00 ngo-a,ngo-l"
        ]


class TestADutyThatDoesNotComeBack:
    """Given a duty that another agency may meet, too: once the person refuses who owes it, it is owed no more, also after a new consent."""

    @pytest.mark.parametrize("consents_anew", [False, True], ids=["", "and she consents anew"])
    @pytest.mark.parametrize(
        ("story", "code", "owing"),
        [
            (wishing, "D-RISK", "iom"),
            (arranged, "D-TRAVEL", "iom"),
            (home, "D-MONITOR", "iom"),
            (merging, "D-MERGE", UNIT),
        ],
    )
    def test_is_breached_where_it_was_late_before(
        self, story: Callable[[Bench], Bench], code: str, owing: str, *, consents_anew: bool
    ) -> None:
        """When she refuses one second after the due time, and the breach is registered later, then the duty is late once, and lifted."""
        b = story(Bench())
        b.now = next(due.at for due in b.rules.due(b.view) if due.rule == code) + timedelta(seconds=1)
        b.say("vac", "consent.refused", receivers=[owing])
        if consents_anew:
            b.consents(owing, by="vac")
        assert code not in b.codes

        assert late(b, code) == [code]
        assert code not in b.codes

    @pytest.mark.parametrize(("last_day", "breached"), [("2026-05-08", []), ("2026-05-09", ["D-RISK"])])
    def test_is_breached_where_it_was_late_on_a_day_of_the_consent(self, last_day: str, breached: list[str]) -> None:
        """When the finding was due at the end of 8 May, then it is late if she consents until 9 May, however late the timekeeper speaks."""
        b = identified(Bench()).at("d60 9:00")
        b.say("vac", "consent.refused", receivers=["iom"])
        b.consents("iom", by="vac", expires=last_day)
        b.say(
            "vac", "referral.submitted", ref="R-7", to=["iom"], reason="Return", services=["repatriation"], letter=True
        )
        b.say("iom", "referral.accepted", ref="R-7")
        b.say("iom", "return.consented", letter=True)
        assert "D-RISK 8 May 24:00" in b.deadlines
        b.at("d70 9:00").say("vac", "needs.assessed", to=["ngo-l"], letter=True)

        assert late(b, "D-RISK") == breached

    def test_is_not_breached_where_somebody_met_it_first(self) -> None:
        """When the centre arranges the journey before the breach is registered, then nobody is late."""
        b = wishing(Bench())
        b.now = next(due.at for due in b.rules.due(b.view) if due.rule == "D-RISK") + timedelta(seconds=1)
        b.say("vac", "consent.refused", receivers=["iom"])
        b.say("vac", "return.stopped", letter=True)

        assert late(b, "D-RISK") == []


def late(b: Bench, code: str) -> list[str]:
    """Let the timekeeper say every breach of the duty that is due within half a year; return them."""
    said = b.through("d250 9:00")
    return [code for each in said if each.startswith(code)]
