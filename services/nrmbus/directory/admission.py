"""Admitting agencies to a bus on this machine: topics first, then the entry, then the folder that starts its desk."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.async_lock import locked_meanwhile
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import write_json
from nrmbus.bus.replicas import parted
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Contact
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import RUNNING, SERVICES, WARNED, Kids
from nrmbus.directory.heads import is_due
from nrmbus.directory.operator import Identity, LogIdentity, Operator, operator_key
from nrmbus.directory.reader import DirectoryReader
from nrmbus.wire.names import AUDITOR, CANARY, DIRECTORY, REGISTRAR, TEST_AGENCIES


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Agency that asks to be admitted."""

    role: str
    """The agency's role, one of the policy profile's; it cannot change later."""
    supervisor: str | None = None
    """Id of the agency that supervises this one."""
    capacity: Mapping[str, int] = field(default_factory=dict)
    """A shelter's free places by category: women, children, men."""
    contact: Contact | None = None
    """How people find the agency: name, address, phone. It is public on the bus, so a secret shelter gives no address."""
    public: Mapping[str, Any] | None = None
    """Public page for people without an account, as `public` of `agency.json` has it: `nrmbus up` then serves it."""
    webhooks: Mapping[str, Any] | None = None
    """Receivers of webhooks beyond the public internet, as `webhooks` of `agency.json` has them."""


async def read_directory(folder: BusFolder) -> Directory:
    """Return the present directory."""
    directory, home = Directory(folder.settings.bus, operator_key(folder.path)), reading_place(folder)
    async with DirectoryReader(folder.reach(home), directory, lambda _: None, home=home):
        return directory


def reading_place(folder: BusFolder) -> Path:
    """Return the folder whose certificate reads the bus here: the operator's, or on her own machine the auditor's."""
    return folder.service(AUDITOR) if folder.is_joined else folder.keys


async def admit(
    folder: BusFolder,
    newcomers: Mapping[str, Newcomer],
    valid_from: datetime,
    notify: Callable[[str], None] = lambda _: None,
) -> tuple[str, ...]:
    """Admit the bus's own services and *newcomers* that the directory does not know; return the agencies with an entry.

    The keys are made in the agencies' folders. Two admitters' keys must be on this machine. *notify* is called with a
    sentence for each service whose sealing key they would have to replace, each difference of a topic
    that could not be mended, and rights of others at the broker. Safe to repeat after a crash.

    Raises:
        DirectoryError: a name is reserved, an agency stands in the directory with another role, or two admitters' keys are
            not here.
        NoBus: the directory has an auditor whose keys are not here, and the bus is to run one.
    """
    async with numbering(folder):
        return await _admit(folder, newcomers, valid_from, notify)


def numbering(folder: BusFolder) -> AbstractAsyncContextManager[None]:
    """Hold the lock for numbering entries: two writers would use one number twice, and no reader could go past it."""
    return locked_meanwhile(folder.run / "admitting")


