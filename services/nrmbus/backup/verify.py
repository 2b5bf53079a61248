"""Verification of a backup without the bus: every file, every registration, every checkpoint and every inbox.

Nothing is taken from outside the backup but the keys of `Trust`, which vouch for the signature where the caller has them.
A backup names its own signer, kind and agency: without such a key, its verification shows that it is of one piece.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from nrmbus.backup import folders
from nrmbus.backup import records as lines
from nrmbus.backup.errors import BackupError
from nrmbus.backup.records import Kept
from nrmbus.backup.store import Manifest, Partition, Store
from nrmbus.backup.topics import Progress
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Directory, DirectoryError, Identity, Published, operator_key
from nrmbus.directory.admission import home_of
from nrmbus.wire import history
from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, origin_of, place_of
from nrmbus.wire.log.merkle import Frontier, leaf_hash
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CASES, CHECKPOINTS, DIRECTORY, INBOX, WITNESS
from nrmbus.wire.record import DELIVERY
from nrmbus.wire.registration import NOTHING_BEFORE, Registration, verify_delivery

FILES: Final = "Comparing files"
HISTORY: Final = "Verifying the history"


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys that vouch for the signature of a backup, and what is refused without one."""

    key_of: Callable[[Manifest], VerifyKey | None] = lambda _: None
    """Returns the trusted key here for backups of that kind and agency; None if there is none."""
    compared: str | None = None
    """Key that a person has compared: its kid, or the public key in hex."""
    takes_unknown: bool = True
    """False if a signature is refused when neither `key_of` nor `compared` vouches for its key."""
    takes_unsigned: bool = True
    """False if a backup without a signature is refused."""

    def vouches(self, manifest: Manifest, kid: str) -> bool:
        """Return whether a key vouches for *kid*, which signed *manifest*.

        Raises:
            BackupError: ``signature_invalid``: another key must have signed; ``unsigned`` or ``signer_unknown``.
        """
        if not kid and self.compared is None:
            if not self.takes_unsigned:
                raise BackupError("unsigned", f"generation {manifest.generation}")
            return False
        # Where a person compared an agency's key, the key here adds nothing, and its key file may be elsewhere.
        here = self.key_of(manifest) if manifest.kind == "bus" or self.compared is None else None
        # A bus has one operator's key for good. An agency's key changes, so an earlier one may have signed.
        if manifest.kind == "bus" and here is not None and here.public.hex() != manifest.signer:
            raise BackupError("signature_invalid", "keys/operator.pub")
        if self.compared is not None:
            if not kid or self.compared.strip().lower() not in (kid, manifest.signer):
                raise BackupError("signature_invalid", f"generation {manifest.generation}")
            return True
        if here is not None and here.kid == kid:
            return True
        if not self.takes_unknown:
            raise BackupError("signer_unknown", manifest.signer if manifest.kind == "bus" else kid)
        return False


def key_here(folder: BusFolder, manifest: Manifest) -> VerifyKey | None:
    """Return the key in *folder* that must sign backups of the kind and agency of *manifest*; None if there is none.

    Raises:
        KeysSealed: another passphrase or key file was given than the agency's key is sealed under.
    """
    if manifest.kind == "agency":
        return Identity.signer_at(home_of(folder, manifest.agency))
    with suppress(DirectoryError):
        return operator_key(folder.path)
    return None


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of a verification."""

    generation: int
    kind: str
    bus: str
    agency: str
    made: str
    by: str
    private_keys: str
    signed_by: str
    """The kid of the key that signed the manifest, ``""`` if nobody did."""
    signer: str
    """The key in hex, as ``keys/operator.pub`` has the operator's; ``""`` if nobody signed."""
    signer_known: bool
    """True if a key outside the backup vouches for the signer."""
    files: int
    length: int
    """Bytes of all files."""
    numbers: dict[str, int]
    """By partition, the number of the last registration."""
    checkpoints: dict[str, int]
    """By partition, the size of the newest published checkpoint; its root is that of the history here."""
    cosigned: dict[str, int]
    """By partition, the largest size that more than half of the witnesses co-signed."""
    unfinished: bool
    """True if a later backup was cut off, or is being written."""

    def json(self) -> dict[str, Any]:
        """Return this as JSON types."""
        return asdict(self)


