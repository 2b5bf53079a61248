"""Place of an event in the history."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in the history something happened: ``time`` of the event, ``registered`` by the registrar, its number."""

    id: str
    source: str
    time: datetime
    registered: datetime
    number: int
