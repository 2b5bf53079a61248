"""``nrmbus doctor``: faults of a bus on this machine, each in one line with the command that mends it. Changes nothing."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import typer
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from nrmbus.bus.errors import BusError, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.pki.certificate import ends
from nrmbus.bus.reach import Reach, Tls
from nrmbus.cli.commands import Commands
from nrmbus.cli.health import Health, ask_all, failing, why_not_ready
from nrmbus.cli.membership.keys import private_keys
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.directory import SERVICES, Directory, DirectoryError, epochs, operator_key
from nrmbus.directory.admission import home_of
from nrmbus.directory.commands import is_operator, reader_of
from nrmbus.directory.epochs import Ending
from nrmbus.directory.heads import is_stale, utc_time
from nrmbus.environment import KEY_FILE
from nrmbus.host.expired_keys import WITHOUT_DESK
from nrmbus.wire.keys import keyfile
from nrmbus.wire.names import DIRECTORY

app = Commands()

SKEW: Final = timedelta(seconds=5)
"""Clocks that are set by a time server differ by milliseconds; legal clocks are told to the second."""

LEAST_FREE: Final = 2 * 1024**3
"""Bytes; with less free space Kafka and the ledgers may stop within a day."""

SOON: Final = timedelta(days=7)
"""Certificates are renewed automatically ten days before their end; one with less time left was not renewed."""

_SET_CLOCKS: Final = "set both by a time server: timedatectl set-ntp true"
MOST_NAMED: Final = 10
"""Number of open files above which one finding names them all."""

_PUBLIC: Final = frozenset({"operator.pub", "cert.pem", "ca.pem", "broker-ca.pem", "made", "interim"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Fault, reason why it matters, and command that mends it; *serious* ones set the exit status."""

    code: str
    what: str
    why: str
    mend: str
    serious: bool = True

    def __str__(self) -> str:
        return f"{'' if self.serious else '(note) '}{self.what} {self.why} Mend: {self.mend}"


def findings(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    """Yield the findings from files, without asking the broker."""
    yield from _permissions(folder)
    yield from _keys(folder)
    yield from _certificates(folder, now)
    yield from _clocks_ahead(folder)
    yield from _disk(folder)


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
            up if lives_here else f"nrmbus agency renew {home.name} --data '{folder.path}'",
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
                _SET_CLOCKS,
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


# -- what the broker says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TopicRead:
    """Clocks and keys by the directory's topic: the newest record by the broker's clock, and the newest head by both clocks.

    *ending* are agencies and services of this machine whose sealing key ends within 14 days, or has ended; *left* those in
    whose folder private keys lie, so many, that had to be destroyed a day ago or before.
    """

    newest: datetime | None = None
    head_signed: datetime | None = None
    head_appended: datetime | None = None
    stale: bool = False
    ending: tuple[Ending, ...] = ()
    left: tuple[tuple[str, int], ...] = ()


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
            _SET_CLOCKS,
        )
    if topic.head_signed is not None and topic.head_appended is not None:
        by = topic.head_signed - topic.head_appended
        if abs(by) > SKEW:
            where = "ahead of" if by > timedelta() else "behind"
            yield Finding(
                "clock_skew", f"The operator's clock is {_seconds(abs(by))} {where} the broker's.", why, _SET_CLOCKS
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
    return TopicRead(newest, head.time if head else None, appended, is_stale(directory, now), ending, left)


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
        ahead = health.get("clock_ahead") or 0.0
        if abs(ahead) > SKEW.total_seconds():
            yield Finding(
                "clock_skew",
                f"The clock of this machine is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the broker's, as the desk of {name} measured.",
                "Events are dated wrongly, and those from the future are refused.",
                _SET_CLOCKS,
            )
        for code, what in (
            ("ledger_lost", "lost its ledger"),
            ("ledger_older", "began with an older copy of its ledger"),
        ):
            if found := health.get(code):
                yield Finding(
                    code,
                    f"{name} {what}.",
                    found["sentence"],
                    f"mark the task {code} as done when the agency has compared its files",
                    serious=code in health.get("open_tasks", ()) or not found.get("caught_up", True),
                )


async def _of_the_services(folder: BusFolder) -> list[Finding]:
    return list(of_services(folder, await ask_all(folder)))


async def _of_the_broker(folder: BusFolder) -> list[Finding]:
    try:
        bootstrap = folder.bootstrap
    except BusError:
        return [Finding("not_running", "The bus does not run.", "Clocks and directory were not checked.",
                        f"nrmbus up --data '{folder.path}'", serious=False)]  # fmt: skip
    try:
        home = reader_of(folder)
        async with asyncio.timeout(20):
            topic, now = await read_topic(folder, folder.reach(home)), datetime.now(UTC)
            return [*of_clocks(topic, now), *of_sealing_keys(topic, now), *of_left_keys(topic)]
    except DirectoryError as error:
        if error.code == "certificate_missing":
            return [Finding("no_certificate", "No agency of this folder was admitted yet.", "Clocks and directory were not checked.",
                            "nrmbus agency check AGENCY FILE, with the file that comes back from the operator", serious=False)]  # fmt: skip
        return [
            Finding(
                "directory",
                "The directory cannot be trusted.",
                str(error),
                "ask the operator before anything is sent.",
            )
        ]
    except KeysSealed as error:
        return [Finding("keys_locked", "The broker was not asked: a connection needs a private key.", str(error),
                        f"nrmbus doctor --data '{folder.path}', with the key file or the passphrase", serious=False)]  # fmt: skip
    except (KafkaError, BusError, TimeoutError, OSError) as error:
        mend = f"look at {folder.logs}/, or nrmbus up --data '{folder.path}'"
        if folder.is_joined:
            mend = "ask the operator whether the bus runs, and whether the agency is suspended (nrmbus agency list); if the broker has moved, run nrmbus join with a newer invitation"
        return [Finding("broker", f"The broker at {bootstrap} does not answer ({type(error).__name__}).",
                        "Nothing is sent or received.", mend)]  # fmt: skip


@app.register(example="nrmbus doctor --data ./my-bus")
def doctor(
    *,
    context: BusContext,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a bus on this machine, and name the command that mends it.

    It finds desks and services that are not ready, files open to others, unprotected keys, expiring sealing keys and
    certificates, wrong clocks, a stale directory and a full disk. It changes nothing. Exit status: 1 if something is
    wrong; notes do not count.
    """
    folder = context.folder
    folder.settings  # noqa: B018 - raises where no bus was made
    found = list(findings(folder, datetime.now(UTC)))
    with suppress(KeyboardInterrupt):
        found += asyncio.run(_of_the_broker(folder))
        found += asyncio.run(_of_the_services(folder))
    if as_json:
        typer.echo(
            json.dumps({"well": not any(each.serious for each in found), "findings": [asdict(each) for each in found]})
        )
    else:
        for each in found:
            typer.echo(str(each))
        if not any(each.serious for each in found):
            typer.echo(f"Nothing is wrong in {folder.path}.")
    sys.exit(any(each.serious for each in found))
