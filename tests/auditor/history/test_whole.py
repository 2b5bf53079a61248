"""The history in several processes: the same verdicts, order and output as in one, wherever it was altered."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agencies import POLICY
from auditor.alteration import Place
from auditor.altered_topics import HISTORIES, header, put, words
from auditor.evidence.given import Evidence
from auditor.history.in_processes import shown
from auditor.live import AuditedBus
from auditor.played import first_scenario, with_header
from brokers import Broker
from nrmbus.auditor.history import history, whole
from nrmbus.auditor.history.history import Audited, History, HistoryError, Kept, Signatures, rules_of
from nrmbus.auditor.history.reader import Piece
from nrmbus.auditor.history.whole import Found, Share, Task, jobs_for, read_whole, shares
from nrmbus.directory import Directory
from nrmbus.wire.record import AUDIENCE, Record
from patience import lives, until

BOTH: tuple[Signatures, ...] = ("all", "last")
PROGRAM = Path(__file__).with_name("in_processes.py")


@given(ends=st.dictionaries(st.integers(0, 9), st.integers(0, 500)), jobs=st.integers(1, 20))
def test_shares_hold_every_offset_once_and_in_order(ends: dict[int, int], jobs: int) -> None:
    """No more shares than asked for, none of them empty, and none larger than its part by more than one."""
    found = shares(ends, jobs)
    offsets = [(piece.partition, at) for share in found for piece in share for at in range(piece.start, piece.end)]

    assert offsets == [(partition, at) for partition, end in sorted(ends.items()) for at in range(end)]
    assert len(found) <= jobs
    assert all(0 < sum(each.size for each in share) <= sum(ends.values()) / jobs + 1 for share in found)


def test_a_short_history_is_read_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process pays from some thousand registrations on; who asks for more gets them, where a fork is safe."""
    monkeypatch.setattr(whole, "_fork_is_safe", lambda: True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)

    assert [jobs_for(total) for total in (0, 1, 3_999, 4_000, 7_999, 1_000_000)] == [1, 1, 1, 2, 3, 4]
    assert [jobs_for(total, 3) for total in (0, 2, 3, 1_000)] == [1, 2, 3, 3]
    monkeypatch.setattr(whole, "_fork_is_safe", lambda: False)
    assert jobs_for(1_000_000, 8) == 1


class Helper:
    """A process that is none: it does its work when it is asked for it, and hands over bytes."""

    def __init__(self, task: Task, pieces: list[Piece], *, died: bool) -> None:
        self.pieces, self._task, self._died = pieces, task, died

    def found(self, _: object) -> Found | None:
        """Return the share as it comes through a pipe."""
        done = None if self._died else self._task.verified(self.pieces, None)
        if done is None:
            return None
        sent = pickle.dumps((done.links, done.views, [(each.subject, each.record) for each in done.records]))
        links, views, records = pickle.loads(sent)  # noqa: S301 - just written
        return Found(links, [Kept(*each) for each in records], views)


