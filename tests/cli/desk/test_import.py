"""An agency brings its running cases from a table: every row is checked by the desk, and published once."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from openpyxl import Workbook

from contract.tree import ROOT
from desk.given import TOKEN, Given, desk_of
from nrmbus.bus.errors import BusError
from nrmbus.cli.desk.importing import command, sheet, table
from nrmbus.cli.desk.importing.command import KEY_FILE, Outcome, _Importing, _key, _Work
from nrmbus.client.door import Door
from typed import run as nrmbus

TEMPLATE = ROOT / "deploy" / "examples" / "running-cases.csv"
KEY, MADE = b"k" * 32, 1_790_000_000_000
SIGNAL = "case.signal_recorded"
HEADER = [
    "number",
    "actor",
    *(f"{SIGNAL}.{each}" for each in ("detector", "child", "urgency", "detected_abroad", "basis", "notes")),
]
GOOD = ["7", "a-1", "ngo_outreach", "no", "normal", "no", "indicators", "CANARY"]


def csv_of(*rows: list[str], folder: Path) -> Path:
    """Write *rows* as a CSV file in *folder*; return its path."""
    file = folder / "cases.csv"
    file.write_text("\n".join(",".join(row) for row in rows))
    return file


@asynccontextmanager
async def importing(file: Path, home: Path, **work: Any) -> AsyncIterator[tuple[Given, _Importing, list[sheet.Row]]]:
    """Yield the desk of ngo-a at *home* and the import of *file* at its door."""
    header, *rows = sheet.filled(sheet.rows_of(file))
    async with desk_of("ngo-a", home) as here:
        door = Door("http://127.0.0.1", TOKEN, transport=here.door._transport)
        asked = _Work(table.table_of(header.cells), rows, work.get("actor"), 20.0)
        yield here, _Importing(door, asked, KEY, MADE), rows


async def published(here: Given, work: _Importing, row: sheet.Row) -> Outcome:
    """Return the outcome of publishing *row*, while the registrar registers all that the desk sends."""
    asking = asyncio.create_task(work.publish(row))
    while not asking.done():
        await asyncio.wait([asking], timeout=0.01)
        await here.settle()
    return asking.result()


async def test_the_template_fits_and_is_published_once(tmp_path: Path) -> None:
    """Given the template, when it is checked nothing is stored, and however often it is imported each event is there once."""
    async with importing(TEMPLATE, tmp_path) as (here, work, rows):
        checked = [await work.check(row) for row in rows]
        assert [each.line(row.number) for row, each in zip(rows, checked, strict=True)] == [
            "row 2: fits (case.signal_recorded, consent.given, referral.submitted)",
            "row 3: fits (case.signal_recorded)",
        ]
        assert await here.rows("outbox") == []

        first = [await published(here, work, row) for row in rows]
        put = [(row.id, row.subject, row.type) for row in await here.rows("outbox")]
        again = [await published(here, work, row) for row in rows]

        assert [each.word for each in first] == [each.word for each in again] == ["registered", "registered"]
        assert [kind for _, _, kind in put] == [
            "case.signal_recorded",
            "consent.given",
            "referral.submitted",
            "case.signal_recorded",
        ]
        assert put[0][1] == put[1][1] == put[2][1] != put[3][1], "one row is one case"
        assert [(row.id, row.subject, row.type) for row in await here.rows("outbox")] == put
        assert [each.word for each in [await work.check(row) for row in rows]] == ["registered", "registered"]


async def test_an_import_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Given that the process ended behind the first event of a row, when the import is repeated, then the rest follows."""
    async with importing(TEMPLATE, tmp_path) as (here, work, rows):
        events, _ = work._events(rows[0])
        await here.during(here.door.post("/v1/events", json=events[0], params={"wait": 20}))
        case = (await here.rows("outbox"))[0].subject

        assert (await published(here, work, rows[0])).word == "registered"
        assert [(row.type, row.subject) for row in await here.rows("outbox")] == [
            ("case.signal_recorded", case), ("consent.given", case), ("referral.submitted", case),
        ]  # fmt: skip


