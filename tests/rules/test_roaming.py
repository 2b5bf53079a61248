"""Cases over every role, every type and every profile: invariants, what each agency sees, and no dead end, whatever happens.

A failure prints the seed; ``Roaming(seed)`` is the same case again. The long run begins anywhere.
"""

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import pytest

from agencies import AGENCIES, POLICY, reference
from nrmbus.rules import Agency, Rules, View, load_profile
from nrmbus.rules.event_context import value
from rules.given import NEGATIVE, Bench
from rules.invariants import Watched, broken
from rules.roaming import PROFILES, Roaming
from rules.stories import LEGAL, begun, child_flagged, consented, presumed, referred
from rules.test_closable import stuck
from rules.test_dated import DAY, GENERIC, activation, under
from rules.wandering import UNIT, is_closable

SEEDS: Final = 16
STEPS: Final = 45
FOUND: Final = (
    851_745_091,
    4_207_115_840,
    2_611_290_754,
    2_611_292_044,
    2_611_294_501,
    911_000_070,
    922_000_071,
    922_000_420,
    977_000_370,
    1_073_139_751,
)
"""Cases that went wrong once: a long run found them."""
LONG: Final = 1_500
Duty = tuple[str, str, str | None]
KNOWN_ELSEWHERE: Final[Mapping[str, str]] = {
    "D-REPRESENT": "guardianship hears of no stage before the inquiry, and cannot tell that a flag came after it; its task is there",
    "D-REFER": "a refusal of the special unit is told to nobody else",
    "D-RISK": "a bar on embassies is told to no embassy that has left the return",
    "D-MONITOR": "who reports on a return without having heard of it is told of no return",
}
"""Duties of which an agency's own view may know more or less than the registrar's, and why."""


def owed(rules: Rules, view: View, agency: str) -> dict[Duty, datetime | None]:
    """Return what *agency* owes by *view*."""
    return {
        (clock.code, clock.cause, clock.ref): clock.due for clock in rules.clocks(view) if clock.answerable == agency
    }


def differing(b: Roaming) -> Iterator[str]:
    """Yield each duty that a desk shows and the registrar does not have, or the other way round."""
    for agency, seen in b.seen.items():
        if agency in b.departed or seen.view.child is not b.view.child:
            continue  # an agency that does not know that she is a child takes her refusal for an adult's
        if seen.view.policy != b.view.policy:
            continue  # an agency that was told nothing since the case moved goes on by the profile of before
        if agency in b.units and len(b.units) > 1:
            continue  # of several deciding bodies, one does not hear of all that another one does
        if _closed_unheard(b, agency):
            continue
        here, there = owed(b.rules, seen.view, agency), owed(b.rules, b.view, agency)
        for code, cause, ref in here.keys() ^ there.keys():
            if code in KNOWN_ELSEWHERE:
                continue
            if _under_a_bar(b, agency):
                continue
            if not _refused_elsewhere(b, seen.view, code, cause) and not _reopened_twice(b, agency, code):
                yield f"{agency}: {code} of {cause[:8]} is {'shown' if (code, cause, ref) in here else 'owed'} alone"


def _under_a_bar(b: Roaming, agency: str) -> bool:
    """Return whether *agency* is an embassy or consulate, and a bar kept from it what became of the case (readings 97 and 126)."""
    barred = any(fact.event.type == "stay.embassy_barred" for fact in b.facts)
    return barred and b.agencies[agency].role in b.profile.expand(("ENVOYS",))


def _closed_unheard(b: Bench, agency: str) -> bool:
    """Return whether a refused unit closed the case itself, not having heard that it went on (decision 0026)."""
    unheard = False
    for fact in b.facts:
        if fact.event.type == "case.closed" and fact.event.source == agency and unheard:
            return True
        if fact.event.type in ("review.decided", "case.reopened"):
            unheard |= agency not in (fact.event.source, *fact.recipients)
    return False


def _refused_elsewhere(b: Roaming, seen: View, code: str, cause: str) -> bool:
    """Return whether a question is lifted, or owed again, by the person's word about the agency that asked: it is told to nobody else."""
    asker = next(each.event.source for each in b.facts if each.event.id == cause)
    words = [view.consents.get((asker, "information_sharing")) for view in (b.view, seen)]
    barred = [word is not None and word.kind in ("refused", "withdrawn") for word in words]
    return code == "D-INFO" and barred[0] is not barred[1]


