"""The registrar on Kafka: owns partitions, one transactional producer a partition, in the order that was found to hold.

The order of operations is the decision record ``services/decisions/0002-registrar-order.md``; its steps are numbered
there and named here. Any error with a transaction open leaves the process at once: start-up is the recovery.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, InvalidSessionTimeoutError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from nrmbus import telemetry
from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.aiokafka_patches.late_requests import TransactionalProducer
from nrmbus.bus.clock import Clock, SteppedClock
from nrmbus.bus.errors import MarkDamaged
from nrmbus.bus.high_water import HighWater, Mark
from nrmbus.bus.kafka import clients
from nrmbus.bus.rate_limit import Pace
from nrmbus.bus.reach import Where
from nrmbus.registrar.assignor import RESTS, InOrder
from nrmbus.registrar.batch import Batcher, Checked
from nrmbus.registrar.emergency_limit import Askings
from nrmbus.registrar.following import Following
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.registrar.rest import Rest
from nrmbus.registrar.sending import send_all
from nrmbus.registrar.shard import Shard
from nrmbus.registrar.snapshot_process import SnapshotService
from nrmbus.registrar.transaction_size import TransactionSize
from nrmbus.telemetry import log
from nrmbus.wire.names import CASES
from nrmbus.wire.record import Record

GROUP: Final = "nrm-registrar"
OUTBOXES: Final = r"^nrm\.outbox\.[a-z][a-z0-9-]{1,30}$"
FAIR_SHARE: Final = 100
"""Records of one outbox in a transaction, at most: one agency's flood delays nobody (decision 0002, step 6)."""
FEW: Final = 20
"""Below as many records, a batch that was read during a commit takes along what came since: else it would wait twice."""
QUIET_MS: Final = clients.SETTINGS["registrar"]["fetch_max_wait_ms"]
BUSY_MS: Final = 10
IDLE_MS: Final = 200
"""How long a fetch for silent outboxes may keep the others waiting: while nothing comes, while records come, and while the bus is idle.

A short wait on an idle bus would take three times the processor of registrar and broker. The first record after that
comes at once; what the same agency sends within the next `IDLE_MS` waits so long, once.
"""
LOOK_MS: Final = 100
IDLE_LOOK_MS: Final = 1_000
"""After how long without a record the registrar looks whether a snapshot is due, and who may submit again; and if it is idle."""
IDLE_AFTER_SECONDS: Final = 2.0
"""So long nothing has come to an idle registrar."""
TRANSACTION_SECONDS: Final = 20.0
REBALANCE_SECONDS: Final = 6.0
PART_SECONDS: Final = 2.0
"""How long a rebalance waits for the producer of a shard that was not ready yet."""
HELD_SECONDS: Final = 0.1
"""How long to wait where everybody is held back."""
TICK_SECONDS: Final = 1.0
"""How long a submission may wait for a clock that is moved by hand; what is ahead of it still, is refused."""
EXIT_CODE: Final = 70


def leave(reason: str) -> NoReturn:
    """End this process now, with nothing tidied: an open transaction must be found by who comes next, not closed by us."""
    log.report("left", error=reason)
    os._exit(EXIT_CODE)


@dataclass(slots=True)
class Owned:
    """One partition number that this process owns, with the producer whose epoch proves the ownership."""

    partition: int
    shard: Shard
    producer: TransactionalProducer
    high_water: HighWater
    """How far the history went when this machine last wrote it."""
    snapshots: SnapshotService
    followed: Following | None = None
    """The fold that was made while another registrar had the partition, until it is gone on from."""
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    taken: dict[TopicPartition, int] = field(default_factory=dict)
    """How far records were taken from the consumer: ahead of *positions* by what is not committed yet."""
    due_number: int = 0
    """The highest number that a committed offset speaks of; a history that ends before it was cut."""
    size: TransactionSize = field(default_factory=TransactionSize)
    tracked: set[str] = field(default_factory=set)
    """Topics that the producer was told of."""
    in_transaction: bool = False
    stopping: bool = False
    ready: bool = False


