"""Form of an event: the fields of any type and version by its published schema, and typed values to a request and back.

A form needs no page of its own: a new version of a type is a new form. Its labels are the descriptions in the models.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from nrmbus.events.codes import Citizenship, Language, Region
from nrmbus.events.consent import ConsentObjected
from nrmbus.events.errors import Invalid, Problem
from nrmbus.events.model import AgencyId, AgencyOrRole, CaseRef, Data, DataClass, Event, EventId, Part
from nrmbus.events.schemas import schema_of
from nrmbus.web import names
from nrmbus.web.lists import list_of

Kind = Literal[
    "text", "long_text", "words", "number", "yes_no", "day", "time", "choice", "choices", "agency", "agencies",
    "agencies_or_roles", "case", "event", "events", "money", "object", "objects",
]  # fmt: skip
"""Kind of a field. ``words`` is a list of codes without a closed list, typed with spaces between; ``event`` and ``events``
name earlier events, which nobody types."""

Values = Mapping[str, tuple[str, ...]]
"""The typed values by the name of the field in the page, as a browser posts them and a draft keeps them."""

DATA: Final = "data"
SEALED: Final = "sealed"
NOTES: Final = "sealed.notes"
_ORDER: Final[tuple[Part, ...]] = ("identity", "contact", "coded", "place", "health", "story", "money")
MOST_ROWS: Final = 32
"""Most rows of a list of objects; the models allow no more."""

_LONG: Final = 200
"""Longest text in characters that fits one line of a page."""
_SEPARATORS: Final = re.compile(r"[\s,;]*[,;][\s,;]*|\s+(?!\d)")
"""What stands between words; not the space before a number, as in the citation of an act."""
_BETWEEN: Final = re.compile("[,;]")
_WHOLE: Final = re.compile(r"-?[0-9]{1,12}")
_SUM: Final = re.compile(r"([0-9]+)(?:[.,]([0-9]{1,2}))?")
_CLOCK: Final = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})(?::([0-9]{2}))?(?:\s*([+-][0-9]{2}:[0-9]{2}))?")
"""Time of day; in an hour that clocks show twice, the offset from UTC tells which of the two is meant."""
_SUM_OF_MONEY: Final = frozenset({"value", "currency"})
_ASKED_FOR: Final = {
    "referral.info_supplied": "/sealed/answer", "case.linked": "/sealed/other_case", "case.merged": "/sealed/other_case",
}  # fmt: skip
"""Field of a letter by type of event: the bus takes the event without it, which then says nothing, so a person has to fill it in."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One question of a form, with its place in the request."""

    pointer: str
    """Place in the request; the place of a field in a list of objects is below the list, without a number."""
    label: str
    """Description in the model: an English sentence, and the key of its translations."""
    kind: Kind
    is_required: bool = False
    codes: tuple[str, ...] = ()
    list: str = ""
    """Name of the code list."""
    part: Part | None = None
    """Part of the letter; None in the clear."""
    data_class: DataClass | None = None
    fields: "tuple[Field, ...]" = ()
    """Fields of an object, or of each object of a list."""
    longest: int | None = None
    least: int | None = None
    most: int | None = None
    """Bounds of a number, or of the length of a list."""
    lookup: names.Kind | None = None
    """Kind of the codes, if people know them by name: a name is typed as well, and the event has its code."""

    @property
    def name(self) -> str:
        """Return the name in the page."""
        return self.pointer[1:].replace("/", ".")

    def in_row(self, row: int) -> "Field":
        """Return this list's object number *row*, as an object of its own."""
        return replace(_moved(self, f"{self.pointer}/{row}"), kind="object", label="")


def _moved(of: Field, pointer: str) -> Field:
    inner = tuple(_moved(each, pointer + each.pointer.removeprefix(of.pointer)) for each in of.fields)
    return replace(of, pointer=pointer, fields=inner)


