"""Proof that a registration is in a signed tree, verified for each view, and the state of the witnesses."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.logs import Logs
from nrmbus.directory import Directory, Published
from nrmbus.wire import base64
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import origin_of, witness_name
from nrmbus.wire.log.note import Note


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Result: ``proved`` in the tree of ``size`` that was signed at ``time``, or ``pending`` after the last checkpoint."""

    state: Literal["proved", "pending", "behind", "failed"]
    code: str = ""
    size: int = 0
    root: str = ""
    time: datetime | None = None
    witnesses: tuple[str, ...] = ()
    of: int = 0


async def inclusion(
    logs: Logs | None, turn: asyncio.Lock, directory: Directory, place: tuple[int, int], leaf: str
) -> Inclusion:
    """Verify that the registration at *place* (partition, number), whose SHA-256 is *leaf*, is in a checkpoint.

    The checkpoint with the most co-signatures is used, and of those the newest. *turn* is the lock of *logs*.
    """
    partition, number = place
    ingest = logs.ingests.get(partition) if logs else None
    if logs is None or ingest is None:
        return Inclusion("pending")
    many = len(witness_agencies(directory))
    covering = [
        each
        for least in range(many, -1, -1)
        if (each := logs.cosigned.newest(ingest.log.origin, least)) and each[0] >= number
    ]
    if not covering:
        return Inclusion("pending", of=many)
    try:
        said = Published.read(covering[0][1], directory.bus, directory.log_keys())
        size = said.checkpoint.size
        async with turn:
            if ingest.log.head.size < size:
                return Inclusion("behind", of=many)
            registration = await asyncio.to_thread(ingest.log.registration, number)
            proof = await asyncio.to_thread(ingest.log.inclusion_proof, number, size)
        if sha256(registration).hexdigest() != leaf:
            return Inclusion("failed", "leaf_differs")
        merkle.verify_inclusion(number - 1, size, merkle.leaf_hash(registration), proof, said.checkpoint.root)
        signed = cosigned_by(said.note, directory)
    except (LogError, ProofError) as error:
        return Inclusion("failed", error.code)
    return Inclusion("proved", "", size, base64.encode(said.checkpoint.root), said.time, tuple(sorted(signed)), many)


def witness_agencies(directory: Directory) -> tuple[str, ...]:
    """Return the agencies that are witnesses, sorted."""
    return tuple(sorted(name for name, entry in directory.entries.items() if entry.witness is not None))


def cosigned_by(note: bytes, directory: Directory) -> Mapping[str, datetime]:
    """Return the agencies whose witness co-signed *note*, with the time; raises ProofError for a wrong signature.

    A co-signature without a time (0) does not count: it does not state that the witness saw no larger tree.
    """
    names = {witness_name(directory.bus, each): each for each in witness_agencies(directory)}
    try:
        found = Note.parse(note).verified(directory.witnesses())
    except ProofError as error:
        if error.code == "note_unsigned":
            return {}
        raise
    return {names[each.name]: datetime.fromtimestamp(time, UTC) for each, time in found if time and each.name in names}


@dataclass(frozen=True, slots=True)
class Witnessed:
    """One witness of one log: its largest co-signed size, the time, and how many registrations the size is behind."""

    agency: str
    role: str
    size: int | None
    time: datetime | None
    behind: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class Newest:
    """Newest checkpoint of a log."""

    size: int
    root: str
    time: datetime
    witnesses: int
    note: str


@dataclass(frozen=True, slots=True)
class LogShown:
    """One log: how far it was read, its newest checkpoint, and each witness."""

    partition: int
    origin: str
    read: int
    newest: Newest | None
    witnesses: tuple[Witnessed, ...]


def shown(logs: Logs | None, directory: Directory, refused: Mapping[str, str]) -> Iterable[LogShown]:
    """Yield every log of the bus; *refused* has the code of each refused co-signature, by agency. Blocks on a file."""
    for partition, ingest in sorted(logs.ingests.items()) if logs else ():
        assert logs is not None  # noqa: S101 - else there is no reading
        notes = [
            Published.read(note, directory.bus, directory.log_keys())
            for note in logs.cosigned.latest(ingest.log.origin)
        ]
        last: dict[str, tuple[int, datetime]] = {}
        for said in notes:
            for agency, time in cosigned_by(said.note, directory).items():
                last.setdefault(agency, (said.checkpoint.size, time))
        newest = notes[0] if notes else None
        yield LogShown(
            partition,
            origin_of(directory.bus, partition),
            ingest.number,
            _newest(newest, directory) if newest else None,
            tuple(
                _witnessed(agency, directory.entries[agency].role, last.get(agency), newest, refused.get(agency))
                for agency in witness_agencies(directory)
            ),
        )


def _newest(newest: Published, directory: Directory) -> Newest:
    checkpoint, signed = newest.checkpoint, cosigned_by(newest.note, directory)
    return Newest(checkpoint.size, base64.encode(checkpoint.root), newest.time, len(signed), newest.note.decode())


def _witnessed(
    agency: str, role: str, last: tuple[int, datetime] | None, newest: Published | None, refused: str | None
) -> Witnessed:
    size, time = last or (None, None)
    behind = newest.checkpoint.size - size if newest and size is not None else 0
    return Witnessed(agency, role, size, time, behind, refused)
