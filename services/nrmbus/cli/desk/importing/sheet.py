"""Tables in files: CSV, or the first sheet of an XLSX. Text comes out, and nothing of the file is ever computed or run."""

import codecs
import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

from nrmbus.bus.errors import BusError

LARGEST: Final = 20 * 1024 * 1024
"""Largest file in bytes."""
UNPACKED: Final = 100 * 1024 * 1024
"""Most bytes that an XLSX may unpack to."""
MOST_ROWS: Final = 10_000
MOST_COLUMNS: Final = 200
LONGEST: Final = 32_767
"""Most characters of a cell, as in a spreadsheet program."""
_MACRO: Final = "vbaproject.bin"
_DELIMITERS: Final = ";\t,"
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)
"""Errors of an archive that is damaged, has a password, or is compressed in a way that is not known here.

A ValueError is an offset outside the file, or a name that does not decode.
"""
_DAMAGED: Final = "The workbook is damaged or has a password: save it again without one."


class Row(NamedTuple):
    """Row of a table: its number in the file, from 1, and its cells as text; ``formulas`` has the columns of formulas."""

    number: int
    cells: tuple[str, ...]
    formulas: frozenset[int]


def rows_of(file: Path, zone: tzinfo = UTC) -> Iterator[Row]:
    """Yield the rows of *file* that are not empty, the first one with the names of the columns.

    A workbook's cell with a date and a time has no zone: it is read as a time of *zone*.

    Raises:
        BusError: the file cannot be read, is too large, has macros, or is no table.
    """
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise BusError(f"The file is larger than {LARGEST // 1024 // 1024} MiB: split it into several files.")
        raw = file.read_bytes()
    except OSError as error:
        raise BusError(f"The file cannot be read ({error.strerror}): name another.") from None
    cells = _workbook(raw, zone) if zipfile.is_zipfile(io.BytesIO(raw)) else _text(raw)
    for number, row in enumerate(cells, 1):
        if number > MOST_ROWS + 1:
            raise BusError(f"The table has more than {MOST_ROWS} rows: split it into several files.")
        if len(row) > MOST_COLUMNS or any(len(text) > LONGEST for text, _ in row):
            raise BusError(
                f"Row {number} has more than {MOST_COLUMNS} columns, or a cell of more than {LONGEST} characters: shorten it."
            )
        texts = tuple(text for text, _ in row)
        if any(texts):
            yield Row(number, texts, frozenset(place for place, (_, is_formula) in enumerate(row) if is_formula))


def _text(raw: bytes) -> Iterator[list[tuple[str, bool]]]:
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        raise BusError("The file is neither XLSX nor text in UTF-8: save it as `CSV UTF-8`, or as XLSX.") from None
    if "\0" in text:
        raise BusError("The file is neither XLSX nor text in UTF-8: save it as `CSV UTF-8`, or as XLSX.")
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True):
            yield [(cell.strip(), cell.lstrip().startswith("=")) for cell in row]
    except csv.Error:
        raise BusError("The file is no well-formed CSV: save it again as `CSV UTF-8`, or as XLSX.") from None


def _workbook(raw: bytes, zone: tzinfo) -> Iterator[list[tuple[str, bool]]]:
    """Yield the cells of the first sheet; formulas are seen and never computed, and what the file unpacks to is bounded first."""
    _bounded(raw)
    from openpyxl import load_workbook  # noqa: PLC0415 - 60 ms, for XLSX alone
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415 - the same

    book = None
    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=False, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # the file may claim a million rows
        for row in sheet.iter_rows():
            yield [_cell(cell.value, getattr(cell, "data_type", "n"), zone) for cell in row]
    except (
        *_UNREADABLE,
        InvalidFileException,
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        SyntaxError,
        AttributeError,
        ArithmeticError,
    ):
        raise BusError("The file is no workbook that can be read: save it as XLSX again, or as `CSV UTF-8`.") from None
    finally:
        if book is not None:
            book.close()


def _bounded(raw: bytes) -> None:
    """Raise BusError for a workbook with macros, with XML that defines entities, or that unpacks to too much."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
    except _UNREADABLE:
        raise BusError(_DAMAGED) from None
    with archive as packed:
        entries = packed.infolist()
        if any(each.filename.lower().endswith(_MACRO) for each in entries):
            raise BusError("The workbook has macros: save it without them, as XLSX or as `CSV UTF-8`.")
        if len(entries) > 1000 or sum(each.file_size for each in entries) > UNPACKED:
            raise BusError("The workbook unpacks to more than can be read: save its first sheet as `CSV UTF-8`.")
        for each in entries:
            if not each.filename.endswith((".xml", ".rels")):
                continue
            try:
                content = packed.read(each)  # zipfile stops at the size that was announced
            except _UNREADABLE:
                raise BusError(_DAMAGED) from None
            if b"<!" in content.replace(b"<!--", b"").replace(b"<![CDATA[", b"") or content.startswith(
                (b"\xff\xfe", b"\xfe\xff")
            ):
                raise BusError(
                    "The workbook has definitions that no spreadsheet program writes: save it again as XLSX."
                )


def _cell(value: Any, kind: str, zone: tzinfo) -> tuple[str, bool]:
    if value is None:
        return "", False
    if isinstance(value, datetime):
        is_day = (value.hour, value.minute, value.second) == (0, 0, 0)
        return (value.date().isoformat() if is_day else _utc(value.replace(tzinfo=zone))), False
    if isinstance(value, date):
        return value.isoformat(), False
    if isinstance(value, bool):
        return str(value).lower(), False
    if isinstance(value, float) and value.is_integer():
        return str(int(value)), False
    text = str(value).strip()
    return text, kind == "f" or text.startswith("=")


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def column_name(place: int) -> str:
    """Return the letters by which a spreadsheet program shows the column at *place*, from 0."""
    name, left = "", place + 1
    while left:
        left, letter = divmod(left - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def filled(rows: Iterable[Row]) -> list[Row]:
    """Return all *rows*; raise BusError if there is none behind the names of the columns."""
    found = list(rows)
    if len(found) < 2:
        raise BusError("The table has no row behind the names of its columns: see deploy/examples/running-cases.csv.")
    return found
