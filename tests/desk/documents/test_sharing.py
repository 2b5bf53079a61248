"""Documents are uploaded, announced, and sent chunk by chunk: each once and in order, whatever is killed on the way."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from agencies import CASE, NOW, SIGNAL
from desk.given import CANARY, Given, desk_of, killed_at_call
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import documents
from nrmbus.events.document import CHUNK, LARGEST
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container
from nrmbus.wire.record import Record

pytestmark = pytest.mark.usefixtures("kept")

PDF: Final = b"%PDF-1.7\n" + CANARY.encode() + bytes(range(256)) * 1_000
"""Three chunks of a file that is a PDF by its first bytes."""


class Killed(Exception):
    """The process ends here."""


async def uploaded(given: Given, content: bytes = PDF) -> dict[str, Any]:
    """Upload *content*; return the answer."""
    answer = await given.door.post("/v1/documents", params={"case": CASE}, content=content)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def announcing(found: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the event that announces the upload *found*, as a system writes it."""
    return {
        "type": "document.shared", "to": ["special-unit"], "document": found["document"],
        "data": {"document_type": "medical_report", "chunks": found["chunks"]},
        "sealed": {"health_file": {"name": f"{CANARY}.pdf", **found["file"]}},
    } | more  # fmt: skip


async def shared(given: Given, content: bytes = PDF, **more: Any) -> list[Record]:
    """Share *content* in a case that the registrar knows; return the announcement and the chunks as they were sent."""
    await given.registered(type="case.signal_recorded", data=SIGNAL)
    sent = list[Record]()
    await given.ask(**announcing(await uploaded(given, content), **more))
    while out := await given.out():
        for record in out:
            await given.hear(given.registrar.register(record, to=given.desk.seat.me))
        sent += out
    return sent


async def chunk_without_verdict(given: Given, turn: int) -> Record:
    """Share a document up to its chunk *turn*, which gets a passing answer; return this chunk."""
    await given.ask(**announcing(await uploaded(given)))
    for _ in range(turn + 1):
        (record,) = await given.out()
        await given.hear(given.registrar.register(record, to="ngo-a"))
    (chunk,) = await given.out()
    await given.hear(given.registrar.answer(chunk, "agency_suspended"))
    return chunk


def content_of(given: Given, chunks: list[Record], agency: str) -> bytes:
    """Return what *agency* reads in *chunks*, in the order in which they were sent."""
    key, found = given.town.identities[agency].sealing, b""
    for record in chunks:
        signed = decode(record)
        container = signed.letter(whole=False)
        assert container is not None
        place = {"bus": given.town.bus, "source": signed.source, "id": signed.id, "subject": signed.subject}
        for fields in container.open(agency, key, **place).values():
            found += base64.b64decode(fields.get("health_chunk", ""))
    return found


