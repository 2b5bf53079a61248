"""A snapshot shortens the start and changes nothing: what does not fit in every point is thrown away."""

import asyncio
import dataclasses
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from structlog.testing import capture_logs

from agencies import BUS, SIGNAL
from nrmbus.registrar import snapshot, spill_file
from nrmbus.registrar.history_state import HistoryError, Memory
from nrmbus.registrar.shard import Shard
from nrmbus.registrar.snapshot import Head, Snapshots
from nrmbus.registrar.spill_file import NoRoomError, Scratch
from nrmbus.wire import ids
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.record import Record
from registrar.given import Bus, check_history
from registrar.test_shard import LETTER, REF, REFERRAL

CASES = TopicPartition("nrm.cases", 0)
GAP = 3
"""Offsets from one registration to the next: the end of a transaction has one too."""


class Town:
    """A bus whose registrar has registered something, and a folder for its snapshots."""

    def __init__(self, home: Path) -> None:
        self.home, self.bus = home, Bus()
        self.live = self.bus.shard()
        self.subjects = [ids.new_ref() for _ in range(5)]
        self.kept = Snapshots(home / "snapshots", BUS, 0, self.bus.rules.profile.digest)
        self.refused: list[str] = []

    def go_on(self) -> None:
        """Have something registered and something refused in every case."""
        for subject in self.subjects:
            self.bus.signal(self.live, case=subject)
            self.bus.consents(self.live, "fund", case=subject)
            refused = self.bus.say(self.live, "fund", "case.signal_recorded", SIGNAL, case=subject)
            assert refused.outcome == "refused"

    def shard(self) -> Shard:
        """A shard that has seen nothing, as a start of the registrar makes one."""
        return self.bus.shard(scratch=Scratch(self.home / "scratch", at_hand=1))

    def write(self) -> Head:
        """Write a snapshot of all that was registered."""
        made = self.shard()
        for record in self.bus.history:
            made.memory.fold(record)
        head = self.kept.save(made.memory, (len(self.bus.history) - 1) * GAP)
        self.kept.keep(head, self.bus.key)
        return head

    def key_of(self, kid: str) -> VerifyKey:
        """Return the registrar's key."""
        return {self.bus.key.kid: self.bus.key.verify_key}[kid]

    def start(self, *, begins: int = 0, ends: int | None = None) -> tuple[Shard, Head | None, list[str]]:
        """Start as the registrar does, on the history from offset *begins* to *ends*; return the codes of what was refused too."""
        shard, end = self.shard(), len(self.bus.history) * GAP if ends is None else ends
        there = [
            SimpleNamespace(key=each.key, value=each.value, headers=each.headers, offset=number * GAP)
            for number, each in enumerate(self.bus.history)
            if begins <= number * GAP < end
        ]
        with capture_logs() as lines:
            head = asyncio.run(self.kept.restore(shard.memory, Reader(there, begins), end, self.key_of))
        self.refused = [each["code"] for each in lines if each["event"] == "snapshot_refused"]
        for each in there:
            if head is None or each.offset > head.offset:
                shard.memory.fold(Record(each.key, each.value, each.headers))
        shard.memory.check_head(self.key_of)
        return shard, head, self.refused


