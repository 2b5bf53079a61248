"""Explanation of an event from the history alone: agencies told and not told, receipts, answers, and clocks."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from auditor.played import DOWN, LATER, Written, first_audited, first_scenario, of_type
from nrmbus.auditor.history.history import Audited, Entry, rules_of
from nrmbus.auditor.history.selection import found_event
from nrmbus.auditor.reports.why import Explained, Whom, explain
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.rules import Refusal, load_profile
from nrmbus.wire import ids
from rules.given import DEFAULTS

PROFILE = first_scenario().rules.profile
CASE = "ab" * 16
HOUR = timedelta(hours=1)
LATE = datetime.fromisoformat("2026-03-03T20:05:00Z")
"""Five minutes after 3 March has ended in Baku."""


@pytest.fixture(scope="module")
def seen() -> Audited:
    """The first story, audited."""
    return first_audited()


def end(seen: Audited) -> datetime:
    """When the last of it was registered."""
    return seen.history.entries[-1].registration.time


def of(explained: Explained, agency: str) -> Whom:
    """Return the answer about one agency."""
    return next(each for each in explained.whom if each.agency == agency)


class Case:
    """A case of its own, on a fresh history with the keys of the story."""

    def __init__(self) -> None:
        story = first_scenario()
        self.written = Written(story.directory, story.identities, story.rules)
        self.now = datetime.fromisoformat("2026-03-02T05:00:00Z")

    def say(
        self,
        by: str,
        type_: str,
        *,
        ref: str | None = None,
        letter: bool = False,
        about: str = CASE,
        registered: datetime | None = None,
        **said: Any,
    ) -> Event:
        """Register it now, or as late as *registered*; no rule is asked."""
        cause = said.pop("cause", None)
        event = Event(
            id=ids.new_event_id(), source=by, type=type_, version=1, subject=about, time=self.now, recordedtime=self.now,
            sequence=1, actor="S-1", policy=PROFILE.name, referral=ref, causationid=cause,
            sealeddigest="0" * 64 if letter else None,
            data=data_type(type_, 1).from_mapping({**DEFAULTS.get(type_, {}), **said}),
        )  # fmt: skip
        self.written.register(event, registered or self.now)
        return event

    def later(self, **length: int) -> "Case":
        """Let time pass."""
        self.now += timedelta(**length)
        return self

    def explain(self, event: Event) -> Explained:
        """Explain it, now."""
        seen = self.written.audited()
        found = next(each for each in seen.history.entries if each.registration.id == event.id)
        return explain(seen, found, self.now)


def asked() -> tuple[Case, Event]:
    """The migration service is asked for help, with a letter; its desk is down."""
    case = Case()
    case.say("ngo-a", "case.signal_recorded")
    case.say("ngo-a", "consent.given", receivers=["migration"])
    ref = "cd" * 16
    return case, case.say("ngo-a", "referral.submitted", ref=ref, letter=True, to=["migration"], urgency="urgent")


class TestWhoWasTold:
    def test_recipients_come_from_the_record_and_reasons_from_the_rules(self, seen: Audited) -> None:
        """Each event of the story, each agency of the directory: told by the record exactly where the Rules tell."""
        for entry in seen.history.entries:
            if entry.said is None:
                continue
            explained = explain(seen, entry, end(seen))
            assert [each.agency for each in explained.whom] == sorted(seen.directory.entries)
            assert "otherwise" not in {each.code for each in explained.whom}
            told = {each.agency for each in explained.whom if each.told and each.code != "told_later"}
            assert told == set(entry.audience.recipients)

    def test_of_the_referral_row_consent_and_parts_are_named(self, seen: Audited) -> None:
        """The unit is told as the chosen receiver, under a consent with its place, and opens the parts sealed to it."""
        unit = of(explain(seen, of_type(seen, "referral.submitted"), end(seen)), "special-unit")

        assert (unit.told, unit.code, unit.basis) == (True, "told", PROFILE.types["referral.submitted"].basis)
        assert unit.consent is not None
        assert (unit.consent.type, unit.consent.number) == ("consent.given", 3)
        assert unit.parts == ("coded", "contact", "identity", "story")

    def test_each_agency_that_was_not_notified_has_a_reason(self, seen: Audited) -> None:
        """Outside the case, a service, admitted later, the sender himself."""
        explained = explain(seen, of_type(seen, "referral.submitted"), end(seen))

        assert [of(explained, agency).code for agency in ("embassy", "registrar", LATER, "ngo-a")] == [
            "not_on_case", "service", "not_admitted", "source",
        ]  # fmt: skip

    def test_a_consent_is_delivered_with_the_receivers_first_event(self, seen: Audited) -> None:
        """Told nobody when it was given; the shelter gets it with the request for a bed."""
        explained = explain(seen, of_type(seen, "consent.given", 1), end(seen))
        bed = of_type(seen, "shelter.bed_requested")
        shelter = of(explained, "shelter")

        assert (shelter.told, shelter.code) == (True, "told_later")
        assert shelter.later is not None
        assert shelter.later.number == bed.registration.number

    def test_before_that_the_consent_was_delivered_to_nobody(self, seen: Audited) -> None:
        """As of the minute before the request, the shelter did not have it."""
        before = of_type(seen, "shelter.bed_requested").registration.time - timedelta(minutes=1)

        assert not of(explain(seen, of_type(seen, "consent.given", 1), before), "shelter").told

    def test_a_record_that_todays_rules_would_not_write_holds(self, seen: Audited) -> None:
        """The recipients are those of the registration, and the code says that the Rules answer otherwise."""
        entry = of_type(seen, "referral.submitted")
        also_told = entry.audience.model_copy(update={"recipients": ("embassy", "special-unit")})
        altered = replace(entry, audience=also_told)
        embassy = of(explain(seen, altered, end(seen)), "embassy")

        assert (embassy.told, embassy.code) == (True, "otherwise")


def refused(seen: Audited) -> list[Entry]:
    """The refusals of the story."""
    return [entry for entry in seen.history.entries if entry.said is None]


def test_a_refusal_cites_code_rule_article_and_what_to_do(seen: Audited) -> None:
    """As the policy has them, though the event itself was not kept; nobody was told, and no clock began."""
    for entry in refused(seen):
        explained = explain(seen, entry, end(seen))
        assert explained.refusal is not None
        rule = PROFILE.refusals[explained.refusal.rule]
        assert (explained.refusal.code, explained.refusal.sentence) == (rule.code, rule.says)
        assert explained.refusal.article == entry.registration.article
        assert {each.code for each in explained.whom} == {"refused", "source"}
        assert (explained.receipts, explained.clocks, explained.answers) == ((), (), ())


class TestReceipts:
    def test_receipts_show_opened_letters_and_missing_reports(self, seen: Audited) -> None:
        """The unit opened the referral; the migration service's desk is down."""
        referral = explain(seen, of_type(seen, "referral.submitted"), end(seen))
        hold = explain(seen, of_type(seen, "stay.hold_requested"), end(seen))

        assert [(each.agency, each.state) for each in referral.receipts] == [("special-unit", "opened")]
        assert [(each.agency, each.state, each.at) for each in hold.receipts] == [(DOWN, "missing", None)]

    def test_the_last_word_of_a_desk_counts(self) -> None:
        """Unreadable at first, with the reason; opened once its key was back."""
        case, referral = asked()
        case.later(minutes=5).say("migration", "letter.unreadable", cause=referral.id, reason="key")
        assert [(each.state, each.reason) for each in case.explain(referral).receipts] == [("unreadable", "key")]

        case.later(minutes=5).say("migration", "letter.opened", cause=referral.id)
        assert [(each.state, each.reason) for each in case.explain(referral).receipts] == [("opened", None)]

    def test_a_letter_kept_shut_is_shown_as_such_and_the_senders_duty_stays_met(self) -> None:
        """Neither opened nor faulty; and who referred in time has done so, though the person then took consent back."""
        case = Case()
        signal = case.say("ngo-a", "case.signal_recorded")
        case.say("ngo-a", "consent.given", receivers=["special-unit"])
        said: dict[str, Any] = {"letter": True, "to": ["special-unit"], "ref": "cd" * 16}
        referral = case.later(hours=1).say("ngo-a", "referral.submitted", **said)
        case.later(minutes=1).say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
        case.later(minutes=1).say("special-unit", "letter.kept_shut", cause=referral.id)

        assert [(each.state, each.reason) for each in case.explain(referral).receipts] == [("kept_shut", None)]
        assert [each.state for each in case.explain(signal).clocks] == ["met"]

    def test_a_chunk_that_opens_owes_none(self) -> None:
        """The receipt of its announcement is enough; one that did not open is shown."""
        case = Case()
        case.say("ngo-a", "case.signal_recorded")
        case.say("ngo-a", "consent.given", receivers=["migration"])
        said: dict[str, Any] = {"letter": True, "to": ["migration"]}
        announced = case.say("ngo-a", "document.shared", **said)
        chunk = case.say("ngo-a", "document.chunk_sent", cause=announced.id, **said)
        assert [each.state for each in case.explain(announced).receipts] == ["missing"]
        assert case.explain(chunk).receipts == ()

        case.say("migration", "letter.unreadable", cause=chunk.id, reason="key")
        assert [each.state for each in case.explain(chunk).receipts] == ["unreadable"]

    def test_an_event_without_a_letter_owes_none(self, seen: Audited) -> None:
        """There is nothing to open."""
        assert explain(seen, of_type(seen, "referral.acknowledged"), end(seen)).receipts == ()


