"""Nothing is committed that cannot be read again, and nobody can take another's place in the history."""

from pathlib import Path
from typing import Any

import pytest

from nrmbus.events.model import Part
from nrmbus.registrar.memory import HistoryError
from nrmbus.registrar.shard import Shard
from nrmbus.wire.record import Record
from registrar.given import CASE, SIGNAL, Bus, check_history, to

CONSENT = {"purposes": ["information_sharing", "services"], "given_by": "individual", "form": "written"}
REFERRAL = {"mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}
LETTER: dict[Part, dict[str, Any]] = {"coded": {}, "contact": {}, "identity": {}, "money": {}, "story": {}}


@pytest.fixture(name="bus")
def _bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path)


def with_many(bus: Bus, count: int) -> tuple[Shard, list[str]]:
    """A case whose consent covers *count* providers with names as long as names may be."""
    shard = bus.shard()
    bus.signal(shard)
    names = [f"provider-{number:02d}-with-a-long-name-xx" for number in range(count)]
    for name in names:
        bus.admit(name, "ngo_legal")
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [name]})
    return shard, names


def test_an_event_to_as_many_as_an_event_may_have_is_readable_again(bus: Bus) -> None:
    """64 receivers, each with a consent to be told first: refused with all names by part, then registered, and folded."""
    shard, names = with_many(bus, 64)
    event = bus.event("ngo-a", "referral.submitted", {**REFERRAL, "to": names}, referral="cd" * 16)
    refused = bus.take(shard, bus.signed(event, LETTER, ["statistics"]), owner="ngo-a")
    bare = bus.event("ngo-a", "referral.submitted", {**REFERRAL, "to": names}, referral="cd" * 16)
    told = bus.take(shard, bus.signed(bare), owner="ngo-a")

    assert refused.code == "audience_changed"
    assert told.outcome == "registered", told.code
    assert len(to(told, names[0])) == 2
    check_history(bus, shard)


def test_a_consent_keeps_its_place_though_another_uses_its_id(bus: Bus) -> None:
    """Another agency's event under the id of a consent does not become what a newcomer is told first."""
    shard = bus.shard()
    bus.signal(shard)
    bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
    consent = bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]})
    bus.take(shard, bus.signed(consent), owner="ngo-a")
    bus.say(
        shard,
        "special-unit",
        "consent.refused",
        {"purposes": ["tracing"], "receivers": ["fund"], "given_by": "individual"},
    )
    other = bus.event("special-unit", "consent.given", {**CONSENT, "receivers": ["vac"]}, id=consent.id)
    decision = bus.take(shard, bus.signed(other), owner="special-unit")

    assert decision.code == "id_reused"
    check_history(bus, shard)


def test_a_case_that_does_not_wake_is_not_taken_for_an_empty_one(bus: Bus) -> None:
    """An envelope that was exchanged stops whoever looks into its case, every time."""
    bus.signal(bus.shard())
    first = bus.history[0]
    shard = bus.shard()
    shard.memory.fold(Record(first.key, (first.value or b"").replace(b"emergency", b"normal"), first.headers))

    for _ in range(2):
        with pytest.raises(HistoryError, match="another envelope"):
            shard.memory.case(CASE)
    assert SIGNAL["urgency"] == "emergency"
