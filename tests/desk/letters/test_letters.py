"""Letters at a desk: on record before they are opened, and an honest word to the sender whether they opened."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from agencies import BUS, CASE
from desk.given import CANARY, REF, Given, Read, desk_of
from nrmbus.desk.inbox import settle
from nrmbus.desk.letters import letters
from nrmbus.events.model import Part
from nrmbus.wire import letter
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import LETTER, Record

SUPPLIED = {"question": "language"}


def supplied(given: Given, *, opens: tuple[str, ...] = ("vac",), **parts: Any) -> Record:
    """Return an NGO's sealed answer to a question of vac."""
    sealed = parts or {"story": {"answer": CANARY}}
    return given.registrar.event("ngo-a", "referral.info_supplied", SUPPLIED, referral=REF, parts=sealed, opens=opens)


async def test_a_letter_is_on_record_as_read_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the reading is committed before the opening: another reader of the ledger sees it."""
    seen: list[int] = []
    async with desk_of("vac", tmp_path) as given:
        whole = letters._open

        def watched(*args: Any) -> letters.Opened:
            import sqlite3  # noqa: PLC0415 - a second connection, as another process has it

            with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
                seen.append(other.execute("SELECT count(*) FROM reads").fetchone()[0])
            other.close()
            return whole(*args)

        monkeypatch.setattr(letters, "_open", watched)
        await given.hear(given.registrar.register(supplied(given), to="vac"))

        assert seen == [1]
        rows = [(row.who, row.part, row.purpose, row.source, row.subject) for row in await given.rows("reads")]
        assert rows == [("desk", "story", "receipt", "ngo-a", CASE)]


async def test_without_a_row_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: if the reading cannot be recorded, the letter stays shut, at the inbox and at the door."""
    opened: list[object] = []
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    async with desk_of("vac", tmp_path) as given:
        record = given.registrar.register(supplied(given), to="vac")
        whole = letters._open

        def counted(*args: Any) -> letters.Opened:
            opened.append(args)
            return whole(*args)

        monkeypatch.setattr(letters, "_open", counted)
        async with given.desk.seat.ledger.write() as tx:
            tx.exec_driver_sql(
                "CREATE TRIGGER no_reads BEFORE INSERT ON reads BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        with pytest.raises(Exception, match="disk full"):
            await given.hear(record)
        assert opened == []

        async with given.desk.seat.ledger.write() as tx:
            tx.exec_driver_sql("DROP TRIGGER no_reads")
        await given.hear(record)
        assert len(opened) == 1
        async with given.desk.seat.ledger.write() as tx:
            tx.exec_driver_sql(
                "CREATE TRIGGER no_reads BEFORE INSERT ON reads BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        answer = await given.during(given.door.get("/v1/inbox", params={"open": True, "actor": "S-1"}))

        assert len(opened) == 1
        assert answer.status_code == 503
        assert CANARY not in answer.text


async def test_a_person_who_reads_is_on_record_by_number_and_purpose(tmp_path: Path) -> None:
    """Each opening through the door is recorded in its own row; a look without opening is not recorded."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(given.registrar.register(supplied(given), to="vac"))
        shown = (await given.door.get("/v1/inbox")).json()["events"]
        assert "letter" not in shown[0]
        assert shown[0]["parts"] == ["story"]
        read = await given.read(actor="S-17", purpose="complaint")

        assert read[0]["letter"] == {"story": {"answer": CANARY}}
        assert [(row.who, row.purpose) for row in await given.rows("reads")] == [
            ("desk", "receipt"),
            ("S-17", "complaint"),
        ]


async def test_the_sender_hears_that_his_letter_opened(tmp_path: Path) -> None:
    """A technical receipt about the event goes back automatically, once."""
    async with desk_of("vac", tmp_path) as given:
        record = given.registrar.register(supplied(given), to="vac")
        await given.hear(record)
        await given.hear(record)
        (sent,) = await given.out()

        event = decode(sent).event()
        assert (event.type, event.causationid) == ("letter.opened", decode(supplied_of(record)).id)


def supplied_of(record: Read) -> Record:
    """Return the submission in a delivery."""
    return Record(record.key, record.value, tuple(record.headers)).split()[0]


def altered(given: Given, how: str) -> Read:
    """Return a delivery whose letter has one fault."""
    submitted = supplied(given)
    signed = decode(submitted)
    place = {"bus": BUS, "source": "ngo-a", "id": signed.id, "subject": CASE}
    self_only = [("ngo-a", given.town.identities["ngo-a"].sealing.seal_to)]
    stranger = [*self_only, ("vac", given.town.identities["fund"].sealing.seal_to)]
    right = [*self_only, ("vac", given.town.identities["vac"].sealing.seal_to)]
    parts: dict[Part, dict[str, Any]] = {"story": {"answer": CANARY}}
    raw = {
        "digest": letter.seal(parts, {"story": right}, **place),
        "key": letter.seal(parts, {"story": stranger}, **place),
        "malformed": letter.seal({"story": {"name": CANARY}}, {"story": right}, **place),
    }[how]
    container = letter.Container.parse(raw)
    if how != "digest":
        sealed = given.registrar
        submitted = _with_letter(given, raw, container.digest, signed.id)
        return sealed.register(submitted, to="vac")
    kept = submitted.without_letter()
    record = given.registrar.register(submitted, to="vac")
    statements = tuple(header for header in record.headers if header[0].startswith("nrm_") and header[0] != LETTER)
    record.headers = (*kept.headers, (LETTER, container.copy_for("vac")), *statements)
    return record


def _with_letter(given: Given, raw: bytes, digest: str, id: str) -> Record:
    from nrmbus.wire.envelope import encode, with_letter  # noqa: PLC0415 - one helper's need

    event = decode(supplied(given)).event()
    fields = {name: getattr(event, name) for name in type(event).model_fields}
    again = type(event)(**fields | {"id": id, "sealeddigest": digest, "sequence": 1})
    return with_letter(encode(again, given.town.identities["ngo-a"].signing), raw)


@pytest.mark.parametrize("how", ["digest", "key", "malformed"])
async def test_the_sender_hears_why_his_letter_stayed_shut(how: str, tmp_path: Path) -> None:
    """An unreadable letter is no failure of the desk: the event is kept, the sender gets the reason, and no content is shown."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(altered(given, how))
        (sent,) = await given.out()

        event = decode(sent).event()
        assert (event.type, event.data.to_mapping()) == ("letter.unreadable", {"reason": how})
        (shown,) = await given.read()
        assert (shown["parts"], shown["shut"]) == ([], how)
        assert CANARY not in str(shown)


async def test_what_was_not_sealed_to_this_desk_needs_no_receipt(tmp_path: Path) -> None:
    """An event with a letter for others comes without the letter, and needs no receipt."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(given.registrar.register(supplied(given, opens=("fund",)), to="vac"))

        assert await given.rows("reads") == []
        assert await given.rows("outbox") == []
        assert [row.parts for row in await given.rows("events")] == ["[]"]


async def test_a_ledger_that_cannot_be_written_stops_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is not the record's fault: the record is retried until the write works, and is never parked."""
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    async with desk_of("vac", tmp_path) as given:
        record = given.registrar.register(supplied(given), to="vac")
        whole = given.desk.seat.ledger.write

        def full() -> Any:
            raise OperationalError("BEGIN", {}, Exception("database or disk is full"))

        monkeypatch.setattr(given.desk.seat.ledger, "write", full)
        for _ in range(settle.TRIES + 2):
            with pytest.raises(OperationalError):
                await given.hear(record)
        assert (await given.door.get("/health")).json()["trouble"] == "not_available"
        monkeypatch.setattr(given.desk.seat.ledger, "write", whole)
        await given.hear(record)

        assert len(await given.rows("events")) == 1
        assert await given.rows("parked") == []
