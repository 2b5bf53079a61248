"""Anonymous intake as the hotline's desk keeps it: the key that messages are sealed to, and their change of keys."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from nrmbus.desk.state.context import Seat
from nrmbus.intake.messages import Hotline
from nrmbus.intake.store import IntakeStore, wall_time
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys.keys import SealingKey, SealTo

AGAIN: Final = timedelta(minutes=1)
"""Time between two looks, unless the key has changed."""


async def tend(seat: Seat, home: Path) -> None:
    """Do everything due in the intake file of *home*, if this agency has one.

    The desk names its sealing key, with the time, so that the public page knows how long nobody was there to read; seals
    messages to it that were sealed to an earlier key, before that key is destroyed; and deletes what is older than kept.

    Raises:
        sqlite3.Error, StoreFull: the file cannot be written; no key may be destroyed now.
    """
    if IntakeStore.is_at(home):
        identity = seat.identity
        hotline = Hotline(seat.bus, seat.me)
        await asyncio.to_thread(_tend, home, hotline, identity.opening, identity.sealing.seal_to, wall_time())


def _tend(home: Path, hotline: Hotline, keys: Mapping[str, SealingKey], to: SealTo, now: datetime) -> None:
    store = IntakeStore.of_desk(home)
    try:
        told = store.key_kid == to.kid and store.seen is not None and now - store.seen < AGAIN
        if told and next(store.behind(to.kid), None) is None:
            return
        store.tell(to, now)
        for ref, public, message in store.behind(to.kid):
            holder = SealTo(public) if message.who is not None else None
            try:
                again = hotline.sealed_again(message.letter, keys, to, holder, id=message.id, ref=ref)
            except LetterClosed:  # from an old backup: its key is gone, and the list says that it does not open
                continue
            store.replace(message.id, again, to.kid)
        store.expire(now)
    finally:
        store.close()
