"""``nrmbus invite`` and ``nrmbus join``: how another machine comes to know a bus, before its agency asks to be admitted."""

from pathlib import Path
from typing import Annotated

import typer

from nrmbus.cli.options import DEFAULT_BUS, PLAINTEXT, Bus, Data, checked_address, folder_of, to_write


def invite(
    file: Annotated[Path, typer.Argument(help="Where the invitation is written.", callback=to_write)] = Path(
        "bus.invitation.json"
    ),
    *,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where the other machine meets the broker; several have commas between. (default: as this one does)",
        ),
    ] = None,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
) -> None:
    """Write what another machine has to know of this bus: its name, its broker's address, its operator's public key.

    Nothing in it is secret. Read its fingerprint out to whoever joins.
    """
    from nrmbus.cli.membership.agency import sentences
    from nrmbus.directory.invitation import Invitation, is_this_machine

    checked_address(bootstrap)
    with sentences():
        made = Invitation.to(folder_of(data, bus), bootstrap)
        made.write(file)
    typer.echo(f"{file} goes to the machine that joins: nrmbus join {file}")
    if is_this_machine(made.bootstrap):
        typer.echo(
            f"Its broker, {made.bootstrap}, is met from this machine alone, and elsewhere after the next nrmbus up; "
            "nrmbus up --bootstrap serves other machines."
        )
    typer.echo(f"Fingerprint, to be read out: {made.fingerprint}")


def join(
    file: Annotated[Path, typer.Argument(help="The invitation, from the operator's machine.")],
    *,
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="DIGITS", help="What the operator read out; another one is refused, and nothing written."),
    ] = None,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
) -> None:
    """Make a folder for this machine by an invitation; then an agency's keys are made there: nrmbus agency request.

    Run again with a newer invitation, it tells the folder where the broker is now.
    """
    from nrmbus.cli.membership.agency import sentences
    from nrmbus.directory.invitation import Invitation

    folder = folder_of(data, bus)
    with sentences():
        found = Invitation.read(file)
        was = found.accept(folder, fingerprint)
    where = f"{folder.path} {'knows' if was else 'is a folder of'} bus {found.bus} at {found.bootstrap}."
    typer.echo(where)
    if not found.tls:
        typer.echo(PLAINTEXT)
    if fingerprint is None:
        typer.echo(f"Before you go on, have the operator read out the fingerprint; it has to be: {found.fingerprint}")
    if not was:
        more = f" --data '{folder.path}'" if data else "" if bus == DEFAULT_BUS else f" --bus {bus}"
        typer.echo(f"Next: nrmbus agency request AGENCY --role ROLE{more}")
