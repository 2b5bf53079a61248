"""The registrar in any case: its verdicts, recipients and state are those of the Rules, whatever is submitted and whenever it restarts.

Seeded stories over every type (`rules/roaming.py`) are signed, sealed and submitted to a real shard. Between the steps the
same bytes come again, and another registrar goes on from the history or from a snapshot. The long run begins anywhere.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from agencies import NOW
from nrmbus.events.model import Event, Fact, Part
from nrmbus.registrar.shard import Decision, Shard
from nrmbus.rules import Audience, Refusal, Rules
from nrmbus.wire import ids
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record
from registrar.given import check_history
from registrar.test_snapshot import Town
from rules.roaming import Roaming

SHORT: Final = settings(
    max_examples=6, stateful_step_count=12, deadline=None, derandomize=True, print_blob=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
LONG: Final = settings(SHORT, max_examples=200, stateful_step_count=40, derandomize=False)
_EACH: Final = 4
"""Steps of the story in one step of the machine."""


class Registered(Roaming):
    """A roaming case whose events go through a registrar, which must decide what the Rules decide."""

    def __init__(self, number: int, town: Town) -> None:
        super().__init__(number)
        self.town, self.shard = town, town.live
        self.agencies = {id: agency for id, agency in town.bus.agencies.items() if agency.role}
        self.rules = Rules(town.bus.rules.profile, self.agencies)
        self.view, self.now = self.rules.start(self.subject), NOW
        self.cast = self._cast()
        self.sent: list[tuple[str, Record]] = []
        self.spent: Counter[tuple[str, str]] = Counter()
        self._numbers: Counter[str] = Counter()

    def submit(self, event: Event) -> bool:
        """Submit *event*, sealed to its audience; compare verdict, code and recipients with those of the Rules."""
        self._numbers[event.source] += 1
        fresh = {"id": ids.new_event_id(), "sequence": self._numbers[event.source]}
        event = event.model_copy(update=fresh)
        spent = self.spent[event.source, self.rules.month(self.now)]
        refusal = self.rules.judge(self.view, event, self.now, spent=spent)
        audience = self.rules.audience(self.view, event, None, self.now)
        record = self._signed(event, audience)
        event = decode(record).event()
        decision = self.town.bus.take(self.shard, record, owner=event.source, now=self.now)
        self.sent.append((event.source, record))
        assert differing(decision, refusal, audience) == [], (event.type, event.source, self.story())
        if refusal is not None:
            return False
        if event.type == "access.break_glass":
            self.spent[event.source, self.rules.month(self.now)] += 1
        coded = event.sealeddigest is not None and "coded" in audience.opens
        told = tuple(sorted({*audience.recipients, *(("statistics",) if coded else ())}))
        fact = Fact.of(event, told, self.now, len(self.town.bus.history), self.rules.profile.name)
        self.register(fact, audience.earlier)
        return True

    def _signed(self, event: Event, audience: Audience) -> Record:
        letter = type(event.data).letter
        if event.sealeddigest is None or letter is None:
            return self.town.bus.signed(event.model_copy(update={"sealeddigest": None}))
        parts: dict[Part, dict[str, Any]] = {part: {} for part in letter.part_names()}
        readers = {part: tuple(audience.opens.get(part, ())) for part in parts}
        if "coded" in readers:
            readers["coded"] = (*readers["coded"], "statistics")
        return self.town.bus.signed(event.model_copy(update={"sealeddigest": None}), parts, readers)

    def _say(self, due: Any) -> tuple[str, ...]:
        """Have the timekeeper say what is due, at the registrar."""
        self.now = max(self.now, due.at)
        event = self.event("timekeeper", due.type, data=due.data, cause=due.cause, reference=due.ref, at=due.at)
        assert self.submit(event), f"the registrar refuses what the timekeeper says: {due}"
        return self.facts[-1].recipients


def differing(decision: Decision, refusal: Refusal | None, audience: Audience) -> list[str]:
    """Return in what the registrar's *decision* differs from what the Rules say."""
    if refusal is not None:
        return (
            []
            if (decision.outcome, decision.code) == ("refused", refusal.code)
            else [f"{decision.code} for {refusal.code}"]
        )
    if decision.outcome != "registered":
        return [f"{decision.outcome} {decision.code} for nothing"]
    told = {out.topic.removeprefix("nrm.inbox.") for out in decision.outs if out.topic.startswith("nrm.inbox.")}
    missing = set(audience.recipients) - told
    return [f"{each} is not told" for each in sorted(missing)]


