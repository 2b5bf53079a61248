"""How long a duty may take, as a profile says it and a running clock keeps it."""

from typing import Annotated, Literal

from pydantic import Field

from nrmbus.events.model import Frozen


class Length(Frozen):
    """How long a duty may take; exactly one is set. ``event_days``: calendar days that the event names, else these."""

    hours: Annotated[int | None, Field(ge=1)] = None
    days: Annotated[int | None, Field(ge=1)] = None
    working_days: Annotated[int | None, Field(ge=1)] = None
    event_days: Annotated[int | None, Field(ge=1)] = None
    by_urgency: "dict[Literal['emergency', 'urgent', 'normal'], Length] | None" = None
