"""``nrmbus document``: files that an agency shares, up to 10 MB, sealed to the agencies that may read the part."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.bus.references import WHOLE, whole
from nrmbus.cli.actor import number_at
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import door_of, known_cases, known_refs, published
from nrmbus.cli.desk.publish import line_of, listed, reason, status_of
from nrmbus.cli.options import AsJson, BusContext, Case, InCase, to_write
from nrmbus.cli.shown import numbered_table, short
from nrmbus.client.desk import announcement, event_of
from nrmbus.client.door import Door
from nrmbus.events.access import AccessPurpose
from nrmbus.events.codes import DocumentType
from nrmbus.events.document import ENDINGS, LARGEST, DocumentShared

app = Commands("document", "Documents: share a file with other agencies, list those that came, and save one.")

Json = dict[str, Any]
_FOR: Final = "The agency that has the document."
_ALSO: Final = {"jpg": (".jpeg",), "tif": (".tiff",)}
"""Other endings of a kind of content."""


@app.register(
    example="nrmbus document send shelter report.pdf --type medical_report --to special-unit --case 5f0c1a2b --actor s-4"
)
def send(  # noqa: PLR0913 - a command's options are its arguments
    agency: Annotated[str, typer.Argument(help="The agency that shares the file.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PDF, JPEG, PNG, TIFF or plain text, at most 10 MB.")],
    *,
    kind: Annotated[
        DocumentType, typer.Option("--type", help="What it is; this decides in which part of the letter the file lies.")
    ],
    to: Annotated[str, typer.Option(metavar="A,B", help="The agencies with which you share it.")],
    case: Case,
    ref: Annotated[
        str | None, typer.Option(metavar="REF", help="The referral that it belongs to, if it belongs to one.")
    ] = None,
    consent: Annotated[str | None, typer.Option(metavar="ID,ID", help="The consents that it rests on.")] = None,
    actor: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Staff number of the person who shares it. (default: this account's)"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The file's name for the receivers, sealed like the file. (default: the name of FILE)"),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="The id that an unanswered command printed: with it, the file is shared once."
        ),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=30, help="Seconds to wait for the verdict.")] = 20.0,
    as_json: AsJson = False,
    context: BusContext,
) -> None:
    """Share a file of a case: the desk seals it, announces it, and sends it in pieces; the command prints the verdict.

    Other users of this machine see FILE and NAME while the command runs: take names that say nothing of a person. Exit
    status: 0 if the announcement is registered, 1 if it is refused, 3 if there is no verdict yet (the desk sends it), or if
    the desk does not answer and may have it: then give the command again with the --id that is printed.
    """
    folder = context.folder
    content = _read(file)
    event: Json = {"actor": number_at(folder, agency, actor)}
    event |= {name: value for name, value in {"ref": ref, "consent": listed(consent), "id": id}.items() if value}
    letter = _Letter(kind, _sendable(name or file.name), tuple(listed(to) or ()))
    answer = asyncio.run(_share(folder, agency, case, content, letter, event, wait))
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for said in answer["events"]:
            typer.echo(line_of(said))
        if answer.get("waits_for"):
            typer.echo(answer["waits_for"], err=True)
    raise typer.Exit(status_of(answer))


@app.register(example="nrmbus document list special-unit", name="list")
def list_(
    agency: Annotated[str, typer.Argument(help=_FOR)],
    *,
    case: InCase = None,
    as_json: AsJson = False,
    context: BusContext,
) -> None:
    """List the documents that an agency received: row, time (UTC), id for nrmbus document save, type, sender, case.

    Nothing is opened, so the names of the files are not shown.
    """
    found = asyncio.run(_received(context.folder, agency, case))
    if as_json:
        typer.echo(json.dumps({"documents": found}, indent=2))
        return
    if not found:
        typer.echo(f"{agency} received no document{' of this case' if case else ''}.")
        return
    table = numbered_table("document", "type", "from", "case", number="row")
    for each in found:
        table.add_row(
            str(each["row"]), short(each["time"]), each["id"], each["document_type"], Text(each["source"], "cyan"), each["case"][:8]
        )  # fmt: skip
    Console().print(table)


@app.register(
    example="nrmbus document save special-unit 01930000-0000-7000-8000-000000000042 --out report.pdf --actor u-2"
)
def save(
    agency: Annotated[str, typer.Argument(help=_FOR)],
    document: Annotated[str, typer.Argument(metavar="ID", help="The document, as nrmbus document list names it.")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write; no file may be there yet.", callback=to_write)
    ],
    actor: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Staff number of the person who reads it. (default: this account's)"),
    ] = None,
    purpose: Annotated[AccessPurpose, typer.Option(help="What the document is read for.")] = "case_work",
    case: InCase = None,
    context: BusContext,
) -> None:
    """Save a document, once the registrar has recorded who reads it and what for; its digest is compared first.

    The agency that shared a document reads its own in the same way. Only this account may read the file. If several cases
    have a document with this id, --case says which one is meant.
    """
    folder = context.folder
    if out.exists():
        raise BusError(f"{out} exists already: choose another file with --out FILE.")
    who = number_at(folder, agency, actor)
    kind, content = asyncio.run(_read_document(folder, agency, document, who, purpose, case))
    write_private(out.absolute(), content)
    typer.echo(f"{out}: {len(content):,} bytes of {kind}, recorded at the desk of {agency} as read by {who}.")
    ending = ENDINGS.get(kind)
    if ending is not None and out.suffix.lower() not in {f".{ending}", *_ALSO.get(ending, ())}:
        typer.echo(f"Its content is {kind}, so a name that ends in .{ending} opens in the right program.", err=True)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise BusError(f"FILE cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST:
        raise BusError(f"FILE has more than {LARGEST:,} bytes: share it in parts, or a smaller copy.")
    return content


def _sendable(name: str) -> str:
    """Return *name*, which the letter carries as UTF-8.

    Raises:
        BusError: *name* came in another encoding. The desk would otherwise keep an upload that nothing announces.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BusError("The name of FILE is not UTF-8: rename the file, or give another name with --name.") from None
    return name


