"""Monthly count of emergency requests per agency over all partitions, for any owners and after any kill.

The limit counts over all cases of an agency, and no registrar writes all partitions. So each asking that is let in is
first written, acknowledged, and only then are the other partitions read up to what was acknowledged in them by then:
of several that are let in at the same moment, the one written last sees all others. Decision 0024 has the argument.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import TopicPartition

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.registrar.batch import Checked
from nrmbus.registrar.history_state import HistoryError, is_asking
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Rules
from nrmbus.wire import statement, times
from nrmbus.wire.errors import WireError
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

    def __init__(self, where: Where, partitions: int, rules: Rules, key_of: Callable[[str], VerifyKey]) -> None:
        """Read as *where* says; *key_of* finds a key that registrars of this bus have signed with, by its kid."""
        self._where, self._partitions, self._rules, self._key_of = where, partitions, rules, key_of
        self._positions: dict[int, int] = {}
        self._found: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        """Per agency and month, the partition and number of each asking: what is read twice is counted once."""
        self._turn = asyncio.Lock()

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
        monthly = self._rules.profile.emergency.monthly
        return all(shard.spent(agency, month) <= monthly for agency, month in grown)

    async def _read_but(self, partition: int) -> None:
        """Read every other partition up to what is acknowledged now, also of transactions that are open: these must end."""
        others = [TopicPartition(CASES, each) for each in range(self._partitions) if each != partition]
        begin = {each: self._positions.get(each.partition, 0) for each in others}
        async with clients.reading_past(self._where, begin) as (reader, ends):
            while behind := [each for each in others if await reader.position(each) < ends[each]]:
                for of, records in (await reader.getmany(*behind, timeout_ms=100, max_records=2000)).items():
                    for each in records:
                        self._count(of.partition, Record(each.key, each.value, tuple(each.headers)))
                await asyncio.sleep(0)  # heartbeats share this loop
            self._positions.update({each.partition: ends[each] for each in others})

    def _count(self, partition: int, record: Record) -> None:
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
