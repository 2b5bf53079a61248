"""``nrmbus invite`` and ``nrmbus join``: the introduction of another machine to a bus, before its agency requests admission."""

from pathlib import Path
from typing import Annotated

import typer

from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.agency import sentences
from nrmbus.cli.options import DEFAULT_BUS, PLAINTEXT, BusContext, checked_address, to_write
from nrmbus.directory.invitation import Invitation, is_this_machine
from nrmbus.host.profiles import know_profiles

app = Commands()


@app.register(example="nrmbus invite bus.invitation.json")
def invite(
    file: Annotated[Path, typer.Argument(help="Where the invitation is written.", callback=to_write)] = Path(
        "bus.invitation.json"
    ),
    *,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The broker's address for the other machine; separate several by commas. (default: those of nrmbus up --listen)",
        ),
    ] = None,
    context: BusContext,
) -> None:
    """Write an invitation for another machine: the bus's name, its broker's address, its operator's public key.

    Nothing in the file is secret. Read its fingerprint out to the person who joins.
    """
    checked_address(bootstrap)
    with sentences():
        made = Invitation.to(context.folder, bootstrap)
        made.write(file)
    typer.echo(f"{file} goes to the machine that joins: nrmbus join {file}")
    if is_this_machine(made.bootstrap):
        serves = (
            f"nrmbus invite {file} --bootstrap HOST:PORT names the cluster's address for other machines"
            if context.folder.settings.bootstrap
            else "nrmbus up --listen HOST serves other machines, at an address that stays"
        )
        typer.echo(f"Only this machine reaches the broker at {made.bootstrap}: {serves}.")
    typer.echo(f"Fingerprint, to read out: {made.fingerprint}")


@app.register(example="nrmbus join bus.invitation.json --data ./ngo-b")
def join(
    file: Annotated[Path, typer.Argument(help="The invitation, from the operator's machine.")],
    *,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            metavar="DIGITS",
            help="The fingerprint that the operator read out; an invitation with another one is refused.",
        ),
    ] = None,
    context: BusContext,
) -> None:
    """Make a folder for this machine from an invitation; the next step is nrmbus agency request.

    If the broker has moved, run it again with a newer invitation.
    """
    folder = context.folder
    with sentences():
        found = Invitation.read(file)
        was = found.accept(folder, fingerprint)
    know_profiles(folder)
    where = f"{folder.path} {'knows' if was else 'is a folder of'} bus {found.bus} at {found.bootstrap}."
    typer.echo(where)
    if not found.tls:
        typer.echo(PLAINTEXT)
    if fingerprint is None:
        typer.echo(f"Before you go on, have the operator read out the fingerprint. It must be: {found.fingerprint}")
    if not was:
        more = (
            f" --data '{folder.path}'"
            if context.data
            else ""
            if context.bus in (None, DEFAULT_BUS)
            else f" --bus {context.bus}"
        )
        typer.echo(f"Next: nrmbus agency request AGENCY --role ROLE{more}")
