"""History of a bus from files, without the bus: what ``nrmbus export`` wrote, or the folder of a backup."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nrmbus.auditor.evidence.verifier import FORMAT as EVIDENCE
from nrmbus.auditor.history.history import Entry
from nrmbus.backup import records as lines
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import Manifest, Store
from nrmbus.backup.verify import verified
from nrmbus.bus.errors import BusError
from nrmbus.rules import Agency, ProfileError, Rules, UnknownProfileError, add_profiles, load_profile
from nrmbus.rules.profile_files import is_installed
from nrmbus.statistics.exported import FORMAT, HistoryFile, Unreadable, registration_of
from nrmbus.wire import json, statement, times
from nrmbus.wire.errors import WireError
from nrmbus.wire.history import Chain, HistoryFault, HistoryRecord, known_event, read
from nrmbus.wire.names import CASES, DIRECTORY
from nrmbus.wire.registration import Audience, Registration

_ADVICE: Final = "give a file that nrmbus export wrote, or the folder of nrmbus backup"
_LONGEST: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OfflineHistory:
    """Verified entries, up to the time *until*, with their Rules and agencies; *vouched* says what was verified of them."""

    entries: tuple[Entry, ...]
    rules: Rules
    agencies: Mapping[str, Agency]
    until: datetime
    vouched: str


def offline_history(path: Path) -> OfflineHistory:
    """Return the history in *path*: each registration follows the one before, and is over its envelope and recipients.

    A backup is verified with every signature, by the operator's key that it has itself; a file by its own lines. For more,
    run `nrmbus backup --verify --signer`, `nrmbus verify` or `nrmbus recount` with the keys of the bus first.

    Raises:
        BusError: *path* has no history, the history does not verify, or its first profile is not here.
    """
    if path.is_dir():
        return _of_backup(path)
    first = b""
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST)
            file.seek(0)
            form = json.loads(first.removesuffix(b"\n"), limit=_LONGEST).get("format")
            if form == FORMAT:
                return _of_history(path, file)
            if form == EVIDENCE:
                return _of_evidence(path, file)
    except OSError as error:
        raise BusError(f"{path} cannot be read: {error.strerror}.") from None
    except (WireError, AttributeError):
        pass
    raise BusError(f"{path} is no history: {_ADVICE}.")


def _of_history(path: Path, file: Iterable[bytes]) -> OfflineHistory:
    code, line = "", 0
    try:
        found = HistoryFile(file)
        return _read(path, found.header.bus, found.directory, found.records(), found.header.made)
    except Unreadable as error:
        code, line = error.code, error.line
    raise BusError(f"{path} does not verify at line {line} ({code}): have it exported again.")


def _of_evidence(path: Path, file: Iterable[bytes]) -> OfflineHistory:
    """Read the evidence of one case, whose registrations are some of their partitions'."""
    header: dict[str, Any] = {}
    directory: list[bytes] = []
    found: list[tuple[int, HistoryRecord[Registration]]] = []
    code, number = "", 0
    try:
        for number, raw in enumerate(file, 1):
            line = json.loads(raw.removesuffix(b"\n"), limit=_LONGEST)
            match line.get("kind"):
                case "header":
                    header = line
                case "directory":
                    directory.append(json.dumps(line["entry"]))
                case "registration":
                    found.append((number, registration_of(line, number)))
        return _read(path, str(header["bus"]), directory, found, str(header["made"]), is_whole=False)
    except Unreadable as error:
        code = error.code
    except (WireError, LookupError, TypeError, AttributeError):
        code = "line_malformed"
    raise BusError(f"{path} does not verify at line {number} ({code}): nrmbus verify {path}")


def _of_backup(path: Path) -> OfflineHistory:
    code = ""
    try:
        store = Store(path)
        manifest, checked = verified(store, None, lambda *_: None)
        _know_profiles(store, manifest)
        return _read(
            path, manifest.bus, _entries(store, manifest), _registrations(store, manifest), checked.made, is_signed=True
        )
    except BackupError as error:
        code = str(error)
    raise BusError(f"{path} is no backup that verifies: {code}")


