"""A document is read once on record, verified as a whole, and closed by whatever closes a letter."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import update

from agencies import CASE, SIGNAL, town
from desk.documents.test_sharing import PDF, shared
from desk.given import CANARY, FakeRegistrar, Given, desk_of
from nrmbus.desk.access import documents
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import measured
from nrmbus.desk.letters import case_keys
from nrmbus.desk.store import tables
from nrmbus.events.document import CHUNK
from nrmbus.wire.envelope import decode
from nrmbus.wire.ids import new_event_id
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.record import Record
from telemetry.test_metrics import values

pytestmark = pytest.mark.usefixtures("kept")

CHUNKS: Final = [PDF[start : start + CHUNK] for start in range(0, len(PDF), CHUNK)]
FILE: Final = {
    "name": f"{CANARY}.pdf", "media_type": "application/pdf", "size": len(PDF), "sha256": sha256(PDF).hexdigest(),
}  # fmt: skip
OTHER: Final = "ef" * 16
TAKEN_BACK: Final = {"purposes": ["information_sharing"], "receivers": ["vac"]}


def announced(registrar: FakeRegistrar, to: str = "vac", id: str | None = None, **file: Any) -> Record:
    """Return an NGO's announcement of `PDF` for *to*; *file* is what it says otherwise."""
    said = {"to": [to], "document_type": "medical_report", "chunks": len(CHUNKS)}
    return registrar.event(
        "ngo-a", "document.shared", said, parts={"health": {"health_file": FILE | file}}, opens=(to,), id=id
    )


def chunk(registrar: FakeRegistrar, of: Record, index: int, content: bytes, to: str = "vac") -> Record:
    """Return the chunk *index* with that *content*."""
    parts = {"health": {"health_chunk": base64.b64encode(content).decode("ascii")}}
    said: dict[str, Any] = {"causationid": decode(of).id, "parts": parts, "opens": (to,)}
    return registrar.event("ngo-a", "document.chunk_sent", {"to": [to], "index": index}, **said)


async def received(given: Given, contents: Mapping[int, bytes] | None = None, **file: Any) -> str:
    """Let the desk receive the document, with other *contents* by index if given; return the announcement's id."""
    announcement = announced(given.registrar, given.desk.seat.me, **file)
    await given.hear(given.registrar.register(announcement, to=given.desk.seat.me))
    for index, content in (dict(enumerate(CHUNKS)) if contents is None else contents).items():
        record = chunk(given.registrar, announcement, index, content, given.desk.seat.me)
        await given.hear(given.registrar.register(record, to=given.desk.seat.me))
    return decode(announcement).id


async def received_elsewhere(given: Given, id: str, case: str = OTHER) -> bytes:
    """Let the desk receive a document of another *case* that the shelter announces under *id*; return its content."""
    content, said = b"%PDF-1.7 another", {"to": ["vac"], "document_type": "medical_report", "chunks": 1}
    file = FILE | {"size": len(content), "sha256": sha256(content).hexdigest()}
    piece = {"health_chunk": base64.b64encode(content).decode("ascii")}
    how: dict[str, Any] = {"opens": ("vac",), "case": case}
    shelter = partial(given.registrar.event, "shelter")
    for record in (
        shelter("document.shared", said, parts={"health": {"health_file": file}}, id=id, **how),
        shelter("document.chunk_sent", {"to": ["vac"], "index": 0}, parts={"health": piece}, causationid=id, **how),
    ):
        await given.hear(given.registrar.register(record, to="vac"))
    return content


async def read(given: Given, id: str, **asked: str) -> httpx.Response:
    """Ask for the document as S-17."""
    return await given.during(given.door.get(f"/v1/documents/{id}", params={"actor": "S-17", **asked}))


async def readings(given: Given) -> list[tuple[str, str, str]]:
    """Return event, part and purpose of each reading by a person."""
    return [(row.event, row.part, row.purpose) for row in await given.rows("reads") if row.who != "desk"]


async def granted(given: Given) -> int:
    """Return how many readings the desk had registered."""
    return len([row for row in await given.rows("outbox") if row.type == "access.granted"])