async def _admit(
    folder: BusFolder, newcomers: Mapping[str, Newcomer], valid_from: datetime, notify: Callable[[str], None]
) -> tuple[str, ...]:
    operator, settings = Operator(folder.path), folder.settings
    where = folder.as_operator
    # Topics before the entry: from the entry on, the registrar may write to that inbox.
    running = {**RUNNING, **(dict.fromkeys(TEST_AGENCIES, CANARY) if folder.canary_seconds else {})}
    if folder.audited_elsewhere:  # whose keys are made there, and admitted like an agency's
        del running[AUDITOR]
    asking_now = {*newcomers, *RUNNING, *running}
    left = await asyncio.to_thread(topics.apply, where, sorted(asking_now), settings.partitions, play=settings.play)
    directory = await read_directory(folder)
    if AUDITOR in running.keys() & directory.entries.keys() and not (home_of(folder, AUDITOR) / "keys").exists():
        # Before a certificate in her name is issued here, and before keys are made: with keys here there is no way back.
        raise NoBus(_AUDITOR_ELSEWHERE)
    if earlier := sorted(directory.entries.keys() - asking_now):
        left += await asyncio.to_thread(topics.apply, where, earlier, settings.partitions, play=settings.play)
    for sentence in dict.fromkeys(str(each) for each in left if each.kind != "stray"):
        notify(sentence)
    gate, here = Gate(folder), {*newcomers, *running, *folder.agencies()}
    await asyncio.to_thread(gate.skip_numbers)
    withdraw(folder, directory)
    await asyncio.to_thread(gate.equip, {each: home_of(folder, each) for each in here})
    for sentence in await asyncio.to_thread(gate.apply):
        notify(sentence)
    asking = {name: Newcomer(role) for name, role in running.items()}
    asking |= dict(newcomers)
    new: list[str] = []
    _announce(folder, newcomers)
    async with clients.producer(where, command=True) as producer:
        if (founding := operator.found(directory)) is not None:
            await producer.send_and_wait(DIRECTORY, value=founding, partition=0)
        for agency, newcomer in asking.items():
            known = directory.entries.get(agency)
            if known is not None and agency not in SERVICES:
                if known.role != newcomer.role:
                    raise DirectoryError("role_changed")
                continue  # other keys are for `nrmbus agency rotate`
            entry = next_entry(folder, operator, directory, agency, newcomer, valid_from, notify)
            if entry is not None:
                directory.add(entry)
                await producer.send_and_wait(DIRECTORY, value=entry, key=agency.encode(), partition=0)
                new.append(agency)
        told = directory.head.addresses or () if directory.head else ()
        if new or is_due(directory, wall_now()) or told != folder.addresses:
            head = operator.head(directory, wall_now(), folder.addresses)
            await producer.send_and_wait(DIRECTORY, value=head, partition=0)
    _start_desks(folder, directory)
    return tuple(new)


def _announce(folder: BusFolder, newcomers: Mapping[str, Newcomer]) -> None:
    """Keep the settings of *newcomers* without a desk here, before their entries: a start may be cut between the two.

    The next start may name no agencies, and would have the settings from nowhere else.
    """
    for agency, newcomer in newcomers.items():
        home = folder.agency(agency)
        if not home.agency_json.exists():
            body = {"agency": agency, "role": newcomer.role, "capacity": dict(newcomer.capacity)}
            more = {"supervisor": newcomer.supervisor, "public": newcomer.public, "webhooks": newcomer.webhooks}
            write_json(home.admitting_json, body | {name: value for name, value in more.items() if value})


def _start_desks(folder: BusFolder, directory: Directory) -> None:
    """Have the desk of each announced agency start whose entry *directory* has, this start's and those of one that was cut.

    An agency that has joined from another machine since is announced here no longer: its keys are there.
    """
    for path in sorted((folder.path / "agencies").glob("*/.admitting.json")):
        home = folder.agency(path.parent.name)
        entry = directory.entries.get(home.id)
        if home.agency_json.exists():
            path.unlink()
        elif entry is not None and entry.role == json.loads(path.read_bytes())["role"]:
            if _has_keys_of(home, directory.kids(entry)):
                path.rename(home.agency_json)
            else:
                path.unlink()


def _has_keys_of(home: AgencyFolder, kids: Kids) -> bool:
    # `Identity.at` would make keys where there are none.
    return (home.keys / "signing.seed").exists() and kids.signing in Identity.at(home.path, home.id).kids


