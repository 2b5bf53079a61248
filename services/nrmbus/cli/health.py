"""Health of the services of a bus, asked at each door, and the supervisor's report of those that fail."""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any, Final

import httpx

from nrmbus.bus.folder import BusFolder
from nrmbus.client import Door, DoorError
from nrmbus.directory.admission import home_of

ANSWER_SECONDS: Final = 2.0
"""Patience for one answer: a stopped service never gives one."""


async def of(folder: BusFolder, name: str) -> dict[str, Any] | None:
    """Return what the service or desk *name* says of itself; None if there is no answer."""
    with contextlib.suppress(DoorError, httpx.HTTPError, OSError, ValueError, KeyError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS), Door.of(home_of(folder, name)) as door:
            return await door.health()
    return None


def unready(folder: BusFolder, names: Iterable[str]) -> dict[str, str]:
    """Return the services among *names* that are not ready, each with the reason, in words and codes of ours."""

    async def asked() -> dict[str, dict[str, Any] | None]:
        wanted = sorted(names)
        return dict(zip(wanted, await asyncio.gather(*(of(folder, name) for name in wanted)), strict=True))

    return {name: _why(health) for name, health in asyncio.run(asked()).items() if not (health and health.get("ready"))}


def _why(health: dict[str, Any] | None) -> str:
    if health is None:
        return "does not answer"
    code = health.get("held_up") or health.get("trouble")
    return f"says {code}" if code else "reads what came before"


def failing(folder: BusFolder) -> dict[str, str]:
    """Return the services that the supervisor of *folder* reports as failing, each with the last line of its log."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        states = json.loads((folder.run / "services.json").read_bytes())
        return {name: state["failing"] for name, state in states.items() if state.get("failing") is not None}
    return {}
