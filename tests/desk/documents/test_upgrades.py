"""A shared document goes on after an upgrade: a receipt that the desk could not read yet ends nothing."""

import json
from pathlib import Path

import pytest

from agencies import SIGNAL
from desk.documents.test_sharing import announcing, uploaded
from desk.given import FakeRegistrar, Given, desk_of
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.outbox import documents
from nrmbus.rules import Rules

pytestmark = pytest.mark.usefixtures("kept")


async def stopped(home: Path, before: int, monkeypatch: pytest.MonkeyPatch) -> FakeRegistrar:
    """Share a document, with a desk that lacks the profile at the receipt of the announcement (0) or of a chunk (1 or 2)."""
    async with desk_of("ngo-a", home) as given:
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        await given.ask(**announcing(await uploaded(given)))
        for _ in range(before):
            (record,) = await given.out()
            await given.hear(given.registrar.register(record, to="ngo-a"))
        (record,) = await given.out()
        with monkeypatch.context() as lacking:
            lacking.setattr(Rules, "is_installed", lambda *_: False)
            await given.hear(given.registrar.register(record, to="ngo-a"))
        assert [row.error for row in await given.rows("parked")] == ["UnknownProfile"]
        assert await given.out() == []
        return given.registrar


async def indexes(given: Given) -> list[int]:
    """Return the chunks in the outbox by their number."""
    rows = [row for row in await given.rows("outbox") if row.type == "document.chunk_sent"]
    return [json.loads(row.clear)["data"]["index"] for row in rows]


@pytest.mark.parametrize("before", [0, 2], ids=["announcement", "chunk"])
async def test_a_document_goes_on_when_its_receipt_is_let_through(
    tmp_path: Path, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a receipt that waited for a profile, when the desk has the profile and lets it through, then every chunk goes out once."""
    registrar = await stopped(tmp_path, before, monkeypatch)
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
        await release_by_itself(given.desk, given.inbox)
        await given.settle()
        left = [await given.rows("documents"), await given.rows("document_pieces")]

        assert await indexes(given) == [0, 1, 2]
        assert left == [[], []]


@pytest.mark.parametrize("before", [0, 2], ids=["announcement", "chunk"])
async def test_a_document_that_an_earlier_release_left_lying_goes_on_at_the_next_start(
    tmp_path: Path, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a receipt that was let through without its next chunk, when the desk starts again, then every chunk goes out once."""
    registrar = await stopped(tmp_path, before, monkeypatch)
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
        with monkeypatch.context() as earlier:
            earlier.setattr(documents, "go_on", lambda *_: None)
            await release_by_itself(given.desk, given.inbox)
        assert await given.rows("parked") == []
        assert await given.out() == []
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
        await given.settle()

        assert await indexes(given) == [0, 1, 2]


async def test_a_start_before_the_upgrade_sends_nothing_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk still without the profile, when the desk starts, then no chunk is put: a chunk would end as not sent, and the rest with it."""
    registrar = await stopped(tmp_path, 0, monkeypatch)
    monkeypatch.setattr(Rules, "is_installed", lambda *_: False)
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
        await release_by_itself(given.desk, given.inbox)

        assert await indexes(given) == []
        assert len(await given.rows("document_pieces")) == 3
