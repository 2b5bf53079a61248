"""``nrmbus agency``: an agency joins the bus, changes its keys, and leaves. Two admitters agree to each step."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.failures import of_system
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.bus.replicas import parted
from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.admitting import disposals_of, known_role
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.cli.membership.leaving import destroyed, left_out
from nrmbus.cli.membership.renewal import looked_after, renewed
from nrmbus.cli.membership.signing import admitted, to_read_out
from nrmbus.cli.membership.waiting import listed, signed
from nrmbus.cli.options import BusContext, Known, to_write
from nrmbus.directory import DirectoryError, commands
from nrmbus.directory.admission import home_of, ids_of
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
from nrmbus.directory.fold import SERVICES
from nrmbus.directory.requests import Request
from nrmbus.events.errors import Invalid
from nrmbus.wire import times

app = Commands("agency", "Agencies join the bus, change their keys and leave; two admitters must agree.")

Agency = Annotated[str, typer.Argument(help="The agency's id.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The request's file. (default: AGENCY.request.json)", callback=to_write),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help="The admitter who signs. (default: the one whose key is on this machine)"
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAs:
    """Options that say how people find the agency."""

    name: Annotated[str | None, typer.Option(help="The agency's public name, for reports to persons.")] = None
    address: Annotated[
        str | None, typer.Option(help="The address where it receives people; leave it out if the place is secret.")
    ] = None
    phone: Annotated[str | None, typer.Option(help="The office's telephone number, not a personal one.")] = None

    @property
    def contact(self) -> Contact | None:
        """The agency's name, address and telephone number, or None if none was given.

        Raises:
            typer.BadParameter: no name stands with an address or number, or a value has another form.
        """
        given = {key: value for key, value in asdict(self).items() if value is not None}
        if not given:
            return None
        try:
            return Contact.from_mapping(given)
        except Invalid as error:
            wrong = ", ".join(f"--{each.pointer.removeprefix('/')}" for each in error.problems)
        raise typer.BadParameter(
            f"{wrong}: --address and --phone need --name; each is one line; --phone has digits, blanks, dashes and brackets"
        )


@contextmanager
def sentences() -> Iterator[None]:
    """Turn a refusal of the directory, or an unreadable file, into one sentence.

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
    role: Annotated[str, typer.Option(help="The agency's role in the policy profile; it cannot change later.")],
    supervisor: Annotated[str | None, typer.Option(metavar="AGENCY", help="The agency that supervises it.")] = None,
    found_as: FoundAs,
    out: Out = None,
    context: KeysContext,
) -> None:
    """At the agency: make the agency's keys, which stay in its folder, and a request that two admitters sign."""
    folder = context.unlocked()
    known_role(role, folder.settings.policy)
    with sentences():
        asked = ask_first(folder, agency, role, supervisor, found_as.contact)
        _written(asked, out)


@app.register(example="nrmbus agency rotate ngo-a --overlap 72")
def rotate(
    agency: Agency,
    *,
    overlap: Annotated[
        int, typer.Option(min=1, max=720, metavar="HOURS", help="How long the old keys remain valid.")
    ] = 72,
    found_as: FoundAs,
    out: Out = None,
    context: KeysContext,
) -> None:
    """At the agency: make new keys, and a request that is also signed with the present key.

    Until the overlap ends, the old keys remain valid for events that were signed with them and for letters that were
    sealed to them. The bus's own services change their keys in the same way; the auditor's logs get others too.
    """
    folder = context.unlocked()
    with sentences():
        coming = ask_for_new_keys(folder, agency, "rotated", timedelta(hours=overlap), contact=found_as.contact)
        asked = asyncio.run(coming)
        _written(asked, out)


