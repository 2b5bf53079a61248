"""Ledgers and keys that an earlier backup has and a later one lacks.

A timer goes on after a loss: its next backup lacks the file, or has the ledger that the desk began in its place. So the
generation with the lost file is kept as long as any may be kept, a restore takes it, and each backup reports it.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from nrmbus.backup import folders
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import Manifest, Store, Stored
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.wire.names import AUDITOR

_PAIRS: Final = tuple(f"/keys/{purpose}.seed" for purpose in ("signing", "sealing", "witness"))
"""Keys that are replaced and never removed. Others come and go, such as those that are next."""

_SAME: Final = ("bus", "kind", "agency", "signer")


def earlier(store: Store, manifest: Manifest) -> Mapping[str, int]:
    """Return the ledgers and keys that are worth more in an earlier backup than in *manifest*, each with its generation.

    Of the backups in which a file is worth most, the newest one is named. A backup that another key signed does not count:
    a stranger's ledger is not even opened.
    """
    worth = _Worth(store)
    best: dict[str, int] = {}
    found: dict[str, int] = {}
    for number in reversed([each for each in store.generations() if each < manifest.generation]):
        with suppress(BackupError):  # a damaged manifest: an older backup may be sound
            each = store.manifest(number)
            if any(getattr(each, name) != getattr(manifest, name) for name in _SAME):
                continue
            paths = [path for path in each.files if folders.of_part("ledger", path) or path.endswith(_PAIRS)]
            best |= {path: worth.of(path, manifest.files.get(path)) for path in paths if path not in best}
            if due := [path for path in paths if best[path] < folders.WHOLE]:
                store.signer(each, None)
                better = {path: now for path in due if (now := worth.of(path, each.files[path])) > best[path]}
                best |= better
                found |= dict.fromkeys(better, number)
    return found


class _Worth:
    """Worth of files in a backup; a ledger is read once, however many backups have it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, int] = {}

    def of(self, path: str, stored: Stored | None) -> int:
        if stored is None:
            return folders.NOTHING
        if not folders.of_part("ledger", path):
            return folders.WHOLE
        if stored.sha256 not in self._known:
            self._known[stored.sha256] = folders.NOTHING
            with suppress(BackupError):
                self._known[stored.sha256] = folders.worth(self._store.check(stored, path))
        return self._known[stored.sha256]


def is_awaited(folder: BusFolder, path: str) -> bool:
    """Return whether the owner of the file at *path* works in *folder* with that file.

    An agency that moved to a machine of its own, or its ledger to a server, has lost nothing.
    """
    owner, *below = path.split("/")
    if owner != "agencies":
        return (folder.path / owner / "keys").exists() and not (owner == AUDITOR and folder.audited_elsewhere)
    if below[0] not in folder.agencies():
        return False
    with suppress(NoBus):  # the settings cannot be read, and name no server
        return not (folders.of_part("ledger", path) and folder.agency(below[0]).settings.ledger)
    return True
