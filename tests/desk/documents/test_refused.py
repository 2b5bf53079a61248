"""A document whose announcement or chunk is refused, or gets an answer that may pass: what goes on, what ends, and who is told."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import NOW, SIGNAL
from desk.documents.test_sharing import PDF, announcing, chunk_without_verdict, content_of, uploaded
from desk.given import desk_of
from nrmbus.desk.erasure import rounds
from nrmbus.desk.outbox import documents
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

pytestmark = pytest.mark.usefixtures("kept")


class TestRefused:
    """A refusal ends what it is about, and a person hears of it."""

    async def test_a_refused_announcement_can_be_given_again(self, tmp_path: Path) -> None:
        """No consent yet: the upload waits for the next attempt, under another id."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            found = await uploaded(given)
            record = await given.said(**announcing(found))
            await given.hear(given.registrar.refuse(record, "consent_required", "G-32"))
            none = [row for row in await given.rows("outbox") if row.type == "document.chunk_sent"]
            await given.ask(**announcing(found))
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

        assert none == []
        assert chunks == ["registered"] * 3

    async def test_an_announcement_refused_after_a_day_can_be_given_again_for_a_day(self, tmp_path: Path) -> None:
        """Given a registrar away for a day, when it refuses the announcement, then the upload waits a day for the next attempt, and no longer."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            again, never = [await uploaded(given, PDF + each) for each in (b"", b" ")]
            refused = [await given.said(**announcing(again))]
            await given.ask(**announcing(never))
            given.clock.time = NOW + documents.KEPT + timedelta(seconds=1)
            await given.hear(given.registrar.refuse(refused[0], "consent_required", "G-32"))
            refused += await given.out()
            await given.hear(given.registrar.refuse(refused[1], "consent_required", "G-32"))
            await rounds.end_uploads(given.desk.seat)
            assert {row.document for row in await given.rows("documents")} == {again["document"], never["document"]}

            await given.ask(**announcing(again))
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]
            assert chunks == ["registered"] * 3
            given.clock.time += documents.KEPT
            await rounds.end_uploads(given.desk.seat)
            assert await given.rows("documents") == await given.rows("document_pieces") == []

    async def test_a_failed_announcement_ends_no_upload_of_the_event_that_it_names_as_its_cause(
        self, tmp_path: Path
    ) -> None:
        """Given a second announcement caused by the first, when the second has ended without a verdict for a day, then every chunk of the first still goes out."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            first = await given.said(**announcing(await uploaded(given)))
            second = announcing(await uploaded(given, PDF + b" "), cause=decode(first).id)
            await given.ask(**second)
            await given.hear(given.registrar.register(first, to="ngo-a"))
            (failed,) = await given.out()
            await given.hear(given.registrar.answer(failed, "agency_suspended"))
            given.clock.time = NOW + documents.KEPT
            await rounds.end_uploads(given.desk.seat)
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

            assert chunks == ["registered"] * 3

    async def test_a_repeated_request_that_was_refused_leaves_the_upload(self, tmp_path: Path) -> None:
        """A program that repeats the refused request hears of the refusal again, and announces the upload under another id."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            event = announcing(await uploaded(given), id="01930000-0000-7000-8000-00000000000a")
            record = await given.said(**event)
            await given.hear(given.registrar.refuse(record, "consent_required", "G-32"))
            assert (await given.ask(**event))["verdict"] == "refused"
            await given.ask(**event | {"id": "01930000-0000-7000-8000-00000000000b"})
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

        assert chunks == ["registered"] * 3

    async def test_an_announcement_registered_after_a_passing_answer_is_sent_whole(self, tmp_path: Path) -> None:
        """Given a passing answer to one copy of the bytes, when another copy is registered, then every chunk goes out, and no task is left."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            record = await given.said(**announcing(await uploaded(given)))
            await given.hear(given.registrar.answer(record, "agency_suspended"))
            (task,) = [row for row in await given.rows("tasks") if row.kind == "not_sent"]
            assert task.done is None
            await given.hear(given.registrar.register(record, to="ngo-a"))
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

            assert chunks == ["registered"] * 3
            assert "not_sent" not in [row.kind for row in await given.rows("tasks") if row.done is None]
            assert await given.rows("documents") == []

    async def test_an_announcement_that_waited_for_a_day_is_sent_whole_too(self, tmp_path: Path) -> None:
        """Given a registrar away for a day, when a passing answer to one copy comes before the registration of another, then every chunk goes out."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            record = await given.said(**announcing(await uploaded(given)))
            given.clock.time = NOW + documents.KEPT + timedelta(seconds=1)
            await given.hear(given.registrar.answer(record, "agency_suspended"))
            await rounds.end_uploads(given.desk.seat)
            await given.hear(given.registrar.register(record, to="ngo-a"))
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

            assert chunks == ["registered"] * 3
            assert "not_sent" not in [row.kind for row in await given.rows("tasks") if row.done is None]

    @pytest.mark.parametrize("turn", range(3))
    async def test_a_chunk_registered_after_a_passing_answer_is_followed_by_the_rest(
        self, tmp_path: Path, turn: int
    ) -> None:
        """Given a passing answer to one copy of a chunk, when another copy is registered, then the rest goes out, and no task is left."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            chunk = await chunk_without_verdict(given, turn)
            (task,) = [row for row in await given.rows("tasks") if row.kind == "not_sent"]
            assert task.done is None
            await given.hear(given.registrar.register(chunk, to="ngo-a"))
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]

            assert chunks == ["registered"] * 3
            assert "not_sent" not in [row.kind for row in await given.rows("tasks") if row.done is None]
            assert await given.rows("documents") == await given.rows("document_pieces") == []

    @pytest.mark.parametrize(("turn", "tasks"), [(0, 1), (2, 0)], ids=["first chunk", "last chunk"])
    async def test_a_chunk_registered_after_the_day_leaves_its_task_unless_it_is_the_last(
        self, tmp_path: Path, turn: int, tasks: int
    ) -> None:
        """Given a passing answer to a chunk, when its copy is registered only after the rest was destroyed, then a task says that chunks are missing."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            chunk = await chunk_without_verdict(given, turn)
            given.clock.time = NOW + documents.KEPT - timedelta(seconds=1)
            await rounds.end_uploads(given.desk.seat)
            before = await given.rows("documents")
            given.clock.time = NOW + documents.KEPT
            await rounds.end_uploads(given.desk.seat)
            left = [await given.rows("documents"), await given.rows("document_pieces")]
            await given.hear(given.registrar.register(chunk, to="ngo-a"))
            open_tasks = [row.kind for row in await given.rows("tasks") if row.done is None]

            assert (len(before), left) == (1, [[], []])
            assert await given.out() == []
            assert open_tasks.count("not_sent") == tasks

    async def test_an_announcement_registered_after_its_upload_was_destroyed_leaves_its_task(
        self, tmp_path: Path
    ) -> None:
        """Given a passing answer and no other copy for a day, when a copy is registered later, then a task still says that no chunk follows."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            record = await given.said(**announcing(await uploaded(given)))
            await given.hear(given.registrar.answer(record, "agency_suspended"))
            given.clock.time = NOW + documents.KEPT
            await rounds.end_uploads(given.desk.seat)
            await given.hear(given.registrar.register(record, to="ngo-a"))

            assert await given.out() == []
            assert "not_sent" in [row.kind for row in await given.rows("tasks") if row.done is None]

    async def test_after_a_passing_answer_it_can_be_given_again(self, tmp_path: Path) -> None:
        """Given an announcement that ended with a passing answer, it is announced under another id, and ends after its day otherwise."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            found, left, refused = [await uploaded(given, PDF + each) for each in (b"", b" ", b"  ")]
            records = list[Record]()
            for each in (found, left, refused):
                records.append(await given.said(**announcing(each)))
                await given.hear(given.registrar.answer(records[-1], "agency_suspended"))
            await given.hear(given.registrar.refuse(records[-1], "consent_required", "G-32"))
            await given.ask(**announcing(found))
            await given.settle()
            chunks = [row.verdict for row in await given.rows("outbox") if row.type == "document.chunk_sent"]
            assert chunks == ["registered"] * 3
            assert {row.document for row in await given.rows("documents")} == {left["document"], refused["document"]}
            given.clock.time = NOW + documents.KEPT + timedelta(seconds=1)
            await rounds.end_uploads(given.desk.seat)

            assert await given.rows("documents") == await given.rows("document_pieces") == []

    async def test_a_refused_chunk_ends_the_document(self, tmp_path: Path) -> None:
        """The person withdrew between two chunks: nothing of the rest stays or goes, and a task says so."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            await given.ask(**announcing(await uploaded(given)))
            for _ in range(2):
                (record,) = await given.out()
                await given.hear(given.registrar.register(record, to="ngo-a"))
            (second,) = await given.out()
            await given.hear(given.registrar.refuse(second, "consent_withdrawn", "G-31"))
            out = await given.out()
            left = [await given.rows("documents"), await given.rows("document_pieces")]
            (task,) = [row for row in await given.rows("tasks") if row.kind == "refused"]
            (announced,) = [row for row in await given.rows("outbox") if row.type == "document.shared"]
            own = await given.during(given.door.get(f"/v1/documents/{announced.id}", params={"actor": "S-1"}))

        assert (own.status_code, own.json()["code"]) == (409, "document_incomplete")
        assert own.json()["detail"].startswith(
            "1 of 3 pieces are here. No further piece is sent; the document can be shared again. "
        )
        assert given.town.rules.profile.refusals["G-31"].says in own.json()["detail"]
        assert out == []
        assert left == [[], []]
        assert json.loads(task.about)["type"] == "document.chunk_sent"

    async def test_sealed_again_it_goes_on(self, tmp_path: Path) -> None:
        """The audience had changed, for the announcement and for a chunk: both go under their next ids."""
        async with desk_of("ngo-a", tmp_path) as given:
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            await given.ask(**announcing(await uploaded(given)))
            again: dict[str, Any] = {"seal_to": {"health": ("special-unit",), "identity": (), "money": (), "story": ()}}
            sent = list[Record]()
            for turn in range(6):
                (record,) = await given.out()
                if turn in {0, 3}:
                    await given.hear(given.registrar.refuse(record, "audience_changed", **again))
                else:
                    await given.hear(given.registrar.register(record, to="ngo-a"))
                    sent.append(record)
            out = await given.out()

            assert out == []
            assert content_of(given, sent[1:], "special-unit") == PDF
            assert {decode(each).attributes["ce_causationid"] for each in sent[1:]} == {decode(sent[0]).id}
