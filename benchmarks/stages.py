"""Where the registrar's time goes, without a broker; and what a cast costs."""

import gc
import json
import time
import timeit
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from throughput import Load
from town import Town, consumed

from nrmbus.events.casting import cast
from nrmbus.events.registry import versions
from nrmbus.events.schemas import FOLDER
from nrmbus.play.load import stream
from nrmbus.registrar.app import GARBAGE
from nrmbus.registrar.batch import check, read
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.registrar.shard import Decision, Shard
from nrmbus.wire.envelope import Signed
from nrmbus.wire.keys.keys import SigningKey

EVENTS: Final = 4_000
BATCH: Final = 100
"""Submissions in a transaction: as many as a registrar takes of one outbox."""
_Result = TypeVar("_Result")


def timed(count: int, work: Callable[[], _Result]) -> tuple[float, _Result]:
    """Microseconds for each of the *count* things that *work* does, and what it gives."""
    started = time.perf_counter()
    result = work()
    return (time.perf_counter() - started) / count * 1e6, result


def spine(town: Town, now: datetime) -> dict[str, float]:
    """The `stages` of events without a letter, of a hundred cases of each sender."""
    return stages(town, Load([], list(stream(town.agencies(100), now, 1, count=EVENTS)), []), now)


def stages(town: Town, load: Load, now: datetime) -> dict[str, float]:
    """Microseconds an event on one thread: reading, verifying, judging and numbering, signing what is said.

    What is *before* in *load* is judged first, and not measured. Garbage is collected as seldom as the registrar does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    shard, key, count = town.shard(), SigningKey.generate(), len(load.counted)
    before = [(each.signed, each.at) for each in map(read, consumed(load.before)) if each.signed]
    for start in range(0, len(before), BATCH):
        decided = [shard.take(signed, at, now) for signed, at in before[start : start + BATCH]]
        assert all(each.outcome == "registered" for each in decided)
        shard.sign([out for each in decided for out in each.outs], key)
    records = consumed(load.counted)
    reading, incoming = timed(count, lambda: [read(each) for each in records])
    verifying, checked = timed(count, lambda: [check(each, town.directory, now) for each in incoming])
    assert not any(each.code for each in checked)
    submissions = [(each.signed, each.at) for each in incoming if each.signed]
    judging = signing = 0.0
    for start in range(0, count, BATCH):
        batch = submissions[start : start + BATCH]
        took, decided = timed(count, partial(_judged, shard, batch, now))
        judging += took
        assert all(each.outcome == "registered" for each in decided), {each.code for each in decided}
        took, _ = timed(count, partial(_signed, shard, [out for each in decided for out in each.outs], key))
        signing += took
    return {
        "read (headers, JSON, digests)": reading,
        "verify the sender's signature": verifying,
        "judge, number, route": judging,
        "sign registration and deliveries": signing,
    }


def _judged(shard: Shard, batch: Sequence[tuple[Signed, Coordinates]], now: datetime) -> list[Decision]:
    return [shard.take(signed, at, now) for signed, at in batch]


def _signed(shard: Shard, outs: Sequence[Out], key: SigningKey) -> None:
    shard.sign(outs, key)


def casts() -> dict[str, float]:
    """Microseconds to cast the fullest example of a referral, with its letter, to the version before or after.

    The least of five series, without the collector: it looks through all that this process loaded before.
    """
    steps, found = versions("referral.submitted"), {}
    for version, to in ((1, 2), (2, 1)):
        full = json.loads((FOLDER / "nrm.referral.submitted" / f"v{version}" / "full.json").read_text(encoding="utf-8"))
        data, sealed = full["event"]["data"], full["letter"]
        work = partial(cast, steps, version, to, data, sealed)
        found[f"from version {version} to {to}"] = min(timeit.repeat(work, number=EVENTS, repeat=5)) / EVENTS * 1e6
    return found
