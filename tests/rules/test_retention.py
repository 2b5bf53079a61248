"""The time of keeping: years after the closing by the longest class, unless held; then there is no such case any more."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrmbus.events.model import Fact
from nrmbus.rules import View, load_profile
from nrmbus.rules.calendar import LAST
from rules.given import ONE_YEAR, Bench, with_years
from rules.stories import child_signalled, closed, left, planned, served, signalled

PROFILE = load_profile("az@2022-04-29")
HOLDERS = "fund,migration,ngo-a,ngo-l,shelter,special-unit,vac"


def ends(b: Bench, text: str) -> list[str]:
    """When it is said that the time is over, up to *text*."""
    return [said for said in b.through(text) if said.startswith("access.erasure_due")]


class TestHowLong:
    """By the longest class of what was said in the case, from the day of its closing."""

    def test_an_open_case_is_kept(self) -> None:
        """However old it is, an open case is kept; a case that the person withdrew from is open until somebody closes it."""
        for b in (planned(Bench(ONE_YEAR)), left(Bench(ONE_YEAR)), signalled(Bench(ONE_YEAR))):
            assert b.rules.kept(b.view) is None
            assert not ends(b, "d4000 0:00")

    @pytest.mark.parametrize(
        ("years", "longest"),
        [
            ({"care": 5, "decisions": 10, "money": 20}, 10),
            ({"care": 12, "decisions": 10}, 12),
            ({"care": 5}, None),
            ({"decisions": 5}, None),
            ({}, None),
        ],
    )
    def test_the_longest_class_counts(self, years: dict[str, int], longest: int | None) -> None:
        """Of the classes that occur; one without a value keeps the whole case, since nobody knows how long."""
        b = closed(Bench(with_years(**years)))
        found = b.rules.kept(b.view)
        assert found is not None
        assert (found.closed, found.classes, found.held_through) == (date(2026, 7, 30), ("care", "decisions"), None)
        assert found.through == (date(2026 + longest, 7, 30) if longest else None)
        assert found.over == (datetime(2026 + longest, 7, 30, 20, tzinfo=UTC) if longest else None)

    def test_as_the_profile_stands_nothing_is_ever_due(self) -> None:
        """No law on this was readable: the years are for an authority to fill in."""
        assert all(row.years is None and row.unverified for row in PROFILE.retention.classes.values())
        assert not ends(closed(Bench()), "d4000 0:00")

    def test_a_dismissed_signal_is_closed_too(self) -> None:
        """A dismissed signal counts as a closed case."""
        b = signalled(Bench(ONE_YEAR))
        b.say("ngo-a", "case.signal_dismissed")
        assert ends(b, "d400 0:00") == ["access.erasure_due 2 Mar 24:00 ngo-a,special-unit"]

    def test_a_closing_at_the_end_of_all_days_breaks_nothing(self) -> None:
        """Such a case is kept until the last possible day."""
        b = closed(Bench(ONE_YEAR))
        event = b.event("vac", "case.closed", follow_up=False)
        object.__setattr__(event, "time", LAST)
        b.hear(Fact.of(event, (), b.now, len(b.facts) + 1))
        found = b.rules.kept(b.view)
        assert found is not None
        assert found.over == LAST


class TestWhenItIsSaid:
    """By the timekeeper, once, to all who hold the case."""

    def test_at_the_end_of_its_last_day_and_once(self) -> None:
        """A case closed on 30 July and kept for a year is erased once, at the end of its last day."""
        b = closed(Bench(ONE_YEAR))
        assert not ends(b, "d515 23:59")
        assert ends(b, "d2000 0:00") == [f"access.erasure_due 30 Jul 24:00 {HOLDERS}"]

    def test_a_hold_stops_it_until_the_end_of_its_day(self) -> None:
        """Any hold on any ground stops the erasure, and so does the next hold."""
        b = closed(Bench(ONE_YEAR)).at("d510 9:00")
        b.say("auditor", "access.hold_placed", reasons=["inspection"], until="2027-09-30")
        assert not ends(b, "d560 0:00")
        b.say("ngo-a", "access.hold_placed", until="2028-01-31")
        assert not ends(b, "d699 0:00")
        assert ends(b, "d701 0:00") == [f"access.erasure_due 31 Jan 24:00 {HOLDERS}"]

    def test_a_case_that_is_opened_again_is_kept(self) -> None:
        """From its next closing on, the case is kept for the full time again."""
        b = closed(Bench(ONE_YEAR)).at("d400 9:00")
        b.say("vac", "case.reopened")
        assert not ends(b, "d800 0:00")
        b.say("vac", "case.closed", follow_up=False)
        assert not ends(b, "d1164 0:00")
        assert ends(b, "d1166 0:00")

    def test_an_erasure_by_decision_is_followed_by_one_after_retention(self) -> None:
        """The letters were destroyed with the decision; the envelopes are destroyed now."""
        b = closed(Bench(ONE_YEAR))
        b.say("court", "access.terminated", approver="A-2", letter=True)
        assert len(ends(b, "d200 0:00")) == 1
        assert ends(b, "d600 0:00") == [f"access.erasure_due 30 Jul 24:00 court,{HOLDERS}"]

    @pytest.mark.parametrize(
        ("b", "at"),
        [
            (planned(Bench(ONE_YEAR)), "d2000 0:00"),
            (closed(Bench(ONE_YEAR)), "d515 23:59"),
            (closed(Bench()), "d4000 0:00"),
        ],
        ids=["an open case", "a minute early", "no years"],
    )
    def test_a_timekeeper_that_publishes_too_early_is_refused(self, b: Bench, at: str) -> None:
        """Sabotage: what takes a history's envelopes away rests on the Rules, not on one service's word."""
        refusal = b.at(at).ask("timekeeper", "access.erasure_due", ground="retention")
        assert refusal is not None
        assert (refusal.rule, refusal.code) == ("G-28", "still_kept")

    def test_not_while_a_hold_stands_that_came_just_before(self) -> None:
        """Order in the history decides; after the hold it is said under another id."""
        b = closed(Bench(ONE_YEAR))
        early = next(due for due in b.rules.due(b.view) if due.type == "access.erasure_due")
        b.at("d516 0:00").say("auditor", "access.hold_placed", reasons=["inspection"], until="2027-09-30")
        refusal = b.ask("timekeeper", "access.erasure_due", ground="retention", occurred="d516 0:00")
        late = next(due for due in b.rules.due(b.view) if due.type == "access.erasure_due")
        assert refusal is not None
        assert refusal.rule == "G-28"
        assert early.key != late.key


class TestACaseThatIsOver:
    """Afterwards there is no such case."""

    def over(self) -> Bench:
        """Closed, kept, and over."""
        b = closed(Bench(ONE_YEAR))
        assert ends(b, "d516 0:00")
        return b

    @pytest.mark.parametrize(
        ("by", "type", "more"),
        [
            ("vac", "case.reopened", {}),
            ("court", "case.reopened", {}),
            ("ngo-a", "case.signal_recorded", {}),
            ("ngo-a", "case.re_referred", {}),
            ("ngo-a", "incident.opened", {}),
            ("ngo-a", "consent.given", {"receivers": ["fund"]}),
            ("auditor", "access.hold_placed", {"until": "2027-09-30"}),
            ("court", "access.terminated", {"approver": "A-2"}),
            ("timekeeper", "access.erasure_due", {"ground": "retention"}),
            ("timekeeper", "case.follow_up_due", {}),
            ("vac", "access.granted", {}),
            ("hospital", "access.erasure_confirmed", {"ground": "retention"}),
        ],
    )
    def test_nothing_more_is_published_in_it(self, by: str, type: str, more: dict[str, Any]) -> None:
        """The refusal reads like that of a case that never was, also to an agency that would open one under its number."""
        refusal = self.over().ask(by, type, **more)
        assert refusal is not None
        assert (refusal.rule, refusal.code) == ("G-02", "unknown_case")

    def test_every_notified_agency_confirms_or_is_named(self) -> None:
        """The erasure goes on after the end: a missing confirmation is a breach after a week, also for the supervisor."""
        b = self.over()
        assert b.codes == ["D-ERASE"] * 7
        for agency in HOLDERS.split(",")[:-1]:
            b.say(agency, "access.erasure_confirmed", ground="retention")
        assert b.through("d540 0:00") == ["D-ERASE 7 Aug 24:00 vac"]
        assert b.ask("auditor", "access.granted") is None, "that an auditor looks is on record for every number"

    @pytest.mark.parametrize("story", [closed, served, planned, child_signalled])
    def test_the_view_after_retention_is_the_same_without_earlier_events(self, story: Any) -> None:
        """So a registrar that reads a history without envelopes decides as one that read them all."""
        b = story(Bench(ONE_YEAR))
        event = b.event("timekeeper", "access.erasure_due", ground="retention")
        fact = Fact.of(event, ("ngo-a", "vac"), b.now, len(b.facts) + 1)
        bare: View = b.rules.start(b.subject)
        assert b.rules.evolve(b.view, fact) == b.rules.evolve(bare, fact)
        assert b.view != bare


@pytest.mark.thorough
@settings(max_examples=60)
@given(st.data())
def test_any_history_ends_in_the_same_view(data: st.DataObject) -> None:
    """Whatever was published before, in whole or in part, the end of retention clears it, and later events fold alike."""
    b = closed(Bench(ONE_YEAR))
    before = [fact for fact in b.facts if data.draw(st.booleans())]
    ends(b, "d516 0:00")
    b.say("vac", "access.erasure_confirmed", ground="retention")
    b.through("d600 0:00")
    after = b.facts[next(index for index, fact in enumerate(b.facts) if fact.event.type == "access.erasure_due") :]
    view = b.rules.start(b.subject)
    for fact in (*before, *after):
        view = b.rules.evolve(view, fact)
    assert view == b.view
