"""``nrmbus status``: one screen about a bus: services up, behind or silent, and keys that end soon. Changes nothing."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nrmbus.bus.errors import BusError, KeysSealed, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import BROKER
from nrmbus.bus.pki.certificate import ends
from nrmbus.bus.reach import Tls
from nrmbus.bus.replicas import parted
from nrmbus.bus.vitals import nearly_full
from nrmbus.cli import health
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.health import Health
from nrmbus.cli.hosts import Placed, hosts_of, table_of
from nrmbus.cli.operate.broker_certificates import of_broker_certificates
from nrmbus.cli.operate.faults import SOON, of_hosts, of_numbers
from nrmbus.cli.operate.peers import brokers_of, peers_of
from nrmbus.cli.operate.service_faults import of_brokers, of_restarts, of_stopped
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.directory.admission import home_of
from nrmbus.host.services import agency_of, is_public_page
from nrmbus.wire.names import AUDITOR, CANARY

app = Commands()

LOOK_SECONDS: Final = 2.0
_BESIDE: Final = {
    "checkpoint_age": "newest checkpoint {} s ago",
    "overdue": "{} duties overdue",
    "quarantined": "{} submissions in quarantine since the registrar started",
}
_STYLES: Final = {
    "ready": "green",
    "not ready": "yellow",
    "away": "bold red",
    "failing": "bold red",
    "suspended": "dim",
}


@dataclass(frozen=True, slots=True)
class Service:
    """One desk or service of this machine.

    *behind* counts inbox records still to read, *unanswered* events without the registrar's answer, *tasks* work for a
    person, *parked* records of cases that stand still, *unopened* letters still closed. *days* are left until the
    certificate ends, *key_days* until the sealing key ends. *silent* are the seconds since Kafka's last answer. None if
    unknown.
    """

    name: str
    state: str
    remark: str = ""
    restarts: int = 0
    behind: int = 0
    unanswered: int = 0
    tasks: int = 0
    parked: int = 0
    unopened: int = 0
    days: int | None = None
    key_days: int | None = None
    silent: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """All that one screen shows; *elsewhere* are the agencies whose desks run on other machines."""

    bus: str
    folder: str
    at: str
    running: bool
    kafka: str
    others: tuple[str, ...]
    free_gib: float
    services: tuple[Service, ...]
    canary: float | None = None
    """Seconds since the newest test hand-over was sent that came back; None if there is no canary, or it is away."""
    elsewhere: tuple[Mapping[str, Any], ...] = ()
    hosts: tuple[Placed, ...] = ()
    """Services on standby hosts."""
    history: Mapping[str, int] = field(default_factory=dict)
    ending: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """Faults of Kafka, of standby hosts and in the services' numbers, each with the command to mend it."""
    notes: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """True if something runs here, everything that must run here is ready, no number shows a fault, and nothing has ended or ends within days."""
        ready = bool(self.services) and all(each.state in ("ready", "suspended") for each in self.services)
        return self.running and ready and not self.ending and not self.faults


