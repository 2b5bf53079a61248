"""``nrmbus webhook``: endpoints of the agency's own system, which the desk notifies of events."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.cli.shown import short
from nrmbus.client.door import Door
from nrmbus.wire import times

app = Commands("webhook", "Webhooks: have a desk tell the agency's own system that something happened.")

Agency = Annotated[str, typer.Argument(help="The agency whose desk sends.")]
Id = Annotated[str, typer.Argument(help="The webhook's id, as nrmbus webhook list shows it.")]
Algorithm = Annotated[
    str | None, typer.Option(metavar="v1a|v1", help="v1a: Ed25519, the receiver gets a public key. v1: HMAC, a secret.")
]
_HOOKS: Final = "/v1/webhooks"


def _asked(context: BusContext, agency: str, ask: Callable[[Door], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    async def asked() -> dict[str, Any]:
        async with door_of(context.folder, agency) as door:
            return await ask(door)

    return asyncio.run(asked())


def _post(context: BusContext, agency: str, path: str, **params: str) -> dict[str, Any]:
    return _asked(context, agency, lambda door: door.post(f"{_HOOKS}/{path}", None, **params))


def _print_keys(hook: Mapping[str, Any]) -> None:
    """Print the receiver's verification keys. A secret is printed when a command makes the secret, and never again."""
    for each in hook["keys"]:
        until = f", until {short(each['until'])}" if "until" in each else ""
        once = " (shown once: give it to the receiver now)" if each.get("key", "").startswith("whsec_") else ""
        typer.echo(f"{each['algorithm']}{until}: {each.get('key', 'a secret that was shown when it was made')}{once}")


@app.register(example="nrmbus webhook add ngo-a https://hooks.ngo.example/nrmbus --type 'referral.*'")
def add(
    agency: Agency,
    url: Annotated[str, typer.Argument(help="Where the receiver listens: https, with a public address.")],
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="A type to be sent, or a group as 'referral.*'. (default: all)"),
    ] = None,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Of one case, have each wait for the one before it.")
    ] = False,
    algorithm: Algorithm = "v1a",
    context: BusContext,
) -> None:
    """Add a webhook; its receiver confirms it first. Print its id, and the key that the receiver verifies with."""
    body = {
        "url": url,
        "types": kind or [],
        "order": "case" if in_order else "none",
        "algorithm": algorithm or "v1a",
    }
    hook = _asked(context, agency, lambda door: door.post(_HOOKS, body))
    typer.echo(f"{hook['id']} is told from now on.")
    _print_keys(hook)


def standing(hook: Mapping[str, Any], now: datetime) -> str:
    """Return the line about a webhook: state, waiting messages, and the end of a pause of an active webhook."""
    order = "in order of each case" if hook["order"] == "case" else "as they come"
    since = f" since {short(hook['since'])}" if hook["state"] != "active" else ""
    fails = f", fails since {short(hook['failing'])}" if "failing" in hook else ""
    until = times.read(hook.get("held", ""))
    held = f", nothing is sent until {short(hook['held'])} UTC" if until is not None and until > now else ""
    return f"{hook['id']}  {hook['state']}{since}{fails}{held}, {hook['waiting']} waiting, {order}"


@app.register(example="nrmbus webhook list ngo-a", name="list")
def list_(agency: Agency, *, as_json: AsJson = False, context: BusContext) -> None:
    """List the webhooks of a desk: id, state, what waits, types, address."""
    found = _asked(context, agency, lambda door: door.get(_HOOKS))["webhooks"]
    if as_json:
        typer.echo(json.dumps({"webhooks": found}, indent=2))
        return
    for hook in found:
        typer.echo(standing(hook, datetime.now(UTC)))
        typer.echo(f"  {hook['url']}")
        typer.echo(f"  {', '.join(hook['types']) or 'all types but technical ones'}")
        _print_keys(hook)
    if not found:
        typer.echo(f"The desk of {agency} has no webhook: nrmbus webhook add {agency} URL")


@app.register(example="nrmbus webhook ping ngo-a 9f86d081884c7d65")
def ping(agency: Agency, webhook: Id, *, context: BusContext) -> None:
    """Send a ping and print the answer; a paused webhook that answers goes on. Exit status: 1 if it was not taken."""
    found = _post(context, agency, f"{webhook}/ping")
    typer.echo(f"{found.get('status') or found['error']} after {found['milliseconds']} ms")
    raise typer.Exit(not found["delivered"])


