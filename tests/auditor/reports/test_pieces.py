"""A document of many pieces is one line of a case's course, with the numbers of all its pieces."""

from io import StringIO
from typing import Any

from rich.console import Console

from auditor.reports.test_why import CASE, Case
from nrmbus.auditor.history.outcomes import with_pieces
from nrmbus.auditor.history.selection import EVERYTHING
from nrmbus.auditor.reports.replayed import case_mapping, replayed
from nrmbus.auditor.web.pages.document import document
from nrmbus.cli.audit import replay
from nrmbus.events.model import Event

PIECES = 4


def shared() -> tuple[Case, Event, list[Event]]:
    """Two agencies share documents at the same time; return the case, the first announcement, and its pieces."""
    case = Case()
    case.say("ngo-a", "case.signal_recorded")
    case.say("ngo-a", "consent.given", receivers=["migration"])
    said: dict[str, Any] = {"letter": True, "to": ["migration"]}
    announced = case.say("ngo-a", "document.shared", **said)
    other = case.say("special-unit", "document.shared", **said)
    pieces = []
    for index in range(PIECES):
        pieces.append(
            case.later(minutes=1).say("ngo-a", "document.chunk_sent", cause=announced.id, index=index, **said)
        )
        case.say("special-unit", "document.chunk_sent", cause=other.id, index=index, **said)
    return case, announced, pieces


def test_the_pieces_of_each_document_stand_together_at_its_first() -> None:
    """Given two documents whose pieces alternate, then each has one line, in the order of the first, and none is missing."""
    case, _, pieces = shared()
    entries = case.written.audited().history.about(CASE)

    lines = with_pieces(entries)

    assert len(lines) == len(entries) - 2 * (PIECES - 1)
    first = next(more for entry, more in lines if entry.registration.id == pieces[0].id)
    assert [each.registration.id for each in first] == [each.id for each in pieces[1:]]
    assert {each.registration.id for entry, more in lines for each in (entry, *more)} == {
        each.registration.id for each in entries
    }


def test_a_page_has_one_line_for_a_document_and_every_number() -> None:
    """Given a page or a file of the case, then a document's further pieces stand folded under the first one."""
    case, _, pieces = shared()
    seen = case.written.audited()

    html = "".join(document(seen, [CASE], EVERYTHING, as_of=None, now=case.now))

    assert html.count("document.chunk_sent") == 2
    assert html.count(f"Further pieces of this document: {PIECES - 1}") == 2
    numbers = [each.registration.number for each in seen.history.about(CASE) if each.registration.id == pieces[-1].id]
    assert f"{numbers[0]}</p></details>" in html


def test_the_command_prints_one_row_for_a_document_and_json_has_all() -> None:
    """Given `nrmbus replay`, then the table counts the further pieces, and JSON has a row for each piece with its document."""
    case, announced, pieces = shared()
    seen = case.written.audited()
    found = next(replayed(seen, EVERYTHING, subject=CASE))
    assert found is not None
    rows = case_mapping(found, seen.rules, case.now)["history"]
    assert [each["id"] for each in rows if each.get("document") == announced.id] == [each.id for each in pieces]

    console = Console(width=200, file=StringIO())
    with console.capture() as written:
        console.print(replay._table(replay._with_pieces(rows), wide=True, one=True))
    shown = written.get()

    assert shown.count("document.chunk_sent") == 2
    last = max(each["number"] for each in rows if each.get("document") == announced.id)
    assert f"and {PIECES - 1} further pieces, up to no. {last}" in shown