def _reopened_twice(b: Roaming, agency: str, code: str) -> bool:
    """Return whether a unit that was refused decided a review itself, after a court that it did not hear had reopened the case (decision 0026)."""
    reviews = [
        each for each in b.facts if each.event.type == "review.decided" and value(each.event, "outcome") == "reopen"
    ]
    is_own = any(each.event.source == agency for each in reviews)
    return code == "D-RG" and is_own and any(agency not in (each.event.source, *each.recipients) for each in reviews)


def mistold(b: Roaming, before: View, statuses: Mapping[str, str | None]) -> Iterator[str]:
    """Yield each agency that knew the status, was told of the newest event, and shows another status now."""
    event = b.facts[-1].event
    if event.type in ("review.decided", "case.reopened", "referral.declined", "referral.revoked", "referral.expired"):
        return  # they bring back what an agency may not have heard of
    for agency in (event.source, *b.facts[-1].recipients):
        shown = b.seen[agency].view.status
        if statuses.get(agency) == before.status and shown not in (None, b.view.status):
            yield f"{agency} shows {shown} after {event.type}, and it is {b.view.status}"


def beyond(b: Roaming, before: View, seen: Mapping[str, View]) -> Iterator[str]:
    """Yield each reader of the newest letter to whom its sender's desk would not seal, though the Rules let it read."""
    fact = b.facts[-1]
    event = fact.event
    if event.sealeddigest is None:
        return
    own = seen.get(event.source, b.rules.start(b.subject))
    for part, readers in b.rules.audience(before, event, fact.policy, fact.registered).opens.items():
        for reader in readers:
            if not b.rules.could_open(own, event, part, reader):
                yield f"{event.source} would not seal {part} of {event.type} to {reader}"


def told(seed: int, steps: int) -> Roaming:
    """Let the case of that *seed* go on; whatever should not be fails with the seed and the story."""
    b = Roaming(seed)
    w = Watched(b)
    b.open()
    found: list[str] = []
    for _ in range(steps):
        before, count = b.view, len(b.facts)
        views = {agency: seen.view for agency, seen in b.seen.items()}
        statuses = {agency: view.status for agency, view in views.items()}
        b.step()
        b.departed |= set(b.view.left)
        found += differing(b)
        if len(b.facts) == count + 1:
            found += mistold(b, before, statuses)
            found += beyond(b, before, views)
        assert not found, (seed, found, b.story())
    assert not broken(w), (seed, broken(w), b.story())
    if not (b.view.erasure.terminated or b.view.erasure.due or b.view.over):
        assert not stuck(b), (seed, stuck(b), b.story())
        assert is_closable(b), (seed, b.view.status, b.story())
    b.fork().wait(24 * 1500)  # the timekeeper falls silent, and the Rules refuse nothing of what it says
    return b


@pytest.mark.thorough
def test_no_case_goes_wrong_over_every_role_type_and_profile() -> None:
    """A short run, each case the same at every run."""
    cases = [*(told(seed, STEPS) for seed in range(SEEDS)), *(told(seed, STEPS + 15) for seed in FOUND)]

    assert sum(len(b.facts) for b in cases) > SEEDS * STEPS


@pytest.mark.slow
def test_no_case_goes_wrong_for_long() -> None:
    """Cases from a seed that a failure prints."""
    first = secrets.randbits(32)
    for seed in range(first, first + LONG):
        told(seed, STEPS + 15)


def test_the_story_of_a_seed_is_the_same_again() -> None:
    """The seed of a failure shows the failure."""
    assert told(3, 20).story() == told(3, 20).story()


def test_every_profile_is_among_them() -> None:
    """A new profile is drawn without being named here."""
    assert {Roaming(seed).rules.profile.name for seed in range(60)} == set(PROFILES)


# Sabotage