@dataclass(frozen=True, slots=True)
class Form:
    """All fields of one type and version."""

    data: type[Data]
    fields: tuple[Field, ...]
    _by_name: Mapping[str, Field] = field(default_factory=dict)

    @property
    def clear(self) -> tuple[Field, ...]:
        """Return the fields of the data, which everybody on the way may read."""
        return tuple(each for each in self.fields if each.pointer.startswith(f"/{DATA}/"))

    @property
    def envelope(self) -> tuple[Field, ...]:
        """Return the fields of the envelope, which everybody on the way may read."""
        return tuple(each for each in self.fields if each.part is None and not each.pointer.startswith(f"/{DATA}/"))

    @property
    def parts(self) -> Mapping[Part, tuple[Field, ...]]:
        """Return the fields of the letter, by part: who the person is first, and notes last."""
        found: dict[Part, tuple[Field, ...]] = {}
        for part in _ORDER:
            there = [each for each in self.fields if each.part == part]
            if there:
                found[part] = tuple(sorted(there, key=lambda each: each.name == NOTES))
        return found

    def named(self, name: str) -> Field | None:
        """Return the outermost field *name*, or None."""
        return self._by_name.get(name)

    def field_at(self, pointer: str) -> Field | None:
        """Return the innermost field at *pointer*, which may lead further inside it; None if no field is there."""
        found, fields = None, self.fields
        while deeper := next((each for each in fields if (pointer + "/").startswith(each.pointer + "/")), None):
            found, fields = deeper, deeper.fields
            row = re.match(r"/([0-9]+)(?=/|$)", pointer[len(deeper.pointer) :])
            if deeper.kind == "objects" and row:
                found = deeper.in_row(int(row[1]))
                fields = found.fields
        return found


@cache
def form_of(data: type[Data]) -> Form:
    """Return the form of the type and version *data*."""
    definitions = schema_of(data)["$defs"]
    found: list[Field] = []
    for root, name in ((DATA, "Data"), (SEALED, "Letter")):
        if name in definitions:
            found += _fields(f"/{root}", definitions[name], definitions)
    found = [*(_of_page(each, data) for each in found), *_envelope(data)]
    return Form(data, tuple(found), {each.name: each for each in found})


def _envelope(data: type[Data]) -> Iterator[Field]:
    """Yield the fields of the envelope that a person fills in."""
    if data is ConsentObjected:
        yield Field("/consent", _described("consent"), "events", is_required=True, least=1)
    yield Field("/legal_basis", _described("legalbasis"), "text", longest=_LONG)
    yield Field("/time", _described("time"), "time")


def _described(name: str) -> str:
    return Event.model_fields[name].description or ""


def _of_page(of: Field, data: type[Data]) -> Field:
    """Return the field *of*, with a name for a list that stands in the model itself, and required if a page asks for it."""
    list = of.list or (f"{data.type}.{of.name.rpartition('.')[2]}" if of.codes else "")
    return replace(of, list=list, is_required=of.is_required or _ASKED_FOR.get(data.type) == of.pointer)


def _fields(pointer: str, schema: Json, definitions: Json) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield _field(f"{pointer}/{name}", each, definitions, is_required=name in required)


def _field(pointer: str, schema: Json, definitions: Json, *, is_required: bool) -> Field:
    known: Json = {
        "pointer": pointer, "label": schema.get("description", ""), "is_required": is_required,
        "part": schema.get("x-part"), "data_class": schema.get("x-class"),
    }  # fmt: skip
    if "$ref" in schema:
        inner = definitions[schema["$ref"].rpartition("/")[2]]
        kind: Kind = "money" if inner["properties"].keys() == _SUM_OF_MONEY else "object"
        return Field(**known, kind=kind, fields=tuple(_fields(pointer, inner, definitions)))
    if schema["type"] == "array":
        return _listed(known, schema, definitions)
    return Field(**known, **_single(schema))


def _listed(known: Json, schema: Json, definitions: Json) -> Field:
    items: Json = schema["items"]
    known |= {"least": schema.get("minItems", 0), "most": schema.get("maxItems")}
    if "$ref" in items:
        inner = definitions[items["$ref"].rpartition("/")[2]]
        return Field(**known, kind="objects", fields=tuple(_fields(known["pointer"], inner, definitions)))
    if (found := _enum(items)) is not None:
        return Field(**known, kind="choices", codes=found, list=list_of(found))
    of: Mapping[str, Kind] = {_pattern(AgencyId): "agencies", _pattern(AgencyOrRole): "agencies_or_roles"}
    return Field(**known, kind=of.get(items.get("pattern", ""), "words"), lookup=_lookup(items))


def _single(schema: Json) -> Json:
    found = _enum(schema)
    if found is not None:
        return {"kind": "choice", "codes": found, "list": list_of(found)}
    if schema["type"] == "boolean":
        return {"kind": "yes_no"}
    if schema["type"] == "integer":
        return {"kind": "number", "least": schema.get("minimum"), "most": schema.get("maximum")}
    by_format: Mapping[str, Kind] = {"date": "day", "date-time": "time"}
    by_pattern: Mapping[str, Kind] = {
        _pattern(AgencyId): "agency", _pattern(CaseRef): "case", _pattern(EventId): "event",
    }  # fmt: skip
    kind: Kind | None = by_format.get(schema.get("format", "")) or by_pattern.get(schema.get("pattern", ""))
    longest = schema.get("maxLength")
    kind = kind or ("long_text" if (longest or 0) > _LONG else "text")
    return {"kind": kind, "longest": longest, "lookup": _lookup(schema)}


