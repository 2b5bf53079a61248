"""Each case is under the profile of its time: what an activation changes, and for whom, from the history alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agencies import AGENCIES, NOW, POLICY, reference
from copies import known_here
from nrmbus.events.model import Fact
from nrmbus.rules import Agency, Rules, View, add_profiles, load_profile
from rules.given import Bench
from rules.stories import LEGAL, consented, presumed, referred, signalled

LATER = "az@2024-02-08"
EARLY = "az@2009-09-03"
GENERIC = "osce-generic@2022-01-01"
SHORT, LONG = "az@2026-01-01", "az@2026-02-01"
_OWN = "name: {name}\nextends: az@2022-04-29\nchanges:\n  clocks:\n{clocks}"
OWN = (
    _OWN.format(
        name=SHORT,
        clocks="    D-REFER: {length: {hours: 1}}\n    D-SERVICE: {length: {by_urgency: {normal: {days: 5}}}}\n",
    ),
    _OWN.format(name=LONG, clocks="    D-SERVICE: {length: {by_urgency: {normal: {days: 20}}}}\n"),
)
"""Profiles that give less time than the first one, and more."""
DAY = datetime(2026, 3, 9, 20, tzinfo=UTC)
"""00:00 of 10 March in Baku."""


def activation(profile: str = GENERIC, day: str = "2026-03-10", **said: Any) -> Fact:
    """An activation that the coordinator's office registered on 2 March."""
    b = Bench.of_bulletin("coordinator")
    data = {"profile": profile, "digest": load_profile(profile).digest, "valid_from": day, **said}
    b.say("coordinator", "policy.profile_activated", approver="A-2", **data)
    (fact,) = b.facts
    return replace(
        fact,
        event=fact.event.model_copy(update={"id": f"{hash(profile + day) % 2**32:08x}-0000-7000-8000-000000000009"}),
    )


def under(*activations: Fact) -> Bench:
    """An empty case on a bus that heard of *activations*."""
    b = Bench()
    for each in activations:
        b.rules.activate(each)
    return b


class TestInForce:
    """The profile under which a case begins."""

    def test_a_case_begins_under_the_profile_of_the_day(self) -> None:
        """A second before midnight under the old one, at midnight under the new one, in the zone of the bus."""
        rules = under(activation()).rules
        new = View(reference("woman"))

        assert rules.policy_for(new, "ngo-a", DAY - timedelta(seconds=1)) == POLICY
        assert rules.policy_for(new, "ngo-a", DAY) == GENERIC

    def test_the_order_of_hearing_makes_no_difference(self) -> None:
        """A desk that was off hears of them late and in any order; twice counts once."""
        first, second = activation(GENERIC, "2026-03-10"), activation(LATER, "2026-03-20")
        forth, back = under(first, second), under(second, first, first)
        moments = [DAY + timedelta(days=days) for days in range(-2, 20)]

        found = [[b.rules.timeline.in_force(each) for each in moments] for b in (forth, back)]
        assert found[0] == found[1]
        assert list(dict.fromkeys(found[0])) == [POLICY, GENERIC, LATER]
        assert len(back.rules.timeline) == 2

    def test_a_bus_without_activation_is_under_its_first_profile(self) -> None:
        """For ever."""
        assert Bench().rules.policy_for(View("c"), "ngo-a", datetime(2099, 1, 1, tzinfo=UTC)) == POLICY


class TestKeep:
    """A case goes on under the profile of its time."""

    def test_an_open_case_keeps_its_recipients_clocks_and_lengths(self) -> None:
        """The unit still decides, and the recovery period has its 30 days."""
        b = presumed(under(activation()))
        b.now = DAY + timedelta(days=1)
        b.say("special-unit", "recovery.reviewed")

        assert b.view.policy == POLICY
        assert {clock.code for clock in b.rules.clocks(b.view)} >= {"D-RECOVERY"}
        assert b.rules.profile_for(b.view).name == POLICY

    def test_a_new_case_has_another_decider(self) -> None:
        """After the day a signal goes to the social service, and the special unit hears nothing."""
        b = Bench()
        b.rules = Rules(
            load_profile(POLICY), {**AGENCIES, "social-services": Agency("social-services", "social_services")}
        )
        b.rules.activate(activation())
        b.now = DAY
        said = b.say("ngo-a", "case.signal_recorded")

        assert said.audience.recipients == ("social-services",)
        assert b.view.policy == GENERIC


