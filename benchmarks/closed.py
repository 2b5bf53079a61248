"""Cost of a closed bus: the registrar on a bus in plain text and on a closed one, and there without and with letters.

Every bus is closed by default: mutual TLS 1.3, and Kafka's StandardAuthorizer with the rules derived from ``deploy/topics``.
Quotas are off, here as for the registrar on any bus.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from referrals import FROM, TO, Sealer, load
from stages import stages, timed
from throughput import (
    CASES,
    Load,
    Side,
    admitted,
    agencies_of,
    bus,
    committed,
    events_without_letter,
    registered,
    size_of,
)
from town import Town, consumed

from nrmbus.auditor.history.history import rules_of
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.admission import read_directory
from nrmbus.play.load import POLICY, Submission
from nrmbus.registrar.batch import read
from nrmbus.wire.record import LETTER

REFERRALS: Final = 1_000
"""Number of referrals for the steps without a broker."""
ROUNDS: Final = 3
READERS: Final = (TO,)
"""Agencies that get a copy of the letter."""


@dataclass(frozen=True, slots=True)
class Lettered:
    """One side of referrals, with or without letters, and the bytes in and out for each."""

    side: Side
    bytes_in: float
    bytes_out: float


@dataclass(frozen=True, slots=True)
class Closed:
    """One round of a closed bus: the load of the spine, and on another bus referrals without and with a letter."""

    spine: Side
    bare: Lettered
    sealed: Lettered


def closed(home: Path, events: int, referrals: int, singles: int, every: float) -> Closed:
    """Run one round on three fresh closed brokers, one after the other."""
    with bus(home / "spine", closed=True) as (folder, kafka):
        admitted(folder)
        spine = registered(folder, kafka, events_without_letter(folder, events, singles), every)
    bare, sealed = (
        _lettered(home / name, referrals, singles, every, letters=name == "sealed") for name in ("bare", "sealed")
    )
    return Closed(spine, bare, sealed)


def _lettered(home: Path, count: int, singles: int, every: float, *, letters: bool) -> Lettered:
    with bus(home, closed=True) as (folder, kafka):
        admitted(folder)
        directory = asyncio.run(read_directory(folder))
        sealer = Sealer(folder.settings.bus, directory, rules_of(directory, POLICY), letters)
        agencies = agencies_of(folder, -(-(count + singles) // len(FROM)), FROM, TO)
        made = load(sealer, agencies, datetime.now(UTC).replace(microsecond=0), count, singles)
        side = registered(folder, kafka, made, every, readers=(TO,))
        sent = [*made.counted, *made.singles]
        bytes_in = sum(each.record.size() for each in sent) / len(sent)
        return Lettered(side, bytes_in, _out(folder, sent, letters=letters))


def _out(folder: BusFolder, sent: Sequence[Submission], *, letters: bool) -> float:
    """Return the bytes that the registrar wrote for each of *sent*; all must be registered, and *letters* copied for each reader."""
    where, ids, total = folder.as_operator, {each.id.encode() for each in sent}, 0
    for topic in (CASES, *(f"nrm.inbox.{agency}" for agency in (*FROM, *READERS))):
        found = [each for each in asyncio.run(committed(where, topic)) if dict(each.headers).get("ce_id") in ids]
        total += sum(map(size_of, found))
        copies = sum(LETTER in dict(each.headers) for each in found)
        reads = topic.removeprefix("nrm.inbox.") in READERS
        assert copies == (len(sent) if letters and reads else 0), f"{topic} has {copies} copies of letters"
        assert topic != CASES or len(found) == len(sent), f"{len(found)} of {len(sent)} referrals were registered"
    return total / len(sent)


# -- one thread, without a broker ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checking:
    """Microseconds for a referral, without and with a letter, by step; *more*: the parts of the longer judging."""

    steps: dict[str, tuple[float, float]]
    more: dict[str, float]


def checking(town: Town, now: datetime) -> Checking:
    """Return the registrar's steps for referrals with letters sealed by the Rules: medians of `ROUNDS`, the sides in turn."""
    cases = -(-REFERRALS // len(FROM))
    loads: list[Load] = []
    for letters in (False, True):
        sealer = Sealer(town.bus, town.directory, town.rules, letters)
        loads.append(load(sealer, town.agencies(cases, FROM, TO), now, REFERRALS, 0))
    rounds = [[stages(town, each, now) for each in loads] for _ in range(ROUNDS)]
    bare, sealed = ({name: median(each[side][name] for each in rounds) for name in rounds[0][side]} for side in (0, 1))
    parts = [_parts(loads[1]) for _ in range(ROUNDS)]
    reading, copying = (median(each[number] for each in parts) for number in (0, 1))
    longer = sealed["judge, number, route"] - bare["judge, number, route"]
    more = {
        "read the letter, and its digest": reading,
        "a copy for its reader": copying,
        "the rest: keys current, readers entitled": longer - reading - copying,
    }
    return Checking({name: (value, sealed[name]) for name, value in bare.items()}, more)


def _parts(sealed: Load) -> tuple[float, float]:
    """Return the microseconds to read a letter with its digest, and to copy it for its `READERS`."""
    signed = [each.signed for each in map(read, consumed(sealed.counted)) if each.signed]
    reading, containers = timed(REFERRALS, lambda: [each.letter() for each in signed])
    found = [each for each in containers if each is not None]
    assert len(found) == REFERRALS, "a letter is missing"
    copying, _ = timed(REFERRALS, lambda: [[each.copy_for(reader) for reader in READERS] for each in found])
    return reading, copying