async def test_a_row_that_was_changed_after_its_import_is_refused(tmp_path: Path) -> None:
    """A registered case stays: another text under the same number of a case is no second case."""
    file = csv_of(HEADER, GOOD, folder=tmp_path)
    async with importing(file, tmp_path) as (here, work, rows):
        await published(here, work, rows[0])
        csv_of(HEADER, [*GOOD[:4], "urgent", *GOOD[5:]], folder=tmp_path)
        changed = sheet.filled(sheet.rows_of(file))[1]

        for outcome in (await work.check(changed), await published(here, work, changed)):
            assert "id_reused" in outcome.line(2)
        assert len(await here.rows("outbox")) == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["", *GOOD[1:]], "column A: has no number of the case: fill it in."),
        (["7", "a-1", "ngo_outreach", "no", "CANARY", *GOOD[5:]], "column E: case.signal_recorded.urgency has none of the values that are allowed there; allowed: emergency, urgent, normal."),
        (["7", "a-1", "ngo_outreach", "CANARY", *GOOD[4:]], "column D: case.signal_recorded.child"),
        (["7", "a-1", "ngo_outreach", "", *GOOD[4:]], "case.signal_recorded.child is missing."),
        (["7", "Alina CANARY", *GOOD[2:]], "case.signal_recorded.actor"),
        (["7", "", *GOOD[2:]], "case.signal_recorded.actor is missing."),
        ([*GOOD[:6], "indicators; CANARY", "x"], "column G: case.signal_recorded.basis"),
        ([*GOOD[:7], "=HYPERLINK(CANARY)"], "column H: has a formula: put its value there."),
        (["7", "a-1"], "has no event"),
    ],
)  # fmt: skip
async def test_a_fault_is_shown_by_row_and_column_and_never_by_its_text(
    row: list[str], said: str, tmp_path: Path
) -> None:
    """The dry run names the column, the field and what to do, and repeats nothing of the cell."""
    async with importing(csv_of(HEADER, row, GOOD[:], folder=tmp_path), tmp_path) as (here, work, rows):
        line = (await work.check(rows[0])).line(2)

        assert line.startswith("row 2: does not fit\n")
        assert said in line
        assert "CANARY" not in line
        assert await here.rows("outbox") == []


async def test_the_rules_judge_a_row_before_it_is_published(tmp_path: Path) -> None:
    """A referral without the required consent is refused by the rule on consent, in the dry run and later."""
    text = TEMPLATE.read_text().replace("services; information_sharing,vac,individual,written", ",,,")
    (tmp_path / "bare.csv").write_text(text)
    async with importing(tmp_path / "bare.csv", tmp_path) as (_, work, rows):
        line = (await work.check(rows[0])).line(2)

        assert "referral.submitted consent_required G-32" in line


async def test_two_rows_with_one_number_are_both_stopped(tmp_path: Path) -> None:
    """Two cases under one number would get the same ids."""
    async with importing(csv_of(HEADER, GOOD, GOOD, folder=tmp_path), tmp_path) as (_, work, rows):
        lines = [(await work.check(row)).line(row.number) for row in rows]

        assert all("column A: has the number of another row" in line for line in lines)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("header", "said"),
    [
        (["number", f"{SIGNAL}.urgenci"], f"column B (nearest: {SIGNAL}.urgency"),
        (["number", "CANARY of Alina"], "column B"),
        (["number", f"{SIGNAL}.urgency", f"{SIGNAL}.urgency"], "column C (the same as B)"),
        ([f"{SIGNAL}.urgency"], "no column `number`"),
        (["number", ""], "no column of a field"),
        (["number", "letter.opened.notes"], "column B"),
    ],
)
def test_a_column_without_a_field_is_named_by_its_letters(header: list[str], said: str) -> None:
    """The name of a column may be a person's, so it is not repeated."""
    with pytest.raises(BusError) as caught:
        table.table_of(header)

    assert said in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_a_workbook_reads_like_its_text() -> None:
    """XLSX and CSV of the same table give the same cells: dates, whole numbers and truth as the door writes them."""
    book = Workbook()
    page = book.active
    assert page is not None
    page.append(["number", "b", "c", "d"])
    page.append([7, True, 1.5, "=1+1", datetime(2026, 3, 2, 9, 0, 30), datetime(2026, 3, 2)])  # noqa: DTZ001 - a workbook knows no zone
    raw = io.BytesIO()
    book.save(raw)
    cells = list(sheet._workbook(raw.getvalue(), ZoneInfo("Asia/Baku")))

    assert cells[1][:4] == [("7", False), ("true", False), ("1.5", False), ("=1+1", True)]
    assert cells[1][4:] == [("2026-03-02T05:00:30Z", False), ("2026-03-02", False)], (
        "people write the time of their place"
    )


async def test_a_column_of_the_agencys_own_may_have_formulas(tmp_path: Path) -> None:
    """Given a column without a name, then whatever it computes is left out, and the row fits."""
    file = csv_of([*HEADER, ""], [*GOOD, "=A2+1"], folder=tmp_path)
    async with importing(file, tmp_path) as (_, work, rows):
        assert (await work.check(rows[0])).word == "fits"


