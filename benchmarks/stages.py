"""Where the registrar's time goes, without a broker; and what a cast costs."""

import json
import time
import timeit
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from throughput import Load
from town import Town, consumed

from nrmbus.events.casting import cast
from nrmbus.events.registry import versions
from nrmbus.events.schemas import FOLDER
from nrmbus.play.load import stream
from nrmbus.registrar.batch import check, read
from nrmbus.wire.keys.keys import SigningKey

EVENTS: Final = 4_000
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

    What is *before* in *load* is judged first, and not measured.
    """
    shard, key, count = town.shard(), SigningKey.generate(), len(load.counted)
    for each in map(read, consumed(load.before)):
        assert each.signed is not None
        assert shard.take(each.signed, each.at, now).outcome == "registered"
    records = consumed(load.counted)
    reading, incoming = timed(count, lambda: [read(each) for each in records])
    verifying, checked = timed(count, lambda: [check(each, town.directory, now) for each in incoming])
    assert not any(each.code for each in checked)
    submissions = [(each.signed, each.at) for each in incoming if each.signed]
    judging, decided = timed(count, lambda: [shard.take(signed, at, now) for signed, at in submissions])
    assert all(each.outcome == "registered" for each in decided), {each.code for each in decided}
    said = [statement for each in decided for out in each.outs for _, statement in out.statements]

    def sign_all() -> None:
        for each in said:
            each.sign(key)

    signing, _ = timed(count, sign_all)
    return {
        "read (headers, JSON, digests)": reading,
        "verify the sender's signature": verifying,
        "judge, number, route": judging,
        "sign registration and deliveries": signing,
    }


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
