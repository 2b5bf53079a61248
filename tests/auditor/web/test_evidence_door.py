"""The door at which the auditor hands out the evidence of a case: on record first, from its own history and log."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agencies import BUS
from auditor.evidence.given import of_kind, read
from auditor.web.given import NO_CASE
from auditor.web.test_questions import Door
from nrmbus.auditor.evidence import export
from nrmbus.auditor.evidence.verifier import Key, Trust, Verification
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.web.access_log import Question
from nrmbus.wire.log.checkpoint import Checkpoint, origin_of
from nrmbus.wire.log.note import Ed25519Verifier, vkey

PLAYED = {"sequence"}
"""The check that fails by design here: the played history copies sequences. On a bus, `cli/audit/test_export.py` has none."""


@pytest.fixture(name="door")
def _door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door = Door(tmp_path, monkeypatch)
    door.open()
    yield door
    door.listening.socket.close()


async def exported(door: Door, **more: Any) -> bytes:
    """Return the evidence of the story's case, once the export is on record."""
    async with door.asked() as client:
        recorded = await client.post("/questions", json=door.question(what="export", purpose="court"))
        wanted = {"case": door.hall.case, "number": recorded.json()["number"]} | more
        answer = await client.post("/evidence", json=wanted)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    return answer.content


def trust(door: Door) -> Trust:
    """Return the keys of the directory; one witness must have signed."""
    directory = door.hall.written.directory
    log = directory.log_keys()[-1].verifiers(origin_of(BUS, 0))
    operator = Key.read(vkey(Ed25519Verifier(f"nrmbus/{BUS}/operator", directory._operator.public)), 1)
    witnesses = tuple(Key.read(vkey(each), 4, 6) for each in directory.witnesses())
    return Trust(tuple(Key.read(vkey(each), 1, 6) for each in log), witnesses, 2, operator)


async def test_the_evidence_of_the_running_auditor_verifies(door: Door, tmp_path: Path) -> None:
    """All that the checkpoint covers is in the file, proved by the auditor's own log, and nothing that the export caused."""
    registered = len(door.hall.audited().history.about(door.hall.case))
    raw = await exported(door)
    path = tmp_path / "case.evidence.jsonl"
    path.write_bytes(raw)

    done = Verification(path, trust(door))

    assert {line.check for line in done.failures} == PLAYED
    assert {line.result for line in done.lines if line.check not in PLAYED} == {"ok"}
    assert "2 of " in str(done.anchors[0])
    assert (done.header["counts"]["registration"], done.header["later"]) == (registered, 0)
    assert done.header["case"] == door.hall.case


async def test_the_same_history_gives_the_same_file(door: Door) -> None:
    """A later export has the record of the earlier one as one more, later registration, and the same lines before."""
    first, second = read(await exported(door)), read(await exported(door))

    assert second[0]["later"] == first[0]["later"] + 1
    assert second[1:] == first[1:]


async def test_p4_no_evidence_leaves_without_its_record(door: Door) -> None:
    """No record, the record of another question, a number that is none: the door hands out nothing."""
    case = door.hall.case
    async with door.asked() as client:
        reading = await client.post("/questions", json=door.question())
        for number in (None, 1, reading.json()["number"], 10**6):
            wanted = {"case": case} if number is None else {"case": case, "number": number}
            answer = await client.post("/evidence", json=wanted)
            assert (answer.status_code, answer.json()) == (403, {"code": "not_on_record"})
        door.unrecorded.note(
            Question(door.account, "audit", "case", case), datetime(2026, 11, 30, tzinfo=UTC), "unanswered"
        )
        assert (await client.post("/evidence", json={"case": case})).status_code == 403


