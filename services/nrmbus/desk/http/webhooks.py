"""Routes of webhooks: endpoints of the agency's own system, their keys, and the log of what was sent to them."""

import json
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import AT, EVENT, Time
from nrmbus.desk.http.documented import Answer, Route, answers
from nrmbus.desk.http.parameters import After, Limit, Since, SinceThen, Until
from nrmbus.desk.http.request import read_as
from nrmbus.desk.http.served import Door, body_of, door_of, still_admitted
from nrmbus.desk.store import tables
from nrmbus.desk.webhooks import notices, store
from nrmbus.desk.webhooks.attempt import Fault
from nrmbus.desk.webhooks.dispatcher import GRACE_AT_MOST
from nrmbus.desk.webhooks.egress import LONGEST_URL
from nrmbus.desk.webhooks.signing import Algorithm, Secret
from nrmbus.desk.webhooks.store import DeliveryState
from nrmbus.events.errors import Problem
from nrmbus.events.model import Frozen
from nrmbus.wire import times

routes: Final = APIRouter(tags=["webhooks"], route_class=Route)

WebhookPath = Annotated[str, Path(description="Id of the webhook.")]
MessagePath = Annotated[str, Path(description="`webhook-id` of the message.")]
Grace = Annotated[
    int,
    Query(
        ge=0,
        le=int(GRACE_AT_MOST.total_seconds()),
        description="Seconds for which the earlier key signs beside the new one.",
    ),
]
With = Annotated[
    Algorithm | None,
    Query(alias="algorithm", description="Algorithm of the new key; that of the earlier one if left out."),
]
Delivered = Annotated[bool, Query(description="Send again what was delivered, too.")]
_DELIVERIES: Final = tables.deliveries.c
OfState = Annotated[DeliveryState | None, Query(alias="state", description="Only deliveries in this state.")]


class WebhookRequest(Frozen):
    """An endpoint to be added."""

    url: Annotated[
        str, Field(max_length=LONGEST_URL, description="Where the receiver listens: https, with a public address.")
    ]
    types: Annotated[
        tuple[Annotated[str, Field(max_length=100)], ...],
        Field(
            max_length=64,
            description="Types to be sent: of events, `nrmbus.event.registered`, `.refused`, `.failed`, `nrmbus.task.opened`; "
            "`referral.*` is a group. Left out: everything but technical events.",
        ),
    ] = ()
    order: Annotated[
        Literal["none", "case"], Field(description="`case`: of one case, each waits for the one before it.")
    ] = "none"
    algorithm: Annotated[
        Algorithm,
        Field(description="`v1a`: Ed25519, the receiver gets a public key. `v1`: HMAC-SHA256, it gets a secret."),
    ] = "v1a"


class Key(Answer):
    """What verifies the signatures of an endpoint."""

    algorithm: Algorithm
    key: str | None = Field(
        None, description="`whpk_` and a public key; `whsec_` and a secret, in the answer that made it and never again."
    )
    until: Time | None = Field(None, description="When it signs no more; left out for the key in use.")


class Webhook(Answer):
    """One endpoint."""

    id: str
    url: str
    types: list[str]
    order: Literal["none", "case"]
    state: Literal["active", "paused", "disabled"] = Field(
        description="`paused` after five days of failures; `disabled` after 410, or without a readable secret."
    )
    since: Time = Field(description="When the state began.")
    failing: Time | None = Field(None, description="Since when nothing but failures came.")
    held: Time | None = Field(
        None, description="Until when nothing is sent, since the receiver is overloaded or paused."
    )
    waiting: int = Field(description="Deliveries that are due or wait for their next attempt.")
    keys: list[Key] = Field(description="The newest first.")


class WebhookList(Answer):
    """Every endpoint: no more than a page has."""

    webhooks: list[Webhook]


class WebhookRemoved(Answer):
    """The id of the removed endpoint."""

    webhook: str
    removed: Literal[True]


class Pinged(Answer):
    """What came of a ping."""

    delivered: bool
    status: int | None = Field(None, description="Status of the answer.")
    error: Fault | None = Field(None, description="Why no answer came.")
    milliseconds: int


class AttemptMade(Answer):
    """One attempt of a delivery."""

    at: Time
    status: int | None = Field(None, description="Status of the answer.")
    error: Fault | None = Field(None, description="Why no answer came.")
    milliseconds: int


class Delivery(Answer):
    """What was, or is to be, sent to an endpoint. Bodies are not kept."""

    delivery: int
    message: str = Field(description="`webhook-id`: the same on each attempt.")
    type: str
    id: str = Field(description="`data.id` of the body.")
    time: Time
    state: DeliveryState
    due: Time | None = Field(
        None, description="The next attempt of an open delivery; none while the webhook is paused or disabled."
    )
    attempts: list[AttemptMade]


class DeliveryList(Answer):
    """A page of deliveries, oldest first."""

    deliveries: list[Delivery]
    next: int | None