@dataclass(frozen=True, slots=True)
class _Letter:
    """Facts about a shared file."""

    kind: DocumentType
    name: str
    to: tuple[str, ...]


async def _share(
    folder: BusFolder, agency: str, case: str, content: bytes, letter: _Letter, event: Json, wait: float
) -> Json:
    """Return the desk's answer on the announcement, and beside it why there is no verdict yet."""
    async with door_of(folder, agency) as door:
        about = case if len(case) == WHOLE else whole(case, await known_cases(door))
        if len(event.get("ref", "")) in range(1, WHOLE):
            event = event | {"ref": whole(event["ref"], await known_refs(door, about), "--ref")}
        kept = await door.upload(about, content)
        said = announcement(kept, letter.kind, name=letter.name, to=letter.to)
        body = event_of(said | event | {"case": about})
        again = f"give the command again with --id {body['id']}, which shares the file once"
        answer = await published(door, body, wait, again)
        why = await reason(door) if answer["verdict"] == "pending" else None
        return answer | {"waits_for": why} if why else answer


async def _read_document(
    folder: BusFolder, agency: str, id: str, actor: str, purpose: str, case: str | None = None
) -> tuple[str, bytes]:
    async with door_of(folder, agency) as door:
        about = None if case is None else whole(case, await known_cases(door))
        return await door.document(id, case=about, actor=actor or None, purpose=purpose)


async def _received(folder: BusFolder, agency: str, case: str | None) -> list[Json]:
    async with door_of(folder, agency) as door:
        about = None if case is None else whole(case, await known_cases(door))
        return [_listed_row(each) async for each in _pages(door, about)]


async def _pages(door: Door, case: str | None) -> AsyncIterator[Json]:
    after = 0
    while page := (await door.inbox(after=after, type=DocumentShared.type, case=case))["events"]:
        after = page[-1]["row"]
        for each in page:
            yield each


def _listed_row(event: Json) -> Json:
    return {name: event[name] for name in ("row", "time", "id", "source", "case")} | {
        "document_type": event["data"]["document_type"],
        **({"shut": event["shut"]} if "shut" in event else {}),
    }