def verified(
    store: Store, generation: int | None, progress: Progress, trust: Trust = Trust()
) -> tuple[Manifest, Verified]:
    """Verify a backup, the newest unless *generation* is given; return its manifest and what was verified.

    The operator in the backup must have signed the backup of a bus; *trust* decides about an agency's, and whether the
    operator is known.

    Raises:
        BackupError: the first fault that was found.
        KeysSealed: as *trust*'s ``key_of``.
    """
    manifest, kid, known = trusted(store, generation, trust)
    stored = list(manifest.stored())
    total, done = sum(each.length for _, each in stored), 0
    for path, each in stored:
        store.check(each, path)
        done += each.length
        progress(FILES, done, total)
    checked = _History(store, manifest, progress)
    return manifest, Verified(
        generation=manifest.generation, kind=manifest.kind, bus=manifest.bus, agency=manifest.agency, made=manifest.made,
        by=manifest.by, private_keys=manifest.private_keys, signed_by=kid,
        signer=manifest.signer, signer_known=known, files=len(stored), length=total, numbers=checked.numbers,
        checkpoints=checked.checkpoints, cosigned=checked.cosigned, unfinished=bool(store.unfinished()),
    )  # fmt: skip


def trusted(store: Store, generation: int | None, trust: Trust) -> tuple[Manifest, str, bool]:
    """Return the manifest of *generation* (default: the newest), who signed it, and whether a key outside the backup vouches for it.

    Raises:
        BackupError, KeysSealed: as `verified`; no file of the backup is read but the operator's public key.
    """
    manifest = store.manifest(generation)
    own = _operator(store, manifest)
    if manifest.kind == "bus" and own is None:
        raise BackupError("signature_invalid", "keys/operator.pub")
    _check_paths(manifest)
    kid = store.signer(manifest, own)
    return manifest, kid, trust.vouches(manifest, kid)


def _check_paths(manifest: Manifest) -> None:
    """Check that the backup of an agency has no file of anybody else: the signature is this agency's alone.

    Raises:
        BackupError: ``manifest_unreadable`` or ``signature_invalid``.
    """
    if manifest.kind == "bus":
        return
    root = BusFolder(Path("/"))
    try:
        below = home_of(root, manifest.agency).relative_to(root.path).as_posix()
    except BusError:  # no agency has this id
        raise BackupError("manifest_unreadable", f"generation {manifest.generation}") from None
    for path, _ in manifest.stored():
        if not folders.is_of_agency(path, below):
            raise BackupError("signature_invalid", path)


