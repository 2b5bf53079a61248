"""One altered byte, anywhere: it is noticed, or every reader still gets the same facts."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agencies import BUS, town
from auditor.alteration import Place
from auditor.altered_topics import cosigned, reading_of, taken
from auditor.evidence.given import ORIGIN, WITNESSES, Evidence
from auditor.evidence.odd_files import retrailed
from auditor.log.folders import Folder
from desk.witness.test_decision import honest, tree
from nrmbus.auditor.errors import LogCode, LogError
from nrmbus.auditor.evidence.verifier import CODES, Verification
from nrmbus.auditor.history.history import History, HistoryCode, HistoryError
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.publisher import published
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.desk.witness.decision import SENTENCES, Alarm, Known, Submitted, follows
from nrmbus.wire.errors import ProofError
from nrmbus.wire.record import Record

ANYWHERE = st.floats(0, 1, exclude_max=True)
OTHERWISE = st.integers(1, 255)
some = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Sound(Place):
    """The things to alter, and what readers say of the unaltered ones."""

    @cached_property
    def told(self) -> tuple[Any, ...]:
        """Return what the sound log says."""
        return told(self.folders.sound)

    @cached_property
    def facts(self) -> list[Any]:
        """Return the facts of the sound history."""
        return replayed(self.evidence, self.evidence.bus.history)


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    place = Sound(tmp_path_factory.mktemp("altered"))
    yield place
    place.evidence.log.close()


def altered(raw: bytes, where: float, how: int) -> bytes:
    """Return the bytes with one altered: *where* as a share of the whole, *how* by exclusive or."""
    at = int(where * len(raw))
    return raw[:at] + bytes([raw[at] ^ how]) + raw[at + 1 :]


# -- evidence ----------------------------------------------------------------------------------------------------------


@some
@given(where=ANYWHERE, how=OTHERWISE)
def test_in_evidence(place: Sound, where: float, how: int) -> None:
    """An altered byte anywhere in the file gives one code, before anything in the file is believed."""
    found = place.evidence.verified(altered(place.evidence.whole, where, how))

    assert [line.check for line in found.lines] == ["evidence"]
    assert found.lines[0].result in CODES


@some
@given(data=st.data(), where=ANYWHERE, how=OTHERWISE)
def test_in_a_line_of_evidence_whose_trailer_was_written_again(
    place: Sound, data: st.DataObject, where: float, how: int
) -> None:
    """A forger who knows the format can alter only text that nobody verifies by, and the verifier states the same facts."""
    evidence = place.evidence
    rows = evidence.whole.splitlines()[:-1]
    at = data.draw(st.integers(0, len(rows) - 1))
    body = b"".join(row + b"\n" for row in [*rows[:at], altered(rows[at], where, how), *rows[at + 1 :]])
    found = evidence.verified(retrailed(body + evidence.whole.splitlines()[-1], lambda raw: raw))
    codes = {line.result for line in found.failures}

    assert codes <= CODES.keys()
    if json.loads(rows[at])["kind"] in {"directory", "checkpoint", "registration"}:
        assert codes
    assert codes or facts(found) == facts(evidence.verified(evidence.whole))


def facts(found: Verification) -> Any:
    """Return what the verifier states about the case; a header may claim another number of later registrations."""
    return [line for line in found.lines if line.check != "gaps"], found.verdict


# -- a log on disk -----------------------------------------------------------------------------------------------------


def files(folder: Folder) -> dict[str, bytes]:
    """Return every file of a log except the lock."""
    found = (each for each in folder.log.rglob("*") if each.is_file() and each.name != "lock")
    return {str(each.relative_to(folder.log)): each.read_bytes() for each in sorted(found)}


def told(folder: Folder) -> tuple[Any, ...]:
    """Return all that a log says once opened and checked, and the folder that was set aside."""
    with closing(folder.opened()) as log:
        if log.set_aside:
            raise LogError("state_damaged", log.origin)
        log.check()
        proofs = [log.inclusion_proof(7, 520), log.consistency_proof(300, 600)]
        return log.head, log.signed, proofs, files(folder)


@pytest.mark.thorough
@some
@given(data=st.data(), where=ANYWHERE, how=OTHERWISE)
def test_in_a_file_of_a_log(place: Sound, data: st.DataObject, where: float, how: int) -> None:
    """In tiles, entry bundles, head and checkpoint the byte is noticed, or a start restores every file."""
    before = place.told
    name = data.draw(st.sampled_from(sorted(before[-1])))
    home = place.fresh()
    folder = place.folders.copy(home)
    folder.change(name, lambda raw: altered(raw, where, how))
    code, after = None, None
    try:
        after = told(folder)
    except LogError as error:
        code = error.code
    shutil.rmtree(home)

    assert code in get_args(LogCode) or after == before


# -- a record of a topic -----------------------------------------------------------------------------------------------


def bytes_of(record: Record) -> list[tuple[str | int, bytes]]:
    """Return the key, the value, and each header's value by its place."""
    headers: list[tuple[str | int, bytes]] = [(at, value) for at, (_, value) in enumerate(record.headers)]
    return [each for each in [("key", record.key or b""), ("value", record.value or b""), *headers] if each[1]]