class TestRead:
    """Whoever may read the part reads the document."""

    async def test_it_comes_as_it_was_shared_and_under_one_reading(self, tmp_path: Path) -> None:
        """One `access.granted` and one row for the whole; no receipt for a chunk; the name is in no header."""
        async with desk_of("vac", tmp_path) as given:
            id = await received(given)
            receipts = [row.type for row in await given.rows("outbox")]
            answer = await read(given, id, purpose="court")

            assert answer.content == PDF
            assert answer.headers["content-type"] == "application/pdf"
            assert answer.headers["content-disposition"] == 'attachment; filename="document.pdf"'
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert CANARY not in str(answer.headers)
            assert receipts == ["letter.opened"]
            assert (await readings(given), await granted(given)) == ([(id, "health", "court")], 1)

    async def test_p2_another_agency_that_takes_its_id_puts_no_other_file_in_its_place(self, tmp_path: Path) -> None:
        """Given an agency that announces a document of another case under the same id, then each case has its own, and without the case nothing is opened."""
        async with desk_of("vac", tmp_path) as given:
            id = new_event_id()
            other = await received_elsewhere(given, id)
            await received(given, id=id)
            unclear = await read(given, id)
            assert (unclear.status_code, unclear.json()["code"]) == (422, "unknown_field")
            assert unclear.json()["problems"] == [{"pointer": "?case", "kind": "missing"}]
            assert await readings(given) == []

            answers = [await read(given, id, case=each) for each in (CASE, OTHER, "0f" * 16)]

            assert [each.status_code for each in answers] == [200, 200, 404]
            assert [each.content for each in answers[:2]] == [PDF, other]

    async def test_it_is_one_unopened_letter_until_somebody_reads_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Chunks are no letters that a person opens: `nrmbus status` would count a hundred of them for good."""
        monkeypatch.setattr(measured, "AGAIN_SECONDS", 0.0)
        async with desk_of("vac", tmp_path) as given:
            id = await received(given)
            before = values((await given.door.get("/metrics")).content)
            await read(given, id)
            after = values((await given.door.get("/metrics")).content)

        assert [each["nrmbus_letters_unopened"] for each in (before, after)] == [1, 0]

    async def test_the_inbox_shows_the_announcement_alone_and_how_much_is_there(self, tmp_path: Path) -> None:
        """Chunks make no task and no row, unless technical events are asked for; none of them opens as a letter."""
        async with desk_of("vac", tmp_path) as given:
            await received(given, {0: CHUNKS[0]})
            (row,) = (await given.door.get("/v1/inbox")).json()["events"]
            all_rows = await given.read(technical=True)
            tasks = [each.kind for each in await given.rows("tasks")]
            in_case = (await given.door.get(f"/v1/cases/{CASE}/timeline")).json()["events"]

        assert row["document"] == {"chunks": 3, "came": 1, "complete": False}
        assert in_case[0]["document"] == row["document"]
        assert [each["type"] for each in all_rows] == ["document.shared", "document.chunk_sent"]
        assert all_rows[0]["letter"]["health"]["health_file"]["name"] == f"{CANARY}.pdf"
        assert "letter" not in all_rows[1]
        assert len(tasks) == 1

    async def test_the_sender_reads_its_own_on_record_too(self, tmp_path: Path) -> None:
        """As it was sent, from the agency's own copies."""
        async with desk_of("ngo-a", tmp_path) as given:
            announcement, *_ = await shared(given)
            answer = await read(given, decode(announcement).id)

            assert answer.content == PDF
            assert await readings(given) == [(decode(announcement).id, "health", "case_work")]
            assert await granted(given) == 1

    async def test_a_desk_that_changed_its_key_reads_by_the_kept_ones(self, tmp_path: Path) -> None:
        """The sealing key of that time is destroyed; the case's own key opens it."""
        async with desk_of("vac", tmp_path) as given:
            id = await received(given)
            seat, key = given.desk.seat, SealingKey.generate()
            opening = {**seat.identity.opening, key.kid: key}
            seat.identity = replace(seat.identity, sealing=key, opening=opening)
            async with seat.ledger.write() as tx:
                case_keys.hand_over(seat, tx)
            seat.identity = replace(seat.identity, opening={key.kid: key})
            answer = await read(given, id)

        assert answer.content == PDF


