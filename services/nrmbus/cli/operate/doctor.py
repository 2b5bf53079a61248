"""``nrmbus doctor``: faults of a bus on this machine, each in one line with the command that mends it. Changes nothing."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import typer
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from nrmbus.backup.folders import NOTED
from nrmbus.bus.errors import BusError, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.pki.certificate import ends
from nrmbus.bus.reach import Reach, Tls
from nrmbus.cli.commands import Commands
from nrmbus.cli.health import ENDING, Health, ask_all, failing, why_not_ready
from nrmbus.cli.hosts import hosts_of
from nrmbus.cli.membership.keys import private_keys
from nrmbus.cli.operate.check import peers_of
from nrmbus.cli.operate.faults import LEAST_FREE, SET_CLOCKS, SKEW, UNSIGNED, Finding, of_hosts, of_numbers
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.directory import SERVICES, Directory, DirectoryError, epochs, operator_key
from nrmbus.directory.admission import home_of
from nrmbus.directory.commands import is_operator, reader_of
from nrmbus.directory.epochs import Ending
from nrmbus.directory.heads import is_stale, utc_time
from nrmbus.environment import KEY_FILE
from nrmbus.host.expired_keys import WITHOUT_DESK
from nrmbus.wire.keys import keyfile
from nrmbus.wire.names import AUDITOR, CASES, CHECKPOINTS, DIRECTORY, QUARANTINE

app = Commands()

SOON: Final = timedelta(days=7)
"""Certificates are renewed automatically ten days before their end; one with less time left was not renewed."""

NO_BACKUP: Final = timedelta(days=1)
"""Age of the last backup from which it is missed, where there was one."""

HARMLESS: Final = frozenset({"keys_unprotected"})
"""Codes of notes with which nothing is wrong: a bus for playing has its keys open by intention."""
LAST: Final = 100
"""Offsets of a topic that are read, from its end."""
MOST_NAMED: Final = 10
"""Number of open files above which one finding names them all."""

_PUBLIC: Final = frozenset({"operator.pub", "cert.pem", "ca.pem", "broker-ca.pem", "made", "interim"})


def findings(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    """Yield the findings from files, without asking the broker."""
    yield from _permissions(folder)
    yield from _keys(folder)
    yield from _certificates(folder, now)
    yield from _clocks_ahead(folder)
    yield from _disk(folder)
    yield from _backups(folder, now)


def _permissions(folder: BusFolder) -> Iterator[Finding]:
    why = "Keys, ledgers and the door's token let their reader act as an agency."
    loose = [path for path in sorted(_lying(folder)) if path.name not in _PUBLIC and _open_to_others(path)]
    if len(loose) > MOST_NAMED:
        first = f"{len(loose)} files and folders can be read or changed by other users, {loose[0]} first."
        yield Finding("permissions", first, why, f"chmod -R go= '{folder.path}'")
        return
    for path in loose:
        mode = "700" if path.is_dir() else "600"
        yield Finding("permissions", f"{path} can be read or changed by other users.", why, f"chmod {mode} '{path}'")


def _lying(folder: BusFolder) -> Iterator[Path]:
    """Yield all paths in the bus's folder, itself included; of Kafka's own data only the closed folder."""
    yield folder.path
    for at, folders, files in os.walk(folder.path):
        here = Path(at)
        yield from (here / name for name in (*folders, *files))
        if here == folder.path:
            folders[:] = [name for name in folders if here / name != folder.kafka]


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.lstat().st_mode & 0o077) and not path.is_symlink()
    except FileNotFoundError:  # a file that came and went while we looked
        return False


def _keys(folder: BusFolder) -> Iterator[Finding]:
    found = private_keys(folder)
    raw = [path for path in found if not keyfile.is_sealed(path)]
    if folder.settings.play:
        yield Finding(
            "keys_unprotected",
            "This is a bus for playing: its private keys are unprotected, and its clock can be moved.",
            "Publish nothing real on it.",
            "nrmbus up --no-play --data DIR makes another.",
            serious=False,
        )
    elif raw:
        yield Finding(
            "keys_unprotected",
            f"{len(raw)} of {len(found)} private keys are unprotected.",
            "Anybody with a copy or backup of the folder can open letters and act as the agencies.",
            f"{keyfile.SETTING}=FILE nrmbus keys protect --data '{folder.path}'",
        )
    named = KEY_FILE.get()
    if named and Path(named).resolve().is_relative_to(folder.path.resolve()):
        yield Finding(
            "key_file_inside",
            f"The file that {keyfile.SETTING} names is in the folder whose keys it opens.",
            "A thief of the folder has both.",
            f"mv it to where neither the folder nor its backups are, and name it in {keyfile.SETTING}.",
        )


def _certificates(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    for path in sorted(folder.path.glob("**/tls/cert.pem")):
        home, end = path.parents[1], ends(Tls(path.parents[1]))
        if end is not None and end - now > SOON:
            continue
        says = "cannot be read" if end is None else "has ended" if end <= now else f"ends on {end:%Y-%m-%d %H:%M} UTC"
        lives_here = is_operator(folder) or home.parent.name != "agencies"
        up = f"nrmbus up --data '{folder.path}'"
        yield Finding(
            "certificate",
            f"The certificate of {home.name} {says}.",
            "It renews automatically ten days before its end: the service that does this was not running, or failed.",
            f"nrmbus standby request {folder.host} --data '{folder.path}', with the services ended"
            if folder.host is not None and lives_here
            else up
            if lives_here
            else f"nrmbus agency renew {home.name} --data '{folder.path}'",
        )


_NEWEST_OWN: Final = """
    SELECT outbox.made, events.registered FROM events JOIN outbox ON outbox.subject = events.subject AND outbox.id = events.id
    WHERE events.source = ? ORDER BY events.position DESC LIMIT 1
