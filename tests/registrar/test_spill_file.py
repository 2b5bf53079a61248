"""The registrar's state beyond its memory: nothing is lost, and no sender can fill the memory."""

import errno
import gc
import os
import sqlite3
import sys
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agencies import SIGNAL
from nrmbus.registrar.spill_file import NoRoomError, Scratch
from nrmbus.wire import ids, material
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.record import DELIVERY, REGISTRATION
from nrmbus.wire.registration import verify_registration
from nrmbus.wire.transaction import Proved
from registrar.given import Bus, answered, as_record, check_history

CASES = [f"{number:02x}" * 16 for number in range(6)]
CONSENT = {"purposes": ["services"], "receivers": ["fund"], "given_by": "individual", "form": "written"}
SAID = [
    ("ngo-a", "case.signal_recorded", SIGNAL),
    ("ngo-a", "consent.given", CONSENT),
    ("fund", "consent.given", CONSENT),
]


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(CASES), st.sampled_from(SAID)), max_size=25))
def test_with_room_for_one_case_it_decides_as_with_room_for_all(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, tuple[str, str, dict[str, object]]]]
) -> None:
    """Spilled and reloaded state decides alike, after a restart too."""
    home = tmp_path_factory.mktemp("bus")
    bus = Bus()
    narrow = bus.shard(scratch=Scratch(home / "scratch", at_hand=1))
    for case, (by, type_, data) in steps:
        bus.say(narrow, by, type_, data, case=case)

    wide = check_history(bus, narrow)
    again = bus.shard(scratch=Scratch(home / "scratch", at_hand=1))
    for record in bus.history:
        again.memory.fold(record)
    for case in sorted(set(narrow.memory.subjects())):
        assert again.memory.case(case) == wide.memory.case(case)
    assert sorted(again.memory.subjects()) == sorted(narrow.memory.subjects()) == sorted({case for case, _ in steps})


def test_p1_who_sends_again_what_was_set_aside_gets_the_very_same_answer(bus: Bus, tmp_path: Path) -> None:
    """The same process and the next one repeat the answer."""
    shard = bus.shard(scratch=Scratch(tmp_path / "scratch", at_hand=1))
    first = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL, case=CASES[0]))
    said = bus.take(shard, first, owner="ngo-a")
    for case in CASES[1:]:
        bus.signal(shard, case=case)

    again = bus.take(shard, first, owner="ngo-a")
    assert again.outcome == "repeated"
    (copy,) = again.outs
    assert as_record(copy) == as_record(said.outs[-1])
    check_history(bus, shard)


def test_what_an_earlier_key_signed_is_given_again_as_it_was_signed(bus: Bus, tmp_path: Path) -> None:
    """After a restart with another key, a registration in the history is not signed a second time."""
    before = bus.shard()
    for _ in range(120):  # more than are in memory
        bus.signal(before, case=ids.new_ref())
    after = bus.shard(scratch=Scratch(tmp_path / "scratch", at_hand=1))
    for record in bus.history:
        after.memory.fold(record)
    after.memory.check_head(lambda _: bus.key.verify_key)

    for record in bus.history:
        said = dict(record.headers)[REGISTRATION]
        registration = verify_registration(said, lambda _: bus.key.verify_key)
        submission = registration.source, registration.subject, registration.id
        assert answered(after, submission)[2] == said


def test_p1_an_answer_keeps_its_proof_whatever_happens_to_its_registrar(bus: Bus, tmp_path: Path) -> None:
    """Receipts of one transaction, repeated by the same process, from its spill file, and by the next one: byte for byte."""
    shard = bus.shard(scratch=Scratch(tmp_path / "scratch", at_hand=1))
    submitted = [bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL, case=ids.new_ref())) for _ in range(130)]
    submitted[3:3] = [submitted[2]]  # sent twice in one transaction
    decisions = [bus.decided(shard, record, owner="ngo-a") for record in submitted]
    bus.commit(shard, decisions)
    receipts = [as_record(decision.outs[-1]) for decision in decisions]
    assert receipts[2] == receipts[3]
    assert {Proved.read("delivery", dict(each.headers)[DELIVERY]).size for each in receipts} == {512}

    bus.commit(shard, [bus.decided(shard, record, owner="ngo-a") for record in submitted[:2]])
    after = bus.shard(scratch=Scratch(tmp_path / "scratch", at_hand=1))
    for record in bus.history:
        after.memory.fold(record)
    after.memory.check_head(lambda _: bus.key.verify_key)
    bus.key = SigningKey.from_seed(bytes(32))
    for each in (shard, after):
        again = [bus.decided(each, record, owner="ngo-a") for record in submitted]
        bus.commit(each, again)
        assert {decision.outcome for decision in again} == {"repeated"}
        assert [as_record(decision.outs[-1]) for decision in again] == receipts


def test_what_lies_on_disk_has_no_name(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the folder has nothing of the file, which ends with the process; leftovers of earlier processes are removed."""
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "scratch").write_text("left by another")
    shard = bus.shard(scratch=Scratch(tmp_path / "scratch", at_hand=1))
    for case in CASES:
        bus.signal(shard, case=case)

    assert list(tmp_path.iterdir()) == []
    check_history(bus, shard)


class AppleConnection(sqlite3.Connection):
    """Connection of the SQLite that comes with macOS: it is of no use any more once its file has lost its name."""

    path = Path()

    def _look(self) -> None:
        if not self.path.exists():
            raise sqlite3.OperationalError("disk I/O error")

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Execute one statement, unless the file has no name."""
        self._look()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Execute a statement for many rows, unless the file has no name."""
        self._look()
        return super().executemany(*arguments)


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for macOS with a Python that was built with the system's own SQLite."""
    connect: Any = sqlite3.connect

    def connected(path: Any, **how: Any) -> AppleConnection:
        made: AppleConnection = connect(path, factory=AppleConnection, **how)
        if path != ":memory:":
            made.path = path
        return made

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sqlite3, "connect", connected)