class Topic:
    """A topic in memory, of one partition or more, that is read by offsets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Directory) -> None:
        self.records: list[Sequence[Record]] = [[]]
        self.directory, self.died = directory, False
        self.read_here = 0
        """Shares that were read in this process in the end, of those that others had."""
        monkeypatch.setattr(whole, "_fork_is_safe", lambda: True)
        monkeypatch.setattr(whole, "_ends", self._ends)
        monkeypatch.setattr(whole, "_read", self._read)
        monkeypatch.setattr(whole, "_helpers", self._helpers)

    async def _ends(self, *_: object) -> dict[int, int]:
        return {number: len(records) for number, records in enumerate(self.records)}

    async def _read(self, _: object, history: History, pieces: list[Piece], __: object) -> None:
        self.read_here += not isinstance(history, Share)
        for each in pieces:
            for record in self.records[each.partition][each.start : each.end]:
                history.take(record, each.partition)

    @contextmanager
    def _helpers(self, task: Task, work: Sequence[list[Piece]], _: object) -> Iterator[list[Helper]]:
        yield [Helper(task, pieces, died=self.died) for pieces in work]

    def read(self, jobs: int, signatures: Signatures = "all") -> Audited:
        """Read all of it."""
        rules = rules_of(self.directory, POLICY)
        task = Task("", self.directory, signatures, rules)
        partitions = len(self.records)
        return Audited(read_whole(task, partitions, jobs=jobs), self.directory, rules, partitions)

    def fault(self, jobs: int, signatures: Signatures) -> str:
        """Return where and why it does not verify, before anything is made of it."""
        try:
            self.read(jobs, signatures)
        except HistoryError as error:
            return f"{error.number} {error.code}"
        return ""

    def verdict(self, jobs: int, signatures: Signatures = "all") -> str:
        """Return where and why it does not verify, or what is shown of it."""
        try:
            return json.dumps(shown(self.read(jobs, signatures)))
        except HistoryError as error:
            return f"{error.partition}/{error.number} {error.code}: {error}"


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    found = Place(tmp_path_factory.mktemp("whole")).evidence
    yield found
    found.log.close()


@pytest.mark.thorough
@pytest.mark.parametrize("signatures", BOTH)
@pytest.mark.parametrize("jobs", [2, 3, 5, 64])
def test_a_sound_history_is_shown_alike(monkeypatch: pytest.MonkeyPatch, jobs: int, signatures: Signatures) -> None:
    """Every registration, status and clock, byte for byte; no share is read twice."""
    written = first_scenario()
    topic = Topic(monkeypatch, written.directory)
    topic.records = [written.records]
    alone = topic.verdict(1, signatures)
    topic.read_here = 0

    assert topic.verdict(jobs, signatures) == alone
    assert '"verified": ' in alone
    assert topic.read_here == 0


def altered_value(record: Record, _: Evidence) -> Record:
    """Return the record with another salt in its audience."""
    return with_header(record, AUDIENCE, header(record, AUDIENCE).replace(b'"salt":"', b'"salt":"0'))


@pytest.mark.parametrize("signatures", BOTH)
@pytest.mark.parametrize("jobs", [2, 3])
@pytest.mark.parametrize("number", range(1, 9))
def test_one_altered_record_in_any_share_or_at_a_seam(
    monkeypatch: pytest.MonkeyPatch, evidence: Evidence, number: int, jobs: int, signatures: Signatures
) -> None:
    """Of eight, two shares begin at the first and the fifth, three at the first, the third and the sixth."""
    topic = Topic(monkeypatch, evidence.bus.directory)
    records = list(evidence.bus.history)
    put(number, altered_value)(records, evidence)
    topic.records = [records]

    assert topic.verdict(jobs, signatures) == topic.verdict(1, signatures)
    assert topic.verdict(jobs, signatures).startswith(f"0/{number} audience_altered")


@pytest.mark.thorough
@pytest.mark.parametrize("signatures", BOTH)
@pytest.mark.parametrize("alter", [alter for _, alter, *_ in HISTORIES], ids=[name for name, *_ in HISTORIES])
def test_every_altered_history_has_the_verdict_of_one_process(
    monkeypatch: pytest.MonkeyPatch,
    evidence: Evidence,
    alter: Callable[[list[Record], Evidence], object],
    signatures: Signatures,
) -> None:
    """The same place and code for each row of the table, in two, three and eight processes."""
    topic = Topic(monkeypatch, evidence.bus.directory)
    records = list(evidence.bus.history)
    alter(records, evidence)
    topic.records = [records]
    alone = topic.verdict(1, signatures)

    assert {topic.verdict(jobs, signatures) for jobs in (2, 3, 8)} == {alone}


def test_the_earliest_of_several_faults_is_named(monkeypatch: pytest.MonkeyPatch, evidence: Evidence) -> None:
    """One altered record in each of three shares."""
    topic = Topic(monkeypatch, evidence.bus.directory)
    records = list(evidence.bus.history)
    for number in (8, 5, 2):
        put(number, altered_value)(records, evidence)
        topic.records = [records]

        assert topic.verdict(3) == topic.verdict(1)
    assert topic.verdict(3).startswith("0/2 ")


def test_the_last_signature_is_verified_in_the_end(monkeypatch: pytest.MonkeyPatch, evidence: Evidence) -> None:
    """Whichever process had the last record."""
    topic = Topic(monkeypatch, evidence.bus.directory)
    records = list(evidence.bus.history)
    put(8, words(lambda raw: raw[:21] + bytes(64) + raw[85:]))(records, evidence)
    topic.records = [records]

    assert topic.verdict(3, "last") == topic.verdict(1, "last")
    assert "0/8 signature_invalid" in topic.verdict(3, "last")


def test_a_share_whose_process_died_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the history is missing."""
    written = first_scenario()
    topic = Topic(monkeypatch, written.directory)
    topic.records, topic.died = [written.records], True

    assert topic.verdict(3) == topic.verdict(1)
    assert topic.read_here == 2 + 1, "the shares of two processes, and the whole in one"


