"""Envelopes that were kept long enough leave the history, while the services that write or follow it stand still."""

import asyncio
import contextlib
from typing import Final

import httpx

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.services import SERVICES
from nrmbus.client import Door, DoorError
from nrmbus.registrar.rewriting import Rewriting, Stripped, Told

STAND_STILL: Final = tuple(SERVICES)
"""Registrar, timekeeper and auditor: nobody else reads ``nrm.cases`` on and on."""


def is_unfinished(folder: BusFolder) -> bool:
    """Whether a rewriting was cut off: until `finish`, nobody of `STAND_STILL` may run."""
    return folder.rewriting.exists()


def finish(folder: BusFolder) -> bool:
    """Bring to its end what was cut off; raises as `Rewriting.finish`."""

    async def finished() -> bool:
        return await (await Rewriting.of(folder)).finish()

    return is_unfinished(folder) and asyncio.run(finished())


def strip(folder: BusFolder, told: Told) -> tuple[Stripped, ...]:
    """Take out what is due; raises as `Rewriting.strip`, and whatever *told* raises to have it left as it was."""

    async def stripped() -> tuple[Stripped, ...]:
        return await (await Rewriting.of(folder, told=told)).strip()

    return asyncio.run(stripped())


def cases_over(folder: BusFolder) -> int:
    """How many cases the timekeeper knows whose time is over and whose envelopes are still there; 0 where it does not answer."""
    return asyncio.run(_asked(folder, "timekeeper", "cases_over"))


def running(folder: BusFolder) -> list[str]:
    """Who of those that must stand still answers."""
    return [name for name in STAND_STILL if asyncio.run(_asked(folder, name, "live"))]


async def _asked(folder: BusFolder, name: str, what: str) -> int:
    with contextlib.suppress(DoorError, BusError, httpx.HTTPError, OSError, ValueError):
        async with Door.of(folder.service(name)) as door:
            return int((await door.health()).get(what, 1))
    return 0
