"""A registrar on a bus's folder, sound or spoilt."""

import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.registrar import owner, transaction_size
from nrmbus.registrar.app import main


def launch(path: Path) -> None:
    """Run it until it ends; it stops itself where it is told to.

    It is told by a file :func:`freezes` with its number, and stops (SIGSTOP) when the next transaction is written, before
    its commit.
    """
    written = owner.write

    async def write(*transaction: Any) -> None:
        await written(*transaction)
        if freezes(path, os.getpid()).exists():
            freezes(path, os.getpid()).unlink()
            os.kill(os.getpid(), signal.SIGSTOP)

    with patch.object(owner, "write", write):
        main(BusFolder(path))


def launch_unfenced(path: Path) -> None:
    """Run it as :func:`launch` does, with a transactional id of the process instead of the shard: nobody fences it."""
    whole = clients.transactional_producer
    with patch.object(clients, "transactional_producer", lambda where, shard: whole(where, f"{shard}-{os.getpid()}")):
        launch(path)


def freezes(path: Path, pid: int) -> Path:
    """Return the file that tells the process to stop inside its next transaction; it takes the file away."""
    return path / f"freezes-{pid}"


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
