"""Duties of agencies that may publish nothing more are lifted; duties that can still be met stay owed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agencies import AGENCIES
from nrmbus.events.model import Fact
from nrmbus.rules import Agency, Rules, View
from rules.given import NEGATIVE, Bench, Said
from rules.stories import (
    LEGAL,
    acknowledged,
    begun,
    child_presumed,
    consented,
    housed,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    served,
    signalled,
    under_review,
)

UNIT = "special-unit"
TURN = (("case.closed", "lost_contact"), ("case.reopened", "person_returned"))
"""A case that is closed and opened again, with the reason for each."""
Story = Callable[[Bench], Bench]


def desk(b: Bench, agency: str, *said: Said) -> View:
    """Return the case as *agency*'s desk shows it; what comes before each of *said* comes just before it."""
    view, facts = b.rules.start(b.subject), {fact.event.id: fact for fact in b.facts}
    first = {each.id: [facts[id] for id in each.audience.earlier.get(agency, ())] for each in said}
    for fact in b.facts:
        own = [fact] if agency in (fact.event.source, *fact.recipients) else []
        for each in (*first.get(fact.event.id, ()), *own):
            told = each.recipients if agency == each.event.source else (agency,)
            view = b.rules.evolve(view, Fact.of(each.event, told, each.registered, each.number))
    return view


def owed(b: Bench, agency: str) -> list[str]:
    """Return the codes of *agency*'s duties in the case."""
    return sorted(clock.code for clock in b.rules.clocks(b.view) if clock.answerable == agency)


def leave(b: Bench, agency: str, *, by: str = "vac") -> Bench:
    """Withdraw the person's consent for *agency*, which then deletes its data."""
    b.say(by, "consent.withdrawn", receivers=[agency])
    b.say(agency, "consent.stop_confirmed", answer="deleted")
    return b


def taken_on(b: Bench) -> Bench:
    """The legal NGO has accepted, and owes the first step."""
    served(b).say("ngo-l", "referral.accepted", ref="R-2")
    return b


def more_agencies(b: Bench, **roles: str) -> Bench:
    """The same case on a bus that has these agencies too."""
    more = {id.replace("_", "-"): Agency(id.replace("_", "-"), role) for id, role in roles.items()}
    b.rules = Rules(b.rules.profile, {**AGENCIES, **more})
    return b


