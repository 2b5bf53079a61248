"""Keys of stored letters: a copy of each part's content key in the ledger, under a random key of its case.

The key of a case is sealed to the agency's sealing key in use, and again to each successor. So letters still open
after a sealing key is destroyed; after the key of a case is destroyed, no letter of the case opens.
"""

import os
from collections.abc import Collection, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, delete, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import replaced
from nrmbus.events.model import Part
from nrmbus.wire import ids
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.letter import Container, Place

_KEY: Final = 32
_IV: Final = 12
_CASES, _KEYS, _OUTBOX = tables.case_keys.c, tables.letter_keys.c, tables.outbox.c
_OWN_LETTER: Final = select(_OUTBOX.letter).where(
    _OUTBOX.subject == bindparam("subject"), _OUTBOX.id == bindparam("id")
)
_PUT_KEYS: Final = upsert(tables.letter_keys).on_conflict_do_nothing()
_PUT_CASE_KEY: Final = replaced(tables.case_keys, "kid", "sealed")
_CASE_KEY: Final = select(tables.case_keys).where(_CASES.subject == bindparam("subject"))


def _info(seat: Seat, subject: str, kid: str) -> bytes:
    return b"nrmbus/case-key/v1\0" + b"".join(map(ids.lp, (seat.bus, seat.me, subject, kid)))


def _aad(place: Place, part: str) -> bytes:
    return b"nrmbus/kept/v1\0" + b"".join(map(ids.lp, (place.bus, place.source, place.id, place.subject, part)))


def place_of(seat: Seat, signed: Signed) -> Place:
    """Return the place of the letter of *signed*."""
    return Place(seat.bus, signed.source, signed.id, signed.subject)


# -- keeping ---------------------------------------------------------------------------------------------------------


def keep(seat: Seat, tx: Connection, signed: Signed) -> None:
    """Store within *tx* the content keys of the letter of *signed*, received or this agency's own.

    A letter that cannot be opened is left as it is; the receipt reports this. No content is read here, so no reading
    is recorded.
    """
    raw = signed.letter_bytes
    if signed.source == seat.me and signed.sealeddigest is not None:
        raw = tx.scalar(_OWN_LETTER, {"subject": signed.subject, "id": signed.id})
    if raw is not None:
        keep_letter(seat, tx, raw, place_of(seat, signed))


def keep_letter(seat: Seat, tx: Connection, raw: bytes, place: Place) -> None:
    """Store the content keys of the letter *raw* that belongs to *place*. Idempotent."""
    secrets: dict[Part, bytes] = {}
    try:
        secrets = Container.parse(raw).unwrap(seat.me, seat.identity.opening, place)
    except (LetterClosed, WireError):
        secrets = {}
    _keep(seat, tx, place, secrets)


def _keep(seat: Seat, tx: Connection, place: Place, secrets: Mapping[Part, bytes]) -> None:
    if not secrets:
        return
    key = case_key(seat, tx, place.subject) or _new_case_key(seat, tx, place.subject)
    rows = []
    for part, secret in secrets.items():
        iv = os.urandom(_IV)
        sealed = iv + AESGCM(key).encrypt(iv, secret, _aad(place, part))
        rows.append(
            {"subject": place.subject, "source": place.source, "event": place.id, "part": part, "sealed": sealed}
        )
    tx.execute(_PUT_KEYS, rows)


def _new_case_key(seat: Seat, tx: Connection, subject: str) -> bytes:
    key = os.urandom(_KEY)
    # A ledger from an old backup may have a case key that no sealing key opens any more: then replace the case key.
    tx.execute(_PUT_CASE_KEY, {"subject": subject, **_sealed(seat, subject, key)})
    return key


def _sealed(seat: Seat, subject: str, key: bytes) -> dict[str, str | bytes]:
    to = seat.identity.sealing.seal_to
    return {"kid": to.kid, "sealed": to.wrap(key, _info(seat, subject, to.kid))}


# -- opening ---------------------------------------------------------------------------------------------------------


