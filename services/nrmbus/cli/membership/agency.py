"""``nrmbus agency``: how an agency comes onto the bus, changes its keys, and leaves. Two admitters agree to each step."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.failures import of_system
from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.admitting import disposals_of, known_role
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.cli.membership.leaving import destroyed, left_out
from nrmbus.cli.membership.renewal import looked_after, renewed
from nrmbus.cli.membership.signing import admitted, to_read_out
from nrmbus.cli.membership.waiting import listed, signed
from nrmbus.cli.options import BusContext, Known, to_write
from nrmbus.directory import DirectoryError, commands
from nrmbus.directory.commands import (
    ask_first,
    ask_for_new_keys,
    ask_to_leave,
    enter,
    is_operator,
    propose,
    read_as,
    read_file,
    reader_of,
    write_file,
)
from nrmbus.directory.entry import Contact, Kind
from nrmbus.directory.requests import Request
from nrmbus.events.errors import Invalid
from nrmbus.wire import times

app = Commands("agency", "Agencies: joining the bus, changing keys, leaving. Two admitters agree.")

Agency = Annotated[str, typer.Argument(help="The agency's id.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The request's file. (default: AGENCY.request.json)", callback=to_write),
]
As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Which admitter signs. (default: the one whose key is here)")
]


OwnName = Annotated[
    str | None, typer.Option("--name", help="Its name as people know it, for a person who asks what is held of her.")
]
Address = Annotated[
    str | None, typer.Option("--address", help="Where it receives people; left out where its place is secret.")
]
Phone = Annotated[str | None, typer.Option("--phone", help="Its office's telephone number, nobody's own.")]


def _contact(name: str | None, address: str | None, phone: str | None) -> Contact | None:
    """Return how people find the agency, or None if nothing was said about it.

    Raises:
        typer.BadParameter: no name stands with an address or number, or a value has another form.
    """
    said = {"name": name, "address": address, "phone": phone}
    given = {key: value for key, value in said.items() if value is not None}
    if not given:
        return None
    try:
        return Contact.from_mapping(given)
    except Invalid as error:
        wrong = ", ".join(f"--{each.pointer.removeprefix('/')}" for each in error.problems)
    raise typer.BadParameter(
        f"{wrong}: --name goes with the others, in one line; --phone has digits, blanks, dashes and brackets"
    )


@contextmanager
def sentences() -> Iterator[None]:
    """Say in a sentence why something is not admitted, or a file not read.

    Raises:
        BusError: in place of what the block raised.
    """
    try:
        yield
    except DirectoryError as error:
        raise BusError(str(error)) from None
    except OSError as error:
        raise BusError(of_system(error) or f"The file cannot be used ({error.strerror}): name another.") from None


# -- at the agency ---------------------------------------------------------------------------------------------------


@app.register(example="nrmbus agency request ngo-b --role ngo_legal")
def request(
    agency: Agency,
    *,
    role: Annotated[str, typer.Option(help="Its role in the policy profile; it stays with the id for good.")],
    supervisor: Annotated[str | None, typer.Option(metavar="AGENCY", help="Who supervises it.")] = None,
    name: OwnName = None,
    address: Address = None,
    phone: Phone = None,
    out: Out = None,
    context: KeysContext,
) -> None:
    """At the agency: make its keys, which stay in its folder, and a request for two admitters to sign."""
    folder = context.unlocked()
    known_role(role, folder.settings.policy)
    with sentences():
        asked = ask_first(folder, agency, role, supervisor, _contact(name, address, phone))
        _written(asked, agency, out, "two admitters sign it: nrmbus agency admit")


@app.register(example="nrmbus agency rotate ngo-a --overlap 72")
def rotate(
    agency: Agency,
    *,
    overlap: Annotated[
        int, typer.Option(min=0, max=720, metavar="HOURS", help="How long the old keys stay good.")
    ] = 72,
    name: OwnName = None,
    address: Address = None,
    phone: Phone = None,
    out: Out = None,
    context: KeysContext,
) -> None:
    """At the agency: make new keys, and a request that the present key signs too.

    Until the overlap ends, what is under way holds: events that were signed, and letters that were sealed, to the old keys.
    """
    folder = context.unlocked()
    with sentences():
        contact = _contact(name, address, phone)
        asked = asyncio.run(ask_for_new_keys(folder, agency, "rotated", timedelta(hours=overlap), contact=contact))
        _written(asked, agency, out, "two admitters sign it: nrmbus agency admit")


@app.register(example="nrmbus agency lost ngo-a")
def lost(
    agency: Agency,
    out: Out = None,
    *,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """At the agency: new keys in place of ones that are gone, or in wrong hands.

    With the old key at hand (a stolen copy) they hold at once; without it (a dead disk) four days after the first admitter
    signed, so that for 72 hours its owner sees it and can object. Until then, and at once after a theft, `nrmbus agency
    suspend` keeps the old keys from being used. Every certificate of the agency ends when they hold.
    """
    folder = context.unlocked()
    with sentences():
        known = read_file(folder, directory) if directory else None
        asked = asyncio.run(ask_for_new_keys(folder, agency, "lost", timedelta(), known=known))
        _written(asked, agency, out, "two admitters sign it: nrmbus agency admit")
    vouched = len(asked.entry.asked) > 2
    typer.echo(
        "They hold as soon as two admitters have signed."
        if vouched
        else "They hold four days after the first admitter signs: the old key did not sign, and its owner may object."
    )
    typer.echo("Then each desk that sent it a letter within 30 days gets a task to send it again.")


@app.register(example="nrmbus agency check ngo-b ngo-b.request.json")
def check(
    agency: Agency,
    file: Annotated[Path | None, typer.Argument(help="The request's file, as it came back.")] = None,
    *,
    context: KeysContext,
) -> None:
    """At the agency: keep its certificate, open the challenge to its sealing key, and start its desk once its keys hold."""
    folder = context.unlocked()
    with sentences():
        typer.echo(asyncio.run(_checked(folder, agency, file)))


async def _checked(folder: BusFolder, agency: str, file: Path | None) -> str:

    came_back = Request.read(file) if file is not None else None
    outcome, answer = await commands.check(folder, agency, came_back)
    if answer is not None and is_operator(folder):
        await enter(folder, answer)
        outcome, answer = await commands.check(folder, agency, None)
    if answer is not None:
        path = file or Path(f"{agency}.request.json")
        answer.write(path)
        return f"The challenge was opened: {path} goes to the operator, who runs nrmbus agency admit {path}; then check again."
    return {
        "waiting": "The directory does not have these keys yet: two admitters sign the request, then the operator enters it.",
        "pending": "Two admitters have agreed; the new keys hold later: check again then.",
        "current": f"The keys of {agency} are current; its desk runs by nrmbus up where the operator is, elsewhere by nrmbus run {agency}",
    }[outcome]


@app.register(example="nrmbus agency renew ngo-b, and again with the file that it writes, at the operator and back")
def renew(
    agency: Agency,
    file: Annotated[Path | None, typer.Argument(help="The file, once it was written.")] = None,
    *,
    context: KeysContext,
) -> None:
    """Another certificate by file, for an agency whose own has ended: asked for, issued, kept. Else it renews by itself."""
    folder = context.unlocked()
    with sentences():
        typer.echo(renewed(folder, agency, file))


@app.register(example="nrmbus agency retire ngo-a --cases cases.yaml")
def retire(
    agency: Agency,
    *,
    cases: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML: of each case `REF: deleted`, or `REF: {handed_over: AGENCY}`."),
    ] = None,
    out: Out = None,
    context: KeysContext,
) -> None:
    """At the agency: leave for good. Of each case that it was part of it signs that it deleted, or handed over, what it had.

    What opens the letters of a case that it says to have deleted is destroyed here before the request is written. That
    cannot be undone, whether or not two admitters sign.
    """
    folder = context.unlocked()
    disposals = disposals_of(cases) if cases else {}
    with sentences():
        asked = asyncio.run(ask_to_leave(folder, agency, disposals))
        if deleted := [case for case, to in disposals.items() if to is None]:
            typer.echo(asyncio.run(destroyed(folder, agency, deleted)))
        _written(asked, agency, out, "two admitters sign it: nrmbus agency admit")
        for line in asyncio.run(left_out(folder, agency, disposals)):
            typer.echo(line)


# -- at an admitter, at the operator ---------------------------------------------------------------------------------


@app.register(example="nrmbus agency admit ngo-b.request.json --as leyla")
def admit(
    file: Annotated[Path | None, typer.Argument(help="The request's file; with --waiting, the agency's id.")] = None,
    name: As = None,
    *,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Sign what waits on the bus, of one agency or all.")
    ] = False,
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="DIGITS", help="What the agency read out of its keys; a file with others is not signed."),
    ] = None,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """Sign a request as an admitter; the second of two enters it, where the operator's key is.

    Run where the operator's key is, it also enters what two have signed elsewhere, or what the agency confirmed.
    With --waiting the exit status is 1 if one of them could not be signed; the others are signed all the same.
    """
    folder = context.unlocked()
    if file is None and not waiting:
        raise typer.BadParameter("name the request's file, or say --waiting")
    with sentences():
        if waiting:
            answers = asyncio.run(signed(folder, str(file) if file else None, name))
            typer.echo("\n".join(answer.line for answer in answers))
        else:
            answers = []
            typer.echo(asyncio.run(admitted(folder, file or Path(), name, fingerprint, directory)))
    if any(answer.refused for answer in answers):
        raise typer.Exit(1)


@app.register(example="nrmbus agency suspend ngo-a --as leyla")
def suspend(
    agency: Agency,
    name: As = None,
    out: Out = None,
    *,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """At an admitter: have an agency neither heard nor told anything, also on open connections. A second admitter signs."""
    folder = context.unlocked()
    with sentences():
        typer.echo(asyncio.run(_begun(folder, agency, "suspended", name, out, directory)))


@app.register(example="nrmbus agency resume ngo-a --as leyla")
def resume(
    agency: Agency,
    name: As = None,
    out: Out = None,
    *,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """At an admitter: end a suspension. A second admitter signs."""
    folder = context.unlocked()
    with sentences():
        typer.echo(asyncio.run(_begun(folder, agency, "resumed", name, out, directory)))


async def _begun(
    folder: BusFolder, agency: str, kind: Kind, name: str | None, out: Path | None, known: Path | None
) -> str:

    path = out or Path(f"{agency}.request.json")
    (await propose(folder, agency, kind, known)).write(path)
    return await admitted(folder, path, name, known=known)


@app.register(example="nrmbus agency head")
def head(*, context: KeysContext) -> None:
    """At the operator: sign how far the directory goes, and answer what agencies ask for. For a timer, once an hour.

    `nrmbus up` does both by itself, the second every few seconds.
    """
    folder = context.unlocked()
    with sentences():
        for line in asyncio.run(looked_after(folder)):
            typer.echo(line)


@app.register(example="nrmbus agency waiting")
def waiting(*, context: BusContext) -> None:
    """At an admitter: print what waits for a signature on the bus; `nrmbus agency admit --waiting` signs it."""
    with sentences():
        typer.echo("\n".join(asyncio.run(listed(context.folder))))


# -- for everybody ---------------------------------------------------------------------------------------------------


@app.register(example="nrmbus agency list", name="list")
def list_(
    signed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the signed entries too, for an agency with a new machine.", callback=to_write
        ),
    ] = None,
    *,
    context: BusContext,
) -> None:
    """Print every agency with its role and its state."""
    folder = context.folder
    with sentences():
        directory = asyncio.run(read_as(folder, reader_of(folder)))
        if signed:
            write_file(directory, signed)
    width = max((len(each) for each in directory.roll.agencies), default=0)
    for agency, standing in sorted(directory.roll.agencies.items()):
        typer.echo(f"{agency:{width}}  {standing.states[-1][1]:9}  {standing.last.role}")


@app.register(example="nrmbus agency show ngo-a")
def show(agency: Agency, context: BusContext) -> None:
    """Print every step of an agency: its number in the directory, what it did, from when on, and the keys."""
    folder = context.folder
    with sentences():
        directory = asyncio.run(read_as(folder, reader_of(folder)))
        standing = directory.roll.agencies.get(agency)
        if standing is None:
            raise DirectoryError("agency_unknown")
    typer.echo(f"{agency}  {standing.last.role}  {standing.states[-1][1]}  {standing.last.step} steps")
    if contact := standing.last.contact:
        typer.echo("  ".join(filter(None, (contact.name, contact.address, contact.phone))))
    for since, state in standing.states:
        typer.echo(f"{times.write(since)}  {state}")
    for period in standing.periods:
        confirmed = f"confirmed {times.write(period.confirmed)}" if period.confirmed else "not confirmed"
        typer.echo(f"{times.write(period.since)}  {period.entry.kind}  entry {period.entry.number}")
        for purpose, kid in period.kids.named():
            typer.echo(f"    {purpose:8} {kid}{f'  {confirmed}' if purpose == 'sealing' else ''}")


def _written(asked: Request, agency: str, out: Path | None, what: str) -> None:

    path = out or Path(f"{agency}.request.json")
    asked.write(path)
    typer.echo(f"{path} is the request of {agency} ({asked.entry.kind}); {what} {path}")
    if digits := to_read_out(asked):
        typer.echo(f"Fingerprint of its keys, to be read out to both: {digits}")
