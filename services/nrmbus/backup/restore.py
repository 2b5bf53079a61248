"""Restore of a backup: everything into an empty folder, or one part that was lost."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, NamedTuple

from nrmbus.backup import folders, losses
from nrmbus.backup.errors import BackupError
from nrmbus.backup.rebuild import rebuild
from nrmbus.backup.store import Manifest, Store, Stored, said
from nrmbus.backup.topics import Progress
from nrmbus.backup.verify import Trust, directory_of, trusted
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import FolderHeld
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.high_water import HighWater
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import make_private, write_json
from nrmbus.directory.reader import MARK
from nrmbus.wire.disk import sync
from nrmbus.wire.names import CASES, DIRECTORY, REGISTRAR

STAGE: Final = ".restoring"
_NEEDED: Final = 1.5
"""Free disk that a restore asks for, in lengths of the backup: its records are in the broker's form afterwards."""
_LISTEN: Final = "listen.json"
_LOG: Final = "auditor/logs"
_REGISTER: Final = "keys/authority/issued.json"
Unlock = Callable[[BusFolder], None]


def everything(
    store: Store,
    manifest: Manifest,
    target: BusFolder,
    unlock: Unlock,
    progress: Progress,
    bootstrap: str | None = None,
    *,
    only_folder: bool = False,
) -> None:
    """Restore a verified backup into the empty folder of *target*; the bus is there whole, or not at all.

    *unlock* opens the private keys of a folder. *bootstrap* names the cluster of the bus, if it is another one than
    before. The cluster must be empty and takes the records; with *only_folder* it has them, and nothing is written there.

    Raises:
        BackupError: ``folder_not_empty``, ``bus_running``, ``disk_full``, ``cluster_not_empty`` or ``offset_differs``.
        BusError, KafkaError: Kafka does not start, or fails.
    """
    with said():
        _check_empty(target)  # before a lock is written there
    with _idle(target):
        _everything(store, manifest, target, unlock, progress, bootstrap, only_folder=only_folder)


def _everything(
    store: Store,
    manifest: Manifest,
    target: BusFolder,
    unlock: Unlock,
    progress: Progress,
    bootstrap: str | None,
    *,
    only_folder: bool,
) -> None:
    stage = BusFolder(target.path / STAGE)
    with said():
        _empty(target)
        needed = int(sum(each.length for _, each in manifest.stored()) * _NEEDED)
        if folders.free(target.path) < needed:
            raise BackupError("disk_full", f"{needed} bytes are needed")
        make_private(stage.path)
        # Addresses for other machines are of the machine that was: they come back when the broker has ended.
        folders.put_back(store, [each for each in manifest.files.items() if each[0] != _LISTEN], stage.path)
        if only_folder and _REGISTER in manifest.files:
            Authority(stage).note_restore()
        if bootstrap:
            made = replace(stage.settings, bootstrap=bootstrap)
            write_json(stage.path / "bus.json", asdict(made))
    if manifest.kind == "bus" and not only_folder:
        unlock(stage)
        _with_broker(stage, lambda: asyncio.run(rebuild(stage, store, manifest, progress)), progress)
    with said():
        folders.put_back(store, [each for each in manifest.files.items() if each[0] == _LISTEN], stage.path)
        for name in ("run", "logs"):
            shutil.rmtree(stage.path / name, ignore_errors=True)
        # The settings last: before they are there, no bus is.
        for path in sorted(stage.path.iterdir(), key=lambda path: path.name == "bus.json"):
            path.rename(target.path / path.name)
        stage.path.rmdir()
        sync(target.path)


def _empty(target: BusFolder) -> None:
    """Remove what a restore that was cut off has left in *target*; raises as `_check_empty`."""
    if _is_cut_off(target):
        for each in _found(target):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    _check_empty(target)


def _check_empty(target: BusFolder) -> None:
    """Check that *target* is empty, but for what a restore that was cut off has left.

    Raises:
        BackupError: ``folder_not_empty``.
    """
    if not _is_cut_off(target) and _found(target):
        raise BackupError("folder_not_empty", str(target.path))


def _is_cut_off(target: BusFolder) -> bool:
    return (target.path / STAGE).exists() and not target.exists


def _found(target: BusFolder) -> list[Path]:
    """Return what is in the folder of *target*, without its locks: the restore holds one of them."""
    return [each for each in target.path.iterdir() if each != target.run] if target.path.exists() else []


def _with_broker(folder: BusFolder, work: Callable[[], None], progress: Progress) -> None:
    if folder.settings.bootstrap:
        work()
        return
    kafka = EmbeddedKafka(folder)
    kafka.fetch(progress)
    try:
        kafka.start()
        work()
    finally:
        kafka.stop()


class Restored(NamedTuple):
    """A part that was restored."""

    written: list[str]
    """Paths that were written."""
    left: list[str]
    """Paths of the backup that were left as they are here."""


