"""Admitting agencies to a bus on this machine: topics first, then the entry, then the folder that starts its desk."""

import asyncio
import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nrmbus.bus import clients, topics
from nrmbus.bus.folder import BusFolder, make_private, write_json
from nrmbus.directory.directory import AUDITOR, Directory
from nrmbus.directory.operator import SERVICES, Identity, LogIdentity, Operator, operator_key
from nrmbus.directory.reader import TOPIC, DirectoryReader


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who asks to be admitted. *capacity*: free places of a shelter by category."""

    role: str
    supervisor: str | None = None
    capacity: Mapping[str, int] = field(default_factory=dict)


async def read_directory(folder: BusFolder) -> Directory:
    """The directory as it stands now."""
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    async with DirectoryReader(folder.bootstrap, directory, lambda _: None):
        return directory


async def admit(folder: BusFolder, newcomers: Mapping[str, Newcomer], valid_from: datetime) -> tuple[str, ...]:
    """Admit the bus's own services and *newcomers*, as far as the directory does not know them; answers who has an entry.

    An agency of this machine that has no witness key yet gets one. Their keys are made in their folders. Safe to repeat after it was cut anywhere.

    Raises:
        DirectoryError: a name is reserved, or an agency stands in the directory with another role.
    """
    make_private(folder.run)
    descriptor = os.open(folder.run / "admitting", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Two at once would write two entries with one number, which nobody could read past.
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        return await _admit(folder, newcomers, valid_from)
    finally:
        os.close(descriptor)


async def _admit(folder: BusFolder, newcomers: Mapping[str, Newcomer], valid_from: datetime) -> tuple[str, ...]:
    operator, settings = Operator(folder.path), folder.settings
    bootstrap = folder.bootstrap
    await asyncio.to_thread(topics.apply, bootstrap, [], settings.partitions, play=settings.play)
    directory = await read_directory(folder)
    everybody = sorted({*directory.entries, *newcomers, *SERVICES})
    # Topics before the entry: from the entry on, the registrar may write to that inbox.
    await asyncio.to_thread(topics.apply, bootstrap, everybody, settings.partitions, play=settings.play)
    asking = {name: Newcomer(role) for name, role in SERVICES.items()}
    asking |= _without_witness(folder, directory) | dict(newcomers)
    new: list[str] = []
    async with clients.producer(bootstrap) as producer:
        for agency, newcomer in asking.items():
            home = home_of(folder, agency)
            log = LogIdentity.at(home) if agency == AUDITOR else None
            identity, role = Identity.at(home, agency), newcomer.role
            entry = operator.entry(directory, identity, role, valid_from, newcomer.supervisor, log)
            if entry is not None:
                directory.add(entry)
                await producer.send_and_wait(TOPIC, value=entry, key=agency.encode(), partition=0)
                new.append(agency)
    for agency, newcomer in newcomers.items():
        path = folder.agency(agency).agency_json
        if not path.exists():
            body = {"agency": agency, "role": newcomer.role, "capacity": dict(newcomer.capacity)}
            write_json(path, body | ({"supervisor": newcomer.supervisor} if newcomer.supervisor else {}))
    return tuple(new)


def _without_witness(folder: BusFolder, directory: Directory) -> dict[str, Newcomer]:
    """Agencies of this machine that were admitted by a release whose desks were no witnesses yet."""
    here = {agency: directory.entries[agency] for agency in folder.agencies() if directory.knows(agency)}
    return {agency: Newcomer(entry.role, entry.supervisor) for agency, entry in here.items() if entry.witness is None}


def home_of(folder: BusFolder, agency: str) -> Path:
    """Where *agency*, or a service of the bus, keeps its keys."""
    return folder.service(agency) if agency in SERVICES else folder.agency(agency).path