def _lookup(schema: Json) -> names.Kind | None:
    of: Mapping[str, names.Kind] = {
        _pattern(Language): "language", _pattern(Citizenship): "country", _pattern(Region): "region",
    }  # fmt: skip
    return of.get(schema.get("pattern", ""))


def _enum(schema: Json) -> tuple[str, ...] | None:
    if "const" in schema:
        return (schema["const"],)
    return tuple(schema["enum"]) if "enum" in schema else None


def _pattern(of: Any) -> str:
    """Return the pattern of a kind of text of the models."""
    return str(next(each.pattern for found in of.__metadata__ for each in found.metadata if hasattr(each, "pattern")))


# -- from what was typed to a request ----------------------------------------------------------------------------------


def read(form: Form, typed: Values, zone: ZoneInfo) -> Json:
    """Return the members of a request that *form* has: ``data``, and what was typed of the letter and the envelope.

    Nothing is refused here: a day that no calendar has stays as it was typed, and the model finds it (`problems`).
    """
    found: Json = {DATA: {}}
    for each in form.fields:
        value = _read(each, typed, zone)
        if value is not None:
            root, _, name = each.pointer[1:].partition("/")
            if name:
                found.setdefault(root, {})[name] = value
            else:
                found[root] = value
    return found


def _read(of: Field, typed: Values, zone: ZoneInfo) -> Any:
    """Return the value of the field *of* in JSON types; None if nothing was typed."""
    match of.kind:
        case "object":
            return _object(of, typed, zone)
        case "objects":
            rows = [_object(of.in_row(row), typed, zone) for row in rows_of(of, typed)]
            return [each for each in rows if each is not None] or ([] if of.is_required and not of.least else None)
        case "choices" | "agencies" | "agencies_or_roles" | "events" | "words":
            return several(of, typed)
        case "day" | "time":
            return (_day if of.kind == "day" else _time)(of.name, typed, zone)
        case "money":
            value, currency = one(typed, f"{of.name}.value"), one(typed, f"{of.name}.currency")
            return {"value": _sum(value), **({"currency": currency} if currency else {})} if value else None
    text = one(typed, of.name)
    if of.kind == "number" and _WHOLE.fullmatch(text):
        return int(text)
    if of.kind == "yes_no" and text in {"yes", "no"}:
        return text == "yes"
    return names.code_of(of.lookup, text) if of.lookup and text else text or None


def one(typed: Values, name: str) -> str:
    """Return what was typed at *name*, without spaces around; empty if nothing was."""
    return next(iter(typed.get(name, ())), "").strip()


def _object(of: Field, typed: Values, zone: ZoneInfo) -> Json | None:
    found = {each.pointer.rpartition("/")[2]: _read(each, typed, zone) for each in of.fields}
    there = {name: value for name, value in found.items() if value is not None}
    return there or None


def rows_of(of: Field, typed: Values) -> list[int]:
    """Return the numbers of the rows of a list of objects in which something was typed."""
    start = f"{of.name}."
    named = (
        name[len(start) :].partition(".")[0] for name, value in typed.items() if name.startswith(start) and any(value)
    )
    return sorted({int(each) for each in named if each.isdecimal() and len(each) < 3 and int(each) < MOST_ROWS})


def several(of: Field, typed: Values) -> list[str] | None:
    """Return what was typed or ticked in a list; None if nothing was and nothing has to be."""
    found = [each for each in typed.get(of.name, ()) if each]
    if of.lookup is not None:
        found = [code for text in found for each in _BETWEEN.split(text) for code in _codes(of.lookup, each.strip())]
    elif of.kind == "words":
        found = [each for text in found for each in _SEPARATORS.split(text) if each]
    if of.kind in {"agencies", "agencies_or_roles"}:
        found = sorted(set(found))
    return found or ([] if of.is_required and not of.least else None)


def _codes(kind: names.Kind, typed: str) -> list[str]:
    """Return the codes that *typed* has between two commas: a name may have spaces, and codes may have nothing but spaces between."""
    code = names.code_of(kind, typed)
    return [code] if names.is_known(kind, code) else [names.code_of(kind, each) for each in typed.split()]


def _day(name: str, typed: Values, _: ZoneInfo) -> str | None:
    day, month, year = (one(typed, f"{name}.{each}") for each in ("day", "month", "year"))
    if not (day or month or year):
        return None
    return f"{year}-{month:0>2}-{day:0>2}"


