"""``nrmbus publish``: publishes an event through the agency's own desk, and prints the registrar's verdict."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.references import WHOLE, whole
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import UNANSWERED, door_of, known_cases, known_refs, published
from nrmbus.cli.desk.documents import object_in
from nrmbus.cli.options import BusContext
from nrmbus.client.desk import event_of
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.desk.errors import MEANINGS
from nrmbus.wire.ids import EVENT_ID, new_ref

app = Commands()

REFUSED: Final = 1
"""Exit status if the event was refused, as for every error."""
_LARGEST: Final = 512 * 1024
"""Largest file of an event, in bytes."""


@app.register(example="nrmbus publish ngo-a --event deploy/examples/signal.json")
def publish(  # noqa: PLR0913 - a command's options are its arguments
    agency: Annotated[str, typer.Argument(help="The agency that publishes the event.")],
    type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Type of the event, if FILE does not give it.")
    ] = None,
    *,
    event: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The event as JSON, `-` for standard input: type, case, to, data, sealed, …"),
    ] = None,
    case: Annotated[
        str | None, typer.Option(metavar="REF", help="The case: its reference, or the first 8 digits or more.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="A,B", help="Receivers that you choose.")] = None,
    ref: Annotated[
        str | None,
        typer.Option(
            metavar="REF", help="The referral, bed, hold or payment that the event is about; `new` for a new one."
        ),
    ] = None,
    consent: Annotated[str | None, typer.Option(metavar="ID,ID", help="The consents that the event rests on.")] = None,
    decision: Annotated[str | None, typer.Option(metavar="ID", help="The decision that the event rests on.")] = None,
    legal_basis: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The act and article of the legal basis.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(metavar="CODE", help="Code of the person who acts; only your agency can read it.")
    ] = None,
    approver: Annotated[
        str | None, typer.Option(metavar="CODE", help="Code of the second person, if two must act.")
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="The id that an unanswered command printed: with it, the event is published once.",
        ),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=30, help="Seconds to wait for the verdict.")] = 20.0,
    alone: Annotated[
        Literal["case", "id", "ref", "number"] | None,
        typer.Option("--print", help="Print only this field of the registered event, for scripts."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the desk's whole answer as JSON.")] = False,
    context: BusContext,
) -> None:
    """Publish an event: the agency's desk signs it, seals its letter and sends it; the command prints the verdict.

    Personal data come from FILE or standard input, never from the command line, which other users can see. Exit
    status: 0 if registered, 1 if refused, 3 if there is no verdict yet (the desk keeps the event and sends it), or if the
    desk does not answer and may have the event: then give the command again with the --id that is printed.
    """
    folder = context.folder
    words = {
        "type": type,
        "case": case,
        "to": listed(to),
        "ref": ref,
        "consent": listed(consent),
        "decision": decision,
        "legal_basis": legal_basis,
        "actor": actor,
        "approver": approver,
        "id": id,
    }
    instead = "name one with --event FILE, or use --event - for standard input"
    given = object_in(event.removeprefix("@"), _LARGEST, instead) if event is not None else {}
    body = _together(given, {name: value for name, value in words.items() if value is not None})
    answer = asyncio.run(_publish(folder, agency, body, wait))
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif alone and answer["verdict"] == "registered":
        typer.echo(" ".join(str(said.get(alone, "-")) for said in answer["events"]))
    else:
        for said in answer["events"]:
            typer.echo(line_of(said), err=alone is not None)
        if answer.get("waits_for"):
            typer.echo(answer["waits_for"], err=True)
    raise typer.Exit(status_of(answer))


def status_of(answer: Mapping[str, Any]) -> int:
    """Return the exit status that says the verdict of *answer*."""
    return {"registered": 0, "pending": UNANSWERED}.get(answer["verdict"], REFUSED)


def listed(names: str | None) -> list[str] | None:
    """Return the names in *names*, which commas separate; None if nothing is given."""
    return [name.strip() for name in names.split(",") if name.strip()] if names is not None else None


def _together(body: dict[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    for name in words:
        if name in body and body[name] != words[name]:
            option = "TYPE" if name == "type" else f"--{name.replace('_', '-')}"
            raise BusError(f"{option} and the file contradict each other: leave one of them out.")
    body |= words
    if "type" not in body:
        raise BusError(
            "The event has no type: nrmbus publish AGENCY TYPE, or `type` in the file; nrmbus schema list shows the types."
        )
    if "actor" not in body:
        raise BusError(
            "The event does not say who acts: give a code that only your agency can read, with --actor CODE or `actor` in the file."
        )
    return body


async def _publish(folder: BusFolder, agency: str, body: dict[str, Any], wait: float) -> dict[str, Any]:
    async with door_of(folder, agency) as door:
        case, ref = body.get("case"), body.get("ref")
        if isinstance(case, str) and len(case) != WHOLE:
            body = body | {"case": whole(case, await known_cases(door))}
        if ref == "new":
            body = body | {"ref": await _ref_of(door, body.get("id")) or new_ref()}
        elif isinstance(ref, str) and len(ref) != WHOLE and case is not None:
            body = body | {"ref": whole(ref, await known_refs(door, body["case"]), "--ref")}
        for note in await _silent(door, body.get("to")):
            typer.echo(note, err=True)
        body = event_of(body)
        again = f"give the command again with --id {body['id']}, which publishes the event once"
        answer = await published(door, body, wait, again)
        why = await reason(door) if answer["verdict"] == "pending" else None
        return answer | {"waits_for": why} if why else answer


async def _silent(door: Door, receivers: object) -> list[str]:
    """Return a sentence about each of *receivers* that does not read its inbox, before the event is sent."""
    if not receivers or not isinstance(receivers, list):
        return []
    known: list[dict[str, Any]] = []
    after: str | None = ""
    with suppress(DoorError):  # the publication itself says what is wrong with the desk
        while after is not None:
            page = await door.get("/v1/directory", after=after)
            known += page["agencies"]
            after = page["next"]
    return [
        f"{each['agency']} does not read what it is sent, since {each['silent_since']}: call the agency as well."
        for each in known
        if each["agency"] in receivers and "silent_since" in each
    ]


async def _ref_of(door: Door, id: object) -> str | None:
    """Return the reference that the event *id* has already, so that a repeated command says the same words; None if new."""
    if not isinstance(id, str) or EVENT_ID.fullmatch(id) is None:
        return None
    try:
        return (await door.event(id)).get("ref")
    except DoorError as error:
        if error.code != "not_found":
            raise
    return None


def line_of(answer: Mapping[str, Any]) -> str:
    """Return the verdict on one event in a line: number, event and case, or the refusal with its rule."""
    ref = f", ref {answer['ref']}" if answer.get("ref") else ""
    where = f"event {answer['id']}, case {answer['case']}{ref}"
    if answer["verdict"] == "registered":
        return f"registered as number {answer['number']}, {where}"
    if answer["verdict"] == "pending":
        return f"pending: the desk keeps it, and sends it as soon as it can, {where}"
    ground = " ".join(str(answer[name]) for name in ("code", "rule") if answer.get(name))
    article = f" ({answer['article']})" if answer.get("article") else ""
    accepts = f" (accepts: {', '.join(map(str, answer['accepts']))})" if answer.get("accepts") else ""
    sentence = answer.get("sentence", "the desk's answer has no more; see its log.")
    return f"refused {ground}{article}: {sentence}{accepts}"


async def reason(door: Door) -> str | None:
    """Return why no verdict came, where the desk knows and still answers; it has the event in any case."""
    with suppress(DoorError):
        return waits_for(await door.health())
    return None


def waits_for(health: Mapping[str, Any]) -> str | None:
    """Why no verdict came, where the desk itself knows."""
    state, held_up = health.get("state"), health.get("held_up")
    if state in ("suspended", "retired"):
        return f"The agency is {state}: the broker takes nothing from it; nrmbus agency show, at the operator, says since when."
    if held_up == "directory_stale":
        return "The directory is stale, so nothing new is signed: the operator's nrmbus up, or nrmbus agency head, signs how far it goes."
    for code, meaning in MEANINGS.items():
        if code == held_up:  # the desk waits for its ledger
            return meaning.sentence
    if held_up:
        return "The directory has keys for this agency that it did not ask for: stop, and ask the operator and the admitters."
    return (
        None
        if health.get("ready")
        else "The desk has not read to the end what it was told, or does not reach the broker: nrmbus doctor looks for what is wrong."
    )
