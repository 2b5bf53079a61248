"""``nrmbus auditor``: users and address of the auditor's page, and a second judgement of the history."""

import json

import typer

from nrmbus.auditor.reports.rejudge import otherwise
from nrmbus.auditor.web.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit.own_reading import verified
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.options import BusContext, Jobs

app = Commands("auditor", "The auditor's page: its address, and the users who may sign in.")
user = Commands("user", "Users who may sign in at the auditor's page.")
app.add_typer(user)


@user.register(example="nrmbus auditor user add leyla")
def add(name: str, context: BusContext) -> None:
    """Add a user, or change a user's password; the command asks for the password twice.

    At the next sign-in the user sets up an authenticator app, also one who had set up another app before.
    It prints a number. The history records the user's questions under this number; only this machine knows whose
    number it is.
    """
    users = Users(context.folder.service("auditor"))
    users.check_name(name)
    password = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    typer.echo(f"{name} may sign in, under number {users.add(name, password)} in the history.")


@user.register(example="nrmbus auditor user remove leyla")
def remove(name: str, context: BusContext) -> None:
    """Remove a user; this machine keeps the name behind the number."""
    Users(context.folder.service("auditor")).remove(name)
    typer.echo(f"{name} may not sign in any more.")


@user.register(example="nrmbus auditor user list", name="list")
def list_(context: BusContext) -> None:
    """List present and former users, and the accounts of this machine that asked by command, with their numbers."""
    users = Users(context.folder.service("auditor"))
    for name, actor, admitted in users.names():
        typer.echo(f"{actor}  {name}{'' if admitted else '  (may not sign in any more)'}")
    for name, actor in users.accounts():
        typer.echo(f"{actor}  {name}  (account of this machine, by commands)")


@app.register(example="nrmbus auditor page")
def page(context: BusContext) -> None:
    """Print the address of the page, for a browser on this machine; the bus must be running."""
    folder = context.folder
    folder.bootstrap  # noqa: B018 - raises where no bus is up
    if folder.audited_elsewhere or (folder.is_joined and not (folder.service("auditor") / "keys").exists()):
        raise BusError("The auditor's page is on the auditor's machine: nrmbus auditor page there.")
    try:
        door = json.loads((folder.service("auditor") / "door.json").read_bytes())
    except FileNotFoundError:
        start = "nrmbus run auditor" if folder.is_joined else "nrmbus up"
        raise BusError(f"The auditor has not started yet: {start}") from None
    typer.echo(f"{door['url']}/")


@app.register(example="nrmbus auditor judge")
def judge(*, jobs: Jobs = None, context: BusContext) -> None:
    """Verify the whole history, judge it again, and list where the registrar did not follow the Rules.

    The history does not keep refused events, so a refusal is judged only by its code, its basis and the history
    before it. Exit status: 1 if the registrar did not follow the Rules.
    """
    seen = verified(context.folder, jobs)
    found = list(otherwise(seen.history.entries, seen.rules, seen.directory))
    for each in found:
        about = each.rule or ", ".join(each.agencies)
        typer.echo(f"number {each.number} of partition {each.partition}: {each.code}{f' ({about})' if about else ''}")
    if found:
        raise typer.Exit(1)
    typer.echo(f"Each of {counted(len(seen.history.entries), 'registration')} follows the Rules.")
