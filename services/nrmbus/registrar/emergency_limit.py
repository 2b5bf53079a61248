"""Monthly count of emergency requests per agency over all partitions, for any owners and after any kill.

The limit counts over all cases of an agency, and no registrar writes all partitions. So each asking that is let in is
first written, acknowledged, and only then are the other partitions read up to what was acknowledged in them by then:
of several that are let in at the same moment, the one written last sees all others. Decision 0024 has the argument.

Activations of profiles are read in the same way: a registrar that opens a case knows those of every partition.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final

from aiokafka import TopicPartition

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.events import bulletin
from nrmbus.events.model import Fact
from nrmbus.registrar.batch import Checked
from nrmbus.registrar.history_state import HistoryError, check_installed, is_activation, is_asking
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Rules
from nrmbus.wire import history, ids, statement, times
from nrmbus.wire.errors import WireError
from nrmbus.wire.history import HistoryFault, carried, known_event
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.names import CASES
from nrmbus.wire.record import REGISTRATION, Record

LOOK_SECONDS: Final = 20.0
"""How long the open transactions of others may keep an asking waiting before it is judged: their time-out, and some more."""

SHORTEST: Final = 2.0
LONGEST: Final = 6.0
"""How long, in seconds and by chance, a written asking waits for open transactions of others, of which one may be waiting for it."""


class Askings:
    """Emergency requests of all partitions, as far as this registrar process has read them; read only on demand."""

    def __init__(
        self,
        where: Where,
        partitions: int,
        rules: Rules,
        key_of: Callable[[str], VerifyKey],
        *,
        coordinators: Callable[[], Iterable[str]] = tuple,
        folded: Callable[[], frozenset[int]] = frozenset,
    ) -> None:
        """Read as *where* says; *key_of* finds a key that registrars of this bus have signed with, by its kid.

        *coordinators* are the agencies that may activate a profile, *folded* the partitions that this process has folded.
        """
        self._where, self._partitions, self._rules, self._key_of = where, partitions, rules, key_of
        self._coordinators, self._folded = coordinators, folded
        self._activations_at: datetime | None = None
        """When the activations of other partitions were read, by the bus's time."""
        self._positions: dict[int, int] = {}
        self._found: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        """Per agency and month, the partition and number of each asking: what is read twice is counted once."""
        self._turn = asyncio.Lock()

    async def look_for_activations(self, shard: Shard, now: datetime) -> None:
        """Read which profiles were activated in other partitions, before *shard* judges: a case may begin or move.

        An activation is registered some hours before its day (G-15), so reading twice in that time is in time. Only the
        partitions with the bulletin of an agency that may activate are read, and none that this process has folded.
        """
        at = self._activations_at
        # A clock that was ahead may have been set right since *at*.
        if self._partitions == 1 or (at and timedelta() <= now - at < self._rules.notice / 2):
            return
        of_coordinators = {ids.partition_of(bulletin.of(each), self._partitions) for each in self._coordinators()}
        others = of_coordinators - self._folded() - {shard.partition}
        if others:
            async with self._turn:
                await self._read(others)
        self._activations_at = now

    def elsewhere(self, partition: int, agency: str, month: str) -> int:
        """How often *agency* broke the glass in *month* in all partitions but *partition*, as far as they were read."""
        return sum(each != partition for each, _ in self._found.get((agency, month), ()))

    @asynccontextmanager
    async def turn(self, shard: Shard, checked: Iterable[Checked]) -> AsyncIterator[None]:
        """Around judging and committing *checked*: with an asking in it that may be let in, one shard of a process at a time.

        Before the block the other partitions are read, so that it is judged by what is known now.

        Raises:
            TimeoutError: what was open there did not end.
            HistoryError: something there is not a registrar's.
        """
        if self._partitions == 1 or not _may_be_let_in(shard, checked):
            yield
            return
        async with self._turn:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._read_but(shard.partition)
            yield

    async def none_beyond(self, shard: Shard, before: dict[tuple[str, str], int]) -> bool:
        """Return whether every agency stays within its limit, given the written, uncommitted decisions of *shard*.

        *before* is what the shard had counted before it decided. Raises as `turn`.
        """
        grown = [each for each, count in shard.memory.spent.items() if count > before.get(each, 0)]
        if self._partitions == 1 or not grown:
            return True
        async with asyncio.timeout(random.uniform(SHORTEST, LONGEST)):  # noqa: S311 - two that wait must not give up at once
            await self._read_but(shard.partition)
        monthly = self._rules.most_emergencies
        return all(shard.spent(agency, month) <= monthly for agency, month in grown)

    async def _read_but(self, partition: int) -> None:
        """Read every other partition as `_read` does."""
        await self._read({each for each in range(self._partitions) if each != partition})

    async def _read(self, partitions: Collection[int]) -> None:
        """Read *partitions* up to what is acknowledged now, also of transactions that are open: these must end."""
        others = [TopicPartition(CASES, each) for each in sorted(partitions)]
        begin = {each: self._positions.get(each.partition, 0) for each in others}
        async with clients.reading_past(self._where, begin) as (reader, ends):
            while behind := [each for each in others if await reader.position(each) < ends[each]]:
                for of, records in (await reader.getmany(*behind, timeout_ms=100, max_records=2000)).items():
                    for each in records:
                        self._count(of.partition, Record(each.key, each.value, tuple(each.headers)))
                await asyncio.sleep(0)  # heartbeats share this loop
            self._positions.update({each.partition: ends[each] for each in others})

    def _count(self, partition: int, record: Record) -> None:
        if is_activation(record.headers):
            self._activate(partition, record)
        if not is_asking(record.headers):
            return
        body = None
        try:
            body, _ = statement.verify("registration", dict(record.headers).get(REGISTRATION, b""), self._key_of)
        except WireError:
            body = None
        time = times.read(body["time"]) if body is not None else None
        if body is None or time is None or body["partition"] != partition:
            raise HistoryError(partition, body["number"] if body else 0, "was not signed by a registrar of this bus")
        self._found[body["source"], self._rules.month(time)].add((partition, body["number"]))

    def _activate(self, partition: int, record: Record) -> None:
        """Have the Rules take the activation in *record*; raises HistoryError where a registrar did not sign it."""
        with suppress(WireError, HistoryFault, LookupError, ValueError, TypeError):
            found = history.read(record, history.plain)
            history.check_signature(found.signed, self._key_of)
            found.check_envelope_digest()
            said, event = found.registration, known_event(carried(found.envelope))
            time = times.read(said.time)
            if event is not None and time is not None and said.partition == partition:
                fact = Fact.of(event, (), time, said.number, said.policy)
                check_installed(self._rules, partition, fact)
                self._rules.activate(fact)
                return
        raise HistoryError(partition, 0, "activates a profile and was not signed by a registrar of this bus")


def _may_be_let_in(shard: Shard, checked: Iterable[Checked]) -> bool:
    """Return whether there is an emergency request about a known case; for any other case the answer is known."""
    spoken = set[str]()
    for each in checked:
        signed = each.incoming.signed
        if signed is None or each.code is not None:
            continue
        if is_asking(signed.record.headers) and (signed.subject in spoken or shard.memory.has_events(signed.subject)):
            return True
        spoken.add(signed.subject)
    return False