class Again(Answer):
    """The message that is sent again."""

    message: str
    state: Literal["open"]


class Recovered(Answer):
    """The number of deliveries that are sent now."""

    deliveries: int


_ID: Final = "9f86d081884c7d65"
_MESSAGE: Final = "msg_9f86d081884c7d659a2feaa0c55ad015"
_KEY: Final = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
_HOOK: Final = {
    "id": _ID, "url": "https://hooks.ngo.example/nrmbus", "types": ["referral.*"], "order": "none", "state": "active",
    "since": AT, "waiting": 0, "keys": [{"algorithm": "v1a", "key": _KEY}],
}  # fmt: skip
_DELIVERY: Final = {
    "delivery": 7, "message": _MESSAGE, "type": "referral.submitted", "id": EVENT, "time": AT, "state": "delivered",
    "attempts": [{"at": AT, "status": 204, "milliseconds": 38}],
}  # fmt: skip


def _present(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


def _keys(held: tuple[Secret, ...], *, shows: int = 0) -> list[dict[str, Any]]:
    """Return the keys *held*; a secret is in it only among the first *shows*."""
    return [
        _present(
            {
                "algorithm": each.algorithm,
                "key": each.shown if each.is_public or number < shows else None,
                "until": each.until,
            }
        )
        for number, each in enumerate(held)
    ]


def _shown(door: Door, webhook: str, *, made: tuple[Secret, ...] = ()) -> dict[str, Any]:
    with door.ledger.read() as tx:
        row = store.endpoint(tx, webhook)
        waiting = store.waiting(tx, webhook)
    if row is None:
        raise DeskError("not_found")
    found = {
        "id": row.id, "url": row.url, "types": json.loads(row.types), "order": "case" if row.in_order else "none",
        "state": row.state, "since": row.since, "failing": row.failing, "held": row.held, "waiting": waiting,
    }  # fmt: skip
    return _present(found) | {"keys": _keys(made or door.webhooks.secrets(webhook), shows=1 if made else 0)}


@routes.post(
    "/v1/webhooks",
    summary="Add a webhook",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/WebhookRequest"},
                    "example": {"url": _HOOK["url"], "types": ["referral.*", "nrmbus.event.refused"]},
                }
            },
        }
    },
    **answers(
        Webhook, _HOOK, "json_invalid", "json_duplicate", "too_large", "unknown_field", "webhook_address_refused",
        "webhook_not_confirmed", "webhooks_full",
        needs=["administer"], said="The webhook, with its key. A secret is in this answer and in no other.",
    ),
)  # fmt: skip
async def add_webhook(request: Request) -> JSONResponse:
    """Record an endpoint that is sent what happens from now on, with its key sealed; its receiver confirms it first.

    The desk asks the receiver by `OPTIONS` with `WebHook-Request-Origin` (CloudEvents' HTTP webhooks), or else by a signed
    `nrmbus.challenge` whose `data.challenge` the receiver sends back as `{"challenge": "…"}`.
    """
    door = door_of(request)
    wanted, _ = read_as(WebhookRequest, await body_of(request))
    wrong = [number for number, each in enumerate(wanted.types) if not notices.is_type(each)]
    if wrong:
        raise DeskError("unknown_field", [Problem(f"/types/{number}", "unknown_type") for number in wrong])
    webhook, secret = await door.webhooks.add(
        wanted.url, wanted.types, in_order=wanted.order == "case", algorithm=wanted.algorithm,
        within=still_admitted(request),
    )  # fmt: skip
    return JSONResponse(_shown(door, webhook, made=(secret,)))


@routes.get(
    "/v1/webhooks",
    summary="List the webhooks",
    **answers(WebhookList, {"webhooks": [_HOOK]}, needs=["administer"], said="Every webhook."),
)
async def list_webhooks(request: Request) -> JSONResponse:
    """Return every endpoint with its state. Records nothing."""
    door = door_of(request)
    with door.ledger.read() as tx:
        found = [row.id for row in store.endpoints(tx)]
    return JSONResponse({"webhooks": [_shown(door, each) for each in found]})


@routes.get(
    "/v1/webhooks/{webhook}",
    summary="Look at a webhook",
    **answers(Webhook, _HOOK, "not_found", needs=["administer"], said="The webhook."),
)
async def get_webhook(request: Request, webhook: WebhookPath) -> JSONResponse:
    """Return one endpoint with its state and its public keys. Records nothing."""
    return JSONResponse(_shown(door_of(request), webhook))


@routes.delete(
    "/v1/webhooks/{webhook}",
    summary="Remove a webhook",
    **answers(
        WebhookRemoved, {"webhook": _ID, "removed": True}, "not_found", needs=["administer"], said="It is removed."
    ),
)
async def remove_webhook(request: Request, webhook: WebhookPath) -> JSONResponse:
    """Record the removal: address and secret are destroyed, open deliveries are cancelled, the log stays for 30 days."""
    await door_of(request).webhooks.remove(webhook, still_admitted(request))
    return JSONResponse({"webhook": webhook, "removed": True})


