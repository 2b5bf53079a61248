"""``nrmbus check``: step by step, whether this machine reaches the broker and may do there what its agency must."""

import asyncio
import json
import socket
import ssl
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nrmbus.bus.errors import BusError, KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, clock_check
from nrmbus.bus.kafka.failures import sentence_of
from nrmbus.bus.pki.certificate import ends
from nrmbus.bus.pki.strictness import ISSUED_AGAIN, MADE_AGAIN, MISSING_AUTHORITY_KEY
from nrmbus.bus.reach import Reach, Tls, is_address, parts
from nrmbus.cli import health
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.cli.operate.broker_certificates import EXPIRED, PATIENCE_SECONDS, RENEWED_BY, Shown, shown
from nrmbus.cli.operate.peers import peers_of, ways
from nrmbus.cli.operate.steps import Step, fault, ok, unknown
from nrmbus.cli.options import AsJson
from nrmbus.directory.admission import home_of
from nrmbus.wire.names import AUDITOR, TIMEKEEPER, inbox_of

app = Commands()

ROUNDS: Final = 5
NOBODY: Final = ""
"""In place of an agency's id: the machine has joined, and no agency is admitted there yet."""
SKEW_SECONDS: Final = 5.0
"""Difference of the clocks that is worth mending: legal clocks are told to the second."""

_MISMATCH: Final = (62, 64)
_NOT_YET: Final = 9
"""Codes of OpenSSL for a certificate of another name or number, and for one whose time has not begun."""
_STRICT: Final = frozenset({32, *range(79, 95)})
"""Codes of OpenSSL for a certificate that does not keep to RFC 5280, which Python 3.13 and newer do not trust."""


@app.register(example="nrmbus check --data ./ngo-b")
def check(
    address: Annotated[
        str | None,
        typer.Argument(metavar="HOST:PORT", help="The broker's address. (default: each that this machine knows)"),
    ] = None,
    *,
    agency: Annotated[
        str | None, typer.Option(metavar="AGENCY", help="As which agency. (default: the one on this machine)")
    ] = None,
    agencies: Annotated[
        bool,
        typer.Option("--agencies", help="On the operator's machine: check each agency and standby host instead."),
    ] = False,
    context: KeysContext,
    as_json: AsJson = False,
) -> None:
    """Check step by step whether this machine reaches the broker: name, port, TLS, certificate, rights, topic, clock, round trip.

    At an agency, the steps after TLS are made with the agency's certificate. On the operator's machine the command also
    lists each agency: from where its desk is connected, and until when its certificate is good. With --agencies it says of
    each agency and standby host, step by step, what works: connection, release, certificate, rights, inbox, last record,
    answer, clock. No agency opens a port to others, so this is what the broker has of each. It changes nothing.
    Exit status: 1 if a step fails; at an agency, which may know older addresses too, only if one fails at each address.
    """
    folder = context.unlocked()
    if agencies:
        sys.exit(not _all_reached(folder, address, agency, as_json=as_json))
    if address is not None and not is_address(address):
        raise typer.BadParameter("the address is HOST:PORT")
    found = {each: list(_steps(folder, each, _who(folder, agency))) for each in _addresses(folder, address)}
    peers = list[dict[str, object]]()
    if not folder.is_joined:
        with suppress(KafkaFailed):  # the steps above say what is wrong
            peers = peers_of(folder)
    if as_json:
        typer.echo(
            json.dumps(
                {"addresses": {at: [asdict(each) for each in steps] for at, steps in found.items()}, "agencies": peers}
            )
        )
    else:
        _print(found, peers)
    reached = [all(each.well is not False for each in steps) for steps in found.values()]
    sys.exit(not (any(reached) if folder.is_joined else all(reached)))


def _all_reached(folder: BusFolder, address: str | None, agency: str | None, *, as_json: bool) -> bool:
    """Print what works between the broker and each agency, or only *agency*, and each standby host; return whether all does."""
    if folder.is_joined:
        raise BusError(
            "The agencies are checked on the operator's machine: here, nrmbus check says what works from here."
        )
    if address is not None:
        raise typer.BadParameter("either HOST:PORT or --agencies")
    peers, hosts = ways(folder)
    if agency is not None:
        peers, hosts = [each for each in peers if each["agency"] == agency], []
        if not peers:
            raise BusError(f"This bus has no agency {agency}: nrmbus agency list shows all.")
    if as_json:
        told = [
            [{**each, "steps": [asdict(step) for step in each["steps"]]} for each in some] for some in (peers, hosts)
        ]
        typer.echo(json.dumps({"agencies": told[0], "hosts": told[1]}))
    else:
        of_hosts = {f"{each['service']} on {each['host']}": each["steps"] for each in hosts}
        _print({each["agency"]: each["steps"] for each in peers} | of_hosts, [])
        if not (peers or hosts):
            typer.echo("This bus has no agency yet: nrmbus agency request, and nrmbus agency admit.")
    return all(step.well is not False for each in (*peers, *hosts) for step in each["steps"])


