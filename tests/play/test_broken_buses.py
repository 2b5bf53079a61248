"""The player notices every bus that does not keep its promises."""

from collections.abc import Collection, Mapping
from datetime import datetime

import pytest

from nrmbus.events.model import Part
from nrmbus.play.memory import MemoryBus
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Outcome, StageError, Words
from play.stories import CONSENT, REFERRAL, SIGNAL, expecting, played, scenario

REPEATED = '- {at: "0:30", by: ngo-a, event: referral.submitted, case: woman, ref: R-1, again: true}\n'


class Gossip(MemoryBus):
    """Tells one agency too many."""

    def received(self, event: str) -> tuple[str, ...]:
        """Everybody whom it should, and other police."""
        return (*super().received(event), "police-x")


class OpenLetter(MemoryBus):
    """Lets other police open every part."""

    def opens(self, event: str) -> Mapping[Part, tuple[str, ...]]:
        """Everybody who should, and other police."""
        return {part: (*agencies, "police-x") for part, agencies in super().opens(event).items()}


class Readable(MemoryBus):
    """Keeps letters where its broker can read them."""

    def exposed(self, texts: Collection[str]) -> tuple[str, ...]:
        """Every text lies open at the broker."""
        return ("broker",) if texts else ()


class Forgetful(MemoryBus):
    """A registrar that takes repeated bytes for new ones."""

    def again(self, event: str) -> Outcome:
        """Another receipt for the same bytes."""
        return Outcome(event, "another registration")


class Doubling(MemoryBus):
    """Delivers what comes again once more."""

    def again(self, event: str) -> Outcome:
        """The same receipt, but the inbox grows."""
        self.twice = True
        return super().again(event)

    def inbox(self, agency: str, subject: str | None = None) -> tuple[str, ...]:
        """Everything twice, once something came again."""
        return super().inbox(agency, subject) * (2 if getattr(self, "twice", False) else 1)


class Leaking(MemoryBus):
    """Lets a refused event into somebody's inbox."""

    refused = 0

    def publish(self, words: Words) -> Outcome:
        """Count what was refused."""
        outcome = super().publish(words)
        self.refused += not outcome.registered
        return outcome

    def inbox(self, agency: str, subject: str | None = None) -> tuple[str, ...]:
        """One entry more for each refused event."""
        return (*super().inbox(agency, subject), *["referral.submitted"] * self.refused)


class Divergent(MemoryBus):
    """Holds a case otherwise than its history tells it."""

    def replay(self, subject: str | None = None) -> tuple[str, ...]:
        """Somebody's view went astray."""
        return ("vac shows a case otherwise than its own events tell it",)


class Slow(MemoryBus):
    """Does not come to rest."""

    def advance(self, at: datetime) -> None:
        """Fund never answers."""
        raise StageError("after 30 s the bus is not quiet: fund lags")


class Used(MemoryBus):
    """Is not on the stepped clock."""

    def admit(self, agencies: Mapping[str, Participant], policy: str, starts: datetime) -> None:
        """Refuse to be played on."""
        raise StageError("this bus has no stepped clock")


SEEN = expecting(REFERRAL, "seen_by: [special-unit]")
OPENED = expecting(REFERRAL, "opened_by: [special-unit]")
CLOSED = expecting(REFERRAL, "closed_to: [police-x, registrar, auditor, broker]")
UNNAMED = REFERRAL.replace("[special-unit], consent: consent-1", "[police-x]").replace("R-1", "R-2")
NOT_TO_POLICE = expecting(UNNAMED, "expect: {refused: recipient_not_allowed}")

BUSES = {
    "one is told too many": (
        Gossip(), SEEN, "step 3 (line 15): seen_by: expected special-unit, found police-x, special-unit",
    ),
    "one opens too many": (
        OpenLetter(), OPENED, "step 3 (line 15): opened_by identity: expected special-unit, found police-x, special-unit",
    ),
    "a letter opens where it must not": (
        OpenLetter(), CLOSED, ("step 3 (line 15): closed_to police-x: expected no part open, "
        "found coded, contact, identity, story"),
    ),
    "the broker could read": (
        Readable(), CLOSED, "step 3 (line 15): closed_to broker: expected no part open, found text of the letter",
    ),
    "the broker could read what was refused": (
        Readable(), expecting(NOT_TO_POLICE, "closed_to: [broker]"),
        "step 3 (line 15): closed_to broker: expected no part open, found text of the letter",
    ),
    "the same bytes get another receipt": (
        Forgetful(), REFERRAL + REPEATED, "step 4 (line 18): again: expected the same receipt, found another one",
    ),
    "the same bytes are delivered twice": (
        Doubling(), REFERRAL + REPEATED,
        "step 4 (line 18): referral.submitted: expected nothing to change, found a change of the history or of an inbox",
    ),
    "a refused event reaches somebody": (
        Leaking(), NOT_TO_POLICE,
        "step 3 (line 15): referral.submitted: expected nothing to change, found a change of the history or of an inbox",
    ),
    "a view goes astray": (
        Divergent(), REFERRAL, ("step 4 (line 18): replay: expected the fold of the history and the live state to be equal, "
        "found vac shows a case otherwise than its own events tell it"),
    ),
}  # fmt: skip


@pytest.mark.broken_trail("anomalies", reason="each bus breaks a promise, one of them that of its own fold")
@pytest.mark.parametrize(("stage", "step", "failure"), BUSES.values(), ids=BUSES)
def test_a_bus_that_breaks_a_promise_is_found(stage: MemoryBus, step: str, failure: str) -> None:
    """Sabotage: each broken promise fails at its step, with the expected and the actual value."""
    assert str(played(scenario(SIGNAL, CONSENT, step), stage).failures[0]) == failure


def test_a_bus_that_does_not_come_to_rest_fails_the_step() -> None:
    """A bus that is not quiet in time is named in the failure, and the play ends."""
    report = played(scenario(SIGNAL, CONSENT), Slow())

    assert str(report.failures[0]) == (
        "step 1 (line 11): case.signal_recorded: expected an answer of the bus, "
        "found none: after 30 s the bus is not quiet: fund lags"
    )
    assert report.played == 1


def test_a_bus_that_cannot_be_played_on_fails_before_anything_is_published() -> None:
    """Nothing is published on a bus that is not for playing."""
    report = played(scenario(SIGNAL), Used())

    assert (report.played, [failure.found for failure in report.failures]) == (
        0,
        ["none: this bus has no stepped clock"],
    )
