"""``nrmbus admitter``: the people who admit agencies; two must agree on each agency, and on each change of this list."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.agency import sentences
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.cli.options import BusContext, Known, to_write
from nrmbus.directory import Directory, DirectoryError, admitters
from nrmbus.directory.admitters import Change, Listing, enter, propose
from nrmbus.directory.commands import admitter_of, is_operator, read_as, reader_of, seen_by_admitter
from nrmbus.directory.fold import TWO
from nrmbus.directory.operator import OPERATOR_KEY, Admitter
from nrmbus.wire import base64
from nrmbus.wire.ids import is_agency

app = Commands("admitter", "The people who admit agencies, each with a key of their own; two must agree.")

Name = Annotated[str, typer.Argument(help="A name for this person: lower-case letters, digits, dashes.")]
Out = Annotated[
    Path,
    typer.Option(
        "--out", metavar="FILE", help="File for the change, if a second admitter signs elsewhere.", callback=to_write
    ),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help="The admitter who signs. (default: those whose keys are on this machine)"
    ),
]
_FILE: Final = Path("admitters.request.json")
_KEY_BYTES: Final = 32
FEW: Final = (
    "If one of two keys is lost, nobody can replace it, and no agency is admitted or suspended any more; add a third"
)
"""Advice for a list of two admitters."""


@app.register(example="nrmbus admitter add leyla --key KEY")
def add(
    name: Name,
    *,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The public key that `nrmbus admitter key` printed on the person's machine."),
    ] = None,
    by: As = None,
    out: Out = _FILE,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """Add an admitter, or change an admitter's key; two present admitters sign, here or each on their own machine.

    For a new bus, add two admitters before the first `nrmbus up`: run the command twice.
    """
    folder = context.folder  # which the first `nrmbus up` makes a bus
    context.unlock(folder)
    with sentences():
        _allowed(name)
        is_new = not (folder.keys / OPERATOR_KEY).exists()
        if is_new and key is not None:
            raise typer.BadParameter(
                "before the first `nrmbus up`, leave --key out: the key is made here, and moved to its person later"
            )
        if key is not None and len(base64.read(key) or b"") != _KEY_BYTES:
            raise typer.BadParameter("--key takes the line that nrmbus admitter key NAME printed on that machine")
        public = key or Admitter.at(folder.path, name).public.key
        if is_new:
            here = len(Admitter.here(folder.path))
            more = "nrmbus up makes the bus" if here >= TWO else "the bus needs a second one before nrmbus up"
            few = f" {FEW}." if here == TWO else ""
            typer.echo(f"{name} has a key, and admits from the first nrmbus up on; {more}.{few}")
            return
        typer.echo(asyncio.run(_changed(folder, {name: public}, (), by, out, directory)))


@app.register(example="nrmbus admitter remove leyla")
def remove(
    name: Name,
    *,
    by: As = None,
    out: Out = _FILE,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """Remove an admitter who left, or whose key is in wrong hands; two present admitters sign, as for `add`."""
    folder = context.unlocked()
    with sentences():
        typer.echo(asyncio.run(_changed(folder, {}, (name,), by, out, directory)))


@app.register(example="nrmbus admitter sign admitters.request.json --as leyla")
def sign(
    file: Annotated[Path, typer.Argument(help="The file that `nrmbus admitter add` or `remove` wrote.")],
    *,
    by: As = None,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """Sign a change of the admitters, as the second admitter; on the operator's machine the change is entered too."""
    folder = context.unlocked()
    with sentences():
        typer.echo(asyncio.run(_signed(folder, Listing.read(file), by, file, directory)))


async def _changed(
    folder: BusFolder,
    added: Mapping[str, str],
    removed: Collection[str],
    by: str | None,
    out: Path,
    known: Path | None,
) -> str:
    directory, _ = await seen_by_admitter(folder, known)
    return await _signed(folder, propose(directory, added=added, removed=removed), by, out, known)


async def _signed(folder: BusFolder, listing: Listing, by: str | None, file: Path, known: Path | None) -> str:
    """Sign with each needed admitter's key here, then enter the change or write it to *file*.

    Return the result and the next step.
    """
    directory, _ = await seen_by_admitter(folder, known)
    change = Change.of(directory, listing.listed)
    already = {each.keyid for each in listing.listed.admitted}
    here = [admitter_of(folder, by, directory)] if by else Admitter.here(folder.path)
    for each in here:
        wanted = each.key.kid in directory.roll.admitter_kids and each.key.kid not in already
        if by or (wanted and not listing.is_complete):
            listing = admitters.sign(directory, listing, each)
    changes = f"{_changes(change)}."
    if listing.is_complete and is_operator(folder):
        return f"{changes} {_admitting(await enter(folder, listing))}"
    listing.write(file)
    if listing.is_complete:
        return f"{changes} Two admitters have signed {file}; the operator enters it: nrmbus admitter sign {file}"
    count = "One admitter has" if listing.listed.admitted else "No admitter has"
    return f"{changes} {count} signed {file}; another one does: nrmbus admitter sign {file}"


def _changes(change: Change) -> str:
    named = (
        *(f"{each} is to admit" for each in change.added),
        *(f"{each} gets another key" for each in change.other_key),
        *(f"{each} is to admit no more" for each in change.removed),
    )
    return ", ".join(named)


def _admitting(directory: Directory) -> str:
    names = sorted(directory.roll.admitter_kids.values())
    few = f" {FEW}: nrmbus admitter add NAME --key KEY" if len(names) == TWO else ""
    return f"Entered: there are {len(names)} now: {', '.join(names)}.{few}"


@app.register(example="nrmbus admitter key leyla")
def key(
    name: Name,
    *,
    context: KeysContext,
) -> None:
    """Make a person's key on their own machine, and print its public half."""
    folder = context.unlocked()
    with sentences():
        _allowed(name)
        public = Admitter.at(folder.path, name).public.key
    typer.echo(public)
    typer.echo(f"At an admitter: nrmbus admitter add {name} --key {public}", err=True)


@app.register(example="nrmbus admitter list", name="list")
def list_(context: BusContext) -> None:
    """List the admitters, and mark those whose key is on this machine."""
    folder = context.folder
    with sentences():
        directory = asyncio.run(read_as(folder, reader_of(folder)))
    here = {each.key.kid for each in Admitter.here(folder.path)}
    names = directory.roll.admitter_kids
    width = max((len(name) for name in names.values()), default=0)
    for kid, name in sorted(names.items(), key=lambda each: each[1]):
        typer.echo(f"{name:{width}}  {kid}{'  key here' if kid in here else ''}")


def _allowed(name: str) -> None:
    if not is_agency(name):
        raise DirectoryError("id_reserved")
