"""P7 at the bus's edge: a withdrawal reaches only the agency that it concerns, and a suspended agency owes its answer too."""

from datetime import timedelta

import pytest

from agencies import CASE, NOW, SIGNAL
from nrmbus.registrar.shard import Shard
from nrmbus.rules import View
from registrar.given import Bus, check_history, to
from registrar.test_directory import state
from registrar.test_shard import CONSENT, REFERRAL, registration
from rules.given import DEFAULTS
from rules.stories import BODIES

REF = "cd" * 16
TAKEN_BACK = {"purposes": ["information_sharing", "services"]}


@pytest.fixture
def bus() -> Bus:
    """A bus in memory."""
    return Bus()


def told(bus: Bus) -> Shard:
    """An adult lets vac and the fund be told; vac alone is sent something."""
    shard = bus.shard()
    bus.signal(shard)
    for agency in ("vac", "fund"):
        assert bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [agency]}).code is None
    referral = {**REFERRAL, "to": ["vac"], "reason": "Other"}
    assert bus.say(shard, "ngo-a", "referral.submitted", referral, referral=REF).code is None
    return shard


def view_of(shard: Shard) -> View:
    """The case as the registrar has it."""
    case = shard.memory.case(CASE)
    assert case is not None
    return case.view


def test_nobody_records_a_consent_to_itself(bus: Bus) -> None:
    """G-36: the registrar refuses the event that the agency's own desk let through, and nobody is notified."""
    shard = told(bus)
    decision = bus.say(shard, "vac", "consent.given", {**CONSENT, "receivers": ["vac"]})

    assert (decision.code, registration(decision).rule) == ("self_consent", "G-36")
    assert sorted(out.topic for out in decision.outs) == ["nrm.cases", "nrm.inbox.vac"]


def test_p7_a_withdrawal_reaches_who_was_told_and_not_who_was_not(bus: Bus) -> None:
    """Vac was sent something; the fund was named and sent nothing, so it does not learn now that there is a case."""
    shard = told(bus)
    vac = bus.say(shard, "ngo-a", "consent.withdrawn", {**TAKEN_BACK, "receivers": ["vac"]})
    fund = bus.say(shard, "ngo-a", "consent.withdrawn", {**TAKEN_BACK, "receivers": ["fund"]})

    assert sorted(out.topic for out in vac.outs) == ["nrm.cases", "nrm.inbox.ngo-a", "nrm.inbox.vac"]
    assert sorted(out.topic for out in fund.outs) == ["nrm.cases", "nrm.inbox.ngo-a"]
    assert b"fund" not in b"".join(out.value or b"" for out in to(vac, "vac"))
    assert [clock.answerable for clock in bus.rules.clocks(view_of(shard)) if clock.code == "D-STOP"] == ["vac"]
    check_history(bus, shard)


def test_p7_who_is_suspended_is_told_and_owes_its_answer(bus: Bus) -> None:
    """The withdrawal waits in the inbox while the duty runs; the agency's answer after its return ends the duty."""
    shard = told(bus)
    state(bus, "vac", "suspended", NOW)
    decision = bus.say(shard, "ngo-a", "consent.withdrawn", {**TAKEN_BACK, "receivers": ["vac"]})
    owed = [clock.answerable for clock in bus.rules.clocks(view_of(shard)) if clock.code == "D-STOP"]
    later = NOW + timedelta(hours=1)
    state(bus, "vac", "resumed", later)
    after = bus.say(shard, "vac", "consent.stop_confirmed", {"answer": "deleted"}, now=later)

    assert len(to(decision, "vac")) == 1
    assert owed == ["vac"]
    assert after.code is None
    assert "D-STOP" not in {clock.code for clock in bus.rules.clocks(view_of(shard))}


def test_a_refusal_by_a_child_is_registered_after_the_flag_that_its_receiver_has_not_heard(bus: Bus) -> None:
    """The house was asked for a bed for somebody of unknown age: it hears that she is a child, then that she refuses the house."""
    shard = bus.shard()
    bus.say(shard, "ngo-a", "case.signal_recorded", {**SIGNAL, "child": True})
    bus.say(shard, "ngo-a", "safeguard.child_flagged", {**DEFAULTS["safeguard.child_flagged"], "to": BODIES})
    bus.say(
        shard, "ngo-a", "shelter.bed_requested", {**DEFAULTS["shelter.bed_requested"], "to": ["shelter"]}, referral=REF
    )

    refused = bus.say(shard, "ngo-a", "consent.refused", {**DEFAULTS["consent.refused"], "receivers": ["shelter"]})

    assert refused.code is None
    heard = [dict(out.headers)["ce_type"] for out in to(refused, "shelter")]
    assert heard == [b"nrm.safeguard.child_flagged", b"nrm.consent.refused"]
    check_history(bus, shard)