class Registrar(RuleBasedStateMachine):
    """One registrar, and a case in which anybody tries anything."""

    @initialize(number=st.integers(0, 2**32))
    def open(self, number: int) -> None:
        """Somebody gives the signal."""
        self.folder = TemporaryDirectory()
        self.case = Registered(number, Town(Path(self.folder.name)))
        self.case.open()

    @rule()
    def go_on(self) -> None:
        """Agencies go on, and time passes."""
        for _ in range(_EACH):
            self.case.step()

    @rule(number=st.integers(0, 2**32))
    def submit_again(self, number: int) -> None:
        """The same bytes come again, and are no second event."""
        by, record = self.case.sent[number % len(self.case.sent)]
        before = len(self.case.town.bus.history)
        decision = self.case.town.bus.take(self.case.shard, record, owner=by, now=self.case.now)
        assert decision.outcome == "repeated"
        assert len(self.case.town.bus.history) == before

    @rule()
    def restart(self) -> None:
        """Another registrar goes on from the history."""
        bus = self.case.town.bus
        self.goes_on(bus.shard())
        for record in bus.history:
            self.case.shard.memory.fold(record)
        self.case.shard.memory.check_head(self.case.town.key_of)
        self.agrees()

    @rule()
    def restart_from_a_snapshot(self) -> None:
        """Another registrar goes on from a snapshot."""
        self.case.town.write()
        shard, head, refused = self.case.town.start()
        assert head is not None
        assert not refused
        self.goes_on(shard)
        self.agrees()

    def goes_on(self, shard: Shard) -> None:
        """Let *shard* be the registrar from here on."""
        self.case.shard = shard

    def agrees(self) -> None:
        """The registrar knows of the case what the Rules know."""
        found = self.case.shard.memory.case(self.case.subject)
        assert found is not None
        assert found.view == self.case.view

    def teardown(self) -> None:
        """A fold of the history is what the registrar knows, and what the Rules know."""
        if hasattr(self, "case"):
            try:
                check_history(self.case.town.bus, self.case.shard)
                self.agrees()
            finally:
                self.folder.cleanup()


@pytest.mark.thorough
def test_the_registrar_decides_as_the_rules_in_any_case() -> None:
    """A short run, which draws by no chance."""
    run_state_machine_as_test(Registrar, settings=SHORT)


@pytest.mark.slow
def test_the_registrar_decides_as_the_rules_in_any_case_for_long() -> None:
    """A long run from a seed that a failure prints."""
    number = secrets.randbits(32)
    print(f"seed {number}")  # noqa: T201 - pytest shows it with a failure

    class Seeded(Registrar):
        pass

    run_state_machine_as_test(seed(number)(Seeded), settings=LONG)


@pytest.fixture
def machine() -> Iterator[Registrar]:
    """A machine on the way, driven by hand."""
    found = Registrar()
    found.open(number=1)
    found.go_on()
    yield found
    found.folder.cleanup()


def test_the_machine_holds_when_it_is_driven_by_hand(machine: Registrar) -> None:
    """The story in which each sabotage is tried."""
    machine.restart()
    machine.go_on()
    machine.restart_from_a_snapshot()
    machine.submit_again(number=3)
    machine.teardown()


def test_a_registrar_that_lets_everything_in_is_found(machine: Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a verdict that is not the Rules'."""
    monkeypatch.setattr(machine.case.town.bus.rules, "judge", lambda *_, **__: None)

    with pytest.raises(AssertionError, match="for"):
        machine.case.attempt("vac", "case.closed", reason="integrated")


def test_a_registrar_that_leaves_out_a_recipient_is_found(machine: Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: nobody hears of anything."""
    monkeypatch.setattr(machine.case.town.bus.rules, "audience", lambda *_, **__: Audience((), {}, {}))
    by, unit = str(machine.case.view.detector), machine.case.units[0]

    said = {"given_by": "individual", "purposes": ["information_sharing"]}

    with pytest.raises(AssertionError, match="is not told"):
        machine.case.attempt(by, "consent.given", receivers=[unit], **said)


def test_a_registrar_that_loses_events_at_a_restart_is_found(machine: Registrar) -> None:
    """Sabotage: the second half of the history is not read."""
    shard, bus = machine.case.town.bus.shard(), machine.case.town.bus
    for record in bus.history[: len(bus.history) // 2]:
        shard.memory.fold(record)
    machine.goes_on(shard)

    with pytest.raises(AssertionError):
        machine.agrees()
