"""Nothing is committed that cannot be read again, and nobody can take another's place in the history."""

from typing import Any

import pytest

from agencies import CASE, SIGNAL
from nrmbus.events.model import Part
from nrmbus.registrar import shard as shard_module
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.shard import Shard
from nrmbus.wire import ids
from nrmbus.wire.record import Record
from registrar.given import Bus, check_history, to

CONSENT = {"purposes": ["information_sharing", "services"], "given_by": "individual", "form": "written"}
UNIT = "special-unit"
REFUSAL = {"purposes": ["tracing"], "given_by": "individual"}
REFERRAL = {"mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}
LETTER: dict[Part, dict[str, Any]] = {"coded": {}, "contact": {}, "identity": {}, "money": {}, "story": {}}


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


def with_many(bus: Bus, count: int) -> tuple[Shard, list[str]]:
    """A case whose consent covers *count* providers with names as long as names may be."""
    shard = bus.shard()
    bus.signal(shard)
    names = [f"provider-{number:02d}-with-a-long-name-xx" for number in range(count)]
    for name in names:
        bus.admit(name, "ngo_legal")
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [name]})
    return shard, names


@pytest.mark.thorough
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


def test_p1_an_event_whose_audience_no_reader_would_take_is_refused(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more to be told first than a header may name, then the event is refused, the case goes on, and the history is readable."""
    shard, names = with_many(bus, 8)
    data = {**REFERRAL, "to": names}
    with monkeypatch.context() as smaller:
        smaller.setattr(shard_module, "STATEMENT_LIMIT", 512)
        refused = bus.say(shard, "ngo-a", "referral.submitted", data, referral="cd" * 16)
    told = bus.say(shard, "ngo-a", "referral.submitted", data, referral="cd" * 16)

    assert (refused.outcome, refused.code) == ("refused", "too_large")
    assert told.outcome == "registered", told.code
    check_history(bus, shard)


@pytest.mark.thorough
def test_p1_a_case_that_is_closed_and_opened_without_end_takes_no_consent_away(bus: Bus) -> None:
    """Given a system that loops while the person refuses the special unit, when she consents, then the unit is told of it."""
    shard = bus.shard()
    bus.signal(shard)
    bus.say(shard, "ngo-a", "consent.refused", {**REFUSAL, "purposes": CONSENT["purposes"], "receivers": [UNIT]})
    for _ in range(60):
        bus.say(shard, "ngo-a", "case.closed", {"reason": "lost_contact", "follow_up": False})
        bus.say(shard, "ngo-a", "case.reopened", {"reason": "person_returned"})
    let_in = bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [UNIT]})

    assert let_in.outcome == "registered", let_in.code
    assert 1 < len(to(let_in, UNIT)) <= 17
    check_history(bus, shard)


def test_p1_a_letter_for_more_readers_than_a_refusal_can_name_is_refused_without_names(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a letter that has to open at more agencies than a statement has room for, then its refusal names none, and is readable."""
    monkeypatch.setattr(shard_module, "STATEMENT_LIMIT", 5 * 40 - 1)
    shard, event = bus.shard(), bus.event("ngo-a", "case.signal_recorded", {**SIGNAL, "child": True})
    parts: dict[Part, dict[str, Any]] = {"coded": {}, "story": {}}
    refused = bus.take(shard, bus.signed(event, parts), owner="ngo-a")

    assert (refused.outcome, refused.code) == ("refused", "letter_too_large")
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


def test_nobody_puts_an_event_in_the_place_of_anothers(bus: Bus) -> None:
    """A recipient publishes under an id that the letter's sender uses, or the sender would never learn who could open the letter."""
    shard = bus.shard()
    bus.signal(shard)
    for receiver in ("special-unit", "vac"):
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [receiver]})
    readers = ["special-unit", "vac", "statistics"]
    referral = bus.event(
        "ngo-a", "referral.submitted", {**REFERRAL, "to": readers[:2]}, referral="cd" * 16, legalbasis="CoM 21/2008"
    )
    parts: dict[Part, tuple[str, ...]] = {
        part: () if part == "money" else (*readers[:2], *(["statistics"] if part == "coded" else [])) for part in LETTER
    }
    told = bus.take(shard, bus.signed(referral, LETTER, parts), owner="ngo-a")
    assert told.outcome == "registered", (told.code, told.outs)
    taking = bus.event("vac", "consent.refused", {**REFUSAL, "receivers": ["fund"]}, id=referral.id)
    decision = bus.take(shard, bus.signed(taking), owner="vac")
    opened = bus.say(shard, "special-unit", "letter.opened", {}, causationid=referral.id)

    assert (decision.outcome, decision.code) == ("refused", "id_reused")
    assert to(opened, "ngo-a"), "its sender hears that it was opened"
    check_history(bus, shard)


