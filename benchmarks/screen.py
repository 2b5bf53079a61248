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
    """A figure of a table: the mark before the table, how its line begins, the column behind the name, and a form for it."""

    mark: str
    line: str
    column: int
    form: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the screen: what a user does, how fast it is, and beside what."""

    what: str
    own: tuple[Cell, ...]
    beside: tuple[Cell, ...] = ()


_WHOLE: Final = "`make bench`"
_DESK: Final = "ONLY=desk"
_GROWTH: Final = "ONLY=growth"
_QUESTIONS: Final = "ONLY=questions"
_PEER: Final = "ONLY=peer"
_SIZES: Final = "ONLY=sizes"
_INBOX: Final = "publish to inbox, p50, ms"

ROWS: Final = (
    Shown(
        "publishes at the desk's door, one event after another",
        (Cell(_DESK, "publications a second, one after another", 0, "{} a second"),),
        (Cell(_DESK, "publications a second, one after another", 1, "a bare FastAPI route that commits one row: {}"),),
    ),
    Shown(
        "publishes at the door, eight at once",
        (Cell(_DESK, "… 8 at once", 0, "{} a second"),),
        (Cell(_DESK, "… 8 at once", 1, "the bare route: {}"),),
    ),
    Shown(
        "refers a person, with a letter that stands open in the other agency's inbox",
        (Cell(_DESK, "referrals with a letter of five parts, a second", 0, "{} a second"),),
        (Cell(_DESK, "events without a letter that waited in the inbox", 0, "events without a letter: {}"),),
    ),
    Shown(
        "waits for an event in another inbox, plain text",
        (Cell(_WHOLE, _INBOX, 0, "{} ms"),),
        (
            Cell(_WHOLE, _INBOX, 1, "the bare Kafka loop: {} ms"),
            Cell(_PEER, _INBOX, 1, "Kafka Streams, exactly once: {} ms"),
        ),
    ),
    Shown(
        "shares the registrar with everybody",
        (Cell(_WHOLE, "events a second", 0, "{} events a second"),),
        (
            Cell(_WHOLE, "events a second", 1, "the bare Kafka loop: {}"),
            Cell(_PEER, "events a second", 1, "Kafka Streams, exactly once: {}"),
        ),
    ),
    Shown(
        "reads a letter, which goes on record first",
        (Cell(_WHOLE, "a letter read at the door, on record first", 0, "{} ms"),),
    ),
    Shown(
        "asks as an auditor what happened in a case (`nrmbus replay --case`)",
        (Cell(_QUESTIONS, "`nrmbus replay", 0, "{} ms"),),
    ),
    Shown(
        "replays the whole history, every signature verified",
        (Cell(_WHOLE, "replay: every signature, of registrar and senders", 0, "{} registrations a second"),),
        (Cell(_WHOLE, "bare consumer, `json.loads` of the data, no fold", 0, "a bare consumer that folds nothing: {}"),),
    ),
    Shown(
        "waits while the registrar starts again after 100,000 registrations",
        (Cell(_GROWTH, "start with one, s", 1, "{} s"),),
        (Cell(_GROWTH, "start without a snapshot, s", 1, "without its snapshot: {} s"),),
    ),
    Shown(
        "waits while a registrar that was killed starts, and registers",
        (Cell(_WHOLE, "until the registrar, killed, registers again", 0, "{}"),),
    ),
    Shown(
        "waits while a desk that was killed starts",
        (Cell(_WHOLE, "until a desk that was killed is ready again", 0, "{}"),),
        (Cell(_WHOLE, "… again, on its data", 0, "a whole bus with six desks: {}"),),
    ),
    Shown(
        "keeps 100,000 cases at a registrar: CPU of the next event, of a case at random",
        (Cell(_SIZES, "… a case at random", 2, "{} µs"),),
        (Cell(_SIZES, "… a case at random", 0, "with 1,000 cases: {} µs"),),
    ),
)  # fmt: skip
NOT_MEASURED: Final = "not measured yet"


def with_screen(readme: str) -> str:
    """Return *readme* with its first screen made from its tables."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join(_screen(after))
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _screen(tables: str) -> list[str]:
    marks = dict.fromkeys(cell.mark for row in ROWS for cell in (*row.own, *row.beside))
    runs = {mark: _run(_table(tables, mark)) for mark in marks}
    letters = {run: chr(ord("a") + place) for place, run in enumerate(dict.fromkeys(filter(None, runs.values())))}
    lines = [_line(tables, row, {mark: letters.get(run or "", "") for mark, run in runs.items()}) for row in ROWS]
    return [
        "| a user … | how fast | beside it | run |",
        "| --- | --- | --- | --- |",
        *lines,
        "",
        *(f"Run {letter}: {run}" for run, letter in letters.items()),
    ]


def _line(tables: str, row: Shown, letters: dict[str, str]) -> str:
    own = [found for cell in row.own if (found := _cell(tables, cell))]
    beside = [found for cell in row.beside if (found := _cell(tables, cell))]
    used = dict.fromkeys(letters[cell.mark] for cell in (*row.own, *row.beside) if _cell(tables, cell))
    return f"| {row.what} | {', '.join(own) or NOT_MEASURED} | {'; '.join(beside)} | {', '.join(used)} |"


def _table(tables: str, mark: str) -> str:
    """Return what stands between the mark that names *mark* and the next mark."""
    found = re.search(
        rf"<!-- what (?:`make bench )?{re.escape(mark)}`? measured last -->\n(.*?)<!--", tables, re.DOTALL
    )
    return found[1] if found else ""


def _run(table: str) -> str | None:
    """Return the line with date and machine; None before the first run."""
    found = re.search(r"^(20\d\d-\d\d-\d\d .*)$", table, re.MULTILINE)
    return found[1] if found else None


def _cell(tables: str, cell: Cell) -> str | None:
    """Return the figure of *cell* in its form; None while the table has no such line."""
    for line in _table(tables, cell.mark).splitlines():
        name, *values = [each.strip() for each in line.strip("|").split(" |")]
        if name.startswith(cell.line) and len(values) > cell.column and values[cell.column]:
            return cell.form.format(values[cell.column])
    return None
