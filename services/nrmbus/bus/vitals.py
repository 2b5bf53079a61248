"""Numbers that every service knows about its machine: free disk, the certificate's end, and its restarts."""

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Final, get_args

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.certificate import ends
from nrmbus.bus.reach import Tls
from nrmbus.telemetry import counts
from nrmbus.wire.errors import ClosedReason, ProofCode, WireCode

RELEASE: Final = metadata.version("nrmbus")
"""Release of this code, as every service shows it in its health and tells the broker."""
BEFORE_RELEASE: Final = "@"
"""Stands before the release in the client id of a desk's consumer, which the operator sees at the broker."""
WAITS: Final = timedelta(minutes=15)
"""An event without an answer, or a checkpoint without a co-signature, for so long is a fault."""
LEAST_FREE: Final = 2e9
"""Bytes; with less free space Kafka and the ledgers may stop within a day."""
LEAST_FREE_SHARE: Final = 0.1
AUDIENCE_CHANGED: Final = "audience_changed"
"""Code by which the registrar has a letter sealed again."""


def know_codes(refusals: Iterable[str]) -> None:
    """Have the codes of the wire counted by name, and those of *refusals*, which are the profile's and the service's own."""
    counts.know({*get_args(WireCode), *get_args(ProofCode), *get_args(ClosedReason), AUDIENCE_CHANGED, *refusals})


def nearly_full(free: float, size: float) -> bool:
    """Return whether a disk of *size* bytes with *free* ones is nearly full: the limit of the alert of this name."""
    return free < max(LEAST_FREE, LEAST_FREE_SHARE * size)


def vitals(folder: BusFolder, home: Path, name: str) -> dict[str, float]:
    """Return the numbers of the service *name* with its folder *home*; a number that cannot be read is left out."""
    found: dict[str, float] = {}
    with suppress(OSError):
        disk = shutil.disk_usage(home)
        found |= {"disk_free": disk.free, "disk_size": disk.total}
    end = ends(Tls(home)) if folder.settings.tls else None
    if end is not None:
        found["certificate_left"] = (end - datetime.now(UTC)).total_seconds()
    restarts = _restarts(folder, name)
    if restarts is not None:
        found["restarts"] = restarts
    return found


def _restarts(folder: BusFolder, name: str) -> int | None:
    """Return how often `nrmbus up` has restarted the service; None if it does not run this bus."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        services: Mapping[str, Any] = json.loads((folder.run / "services.json").read_bytes())
        if type(restarts := services[name]["restarts"]) is int:
            return restarts
    return None
