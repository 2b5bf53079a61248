"""What keeping and destroying letters costs in a desk's ledger, in a file or on a server: each commit synced, as a desk does it."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from referrals import FROM, TO, Sealer, load
from sealing import Spread, ranged
from sqlalchemy import func, insert, select
from structlog.testing import capture_logs
from town import Town

from nrmbus.desk.desk import Desk
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import Place
from nrmbus.wire import times
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Place as Within

LETTERS: Final = 1_000
"""Each of a case of its own, with four parts for this desk."""
ERASED: Final = 50
HAND_OVERS: Final = 3
COMMITS: Final = 200
STATEMENTS: Final = 8
"""As many as a publication's transaction at the door or for its receipt has."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    """Milliseconds to keep a letter; seconds to hand `LETTERS` over, with lowest and highest; milliseconds an erasure, sorted."""

    keeping: float
    hand_over: Spread
    erasures: list[float]
    commits: list[float]
    """Milliseconds of a transaction with `STATEMENTS`, sorted."""
    cpu: float
    """Milliseconds of this process's CPU for one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A clock that shows one time."""

    time: datetime

    def now(self) -> datetime:
        """Return the time."""
        return self.time


async def ledgers(town: Town, place: Place, now: datetime) -> Ledgers:
    """A new ledger at *place* with `LETTERS`: they are kept, handed over to the next sealing key, and some cases erased."""
    ledger = await Ledger.open(place, bus=town.bus, agency=TO)
    seat = Seat(
        bus=town.bus, identity=town.identities[TO], ledger=ledger, directory=town.directory, rules=town.rules,
        agencies={}, clock=Standing(now),
    )  # fmt: skip
    try:
        sealer = Sealer(town.bus, town.directory, town.rules, letters=True)
        agencies = town.agencies(-(-LETTERS // len(FROM)), FROM, TO)
        came = [decode(each.record) for each in load(sealer, agencies, now, LETTERS, 0).counted]
        copies = [_copy(each) for each in came]
        await _store(ledger, came, copies, now)
        started = time.perf_counter()
        async with ledger.write() as tx:
            for signed, copy in zip(came, copies, strict=True):
                case_keys.keep_letter(seat, tx, copy, case_keys.place_of(seat, signed))
        keeping = (time.perf_counter() - started) / LETTERS * 1000
        hand_over = ranged([await _hand_over(seat, case_keys.place_of(seat, came[0])) for _ in range(HAND_OVERS)])
        seat.identity = town.identities[TO]  # nothing is erased under a key that the directory does not name
        erasures = await _erase(seat, [each.subject for each in came[:ERASED]])
        return Ledgers(keeping, hand_over, erasures, *await _commit(ledger))
    finally:
        await ledger.close()


async def _commit(ledger: Ledger) -> tuple[list[float], float]:
    """Milliseconds of each of `COMMITS` transactions, sorted; and of CPU, threads included."""
    took, cpu = list[float](), time.process_time()
    for number in range(COMMITS):
        started = time.perf_counter()
        async with ledger.write() as tx:
            for each in range(STATEMENTS // 2):
                ledger.set_sequence(tx, f"{number % 10}.{each}", ledger.next_sequence(tx, f"{number % 10}.{each}") + 1)
        took.append((time.perf_counter() - started) * 1000)
    return sorted(took), (time.process_time() - cpu) / COMMITS * 1000


def lines(found: dict[str, Ledgers]) -> Iterator[str]:
    """Yield the table of the ledgers *found*, by their kind."""
    yield f"| | {' | '.join(found)} |"
    yield f"| --- |{' --- |' * len(found)}"
    rows: dict[str, Callable[[Ledgers], str]] = {
        f"a transaction of {STATEMENTS} statements, p50, ms": lambda each: f"{each.commits[COMMITS // 2]:.1f}",
        "… p99, ms": lambda each: f"{each.commits[COMMITS * 99 // 100]:.1f}",
        "… the desk's CPU, ms": lambda each: f"{each.cpu:.2f}",
        "keep a letter of four parts under the key of its case, ms": lambda each: f"{each.keeping:.2f}",
        f"hand {LETTERS:,} letters over at the end of an epoch, s": lambda each: f"{each.hand_over['p50']:.2f}",
        "erase a case, confirmed, median, ms": lambda each: f"{ranged(each.erasures)['p50']:.1f}",
    }
    for name, of in rows.items():
        yield f"| {name} | {' | '.join(map(of, found.values()))} |"


def _copy(signed: Signed) -> bytes:
    container = signed.letter()
    assert container is not None
    return container.copy_for(TO)


async def _store(ledger: Ledger, came: list[Signed], copies: list[bytes], now: datetime) -> None:
    """The rows of letters that came: what the inbox leaves there, as far as keeping and erasing look at it."""
    rows = [
        rows_of(now, each.id, number, {"subject": each.subject, "source": each.source}, {
            "type": each.type, "headers": json.dumps(dict(each.attributes)).encode(), "value": each.data, "letter": copy,
        }) for number, (each, copy) in enumerate(zip(came, copies, strict=True), 1)
    ]  # fmt: skip
    async with ledger.write() as tx:
        tx.execute(insert(tables.inbox), [inbox for inbox, _ in rows])
        tx.execute(insert(tables.events), [event for _, event in rows])


_OF_NOBODY: Final = {"subject": "0" * 32, "source": "special-unit"}
_BARE: Final = {"type": "referral.submitted", "headers": b"{}", "value": b"{}"}


def rows_of(
    now: datetime, id: str, number: int, of: dict[str, str] = _OF_NOBODY, said: dict[str, Any] = _BARE
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of ``inbox`` and ``events`` of an event that was registered under *number*."""
    at = times.write(now)
    one = {"partition": 0, "inbox_number": number, "number": number, **of, "id": id}
    delivery = {"verdict": "registered", "digest": "", "delivery": b"", "registration": b"", "received": at}
    event = {"technical": 0, "time": at, "registered": at, "recipients": "[]", "parts": "[]", **said}
    return one | delivery, one | event


async def _hand_over(seat: Seat, place: Within) -> float:
    """Seconds; afterwards the new sealing key alone opens what is kept."""
    fresh, before = SealingKey.generate(), seat.identity.opening
    seat.identity = dataclasses.replace(seat.identity, sealing=fresh, opening={**before, fresh.kid: fresh})
    started = time.perf_counter()
    async with seat.ledger.write() as tx:
        count = case_keys.hand_over(seat, tx)
    took = time.perf_counter() - started
    assert count == LETTERS, f"{count} of {LETTERS} cases were handed over"
    before = seat.identity.opening
    seat.identity = dataclasses.replace(seat.identity, opening={fresh.kid: fresh})
    with seat.ledger.read() as tx:
        assert case_keys.secrets_of(seat, tx, place), "what was handed over does not open"
    seat.identity = dataclasses.replace(seat.identity, opening=before)
    return took


async def _erase(seat: Seat, subjects: list[str]) -> list[float]:
    """Milliseconds from the order until the desk has destroyed what opens the case, confirmed it, and emptied the log file."""
    desk, found = Desk(seat), []
    with capture_logs():  # it says of each that it was done
        for subject in subjects:
            async with seat.ledger.write() as tx:
                rounds.order(tx, subject, cause="", ground="decision", at=seat.stamp())
            started = time.perf_counter()
            assert await rounds.erase_due(desk) == (subject,)
            found.append((time.perf_counter() - started) * 1000)
    with seat.ledger.read() as tx:
        left = tx.scalar(select(func.count()).select_from(tables.case_keys))
    assert left == LETTERS - len(subjects), f"{left} keys of cases are left"
    return found
