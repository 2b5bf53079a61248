"""Duties by clock and by role: the same duties, counted twice over."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from agencies import POLICY
from nrmbus.events.figures import TOTAL
from nrmbus.play.reader import find, read
from nrmbus.play.scale import played, rules_of, scaled
from nrmbus.rules import Profile, load_profile
from nrmbus.statistics.counting import Count
from nrmbus.statistics.duties import duties_of
from nrmbus.statistics.spans import Span
from nrmbus.statistics.specs import SPECS
from recounted_duties import ends
from rules.given import Bench
from rules.stories import BODIES, LEGAL, begun, child_begun, consented, identified, referred, signalled, wishing

BY: Final = {spec.id: spec for spec in SPECS if spec.population == "clocks"}


def counted() -> dict[str, dict[tuple[str, ...], int]]:
    """Return both tables of the years of forty copies of the story in which duties are missed."""
    story = played(read(find(Path("03-she-takes-it-back"))))
    count = Count(rules_of([story], "az@2022-04-29"), list(scaled([story], 40, 7, (2026,))), 2026)
    return {name: count.cells(spec, Span(2026), 1) for name, spec in BY.items()}


def test_every_missed_duty_has_the_role_that_owed_it() -> None:
    """Both tables have the same totals, and no duty is anybody's: the role follows from the clock that ran out."""
    found = counted()

    for outcome in ("met", "missed", TOTAL):
        assert found["clocks_by_rule"][TOTAL, outcome] == found["clocks_by_role"][TOTAL, outcome] > 0
    assert found["clocks_by_role"]["unknown", "missed"] == 0
    # In the story, NGO and centre do not begin in time, and the NGO also does not stop in time.
    stopped, begun = (found["clocks_by_rule"][rule, "missed"] for rule in ("D-STOP", "D-ASSIGN"))
    assert found["clocks_by_role"]["ngo_legal", "missed"] == stopped + begun // 2
    assert found["clocks_by_role"]["vac", "missed"] == begun // 2 > 0


def not_binding() -> Profile:
    """Return a profile in which the day for referring binds the police alone."""
    profile = load_profile(POLICY)
    refer = profile.clocks["D-REFER"].model_copy(update={"binds": ("police_other",)})
    return profile.model_copy(update={"clocks": {**profile.clocks, "D-REFER": refer}})


def outcomes(b: Bench, rule: str) -> list[str]:
    """Return how the duties of the clock *rule* of the case of *b* ended."""
    return [each.outcome for each in duties_of(b.rules, b.subject, b.facts) if each.rule == rule]


@pytest.mark.parametrize(("at", "expected"), [("23:00", ["met"]), ("25:00", [])])
def test_late_duty_of_an_agency_that_the_profile_does_not_bind_is_not_met(at: str, expected: list[str]) -> None:
    """If the profile does not bind NGOs to the day for referring, a late NGO is not counted, and never as in time."""
    b = consented(Bench(not_binding()))
    b.through(at)
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], legal_basis=LEGAL, letter=True)

    assert outcomes(b, "D-REFER") == expected


def is_read(b: Bench) -> None:
    """The unit fetches the missing part of the letter, and opens it."""
    b.at("5:00").say("special-unit", "letter.opened", cause=b.facts[-2].event.id)


def is_accepted(b: Bench) -> None:
    """The unit takes her on without the letter."""
    b.at("5:00").say("special-unit", "referral.accepted", ref="R-1")


def is_late(b: Bench) -> None:
    """Nothing follows, and the day is over."""
    b.through("d2 12:00")


@pytest.mark.parametrize(("then", "expected"), [(is_read, ["met"]), (is_accepted, ["met"]), (is_late, ["missed"])])
def test_referral_whose_letter_cannot_be_read_meets_no_duty(then: Callable[[Bench], None], expected: list[str]) -> None:
    """A duty counts once: as met if the letter opens after all or another one does, and else as missed."""
    b = referred(Bench())
    b.at("1:20").say("special-unit", "letter.unreadable", cause=b.facts[-1].event.id)
    then(b)

    assert outcomes(b, "D-REFER") == expected


def revoked(b: Bench) -> Bench:
    """The NGO takes its referral back before anybody has confirmed it."""
    referred(b).at("1:20").say("ngo-a", "referral.revoked", ref="R-1")
    return b


