"""Alterations of evidence, of a log on disk or of a topic: the change, the reader that finds it, and the code."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from auditor.evidence.given import Evidence
from auditor.log.folders import Folders

What = Literal["evidence", "tile", "topic", "key"]
By = Literal["verifier", "log", "reading", "history", "witness", "collecting", "policy"]
"""The readers: the verifier of evidence; a log on disk; the auditor reading history into its log; a replay; a desk as a
witness; the auditor collecting co-signatures; a policy that is shown checkpoint and proof."""


class Place:
    """Things to alter, made once; each row gets a folder of its own."""

    def __init__(self, home: Path) -> None:
        """Make things below *home* when they are asked for."""
        self._home, self._rows = home, 0

    @cached_property
    def evidence(self) -> Evidence:
        """Return a bus with two cases, its log and its evidence."""
        return Evidence(self._home / "evidence")

    @cached_property
    def folders(self) -> Folders:
        """Return a log on disk, an older copy, and a fork."""
        return Folders(self._home / "folders")

    def fresh(self) -> Path:
        """Return an empty folder."""
        self._rows += 1
        path = self._home / f"row-{self._rows}"
        path.mkdir()
        return path


@dataclass(frozen=True, slots=True)
class Row:
    """An alteration; *said* makes the change and returns the reader's codes, in order."""

    name: str
    what: What
    by: By
    code: str
    said: Callable[[Place], str]
