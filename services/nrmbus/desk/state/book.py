"""Stored book of the agency's procedure: sealed to this desk, since a book contains facts from letters.

A shelter's book says for whom a bed is held (a woman, a man or a child); only the recipients of that letter may know
this.
"""

import json
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.wire import base64, ids
from nrmbus.wire.errors import LetterClosed

TASK: Final = "book_closed"
SENTENCE: Final = (
    "What the desk kept over all cases, its beds say, is sealed to a key that was destroyed since: this ledger is older than "
    "that. It begins with nothing kept: see what was promised, and to whom."
)
_BOOK: Final = tables.book.c


def _info(seat: Seat, procedure: str) -> bytes:
    return b"nrmbus/book/v1\0" + b"".join(map(ids.lp, (seat.bus, seat.me, procedure)))


def store(seat: Seat, tx: Connection, procedure: str, state: bytes) -> None:
    """Keep *state* within *tx*, sealed to the key in use."""
    to = seat.identity.sealing.seal_to
    sealed = json.dumps({"kid": to.kid, "sealed": base64.encode(to.wrap(state, _info(seat, procedure)))}).encode()
    statement = upsert(tables.book).values(procedure=procedure, state=sealed)
    tx.execute(statement.on_conflict_do_update(index_elements=["procedure"], set_={"state": sealed}))


def load(seat: Seat, procedure: str) -> tuple[bytes | None, bool]:
    """Return the stored state of *procedure*, and whether the key that it is sealed to was destroyed.

    The state is None if the procedure has heard nothing yet, or if the key was destroyed.
    """
    with seat.ledger.read() as tx:
        return load_within(seat, tx, procedure)


def load_within(seat: Seat, tx: Connection, procedure: str) -> tuple[bytes | None, bool]:
    """Return the same as `load`, as *tx* sees it."""
    found = tx.scalar(select(_BOOK.state).where(_BOOK.procedure == procedure))
    if found is None:
        return None, False
    state = _opened(seat, procedure, found)
    return state, state is None


def _kid(raw: bytes) -> str:
    """Return the id of the key that *raw* is sealed to."""
    return str(json.loads(raw)["kid"])


def _opened(seat: Seat, procedure: str, raw: bytes) -> bytes | None:
    body = json.loads(raw)
    own, sealed = seat.identity.opening.get(str(body["kid"])), base64.read(str(body["sealed"]))
    try:
        return own.open(sealed, _info(seat, procedure)) if own and sealed else None
    except LetterClosed:
        return None


def is_behind(seat: Seat, tx: Connection) -> bool:
    """Return whether a state is sealed to another key of this agency than the one in use."""
    kids = {_kid(raw) for raw in tx.execute(select(_BOOK.state)).scalars()}
    return bool((kids & seat.identity.opening.keys()) - {seat.identity.sealing.kid})


def hand_over(seat: Seat, tx: Connection) -> None:
    """Seal every stored state to the key in use, within *tx*."""
    for row in tx.execute(select(tables.book)).all():
        state = _opened(seat, row.procedure, row.state)
        if state is not None and _kid(row.state) != seat.identity.sealing.kid:
            store(seat, tx, row.procedure, state)
