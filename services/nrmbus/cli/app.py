"""All commands. Their modules import what is heavy inside the commands, so that ``nrmbus --help`` is quick."""

import inspect

import typer

from nrmbus.cli.audit import auditor, erasure, export, person_report, reads, replay, retention, trace, verify, why
from nrmbus.cli.desk import inbox, publish
from nrmbus.cli.membership import admitter, agency, invitation, keys
from nrmbus.cli.operate import doctor, play, schema, topics, up

app = typer.Typer(
    name="nrmbus",
    help="Agencies hand a person's case to one another, by the steps of the National Referral Mechanism.",
    epilog="Example: nrmbus up",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its frames show values, and values may be a person's
)
app.command(epilog="Example: nrmbus up --data ./my-bus")(up.up)
app.command(epilog="Example: nrmbus run registrar --data ./my-bus")(up.run)
app.command(epilog="Example: nrmbus play 01-woman-referred-by-ngo --memory")(play.play)
app.command(epilog="Example: nrmbus publish ngo-a --event deploy/examples/signal.json")(publish.publish)
app.command(epilog="Example: nrmbus inbox special-unit --follow")(inbox.inbox)
app.command(epilog="Example: nrmbus replay --case 5f0c1a2b --as-of 2026-03-02T09:00:00Z")(replay.replay)
app.command(epilog="Example: nrmbus why 12 --case 5f0c1a2b")(why.why)
app.command(epilog="Example: nrmbus trace referral.submitted --case 5f0c1a2b")(trace.trace)
app.command(epilog="Example: nrmbus reads --case 5f0c1a2b")(reads.reads)
app.command(epilog="Example: nrmbus person-report --case 5f0c1a2b --language az")(person_report.person_report)
app.command(epilog="Example: nrmbus export --case 5f0c1a2b --out evidence.zip")(export.export)
app.command(epilog="Example: nrmbus verify evidence.zip --log KEY --witness KEY")(verify.verify)
app.command(epilog="Example: nrmbus doctor --data ./my-bus")(doctor.doctor)
app.command(epilog="Example: nrmbus invite bus.invitation.json")(invitation.invite)
app.command(epilog="Example: nrmbus join bus.invitation.json --data ./ngo-b")(invitation.join)
app.add_typer(auditor.app, name="auditor")
app.add_typer(agency.app, name="agency")
app.add_typer(admitter.app, name="admitter")
app.add_typer(keys.app, name="keys")
app.add_typer(erasure.app, name="erasure")
app.add_typer(retention.app, name="retention")
app.add_typer(topics.app, name="topics")
app.add_typer(schema.app, name="schema")


def _reflow(commands: typer.Typer) -> None:
    """Have each paragraph of a command's help fill the terminal; else it breaks where its docstring does, too."""
    for command in commands.registered_commands:
        told = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in told.split("\n\n"))
    for group in commands.registered_groups:
        if group.typer_instance:
            _reflow(group.typer_instance)


_reflow(app)
