"""``nrmbus admitter``: the people who admit agencies; two of them have to agree."""

from typing import Annotated

import typer

from nrmbus.cli.keys import Unprotected
from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

app = typer.Typer(
    help="The people who admit agencies, each with a key of their own; two must agree.", no_args_is_help=True
)


@app.command(epilog="Example: nrmbus admitter add leyla")
def add(
    name: Annotated[str, typer.Argument(help="A name for this person: lower-case letters, digits, dashes.")],
    *,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The public key that `nrmbus admitter key` printed at the person's machine."),
    ] = None,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
    keys_unprotected: Unprotected = False,
) -> None:
    """Name one more admitter; two of the present ones sign, whose keys have to be here.

    Before the bus has any entry, the first two are made so: run it twice, then `nrmbus up`.
    """
    import asyncio

    from nrmbus.cli.agency import sentences, unlocked
    from nrmbus.directory.changes import name_admitters
    from nrmbus.directory.operator import Admitter

    folder = unlocked(data, bus, unprotected=keys_unprotected)
    with sentences():
        _allowed(name)
        public = key or Admitter.at(folder.path, name).public.key
        if not folder.is_held and not folder.settings.bootstrap:
            typer.echo(f"{name} has a key, and admits from the first `nrmbus up` on.")
            return
        directory = asyncio.run(name_admitters(folder, {name: public}))
    typer.echo(
        f"{name} admits; there are {len(directory.roll.admitter_kids)}: {', '.join(sorted(directory.roll.admitter_kids.values()))}."
    )


@app.command(epilog="Example: nrmbus admitter key leyla")
def key(
    name: Annotated[str, typer.Argument(help="A name for this person: lower-case letters, digits, dashes.")],
    *,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
    keys_unprotected: Unprotected = False,
) -> None:
    """Make a person's key on their own machine, and print its public half."""
    from nrmbus.cli.agency import sentences, unlocked
    from nrmbus.directory.operator import Admitter

    folder = unlocked(data, bus, unprotected=keys_unprotected)
    with sentences():
        _allowed(name)
        typer.echo(Admitter.at(folder.path, name).public.key)


@app.command(name="list", epilog="Example: nrmbus admitter list")
def list_(data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Print who may admit, and whose key lies here."""
    import asyncio

    from nrmbus.cli.agency import sentences
    from nrmbus.directory.changes import read_as, reader_of
    from nrmbus.directory.operator import Admitter

    folder = folder_of(data, bus)
    with sentences():
        directory = asyncio.run(read_as(folder, reader_of(folder)))
    here = {each.key.kid for each in Admitter.here(folder.path)}
    for kid, name in sorted(directory.roll.admitter_kids.items(), key=lambda each: each[1]):
        typer.echo(f"{name}  {kid}{'  key here' if kid in here else ''}")


def _allowed(name: str) -> None:
    from nrmbus.directory import DirectoryError
    from nrmbus.wire.ids import is_agency

    if not is_agency(name):
        raise DirectoryError("id_reserved")
