"""``nrmbus history``: an agency's own history in a folder that is readable without this software, for an agency that leaves."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import make_private, write_private
from nrmbus.bus.wall_clock import written_now
from nrmbus.cli.actor import number_at
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.desk.desks import door_of, known_cases
from nrmbus.cli.options import BusContext
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.events.access import AccessPurpose
from nrmbus.events.document import ENDINGS

app = Commands()

Json = dict[str, Any]

_DOCUMENT, _CHUNK = "document.shared", "document.chunk_sent"
_UNREADABLE: Final = frozenset(
    {"document_incomplete", "document_damaged", "document_shut", "not_found", "read_refused"}
)
"""Codes of a document that cannot be read here; any other error ends the export."""
_OF_ROW: Final = ("letter", "shut", "original")
"""Members of an inbox row that the timeline does not have."""
_README: Final = """\
The history of the agency {agency} on the bus {bus}, written on {date}.

You need no special program: every file is plain text (JSON, one object per line), or a document as it was sent.

cases.jsonl          one line per case: its reference, its status, and the number under which this export of
                     the case was recorded
cases/<case>.jsonl   the events of the case in the order of their registration, one per line:
                       source      the agency that published the event; {agency} is this agency
                       type, data  what happened, in codes; schemas/nrm.<type> of nrmbus explains each of them
                       letter      what the agency could read of the letter, part by part
                       ref         the referral, bed, hold or payment that the event is about
                       original    the event and its registration exactly as they were signed, in base64
reads.jsonl          who of this agency opened which part of which letter, when, and for which purpose
files/               shared documents; `file` of the event that announced one names the file
left-out.jsonl       what is not here, event by event, and why
SHA256SUMS           digests of all files: `sha256sum -c SHA256SUMS` shows whether one was changed

Cases: {cases}. Events: {events}. Opened letters: {letters}. Documents: {files}. Left out: {left_out}.

What is not here:
- letters that this agency wrote: the agency has its own words in its own files;
- letters that this agency may not read, or no longer (left-out.jsonl says why);
- private keys, passwords and tokens; tasks and settings of the desk;
- cases in which this agency took no part.

Each opening of a letter was recorded by the registrar of the bus before the letter was written here.
The files have names and stories of people in them: keep them as the law wants it, and delete them in time.
To prove a case to a court, ask the auditor of the bus for its evidence (nrmbus export).
"""


@app.register(example="nrmbus history ngo-a ./ngo-a-history --actor a-17")
def history(
    agency: Annotated[str, typer.Argument(help="The agency whose history it is.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; none may be there yet.")],
    *,
    actor: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Staff number of the person who takes the history. (default: this account's)"
        ),
    ] = None,
    purpose: Annotated[AccessPurpose, typer.Option(help="What the letters are opened for.")] = "case_work",
    context: BusContext,
) -> None:
    """Write an agency's own history into a folder: every case, event, readable letter and document, as plain files.

    For an agency that leaves the bus, or moves to other software. The registrar records for each case that it is handed
    on, and each letter that is opened, before anything of it is written. README.txt in the folder explains the files,
    what was left out and why; SHA256SUMS has their digests.
    """
    folder = context.folder
    if out.exists():
        raise BusError("There is something at DIR already: name a folder that does not exist yet.")
    written = asyncio.run(_write(folder, agency, out, number_at(folder, agency, actor), purpose))
    typer.echo(
        f"{out} has {counted(written['cases'], 'case')}, {counted(written['events'], 'event')}, "
        f"{counted(written['letters'], 'opened letter')} and {counted(written['files'], 'document')}. "
        f"Left out, and named in left-out.jsonl: {written['left_out']}."
    )


async def _write(folder: BusFolder, agency: str, out: Path, actor: str, purpose: str) -> Json:
    async with door_of(folder, agency) as door:
        make_private(out)
        written = _Folder(out)
        totals = dict.fromkeys(("cases", "events", "letters", "files", "left_out"), 0)
        summaries: list[Json] = []
        reads: list[Json] = []
        left_out: list[Json] = []
        for case in await known_cases(door):
            taken = _Case(door, case, agency, written.put)
            await taken.take(actor, purpose)
            written.lines(f"cases/{case}.jsonl", taken.events)
            summaries.append(taken.summary)
            reads += [{"case": case, **each} async for each in _pages(door, f"/v1/cases/{case}/reads", "reads")]
            left_out += taken.left_out
            totals["events"] += len(taken.events)
            totals["letters"] += sum("letter" in each for each in taken.events)
            totals["files"] += sum("file" in each for each in taken.events)
        totals |= {"cases": len(summaries), "left_out": len(left_out)}
        written.lines("cases.jsonl", summaries)
        written.lines("reads.jsonl", reads)
        written.lines("left-out.jsonl", left_out)
        about = {"agency": agency, "bus": folder.settings.bus, "date": written_now(), **totals}
        written.put("README.txt", _README.format(**about).encode())
        written.end()
        return totals


async def _pages(door: Door, path: str, name: str, **params: str) -> Any:
    """Yield the entries *name* of the list at *path*, page by page."""
    after: int | None = 0
    while after is not None:
        page = await door.get(path, after=str(after), **params)
        for each in page[name]:
            yield each
        after = page["next"]


class _Folder:
    """The folder in the making: its files, each written whole, and their digests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests: dict[str, str] = {}

    def put(self, name: str, content: bytes) -> None:
        """Write the file *name*.

        Raises:
            BusError: the disk took no more.
        """
        try:
            write_private(self._path / name, content)
        except OSError as error:
            raise BusError(
                f"{self._path} is not complete, because a file could not be written ({error.strerror}). Make room, remove the "
                "folder, and give the command again. The readings so far are recorded, and will be recorded once more."
            ) from None
        self._digests[name] = hashlib.sha256(content).hexdigest()

    def lines(self, name: str, found: Iterable[Json]) -> None:
        """Write the file *name* with one object per line."""
        self.put(name, b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in found))

    def end(self) -> None:
        """Write the digests of all files: a folder without them is not complete."""
        sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(self._digests.items()))
        self.put("SHA256SUMS", sums.encode())