class TestWhoDeleted:
    """An agency that said `deleted` has no part any more: it could answer nothing (G-05)."""

    def test_owes_nothing_more_and_is_late_with_nothing(self) -> None:
        """The assignment is lifted; duties of other agencies stay as they were."""
        b = taken_on(Bench())
        assert owed(b, "ngo-l") == ["D-ASSIGN"]
        others = [clock for clock in b.rules.clocks(b.view) if clock.answerable != "ngo-l"]
        leave(b, "ngo-l")

        assert owed(b, "ngo-l") == []
        assert list(b.rules.clocks(b.view)) == others
        assert not any(line.startswith("D-ASSIGN") for line in b.through("d40 9:00"))

    def test_owes_all_as_before_until_it_has_confirmed(self) -> None:
        """Taken back is not deleted yet: it may still answer, and has to."""
        b = taken_on(Bench())
        b.say("vac", "consent.withdrawn", receivers=["ngo-l"])

        assert owed(b, "ngo-l") == ["D-ASSIGN", "D-STOP"]

    def test_owes_all_as_before_if_the_law_has_it_keep(self) -> None:
        """`must_retain` ends no part, so the agency may still publish."""
        b = taken_on(Bench())
        b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
        b.say("ngo-l", "consent.stop_confirmed", answer="must_retain", legal_basis="a law")

        assert owed(b, "ngo-l") == ["D-ASSIGN"]

    def test_is_not_made_to_owe_again_by_a_letter_that_nobody_could_read(self) -> None:
        """A duty that the agency met in time is not owed again after it has left."""
        b = taken_on(Bench())
        done = b.say("ngo-l", "needs.assessed", to=["vac"], letter=True)
        leave(b, "ngo-l").say("vac", "letter.unreadable", cause=done.id)

        assert owed(b, "ngo-l") == []

    def test_still_owes_a_second_confirmation(self) -> None:
        """Each further withdrawal needs a further confirmation."""
        b = leave(taken_on(Bench()), "ngo-l")
        b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
        assert owed(b, "ngo-l") == ["D-STOP"]

        b.say("ngo-l", "consent.stop_confirmed")
        assert owed(b, "ngo-l") == []

    def test_still_owes_an_erasure(self) -> None:
        """The agency knows the case, so it is told that a court ended access, and confirms."""
        b = leave(planned(Bench()), "ngo-l").at("d9 9:00")
        b.say("court", "access.terminated", approver="A-2")
        b.say_due("access.erasure_due")
        assert owed(b, "ngo-l") == ["D-ERASE"]

        b.say("ngo-l", "access.erasure_confirmed")
        assert owed(b, "ngo-l") == []

    def test_owes_what_it_is_asked_after_it_has_come_back(self) -> None:
        """After a new consent and a new referral, its clock runs like any other agency's."""
        b = leave(taken_on(Bench()), "ngo-l")
        b.consents("ngo-l", by="vac")
        b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], urgency="urgent")

        assert owed(b, "ngo-l") == ["D-SERVICE"]
        assert b.ask("ngo-l", "referral.accepted", ref="R-9") is None

    def test_is_not_bound_to_refer_somebody_of_whom_it_knows_nothing(self) -> None:
        """The 24 hours are lifted, and the history shows it; the special unit has the signal."""
        b = leave(signalled(Bench()), "ngo-a", by="ngo-a")

        assert owed(b, "ngo-a") == []
        assert not b.rules.due(b.view)

    def test_is_late_with_nothing_by_a_breach_in_an_older_history(self) -> None:
        """An older history has such breaches: the fold accepts them, and they change nothing."""
        b = taken_on(Bench())
        due = next(each for each in b.rules.due(b.view) if each.rule == "D-ASSIGN")
        leave(b, "ngo-l").at("d20 9:00")
        before = b.rules.clocks(b.view)
        event = b.event("timekeeper", due.type, data=due.data, cause=due.cause, reference=due.ref, at=due.at)
        refusal = b.rules.judge(b.view, event, b.now)
        b.hear(Fact.of(event, ("ngo-l", "vac"), b.now, 99))

        assert refusal is not None
        assert refusal.rule == "G-51"
        assert b.rules.clocks(b.view) == before