def _time(name: str, typed: Values, zone: ZoneInfo) -> str | None:
    day, clock = _day(name, typed, zone), one(typed, f"{name}.clock")
    if day is None and not clock:
        return None
    read_clock = _CLOCK.fullmatch(clock)
    try:
        hour, minute, second = (int(each or 0) for each in read_clock.groups()[:3]) if read_clock else (-1, 0, 0)
        here = datetime.fromisoformat(day or "").replace(hour=hour, minute=minute, second=second)
        found = _moments(here, zone)
        offset = read_clock[4] if read_clock else None
        meant = (each for each in found if offset is None or _offset(each, zone) == offset)
        return next(meant).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, StopIteration):
        # In UTC, the first hours of the first year lie before the calendar. An hour that clocks leave out has no moment.
        return f"{day or ''}T{clock}"


def _moments(here: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments at which clocks in *zone* show *here*: none or two where they are set, else one."""
    both = (here.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return [each for each in dict.fromkeys(both) if each.astimezone(zone).replace(tzinfo=None, fold=0) == here]


def _offset(moment: datetime, zone: ZoneInfo) -> str:
    """Return how far *zone* is from UTC at *moment*, such as ``+04:00``."""
    return moment.astimezone(zone).isoformat()[len("2026-03-02T05:00:00") :]


def _sum(text: str) -> str:
    found = _SUM.fullmatch(re.sub(r"\s", "", text))
    return text if found is None else f"{int(found[1])}.{found[2] or '':0<2}"


def problems(form: Form, request: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return what does not fit the models in ``data`` and ``sealed`` of *request*, by pointer into the request."""
    found: list[Problem] = []
    for root, model in ((DATA, form.data), (SEALED, form.data.letter)):
        if root in request and model is not None:
            try:
                model.from_mapping(request[root])
            except Invalid as error:
                found += (each.below(f"/{root}") for each in error.problems)
    return tuple(each for each in found if not _is_of_several_receivers(each, request))


def _is_of_several_receivers(of: Problem, request: Mapping[str, Any]) -> bool:
    """Return whether *of* only says that a consent has several receivers: the door makes an event of each."""
    return of.pointer == "/data/receivers" and of.kind == "too_long" and len(request[DATA]["receivers"]) > 1


# -- from a request to what would have been typed -----------------------------------------------------------------------


def typed_of(form: Form, request: Mapping[str, Any], zone: ZoneInfo) -> dict[str, tuple[str, ...]]:
    """Return what somebody would have typed for *request*; the inverse of `read`."""
    found: dict[str, tuple[str, ...]] = {}
    for each in form.fields:
        value = value_of(each, request)
        if value is not None:
            found.update(_typed(each, value, zone))
    return found


def value_of(of: Field, request: Mapping[str, Any]) -> Any:
    """Return the value in *request* of the field *of*; None if there is none."""
    root, _, name = of.pointer[1:].partition("/")
    return request.get(root, {}).get(name) if name else request.get(root)


def _typed(of: Field, value: Any, zone: ZoneInfo) -> Iterator[tuple[str, tuple[str, ...]]]:
    match of.kind:
        case "object" | "money":
            yield from _typed_object(of, value, zone)
        case "objects":
            for row, each in enumerate(value):
                yield from _typed_object(of.in_row(row), each, zone)
        case "words":
            yield of.name, (" ".join(value),)
        case "choices" | "agencies" | "agencies_or_roles" | "events":
            yield of.name, tuple(value)
        case "day":
            yield from _typed_day(of.name, value)
        case "time":
            here = datetime.fromisoformat(value).astimezone(zone)
            yield from _typed_day(of.name, here.date().isoformat())
            clock = here.strftime("%H:%M:%S" if here.second else "%H:%M")
            is_twice = len(_moments(here.replace(tzinfo=None, fold=0), zone)) > 1
            yield f"{of.name}.clock", (f"{clock} {_offset(here, zone)}" if is_twice else clock,)
        case "yes_no":
            yield of.name, ("yes" if value else "no",)
        case _:
            yield of.name, (str(value),)


def _typed_object(of: Field, value: Json, zone: ZoneInfo) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in of.fields:
        name = each.pointer.rpartition("/")[2]
        if name in value:
            yield from _typed(each, value[name], zone)


def _typed_day(name: str, value: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for place, text in zip(("year", "month", "day"), value.split("-"), strict=True):
        yield f"{name}.{place}", (text if place == "year" else text.lstrip("0"),)