class _Case:
    """One case, as it is taken from the desk; *put* writes a document by its name in the folder."""

    def __init__(self, door: Door, case: str, agency: str, put: Callable[[str, bytes], None]) -> None:
        self._door, self._case, self._agency, self._put = door, case, agency, put
        self.summary: Json = {}
        self.events: list[Json] = []
        self.left_out: list[Json] = []

    async def take(self, actor: str, purpose: str) -> None:
        """Have the export recorded, then read the case's events and letters, and write its documents."""
        recorded, opens = None, True
        try:
            answer = await self._door.read_case(self._case, what="export", actor=actor, purpose=purpose)
            recorded = answer.get("number")
        except DoorError as error:
            if error.code != "read_refused":
                raise
            opens = False
            ground = " ".join(each for each in (error.refusal, error.rule) if each)
            self.left_out.append({"case": self._case, "what": "all letters", "why": f"the registrar refused: {ground}"})
        rows = {each["id"]: each async for each in self._rows(actor, purpose, opens=opens)}
        timeline = f"/v1/cases/{self._case}/timeline"
        async for event in _pages(self._door, timeline, "events", technical="true"):
            row = rows.get(event["id"], {})
            self.events.append(event | {name: row[name] for name in _OF_ROW if name in row})
        self.summary = {**await self._door.case(self._case), "recorded": recorded}
        if opens:
            await self._read_documents(actor, purpose)
            self.left_out += self._missing()

    async def _rows(self, actor: str, purpose: str, *, opens: bool) -> Any:
        params = {"case": self._case, "open": str(opens).lower(), "purpose": purpose, "limit": "50"}
        params |= {"technical": "true"} | ({"actor": actor} if opens and actor else {})
        async for row in _pages(self._door, "/v1/inbox", "events", **params):
            yield row

    async def _read_documents(self, actor: str, purpose: str) -> None:
        """Read the documents of the case, each on record. The announcing event then names the document's file.

        Each is written before the next is read: together they may be larger than the memory.
        """
        for event in self.events:
            if event["type"] != _DOCUMENT:
                continue
            try:
                kind, content = await self._door.document(
                    event["id"], case=self._case, actor=actor or None, purpose=purpose
                )
            except DoorError as error:
                if error.code not in _UNREADABLE:
                    raise
                self.left_out.append(self._about(event, "document", error.code))
            else:
                name = f"files/{event['id']}.{ENDINGS.get(kind, 'bin')}"
                self._put(name, content)
                event["file"] = name

    def _missing(self) -> Iterator[Json]:
        for event in self.events:
            if event.get("unknown"):
                yield self._about(
                    event, "data", "the desk's release does not know this type or version; `original` has it"
                )
            elif event["source"] != self._agency and not event.get("letter"):
                event.pop("letter", None)
                if event["type"] != _CHUNK and (event["parts"] or "shut" in event):
                    yield self._about(event, "letter", event.get("shut", "the letter could not be opened"))

    def _about(self, event: Mapping[str, Any], what: str, why: str) -> Json:
        names = ("case", "number", "id", "type")
        return {**{name: event[name] for name in names}, "what": what, "why": why}
