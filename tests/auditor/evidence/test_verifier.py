"""The single file on its own: signatures on all processors, reading within bounds, and nothing that steers a terminal."""

import os
import sys
import tracemalloc
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from agencies import BUS, CASE
from auditor.evidence.forger import FIRST, LAST
from auditor.evidence.given import TIME, Evidence, Lines, key, of_kind, trust
from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.evidence.file import evidence_of
from nrmbus.auditor.evidence.verifier import Trust, Verification
from nrmbus.published import vectors
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import MAX_SIGNATURES, Note, Signature


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


def exchanged(lines: Lines) -> None:
    """Give the first and the last registration each other's signature."""
    rows = of_kind(lines, "registration")
    first, last = (rows[index]["signature"]["sig"] for index in (FIRST, LAST))
    rows[FIRST]["signature"]["sig"], rows[LAST]["signature"]["sig"] = last, first


@pytest.mark.parametrize("processors", [None, 1, 2, 64])
def test_a_signature_that_does_not_hold_fails_its_own_line(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, processors: int | None
) -> None:
    """Only that line fails, however many processors share the work."""
    monkeypatch.setattr(os, "cpu_count", lambda: processors)

    found = evidence.verified(evidence.resealed(exchanged))

    wrong = [(line.check, line.about, line.result) for line in found.lines if line.result != "ok"]
    assert wrong == [("signature", about, "registrar_signature_invalid") for about in ("0-2", "0-8")]
    assert found.verdict == (1, "FAILED: registrar_signature_invalid")


def test_a_hole_of_a_gigabyte_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    """The program stops after the first line that is too long."""
    path = tmp_path / "hole.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    tracemalloc.start()

    found = Verification(path, Trust())

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.verdict == (1, "FAILED: evidence_too_large")
    assert peak < 8 * verifier.LINE_LIMIT


@pytest.mark.thorough
def test_the_evidence_of_a_case_with_many_documents_is_read(tmp_path: Path) -> None:
    """Given 900 MiB, or 300,000 lines, as of a case with 2,000 documents of 10 MB, then the program reads the file to its end."""
    large, long = tmp_path / "large.jsonl", tmp_path / "long.jsonl"
    with large.open("wb") as file:
        for number in range(1, 901):  # holes, which take no room on the disk
            file.seek(number * verifier.LINE_LIMIT - 1)
            file.write(b"\n")
    long.write_bytes(b"{}\n" * 300_000)

    assert [sum(1 for _ in verifier.lines_of(each)) for each in (large, long)] == [900, 300_000]


def test_the_line_at_fault_is_named(evidence: Evidence) -> None:
    """A reader of a large file finds the place."""
    rows = evidence.whole.splitlines(keepends=True)
    found = evidence.verified(b"".join([*rows[:6], b"{}\n", *rows[6:]]))

    (line,) = found.lines
    assert (line.result, line.says.endswith("(line 7)")) == ("line_malformed", True)


def test_the_name_of_a_file_steers_no_terminal(evidence: Evidence, tmp_path: Path) -> None:
    """The name comes with the file: text that it hides could pass for the verdict."""
    path = tmp_path / "evidence\u202e\x1b[8m.jsonl"
    path.write_bytes(evidence.whole)

    found = Verification(path, trust(operator=evidence.operator))

    assert found.lines[0].about == "evidence??[8m.jsonl"
    assert found.verdict[0] == 0


def test_any_terminal_shows_the_verdict(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a name that the output's alphabet does not have, as on a court's Windows, then the name is escaped and the status is right."""
    path, shown = evidence.home / "i\u015f-d\u0259lili.jsonl", TextIOWrapper(BytesIO(), encoding="cp1252")
    path.write_bytes(evidence.whole)
    monkeypatch.setattr(sys, "stdout", shown)

    status = verifier.main([str(path)])

    shown.flush()
    printed = shown.buffer.getvalue()
    assert (status, printed.splitlines()[0].split()[2]) == (3, rb"i\u015f-d\u0259lili.jsonl:")


def test_p5_evidence_that_every_witness_of_a_large_bus_signed_verifies(evidence: Evidence) -> None:
    """Given 200 witnesses who all co-signed, when each of them is named with its key, then the evidence is verified."""
    witnesses = [
        Cosigner(witness_name(BUS, name), SigningKey(vectors.seed(f"witness {name}")))
        for name in (f"agency-{number}" for number in range(200))
    ]
    sound = Note.parse(evidence.note(witnesses=0))
    whole = sound.signed(*(each.cosign(sound.text, TIME + 60) for each in witnesses)).bytes()
    raw = evidence_of(CASE, evidence.source(checkpoints={0: whole}))
    trusted = Trust(trust().log, tuple(key(each.verifier) for each in witnesses), None, evidence.operator)

    assert evidence.verified(raw, trusted).verdict[0] == 0


def test_a_checkpoint_has_as_many_signatures_as_a_note_may_have(evidence: Evidence) -> None:
    """The single file and the auditor have one limit: what the one wrote the other reads, and one signature more nobody reads."""
    sound, line = evidence.note(witnesses=0), Signature("x", bytes(4), bytes(72)).line()
    full = sound + line * (MAX_SIGNATURES - 2)

    assert len(Note.parse(full).signatures) == len(verifier.Checkpoint.read(full).signatures) == MAX_SIGNATURES
    with pytest.raises(verifier.Failed, match="checkpoint_malformed"):
        verifier.Checkpoint.read(full + line)


def senders(row: Any, number: int) -> None:
    """Have each registration come from a sender of its own."""
    row["leaf"] |= {"number": number, "source": f"sender-{number}", "sequence": 1}


def partitions(row: Any, number: int) -> None:
    """Have each registration stand in a partition of its own."""
    row["leaf"] |= {"partition": number}


def many(count: int, change: Callable[[Any, int], None]) -> Callable[[Lines], None]:
    """Return a change that has *count* copies of the first registration, each after *change*, with a checkpoint of its partition."""

    def made(lines: Lines) -> None:
        (note,), first = of_kind(lines, "checkpoint"), of_kind(lines, "registration")[0]
        numbers = range(1, count + 1)
        rows = [{**first, "leaf": {**first["leaf"]}} for _ in numbers]
        for row, number in zip(rows, numbers, strict=True):
            change(row, number)
        notes = [{**note, "partition": each} for each in sorted({row["leaf"]["partition"] for row in rows})]
        lines[:] = [each for each in lines if each["kind"] not in {"checkpoint", "registration"}] + notes + rows

    return made


def steps(evidence: Evidence, raw: bytes) -> int:
    """Return how many steps the program takes for *raw*."""
    taken = 0

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal taken
        frame.f_trace_opcodes = frame.f_code.co_filename == verifier.__file__
        taken += event == "opcode"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        evidence.verified(raw)
    finally:
        sys.settrace(before)
    return taken


@pytest.mark.thorough
@pytest.mark.parametrize("change", [senders, partitions])
def test_twice_the_senders_or_partitions_take_twice_the_steps(
    evidence: Evidence, change: Callable[[Any, int], None]
) -> None:
    """Given a file that somebody filled with as many senders, or partitions, as lines, then a court's machine is not busy for an hour."""
    sizes = [steps(evidence, evidence.resealed(many(count, change))) for count in (200, 400)]

    assert sizes[1] < 2.1 * sizes[0]
