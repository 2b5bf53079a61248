"""``nrmbus export``: the evidence of a case in one file, for somebody who trusts nobody here."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from nrmbus.auditor.evidence.export import exported
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import write_private
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.audit.replay import progress
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import whole
from nrmbus.cli.options import BusContext, to_write

app = Commands()


@app.register(example="nrmbus export --case 5f0c1a2b --out evidence.zip")
def export(
    *,
    case: Annotated[str, typer.Option(metavar="REF", help="The case: its reference, or the first digits.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where to write the zip; no file may be there yet.", callback=to_write),
    ],
    asker: Asker,
    context: BusContext,
) -> None:
    """Write the evidence of a case: what was registered, and what proves it, with a verifier in one file.

    That it is handed on goes on record first. What the auditor's newest checkpoint covers is in it; what is later waits for the next one. Letters stay sealed.
    """
    if out.exists():
        raise BusError(f"{out} is there already: choose another file with --out FILE.")
    folder = context.folder
    question = asker.question(folder)

    def meant(known: Iterable[str]) -> str:
        with question.finding():
            subject = whole(case, known)
        question.put("export", subject)
        return subject

    with progress() as told:
        made = asyncio.run(exported(folder, case, meant, told))
    write_private(out.absolute(), made.raw)
    status, verdict = made.check(out)
    if status == 1:
        out.unlink()
        raise BusError(
            f"What was exported does not verify ({verdict}): keep the bus's folder as it is, and ask its operator."
        )
    typer.echo(f"{out}: {made.registrations} registrations of case {made.case}.")
    if made.later:
        typer.echo(
            f"{made.later} more are later than the newest checkpoint: export again after the next one, within the hour."
        )
    if not made.is_signed:
        typer.echo(
            "No checkpoint covers this case yet, so the file is not anchored: export again after the auditor's next one, within the hour."
        )
        return
    typer.echo(
        "Whoever verifies it needs these public keys, from you and from the agencies themselves, not with the file:\n"
        + "\n".join(f"  {option} {key}" for option, key in made.keys)
    )
