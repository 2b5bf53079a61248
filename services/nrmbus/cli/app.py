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


COMMANDS: Final = {
    "up": Command(
        "operate.up",
        "Run a bus on this machine until Ctrl-C: Kafka, the registrar, the timekeeper, a desk for each agency.",
    ),
    "run": Command(
        "operate.up", "Run one service of a bus until Ctrl-C, here in the foreground; its broker must be running."
    ),
    "play": Command(
        "operate.play", "Play a scenario and print its story: step, time, who, event, result, who received it."
    ),
    "publish": Command(
        "desk.publish",
        "Say that something happened: the agency's desk signs it, seals its letter, sends it, and prints the verdict.",
    ),
    "inbox": Command(
        "desk.inbox",
        "Show what an agency received: row, time (UTC), type, from whom, the case, and the letter's parts that it may open.",
    ),
    "replay": Command(
        "audit.replay",
        "Replay the history of a case, or of all: what was registered and refused, by which rule, and who was told.",
    ),
    "why": Command(
        "audit.why",
        "Say who was told of an event, who was not and which rule kept it from them, and what became of it.",
    ),
    "trace": Command(
        "audit.trace",
        "Show who worked on an event, after what and for how long: its sender, the registrar, each receiver.",
    ),
    "reads": Command("audit.reads", "Say who read what of a case, when and what for."),
    "person-report": Command(
        "audit.person_report",
        "Tell the person what is held about them: by which agency, on which ground, who read it, who was told what.",
    ),
    "export": Command(
        "audit.export",
        "Write the evidence of a case: its registrations, what proves them, and a verifier, in one file.",
    ),
    "verify": Command(
        "audit.verify",
        "Verify the evidence of a case, with keys that you have from their owners: one line for each check.",
    ),
    "doctor": Command(
        "operate.doctor",
        "Look for what is wrong: desks and services that are not ready, open files, unprotected keys, sealing keys near their end, clocks, a stale directory, certificates, the disk.",
    ),
    "invite": Command(
        "membership.invitation",
        "Write what another machine has to know of this bus: its name, its broker's address, its operator's public key.",
    ),
    "join": Command(
        "membership.invitation",
        "Make a folder for this machine by an invitation; then an agency's keys are made there: nrmbus agency request.",
    ),
    "auditor": Command("audit.auditor", "The auditor's page: who may sign in, and its address."),
    "agency": Command("membership.agency", "Agencies: joining the bus, changing keys, leaving. Two admitters agree."),
    "admitter": Command(
        "membership.admitter", "The people who admit agencies, each with a key of their own; two must agree."
    ),
    "keys": Command("membership.keys", "Private keys at rest: sealing them, and a key file to seal them under."),
    "erasure": Command("audit.erasure", "What was erased, and who says so."),
    "retention": Command("audit.retention", "Closed cases and how long the profile keeps them."),
    "topics": Command("operate.topics", "Make and check the broker's topics as their files declare them."),
    "schema": Command("operate.schema", "Read the published events; check a file of yours, or cast it."),
}
"""By name, in the order of ``nrmbus --help``. Each line is the first paragraph of the command's own help."""


@cache
def loaded(name: str) -> Any:
    """Import the module of the command or group *name*, and return it as Typer builds it."""
    group = typer.main.get_group(importlib.import_module(f"nrmbus.cli.{COMMANDS[name].module}").app)
    return group if group.name else group.commands[name]


class LazyGroup(TyperGroup):
    """Group that knows of its commands a name and a line, and loads a command once it is called."""

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
