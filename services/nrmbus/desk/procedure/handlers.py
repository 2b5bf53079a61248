"""What a desk's handlers are made of: `about` picks the events, `Now` is what was heard, `Kept` the procedure's book.

A handler is one numbered line of an agency's procedure. It returns `Said`, which becomes outbox rows and tasks, or None
where the line is not about what was heard. What no handler takes becomes a task for a person.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Annotated, Any, TypeAlias, Union

from faststream import Context, ContextRepo, Depends, StreamMessage
from faststream.kafka.publisher import DefaultPublisher
from faststream.kafka.subscriber.usecase import DefaultSubscriber

from nrmbus.desk.procedure.interface import Heard, Line, Said
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.events.model import Data
from nrmbus.rules import read
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

Inbox: TypeAlias = DefaultSubscriber
"""Decorates a handler: ``@inbox(filter=about(BedRequested))``."""

Outbox: TypeAlias = DefaultPublisher
"""Decorates a handler whose answer is said: ``@outbox``."""

Now = Annotated[Heard, Context("heard")]
"""What was heard: the event, the letter as far as it opened, and the case after it."""


def _book(context: ContextRepo) -> Any:
    return context.get("book")


Kept = Annotated[Any, Depends(_book)]
"""The procedure's book as it was before what is heard now."""


def about(*types: type[Data]) -> Callable[[StreamMessage[Any]], Awaitable[bool]]:
    """Let through events of these *types*, of whichever version: a handler hears each in the one that procedures read."""
    names = {f"nrm.{each.type}" for each in types}

    async def is_about(message: StreamMessage[Any]) -> bool:
        return message.headers.get("ce_type") in names

    return is_about


def hears(inbox: Inbox, outbox: Outbox, line: Line[Any], *types: type[Data]) -> None:
    """Make a handler of one numbered *line*: ``@inbox(filter=about(*types))`` over ``@outbox``.

    Its name and docstring are the line's, and its first argument is typed as *types*, so that AsyncAPI shows both ways.
    """

    async def handler(event: Any, heard: Now, book: Kept) -> Said | None:  # noqa: ARG001 - FastStream decodes to its type
        return line(heard, book)

    handler.__name__, handler.__doc__ = line.__name__, line.__doc__
    handler.__annotations__["event"] = Union[types]  # noqa: UP007 - of a tuple that is only known here
    inbox(filter=about(*types))(outbox(handler))


async def data_of(message: StreamMessage[Any]) -> Data:
    """FastStream's decoder: the event's data, in the version that procedures read. The record was verified before."""
    raw = message.raw_message
    submitted, _ = Record(raw.key, raw.value, tuple(raw.headers)).split()
    return read(decode(submitted).event()).data


def join(role: str | None, inbox: Inbox, outbox: Outbox) -> None:
    """Add the handlers of the room that serves *role*, then the one for all that they leave."""
    room = ROOMS.get(role or "")
    if room is not None:
        import_module(f"nrmbus.{room}.app").join(inbox, outbox)

    @inbox
    async def leave_to_a_person() -> None:
        """Everything else: a task for a person; receipts and answers close rows and need nobody."""
