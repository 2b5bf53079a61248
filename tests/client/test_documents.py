"""A program shares a document and reads one, and sees what happened in a case: at a real desk, and at the SDK's fake."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from client.given import SIGNAL, InMemory, Kept, Place, in_process
from desk.documents.test_reading import CHUNKS, announced, chunk
from desk.documents.test_sharing import PDF
from nrmbus.client import AsyncDesk, Document, Received, Registered, RequestRefused, Unavailable, new_event_id, new_ref
from nrmbus.client.testing import FakeDesk, Reading
from nrmbus.events.document import DocumentShared
from nrmbus.events.model import Data
from patience import LONGEST_WAIT, PATIENCE, eventually

SCAN = b"%PDF-1.7\n" + bytes(range(256)) * 900
"""A file of three chunks."""
TEXT = b"plain words of a statement\n"


@pytest.fixture(name="place", params=["in_memory", "in_process"])
async def _place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each kind of desk that needs no broker."""
    if request.param == "in_memory":
        yield InMemory()
    else:
        async with in_process(tmp_path) as place:
            yield place


async def test_a_document_is_shared_and_read(place: Place) -> None:
    """The announcement is registered, the content comes back byte for byte, and its name is in the letter alone."""
    async with place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        shared = await desk.share(
            SCAN, "medical_report", name="Leyla Example.pdf", to=["ngo-a"], case=case, actor="S-7", wait=LONGEST_WAIT
        )
        assert isinstance(shared, Registered)

        found: list[Document] = []

        async def came() -> bool:
            with suppress(Unavailable):  # not complete yet: chunks follow the announcement
                found.append(await desk.document(shared.id, actor="S-7"))
            return bool(found)

        await eventually("every chunk is registered", came, PATIENCE)
        assert found == [Document("application/pdf", SCAN)]
        assert "Leyla" not in str(await desk.case(case))
        with pytest.raises(RequestRefused) as unknown:
            await desk.document(new_event_id(), actor="S-7")
        assert unknown.value.code == "not_found"


async def test_a_text_has_the_media_type_of_its_announcement(place: Place) -> None:
    """Given a plain text, of which HTTP names the charset too, then the program gets the media type as it was announced."""
    async with place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        shared = await desk.share(
            TEXT, "interview_record", name="a.txt", to=["ngo-a"], case=case, actor="S-7", wait=LONGEST_WAIT
        )
        found: list[Document] = []

        async def came() -> bool:
            with suppress(Unavailable):  # not complete yet
                found.append(await desk.document(shared.id, actor="S-7"))
            return bool(found)

        await eventually("the chunk is registered", came, PATIENCE)
    assert found == [Document("text/plain", TEXT)]


async def test_a_document_that_is_shared_again_under_its_id_is_shared_once(place: Place) -> None:
    """Given a program that got no answer, when it shares again with the same id, then the first answer comes again.

    Another content under the id is refused.
    """
    async with place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        id = new_event_id()
        first, again = [
            await desk.share(
                SCAN, "medical_report", name="a.pdf", to=["ngo-a"], case=case, actor="S-7", id=id, wait=LONGEST_WAIT
            )
            for _ in range(2)
        ]
        assert isinstance(first, Registered)
        assert (first.id, again) == (id, first)
        with pytest.raises(RequestRefused) as refused:
            await desk.share(SCAN + b"1", "medical_report", name="a.pdf", to=["ngo-a"], case=case, actor="S-7", id=id)
    assert refused.value.code == "id_reused"


@pytest.mark.parametrize("content", [b"MZ\x90\x00CANARY", b""], ids=["a program", "nothing"])
async def test_a_content_of_no_known_kind_is_not_taken(place: Place, content: bytes) -> None:
    """Neither the name nor the content is in the error, which says what would be taken."""
    async with place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        with pytest.raises(RequestRefused) as refused:
            await _shared(desk, case, content)
    assert refused.value.code == "document_unfit"
    assert "CANARY" not in str(refused.value)


async def test_an_announcement_says_of_a_file_what_was_uploaded(place: Place) -> None:
    """Given an upload, then an announcement with another size, part or case, or of no upload, is not taken."""
    async with place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        kept = await desk.door.upload(case, SCAN)
        file = {**kept["file"], "name": "report.pdf"}
        data = {"to": ["ngo-a"], "document_type": "medical_report", "chunks": kept["chunks"]}
        right = {
            "type": "document.shared", "actor": "S-7", "case": case, "document": kept["document"], "data": data,
            "sealed": {"health_file": file},
        }  # fmt: skip
        wrong = {
            "/sealed/health_file/size": {"sealed": {"health_file": {**file, "size": 1}}},
            "/sealed/story_file": {"sealed": {"health_file": file, "story_file": file}},
            "/data/chunks": {"data": {**data, "chunks": 9}},
        }
        for pointer, part in wrong.items():
            with pytest.raises(RequestRefused) as refused:
                await desk.publish({**right, **part})
            assert [each.pointer for each in refused.value.problems] == [pointer]
        for other in ({"document": new_event_id()}, {"case": new_ref()}):
            with pytest.raises(RequestRefused) as unknown:
                await desk.publish({**right, **other})
            assert unknown.value.code == "document_unknown"
        assert isinstance(await desk.publish(right, wait=LONGEST_WAIT), Registered)


