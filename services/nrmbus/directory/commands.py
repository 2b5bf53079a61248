"""Commands of `nrmbus agency`, at the agency, an admitter and the operator. They read and write the topic."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.clock import clock_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import RESERVED, Authority
from nrmbus.bus.private_files import write_json, write_private
from nrmbus.bus.reach import Tls, Where
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory import joining
from nrmbus.directory.admission import catch_up, home_of, numbering, read_directory
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import CHANGES_KEYS, Contact, Entry, Kind, LogEntry
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import RUNNING, SERVICES, TWO
from nrmbus.directory.keys import verify_key
from nrmbus.directory.operator import NEXT, Admitter, Identity, LogIdentity, Operator, operator_key
from nrmbus.directory.reader import DirectoryReader
from nrmbus.directory.renewal import MOST
from nrmbus.directory.requests import Disposal, Request, believe, digest, disposed, disposed_cases
from nrmbus.wire.ids import is_agency
from nrmbus.wire.keys import files
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import AUDITOR, DIRECTORY, REGISTRAR

_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file of all entries: some thousand changes of keys."""


async def time_of(folder: BusFolder, where: Where) -> datetime:
    """Return the bus's time: the wall clock's, or on a bus for playing the player's."""
    async with clock_of(where, play=folder.settings.play) as clock:
        return clock.now()


async def read_as(folder: BusFolder, home: Path) -> Directory:
    """Return the present directory, read with the certificate in *home*."""
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    async with DirectoryReader(folder.reach(home), directory, lambda _: None, home=home):
        return directory


def write_file(directory: Directory, file: Path) -> None:
    """Write every entry of *directory* to *file*, one per line, for a machine without a certificate."""
    write_private(file, b"".join(each + b"\n" for each in directory.signed))


def read_file(folder: BusFolder, file: Path) -> Directory:
    """Return the directory as of the writing of *file*: the entries that the operator signed, and nothing else.

    Raises:
        DirectoryError: an entry cannot be believed.
        OSError: it cannot be read.
    """
    raw, _ = files.read(file, _LARGEST)
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    for line in raw.splitlines():
        directory.add(line)
    return directory


def reader_of(folder: BusFolder) -> Path:
    """Return the folder whose certificate the broker accepts here: the operator's, else an agency's.

    Raises:
        DirectoryError: ``certificate_missing``: there is no certificate here.
    """
    if not folder.settings.tls or Tls(folder.keys).certificate.exists():
        return folder.keys
    for path in (
        *sorted((folder.path / "agencies").glob("*/tls/cert.pem")),
        *folder.service(AUDITOR).glob("tls/cert.pem"),
        *folder.service(REGISTRAR).glob("tls/cert.pem"),
    ):
        return path.parents[1]
    raise DirectoryError("certificate_missing")


# -- at the agency ---------------------------------------------------------------------------------------------------


def ask_first(
    folder: BusFolder, agency: str, role: str, supervisor: str | None, contact: Contact | None = None
) -> Request:
    """Return the request of an agency that is new on the bus; make its keys in its folder, without a broker.

    Raises:
        DirectoryError: ``id_reserved``, of the agency or of its supervisor; ``supervisor_itself``.
    """
    is_auditor = (agency, role) == (AUDITOR, AUDITOR)
    reserved = agency in {*SERVICES, *RESERVED} and not is_auditor
    if not is_agency(agency) or reserved or not is_agency(supervisor or agency):
        raise DirectoryError("id_reserved")
    if supervisor == agency:
        raise DirectoryError("supervisor_itself")
    home = home_of(folder, agency)
    log = LogIdentity.at(home).public if is_auditor else None
    identity, directory = Identity.at(home, agency), Directory(folder.settings.bus, operator_key(folder.path))
    csr = certificate.request(Tls(home)).decode("ascii")
    wanted = _wanted(identity, role, supervisor, contact, csr, log)
    entry = joining.proposed(directory, wanted, "admitted", made=wall_now())
    return Request(entry=joining.asked_by(entry, _proving(identity)), csr=csr)