def sources(store: Store, target: BusFolder, part: str, agency: str | None, trust: Trust) -> dict[str, int]:
    """Return the generation of each file of *part*, ``ledger`` or ``keys``, from which it is restored unless a person names one.

    A file that was lost has a generation of its own: later backups may lack it, or have the ledger that began in its place.

    Raises:
        BackupError, KeysSealed: the newest backup is refused, as by `verified`.
    """
    newest, _, _ = trusted(store, None, trust)
    below = f"agencies/{agency}/" if agency else ""
    lost = {
        path: number
        for path, number in losses.earlier(store, newest).items()
        if path.startswith(below) and folders.of_part(part, path) and (agency or losses.is_awaited(target, path))
    }
    # Only keys of a few names are compared, so the others of their folder come from the backup that has the compared ones.
    homes = {newest.generation: {below}}
    if part == "keys":
        for path, number in lost.items():
            homes.setdefault(number, set()).add(path.rpartition("/keys/")[0] + "/")
    found = {
        path: number
        for number in sorted(homes)
        for path in store.manifest(number).files
        if path.startswith(tuple(homes[number])) and folders.of_part(part, path)
    }
    return found | lost


def joined(manifests: Mapping[int, Manifest], generations: Mapping[str, int]) -> Manifest:
    """Return the newest of the *manifests*, with each file as its own of the *generations* has it, and no other file."""
    files = {path: manifests[number].files[path] for path, number in generations.items()}
    return Manifest(**{**dict(manifests[max(manifests)]), "files": files})


def one_part(
    store: Store,
    manifest: Manifest,
    target: BusFolder,
    part: str,
    unlock: Unlock,
    progress: Progress,
    *,
    agency: str | None = None,
    over_newer: bool = False,
) -> Restored:
    """Restore *part* into the folder of *target*, where nothing runs, and nothing starts meanwhile.

    Keys, settings, the auditor's users and readings off the record that are here stay: only those that are missing come
    back. A ledger on a server stays as well. With *agency*, only of this agency.

    Raises:
        BackupError: ``part_absent``, ``ledger_on_server``, ``other_bus``, ``other_kind``, ``bus_running`` or ``newer_here``;
            nothing was changed then.
    """
    if target.exists and target.settings.bus != manifest.bus:
        raise BackupError("other_bus")
    # The operator's signature must not put a ledger into the folder of an agency whose keys the operator never had.
    if manifest.kind == "bus" and target.is_joined and not target.service(REGISTRAR).exists():
        raise BackupError("other_kind")
    with _idle(target):
        if part in (folders.BROKER, folders.DIRECTORY):
            return Restored(_broker(store, manifest, target, part, unlock, progress, over_newer=over_newer), [])
        below = f"agencies/{agency}/" if agency else ""
        elsewhere = _on_servers(target, [agency] if agency else target.agencies()) if part == "ledger" else {}
        due = {
            path: stored
            for path, stored in manifest.files.items()
            if path.startswith(below) and folders.of_part(part, path) and path not in elsewhere
        }
        if not due and elsewhere:
            raise BackupError("ledger_on_server", ", ".join(elsewhere.values()))
        if not due:
            raise BackupError("part_absent", f"{part} {below}".strip())
        with said():
            left = [
                path
                for path in due
                if folders.stays(part, path, over_newer=over_newer) and (target.path / path).exists()
            ]
            due = {path: stored for path, stored in due.items() if path not in left}
            if not over_newer:
                _check_older(store, target, due)
            if _REGISTER in due and target.exists:
                Authority(target).note_restore()
            if part == "log":
                _put_back_log(store, due, target.path)
            else:
                folders.put_back(store, due.items(), target.path)
        return Restored(sorted(due), sorted(left))


def _on_servers(target: BusFolder, agencies: Iterable[str]) -> dict[str, str]:
    """Return those *agencies* whose ledger is on a server, by the path of the file that their desk never reads."""
    settings = [f"agencies/{each}/agency.json" for each in agencies]
    return {f"agencies/{each}/{folders.LEDGER}": each for each in folders.on_servers(target.path, settings)}


@contextmanager
def _idle(target: BusFolder) -> Iterator[None]:
    """Keep everything from starting in the folder of *target*, until the end of the block.

    Raises:
        BackupError: ``bus_running``, or as `said`.
    """
    with ExitStack() as stack:
        try:
            with said():
                stack.enter_context(target.idle())
        except FolderHeld:
            raise BackupError("bus_running", ", ".join(target.running) or str(target.path)) from None
        yield


