"""The directory as a fold of its entries: numbered, signed by the operator, kept for ever."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import Field, ValidationError

from nrmbus.events.model import AgencyId, Code, Frozen, Time
from nrmbus.wire import json, statement
from nrmbus.wire.checkpoint import witness_name
from nrmbus.wire.cosignature import CosignatureVerifier
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import SealTo, VerifyKey
from nrmbus.wire.mldsa import MLDSA44VerifyKey
from nrmbus.wire.note import Ed25519Verifier

AUDITOR: Final = "auditor"
"""Who keeps the logs: ``log`` in anybody else's entry says nothing."""


class DirectoryError(Exception):
    """Raised when an entry of the directory cannot be trusted; the message says which number and what to do."""


class LogEntry(Frozen):
    """The public keys that sign the checkpoints of the auditor's logs."""

    ed25519: Annotated[str, Field(max_length=64, description="Ed25519 public key, 32 bytes, base64")]
    mldsa44: Annotated[str, Field(max_length=1800, description="ML-DSA-44 public key, 1312 bytes, base64")]


class Entry(Frozen):
    """One admission or key change: from *valid_from* on, these are the agency's role and public keys."""

    bus: Code
    number: Annotated[int, Field(ge=1)]
    agency: AgencyId
    role: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
    supervisor: AgencyId | None = None
    signing: Annotated[str, Field(max_length=64, description="Ed25519 public key, 32 bytes, base64")]
    sealing: Annotated[str, Field(max_length=1700, description="X-Wing public key, 1216 bytes, base64")]
    witness: Annotated[
        str | None, Field(max_length=64, description="Ed25519 public key, 32 bytes, base64; absent: not a witness")
    ] = None
    log: LogEntry | None = None
    valid_from: Time


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The public keys of the auditor's logs; every checkpoint is signed by both."""

    verify: VerifyKey
    lasting: MLDSA44VerifyKey

    def verifiers(self, origin: str) -> tuple[Ed25519Verifier, CosignatureVerifier]:
        """Both keys under the name of the log *origin*."""
        return Ed25519Verifier(origin, self.verify.public), CosignatureVerifier(origin, self.lasting)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one entry, decoded once."""

    entry: Entry
    verify: VerifyKey
    seal_to: SealTo
    witness: VerifyKey | None
    log: LogKeys | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Decode the keys of *entry*; raises ValueError or ``weak_key``."""
        log = entry.log
        return cls(
            entry,
            VerifyKey(_raw(entry.signing)),
            SealTo(_raw(entry.sealing)),
            VerifyKey(_raw(entry.witness)) if entry.witness is not None else None,
            LogKeys(VerifyKey(_raw(log.ed25519)), MLDSA44VerifyKey(_raw(log.mldsa44))) if log else None,
        )


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class Directory:
    """All entries of one bus, in number order. Adding an entry twice changes nothing; a gap or a bad signature raises."""

    def __init__(self, bus: str, operator: VerifyKey) -> None:
        self.bus = bus
        self._operator = operator
        self._raw: list[bytes] = []
        self._keys: dict[str, list[Keys]] = {}

    @property
    def number(self) -> int:
        """The number of the last entry; 0 when there is none."""
        return len(self._raw)

    @property
    def signed(self) -> tuple[bytes, ...]:
        """All entries as they stand in the topic."""
        return tuple(self._raw)

    @property
    def entries(self) -> dict[str, Entry]:
        """The newest entry of each agency, by agency id."""
        return {agency: keys[-1].entry for agency, keys in self._keys.items()}

    def add(self, raw: bytes) -> Entry:
        """Take the next entry as it stands in the topic.

        Raises:
            DirectoryError: signature, number, bus, role or key are not what they must be.
        """
        trusted = {self._operator.kid: self._operator}
        entry, keys = None, None
        try:
            body, _ = statement.verify("directory", raw, trusted.__getitem__)
            entry = Entry.model_validate_json(json.dumps(body))
            keys = Keys.of(entry)
        except (WireError, ValidationError, ValueError, KeyError, TypeError):  # TypeError: a record without a value
            pass
        if entry is None or keys is None:
            message = f"directory entry {self.number + 1} is not one that the operator of this bus signed; stop and ask"
            raise DirectoryError(message)
        if entry.number <= self.number and self._raw[entry.number - 1] == raw:
            return entry
        self._check(entry)
        self._raw.append(raw)
        self._keys.setdefault(entry.agency, []).append(keys)
        return entry

    def _check(self, entry: Entry) -> None:
        if entry.bus != self.bus:
            message = f"directory entry {self.number + 1} belongs to another bus"
            raise DirectoryError(message)
        if entry.number != self.number + 1:
            message = f"directory entry {self.number + 1} is due, another came; the topic was cut or altered"
            raise DirectoryError(message)
        earlier = self._keys.get(entry.agency)
        # A role stays with an id for good: history is judged by it years later. A new role is a new agency.
        if earlier and earlier[-1].entry.role != entry.role:
            message = f"directory entry {entry.number} gives an agency another role; admit it under another id"
            raise DirectoryError(message)

    def knows(self, agency: str) -> bool:
        """Whether *agency* was ever admitted."""
        return agency in self._keys

    def _at(self, agency: str, at: datetime) -> Keys | None:
        current = None
        for keys in self._keys.get(agency, ()):
            if keys.entry.valid_from <= at:
                current = keys
        return current

    def verify_key(self, agency: str, kid: str, at: datetime) -> VerifyKey:
        """The key that *agency* signs with at *at*.

        Raises:
            WireError: ``signature_invalid`` when *kid* is not that key.
        """
        keys = self._at(agency, at)
        if keys is None or keys.verify.kid != kid:
            raise WireError("signature_invalid")
        return keys.verify

    def any_verify_key(self, agency: str, kid: str) -> VerifyKey:
        """A key that *agency* signed with at any time, for reading old history.

        Raises:
            WireError: ``signature_invalid`` when it never had such a key.
        """
        for keys in self._keys.get(agency, ()):
            if keys.verify.kid == kid:
                return keys.verify
        raise WireError("signature_invalid")

    def seal_to(self, agency: str, at: datetime) -> SealTo | None:
        """The key to seal letters to for *agency* at *at*; none when it is not admitted then."""
        keys = self._at(agency, at)
        return keys.seal_to if keys else None

    def witness_key(self, agency: str, kid: str) -> VerifyKey:
        """A key that *agency* co-signed checkpoints with at any time.

        Raises:
            WireError: ``signature_invalid`` when it never had such a key.
        """
        for keys in self._keys.get(agency, ()):
            if keys.witness is not None and keys.witness.kid == kid:
                return keys.witness
        raise WireError("signature_invalid")

    def witnesses(self, agency: str | None = None) -> tuple[CosignatureVerifier, ...]:
        """Every key that witnesses co-signed checkpoints with at any time, under their names; those of *agency* only."""
        found = {
            keys.witness.public: CosignatureVerifier(witness_name(self.bus, each), keys.witness)
            for each in ([agency] if agency is not None else self._keys)
            for keys in self._keys.get(each, ())
            if keys.witness is not None
        }
        return tuple(found.values())

    def log_keys(self) -> tuple[LogKeys, ...]:
        """Every pair that the auditor's logs were signed with, oldest first; the last one signs now."""
        found = {
            keys.log.verify.public + keys.log.lasting.public: keys.log
            for keys in self._keys.get(AUDITOR, ())
            if keys.log is not None
        }
        return tuple(found.values())

    def of_role(self, role: str) -> tuple[str, ...]:
        """Agencies with *role*, sorted."""
        return tuple(sorted(agency for agency, entry in self.entries.items() if entry.role == role))
