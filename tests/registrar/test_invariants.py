"""Invariants at the registrar: what is registered is numbered and answered once, whatever is submitted in which order.

A machine submits what agencies may try, submits it again, and restarts the registrar from its history in between (I-3, I-7).
"""

import random
from collections import Counter
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from agencies import NOW, SIGNAL
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import verify_registration
from registrar.given import Bus, check_history
from rules.given import DEFAULTS

SHORT: Final = settings(
    max_examples=25, stateful_step_count=16, deadline=None, derandomize=True, print_blob=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TRIED: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    *(("ngo-a", "consent.given", {"receivers": [each]}) for each in ("special-unit", "vac", "shelter")),
    ("ngo-a", "consent.refused", {"receivers": ["vac"]}),
    ("ngo-a", "consent.withdrawn", {"receivers": ["vac"]}),
    ("ngo-a", "referral.submitted", {"to": ["special-unit"]}),
    ("ngo-a", "referral.submitted", {"to": ["vac"]}),
    ("special-unit", "referral.acknowledged", {}),
    ("special-unit", "referral.accepted", {}),
    ("special-unit", "identification.stage_entered", {}),
    ("vac", "referral.accepted", {}),
    ("vac", "plan.adopted", {"to": ["shelter"]}),
    ("vac", "consent.stop_confirmed", {}),
    ("ngo-a", "case.withdrawn", {}),
    ("ngo-a", "case.closed", {}),
)
REFERRALS: Final = ("1" * 32, "2" * 32)


class Registrar(RuleBasedStateMachine):
    """One partition's registrar and its agencies."""

    @initialize()
    def open(self) -> None:
        """An NGO gives the signal."""
        self.bus = Bus()
        self.shard = self.bus.shard()
        self.submitted: list[tuple[str, Record]] = []
        self._take("ngo-a", self.bus.signed(self.bus.event("ngo-a", "case.signal_recorded", SIGNAL)))

    def _take(self, by: str, record: Record) -> str:
        outcome = str(self.bus.take(self.shard, record, owner=by, now=NOW).outcome)
        self.submitted.append((by, record))
        return outcome

    @rule(number=st.integers(0, 2**32))
    def submit(self, number: int) -> None:
        """Somebody submits something new, allowed or not."""
        dice = random.Random(number + len(self.submitted))
        by, type, said = dice.choice(TRIED)
        more: dict[str, Any] = {"referral": dice.choice(REFERRALS)} if type.startswith("referral.") else {}
        event = self.bus.event(by, type, {**DEFAULTS.get(type, {}), **said}, legalbasis="a law", **more)
        self._take(by, self.bus.signed(event))

    @rule(number=st.integers(0, 2**32))
    def submit_again(self, number: int) -> None:
        """The same bytes come again, and are no second event."""
        by, record = self.submitted[number % len(self.submitted)]
        before = len(self.bus.history)
        self._take(by, record)
        assert len(self.bus.history) == before

    @rule()
    def restart(self) -> None:
        """Another registrar goes on from the history."""
        self.shard = self.bus.shard()
        for record in self.bus.history:
            self.shard.memory.fold(record)
        self.shard.memory.check_head(lambda kid: {self.bus.key.kid: self.bus.key.verify_key}[kid])

    def teardown(self) -> None:
        """The history has each event once, and a fold of it is what the registrar knows."""
        if not hasattr(self, "bus"):
            return
        check_history(self.bus, self.shard)
        assert twice(self.bus) == []


def twice(bus: Bus) -> list[str]:
    """Return the ids that are registered more than once."""
    found = (
        verify_registration(dict(each.headers)[REGISTRATION], lambda _: bus.key.verify_key).id for each in bus.history
    )
    return [id for id, count in Counter(found).items() if count > 1]


def test_the_registrar_keeps_its_history_whole() -> None:
    """New, again, refused and restarted, in any order."""
    run_state_machine_as_test(Registrar, settings=SHORT)


def test_an_event_that_is_in_the_history_twice_is_found() -> None:
    """Sabotage: a record that was written once more."""
    bus = Bus()
    bus.signal(bus.shard())
    bus.history.append(bus.history[0])

    assert len(twice(bus)) == 1
