"""Result of one request to an endpoint, and the bounds of the request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

ANSWER_BYTES: Final = 4_096
"""Most bytes that are read of an answer's body; a longer one ends the connection."""
CONNECTIONS: Final = 8
"""Most requests to one endpoint at the same time."""

Fault = Literal["timeout", "not_resolved", "address_refused", "certificate", "unreachable", "no_http"]
"""Reasons why no answer came."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Result of one request."""

    status: int | None
    error: Fault | None
    milliseconds: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Return whether the receiver took it: 2xx and nothing else."""
        return self.status is not None and 200 <= self.status < 300