class TestSending:
    """What was uploaded leaves the desk as an announcement and its chunks."""

    async def test_it_goes_out_as_one_announcement_and_its_chunks_in_order(self, tmp_path: Path) -> None:
        """Each chunk names the announcement, and those who may open the part read the content; nobody else does."""
        async with desk_of("ngo-a", tmp_path) as given:
            announcement, *chunks = await shared(given)
            types = [decode(each).type for each in chunks]
            data = [json.loads(each.value or b"") for each in chunks]
            left = [await given.rows("documents"), await given.rows("document_pieces")]

            assert types == ["document.chunk_sent"] * 3
            assert data == [{"index": index, "to": ["special-unit"]} for index in range(3)]
            assert {decode(each).attributes["ce_causationid"] for each in chunks} == {decode(announcement).id}
            assert content_of(given, chunks, "special-unit") == PDF
            assert content_of(given, chunks, "ngo-a") == PDF
            assert left == [[], []]

    async def test_a_role_without_the_part_gets_no_content(self, tmp_path: Path) -> None:
        """A fund opens no part on health: it hears that there is a document, and gets no letter of it."""
        async with desk_of("ngo-a", tmp_path) as given:
            _, *chunks = await shared(given, to=["fund", "special-unit"])

            assert content_of(given, chunks, "special-unit") == PDF
            assert content_of(given, chunks, "fund") == b""

    async def test_the_name_and_the_content_stand_nowhere_in_the_clear(self, tmp_path: Path) -> None:
        """Neither in what is sent, nor in the ledger and its files, nor in an answer."""
        async with desk_of("ngo-a", tmp_path) as given:
            found = await uploaded(given)
            during = _on_disk(tmp_path)
            sent = await shared(given)

        for name, value in (pair for record in sent for pair in record.headers):
            assert CANARY.encode() not in value, name
        assert CANARY.encode() not in during + _on_disk(tmp_path)
        assert CANARY not in json.dumps(found)

    async def test_an_event_of_the_case_goes_out_between_two_chunks(self, tmp_path: Path) -> None:
        """The case does not wait for the whole document."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            await given.ask(**announcing(await uploaded(given)))
            (announcement,) = await given.out()
            await given.hear(given.registrar.register(announcement, to="ngo-a"))
            await given.ask(type="case.follow_up_recorded", data={"month": 3})
            order = []
            while out := await given.out():
                order += [decode(each).type for each in out]
                for record in out:
                    await given.hear(given.registrar.register(record, to="ngo-a"))

        assert order.index("case.follow_up_recorded") == 1

    async def test_a_repeated_request_announces_once(self, tmp_path: Path) -> None:
        """The same id gets the same answer, also after the last chunk has gone."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            event = announcing(await uploaded(given), id="01930000-0000-7000-8000-00000000000a")
            first = await given.ask(**event)
            again = await given.ask(**event)
            await given.settle()
            last = await given.ask(**event)
            announced = [row for row in await given.rows("outbox") if row.type == "document.shared"]

        assert first["id"] == again["id"] == last["id"] == "01930000-0000-7000-8000-00000000000a"
        assert last["verdict"] == "registered"
        assert len(announced) == 1

    async def test_a_request_that_is_repeated_with_its_content_leaves_no_upload_behind(self, tmp_path: Path) -> None:
        """Given a program that uploads again and announces under the same id, more often than uploads may wait, then each answer is the first."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            id = "01930000-0000-7000-8000-00000000000a"
            answers = [await given.ask(**announcing(await uploaded(given), id=id)) for _ in range(documents.MOST + 2)]
            kept = [row.event for row in await given.rows("documents")]

        assert {each["id"] for each in answers} == {id}
        assert kept == [id]


async def test_p6_an_upload_that_is_under_way_ends_with_an_erasure_of_its_case(tmp_path: Path) -> None:
    """The client hears that the upload is not there any more, and no piece stays that nothing would find again."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        has_half, goes_on = asyncio.Event(), asyncio.Event()

        async def content() -> AsyncIterator[bytes]:
            yield b"%PDF-1.7\n" + b"x" * (9 * CHUNK)
            has_half.set()
            await goes_on.wait()
            yield b"y" * (9 * CHUNK)

        uploading = asyncio.create_task(documents.upload(given.desk.seat, CASE, content()))
        await has_half.wait()
        due = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        await given.hear(given.registrar.register(due, to="ngo-a"))
        assert await rounds.erase_due(given.desk) == (CASE,)
        goes_on.set()

        with pytest.raises(DeskError) as refused:
            await uploading
        assert refused.value.code == "document_unknown"
        assert await given.rows("document_pieces") == []


