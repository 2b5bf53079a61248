"""The public keys of an entry, decoded once."""

from dataclasses import dataclass
from typing import Self

from nrmbus.directory.entry import Entry
from nrmbus.directory.fold import Kids
from nrmbus.wire import base64
from nrmbus.wire.keys.keys import SealTo, VerifyKey
from nrmbus.wire.log.cosignature import CosignatureVerifier
from nrmbus.wire.log.mldsa import MLDSA44VerifyKey
from nrmbus.wire.log.note import Ed25519Verifier


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The public keys of the auditor's logs; every checkpoint is signed by both."""

    verify: VerifyKey
    lasting: MLDSA44VerifyKey

    def verifiers(self, origin: str) -> tuple[Ed25519Verifier, CosignatureVerifier]:
        """Return both keys under the name of the log *origin*."""
        return Ed25519Verifier(origin, self.verify.public), CosignatureVerifier(origin, self.lasting)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one entry, decoded once."""

    verify: VerifyKey
    seal_to: SealTo
    witness: VerifyKey | None
    log: LogKeys | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Decode the keys of *entry*; raises ``weak_key`` for what is no key, or a weak one."""
        log = entry.log
        return cls(
            verify_key(entry.signing),
            SealTo(_raw(entry.sealing)),
            verify_key(entry.witness) if entry.witness is not None else None,
            LogKeys(verify_key(log.ed25519), MLDSA44VerifyKey(_raw(log.mldsa44))) if log else None,
        )

    @property
    def kids(self) -> Kids:
        """The same by their kids."""
        log = self.log
        return Kids(
            self.verify.kid,
            self.seal_to.kid,
            self.witness.kid if self.witness else None,
            log.verify.kid if log else None,
            log.lasting.kid if log else None,
        )


def _raw(text: str) -> bytes:
    return base64.read(text) or b""


def verify_key(text: str) -> VerifyKey:
    """Return an Ed25519 public key from its text in an entry; raise ``weak_key``."""
    return VerifyKey(_raw(text))
