"""``nrmbus topics``: the broker's topics compared with the files that declare them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import BusContext
from nrmbus.directory import RUNNING
from nrmbus.directory.admission import catch_up, read_directory

app = Commands("topics", "Make and check the broker's topics as their files declare them.")

Files = Annotated[
    Path | None, typer.Option("--topics", metavar="DIR", help="The topic files. (default: deploy/topics)")
]


def owners(folder: BusFolder) -> list[str]:
    """Return everybody with an outbox and an inbox: the agencies in the directory and the bus's own services."""
    return sorted({*asyncio.run(read_directory(folder)).entries, *RUNNING})


@app.register(example="nrmbus topics apply --data ./my-bus")
def apply(
    *,
    context: BusContext,
    files: Files = None,
    shorten: Annotated[
        bool, typer.Option("--shorten", help="Allow a shorter retention, which deletes older records.")
    ] = False,
) -> None:
    """Make missing topics and reset altered settings; no topic is deleted and no partition removed.

    Access rules and quotas become exactly those that are declared.
    """
    folder, declarations = context.folder, topics.load_declarations(files)
    where, partitions, play = folder.as_operator, folder.settings.partitions, folder.settings.play
    left = topics.apply(where, owners(folder), partitions, play=play, shorten=shorten, declarations=declarations)
    asyncio.run(catch_up(folder))
    of_others = Gate(folder).apply(declarations)
    for sentence in (*map(str, left), *of_others):
        typer.echo(sentence)
    raise typer.Exit(bool(of_others) or any(each.kind != "stray" and not each.enlarged for each in left))


@app.register(example="nrmbus topics check --data ./my-bus")
def check(*, context: BusContext, files: Files = None) -> None:
    """Print how the broker's topics, access rules and quotas differ from their files; change nothing.

    Exit status: 1 if they differ.
    """
    folder, declarations = context.folder, topics.load_declarations(files)
    where, partitions, play = folder.as_operator, folder.settings.partitions, folder.settings.play
    drift = topics.check(where, owners(folder), partitions, play=play, declarations=declarations)
    found = [*map(str, drift), *Gate(folder).check(declarations)]
    for each in found:
        typer.echo(each)
    raise typer.Exit(bool(found))


@app.register(example="nrmbus topics docs > topics.md")
def docs(files: Files = None) -> None:
    """Print a Markdown table of all topics, with their writers and readers."""
    typer.echo(topics.docs(topics.load_declarations(files)), nl=False)