async def _content(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _on_disk(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


class TestKilled:
    """After a kill at any point the rest goes out: each chunk once, in order."""

    async def test_an_upload_that_was_cut_takes_no_place_after_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given an upload that a kill has cut, when the desk starts again, only the whole one waits for its announcement."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            whole = await uploaded(given)
            with monkeypatch.context() as killed:
                killed.setattr(documents, "drop", lambda *_: None)
                killed.setattr(documents, "asdict", killed_at_call(asdict, 0, Killed))
                with pytest.raises(Killed):
                    await documents.upload(given.desk.seat, CASE, _content(PDF))
            assert len(await given.rows("documents")) == 2
        async with desk_of("ngo-a", tmp_path, registrar=given.registrar) as again:
            left = {row.document for row in await again.rows("documents")}
            pieces = {row.document for row in await again.rows("document_pieces")}

        assert left == pieces == {whole["document"]}

    @pytest.mark.slow
    async def test_a_desk_that_starts_again_at_each_step_sends_each_chunk_once(self, tmp_path: Path) -> None:
        """Killed after each sending and after each answer; the same bytes are sent again."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            await given.ask(**announcing(await uploaded(given)))
            registrar = given.registrar
        order, answered = list[Record](), set[str]()
        while True:
            async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
                first = await given.out()
            async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
                again = await given.out()
                assert again == first
                if not first:
                    break
                (record,) = first
                assert decode(record).id not in answered
                answered.add(decode(record).id)
                order.append(record)
                await given.hear(registrar.register(record, to="ngo-a"))

            assert len(order) <= 4

        assert [json.loads(each.value or b"").get("index") for each in order] == [None, 0, 1, 2]
        assert content_of(given, order[1:], "special-unit") == PDF

    @pytest.mark.parametrize("how", [{"after": True}, {"after": False}], ids=["after", "before"])
    async def test_killed_while_an_answer_is_stored_the_next_chunk_is_put_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, bool]
    ) -> None:
        """The answer and the next chunk are one transaction: both are on the disk, or neither is."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            await given.ask(**announcing(await uploaded(given)))
            (record,) = await given.out()
            answer = given.registrar.register(record, to="ngo-a")
            with monkeypatch.context() as patch:
                patch.setattr(documents, "go_on", killed_at_call(documents.go_on, 0, Killed, **how))
                with pytest.raises(Killed):
                    await given.hear(answer)
            undone = [row.type for row in await given.rows("outbox")]
            await given.hear(answer)
            await given.settle()
            chunks = [row for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

        assert undone == ["case.signal_recorded", "document.shared"]
        assert [json.loads(row.clear)["data"]["index"] for row in chunks] == [0, 1, 2]


class TestUpload:
    """The content decides what is taken, and nothing is taken without an end."""

    @pytest.mark.parametrize(
        ("content", "media_type"),
        [
            (b"%PDF-1.4", "application/pdf"),
            (b"\xff\xd8\xff\xe0" + os.urandom(99), "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n" + os.urandom(99), "image/png"),
            (b"II*\0" + os.urandom(99), "image/tiff"),
            (b"MM\0*" + os.urandom(99), "image/tiff"),
            ("Şahidin ifadəsi\r\n".encode(), "text/plain"),
            ("ə".encode() * CHUNK, "text/plain"),
        ],
    )
    async def test_what_it_is_follows_from_the_content(self, tmp_path: Path, content: bytes, media_type: str) -> None:
        """A letter of two bytes may lie across two pieces."""
        async with desk_of("ngo-a", tmp_path) as given:
            found = await uploaded(given, content)

        assert found["file"] == {
            "media_type": media_type, "size": len(content), "sha256": sha256(content).hexdigest(),
        }  # fmt: skip
        assert found["chunks"] == -(-len(content) // CHUNK)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"", "document_unfit"),
            (b"PK\x03\x04 a document of an office", "document_unfit"),
            (b"MZ\x90\0", "document_unfit"),
            (b"a text until here\0", "document_unfit"),
            (b"x" * (CHUNK + 5) + b"\xff", "document_unfit"),
            (b"half a letter \xc9", "document_unfit"),
            (b"%PDF-" + bytes(LARGEST), "document_too_large"),
        ],
    )
    async def test_anything_else_is_refused_and_leaves_nothing(self, tmp_path: Path, content: bytes, code: str) -> None:
        """The header and the length that a program claims change nothing."""

        async def stream() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 50_000):
                yield content[start : start + 50_000]

        async with desk_of("ngo-a", tmp_path) as given:
            asked = {"params": {"case": CASE}, "headers": {"content-type": "application/pdf"}}
            for body in (stream(), content):
                answer = await given.door.post("/v1/documents", content=body, **asked)  # type: ignore[arg-type]
                assert answer.json()["code"] == code
            left = [await given.rows("documents"), await given.rows("document_pieces")]

        assert left == [[], []]

    async def test_a_form_with_a_file_in_it_is_no_document(self, tmp_path: Path) -> None:
        """Many libraries send files as forms: around a text, the form would reach its reader as part of the text."""
        async with desk_of("ngo-a", tmp_path) as given:
            files = {"file": (f"{CANARY}.txt", b"plain text", "text/plain")}
            answer = await given.door.post("/v1/documents", params={"case": CASE}, files=files)

            (problem,) = answer.json()["problems"]
            assert (answer.status_code, problem) == (422, {"pointer": "content-type:", "kind": "form"})
            assert "send the content itself as the body" in answer.json()["detail"]
            assert await given.rows("documents") == []

    async def test_the_largest_one_is_taken(self, tmp_path: Path) -> None:
        """10,000,000 bytes to the byte, in 103 chunks."""
        async with desk_of("ngo-a", tmp_path) as given:
            found = await uploaded(given, b"%PDF-".ljust(LARGEST, b"x"))

        assert found["chunks"] == 103

    async def test_a_broken_upload_leaves_nothing(self, tmp_path: Path) -> None:
        """The connection ends in the middle."""

        async def broken() -> AsyncIterator[bytes]:
            yield PDF
            raise ConnectionError

        async with desk_of("ngo-a", tmp_path) as given:
            answer = await given.door.post("/v1/documents", params={"case": CASE}, content=broken())
            left = [await given.rows("documents"), await given.rows("document_pieces")]

        assert answer.status_code == 503
        assert left == [[], []]

    async def test_no_more_than_twenty_wait(self, tmp_path: Path) -> None:
        """A program that uploads and never announces fills no disk."""
        async with desk_of("ngo-a", tmp_path) as given:
            for _ in range(20):
                await uploaded(given, b"a short text")
            answer = await given.door.post("/v1/documents", params={"case": CASE}, content=b"one more")

        assert (answer.status_code, answer.json()["code"]) == (429, "documents_waiting")


class TestAnnouncing:
    """An announcement says of the file what the desk found in it."""

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"data": {"document_type": "medical_report", "chunks": 7}}, "/data/chunks"),
            ({"sealed": {}}, "/sealed/health_file"),
            ({"data": {"document_type": "passport", "chunks": 3}}, "/sealed/identity_file"),
            ({"document": None}, "/document"),
            ({"type": "case.withdrawn", "data": {"stage": "support", "requested_by": "person"}}, "/document"),
        ],
    )
    async def test_anything_else_is_refused(self, tmp_path: Path, change: dict[str, Any], pointer: str) -> None:
        """The pointer leads to the member; nothing is published."""
        async with desk_of("ngo-a", tmp_path) as given:
            event = announcing(await uploaded(given), **change) | {"actor": "S-1", "case": CASE}
            wanted = {name: value for name, value in event.items() if value is not None}
            if wanted["type"] != "document.shared":
                del wanted["sealed"], wanted["to"]
            answer = await given.door.post("/v1/events", json=wanted)

        assert answer.status_code == 422, answer.text
        assert pointer in [each["pointer"] for each in answer.json()["problems"]]

    @pytest.mark.parametrize("other", ["size", "sha256", "media_type"])
    async def test_a_file_that_is_another_one_is_refused(self, tmp_path: Path, other: str) -> None:
        """Size, digest and kind are those of the upload."""
        wrong = {"size": 5, "sha256": "e" * 64, "media_type": "image/png"}
        async with desk_of("ngo-a", tmp_path) as given:
            event = announcing(await uploaded(given)) | {"actor": "S-1", "case": CASE}
            event["sealed"]["health_file"][other] = wrong[other]
            answer = await given.door.post("/v1/events", json=event)

        assert [each["pointer"] for each in answer.json()["problems"]] == [f"/sealed/health_file/{other}"]

    async def test_an_upload_of_another_case_or_of_none_is_unknown(self, tmp_path: Path) -> None:
        """A case gets only what was uploaded for it, and once."""
        async with desk_of("ngo-a", tmp_path) as given:
            found = await uploaded(given)
            event = announcing(found) | {"actor": "S-1"}
            elsewhere = await given.door.post("/v1/events", json=event | {"case": "ef" * 16})
            never = await given.door.post(
                "/v1/events", json=event | {"case": CASE, "document": "01930000-0000-7000-8000-00000000000b"}
            )
            await given.ask(**event)
            twice = await given.door.post("/v1/events", json=event | {"case": CASE})

        assert {each.json()["code"] for each in (elsewhere, never, twice)} == {"document_unknown"}


