"""Faults that the files of a bus on this machine show: rights, keys, certificates, clocks, disk and backups."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.bus.agency_folder import OLD_BACKUP, backed_up
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.certificate import ends
from nrmbus.bus.reach import Tls
from nrmbus.bus.vitals import nearly_full
from nrmbus.cli.health import suspended
from nrmbus.cli.membership.keys import is_changing, private_keys
from nrmbus.cli.operate.faults import SET_CLOCKS, SKEW, SOON, Finding, seconds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store.place import on_tables, place_of
from nrmbus.directory.commands import is_operator
from nrmbus.environment import KEY_FILE
from nrmbus.wire.keys import keyfile
from nrmbus.wire.names import AUDITOR

MOST_NAMED: Final = 10
"""Number of open files above which one finding names them all."""

_PUBLIC: Final = frozenset({"operator.pub", "cert.pem", "ca.pem", "broker-ca.pem", "made", "interim"})


def findings(folder: BusFolder, now: datetime, closed: Collection[str] = ()) -> Iterator[Finding]:
    """Yield the findings from files, without asking the broker; *closed* agencies, suspended or retired, need no certificate."""
    yield from _permissions(folder)
    yield from _settings(folder)
    yield from _keys(folder)
    yield from _certificates(folder, now, suspended(folder).union(closed))
    yield from _clocks_ahead(folder)
    yield from _disk(folder)
    yield from _backups(folder, now)


def _permissions(folder: BusFolder) -> Iterator[Finding]:
    why = "Keys, ledgers and the door's token let their reader act as an agency."
    loose = [path for path in sorted(_lying(folder)) if path.name not in _PUBLIC and _open_to_others(path)]
    if len(loose) > MOST_NAMED:
        first = f"{len(loose):,} files and folders can be read or changed by other users, {loose[0]} first."
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


def _is_raw(key: Path) -> bool:
    try:
        return not keyfile.is_sealed(key)
    except FileNotFoundError:  # a running desk has destroyed it meanwhile
        return False


def _settings(folder: BusFolder) -> Iterator[Finding]:
    for agency in folder.agencies():
        with suppress(NoBus):  # no JSON object: its desk does not start, and says so
            if unread := folder.agency(agency).unread:
                yield Finding(
                    "setting_unread",
                    unread,
                    "A setting with a slip in its name does nothing.",
                    "correct the name or remove the member, then start the desk again",
                )


def _keys(folder: BusFolder) -> Iterator[Finding]:
    found = private_keys(folder)
    raw = [path for path in found if _is_raw(path)]
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
    if is_changing(found):
        yield Finding(
            "keys_half_changed",
            "A change of the passphrase of the private keys was cut.",
            "Some keys may need the old one and others the new one, so nothing starts.",
            f"nrmbus keys change --data '{folder.path}', with the same two passphrases or key files",
        )
    named = KEY_FILE.get()
    if named and Path(named).resolve().is_relative_to(folder.path.resolve()):
        yield Finding(
            "key_file_inside",
            f"The file that {keyfile.SETTING} names is in the folder whose keys it opens.",
            "A thief of the folder has both.",
            f"mv it to where neither the folder nor its backups are, and name it in {keyfile.SETTING}.",
        )


def _certificates(folder: BusFolder, now: datetime, closed: Collection[str]) -> Iterator[Finding]:
    for path in sorted(folder.path.glob("**/tls/cert.pem")):
        home, end = path.parents[1], ends(Tls(path.parents[1]))
        if (end is not None and end - now > SOON) or (home.parent.name == "agencies" and home.name in closed):
            continue
        says = "cannot be read" if end is None else "has ended" if end <= now else f"ends on {end:%Y-%m-%d %H:%M} UTC"
        # An auditor on her own machine asks the operator by file, as an agency does.
        lives_here = is_operator(folder) or (folder.host is not None and home.parent.name != "agencies")
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
    WHERE events.source = :me ORDER BY events.position DESC LIMIT 1
"""


def _clocks_ahead(folder: BusFolder) -> Iterator[Finding]:
    """Yield the desks here whose own clock dates an event later than its registration."""
    for agency in folder.agencies():
        ahead = timedelta()
        # A ledger that cannot be read is the fault that its desk names.
        with suppress(NoBus, DeskError, SQLAlchemyError, sqlite3.Error):
            place = place_of(folder.agency(agency))
            newest = _newest_in(place, agency) if isinstance(place, Path) else on_tables(place, _newest_of(agency))
            ahead = _ahead(newest)
        if ahead > SKEW:
            yield Finding(
                "clock_skew",
                f"The clock of {agency}'s desk is at least {seconds(ahead)} ahead of the registrar's, by its newest event.",
                "The desk destroys a sealing key too soon, and its events are refused as from the future.",
                SET_CLOCKS,
            )


def _newest_in(ledger: Path, agency: str) -> Sequence[str] | None:
    """Return when the newest own event in the file *ledger* was made and registered; None if there is none."""
    in_use = ledger.with_name(f"{ledger.name}-wal").exists()
    how = (
        "mode=ro" if in_use else "mode=ro&immutable=1"
    )  # else SQLite would make files beside a ledger that nobody uses
    with closing(sqlite3.connect(f"{ledger.as_uri()}?{how}", uri=True)) as connection:
        found: tuple[str, str] | None = connection.execute(_NEWEST_OWN, {"me": agency}).fetchone()
        return found


def _newest_of(agency: str) -> Callable[[Connection], Sequence[str] | None]:
    """Return the same question to a ledger on a server."""
    return lambda tx: tx.execute(text(_NEWEST_OWN), {"me": agency}).first()


def _ahead(newest: Sequence[str] | None) -> timedelta:
    """Return by how much an event is later than its registration; zero if there is none."""
    if newest is None:
        return timedelta()
    made, registered = map(datetime.fromisoformat, newest)
    return made - registered


def _disk(folder: BusFolder) -> Iterator[Finding]:
    disk = shutil.disk_usage(folder.path)
    if nearly_full(disk.free, disk.total):
        yield Finding(
            "disk",
            f"{disk.free // 1024**2} MiB are free on the disk of {folder.path}.",
            "A full disk stops Kafka and every desk; nothing is lost, and nothing is registered.",
            f"make room, or move the bus: du -sh '{folder.path}'/*",
        )


def _backups(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    """Yield the backups of this folder, and of agencies in it, that somebody began to make and makes no more."""
    of_auditor = folder.service(AUDITOR)  # on her own machine, her folder is backed up as an agency's
    for path in (folder.path, of_auditor, *sorted(folder.path.glob("agencies/*"))):
        made = backed_up(path)
        if made is not None and now - made > OLD_BACKUP:
            agency = f" --agency {path.name}" if path != folder.path else ""
            yield Finding(
                "backup_old",
                f"The last backup of {path} is of {made:%Y-%m-%d %H:%M} UTC.",
                "What came since is lost with this disk.",
                f"nrmbus backup DIR{agency} --data '{folder.path}', and see why its timer did not.",
            )
