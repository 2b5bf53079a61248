"""Rows of a table as events: pure. A column is named after a field of a published type, as ``case.signal_recorded.urgency``."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nrmbus.bus.errors import BusError
from nrmbus.cli.desk.importing.sheet import Row, column_name
from nrmbus.events.case import OPENING
from nrmbus.events.errors import Problem
from nrmbus.events.nearest import nearest
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import schema_of
from nrmbus.wire.ids import uuid7

Json = dict[str, Any]

NUMBER: Final = "number"
"""Column with the agency's own number of the case. The number stays here: only ids are made from it, under a key."""
ACTOR: Final = "actor"
_ENVELOPE: Final = ("time", "legal_basis", "approver", "decision", "ref")
"""Members of a request that are columns of each type."""
_YES: Final = {"yes": True, "true": True, "no": False, "false": False}
_ASKS: Final = frozenset(
    {
        "payment.ordered",
        "referral.submitted",
        "review.requested",
        "service.requested",
        "shelter.bed_requested",
        "stay.hold_requested",
    }
)
"""Types that begin a record with a reference; the import makes a reference if the table has none."""


@dataclass(frozen=True, slots=True)
class Column:
    """Column of a field: the event's type, the place (data, letter or envelope), the path there, and the schema."""

    kind: str
    place: str
    path: tuple[str, ...]
    schema: Mapping[str, Any]

    @property
    def pointer(self) -> str:
        """Return the place of the field in a request."""
        inside = "" if self.place == "envelope" else f"/{self.place}"
        return "/".join((inside, *self.path))


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault of a row, with the letters of the column, or None for the row as a whole."""

    column: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a table, by place."""

    columns: Mapping[int, Column]
    number: int
    actor: int | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the types of the table, in the order of their columns: the order of a row's events."""
        return tuple(dict.fromkeys(each.kind for each in self.columns.values()))

    def column_of(self, kind: str, pointer: str) -> str | None:
        """Return the letters of the column in which the *pointer* into a request of the type *kind* was filled in."""
        for place, column in self.columns.items():
            inside = pointer == column.pointer or pointer.startswith(f"{column.pointer}/")
            if column.kind == kind and inside:
                return column_name(place)
        return None


def table_of(header: Sequence[str]) -> Table:
    """Return the table with these names of columns.

    Raises:
        BusError: a name is no field of a published type; it is shown by its letters alone, with the nearest names.
    """
    known = _columns()
    named = [each.strip().lower() for each in header]
    faults = []
    for place, name in enumerate(named):
        if name and name not in known and name not in {NUMBER, ACTOR}:
            near = nearest(name, [*known, NUMBER, ACTOR])
            faults.append(f"column {column_name(place)}" + (f" (nearest: {', '.join(near)})" if near else ""))
        elif name and named.index(name) != place:
            faults.append(f"column {column_name(place)} (the same as {column_name(named.index(name))})")
    if faults:
        raise BusError(
            f"These columns have no name of a field: {'; '.join(faults)}. Leave the name empty for a column of your own."
        )
    if NUMBER not in named:
        raise BusError(
            f"The table has no column `{NUMBER}` with your own number of each case: add it, so that no case is imported twice."
        )
    columns = {place: known[name] for place, name in enumerate(named) if name in known}
    if not columns:
        raise BusError(
            "The table has no column of a field, like `case.signal_recorded.urgency`: see deploy/examples/running-cases.csv."
        )
    return Table(columns, named.index(NUMBER), named.index(ACTOR) if ACTOR in named else None)


def _columns() -> dict[str, Column]:
    """Return every possible column by its name: the fields of version 1 of each type that a person publishes."""
    found: dict[str, Column] = {}
    for (kind, version), model in TYPES.items():
        if version != 1 or model.technical:
            continue
        parts = schema_of(model)["$defs"]
        for name in _ENVELOPE:
            found[f"{kind}.{name}"] = Column(kind, "envelope", (name,), {"type": "string"})
        for place, part in (("sealed", "Letter"), ("data", "Data")):
            for name, schema in parts.get(part, {}).get("properties", {}).items():
                found |= {
                    ".".join((kind, *path)): Column(kind, place, path, each)
                    for path, each in _leaves((name,), schema, parts)
                }
    return found


