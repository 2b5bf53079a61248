"""The bus in memory: the Rules, the procedures and the timekeeper, each doing what it would do on a broker."""

from datetime import UTC, datetime, timedelta

import pytest

from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import find, read
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Outcome, StageError, Words
from play.stories import CONSENT, REFERRAL, SIGNAL, WOMAN, expecting, played, scenario

MONDAY = datetime(2026, 3, 2, 5, tzinfo=UTC)
CASE = "0" * 32


def bus() -> MemoryBus:
    """A bus of five agencies at Monday 9:00 in Baku."""
    stage = MemoryBus()
    stage.admit(scenario(SIGNAL).agencies, "az@2022-04-29", MONDAY)
    return stage


def words(by: str, type: str, **rest: object) -> Words:
    """Publish an event of *by* now."""
    return Words(by=by, type=type, subject=CASE, time=MONDAY, actor="A-1", **rest)  # type: ignore[arg-type]  # as given


def signal() -> Words:
    """A signal of an adult."""
    data = {
        "detector": "ngo_outreach",
        "child": False,
        "urgency": "urgent",
        "detected_abroad": False,
        "basis": ["indicators"],
    }
    return words("ngo-a", "case.signal_recorded", data=data)


def failures(*steps: str) -> list[str]:
    """Expectations that do not hold in a small story."""
    return [str(failure) for failure in played(scenario(*steps)).failures]


class TestTime:
    """The timekeeper speaks when something is due, not when the play happens to look."""

    def test_a_duty_is_breached_once_at_its_due_time(self) -> None:
        """The 24 hours run out on Tuesday at 9:00, and once, though the play jumps to day 300."""
        rows = played(
            scenario(SIGNAL, "- {at: d300, check: events, case: woman, type: deadline.breached, count: 1}\n")
        ).rows
        breach = next(row for row in rows if row.event == "deadline.breached")

        assert (breach.who, breach.at, breach.result) == ("timekeeper", MONDAY + timedelta(hours=24), "by itself")

    def test_a_duty_done_in_time_is_not_breached(self) -> None:
        """Referred after twenty minutes, nobody is late; the acknowledgement that then lacks is another duty."""
        late = "- {at: '24:00', check: events, case: woman, type: deadline.breached, count: 0, data: {rule: D-REFER}}\n"

        assert failures(SIGNAL, CONSENT, REFERRAL, late) == []

    def test_an_overdue_duty_is_published_at_once(self) -> None:
        """A signal typed two days late is late already: the breach comes with it, not at some later look."""
        typed_late = SIGNAL.replace('at: "0:00"', 'at: "50:00", occurred: "0:00"')
        check = "- {check: events, case: woman, type: deadline.breached, count: 1, data: {rule: D-REFER, late_by_minutes: 1560}}\n"

        assert failures(typed_late, check) == []

    def test_a_bus_in_memory_is_for_one_play(self) -> None:
        """The clock never goes back, and ``inbox`` counts all that is on the bus: a second play needs a fresh one."""
        stage = bus()

        with pytest.raises(StageError, match="a bus in memory is for one play"):
            stage.admit(scenario(SIGNAL).agencies, "az@2022-04-29", MONDAY)


class TestDelivery:
    """Everybody gets what is his, in order."""

    def test_a_consent_comes_just_before_the_first_event(self) -> None:
        """The assistance centre learns of the consent only when it learns of the person, and before it reads a word."""
        empty = "- {check: inbox, agency: vac, count: 0}\n"
        referral = REFERRAL.replace("[special-unit]", "[vac]").replace("FormalIdentification", "LegalAid")
        both = "- {check: inbox, agency: vac, case: woman, types: [consent.given, referral.submitted]}\n"

        assert failures(SIGNAL, CONSENT, empty, referral, both) == []

    def test_a_sender_learns_of_no_recipient(self) -> None:
        """A desk folds its own events as its desk on a broker would: without the registrar's list of receivers."""
        stage = bus()
        outcome = stage.publish(signal())
        view = stage._desks["ngo-a"].view(CASE)

        assert stage.received(outcome.id) == ("special-unit",)
        assert view is not None
        assert "special-unit" not in view.knows

    def test_nobody_opens_what_the_sender_left_out(self) -> None:
        """An event without a letter is opened by nobody."""
        stage = bus()

        assert stage.opens(stage.publish(signal()).id) == {}

    def test_an_unknown_case_is_nobodys(self) -> None:
        """Of a case that nobody published there is no status, no history and nothing to fold."""
        stage = bus()

        assert stage.standing(CASE).status is None
        assert stage.history(CASE) == ()
        assert stage.status_at("vac", CASE) is None
        assert stage.replay(CASE) == ()


