"""FastStream handlers of a desk's inbox: one for each line of the procedure, and one for all other events.

FastStream calls the first handler that fits and no other one. So each handler runs every line of the procedure, and
returns what they answer as one `Result`, which becomes outbox rows and tasks; None where no line applies.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, Union

from faststream import StreamMessage
from faststream.kafka.subscriber.usecase import DefaultSubscriber

from nrmbus.desk.procedure.interface import Heard, Line, Result, answered, lines_of
from nrmbus.desk.procedure.roles import procedure_of
from nrmbus.events.model import Data

Inbox: TypeAlias = DefaultSubscriber

HEARING: Final[ContextVar[tuple[Heard, Any]]] = ContextVar("hearing")
"""Event that a handler hears, and the procedure's book as it was before. FastStream's own ``Context`` and ``Depends``
would be asked in another thread, for each event."""


def about(*types: type[Data]) -> Callable[[StreamMessage[Any]], Awaitable[bool]]:
    """Return a filter that lets events of these *types* pass, in any version."""
    names = {f"nrm.{each.type}" for each in types}

    async def is_about(message: StreamMessage[Any]) -> bool:
        return message.headers.get("ce_type") in names

    return is_about


def _handle(line: Line[Any], lines: Sequence[Line[Any]], inbox: Inbox) -> None:
    """Subscribe all *lines* to the types of *line*, under its name and text for AsyncAPI."""

    async def handler(event: Any) -> Result | None:  # noqa: ARG001 - AsyncAPI shows its type
        heard, book = HEARING.get()
        return answered(lines, book, heard)

    handler.__name__, handler.__doc__ = line.name, line.text
    handler.__annotations__["event"] = Union[line.types]  # noqa: UP007 - of a tuple that is only known here
    inbox(filter=about(*line.types))(handler)


async def data_of(_: StreamMessage[Any]) -> Data:
    """Return the event's data for FastStream: verified and read already, in the version that procedures read."""
    return HEARING.get()[0].event.data


def join(role: str | None, inbox: Inbox) -> None:
    """Subscribe a handler for each line of the procedure that *role* runs, then one for all other events."""
    procedure = procedure_of(role) if role else None
    lines = lines_of(procedure) if procedure else ()
    for line in lines:
        _handle(line, lines, inbox)

    @inbox
    async def leave_to_a_person(event: Any) -> None:
        """Everything else: a task for a person; receipts and answers close rows and need nobody."""
