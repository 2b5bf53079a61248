"""A registrar on a bus's folder, sound or spoilt."""

import os
from pathlib import Path

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.registrar.app import main


def launch(path: Path, *, sabotage: bool) -> None:
    """Run it until it ends; with *sabotage*, with a transactional id of the process instead of the shard."""
    if sabotage:
        whole = clients.transactional_producer
        clients.transactional_producer = lambda where, transactional_id: whole(
            where, f"{transactional_id}-{os.getpid()}"
        )
    main(BusFolder(path))
