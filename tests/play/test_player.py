"""The player says what the file says: cases, consents, aliases, references, and where it ends."""

from datetime import datetime

from nrmbus.play.aliases import Aliases
from nrmbus.play.judge import standing_orders, texts
from nrmbus.play.memory import MemoryBus
from nrmbus.play.stage import Happened, Outcome, StageError, Words
from play.stories import CONSENT, REFERRAL, SIGNAL, expecting, played, scenario, story

REPEATED = '- {at: "0:30", by: ngo-a, event: referral.submitted, case: woman, ref: R-1, again: true}\n'
TWO_CASES = """\
- {by: ngo-a, event: case.signal_recorded, cases: [one, two], seen_by: [special-unit],
   data: {detector: ngo_outreach, child: false, urgency: normal, detected_abroad: false, basis: [indicators]}}
- {by: ngo-a, event: consent.given, cases: [one, two], as: consents,
   data: {purposes: [services, information_sharing], receivers: [special-unit, vac], given_by: individual, form: written}}
- {by: ngo-a, event: referral.submitted, cases: [one, two], ref: R, to: [special-unit], consent: consents, seen_by: [special-unit],
   data: {mode: referral, reason: FormalIdentification, urgency: urgent, services: [], legal_basis: "CoM 21/2008 art. 7"}}
- {by: special-unit, event: referral.accepted, case: two, ref: R, data: {next_step: reception}, seen_by: [ngo-a]}
"""


def failures(*steps: str) -> list[str]:
    """Return the failures of a small story."""
    return [str(failure) for failure in played(scenario(*steps)).failures]


class TestCases:
    """``cases`` publishes once for each; an alias beside it means one thing per case."""

    def test_one_step_publishes_on_each_case(self) -> None:
        """Two cases in one step are two events with a verdict each."""
        assert failures(TWO_CASES, "- {check: events, cases: [one, two], type: referral.submitted, count: 2}\n") == []

    def test_a_reference_is_one_per_case(self) -> None:
        """Accepted on one case, the referral of the other is still open."""
        open_on_one = "- {check: state, case: one, open_referrals: [R]}\n"
        assert failures(TWO_CASES, open_on_one, "- {check: state, case: two, open_referrals: []}\n") == []

    def test_each_case_is_checked(self) -> None:
        """A check of several cases fails for the differing case and names that case."""
        check = "- {check: state, cases: [one, two], open_referrals: [R]}\n"

        assert failures(TWO_CASES, check) == ["step 5 (line 18): open_referrals of two: expected R, found none"]

    def test_a_failure_on_one_case_names_it(self) -> None:
        """If an event is published on two cases and refused on one, the step fails for the refused case."""
        accepted = (
            "- {by: special-unit, event: referral.accepted, cases: [one, two], ref: R, data: {next_step: reception}}\n"
        )

        assert failures(TWO_CASES, accepted) == [
            "step 5 (line 18): referral.accepted on two: expected registered, found refused not_open by G-51"
        ]


class TestConsents:
    """A consent with several receivers is one event for each."""

    def test_each_receiver_is_an_event_of_its_own(self) -> None:
        """Nobody learns who else may have the case."""
        one = "- {check: events, case: woman, type: consent.given, count: 1, data: {receivers: [vac]}}\n"

        assert failures(SIGNAL, CONSENT, "- {check: events, case: woman, type: consent.given, count: 2}\n", one) == []

    def test_the_consent_of_the_recipient_is_named(self) -> None:
        """A referral with a set of consents names its receiver's consent; a referral without a consent is refused."""
        uncovered = REFERRAL.replace("[special-unit]", "[shelter]").replace("R-1", "R-2")

        assert failures(SIGNAL, CONSENT, REFERRAL, expecting(uncovered, "expect: {refused: consent_required}")) == []

    def test_all_are_named_where_none_concerns_the_recipient(self) -> None:
        """An insufficient consent is named all the same, so that the registrar can refuse it."""
        aliases = Aliases()
        for receiver in ("vac", "fund"):
            aliases.name("set", "woman", receiver, f"for {receiver}")

        assert aliases.covering("set", "woman", ("fund", "shelter")) == ("for fund",)
        assert aliases.covering("set", "woman", ("shelter",)) == ("for vac", "for fund")