def _addresses(folder: BusFolder, address: str | None) -> list[str]:
    if address is not None:
        return address.split(",")
    return list(folder.bootstrap.split(",") if folder.is_joined else folder.addresses or (folder.bootstrap,))


def _who(folder: BusFolder, agency: str | None) -> str | None:
    """Return the agency whose certificate is used; None for the operator's own, `NOBODY` before the first admission here.

    On a standby host without an agency this is the timekeeper, which has an inbox as agencies have.

    Raises:
        BusError: the agency is not on this machine, or must be chosen from several.
    """
    here = (*folder.agencies(), *_auditor(folder))
    if agency is not None:
        if agency not in here:
            raise BusError(f"{agency} has no desk on this machine; there are {', '.join(here) or 'none'}.")
        return agency
    if not folder.is_joined:
        return None
    if len(here) > 1:
        raise BusError(f"Choose one by --agency: {', '.join(here)}.")
    return here[0] if here else TIMEKEEPER if folder.host is not None else NOBODY


def _auditor(folder: BusFolder) -> tuple[str, ...]:
    """Return the auditor if this is a machine of her own and she is admitted; a standby host has her certificate beside others."""
    home = folder.service(AUDITOR)
    admitted = Tls(home).certificate if folder.settings.tls else home / "keys"
    return (AUDITOR,) if folder.is_joined and folder.host is None and admitted.exists() else ()


# -- one address -----------------------------------------------------------------------------------------------------


def _steps(folder: BusFolder, address: str, agency: str | None) -> Iterator[Step]:
    """Yield the steps to *address*, up to the first failure: later steps could only fail, too."""
    host, port = parts(address)
    if agency == NOBODY:
        yield from _without_certificate(host, port)
        return
    home = home_of(folder, agency) if agency else folder.keys
    reach = Reach(address, Tls(home) if folder.settings.tls else None)
    for step in (_name(host, port), _port(host, port)):
        yield step
        if not step.well:
            return
    if reach.tls is not None:
        step, certificate = _tls(host, port, reach)
        yield step
        if certificate is None:
            return
        yield _of_broker(certificate)  # one that ends soon works until then
        yield (step := _certificate(reach.tls))
        if not step.well:
            return
    yield from asyncio.run(_at_kafka(folder, reach, agency))


def _without_certificate(host: str, port: int) -> Iterator[Step]:
    for step in (_name(host, port), _port(host, port)):
        yield step
        if not step.well:
            return
    yield unknown("certificate", "No agency of this machine is admitted yet, so there is no certificate to go on with: nrmbus agency request AGENCY asks, nrmbus agency check AGENCY says what is missing.")  # fmt: skip


def _name(host: str, port: int) -> Step:
    try:
        found = dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError:
        return fault("name", f"{host} has no address here: ask the operator for the right name, or whoever runs this network's DNS.")  # fmt: skip
    return ok("name", f"{host} is {', '.join(found)}." if [*found] != [host] else f"{host} is an address.")


def _port(host: str, port: int) -> Step:
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), PATIENCE_SECONDS):
            took = time.monotonic() - began
    except TimeoutError:
        return fault("port", f"Nothing answers at port {port} within {PATIENCE_SECONDS:.0f} s: a firewall may be in between, or the machine is off or hangs.")  # fmt: skip
    except ConnectionRefusedError:
        return fault("port", f"Nobody listens on port {port}: ask the operator whether the bus runs, and at which address.")  # fmt: skip
    except OSError as error:
        return fault("port", f"There is no way to it ({error.strerror}): check this machine's network.")
    return ok("port", f"Port {port} is open ({1000 * took:.0f} ms).")


def _tls(host: str, port: int, reach: Reach) -> tuple[Step, Shown | None]:
    context = reach.context()  # a BusError says what is missing
    assert context is not None  # noqa: S101 - reached over TLS
    try:
        found = shown(host, port, context)
    except ssl.SSLCertVerificationError as error:
        return fault("tls", _distrusted(host, error)), None
    except (ssl.SSLError, OSError):
        return fault("tls", "Whoever listens there speaks no TLS 1.3 with us: it is another program, or a proxy in between breaks the connection off."), None  # fmt: skip
    return ok("tls", f"The bus's authority has certified {host} ({found.version})."), found


def _of_broker(certificate: Shown) -> Step:
    now = datetime.now(UTC)
    good = f"The broker's certificate is good until {certificate.ends:%Y-%m-%d %H:%M} UTC"
    if certificate.ends_soon(now):
        return fault("broker", f"{good}, and was not renewed: {RENEWED_BY}.")
    return ok("broker", f"{good}, {counted((certificate.ends - now).days, 'day')}.")


