"""Bulletins: the subjects of events about no case. Each agency has one, and everybody can compute it.

A bulletin is an agency's run of events that concern the agency or the bus and no person: free places, a breach of data.
Its subject stands in a range that no case has, so every reader tells the two apart without having read an event before.
"""

from hashlib import sha256
from typing import Final

PREFIX: Final = "00000000ffffffff"
"""Beginning of every bulletin's subject. One case reference in 2**64 would begin like this; such a case is refused."""
_CONTEXT: Final = b"nrmbus/bulletin/v1\0"


def of(agency: str) -> str:
    """Return the subject of *agency*'s bulletin: the prefix, and 64 bits of a digest of the agency's id, which is public."""
    return PREFIX + sha256(_CONTEXT + agency.encode()).hexdigest()[:16]


def is_bulletin(subject: str) -> bool:
    """Return whether *subject* is a bulletin's, and neither a case nor an incident."""
    return subject.startswith(PREFIX)