async def _track(owned: Owned, topics: set[str]) -> None:
    """Have the producer know who leads *topics*.

    Without a topic aiokafka refreshes all topics; after the first topic it refreshes only the named ones and forgets the rest.
    So after an admission a batch for ``nrm.cases`` would find no leader, and fail the transaction.
    """
    if new := topics - owned.tracked:
        await asyncio.gather(*[owned.producer.client.add_topic(each) for each in new])
        owned.tracked |= new


async def write(producer: AIOKafkaProducer, outs: Iterable[Out], ends: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """Have the broker take *outs*, then *ends* as the group's offsets; return when it has acknowledged all.

    Not side by side: while the coordinator adds the offsets, the broker cannot verify that a partition is in the
    transaction. It refuses the records as retriable, and aiokafka tries again only after 100 ms.
    """
    await send_all(producer, outs)
    await producer.send_offsets_to_transaction(ends, GROUP)


class Owner(ConsumerRebalanceListener):  # type: ignore[misc]
    """Follows the assignment of outbox partitions, and keeps one `Owned` a partition number."""

    def __init__(  # noqa: PLR0913 - what a process is made of
        self,
        *,
        where: Where,
        place: str,
        partitions: int,
        clock: Clock,
        batcher: Batcher,
        askings: Askings,
        make_shard: Callable[[int], Shard],
        check_head: Callable[[Shard], None],
        catch_up: Callable[[Iterable[str]], Awaitable[None]],
        high_water: Callable[[int], HighWater],
        snapshots: Callable[[int], SnapshotService],
        pace: Pace,
        rest: Rest,
    ) -> None:
        self._rest = rest
        self._ending_rest: asyncio.Task[None] | None = None
        self._high_water, self._snapshots, self._pace = high_water, snapshots, pace
        self._held: tuple[str, ...] = ()
        self._came_at = 0.0
        """When the newest record came, in seconds of the monotonic clock."""
        self._where, self._clock, self._batcher, self._askings = where, clock, batcher, askings
        self._make_shard, self._check_head, self._catch_up = make_shard, check_head, catch_up
        self._place, self._partitions, self._assignor = place, partitions, InOrder.made(partitions)
        self._consumer: AIOKafkaConsumer = self._member()
        self._confirmed_at = time.monotonic()
        """When the newest heartbeat was sent that the group confirmed; at first, when this registrar began."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._warm: dict[int, Owned] = {}
        self._following: dict[int, Following] = {}
        """Folds of the partitions that other registrars have."""
        self._joined_before = False
        self.stands_by = False
        """True while other registrars own every partition."""
        self.enlarged: frozenset[str] = frozenset()
        """Outboxes with more partitions than the bus. The partitions beyond those of the bus are not read."""
        self.owned: dict[int, Owned] = {}

    @property
    def folded(self) -> frozenset[int]:
        """Return the partitions whose history this process has folded, and owns."""
        return frozenset(number for number, each in self.owned.items() if each.ready)

    @property
    def standing(self) -> bool:
        """True if every assigned partition is folded and served."""
        return (
            bool(self.owned)
            and self._tasks.keys() == self.owned.keys()
            and all(each.ready for each in self.owned.values())
        )

    @property
    def is_cut_off(self) -> bool:
        """Return whether Kafka has been silent for a minute, and nothing that is submitted would be answered.

        A registrar without a partition reads no outbox, and one that has just got its partitions has no answer yet: then
        the group's answers to its heartbeats tell whether it would take over, or work.
        """
        is_unconfirmed = time.monotonic() - self._confirmed_at > clients.UNHEARD_SECONDS
        return is_unconfirmed or clients.is_cut_off(self._consumer)

    def _member(self, *, patient: bool = False) -> AIOKafkaConsumer:
        return clients.group_consumer(
            self._where,
            group=GROUP,
            instance=f"registrar-{self._place}",
            kind="registrar",
            patient=patient,
            assignor=self._assignor,
        )

    async def run(self) -> None:
        """Serve until cancelled. Step 1: start, then subscribe with the listener from the first join."""
        await self._join()
        try:
            try:
                # The coordinator's task ends only by an error nobody else sees (step 9).
                await private.coordination_ended(self._consumer)
            except InvalidSessionTimeoutError:
                log.report("session_longer")
                await self._consumer.stop()
                self._consumer = self._member(patient=True)
                await self._join()
                await private.coordination_ended(self._consumer)
            leave("coordination_ended")
        finally:
            await self._pause_all()
            for owned in [*self.owned.values(), *self._warm.values()]:
                await self._part_with(owned)
            for following in self._following.values():
                await following.end()
            if self._ending_rest is not None:
                self._ending_rest.cancel()
            await self._consumer.stop()

    async def _join(self) -> None:
        await self._consumer.start()
        private.on_heartbeat(self._consumer, time.monotonic, self._confirmed)
        self._consumer.subscribe(pattern=OUTBOXES, listener=self)

    def _confirmed(self, asked: float) -> None:
        self._confirmed_at = asked

    def look_for_outboxes(self) -> None:
        """An agency was admitted: ask for its outbox now, not at the next refresh, which is up to five seconds away."""
        private.refresh_metadata(self._consumer)

    # -- assignment ----------------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Step 2: pause before anything else, then one task a partition number, and return: heartbeats start after this."""
        topic_partitions = list(assigned)
        if topic_partitions:
            self._consumer.pause(*topic_partitions)
        # A registrar of an earlier release may have shared them out.
        topic_partitions = [each for each in topic_partitions if each.partition < self._partitions]
        self._note_enlarged()
        if not self._joined_before and self._outboxes() - set(topic_partitions):
            # A stable member that returns within its session gets its old assignment; a new outbox stays unassigned.
            self._joined_before = True
            private.rejoin(self._consumer)
            return
        self._joined_before = True
        by_number: dict[int, list[TopicPartition]] = {}
        for topic_partition in topic_partitions:
            by_number.setdefault(topic_partition.partition, []).append(topic_partition)
        self.stands_by = not by_number
        generation = private.generation(self._consumer)
        if self._warm.keys() - by_number.keys() and self._assignor.missed(generation):
            self._begin_rest()
        if by_number and not self._assignor.last:
            self._rest.end()  # it has just started, and nobody else is here to come back
        if self._rest.left and not self._warm.keys() & by_number.keys():
            self._assignor.rests(generation)
            self._end_rest_later()
        else:
            self._assignor.noted(generation, works=bool(by_number))
        for number, own in by_number.items():
            warm = self._warm.pop(number, None)
            self._tasks[number] = asyncio.create_task(self._guarded(number, own, warm), name=f"shard-{number}")
        for owned in list(self._warm.values()):
            await self._part_with(owned)
        self._warm.clear()
        for number in {each.partition for each in self._outboxes()} - by_number.keys() - self._following.keys():
            following = Following(
                self._where, self._make_shard(number), self._snapshots(number), self._high_water(number)
            )
            self._following[number] = following
            following.begin()

    def _begin_rest(self) -> None:
        self._rest.begin()
        log.report("rests", seconds=round(self._rest.left, 1))

    def _end_rest_later(self) -> None:
        """Have the group share out again after the rest, where this member may get a share of several partitions."""
        if self._ending_rest is None or self._ending_rest.done():
            self._ending_rest = asyncio.create_task(self._end_rest(), name="rest")

    async def _end_rest(self) -> None:
        await self._rest.over()
        if self._assignor.since == RESTS:
            self._assignor.noted(self._assignor.last, works=bool(self._tasks))
            if len({each.partition for each in self._outboxes()}) > 1 and not self._tasks:
                private.rejoin(self._consumer)

    async def _part_with(self, owned: Owned) -> None:
        owned.high_water.flush()
        await owned.snapshots.stop()
        await owned.producer.stop()

    def _outboxes(self) -> set[TopicPartition]:
        """Return the partitions to be read: Kafka cannot take away those that somebody added, and no right covers them."""
        return {each for each in self._found() if each.partition < self._partitions}

    def _found(self) -> set[TopicPartition]:
        known = self._consumer.partitions_for_topic
        return {
            TopicPartition(topic, number) for topic in self._consumer.subscription() for number in known(topic) or ()
        }

    def _note_enlarged(self) -> None:
        """Report each outbox that has more partitions than the bus, once."""
        enlarged = frozenset(each.topic for each in self._found() - self._outboxes())
        for topic in sorted(enlarged - self.enlarged):
            log.report("partitions_many", topic=topic, count=len(self._consumer.partitions_for_topic(topic) or ()))
        self.enlarged = enlarged

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Step 7: cancel shards that are idle, wait for those inside a transaction. Step 8: keep what they know warm."""
        del revoked  # the protocol is eager: everything is revoked
        await self._pause_all()
        self.stands_by = False
        self._warm = {number: owned for number, owned in self.owned.items() if owned.ready}
        self.owned = {}

    async def _pause_all(self) -> None:
        for number, task in self._tasks.items():
            owned = self.owned.get(number)
            if owned:
                owned.stopping = True
            # A shard waiting in `getmany` would wait for the next assignment, which waits for this callback.
            if owned is None or not owned.in_transaction:
                task.cancel()
        if self._tasks:
            done, late = await asyncio.wait(self._tasks.values(), timeout=REBALANCE_SECONDS)
            del done
            if late:
                leave("transaction_outlived_rebalance")
        self._tasks = {}

    async def _guarded(self, number: int, own: list[TopicPartition], warm: Owned | None) -> None:
        """One shard's task: nothing it raises may pass unseen."""
        try:
            await self._serve(number, own, warm)
        except asyncio.CancelledError:
            raise
        except (HistoryError, MarkDamaged) as error:
            log.report("history_refused", error=str(error), partition=number)
            leave("history_refused")
        except Exception as error:  # noqa: BLE001 - step 9: whatever it was, start-up is the recovery
            leave(type(error).__name__)

    # -- one shard -----------------------------------------------------------------------------------------------

    async def _serve(self, number: int, own: list[TopicPartition], warm: Owned | None) -> None:
        owned = warm or await self._take_over(number)
        owned.stopping = False
        self.owned[number] = owned
        try:
            await self._position(owned, own)
            if not owned.ready:
                await self._fold(owned)
            self._consumer.resume(*own)
            owned.ready = True
        except (AssertionError, IllegalStateError):
            # The assignment was replaced between callback and here; the next one comes. No transaction was begun.
            return
        finally:
            if not owned.ready:  # nobody goes on from half a fold, and its producer would stay connected
                with suppress(TimeoutError):
                    async with asyncio.timeout(PART_SECONDS):
                        await self._part_with(owned)
        log.report("owns", partition=number, number=owned.shard.memory.number)
        owned.taken = dict(owned.positions)
        ahead = asyncio.create_task(self._ahead(owned, own))
        try:
            while not owned.stopping:
                waited = ahead.done()
                checked = await ahead
                if waited and 0 < len(checked) < FEW:
                    checked = [*checked, *await self._ahead(owned, own, at_once=True)]
                # Signatures of the next batch are verified while this one commits. Nothing is judged before that:
                # a verdict rests on the state that the commit before it made true.
                ahead = asyncio.create_task(self._ahead(owned, own))
                for part, size in owned.size.parts(checked, lambda each: each.incoming.raw.size()):
                    if not owned.stopping:
                        await self._transact(owned, part, size)
                if not checked:
                    owned.snapshots.consider(owned.shard.memory)
        finally:
            # Nothing is lost: the next owner begins at the committed offsets.
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _take_over(self, number: int) -> Owned:
        """Step 3: a producer with the shard's id fences the owner before, ends its open transaction, frees the readers.

        A registrar that rests waits first: the owner before may only have been silent, and comes back unfenced.
        """
        await self._rest.over()
        producer = await self._fencing(number)
        followed = self._following.pop(number, None)
        if followed is None:
            return Owned(number, self._make_shard(number), producer, self._high_water(number), self._snapshots(number))
        await followed.end()
        return Owned(number, followed.shard, producer, followed.high_water, followed.snapshots, followed)

    async def _fencing(self, number: int) -> TransactionalProducer:
        """Return a started producer of a shard; its epoch has the broker refuse every request of earlier producers."""
        producer = clients.transactional_producer(self._where, f"nrm-registrar-p{number}")
        await producer.start()
        return producer

    async def _fence(self, owned: Owned) -> None:
        """Step 6, after a request without an answer: replace the producer, so that a late request changes no later transaction.

        A process that was frozen here may have lost the shard, and a start would give it a newer epoch than the owner's.
        """
        late, owned.producer = owned.producer, await self._fencing(owned.partition)
        if not owned.producer.follows(late):
            self._begin_rest()
            leave("shard_taken_meanwhile")
        owned.tracked = set()
        log.report("producer_replaced", partition=owned.partition)
        await late.stop()

    async def _position(self, owned: Owned, own: list[TopicPartition]) -> None:
        """Step 4: read what is committed again, now that nobody else can commit; a warm shard knows its positions."""
        missing = [each for each in own if each not in owned.positions]
        if missing:
            committed = await private.committed(self._consumer, missing)
            for each in missing:
                found = committed.get(each)
                owned.positions[each] = found.offset if found else 0
                if found and found.metadata:
                    owned.due_number = max(owned.due_number, int(found.metadata))
        for each in own:
            self._consumer.seek(each, owned.positions[each])

    async def _fold(self, owned: Owned) -> None:
        """Step 5: fold ``nrm.cases`` up to its end after the fencing; compare with what the offsets say was reached.

        What was folded while this registrar stood by, or else a snapshot, stands for the registrations up to its last
        one, if the history goes on from there.
        """
        cases, mark = TopicPartition(CASES, owned.partition), owned.high_water.read()
        async with clients.reading(self._where, cases) as (reader, end):
            reader.seek(cases, await self._folded(owned, reader, end))
            owned.shard.memory.hold_against(mark)
            while await reader.position(cases) < end:
                # Behind the last record stands the end of a transaction, for which a fetch has no record to hand out.
                for records in (await reader.getmany(cases, timeout_ms=20, max_records=2000)).values():
                    for record in records:
                        owned.shard.memory.fold(Record(record.key, record.value, tuple(record.headers)))
                        owned.shard.memory.hold_against(mark)
                    await asyncio.sleep(0)  # heartbeats share this loop
        self._check_head(owned.shard)
        if owned.shard.memory.number < owned.due_number:
            raise HistoryError(
                owned.partition, owned.shard.memory.number + 1, "is missing: offsets were committed past it"
            )
        if mark is not None and owned.shard.memory.number < mark.number:
            raise HistoryError(owned.partition, owned.shard.memory.number + 1, "was here, and is missing")
        for each, position in owned.positions.items():
            # A broker that forgot the group's offsets answers "none"; the history itself says how far an outbox was read.
            folded = owned.shard.memory.sources.get(each.topic, -1) + 1
            if folded > position:
                owned.positions[each] = folded
                self._consumer.seek(each, folded)

    async def _folded(self, owned: Owned, reader: AIOKafkaConsumer, end: int) -> int:
        """Return the offset from which the history is to be folded into the shard of *owned*."""
        followed, owned.followed = owned.followed, None
        if followed is not None and await followed.stands(reader, end):
            log.report("followed", partition=owned.partition, number=owned.shard.memory.number)
            return followed.offset + 1
        if followed is not None:
            owned.shard = self._make_shard(owned.partition)
        return await owned.snapshots.restore(owned.shard.memory, reader, end)

    async def _collect(self, owned: Owned, own: list[TopicPartition], *, at_once: bool = False) -> list[ConsumerRecord]:
        """Step 6, reading: what is there of each outbox, a fair share of each; nothing of who submits too fast."""
        asked = self._not_held(own)
        if not asked:
            await asyncio.sleep(0 if at_once else HELD_SECONDS)
            return []
        wait_ms = 0 if at_once else IDLE_LOOK_MS if self._is_idle and asked == own else LOOK_MS
        share = FAIR_SHARE - FEW if at_once else FAIR_SHARE
        batch = dict(await self._consumer.getmany(*asked, timeout_ms=wait_ms, max_records=share))
        if batch:
            for each in asked:
                if each not in batch:
                    batch.update(await self._consumer.getmany(each, timeout_ms=0, max_records=share))
        now = time.monotonic()
        for each, records in batch.items():
            self._pace.took(each.topic, len(records), now)
        fresh: list[ConsumerRecord] = []
        for each, records in batch.items():
            due = owned.taken[each]
            if records and records[0].offset > due:
                log.report(
                    "offsets_missing",
                    topic=each.topic,
                    partition=each.partition,
                    offset=due,
                    count=records[0].offset - due,
                )
            elif records and records[0].offset < due:
                # The topic was made again, is another cluster's or lost its end, and the fetch began at its beginning. A
                # submission that was registered before is known by its id and digest, and gets the same receipt.
                log.report("offsets_again", topic=each.topic, partition=each.partition, offset=due)
                due = records[0].offset
            fresh += [record for record in records if record.offset >= due]
            owned.taken[each] = max([due, *(record.offset + 1 for record in records[-1:])])
        return fresh

    def _not_held(self, own: list[TopicPartition]) -> list[TopicPartition]:
        """Those of *own* of which something may be taken now; who is held back is said once."""
        now = time.monotonic()
        held = self._pace.held(now)
        for outbox in set(held) - set(self._held):
            log.report("held_back", topic=outbox)
        self._held = held
        return [each for each in own if self._pace.may(each.topic, now)]

    @property
    def held(self) -> tuple[str, ...]:
        """The outboxes that wait since they submitted too fast."""
        return self._held

    async def _ahead(self, owned: Owned, own: list[TopicPartition], *, at_once: bool = False) -> list[Checked]:
        """Step 6, before the transaction: read what is there, and check who signed it. No state of the shard is looked at."""
        records = await self._collect(owned, own, at_once=at_once)
        self._wait_for_silent(came=at_once or bool(records))
        if not records:
            return []
        await self._catch_up({Coordinates(each.topic, each.partition, each.offset).owner for each in records})
        return await self._batcher.check(records, self._clock.now())

    def _wait_for_silent(self, *, came: bool) -> None:
        if came:
            self._came_at = time.monotonic()
        silent = IDLE_MS if self._is_idle else QUIET_MS
        private.wait_for_silent(self._consumer, BUSY_MS if came else silent)

    @property
    def _is_idle(self) -> bool:
        return time.monotonic() - self._came_at > IDLE_AFTER_SECONDS

    async def _not_behind(self, checked: Sequence[Checked]) -> None:
        """On a bus for playing, let our clock come to where the senders' is: a tick may reach them before us."""
        said = [each.incoming.signed for each in checked if each.incoming.signed and each.code is None]
        latest = max((max(each.time, each.recordedtime) for each in said), default=None)
        until = time.monotonic() + TICK_SECONDS
        if latest is None or not isinstance(self._clock, SteppedClock):
            return
        while latest > self._clock.now() and time.monotonic() < until:  # noqa: ASYNC110 - the clock has no event of its own
            await asyncio.sleep(0.005)

    async def _transact(self, owned: Owned, checked: Sequence[Checked], size: int) -> None:
        """Step 6, writing: judge, number, route, and commit with the offsets. Here, and only here, things become true."""
        await self._not_behind(checked)
        await self._askings.look_for_activations(owned.shard, self._clock.now())
        async with self._askings.turn(owned.shard, checked):
            began = time.monotonic()
            await self._commit(owned, checked)
            owned.size.took(size, time.monotonic() - began)

    async def _commit(self, owned: Owned, checked: Sequence[Checked]) -> None:
        owned.in_transaction = True  # from here on the shard's state is ahead of the topic: no way back but out
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                with telemetry.joined("register") as span:
                    before = dict(owned.shard.memory.spent)
                    outs = await self._batcher.decide(owned.shard, checked, self._clock.now(), span)
                    await _track(owned, {out.topic for out in outs})
                    last = {(each.incoming.at.topic, owned.partition): each.incoming.at.offset for each in checked}
                    metadata = str(owned.shard.memory.number)
                    ends = {TopicPartition(*each): OffsetAndMetadata(at + 1, metadata) for each, at in last.items()}
                    await owned.producer.begin_transaction()
                    await write(owned.producer, outs, ends)
                    if not await self._askings.none_beyond(owned.shard, before):
                        leave("monthly_limit")  # judged again, by what others let in meanwhile, it is refused
                    await owned.producer.commit_transaction()
                    if owned.producer.unanswered:
                        await self._fence(owned)
        except BaseException as error:  # noqa: BLE001 - cancellation included: half a transaction has no way back
            if isinstance(error, ProducerFenced):
                self._begin_rest()
            leave(type(error).__name__)
        owned.positions.update({each: end.offset for each, end in ends.items()})
        owned.in_transaction = False
        owned.high_water.raise_soon(Mark(owned.shard.memory.number, owned.shard.memory.previous))