async def ask_for_new_keys(
    folder: BusFolder,
    agency: str,
    kind: Kind,
    overlap: timedelta,
    *,
    certified: bool = True,
    known: Directory | None = None,
    contact: Contact | None = None,
) -> Request:
    """Return the request of an agency for other keys: ``rotated``, or ``lost`` if the old keys are gone or stolen.

    A request for lost keys names no key that the directory ever named. The auditor's come with other keys of her logs
    (decision 0085). *certified*: another certificate is asked for with them. *known*: the directory, where nothing here can
    read it.

    Raises:
        DirectoryError: ``agency_unknown``; ``previous_key_missing`` where a rotation lacks the present key; ``keys_pending``
            where the keys of an earlier request are here, and the directory has them from a later time on.
    """
    home = home_of(folder, agency)
    directory = known or await read_as(folder, home)
    last = directory.entries.get(agency)
    if last is None:
        raise DirectoryError("agency_unknown")
    now = await time_of(folder, folder.reach(home))
    present = with_keys_that_hold(home, agency, directory, now)
    # Use the key that holds now: an agency that objects to the newest entry still has the earlier key.
    holds = directory.signing_kid(agency, now) or directory.kids(last).signing
    has_present = holds == present.signing.kid
    if not has_present and kind == "rotated":
        raise DirectoryError("previous_key_missing")
    named, waiting = directory.roll.used.keys(), Identity.kids_in(home / "keys" / NEXT)
    if kind == "lost" and _is_pending(directory, agency, now, [waiting.get("signing"), present.signing.kid]):
        raise DirectoryError("keys_pending")
    if not named.isdisjoint(waiting.values()) and not _is_pending(directory, agency, now, [waiting.get("signing")]):
        present.end_next(home)
    # Where a named key lies here, others take its place: whoever has a copy of the folder has that one, too.
    replaces = has_present or not named.isdisjoint(_kids_of(home, present, has_log=last.log is not None))
    coming = Identity.next_at(home, agency) if replaces else present.to_ask_for(home)
    tls = Tls(home)
    # A key that waits is asked for again, as the pairs of `next_at` are: the answer to either request is of use.
    anew = kind == "lost" and not certificate.waits(tls)
    csr = certificate.request(tls, anew=anew).decode("ascii") if certified else None
    log = (LogIdentity.next_at(home) if replaces else LogIdentity.at(home)).public if last.log else None
    wanted = _wanted(coming, last.role, last.supervisor, contact or last.contact, csr, log)
    until = now + overlap if kind == "rotated" else None
    entry = joining.proposed(directory, wanted, kind, made=now, until=until)
    old = [present.signing] if has_present else []
    return Request(entry=joining.asked_by(entry, [*_proving(coming), *old]), csr=csr)


def with_keys_that_hold(home: Path, agency: str, directory: Directory, at: datetime) -> Identity:
    """Return the keys of *agency* in *home*; the next ones take their place first, if *directory* says that those hold at *at*."""
    present, holds = Identity.at(home, agency), directory.signing_kid(agency, at)
    if holds is None or holds != Identity.kids_in(home / "keys" / NEXT).get("signing"):
        return present
    present.promote(home)
    return Identity.at(home, agency)


def _is_pending(directory: Directory, agency: str, at: datetime, kids: Collection[str | None]) -> bool:
    """Return whether one of the signing keys *kids* is entered for *agency*, and holds only after *at*."""
    return any(each.since > at and each.kids.signing in kids for each in directory.roll.agencies[agency].undisputed)


def _kids_of(home: Path, identity: Identity, *, has_log: bool) -> frozenset[str]:
    """Return the kids of the pairs in *home* that a request with *identity* names; *has_log*: those of the auditor's logs too."""
    kids = {identity.signing.kid, identity.sealing.kid, identity.witness.kid}
    return frozenset(kids | ({LogIdentity.at(home).signing.kid} if has_log else set()))


def waiting_in(home: Path) -> Mapping[Path, str | None]:
    """Return the folders in *home* where keys of an earlier request may be, with the kid of the signing key; None for a TLS key."""
    # In a folder that was lost whole, the keys of the first request are in place of the ones in use.
    tls, folders = Tls(home), (home / "keys", home / "keys" / NEXT)
    pairs = {each: kids["signing"] for each in folders if "signing" in (kids := Identity.kids_in(each))}
    return {**pairs, **({tls.next_key.parent: None} if certificate.waits(tls) else {})}