def test_a_duty_that_the_desk_does_not_show_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk that loses an event of its own shows less than it owes."""
    b = Roaming(1)
    b.open()
    unit = next(each for each in b.units if each in b.view.counts)
    b.attempt("ngo-outreach", "consent.given", receivers=[unit], purposes=["information_sharing"])
    seen = b.seen.pop(unit)
    assert b.attempt("ngo-outreach", "referral.submitted", ref="R-1", to=[unit])
    b.seen[unit] = seen

    assert any("D-ACK" in each for each in differing(b))


def test_a_status_that_a_desk_shows_wrongly_is_found() -> None:
    """An agency that knew the status is told of a change, and shows the status of before."""
    b = Roaming(1)
    b.open()
    unit = next(each for each in b.units if each in b.view.counts)
    before, shown = b.view, b.seen[unit].view
    b.attempt("ngo-outreach", "consent.given", receivers=[unit], purposes=["information_sharing"])
    assert b.attempt("ngo-outreach", "referral.submitted", ref="R-1", to=[unit])
    b.seen[unit].view = shown

    assert list(mistold(b, before, {unit: before.status})) == [
        f"{unit} shows SUSPECTED after referral.submitted, and it is REFERRED"
    ]


def test_a_reader_whom_no_desk_would_seal_to_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that forgets a role stops letters to agencies that may read them."""
    monkeypatch.setattr(Rules, "could_open", lambda *_: False)
    with pytest.raises(AssertionError, match="would not seal"):
        told(1, STEPS)


# What the long runs found


def test_p2_other_police_open_nothing_of_a_case_that_they_hold() -> None:
    """A police station that found somebody holds the case, and opened the story of the journey home."""
    b = Bench()
    b.say("police-x", "case.signal_recorded", detector="police_other", letter=True)
    b.consents("consulate", UNIT, by="police-x")
    b.say("police-x", "document.shared", to=[UNIT])
    b.say(UNIT, "return.consented", letter=True)
    said = b.say(UNIT, "return.risk_assessed", letter=True)

    assert "police-x" in said.audience.recipients
    assert all("police-x" not in openers for openers in said.audience.opens.values())
    assert not b.rules.could_open(b.view, said.event, "story", "police-x")


def test_a_case_does_not_move_to_another_body_that_decides() -> None:
    """The special unit owed a decision that it might not publish any more, and nobody else knew the case."""
    b = presumed(under(activation(GENERIC, open_cases="move")))
    b.now = DAY + timedelta(days=1)
    b.say(UNIT, "identification.interview_held")

    assert b.view.policy == POLICY
    assert not stuck(b)


def test_a_consent_is_about_an_agency() -> None:
    """The timekeeper would owe an answer that it cannot give."""
    for kind in ("given", "refused", "withdrawn", "overridden"):
        refusal = consented(Bench()).ask("ngo-a", f"consent.{kind}", receivers=["timekeeper"])
        assert refusal
        assert refusal.rule == "G-10", kind


@pytest.mark.parametrize(("type", "by"), [("referral.revoked", "school"), ("referral.declined", UNIT)])
def test_who_knows_nothing_of_the_time_before_a_referral_shows_no_status_after_it(type: str, by: str) -> None:
    """Guardianship hears of a child by the referral, and went on showing REFERRED when the referral had ended."""
    b = child_flagged(Bench())
    b.say("school", "referral.submitted", ref="R-1", to=["guardianship", UNIT], legal_basis=LEGAL)
    own = b.rules.evolve(b.rules.start(b.subject), b.facts[-1])
    assert own.status == "REFERRED"
    b.say(by, type, ref="R-1")

    assert b.view.status == "SUSPECTED"
    assert b.rules.evolve(own, b.facts[-1]).status is None


def test_a_service_that_nobody_was_asked_for_bars_no_closing() -> None:
    """It could not be answered any more once the special unit had declined."""
    b = referred(Bench())
    b.say("ngo-a", "service.requested", ref="S-1")
    b.say(UNIT, "referral.declined", ref="R-1")

    assert is_closable(b)


def test_a_body_that_owes_a_representative_has_a_part() -> None:
    """Found adult and flagged again to another body alone, guardianship owed what it was not let do."""
    b = child_flagged(Bench())
    b.say(UNIT, "safeguard.age_assessed", result="adult")
    flagged = b.say("school", "safeguard.child_flagged", to=["child-commission"])

    assert "guardianship" in flagged.audience.recipients
    assert b.view.on_case("guardianship")