def _distrusted(host: str, error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code in _MISMATCH:
        return f"It has a certificate of this bus, for other names than {host}: the operator gives the address by nrmbus up --listen, or for a cluster by nrmbus invite --bootstrap."  # fmt: skip
    if code in (_NOT_YET, EXPIRED):
        return f"By this machine's clock ({datetime.now(UTC):%Y-%m-%d %H:%M} UTC) the broker's certificate is not valid: set the clock, or the broker needs another certificate: {RENEWED_BY}."  # fmt: skip
    if code in _STRICT:
        mends = ISSUED_AGAIN if code == MISSING_AUTHORITY_KEY else MADE_AGAIN
        return f"The certificate of the cluster, or of its authority, is one that Python 3.13 and newer do not trust (OpenSSL {code}: {error.verify_message}): {mends}."  # fmt: skip
    return "Its certificate is not of this bus's authority: another bus listens there, or a proxy opens the connection. Nothing was sent."  # fmt: skip


def _certificate(tls: Tls) -> Step:
    end, now = ends(tls), datetime.now(UTC)
    if end is None:
        return fault("certificate", "This machine has no certificate: nrmbus agency check AGENCY FILE with the file that the operator sent back.")  # fmt: skip
    if end <= now:
        return fault("certificate", f"Its certificate ended on {end:%Y-%m-%d}: nrmbus agency renew asks for another by file.")  # fmt: skip
    return ok("certificate", f"Its certificate is good until {end:%Y-%m-%d}, {(end - now).days} days.")


async def _at_kafka(folder: BusFolder, reach: Reach, agency: str | None) -> list[Step]:
    if not await clients.anybody_answers(reach):
        return [fault("rights", "The broker ends the connection: the certificate has no rights. The agency is suspended, has left, or has a newer certificate. Ask the operator: nrmbus agency show AGENCY, on the operator's machine, says which.")]  # fmt: skip
    if agency is None:
        return [ok("rights", "The operator may do anything there.")]
    steps, partition = [], TopicPartition(inbox_of(agency), 0)
    try:
        async with clients.reading(reach, partition) as (consumer, _):
            count = len(consumer.partitions_for_topic(partition.topic) or ())
            steps.append(ok("rights", f"{agency} may read its inbox."))
            due = folder.settings.partitions
            fits = f"The inbox has {count} partition{'s' * (count != 1)}"
            steps.append(
                ok("topic", f"{fits}, as it must.")
                if count == due
                else fault("topic", f"{fits}, and the bus was made with {due}: the operator runs nrmbus topics check.")
            )
            steps.append(await _clock(folder, agency, reach))
        steps.append(await _round_trip(reach, partition))
    except KafkaError as error:
        steps.append(fault("rights", sentence_of(error) or type(error).__name__))
    return steps


async def _round_trip(reach: Reach, partition: TopicPartition) -> Step:
    """Time questions on a connection that fetches nothing: a fetch that waits for records would hold them up."""
    consumer, times = clients.reader(reach), []
    await consumer.start()
    try:
        for _ in range(ROUNDS):
            began = time.monotonic()
            await consumer.end_offsets([partition])
            times.append(time.monotonic() - began)
    finally:
        await consumer.stop()
    return ok("round trip", f"{1000 * statistics.median(times):.0f} ms, of {ROUNDS} questions.")


async def _clock(folder: BusFolder, agency: str, reach: Reach) -> Step:
    if agency in (AUDITOR, TIMEKEEPER):  # neither measures it while it works, and the timekeeper may stand by
        ahead: float | None = await clock_check.ahead(reach, agency)
    else:
        ahead = (await health.ask(folder, agency) or {}).get("clock_ahead")
    if ahead is None:
        return unknown("clock", "The broker's clock is known once the desk runs and has sent something.")
    if abs(ahead) > SKEW_SECONDS:
        which = "ahead of" if ahead > 0 else "behind"
        return fault("clock", f"This machine's clock is {abs(ahead):.0f} s {which} the broker's: set both by a time server (timedatectl set-ntp true).")  # fmt: skip
    return ok("clock", f"This machine's clock and the broker's differ by {abs(ahead):.1f} s.")


# -- what is shown ---------------------------------------------------------------------------------------------------


def _print(found: Mapping[str, list[Step]], peers: list[dict[str, object]]) -> None:
    console, marks = (
        Console(highlight=False, soft_wrap=True),
        {True: "[green]ok[/]", False: "[red]no[/]", None: "[yellow]?[/] "},
    )
    for address, steps in found.items():
        console.print(f"[bold]{escape(address)}[/]")
        for each in steps:
            console.print(f"  {marks[each.well]}  {each.step:<11}  {escape(each.what)}")
    if not peers:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("agency", "desk connected from", "certificate until"):
        table.add_column(title, overflow="fold")
    for peer in peers:
        connected = peer["connected"]
        where = ", ".join(connected) if isinstance(connected, list) else ""
        table.add_row(
            str(peer["agency"]),
            "suspended or retired" if peer["suspended"] else where or "[red]not connected[/]",
            str(peer["certificate_ends"] or "–")[:10],
        )
    console.print()
    console.print(table)
