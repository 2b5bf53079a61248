"""A service for tests: it says that it lives in a file, and sleeps. Importing it puts it among the services."""

import os
import threading
import time

from nrmbus.bus.folder import BusFolder, write_private
from nrmbus.cli.services import SERVICES

SERVICES["sleeper"] = "cli.sleeper"
SERVICES["raiser"] = "cli.raiser"


def main(folder: BusFolder) -> None:
    """Note pid, threads and session, then sleep until SIGTERM."""
    seen = f"{os.getpid()} {threading.active_count()} {os.getpgrp()}"
    write_private(folder.run / "sleeper", seen.encode())
    time.sleep(60)
