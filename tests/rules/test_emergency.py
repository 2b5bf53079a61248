"""Emergency access: notices, due times, opened parts, and that all refusals read alike to the asker."""

from dataclasses import asdict

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.events.model import Part
from nrmbus.rules import Agency, Refusal, Rules, load_profile
from nrmbus.rules.emergency import refused_by_person
from rules.given import Bench
from rules.judge.refused_emergency import ASKED, TWO, UNIT, g_71, g_72, more
from rules.stories import LEGAL, begun, child_planned, child_signalled, planned, presumed


def asked(**said: str) -> Bench:
    """The shelter asks in an emergency; the assistance centre holds the case."""
    b = planned(Bench()).at("d8 12:00")
    b.say("shelter", ASKED, **TWO, **said)
    return b


def applied(refusal: Refusal | None) -> str | None:
    """The rule that applied, which the history has."""
    return refusal.because if refusal else None


def test_holder_and_a_second_agency_are_notified_at_once() -> None:
    """Without a supervisor of either, who has been on the case for longest; where there is one, the supervisor."""
    b = planned(Bench())
    assert b.say("shelter", ASKED, **TWO).audience.recipients == ("ngo-a", "vac")
    assert child_signalled(Bench()).say(UNIT, ASKED, **TWO).audience.recipients == ("district", "school")


def test_a_supervisor_whose_access_was_ended_is_no_second_agency() -> None:
    """Somebody else hears at once instead: who has been on the case for longest."""
    b = planned(Bench())
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "shelter": Agency("shelter", "shelter_state", "school")})
    b.consents("school")
    b.say("vac", "service.requested", ref="S-1", to=["school"], service="education")
    assert b.rules.audience(b.view, b.event("shelter", ASKED, **TWO)).recipients == ("school", "vac")
    b.say(UNIT, "access.revoked", receivers=["school"], approver="A-2")

    assert b.say("shelter", ASKED, **TWO).audience.recipients == ("ngo-a", "vac")


def test_a_holder_that_may_not_hear_of_her_is_not_asked() -> None:
    """An embassy that gave the signal holds the case, and a bar stands: it would never answer, so the duty officer of the unit is called."""
    b = Bench()
    b.say("embassy", "case.signal_recorded", detector="embassy")
    b.consents("hospital", "ngo-a", by="embassy")
    b.say("embassy", "referral.submitted", ref="R-2", to=["hospital", "ngo-a"])
    assert b.ask("hospital", ASKED, **TWO) is None
    b.say("ngo-a", "stay.embassy_barred")

    refusal = b.ask("hospital", ASKED, **TWO)
    assert refusal
    assert applied(refusal) == "G-70"


def test_a_reference_that_is_used_again_names_nobody_of_before() -> None:
    """The case has another holder by now: holder and second agency are those of the new asking."""
    b = presumed(Bench())
    assert b.say("shelter", ASKED, **TWO).audience.recipients == ("ngo-a", UNIT)
    b.say(UNIT, "access.break_glass_objected", ref="E-1")
    b.say("ngo-a", "plan.adopted", to=["shelter"])
    assert b.rules.judge(b.view, b.event("shelter", ASKED, **TWO), b.now) is None
    assert b.say("shelter", ASKED, **TWO).audience.recipients == ("ngo-a", UNIT)
    assert b.ask("ngo-a", "access.break_glass_objected", ref="E-1") is None


def test_the_holder_has_ten_minutes_and_no_second_more() -> None:
    """From the registration on; then the timekeeper says so to both and to who had heard of it."""
    b = asked()
    assert b.through("d8 12:09") == []
    (said,) = b.through("d8 12:10")
    assert said == "access.reseal_due 10 Mar 12:10 ngo-a,shelter,vac"
    assert b.through("d9 12:00") == []


def test_danger_does_not_wait() -> None:
    """In imminent danger the answer is due at registration."""
    assert len(asked(reason="imminent_danger").through("d8 12:00")) == 1


def test_nobody_puts_an_emergency_off_by_dating_the_case_ahead() -> None:
    """A signal may be dated five minutes ahead: what is due before then is said and sealed all the same."""
    b = Bench(case="child")
    b.say("school", "case.signal_recorded", detector="education", child=True, occurred="0:05")
    b.say(UNIT, ASKED, reason="imminent_danger", **TWO)

    assert len(b.through("0:00")) == 1
    assert b.say("school", "access.resealed", ref="E-1", letter=True).audience.recipients