class _History:
    """The history in a backup, verified."""

    def __init__(self, store: Store, manifest: Manifest, progress: Progress) -> None:
        self._store, self._manifest, self._progress = store, manifest, progress
        self.numbers: dict[str, int] = {}
        self.checkpoints: dict[str, int] = {}
        self.cosigned: dict[str, int] = {}
        if manifest.kind != "bus":
            return
        self._directory = directory_of(store, manifest)
        self._published = self._read_published()
        self._witnessed = self._read_witnessed()
        for number, partition in manifest.records.get(CASES, {}).items():
            self._cases(number, partition)
        for topic, partitions in manifest.records.items():
            if topic.startswith(INBOX):
                for number, partition in partitions.items():
                    self._inbox(f"{topic}/{number}", partition)

    def _records(self, topic: str, number: str = "0") -> Iterator[Kept]:
        return _records(self._store, self._manifest, topic, number)

    def _read_published(self) -> dict[str, dict[int, Checkpoint]]:
        """Return the checkpoints that the logs have signed and published, by origin and size."""
        found: dict[str, dict[int, Checkpoint]] = {}
        for each in self._records(CHECKPOINTS):
            try:
                note = AddCheckpoint.parse(each.value or b"").note
                said = Published.read(note, self._manifest.bus, self._directory.log_keys()).checkpoint
            except ProofError:
                continue  # anybody's words, as for a witness
            if found.setdefault(said.origin, {}).setdefault(said.size, said).root != said.root:
                raise BackupError("root_differs", f"partition {place_of(said.origin)[1]}, number {said.size}")
        return found

    def _read_witnessed(self) -> dict[tuple[str, int, bytes], set[str]]:
        """Return the names of the witnesses that co-signed each tree."""
        witnesses, found = self._directory.witnesses(), dict[tuple[str, int, bytes], set[str]]()
        for topic in self._manifest.records:
            if topic.startswith(WITNESS):
                for each in self._records(topic):
                    try:
                        note = Note.parse(each.value or b"")
                        tree = Checkpoint.parse(note.text)
                        # A co-signature without a time does not state that the witness saw no larger tree.
                        names = {verifier.name for verifier, time in note.verified(witnesses) if time}
                    except ProofError:
                        continue
                    found.setdefault((tree.origin, tree.size, tree.root), set()).update(names)
        return found

    def _cases(self, number: str, partition: Partition) -> None:
        """Verify a partition of the history: every signature, the chain, and the root of each published checkpoint."""
        chain = history.Chain(self._manifest.bus, int(number))
        origin, tree = origin_of(self._manifest.bus, int(number)), Frontier()
        published = self._published.get(origin, {})
        quorum = len({each.name for each in self._directory.witnesses()}) // 2 + 1
        for each in self._records(CASES, number):
            tree.append(leaf_hash(self._registered(each, chain)))
            if said := published.get(tree.size):
                if said.root != tree.root():
                    raise BackupError("root_differs", f"partition {number}, number {tree.size}")
                self.checkpoints[number] = said.size
                if len(self._witnessed.get((origin, said.size, said.root), ())) >= quorum:
                    self.cosigned[number] = said.size
            if chain.number % 1000 == 0 or chain.number == partition.number:
                self._progress(HISTORY, chain.number, partition.number)
        if (chain.number, chain.digest) != (partition.number, partition.digest or NOTHING_BEFORE):
            raise BackupError("history_refused", f"partition {number}, number {chain.number + 1}: gap")
        if published and max(published) > chain.number:
            raise BackupError("history_refused", f"partition {number}, number {chain.number + 1}: shorter")
        self.numbers[number] = chain.number

    def _registered(self, each: Kept, chain: history.Chain) -> bytes:
        """Return the statement of the next registration of *chain*, which goes on behind it."""
        try:
            found = history.read(each.record, Registration.parse, self._directory.registrar_key)
            chain.check(found)
            found.check_commitments()
            if found.registration.verdict != "refused":
                found.opened(self._directory.any_verify_key)
        except history.HistoryFault as fault:
            code = fault.code
        else:
            chain.take(found)
            return found.body
        raise BackupError("history_refused", f"partition {chain.partition}, number {chain.number + 1}: {code}")

    def _inbox(self, name: str, partition: Partition) -> None:
        """Verify that the deliveries of an inbox follow one another up to the last one."""
        topic, _, number = name.rpartition("/")
        last, digest = 0, ""
        for each in self._records(topic, number):
            raw = dict(each.headers).get(DELIVERY)
            if raw is None:
                continue
            try:
                delivery = verify_delivery(raw, self._directory.registrar_key)
            except WireError:
                continue  # a desk sets it aside too
            if last and delivery.inbox_number <= last:
                continue
            if last and (delivery.inbox_number, delivery.previous) != (last + 1, digest):
                raise BackupError("inbox_broken", f"{name}, delivery {last + 1}")
            last, digest = delivery.inbox_number, delivery.digest
        if last != partition.number and (last or partition.segments):
            raise BackupError("inbox_broken", f"{name}, delivery {last + 1}")


def directory_of(store: Store, manifest: Manifest) -> Directory:
    """Return the directory that the backup of a bus has.

    Raises:
        BackupError: ``directory_refused`` if an entry cannot be trusted.
    """
    operator = _operator(store, manifest)
    if operator is None:
        raise BackupError("directory_refused", "keys/operator.pub")
    directory = Directory(manifest.bus, operator)
    try:
        for each in _records(store, manifest, DIRECTORY):
            directory.add(each.value)
    except DirectoryError as error:
        code = error.code
    else:
        return directory
    raise BackupError("directory_refused", code)


def _records(store: Store, manifest: Manifest, topic: str, number: str = "0") -> Iterator[Kept]:
    partition = manifest.records.get(topic, {}).get(number)
    return lines.records(store, f"{topic}/{number}", partition.segments if partition else ())


def _operator(store: Store, manifest: Manifest) -> VerifyKey | None:
    """Return the key in the backup that everybody on the bus trusts for the directory."""
    stored = manifest.files.get("keys/operator.pub")
    if manifest.kind != "bus" or stored is None:
        return None
    try:
        return VerifyKey(bytes.fromhex(store.read(stored, "keys/operator.pub").decode("ascii").strip()))
    except (ValueError, WireError):
        return None