@pytest.mark.usefixtures("macos")
def test_with_the_sqlite_of_macos_the_file_has_its_name_until_it_is_closed(bus: Bus, tmp_path: Path) -> None:
    """Given macOS, then a registrar sets state aside, saves it and begins again with it; afterwards no file is left."""
    home = tmp_path / "home"
    shard = bus.shard(scratch=Scratch(home / "scratch", at_hand=1))
    for case in CASES:
        bus.signal(shard, case=case)
    check_history(bus, shard)
    assert [each.stat().st_mode & 0o077 for each in home.iterdir()] == [0]

    saved = BytesIO()
    digest = Scratch(home / "first").save(b"state", saved)
    again = Scratch(home / "scratch")  # of the next owner of the partition, while the one before is not collected yet
    assert again.load(BytesIO(saved.getvalue()), digest) == b"state"
    del shard
    gc.collect()
    assert again.subjects() == ()
    del again
    gc.collect()

    assert list(home.iterdir()) == []


def test_a_disk_that_fails_is_not_called_full(tmp_path: Path) -> None:
    """Given an error of SQLite that is not about room, then it is raised as it is: room would not help."""
    scratch = Scratch(tmp_path / "scratch")
    scratch._file.execute("drop table aside")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        scratch.subjects()


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("type_", "data", "outcome"),
    [("case.signal_recorded", SIGNAL, "registered"), ("consent.given", CONSENT, "refused")],
    ids=["registered", "refused"],
)
def test_who_submits_without_end_fills_no_memory(
    bus: Bus, tmp_path: Path, type_: str, data: dict[str, object], outcome: str
) -> None:
    """A new case each time, registered or refused: what stays in memory of each is next to nothing."""
    shard = bus.shard(scratch=Scratch(tmp_path / "scratch", at_hand=16))

    def flood(times: int) -> int:
        for _ in range(times):
            assert bus.say(shard, "ngo-a", type_, data, case=ids.new_ref()).outcome == outcome
            bus.history.clear()
            bus._sequences.clear()
        for each in (ids.partition_of, material._hash):  # what they keep has an end, and is not the registrar's
            each.cache_clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = flood(100)
        grown = flood(400) - before
    finally:
        tracemalloc.stop()
    assert grown < 400 * 100


def test_a_full_disk_ends_it(bus: Bus, tmp_path: Path) -> None:
    """Nothing is decided without what is known: the process ends, and says what to do."""
    scratch = Scratch(tmp_path / "scratch", at_hand=1)
    shard = bus.shard(scratch=scratch)
    pages = scratch._file.execute("pragma page_count").fetchone()[0]
    scratch._file.execute(f"pragma max_page_count = {pages + 1}")

    def flood() -> None:
        for _ in range(100):
            bus.signal(shard, case=ids.new_ref())

    with pytest.raises(NoRoomError, match="make room there"):
        flood()


class _Full(BytesIO):
    """A file that finds no room."""

    def write(self, _buffer: object, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Failing(BytesIO):
    """A file that the disk cannot read."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_copy_that_finds_no_room_is_told_from_an_altered_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a full disk, then the copy is at fault; given a source that cannot be read, the source is. Both leave an empty file."""
    monkeypatch.setattr(sys, "platform", "linux")  # where the empty file has no name
    saved = BytesIO()
    digest = Scratch(tmp_path / "first").save(b"state", saved)
    scratch = Scratch(tmp_path / "scratch")
    with monkeypatch.context() as full:
        full.setattr(os, "fdopen", _full_once(os.fdopen))
        with pytest.raises(NoRoomError):
            scratch.load(BytesIO(saved.getvalue()), digest)
    assert list(tmp_path.iterdir()) == []

    assert scratch.load(_Failing(), digest) is None
    assert scratch.load(BytesIO(saved.getvalue()), digest) == b"state"


def _full_once(opened: Callable[..., Any]) -> Callable[..., Any]:
    """Open every file as *opened* does, and the target of the copy as one that finds no room."""

    def open_(descriptor: int, mode: str, *more: Any) -> Any:
        file = opened(descriptor, mode, *more)
        if mode != "wb":
            return file
        file.close()
        return _Full()

    return open_


def test_what_was_answered_first_stays(bus: Bus, tmp_path: Path) -> None:
    """An id used again with other bytes is refused, and changes nothing of what the first got."""
    shard = bus.shard(scratch=Scratch(tmp_path / "scratch"))
    event = bus.event("ngo-a", "case.signal_recorded", SIGNAL, case=CASES[0])
    bus.take(shard, bus.signed(event), owner="ngo-a")
    before = answered(shard, ("ngo-a", CASES[0], event.id))

    other = bus.event("ngo-a", "case.signal_recorded", {**SIGNAL, "child": True}, case=CASES[0], id=event.id)
    for _ in range(150):  # so that neither is in memory any more
        assert bus.take(shard, bus.signed(other), owner="ngo-a").code == "id_reused"
        bus.signal(shard, case=ids.new_ref())
        assert answered(shard, ("ngo-a", CASES[0], event.id)) == before