@app.register(example="nrmbus agency lost ngo-a")
def lost(
    agency: Agency,
    out: Out = None,
    *,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """At the agency: replace keys that are lost or in wrong hands.

    If the old key can still sign (a copy was stolen), the new keys are valid at once. If it cannot (the disk is
    dead), they are valid four days after the first admitter signs, so that the owner of the old key has 72 hours to
    object. After a theft, and until the new keys are valid, block the old keys with nrmbus agency suspend. All
    certificates of the agency end when the new keys become valid. If keys of an earlier request wait in the agency's
    folder and the directory does not have them, the request names those again: the output says how to have others.
    """
    folder = context.unlocked()
    if directory is None and folder.is_joined and not Tls(home_of(folder, agency)).certificate.exists():
        raise BusError(
            f"This machine has no certificate of {agency}, so Kafka does not let it read the directory: the operator writes it "
            f"with nrmbus agency list --signed FILE; then nrmbus agency lost {agency} --directory FILE."
        )
    with sentences():
        known, home = read_file(folder, directory) if directory else None, home_of(folder, agency)
        waiting = commands.waiting_in(home)
        asked = asyncio.run(ask_for_new_keys(folder, agency, "lost", timedelta(), known=known))
        _written(asked, out)
        again = commands.named_again(asked, waiting)
    typer.echo(
        "The new keys are valid as soon as two admitters have signed."
        if commands.is_vouched(asked)
        else "The new keys are valid four days after the first admitter signs: the old key did not sign, so its owner may object."
    )
    typer.echo("Then each desk that sent the agency a letter within the last 30 days gets a task to send it again.")
    if again:
        typer.echo(
            "The request names keys of an earlier request again. If somebody else may have a copy of those keys, let nobody sign "
            f"either request: move {' and '.join(map(str, again))} to another place, and run this command again for other keys. "
            "If the earlier request is entered all the same, put the folders back in place of the newer ones, and run nrmbus agency check."
        )


@app.register(example="nrmbus agency check ngo-b ngo-b.request.json")
def check(
    agency: Agency,
    file: Annotated[Path | None, typer.Argument(help="The request's file, as the operator sent it back.")] = None,
    *,
    context: KeysContext,
) -> None:
    """At the agency: store the certificate, open the challenge to the sealing key, and start the desk once the keys are valid."""
    folder = context.unlocked()
    with sentences():
        typer.echo(asyncio.run(_checked(folder, agency, file)))


async def _checked(folder: BusFolder, agency: str, file: Path | None) -> str:
    came_back = Request.read(file) if file is not None else None
    outcome, answer = await commands.check(folder, agency, came_back)
    if answer is not None and is_operator(folder):
        await enter(folder, answer)
        outcome, answer = await commands.check(folder, agency, None)
    if outcome == "current" and agency in SERVICES:
        return _taken_by(folder, agency)
    if answer is not None:
        path = file or Path(f"{agency}.request.json")
        answer.write(path)
        return f"The challenge was opened: {path} goes to the operator, who runs nrmbus agency admit {path}; then check again."
    runs = (
        "nrmbus up runs its desk here"
        if is_operator(folder)
        else f"nrmbus run {agency} --data '{folder.path}' runs its desk"
    )
    return {
        "waiting": "The directory does not have these keys yet: two admitters sign the request, then the operator enters it.",
        "pending": "Two admitters have agreed; the new keys become valid later: check again then.",
        "current": f"The keys of {agency} are valid: {runs}.",
    }[outcome]


def _taken_by(folder: BusFolder, service: str) -> str:
    """Have the processes of *service* that `nrmbus up` runs here begin again with the current keys; return a sentence."""
    try:
        running = json.loads((folder.run / "services.json").read_bytes()) if folder.is_held else {}
    except FileNotFoundError:
        running = {}
    for name, process in running.items():
        is_theirs = service in ids_of(parted(name)[0])
        if is_theirs and process["pid"] is not None:  # else the process starts automatically, with the new keys
            with suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGTERM)
    if folder.is_joined:  # the auditor, on a machine of her own
        return f"The keys of {service} are valid: end nrmbus run {service} and start it again, so that it has them."
    sentence = f"The keys of {service} are valid, and the processes here have them."
    for host, by in Authority(folder).given(datetime.now(UTC)).items():
        if service in by:
            sentence += (
                f"\nThe standby host {host} has those before. Once each service has its new keys: nrmbus standby revoke "
                f"{host}, then admit it again, from nrmbus standby request {host} there."
            )
    return sentence


@app.register(example="nrmbus agency renew ngo-b, and again with the file that it writes, at the operator and back")
def renew(
    agency: Agency,
    file: Annotated[Path | None, typer.Argument(help="The file of the renewal, from the second step on.")] = None,
    *,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """Get a new certificate by file, for an agency whose certificate has expired; otherwise desks renew automatically.

    Run it three times: the agency writes the file, the operator issues the certificate into it, the agency stores
    the certificate. If new keys wait in the agency's folder and are valid by now, the first step needs --directory.
    """
    folder = context.unlocked()
    with sentences():
        typer.echo(renewed(folder, agency, file, directory))


@app.register(example="nrmbus agency retire ngo-a --cases cases.yaml")
def retire(
    agency: Agency,
    *,
    cases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML file with a line for each case: `REF: deleted`, or `REF: {handed_over: AGENCY}`."
        ),
    ] = None,
    out: Out = None,
    context: KeysContext,
) -> None:
    """At the agency: leave the bus for good.

    For every case the agency took part in, it signs that its data were deleted or handed over. The keys to the
    letters of cases that are listed as deleted are destroyed before the request is written, and so are the drafts,
    uploads and labels of cases of which nothing was sent. This cannot be undone, whether or not two admitters sign.
    """
    folder = context.unlocked()
    disposals = disposals_of(cases) if cases else {}
    with sentences():
        asked = asyncio.run(ask_to_leave(folder, agency, disposals))
        _file(asked, out)  # a request that cannot be written is refused before any key is destroyed
        deleted, left = [case for case, to in disposals.items() if to is None], left_out(folder, agency, disposals)
        if deleted or not left:
            typer.echo(destroyed(folder, agency, deleted))
        _written(asked, out)
        for line in left:
            typer.echo(line)


# -- at an admitter, at the operator ---------------------------------------------------------------------------------