def _xlsx(**entries: bytes) -> bytes:
    raw = io.BytesIO()
    Workbook().save(raw)
    with zipfile.ZipFile(raw, "a", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name.replace("__", "/").replace("_", "."), content)
    return raw.getvalue()


def _damaged(kind: str) -> bytes:
    """Return a workbook of which something on its disk is lost."""
    raw = io.BytesIO()
    book = Workbook()
    book.active.append(["number", "CANARY"])
    book.save(raw)
    damaged = bytearray(raw.getvalue())
    directory = damaged.index(b"PK\x01\x02")
    match kind:
        case "deflate":
            name = b"xl/worksheets/sheet1.xml"
            at = damaged.index(name) + len(name)
            damaged[at : at + 20] = b"\xff" * 20
        case "directory":
            damaged[directory : directory + 4] = b"XXXX"
        case "method":
            damaged[directory + 10 : directory + 12] = b"\x63\x00"
        case "middle":
            del damaged[50:250]
        case "name":
            damaged[directory + 9] |= 0x08  # the name is said to be UTF-8
            damaged[directory + 46] = 0xFF
        case _:
            made = io.BytesIO()
            with zipfile.ZipFile(raw) as source, zipfile.ZipFile(made, "w") as packed:
                for name_of in source.namelist():
                    content = b"<CANARY/>" if name_of == kind else source.read(name_of)
                    packed.writestr(name_of, content)
            return made.getvalue()
    return bytes(damaged)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "macros": (lambda: _xlsx(xl__vbaProject_bin=b"x"), "has macros"),
    "a bomb": (lambda: _xlsx(xl__extra_xml=b"0" * (sheet.UNPACKED + 1)), "unpacks to more"),
    "an entity": (lambda: _xlsx(xl__extra_xml=b'<!DOCTYPE a [<!ENTITY b "CANARY">]><a>&b;</a>'), "definitions"),
    "another encoding": (lambda: _xlsx(xl__extra_xml="<a/>".encode("utf-16")), "definitions"),
    "an empty archive": (lambda: b"PK\x05\x06" + b"\0" * 18, "no workbook"),
    "a broken deflate": (lambda: _damaged("deflate"), "is damaged"),
    "a broken directory": (lambda: _damaged("directory"), "is damaged"),
    "an unknown compression": (lambda: _damaged("method"), "is damaged"),
    "a lost piece in the middle": (lambda: _damaged("middle"), "is damaged"),
    "a name that is no text": (lambda: _damaged("name"), "is damaged"),
    "another list of contents": (lambda: _damaged("[Content_Types].xml"), "no workbook"),
    "another workbook": (lambda: _damaged("xl/workbook.xml"), "no workbook"),
    "another list of relations": (lambda: _damaged("xl/_rels/workbook.xml.rels"), "no workbook"),
    "no text": (lambda: b"\xff\xfeCANARY", "neither XLSX nor text"),
    "a NUL": (lambda: b"a\0b", "neither XLSX nor text"),
    "an open quote": (lambda: b'number,"CANARY', "no well-formed CSV"),
    "a heading alone": (lambda: b"number", "no row behind"),
    "too many rows": (lambda: b"a\n" + b"x\n" * (sheet.MOST_ROWS + 1), "more than 10000 rows"),
    "too many columns": (lambda: b"," * 300 + b"\nx", "more than 200 columns"),
    "too long": (lambda: b"x" * (sheet.LARGEST + 1), "larger than 20 MiB"),
}
"""Files by what is wrong with them, made when they are needed, and what is said."""


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_before_it_is_read(what: str, tmp_path: Path) -> None:
    """Macros, bombs, entities and other things than tables end in one sentence, which repeats nothing of them."""
    make, said = HOSTILE[what]
    file = tmp_path / "cases.xlsx"
    file.write_bytes(make())
    with pytest.raises(BusError) as caught:
        sheet.filled(sheet.rows_of(file))

    assert said in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_any_spreadsheet_program_is_read(delimiter: str, tmp_path: Path) -> None:
    """Comma, semicolon or tab, with the mark at the beginning that some programs write."""
    file = tmp_path / "cases.csv"
    file.write_bytes(
        "\ufeff".encode()
        + delimiter.join(["number", "b"]).encode()
        + b"\r\n"
        + delimiter.join(["7", '"a; b, c"']).encode()
    )

    assert [row.cells for row in sheet.rows_of(file)] == [("number", "b"), ("7", "a; b, c")]


