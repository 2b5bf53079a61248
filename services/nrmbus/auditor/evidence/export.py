"""From a running bus to the evidence of a case: the topic is read and its tree made anew, the auditor's word is asked for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.evidence.bundle import Source, bundle, head_of
from nrmbus.auditor.history.history import Entry, History, HistoryReader
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder, utc_now
from nrmbus.directory import Directory, operator_key
from nrmbus.directory.admission import read_directory
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.log.note import Ed25519Verifier, vkey
from nrmbus.wire.record import Record


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle: how many registrations are in it, how many are *later* than its checkpoint, who vouches for that.

    ``keys`` has option and key of everybody who does: the log's, every witness's, the operator's.
    """

    raw: bytes
    case: str
    registrations: int
    later: int
    is_signed: bool
    keys: tuple[tuple[str, str], ...]

    def check(self, path: Path) -> tuple[int, str]:
        """What the verifier says of the file at *path* with these keys: exit status and sentence; no quorum is asked."""
        read = {
            option: [verifier.Key.read(key, 1, 4, 6) for one, key in self.keys if one == option]
            for option, _ in self.keys
        }
        (operator,) = read["--operator"]
        log, witnesses = (tuple(read.get(each, ())) for each in ("--log", "--witness"))
        trust = verifier.Trust(log, witnesses, 0, operator) if self.is_signed else verifier.Trust(operator=operator)
        return verifier.Verification(path, trust).verdict


class _Kept(History):
    """The history, and the records of the case that begins with *ref* as they lie in the topic."""

    def __init__(self, directory: Directory, ref: str) -> None:
        super().__init__(directory)
        self._ref = ref
        self.records: list[Record] = []

    def take(self, record: Record, partition: int) -> Entry:
        entry = super().take(record, partition)
        if entry.registration.subject.startswith(self._ref):
            self.records.append(record)
        return entry


async def exported(
    folder: BusFolder,
    ref: str,
    meant: Callable[[Iterable[str]], str],
    told: Callable[[int, int], None] | None = None,
) -> Exported:
    """The evidence of the case that begins with *ref*; *told* as in `HistoryReader.catch_up`.

    *meant* finds it among all that there are, and has it on record that it is handed on, before anything is made of it.
    That record itself is later than this evidence.

    Raises:
        HistoryError: something in the history does not verify.
        BusError: no bus was made or runs there, or as *meant* does.
        LogError: the history is not the one that the auditor signed.
    """
    directory, settings = await read_directory(folder), folder.settings
    found = checkpoints(folder, directory, settings.partitions)  # before the topic, which reaches at least as far
    history = _Kept(directory, ref)
    async with HistoryReader(folder.as_operator, settings.partitions, history) as reader:
        await reader.catch_up(told=told)
    case = meant(history.spoken_of())
    numbers: dict[int, list[int]] = {}
    for entry in history.about(case):
        numbers.setdefault(entry.registration.partition, []).append(entry.registration.number)
    with TemporaryDirectory() as temporary:
        logs = {number: _log(Path(temporary), directory.bus, number, history) for number in numbers}
        notes, keys = {}, dict[str, str]()
        for number, log in logs.items():
            note = fitting(found.get(number, ()), numbers[number][0])
            notes[number] = note or log.head.text
            keys |= _keys(directory, number) if note else {}
        source = Source(
            bus=directory.bus,
            policy=settings.policy,
            made=utc_now(),
            records=history.records,
            logs=logs,
            checkpoints=notes,
            directory=directory.signed,
        )
        raw = bundle(case, source)
        for log in logs.values():
            log.close()
    sizes = {number: head_of(note).size for number, note in notes.items()}
    inside = sum(each <= sizes[number] for number, all_ in numbers.items() for each in all_)
    operator = vkey(Ed25519Verifier(f"nrmbus/{directory.bus}/operator", operator_key(folder.path).public))
    return Exported(
        raw,
        case,
        registrations=inside,
        later=sum(map(len, numbers.values())) - inside,
        is_signed=bool(keys),
        keys=tuple((option, key) for key, option in {**keys, operator: "--operator"}.items()),
    )


def fitting(best_first: Iterable[bytes], first: int) -> bytes | None:
    """Return the best checkpoint that covers the registration *first*, or None if no checkpoint covers it."""
    return next((each for each in best_first if head_of(each).size >= first), None)


def checkpoints(folder: BusFolder, directory: Directory, partitions: int) -> Mapping[int, list[bytes]]:
    """The checkpoints of each partition that the auditor on this machine has published, the best one first.

    Best is the newest that more than half of the witnesses have co-signed, then those with fewer.
    """
    path = folder.service("auditor") / "cosigned.db"
    if not path.exists():
        return {}
    cosigned, most = Cosigned(path), len({each.name for each in directory.witnesses()}) // 2 + 1
    found = {
        number: [cosigned.newest(origin_of(directory.bus, number), least) for least in range(most, -1, -1)]
        for number in range(partitions)
    }
    return {number: [each[1] for each in some if each] for number, some in found.items()}


def _log(home: Path, bus: str, partition: int, history: History) -> Log:
    log = Log(home / f"p{partition}", SignedHeads(home / f"p{partition}.db"), bus, partition)
    for entry in history.entries:
        if entry.registration.partition == partition:
            log.append(entry.registration)
    log.commit()
    return log


def _keys(directory: Directory, partition: int) -> dict[str, str]:
    """The option of each key that may have signed a checkpoint."""
    pairs = directory.log_keys()
    if not pairs:
        raise BusError("The directory names no keys of the auditor's logs: nrmbus up")
    log = {vkey(each): "--log" for each in pairs[-1].verifiers(origin_of(directory.bus, partition))}
    return log | {vkey(each): "--witness" for each in directory.witnesses()}