def hold_ended_unconfirmed(b: Bench) -> Bench:
    """A second hold is asked for by mistake: the unit ends it before the migration service has confirmed it."""
    identified(b).at("d43 9:00").say("special-unit", "stay.hold_requested", ref="H-2", to=["migration"], letter=True)
    b.at("d43 10:00").say("special-unit", "stay.hold_ended", ref="H-2", reason="permit_issued")
    return b


def found_adult(b: Bench) -> Bench:
    """The unit finds that the child for whom a representative is due is an adult."""
    child_begun(b).at("2:20").say("special-unit", "identification.stage_entered", stage="inquiry")
    b.at("2:30").say("special-unit", "safeguard.age_assessed")
    return b


def flagged_and_found_adult(b: Bench) -> Bench:
    """The inquiry is on when the NGO takes her for a child and tells guardianship; the unit finds that she is an adult."""
    begun(b).at("d1 9:00").say("special-unit", "identification.stage_entered", stage="inquiry")
    b.at("d1 9:10").say("ngo-a", "safeguard.child_flagged", to=BODIES)
    b.at("d1 9:20").say("special-unit", "safeguard.age_assessed")
    return b


@pytest.mark.parametrize(
    ("story", "rule", "others"),
    [
        (revoked, "D-ACK", []),
        (hold_ended_unconfirmed, "D-HOLD", ["met"]),
        (found_adult, "D-REPRESENT", []),
        (flagged_and_found_adult, "D-REPRESENT", []),
    ],
)
def test_duty_that_the_asker_takes_back_is_lifted(
    story: Callable[[Bench], Bench], rule: str, others: list[str]
) -> None:
    """Nobody did what was owed, and nobody failed to: the duty is over, and is neither met nor missed; the *others* count."""
    b = story(Bench())
    before = b.rules.start(b.subject)
    for fact in b.facts[:-1]:
        before = b.rules.evolve(before, fact)

    assert rule in [clock.code for clock in b.rules.clocks(before)]
    assert rule not in [clock.code for clock in b.rules.clocks(b.view)]
    assert outcomes(b, rule) == others
    recounted = [outcome for code, _, outcome, _ in ends(b.rules, b.subject, b.facts) if code == rule]
    assert recounted == others


def test_question_that_ends_with_its_referral_is_not_met_by_the_answer_that_nobody_gave() -> None:
    """An agency that revokes a referral while a question is open has not answered the question in time."""
    b = referred(Bench())
    b.at("1:20").say("special-unit", "referral.acknowledged", ref="R-1")
    b.at("1:30").say("special-unit", "referral.info_requested", ref="R-1")
    b.at("1:40").say("ngo-a", "referral.revoked", ref="R-1")

    assert outcomes(b, "D-ACK") == ["met"]
    assert outcomes(b, "D-ANSWER") == outcomes(b, "D-INFO") == []


def test_a_duty_that_the_last_day_of_a_consent_lifted_is_met_by_no_later_event() -> None:
    """Given a unit that the person refuses again before it has confirmed, and another agency that accepts: the unit did nothing, so its duty counts as neither."""
    b = signalled(Bench()).at("0:40")
    b.say("ngo-a", "consent.refused", receivers=["special-unit"])
    b.consents("special-unit", expires="2026-03-02")
    b.consents("ngo-l")
    b.say("ngo-a", "referral.submitted", ref="R-2", to=["ngo-l"], urgency="normal", services=["legal"], letter=True)
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], legal_basis=LEGAL, letter=True)
    assert "D-ACK" in b.codes
    b.at("d1 9:00").say("ngo-l", "referral.accepted", ref="R-2")

    assert outcomes(b, "D-ACK") == []
    assert outcomes(b, "D-SERVICE") == ["met"]


def test_a_duty_that_was_late_before_a_refusal_lifted_it_for_good_is_missed_by_who_owed_it() -> None:
    """Given an organisation that the person refuses one second after its finding was due, and a breach that is registered later, then the organisation missed it."""
    b = wishing(Bench())
    b.now = next(due.at for due in b.rules.due(b.view) if due.rule == "D-RISK") + timedelta(seconds=1)
    b.say("vac", "consent.refused", receivers=["iom"])
    b.say_due("deadline.breached")

    found = [(each.agency, each.outcome) for each in duties_of(b.rules, b.subject, b.facts) if each.rule == "D-RISK"]
    assert found == [("iom", "missed")]
