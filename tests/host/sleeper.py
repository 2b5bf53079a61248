"""A service for tests: it writes a file as a sign of life, and sleeps. Importing it puts it among the services."""

import os
import resource
import threading
import time

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.host.services import SERVICES
from nrmbus.wire.keys import keyfile

SERVICES["sleeper"] = "host.sleeper"
SERVICES["raiser"] = "host.raiser"


def main(folder: BusFolder) -> None:
    """Note pid, threads, session and limit of open files, then sleep until SIGTERM."""
    seen = f"{os.getpid()} {threading.active_count()} {os.getpgrp()}"
    held = keyfile.held()
    write_private(folder.run / "told", held.hand_on() if held else b"")
    write_private(folder.run / "open_files", str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]).encode())
    write_private(folder.run / "sleeper", seen.encode())
    time.sleep(60)