class TestMove:
    """A case moves by its next event, if the act says so."""

    def test_an_open_case_moves_by_its_next_event(self) -> None:
        """Before that event it stands as it was; from then on the new profile holds, and duties that it does not know are gone."""
        b = presumed(under(activation(EARLY, open_cases="move")))
        b.now = DAY + timedelta(days=1)
        before = {clock.code for clock in b.rules.clocks(b.view)}
        refused = b.ask("special-unit", "recovery.extended", days=10)
        b.say("special-unit", "identification.interview_held")

        assert "D-RECOVERY" in before
        assert refused
        assert refused.code == "publisher_not_allowed"
        assert b.view.policy == EARLY
        assert not {clock.code for clock in b.rules.clocks(b.view)} & {"D-RECOVERY", "D-REVIEW30"}

    def test_the_timekeeper_moves_no_case(self) -> None:
        """What was due by the old profile is published, though the day has come: nothing is refused for ever."""
        b = signalled(under(activation(EARLY, day="2026-03-03", open_cases="move")))
        said = b.through("d4 9:00")

        assert [each.split()[0] for each in said] == ["D-REFER"]
        assert b.view.policy == POLICY

    def test_a_later_activation_moves_it_on(self) -> None:
        """Two acts, two moves; a case that was quiet between them lands where the last one puts it."""
        b = signalled(
            under(
                activation(EARLY, "2026-03-10", open_cases="move"), activation(LATER, "2026-03-20", open_cases="move")
            )
        )
        b.now = DAY + timedelta(days=30)

        assert b.rules.policy_for(b.view, "ngo-a", b.now) == LATER


class TestADutyOfACaseThatMoves:
    """A duty under way has the longer of two times: nobody is late by a law that was not in force when the duty began."""

    @pytest.fixture(autouse=True)
    def _own_profiles(self) -> Iterator[None]:
        with known_here():
            add_profiles(OWN)
            yield

    def test_p1_keeps_the_time_in_which_it_was_to_be_met(self) -> None:
        """Given 14 days, then a law of 5 days in force on day 10, when the case moves on day 13, then no breach and no end comes before day 14."""
        b = asked_for_help(under(activation(SHORT, "2026-03-12", open_cases="move")))
        moved_by_consent(b, "d13 9:00")

        assert b.view.policy == SHORT
        assert "D-SERVICE 16 Mar 24:00" in b.deadlines
        assert [each for each in b.through("d40 9:00") if "referral.expired" in each or "D-SERVICE" in each] == [
            "D-SERVICE 16 Mar 24:00 ngo-a,vac", "referral.expired 30 Mar 24:00 ngo-a,vac",
        ]  # fmt: skip

    def test_keeps_it_also_if_it_waits_for_an_answer_meanwhile(self) -> None:
        """Given a question on day 9, when the case moves on day 13 and the answer comes on day 17, then five days are left as before."""
        b = asked_for_help(under(activation(SHORT, "2026-03-12", open_cases="move")))
        b.at("d9 9:00").say("vac", "referral.info_requested", ref="R-1")
        moved_by_consent(b, "d13 9:00")
        b.at("d17 9:00").say("ngo-a", "referral.info_supplied", ref="R-1")

        assert b.view.policy == SHORT
        assert "D-SERVICE 24 Mar 24:00" in b.deadlines

    def test_keeps_it_through_a_closing(self) -> None:
        """Given 24 hours to refer, of which 3 are left at the dismissal, when the case is opened again under a law of one hour, then 3 are left."""
        b = signalled(under(activation(SHORT, "2026-03-12", open_cases="move")))
        b.at("21:00").say("ngo-a", "case.signal_dismissed")
        b.at("d12 9:00").say("ngo-a", "case.reopened")

        assert b.view.policy == SHORT
        assert "D-REFER 14 Mar 12:00" in b.deadlines

    def test_that_begins_afterwards_has_the_new_time(self) -> None:
        """Given the same law, when help is asked for on the day of the move, then it is due in 5 days."""
        b = consented(under(activation(SHORT, "2026-03-12", open_cases="move")))
        moved_by_consent(b, "d10 9:00")
        asked_for_help(b)

        assert "D-SERVICE 17 Mar 24:00" in b.deadlines

    def test_has_a_new_time_that_is_longer(self) -> None:
        """Given 14 days, then a law of 20 days, when the case moves, then the duty has 20 days from its beginning."""
        b = asked_for_help(under(activation(LONG, "2026-03-12", open_cases="move")))
        moved_by_consent(b, "d13 9:00")

        assert b.view.policy == LONG
        assert "D-SERVICE 22 Mar 24:00" in b.deadlines

    def test_has_the_longest_of_several(self) -> None:
        """Given 14 days, a law of 5 days and then the one of 14 days again, then the duty has had 14 days all along."""
        b = asked_for_help(
            under(
                activation(SHORT, "2026-03-10", open_cases="move"), activation(LATER, "2026-03-13", open_cases="move")
            )
        )
        moved_by_consent(b, "d9 9:00")
        moved_by_consent(b, "d12 9:00")

        assert b.view.policy == LATER
        assert "D-SERVICE 16 Mar 24:00" in b.deadlines
        assert all(clock.length is None for clock in b.view.running)

    def test_has_the_same_time_for_who_hears_of_the_move_later(self) -> None:
        """Given an agency that the event does not reach by which the case moved, when it hears the next one, then it shows the same time."""
        b = asked_for_help(under(activation(SHORT, "2026-03-12", open_cases="move")))
        moved_by_consent(b, "d13 9:00")
        moved_by_consent(b, "d13 10:00")
        told = [replace(fact, policy=SHORT if fact.registered > DAY else POLICY) for fact in b.facts]
        due = {clock.code: clock.due for clock in b.rules.clocks(folded(b.rules, [*told[:-2], told[-1]]))}

        assert due["D-SERVICE"] == next(clock.due for clock in b.rules.clocks(b.view) if clock.code == "D-SERVICE")


