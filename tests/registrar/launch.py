"""A registrar on a bus's folder, sound or spoilt."""

import os
from pathlib import Path
from unittest.mock import AsyncMock, patch

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.registrar import owner, transaction_size
from nrmbus.registrar.app import main


def launch(path: Path, *, sabotage: bool) -> None:
    """Run it until it ends; with *sabotage*, with a transactional id of the process instead of the shard."""
    if sabotage:
        whole = clients.transactional_producer
        clients.transactional_producer = lambda where, transactional_id: whole(
            where, f"{transactional_id}-{os.getpid()}"
        )
    main(BusFolder(path))


def launch_impatient(path: Path) -> None:
    """Run it until it ends; it waits a second for an answer in a transaction, and four for a transaction."""
    with (
        patch.dict(clients.SETTINGS["shard"], request_timeout_ms=1000),
        patch.object(owner, "TRANSACTION_SECONDS", 4.0),
    ):
        main(BusFolder(path))


def launch_in_small_parts(path: Path) -> None:
    """Run it until it ends, as on a line that carries no two records in time."""
    with patch.multiple(transaction_size, FIRST=1, QUICK_SECONDS=0.0):
        main(BusFolder(path))


def launch_careless(path: Path) -> None:
    """Run it as impatiently, with a producer that is never replaced."""
    with patch.object(owner.Owner, "_fence", AsyncMock()):
        launch_impatient(path)
