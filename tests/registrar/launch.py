"""Start a registrar on a bus's folder; with ``sabotage``, with a transactional id of the process instead of the shard."""

import os
import sys
from pathlib import Path

from nrmbus.bus import clients
from nrmbus.bus.folder import BusFolder
from nrmbus.registrar.app import main

if __name__ == "__main__":
    folder, sabotage = sys.argv[1:]
    if sabotage == "sabotage":
        whole = clients.transactional_producer
        clients.transactional_producer = lambda where, transactional_id: whole(
            where, f"{transactional_id}-{os.getpid()}"
        )
    main(BusFolder(Path(folder)))
