"""Verification of a backup without the bus: every file, every registration, every checkpoint and every inbox.

Nothing is taken from outside the backup but, where the caller has it, the key that must have signed the manifest.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from nrmbus.backup import records as lines
from nrmbus.backup.errors import BackupError
from nrmbus.backup.records import Kept
from nrmbus.backup.store import Manifest, Partition, Store
from nrmbus.backup.topics import Progress
from nrmbus.directory import Directory, DirectoryError, Published
from nrmbus.wire import history
from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, origin_of, place_of
from nrmbus.wire.log.merkle import Frontier, leaf_hash
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CASES, CHECKPOINTS, DIRECTORY, INBOX, REGISTRAR, WITNESS
from nrmbus.wire.record import DELIVERY
from nrmbus.wire.registration import NOTHING_BEFORE, Registration, verify_delivery

FILES: Final = "Comparing files"
HISTORY: Final = "Verifying the history"


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
    store: Store, generation: int | None, progress: Progress, *, operator: VerifyKey | None = None
) -> tuple[Manifest, Verified]:
    """Verify a backup, the newest unless *generation* is given; return its manifest and what was verified.

    The backup of a bus must be signed by its *operator*, if the caller knows the operator's key.

    Raises:
        BackupError: the first fault that was found.
    """
    manifest = store.manifest(generation)
    own = _operator(store, manifest)
    if manifest.kind == "bus" and (own is None or (operator is not None and operator.public != own.public)):
        raise BackupError("signature_invalid", "keys/operator.pub")
    kid = store.signer(manifest, own)
    stored = list(manifest.stored())
    total, done = sum(each.length for _, each in stored), 0
    for path, each in stored:
        store.check(each, path)
        done += each.length
        progress(FILES, done, total)
    checked = _History(store, manifest, progress)
    return manifest, Verified(
        generation=manifest.generation, kind=manifest.kind, bus=manifest.bus, agency=manifest.agency, made=manifest.made,
        by=manifest.by, private_keys=manifest.private_keys, signed_by=kid, files=len(stored), length=total, numbers=checked.numbers,
        checkpoints=checked.checkpoints, cosigned=checked.cosigned, unfinished=bool(store.unfinished()),
    )  # fmt: skip


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
            found = history.read(each.record, Registration.parse, self._registrar)
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
                delivery = verify_delivery(raw, self._registrar)
            except WireError:
                continue  # a desk sets it aside too
            if last and delivery.inbox_number <= last:
                continue
            if last and (delivery.inbox_number, delivery.previous) != (last + 1, digest):
                raise BackupError("inbox_broken", f"{name}, delivery {last + 1}")
            last, digest = delivery.inbox_number, delivery.digest
        if last != partition.number and (last or partition.segments):
            raise BackupError("inbox_broken", f"{name}, delivery {last + 1}")

    def _registrar(self, kid: str) -> VerifyKey:
        return self._directory.any_verify_key(REGISTRAR, kid)


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
