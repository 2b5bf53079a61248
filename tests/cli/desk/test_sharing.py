"""``nrmbus document``: a file goes and comes by the terminal as by the SDK, each reading recorded first."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from agencies import CASE, SIGNAL
from desk.documents.test_reading import OTHER, received, received_elsewhere
from desk.documents.test_sharing import PDF
from desk.given import CANARY, TOKEN, Given, desk_of
from nrmbus.cli.desk import desks, sharing
from nrmbus.client import door as client_door
from nrmbus.client.door import Door
from nrmbus.events.document import LARGEST
from typed import run as nrmbus

FOLDER: Any = None
"""The commands reach the desk through `door_of`, which the tests replace."""


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """Let the commands reach the desk that a test appends."""
    here = list[Given]()

    @asynccontextmanager
    async def door_of(*_: Any) -> AsyncIterator[Door]:
        yield Door("http://127.0.0.1", TOKEN, transport=here[0].door._transport)

    monkeypatch.setattr(sharing, "door_of", door_of)
    return here


async def ended(here: Given, command: Coroutine[Any, Any, Any]) -> Any:
    """Return what *command* returns, while the registrar registers all that the desk sends."""
    asking = asyncio.create_task(command)
    while not asking.done():
        await asyncio.wait([asking], timeout=0.01)
        await here.settle()
    return asking.result()


async def test_a_file_is_announced_and_sent_in_the_part_of_its_type(tmp_path: Path, reached: list[Given]) -> None:
    """Given a shortened case, the desk announces the file, sends its chunks, and keeps the name in the letter alone."""
    async with desk_of("shelter", tmp_path) as here:
        reached.append(here)
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        letter = sharing._Letter("medical_report", f"{CANARY}.pdf", ("special-unit",))
        answer = await ended(here, sharing._share(FOLDER, "shelter", CASE[:8], PDF, letter, {"actor": "S-4"}, 20))
        sent = [each.type for each in await here.rows("outbox")]
        id = answer["events"][0]["id"]
        kind, content = await ended(here, sharing._read_document(FOLDER, "shelter", id, "S-4", "case_work"))

    assert answer["verdict"] == "registered"
    assert sent.count("document.shared") == 1
    assert sent.count("document.chunk_sent") == 3
    assert (kind, content) == ("application/pdf", PDF)
    assert CANARY not in str(answer)


class Killed(httpx.AsyncBaseTransport):
    """The way to a desk that is killed after it took each of the first *cuts* events, before an answer."""

    def __init__(self, desk: httpx.AsyncBaseTransport, cuts: int) -> None:
        self._desk, self._cuts, self.paths = desk, cuts, list[str]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or end without an answer."""
        self.paths.append(request.url.path)
        answer = await self._desk.handle_async_request(request)
        if self.paths.count("/v1/events") in range(1, self._cuts + 1) and request.url.path == "/v1/events":
            raise httpx.ReadError("cut", request=request)
        return answer


