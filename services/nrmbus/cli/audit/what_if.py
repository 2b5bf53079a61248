"""``nrmbus rules what-if``: the verified history judged again under another profile; and the other commands of that group."""

import json
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.operate.rules import app
from nrmbus.cli.options import AsJson, BusContext, Jobs

__all__ = ["app", "what_if"]

_WHAT_IF: Final = {
    "refused": "would have been refused",
    "told": "would have been told",
    "not_told": "would not have been told",
    "clock_gone": "duty would not exist",
    "clock_new": "duty would be new",
    "clock_moved": "duty would end at another time",
    "breached": "duty would have been missed",
    "met": "duty would have been met",
}


@app.register(example="nrmbus rules what-if osce-generic@2022-01-01", name="what-if")
def what_if(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="A profile's name, such as az@2024-02-08.")],
    *,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print each difference with its case too. (default: the summary alone)")
    ] = False,
    as_json: AsJson = False,
    jobs: Jobs = None,
    asker: Asker,
    context: BusContext,
) -> None:
    """Judge the verified history again under another profile, and say what would have gone differently.

    Each event is taken as it happened, and judged by the other profile alone: would it have been refused, would others
    have been told, which duties would be gone, new, or due at another time, and which would have been missed or met.
    Refused events keep no envelope and are not judged again. The question is recorded as a search before anything is
    shown.
    """
    answer = asker.question(context.folder).answered({"kind": "what_if", "profile": profile}, jobs)
    found = answer["what_if"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console()
    table = Table(box=box.SIMPLE_HEAD, title=f"Under {found['profile']}", title_justify="left")
    for name in ("what", "rule", "basis", "times", "cases"):
        table.add_column(name, overflow="fold")
    for row in found["summary"]:
        kind = _WHAT_IF[row["kind"]]
        table.add_row(kind, row["rule"], row["basis"], str(row["count"]), str(row["cases"]))
    if found["summary"]:
        console.print(table)
    else:
        typer.echo(f"Under {found['profile']} nothing would have gone differently.")
    for row in found["differences"] if as_list else ():
        moved = f" {row['was'] or 'none'} -> {row['would_be'] or 'none'}" if row["kind"].startswith("clock") else ""
        agencies = f" ({', '.join(row['agencies'])})" if row["agencies"] else ""
        typer.echo(
            f"{row['case'][:8]} {row['number']} {row['type']}: {row['rule']} {_WHAT_IF[row['kind']]}{agencies}{moved}"
        )
    typer.echo(
        f"Verified: {answer['verified']} registrations. Not judged again: {found['not_judged']} refusals, which keep no envelope."
    )
