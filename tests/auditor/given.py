"""Material of the auditor's tests: a history of registrations, a log's keys, and a disk whose power can fail."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.published import vectors
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer
from nrmbus.wire.registration import NOTHING_BEFORE, Policy, Registration

BUS, PARTITION = "0011223344556677", 2
ORIGIN = origin_of(BUS, PARTITION)
TIME = 1_772_427_600
KEY = Ed25519Signer(ORIGIN, SigningKey(vectors.seed("log")))
LASTING = Cosigner(ORIGIN, MLDSA44SigningKey(vectors.seed("log lasting")))
FIRST = Registration(
    audience="a" * 64,
    bus=BUS,
    envelope="b" * 64,
    id=vectors.EVENT_ID,
    key=f"ed25519:{'c' * 32}",
    number=1,
    partition=PARTITION,
    policy=Policy(digest="d" * 64, name="az@2022-04-29"),
    previous=NOTHING_BEFORE,
    sequence=1,
    source="ngo-a",
    subject=vectors.CASE,
    time=datetime(2026, 3, 2, 5, tzinfo=UTC),
    verdict="registered",
)


def altered(registration: Registration, **fields: Any) -> Registration:
    """*registration* with other *fields*."""
    return Registration.model_validate(registration.model_dump() | fields)


@cache
def history(numbers: int, forked_at: int = 0) -> list[Registration]:
    """The first registrations of a partition, each naming the one before it; *forked_at* is the first that is another."""
    made: list[Registration] = []
    previous = NOTHING_BEFORE
    for number in range(1, numbers + 1):
        envelope = ("e" if 0 < forked_at <= number else "b") * 64
        made.append(altered(FIRST, number=number, previous=previous, envelope=envelope))
        previous = made[-1].digest
    return made


@dataclass
class Home:
    """A folder with the log of one partition, and the file of what was signed."""

    folder: Path

    def __post_init__(self) -> None:
        """Begin with nothing signed."""
        self.heads = SignedHeads(self.folder / "heads.db")

    @contextmanager
    def log(self, name: str = "log") -> Iterator[Log]:
        """The log, open until the end of the block, however it ends."""
        log = Log(self.folder / name, self.heads, BUS, PARTITION)
        try:
            yield log
        finally:
            log.close()

    def files(self, name: str = "log") -> dict[str, bytes]:
        """Every file of the log that says something, by its path."""
        folder = self.folder / name
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def fed(log: Log, registrations: list[Registration], commit_every: int = 100) -> None:
    """Append missing registrations to *log*; commit every *commit_every* and at the end."""
    for registration in registrations[log.size :]:
        log.append(registration)
        if registration.number % commit_every == 0:
            log.commit()
    log.commit()


def refused(code: str, attempt: Callable[..., object], *given: object) -> LogError:
    """Call *attempt*, which must fail with *code*; the error names the log and no content."""
    with pytest.raises(LogError) as caught:
        attempt(*given)
    assert caught.value.code == code
    assert vectors.CASE not in str(caught.value)
    return caught.value


class Killed(BaseException):
    """Raised in place of a killed process."""


@dataclass
class Disk:
    """Disk that can be cut off: after *left* steps the process is killed, and unsynced writes are lost.

    A step is a sync, a renaming, a removal or a new folder. Nothing of an unsynced step remains: the file has
    no content, the renaming or removal is undone.
    """

    left: int
    steps: int = 0
    _synced: set[int] = field(default_factory=set)
    _undo: list[tuple[Path, Callable[[], object]]] = field(default_factory=list)

    def step(self) -> None:
        """Go on, or be killed."""
        self.steps += 1
        if self.steps > self.left:
            raise Killed

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Stand between the log and the system."""
        fsync, replace, unlink = os.fsync, os.replace, Path.unlink

        def syncs(descriptor: int) -> None:
            self.step()
            fsync(descriptor)
            there = os.fstat(descriptor)
            self._synced.add(there.st_ino)
            self._undo = [(folder, undo) for folder, undo in self._undo if folder.stat().st_ino != there.st_ino]

        def replaces(source: Path, target: Path) -> None:
            self.step()
            before = target.read_bytes() if target.is_file() else None
            whole = source.stat().st_ino in self._synced
            replace(source, target)
            if not whole:
                self._undo.append((target.parent, lambda: target.write_bytes(b"")))
            self._undo.append((target.parent, lambda: restored(target, before)))

        def unlinks(path: Path, *, missing_ok: bool = False) -> None:
            self.step()
            before = path.read_bytes() if path.is_file() else None
            unlink(path, missing_ok=missing_ok)
            self._undo.append((path.parent, lambda: restored(path, before)))

        def restored(path: Path, before: bytes | None) -> None:
            if before is None:
                unlink(path, missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(before)

        patch.setattr(os, "fsync", syncs)
        patch.setattr(os, "replace", replaces)
        patch.setattr(Path, "unlink", unlinks)

    def fail(self) -> None:
        """The power is gone: undo what was not synced, the latest first."""
        for _, undo in reversed(self._undo):
            undo()
        self._undo.clear()
