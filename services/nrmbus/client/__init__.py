"""The SDK that an agency's own system imports: publish through the agency's desk, and read its inbox."""

from typing import TYPE_CHECKING, Any

from nrmbus.client.cursors import CursorFile, CursorStore, CursorTable
from nrmbus.client.desk import AsyncDesk, event_of
from nrmbus.client.errors import DoorError, RequestRefused, TokenRefused, Unavailable, Unreachable
from nrmbus.client.handlers import HandlerFailed, NotKnown
from nrmbus.client.received import Cursor, Received
from nrmbus.client.sync import Desk
from nrmbus.client.verdicts import Pending, Refused, Registered, Verdict
from nrmbus.client.webhook import Webhook, WebhookRefused, verify_webhook
from nrmbus.wire.ids import new_event_id, new_ref

if TYPE_CHECKING:
    from nrmbus.client.original import verify_original

__all__ = [
    "AsyncDesk", "Cursor", "CursorFile", "CursorStore", "CursorTable", "Desk", "DoorError", "HandlerFailed", "NotKnown", "Pending", "Received", "Refused", "Registered", "RequestRefused", "TokenRefused", "Unavailable", "Unreachable", "Verdict", "Webhook", "WebhookRefused", "event_of", "new_event_id", "new_ref", "verify_original", "verify_webhook",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Return `verify_original`, which alone needs the package cryptography.

    Raises:
        ModuleNotFoundError: cryptography is not installed; the message says which extra has it.
    """
    if name != "verify_original":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nrmbus.client.original import verify_original  # noqa: PLC0415 - see above

    return verify_original
