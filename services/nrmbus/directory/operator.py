"""Keys on disk, and the operator who signs entries. Admission by two people is a later step; here one key admits."""

import base64
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from nrmbus.directory.directory import Directory, DirectoryError, Entry
from nrmbus.wire import ids, statement
from nrmbus.wire.keys import SealingKey, SigningKey, VerifyKey


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


SERVICES: Final = {"registrar": "registrar", "timekeeper": "timekeeper", "statistics": "statistics"}
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


@dataclass(frozen=True, slots=True)
class Identity:
    """An agency's own private keys, each for one purpose. They never leave *home*."""

    agency: str
    signing: SigningKey = field(repr=False)
    sealing: SealingKey = field(repr=False)

    @classmethod
    def at(cls, home: Path, agency: str) -> Self:
        """Load the keys in *home*/keys, or make them there on first use (files 0600)."""
        signing, sealing = home / "keys" / "signing.seed", home / "keys" / "sealing.seed"
        if not signing.exists():
            _write_secret(signing, SigningKey.generate().seed)
        if not sealing.exists():
            _write_secret(sealing, SealingKey.generate().seed)
        return cls(agency, SigningKey.from_seed(signing.read_bytes()), SealingKey.from_seed(sealing.read_bytes()))


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
        self, directory: Directory, identity: Identity, role: str, valid_from: datetime, supervisor: str | None = None
    ) -> bytes | None:
        """The next signed entry for *identity*; none when the directory already says the same.

        Raises:
            DirectoryError: the id is reserved, or the agency stands there with another role.
        """
        reserved = identity.agency in ids.RESERVED_NAMES | SERVICES.keys()
        if reserved and SERVICES.get(identity.agency) != role:
            message = "this id is reserved for a part of the bus; choose another"
            raise DirectoryError(message)
        signing = base64.b64encode(identity.signing.public).decode()
        sealing = base64.b64encode(identity.sealing.public).decode()
        now = directory.entries.get(identity.agency)
        if now and (now.role, now.supervisor, now.signing, now.sealing) == (role, supervisor, signing, sealing):
            return None
        if now and now.role != role:
            message = "this agency stands in the directory with another role; admit the new role under a new id"
            raise DirectoryError(message)
        entry = Entry(
            bus=directory.bus,
            number=directory.number + 1,
            agency=identity.agency,
            role=role,
            supervisor=supervisor,
            signing=signing,
            sealing=sealing,
            valid_from=valid_from,
        )
        return statement.sign("directory", entry.model_dump(mode="json", exclude_none=True), self._key)
