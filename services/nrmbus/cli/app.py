"""All commands. Their modules import what is heavy inside the commands, so that ``nrmbus --help`` is quick."""

import typer

from nrmbus.cli import play, topics, up

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
app.command()(play.play)
app.add_typer(topics.app, name="topics")
