"""Figures of the cost of a closed bus, as the README shows them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median
from typing import Final

from certificates import AGENCIES, Certificates
from closed import Checking, Closed, Lettered
from ledgers import LETTERS, Ledgers
from sealing import READERS, Sealing, Spread, ranged
from throughput import Round, Side, spread

WRAPS_A_SECOND: Final = 12_000
UNWRAPS_A_SECOND: Final = 18_000
"""Aims of the design, for one processor."""

Pair = tuple[Sequence[Side], Sequence[Side]]
_STEPS: Final[tuple[tuple[str, Callable[[Side], float]], ...]] = (
    ("the registrar's own CPU an event, µs", lambda side: side.run.cpu),
    ("the broker's CPU an event, µs", lambda side: side.run.broker),
    ("events in a transaction", lambda side: side.run.batch),
)


def lines(
    rounds: Sequence[Round], closed: Sequence[Closed], checked: Checking, sealed: Sealing, kept: Ledgers,
    certified: Certificates, readings: Sequence[float],
) -> Iterator[str]:  # fmt: skip
    """Return everything about a closed bus, as lines of Markdown."""
    yield from compared(
        "what being closed costs: events without a letter",
        ("plain text", "closed"),
        ([each.registrar for each in rounds], [each.spine for each in closed]),
    )
    plain, tls = spread(certified.plain), spread(certified.tls)
    for which in ("p50", "p99"):
        yield row(f"a connection, to the first answer, {which}, ms", (plain[which], tls[which]), 1)
    yield ""
    bare, with_letter = [each.bare for each in closed], [each.sealed for each in closed]
    yield from compared(
        "what letters cost: referrals on a closed bus",
        ("without a letter", "with one"),
        ([each.side for each in bare], [each.side for each in with_letter]),
    )
    parts: tuple[tuple[str, Callable[[Lettered], float]], ...] = (
        ("in", lambda each: each.bytes_in),
        ("out", lambda each: each.bytes_out),
    )
    for name, of in parts:
        yield row(f"bytes {name} an event", (median(map(of, side)) for side in (bare, with_letter)), 0)
    for name, both in checked.steps.items():
        yield row(f"one thread: {name}, µs", both, 0)
    for name, value in checked.more.items():
        yield f"| … of the judging: {name}, µs | | {value:.0f} | |"
    yield ""
    yield from _letters(sealed)
    yield ""
    yield from _at_a_desk(sealed, kept, readings)
    yield ""
    yield "| certificates and rights | |"
    yield "| --- | --- |"
    yield f"| issue a certificate, ms | {certified.issued:.1f} |"
    yield f"| have the broker keep the rights of {AGENCIES} agencies, s | {certified.applied:.2f} |"
    yield f"| … again, nothing changed, s | {certified.again:.2f} |"


def compared(title: str, sides: tuple[str, str], pair: Pair) -> Iterator[str]:
    """Return rows for events a second, CPU and the way to the inbox, of two sides over the same rounds."""
    yield f"| {title} | {sides[0]} | {sides[1]} | {sides[1]} / {sides[0]} |"
    yield "| --- | --- | --- | --- |"
    yield row("events a second", (median(each.run.rate for each in side) for side in pair), 0)
    low_high = [sorted(each.run.rate for each in side) for side in pair]
    yield f"| … lowest and highest round | {' | '.join(f'{rates[0]:,.0f} – {rates[-1]:,.0f}' for rates in low_high)} | |"
    for name, of in _STEPS:
        yield row(name, (median(map(of, side)) for side in pair), 0)
    way = [spread([value for each in side for value in each.ways]) for side in pair]
    for which in ("p50", "p99"):
        yield row(f"publish to inbox, {which}, ms", (each[which] for each in way), 1)


def row(name: str, both: Iterable[float], digits: int) -> str:
    """Return one row: both figures, and the first divided by the second."""
    first, second = both
    return f"| {name} | {first:,.{digits}f} | {second:,.{digits}f} | {second / first:.2f} |"


def _letters(sealed: Sealing) -> Iterator[str]:
    yield f"| a letter of one part, by padded size, ms | {' | '.join(f'seal to {count}' for count in READERS)} | open |"
    yield "| --- |" + " --- |" * (len(READERS) + 1)
    for size, (sealing, opening) in sealed.letters.items():
        cells = [f"{each['p50']:.2f}" for each in (*(sealing[count] for count in READERS), opening)]
        yield f"| {size // 1024} KiB | {' | '.join(cells)} |"


def _at_a_desk(sealed: Sealing, kept: Ledgers, readings: Sequence[float]) -> Iterator[str]:
    yield "| at a desk, one thread | median | lowest – highest | aim |"
    yield "| --- | --- | --- | --- |"
    yield jumping("wrap a key for a reader, a second", sealed.wraps, 0, f"≥ {WRAPS_A_SECOND:,}")
    yield jumping("unwrap it, a second", sealed.unwraps, 0, f"≥ {UNWRAPS_A_SECOND:,}")
    yield jumping("write and sign an event, µs", sealed.signing, 0)
    yield jumping("verify its signature, µs", sealed.verifying, 0)
    yield jumping("open a sealed key file, the first of a process (scrypt), ms", sealed.scrypt, 0)
    yield jumping("… another of the same, ms", sealed.next_key, 2)
    yield f"| keep a letter of four parts under the key of its case, ms | {kept.keeping:.2f} | | |"
    yield jumping(f"hand {LETTERS:,} letters over at the end of an epoch, s", kept.hand_over, 2)
    yield jumping("erase a case, confirmed, ms", ranged(kept.erasures), 1)
    way = spread(readings)
    yield f"| a letter read at the door, on record first, on a whole bus, p50, ms | {way['p50']:.0f} | {min(readings):.0f} – {max(readings):.0f} | |"
    yield f"| … p99, ms | {way['p99']:.0f} | | |"


def jumping(name: str, found: Spread, digits: int, aim: str = "") -> str:
    """Return one row: the median, with the lowest and highest figure."""
    low, high = f"{found['low']:,.{digits}f}", f"{found['high']:,.{digits}f}"
    return f"| {name} | {found['p50']:,.{digits}f} | {low} – {high} | {aim} |"