@pytest.mark.parametrize("signatures", BOTH)
def test_a_share_that_begins_with_another_history_does_not_join(
    monkeypatch: pytest.MonkeyPatch, signatures: Signatures
) -> None:
    """Two histories of one registrar, each sound in itself, glued together between two shares."""
    written = first_scenario()
    topic, half = Topic(monkeypatch, written.directory), len(written.records) // 2
    other = [*written.records[:half][::-1], *written.records[half + 1 :]]
    topic.records = [[*written.records[:half], *other[half:], written.records[0]]]

    assert topic.verdict(2, signatures) == topic.verdict(1, signatures)
    assert f"0/{half + 1} chain_broken" in topic.verdict(2, signatures)


@pytest.mark.parametrize("alter", [alter for _, alter, *_ in HISTORIES], ids=[name for name, *_ in HISTORIES])
def test_the_quick_reading_has_the_verdict_of_every_step(
    monkeypatch: pytest.MonkeyPatch, evidence: Evidence, alter: Callable[[list[Record], Evidence], object]
) -> None:
    """A reader of the last signature skips form checks that digests answer for, and nothing else."""
    topic = Topic(monkeypatch, evidence.bus.directory)
    records = list(evidence.bus.history)
    alter(records, evidence)
    topic.records = [records]
    quick = topic.fault(1, "last")
    monkeypatch.setattr(history, "committed", lambda *_: None)

    assert topic.fault(1, "last") == quick


def test_the_quick_reading_builds_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """By construction as by validation, with every attribute of the first story; so do the views."""
    written = first_scenario()
    topic = Topic(monkeypatch, written.directory)
    topic.records = [written.records]
    (subject,) = topic.read(1, "last").history.spoken_of()
    quick = list(topic.read(1, "last").history.facts(subject))
    view = topic.read(1, "last").latest(subject)
    thorough = topic.read(1, "all").history

    assert [repr(each) for each in quick] == [repr(each) for each in thorough.facts(subject)]
    assert view == written.view[subject]
    assert all(each.event.model_copy(update={"actor": "S-9"}).model_dump() for each in quick)


# -- with processes ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_two_processes_show_what_one_shows(broker: Broker) -> None:
    """Of a topic on a real broker, byte for byte."""
    bus = await AuditedBus.fresh(broker, agencies=("ngo-a",))
    await bus.register(1_500)
    alone, two = json.loads(await asyncio.to_thread(_printed, str(bus.folder.path)))

    assert two == alone
    assert two["verified"] == 1_500


def _printed(*arguments: str) -> str:
    run = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(run, env=_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}


@pytest.mark.thorough
def test_no_process_outlives_the_one_that_asked() -> None:
    """Killed without a word while its helper reads, it leaves nobody behind."""
    run: Any = subprocess.Popen([sys.executable, str(PROGRAM), "orphan"], env=_environment(), stdout=subprocess.PIPE)
    with run:
        helper = int(run.stdout.readline())
        assert lives(helper)
        run.kill()

    until("the helper has ended", lambda: not lives(helper))