def _records(store: Store, manifest: Manifest, topic: str, number: str) -> Iterator[lines.Kept]:
    partition = manifest.records.get(topic, {}).get(number)
    return lines.records(store, f"{topic}/{number}", partition.segments if partition else ())


def _entries(store: Store, manifest: Manifest) -> Iterator[bytes]:
    """Yield the signed entries of the directory; its heads say nothing of an agency."""
    for each in _records(store, manifest, DIRECTORY, "0"):
        with suppress(WireError):
            statement.body_of("directory", each.value or b"")
            yield each.value or b""


def _registrations(store: Store, manifest: Manifest) -> Iterator[tuple[int, HistoryRecord[Registration]]]:
    place = 0
    for number in manifest.records.get(CASES, {}):
        for kept in _records(store, manifest, CASES, number):
            place += 1
            yield place, read(kept.record, Registration.parse)


def _know_profiles(store: Store, manifest: Manifest) -> None:
    """Let this process know the profiles that the bus of the backup has beside those of the release."""
    texts = {
        name: store.read(stored, name).decode("utf-8", "replace")
        for name, stored in manifest.files.items()
        if name.startswith("profiles/") and name.endswith(".yaml")
    }
    try:
        add_profiles(texts.values())
    except (ProfileError, UnknownProfileError) as error:
        raise BusError(f"A profile in the backup cannot be used: {error}") from None


def _read(
    path: Path, bus: str, directory: Iterable[bytes], records: Iterable[tuple[int, HistoryRecord[Registration]]], made: str,
    *, is_whole: bool = True, is_signed: bool = False,
) -> OfflineHistory:  # fmt: skip
    agencies = dict(_agencies(path, directory))
    chains: dict[int, Chain] = {}
    entries: list[Entry] = []
    for place, found in records:
        said = found.registration
        chain = chains.setdefault(said.partition, Chain(bus, said.partition))
        if not is_whole and said.number != chain.number + 1:
            chain.number, chain.digest = said.number - 1, said.previous  # of other cases, which the file has not
        entries.append(_entry(path, place, found, chain))
    _see_that_profiles_are_here(path, entries)
    began = min(((each.registration.time, each.registration.policy.name) for each in entries), default=None)
    if began is None:
        raise BusError(f"{path} has no registration: nothing was judged yet.")
    return OfflineHistory(
        tuple(entries),
        Rules(load_profile(began[1]), agencies),
        agencies,
        times.read(made) or began[0],
        _VOUCHED[is_signed],
    )


_VOUCHED: Final = {
    True: "every signature of registrar, senders and operator, by the operator's key that the backup itself has",
    False: "by its own lines alone: nrmbus verify or nrmbus recount compares them with keys that you give",
}


def _entry(path: Path, place: int, found: HistoryRecord[Registration], chain: Chain) -> Entry:
    code = ""
    try:
        chain.check(found)
        found.check_commitments()
        said = found.opened() if found.registration.verdict == "registered" else None
        told = found.told(Audience.parse)
        chain.take(found)
        return Entry(found.registration, said, known_event(said) if said else None, told, found.signed)
    except HistoryFault as fault:
        code = fault.code
    raise BusError(f"{path} does not verify at registration {place} of the file ({code}): have it exported again.")


def _agencies(path: Path, directory: Iterable[bytes]) -> Iterator[tuple[str, Agency]]:
    for raw in directory:
        said: dict[str, Any] | None = None
        with suppress(WireError, LookupError, TypeError):
            said = json.loads(statement.body_of("directory", raw), limit=len(raw))
        if said is None or not all(isinstance(said.get(name, ""), str) for name in ("agency", "role", "supervisor")):
            raise BusError(f"{path} has an entry of the directory that does not read: have it exported again.")
        if "role" in said and "agency" in said:
            yield said["agency"], Agency(said["agency"], said["role"], said.get("supervisor"))


def _see_that_profiles_are_here(path: Path, entries: Iterable[Entry]) -> None:
    named = {(each.registration.policy.name, each.registration.policy.digest) for each in entries}
    if missing := sorted(name for name, digest in named if not is_installed(name, digest)):
        raise BusError(
            f"The history in {path} was judged by {', '.join(missing)}, which is not here with these values: give its file "
            "with --judged-by FILE, or the folder of that bus with --data DIR."
        )
