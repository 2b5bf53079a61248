"""Input and result of a cast: an event's data and letter in JSON types, and the losses in a lower version."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Body(NamedTuple):
    """Content of an event in JSON types: the clear data, and the letter as one flat object, as far as it was opened."""

    data: Mapping[str, Any]
    letter: Mapping[str, Any]


class Lowered(NamedTuple):
    """Body one version lower, and the pointers (RFC 6901, from ``/data`` or ``/letter``) of the values that it cannot hold."""

    body: Body
    lost: tuple[str, ...]
