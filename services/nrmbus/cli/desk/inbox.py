"""``nrmbus inbox``: the events that an agency received, in the order of registration."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.references import whole
from nrmbus.cli.actor import number_at
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.desk.desks import door_of, known_cases, sentence_of
from nrmbus.cli.options import BusContext, OnlyCase
from nrmbus.cli.shown import numbered_table
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError

app = Commands()

_EVERY: Final = 0.5
_WIDE: Final = 110
"""Terminal width from which each detail has a column of its own."""
_SHORT: Final = 8
"""Number of digits of a reference that are shown; ``--case`` takes them."""


@app.register(example="nrmbus inbox special-unit --follow")
def inbox(
    agency: Annotated[str, typer.Argument(help="The agency whose inbox is shown.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Continue until Ctrl-C, one line for each event.")] = False,
    case: OnlyCase = None,
    after: Annotated[int, typer.Option(metavar="ROW", min=0, help="Only events after this row.")] = 0,
    opened: Annotated[bool, typer.Option("--open", help="Open the letters; each opening is recorded first.")] = False,
    actor: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Staff number of the person who opens them. (default: the number of this machine's account)",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --follow, one object per line.")] = False,
    context: BusContext,
) -> None:
    """Show the events that an agency received: row, time (UTC), type, sender, case, and the letter's parts that it may open.

    Letters stay sealed without --open. Each event is shown in the version that the agency uses, with a note of the
    fields that this version cannot carry.
    """
    folder = context.folder
    who = number_at(folder, agency, actor) if opened else ""
    page = Page(folder, agency, {"open": str(opened).lower(), **({"actor": who} if who else {})}, case)
    console = Console()

    def notify_opened(letters: int) -> None:
        what = counted(letters, "letter")
        Console(stderr=True).print(f"{what} opened, recorded at the desk of {agency} as read by {who}.", style="dim")

    if follow:
        _follow(page, after, console, notify_opened, as_json=as_json)
        return
    try:
        events = asyncio.run(page.all(after))
    finally:  # also where a later page failed: what was opened before it is on record
        if page.opened:
            notify_opened(page.opened)
    notes = notes_on(agency, page.health)
    for note in notes:
        typer.echo(note, err=True)
    if as_json:
        typer.echo(_json({"events": events}, indent=2))
    elif events:
        _print_table(events, console)
    elif page.health.get("ready"):
        typer.echo(f"{agency} received nothing{' after that row' if after else ''}{' of this case' if case else ''}.")


def notes_on(agency: str, health: Mapping[str, Any]) -> list[str]:
    """Return why the inbox of *agency* may lack events, by the *health* of its desk; empty if nothing is missing."""
    notes = []
    if not health.get("ready"):
        why = "events may be missing here: nrmbus doctor says why"
        notes.append(f"The desk of {agency} has not read its inbox to the end, so {why}.")
    return notes + [found["sentence"] for code in ("ledger_lost", "ledger_older") if (found := health.get(code))]


class Page:
    """Inbox of one agency, as selected."""

    def __init__(self, folder: BusFolder, agency: str, how: Mapping[str, str], case: str | None) -> None:
        self._folder, self._agency, self._how, self._case = folder, agency, how, case
        self.health: Mapping[str, Any] = {}
        """The health of the desk before it was asked for the events."""
        self.opened = 0
        """Number of letters that the desk has opened so far, each recorded first."""

    async def _asked(self, door: Door) -> dict[str, str]:
        return {**self._how, **({"case": whole(self._case, await known_cases(door))} if self._case is not None else {})}

    async def all(self, after: int) -> list[dict[str, Any]]:
        """Return every event after row *after* that is there now."""
        found: list[dict[str, Any]] = []
        async with door_of(self._folder, self._agency) as door:
            self.health = await door.health()
            asked = await self._asked(door)
            while events := await self._after(found[-1]["row"] if found else after, door, asked):
                found += events
        return found

    async def _after(self, row: int, door: Door, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        return self._counted((await door.get("/v1/inbox", after=str(row), **asked))["events"])

    def _counted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.opened += sum("letter" in event and "shut" not in event for event in events)
        return events

    async def follow(self, after: int) -> AsyncIterator[dict[str, Any]]:
        """Yield events as they come, until Ctrl-C. Each time the desk stops answering, say so once on standard error."""

        def waiting(error: DoorError) -> None:
            typer.echo(
                f"{sentence_of(self._folder, self._agency, error).rstrip('.')}. Still following; Ctrl-C ends it.",
                err=True,
            )

        async with door_of(self._folder, self._agency) as door:
            asked = await self._asked(door)
            how: dict[str, Any] = {name: asked.get(name) for name in ("case", "actor")}
            opened = asked["open"] == "true"
            async for events in door.pages(after=after, every=_EVERY, waiting=waiting, opened=opened, **how):
                for event in self._counted(events):
                    yield event


def _follow(page: Page, after: int, console: Any, notify_opened: Callable[[int], None], *, as_json: bool) -> None:
    async def show() -> None:
        notified = 0
        async for event in page.follow(after):
            if page.opened > notified:
                notify_opened(page.opened - notified)
                notified = page.opened
            if as_json:
                typer.echo(_json(event))
            else:
                console.print(_streamed(event), soft_wrap=True)
                _print_below(event, console)

    with suppress(KeyboardInterrupt):
        asyncio.run(show())


def _time(text: str) -> str:
    """Return a time to the minute, in UTC like all times on the wire."""
    return f"{text[:10]} {text[11:16]}"


def _parts(event: Mapping[str, Any]) -> str:
    return f"shut: {event['shut']}" if event.get("shut") else ", ".join(event["parts"]) or "–"


def _version(event: Mapping[str, Any]) -> str:
    """Return a note about the event's version, empty if it is shown in the published version."""
    if event.get("unknown"):
        return f" (version {event['published']}, which this desk does not know: the case waits for its upgrade)"
    waits = " (the case waits)" if event.get("parked") else ""
    if event["published"] == event["version"]:
        return waits
    return f" (said in version {event['published']}, shown in {event['version']}){waits}"