"""


def _clocks_ahead(folder: BusFolder) -> Iterator[Finding]:
    """Yield the desks here whose own clock dates an event later than its registration."""
    for agency in folder.agencies():
        ahead = _ahead(folder.agency(agency).ledger, agency)
        if ahead > SKEW:
            yield Finding(
                "clock_skew",
                f"The clock of {agency}'s desk is at least {_seconds(ahead)} ahead of the registrar's, by its newest event.",
                "The desk destroys a sealing key too soon, and its events are refused as from the future.",
                SET_CLOCKS,
            )


def _ahead(ledger: Path, agency: str) -> timedelta:
    """Return by how much the newest own event in *ledger* is later than its registration; zero if there is none."""
    in_use = ledger.with_name(f"{ledger.name}-wal").exists()
    how = (
        "mode=ro" if in_use else "mode=ro&immutable=1"
    )  # else SQLite would make files beside a ledger that nobody uses
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{ledger.as_uri()}?{how}", uri=True)) as connection:
        if row := connection.execute(_NEWEST_OWN, (agency,)).fetchone():
            made, registered = map(datetime.fromisoformat, row)
            return made - registered
    return timedelta()


def _disk(folder: BusFolder) -> Iterator[Finding]:
    free = shutil.disk_usage(folder.path).free
    if free < LEAST_FREE:
        yield Finding(
            "disk",
            f"{free // 1024**2} MiB are free on the disk of {folder.path}.",
            "A full disk stops Kafka and every desk; nothing is lost, and nothing is registered.",
            f"make room, or move the bus: du -sh '{folder.path}'/*",
        )


def _backups(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    """Yield the backups of this folder, and of agencies in it, that somebody began to make and makes no more."""
    for path in (folder.path / NOTED, *sorted(folder.path.glob(f"agencies/*/{NOTED}"))):
        made = None
        with suppress(OSError, ValueError, KeyError, TypeError):
            made = datetime.fromisoformat(json.loads(path.read_bytes())["made"])
        if made is not None and now - made > NO_BACKUP:
            agency = f" --agency {path.parent.name}" if path.parent != folder.path else ""
            yield Finding(
                "backup_old",
                f"The last backup of {path.parent} is of {made:%Y-%m-%d %H:%M} UTC.",
                "What came since is lost with this disk.",
                f"nrmbus backup DIR{agency} --data '{folder.path}', and see why its timer did not.",
            )


# -- what the broker says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TopicRead:
    """Clocks and keys by the directory's topic: the newest record by the broker's clock, and the newest head by both clocks.

    *ending* are agencies and services of this machine whose sealing key ends within 14 days, or has ended; *left* those in
    whose folder private keys lie, so many, that had to be destroyed a day ago or before. *closed* are suspended or retired
    agencies of this machine, *quarantined* the broker's times of the newest records in quarantine, for the operator alone;
    *checkpointed* and *registered* those of the newest checkpoint and registration, where the auditor is elsewhere.
    """

    newest: datetime | None = None
    head_signed: datetime | None = None
    head_appended: datetime | None = None
    stale: bool = False
    ending: tuple[Ending, ...] = ()
    left: tuple[tuple[str, int], ...] = ()
    closed: frozenset[str] = frozenset()
    quarantined: tuple[datetime, ...] = ()
    checkpointed: datetime | None = None
    registered: datetime | None = None


def of_sealing_keys(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each sealing key that ends soon or has ended."""
    for each in topic.ending:
        ended = each.ends <= now
        yield Finding(
            "sealing_key",
            f"The sealing key of {each.agency} {'has ended' if ended else f'ends on {each.ends:%Y-%m-%d %H:%M} UTC'}.",
            f"A sealing key lives 90 days; {'since' if ended else 'from'} then no letter reaches {each.agency}.",
            each.command,
        )