def put(record: Record, place: str | int, raw: bytes) -> Record:
    """Return the record with other bytes in one place."""
    if isinstance(place, str):
        return Record(raw, record.value, record.headers) if place == "key" else replace(record, value=raw)
    name = record.headers[place][0]
    return replace(record, headers=(*record.headers[:place], (name, raw), *record.headers[place + 1 :]))


def kept(history: History) -> list[Any]:
    """Return the facts of a history."""
    return [(each.registration, each.event, each.audience) for each in history.entries]


def replayed(evidence: Evidence, records: list[Record]) -> list[Any]:
    """Return the facts of *records*."""
    history = History(evidence.bus.directory)
    for each in records:
        history.take(each, 0)
    return kept(history)


@pytest.mark.thorough
@some
@given(data=st.data(), where=ANYWHERE, how=OTHERWISE)
def test_in_a_record_of_the_history(place: Sound, data: st.DataObject, where: float, how: int) -> None:
    """In key, data or a header: auditor and replay stop, or both have the same facts."""
    evidence, home = place.evidence, place.fresh()
    number = data.draw(st.integers(0, len(evidence.bus.history) - 1))
    spot, raw = data.draw(st.sampled_from(bytes_of(evidence.bus.history[number])))
    records = list(evidence.bus.history)
    records[number] = put(records[number], spot, altered(raw, where, how))
    replaying = auditing = facts = head = None
    try:
        facts = replayed(evidence, records)
    except HistoryError as error:
        replaying = error.code, error.number
    with closing(Log(home / "log", SignedHeads(home / "heads.db"), BUS, 0)) as log:
        try:
            taken(reading_of(log, evidence), records)
            log.commit()
            head = log.head
        except LogError as error:
            auditing = error.code, error.number
    shutil.rmtree(home)

    due = number + 1
    assert replaying in {(code, due) for code in get_args(HistoryCode)} or facts == place.facts
    assert auditing in {(code, due) for code in get_args(LogCode)} or head == evidence.log.head


@some
@given(where=ANYWHERE, how=OTHERWISE)
def test_in_a_published_checkpoint(where: float, how: int) -> None:
    """A desk raises an alarm or checks the same step; an auditor who starts again finds that checkpoint or none."""
    keys, raw = town().directory.log_keys(), altered(honest(), where, how)
    known = Known(tree(0, 3), tree(0, 3))
    sound, code, step = Submitted.believed(honest(), BUS, keys), None, None
    try:
        submitted = Submitted.believed(raw, BUS, keys)
        step = submitted.checkpoint, submitted.old, submitted.proof, follows(submitted, known)
    except Alarm as alarm:
        code = alarm.code
    said = published(raw, BUS, keys)

    assert code in SENTENCES or step == (sound.checkpoint, sound.old, sound.proof, True)
    assert said is None or said.checkpoint == sound.checkpoint


@some
@given(where=ANYWHERE, how=OTHERWISE)
def test_in_a_co_signature(place: Sound, where: float, how: int) -> None:
    """The co-signature counts unaltered, or does not count."""
    head = place.evidence.log.head
    home = place.fresh()
    found = Cosigned(home / "cosigned.db")
    found.publish([(head, place.evidence.note(witnesses=0))], 0)
    code = None
    try:
        found.add(altered(cosigned(head.text), where, how), [WITNESSES[0].verifier])
    except ProofError as error:
        code = error.code
    newest = found.newest(ORIGIN)
    shutil.rmtree(home)

    assert code in SENTENCES or newest == (head.size, place.evidence.note(witnesses=1), 1)