async def test_off_the_record_the_written_line_stands_for_the_record(door: Door) -> None:
    """The line on this machine is written first; then the registrar is not needed."""
    door.hall.away()
    read_at = datetime(2026, 11, 30, tzinfo=UTC)
    door.unrecorded.note(Question(door.account, "court", "export", door.hall.case), read_at, "unanswered")

    async with door.asked() as client:
        answer = await client.post("/evidence", json={"case": door.hall.case})

    assert answer.status_code == 200
    assert of_kind(read(answer.content), "registration")


async def test_a_reference_is_looked_up_in_a_body(door: Door) -> None:
    """The first digits of a case name it; nothing is said of other cases."""
    case = door.hall.case
    async with door.asked() as client:
        for ref, found in ((case[:8], [case]), (case, [case]), (NO_CASE, [])):
            assert (await client.post("/cases", json={"ref": ref})).json() == {"cases": found}


@pytest.mark.parametrize("wanted", [{}, {"ref": "5f0c"}, {"ref": "Z" * 32}, {"ref": 7}, {"ref": "0" * 33}], ids=str)
async def test_an_invalid_reference_is_refused_by_a_code(door: Door, wanted: dict[str, Any]) -> None:
    """Nothing of the body is repeated."""
    async with door.asked() as client:
        answer = await client.post("/cases", json=wanted)
    assert (answer.status_code, answer.json()) == (422, {"code": "not_a_question"})


@pytest.mark.parametrize(
    "more", [{"case": "5f0c"}, {"case": None}, {"number": 0}, {"number": "7"}, {"out": "x"}], ids=str
)
async def test_an_invalid_request_for_evidence_is_refused_by_a_code(door: Door, more: dict[str, Any]) -> None:
    """Nothing of the body is repeated."""
    async with door.asked() as client:
        answer = await client.post("/evidence", json={"case": door.hall.case} | more)
        assert (answer.status_code, answer.json()) == (422, {"code": "not_a_question"})
        assert (await client.post("/evidence", json={"case": NO_CASE})).json() == {"code": "not_found"}
    async with door.asked("x") as client:
        assert (await client.post("/evidence", json={"case": door.hall.case})).status_code == 401
        assert (await client.post("/cases", json={"ref": door.hall.case})).status_code == 401


async def test_without_a_log_there_is_no_proof(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """An auditor that still starts says so; a log that has nothing of the case yet says so."""
    monkeypatch.setattr(export, "PATIENCE_SECONDS", 0.0)
    logs, case = door.hall.logs, door.hall.case
    assert logs is not None
    async with door.asked() as client:
        number = (await client.post("/questions", json=door.question(what="export"))).json()["number"]
        door.hall.logs = None
        assert (await client.post("/evidence", json={"case": case, "number": number})).json() == {"code": "not_ready"}
        door.hall.logs = logs
        monkeypatch.setattr(export.Export, "_written", lambda *_: None)
        answer = await client.post("/evidence", json={"case": case, "number": number})
    assert (answer.status_code, answer.json()) == (503, {"code": "checkpoint_due"})


async def test_while_the_log_is_made_again_there_is_no_proof(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a log that was damaged and has less than its checkpoint, then evidence waits for it; it is no end of the auditor."""
    monkeypatch.setattr(export, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(Log, "head", property(lambda log: Checkpoint(log.origin, 1, bytes(32))))
    async with door.asked() as client:
        number = (await client.post("/questions", json=door.question(what="export"))).json()["number"]
        answer = await client.post("/evidence", json={"case": door.hall.case, "number": number})
    assert (answer.status_code, answer.json()) == (503, {"code": "checkpoint_due"})


async def test_before_the_first_checkpoint_the_head_is_unsigned(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file fits together, and anchors nothing."""
    monkeypatch.setattr(export, "checkpoints", lambda *_: [])
    path = tmp_path / "case.evidence.jsonl"
    path.write_bytes(await exported(door))

    alone, anchored = Verification(path, Trust()), Verification(path, trust(door))
    assert {line.check for line in alone.failures} == PLAYED
    assert {line.result for line in anchored.failures if line.check not in PLAYED} == {"checkpoint_unsigned"}