class TestAliases:
    """The first use of an alias mints; later uses mean the same."""

    def test_the_same_word_means_the_same(self) -> None:
        """Also when the first event that used it was refused."""
        aliases = Aliases()

        assert aliases.case("woman") == aliases.case("woman") != aliases.case("boy")
        assert aliases.ref("R", "woman") == aliases.ref("R", "boy")
        assert aliases.incident("raid") == aliases.incident("raid")
        assert aliases.staff("chief") == aliases.staff("chief") != aliases.staff("clerk")

    def test_minted_with_several_cases_it_is_one_per_case(self) -> None:
        """Minted beside ``cases``, an alias means another thing on each case, and has its name on each."""
        aliases = Aliases()
        one = aliases.ref("R", "one", one_of_several=True)
        two = aliases.ref("R", "two")

        assert one != two
        assert aliases.ref("R", "one") == one
        assert [aliases.alias_of_ref(ref) for ref in (one, two, "0" * 32)] == ["R", "R", "one without an alias"]

    def test_an_event_of_another_case_is_that_one(self) -> None:
        """A decision keeps its id when another case names the decision, so the Rules can refuse the event."""
        aliases = Aliases()
        aliases.name("D-1", "woman", None, "the decision")

        assert aliases.events("D-1", "boy") == ("the decision",)


class TestReferences:
    """References from one event to another."""

    def test_linked_cases_travel_in_the_letter(self) -> None:
        """A re-referral names the earlier case in its coded part, which only entitled agencies open."""
        step = """\
        - {by: ngo-a, event: case.re_referred, case: later, previous_case: woman, sealed: {sex: F}, seen_by: [special-unit],
           data: {detector: ngo_outreach, child: false, urgency: normal, detected_abroad: false, basis: [indicators]},
           opened_by: {coded: [special-unit]}}
        """

        assert failures(SIGNAL, step) == []

    def test_an_incident_stands_for_itself(self) -> None:
        """An incident is published under its own reference, and the resulting cases name the incident."""
        step = """\
        - {by: ngo-a, event: incident.opened, incident: raid, data: {place_type: construction_site, head_count: 3},
           sealed: {sector: F}, seen_by: [special-unit], opened_by: [special-unit]}
        - {by: ngo-a, event: case.signal_recorded, cases: [one, two], incident: raid, seen_by: [special-unit],
           data: {detector: ngo_outreach, child: false, urgency: normal, detected_abroad: false, basis: [indicators]}}
        """

        assert failures(step) == []

    def test_a_second_member_of_staff_signs(self) -> None:
        """Where two must act, ``approver`` is another than who acts."""
        child = SIGNAL.replace("child: false", "child: true")
        dismissed = "- {by: ngo-a, event: case.signal_dismissed, case: woman, data: {reason: not_credible}}\n"
        alone = expecting(dismissed, "expect: {refused: two_person_rule}")

        assert failures(child, alone, expecting(dismissed, "approver: chief")) == []


class TestStopping:
    """Where a play ends."""

    WRONG = "- {check: state, case: woman, status: CLOSED}\n"

    def test_it_stops_at_the_first_failure(self) -> None:
        """Steps after a failure are skipped, and the last replay is checked all the same."""
        report = played(scenario(SIGNAL, self.WRONG, self.WRONG, CONSENT))

        assert [failure.step for failure in report.failures] == [2]
        assert (report.played, report.green) == (2, False)
        assert (report.rows[-1].event, report.rows[-1].result) == ("replay all", "holds")

    def test_it_goes_on_if_asked(self) -> None:
        """With ``keep_going`` every failure of the story is found."""
        report = played(scenario(SIGNAL, self.WRONG, self.WRONG, CONSENT), keep_going=True)

        assert [failure.step for failure in report.failures] == [2, 3]
        assert report.played == 4

    def test_it_always_ends_with_a_replay_of_all(self) -> None:
        """Whatever the file checks, the history and the live state are compared at the end."""
        report = played(scenario(SIGNAL))

        assert [row.event for row in report.rows] == ["case.signal_recorded", "replay all"]

    def test_a_report_is_json(self) -> None:
        """The report holds steps, lines, times, results, receivers and failures in JSON types."""
        report = played(scenario(SIGNAL, self.WRONG)).to_mapping()

        assert report["green"] is False
        assert report["rows"][0] == {
            "step": 1,
            "line": 11,
            "time": "2026-03-02T05:00:00Z",
            "who": "ngo-a",
            "event": "case.signal_recorded",
            "result": "registered",
            "detail": "",
            "received": ["special-unit"],
        }
        assert report["failures"] == [
            {"step": 2, "line": 13, "what": "status", "expected": "CLOSED", "found": "SUSPECTED"}
        ]


