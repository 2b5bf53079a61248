"""Cost of sealing at a desk, on one thread: letters by size and number of readers, one wrap, a signature, a passphrase."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from stages import timed
from throughput import spread
from town import Town

from nrmbus.play.load import stream
from nrmbus.wire import ids, letter
from nrmbus.wire.envelope import decode
from nrmbus.wire.keys.keyfile import Passphrase
from nrmbus.wire.keys.keys import SEED_BYTES, SealingKey

READERS: Final = (1, 4, 16)
LETTERS: Final = 100
WRAPS: Final = 2_000
SIGNATURES: Final = 2_000
ROUNDS: Final = 3
_ROOM: Final = 64
"""Bytes below a padded size that a part leaves for its length and its field's name."""

Spread = dict[str, float]


@dataclass(frozen=True, slots=True)
class Sealing:
    """*letters*: by padded size in bytes, milliseconds to seal one part to so many readers, and to open it.

    *wraps*, *unwraps*: a second. *signing*, *verifying*: microseconds. *scrypt*: milliseconds of a process's first sealed key, and of
    the next one. Each p50 with the lowest and highest of `ROUNDS`.
    """

    letters: dict[int, tuple[dict[int, Spread], Spread]]
    wraps: Spread
    unwraps: Spread
    signing: Spread
    verifying: Spread
    scrypt: Spread
    next_key: Spread


def sealing(town: Town, now: datetime) -> Sealing:
    """Measure everything; stop unless what was sealed opens, and what was signed verifies."""
    keys = {f"agency-{number}": SealingKey.generate() for number in range(max(READERS))}
    grid: dict[int, tuple[dict[int, Spread], Spread]] = {}
    for size in letter.PADDED:
        found = {count: _letters(dict(list(keys.items())[:count]), size) for count in READERS}
        grid[size] = ({count: sealed for count, (sealed, _) in found.items()}, found[max(READERS)][1])
    return Sealing(grid, *_wraps(), *_signatures(town, now), *_passphrase())


def _rounds(count: int, work: Callable[[], Any], scale: Callable[[float], float]) -> Spread:
    """Return the microseconds for each of the *count* things that *work* does, in the unit of *scale*, over `ROUNDS`."""
    return ranged([scale(timed(count, work)[0]) for _ in range(ROUNDS)])


def ranged(values: Sequence[float]) -> Spread:
    """Return the median, the lowest and the highest."""
    return {"p50": spread(values)["p50"], "low": min(values), "high": max(values)}


def _letters(keys: dict[str, SealingKey], size: int) -> tuple[Spread, Spread]:
    """Return the milliseconds to seal a letter of one part padded to *size* to *keys* (the sender first), and to open it as the last."""
    source, reader = next(iter(keys)), list(keys)[-1]
    audience = {"story": [(agency, key.seal_to) for agency, key in keys.items()]}
    where = {"bus": "0123456789abcdef", "source": source, "id": ids.new_event_id(), "subject": ids.new_ref()}
    story = {"text": "A" * (size - _ROOM)}
    count = max(LETTERS // (size // 4096 or 1), 10)

    def seal() -> list[bytes]:
        return [letter.seal({"story": story}, audience, **where) for _ in range(count)]  # type: ignore[arg-type]

    raw = seal()[0]
    (part,) = letter.Container.parse(raw).sealed
    assert isinstance(part, letter.Sealed)
    assert len(part.ct) == size + 16, f"{len(part.ct)} bytes, where a part is padded to {size}"

    def open_() -> list[Any]:
        return [letter.Container.parse(raw).open(reader, keys[reader], **where) for _ in range(count)]

    assert open_()[0] == {"story": story}
    return _rounds(count, seal, _milli), _rounds(count, open_, _milli)


def _wraps() -> tuple[Spread, Spread]:
    key, secret, info = SealingKey.generate(), bytes(32), b"bench"
    to = key.seal_to
    wrapped = to.wrap(secret, info)
    assert key.open(wrapped, info) == secret
    return (
        _rounds(WRAPS, lambda: [to.wrap(secret, info) for _ in range(WRAPS)], _a_second),
        _rounds(WRAPS, lambda: [key.open(wrapped, info) for _ in range(WRAPS)], _a_second),
    )


def _signatures(town: Town, now: datetime) -> tuple[Spread, Spread]:
    """Return the cost of making and signing an event as the desk writes it, and of verifying the decoded event."""
    (agency,) = town.agencies(1, ("ngo-a",))
    made = list(stream([agency], now, 1, count=SIGNATURES))
    signed, key = [decode(each.record) for each in made], agency.identity.signing.verify_key

    def verify() -> None:
        for each in signed:
            each.verify(key)

    signing = _rounds(SIGNATURES, lambda: list(stream([agency], now, 1, count=SIGNATURES)), _same)
    return signing, _rounds(SIGNATURES, verify, _same)


def _passphrase() -> tuple[Spread, Spread]:
    """Return the milliseconds to open the first sealed key of a process, and one more."""
    secret, seed = b"a passphrase of the benchmark", bytes(SEED_BYTES)
    content, first, more = Passphrase(secret).seal(seed), list[float](), list[float]()
    for _ in range(ROUNDS):
        fresh = Passphrase(secret)
        for found in (first, more):
            started = time.perf_counter()
            assert fresh.open(content) == seed
            found.append((time.perf_counter() - started) * 1000)
    return ranged(first), ranged(more)


def _milli(micro: float) -> float:
    return micro / 1e3


def _a_second(micro: float) -> float:
    return 1e6 / micro


def _same(micro: float) -> float:
    return micro
