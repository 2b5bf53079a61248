"""Names of the bus's own services, and of its topics; ``deploy/topics/`` says what each topic is for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REGISTRAR: Final = "registrar"
TIMEKEEPER: Final = "timekeeper"
AUDITOR: Final = "auditor"
CANARY: Final = "canary"
"""The service that hands over between the two test agencies, and the role of both in the directory."""
TEST_AGENCIES: Final[Mapping[str, str]] = MappingProxyType({"canary-a": "canary-b", "canary-b": "canary-a"})
"""Each test agency, and the other one. Nothing of theirs is registered (decision 0044)."""

STATISTICS: Final = "statistics"
"""The agency that makes the figures, and its role. Coded parts are sealed to it, and it reads the history."""

CASES: Final = "nrm.cases"
"""The history: every registration, with the envelope of what was registered."""
QUARANTINE: Final = "nrm.quarantine"
DIRECTORY: Final = "nrm.directory"
CHECKPOINTS: Final = "nrm.checkpoints"
ANSWERS: Final = "nrm.answers"
CLOCK: Final = "nrm.clock"

INBOX: Final = "nrm.inbox."
OUTBOX: Final = "nrm.outbox."
REQUESTS: Final = "nrm.requests."
WITNESS: Final = "nrm.witness."
"""Beginnings of the topics that each agency has of its own."""


def inbox_of(agency: str) -> str:
    """Return the topic in which *agency* receives."""
    return f"{INBOX}{agency}"


def outbox_of(agency: str) -> str:
    """Return the topic to which *agency*, and nobody else, submits."""
    return f"{OUTBOX}{agency}"


def requests_of(agency: str) -> str:
    """Return the topic to which *agency* sends its requests for certificates and keys."""
    return f"{REQUESTS}{agency}"


def witness_of(agency: str) -> str:
    """Return the topic to which *agency* sends the trees that it co-signed."""
    return f"{WITNESS}{agency}"
