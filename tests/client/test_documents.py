"""A program shares a document and reads one, and sees what happened in a case: at a real desk, and at the SDK's fake."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from client.given import SIGNAL, InMemory, Place, in_process
from nrmbus.client import AsyncDesk, Document, Registered, RequestRefused, new_event_id, new_ref
from nrmbus.client.testing import FakeDesk, Reading
from patience import LONGEST_WAIT, PATIENCE, eventually

SCAN = b"%PDF-1.7\n" + bytes(range(256)) * 900
"""A file of three chunks."""


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
            with suppress(RequestRefused):  # not complete yet: chunks follow the announcement
                found.append(await desk.document(shared.id, actor="S-7"))
            return bool(found)

        await eventually("every chunk is registered", came, PATIENCE)
        assert found == [Document("application/pdf", SCAN)]
        assert "Leyla" not in str(await desk.case(case))
        with pytest.raises(RequestRefused) as unknown:
            await desk.document(new_event_id(), actor="S-7")
        assert unknown.value.code == "not_found"


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
    """Given events of both sides about two cases, then the timeline of one has its own, in their order, and no letter."""
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


async def _shared(desk: AsyncDesk, case: str, content: bytes) -> None:
    await desk.share(content, "other", name="CANARY.pdf", to=["ngo-a"], case=case, actor="S-7")
