"""``nrmbus replay``: the verified history of a case as of any moment."""

import asyncio
import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nrmbus.auditor.history.history import Audited, Entry, audited
from nrmbus.auditor.history.outcomes import is_sealed_again, refusal_of, successor
from nrmbus.auditor.history.selection import Selection, moment, numbers, time_of
from nrmbus.auditor.web.pages.words import Words
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder, write_private
from nrmbus.cli.audit.on_record import Asker, read_at_the_operator
from nrmbus.cli.audit.replayed import Case, Replayed, mapping, rows
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import whole
from nrmbus.cli.options import AsJson, BusContext, OnlyCase, to_write
from nrmbus.cli.shown import numbered_table
from nrmbus.rules import load_profile

app = Commands()

_WIDE: Final = 110
"""Terminal width from which each detail has a column of its own."""


@app.register(example="nrmbus replay --case 5f0c1a2b --as-of 2026-03-02T09:00:00Z")
def replay(  # noqa: PLR0913 - one each for what a history may be narrowed to
    *,
    case: OnlyCase = None,
    agency: Annotated[
        str | None, typer.Option(metavar="A", help="Only events that this agency published, was refused, or received.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--type", metavar="T", help="Only this type, or every type that begins so: 'referral.*'."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Registered at this time or later; a day or a time.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Registered at this time or before; a day counts to its end."),
    ] = None,
    number: Annotated[
        str | None, typer.Option(metavar="N[..M]", help="Only registration N, or N to M, or from N on.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Show what was known at this time: a day counts to its end, or 2026-03-02T09:00:00Z."
        ),
    ] = None,
    as_json: AsJson = False,
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print JSON Lines, one registration per line.")] = False,
    readings: Annotated[
        bool,
        typer.Option("--readings", help="Show readings in the table too. JSON and HTML always contain them."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the timeline as one HTML file that loads nothing.", callback=to_write),
    ] = None,
    asker: Asker,
    context: BusContext,
) -> None:
    """Replay the history of one case or of all: what was registered or refused, by which rule, and who received it.

    The question is recorded before anything is shown. The command verifies every signature of registrar and senders,
    and that no number is missing; letters stay sealed. Days are those of the policy's time zone. Filters change only
    what is shown: status and clocks come from the whole verified history.
    """
    if sum((as_json, as_lines, html is not None)) > 1:
        raise BusError("--json, --jsonl and --html exclude one another: choose one.")
    folder = context.folder
    zone = load_profile(folder.settings.policy).zone
    chosen = Selection(
        agency=agency,
        type=kind.removeprefix("nrm.") if kind else None,
        first=moment(first, zone, "--from", begin=True),
        last=moment(last, zone, "--to"),
        numbers=numbers(number),
    )
    then = moment(as_of, zone, "--as-of")
    question = asker.question(folder)
    seen = verified(folder)
    if agency is not None and agency not in seen.directory.entries:
        raise BusError(
            f"The directory never had an agency with this name; it has {', '.join(sorted(seen.directory.entries))}."
        )
    with question.finding():
        subject = whole(case, seen.history.spoken_of()) if case else None
    question.put("case" if subject else "search", subject)
    replayed = Replayed.of(seen, chosen, subject=subject, as_of=then, now=then or time_of(folder, seen.history))
    if as_json:
        typer.echo(json.dumps(mapping(replayed), indent=2))
    elif as_lines:
        for row in rows(replayed):
            typer.echo(json.dumps(row, separators=(",", ":")))
    elif html:
        write_private(html.absolute(), replayed.html().encode())
        typer.echo(f"Wrote {html}. Verified: {replayed.verified}.")
    else:
        _print(replayed, readings=readings or chosen.type == "access.granted")


def verified(folder: BusFolder) -> Audited:
    """Return the whole history of the bus in *folder*; raises as `nrmbus.auditor.history.history.audited`, and `read_at_the_operator`."""
    read_at_the_operator(folder)
    gc.disable()  # all of it is kept: looking through it for garbage would take a third of the time
    try:
        with progress() as told:
            return asyncio.run(audited(folder, progress=told))
    finally:
        gc.enable()


@contextmanager
def progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on standard error; nothing if that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(replayed: Replayed, *, readings: bool) -> None:
    console = Console()
    for case in replayed.cases:
        if case.is_one or readings:
            _print_case(console, replayed, case, readings=readings)
    if apart := sum(case.counts.readings for case in replayed.cases if not case.is_one and not readings):
        typer.echo(f"Readings about no case, such as searches: {apart}. --readings shows them.")
    if not replayed.total:
        typer.echo("Nothing was registered on this bus yet.")
        return
    if not replayed.cases:
        typer.echo("Nothing in the history fits these filters.")
    typer.echo(
        f"Verified: {replayed.verified}, each signed by the registrar and chained to the one\n"
        "before, no number missing; every event signed by its sender with a key of the\ndirectory."
    )


def _print_case(console: Console, replayed: Replayed, case: Case, *, readings: bool) -> None:
    words = Words("en", replayed.profile.zone)
    status = [f"  {case.status}"] if case.status else []
    console.print(Text.assemble(("case ", "dim"), (case.subject, "bold"), *status))
    console.print(Text(words("case.counts", **asdict(case.counts)), "dim"))
    rows = case.rows(readings=readings)
    if rows:
        console.print(_table(replayed, case, rows, wide=console.width >= _WIDE))
    elif not case.known:
        console.print("Nothing of this case was registered by then.")
    if left_out := len(case.entries) - len(rows):
        console.print(
            f"Readings that are not shown: {left_out}. --readings shows them; nrmbus reads lists the readers."
        )
    for clock in case.clocks:
        due = f", due {clock.due:%Y-%m-%d %H:%M} UTC" if clock.due else ", paused by a question"
        late = ", breached" if clock.breached else ", overdue" if clock.due and clock.due < replayed.now else ""
        says = words.gloss("clock", clock.code)
        console.print(Text(f"runs: {clock.code} of {clock.answerable}{f' ({says})' if says else ''}{due}{late}"))
    console.print()


def _table(replayed: Replayed, case: Case, entries: list[Entry], *, wide: bool) -> Table:
    """Return the rows; on a narrow terminal verdict and receivers stand below the type."""
    table = numbered_table("who", *(("type", "verdict", "told") if wide else ("type, verdict, told",)))
    table.columns[2].style = "cyan"
    for entry in entries:
        said = entry.registration
        told = ", ".join(entry.audience.recipients)
        cells = [_type(entry), _verdict(replayed, case, entry), Text(told or "nobody", "" if told else "dim")]
        if not wide:
            cells = [Text("\n").join([*cells[:2], Text("told ", "dim") + cells[2]] if entry.said else [cells[1]])]
        table.add_row(replayed.place(entry), f"{said.time:%Y-%m-%d %H:%M}", said.source, *cells)
    return table


def _type(entry: Entry) -> Text:
    if entry.said is None:
        if is_sealed_again(entry):
            return Text("not kept, as it was sealed again", "dim")
        return Text("not kept, as it was refused", "dim")
    version = f" v{entry.said.version}" if entry.said.version > 1 else ""
    unknown = "" if entry.event else "\nthis release cannot read it: upgrade to replay the case to its end"
    return Text.assemble((f"{entry.said.type}{version}", "bold"), (unknown, "red"))


def _verdict(replayed: Replayed, case: Case, entry: Entry) -> Text:
    said = entry.registration
    if is_sealed_again(entry):
        again = successor(entry, case.known)
        came = f"as no. {replayed.place(again)}" if again else "not yet"
        return Text.assemble("sealed again for a changed audience, ", came)
    says = refusal_of(entry, replayed.profile)
    cited = (f" {each}" for each in (said.code, said.rule) if each)
    article = Text(f"\n{said.article}" if said.article else "", style="dim")
    return Text.assemble(said.verdict, *cited, f"\n{says}" if says else "", article)
