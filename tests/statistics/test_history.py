"""The history as the statistics read it: verified, in order, and named by its last registrations."""

import pytest

from agencies import BUS
from generations import before_type
from nrmbus.rules import Rules, load_profile
from nrmbus.statistics.history import Histories
from nrmbus.wire.history import HistoryFault
from nrmbus.wire.record import Record
from registrar.given import to
from registrar.kept_long_enough import Kept


def read(records: list[Record], kept: Kept, histories: Histories | None = None) -> Histories:
    """Return what a reader of *records* has, after what *histories* had."""
    found = histories or Histories(BUS, 1, lambda _: kept.bus.key.verify_key)
    for record in records:
        found.take(record, 0)
    return found


def test_reader_that_was_away_has_the_same_facts_and_checkpoints() -> None:
    """Reading in two parts, with a part read twice, gives what one reading gives; the checkpoint names the last registration."""
    kept = Kept()
    at_once = read(kept.history, kept)
    in_parts = read(kept.history[3:], kept, read(kept.history[:5], kept))

    assert (in_parts.facts, in_parts.checkpoints) == (at_once.facts, at_once.checkpoints)
    (checkpoint,) = at_once.checkpoints
    assert checkpoint.size == len(kept.history)
    assert checkpoint.head != read(kept.history[:-1], kept).checkpoints[0].head


@pytest.mark.parametrize("type_", ["case.signal_recorded", "access.erasure_due"])
def test_p5_history_with_an_event_of_a_later_release_is_not_known(type_: str) -> None:
    """Given a desk that is not upgraded yet, when an event is of a type that it lacks, then no figures are made of the rest."""
    kept = Kept()
    with before_type(type_):
        earlier = read(kept.history, kept)

    assert not earlier.is_known_to(kept.bus.rules)
    assert read(kept.history, kept).is_known_to(kept.bus.rules)


def test_p5_history_that_was_judged_by_a_profile_that_is_not_here_is_not_known() -> None:
    """Given a desk with other values under the name of the profile, then the clocks and counts of that profile are not its own."""
    kept = Kept()

    assert not read(kept.history, kept).is_known_to(Rules(load_profile(kept.bus.rules.profile.name), kept.bus.agencies))


@pytest.mark.parametrize("missing", [0, 3])
def test_history_with_a_gap_is_not_counted(missing: int) -> None:
    """A registration that was cut out stops the reading."""
    kept = Kept()
    with pytest.raises(HistoryFault):
        read([*kept.history[:missing], *kept.history[missing + 1 :]], kept)


def test_statistics_hear_nothing_of_a_case_whose_coded_facts_they_never_had() -> None:
    """P2: neither the order of its erasure nor anything else; `auditor/evidence/test_after_erasure.py` has one with facts."""
    kept = Kept()
    facts = read(kept.history, kept).facts
    erased = [fact for found in facts.values() for fact in found if fact.event.type == "access.erasure_due"]

    assert [fact.recipients for fact in erased] == [("ngo-a", "special-unit")]
    assert (
        to(
            kept.bus.say(kept.shard, "ngo-a", "case.signal_dismissed", {"reason": "other"}, case="ef" * 16),
            "statistics",
        )
        == []
    )