class Reader:
    """A consumer of one partition."""

    def __init__(self, there: list[Any], begins: int) -> None:
        self._there, self._begins, self._at = there, begins, begins
        self._client = SimpleNamespace(cluster=SimpleNamespace(unauthorized_topics=set()))
        self.unanswered = 0
        """Questions that the broker answers too late from now on."""

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the topic begins."""
        if self.unanswered:
            self.unanswered -= 1
            raise KafkaTimeoutError
        return dict.fromkeys(partitions, self._begins)

    async def position(self, _partition: TopicPartition) -> int:
        """Return what is read next."""
        return self._at

    def seek(self, _partition: TopicPartition, offset: int) -> None:
        """Go on there."""
        self._at = offset

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Any]]:
        """Return the next records."""
        assert timeout_ms
        found = [each for each in self._there if each.offset >= self._at][:max_records]
        self._at = found[-1].offset + 1 if found else self._at + 1
        return {partitions[0]: found} if found else {}


@pytest.fixture(name="town")
def _town(tmp_path: Path) -> Town:
    town = Town(tmp_path)
    town.go_on()
    return town


def test_with_a_snapshot_and_without_the_state_is_the_same(town: Town) -> None:
    """The start folds only what came after the snapshot; cases, answers with their proofs, numbers and inboxes are the same."""
    head = town.write()
    town.go_on()

    shard, used, refused = town.start()
    assert (used, refused) == (head, [])
    fresh = check_history(town.bus, shard)
    town.kept.discard()
    again, used, _ = town.start()
    assert used is None
    for subject in town.subjects:
        assert shard.memory.case(subject) == again.memory.case(subject) == fresh.memory.case(subject)
    assert (shard.memory.sources, shard.memory.spent) == (again.memory.sources, again.memory.spent)


async def test_a_snapshot_is_not_thrown_away_for_a_slow_broker(town: Town) -> None:
    """Given a broker that answers the third question of a start, then the snapshot is used: a long history is not read for that."""
    head = town.write()
    record = town.bus.history[-1]
    last = SimpleNamespace(key=record.key, value=record.value, headers=record.headers, offset=head.offset)
    reader = Reader([last], 0)
    reader.unanswered = 2

    assert await town.kept.restore(town.shard().memory, reader, head.offset + 1, town.key_of) == head


def test_a_registrar_that_began_with_a_snapshot_goes_on(town: Town) -> None:
    """What it registers follows from what was registered before, and its whole history folds."""
    town.write()
    town.live, used, _ = town.start()
    assert used is not None
    town.go_on()
    check_history(town.bus, town.live)


def test_a_snapshot_is_written_from_the_one_before(town: Town) -> None:
    """A process that begins with the last snapshot writes the same state as one that folds everything."""
    town.write()
    town.go_on()
    middle, used, _ = town.start()
    assert used is not None

    head = town.kept.save(middle.memory, (len(town.bus.history) - 1) * GAP)
    town.kept.keep(head, town.bus.key)
    shard, used, _ = town.start()
    assert used == head
    check_history(town.bus, shard)


def test_it_has_no_letter_and_is_for_its_owner_only(town: Town) -> None:
    """The folder has a head and a state, both private, and nothing that erasure removes."""
    bus = town.bus
    bus.signal(town.live)
    bus.consents(town.live, "special-unit")
    event = bus.event("ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="CoM 21/2008 art. 7")
    readers = {part: ["special-unit", *(["statistics"] if part == "coded" else [])] for part in LETTER} | {"money": []}
    assert bus.take(town.live, bus.signed(event, LETTER, readers), owner="ngo-a").code is None
    head = town.write()
    found = sorted(town.kept.folder.iterdir())
    assert found == [town.kept.head_path, town.kept.state_path(head)]
    assert {each.stat().st_mode & 0o777 for each in found} == {0o600}
    assert town.kept.folder.stat().st_mode & 0o777 == 0o700
    kept = town.kept.state_path(head).read_bytes()
    assert b"nrm.referral.submitted" in kept
    assert not any(each in kept for each in (b"nrm_letter", b"nrl1"))


def _head(change: Callable[[Town, Head], Head]) -> Callable[[Town, Head], None]:
    def do(town: Town, head: Head) -> None:
        town.kept.head_path.write_bytes(change(town, head).signed(town.bus.key))

    return do


def _bytes_of_head(change: Callable[[bytes], bytes]) -> Callable[[Town, Head], None]:
    def do(town: Town, _head: Head) -> None:
        town.kept.head_path.write_bytes(change(town.kept.head_path.read_bytes()))

    return do


def _bytes_of_state(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Town, Head], None]:
    def do(town: Town, head: Head) -> None:
        path = town.kept.state_path(head)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return do


def _flipped(raw: bytearray) -> bytearray:
    raw[len(raw) // 2] ^= 1
    return raw


def _signed_by_another(town: Town, head: Head) -> None:
    town.kept.head_path.write_bytes(head.signed(SigningKey.generate()))


def _with_another_signature(raw: bytes) -> bytes:
    before, _, after = raw.rpartition(b'"sig":"')
    return before + b'"sig":"' + (b"A" if after[:1] != b"A" else b"B") + after[1:]


DAMAGES: dict[str, tuple[Callable[[Town, Head], None], str]] = {
    "head truncated": (_bytes_of_head(lambda raw: raw[:-20]), "unreadable"),
    "head empty": (_bytes_of_head(lambda _: b""), "unreadable"),
    "head too long": (_bytes_of_head(lambda raw: raw + b" " * snapshot.SNAPSHOT_LIMIT), "unreadable"),
    "field of another kind": (_head(lambda _, head: dataclasses.replace(head, number=cast("int", "1"))), "unreadable"),
    "another's signature": (_signed_by_another, "signature_invalid"),
    "signature of another head": (_bytes_of_head(_with_another_signature), "signature_invalid"),
    "another bus": (_head(lambda _, head: dataclasses.replace(head, bus="f" * 16)), "other_bus"),
    "another partition": (_head(lambda _, head: dataclasses.replace(head, partition=1)), "other_partition"),
    "another profile": (_head(lambda _, head: dataclasses.replace(head, rules="0" * 64)), "other_rules"),
    "another release": (_head(lambda _, head: dataclasses.replace(head, code="0" * 64)), "other_code"),
    "state gone": (lambda town, head: town.kept.state_path(head).unlink(), "state_missing"),
    "one bit of the state": (_bytes_of_state(_flipped), "state_altered"),
    "state truncated": (_bytes_of_state(lambda raw: raw[: len(raw) // 2]), "state_altered"),
    "state with one byte more": (_bytes_of_state(lambda raw: raw + b"\0"), "state_altered"),
    "another registration": (_head(lambda _, head: dataclasses.replace(head, digest="0" * 64)), "history_differs"),
    "another number": (_head(lambda _, head: dataclasses.replace(head, number=head.number - 1)), "history_differs"),
    "between two": (_head(lambda _, head: dataclasses.replace(head, offset=head.offset - 1)), "history_differs"),
    "the one before": (_head(lambda _, head: dataclasses.replace(head, offset=head.offset - GAP)), "history_differs"),
    "beyond the end": (_head(lambda _, head: dataclasses.replace(head, offset=10**6)), "history_shorter"),
}
"""What is done to a snapshot, and the code of its refusal."""


@pytest.mark.thorough
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_snapshot_that_does_not_fit_is_thrown_away(town: Town, damage: str) -> None:
    """Whatever is wrong has a code of its own; the history is folded from the beginning, and the files are gone."""
    head = town.write()
    town.go_on()
    do, code = DAMAGES[damage]
    do(town, head)

    shard, used, refused = town.start()
    assert (used, refused) == (None, [code])
    assert list(town.kept.folder.iterdir()) == []
    check_history(town.bus, shard)


def test_a_history_that_was_cut_in_front_is_refused_with_a_snapshot_too(town: Town) -> None:
    """A snapshot does not hide that the beginning of the topic is gone."""
    town.write()
    with pytest.raises(HistoryError, match="registration 1 is due"):
        town.start(begins=GAP)
    assert town.refused == ["history_cut"]


def test_an_older_history_is_not_continued_from_a_newer_snapshot(town: Town) -> None:
    """A broker's folder that was restored from a backup ends before the snapshot."""
    town.write()
    older = (len(town.bus.history) - 4) * GAP
    shard, used, refused = town.start(ends=older)
    assert (used, refused) == (None, ["history_shorter"])
    assert shard.memory.number == len(town.bus.history) - 4