def named_again(request: Request, waiting: Mapping[Path, str | None]) -> tuple[Path, ...]:
    """Return the folders of *waiting*, as they were before *request* was made, whose keys it names: a TLS key always."""
    # Keys that the directory has may have waited there, too. Letters are sealed to those, so nobody is told to move them.
    signing = verify_key(request.entry.signing).kid
    return tuple(folder for folder, kid in waiting.items() if kid in (None, signing))


def _wanted(
    identity: Identity,
    role: str,
    supervisor: str | None,
    contact: Contact | None,
    csr: str | None,
    log: LogEntry | None,
) -> joining.Wanted:
    witness = (
        None if identity.agency in SERVICES else identity.witness.public
    )  # the bus's own services are no witnesses
    return joining.Wanted(
        identity.agency, role, identity.signing.public, identity.sealing.public, witness,
        supervisor=supervisor, contact=contact, log=log, csr=digest(csr) if csr else None,
    )  # fmt: skip


def is_vouched(request: Request) -> bool:
    """Return whether the key before signed *request* too, beside the new keys that `_proving` names."""
    return len(request.entry.asked) > (1 if request.entry.agency in SERVICES else 2)


def _proving(identity: Identity) -> list[SigningKey]:
    return [identity.signing] if identity.agency in SERVICES else [identity.signing, identity.witness]


async def ask_to_leave(folder: BusFolder, agency: str, cases: Mapping[str, str | None]) -> Request:
    """Return the request of an agency that leaves. *cases* has the new holder of each case, or None for a deleted case.

    Raises:
        DirectoryError: ``agency_unknown``; ``supervises_others``.
    """
    home = folder.agency(agency).path
    directory, key = await read_as(folder, home), Identity.at(home, agency).signing
    _see_that_nobody_is_supervised(directory, agency)
    now = await time_of(folder, folder.reach(home))
    said = [
        Disposal(bus=directory.bus, agency=agency, case=case, outcome="handed_over" if to else "deleted", to=to, at=now)
        for case, to in sorted(cases.items())
    ]
    disposals = tuple(disposed(each, key) for each in said)
    entry = joining.repeated(directory, agency, "retired", made=now)
    entry = joining.changed(entry, **({"cases": digest(*disposals)} if disposals else {}))
    return Request(entry=joining.asked_by(entry, [key]), disposals=disposals)


def _see_that_nobody_is_supervised(directory: Directory, agency: str) -> None:
    # Its breaches, and an emergency access to its cases, would be reported to an agency that is gone, and to nobody else.
    for each in directory.roll.agencies.values():
        if each.last.supervisor == agency and each.states[-1][1] != "retired":
            raise DirectoryError("supervises_others")


async def check(folder: BusFolder, agency: str, request: Request | None) -> tuple[str, Request | None]:
    """See at the agency how far its admission is, and do its next step.

    ``waiting``: two admitters have not signed. ``opened``: it opened the challenge, and the request that is answered has
    to go to the operator. ``pending``: its new keys hold later. ``current``: its keys, and its desk may start.

    Raises:
        DirectoryError: ``challenge_unopened``; ``certificate_altered`` where *request* came back with another authority;
            ``certificate_missing`` where none has come yet.
        KeyElsewhere: the certificate in *request* is over a key that is not here.
    """
    home = AgencyFolder(home_of(folder, agency))
    if request is not None and request.certificate and request.ca:
        came, operator = (request.certificate, request.ca, request.word), operator_key(folder.path)
        believe(folder.settings.bus, agency, *came, operator)
        certificate.keep(Tls(home.path), request.certificate.encode(), request.ca.encode())
    if folder.settings.tls and not Tls(home.path).certificate.exists():
        raise DirectoryError("certificate_missing")
    directory = await read_as(folder, home.path)
    standing, identity = directory.roll.agencies.get(agency), Identity.at(home.path, agency)
    if standing is None or not {standing.periods[-1].kids.signing} <= identity.kids:
        return "waiting", None
    now, newest = await time_of(folder, folder.reach(home.path)), standing.periods[-1]
    if newest.confirmed is None:
        secret = joining.opened(newest.entry, identity.opening.values())
        keys = identity if newest.kids.signing == identity.signing.kid else Identity.next_at(home.path, agency)
        entry = joining.repeated(directory, agency, "confirmed", made=now, opened=secret)
        return "opened", Request(entry=joining.asked_by(entry, [keys.signing]))
    if now < max(newest.since, newest.confirmed):
        return "pending", None
    if identity.signing.kid != newest.kids.signing:
        identity.promote(home.path)
    if agency not in SERVICES and not home.agency_json.exists():
        who = {"agency": agency, "role": standing.last.role}
        write_json(
            home.agency_json, who | ({"supervisor": standing.last.supervisor} if standing.last.supervisor else {})
        )
    return "current", None