def _leaves(
    path: tuple[str, ...], schema: Mapping[str, Any], parts: Mapping[str, Any]
) -> Iterable[tuple[tuple[str, ...], Mapping[str, Any]]]:
    whole = parts[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "properties" in whole:
        for name, inner in whole["properties"].items():
            yield from _leaves((*path, name), inner, parts)
    elif not (whole.get("type") == "array" and "$ref" in whole["items"]):
        yield path, whole


def own_number(table: Table, row: Row) -> str:
    """Return the agency's own number in *row*; empty if there is none."""
    return row.cells[table.number] if table.number < len(row.cells) else ""


def events_of(table: Table, row: Row, *, actor: str | None, key: bytes, made: int) -> tuple[list[Json], list[Fault]]:
    """Return the requests that *row* asks for, in their order, and what cannot be read.

    Their ids are made from the row's own number under *key*, of the time *made* in milliseconds: the same in each run.
    """
    number = own_number(table, row)
    faults = [] if number else [Fault(column_name(table.number), "has no number of the case: fill it in.")]
    ours = {*table.columns, table.number, table.actor}  # a formula in a column of the agency's own says nothing here
    faults += [
        Fault(column_name(place), "has a formula: put its value there.")
        for place in sorted(row.formulas)
        if place in ours
    ]
    who = row.cells[table.actor] if table.actor is not None and table.actor < len(row.cells) else ""
    who = who or actor or ""
    events: dict[str, Json] = {}
    for place, column in table.columns.items():
        text = row.cells[place] if place < len(row.cells) else ""
        if text or (column.schema.get("type") == "array" and "minItems" not in column.schema):
            _put(events.setdefault(column.kind, {}), column, _value(text, column.schema))
    found = []
    for kind in table.kinds:
        body = events.get(kind, {})
        if not any(
            row.cells[place] for place, each in table.columns.items() if each.kind == kind and place < len(row.cells)
        ):
            continue
        id = event_id(key, made, number, kind)
        found.append({"type": kind, "version": 1, "id": id, **({"actor": who} if who else {}), "data": {}, **body})
    if found and found[0]["type"] not in OPENING:
        faults.append(Fault(None, "begins no case: fill in the columns of case.signal_recorded, and put them first."))
    if not found:
        faults.append(Fault(None, "has no event: fill in the columns of case.signal_recorded."))
    return found, faults


def event_id(key: bytes, made: int, number: str, kind: str) -> str:
    """Return the id of the event *kind* of the case *number*: the same in each run, and a chance number without *key*."""
    content = f"{len(number.encode())}:{number}{kind}".encode()
    return uuid7(made, hmac.new(key, content, hashlib.sha256).digest())


def asks_for_reference(event: Mapping[str, Any]) -> bool:
    """Return whether *event* needs a reference that the table does not have."""
    return event["type"] in _ASKS and "ref" not in event


def _put(body: Json, column: Column, value: Any) -> None:
    inside = body if column.place == "envelope" else body.setdefault(column.place, {})
    *way, last = column.path
    for step in way:
        inside = inside.setdefault(step, {})
    inside[last] = value


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """Return *text* in the form of *schema*. Text of another form is unchanged, so that the desk names the mistake."""
    match schema.get("type"):
        case "array":
            return [_value(each.strip(), schema["items"]) for each in text.split(";") if each.strip()]
        case "boolean":
            return _YES.get(text.lower(), text)
        case "integer":
            return int(text) if text.isdecimal() and len(text) < 10 else text
        case _:
            return text


def fault_of(table: Table, kind: str, problem: Problem) -> Fault:
    """Return the *problem* that the desk found in an event of the type *kind*, by its column."""
    place = problem.pointer.removeprefix("/data").removeprefix("/sealed")
    name = ".".join((kind, *(each for each in place.split("/") if each and not each.isdecimal())))
    found = Problem(name, problem.kind, problem.allowed, problem.nearest)
    return Fault(table.column_of(kind, problem.pointer), f"{found.sentence}.")