DOORS = {
    "an unknown type": (words("ngo-a", "case.opened"), "unknown_type"),
    "an unknown field": (words("ngo-a", "case.signal_dismissed", data={"reason": "other", "why": "x"}), "unknown_field"),
    "a letter where none may be": (
        words("ngo-a", "case.signal_dismissed", data={"reason": "other"}, sealed={"notes": "x"}),
        "unknown_field",
    ),
    "an unknown field of the letter": (
        words("ngo-a", "case.re_referred", data={}, sealed={"name": "Alina"}),
        "unknown_field",
    ),
    "a ground that is no text": (words("ngo-a", "case.signal_dismissed", data={"reason": "other", "legal_basis": 7}), "unknown_field"),
    "a ground with a line break": (
        words("ngo-a", "case.signal_dismissed", data={"reason": "other", "legal_basis": "art.\n7"}),
        "unknown_field",
    ),
    "a consent for an unknown agency": (
        words(
            "ngo-a",
            "consent.given",
            data={"purposes": ["services"], "receivers": ["nobody"], "given_by": "individual", "form": "written"},
        ),
        "unknown_recipient",
    ),
    "an unknown recipient": (
        words("ngo-a", "plan.adopted", to=("nobody",), data={"services": ["legal"], "planned_end_days": 30}),
        "unknown_recipient",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "code"), DOORS.values(), ids=DOORS)
def test_words_that_a_door_refuses_are_no_event(said: Words, code: str) -> None:
    """Words that fit no schema never reach the registrar: a code, no rule, and no number is used up."""
    stage = bus()
    outcome = stage.publish(said)

    assert (outcome.registered, outcome.code, outcome.rule) == (False, code, None)
    assert stage.history(CASE) == ()


class TestRestart:
    """A killed agency returns with its state, and publishes nothing twice."""

    @pytest.mark.thorough
    @pytest.mark.parametrize("service", ["fund", "shelter", "special-unit", "registrar", "timekeeper"])
    def test_a_whole_story_survives_it(self, service: str) -> None:
        """Killed after every single event of the story, a service changes nothing in it."""
        told = read(find(WOMAN))
        stage = Killing(service)

        assert [str(failure) for failure in play(told, stage).failures] == []
        assert stage.kills > 40

    def test_an_allowance_is_ordered_once_though_the_fund_forgets(self) -> None:
        """The fund reads the whole history again. The order has the same id, so the registrar repeats the answer."""
        stage = MemoryBus()
        assert play(read(find(WOMAN)), stage).green
        stage.restart("fund")

        subject = next(iter(stage._history))
        orders = [event for event in stage.history(subject) if event.type == "payment.ordered"]
        assert len(orders) == 1
        assert stage.replay() == ()

    @pytest.mark.parametrize("service", ["broker", "auditor", "coordinator"])
    def test_a_missing_service_cannot_be_killed(self, service: str) -> None:
        """A bus in memory has no broker: to ask for its end is the mistake of the play."""
        with pytest.raises(StageError, match=f"no {service} that could be killed"):
            bus().restart(service)


class Killing(MemoryBus):
    """Kills one service after every event."""

    def __init__(self, service: str) -> None:
        """Kill *service*."""
        super().__init__()
        self.service = service
        self.kills = 0

    def publish(self, words: Words) -> Outcome:
        """Publish, then kill."""
        outcome = super().publish(words)
        self.restart(self.service)
        self.kills += 1
        return outcome


def bed(ref: str, case: str) -> str:
    """A request for the shelter's one bed for women."""
    return (
        f"- {{by: special-unit, event: shelter.bed_requested, case: {case}, ref: {ref}, to: [shelter], "
        "data: {urgency: urgent}, sealed: {category: women}}\n"
    )


def find_of_the_unit(case: str) -> str:
    """A signal of the special unit's own, with a consent for the shelter."""
    found = SIGNAL.replace("ngo-a", "special-unit").replace("detector: ngo_outreach", "detector: special_unit")
    consent = (
        CONSENT.replace("ngo-a", "special-unit").replace("[special-unit, vac]", "[shelter]").replace("0:10", "0:00")
    )
    return "".join(step.replace("case: woman", f"case: {case}") for step in (found, consent)).replace(
        "as: consent-1", f"as: consent-{case}"
    )