class Elsewhere(NamedTuple):
    """Agencies whose desks do not run here, services on standby hosts, and why these are not shown: a note or a fault."""

    peers: tuple[Mapping[str, Any], ...] = ()
    hosts: tuple[Placed, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


@app.register(example="nrmbus status --data ./my-bus")
def status(
    *,
    context: BusContext,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
    ready: Annotated[
        bool,
        typer.Option("--ready", help="Only say whether each service that must run here is ready: for a health check."),
    ] = False,
) -> None:
    """Show on one screen who is up, behind or silent, how far the history goes, and what ends soon.

    On the operator's machine the command also lists the agencies on other machines and whether their desks are connected.
    Exit status: 1 if something that must run here is not ready, a number shows a fault, or a certificate or key ends soon;
    also if Kafka does not answer: on the operator's machine the command, elsewhere the desk for a quarter of a minute.
    With --ready the command asks the services of this machine alone, and nothing but their state decides.
    """
    folder = context.folder
    folder.settings  # noqa: B018 - raises where no bus was made
    if ready:
        raise typer.Exit(not_ready(folder))
    if as_json:
        found = look(folder)
        typer.echo(json.dumps(asdict(found) | {"well": found.well}))
        sys.exit(not found.well)
    console = Console(highlight=False)
    found = look(folder)
    if not watch:
        console.print(shown(found))
        sys.exit(not found.well)
    with suppress(KeyboardInterrupt), Live(shown(found), console=console, auto_refresh=False, screen=console.is_terminal) as live:  # fmt: skip
        while True:
            time.sleep(LOOK_SECONDS)
            live.update(shown(look(folder)), refresh=True)
    sys.exit(0)


def not_ready(folder: BusFolder) -> bool:
    """Print each service that must run here and is not ready, with the reason; return whether there is one, or none runs at all.

    A service is ready while it moves: a service that stands still at a record is not ready, though it answers.
    """
    if not health.expected(folder):
        typer.echo(f"No service of nrmbus runs in {folder.path}: nrmbus up, or nrmbus run SERVICE.")
        return True
    found = health.not_ready(folder)
    for name, reason in found.items():
        typer.echo(f"{name} is not ready. {reason}")
    return bool(found)


# -- what is looked at -----------------------------------------------------------------------------------------------


def look(folder: BusFolder) -> Status:
    """Return the state of the bus, or of an agency's machine, now."""
    settings, now = folder.settings, datetime.now(UTC)
    try:
        kafka = folder.bootstrap
        # With Kafka elsewhere, services started one by one with nrmbus run are a running bus.
        running = folder.is_joined or folder.is_held or bool(settings.bootstrap and folder.running)
    except NoBus:
        kafka, running = "", False
    healths = asyncio.run(health.ask_all(folder))
    services = tuple(_services(folder, healths))
    elsewhere, hosts, notes, silent = _elsewhere(folder, services) if running and not folder.is_joined else Elsewhere()
    if not running:
        notes = (*notes, f"The bus is not running: nrmbus up --data '{folder.path}'")
    elif folder.is_joined and not (services or any(of_stopped(folder, ()))):
        notes = (*notes, f"No desk runs here: nrmbus run AGENCY --data '{folder.path}'")
    return Status(
        bus=settings.bus,
        folder=str(folder.path),
        at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        running=running,
        kafka=kafka,
        others=folder.addresses if not folder.is_joined else (),
        free_gib=round(shutil.disk_usage(folder.path).free / 1024**3, 1),
        services=services,
        canary=(healths.get(CANARY) or {}).get("canary_age"),
        elsewhere=elsewhere,
        hosts=hosts,
        history=_history(healths),
        ending=tuple(_ending(folder, healths, elsewhere, hosts, now)),
        faults=(*silent, *_faults(folder, healths, hosts)),
        notes=notes,
    )


def _services(folder: BusFolder, healths: Mapping[str, Health | None]) -> Iterable[Service]:
    states, failing, suspended = health.supervised(folder), health.failing(folder), health.suspended(folder)
    for name, reason in health.brokers_down(folder).items():
        restarts = int(states.get(name, {}).get("restarts", 0))
        yield Service(name, "failing" if name in failing else "away", reason, restarts)
    for name in sorted(suspended & set(folder.agencies())):
        yield Service(name, "suspended", "It is suspended or has left, so its desk does not run.")
    for name, found in healths.items():
        restarts = int(states.get(name, {}).get("restarts", 0))
        if name in failing:
            yield Service(name, "failing", f"It ended five times in a minute. Its log ends: {failing[name]}", restarts)
        elif found is None:
            yield Service(name, "away", "It does not answer.", restarts)
        else:
            ready, shown = bool(found.get("ready")), found.get("shown", {})
            yield Service(
                name,
                "ready" if ready else "not ready",
                health.remark_on(found) if ready else health.why_not_ready(found),
                restarts,
                behind=int(found.get("lag") or 0),
                unanswered=int(found.get("outbox_open") or 0),
                tasks=int(found.get("tasks") or 0),
                parked=int(found.get("parked") or 0),
                unopened=int(shown.get("nrmbus_letters_unopened", 0)),
                days=_days(shown.get("nrmbus_certificate_left_seconds")),
                key_days=_days(shown.get("nrmbus_sealing_key_left_seconds")),
                silent=found.get("silent"),
            )


def _days(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds // 86_400)


def _faults(folder: BusFolder, healths: Mapping[str, Health | None], hosts: Iterable[Placed]) -> Iterable[str]:
    yield from (f"{each.what} Mend: {each.mend}" for each in of_hosts(hosts))
    if folder.is_joined or folder.running:  # where nothing of the operator's runs, the note says so
        # Beside others, an agency of which nothing runs may have left, and need no desk: that stands in the directory,
        # which doctor reads. The operator's folder itself has who is suspended or has left.
        here = {agency_of(each) for each in healths}
        closed = [each for each in folder.agencies() if each not in here] if here and folder.is_joined else ()
        yield from (f"{each.what} Mend: {each.mend}" for each in of_stopped(folder, closed))
    for name, found in healths.items():
        # A desk that is not ready has a remark, and on the operator's machine this command asks Kafka.
        if folder.is_joined and found and found.get("ready") and (silence := health.silence_of(found)):
            yield f"Kafka has not answered {name} for {silence}. Mend: nrmbus check --data '{folder.path}'"
        for each in of_numbers(name, (found or {}).get("shown", {})):
            if each.serious:
                yield f"{each.what} Mend: {each.mend}"
    yield from (f"{each.what} Mend: {each.mend}" for each in of_restarts(folder, datetime.now(UTC)))
    disk = shutil.disk_usage(folder.path)
    if nearly_full(disk.free, disk.total):
        yield f"{disk.free // 1024**2} MiB are free on the disk. Mend: make room beside the folder, or enlarge the disk"


def _elsewhere(folder: BusFolder, here: Iterable[Service]) -> Elsewhere:
    """Return the agencies whose desks do not run here and the services on standby hosts, or why Kafka does not tell them."""
    own = {each.name for each in here}
    try:
        found = (*of_brokers(*brokers_of(folder)), *of_broker_certificates(folder, datetime.now(UTC)))
        faults = tuple(f"{each.what} Mend: {each.mend}" for each in found)
        peers = tuple(each for each in peers_of(folder) if each["agency"] not in own)
        return Elsewhere(peers, hosts_of(folder), faults=faults)
    except KeysSealed:
        return Elsewhere(notes=("The agencies elsewhere are not shown: the operator's key needs its key file.",))
    except BusError:
        check = f"nrmbus check --data '{folder.path}'"
        return Elsewhere(
            faults=(f"Kafka does not answer, or refuses: the agencies elsewhere are not shown. Mend: {check}",)
        )


def _history(healths: Mapping[str, Health | None]) -> dict[str, int]:
    """Return how many registrations there are, how many of them a checkpoint covers, and a co-signed one; and what is overdue."""
    auditor = healths.get(AUDITOR) or {}
    shown = {name: value for found in healths.values() if found for name, value in found.get("shown", {}).items()}
    beside = {
        member: int(shown[name])
        for member, name in (
            ("checkpoint_age", "nrmbus_checkpoint_age_seconds"),
            ("overdue", "nrmbus_clocks_overdue"),
            ("quarantined", "nrmbus_quarantined_records_total"),
        )
        if name in shown
    }
    if not auditor.get("numbers"):
        return beside
    cosigned = auditor.get("cosigned", {}).values()
    return beside | {
        "registered": sum(auditor["numbers"].values()),
        "signed": sum(auditor.get("signed", {}).values()),
        "cosigned": sum(each["size"] for each in cosigned),
        "witnesses": max((each["witnesses"] for each in cosigned), default=0),
    }


def _ending(
    folder: BusFolder,
    healths: Mapping[str, Health | None],
    elsewhere: Iterable[Mapping[str, Any]],
    hosts: Iterable[Placed],
    now: datetime,
) -> Iterable[str]:
    """Yield a sentence for each certificate, key and token that has ended or ends soon."""
    certified = [name for name in healths if parted(name)[1] == 1 and not is_public_page(name)]
    homes = {name: home_of(folder, name) for name in certified} if folder.settings.tls else {}
    if homes and not folder.is_joined and not folder.settings.bootstrap:
        homes[BROKER] = folder.service(BROKER)
    until = {name: ends(Tls(home)) for name, home in homes.items()}
    until |= {str(each["agency"]): _read(each["certificate_ends"]) for each in elsewhere if not each["suspended"]}
    until |= {f"{each.service} on {each.host}": _read(each.certificate_ends) for each in hosts}
    for name, end in sorted(until.items()):
        if end is not None and end < now + SOON:
            yield f"The certificate of {name} {_when(end, now)}."
    for name, found in healths.items():
        ending = (found.get(each) for each in health.ENDING) if found else ()
        yield from (f"{name}: {each['sentence']}" for each in ending if each)


def _read(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None


def _when(end: datetime, now: datetime) -> str:
    left = end - now
    if left <= timedelta():
        return f"ended on {end:%Y-%m-%d}"
    return f"ends in {counted(left.days, 'day')}" if left.days else f"ends in {counted(left.seconds // 3600, 'hour')}"


# -- what is shown ---------------------------------------------------------------------------------------------------


def shown(found: Status) -> RenderableType:
    """Return the screen."""
    parts: list[RenderableType] = [_head(found)]
    if found.services:
        parts += [Text(), _table(found.services)]
        parts += [Text(f"{each.name}: {each.remark}", _STYLES[each.state]) for each in found.services if each.remark]
    if found.hosts:
        parts += [Text(), table_of(found.hosts, datetime.fromisoformat(found.at))]
    if found.elsewhere:
        parts += [Text(), _others(found.elsewhere)]
    parts += [Text(line, "bold red") for line in found.faults]
    parts += [Text(line, "yellow") for line in found.ending]
    parts += [Text(line, "yellow") for line in found.notes]
    return Group(*parts)


def _head(found: Status) -> RenderableType:
    ready = sum(each.state == "ready" for each in found.services)
    due = sum(each.state != "suspended" for each in found.services)
    state = f"{ready} of {due} ready" if found.running and due else "not running"
    lines = Table.grid(padding=(0, 2))
    lines.add_row(
        "bus", Text.assemble(found.bus, ", ", (state, "green" if found.well else "bold red"), f"  ({found.at})")
    )
    if found.canary is not None:
        lines.add_row("canary", f"the newest test hand-over that came back was sent {found.canary:.0f} s ago")
    lines.add_row("folder", Text(f"{found.folder}, {found.free_gib} GiB free"))
    if found.kafka:
        others = f", for other machines {', '.join(found.others)}" if found.others else ""
        lines.add_row("Kafka", Text.assemble(found.kafka + others, _answered(found.services)))
    if "registered" in found.history:
        lines.add_row(
            "history",
            "{registered} registered, {signed} under a checkpoint, {cosigned} co-signed by {witnesses} witnesses".format(**found.history),
        )  # fmt: skip
    if beside := [text.format(found.history[name]) for name, text in _BESIDE.items() if found.history.get(name)]:
        lines.add_row("", ", ".join(beside))
    return lines


def _answered(services: Iterable[Service]) -> tuple[str, str]:
    """Return with its style how long ago Kafka answered the ready service that waits the longest; a longer silence is a fault."""
    silences = (each.silent for each in services if each.silent is not None and each.state == "ready")
    silent = max(silences, default=health.SILENT_SECONDS)
    if silent >= health.SILENT_SECONDS:
        return "", ""
    if silent >= health.QUIET_SECONDS:
        return f", last answer {counted(int(silent), 'second')} ago, and one is due every 2 seconds", "yellow"
    return f", answered within the last {counted(ceil(silent), 'second')}", ""


def _table(services: Iterable[Service]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title, right in (("service", 0), ("state", 0), ("restarts", 1), ("behind", 1), ("unanswered", 1), ("tasks", 1), ("parked", 1), ("unopened", 1)):  # fmt: skip
        table.add_column(title, justify="right" if right else "left")
    for each in services:
        numbers = (each.restarts, each.behind, each.unanswered, each.tasks, each.parked, each.unopened)
        table.add_row(
            each.name,
            Text(each.state, _STYLES[each.state]),
            *(str(number) if number else "·" for number in numbers),
        )
    return table


def _others(peers: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("on other machines", "desk", "certificate until"):
        table.add_column(title)
    for peer in peers:
        state = (
            Text("suspended or retired", "dim")
            if peer["suspended"]
            else Text(f"connected from {', '.join(peer['connected'])}", "green")
            if peer["connected"]
            else Text("not connected", "bold red")
        )
        table.add_row(str(peer["agency"]), state, str(peer["certificate_ends"] or "–")[:10])
    return table
