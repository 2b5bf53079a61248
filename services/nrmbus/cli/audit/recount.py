"""``nrmbus recount``: published figures counted again from a file of the history; no bus is needed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nrmbus.bus.errors import BusError
from nrmbus.cli.commands import Commands
from nrmbus.cli.operate.rules import own_profile
from nrmbus.cli.options import AsJson
from nrmbus.cli.release_file import read_release
from nrmbus.statistics.recount import Recount, text_of
from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.log.note import parse_vkey

app = Commands()


@app.register(example="nrmbus recount 2026.json --history 2026.history.jsonl --operator KEY")
def recount(
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="The figures, in JSON: nrmbus figures --year 2026 --out FILE.")
    ],
    *,
    history: Annotated[
        Path, typer.Option(metavar="FILE", help="The history that nrmbus export --release RELEASE wrote.")
    ],
    operator: Annotated[
        str | None, typer.Option(metavar="KEY", help="The operator's key, which signs the directory of the bus.")
    ] = None,
    profile: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A profile of the Rules that the bus has beside those of this release; give the option again for another.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count published figures again from the history, and compare every table of events cell by cell.

    The history must be the one that the figures name, down to the last registration. Tables of persons need the coded parts
    of letters, so they are named and not checked. Exit status: 0 the figures are right; 3 they are those of this history,
    and no key that you gave vouches for it; 1 a check failed, with a code; 2 wrong usage.
    """
    key = None if operator is None else _key(operator)
    for each in profile or ():
        own_profile(each)
    found = read_release(release)
    try:
        with history.open("rb") as lines:
            done = Recount(found, lines, key)
    except OSError as error:
        raise BusError(f"{history} cannot be read: {error.strerror}.") from None
    status, verdict = done.verdict
    if as_json:
        checks = [asdict(line) for line in done.lines]
        typer.echo(json.dumps({"status": status, "verdict": verdict, "checks": checks}, indent=1))
    else:
        typer.echo("\n".join([*text_of(done.lines), verdict]))
    raise typer.Exit(status)


def _key(text: str) -> VerifyKey:
    """Return the operator's key. Raises BadParameter for another text."""
    try:
        _, _, public = parse_vkey(text)
        return VerifyKey(public)
    except (ProofError, WireError) as error:
        message = "--operator takes a key as nrmbus export prints it"
        raise typer.BadParameter(message) from error
