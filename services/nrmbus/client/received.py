"""Events that an agency received, read by the published models."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from nrmbus.events.errors import EventError
from nrmbus.events.model import Data, Letter
from nrmbus.events.registry import data_type
from nrmbus.wire.ids import lp, uuid7


class Cursor(NamedTuple):
    """Place in an inbox: the row of the last event that a program has dealt with, and the ledger that numbered it."""

    row: int = 0
    ledger: str | None = None

    def __str__(self) -> str:
        return f"{self.row}-{self.ledger}" if self.ledger else str(self.row)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that was written as *text* by ``str``.

        Raises:
            ValueError: *text* is no cursor.
        """
        row, _, ledger = text.partition("-")
        if not (row.isascii() and row.isdecimal()):
            raise ValueError("a cursor is a row, and after a hyphen its ledger") from None
        return cls(int(row), ledger or None)


BEGINNING: Final = Cursor()
Content_co = TypeVar("Content_co", bound=Data | None, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received(Generic[Content_co]):
    """Event in the inbox of an agency, in the version that the program speaks.

    Neither the clear data nor the letter are shown by ``repr``, so a program's log has neither.
    """

    cursor: Cursor
    """Place of this event: store it when the event is dealt with, and go on from there."""
    id: str
    """The same each time the event comes: the key by which a program knows a repetition."""
    type: str
    published: int
    """Version in which the event was published and signed."""
    case: str
    source: str
    number: int
    time: datetime
    """When it happened."""
    registered: datetime
    ref: str | None = None
    """Referral, bed, hold, payment, service or review that the event is about."""
    data: Content_co = field(repr=False)
    """Data as the published model of the type and version; None if the desk, or this program's release, does not know it."""
    letter: Letter | None = field(default=None, repr=False)
    """Letter as far as it was opened, if it was."""
    parts: tuple[str, ...] = ()
    """Parts of the letter that this agency may open."""
    shut: str | None = None
    """Reason why the letter stays closed."""
    row: Mapping[str, Any] = field(repr=False)
    """The desk's whole row in JSON types: ``lost``, ``original``, ``parked`` and all else."""

    def answer_id(self, name: str) -> str:
        """Return the id for this program's answer called *name* to this event: the same each time the event comes.

        A handler that publishes under this id publishes once, however often it is called.
        """
        digest = hashlib.sha256(lp("nrmbus/answer/v1") + lp(self.source) + lp(self.id) + lp(name)).digest()
        return uuid7(int(self.registered.timestamp() * 1000), digest)


def received(row: Mapping[str, Any], ledger: str | None) -> Received[Data | None]:
    """Return the event in *row* of the inbox, whose rows *ledger* numbers."""
    data, letter = _content(row)
    return Received(
        cursor=Cursor(row["row"], ledger), id=row["id"], type=row["type"], published=row["published"], case=row["case"],
        source=row["source"], number=row["number"], time=_time(row["time"]), registered=_time(row["registered"]),
        ref=row.get("ref"), data=data, letter=letter, parts=tuple(row["parts"]), shut=row.get("shut"), row=row,
    )  # fmt: skip


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _content(row: Mapping[str, Any]) -> tuple[Data | None, Letter | None]:
    with suppress(EventError):  # a version that only the desk's release knows
        if row.get("unknown"):
            return None, None
        model = data_type(row["type"], row["version"])
        letter = model.letter.from_parts(row["letter"]) if model.letter and "letter" in row else None
        return model.from_mapping(row["data"]), letter
    return None, None