# -- at an admitter --------------------------------------------------------------------------------------------------


async def seen_by_admitter(folder: BusFolder, known: Path | None = None) -> tuple[Directory, datetime]:
    """Return the directory and the time by which an admitter signs; from the file *known* if the broker denies access.

    The file shows the topic as of its writing. Later entries are checked where the signed file is entered.

    Raises:
        DirectoryError: ``certificate_missing``; an entry in the file cannot be believed.
        OSError: the file cannot be read.
    """
    if known is not None:
        return read_file(folder, known), wall_now()
    home = reader_of(folder)
    return await read_as(folder, home), await time_of(folder, folder.reach(home))


async def propose(folder: BusFolder, agency: str, kind: Kind, known: Path | None = None) -> Request:
    """Return an admitter's request to suspend or resume *agency*; *known* as for `seen_by_admitter`."""
    directory, now = await seen_by_admitter(folder, known)
    return Request(entry=joining.repeated(directory, agency, kind, made=now))


def admitter_of(folder: BusFolder, name: str | None, directory: Directory) -> Admitter:
    """Return the admitter who acts here: *name*, or the only one that *directory* lists and whose key is here.

    Raises:
        DirectoryError: ``admitter_key_missing``, or ``admitter_unnamed`` where several could.
    """
    kids = directory.roll.admitter_kids
    here = {each.name: each for each in Admitter.here(folder.path) if name is not None or each.key.kid in kids}
    if name is None and len(here) == 1:
        return next(iter(here.values()))
    if name is None and here:
        raise DirectoryError("admitter_unnamed")
    if name is None or name not in here:
        raise DirectoryError("admitter_key_missing")
    return here[name]


def sign(
    directory: Directory, request: Request, admitter: Admitter, at: datetime, open_cases: Collection[str] = ()
) -> Request:
    """Return *request* with one more admitter's signature; the first sets the start time, and makes the challenge.

    Raises:
        DirectoryError: it cannot be admitted; the code says why.
    """
    entry = request.entry
    directory.check_request(entry)
    if entry.kind == "retired":
        _see_that_nobody_is_supervised(directory, entry.agency)
    if entry.kind == "retired" and not set(open_cases) <= disposed_cases(directory, request):
        raise DirectoryError("case_open")
    if admitter.key.kid not in directory.roll.admitter_kids:
        raise DirectoryError("admitter_unknown")
    if admitter.key.kid in {each.keyid for each in entry.admitted}:
        raise DirectoryError("admitter_twice")
    if not entry.admitted:
        entry = joining.challenged(joining.holding_from(directory, entry, at))
        if entry.lacks_overlap:  # nobody after the first admitter can mend it
            raise DirectoryError("overlap_missing")
    entry = joining.admitted_by(entry, admitter.key)
    if len(entry.admitted) >= TWO:
        directory.checked(joining.changed(entry, number=directory.number + 1))
    return request.having(entry)


def operator_of(folder: BusFolder) -> Operator:
    """Return the operator, whose key is in this folder. Raise DirectoryError ``not_operator``."""
    # Made on first use where a bus is set up; here a fresh one would be nobody's.
    if not is_operator(folder):
        raise DirectoryError("not_operator")
    return Operator(folder.path)


# -- at the operator -------------------------------------------------------------------------------------------------


def is_operator(folder: BusFolder) -> bool:
    """Return whether the operator's key is in this folder."""
    return (folder.keys / "operator.seed").exists()


