"""An agency that leaves takes its own history along, in files that need no software of the bus."""

import asyncio
import base64
import errno
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, TOKEN, Given, desk_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.cli.desk import history
from nrmbus.client.door import Door
from nrmbus.desk.store import tables
from typed import run as nrmbus

PAGE = 200
"""Entries of a page, if a program does not say how many."""
OPENED = {
    "at": "2026-03-02T09:00:00Z", "who": "V-7", "subject": CASE, "source": "ngo-a",
    "event": "01930000-0000-7000-8000-000000000041", "part": "story", "purpose": "case_work",
}  # fmt: skip
SAID = {"to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}


async def take(here: Given, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Write the history of vac to *out*, while the registrar registers all that the desk sends; return what was counted."""

    @asynccontextmanager
    async def door_of(*_: Any) -> AsyncIterator[Door]:
        yield Door("http://127.0.0.1", TOKEN, transport=here.door._transport)

    monkeypatch.setattr(history, "door_of", door_of)
    folder: Any = SimpleNamespace(settings=SimpleNamespace(bus=here.town.bus))
    asking = asyncio.create_task(history._write(folder, "vac", out, "V-7", "case_work"))
    while not asking.done():
        await asyncio.wait([asking], timeout=0.01)
        await here.settle()
    return asking.result()


def lines(file: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_a_history_is_whole_readable_and_recorded_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a case with letters and a document, every event is there once and in order, with what the agency may read."""
    content = b"%PDF-1.7 an example"
    out = tmp_path / "history"
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        sent = registrar.event(
            "ngo-a", "referral.submitted", SAID, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
        )
        await here.hear(registrar.register(sent, to="vac"))
        file = {
            "name": "a.pdf",
            "media_type": "application/pdf",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        shared = "01930000-0000-7000-8000-000000000042"
        announced = registrar.event(
            "ngo-a", "document.shared", {"to": ["vac"], "document_type": "court_order", "chunks": 1},
            parts={"story": {"story_file": file}}, opens=["vac"], id=shared, referral=REF,
        )  # fmt: skip
        await here.hear(registrar.register(announced, to="vac"))
        piece = {"story": {"story_chunk": base64.b64encode(content).decode()}}
        chunk = registrar.event(
            "ngo-a", "document.chunk_sent", {"to": ["vac"], "index": 0}, parts=piece, opens=["vac"], causationid=shared
        )
        await here.hear(registrar.register(chunk, to="vac"))
        await here.settle()
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        counted = await take(here, out, monkeypatch)
        granted = [
            json.loads(each.clear)["data"]["what"]
            for each in await here.rows("outbox")
            if each.type == "access.granted"
        ]

    events = lines(out / "cases" / f"{CASE}.jsonl")
    kinds = [each["type"] for each in events]
    assert [kind for kind in kinds if kind not in ("letter.opened", "access.granted")] == [
        "case.signal_recorded", "referral.submitted", "document.shared", "document.chunk_sent", "referral.accepted",
    ]  # fmt: skip
    assert [each["number"] for each in events] == sorted({each["number"] for each in events})
    by_type = {each["type"]: each for each in events}
    assert by_type["referral.submitted"]["letter"]["identity"] == {"name": CANARY}
    assert by_type["referral.accepted"]["source"] == "vac"
    assert by_type["referral.submitted"]["original"]["registration"]
    assert (out / by_type["document.shared"]["file"]).read_bytes() == content
    assert "letter" not in by_type["document.chunk_sent"], "the file has its pieces"
    assert by_type["document.shared"]["letter"]["story"]["story_file"]["name"] == "a.pdf"
    assert granted[0] == "export"
    assert "letter" in granted
    assert {each["who"] for each in lines(out / "reads.jsonl")} == {"desk", "V-7"}
    (case,) = lines(out / "cases.jsonl")
    assert (case["case"], case["recorded"] > 0) == (CASE, True)
    assert lines(out / "left-out.jsonl") == []
    assert (counted["cases"], counted["letters"], counted["files"]) == (1, 2, 1)
    verifying = await asyncio.create_subprocess_exec("sha256sum", "-c", "--quiet", "SHA256SUMS", cwd=out)
    assert await verifying.wait() == 0
    named = {line.partition("  ")[2] for line in (out / "SHA256SUMS").read_text().splitlines()}
    assert named == {str(each.relative_to(out)) for each in out.rglob("*") if each.is_file()} - {"SHA256SUMS"}
    assert all(each.stat().st_mode & 0o077 == 0 for each in (out, *out.rglob("*")))
    assert "CANARY" not in (out / "README.txt").read_text()


@pytest.mark.thorough
async def test_a_case_of_several_pages_is_taken_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more events and openings than a page of any list has, then each of them is in the files, once and in order."""
    out = tmp_path / "history"
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        for _ in range(PAGE + 1):
            await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        sent = registrar.event(
            "ngo-a", "referral.submitted", SAID, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
        )
        await here.hear(registrar.register(sent, to="vac"))
        async with here.desk.seat.ledger.write() as tx:
            tx.execute(insert(tables.reads), [OPENED] * (2 * PAGE + 1))
        await take(here, out, monkeypatch)
        received = {each.id for each in await here.rows("events")}
        opened = [each.id for each in await here.rows("reads")]

    events = lines(out / "cases" / f"{CASE}.jsonl")
    numbers = [each["number"] for each in events]
    assert numbers == sorted(set(numbers))
    assert received <= {each["id"] for each in events}
    (last,) = [each for each in events if each["type"] == "referral.submitted"]
    assert last["letter"]["identity"] == {"name": CANARY}
    assert [each["row"] for each in lines(out / "reads.jsonl")] == opened
    assert len(opened) > 2 * PAGE


async def test_what_may_not_be_read_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a withdrawal of consent the closed letter is listed, and its event is written without content."""
    out = tmp_path / "history"
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        sent = registrar.event(
            "ngo-a", "referral.submitted", SAID, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
        )
        await here.hear(registrar.register(sent, to="vac"))
        withdrawn = registrar.event(
            "ngo-a", "consent.withdrawn", {"purposes": ["information_sharing"], "receivers": ["vac"]}
        )
        await here.hear(registrar.register(withdrawn, to="vac"))
        await here.settle()
        await take(here, out, monkeypatch)

    (left,) = lines(out / "left-out.jsonl")
    assert (left["type"], left["why"]) == ("referral.submitted", "consent_withdrawn")
    assert "CANARY" not in "".join(each.read_text() for each in out.rglob("*") if each.is_file())


class Documents:
    """Desk with one case, in which three documents were shared; it counts the files in *out* at each reading."""

    def __init__(self, out: Path) -> None:
        self.out, self.written = out, list[int]()

    async def get(self, path: str, **asked: str) -> dict[str, Any]:
        """Return the cases, the events of the case, or an empty list."""
        if path == "/v1/cases":
            return {"cases": [] if asked.get("after") else [{"case": CASE}]}
        shared = {"type": "document.shared", "source": "ngo-a", "parts": [], "case": CASE}
        found = [{**shared, "id": f"d{number}", "number": number} for number in range(3)]
        return {"reads": [], "events": found if path.endswith("/timeline") else [], "next": None}

    async def read_case(self, *_: str, **__: str) -> dict[str, Any]:
        """Record the export."""
        return {"number": 7}

    async def case(self, case: str) -> dict[str, Any]:
        """Return the case in short."""
        return {"case": case}

    async def document(self, *_: str, **__: str | None) -> tuple[str, bytes]:
        """Return a document."""
        self.written.append(len(list((self.out / "files").glob("*"))))
        return "application/pdf", b"%PDF-1.7"


def taken(out: Path, monkeypatch: pytest.MonkeyPatch) -> Documents:
    """Return a desk with three documents, which the command reaches."""
    desk = Documents(out)

    @asynccontextmanager
    async def door_of(*_: Any) -> AsyncIterator[Documents]:
        yield desk

    monkeypatch.setattr(history, "door_of", door_of)
    return desk


def test_each_document_is_written_before_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a case whose documents are larger than the memory, then the memory holds one of them at a time."""
    out = tmp_path / "history"
    desk = taken(out, monkeypatch)
    folder: Any = SimpleNamespace(settings=SimpleNamespace(bus="b"))
    counted = asyncio.run(history._write(folder, "vac", out, "V-7", "case_work"))

    assert desk.written == [0, 1, 2]
    assert counted["files"] == 3
    assert [each["file"] for each in lines(out / "cases" / f"{CASE}.jsonl")] == [f"files/d{n}.pdf" for n in range(3)]


def test_a_full_disk_is_one_sentence_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export ends at the first file that finds no room.

    Given: a disk that is full after the first document.
    When: an agency takes its history.
    Then: no third document is read, and the sentence says that the folder is not complete and has to be removed.
    """
    out = tmp_path / "history"
    BusFolder(tmp_path).create(play=True)
    desk = taken(out, monkeypatch)

    def until_full(path: Path, content: bytes) -> None:
        if path.name == "d1.pdf":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_private(path, content)

    monkeypatch.setattr(history, "write_private", until_full)
    done = nrmbus("history", "vac", out, "--actor", "V-7", "--data", tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert f"{out} is not complete" in done.stderr
    assert "remove the folder, and give the command again" in done.stderr
    assert desk.written == [0, 1]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder that is there stays as it is."""
    done = nrmbus("history", "ngo-a", tmp_path)

    assert (done.returncode, done.stderr) == (
        1,
        "nrmbus: There is something at DIR already: name a folder that does not exist yet.\n",
    )
