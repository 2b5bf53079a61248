"""Errors of a bus on this machine. Each message is one sentence with the command that mends it."""

from pathlib import Path
from typing import Final


class BusError(Exception):
    """Raised when the bus cannot do what was asked; the message says what happened and what to do."""


class FolderHeld(BusError):
    """Raised when another process holds the folder; the message says which, and since when."""


class NoBus(BusError):
    """Raised when the folder has no bus in it, or one that is not running."""


class JarAltered(BusError):
    """Raised when a jar is not, byte for byte, the one that is pinned."""


class KafkaFailed(BusError):
    """Raised when Kafka could not be fetched, started or reached."""


class DeclarationError(BusError):
    """Raised when a topic file says something that is not understood; the message names the file and the line."""


class KeysSealed(BusError):
    """Raised when private keys cannot be opened, or would be made unprotected; the message says what to give."""


class MarkDamaged(BusError):
    """Raised when a high-water mark cannot be read: nobody can tell then whether the topic went back."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The high-water mark in {path} is damaged, so a topic restored from an old state would go unnoticed. "
            "Put the file back; or make sure that the topic is whole, remove the file, and start again."
        )


class NotCertified(BusError):
    """Raised when the authority certifies nobody: ``code`` is ``reserved``, ``not_readable``, ``weak_key`` or ``key_in_use``."""

    def __init__(self, code: str) -> None:
        super().__init__(_NOT_CERTIFIED[code])
        self.code = code


class KeyElsewhere(BusError):
    """Raised when a certificate is over a key that the holder's folder does not have; nothing is stored then."""

    def __init__(self) -> None:
        super().__init__(
            "The certificate is over a key that is not here, so it was not stored: it answers an earlier request of this "
            "machine, or another machine's. Take the answer to the newest request, or make another: nrmbus agency renew at "
            "an agency, nrmbus standby request on a standby host."
        )


_NOT_CERTIFIED: Final = {
    "reserved": "This name is reserved for a part of the bus, or cannot be the name of an agency: choose another.",
    "not_readable": "The file is neither a certificate request nor a certificate in PEM: have its sender make it again.",
    "weak_key": "The certificate request is not signed with a key on curve P-256: have its sender make it again.",
    "key_in_use": "The key in the certificate request belongs to another agency: have the sender make a key of its own.",
}
"""By code: the sentence."""