def _streamed(event: Mapping[str, Any]) -> Text:
    return Text.assemble(
        (f"{event['row']:>4}", "dim"), "  ", _time(event["time"]), "  ", (event["type"], "bold"), (_version(event), "dim"), "  from ",
        (event["source"], "cyan"), "  case ", event["case"][:_SHORT],
        *(["  ref ", event["ref"][:_SHORT]] if "ref" in event else []), "  letter: ", _parts(event),
    )  # fmt: skip


def _print_table(events: Iterable[Mapping[str, Any]], console: Any) -> None:
    """Print the rows; on a narrow terminal sender and letter stand below the type."""
    wide = console.width >= _WIDE
    titles = ("type", "from", "letter", "case", "ref") if wide else ("type, from, letter", "case, ref")
    table = numbered_table(*titles, number="row")
    for event in events:
        what, ref = Text.assemble((event["type"], "bold"), (_version(event), "dim")), event.get("ref", "")[:_SHORT]
        source, case = Text(event["source"], "cyan"), event["case"][:_SHORT]
        if wide:
            cells: tuple[str | Text, ...] = (what, source, _parts(event), case, ref)
        else:
            cells = (Text.assemble(what, "\nfrom ", source, "\nletter: ", _parts(event)), f"{case}\n{ref}")
        table.add_row(str(event["row"]), _time(event["time"]), *cells)
    console.print(table)
    for event in events:
        _print_below(event, console, row=True)


def _print_below(event: Mapping[str, Any], console: Any, *, row: bool = False) -> None:
    """Print the opened letter, and the fields that the shown version cannot carry."""
    number = f"{event['row']:>4}  " if row else " " * 6
    for part, fields in event.get("letter", {}).items():
        for name, value in fields.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            console.print(Text.assemble((number, "dim"), (f"{part}: {name} ", "dim"), _plain(text)), soft_wrap=True)
    for lost in event.get("lost", ()):
        what = f"left out, for version {event['version']} has no place for it: {lost['pointer']} of version {lost['version']}"
        console.print(Text.assemble((number, "dim"), (what, "yellow")), soft_wrap=True)


def _json(body: Any, indent: int | None = None) -> str:
    """Return *body* as JSON; characters that would move a terminal's cursor or reverse the text are escaped."""
    written = json.dumps(body, indent=indent, ensure_ascii=False)
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in written)


def _plain(text: str) -> str:
    """Return *text* without control characters: a letter comes from another agency."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
