"""One alteration of evidence, of a log on disk or of a topic: what somebody did, who says so, and by which code."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from auditor.evidence.given import Evidence
from auditor.log.folders import Folders

What = Literal["evidence", "tile", "topic", "key"]
By = Literal["verifier", "log", "reading", "history", "witness", "collecting", "policy"]
"""Who says it: the verifier of evidence; a log on disk; the auditor as it reads history into its log; whoever replays; a
desk as a witness; the auditor as it collects co-signatures; whoever is shown checkpoint and proof."""


class Place:
    """What the rows alter: made once, and a folder of its own for each row."""

    def __init__(self, home: Path) -> None:
        """Make things below *home* when they are asked for."""
        self._home, self._rows = home, 0

    @cached_property
    def evidence(self) -> Evidence:
        """A bus with two cases, its log and its evidence."""
        return Evidence(self._home / "evidence")

    @cached_property
    def folders(self) -> Folders:
        """A log on disk, an older copy of it, and a fork."""
        return Folders(self._home / "folders")

    def fresh(self) -> Path:
        """An empty folder."""
        self._rows += 1
        path = self._home / f"row-{self._rows}"
        path.mkdir()
        return path


@dataclass(frozen=True, slots=True)
class Row:
    """An alteration; *said* does it and gives the codes that are said then, in order."""

    name: str
    what: What
    by: By
    code: str
    said: Callable[[Place], str]