def test_the_key_of_imports_is_made_once(tmp_path: Path) -> None:
    """A dry run keeps no key. A real run keeps the key for good, and a damaged key is never replaced."""
    _key(tmp_path, keep=False)
    assert not (tmp_path / KEY_FILE).exists()
    kept = _key(tmp_path, keep=True)
    assert _key(tmp_path, keep=True) == kept
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]
    (tmp_path / KEY_FILE).write_text(json.dumps({"key": "x"}))
    with pytest.raises(BusError, match="move it away, then restore it with nrmbus restore DIR --part settings"):
        _key(tmp_path, keep=True)


def test_names_of_columns_are_those_of_a_spreadsheet() -> None:
    """A to Z, then AA."""
    assert [sheet.column_name(place) for place in (0, 25, 26, 199)] == ["A", "Z", "AA", "GR"]


@pytest.mark.parametrize("there", [0, 1], ids=["as it is", "--only-fitting"])
async def test_a_faulty_row_stops_the_import_unless_told_otherwise(
    there: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --only-fitting nothing is published while a row does not fit; with it the others are."""
    file = csv_of(HEADER, GOOD, ["8", "a-1", "ngo_outreach", "no", "CANARY", *GOOD[5:]], folder=tmp_path)
    async with importing(file, tmp_path) as (here, work, _):

        @asynccontextmanager
        async def door_of(*_: Any) -> AsyncIterator[Door]:
            yield work._door

        monkeypatch.setattr(command, "door_of", door_of)
        folder: Any = SimpleNamespace(agency=lambda _: SimpleNamespace(path=tmp_path))
        for dry_run in (True, False):
            asking = asyncio.create_task(command._import(folder, "ngo-a", work._work, dry_run, bool(there)))
            while not asking.done():
                await asyncio.wait([asking], timeout=0.01)
                await here.settle()
            words = [each.word for each in asking.result()]
            assert words == ["registered" if there and not dry_run else "fits", "does not fit"]
            assert len(await here.rows("outbox")) == (0 if dry_run else there)
        shown = "".join(capsys.readouterr())

        assert shown.count("row 3: does not fit\n  column E: case.signal_recorded.urgency has none") == 2
        assert "CANARY" not in shown


class _Ending(httpx.AsyncBaseTransport):
    """The way to a desk that publishes one row and answers later ones with *status*; with 0 the desk is away."""

    def __init__(self, way: Any, status: int) -> None:
        self._way, self._status, self._published = way, status, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._published += request.url.path == "/v1/events"
        if self._published > 1:
            if self._status:
                return httpx.Response(self._status, json={"code": "somewhat", "sentence": "It is so."})
            raise httpx.ConnectError("away", request=request)
        answer: httpx.Response = await self._way.handle_async_request(request)
        return answer


@pytest.mark.thorough
@pytest.mark.parametrize("status", [0, 503, 429, 401, 403])
async def test_an_import_whose_desk_ends_says_that_the_same_command_goes_on(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that ends, is full, or refuses the token behind the first row, then the message names the row, and the same command publishes the rest."""
    file = csv_of(HEADER, GOOD, ["8", *GOOD[1:]], folder=tmp_path)
    async with importing(file, tmp_path) as (here, work, _):
        ways = [_Ending(here.door._transport, status), here.door._transport]

        @asynccontextmanager
        async def door_of(*_: Any) -> AsyncIterator[Door]:
            yield Door("http://127.0.0.1", TOKEN, transport=ways.pop(0))

        async def imported() -> list[Outcome]:
            asking = asyncio.create_task(
                command._import(folder, "ngo-a", work._work, dry_run=False, only_fitting=False)
            )
            while not asking.done():
                await asyncio.wait([asking], timeout=0.01)
                await here.settle()
            return asking.result()

        monkeypatch.setattr(command, "door_of", door_of)
        monkeypatch.setattr(command, "sentence_of", lambda *_: "The desk of ngo-a does not answer.")
        folder: Any = SimpleNamespace(agency=lambda _: SimpleNamespace(path=tmp_path))
        with pytest.raises(BusError, match="ended at row 3"):
            await imported()

        assert [each.word for each in await imported()] == ["registered", "registered"]
        assert len(await here.rows("outbox")) == 2


def test_a_missing_table_is_reported() -> None:
    """The message says what to do, and does not repeat the name of the file."""
    done = nrmbus("import", "ngo-a", "CANARY.csv")

    assert (done.returncode, done.stderr) == (
        1,
        "nrmbus: The file cannot be read (No such file or directory): name another.\n",
    )
