"""Access of the commands to an agency's desk: through its door, with a sentence if the door stays shut."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError, RequestRefused, Unreachable
from nrmbus.desk.errors import MEANINGS

UNANSWERED: Final = 3
"""Exit status if the desk has the event, or may have it, and no verdict came in time."""
START_SECONDS: Final = 20.0
"""Seconds for a desk to open, after the start of the bus or the end of the desk's process."""
_TAKES_NONE: Final = MEANINGS.keys() - {"not_available"}
"""Codes with which a desk takes no event. With ``not_available`` it may fail after the event is in its ledger."""


@asynccontextmanager
async def door_of(folder: BusFolder, agency: str) -> AsyncIterator[Door]:
    """Open the door of *agency*'s desk; a refusal of the desk in the block becomes the sentence of a BusError.

    Raises:
        BusError: no bus was made or runs in *folder*, the agency is not on it, or its desk does not open or refuses.
    """
    folder.bootstrap  # noqa: B018 - raises where no bus runs
    agencies = folder.agencies()
    if agency not in agencies:
        known = f"it has {', '.join(agencies)}" if agencies else "it has none"
        admits = "" if folder.is_joined else ": nrmbus up --agencies FILE admits the agencies of a file"
        raise BusError(f"The bus in {folder.path} has no such agency; {known}{admits}.")
    try:
        async with await _opened(folder, agency) as door:
            yield door
    except DoorError as error:
        raise BusError(sentence_of(folder, agency, error)) from None


async def _opened(folder: BusFolder, agency: str) -> Door:
    until = time.monotonic() + (START_SECONDS if folder.is_held or folder.runs(agency) else 0)
    while True:
        try:
            door = Door.of(folder.agency(agency).path)
            await door.health()
            return door
        except DoorError as error:
            if error.code != "unreachable" or time.monotonic() > until or agency in Authority(folder).suspended:
                raise
        await asyncio.sleep(0.1)


def sentence_of(folder: BusFolder, agency: str, error: DoorError) -> str:
    """Return the refusal of *agency*'s desk, or why the desk does not answer, with what to do."""
    if error.code == "unreachable" and agency in Authority(folder).suspended:
        return f"{agency} is suspended or has left, so its desk does not run: nrmbus agency show {agency}"
    if error.code == "unreachable":
        log, how = folder.logs / f"{agency}.log", f"nrmbus run {agency} --data '{folder.path}'"
        where = f"look at {log}, or start it with {how}" if folder.is_held else f"start it with {how}"
        return f"The desk of {agency} does not answer: {where}"
    return f"{error.code}: {error}"


async def published(door: Door, event: Mapping[str, Any], wait: float, again: str) -> dict[str, Any]:
    """Return the desk's answer to *event*, which has an id. An absent desk is tried again for `START_SECONDS`.

    A killed desk may have taken the event before, so every attempt has the same id: another id would make a second
    event.

    Raises:
        typer.Exit: the desk may have the event and gave no answer, with `UNANSWERED`; the last error and *again*, how the
            person goes on without a second event, are printed.
        DoorError: the desk refuses the event, or took it at no attempt.
    """
    may_have_it = False

    async def attempt() -> dict[str, Any]:
        nonlocal may_have_it
        try:
            return await door.publish(event, wait=wait)
        except DoorError as error:
            failed = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _TAKES_NONE
            may_have_it = may_have_it or failed or isinstance(error, Unreachable)
            raise

    try:
        return await door.patiently(attempt, START_SECONDS)
    except DoorError as error:
        # A desk that had the event would answer the same request with the event's verdict, and not refuse it.
        if not may_have_it or (error.status and isinstance(error, RequestRefused)):
            raise
        typer.echo(f"{error.code}: {error}\nThe desk may have event {event['id']}: {again}.", err=True)
    raise typer.Exit(UNANSWERED)


async def known_cases(door: Door) -> list[str]:
    """Return every case that a desk knows."""
    found: list[str] = []
    while page := (await door.get("/v1/cases", after=found[-1] if found else ""))["cases"]:
        found += [each["case"] for each in page]
    return found


async def known_refs(door: Door, case: str) -> list[str]:
    """Return every referral, bed, hold or payment of a case that a desk knows, and the referrals that wait for an answer."""
    found, after = list((await door.case(case))["open_referrals"]), 0
    while page := (await door.inbox(after=after, case=case))["events"]:
        after = page[-1]["row"]
        found += [each["ref"] for each in page if "ref" in each]
    return found
