"""``nrmbus replay``: the verified history of a case as of any moment."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import write_private
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import AsJson, BusContext, Jobs, OnlyCase, to_write
from nrmbus.cli.shown import numbered_table, short
from nrmbus.events.bulletin import is_bulletin

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
        typer.Option(
            "--type",
            metavar="T",
            help="Only this type, or every type that begins so: 'referral.*'. Types about no case too, such as stats.period_published.",
        ),
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
    jobs: Jobs = None,
    asker: Asker,
    context: BusContext,
) -> None:
    """Replay the history of one case or of all: what was registered or refused, by which rule, and who received it.

    The question is recorded before anything is shown. The auditor, or off the record the command, has verified every
    signature of registrar and senders, and that no number is missing; letters stay sealed. Days are those of the policy's time zone. Filters change only
    what is shown: status and clocks come from the whole verified history.
    """
    if sum((as_json, as_lines, html is not None)) > 1:
        raise BusError("--json, --jsonl and --html exclude one another: choose one.")
    answer = asker.question(context.folder).answered(
        {
            "kind": "replay", "case": case, "agency": agency, "type": kind, "first": first, "last": last,
            "number": number, "as_of": as_of, "html": html is not None,
        },
        jobs,
    )  # fmt: skip
    if html:
        write_private(html.absolute(), answer["html"].encode())
        typer.echo(f"Wrote {html}. Verified: {_verified(answer)}.")
    elif as_json:
        typer.echo(json.dumps(answer["replay"], indent=2))
    elif as_lines:
        for found in answer["replay"]["cases"]:
            for row in found["history"]:
                typer.echo(json.dumps({"case": found["case"], **row}, separators=(",", ":")))
    else:
        _print(answer, readings=readings or (kind or "").removeprefix("nrm.") == "access.granted")


def _verified(answer: dict[str, Any]) -> str:
    """Return the size of the verified history in words, whatever part is shown."""
    kept = "" if answer["partitions"] == 1 else f" in {answer['partitions']} partitions"
    return f"{answer['verified']} registrations{kept}"


def _print(answer: dict[str, Any], *, readings: bool) -> None:
    console, cases = Console(), answer["replay"]["cases"]
    for case in cases:
        if _is_one(case) or readings:
            _print_case(console, answer, case, readings=readings)
    if apart := sum(case["counts"]["readings"] for case in cases if not _is_one(case) and not readings):
        typer.echo(f"Readings about no case, such as searches: {apart}. --readings shows them.")
    if not answer["verified"]:
        typer.echo("Nothing was registered on this bus yet.")
        return
    if not cases:
        typer.echo("Nothing in the history fits these filters.")
    typer.echo(
        f"Verified: {_verified(answer)}, each signed by the registrar and chained to the one\n"
        "before, no number missing; every event signed by its sender with a key of the\ndirectory."
    )


def _is_one(case: dict[str, Any]) -> bool:
    """Return whether it is a case: the number under which an auditor's searches stand has nothing but readings."""
    known: int = sum(case["counts"].values())
    return not known or case["counts"]["readings"] < known


def _print_case(console: Console, answer: dict[str, Any], case: dict[str, Any], *, readings: bool) -> None:
    says = answer["says"]
    status = [f"  {case['status']}"] if case["status"] else []
    kind = f"bulletin of {case['history'][0]['source']} " if is_bulletin(case["case"]) and case["history"] else "case "
    console.print(Text.assemble((kind, "dim"), (case["case"], "bold"), *status))
    console.print(Text(says["counts"].format(**case["counts"]), "dim"))
    rows = [each for each in case["history"] if readings or "reading" not in each]
    left_out = len(case["history"]) - len(rows)
    rows = _with_pieces(rows)
    if rows:
        console.print(_table(rows, wide=console.width >= _WIDE, one=answer["partitions"] == 1))
    elif not sum(case["counts"].values()):
        console.print("Nothing of this case was registered by then.")
    if left_out:
        console.print(
            f"Readings that are not shown: {left_out}. --readings shows them; nrmbus reads lists the readers."
        )
    for clock in case["open_deadlines"]:
        due = f", due {short(clock['due'])} UTC" if clock["due"] else ", paused by a question"
        late = ", breached" if clock["breached"] else ", overdue" if clock["overdue"] else ""
        meaning = says["clocks"][clock["code"]]
        in_words = f" ({meaning})" if meaning else ""
        console.print(Text(f"runs: {clock['code']} of {clock['answerable']}{in_words}{due}{late}"))
    console.print()


def _with_pieces(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *rows* with one row for the pieces of each document, the first, which counts the others: JSON has them all."""
    found, begun = list[dict[str, Any]](), dict[tuple[str, str], dict[str, Any]]()
    for row in rows:
        key = (row["source"], row.get("document", ""))
        if key[1] and key in begun:
            begun[key] |= {"further": begun[key].get("further", 0) + 1, "last": row["number"]}
            continue
        found.append(dict(row))
        begun[key] = found[-1]
    return found


def _table(rows: list[dict[str, Any]], *, wide: bool, one: bool) -> Table:
    """Return the rows; on a narrow terminal verdict and receivers stand below the type. *one*: there is one partition."""
    table = numbered_table("who", *(("type", "verdict", "told") if wide else ("type, verdict, told",)))
    table.columns[2].style = "cyan"
    for row in rows:
        told = ", ".join(row.get("told", ()))
        cells = [_type(row), _verdict(row, one=one), Text(told or "nobody", "" if told else "dim")]
        if not wide:
            cells = [Text("\n").join([*cells[:2], Text("told ", "dim") + cells[2]] if "type" in row else [cells[1]])]
        table.add_row(_place(row, one=one), short(row["time"]), row["source"], *cells)
    return table


def _type(row: dict[str, Any]) -> Text:
    if "type" not in row:
        if "sealed_again" in row:
            return Text("not kept, as it was sealed again", "dim")
        return Text("not kept, as it was refused", "dim")
    version = f" v{row['version']}" if row["version"] > 1 else ""
    unknown = "\nthis release cannot read it: upgrade to replay the case to its end" if "unknown" in row else ""
    further = f"\nand {row['further']} further pieces, up to no. {row['last']}" if "further" in row else ""
    return Text.assemble((f"{row['type']}{version}", "bold"), (further, "dim"), (unknown, "red"))


def _verdict(row: dict[str, Any], *, one: bool) -> Text:
    if "sealed_again" in row:
        again = row.get("followed_by")
        came = f"as no. {_place(again, one=one)}" if again else "not yet"
        return Text.assemble("sealed again for a changed audience, ", came)
    says, article = row.get("sentence"), row.get("article")
    cited = (f" {row[each]}" for each in ("code", "rule") if row.get(each))
    dim = Text(f"\n{article}" if article else "", style="dim")
    return Text.assemble(row["verdict"], *cited, f"\n{says}" if says else "", dim)


def _place(row: dict[str, Any], *, one: bool) -> str:
    """Return the number of a registration, after its partition unless there is *one*; `nrmbus why` takes it."""
    return str(row["number"]) if one else f"{row['partition']}/{row['number']}"