class TestProcedures:
    """Automatic events of agencies are published on this bus too."""

    def test_the_last_bed_is_offered_to_one(self) -> None:
        """Two cases, one bed: an offer and a refusal."""
        steps = (
            *(find_of_the_unit(case) for case in ("one", "two")),
            *(bed(f"B-{case}", case) for case in ("one", "two")),
            "- {check: events, cases: [one, two], type: shelter.bed_offered, count: 1}\n",
            "- {check: events, case: two, type: shelter.bed_refused, count: 1, data: {reason: no_capacity}}\n",
        )

        assert failures(*steps) == []

    def test_a_lapsed_offer_frees_the_bed(self) -> None:
        """Nobody came within a day: the next one who asks is offered the bed."""
        steps = (
            *(find_of_the_unit(case) for case in ("one", "two")),
            bed("B-one", "one"),
            bed("B-two", "two").replace("{by", "{at: 'd1 9:01', by"),
            "- {check: events, case: one, type: shelter.offer_lapsed, count: 1}\n",
            "- {check: events, case: two, type: shelter.bed_offered, count: 1}\n",
        )

        assert failures(*steps) == []

    def test_a_refused_answer_becomes_a_task(self) -> None:
        """A procedure's refused event becomes a task, and holds no bed."""
        stage = bus()
        stage.publish(signal())
        desk = stage._desks["shelter"]
        event = stage._submitted[stage._history[CASE][next(iter(stage._history[CASE]))].event.id][0]
        desk.be_refused(event, "wrong_state")

        assert [task.code for task in stage.tasks("shelter")] == ["refused"]
        assert stage.replay() == ()

    def test_an_unhandled_event_is_a_task(self) -> None:
        """A signal is on the list of the special unit's people; its sender's have their own next step."""
        stage = bus()
        stage.publish(signal())

        assert [task.code for task in stage.tasks("special-unit")] == ["read"]
        assert [task.code for task in stage.tasks("ngo-a")] == ["ask_first"]

    def test_a_desk_without_a_procedure_can_be_refused_nothing(self) -> None:
        """The agency publishes nothing automatically, and a refusal changes nothing."""
        stage = bus()
        stage.publish(signal())
        event = next(iter(stage._history[CASE].values())).event
        stage._desks["police-x"]._procedure = None
        stage._desks["police-x"].be_refused(event, "wrong_state")

        assert stage.tasks("police-x") == ()
        assert stage.replay() == ()

    def test_automatic_words_are_nobodys_hand(self) -> None:
        """Nobody of the staff said what a procedure said: the actor is a word of its own."""
        stage = MemoryBus()
        play(read(find(WOMAN)), stage)
        actors = {event.actor for event, _, _ in stage._submitted.values() if event.type == "payment.ordered"}

        assert BY_ITSELF in actors


class TestReplay:
    """The fold of the history is the live state, or somebody is told."""

    @pytest.mark.broken_trail("anomalies", reason="views lose a case")
    def test_a_view_that_went_astray_is_named(self) -> None:
        """Sabotage: one agency's view loses a case, the registrar's another."""
        stage = bus()
        stage.publish(signal())
        stage._desks["special-unit"]._views[CASE] = stage._rules.start(CASE)
        stage._views[CASE] = stage._rules.start(CASE)

        assert stage.replay(CASE) == (
            "the registrar holds a case otherwise than its history tells it",
            "special-unit shows a case otherwise than its own events tell it",
        )

    @pytest.mark.broken_trail("anomalies", reason="a book forgets a bed")
    def test_a_state_that_went_astray_is_named(self) -> None:
        """Sabotage: a shelter's book forgets a bed."""
        stage = bus()
        desk = stage._desks["shelter"]
        desk._state = type(desk._state)(places={})

        assert stage.replay() == ("shelter keeps its book otherwise than its own events tell it",)


def test_no_text_of_a_letter_is_in_an_envelope() -> None:
    """The carriers of the woman's story hold none of its names, texts and numbers, which a search would find."""
    stage = MemoryBus()
    play(read(find(WOMAN)), stage)

    assert stage.exposed(["CANARY-Alina Example", "CANARY-woman-story says she may not leave the flat"]) == ()
    assert stage.exposed(["ActualVictimOfTrafficking"]) == ("auditor", "broker", "registrar")


def test_a_text_in_any_script_is_found_in_an_envelope() -> None:
    """Sabotage: given Azerbaijani text in an envelope, with a quotation mark in it, then the search finds it."""
    text = 'CANARY Məryəm dedi: "Gəlin"'
    stage = bus()
    id = stage.publish(signal()).id
    event, letter, outcome = stage._submitted[id]
    assert stage.exposed([text]) == ()
    stage._submitted[id] = (event.model_copy(update={"legalbasis": text}), letter, outcome)

    assert stage.exposed([text]) == ("auditor", "broker", "registrar")


def test_figures_of_an_empty_bus_are_all_suppressed() -> None:
    """A bus without a case has the tables, and no count in them; a table that does not exist is named as such."""
    assert set(bus().statistics(2026, "identified_by_age").values()) == {"suppressed"}
    with pytest.raises(StageError, match="no table identified_by_shoe"):
        bus().statistics(2026, "identified_by_shoe")


def test_a_rule_that_forbids_the_timekeeper_ends_the_play() -> None:
    """Profile and engine contradict each other if what is due may not be said: the play does not hide it."""
    stage = MemoryBus()
    stage.admit({**scenario(SIGNAL).agencies, "timekeeper": Participant(role="vac")}, "az@2022-04-29", MONDAY)
    stage.publish(signal())

    stage.advance(MONDAY + timedelta(hours=23))
    with pytest.raises(StageError, match=r"refuse what the timekeeper says by itself: deadline\.breached"):
        stage.advance(MONDAY + timedelta(hours=24))


def test_an_altered_step_can_be_expected() -> None:
    """The small helper of these tests adds a key to a step."""
    assert expecting("- {a: 1}\n", "b: 2") == "- {a: 1, b: 2}\n"