def test_a_holder_that_does_not_answer_is_waited_for_as_long_as_it_holds_the_case() -> None:
    """While the holder's desk is off, the holder is not asked twice; a new holder may be asked."""
    b = asked()
    b.through("d8 12:10")
    again = {**TWO, "ref": "E-2"}
    assert applied(b.ask("shelter", ASKED, **again)) == "G-70"
    b.say("ngo-l", "plan.adopted", to=["shelter"])

    assert b.say("shelter", ASKED, **again).audience.recipients == ("ngo-a", "ngo-l")
    assert applied(b.ask("shelter", ASKED, **{**TWO, "ref": "E-3"})) == "G-70"


def test_an_objection_ends_it_and_the_asking_agency_is_notified() -> None:
    """After an objection nothing is due any more."""
    b = asked().at("d8 12:09")
    assert "shelter" in b.say("vac", "access.break_glass_objected", ref="E-1").audience.recipients
    assert b.through("d20 0:00") == []


def test_a_refusal_meanwhile_ends_it_too() -> None:
    """Nothing becomes due for an agency that the person has refused since."""
    b = asked()
    b.say("vac", "consent.refused", receivers=["shelter"], purposes=["tracing"])
    assert b.through("d8 13:00") == []


def test_a_holder_that_knows_of_a_refusal_alone_may_answer() -> None:
    """Given a centre that recorded a refusal of an NGO before it held the case, when the NGO asks after a consent, then the answer is due.

    The consent reached the NGO and the holder of that day, so the centre believes in the refusal for ever.
    """
    b = presumed(Bench()).at("d8 9:00")
    b.say("vac", "needs.assessed", to=["shelter"], letter=True)
    b.say("vac", "consent.refused", receivers=["ngo-l"], purposes=["tracing"])
    purposes = ["tracing", "information_sharing"]
    assert "vac" not in b.say("ngo-a", "consent.given", receivers=["ngo-l"], purposes=purposes).audience.recipients
    b.say("vac", "plan.adopted", to=["ngo-l", "shelter"])
    request = b.say("ngo-l", ASKED, reason="imminent_danger", **TWO).event
    b.say_due("access.reseal_due")
    known = b.rules.start(b.subject)
    for fact in b.facts:
        if "vac" in (fact.event.source, *fact.recipients):
            known = b.rules.evolve(known, fact)

    assert refused_by_person(known, "ngo-l", b.now.date())
    assert b.rules.may_be_due(known, known.emergencies[request.referral or ""], request, b.now, spent=0)
    assert b.ask("vac", "access.resealed", ref="E-1") is None


class TestAnAskerWhosePartHasEnded:
    """Given an assistance centre's request in an emergency, and its refusal of the only referral within ten minutes."""

    def asking(self) -> Bench:
        """The special unit holds the case."""
        b = begun(Bench())
        b.say(UNIT, "referral.submitted", ref="R-6", to=["vac"], legal_basis=LEGAL)
        b.say("vac", ASKED, **TWO)
        return b

    def test_is_answered_no_more(self) -> None:
        """When the ten minutes are over, then nothing is due."""
        b = self.asking()
        assert [each.type for each in b.rules.due(b.view)].count("access.reseal_due") == 1
        b.say("vac", "referral.declined", ref="R-6")

        assert [each.type for each in b.rules.due(b.view)].count("access.reseal_due") == 0

    def test_is_sealed_nothing(self) -> None:
        """When it declines after the answer fell due and before the holder's desk seals, then the sealing is refused."""
        b = self.asking()
        b.say_due("access.reseal_due")
        assert b.ask(UNIT, "access.resealed", ref="E-1", letter=True) is None
        b.say("vac", "referral.declined", ref="R-6")

        refusal = b.ask(UNIT, "access.resealed", ref="E-1", letter=True)
        assert refusal
        assert refusal.rule == "G-70"


