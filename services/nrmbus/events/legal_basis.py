"""Legal basis of an event: an act and its article, readable on the way and permanent."""

import re
from typing import Final

LEGAL_BASIS_LIMIT: Final = 200
_DIGIT: Final = re.compile("[0-9]")
_TELEPHONE: Final = re.compile("(?:[0-9][ -]?){7}")
"""Longer sequence of digits than in any date or number of a law."""


def is_printable(text: str) -> bool:
    """Return whether the envelope can carry *text*: printable ASCII, and not too long."""
    return 0 < len(text) <= LEGAL_BASIS_LIMIT and text.isascii() and text.isprintable()


def is_legal_basis(text: str) -> bool:
    """Return whether *text* may be a legal basis: it has a digit, as an article has, and no telephone number."""
    return is_printable(text) and _DIGIT.search(text) is not None and _TELEPHONE.search(text) is None
