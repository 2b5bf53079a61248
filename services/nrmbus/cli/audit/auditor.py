"""``nrmbus auditor``: who may sign in at the auditor's page, and where it is."""

import json

import typer

from nrmbus.auditor.reports.rejudge import otherwise
from nrmbus.auditor.web.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit.replay import verified
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import BusContext
from nrmbus.directory.commands import is_joined

app = Commands("auditor", "The auditor's page: who may sign in, and its address.")
user = Commands("user", "Who may sign in at the auditor's page.")
app.add_typer(user)


@user.register(example="nrmbus auditor user add leyla")
def add(name: str, context: BusContext) -> None:
    """Let NAME sign in, or give NAME another password; asks for it twice.

    The number that it prints stands in the history with everything that NAME asks; whose it is, only this machine knows.
    """
    users = Users(context.folder.service("auditor"))
    users.check_name(name)
    password = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    typer.echo(f"{name} may sign in, as number {users.add(name, password)} of the history.")


@user.register(example="nrmbus auditor user remove leyla")
def remove(name: str, context: BusContext) -> None:
    """Let NAME sign in no more; whose number it was stays known."""
    Users(context.folder.service("auditor")).remove(name)
    typer.echo(f"{name} may not sign in any more.")


@user.register(example="nrmbus auditor user list", name="list")
def list_(context: BusContext) -> None:
    """List everybody who ever could sign in, and this machine's accounts whose commands have asked, by their numbers."""
    users = Users(context.folder.service("auditor"))
    for name, actor, admitted in users.names():
        typer.echo(f"{actor}  {name}{'' if admitted else '  (may not sign in any more)'}")
    for name, actor in users.accounts():
        typer.echo(f"{actor}  {name}  (account of this machine, by commands)")


@app.register(example="nrmbus auditor page")
def page(context: BusContext) -> None:
    """Print the address of the page, for a browser on this machine; the bus must be up."""
    folder = context.folder
    folder.bootstrap  # noqa: B018 - raises where no bus is up
    if is_joined(folder):
        raise BusError("The auditor's page is on the operator's machine: nrmbus auditor page there.")
    try:
        door = json.loads((folder.service("auditor") / "door.json").read_bytes())
    except FileNotFoundError:
        raise BusError("The auditor has not started yet: nrmbus up") from None
    typer.echo(f"{door['url']}/")


@app.register(example="nrmbus auditor judge")
def judge(context: BusContext) -> None:
    """Verify the history, and judge all of it again: what the registrar let in, told or refused otherwise than by the Rules.

    Exit status 1 if there is anything. A refusal keeps nothing of what was refused: it is judged as far as it rests on the
    history, and by code and basis.
    """
    seen = verified(context.folder)
    found = list(otherwise(seen.history.entries, seen.rules, seen.directory))
    for each in found:
        about = each.rule or ", ".join(each.agencies)
        typer.echo(f"number {each.number} of partition {each.partition}: {each.code}{f' ({about})' if about else ''}")
    if found:
        raise typer.Exit(1)
    typer.echo(f"Of {len(seen.history.entries)} registrations none went otherwise than by the Rules.")
