"""``nrmbus erasure``: the history's proof of a case's erasure, and a hold of the auditor that stops one."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from nrmbus.auditor.reports import erasure_certificate
from nrmbus.auditor.reports.erasure_certificate import Certificate
from nrmbus.auditor.reports.plain import plain
from nrmbus.bus.errors import BusError
from nrmbus.bus.references import whole
from nrmbus.cli.audit.on_record import As, Asker, asked
from nrmbus.cli.audit.own_reading import verified
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import AsJson, BusContext, Case
from nrmbus.events.erasure import AccessHoldPlaced
from nrmbus.events.errors import Invalid

_UNANSWERED: Final = 3
"""Exit status if nobody knows yet whether the hold is registered, as of `nrmbus publish`."""

app = Commands("erasure", "Erasure of a case: the agencies' confirmations, and holds.")


@app.register(example="nrmbus erasure certificate --case 5f0c1a2b", name="certificate")
def certificate(
    case: Case,
    *,
    as_json: AsJson = False,
    asker: Asker,
    context: BusContext,
) -> None:
    """Show which agencies confirmed the erasure of a case, which did not, and from when on no backup opens its letters.

    The question is recorded before anything is shown. The history is verified, with the signature of every
    confirmation. Exit status: 1 while a confirmation is missing.
    """
    folder = context.folder
    question = asker.question(folder)
    seen = verified(folder)
    with question.finding():
        subject = whole(case, seen.history.spoken_of())
    question.put("case", subject)
    found = erasure_certificate.certificate(seen.history.about(subject))
    if as_json:
        typer.echo(json.dumps(mapping(subject, found), indent=2))
    else:
        for line in lines(subject, found):
            typer.echo(line)
    if not found.complete:
        raise typer.Exit(1)


def mapping(subject: str, found: Certificate) -> dict[str, Any]:
    """Return the certificate as one JSON object; unknown fields are left out."""
    body: dict[str, Any] = plain(
        {
            "case": subject,
            "ground": found.ground,
            "decided_by": found.decided_by,
            "decision": found.decision,
            "decided": found.decided,
            "due": found.due,
            "horizon": found.horizon,
            "complete": found.complete,
            "holds": [asdict(each) for each in found.holds],
            "confirmed": [asdict(each) for each in found.confirmed],
            "missing": found.missing,
        }
    )
    return body


def lines(subject: str, found: Certificate) -> Iterator[str]:
    """Yield the certificate in lines for people."""
    yield f"case {subject}"
    if found.decided:
        yield f"access ended by {found.decided_by}, number {found.decision}, {found.decided:%Y-%m-%d %H:%M} UTC"
    for hold in found.holds:
        yield f"held by {hold.agency} through {hold.until}, number {hold.number}"
    if found.due:
        yield f"to be erased since {found.due:%Y-%m-%d %H:%M} UTC ({found.ground})"
    for each in found.confirmed:
        yield (
            f"erased at {each.agency}: confirmed {each.at:%Y-%m-%d %H:%M} UTC, number {each.number}; "
            f"none of its backups opens it from {each.horizon:%Y-%m-%d} on"
        )
    for agency in found.missing:
        yield f"NOT CONFIRMED by {agency}: its desk has not erased, or does not run"
    if found.horizon:
        yield f"From {found.horizon:%Y-%m-%d %H:%M} UTC on no backup opens a letter of this case."
    elif not found.confirmed and not found.due:
        yield "Nothing was erased, and no agency was asked to erase."
    yield "Registrations, numbers and proofs stay, and verify: nrmbus export, nrmbus verify."


@app.register(example="nrmbus erasure hold --case 5f0c1a2b --until 2026-09-30 --reason inspection")
def hold(
    case: Case,
    *,
    until: Annotated[str, typer.Option(metavar="DAY", help="The last day of the hold, at most a year away.")],
    reason: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REASON",
            help="objection, criminal_proceedings, civil_claim, inspection or person_request. (default: inspection)",
        ),
    ] = None,
    name: As = None,
    context: BusContext,
) -> None:
    """At the auditor: keep a case from being erased until the end of a day.

    The running auditor publishes the hold under the number of the person who decides it. An agency, a court and the
    prosecution place holds through their own desks: nrmbus publish AGENCY access.hold_placed. Exit status: 0 if the hold
    is registered, 1 if not, 3 if that is not known yet.
    """
    folder, reasons = context.folder, reason or ["inspection"]
    try:
        AccessHoldPlaced.from_mapping({"reasons": reasons, "until": until})
    except Invalid:
        message = "The hold is not valid: --until is a day (2026-09-30), --reason one of those in --help."
        raise BusError(message) from None
    question = asked(folder, name, "audit", off=None)
    seen = verified(folder)
    with question.finding():
        subject = whole(case, seen.history.spoken_of())
    number = question.hold(subject, reasons, until)
    if number is None:
        typer.echo(
            f"It is not known yet whether the hold is registered. Before you place it again, look for it: "
            f"nrmbus erasure certificate --case {subject}",
            err=True,
        )
        raise typer.Exit(_UNANSWERED)
    typer.echo(f"registered as number {number}: nothing of case {subject} is erased through {until}")
    if gone := [each.agency for each in erasure_certificate.certificate(seen.history.about(subject)).confirmed]:
        typer.echo(
            f"The hold comes too late for {', '.join(gone)}: nrmbus erasure certificate shows that they erased the case already."
        )