def of_left_keys(topic: TopicRead) -> Iterator[Finding]:
    """Yield a finding for each agency with replaced sealing keys that should be gone."""
    for agency, count in topic.left:
        yield Finding(
            "key_left",
            f"{count} replaced sealing keys of {agency} should have been destroyed, and are still here.",
            "Until then a backup can be opened that should not open any more, even after an erasure.",
            "nrmbus up destroys them within a day"
            if agency in WITHOUT_DESK
            else f"nrmbus run {agency}: a desk destroys them in its first round",
        )


def of_clocks(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield the findings about clocks and directory by what was *topic* at *now*, this machine's time."""
    why = "Legal clocks run by these times, and a valid certificate or head may look invalid."
    if topic.newest is not None and topic.newest - now > SKEW:
        yield Finding(
            "clock_skew",
            f"This machine's clock is at least {_seconds(topic.newest - now)} behind the broker's.",
            why,
            SET_CLOCKS,
        )
    if topic.head_signed is not None and topic.head_appended is not None:
        by = topic.head_signed - topic.head_appended
        if abs(by) > SKEW:
            where = "ahead of" if by > timedelta() else "behind"
            yield Finding(
                "clock_skew", f"The operator's clock is {_seconds(abs(by))} {where} the broker's.", why, SET_CLOCKS
            )
    if topic.stale:
        yield Finding(
            "directory_stale",
            "The newest head of the directory is older than three hours.",
            "Somebody may be withholding a suspension or a new key from this machine; desks hold back events that they would seal.",
            "nrmbus up on the operator's machine signs a head every hour; if it runs there, ask who runs the broker.",
        )


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"


async def read_topic(folder: BusFolder, where: Reach) -> TopicRead:
    """Read the directory's topic to its end.

    Raises:
        DirectoryError: an entry cannot be trusted.
        KafkaError: the broker does not answer.
    """
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    newest = appended = None
    partition = TopicPartition(DIRECTORY, 0)
    async with clients.reading(where, partition) as (consumer, end):
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, ()):
                before, newest = directory.head, datetime.fromtimestamp(record.timestamp / 1000, UTC)
                directory.add(record.value)
                if directory.head is not before:
                    appended = newest
    head, now = directory.head, utc_time()
    here = [*folder.agencies(), *(each for each in SERVICES if (folder.service(each) / "keys").exists())]
    ending = tuple(found for each in here if (found := epochs.ending(directory, each, now)))
    left = () if folder.settings.play else tuple(_left(folder, directory, here, now - timedelta(days=1)))
    closed = frozenset(each for each in folder.agencies() if directory.state(each, now) in ("suspended", "retired"))
    quarantined = () if folder.is_joined else tuple(await _last(where, QUARANTINE))
    signed = registered = None
    if folder.audited_elsewhere:
        signed = max(await _last(where, CHECKPOINTS), default=None)
        partitions = range(folder.settings.partitions)
        registered = max([each for number in partitions for each in await _last(where, CASES, number)], default=None)
    stale = is_stale(directory, now)
    return TopicRead(
        newest, head.time if head else None, appended, stale, ending, left, closed, quarantined, signed, registered
    )


