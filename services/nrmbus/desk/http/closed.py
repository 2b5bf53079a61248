"""Routes that are closed to programs at an agency without cases, as its pages about cases are."""

from collections.abc import Mapping
from typing import Final

_OF_CASES: Final = (
    "/v1/beds", "/v1/cases", "/v1/documents", "/v1/payments", "/v1/reads", "/v1/receipts", "/v1/referrals", "/v1/steps", "/v1/tasks",
)  # fmt: skip
_OF_WHAT_ARRIVES: Final = ("/v1/cursors", "/v1/inbox", "/v1/webhooks")

CLOSED: Final[Mapping[str, tuple[str, ...]]] = {
    "coordinator": _OF_CASES,
    "statistics": (*_OF_CASES, *_OF_WHAT_ARRIVES),
}
"""Beginnings of the closed addresses, by role. The inbox of the statistics names every case; that of the coordinator names none."""


def is_closed(role: str | None, path: str) -> bool:
    """Return whether *path* is closed to the programs of an agency with *role*."""
    return any(path == each or path.startswith(f"{each}/") for each in CLOSED.get(role or "", ()))
