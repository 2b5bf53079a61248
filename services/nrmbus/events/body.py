"""What a cast takes and gives: an event's data and letter in JSON types, and what a lower version could not carry."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Body(NamedTuple):
    """What an event says, in JSON types: its clear data, and its letter flat, as far as that was opened."""

    data: Mapping[str, Any]
    letter: Mapping[str, Any]


class Lowered(NamedTuple):
    """A body one version lower, and the pointers (RFC 6901, from ``/data`` or ``/letter``) of what had no place there."""

    body: Body
    lost: tuple[str, ...]
