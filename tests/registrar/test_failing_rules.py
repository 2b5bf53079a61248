"""Events on which the Rules fail: each is refused, and the registrar goes on (decision 0093)."""

import pytest

from nrmbus.rules import ProfileError, Refusal, Rules
from registrar.given import Bus, as_record, check_history, to
from registrar.test_shard import CONSENT, registration


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


@pytest.mark.parametrize("asked", ["judge", "audience", "evolve"])
@pytest.mark.parametrize("error", [OverflowError, ValueError, KeyError, IndexError, TypeError, RecursionError])
def test_an_event_on_which_the_rules_fail(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, asked: str, error: type[Exception]
) -> None:
    """Given Rules that fail on one event, then it is refused, the same after a restart, and the next one is registered."""

    def fail(*_: object, **__: object) -> None:
        raise error

    shard = bus.shard()
    bus.signal(shard)
    record = bus.signed(bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]}))
    with monkeypatch.context() as patched:
        patched.setattr(Rules, asked, fail)
        decision = bus.take(shard, record, owner="ngo-a")

    said = registration(decision)
    assert (decision.outcome, said.code, said.rule) == ("refused", "unknown_field", "W1")
    assert decision.error == error.__name__
    assert to(decision, "vac") == []
    assert bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]}).outcome == "registered"
    again = bus.take(check_history(bus, shard), record, owner="ngo-a")
    assert again.outcome == "repeated"
    assert [as_record(out) for out in again.outs] == [as_record(out) for out in to(decision, "ngo-a")]


@pytest.mark.parametrize(
    "more", [{"article": "Law 1 art. 1; " * 40}, {"code": "not_on_record_" * 5}, {"code": "_not_on_record"}]
)
def test_a_refusal_that_no_registration_takes(bus: Bus, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    """Given a profile with a too long basis or code, when its rule refuses, then the registrar says it as the wire does, and goes on."""
    said = {"code": "wrong_state", "rule": "G-40", "article": "Law 1 art. 1", "sentence": "Look.", **more}
    shard = bus.shard()
    bus.signal(shard)
    with monkeypatch.context() as patched:
        patched.setattr(Rules, "judge", lambda *_, **__: Refusal(**said))
        decision = bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]})

    assert (decision.outcome, decision.code, decision.error) == ("refused", "unknown_field", "ValidationError")
    assert bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]}).outcome == "registered"
    check_history(bus, shard)


@pytest.mark.parametrize("error", [ProfileError, MemoryError, OSError])
def test_what_is_no_fault_of_the_event_refuses_nothing(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Given a profile that does not read, or a machine that fails, then the registrar stops, instead of refusing all that comes."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Rules, "judge", fail)
    with pytest.raises(error):
        bus.signal(bus.shard())