async def test_the_timeline_of_a_case_has_what_was_published_and_what_came(place: Place) -> None:
    """Given events of both sides about two cases, then the timeline of one has its own, in their order, with when each came, and no letter."""
    async with place.desk() as desk:
        await place.tell(case := new_ref())
        await place.tell(new_ref())
        said = await desk.publish(SIGNAL, case=case, actor="S-7", wait=LONGEST_WAIT)
        assert isinstance(said, Registered)

        timeline = await desk.timeline(case)

    assert [(each["source"], each["type"]) for each in timeline] == [
        ("ngo-a", SIGNAL.type), ("special-unit", SIGNAL.type),
    ]  # fmt: skip
    assert [each["number"] for each in timeline] == sorted(each["number"] for each in timeline)
    assert timeline[-1]["id"] == said.id
    assert all(each["received"].endswith("Z") for each in timeline)
    assert not any("letter" in each or "row" in each for each in timeline)


async def test_a_test_lets_a_document_come() -> None:
    """Given the fake, when an agency shares a document, then a program reads it, and the fake lists the reading."""
    fake = FakeDesk()
    id = fake.receive_document(SCAN, "court_order", name="order.pdf")
    async with fake.desk() as desk:
        with pytest.raises(RequestRefused) as unnamed:
            await desk.document(id)
        (event,) = [each async for each in desk.inbox(follow=False)]
        document = await desk.document(event.id, actor="S-7")

    assert unnamed.value.code == "reader_unnamed"
    assert document == Document("application/pdf", SCAN)
    assert fake.readings == [Reading(actor="S-7", event=id, parts=("story",))]
    with pytest.raises(ValueError, match="PDF"):
        fake.receive_document(b"MZ\x90\x00", "court_order")


async def test_a_handler_reads_a_document_whose_chunks_come_after_its_announcement(tmp_path: Path) -> None:
    """Given an announcement before its content, as it always comes, then the handler is called again and reads the document."""
    read, progress = list[Document](), list[int]()
    async with in_process(tmp_path) as place, place.desk() as desk:
        registrar = place._given.registrar
        await place.hear(announcement := announced(registrar, "special-unit"))

        @desk.on(DocumentShared)
        async def keep(event: Received[DocumentShared]) -> None:
            progress.append(event.row["document"]["came"])
            if len(progress) == 2:
                for index, content in enumerate(CHUNKS):
                    await place.hear(chunk(registrar, announcement, index, content, "special-unit"))
            read.append(await desk.document(event.id, case=event.case, actor="S-7"))

        await desk.run(Kept(), follow=False, pauses=(0.0,))

    assert progress == [0, 0]
    assert read == [Document("application/pdf", PDF)]


async def test_the_fake_announces_a_document_whose_chunks_do_not_come() -> None:
    """Given the fake and an announcement alone, then each attempt of the handler fails, and the hook gets the document at last."""
    fake, tried, dead = FakeDesk(), list[dict[str, object]](), list[Exception]()
    fake.receive(DocumentShared(to=("ngo-a",), document_type="court_order", chunks=3))
    fake.receive_document(SCAN, "court_order")

    def bury(_: Received[Data | None], error: Exception) -> None:
        dead.append(error)

    async with fake.desk() as desk:

        @desk.on(DocumentShared)
        async def keep(event: Received[DocumentShared]) -> None:
            tried.append(event.row["document"])
            await desk.document(event.id, actor="S-7")

        await desk.run(Kept(), follow=False, pauses=(0.0,), at_once=1, dead_letter=bury)

    assert sorted(tried, key=str) == [
        {"chunks": 3, "came": 0, "complete": False},
        {"chunks": 3, "came": 0, "complete": False},
        {"chunks": 3, "came": 3, "complete": True},
    ]
    (error,) = dead
    assert isinstance(error, Unavailable)
    assert error.code == "document_incomplete"


async def _shared(desk: AsyncDesk, case: str, content: bytes) -> None:
    await desk.share(content, "other", name="CANARY.pdf", to=["ngo-a"], case=case, actor="S-7")