def test_who_knows_an_id_and_not_the_case_learns_nothing_by_using_it(bus: Bus) -> None:
    """The answer is the same, whether an event of that id stands in the case or not."""
    shard = bus.shard()
    bus.signal(shard)
    given = bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
    bus.take(shard, bus.signed(given), owner="ngo-a")
    tried = [bus.event("vac", "consent.given", {**CONSENT, "receivers": ["fund"]}, id=id) for id in (given.id, None)]

    assert [bus.take(shard, bus.signed(each), owner="vac").code for each in tried] == ["unknown_case", "unknown_case"]


def told(bus: Bus, shard: Shard, receivers: list[str]) -> str:
    """Return the id of a referral to *receivers*; a receipt of one receiver is no matter of another."""
    bus.signal(shard)
    for receiver in receivers:
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [receiver]})
    referral = bus.event(
        "ngo-a", "referral.submitted", {**REFERRAL, "to": receivers}, referral="cd" * 16, legalbasis="CoM 21/2008"
    )
    readers: dict[Part, tuple[str, ...]] = {
        part: () if part == "money" else (*receivers, *(["statistics"] if part == "coded" else [])) for part in LETTER
    }
    assert bus.take(shard, bus.signed(referral, LETTER, readers), owner="ngo-a").outcome == "registered"
    return referral.id


@pytest.mark.parametrize("said", [True, False], ids=["said", "not said yet"])
def test_p2_nobody_finds_out_who_else_was_told_by_an_id_that_anybody_can_work_out(bus: Bus, *, said: bool) -> None:
    """Receipts have ids that follow from reader and letter: tried by another reader, the answer is always the same."""
    shard = bus.shard()
    referral = told(bus, shard, ["special-unit", "vac"])
    ids_ = {agency: ids.said_by_itself(agency, referral, "letter") for agency in ("special-unit", "ngo-l")}
    if said:
        bus.say(shard, "special-unit", "letter.opened", {}, causationid=referral, id=ids_["special-unit"])
    read = {"what": "case", "purpose": "case_work"}
    answers = {agency: bus.say(shard, "vac", "access.granted", read, id=id).code for agency, id in ids_.items()}

    assert answers == {"special-unit": "id_reused", "ngo-l": "id_reused"}
    check_history(bus, shard)


def test_nobody_takes_beforehand_the_id_of_what_another_has_to_say(bus: Bus) -> None:
    """Else a receipt, an erasure confirmed or what an emergency needs would be refused when it comes."""
    shard = bus.shard()
    referral = told(bus, shard, ["special-unit", "vac"])
    id = ids.said_by_itself("special-unit", referral, "letter")
    bus.say(shard, "vac", "access.granted", {"what": "case", "purpose": "case_work"}, id=id)
    opened = bus.say(shard, "special-unit", "letter.opened", {}, causationid=referral, id=id)

    assert opened.outcome == "registered"
    assert to(opened, "ngo-a"), "its sender hears that it was opened"
    check_history(bus, shard)


def test_an_id_without_a_mark_is_its_senders(bus: Bus) -> None:
    """A system of an agency's own, and a release before this one, work their ids out in another way."""
    shard = bus.shard()
    bus.signal(shard, id=ids.derived("ngo-a", "a case of its own system", "signal"))
    given = {**CONSENT, "receivers": ["vac"]}

    assert bus.say(shard, "ngo-a", "consent.given", given, id=ids.said_by_itself("ngo-a", "x", "y")).code is None
    check_history(bus, shard)


def test_a_case_that_does_not_wake_is_not_taken_for_an_empty_one(bus: Bus) -> None:
    """An exchanged envelope stops every reader of its case, every time."""
    bus.signal(bus.shard())
    first = bus.history[0]
    shard = bus.shard()
    shard.memory.fold(Record(first.key, (first.value or b"").replace(b"emergency", b"normal"), first.headers))

    for _ in range(2):
        with pytest.raises(HistoryError, match="another envelope"):
            shard.memory.case(CASE)
    assert SIGNAL["urgency"] == "emergency"
