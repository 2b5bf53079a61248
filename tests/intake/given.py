"""An intake file with a hotline's key, and a person with a code."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from nrmbus.intake.codes import Holder
from nrmbus.intake.messages import Hotline, Written
from nrmbus.intake.store import IntakeStore
from nrmbus.wire.keys.keys import SealingKey

NOW = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)
CANARY = "CANARY-they took my passport"
HOTLINE = Hotline("play-0123456789abcdef", "hotline")
KEY = SealingKey(b"\x21" * 32)
WRITTEN = Written(CANARY, "az", "myself", "phone", "CANARY +994 00 000 00 09", "CANARY at night")
ID = "0190a7d0-0000-7000-8000-000000000001"


def holder(seed: int = 1) -> Holder:
    """Return a person's keys as a code would give them, without its cost."""
    return Holder.of_raw(bytes([seed]) * 48)


def opened(home: Path) -> IntakeStore:
    """Return the file with the hotline's key in it."""
    store = IntakeStore(home)
    store.tell(KEY.seal_to, NOW)
    return store


def take(
    store: IntakeStore, who: Holder, id: str = ID, written: Written = WRITTEN, *, danger: bool = False,
    hotline: Hotline = HOTLINE,
) -> None:  # fmt: skip
    """Store what *who* wrote to *hotline*."""
    store.take(who, id, lambda to: hotline.seal(written, to, id=id, ref=who.ref), now=NOW, danger=danger)


def days_pass(store: IntakeStore, days: int, since: datetime = NOW) -> int:
    """Look once a day for messages that are too old, *days* days long; return how many threads went."""
    return sum(store.expire(since + timedelta(days=day + 1)) for day in range(days))


def on_disk(home: Path) -> bytes:
    """Return everything that lies in the agency's folder."""
    return b"".join(each.read_bytes() for each in sorted(home.rglob("*")) if each.is_file())
