"""Breaking the glass at the registrar: what the sender reads, what the history knows, and how often a month."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agencies import NOW
from nrmbus.registrar.shard import Decision, Shard
from nrmbus.wire import ids
from nrmbus.wire.registration import AUDIENCE, Audience
from registrar.given import Bus, check_history, to
from registrar.test_shard import REF, registration


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


def known(bus: Bus, shard: Shard, case: str) -> str:
    """Return the reference of a case that the NGO holds, with a signal to the special unit and a referral to the legal NGO."""
    bus.signal(shard, case=case)
    bus.consents(shard, "ngo-l", case=case)
    data = {"to": ["ngo-l"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}
    assert bus.say(shard, "ngo-a", "referral.submitted", data, referral=REF, case=case).outcome == "registered"
    return case


def asks(bus: Bus, shard: Shard, case: str, by: str = "special-unit", **more: Any) -> Decision:
    """Two of the staff of *by* break the glass."""
    said = {"approver": "S-2", "referral": ids.new_ref()} | more
    return bus.say(shard, by, "access.break_glass", {"reason": "missing_person"}, case=case, **said)


def audience_of(bus: Bus) -> Audience:
    """Return the audience that the history has of the last submission."""
    return Audience.parse(dict(bus.history[-1].headers)[AUDIENCE])


def test_holder_and_a_second_agency_have_it_with_its_registration(bus: Bus) -> None:
    """And nobody else; before anything is sealed."""
    shard = bus.shard()
    decision = asks(bus, shard, known(bus, shard, ids.new_ref()))
    assert decision.outcome == "registered", decision.code
    assert audience_of(bus).recipients == ("ngo-a", "ngo-l")
    check_history(bus, shard)


def test_a_refusal_tells_its_sender_nothing_and_the_history_which_rule_it_was(bus: Bus) -> None:
    """No case, a stranger to it, a refusal of hers, one of the staff alone: the same words; P3 holds beside them.

    The answers differ only in numbers and in the sender's own input; the rule is behind a salted commitment, so that
    nobody finds it by trial.
    """
    shard = bus.shard()
    case = known(bus, shard, ids.new_ref())
    refused = known(bus, shard, ids.new_ref())
    said = {"purposes": ["tracing"], "receivers": ["special-unit"], "given_by": "individual"}
    assert bus.say(shard, "ngo-a", "consent.refused", said, case=refused).outcome == "registered"
    attempts: dict[str, Callable[[], Decision]] = {
        "G-02": lambda: asks(bus, shard, ids.new_ref()),
        "G-71": lambda: asks(bus, shard, refused),
        "G-20": lambda: asks(bus, shard, case, approver=None),
        "G-01": lambda: asks(bus, shard, case, by="fund"),
        "G-70": lambda: asks(bus, shard, case, by="ngo-a"),
    }
    own = {"audience", "envelope", "id", "key", "number", "previous", "sequence", "source", "subject", "time"}
    words = []
    for rule, attempt in attempts.items():
        decision = attempt()
        assert (decision.outcome, decision.code) == ("refused", "not_available")
        assert {out.topic for out in decision.outs} == {"nrm.cases", f"nrm.inbox.{registration(decision).source}"}
        words.append(
            {name: each for name, each in json.loads(registration(decision).json()).items() if name not in own}
        )
        assert audience_of(bus).because == rule
        assert audience_of(bus).commitment() == registration(decision).audience
        for out in to(decision, registration(decision).source):
            assert b"because" not in b"".join(value for _, value in out.all_headers())
    assert all(each == words[0] for each in words)
    assert words[0]["rule"] == "G-70"
    check_history(bus, shard)


def test_the_rule_behind_it_cannot_be_altered_unseen(bus: Bus) -> None:
    """The registration commits to it."""
    shard = bus.shard()
    decision = asks(bus, shard, ids.new_ref())
    told = audience_of(bus)
    other = Audience(**{**dict(told), "because": "G-71"})
    assert other.commitment() != registration(decision).audience


def test_an_agency_breaks_the_glass_three_times_a_month_over_all_its_cases(bus: Bus) -> None:
    """The fourth waits for the next month; another agency has its own three; a new start counts the same."""
    shard = bus.shard()
    outcomes = [asks(bus, shard, known(bus, shard, ids.new_ref())).outcome for _ in range(4)]
    assert outcomes == ["registered"] * 3 + ["refused"]
    assert audience_of(bus).because == "G-72"
    again = check_history(bus, shard)
    assert again.spent("special-unit", "2026-03") == 3
    case = known(bus, shard, ids.new_ref())
    assert asks(bus, shard, case, by="ngo-l").outcome == "registered"
    later = bus.say(
        shard, "special-unit", "access.break_glass", {"reason": "missing_person"}, case=case, approver="S-2",
        referral=ids.new_ref(), now=NOW + timedelta(days=31),
    )  # fmt: skip
    assert later.outcome == "registered", later.code


def test_what_is_known_of_other_partitions_counts(bus: Bus) -> None:
    """Whichever partition a case falls on; of the agency alone, and not twice."""
    known_elsewhere = {(0, "special-unit", "2026-03"): 2}
    shard = Shard(
        bus=bus.shard().bus, partition=0, partitions=1, rules=bus.rules, directory=bus.directory,
        salt=lambda: bytes(16), elsewhere=lambda *asked: known_elsewhere.get(asked, 0),
    )  # fmt: skip
    assert asks(bus, shard, known(bus, shard, ids.new_ref())).outcome == "registered"
    assert asks(bus, shard, known(bus, shard, ids.new_ref())).code == "not_available"
    assert asks(bus, shard, known(bus, shard, ids.new_ref()), by="ngo-l").outcome == "registered"


def test_an_asking_counts_in_the_month_of_its_registration(bus: Bus) -> None:
    """A registrar whose clock is behind the last registration uses that registration's time, and so its month."""
    shard = bus.shard()
    april = NOW + timedelta(days=30)
    for _ in range(3):
        case = known(bus, shard, ids.new_ref())
        assert asks(bus, shard, case, now=april).outcome == "registered"
    case = known(bus, shard, ids.new_ref())
    assert asks(bus, shard, case, now=april - timedelta(days=2)).code == "not_available"
    assert shard.spent("special-unit", "2026-04") == 3


def test_beside_any_other_refusal_nothing_stands(bus: Bus) -> None:
    """Beside other registrations too: a reader of the history without that type reads on."""
    shard = bus.shard()
    assert bus.signal(shard).outcome == "registered"
    assert audience_of(bus).because is None
    refused = bus.say(shard, "vac", "case.closed", {"reason": "integrated", "follow_up": True})
    assert refused.outcome == "refused"
    assert b"because" not in dict(bus.history[-1].headers)[AUDIENCE]
