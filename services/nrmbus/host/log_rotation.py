"""Rotation of the services' logs, so that no disk fills.

A service appends to its log by a descriptor that it was started with, so a full log is copied and then emptied, not
renamed. A line that is written in between is lost; no log has anything that must be found later, since the history has it.
"""

import os
import shutil
from pathlib import Path
from typing import Final

FULL: Final = 16 << 20
"""Largest size of one log in bytes; at most twice as much is kept for each service."""
_END: Final = 4096
_LONGEST_LINE: Final = 300
"""Characters of a last line that are shown."""


def bound(folder: Path) -> None:
    """Move the content of each full log in *folder* to ``<name>.log.1``, readable by its owner only."""
    for log in sorted(folder.glob("*.log")):
        if log.stat().st_size < FULL:
            continue
        earlier = log.with_name(f"{log.name}.1")
        earlier.unlink(missing_ok=True)
        descriptor = os.open(earlier, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with log.open("rb") as full, os.fdopen(descriptor, "wb") as kept:
            shutil.copyfileobj(full, kept)
        os.truncate(log, 0)


def last_line(log: Path) -> str:
    """Return the last line of *log* that says something, at most 300 characters of it; nothing if there is none.

    A log names nobody, and neither does what is shown of it. What would move a terminal's cursor is left out.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _END))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    shown = ("".join(filter(str.isprintable, line)).strip() for line in reversed(lines))
    return next((line for line in shown if line), "")[:_LONGEST_LINE]