@app.register(example="nrmbus webhook rotate ngo-a 9f86d081884c7d65 --grace 3600")
def rotate(
    agency: Agency,
    webhook: Id,
    *,
    grace: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=0, max=604_800, help="How long the earlier key signs beside the new one."),
    ] = 86_400,
    algorithm: Algorithm = None,
    context: BusContext,
) -> None:
    """Give a webhook a new key and print it; the earlier one signs beside it until the grace is over."""
    chosen = {} if algorithm is None else {"algorithm": algorithm}
    _print_keys(_post(context, agency, f"{webhook}/rotate", grace=str(grace), **chosen))


@app.register(example="nrmbus webhook enable ngo-a 9f86d081884c7d65")
def enable(agency: Agency, webhook: Id, *, context: BusContext) -> None:
    """Have a paused or disabled webhook served again; what waited is sent now."""
    hook = _post(context, agency, f"{webhook}/enable")
    typer.echo(f"{webhook} is active, {hook['waiting']} waiting.")


@app.register(example="nrmbus webhook remove ngo-a 9f86d081884c7d65")
def remove(agency: Agency, webhook: Id, *, context: BusContext) -> None:
    """Remove a webhook with its secret; what was not sent yet is cancelled."""
    _asked(context, agency, lambda door: door.delete(f"{_HOOKS}/{webhook}"))
    typer.echo(f"{webhook} is removed.")


@app.register(example="nrmbus webhook deliveries ngo-a 9f86d081884c7d65 --state exhausted")
def deliveries(
    agency: Agency,
    webhook: Id,
    *,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only those that are open, delivered, exhausted or cancelled.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what happened then or later, as 2026-03-02T05:00:00Z.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what happened before then, in the same form.")
    ] = None,
    as_json: AsJson = False,
    context: BusContext,
) -> None:
    """Show what was sent to a webhook in the last 30 days, and what waits: each attempt with its status and duration."""
    given = {"state": state, "since": since, "until": until}
    chosen = {name: each for name, each in given.items() if each is not None}

    async def all_(door: Door) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = await door.get(f"{_HOOKS}/{webhook}/deliveries", after=str(after), **chosen)
            found += page["deliveries"]
            after = page["next"]
        return {"deliveries": found}

    found = _asked(context, agency, all_)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found["deliveries"]:
        due = f", due {short(each['due'])}" if "due" in each else ""
        if each["state"] == "open" and not due:
            due = ", sent when the webhook is active again"
        tried = (f"{one.get('status') or one['error']} ({one['milliseconds']} ms)" for one in each["attempts"])
        typer.echo(
            f"{short(each['time'])}  {each['type']}  {each['state']}{due}: {', '.join(tried) or 'not tried yet'}"
        )
        typer.echo(f"  {each['message']}")
    if not found["deliveries"]:
        typer.echo(f"Nothing{f' {state}' if state else ''} is in the log of {webhook}.")


@app.register(example="nrmbus webhook resend ngo-a 9f86d081884c7d65 msg_9f86d081884c7d659a2feaa0c55ad015")
def resend(
    agency: Agency,
    webhook: Id,
    message: Annotated[str, typer.Argument(help="The webhook-id of the message.")],
    *,
    context: BusContext,
) -> None:
    """Send one message again, whatever became of it, with the same webhook-id."""
    _post(context, agency, f"{webhook}/deliveries/{message}/again")
    typer.echo(f"{message} is sent again.")


@app.register(example="nrmbus webhook recover ngo-a 9f86d081884c7d65 --since 2026-03-02T05:00:00Z")
def recover(
    agency: Agency,
    webhook: Id,
    *,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="From this time on, with its zone, as 2026-03-02T05:00:00Z.")
    ],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before this time, in the same form. (default: all since)")
    ] = None,
    delivered: Annotated[bool, typer.Option("--delivered", help="Send again what was delivered, too.")] = False,
    context: BusContext,
) -> None:
    """Send what happened since then and was given up, or was never to be sent, with the same webhook-id as before.

    What was delivered more than 30 days ago is sent again, too.
    """
    chosen = {} if until is None else {"until": until}
    how = {"since": since, "delivered": str(delivered).lower(), **chosen}
    found = _post(context, agency, f"{webhook}/recover", **how)
    typer.echo(f"{found['deliveries']} are sent now.")