def test_answers_come_from_recipients_under_the_same_reference(seen: Audited) -> None:
    """In the order in which they came; receipts are none."""
    answers = explain(seen, of_type(seen, "referral.submitted"), end(seen)).answers

    assert [each.type for each in answers] == [
        "referral.acknowledged", "referral.info_requested", "referral.accepted", "handover.person_received",
    ]  # fmt: skip


class TestClocks:
    def test_a_met_clock_shows_its_end_and_its_length(self, seen: Audited) -> None:
        """The unit acknowledged after 50 minutes; the signal's clock ended with the referral."""
        explained = explain(seen, of_type(seen, "referral.submitted"), end(seen))
        (clock,) = explained.clocks

        assert (clock.code, clock.answerable, clock.state, clock.seconds) == ("D-ACK", "special-unit", "met", 50 * 60)
        assert clock.end is not None
        assert (clock.end.type, clock.breach) == ("referral.acknowledged", None)
        assert explained.ended == (("D-REFER", "ngo-a"),)

    def test_one_that_runs_is_overdue_then_breached_then_met_too_late(self) -> None:
        """Migration has 72 hours, from the registration."""
        case, referral = asked()

        def after(hours: int) -> tuple[str, timedelta]:
            case.later(hours=hours)
            (found,) = case.explain(referral).clocks
            assert found.code == "D-SERVICE"
            return found.state, timedelta(seconds=found.seconds)

        assert after(0) == ("runs", timedelta())
        assert after(72) == ("runs", 72 * HOUR)
        assert after(1) == ("overdue", 73 * HOUR)
        due = referral.time + 72 * HOUR
        case.say(
            "timekeeper", "deadline.breached", cause=referral.id, rule="D-SERVICE", due=_text(due), late_by_minutes=60
        )
        assert after(0) == ("breached", 73 * HOUR)
        case.later(hours=2).say("migration", "referral.accepted", ref=referral.referral)
        assert after(9) == ("met_late", 75 * HOUR)
        (found,) = case.explain(referral).clocks
        assert found.breach is not None
        assert found.breach.type == "deadline.breached"

    def test_one_waits_while_a_question_is_open(self) -> None:
        """Migration asks; until the answer nothing is due."""
        case, referral = asked()
        case.later(hours=1).say("migration", "referral.info_requested", ref=referral.referral)
        (clock,) = case.explain(referral).clocks

        assert (clock.state, clock.due) == ("paused", None)

    def test_one_that_ends_with_the_case_was_neither_met_nor_breached(self) -> None:
        """She withdraws, and nobody owes an answer any more."""
        case, referral = asked()
        case.later(hours=1).say("ngo-a", "case.withdrawn")
        (clock,) = case.explain(referral).clocks

        assert (clock.state, clock.seconds) == ("lifted", 3600)

    def test_a_clock_of_an_agency_that_deleted_its_data_is_lifted_and_not_met(self) -> None:
        """The same holds for an overdue clock, which keeps its breach. A clock that an answer met is told apart."""
        case, referral = asked()
        due = referral.time + 72 * HOUR
        case.later(hours=73).say(
            "timekeeper", "deadline.breached", cause=referral.id, rule="D-SERVICE", due=_text(due), late_by_minutes=0
        )
        case.say("ngo-a", "consent.withdrawn", receivers=["migration"])
        stopped = case.later(hours=1).say("migration", "consent.stop_confirmed")
        (clock,) = case.explain(referral).clocks
        explained = case.explain(stopped)

        assert (clock.state, clock.seconds) == ("lifted", 74 * 3600)
        assert clock.breach is not None
        assert clock.end is not None
        assert (clock.end.type, clock.end.source) == ("consent.stop_confirmed", "migration")
        assert explained.ended == (("D-STOP", "migration"),)
        assert explained.lifted == (("D-SERVICE", "migration"),)

    def test_a_clock_that_another_profile_does_not_have_is_lifted(self) -> None:
        """Given a recovery period, when the case moves to a profile without that duty, then the duty is explained by the profile before."""
        case, early = Case(), load_profile("az@2009-09-03")
        case.say("ngo-a", "case.signal_recorded")
        case.say("special-unit", "identification.reasonable_grounds_decided")
        case.say("special-unit", "recovery.period_started")
        case.written.rules = rules_of(case.written.directory, early.name)
        moved = case.later(days=10).say("special-unit", "identification.interview_held")
        seen = case.written.audited()
        clocks = explain(seen, of_type(seen, "recovery.period_started"), case.now).clocks
        (clock,) = [each for each in clocks if each.code == "D-RECOVERY"]

        assert "D-RECOVERY" not in early.clocks
        assert (clock.state, clock.basis) == ("lifted", PROFILE.clocks["D-RECOVERY"].basis)
        assert clock.end is not None
        assert clock.end.id == moved.id

    def test_a_clock_that_the_last_day_of_a_consent_lifts_is_ended_by_no_event(self) -> None:
        """She refuses the unit again from 3 March on, and lets nobody else; a later event of the clock's ends is not its end."""
        case = Case()
        case.say("ngo-a", "case.signal_recorded")
        case.say("ngo-a", "consent.refused", receivers=["special-unit"])
        case.say("ngo-a", "consent.given", receivers=["special-unit"], expires="2026-03-02")
        case.say("ngo-a", "consent.given", receivers=["vac"])
        asked = case.say("ngo-a", "referral.submitted", ref="cd" * 16, to=["vac"], urgency="normal")
        referral = case.say("ngo-a", "referral.submitted", ref="ef" * 16, to=["special-unit"])
        (while_it_runs,) = case.explain(referral).clocks
        case.later(hours=24)
        (alone,) = case.explain(referral).clocks
        accepted = case.say("vac", "referral.accepted", ref=asked.referral)
        (clock,) = case.explain(referral).clocks
        explained = case.explain(accepted)

        assert (while_it_runs.code, while_it_runs.state) == ("D-ACK", "runs")
        assert (alone.state, alone.seconds, alone.end) == ("lifted", 15 * 3600, None)
        assert (clock.state, clock.seconds, clock.end) == ("lifted", 15 * 3600, None)
        assert (explained.ended, explained.lifted) == ((("D-SERVICE", "vac"),), ())

    def test_a_lifted_clock_keeps_a_breach_that_was_registered_after_the_last_day_of_a_consent(self) -> None:
        """Given a duty that was late on 3 March, when the breach is registered once she refuses the unit again, then it is shown and lifted."""
        case = Case()
        case.say("ngo-a", "case.signal_recorded")
        case.say("ngo-a", "consent.refused", receivers=["special-unit"])
        case.say("ngo-a", "consent.given", receivers=["special-unit"], expires="2026-03-03")
        referral = case.say("ngo-a", "referral.submitted", ref="ef" * 16, to=["special-unit"])
        answered = case.later(hours=1).say("special-unit", "referral.acknowledged", ref=referral.referral)
        (running,) = case.explain(answered).clocks
        assert running.due is not None
        late: dict[str, Any] = {"rule": running.code, "due": _text(running.due), "late_by_minutes": 0}
        case.now = running.due
        breach = case.say("timekeeper", "deadline.breached", registered=LATE, cause=answered.id, **late)
        case.now = LATE
        (clock,) = case.explain(answered).clocks

        assert (running.code, clock.state) == ("D-ANSWER", "lifted")
        assert clock.breach is not None
        assert clock.breach.id == breach.id

    def test_a_duty_whose_answer_could_not_be_read_runs_on(self) -> None:
        """The signal's clock ends with the referral to the unit, and begins again when its letter does not open."""
        case = Case()
        signal = case.say("ngo-a", "case.signal_recorded")
        case.say("ngo-a", "consent.given", receivers=["special-unit"])
        referral = case.later(hours=1).say(
            "ngo-a", "referral.submitted", letter=True, to=["special-unit"], ref="cd" * 16
        )
        assert [each.state for each in case.explain(signal).clocks] == ["met"]

        case.later(minutes=1).say("special-unit", "letter.unreadable", cause=referral.id, reason="key")
        assert [each.state for each in case.explain(signal).clocks] == ["runs"]


def test_an_event_refused_first_and_registered_later_is_one_event() -> None:
    """Of two registrations under one id the registered one is explained, and names the other."""
    case = Case()
    case.say("ngo-a", "case.signal_recorded")
    event = case.say("ngo-a", "consent.given", receivers=["vac"])
    again = event.model_copy(update={"id": ids.new_event_id()})
    case.written.register(
        again, case.now, Refusal("wrong_state", "G-40", "RULES.md#statuses [D]", PROFILE.refusals["G-40"].says)
    )
    case.written.register(again, case.now)
    seen = case.written.audited()
    found = found_event(seen.history, again.id, CASE)

    assert [entry.registration.verdict for entry in seen.history.entries][2:] == ["refused", "registered"]
    assert found.registration.number == 4
    assert [each.number for each in explain(seen, found, case.now).also] == [3]


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def test_no_letter_is_needed_to_answer(seen: Audited) -> None:
    """The history has none: only digests of them."""
    assert all(entry.said.letter_bytes is None for entry in seen.history.entries if entry.said)