def _put_back_log(store: Store, due: dict[str, Stored], root: Path) -> None:
    """Write the auditor's log beside the one that is below *root*, then in its place, so that a full disk takes none away.

    It comes as a whole: files that the backup does not have are of another tree.
    """
    stage, log = root / STAGE, root / _LOG
    shutil.rmtree(stage, ignore_errors=True)
    try:
        folders.put_back(store, [each for each in due.items() if each[0].startswith(f"{_LOG}/")], stage)
        folders.put_back(store, [each for each in due.items() if not each[0].startswith(f"{_LOG}/")], root)
        if (stage / _LOG).exists():
            make_private(log.parent)
            if log.exists():
                log.rename(stage / "before")
            (stage / _LOG).rename(log)
            sync(log.parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _check_older(store: Store, target: BusFolder, due: dict[str, Stored]) -> None:
    """Check that no ledger and no table of signed trees among *due* goes further here than in the backup.

    A ledger that began after the one in the backup was lost has read its inbox again. The restored ledger does so too, so
    deliveries do not count there; events without an answer do, since only this ledger has them.

    Raises:
        BackupError: ``newer_here``.
    """
    for path, stored in due.items():
        here = target.path / path
        if here.exists() and here.name in folders.COUNTED:
            backup = store.check(stored, path)
            kept, now = folders.rows(backup), folders.rows(here)
            if now is None:
                raise BackupError("newer_here", f"{path} cannot be read, so nobody knows what it has")
            if folders.began_after_loss(here) - folders.began_after_loss(backup):
                own = {name: last for name, last in now.items() if not name.startswith("inbox ")}
                now = {**own, "unanswered": folders.unanswered(here)}
            ahead = [f"{name}: {last} here, {(kept or {}).get(name, 0)} in the backup" for name, last in now.items()
                     if last > (kept or {}).get(name, 0)]  # fmt: skip
            if ahead:
                raise BackupError("newer_here", f"{path}, {', '.join(ahead)}")


def _broker(
    store: Store,
    manifest: Manifest,
    target: BusFolder,
    part: str,
    unlock: Unlock,
    progress: Progress,
    *,
    over_newer: bool,
) -> list[str]:
    """Write the topics of the backup to an empty broker, or the directory alone to a broker that has lost it."""
    if manifest.kind != "bus":
        raise BackupError("part_absent", part)
    if part == folders.DIRECTORY:
        if not over_newer:
            _check_directory(store, manifest, target)
        unlock(target)
        _with_broker(target, lambda: asyncio.run(rebuild(target, store, manifest, progress, [DIRECTORY])), progress)
        if over_newer:
            _put_back(store, manifest, target, folders.is_mark_of_directory)
        return [DIRECTORY]
    if not over_newer:
        for number, partition in manifest.records[CASES].items():
            mark = HighWater(target.service(REGISTRAR) / "history" / number).read()
            if mark and mark.number > partition.number:
                known = f"partition {number}: number {mark.number} was registered, {partition.number} is in the backup"
                raise BackupError("newer_here", known)
    unlock(target)
    if target.kafka.exists() and not over_newer:
        raise BackupError("newer_here", f"{target.kafka} has the data of a broker: remove it if they are lost")
    if target.settings.bootstrap:
        asyncio.run(rebuild(target, store, manifest, progress))
    else:
        stage = _beside(target)
        _with_broker(stage, lambda: asyncio.run(rebuild(stage, store, manifest, progress)), progress)
        with said():
            if target.kafka.exists():
                # As a whole: on half of its data a broker would start, and lack the rest.
                target.kafka.rename(stage.path / "before")
            stage.kafka.rename(target.kafka)
            sync(target.path)
            shutil.rmtree(stage.path)
    if over_newer:
        _put_back(store, manifest, target, folders.is_mark)
    return sorted(manifest.records)


def _check_directory(store: Store, manifest: Manifest, target: BusFolder) -> None:
    """Check that nobody here has read more entries of the directory than the backup has; registrations do not matter to it.

    Raises:
        BackupError: ``newer_here``.
    """
    kept = directory_of(store, manifest).number
    for path in sorted(each for pattern in ("*", "agencies/*") for each in target.path.glob(f"{pattern}/{MARK}")):
        if (mark := HighWater(path).read()) and mark.number > kept:
            where = path.parent.relative_to(target.path)
            raise BackupError(
                "newer_here", f"directory: {where} has read {mark.number} entries, {kept} are in the backup"
            )


def _put_back(store: Store, manifest: Manifest, target: BusFolder, is_due: Callable[[str], bool]) -> None:
    with said():
        folders.put_back(store, [each for each in manifest.files.items() if is_due(each[0])], target.path)


def _beside(target: BusFolder) -> BusFolder:
    """Return a folder with the keys and settings of *target*, and a broker of its own, which a cut leaves apart."""
    stage = BusFolder(target.path / STAGE)
    with said():
        shutil.rmtree(stage.path, ignore_errors=True)
        make_private(stage.path)
        shutil.copyfile(target.path / "bus.json", stage.path / "bus.json")
        for name in ("keys", "broker"):
            (stage.path / name).symlink_to(target.path / name)
    return stage
