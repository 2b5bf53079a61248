"""Every published version is judged, by the same Rules; of any other the sender learns which ones are."""

from typing import Any

import pytest

from agencies import CASE
from generations import before_version
from nrmbus.events.registry import versions
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.shard import Decision, Shard
from nrmbus.wire.record import REGISTRATION
from nrmbus.wire.registration import Registration, verify_registration
from registrar.given import Bus, check_history

SERVICES: dict[int, Any] = {1: ["safe_shelter"], 2: [{"code": "safe_shelter", "time_frame": "24_hours"}]}
REFERRAL = {"to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency"}


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


def refer(bus: Bus, shard: Shard, version: int, **more: Any) -> Decision:
    """The NGO refers to the special unit, in *version*."""
    bus.consents(shard, "special-unit", case=more.get("case", CASE))
    data = REFERRAL | {"services": SERVICES[version]}
    more = {"referral": "f" * 32, "legalbasis": "CoM 21/2008 art. 7"} | more
    return bus.say(shard, "ngo-a", "referral.submitted", data, version=version, **more)


def said(bus: Bus, decision: Decision) -> Registration:
    """The registration in *decision*, its signature verified."""
    headers = dict(decision.outs[0].all_headers())
    return verify_registration(headers[REGISTRATION], lambda _: bus.key.verify_key)


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_is_registered_as_it_was_said(bus: Bus, version: int) -> None:
    """P8: bytes and signature of either version stand in the history as the sender made them."""
    shard = bus.shard()
    bus.signal(shard)
    bus.consents(shard, "special-unit")
    record = bus.signed(
        bus.event(
            "ngo-a", "referral.submitted", REFERRAL | {"services": SERVICES[version]}, version=version,
            referral="f" * 32, legalbasis="CoM 21/2008 art. 7",
        )
    )  # fmt: skip

    decision = bus.take(shard, record, owner="ngo-a")

    assert decision.outcome == "registered", decision.code
    kept = bus.history[-1].split()[0]
    assert (kept.key, kept.value, kept.headers) == (record.key, record.value, record.headers)
    check_history(bus, shard)


def test_the_same_rules_hold_for_both(bus: Bus) -> None:
    """A referral to the special unit that rests on no ground is refused by the same rule, whichever version says it."""
    verdicts = set()
    for version in (1, 2):
        shard = bus.shard()
        bus.history.clear()
        case = f"{version:032x}"
        bus.signal(shard, case=case)
        decision = refer(bus, shard, version, case=case, legalbasis=None, referral=None)
        verdicts.add((decision.outcome, said(bus, decision).rule))

    assert len(verdicts) == 1
    assert next(iter(verdicts))[0] == "refused"


def test_both_give_the_same_view(bus: Bus) -> None:
    """A fold of the history gives the same case for every version of the referral."""
    views = []
    for version in (1, 2):
        shard = bus.shard()
        bus.history.clear()
        bus.signal(shard)
        assert refer(bus, shard, version).outcome == "registered"
        case = shard.memory.case(CASE)
        assert case is not None
        views.append((case.view.status, tuple(case.view.open_referrals), case.view.count_for("special-unit")))
        bus._sequences.clear()

    assert views[0] == views[1]
    assert views[0][1]


class TestAReleaseBeforeTheVersion:
    def test_refuses_it_with_the_list_of_those_that_it_judges(self, bus: Bus) -> None:
        """P3: the refusal has code, rule and basis, and says in which versions to say it instead."""
        shard = bus.shard()
        bus.signal(shard)
        record = bus.signed(
            bus.event("ngo-a", "referral.submitted", REFERRAL | {"services": SERVICES[2]}, version=2, referral="f" * 32)
        )
        with before_version(2):
            decision = bus.take(shard, record, owner="ngo-a")

        registration = said(bus, decision)
        assert (registration.code, registration.rule) == ("unknown_version", "W3")
        assert registration.accepts == (1,)
        check_history(bus, shard)

    def test_of_a_version_that_nobody_has_published_all_are_named(self, bus: Bus) -> None:
        """The list is that of the type, lowest first."""
        shard = bus.shard()
        bus.signal(shard)
        event = bus.event("ngo-a", "referral.submitted", REFERRAL | {"services": SERVICES[2]}, version=2)
        later = bus.signed(type(event)(**{**dict(event), "version": 9}))

        assert said(bus, bus.take(shard, later, owner="ngo-a")).accepts == tuple(versions("referral.submitted"))
        check_history(bus, shard)

    def test_does_not_run_on_over_a_history_that_it_cannot_read(self, bus: Bus) -> None:
        """A downgraded registrar asks for an upgrade instead of claiming that the history was altered."""
        shard = bus.shard()
        bus.signal(shard)
        assert refer(bus, shard, 2).outcome == "registered"
        with before_version(2):
            older = bus.shard()
            for record in bus.history:
                older.memory.fold(record)
            with pytest.raises(HistoryError, match="upgrade"):
                older.memory.case(CASE)