@pytest.mark.parametrize("child", [False, True], ids=["an adult", "a child"])
@pytest.mark.parametrize("type", ["consent.refused", "consent.withdrawn"])
def test_her_word_after_it_was_sealed_keeps_it_shut(type: str, *, child: bool) -> None:
    """For whatever purpose, and a child's too: what nobody has opened by then stays closed; another's word changes nothing."""
    b = (child_planned if child else planned)(Bench()).at("d16 12:00")
    by = UNIT if child else "shelter"
    b.say(by, ASKED, **TWO)
    b.through("d16 12:10")
    sealed = b.say("vac", "access.resealed", ref="E-1", letter=True).event
    b.say("vac", "consent.refused", receivers=["ngo-l"], purposes=["tracing"])
    assert not b.rules.keeps_shut(b.view, sealed, by)
    b.say("vac", type, receivers=[by], purposes=["tracing"])

    assert b.rules.keeps_shut(b.view, sealed, by)
    assert not b.rules.keeps_shut(b.view, b.facts[0].event, by), "of anything else, that purpose says nothing"


@pytest.mark.parametrize(
    ("by", "reason", "parts"),
    [
        ("shelter", "missing_person", "contact identity"),
        ("shelter", "medical_emergency", "contact health identity"),
        ("shelter", "security_breach", "contact"),
        ("shelter", "imminent_danger", "contact identity"),
    ],
)
def test_the_asker_alone_opens_the_parts_that_the_reason_needs(by: str, reason: str, parts: str) -> None:
    """The holder's desk cannot open more by putting more into the letter."""
    b = asked(reason=reason)
    b.through("d8 12:10")
    event = b.event("vac", "access.resealed", ref="E-1", letter=True)
    opens = b.rules.audience(b.view, event).opens
    assert opens == {
        part: (by,) if part in parts.split() else () for part in ("contact", "health", "identity", "story")
    }
    could = {part for part in opens if b.rules.could_open(b.view, event, part, by)}
    assert could == set(parts.split())
    assert not any(b.rules.could_open(b.view, event, part, "migration") for part in opens)


@pytest.mark.parametrize(
    ("needed", "opens"), [(["contact", "money", "story"], {"contact"}), (["money", "story"], None)]
)
def test_an_emergency_opens_nothing_that_the_role_may_never_open(needed: list[Part], opens: set[Part] | None) -> None:
    """Whatever parts a profile lists for a reason, a hospital gets no story; a role without any part cannot ask."""
    profile = load_profile(POLICY)
    parts = {**profile.emergency.parts, "missing_person": tuple(needed)}
    b = planned(Bench(profile.model_copy(update={"emergency": profile.emergency.model_copy(update={"parts": parts})})))
    b.say("vac", "consent.given", receivers=["hospital"])
    b.say("vac", "referral.submitted", ref="R-9", to=["hospital"], services=["health"], letter=True)
    refused = b.ask("hospital", ASKED, **TWO)
    assert (refused and refused.because) == (None if opens else "G-70")
    if opens:
        b.say("hospital", ASKED, **TWO)
        b.through("d8 12:10")
        found = b.rules.audience(b.view, b.event("vac", "access.resealed", ref="E-1", letter=True)).opens
        assert {part for part, readers in found.items() if readers} == opens


def test_every_refusal_reads_alike_and_the_history_knows_why() -> None:
    """The sender sees one code, one rule, one sentence; only the history records the rule that applied."""
    refusals = [answer for _, answer, rule in more() if answer and answer.because and rule]
    refusals += [answer for answer in (g_71()[0], g_72()[0]) if answer]
    shown = {tuple({**asdict(each), "because": None}.values()) for each in refusals}
    assert len(shown) == 1
    assert next(iter(shown))[:2] == ("not_available", "G-70")
    assert {each.because for each in refusals} >= {"G-01", "G-02", "G-03", "G-20", "G-70", "G-71", "G-72"}


def test_a_refusal_of_another_type_names_its_reason() -> None:
    """A refusal of another type has no hidden rule beside it."""
    answer = planned(Bench()).ask("hospital", "referral.accepted", ref="R-1")
    assert isinstance(answer, Refusal)
    assert (answer.rule, answer.because) == ("G-01" if answer.rule == "G-01" else "G-02", None)


def test_the_limit_counts_by_the_month_of_the_profiles_zone() -> None:
    """The last evening of a month in Baku counts for that month, although it is another time in London."""
    b = planned(Bench())
    assert b.rules.month(b.at("d30 1:00").now) == "2026-04"
    assert b.rules.month(b.at("d29 23:59").now) == "2026-03"