@routes.post(
    "/v1/webhooks/{webhook}/ping",
    summary="Send a ping",
    **answers(
        Pinged, {"delivered": True, "status": 204, "milliseconds": 38}, "not_found", "webhook_address_refused",
        "webhook_secret_lost",
        needs=["administer"], said="What came of it.",
    ),
)  # fmt: skip
async def ping_webhook(request: Request, webhook: WebhookPath) -> JSONResponse:
    """Send `nrmbus.ping` once and record the attempt. A paused endpoint that answers with success goes on."""
    attempt = await door_of(request).webhooks.ping(webhook)
    if attempt.error == "address_refused":
        raise DeskError("webhook_address_refused")
    found = {"status": attempt.status, "error": attempt.error, "milliseconds": attempt.milliseconds}
    return JSONResponse({"delivered": attempt.is_success} | _present(found))


@routes.post(
    "/v1/webhooks/{webhook}/rotate",
    summary="Change the key of a webhook",
    **answers(
        Webhook, _HOOK, "not_found", "unknown_field",
        needs=["administer"], said="The webhook with its keys. A secret is in this answer and in no other.",
    ),
)  # fmt: skip
async def rotate_webhook(
    request: Request, webhook: WebhookPath, grace: Grace = 86_400, algorithm: With = None
) -> JSONResponse:
    """Record a new key, sealed; the earlier key signs beside it for the time of `grace`, then it is used no more."""
    door = door_of(request)
    made = await door.webhooks.rotate(webhook, timedelta(seconds=grace), algorithm, still_admitted(request))
    return JSONResponse(_shown(door, webhook, made=made))


@routes.post(
    "/v1/webhooks/{webhook}/enable",
    summary="Enable a webhook again",
    **answers(Webhook, _HOOK, "not_found", needs=["administer"], said="The webhook."),
)
async def enable_webhook(request: Request, webhook: WebhookPath) -> JSONResponse:
    """Record that a paused or disabled endpoint is served again: all that waited is due now."""
    door = door_of(request)
    await door.webhooks.enable(webhook, still_admitted(request))
    return JSONResponse(_shown(door, webhook))


@routes.post(
    "/v1/webhooks/{webhook}/recover",
    summary="Send again what was missed",
    **answers(
        Recovered, {"deliveries": 12}, "not_found", "unknown_field",
        needs=["administer"], said="How many are sent now.",
    ),
)  # fmt: skip
async def recover_webhook(
    request: Request,
    webhook: WebhookPath,
    since: SinceThen,
    until: Until = None,
    delivered: Delivered = False,  # noqa: FBT002 - a query parameter has its default in the signature
) -> JSONResponse:
    """Record deliveries of what happened since `since`, before `until`, and was given up, or was never to be sent; same `webhook-id`.

    Deliveries are kept for 30 days: what was delivered earlier is sent again, too.
    """
    before = None if until is None else times.stamp(until)
    count = await door_of(request).webhooks.recover(
        webhook, times.stamp(since), before, delivered=delivered, within=still_admitted(request)
    )
    return JSONResponse({"deliveries": count})


@routes.get(
    "/v1/webhooks/{webhook}/deliveries",
    summary="Read the log of a webhook",
    **answers(
        DeliveryList, {"deliveries": [_DELIVERY], "next": 7}, "not_found", "unknown_field",
        needs=["administer"], said="A page of deliveries, oldest first.",
    ),
)  # fmt: skip
async def list_deliveries(
    request: Request,
    webhook: WebhookPath,
    after: After = 0,
    limit: Limit = 200,
    state: OfState = None,
    since: Since = None,
    until: Until = None,
) -> JSONResponse:
    """Return what was sent to an endpoint and what waits, with status and duration of each attempt. Records nothing."""
    door = door_of(request)
    with door.ledger.read() as tx:
        row = store.endpoint(tx, webhook)
        if row is None:
            raise DeskError("not_found")
        chosen = views.filtered(
            {"state": _DELIVERIES.state}, _DELIVERIES.time, {"state": state, "since": since, "until": until}
        )
        found = store.log(tx, row, chosen, after=after, limit=limit + 1)
    shown = [_present(each) | {"attempts": [_present(one) for one in each["attempts"]]} for each in found]
    return JSONResponse(views.page("deliveries", shown, limit, "delivery"))


@routes.post(
    "/v1/webhooks/{webhook}/deliveries/{message}/again",
    summary="Send one message again",
    **answers(Again, {"message": _MESSAGE, "state": "open"}, "not_found", needs=["administer"], said="It is due now."),
)
async def resend_delivery(request: Request, webhook: WebhookPath, message: MessagePath) -> JSONResponse:
    """Record that one message is sent again, whatever became of it, with the same `webhook-id`."""
    await door_of(request).webhooks.resend(webhook, message, still_admitted(request))
    return JSONResponse({"message": message, "state": "open"})
