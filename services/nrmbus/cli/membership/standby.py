"""``nrmbus standby``: a second machine is admitted to run the bus's own services, and its certificates are taken back."""

import asyncio
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.hosts import hosts_of, table_of
from nrmbus.cli.membership.agency import sentences
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.cli.options import to_write
from nrmbus.directory import DirectoryError, standby
from nrmbus.directory.commands import is_operator
from nrmbus.directory.standby import Standby
from nrmbus.wire.ids import is_agency

app = Commands(
    "standby", "Standby hosts: other machines that run registrar, timekeeper and auditor when the first one is lost."
)

Host = Annotated[str, typer.Argument(help="The host's name: 2 to 31 lower-case letters, digits and dashes.")]
File = Annotated[Path, typer.Argument(help="The host's file.")]


def _operators(folder: BusFolder) -> None:
    if not is_operator(folder):
        raise BusError("The operator's key is not on this machine: give the command on the operator's machine.")


@app.register(example="nrmbus standby request host-b --data ./host-b")
def request(
    host: Host,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="The request's file. (default: HOST.standby.json)", callback=to_write
        ),
    ] = None,
    context: KeysContext,
) -> None:
    """On the standby host, after nrmbus join: make the host's keys and a request for the operator.

    An earlier request of this machine is void then. Services must not run here meanwhile.
    """
    folder = context.unlocked()
    if not folder.is_joined:
        raise BusError("This machine runs the bus: a standby host is another one, on which nrmbus join was run.")
    if not is_agency(host):
        raise typer.BadParameter("a host's name has 2 to 31 lower-case letters, digits and dashes, a letter first")
    if busy := [each for each in standby.SERVED if folder.runs(each)]:
        raise BusError(f"{busy[0]} runs here: end it first, so that it starts with the keys that the answer brings.")
    file = out or Path(f"{host}.standby.json")
    with sentences():
        if file.exists() and not _is_done(folder, file):
            raise BusError(
                f"{file} is there already, and may have the operator's answer to this machine: nrmbus standby take {file} keeps "
                "the answer. Otherwise move the file."
            )
        made = standby.ask(folder, host)
        made.write(file)
    typer.echo(f"{file} goes to the operator: nrmbus standby admit {file} --fingerprint DIGITS")
    typer.echo(f"Fingerprint, to read out: {made.fingerprint}")


def _is_done(folder: BusFolder, file: Path) -> bool:
    """Return whether nobody needs the request in *file* any more: it has no answer, or none that this machine could still take."""
    with suppress(DirectoryError):
        return not standby.is_untaken(folder, Standby.read(file))
    return False


@app.register(example='nrmbus standby admit host-b.standby.json --fingerprint "…"')
def admit(
    file: File,
    *,
    fingerprint: Annotated[
        str, typer.Option(metavar="DIGITS", help="The fingerprint that the host's person read out.")
    ],
    context: KeysContext,
) -> None:
    """At the operator: give the host its certificates, and the services' signing keys sealed to it alone. The file goes back.

    With these keys and a certificate a machine registers events for the bus: admit only one that is kept as well as this one.
    """
    folder = context.unlocked()
    _operators(folder)
    with sentences():
        answer = standby.admit(folder, Standby.read(file), fingerprint)
        answer.write(file)
    typer.echo(f"{answer.host} is admitted. {file} goes back to it: nrmbus standby take {file}")


@app.register(example="nrmbus standby take host-b.standby.json --data ./host-b")
def take(file: File, *, context: KeysContext) -> None:
    """On the standby host: keep certificates and keys, once the broker lets this host in and the directory confirms the keys."""
    folder = context.unlocked()
    with sentences():
        answer = Standby.read(file)
        taken = asyncio.run(standby.take(folder, answer))
    typer.echo(f"This is the standby host {answer.host}. {file} is of no more use: remove it. Next, each as a service:")
    for each in taken:
        typer.echo(f"  nrmbus run {each} --data '{folder.path}'")


@app.register(example="nrmbus standby list", name="list")
def show(*, context: KeysContext) -> None:
    """At the operator: list the standby hosts, which service works or stands by there, and until when each is admitted."""
    folder = context.unlocked()
    _operators(folder)
    found = hosts_of(folder)
    if not any(each.certificate_ends or each.state == "old keys" for each in found):
        typer.echo("No standby host is admitted: nrmbus standby request HOST on another machine makes a request.")
        return
    Console(highlight=False).print(table_of(found, datetime.now().astimezone()))


@app.register(example="nrmbus standby revoke host-b")
def revoke(host: Host, *, context: KeysContext) -> None:
    """At the operator: take back all certificates of a host. The broker gives it nothing more, on open connections too.

    The host still has the signing keys of the services, which are worth nothing without a certificate.
    """
    folder = context.unlocked()
    _operators(folder)
    with sentences():
        standby.revoke(folder, host)
    typer.echo(f"{host} gets nothing more from the broker.")