def is_complete(request: Request) -> bool:
    """Return whether only the operator's number is missing."""
    return request.entry.kind == "confirmed" or len(request.entry.admitted) >= TWO


async def enter(folder: BusFolder, request: Request) -> Request:
    """Number and publish an admitted or confirmed entry, update the broker, and issue a requested certificate.

    If the agency's newest entry is this one already and *request* lacks the certificate, only that is issued, again: the
    command may have been cut before it wrote the first, without which the agency reaches nothing.

    Raises:
        DirectoryError: the request is not complete, or not believed; ``certificates_many``.
    """
    if not is_complete(request):
        raise DirectoryError("not_yet_two")
    async with numbering(folder):
        await catch_up(folder)
        return await _enter(folder, request)


async def _enter(folder: BusFolder, request: Request) -> Request:
    operator, directory, entry = operator_of(folder), await read_directory(folder), request.entry
    if request.csr is not None and request.certificate is None and _is_entered(directory, entry):
        return await _certified_again(folder, directory, request)
    raw = operator.number(entry, directory)
    everybody = sorted({*directory.entries, entry.agency, *RUNNING})
    directory.add(raw)
    settings = folder.settings
    await asyncio.to_thread(topics.apply, folder.as_operator, everybody, settings.partitions, play=settings.play)
    issued = await asyncio.to_thread(_at_the_gate, folder, request, await _waits(folder, entry))
    await publish(folder, [raw, operator.head(directory, wall_now(), folder.addresses)])
    came = operator.vouched(directory.bus, entry.agency, *issued) if issued else ()
    return request.having(entry, *came)


async def _waits(folder: BusFolder, entry: Entry) -> timedelta:
    """Return how long *entry*'s keys have still to wait, if they replace lost ones."""
    waits = entry.valid_from - await time_of(folder, folder.as_operator) if entry.kind == "lost" else timedelta()
    return max(waits, timedelta())


def _is_entered(directory: Directory, entry: Entry) -> bool:
    newest = directory.entries.get(entry.agency)
    return newest is not None and joining.changed(entry, number=newest.number) == newest


async def _certified_again(folder: BusFolder, directory: Directory, request: Request) -> Request:
    agency, authority = request.entry.agency, Authority(folder)
    if request.csr is None or await _waits(folder, request.entry):
        return request
    if authority.count(agency, None, certificate.now()) >= MOST:
        raise DirectoryError("certificates_many")
    issued = authority.issue(agency, request.csr.encode())
    await asyncio.to_thread(Gate(folder).apply)
    came = operator_of(folder).vouched(directory.bus, agency, issued, authority.brokers_ca)
    return request.having(request.entry, *came)


def _at_the_gate(folder: BusFolder, request: Request, waits: timedelta) -> tuple[bytes, bytes] | None:
    """Update the broker's access for *request*, effective after *waits*; return a certificate if one is due now."""
    gate, entry, authority, issued = Gate(folder), request.entry, Authority(folder), None
    if waits:  # until then the owner of the old key is there, hears of it, and may object; nobody else is let in
        authority.end(entry.agency, certificate.now() + waits)
    elif entry.kind in CHANGES_KEYS:
        authority.end(entry.agency, None)
    if entry.kind == "retired" or (entry.kind == "lost" and not waits):
        gate.revoke(entry.agency)
    if entry.kind in ("suspended", "retired"):
        gate.suspend(entry.agency)
    if entry.kind == "resumed":
        gate.admit_again(entry.agency)
    if request.csr is not None and not waits:
        issued = (authority.issue(entry.agency, request.csr.encode()), authority.brokers_ca)
    gate.apply()
    return issued


async def publish(folder: BusFolder, records: Iterable[bytes]) -> None:
    """Write *records* into the topic, in order."""
    async with clients.producer(folder.as_operator, command=True) as producer:
        for raw in records:
            await producer.send_and_wait(DIRECTORY, value=raw, partition=0)


async def sign_head(folder: BusFolder) -> Directory:
    """Sign how far the directory goes now, as the operator does every hour; the directory."""
    async with numbering(folder):
        directory = await read_directory(folder)
        await publish(folder, [operator_of(folder).head(directory, wall_now(), folder.addresses)])
    return directory
