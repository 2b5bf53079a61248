"""An agency whose sealing key ended gets no sealed letter, and no sender may believe that the agency was reached."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agencies import SIGNAL
from nrmbus.events.model import Part
from nrmbus.registrar.shard import Shard
from nrmbus.wire import ids
from nrmbus.wire.record import Record
from registrar.given import Bus, check_history
from registrar.test_directory import rotated
from registrar.test_shard import LETTER, REF, REFERRAL, registration

ENDS = datetime(2026, 4, 1, tzinfo=UTC)
"""Everybody's keys hold from 1 January on."""


@pytest.fixture
def bus() -> Bus:
    """A bus for real cases on which all but the special unit have changed their keys in March."""
    found = Bus(bus="0123456789abcdef")
    for agency in ("ngo-a", "statistics", "vac"):
        rotated(found, agency, ENDS - timedelta(days=10), timedelta(hours=72))
    return found


def referral(bus: Bus, shard: Shard, at: datetime, *, to_the_unit: bool = True) -> Record:
    """A referral to the special unit under seal, in a case of its own."""
    case = ids.new_ref()
    consent = {"purposes": ["services", "information_sharing"], "receivers": ["special-unit"], "given_by": "individual",
               "form": "written"}  # fmt: skip
    for type_, data in (("case.signal_recorded", SIGNAL), ("consent.given", consent)):
        assert bus.say(shard, "ngo-a", type_, data, case=case, now=at).outcome == "registered"
    event = bus.event("ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="CoM 21/2008", case=case, at=at)
    unit = ["special-unit"] if to_the_unit else []
    readers: dict[Part, list[str]] = {"coded": ["statistics", *unit], "contact": unit, "identity": unit, "story": unit}
    return bus.signed(event, LETTER, readers)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("knows", [False, True])
def test_a_referral_to_it_is_refused_and_reaches_nobody(bus: Bus, knows: bool) -> None:  # noqa: FBT001 - a column
    """The code is the same whether or not the sender knows, and the unit is not told of the referral."""
    shard = bus.shard()
    before, after = referral(bus, shard, ENDS - SECOND), referral(bus, shard, ENDS, to_the_unit=not knows)
    first = bus.take(shard, before, owner="ngo-a", now=ENDS - SECOND)
    assert (first.outcome, first.code) == ("registered", None)
    decision = bus.take(shard, after, owner="ngo-a", now=ENDS)
    assert (decision.outcome, decision.code) == ("refused", "key_not_current")
    assert {out.topic for out in decision.outs} == {"nrm.cases", "nrm.inbox.ngo-a"}
    check_history(bus, shard)


def test_once_it_has_another_key_a_referral_reaches_it(bus: Bus) -> None:
    """From the moment on that the next one is confirmed."""
    shard = bus.shard()
    later = ENDS + timedelta(days=40)
    rotated(bus, "special-unit", later, timedelta(hours=72))
    assert bus.take(shard, referral(bus, shard, later), owner="ngo-a", now=later).outcome == "registered"


def test_others_are_told_without_it(bus: Bus) -> None:
    """A signal is registered without a part of the letter for the unit; a sender that sealed one is told the right audience."""
    shard = bus.shard()
    parts: dict[Part, dict[str, Any]] = {"coded": {}, "story": {}}
    for readers, code in ((["special-unit", "statistics"], "audience_changed"), (["statistics"], None)):
        event = bus.event("ngo-a", "case.signal_recorded", SIGNAL, case=ids.new_ref(), at=ENDS)
        decision = bus.take(shard, bus.signed(event, parts, {"coded": readers}), owner="ngo-a", now=ENDS)
        assert decision.code == code
        if code:
            assert "special-unit" not in str(registration(decision).seal_to)


def test_what_it_says_itself_is_taken_under_the_key_that_the_directory_has(bus: Bus) -> None:
    """As with an unconfirmed key: the agency may publish while it can keep its own letters."""
    shard = bus.shard()
    data = {**SIGNAL, "detector": "special_unit"}
    parts: dict[Part, dict[str, Any]] = {"coded": {}, "story": {}}
    event = bus.event("special-unit", "case.signal_recorded", data, case=ids.new_ref(), at=ENDS)
    assert (
        bus.take(shard, bus.signed(event, parts, {"coded": ["statistics"]}), owner="special-unit", now=ENDS).code
        is None
    )
