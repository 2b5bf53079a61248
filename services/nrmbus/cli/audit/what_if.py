"""``nrmbus rules what-if``: a verified history judged again under another profile; and the other commands of that group."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.operate.rules import app, named, own_profile, text_of
from nrmbus.cli.options import AsJson, BusContext, Jobs
from nrmbus.rules import Rules
from nrmbus.rules.profile_files import bundled_names

__all__ = ["app", "what_if"]

_WHAT_IF: Final = {
    "refused": "would have been refused",
    "let_in": "would not have been refused by this rule",
    "told": "would have been told",
    "not_told": "would not have been told",
    "clock_gone": "duty would not exist",
    "clock_new": "duty would be new",
    "clock_moved": "duty would end at another time",
    "breached": "duty would have been missed",
    "met": "duty would have been met",
}


@app.register(example="nrmbus rules what-if draft.yaml --history 2026.history.jsonl", name="what-if")
def what_if(
    profile: Annotated[
        str, typer.Argument(metavar="PROFILE", help="A profile's name, such as az@2024-02-08, or a file of your own.")
    ],
    *,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A file that nrmbus export wrote, or the folder of a backup; no bus is needed. (default: the bus here)",
            exists=True,
        ),
    ] = None,
    judged_by: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="With --history: a profile by which that history was judged, and which this release does not have; give the "
            "option again for another.",
        ),
    ] = None,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print each difference with its case too. (default: the summary alone)")
    ] = False,
    as_json: AsJson = False,
    jobs: Jobs = None,
    asker: Asker,
    context: BusContext,
) -> None:
    """Judge a verified history again under another profile, and say what would have gone differently.

    Each event is taken as it happened, and judged by the other profile alone: would it have been refused, would others
    have been told, which duties would be gone, new, or due at another time, and which would have been missed or met.
    Refused events keep no envelope and are not judged again; a refusal is named if the other profile lacks its rule.

    Without --history the question is recorded as a search before anything is shown. A file or backup was recorded when it
    left the bus, and is verified here: a backup with every signature, a file by its own lines.
    """
    if history is not None:
        for each in judged_by or ():
            own_profile(each)
        found, verified = _offline(profile, history)
    else:
        query = {"kind": "what_if", "profile": profile}
        if profile not in bundled_names():
            query = {"kind": "what_if", "profile": named(profile).name, "text": text_of(profile)}
        answer = asker.question(context.folder).answered(query, jobs)
        found, verified = answer["what_if"], f"{answer['verified']} registrations"
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _print(found, verified, as_list=as_list)


def _offline(profile: str, path: Path) -> tuple[dict[str, Any], str]:
    """Return the answer from the history in *path*, and what was verified of it."""
    # Imported here: the other commands of this group read no history.
    from nrmbus.auditor.reports.what_if import Judged, differences, mapping  # noqa: PLC0415
    from nrmbus.cli.audit.offline_history import offline_history  # noqa: PLC0415

    other = named(profile)
    read = offline_history(path)
    rows = differences(read.entries, read.rules, Rules(other, read.agencies), read.until)
    return mapping(rows, other, Judged.of(read.entries)), f"{len(read.entries)} registrations, {read.vouched}"


def _print(found: dict[str, Any], verified: str, *, as_list: bool) -> None:
    console = Console()
    if found["summary"]:
        console.print(
            _table(f"Under {found['profile']}", ("what", "rule", "basis", "times", "cases"), "rule", found["summary"])
        )
        console.print(_table("By type of event", ("what", "type", "times", "cases"), "type", found["by_type"]))
        totals = found["totals"]
        typer.echo(
            f"Acts: {totals['refused']} would have been refused, {totals['let_in']} refusals have no rule there. "
            f"Duties: {totals['breached']} would have been missed, {totals['met']} met."
        )
    else:
        typer.echo(f"Under {found['profile']} nothing would have gone differently.")
    for row in found["differences"] if as_list else ():
        moved = f" {row['was'] or 'none'} -> {row['would_be'] or 'none'}" if row["kind"].startswith("clock") else ""
        agencies = f" ({', '.join(row['agencies'])})" if row["agencies"] else ""
        kind = row["type"] or "a refused event"
        typer.echo(f"{row['case'][:8]} {row['number']} {kind}: {row['rule']} {_WHAT_IF[row['kind']]}{agencies}{moved}")
    typer.echo(f"Verified: {verified}. Not judged again: {found['not_judged']} refusals, which keep no envelope.")


def _table(title: str, columns: tuple[str, ...], name: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        about = [row[name] or "a refused event", *([row["basis"]] if name == "rule" else [])]
        table.add_row(_WHAT_IF[row["kind"]], *map(Text, about), str(row["count"]), str(row["cases"]))
    return table
