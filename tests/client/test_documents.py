"""A program shares a document and reads one: upload, announcement and content, by a real desk."""

from contextlib import suppress
from pathlib import Path

import pytest

from client.given import SIGNAL, in_process
from nrmbus.client import AsyncDesk, Document, Registered, RequestRefused
from patience import LONGEST_WAIT, PATIENCE, eventually

SCAN = b"%PDF-1.7\n" + bytes(range(256)) * 900
"""A file of three chunks."""


async def test_a_document_is_shared_and_read(tmp_path: Path) -> None:
    """The announcement is registered, the content comes back byte for byte, and its name is in the letter alone."""
    async with in_process(tmp_path) as place, place.desk() as desk:
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


async def test_a_content_of_no_known_kind_is_not_taken(tmp_path: Path) -> None:
    """Neither the name nor the content is in the error, which says what would be taken."""
    async with in_process(tmp_path) as place, place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        with pytest.raises(RequestRefused) as refused:
            await _shared(desk, case, b"MZ\x90\x00CANARY")
    assert refused.value.code == "document_unfit"
    assert "CANARY" not in str(refused.value)


async def _shared(desk: AsyncDesk, case: str, content: bytes) -> None:
    await desk.share(content, "other", name="CANARY.pdf", to=["ngo-a"], case=case, actor="S-7")