class TestClosed:
    """Nothing is shown that is not whole, or not for this reader."""

    @pytest.mark.parametrize(
        ("contents", "code"),
        [
            ({0: CHUNKS[0], 2: CHUNKS[2]}, "document_incomplete"),
            ({}, "document_incomplete"),
            ({0: CHUNKS[1], 1: CHUNKS[0], 2: CHUNKS[2]}, "document_damaged"),
            ({0: CHUNKS[0], 1: CHUNKS[1][:-1] + b"?", 2: CHUNKS[2]}, "document_damaged"),
            ({0: CHUNKS[0], 1: CHUNKS[1], 2: CHUNKS[2] + b"more"}, "document_damaged"),
        ],
        ids=["a gap", "nothing", "swapped", "altered", "longer"],
    )
    async def test_a_document_that_is_not_what_was_announced_is_not_shown(
        self, tmp_path: Path, contents: dict[int, bytes], code: str
    ) -> None:
        """An error with a code, and not one byte of it."""
        async with desk_of("vac", tmp_path) as given:
            answer = await read(given, await received(given, contents))

        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert CANARY not in answer.text

    async def test_a_chunk_that_came_twice_counts_once(self, tmp_path: Path) -> None:
        """The Rules let each come once; a registrar that errs changes nothing."""
        async with desk_of("vac", tmp_path) as given:
            announcement = announced(given.registrar)
            for record in (
                announcement,
                *(chunk(given.registrar, announcement, index, CHUNKS[index]) for index in (0, 1, 1, 2)),
            ):
                await given.hear(given.registrar.register(record, to="vac"))
            answer = await read(given, decode(announcement).id)

        assert answer.content == PDF

    async def test_a_withdrawal_closes_it_as_it_closes_a_letter(self, tmp_path: Path) -> None:
        """P7: also a chunk that came before; a chunk that comes later is kept shut, and its sender hears so."""
        async with desk_of("vac", tmp_path) as given:
            announcement = announced(given.registrar)
            first = chunk(given.registrar, announcement, 0, CHUNKS[0])
            stop = given.registrar.event("ngo-a", "consent.withdrawn", TAKEN_BACK)
            second = chunk(given.registrar, announcement, 1, CHUNKS[1])
            for record in (announcement, first, stop, second):
                await given.hear(given.registrar.register(record, to="vac"))
            receipts = [row.type for row in await given.rows("outbox") if row.type.startswith("letter.")]
            answer = await read(given, decode(announcement).id)

            assert receipts == ["letter.opened", "letter.kept_shut"]
            assert (answer.status_code, answer.json()["shut"]) == (403, "consent_withdrawn")
            assert (await readings(given), await granted(given)) == ([], 0)

    async def test_withdrawn_while_the_reading_is_registered_it_stays_closed(self, tmp_path: Path) -> None:
        """The withdrawal comes through the inbox before the reading does."""
        async with desk_of("vac", tmp_path) as given:
            id = await received(given)
            await given.settle()
            out = given.out

            async def withdrawn_first() -> list[Record]:
                sent = await out()
                if any(decode(each).type == "access.granted" for each in sent):
                    stop = given.registrar.event("ngo-a", "consent.withdrawn", TAKEN_BACK)
                    await given.hear(given.registrar.register(stop, to="vac"))
                return sent

            given.out = withdrawn_first  # type: ignore[method-assign]
            answer = await read(given, id)

            assert answer.json()["shut"] == "consent_withdrawn"
            assert await readings(given) == []

    @pytest.mark.parametrize(
        ("by", "type", "data", "shut"),
        [
            ("ngo-a", "consent.withdrawn", TAKEN_BACK, "consent_withdrawn"),
            ("special-unit", "access.revoked", {"receivers": ["vac"]}, "consent_withdrawn"),
            ("timekeeper", "access.erasure_due", {"ground": "decision"}, "erased"),
        ],
        ids=["withdrawn", "revoked", "erasure"],
    )
    async def test_p7_a_document_under_way_breaks_off_when_it_is_closed(
        self, tmp_path: Path, by: str, type: str, data: dict[str, Any], shut: str
    ) -> None:
        """Given a reader who has the first chunk, when a word comes that closes the document, then no further chunk is handed out."""
        async with desk_of("vac", tmp_path) as given:
            id, desk = await received(given), given.desk
            with desk.seat.ledger.read() as tx:
                found = documents.find(tx, "vac", id, CASE)
            assert found is not None
            file = await documents.open_file(desk, found, who="S-17", purpose="case_work", system="web")
            pieces = documents.pieces(desk, found, file)
            first = await anext(pieces)
            await given.hear(given.registrar.register(given.registrar.event(by, type, data), to="vac"))
            with pytest.raises(DeskError) as closed:
                await anext(pieces)

        assert first == CHUNKS[0]
        assert (closed.value.code, closed.value.safe) == ("document_shut", {"shut": shut})

    async def test_p5_an_erased_document_is_gone(self, tmp_path: Path) -> None:
        """Chunks are letters of the case: an erasure destroys them with it, at its sender's desk too."""
        for agency in ("vac", "ngo-a"):
            async with desk_of(agency, tmp_path / agency) as given:
                id = await received(given) if agency == "vac" else decode((await shared(given))[0]).id
                await given.settle()
                due = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
                await given.hear(given.registrar.register(due, to=agency))
                ordered = await read(given, id)
                assert await rounds.erase_due(given.desk) == (CASE,)
                done = await read(given, id)
                kept = [row for row in await given.rows("events") if row.letter is not None]
                keys = await given.rows("letter_keys")

            assert {each.json()["shut"] for each in (ordered, done)} == {"erased"}
            assert (kept, keys) == ([], [])

    async def test_an_altered_ledger_closes_it(self, tmp_path: Path) -> None:
        """A row of a chunk was changed by somebody with access to the file."""
        async with desk_of("vac", tmp_path) as given:
            id = await received(given)
            await given.settle()
            chunks = tables.events.c.type == "document.chunk_sent"
            async with given.desk.seat.ledger.write() as tx:
                tx.execute(update(tables.events).where(chunks).values(value=b'{"index":1,"to":["vac"]}'))
            answer = await read(given, id)

        assert answer.json()["shut"] == "ledger_altered"

    async def test_a_reader_is_named_and_an_unknown_id_is_not_found(self, tmp_path: Path) -> None:
        """Nothing is recorded in either case; an event that is no announcement has no content."""
        async with desk_of("vac", tmp_path) as given:
            id = await received(given)
            signal = given.registrar.event("ngo-a", "case.signal_recorded", SIGNAL)
            await given.hear(given.registrar.register(signal, to="vac"))
            unnamed = await given.door.get(f"/v1/documents/{id}")
            unknown = [await read(given, each) for each in (new_event_id(), decode(signal).id, "none")]

            assert unnamed.json()["code"] == "reader_unnamed"
            assert {each.status_code for each in unknown} == {404}
            assert await readings(given) == []

    async def test_an_agency_whose_role_may_not_open_the_part_reads_nothing(self, tmp_path: Path) -> None:
        """The fund heard of the document and got none of it."""
        registrar = FakeRegistrar(town())
        async with desk_of("ngo-a", tmp_path / "ngo-a", registrar=registrar) as given:
            sent = await shared(given, to=["fund", "special-unit"])
        async with desk_of("fund", tmp_path / "fund", registrar=FakeRegistrar(registrar.town)) as given:
            for record in sent:
                await given.hear(given.registrar.register(record, to="fund"))
            (row,) = (await given.door.get("/v1/inbox")).json()["events"]
            answer = await read(given, row["id"])
            receipts = [each.type for each in await given.rows("outbox") if each.type.startswith("letter.")]

        assert (answer.status_code, answer.json()["shut"]) == (403, "not_allowed")
        assert "letter.unreadable" not in receipts