async def _last(where: Reach, topic: str, number: int = 0) -> list[datetime]:
    """Return the broker's times of the last records of *topic*."""
    partition, found = TopicPartition(topic, number), list[datetime]()
    async with clients.reading(where, partition) as (consumer, end):
        first = (await consumer.beginning_offsets([partition]))[partition]
        consumer.seek(partition, max(first, end - LAST))
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [datetime.fromtimestamp(each.timestamp / 1000, UTC) for each in records]
    return found


def _left(folder: BusFolder, directory: Directory, agencies: Iterable[str], by: datetime) -> Iterator[tuple[str, int]]:
    for agency in agencies:
        if found := epochs.left_at(home_of(folder, agency), directory, agency, by):
            yield agency, len(found)


# -- what desks and services say ---------------------------------------------------------------------------------------


def of_services(folder: BusFolder, healths: Mapping[str, Health | None]) -> Iterator[Finding]:
    """Yield the desks and services that do not answer, are not ready, or lost their ledger or a part of it, by their *healths*."""
    ending = failing(folder)
    for name, health in healths.items():
        log = folder.logs / f"{name}.log"
        if name in ending:
            yield Finding(
                "failing",
                f"{name} is failing: it ended five times in a minute.",
                f"Its log ends: {ending[name]}",
                f"look at {log}; nrmbus up continues to start it",
            )
            continue
        if health is None:
            yield Finding(
                "not_answering",
                f"{name} does not answer.",
                "Events that it would send or receive wait.",
                f"look at {log}, and ask again in a minute if it was just started",
            )
            continue
        if not health.get("ready"):
            yield Finding(
                "not_ready",
                f"{name} is not ready.",
                why_not_ready(health),
                f"ask again in a minute if it was just started; else look at {log} and at its open tasks",
            )
        yield from of_numbers(name, health.get("shown", {}))
        yield from _of_desks(health)
        for code in set(ENDING) - {"sealing_key"}:  # the directory tells of sealing keys, also elsewhere
            if found := health.get(code):
                what, _, mend = found["sentence"].removesuffix(".").partition(": ")
                why = "A system that uses it is refused from then on."
                if code == "mail":
                    why = "The agency's people are told by mail of nothing that waits for them."
                yield Finding(code, f"{name}: {what}.", why, mend)
        for code, what in (
            ("ledger_lost", "lost its ledger"),
            ("ledger_older", "began with an older copy of its ledger"),
        ):
            if found := health.get(code):
                is_over = found.get("caught_up", True)
                mend = f"mark the task {code} as done when the agency has compared its files"
                yield Finding(
                    code,
                    f"{name} {what}.",
                    found["sentence"],
                    mend if is_over else "it catches up automatically, unless this says what to do; then ask again",
                    serious=code in health.get("open_tasks", ()) or not is_over,
                )


