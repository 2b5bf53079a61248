"""Program: a history read in two processes. It is run on its own, since nothing may fork beside a test's threads.

``python in_processes.py FOLDER`` prints what a replay of the bus in FOLDER would show. With ``orphan`` it prints the
number of a process that works for it for ever, and waits for the work.
"""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from nrmbus.auditor.history import whole
from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.reader import Piece
from nrmbus.auditor.history.selection import EVERYTHING
from nrmbus.auditor.reports.replayed import case_mapping, replayed
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Directory
from nrmbus.wire import json as canonical
from nrmbus.wire.keys.keys import SigningKey


def shown(seen: Audited) -> dict[str, Any]:
    """Return a replay of *seen* as its JSON has it, and a digest of the registrar's statements."""
    now = max(each.registration.time for each in seen.history.entries)
    cases = [case_mapping(each, seen.rules, now) for each in replayed(seen, EVERYTHING) if each]
    signed = b"".join(each.signed for each in seen.history.entries)
    return {"verified": len(seen.history.entries), "cases": cases, "signed": canonical.digest(signed)}


class Endless(whole.Task):
    """A task that takes for ever."""

    def verified(self, pieces: list[Piece], progress: object) -> None:
        """Never return."""
        del pieces, progress
        while True:
            signal.pause()


def _orphan() -> None:
    endless = Endless("127.0.0.1:9", Directory("play-0123456789abcdef", SigningKey.generate().verify_key), "all", None)
    with whole._helpers(endless, [[Piece(0, 0, 1)]], [0]) as (helper,):
        sys.stdout.write(f"{helper.process.pid}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    assert threading.active_count() == 1
    if sys.argv[1] == "orphan":
        _orphan()
    folder = BusFolder(Path(sys.argv[1]))
    assert whole.jobs_for(4, 2) == 2, "two processes are wanted"
    sys.stdout.write(json.dumps([shown(whole.audited_in_jobs(folder, jobs=jobs)) for jobs in (1, 2)]))