class TestWhoWaited:
    """An answer that only an agency that left could give is waited for no more."""

    def test_is_notified_at_once_that_a_referral_will_not_be_answered(self) -> None:
        """The referral expires, and the expiry does not say why."""
        b = leave(served(Bench()).at("d8 12:00"), "ngo-l")

        assert b.through("d8 12:00") == ["referral.expired 10 Mar 12:00 ngo-l,vac"]
        assert "R-2" not in b.view.open_referrals

    def test_waits_for_the_others_who_were_asked(self) -> None:
        """A referral expires as a whole: when the last who may answer is overdue as long again."""
        b = planned(Bench()).at("d8 11:00")
        b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l", "shelter"], urgency="urgent")
        leave(b.at("d8 12:00"), "ngo-l")
        said = [line for line in b.through("d15 9:00") if line.startswith(("D-SERVICE", "referral"))]

        assert said == ["D-SERVICE 13 Mar 11:00 shelter,vac", "referral.expired 16 Mar 11:00 ngo-l,shelter,vac"]

    def test_may_close_though_a_service_was_asked_for(self) -> None:
        """A service asked of the agency that left is closed; a service asked of another agency too stays open."""
        b = planned(Bench())
        b.say("vac", "service.requested", ref="S-1", to=["ngo-l"])
        b.say("shelter", "shelter.discharged", ref="B-1")
        shared = b.fork()
        shared.say("vac", "service.requested", ref="S-2", to=["ngo-l", "shelter"])
        refused = leave(shared, "ngo-l").ask("vac", "case.closed")
        assert refused is not None
        assert refused.rule == "G-49"

        leave(b, "ngo-l").say("vac", "case.closed")
        assert b.codes == []

    def test_may_house_her_elsewhere_when_the_house_has_left(self) -> None:
        """An agency that deleted its data houses nobody: it owes no stay, and another house may admit."""
        b = leave(housed(Bench()), "shelter", by="ngo-a")
        assert owed(b, "shelter") == []

        b.consents("ngo-shelter")
        b.say(UNIT, "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
        b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
        b.say("ngo-shelter", "shelter.admitted", ref="B-2")

    def test_waits_for_no_review_of_a_unit_that_has_left(self) -> None:
        """The review was not decided, and keeps nobody in the house."""
        b = leave(under_review(Bench()), UNIT, by="ngo-a").at("d60 9:00")

        assert owed(b, UNIT) == []
        assert b.ask("shelter", "shelter.discharged", ref="B-1") is None

    def test_waits_for_no_review_of_a_court_that_has_left(self) -> None:
        """Given a review by the court, when the court deletes its data, then the review keeps nobody in the house, and no case open."""
        b = refused_by_grounds(Bench()).at("d8 9:00")
        b.say("ngo-a", "review.requested", ref="V-1", kind="court")
        leave(b, "court", by="ngo-a").at("d60 9:00")
        b.say("shelter", "shelter.discharged", ref="B-1")

        assert owed(b, "court") == []
        assert b.ask(UNIT, "case.closed") is None

    def test_waits_for_a_court_that_is_still_there(self) -> None:
        """Given two courts and the special unit, when one court deletes, then the other still decides; the unit's leaving changes nothing."""
        b = refused_by_grounds(more_agencies(Bench(), court_2="court")).at("d8 9:00")
        b.say("ngo-a", "review.requested", ref="V-1", kind="court")
        leave(b, "court", by="ngo-a")
        leave(b, UNIT, by="ngo-a").at("d60 9:00")
        refusal = b.ask("shelter", "shelter.discharged", ref="B-1")

        assert owed(b, "court-2") == ["D-REVIEW"]
        assert refusal is not None
        assert refusal.rule == "G-48"


class TestACaseThatIsToBeErased:
    """When the days for objecting are over, nobody is asked to work by a file that he is to erase."""

    def test_leaves_the_erasure_and_the_stop_to_be_confirmed(self) -> None:
        """The timekeeper's announcement lifts every other duty, and no breach follows."""
        b = taken_on(Bench())
        b.say("vac", "consent.withdrawn", receivers=["shelter"])
        b.say("court", "access.terminated", approver="A-2")
        assert {"D-ASSIGN", "D-SERVICE", "D-SHELTER", "D-STOP"} <= set(b.codes)
        b.say_due("access.erasure_due")

        assert set(b.codes) == {"D-ERASE", "D-STOP"}
        assert {due.rule for due in b.rules.due(b.view)} <= {"D-ERASE", "D-STOP"}

    def test_runs_as_before_as_long_as_somebody_may_object(self) -> None:
        """A decision that may be heard again ends no duty; what needs no letter may be said."""
        b = taken_on(Bench())
        before = b.codes
        b.say("court", "access.terminated", approver="A-2")

        assert b.codes == before
        assert b.ask("ngo-l", "referral.completed", ref="R-2") is None


def reopened_unheard(b: Bench) -> Said:
    """Have a court reopen a negative decision of the unit, whom the person refuses meanwhile; return what the court said."""
    b.say(UNIT, "identification.stage_entered", stage="inquiry")
    b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    b.say("ngo-a", "consent.refused", receivers=[UNIT])
    b.say("ngo-a", "review.requested", ref="V-1", kind="court")
    return b.say("court", "review.decided", ref="V-1", outcome="reopen")


class TestAUnitThatSheRefuses:
    """A refusal stops the special unit as a withdrawal does: it may decide nothing (G-30), so it owes no decision."""

    @pytest.mark.parametrize("story", [referred, acknowledged, begun, presumed])
    @pytest.mark.parametrize(("kind", "left"), [("consent.refused", []), ("consent.withdrawn", ["D-STOP"])])
    def test_owes_nothing_that_rests_on_consent(self, story: Story, kind: str, left: list[str]) -> None:
        """The unit owes no receipt, answer, decision or recovery period."""
        b = story(Bench())
        assert owed(b, UNIT)
        b.say("ngo-a", kind, receivers=[UNIT])

        assert owed(b, UNIT) == left

    def test_owes_it_all_for_a_child_and_nothing_once_he_is_an_adult_who_refused(self) -> None:
        """A child is not asked; what he said counts from the day on which he is found to be grown up."""
        b = child_presumed(Bench())
        b.say("school", "consent.refused", receivers=[UNIT])
        assert owed(b, UNIT) == ["D-RECOVERY", "D-REVIEW30"]

        b.say(UNIT, "safeguard.age_assessed")
        assert owed(b, UNIT) == []

    def test_owes_it_again_once_she_is_found_to_be_a_child(self) -> None:
        """Taken for an adult she refused the unit; as a child she bars nobody, and the decision is owed, later by those two days."""
        b = child_presumed(Bench())
        due = {clock.code: clock.due for clock in b.rules.clocks(b.view) if clock.answerable == UNIT}
        b.say(UNIT, "safeguard.age_assessed")
        b.say("school", "consent.refused", receivers=[UNIT])
        assert owed(b, UNIT) == []
        b.now += timedelta(days=2)
        b.say("school", "safeguard.child_flagged", to=["guardianship"])

        again = {clock.code: clock.due for clock in b.rules.clocks(b.view) if clock.answerable == UNIT}
        assert again == {code: at + timedelta(days=2) for code, at in due.items() if at}
        assert sorted(again) == ["D-RECOVERY", "D-REVIEW30"]

    @pytest.mark.parametrize("story", [referred, acknowledged, begun, presumed])
    @pytest.mark.parametrize("kind", ["consent.refused", "consent.withdrawn"])
    def test_owes_it_again_once_she_consents_anew(self, story: Story, kind: str) -> None:
        """A presumed victim who changes her mind does not wait for a decision without a clock, and nobody is late at once."""
        b = story(Bench())
        before = owed(b, UNIT)
        b.say("ngo-a", kind, receivers=[UNIT])
        b.now += timedelta(days=90)
        b.consents(UNIT, by="ngo-a")

        assert [code for code in owed(b, UNIT) if code != "D-STOP"] == before
        assert all(clock.due and clock.due > b.now for clock in b.rules.clocks(b.view) if clock.code in before)

    def test_owes_it_once_where_the_case_was_closed_meanwhile(self) -> None:
        """The days of the refusal and those of the closing count once."""
        b = begun(Bench())
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.now += timedelta(days=7)
        closed = b.fork()
        closed.say("ngo-a", "case.closed", reason="lost_contact")
        for story in (closed, b):
            story.now += timedelta(days=7)
            story.consents(UNIT, by="ngo-a")
        closed.say(UNIT, "case.reopened")

        due = [[clock.due for clock in story.rules.clocks(story.view) if clock.code == "D-RG"] for story in (closed, b)]
        assert due[0] == due[1] != []

    def test_learns_with_a_new_consent_that_a_court_reopened_her_case(self) -> None:
        """She refused it, so it hears of the court neither then nor later; once she consents, its desk shows what it owes."""
        b = begun(Bench())
        b.say(UNIT, "identification.stage_entered", stage="inquiry")
        b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
        refused = b.at("d3 9:00").say("ngo-a", "consent.refused", receivers=[UNIT])
        b.say("ngo-a", "review.requested", ref="V-1", kind="court")
        reopened = b.at("d5 9:00").say("court", "review.decided", ref="V-1", outcome="reopen")
        let_in = b.at("d9 9:00").say("ngo-a", "consent.given", receivers=[UNIT])

        assert UNIT in refused.audience.recipients
        assert UNIT not in reopened.audience.recipients
        assert let_in.audience.earlier == {UNIT: (reopened.id,)}
        assert owed(b, UNIT) == ["D-RG"]
        assert desk(b, UNIT, let_in).status == "UNDER_IDENTIFICATION"
        assert desk(b, UNIT, let_in).running == b.view.running
        assert b.say("ngo-a", "consent.given", receivers=[UNIT]).audience.earlier == {}, "once"

    def test_learns_with_a_new_consent_that_her_case_was_closed_meanwhile(self) -> None:
        """Its desk would show a decision as due in a case that is over."""
        b = begun(Bench())
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        closed = b.say("ngo-a", "case.closed", reason="lost_contact")
        let_in = b.say("ngo-a", "consent.given", receivers=[UNIT])

        assert let_in.audience.earlier == {UNIT: (closed.id,)}
        assert owed(b, UNIT) == []
        assert desk(b, UNIT, let_in).running == ()

    def test_learns_of_a_reopening_once_she_is_found_to_be_a_child(self) -> None:
        """As a child she bars nobody."""
        b = begun(Bench())
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        closed = b.say("ngo-a", "case.closed", reason="lost_contact")
        reopened = b.say("ngo-a", "case.reopened")
        flagged = b.say("ngo-a", "safeguard.child_flagged", to=["guardianship"])

        assert flagged.audience.earlier[UNIT] == (closed.id, reopened.id)
        assert "D-RG" in owed(b, UNIT)

    def test_learns_nothing_of_a_closing_after_it_has_opened_her_case_again_itself(self) -> None:
        """Told of the closing afterwards, its desk would show a case as closed that goes on."""
        b = begun(Bench())
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.say("ngo-a", "case.closed", reason="lost_contact")
        b.say(UNIT, "case.reopened", reason="closed_in_error")
        let_in = b.say("ngo-a", "consent.given", receivers=[UNIT])

        assert let_in.audience.earlier == {}
        assert desk(b, UNIT, let_in).status == b.view.status == "UNDER_IDENTIFICATION"

    @pytest.mark.parametrize(
        ("type", "more"),
        [
            ("consent.overridden", {"receivers": [UNIT], "ground": "imminent_danger"}),
            ("safeguard.child_flagged", {"to": ["child-commission", "guardianship"]}),
            ("safeguard.age_assessed", {"result": "child"}),
        ],
    )
    def test_learns_of_a_court_also_by_its_own_event(self, type: str, more: dict[str, Any]) -> None:
        """It lets itself in, and owes the decision from then on: it hears so before its receipt, and not by its breach."""
        b = begun(Bench())
        reopened = reopened_unheard(b)
        let_in = b.say(UNIT, type, **more)

        assert let_in.audience.earlier.get(UNIT) == (reopened.id,)
        assert "D-RG" in owed(b, UNIT)
        assert "D-RG" in [each.code for each in desk(b, UNIT, let_in).running]
        assert UNIT not in b.say(UNIT, "case.copy_issued", ref="R-1").audience.earlier, "once"

    def test_learns_of_a_court_also_after_it_has_opened_her_case_again_itself(self) -> None:
        """The closing is undone; the decision that the court asked for is owed again."""
        b = begun(Bench())
        reopened = reopened_unheard(b)
        b.say("ngo-a", "case.closed", reason="lost_contact")
        b.say(UNIT, "case.reopened", reason="closed_in_error")
        let_in = b.say("ngo-a", "consent.given", receivers=[UNIT])

        assert let_in.audience.earlier == {UNIT: (reopened.id,)}
        assert owed(b, UNIT) == ["D-RG"]
        assert desk(b, UNIT, let_in).status == b.view.status

    @pytest.mark.parametrize("ends", ["open", "closed"])
    def test_learns_what_it_owes_of_a_case_that_is_closed_and_opened_without_end(self, ends: str) -> None:
        """Given a system that loops, when the person consents, then the unit hears 16 events, the court's among them, and its desk is right."""
        b = begun(Bench())
        reopened = reopened_unheard(b)
        for _ in range(40):
            b.say("ngo-a", "case.closed", reason="lost_contact")
            b.now += timedelta(hours=1)
            b.say("ngo-a", "case.reopened")
        if ends == "closed":
            b.say("ngo-a", "case.closed", reason="lost_contact")
        let_in = b.say("ngo-a", "consent.given", receivers=[UNIT])
        shown = desk(b, UNIT, let_in)

        assert len(let_in.audience.earlier[UNIT]) <= 16
        assert let_in.audience.earlier[UNIT][0] == reopened.id
        assert shown.status == b.view.status == ("CLOSED" if ends == "closed" else "UNDER_IDENTIFICATION")
        assert [(each.code, each.due) for each in b.rules.clocks(shown) if each.answerable == UNIT] == [
            (each.code, each.due) for each in b.rules.clocks(b.view) if each.answerable == UNIT
        ]
        assert owed(b, UNIT) == ([] if ends == "closed" else ["D-RG"])

    def test_learns_each_of_eight_closings(self) -> None:
        """Given no more than 16 events that the refusal kept from the unit, then it hears all of them, in their order."""
        b = begun(Bench())
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        missed = [b.say("ngo-a", kind, reason=reason).id for _ in range(8) for kind, reason in TURN]
        let_in = b.say("ngo-a", "consent.given", receivers=[UNIT])

        assert let_in.audience.earlier == {UNIT: tuple(missed)}

    def test_learns_the_last_16_of_many_decisions(self) -> None:
        """No court decides so often; if one does, what the unit hears still fits into one event's audience."""
        b = begun(Bench())
        b.say(UNIT, "identification.stage_entered", stage="inquiry")
        b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        decided = []
        for number in range(20):
            b.say("ngo-a", "review.requested", ref=f"V-{number}", kind="court")
            decided.append(b.say("court", "review.decided", ref=f"V-{number}", outcome="upheld").id)
        let_in = b.say("ngo-a", "consent.given", receivers=[UNIT])

        assert let_in.audience.earlier == {UNIT: tuple(decided[-16:])}

    def test_learns_nothing_of_a_case_that_it_has_deleted(self) -> None:
        """Asked again, it begins again; what a court said before is nothing to it."""
        b = begun(Bench())
        b.say(UNIT, "identification.stage_entered", stage="inquiry")
        b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
        b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
        b.say("ngo-a", "review.requested", ref="V-1", kind="court")
        reopened = b.say("court", "review.decided", ref="V-1", outcome="reopen")
        b.say(UNIT, "consent.stop_confirmed", answer="deleted")
        b.consents(UNIT, by="ngo-a")
        asked = b.say("ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis=LEGAL)

        assert UNIT in asked.audience.recipients
        assert reopened.id not in asked.audience.earlier.get(UNIT, ())

    def test_owes_no_journey_again_that_somebody_else_may_have_made(self) -> None:
        """Another agency records the arrival, and the unit would not hear of it."""
        b = presumed(Bench())
        b.consents("embassy", UNIT, by="ngo-a")
        b.say(UNIT, "return.consented", to=["embassy"])
        assert "D-RISK" in owed(b, UNIT)
        b.say("ngo-a", "consent.refused", receivers=[UNIT])
        b.consents(UNIT, by="ngo-a")

        assert "D-RISK" not in owed(b, UNIT)

    def test_owes_no_review_that_it_did_not_receive(self) -> None:
        """A review that no body would hear of is refused, since it would bar closing for ever; a court may be asked."""
        b = under_review(Bench())
        b.say(UNIT, "review.decided", ref="V-1", outcome="upheld")
        b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
        refusal = b.ask("ngo-a", "review.requested", ref="V-2")
        b.say("ngo-a", "review.requested", ref="V-3", kind="court")

        assert refusal is not None
        assert refusal.rule == "G-31"
        assert owed(b, UNIT) == ["D-STOP"]
        assert owed(b, "court") == ["D-REVIEW"]

    def test_owes_the_review_that_had_reached_it_before(self) -> None:
        """It has the papers, and decides without the person; the asker waits for it."""
        b = under_review(Bench())
        b.say("ngo-a", "consent.refused", receivers=[UNIT])

        assert owed(b, UNIT) == ["D-REVIEW"]
        b.say(UNIT, "review.decided", ref="V-1", outcome="upheld")
        assert owed(b, UNIT) == []


class TestAUnitThatAccepted:
    """It has answered, and works on the case."""

    def test_owes_the_first_stage_also_after_the_sender_revoked(self) -> None:
        """The sender revokes what another agency has not answered; the unit is not told, and its clock runs on."""
        b = consented(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, "vac"], legal_basis=LEGAL)
        b.say(UNIT, "referral.accepted", ref="R-1")
        revoked = b.say("ngo-a", "referral.revoked", ref="R-1")

        assert revoked.audience.recipients == ("vac",)
        assert (b.view.status, owed(b, UNIT), owed(b, "vac")) == ("REFERRED", ["D-ANSWER"], [])

    def test_owes_nothing_where_it_had_not_accepted(self) -> None:
        """The neighbouring case."""
        b = consented(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, "vac"], legal_basis=LEGAL)
        b.say(UNIT, "referral.acknowledged", ref="R-1")
        b.say("ngo-a", "referral.revoked", ref="R-1")

        assert owed(b, UNIT) == []


