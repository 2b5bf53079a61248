"""Each hand-over has a clock and somebody who must answer: a walk over all types that turn to another agency."""

from typing import Final

import pytest

from agencies import POLICY
from nrmbus.events.registry import TYPES
from nrmbus.rules import load_profile
from nrmbus.rules.judge.check import WITH_TO
from nrmbus.rules.tables import Tables

PROFILE: Final = load_profile(POLICY)
TABLES: Final = Tables.of(PROFILE)
ASKS: Final = {
    "referral.submitted": {"D-ACK", "D-SERVICE"},
    "shelter.bed_requested": {"D-BED"},
    "service.requested": {"D-SERVICE"},
    "stay.hold_requested": {"D-HOLD"},
    "review.requested": {"D-REVIEW"},
    "consent.withdrawn": {"D-STOP"},
    "access.erasure_due": {"D-ERASE"},
}
"""Types that ask another agency for an answer, with the clocks that wait for it."""
TELLS: Final = {
    "data.breach_reported": "an agency that is affected gets a task, and owes no answer to the one that failed",
    "document.chunk_sent": "a piece of a file that was announced",
    "document.shared": "the desk's receipt says whether it could be read",
    "needs.assessed": "information for the members of a plan",
    "plan.adopted": "information for its members; each service is asked for by itself",
    "service.delivered": "the answer itself",
    "service.not_delivered": "the answer itself",
    "service.scheduled": "the answer itself",
}
"""Types that name receivers and ask nothing of them, each with the reason."""


@pytest.mark.parametrize("type", sorted(ASKS))
def test_whoever_is_asked_owes_an_answer_by_a_time_and_the_asker_hears_of_silence(type: str) -> None:
    """The clock runs from the question, for an agency that the event names, and its breach reaches who waits for it."""
    clocks = {code: rule for code, rule, _ in TABLES.starts[type]}

    assert ASKS[type] <= set(clocks)
    for code in ASKS[type]:
        assert clocks[code].answerable in {
            "to", "units_in_to", "others_in_to", "decider", "receivers_knowing", "holders",
        }  # fmt: skip
        assert clocks[code].told in {"asker", "terminator"}
        assert clocks[code].ends_by


def test_every_type_that_names_a_receiver_asks_or_says_why_not() -> None:
    """A new type with `to` is in one of the two tables, or starts a clock of its own: no hand-over ends in silence by oversight."""
    clocked = {name for name in WITH_TO if TABLES.starts.get(name)}

    assert set(WITH_TO) & set(PROFILE.types) - clocked == set(TELLS)
    assert not set(TELLS) & set(ASKS)
    assert {name for name, _ in TYPES} >= {*TELLS, *ASKS}


def test_a_breach_reaches_the_agency_its_supervisor_and_who_waits() -> None:
    """And the coordinator as a figure: the statistics count duties met and missed by clock, and no case goes with them."""
    row = PROFILE.types["deadline.breached"]

    assert {"answerable", "supervisor", "waiting"} <= set(row.sees)
    assert "coordinator" not in row.sees