def test_of_several_bodies_that_decide_one_owes_the_decision() -> None:
    """Another special unit, which only heard of the signal, would be late with what it does not know of."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "special-unit-2": Agency("special-unit-2", "special_unit")})
    begun(b)
    first = [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-RG"]
    b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    b.say("ngo-a", "review.requested", ref="V-1", kind="court")
    b.say("court", "review.decided", ref="V-1")
    again = [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-RG"]

    assert (first, again) == ([UNIT], [UNIT])


def test_a_case_that_the_fund_took_over_is_closed_by_another() -> None:
    """The fund accepts a transfer, and may close no case: the case stays with the agency before it."""
    b = consented(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["fund"], mode="transfer")
    b.say("fund", "referral.accepted", ref="R-1")

    assert b.ask("ngo-a", "case.closed", reason="lost_contact") is None


def test_a_reference_is_not_free_while_one_of_several_has_not_answered() -> None:
    """The centre asks two for a service; one answers, and the other's duty stays with its reference."""
    b = referred(Bench())
    b.say("ngo-a", "service.requested", ref="S-1", to=["ngo-l", "vac"])
    b.say("vac", "service.not_delivered", ref="S-1")
    again = b.ask("ngo-a", "service.requested", ref="S-1", to=["vac"])
    b.say("ngo-l", "service.not_delivered", ref="S-1")

    assert again
    assert again.rule == "G-51"
    assert b.ask("ngo-a", "service.requested", ref="S-1", to=["vac"]) is None


def test_a_review_waits_for_the_last_body_that_was_asked() -> None:
    """One of two special units deletes what it knew; the other one still decides."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "special-unit-2": Agency("special-unit-2", "special_unit")})
    begun(b).say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    b.say("ngo-a", "review.requested", ref="V-1")
    b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
    b.say(UNIT, "consent.stop_confirmed")

    assert b.ask("special-unit-2", "review.decided", ref="V-1") is None


def test_a_service_whose_requester_has_no_part_any_more_bars_no_closing() -> None:
    """The shelter asked for a service from nobody in particular while its offer stood; then the offer lapsed."""
    b = begun(Bench())
    b.consents("ngo-shelter")
    b.say(UNIT, "shelter.bed_requested", ref="B-9", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-9")
    b.say("ngo-shelter", "service.requested", ref="S-1")
    b.say_due("shelter.offer_lapsed")

    assert not b.view.on_case("ngo-shelter")
    assert b.ask(UNIT, "case.closed", reason="lost_contact") is None


def test_a_service_that_its_requester_left_bars_no_closing() -> None:
    """The centre asked for a service from nobody in particular, and has deleted what it knew."""
    b = presumed(Bench())
    b.say("vac", "needs.assessed", to=["shelter"])
    b.say("vac", "service.requested", ref="S-1")
    b.say("ngo-a", "consent.withdrawn", receivers=["vac"])
    b.say("vac", "consent.stop_confirmed")

    assert not b.view.services[reference("S-1")].open


def test_a_case_stays_referred_while_one_of_two_bodies_has_not_declined() -> None:
    """The other special unit accepts, and could not begin from SUSPECTED."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "special-unit-2": Agency("special-unit-2", "special_unit")})
    consented(b).consents("special-unit-2")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, "special-unit-2"], legal_basis=LEGAL)
    b.say(UNIT, "referral.declined", ref="R-1")
    assert b.view.status == "REFERRED"

    b.say("special-unit-2", "referral.accepted", ref="R-1")
    assert b.ask("special-unit-2", "identification.stage_entered") is None


def test_a_body_that_deleted_leaves_again_with_the_service_that_brought_it_back() -> None:
    """It owed a recovery period that it might not end: nothing gave it a part any more."""
    b, unit = Bench(), "social-services"
    b.rules = Rules(load_profile(GENERIC), {**AGENCIES, unit: Agency(unit, "social_services")})
    b.view = b.rules.start(b.subject)
    b.say("ngo-a", "case.signal_recorded", detector="ngo_outreach")
    b.consents(unit, by="ngo-a")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=[unit], legal_basis=LEGAL)
    b.say(unit, "referral.accepted", ref="R-1")
    b.say(unit, "identification.stage_entered", stage="initial_assistance")
    b.say(unit, "identification.reasonable_grounds_decided")
    b.say("ngo-a", "consent.withdrawn", receivers=[unit])
    b.say(unit, "consent.stop_confirmed", answer="deleted")
    b.consents(unit, by="ngo-a")
    b.say("ngo-a", "service.requested", ref="S-1", to=[unit])
    b.say(unit, "recovery.period_started", days=30)
    b.say(unit, "service.not_delivered", ref="S-1")

    assert not stuck(b)
    assert not owed(b.rules, b.view, unit)
    assert b.ask("ngo-a", "referral.submitted", ref="R-9", to=[unit], legal_basis=LEGAL) is None
