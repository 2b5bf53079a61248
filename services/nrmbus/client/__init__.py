"""The SDK that an agency's own system imports: publish through the agency's desk, and read its inbox."""

from nrmbus.client.cursors import CursorFile, CursorStore, CursorTable
from nrmbus.client.desk import AsyncDesk, Document, event_of
from nrmbus.client.errors import DoorError, RequestRefused, TokenRefused, Unavailable, Unreachable
from nrmbus.client.handlers import HandlerFailed, NotKnown, WaitCancelled
from nrmbus.client.original import verify_original
from nrmbus.client.received import Cursor, Received
from nrmbus.client.sync import Desk
from nrmbus.client.verdicts import Pending, Refused, Registered, Verdict
from nrmbus.client.webhook import Webhook, WebhookRefused, verify_webhook
from nrmbus.wire.ids import new_event_id, new_ref

__all__ = [
    "AsyncDesk", "Cursor", "CursorFile", "CursorStore", "CursorTable", "Desk", "Document", "DoorError", "HandlerFailed",
    "NotKnown", "Pending", "Received", "Refused", "Registered", "RequestRefused", "TokenRefused", "Unavailable",
    "Unreachable", "Verdict", "WaitCancelled", "Webhook", "WebhookRefused", "event_of", "new_event_id", "new_ref",
    "verify_original", "verify_webhook",
]  # fmt: skip