def test_another_history_with_the_same_numbers_is_not_continued(town: Town) -> None:
    """After a restored backup something else was registered at the same place, by the same registrar."""
    town.write()
    other = Town(town.home / "other")
    other.bus.key = town.bus.key
    other.go_on()
    assert len(other.bus.history) == len(town.bus.history)
    town.bus.history = other.bus.history

    _, used, refused = town.start()
    assert (used, refused) == (None, ["history_differs"])


def test_killed_while_it_is_written_the_snapshot_before_stays(town: Town) -> None:
    """Neither half a state nor a whole one without its head counts, and the next snapshot removes both."""
    head = town.write()
    town.go_on()
    made = town.shard()
    for record in town.bus.history:
        made.memory.fold(record)
    (town.kept.folder / ".0.4711.abcdef01").write_bytes(b"half a state")
    whole = town.kept.save(made.memory, 0)
    assert len(list(town.kept.folder.iterdir())) == 4

    shard, used, refused = town.start()
    assert (used, refused) == (head, [])
    check_history(town.bus, shard)
    assert whole.number > head.number
    last = town.write()
    assert sorted(town.kept.folder.iterdir()) == [town.kept.head_path, town.kept.state_path(last)]


def test_a_snapshot_without_room_leaves_the_disk_as_it_was(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker has the same disk: half a state that stays there would keep the bus from going on."""
    head = town.write()
    made, before = town.shard(), sorted(town.kept.folder.iterdir())
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left"):
        town.kept.save(made.memory, 0)

    assert sorted(town.kept.folder.iterdir()) == before
    assert town.kept.read(town.key_of) == head


def _full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_full_disk_throws_no_good_snapshot_away(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no room for a copy of the state, then the start ends and says so, and the snapshot is there for the next one."""
    head, shard = town.write(), town.shard()
    record = town.bus.history[-1]
    last = SimpleNamespace(key=record.key, value=record.value, headers=record.headers, offset=head.offset)
    with monkeypatch.context() as full:
        full.setattr(spill_file, "_copied", _full)
        with capture_logs() as lines, pytest.raises(NoRoomError):
            await town.kept.restore(shard.memory, Reader([last], 0), head.offset + 1, town.key_of)

    assert lines == []
    assert town.kept.read(town.key_of) == head
    assert town.kept.state_path(head).exists()


@pytest.mark.parametrize("turns", [1, 2])
async def test_a_start_that_is_cancelled_ends_when_its_thread_does(
    town: Town, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """Given a rebalance while the state is loaded, also a second one, then the next shard gets the spill file for itself."""
    head, record = town.write(), town.bus.history[-1]
    last = SimpleNamespace(key=record.key, value=record.value, headers=record.headers, offset=head.offset)
    begun, may_end, over = threading.Event(), threading.Event(), threading.Event()

    def load(_self: Snapshots, _memory: Memory, _head: Head) -> None:
        begun.set()
        may_end.wait()
        over.set()

    monkeypatch.setattr(Snapshots, "load", load)
    start = asyncio.create_task(town.kept.restore(town.shard().memory, Reader([last], 0), head.offset + 1, town.key_of))
    await asyncio.to_thread(begun.wait)
    for _ in range(turns):
        start.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
    is_over = start.done()
    may_end.set()

    assert not is_over
    with pytest.raises(asyncio.CancelledError):
        await start
    assert over.is_set()


def test_half_a_transaction_is_not_saved(town: Town) -> None:
    """A snapshot ends with a whole transaction; half of one would be continued wrongly."""
    submitted = [
        town.bus.signed(town.bus.event("ngo-a", "case.signal_recorded", SIGNAL, case=ids.new_ref())) for _ in range(3)
    ]
    town.bus.commit(town.live, [town.bus.decided(town.live, each, owner="ngo-a") for each in submitted])
    made = town.shard()
    for record in town.bus.history[:-1]:
        made.memory.fold(record)
    with pytest.raises(HistoryError, match="signed with it"):
        town.kept.save(made.memory, 0)


def test_another_line_of_code_has_everything_folded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that makes and reads a state is part of its name, each file of it, and the Python that runs it."""
    for room in snapshot.ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "x.py").write_text("x = 1\n")
    monkeypatch.setattr(snapshot, "SOURCE", tmp_path)
    seen = {snapshot.code_digest.__wrapped__()}
    (tmp_path / "rules" / "x.py").write_text("x = 2\n")
    seen.add(snapshot.code_digest.__wrapped__())
    (tmp_path / "rules" / "x.py").rename(tmp_path / "rules" / "y.py")
    seen.add(snapshot.code_digest.__wrapped__())
    monkeypatch.setattr(sys, "version", "another")
    seen.add(snapshot.code_digest.__wrapped__())
    assert len(seen) == 4


@pytest.mark.thorough
def test_the_writing_process_ends_with_its_registrar() -> None:
    """A registrar that is killed leaves no process behind."""
    code = "from nrmbus.registrar.snapshot_process import _end_with_parent; print(1, flush=True); _end_with_parent()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"1\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait() == 1
