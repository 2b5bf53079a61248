"""``nrmbus auditor``: who may sign in at the auditor's page, and where it is."""

import typer

from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

app = typer.Typer(help="The auditor's page: who may sign in, and its address.", no_args_is_help=True)
user = typer.Typer(help="Who may sign in at the auditor's page.", no_args_is_help=True)
app.add_typer(user, name="user")


@user.command(epilog="Example: nrmbus auditor user add leyla")
def add(name: str, data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Let NAME sign in, or give NAME another password; asks for it twice.

    The number that it prints stands in the history with everything that NAME asks; whose it is, only this machine knows.
    """
    from nrmbus.auditor.web.users import Users

    users = Users(folder_of(data, bus).service("auditor"))
    users.check_name(name)
    password = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    typer.echo(f"{name} may sign in, as number {users.add(name, password)} of the history.")


@user.command(epilog="Example: nrmbus auditor user remove leyla")
def remove(name: str, data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Let NAME sign in no more; whose number it was stays known."""
    from nrmbus.auditor.web.users import Users

    Users(folder_of(data, bus).service("auditor")).remove(name)
    typer.echo(f"{name} may not sign in any more.")


@user.command("list", epilog="Example: nrmbus auditor user list")
def list_(data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """List everybody who ever could sign in, and this machine's accounts whose commands have asked, by their numbers."""
    from nrmbus.auditor.web.users import Users

    users = Users(folder_of(data, bus).service("auditor"))
    for name, actor, admitted in users.names():
        typer.echo(f"{actor}  {name}{'' if admitted else '  (may not sign in any more)'}")
    for name, actor in users.accounts():
        typer.echo(f"{actor}  {name}  (account of this machine, by commands)")


@app.command(epilog="Example: nrmbus auditor page")
def page(data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Print the address of the page, for a browser on this machine; the bus must be up."""
    import json

    from nrmbus.bus.errors import BusError
    from nrmbus.directory.commands import is_joined

    folder = folder_of(data, bus)
    folder.bootstrap  # noqa: B018 - raises where no bus is up
    if is_joined(folder):
        raise BusError("The auditor's page is on the operator's machine: nrmbus auditor page there.")
    try:
        door = json.loads((folder.service("auditor") / "door.json").read_bytes())
    except FileNotFoundError:
        raise BusError("The auditor has not started yet: nrmbus up") from None
    typer.echo(f"{door['url']}/")


@app.command(epilog="Example: nrmbus auditor judge")
def judge(data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Verify the history, and judge all of it again: what the registrar let in, told or refused otherwise than by the Rules.

    Exit status 1 if there is anything. A refusal keeps nothing of what was refused: it is judged as far as it rests on the
    history, and by code and basis.
    """
    from nrmbus.auditor.reports.rejudge import otherwise
    from nrmbus.cli.audit.replay import verified

    seen = verified(folder_of(data, bus))
    found = list(otherwise(seen.history.entries, seen.rules, seen.directory))
    for each in found:
        about = each.rule or ", ".join(each.agencies)
        typer.echo(f"number {each.number} of partition {each.partition}: {each.code}{f' ({about})' if about else ''}")
    if found:
        raise typer.Exit(1)
    typer.echo(f"Of {len(seen.history.entries)} registrations none went otherwise than by the Rules.")
