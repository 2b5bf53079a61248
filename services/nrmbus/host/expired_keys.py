"""Sealing keys of the bus's own services that have no desk, once their time is over: destroyed like any agency's.

Nothing is sealed to registrar or test agencies, so nothing is handed over first. To the auditor's key the second factors of
her page's users are sealed, which she hands over at each start (`nrmbus.auditor.web.users`), and so before a key that a start
of the bus has replaced is destroyed. On a machine of her own she destroys them herself (`nrmbus.auditor.app`). A running desk, the timekeeper's too, destroys its own keys (`nrmbus.desk.erasure.rounds`).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from aiokafka.errors import KafkaError

from nrmbus.bus.errors import BusError, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Directory, DirectoryError, epochs
from nrmbus.directory.admission import home_of, read_directory
from nrmbus.directory.commands import time_of
from nrmbus.wire.names import AUDITOR, REGISTRAR, TEST_AGENCIES

WITHOUT_DESK: Final = (AUDITOR, REGISTRAR, *TEST_AGENCIES)


def destroy(
    folder: BusFolder, directory: Directory, now: datetime
) -> tuple[tuple[str, ...], OSError | KeysSealed | None]:
    """Destroy the keys whose time is over at *now* by the *directory*; the next run completes an interrupted one.

    Return their kids, and the first error: no other key waits for one that cannot be destroyed.
    """
    gone: list[str] = []
    failed: OSError | KeysSealed | None = None
    for service in WITHOUT_DESK:
        kids, error = epochs.destroy_left(home_of(folder, service), directory, service, now)
        gone += kids
        failed = failed or error
    return tuple(gone), failed


def look(folder: BusFolder, notify: Callable[[str], None], seconds: float) -> None:
    """Destroy expired keys by the directory and the bus's present time; *notify* gets a sentence about the result and the obstacle.

    The broker may take so many *seconds*.
    """
    failed: Exception | None
    try:
        directory, now = asyncio.run(asyncio.wait_for(_read(folder), seconds))
        gone, failed = destroy(folder, directory, now)
        if gone:
            notify(f"{len(gone)} sealing keys of services were replaced long ago, and are destroyed.")
    except (BusError, DirectoryError, KafkaError, OSError) as error:
        failed = error
    if failed is not None:
        notify(
            f"Replaced keys of services could not be looked through ({type(failed).__name__}); it is tried again tomorrow."
        )


async def _read(folder: BusFolder) -> tuple[Directory, datetime]:
    return await read_directory(folder), await time_of(folder, folder.as_operator)
