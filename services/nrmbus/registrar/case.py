"""State of one case, and of one answer."""

import pickle
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nrmbus.events.values import frozen
from nrmbus.registrar.records import Statement
from nrmbus.rules import View
from nrmbus.wire.record import Record

Value = TypeVar("Value")


class Packed(Generic[Value]):
    """Value that stays as bytes in a case that was read back from the spill file, until somebody asks for it.

    Most of a case's bytes are envelopes that its next event does not need. Each is pickled once, when its case is spilled for
    the first time, so the value must be complete by then: every statement in it is signed.
    """

    __slots__ = ("_bytes", "_value")

    def __init__(self, value: Value | None, content: bytes = b"") -> None:
        """Take a *value*, or None and the *content* as which it was pickled."""
        self._value, self._bytes = value, content

    @property
    def value(self) -> Value:
        """The value, read at the first call."""
        if self._value is None:
            # Nobody but this process has ever been able to open the spill file; a snapshot that it began with was signed.
            self._value = pickle.loads(self._bytes)  # noqa: S301
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type["Packed[Value]"], tuple[None, bytes]]:
        self._bytes = self._bytes or pickle.dumps(self._value, pickle.HIGHEST_PROTOCOL)
        return Packed, (None, self._bytes)


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
    heard_first: dict[str, Packed[tuple[Record, Statement]]] = field(default_factory=dict)
    """Envelopes that an agency which comes later hears before anything else: consents and refusals, what was found of the person's age, a bar on embassies, and what it missed."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of the registration per event, for later deliveries."""
    asleep: list[Packed[Asleep]] = field(default_factory=list)

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
