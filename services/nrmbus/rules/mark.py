"""Place of an event in the history."""

from datetime import datetime

from nrmbus.events.values import frozen


@frozen
class Mark:
    """Where in the history something happened: ``time`` of the event, ``registered`` by the registrar, its number."""

    id: str
    source: str
    time: datetime
    registered: datetime
    number: int