class TestErased:
    """P5: of a case that is erased nothing of a document remains, and of an upload that nobody announced neither."""

    async def test_p5_an_erased_case_has_no_document_any_more(self, tmp_path: Path) -> None:
        """One document was sent, one half, and one waits: the erasure waits for the refused chunk, and takes all three."""
        async with desk_of("ngo-a", tmp_path) as given:
            await shared(given)
            await given.ask(**announcing(await uploaded(given)))
            (announcement,) = await given.out()
            await given.hear(given.registrar.register(announcement, to="ngo-a"))
            await uploaded(given)
            (chunk,) = await given.out()
            due = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
            await given.hear(given.registrar.register(due, to="ngo-a"))
            too_early = await rounds.erase_due(given.desk)
            await given.hear(given.registrar.refuse(chunk, "access_terminated", "G-26"))
            done = await rounds.erase_due(given.desk)
            left = [await given.rows("documents"), await given.rows("document_pieces")]
            sealed = [row for row in await given.rows("outbox") if row.letter is not None or row.draft is not None]
            await uploaded(given)
            await rounds.erase_due(given.desk)
            late = await given.rows("documents")

        assert (too_early, done) == ((), (CASE,))
        assert (left, late, sealed) == ([[], []], [], [])

    async def test_an_upload_ends_after_a_day_unless_it_is_announced(self, tmp_path: Path) -> None:
        """What an event announces waits for the registrar, however long that takes."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.ask(**announcing(await uploaded(given)))
            ends = (await uploaded(given))["ends"]
            given.clock.time += timedelta(hours=23, minutes=59)
            await rounds.end_uploads(given.desk.seat)
            before = await given.rows("documents")
            given.clock.time += timedelta(minutes=1)
            await rounds.end_uploads(given.desk.seat)
            (after,) = await given.rows("documents")

        assert len(before) == 2
        assert (after.event is not None, ends) == (True, times.write(NOW + timedelta(days=1)))

    async def test_a_change_of_keys_takes_the_uploads_along(self, tmp_path: Path) -> None:
        """Sealed to the key in use, so that the one before can be destroyed."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            await given.ask(**announcing(await uploaded(given)))
            key = SealingKey.generate()
            seat = given.desk.seat
            both = {**seat.identity.opening, key.kid: key}
            seat.identity = replace(seat.identity, sealing=key, opening=both)
            async with seat.ledger.write() as tx:
                documents.seal_anew(seat, tx)
            seat.identity = replace(seat.identity, opening={key.kid: key})
            kids = {
                kid
                for row in (*await given.rows("documents"), *await given.rows("document_pieces"))
                for kid in Container.parse(row.sealed).wraps("story").values()
            }

        assert kids == {key.kid}