class Mute(MemoryBus):
    """A bus that gives no answer to a signal."""

    def publish(self, words: Words) -> Outcome:
        """Answer what is no signal."""
        if words.type == "case.signal_recorded":
            raise StageError("the bus was not quiet after 180 s")
        return super().publish(words)


def test_a_decision_that_got_no_answer_fails_the_steps_that_name_it() -> None:
    """Given a step without an answer, then a later step that names the first fails too, and the rest is played."""
    named = "- {by: ngo-a, event: consent.given, case: woman, decision: s, data: {}}\n"
    steps = scenario(expecting(SIGNAL, "as: s"), named, "- {check: inbox, agency: vac, count: 0}\n")
    report = played(steps, Mute(), keep_going=True)

    assert [(each.step, each.found) for each in report.failures] == [
        (1, "none: the bus was not quiet after 180 s"),
        (2, "none: the step that 's' names got no answer"),
    ]
    assert report.played == 3


UNNAMED = REFERRAL.replace("[special-unit], consent: consent-1", "[police-x]").replace("R-1", "R-2")
NOT_TO_POLICE = expecting(UNNAMED, "expect: {refused: recipient_not_allowed}")


def test_bytes_of_a_refused_event_cannot_go_out_again() -> None:
    """``again`` repeats a registered event; where the earlier one was refused there is none."""
    repeated = NOT_TO_POLICE + REPEATED.replace("R-1", "R-2")

    assert failures(SIGNAL, repeated) == [
        "step 3 (line 16): again: expected an earlier registered event, found none that was registered"
    ]


def test_bytes_again_are_never_refused() -> None:
    """A story that expects a repetition to be refused fails: the repetition returns the old registration."""
    refused = expecting(REPEATED, "expect: {refused: not_open}")

    assert failures(SIGNAL, CONSENT, REFERRAL, refused) == [
        "step 4 (line 18): referral.submitted: expected refused not_open, found registered"
    ]


def payment(type: str, ref: str | None, **data: str) -> Happened:
    """One event about money."""
    said = {"kind": "one_time_allowance", **data}
    return Happened("id", "case", datetime.min, "fund", type, said, ref)  # noqa: DTZ901 - nobody asks when


class TestPayments:
    """Return the payments that count as made or due."""

    def test_a_failed_payment_does_not_count(self) -> None:
        """It is found by its reference."""
        history = [
            payment("payment.ordered", "P-1"),
            payment("payment.ordered", "P-2"),
            payment("payment.failed", "P-1"),
        ]

        assert [order.ref for order in standing_orders(history, "one_time_allowance")] == ["P-2"]

    def test_or_by_its_decision(self) -> None:
        """Without a reference the decision tells which order came back."""
        orders = [payment("payment.ordered", "P-1", decision="D-1"), payment("payment.ordered", "P-2", decision="D-2")]
        failed = payment("payment.failed", None, decision="D-1")

        assert [order.ref for order in standing_orders([*orders, failed], "one_time_allowance")] == ["P-2"]

    def test_other_kinds_do_not_count(self) -> None:
        """Compensation is no allowance."""
        assert standing_orders([payment("payment.ordered", "P-1")], "compensation") == []


def test_texts_of_a_letter_are_searched_and_codes_are_not() -> None:
    """Names, texts and numbers must be found nowhere; a code stands in everybody's lists and proves nothing."""
    sealed = {"name": "Alina Example", "sex": "F", "needs": ["psychosocial"], "ground": "severe_mental_health_issue",
              "contact": {"value": "+994000000001", "method": "phone"}}  # fmt: skip

    assert texts(sealed) == ("Alina Example", "+994000000001")


def test_a_story_of_a_test_is_a_scenario() -> None:
    """The small story that these tests alter is green."""
    assert failures(SIGNAL, CONSENT, REFERRAL) == []
    assert story(SIGNAL).count("\n") == 12