def withdraw(folder: BusFolder, directory: Directory) -> None:
    """Take the rights in the register of certificates that *directory* has taken: a restored register may be older.

    Nothing is given back: where entering a request was cut off, the register is ahead of the directory.
    """
    if not folder.settings.tls:
        return
    authority = Authority(folder)
    valid, suspended = authority.standing(certificate.now()), authority.suspended
    for agency, standing in directory.roll.agencies.items():
        _, state = standing.states[-1]
        if state == "retired" and valid.get(agency):
            authority.revoke(agency)
        if state != "admitted" and agency not in suspended:
            authority.suspend(agency)
        losses = [each.since for each in standing.undisputed if each.entry.kind == "lost"]
        for since in () if folder.settings.play else losses:  # a player's clock says nothing of when a certificate ends
            authority.end(agency, since)


async def catch_up(folder: BusFolder) -> None:
    """Have a restored register of certificates learn from the directory and the broker's rules what happened since its backup.

    To be called before a command issues a certificate or sets rights, since nothing may have started since the restore.
    Otherwise the register gives a number a second time, and gives rights back to suspended, retired and lost agencies; and
    a host gets a certificate that the first start takes off, or gets one although it was taken off. Does nothing unless the
    register was restored and no rights were set since.

    Raises:
        DirectoryError: the directory cannot be believed.
        KafkaFailed, KafkaError: the broker does not answer; called again, it does what is left.
    """
    if folder.settings.tls and Authority(folder).is_restored:
        withdraw(folder, await read_directory(folder))
        await asyncio.to_thread(Gate(folder).apply)


def next_entry(
    folder: BusFolder,
    operator: Operator,
    directory: Directory,
    agency: str,
    newcomer: Newcomer,
    at: datetime,
    notify: Callable[[str], None],
) -> bytes | None:
    """Return the next entry of *agency*, whose keys are in its folder here, or None if nothing changes.

    A service whose sealing key ends gets another one, if two listed admitters can sign here. Otherwise *notify* is called:
    a service starts without a current sealing key, so the start of the bus does not fail for it.

    Raises:
        DirectoryError: as `Operator.entry`.
    """
    home, known = home_of(folder, agency), directory.entries.get(agency)
    log = LogIdentity.at(home) if agency == AUDITOR else None
    identity, due, entry = Identity.at(home, agency), _is_ending(directory, agency, at), None
    if due and operator.can_admit(directory):
        identity = identity.succeeded(home)
    try:
        entry = operator.entry(directory, identity, newcomer.role, at, newcomer.supervisor, log, newcomer.contact)
    except DirectoryError as error:
        # The sealing key in the folder is another than the listed one; other signing keys have other codes.
        if known is None or error.code != "admitters_missing" or known.log != (log.public if log else None):
            raise
        due = True
    if due and entry is None:
        notify(_SIGNED_ELSEWHERE.format(agency))
    return entry


_AUDITOR_ELSEWHERE: Final = (
    "The keys of this bus's auditor are not on this machine. If she works on a machine of her own, run "
    "nrmbus up --without-auditor. If they were lost here, bring them back first: nrmbus restore DIR --part keys."
)
_SIGNED_ELSEWHERE: Final = (
    "The sealing key of {0} needs a successor, and the keys of two admitters are not here: run nrmbus agency rotate {0}, "
    "have two admitters sign the file, then run nrmbus agency check {0}."
)


def _is_ending(directory: Directory, agency: str, now: datetime) -> bool:
    # Only of the bus's own services: an agency's desk requests its next key itself.
    ends = directory.sealing_ends(agency, now) if agency in SERVICES else None
    return ends is not None and now >= ends - WARNED


def ids_of(service: str) -> tuple[str, ...]:
    """Return the ids under which *service* comes to the broker: its own, or those of both test agencies for the canary."""
    return tuple(TEST_AGENCIES) if service == CANARY else (service,)


def home_of(folder: BusFolder, agency: str) -> Path:
    """Return the folder with the keys of *agency*, or of a service of the bus."""
    service, _ = parted(agency)
    if service not in SERVICES:
        return folder.agency(agency).path
    # Each registrar has a door of its own; of the others one works at a time, at the service's.
    return folder.service(agency if service == REGISTRAR else service)
