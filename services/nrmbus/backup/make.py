"""One backup of a running bus, or of one agency's folder: files first, then the topics, then the manifest."""

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from nrmbus.backup import folders, losses
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import DAMAGED, Manifest, Store, Stored, said, writer
from nrmbus.backup.topics import Archive, Progress
from nrmbus.bus.agency_folder import BACKED_UP
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import written_now
from nrmbus.directory import Identity
from nrmbus.directory.admission import home_of, read_directory
from nrmbus.directory.operator import OPERATOR_KEY, Operator
from nrmbus.wire.keys.keys import SigningKey

FILES: Final = "Copying files"
BUS: Final = "bus"
AGENCY: Final = "agency"


class Made(NamedTuple):
    """A backup that was written."""

    manifest: Manifest
    written: int
    """Bytes of new files."""
    removed: int
    """Older generations that were removed."""
    unprotected: tuple[str, ...]
    """Private keys that lie open in the backup."""
    on_servers: tuple[str, ...]
    """Agencies whose ledger is on a PostgreSQL server, and not in the backup."""
    signed_by: str


async def of_bus(folder: BusFolder, store: Store, *, keep: int, progress: Progress) -> Made:
    """Back up the bus in *folder*, which runs; keep the newest *keep* generations.

    Raises:
        BackupError: nothing was published, and what was complete before stays; but for ``not_removed`` and ``lost_here``: this
            backup is complete.
        BusError, KafkaError: the bus does not run, or its broker does not answer.
        DirectoryError: the directory cannot be believed.
    """
    with store.held(), said():
        key = _operators(folder)
        before, generation = _before(store, folder, key, BUS)
        directory = await read_directory(folder)
        files = _files(folder, store, before, lambda: folders.paths(folder.path), progress)
        records, groups = await Archive(folder, store, before, directory, progress).read()
        manifest = _manifest(folder, generation, files, kind=BUS, records=records, groups=groups)
        retired = {each for each, known in directory.roll.agencies.items() if known.states[-1][1] == "retired"}
        return _published(folder, folder.path, store, manifest, key, keep, retired)


def of_agency(folder: BusFolder, store: Store, agency: str, *, keep: int, progress: Progress, sign: bool) -> Made:
    """Back up the folder of *agency*, or of the auditor on her own machine, whether or not it runs; with *sign*, the agency's key signs the manifest.

    Raises:
        BackupError: as `of_bus`.
        NoBus: the agency's folder is not here.
    """
    home = home_of(folder, agency)
    with store.held(), said():
        below = home.relative_to(folder.path).as_posix()
        if not (home / "keys").exists():
            there = ", ".join(folder.agencies()) or "none"
            raise NoBus(f"{folder.path} has no folder of {agency}; it has those of these agencies: {there}.")
        # A key that was made here would pass for the agency's, and keep a restore from bringing the lost one back. A damaged
        # key ends the backup too: in time it would replace every backup with the sound key.
        key = Identity.signing_at(home) if sign else None
        if sign and key is None:
            raise BackupError("key_missing", f"{below}/keys/signing.seed")
        before, generation = _before(store, folder, key, AGENCY, agency)
        files = _files(folder, store, before, lambda: folders.agency_paths(folder, below), progress)
        manifest = _manifest(folder, generation, files, kind=AGENCY, agency=agency)
        return _published(folder, home, store, manifest, key, keep)


def _operators(folder: BusFolder) -> SigningKey:
    """Return the operator's key, which is not made here.

    Raises:
        BackupError: ``key_missing``.
        DirectoryError: ``not_operator``, as `Operator`.
    """
    gone = [each for each in ("operator.seed", "head.seed") if not (folder.keys / each).exists()]
    is_elsewhere = "operator.seed" in gone and (folder.keys / OPERATOR_KEY).exists()
    if gone and not is_elsewhere:
        raise BackupError("key_missing", f"keys/{gone[0]}")
    return Operator(folder.path).signing


def _before(
    store: Store, folder: BusFolder, key: SigningKey | None, kind: str, agency: str = ""
) -> tuple[Manifest | None, int]:
    """Return the newest sound backup, from which this one continues, and the number of this one.

    With *key*, the backup before must be signed with it too: its records and full tiles are taken over unread, and the new
    signature is also over them.

    Raises:
        BackupError: ``file_unreadable``, ``file_missing``, ``other_bus`` or ``other_kind``.
    """
    there = store.generations()
    for number in reversed(there):
        try:
            before = store.manifest(number)
            if before.bus != folder.settings.bus:
                raise BackupError("other_bus")
            if (before.kind, before.agency) != (kind, agency):
                raise BackupError("other_kind")
            if key is not None:
                store.signer(before, key.verify_key)
            break
        except BackupError as error:
            if error.code not in DAMAGED | {"signature_invalid"}:
                raise
    else:
        return None, there[-1] + 1 if there else 1
    if not all(store.has(each) for _, each in before.segments()):
        before = Manifest(**{**dict(before), "records": {}})  # everything is read once more
    return before, there[-1] + 1


def _files(
    folder: BusFolder, store: Store, before: Manifest | None, found: Callable[[], list[str]], progress: Progress
) -> dict[str, Stored]:
    return folders.keep(folder.path, found, store, before, lambda done, total: progress(FILES, done, total))


def _manifest(folder: BusFolder, generation: int, files: dict[str, Stored], **more: Any) -> Manifest:
    return Manifest(
        bus=folder.settings.bus,
        generation=generation,
        made=written_now(),
        by=writer(),
        private_keys="unprotected" if folders.unprotected(folder.path, files) else "sealed",
        files=files,
        **more,
    )


def _published(
    folder: BusFolder,
    home: Path,
    store: Store,
    manifest: Manifest,
    key: SigningKey | None,
    keep: int,
    retired: Collection[str] = (),
) -> Made:
    """Publish *manifest*, and note in *home* that it is complete. Of *retired* agencies nothing is missed."""
    manifest = Manifest(**{**dict(manifest), "signer": key.public.hex() if key else ""})
    store.publish(manifest, key)
    with suppress(OSError):  # the backup is complete, whatever the disk of the bus says
        write_json(home / BACKED_UP, {"generation": manifest.generation, "made": manifest.made})
    try:
        lost = losses.earlier(store, manifest)
        removed = store.prune(keep, datetime.now(UTC), lost.values())
    except (OSError, BackupError):  # as a file that cannot be read: this backup is published all the same
        raise BackupError("not_removed", f"generation {manifest.generation}") from None
    missed = [
        f"{path}: generation {number}"
        for path, number in sorted(lost.items())
        if losses.is_awaited(folder, path) and not path.startswith(tuple(f"agencies/{each}/" for each in retired))
    ]
    if missed:
        raise BackupError("lost_here", ", ".join(missed))
    opened = tuple(folders.unprotected(folder.path, manifest.files))
    on_servers = tuple(folders.on_servers(folder.path, manifest.files))
    return Made(manifest, store.written, removed, opened, on_servers, key.kid if key else "")
