"""Keys on disk, and the operator who signs entries. Admission by two people is a later step; here one key admits."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, Self

from nrmbus.directory.directory import AUDITOR, Directory, DirectoryError, Entry, LogEntry
from nrmbus.wire import ids, statement
from nrmbus.wire.cosignature import Cosigner
from nrmbus.wire.keys import SealingKey, SigningKey, VerifyKey
from nrmbus.wire.mldsa import MLDSA44SigningKey
from nrmbus.wire.note import Ed25519Signer


def operator_key(home: Path) -> VerifyKey:
    """The operator's public key as it lies in *home*/keys/operator.pub: what a service or a desk trusts.

    Raises:
        DirectoryError: there is none; the bus was not set up, or the file was not copied to this machine.
    """
    path = home / "keys" / "operator.pub"
    if not path.exists():
        message = "keys/operator.pub is missing: copy it from the machine where the bus was set up"
        raise DirectoryError(message)
    return VerifyKey(bytes.fromhex(path.read_text().strip()))


SERVICES: Final = {
    "registrar": "registrar",
    "timekeeper": "timekeeper",
    "statistics": "statistics",
    AUDITOR: "auditor",
}
"""Services that sign or open something, and their role: they stand in the directory like agencies."""


def _write_secret(path: Path, secret: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written under another name first: a key half on disk would lock its agency out.
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


class _Pair(Protocol):
    @property
    def seed(self) -> bytes: ...


def _secret(home: Path, purpose: str, generate: Callable[[], _Pair]) -> bytes:
    path = home / "keys" / f"{purpose}.seed"
    if not path.exists():
        _write_secret(path, generate().seed)
    return path.read_bytes()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@dataclass(frozen=True, slots=True)
class Identity:
    """An agency's own private keys, each for one purpose. They never leave *home*.

    ``witness`` co-signs the checkpoints of the auditor's logs; the bus's own services are no witnesses.
    """

    agency: str
    signing: SigningKey = field(repr=False)
    sealing: SealingKey = field(repr=False)
    witness: SigningKey = field(repr=False)

    @classmethod
    def at(cls, home: Path, agency: str) -> Self:
        """Load the keys in *home*/keys, or make them there on first use (files 0600)."""
        return cls(
            agency,
            SigningKey.from_seed(_secret(home, "signing", SigningKey.generate)),
            SealingKey.from_seed(_secret(home, "sealing", SealingKey.generate)),
            SigningKey.from_seed(_secret(home, "witness", SigningKey.generate)),
        )


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """The auditor's pairs that sign the checkpoints of its logs: Ed25519, and ML-DSA-44 for when that no longer holds."""

    signing: SigningKey = field(repr=False)
    lasting: MLDSA44SigningKey = field(repr=False)

    @classmethod
    def at(cls, home: Path) -> Self:
        """Load the pairs in *home*/keys, or make them there on first use (files 0600)."""
        return cls(
            SigningKey.from_seed(_secret(home, "log-ed25519", SigningKey.generate)),
            MLDSA44SigningKey(_secret(home, "log-mldsa44", MLDSA44SigningKey.generate)),
        )

    def signers(self, origin: str) -> tuple[Ed25519Signer, Cosigner]:
        """Both pairs under the name of the log *origin*."""
        return Ed25519Signer(origin, self.signing), Cosigner(origin, self.lasting)

    @property
    def public(self) -> LogEntry:
        """The public halves, as an entry of the directory names them."""
        return LogEntry(ed25519=_text(self.signing.public), mldsa44=_text(self.lasting.public))


class Operator:
    """Who signs the directory of one bus."""

    def __init__(self, home: Path) -> None:
        """Load the operator's key in *home*/keys/operator.seed, or make it on first use."""
        path = home / "keys" / "operator.seed"
        if not path.exists():
            _write_secret(path, SigningKey.generate().seed)
        self._key = SigningKey.from_seed(path.read_bytes())
        public = home / "keys" / "operator.pub"
        if not public.exists():
            public.write_text(self._key.public.hex() + "\n")

    @property
    def public(self) -> bytes:
        """The key that everybody on this bus trusts for the directory: 32 bytes."""
        return self._key.public

    def entry(
        self,
        directory: Directory,
        identity: Identity,
        role: str,
        valid_from: datetime,
        supervisor: str | None = None,
        log: LogIdentity | None = None,
    ) -> bytes | None:
        """The next signed entry for *identity*; none when the directory already says the same. *log* is the auditor's.

        Raises:
            DirectoryError: the id is reserved, or the agency stands there with another role.
        """
        reserved = identity.agency in ids.RESERVED_NAMES | SERVICES.keys()
        if reserved and SERVICES.get(identity.agency) != role:
            message = "this id is reserved for a part of the bus; choose another"
            raise DirectoryError(message)
        now = directory.entries.get(identity.agency)
        if now and now.role != role:
            message = "this agency stands in the directory with another role; admit the new role under a new id"
            raise DirectoryError(message)
        entry = Entry(
            bus=directory.bus,
            number=directory.number + 1,
            agency=identity.agency,
            role=role,
            supervisor=supervisor,
            signing=_text(identity.signing.public),
            sealing=_text(identity.sealing.public),
            witness=None if reserved else _text(identity.witness.public),
            log=log.public if log else None,
            valid_from=valid_from,
        )
        when = {"number", "valid_from"}
        if now and now.model_dump(exclude=when) == entry.model_dump(exclude=when):
            return None
        return statement.sign("directory", entry.model_dump(mode="json", exclude_none=True), self._key)