def _of_desks(health: Health) -> Iterator[Finding]:
    """Yield a finding if the timekeeper does not see at the broker which desks are connected; other services do not look."""
    if health.get("desks_unseen"):
        yield Finding(
            "desks_unseen",
            "The timekeeper does not see which desks are connected.",
            "An agency that does not read what it is sent is shown to nobody.",
            "nrmbus topics apply",
        )
    for agency in health.get("desks_still", ()):
        yield Finding(
            "standing_still",
            f"The desk of {agency} is connected, and has read nothing of what waits for it for a minute.",
            "What is sent to it is read by nobody; all agencies are shown so once the profile's silent_minutes have passed.",
            "the finding of the desk itself says why: here, or at nrmbus doctor on the machine where it runs",
        )


def of_stopped(folder: BusFolder, closed: Collection[str]) -> Iterator[Finding]:
    """Yield the desks, and the auditor, of a machine elsewhere that do not run; *closed* agencies, suspended or retired, need none."""
    if not folder.is_joined:
        return
    for agency in (*folder.agencies(), *([AUDITOR] if (folder.service(AUDITOR) / "keys").exists() else [])):
        if agency not in closed and agency not in folder.running:
            yield Finding(
                "stopped",
                "The auditor does not run." if agency == AUDITOR else f"The desk of {agency} does not run.",
                "Nothing is sent or received for it.",
                f"nrmbus run {agency} --data '{folder.path}'",
            )


def of_peers(peers: Iterable[Mapping[str, Any]], here: Collection[str], now: datetime) -> Iterator[Finding]:
    """Yield the agencies on other machines whose desk is not connected, or whose certificate nobody renewed."""
    for peer in peers:
        agency, written = str(peer["agency"]), peer["certificate_ends"]
        if agency in here or peer["suspended"]:
            continue
        if written and (end := datetime.fromisoformat(written)) - now < SOON:
            yield Finding(
                "certificate",
                f"The certificate of {agency} {'has ended' if end <= now else f'ends on {end:%Y-%m-%d %H:%M} UTC'}.",
                "Its desk renews it automatically while it is connected, so it was away, or failed.",
                f"ask its people to run nrmbus check, and nrmbus agency renew {agency}",
            )
        if not peer["connected"]:
            yield Finding(
                "silent",
                f"{'The auditor' if agency == AUDITOR else f'The desk of {agency}'}, on another machine, is not connected.",
                "What is sent to it waits; whether that is a fault only its people know.",
                "ask them for the result of nrmbus check",
                serious=False,
            )