def asked_for_help(b: Bench) -> Bench:
    """The NGO asks the assistance centre for help that is not urgent: on the first day, unless the case has gone on."""
    if not b.facts:
        consented(b).at("1:10")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["vac"], legal_basis=LEGAL, urgency="normal", reason="Other")
    return b


def moved_by_consent(b: Bench, at: str) -> None:
    """She consents again *at* that time: an event that ends no duty."""
    b.at(at).say("ngo-a", "consent.given", receivers=["vac"])


def test_p2_a_stranger_cannot_tell_a_case_of_before_from_none() -> None:
    """The special unit decided in the old profile and does not in the new one: it is answered alike about any reference."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "unit-2": Agency("unit-2", "special_unit")})
    signalled(b)
    b.rules.activate(activation())
    b.now = DAY
    event = b.event("unit-2", "identification.stage_entered", stage="inquiry")

    known = b.rules.judge(replace(b.view, counts={"ngo-a": 1}), event, b.now)
    nothing = b.rules.judge(b.rules.start(b.subject), event, b.now)
    assert known == nothing
    assert known


class TestFromTheHistory:
    """Replay and live come to the same, whoever reads."""

    def test_the_registrations_policy_counts_for_a_reader_who_heard_of_no_activation(self) -> None:
        """An agency's desk that has not read the activation yet folds the case as the registrar does."""
        whole = under(activation())
        whole.now = DAY
        signalled(whole)
        told = [replace(fact, policy=GENERIC) for fact in whole.facts]
        late = Rules(load_profile(POLICY), AGENCIES)

        assert folded(late, told) == whole.view
        assert late.clocks(folded(late, told)) == whole.rules.clocks(whole.view)

    def test_folding_again_gives_the_same_view(self) -> None:
        """Also across a move."""
        b = consented(under(activation(GENERIC, "2026-03-03", open_cases="move")))
        b.at("d5 9:00").say("ngo-a", "consent.given", receivers=["vac"])

        assert folded(b.rules, b.facts) == b.view

    def test_an_unknown_profile_stops_no_fold(self) -> None:
        """The Rules say that they lack it, and read on by the first profile: the services decide what to do then."""
        b = referred(Bench())
        told = [replace(fact, policy="zz@2031-01-01") for fact in b.facts]

        assert not b.rules.knows("zz@2031-01-01")
        assert folded(b.rules, told).status == "REFERRED"


def folded(rules: Rules, facts: list[Fact]) -> View:
    """Return the view after *facts*."""
    view = rules.start(facts[0].event.subject)
    for fact in facts:
        view = rules.evolve(view, fact)
    return view


def asked(**said: Any) -> Iterator[str | None]:
    """Yield the rule that refuses an activation, on a bus that heard of one for 10 March."""
    b = Bench.of_bulletin("coordinator")
    b.rules.activate(activation())
    refusal = b.ask("coordinator", "policy.profile_activated", **{"approver": "A-2", **said})
    yield refusal.rule if refusal else None


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"valid_from": "2026-03-11"}, None),
        ({"valid_from": "2026-03-10"}, "G-15"),  # the same day as the one before
        ({"valid_from": "2026-03-09"}, "G-15"),  # before it
        ({"valid_from": "2026-02-01"}, "G-15"),  # dated back
        ({"profile": GENERIC, "digest": load_profile(GENERIC).digest, "valid_from": "2026-03-12"}, "G-15"),  # twice
        ({"profile": "zz@2031-01-01", "valid_from": "2026-03-12"}, "G-14"),
        ({"digest": "f" * 64, "valid_from": "2026-03-12"}, "G-14"),
        ({"approver": None, "valid_from": "2026-03-12"}, "G-20"),
        ({"approver": "a-01", "valid_from": "2026-03-12"}, "G-20"),
    ],
)
def test_what_no_office_may_activate(said: dict[str, Any], rule: str | None) -> None:
    """Dated back, twice, a profile that is not there, one person alone."""
    assert list(asked(**said)) == [rule]


def test_nobody_else_activates_a_profile() -> None:
    """Not the special unit, and not the auditor."""
    for agency in ("special-unit", "auditor", "court"):
        refusal = Bench.of_bulletin(agency).ask(agency, "policy.profile_activated", approver="A-2")
        assert refusal
        assert refusal.rule == "G-01"


def test_an_activation_needs_its_notice() -> None:
    """59 minutes before midnight is too late, an hour before is in time."""
    b = Bench.of_bulletin("coordinator")
    said = {"approver": "A-2", "valid_from": "2026-03-03"}
    b.now = NOW.replace(hour=19)
    in_time = b.ask("coordinator", "policy.profile_activated", **said)
    b.now = NOW.replace(hour=19, minute=1)
    late = b.ask("coordinator", "policy.profile_activated", **said)

    assert in_time is None
    assert late
    assert late.rule == "G-15"