@app.register(example="nrmbus agency admit ngo-b.request.json --as leyla")
def admit(
    file: Annotated[Path | None, typer.Argument(help="The request's file; with --waiting, the agency's id.")] = None,
    name: As = None,
    *,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Sign the requests that wait on the bus, of one agency or of all.")
    ] = False,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            metavar="DIGITS", help="The fingerprint that the agency read out; a request with other keys is not signed."
        ),
    ] = None,
    directory: Known = None,
    context: KeysContext,
) -> None:
    """Sign a request as an admitter; on the operator's machine, also enter it once two admitters have signed.

    On the operator's machine it also enters requests that were signed elsewhere, and confirmations of the agency.
    With --waiting, exit status 1 means that a request could not be signed; the others are signed anyway.
    """
    folder = context.unlocked()
    if file is None and not waiting:
        raise typer.BadParameter("name the request's file, or use --waiting")
    with sentences():
        if waiting:
            answers = asyncio.run(signed(folder, str(file) if file else None, name))
            typer.echo("\n".join(answer.line for answer in answers))
        else:
            answers = []
            typer.echo(asyncio.run(admitted(folder, file or Path(), name, fingerprint, directory)))
    if any(answer.refused for answer in answers):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Options of an admitter who proposes a change of an agency."""

    name: As = None
    out: Out = None
    directory: Known = None

    def begin(self, folder: BusFolder, agency: str, kind: Kind) -> None:
        """Write the request, sign it as the first admitter, and say what is next."""
        with sentences():
            asked = asyncio.run(propose(folder, agency, kind, self.directory))
            path = _file(asked, self.out)
            asked.write(path)
            typer.echo(asyncio.run(admitted(folder, path, self.name, known=self.directory)))


@app.register(example="nrmbus agency suspend ngo-a --as leyla")
def suspend(agency: Agency, *, proposal: Proposal, context: KeysContext) -> None:
    """At an admitter: suspend an agency, so that it can neither send nor receive, not even on open connections.

    A second admitter signs.
    """
    proposal.begin(context.unlocked(), agency, "suspended")


@app.register(example="nrmbus agency resume ngo-a --as leyla")
def resume(agency: Agency, *, proposal: Proposal, context: KeysContext) -> None:
    """At an admitter: end the suspension of an agency.

    A second admitter signs.
    """
    proposal.begin(context.unlocked(), agency, "resumed")


@app.register(example="nrmbus agency head")
def head(*, context: KeysContext) -> None:
    """At the operator: sign the head of the directory, and answer the agencies' requests.

    Run it from a timer, once an hour. `nrmbus up` does both automatically, the second every few seconds.
    """
    folder = context.unlocked()
    with sentences():
        for line in asyncio.run(looked_after(folder)):
            typer.echo(line)


@app.register(example="nrmbus agency waiting")
def waiting(*, context: BusContext) -> None:
    """At an admitter: list the requests that wait on the bus for a signature; `nrmbus agency admit --waiting` signs them."""
    with sentences():
        typer.echo("\n".join(asyncio.run(listed(context.folder))))


# -- for everybody ---------------------------------------------------------------------------------------------------


@app.register(example="nrmbus agency list", name="list")
def list_(
    signed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the signed entries to FILE, for an agency with a new machine.",
            callback=to_write,
        ),
    ] = None,
    *,
    context: BusContext,
) -> None:
    """Print every agency with its state, its role and its supervisor."""
    folder = context.folder
    with sentences():
        directory = asyncio.run(read_as(folder, reader_of(folder)))
        if signed:
            write_file(directory, signed)
    width = max((len(each) for each in directory.roll.agencies), default=0)
    for agency, standing in sorted(directory.roll.agencies.items()):
        by = f"  supervised by {standing.last.supervisor}" if standing.last.supervisor else ""
        typer.echo(f"{agency:{width}}  {standing.states[-1][1]:9}  {standing.last.role}{by}")


@app.register(example="nrmbus agency show ngo-a")
def show(agency: Agency, context: BusContext) -> None:
    """Print every step of an agency: number in the directory, kind, time from which it is valid, and keys."""
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


def _file(asked: Request, out: Path | None) -> Path:
    """Return the file for *asked*: *out*, or the default.

    Raises:
        BusError: the default cannot be written, or is a request that an admitter has signed and that is not in the directory.
        DirectoryError: *asked* is too large to be written.
    """
    asked.written  # noqa: B018 - raises
    if out is not None:
        return out  # `to_write` has looked
    path = Path(f"{asked.entry.agency}.request.json")
    to_write(path)
    if path.exists():
        with suppress(DirectoryError):
            there = Request.read(path).entry
            if not there.admitted or there.step < asked.entry.step:
                return path
        raise BusError(
            f"{path} is there already, and an admitter may have signed it: move it, or name another file with --out FILE."
        )
    return path


def _written(asked: Request, out: Path | None) -> None:
    path, agency = _file(asked, out), asked.entry.agency
    asked.write(path)
    said = f"{path} is the request of {agency} ({asked.entry.kind})"
    typer.echo(f"{said}; two admitters sign it: nrmbus agency admit {path}")
    if digits := to_read_out(asked):
        typer.echo(f"Fingerprint of the keys, to read out to both admitters: {digits}")
