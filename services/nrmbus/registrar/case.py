"""State of one case, and of one answer."""

from dataclasses import dataclass, field

from nrmbus.events.values import frozen
from nrmbus.registrar.records import Statement
from nrmbus.rules import View
from nrmbus.wire.record import Record


@frozen
class Asleep:
    """A committed event that was not looked into yet: *told* are its recipients, *time*, *number* and *policy* the registration's."""

    record: Record
    told: tuple[str, ...]
    time: str
    number: int
    policy: str


@dataclass(slots=True)
class Case:
    """What is known of one case; *asleep* are committed records of it that were not looked into yet."""

    view: View
    sequences: dict[str, int] = field(default_factory=dict)
    heard_first: dict[str, tuple[Record, Statement]] = field(default_factory=dict)
    """Envelopes that an agency which comes later hears before anything else: consents and refusals, what was found of the person's age, a bar on embassies, and what it missed."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of the registration per event, for later deliveries."""
    asleep: list[Asleep] = field(default_factory=list)

    def count(self, source: str, sequence: int) -> None:
        """Note that *source* used *sequence*. An id used again may come with any; only the due one counts."""
        if sequence == self.sequences.get(source, 0) + 1:
            self.sequences[source] = sequence


@frozen
class Known:
    """A submission that was answered: repeated bytes get these very statements again."""

    envelope: str
    registration: Statement
    receipt: Statement
    refused: bool
