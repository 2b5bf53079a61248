"""First screen of the README: what a user waits for, how fast it is, and beside what.

Every figure is read from the tables below it, which `run.py` wrote, so that none is copied by hand. A row names its table by
the table's mark and its line by how the line begins; the date is that of the table.
"""

import re
from dataclasses import dataclass
from typing import Final

BEGIN: Final = "<!-- the first screen, made from the tables below -->"
END: Final = "<!-- end of the first screen -->"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a table: how its line begins, the column behind the name, and a form for it."""

    line: str
    column: int
    form: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the screen: what a user does, how fast it is, and beside what, in one run: that of the table behind *mark*."""

    what: str
    mark: str
    own: Cell
    beside: Cell | None = None


_WHOLE: Final = "make bench"
_DESK: Final = "make bench ONLY=desk"
_GROWTH: Final = "make bench ONLY=growth"
_QUESTIONS: Final = "make bench ONLY=questions"
_PAGES: Final = "make bench ONLY=pages"
_FIGURES: Final = "make bench ONLY=figures"
_PEER: Final = "make bench ONLY=peer"
_SIZES: Final = "make bench ONLY=sizes"
_INBOX: Final = "publish to inbox, p50, ms"

ROWS: Final = (
    Shown(
        "publishes at the desk's door, one event after another",
        _DESK,
        Cell("publications a second, one after another", 0, "{} a second"),
        Cell("publications a second, one after another", 1, "a bare FastAPI route that commits one row: {}"),
    ),
    Shown(
        "… eight at once",
        _DESK,
        Cell("… 8 at once", 0, "{} a second"),
        Cell("… 8 at once", 1, "the bare route: {}"),
    ),
    Shown(
        "refers persons, until each letter stands open in the other agency's inbox",
        _DESK,
        Cell("referrals with a letter of five parts, a second", 0, "{} a second"),
        Cell("events without a letter that waited in the inbox", 0, "events without a letter: {}"),
    ),
    Shown(
        "waits until an event can be read in another inbox",
        _WHOLE,
        Cell(_INBOX, 0, "{} ms"),
        Cell(_INBOX, 1, "the bare Kafka loop: {} ms"),
    ),
    Shown(
        "shares the registrar with everybody",
        _WHOLE,
        Cell("events a second", 0, "{} events a second"),
        Cell("events a second", 1, "the bare Kafka loop: {}"),
    ),
    Shown(
        "… beside a peer with the same cryptography, in a run of its own",
        _PEER,
        Cell("events a second", 0, "{} events a second"),
        Cell("events a second", 1, "Kafka Streams, exactly once: {}"),
    ),
    Shown(
        "reads a letter, which goes on record first",
        _WHOLE,
        Cell("a letter read at the door, on record first", 0, "{} ms"),
    ),
    Shown(
        "asks what happened in a case, as an auditor, by a command",
        _QUESTIONS,
        Cell("`nrmbus replay`", 0, "{} ms"),
        Cell("the auditor's page of a case", 0, "on the auditor's page: {} ms"),
    ),
    Shown(
        "opens the work list of 1,000 cases in a browser, beside 49 colleagues: p95",
        _PAGES,
        Cell("… p95", 0, "{} ms"),
        Cell("… p95", 1, "a bare page of FastAPI and Jinja: {} ms"),
    ),
    Shown(
        "counts the figures of a year, over 10,000 cases of three years",
        _FIGURES,
        Cell("counting, s", 1, "{} s"),
        Cell("… beside it: the Rules alone fold the same events, s", 1, "the Rules alone: {} s"),
    ),
    Shown(
        "… and makes the release, in which no small count can be derived",
        _FIGURES,
        Cell("release of the year beside its quarter", 1, "{} s"),
        Cell("release of the year beside its quarter", 0, "over 1,000 cases: {} s"),
    ),
    Shown(
        "replays all history, every signature verified",
        _WHOLE,
        Cell("replay: every signature, of registrar and senders", 0, "{} registrations a second"),
        Cell("bare consumer, `json.loads` of the data, no fold", 0, "a bare consumer that folds nothing: {}"),
    ),
    Shown(
        "waits for a registrar that starts after 100,000 registrations",
        _GROWTH,
        Cell("start with one, s", 1, "{} s"),
        Cell("start without a snapshot, s", 1, "without its snapshot: {} s"),
    ),
    Shown(
        "waits for a registrar that was killed, until it registers again",
        _WHOLE,
        Cell("until the registrar, killed, registers again", 0, "{}"),
        Cell("until a service that was killed runs again", 0, "until its process runs again: {}"),
    ),
    Shown(
        "waits for a desk that was killed, until it is ready again",
        _WHOLE,
        Cell("until a desk that was killed is ready again", 0, "{}"),
        Cell("… again, on its data", 0, "a whole bus with six desks: {}"),
    ),
    Shown(
        "sends an event of an old case, with 100,000 cases at the registrar: its CPU",
        _SIZES,
        Cell("… a case at random", 2, "{} µs"),
        Cell("… a case at random", 0, "with 1,000 cases: {} µs"),
    ),
)
NOT_MEASURED: Final = "not measured yet"


def with_screen(readme: str) -> str:
    """Return *readme* with its first screen made from its tables."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join(_screen(after))
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _screen(tables: str) -> list[str]:
    runs = {mark: _run(_table(tables, mark)) for mark in dict.fromkeys(row.mark for row in ROWS)}
    letters = {run: chr(ord("a") + place) for place, run in enumerate(dict.fromkeys(filter(None, runs.values())))}
    return [
        "| a user … | how fast | beside it | run |",
        "| --- | --- | --- | --- |",
        *(_line(_table(tables, row.mark), row, letters.get(runs[row.mark] or "", "")) for row in ROWS),
        "",
        *(f"- Run {letter}: {run}" for run, letter in letters.items()),
    ]


def _line(table: str, row: Shown, letter: str) -> str:
    own = _cell(table, row.own)
    if own is None:
        return f"| {row.what} | {NOT_MEASURED} | | |"
    return f"| {row.what} | {own} | {(row.beside and _cell(table, row.beside)) or ''} | {letter} |"


def _table(tables: str, mark: str) -> str:
    """Return what stands between the mark that names *mark* and the next mark."""
    found = re.search(rf"<!-- what `{re.escape(mark)}` measured last -->\n(.*?)<!--", tables, re.DOTALL)
    return found[1] if found else ""


def _run(table: str) -> str | None:
    """Return the line with date and machine; None before the first run."""
    found = re.search(r"^(20\d\d-\d\d-\d\d .*)$", table, re.MULTILINE)
    return found[1] if found else None


def _cell(table: str, cell: Cell) -> str | None:
    """Return the figure of *cell* in its form; None while the table has no such line."""
    for line in table.splitlines():
        name, *values = [each.strip() for each in line.strip("|").split(" |")]
        if name.startswith(cell.line) and len(values) > cell.column and values[cell.column]:
            return cell.form.format(values[cell.column])
    return None
