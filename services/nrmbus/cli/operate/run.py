"""``nrmbus run``: one service of a bus in the foreground.

The service becomes this process, and may run for months. So this module brings nothing that a service does not need.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.lease import HELD, How
from nrmbus.cli.commands import Commands
from nrmbus.cli.expected import is_interrupted, told
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.directory.admission import home_of
from nrmbus.host.process import without_message
from nrmbus.host.services import public_page_of, run_service

app = Commands()

BROKER: Final = "broker"
"""The name under which the embedded Kafka runs alone."""


@app.register(example="nrmbus run registrar --data ./my-bus")
def run(
    service: Annotated[
        str, typer.Argument(help="registrar, timekeeper, auditor, canary, broker, an agency's id, or public.")
    ],
    context: KeysContext,
    *,
    agency: Annotated[
        str | None, typer.Argument(help="With public: the agency whose public page is served.", show_default=False)
    ] = None,
    standby: Annotated[
        bool,
        typer.Option("--standby", help="Wait while another host runs the desk, and begin when it is silent or ends."),
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Begin even if another host runs the desk; that one then stops.")
    ] = False,
) -> None:
    """Run one service of a bus in the foreground until Ctrl-C; the broker must be running.

    A desk runs in one place only. If another process runs it, the command says whether on this machine or another and since when,
    waits until it is clear whether that process lives, and then begins or ends. Exit status: 70 if the service could not
    go on, 72 if another process runs the desk.

    The public page of an agency (nrmbus run public AGENCY) is served without a broker, and without a key of the agency.
    """
    folder = context.folder
    if standby and take_over:
        raise typer.BadParameter("Give --standby or --take-over, not both.")
    if (service == "public") != (agency is not None):
        raise typer.BadParameter("Name an agency with public, and only with it: nrmbus run public AGENCY.")
    if agency is not None:
        with _unexpected_without_message():
            run_service(public_page_of(agency), folder, typer.echo)
        return
    if service not in folder.agencies() and not (home_of(folder, service) / "keys").exists():
        operators_own(folder)
    if service == BROKER:
        context.unlock(folder)
        # Imported here: the broker is fetched, and what shows its progress takes 6 MiB in every other service.
        from nrmbus.cli.operate.up import run_broker  # noqa: PLC0415

        run_broker(folder)
        return
    folder.bootstrap  # noqa: B018 - raises where no broker is running
    context.unlock(folder)
    try:
        how: How = "standby" if standby else "take_over" if take_over else "wait"
        with _unexpected_without_message():
            run_service(service, folder, typer.echo, how)
    except SystemExit as error:
        if error.code and error.code != HELD:
            typer.echo(
                f"{service} has ended: the line above names the error; TopicAuthorizationFailedError means that the "
                "agency is suspended. Start it again when the cause is mended.",
                err=True,
            )
        raise


@contextmanager
def _unexpected_without_message() -> Iterator[None]:
    """End with status 1 at an error that has no sentence, and print it as the supervisor's services do: the journal keeps it."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) or is_interrupted(error) or told(error):
            raise
        typer.echo(without_message(error), err=True)
        raise typer.Exit(1) from None


def operators_own(folder: BusFolder) -> None:
    """Check that this machine has the operator's key of this bus.

    Raises:
        NoBus: the folder was made by nrmbus join, so only desks may run here.
    """
    if folder.is_joined:
        raise NoBus(
            "Another machine runs this bus. This machine runs the desk of an admitted agency: nrmbus agency request "
            f"AGENCY --role ROLE, then nrmbus run AGENCY, each with --data '{folder.path}'."
        )
