"""``nrmbus schema``: types and versions of the published language, changes between versions, and checks of a file."""

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nrmbus.bus.errors import BusError
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.documents import read
from nrmbus.events import schemas
from nrmbus.events.model import Data
from nrmbus.events.registry import TYPES, versions
from nrmbus.events.schemas import documents, schema_of
from nrmbus.published.compatibility import changes

app = Commands("schema", "Published events: list and compare them, check a file of yours, or cast it.")

Type = Annotated[str, typer.Argument(metavar="TYPE", help="A type such as referral.submitted, with or without `nrm.`.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="JSON as in schemas/nrm.*/v1/full.json, or as you post it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.register(example="nrmbus schema list", name="list")
def list_(*, as_json: Json = False) -> None:
    """List every type with its versions, its letter's parts, and its meaning."""
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for name, _ in TYPES):
        newest = list(versions(name).values())[-1]
        says = " ".join((versions(name)[1].__doc__ or "").split())
        parts = newest.letter.part_names() if newest.letter else ()
        rows.append({"type": f"nrm.{name}", "versions": [*versions(name)], "parts": [*parts], "says": says})
    if as_json:
        typer.echo(json.dumps({"types": rows}, indent=2))
        return
    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("type", "versions", *(("sealed", "says") if console.width >= _WIDE else ())):
        table.add_column(title, overflow="fold")
    for row in rows:
        more = (", ".join(row["parts"]), row["says"]) if console.width >= _WIDE else ()
        table.add_row(row["type"], ", ".join(map(str, row["versions"])), *more)
    console.print(table)


_WIDE = 110
"""Terminal width from which each detail has a column of its own."""


@app.register(example="nrmbus schema show referral.submitted --version 1 --example full")
def show(
    type: Type,
    *,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Which version. (default: the newest)")
    ] = None,
    example: Annotated[
        str | None, typer.Option(metavar="minimal|full", help="An example in place of the schema.")
    ] = None,
) -> None:
    """Print the JSON Schema of a type, or an example of it."""
    known = _versions(type)
    data = known[_one_of(known, version)]
    if example not in (None, "minimal", "full"):
        raise BusError("There are two examples of each version: --example minimal, or --example full")
    stem = f"nrm.{data.type}/v{data.version}"
    typer.echo(documents((data,))[f"{stem}/{example}.json" if example else f"{stem}.schema.json"], nl=False)


@app.register(example="nrmbus schema diff referral.submitted 1 2")
def diff(
    type: Type,
    first: Annotated[int | None, typer.Argument(metavar="FROM", help="(default: the version before TO)")] = None,
    second: Annotated[int | None, typer.Argument(metavar="TO", help="(default: the newest)")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show what changed between two versions, and which programs break if they do not cast."""
    known = _versions(type)
    to = _one_of(known, second)
    since = _one_of(known, first) if first is not None else max((each for each in known if each < to), default=to)
    old, new = schema_of(known[since]), schema_of(known[to])
    found = changes(old, new)
    if as_json:
        typer.echo(
            json.dumps({"changes": [each._asdict() | {"breaks": sorted(each.breaks)} for each in found]}, indent=2)
        )
        return
    console = Console()
    console.print(f"{type}, version {since} to {to}", style="dim", highlight=False)
    for each in found:
        whom = f" breaks {' and '.join(sorted(each.breaks))}" if each.breaks else ""
        console.print(Text.assemble((each.pointer, "bold"), f": {each.sentence}", (whom, "red")), soft_wrap=True)
    if not found:
        console.print("Nothing changed.")


@app.register(example="nrmbus schema check deploy/examples/referral.json")
def check(file: File, *, as_json: Json = False) -> None:
    """Check the event in FILE (`-`: standard input) against its type and version.

    It prints each problem with a place and names from the schema, and never repeats the file's content. Exit status:
    0 if the event fits, else 1.
    """
    document = read(file)
    found = document.problems()
    if as_json:
        problems = [{"pointer": each.pointer, "kind": each.kind} for each in found]
        typer.echo(json.dumps({"type": document.name, "version": document.version, "problems": problems}, indent=2))
    else:
        for each in found:
            typer.echo(each.sentence)
        if not found:
            typer.echo(f"It is nrm.{document.name}, version {document.version}, as published.")
    raise typer.Exit(bool(found))


@app.register(example="nrmbus schema cast deploy/examples/referral.json --to 2")
def cast(
    file: File,
    *,
    to: Annotated[int, typer.Option(metavar="N", min=1, help="The version to cast to.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print an object with the document and the lost fields.")
    ] = False,
) -> None:
    """Print the event in FILE (`-`: standard input) in another version; name lost fields on standard error.

    The output is a new document: a signature in FILE is left out, because it would not fit.
    """
    document = read(file)
    if found := document.problems():
        raise BusError(
            f"Only an event that fits its version can be cast, and this does not at {found[0].pointer or '/'}: nrmbus schema check FILE"
        )
    other, lost = document.cast(_one_of(_versions(document.name), to))
    if as_json:
        named = [{"version": each.version, "pointer": each.pointer} for each in lost]
        typer.echo(json.dumps({"document": other, "lost": named}, indent=2, ensure_ascii=False))
        return
    typer.echo(json.dumps(other, indent=2, ensure_ascii=False))
    for each in lost:
        typer.echo(f"lost: {each.pointer} of version {each.version}", err=True)


@app.register(example="nrmbus schema freeze")
def freeze() -> None:
    """In a clone: write the files that `schemas/` lacks for the versions in the models; published files stay as they are.

    It prints each file that it wrote, and then the parts that only a person can write. Exit status: 0 if nothing is
    left to do, else 1.
    """
    if not schemas.FOLDER.is_dir():
        raise BusError("A wheel has no schemas/ to write into: give this command in a clone of the project")
    from nrmbus.published import asyncapi, gate, golden, openapi  # noqa: PLC0415 - no wheel has them

    for path in (*schemas.write(), *golden.write(), *asyncapi.write(), *openapi.write()):
        typer.echo(f"wrote schemas/{path}")
    left = [*gate.findings(), *golden.check(), *openapi.refused()]
    for each in left:
        typer.echo(each)
    raise typer.Exit(bool(left))


def _versions(name: str) -> dict[int, type[Data]]:
    found = dict(versions(name.removeprefix("nrm.")))
    if not found:
        raise BusError("No event of this type is published: nrmbus schema list")
    return found


def _one_of(known: dict[int, type[Data]], version: int | None) -> int:
    wanted = max(known) if version is None else version
    if wanted not in known:
        raise BusError(f"This version is not published; those that are: {', '.join(map(str, known))}")
    return wanted