def of_the_auditor(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield a finding if an auditor on another machine signs nothing: a registration is older than she may take, and newer than her checkpoint."""
    signed, registered = topic.checkpointed, topic.registered
    if registered and now - registered > UNSIGNED and (signed is None or signed < registered):
        since = f"since {signed:%Y-%m-%d %H:%M} UTC" if signed else "ever"
        yield Finding(
            "auditor_silent",
            f"The auditor, on another machine, has signed no checkpoint {since}, and there are newer registrations.",
            "They are in the history, and nobody has signed a tree over them.",
            "ask the auditor for the result of nrmbus status and nrmbus check",
        )


def of_quarantine(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield a finding if a submission without a valid signature came within the last day."""
    recent = [each for each in topic.quarantined if now - each < timedelta(days=1)]
    if recent:
        yield Finding(
            "quarantine",
            f"{len(recent)} submissions without a valid signature of their sender came within a day, the newest at {recent[-1]:%Y-%m-%d %H:%M} UTC.",
            "Another program than a desk writes to an outbox, or somebody tries to.",
            "logs/registrar.log has lines quarantined with topic and offset; ask the agency that owns the topic",
        )


async def _of_the_services(folder: BusFolder, closed: Collection[str]) -> list[Finding]:
    return [*of_stopped(folder, closed), *of_services(folder, await ask_all(folder))]


def _of_the_peers(folder: BusFolder) -> list[Finding]:
    if folder.is_joined or not folder.settings.tls:
        return []
    try:
        return [*of_peers(peers_of(folder), folder.agencies(), datetime.now(UTC)), *of_hosts(hosts_of(folder))]
    except BusError as error:
        return [Finding("peers_unknown", "The agencies on other machines were not looked at.", str(error),
                        f"nrmbus doctor --data '{folder.path}', while the bus runs and with the key file", serious=False)]  # fmt: skip


async def _of_the_broker(folder: BusFolder) -> tuple[list[Finding], TopicRead]:
    try:
        bootstrap = folder.bootstrap
    except BusError:
        return [Finding("not_running", "The bus does not run.", "Clocks, directory, desks and quarantine were not checked.",
                        f"nrmbus up --data '{folder.path}'", serious=False)], TopicRead()  # fmt: skip
    found: list[Finding] = []
    try:
        home = reader_of(folder)
        async with asyncio.timeout(20):
            topic, now = await read_topic(folder, folder.reach(home)), datetime.now(UTC)
        found = [
            *of_clocks(topic, now),
            *of_sealing_keys(topic, now),
            *of_left_keys(topic),
            *of_quarantine(topic, now),
            *of_the_auditor(topic, now),
        ]
    except DirectoryError as error:
        if error.code == "certificate_missing":
            found = [Finding("no_certificate", "No agency of this folder was admitted yet.", "Clocks and directory were not checked.",
                            "nrmbus agency check AGENCY FILE, with the file that comes back from the operator", serious=False)]  # fmt: skip
        else:
            found = [
                Finding(
                    "directory",
                    "The directory cannot be trusted.",
                    str(error),
                    "ask the operator before anything is sent.",
                )
            ]
    except KeysSealed as error:
        found = [Finding("keys_locked", "The broker was not asked: a connection needs a private key.", str(error),
                        f"nrmbus doctor --data '{folder.path}', with the key file or the passphrase", serious=False)]  # fmt: skip
    except (KafkaError, BusError, TimeoutError, OSError) as error:
        mend = f"look at {folder.logs}/, or nrmbus up --data '{folder.path}'"
        if folder.is_joined:
            mend = "ask the operator whether the bus runs, and whether the agency is suspended (nrmbus agency list); if the broker has moved, run nrmbus join with a newer invitation"
        found = [Finding("broker", f"The broker at {bootstrap} does not answer ({type(error).__name__}).",
                        "Nothing is sent or received.", mend)]  # fmt: skip
    else:
        return found, topic
    return found, TopicRead()


@app.register(example="nrmbus doctor --data ./my-bus")
def doctor(
    *,
    context: BusContext,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a bus on this machine, and name the command that mends it.

    It asks every desk and service of this machine, and at the operator looks at every agency elsewhere. It finds who is not
    ready, silent or behind, files open to others, unprotected keys, expiring sealing keys and certificates, wrong clocks,
    a stale directory or checkpoint, a full disk and records in quarantine. It changes nothing. Exit status: 1 if something
    is wrong; notes do not count.
    """
    folder = context.folder
    folder.settings  # noqa: B018 - raises where no bus was made
    found = list(findings(folder, datetime.now(UTC)))
    try:
        of_the_broker, topic = asyncio.run(_of_the_broker(folder))
        found += [*of_the_broker, *asyncio.run(_of_the_services(folder, topic.closed))]
        if {each.code for each in of_the_broker}.isdisjoint({"not_running", "keys_locked", "broker"}):
            found += _of_the_peers(folder)
    except KeyboardInterrupt:
        found.append(
            Finding(
                "interrupted", "Not everything was looked at.", "It was interrupted.", "run it again", serious=False
            )
        )
    if as_json:
        typer.echo(
            json.dumps({"well": not any(each.serious for each in found), "findings": [asdict(each) for each in found]})
        )
    else:
        for each in found:
            typer.echo(str(each))
        if not found or all(each.code in HARMLESS for each in found):
            typer.echo(f"Nothing is wrong in {folder.path}.")
        elif not any(each.serious for each in found):
            typer.echo(f"No fault was found in {folder.path}, but see what the notes say.")
    sys.exit(any(each.serious for each in found))