def case_key(seat: Seat, tx: Connection, subject: str) -> bytes | None:
    """Return the key of a case; None if there is none, or if its sealing key was destroyed."""
    row = tx.execute(_CASE_KEY, {"subject": subject}).first()
    own = seat.identity.opening.get(row.kid) if row is not None else None
    if row is None or own is None:
        return None
    try:
        return own.open(row.sealed, _info(seat, subject, row.kid))
    except LetterClosed:
        return None


def secrets_of(seat: Seat, tx: Connection, place: Place) -> dict[Part, bytes]:
    """Return the stored content keys of a letter, by part; empty if there are none, or if they no longer open."""
    key = case_key(seat, tx, place.subject)
    if key is None:
        return {}
    of_letter = (_KEYS.subject == place.subject) & (_KEYS.source == place.source) & (_KEYS.event == place.id)
    found: dict[Part, bytes] = {}
    for row in tx.execute(select(_KEYS.part, _KEYS.sealed).where(of_letter)):
        try:
            found[row.part] = AESGCM(key).decrypt(row.sealed[:_IV], row.sealed[_IV:], _aad(place, row.part))
        except InvalidTag:
            return {}
    return found


def forget(seat: Seat, tx: Connection, subject: str, gone: Collection[tuple[str, str]]) -> None:
    """Destroy within *tx* the keys of the letters *gone* (source and id) of a case; other letters open as before.

    The case gets another key: with today's ledger and an older one, a letter in *gone* opens only by the sealing key
    of its epoch.
    """
    rows = tx.execute(select(tables.letter_keys).where(_KEYS.subject == subject)).all()
    left = [Place(seat.bus, row.source, row.event, subject) for row in rows if (row.source, row.event) not in gone]
    secrets = {place: secrets_of(seat, tx, place) for place in dict.fromkeys(left)}
    tx.execute(delete(tables.letter_keys).where(_KEYS.subject == subject))
    tx.execute(delete(tables.case_keys).where(_CASES.subject == subject))
    for place, found in secrets.items():
        _keep(seat, tx, place, found)


# -- from one sealing key to the next --------------------------------------------------------------------------------


def is_behind(seat: Seat, tx: Connection) -> bool:
    """Return whether any case key is sealed to another sealing key of this agency than the one in use."""
    used = set(tx.execute(select(_CASES.kid).distinct()).scalars())
    return bool((used & seat.identity.opening.keys()) - {seat.identity.sealing.kid})


def keep_all(seat: Seat, tx: Connection) -> None:
    """Store the content keys of every remaining letter that opens, except letters of refused and unsent events.

    Refused and unsent letters belong to no case, so a case erasure would miss them.
    """
    events, outbox = tables.events.c, tables.outbox.c
    of_case, of_event = _KEYS.subject, _KEYS.event
    came = select(events.subject, events.source, events.id, events.letter).where(
        events.letter.is_not(None),
        ~exists().where(of_case == events.subject, _KEYS.source == events.source, of_event == events.id),
    )
    said = select(outbox.subject, outbox.id, outbox.letter).where(
        outbox.letter.is_not(None),
        or_(outbox.verdict.is_(None), outbox.verdict == "registered"),
        ~exists().where(of_case == outbox.subject, _KEYS.source == seat.me, of_event == outbox.id),
    )
    for row in tx.execute(came).all():
        keep_letter(seat, tx, row.letter, Place(seat.bus, row.source, row.id, row.subject))
    for own in tx.execute(said).all():
        keep_letter(seat, tx, own.letter, Place(seat.bus, seat.me, own.id, own.subject))


def hand_over(seat: Seat, tx: Connection) -> int:
    """Seal every case key to the sealing key in use; return the number of cases.

    After this, `keep_all` and their commit, this ledger needs no other sealing key.
    """
    count = 0
    others = select(_CASES.subject).where(_CASES.kid != seat.identity.sealing.kid)
    for subject in tx.execute(others).scalars().all():
        key = case_key(seat, tx, subject)
        if key is not None:
            again = update(tables.case_keys).where(_CASES.subject == subject)
            tx.execute(again.values(**_sealed(seat, subject, key)))
            count += 1
    return count