class TestWhatOneAnswersForAll:
    """Several owe it, and the first answer leaves the others nothing to say (G-51)."""

    def test_one_court_decides_for_every_court(self) -> None:
        """The review is decided, whichever court decided it."""
        b = under_review(more_agencies(Bench(), court_2="court"))
        b.say("ngo-a", "review.requested", ref="V-2", kind="court")
        assert owed(b, "court") == owed(b, "court-2") == ["D-REVIEW"]
        b.say("court-2", "review.decided", ref="V-2", outcome="upheld")

        assert owed(b, "court") == owed(b, "court-2") == []
        assert owed(b, UNIT) == ["D-REVIEW"]

    def test_one_confirmation_of_a_hold_holds_for_all(self) -> None:
        """A confirmation ends the duty for its own hold, and for no other hold."""
        b = begun(more_agencies(Bench(), migration_2="migration"))
        b.consents("migration-2")
        for ref in ("H-1", "H-2"):
            b.say(UNIT, "stay.hold_requested", ref=ref, to=["migration", "migration-2"])
        b.say("migration-2", "stay.hold_confirmed", ref="H-1")

        assert owed(b, "migration") == owed(b, "migration-2") == ["D-HOLD"]


@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
def test_p6_the_special_unit_lets_itself_off_before_somebody(type: str) -> None:
    """The unit recorded that the person refuses it, and owed no decision; the NGO is notified and can ask her."""
    b = begun(Bench())
    said = b.say(UNIT, type, receivers=[UNIT])

    assert "D-RG" not in b.codes
    assert said.audience.recipients == ("ngo-a",)


@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
def test_a_referrer_that_she_refuses_is_not_told_that_the_unit_owes_nothing(type: str) -> None:
    """Given that she wants the NGO to hear nothing more, then it does not hear whom else she refuses."""
    b = begun(Bench())
    b.say(UNIT, "consent.refused", receivers=["ngo-a"])
    said = b.say(UNIT, type, receivers=[UNIT])

    assert "ngo-a" not in said.audience.recipients


def test_p6_the_special_unit_closes_no_case_before_nobody() -> None:
    """The unit that holds the case may report that she cannot be found; the NGO is notified and may know where she is."""
    b = begun(Bench())
    said = b.say(UNIT, "case.closed", reason="lost_contact")

    assert b.codes == []
    assert said.audience.recipients == ("ngo-a",)
