"""Reasons why a log stops: a closed list of codes, one sentence each; a record is named by its number, never by its content."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

LogCode = Literal[
    "gap", "duplicate", "out_of_turn", "chain_broken", "foreign", "leaf_too_large", "folder_busy", "state_damaged",
    "split_view", "tail_cut", "unreadable", "signature_invalid", "envelope_altered", "audience_altered",
    "envelope_missing",
]  # fmt: skip

SENTENCES: Final[Mapping[LogCode, str]] = MappingProxyType(
    {
        "gap": "A registration before this one is missing.",
        "duplicate": "This registration is in the log already.",
        "out_of_turn": "Another registration is in the log under this number: the history was rewritten.",
        "chain_broken": "The registration does not name the digest of the one before it.",
        "foreign": "The registration is of another bus or another partition than the log.",
        "leaf_too_large": "The registration is larger than an entry of C2SP tlog-tiles.",
        "folder_busy": "Another process has this log open.",
        "state_damaged": "A file of the log is missing, cut or altered; the log can be made again from the topic.",
        "split_view": "Another tree of this log was signed before: the history now is not the signed one.",
        "tail_cut": "A larger tree of this log was there before: the history lost its tail.",
        "unreadable": "The record is not a registration.",
        "signature_invalid": "The registrar of this bus did not sign the registration.",
        "envelope_altered": "The record does not carry the envelope that was registered.",
        "envelope_missing": "The record of a registered event has no envelope.",
        "audience_altered": "The record does not carry the audience that the registration commits to.",
    }
)
"""One sentence a code."""


class LogError(Exception):
    """Error that stops a log.

    ``code`` is of the closed list `LogCode`, ``origin`` names the log. ``number`` is the number of the registration, and
    ``path`` the file below the log's folder, if there is one.
    """

    def __init__(self, code: LogCode, origin: str, *, number: int | None = None, path: str | None = None) -> None:
        """Name the *code*, the log and the record or the file."""
        self.code: LogCode = code
        self.origin, self.number, self.path = origin, number, path
        at = "" if number is None else f" registration {number}"
        at += "" if path is None else f" {path}"
        super().__init__(f"{code}: {SENTENCES[code]} ({origin}{at})")