async def test_p1_a_document_that_a_killed_desk_may_have_is_shared_once(
    tmp_path: Path, reached: list[Given], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a desk that is killed with the announcement, then command and repetition share one document."""
    monkeypatch.setattr(client_door, "SHORTEST_PAUSE", 0.0)
    letter = sharing._Letter("medical_report", "report.pdf", ("special-unit",))

    async def share(**more: str) -> Any:
        return await ended(here, sharing._share(FOLDER, "shelter", CASE, PDF, letter, {"actor": "S-4", **more}, 20))

    async with desk_of("shelter", tmp_path) as here:
        reached.append(here)
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        way = here.door._transport
        once = Killed(way, 1)
        monkeypatch.setattr(here.door, "_transport", once)
        first = await share()
        monkeypatch.setattr(here.door, "_transport", Killed(way, 99))
        monkeypatch.setattr(desks, "START_SECONDS", 0.0)
        with pytest.raises(typer.Exit) as gone:
            await share()
        (id,) = re.findall(r"--id (\S+),", capsys.readouterr().err)
        monkeypatch.setattr(here.door, "_transport", way)
        second = await share(id=id)
        sent = [each.type for each in await here.rows("outbox")]

    assert first["verdict"] == second["verdict"] == "registered"
    assert once.paths.count("/v1/documents") == 1
    assert (gone.value.exit_code, second["events"][0]["id"]) == (3, id)
    assert (sent.count("document.shared"), sent.count("document.chunk_sent")) == (2, 6)


async def test_what_came_is_listed_sealed_and_saved_on_record(tmp_path: Path, reached: list[Given]) -> None:
    """The list opens nothing; saving opens the file, and the reading was recorded with its purpose before."""
    async with desk_of("vac", tmp_path) as here:
        reached.append(here)
        await here.hear(
            here.registrar.register(here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac")
        )
        id = await received(here)
        found = await sharing._received(FOLDER, "vac", CASE[:8])
        before = [each.type for each in await here.rows("outbox")]
        read = await ended(here, sharing._read_document(FOLDER, "vac", id, "V-7", "court"))
        after = [each.type for each in await here.rows("outbox")]

    (listed,) = found
    assert (listed["id"], listed["source"], listed["case"]) == (id, "ngo-a", CASE)
    assert listed["document_type"] == "medical_report"
    assert CANARY not in str(found)
    assert read == ("application/pdf", PDF)
    assert "access.granted" not in before
    assert after.count("access.granted") == 1


async def test_of_two_documents_with_one_id_the_case_says_which_is_saved(tmp_path: Path, reached: list[Given]) -> None:
    """Given an agency that announces a document of another case under the same id, then each comes with its shortened case."""
    async with desk_of("vac", tmp_path) as here:
        reached.append(here)
        await here.hear(
            here.registrar.register(here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac")
        )
        id = await received(here)
        other = await received_elsewhere(here, id)
        read = [
            await ended(here, sharing._read_document(FOLDER, "vac", id, "V-7", "case_work", case))
            for case in (CASE[:8], OTHER)
        ]

    assert [content for _, content in read] == [PDF, other]


def test_the_case_of_a_saved_document_reaches_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given --case, then the file that is written is the document of that case."""

    async def read(*asked: object) -> tuple[str, bytes]:
        return "application/pdf", str(asked[-1]).encode()

    monkeypatch.setattr(sharing, "number_at", lambda *_: "V-7")
    monkeypatch.setattr(sharing, "_read_document", read)
    out = tmp_path / "report.pdf"
    words = ["save", "vac", "x", "--out", str(out), "--case", CASE[:8], "--data", str(tmp_path)]

    assert CliRunner().invoke(sharing.app, words).exit_code == 0
    assert out.read_bytes() == CASE[:8].encode()


def test_a_file_that_cannot_be_shared_is_one_sentence(tmp_path: Path) -> None:
    """The sentence says what to do, and repeats neither content nor name, since a name may be a person's."""
    large = tmp_path / f"{CANARY}.pdf"
    with large.open("wb") as file:
        file.truncate(LARGEST + 1)
    said = ["--type", "other", "--to", "vac", "--case", CASE]
    for path, what in ((large, "more than 10,000,000 bytes"), (tmp_path / f"{CANARY}.txt", "cannot be read")):
        done = nrmbus("document", "send", "shelter", path, *said, "--data", tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert what in done.stderr
        assert CANARY not in done.stderr


def test_a_name_in_another_encoding_is_refused_before_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file named in Windows-1251, then nothing reaches the desk; with --name the file is shared under that name."""
    file = tmp_path / os.fsdecode("Справка.pdf".encode("cp1251"))
    file.write_bytes(PDF)
    shared = list[str]()

    async def share(*asked: Any) -> Any:
        shared.extend(each.name for each in asked if isinstance(each, sharing._Letter))
        return {"verdict": "registered", "events": []}

    monkeypatch.setattr(sharing, "_share", share)
    said = ["--type", "other", "--to", "vac", "--case", CASE, "--actor", "S-4", "--data", str(tmp_path)]
    refused = nrmbus("document", "send", "shelter", file, *said)
    named = nrmbus("document", "send", "shelter", file, *said, "--name", "Справка.pdf")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "give another name with --name" in refused.stderr
    assert (named.returncode, shared) == (0, ["Справка.pdf"])


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """Saving stops before the document is opened, since a recorded reading would have been for nothing."""
    there = tmp_path / "report.pdf"
    there.write_text("mine")
    done = nrmbus("document", "save", "vac", "x", "--out", there, "--data", tmp_path)

    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert there.read_text() == "mine"
