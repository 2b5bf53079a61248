"""Steps from one `Entry` to the next by agencies and admitters; no file and no topic here."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import (
    CHANGES_KEYS,
    NOTHING_BEFORE,
    SIGNATURES,
    AdmitterKey,
    Admitters,
    Challenge,
    Contact,
    Entry,
    Kind,
    LogEntry,
    admission_of,
    body_of,
    challenge_digest,
    challenge_info,
    digest_of,
    request_of,
)
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import TO_AGREE, WITHOUT_OLD_KEY
from nrmbus.directory.signatures import sign
from nrmbus.wire import base64, json, times
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys.keys import SealingKey, SealTo, SigningKey

OVERLAP: Final = timedelta(hours=72)
"""How long old keys stay good for what is under way, unless an agency asks for another time."""

Admission = TypeVar("Admission", Entry, Admitters)
_SECRET: Final = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """Requested entry of an agency: its name, role and public keys."""

    agency: str
    role: str
    signing: bytes
    sealing: bytes
    witness: bytes | None = None
    supervisor: str | None = None
    contact: Contact | None = None
    log: LogEntry | None = None
    csr: str | None = None


def changed(entry: Admission, **members: Any) -> Admission:
    """Return *entry* with other *members*, in JSON types."""
    return type(entry).model_validate_json(json.dumps({**body_of(entry), **members}))


def _place(directory: Directory, agency: str) -> dict[str, Any]:
    standing = directory.roll.agencies.get(agency)
    return {
        "bus": directory.bus,
        "number": directory.number + 1,
        "agency": agency,
        "step": standing.last.step + 1 if standing else 1,
        "previous": standing.digest if standing else NOTHING_BEFORE,
    }


def proposed(
    directory: Directory, wanted: Wanted, kind: Kind, *, made: datetime, until: datetime | None = None
) -> Entry:
    """Return the unsigned entry that would bring the keys of *wanted*."""
    return Entry(
        **_place(directory, wanted.agency),
        kind=kind,
        role=wanted.role,
        supervisor=wanted.supervisor,
        contact=wanted.contact,
        signing=base64.encode(wanted.signing),
        sealing=base64.encode(wanted.sealing),
        witness=None if wanted.witness is None else base64.encode(wanted.witness),
        log=wanted.log,
        csr=wanted.csr,
        until=until,
        made=made,
        valid_from=made,
    )


def repeated(directory: Directory, agency: str, kind: Kind, *, made: datetime, opened: str | None = None) -> Entry:
    """Return the unsigned entry that changes the state of *agency* (or confirms its sealing key) and repeats its keys.

    Raises:
        DirectoryError: ``agency_unknown``.
    """
    last = directory.entries.get(agency)
    if last is None:
        raise DirectoryError("agency_unknown")
    kept = ("role", "supervisor", "contact", "signing", "sealing", "witness", "log")
    same = {name: getattr(last, name) for name in kept}
    return Entry(**_place(directory, agency), kind=kind, **same, made=made, valid_from=made, opened=opened)


def asked_by(entry: Entry, keys: Iterable[SigningKey]) -> Entry:
    """Return *entry* with the agency's signatures, one per key."""
    by_kid = {key.kid: key for key in keys}
    return changed(entry, asked=[body_of(sign("request", request_of(entry), key)) for key in by_kid.values()])


def listed(directory: Directory, admitters: Iterable[AdmitterKey], head: str) -> Admitters:
    """Return the next list of admitters, unsigned; *head*: the public key that signs heads, base64."""
    before = directory.roll.admitters
    return Admitters(
        bus=directory.bus,
        number=directory.number + 1,
        admitters=tuple(admitters),
        head=head,
        previous=digest_of(before) if before else NOTHING_BEFORE,
    )


def admitted_by(entry: Admission, key: SigningKey) -> Admission:
    """Return *entry* with one more admitter's signature.

    Raises:
        DirectoryError: ``admission_invalid``: it has as many as there may be, so most of them are not an admitter's.
    """
    if len(entry.admitted) >= SIGNATURES:
        raise DirectoryError("admission_invalid")
    return changed(
        entry, admitted=[body_of(each) for each in (*entry.admitted, sign("admission", admission_of(entry), key))]
    )


def holding_from(directory: Directory, entry: Entry, at: datetime) -> Entry:
    """Return *entry* with the time from which it holds, set by the first admitter: *at*, or later without the old key.

    The owner of the old key has 72 hours to object once the entry is in the directory, and entering it may take a day.
    """
    standing = directory.roll.agencies.get(entry.agency)
    effective = standing.effective(at) if standing else ()
    vouched = not effective or effective[-1].kids.signing in {each.keyid for each in entry.asked}
    since = at if vouched or entry.kind != "lost" else at + TO_AGREE + WITHOUT_OLD_KEY
    return changed(entry, made=times.write(at), valid_from=times.write(since))


def challenged(entry: Entry, secret: bytes | None = None) -> Entry:
    """Return *entry* with a challenge to its sealing key, if the entry brings one."""
    if entry.kind not in CHANGES_KEYS:
        return entry
    held = secret or os.urandom(_SECRET)
    seal_to = SealTo(base64.read(entry.sealing) or b"")
    info = challenge_info(entry.bus, entry.agency, entry.step, seal_to.kid)
    made = Challenge(sealed=base64.encode(seal_to.wrap(held, info)), digest=challenge_digest(held))
    return changed(entry, challenge=body_of(made))


def opened(entry: Entry, keys: Iterable[SealingKey]) -> str:
    """Return the secret in the challenge of *entry*, opened by the agency that owns the sealing key.

    Raises:
        DirectoryError: ``challenge_missing``; ``challenge_unopened`` where none of *keys* opens it.
    """
    if entry.challenge is None:
        raise DirectoryError("challenge_missing")
    sealed, secret = base64.read(entry.challenge.sealed) or b"", None
    for key in keys:
        info = challenge_info(entry.bus, entry.agency, entry.step, key.kid)
        if base64.encode(key.public) == entry.sealing:
            with suppress(LetterClosed):
                secret = key.open(sealed, info)
    if secret is None or challenge_digest(secret) != entry.challenge.digest:
        raise DirectoryError("challenge_unopened")
    return base64.encode(secret)
