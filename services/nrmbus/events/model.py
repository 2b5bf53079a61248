"""Building blocks of every event: an envelope and data for everybody on the way, and a letter for recipients alone.

The envelope's attributes are CloudEvents 1.0 context attributes and the extensions of ``schemas/README.md``.
Times are aware and in UTC, to the second. Nothing here reads a clock or does I/O.
"""

import json
import re
from collections.abc import Hashable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from nrmbus.events.body import Body, Lowered
from nrmbus.events.errors import Invalid, Problem, problems_of
from nrmbus.events.values import frozen

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_INT32 = 2**31 - 1  # CloudEvents' Integer

AgencyId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$", description="An agency's id in the directory")]
CaseRef = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="128 random bits, never derived from a person")]
EventId = Annotated[
    str,
    Field(
        pattern=rf"^{_UUID}$",
        description="UUIDv7, or UUIDv8 for what a service says by itself (RFC 9562)",
    ),
]
Line = Annotated[str, Field(min_length=1, max_length=200, description="A line of free text; only ever inside a letter")]
Text = Annotated[str, Field(min_length=1, max_length=20_000, description="Free text; only ever inside a letter")]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$", description="A code, never a sentence")]
Printable = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")]
Ids = Annotated[str, Field(max_length=1000, pattern=rf"^{_UUID}( {_UUID})*$")]
Seen = Annotated[int, Field(ge=0, le=_INT32)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Trace = Annotated[str, Field(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")]
DataClass = Literal["DC0", "DC1", "DC2", "DC3", "DC4"]
ClearClass = Literal["DC0", "DC1"]
"""Classes that may stand in the clear."""
Part = Literal["coded", "contact", "health", "identity", "money", "place", "story"]

PARTS: tuple[Part, ...] = ("coded", "contact", "health", "identity", "money", "place", "story")

_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _from_text(value: object, info: ValidationInfo) -> object:
    if info.mode != "json" or not isinstance(value, str):
        return value  # in Python a time is a datetime
    read = _parsed(value) if re.fullmatch(_TIME, value) else None
    if read is None:
        message = "a time is written YYYY-MM-DDTHH:MM:SSZ"
        raise ValueError(message)
    return read


def _parsed(value: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(value)
    except ValueError:  # swallowed, since its message repeats the value
        return None
    return read if read.isoformat().startswith(value.removesuffix("Z")) else None  # no 24:00, which some Pythons read


def _utc_seconds(value: datetime) -> datetime:
    if value.tzinfo is None or value.utcoffset() != UTC.utcoffset(None) or value.microsecond:
        message = "a time is in UTC, to the second"
        raise ValueError(message)
    return value


Time = Annotated[
    datetime,
    BeforeValidator(_from_text),
    AfterValidator(_utc_seconds),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _TIME}),
]


def _in_calendar(value: str) -> str:
    if _parsed(value) is None:
        message = "a day of the calendar is written YYYY-MM-DD"
        raise ValueError(message)
    return value


Day = Annotated[
    str,
    Field(pattern=_DAY),
    AfterValidator(_in_calendar),
    WithJsonSchema({"type": "string", "format": "date", "pattern": _DAY}),
]
"""A day of the calendar, as a paper names it."""

T = TypeVar("T", bound=Hashable)


def _sorted_unique(value: tuple[str, ...]) -> tuple[str, ...]:
    if list(value) != sorted(set(value)):
        message = "a list of agencies is sorted and names each once"
        raise ValueError(message)
    return value


def _unique(value: tuple[T, ...]) -> tuple[T, ...]:
    if len(value) != len(set(value)):
        message = "a list of codes names each once"
        raise ValueError(message)
    return value


Agencies = Annotated[
    tuple[AgencyId, ...],
    Field(min_length=1, max_length=64, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_sorted_unique),
]
FewAgencies = Annotated[
    tuple[AgencyId, ...],
    Field(min_length=1, max_length=16, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_sorted_unique),
]
"""Readers of a letter that is nearly full: a wrapped key for each reader and part has to fit beside it."""
AgencyOrRole = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_-]{1,30}$", description="An agency's id in the directory, or a role")
]
AgenciesOrRoles = Annotated[
    tuple[AgencyOrRole, ...],
    Field(min_length=1, max_length=64, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_sorted_unique),
]
"""Agencies by id, or all agencies of a role: the worker who records a refusal may not know which agency has the role."""
OneAgency = Annotated[tuple[AgencyId, ...], Field(min_length=1, max_length=1)]
"""Exactly one agency: so that no receiver of a consent learns of another."""
Codes = Annotated[
    tuple[T, ...], Field(min_length=1, max_length=32, json_schema_extra={"uniqueItems": True}), AfterValidator(_unique)
]
CodesOrNone = Annotated[
    tuple[T, ...], Field(max_length=32, json_schema_extra={"uniqueItems": True}), AfterValidator(_unique)
]
Days = Annotated[int, Field(ge=1, le=3660)]


def clear(
    description: str,
    *,
    data_class: ClearClass = "DC1",
    ge: int | None = None,
    le: int | None = None,
    example: object = None,
) -> Any:
    """Describe a field of the clear data: process metadata only. Give an *example* where no code list has one."""
    shown = None if example is None else [example]
    return Field(description=description, json_schema_extra={"x-class": data_class}, ge=ge, le=le, examples=shown)


def sealed(part: Part, data_class: DataClass, description: str, *, example: object = None) -> Any:
    """Describe a field of a letter: its *part* and its class of data; *example* as in `clear`."""
    extra: dict[str, Any] = {"x-class": data_class, "x-part": part}
    return Field(description=description, json_schema_extra=extra, examples=None if example is None else [example])


class Frozen(BaseModel):
    """Base of all models: closed, strict and immutable; its errors never show the input."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @classmethod
    def from_json(cls, raw: bytes | str) -> Self:
        """Read an object from JSON text. Raise :class:`~nrmbus.events.errors.Invalid`, which repeats nothing of *raw*.

        An absent field is left out, never null. Duplicate members and the size are the wire's to check.
        """
        problems: tuple[Problem, ...]
        try:
            read = cls.model_validate_json(raw)
        except ValidationError as error:
            problems = problems_of(error, cls, known_names(cls))
        else:
            # Only few documents hold the letters of a null, even in a text; only those are walked.
            has_null = b"null" in raw if isinstance(raw, bytes) else "null" in raw
            problems = tuple(_nulls(read, "")) if has_null else ()
            if not problems:
                return read
        raise Invalid(problems)  # outside the except block: pydantic's error holds the input, and must not come along

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read an object from JSON types (lists, strings, integers), as a form or a file has them. Raise as `from_json`."""
        raw = None
        with suppress(TypeError, ValueError, RecursionError):
            raw = json.dumps(dict(mapping))
        if raw is None:
            raise Invalid((Problem("", "json_type"),))
        return cls.from_json(raw)

    def to_mapping(self) -> dict[str, Any]:
        """Return the object in JSON types for the wire, without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)


def _nulls(model: Frozen, pointer: str) -> list[Problem]:
    found = []
    for field in type(model).model_fields:
        value = getattr(model, field)
        if value is None and field in model.model_fields_set:
            found.append(Problem(f"{pointer}/{field}", "null"))
        elif isinstance(value, Frozen):
            found += _nulls(value, f"{pointer}/{field}")
        elif isinstance(value, tuple):
            for at, each in enumerate(value):
                if isinstance(each, Frozen):
                    found += _nulls(each, f"{pointer}/{field}/{at}")
    return found


@cache
def known_names(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields of *model* and of its inner models; an error may name no others."""
    schema = model.model_json_schema()
    definitions = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for definition in definitions for name in definition.get("properties", {}))


class Letter(Frozen):
    """What only recipients may read. Each field lies in one part; each part is sealed to those who may open that part."""

    notes: Annotated[Text | None, sealed("story", "DC4", "Anything else the recipient must know")] = None

    @classmethod
    @cache
    def part_names(cls) -> tuple[Part, ...]:
        """Return the parts of this type's letter, sorted; all of them travel, empty ones too."""
        return tuple(sorted({cls.part_of(name) for name in cls.model_fields}))

    @classmethod
    def part_of(cls, field: str) -> Part:
        """Return the part of *field*. Raise TypeError if the model's author gave it none."""
        extra = cls.model_fields[field].json_schema_extra
        if not isinstance(extra, dict) or extra.get("x-part") not in PARTS:
            message = f"{cls.__name__}.{field} lies in no part"
            raise TypeError(message)
        return extra["x-part"]  # type: ignore[return-value]  # just compared with the seven

    def parts(self) -> dict[Part, dict[str, Any]]:
        """Return the letter by part, in JSON types; an empty part is an empty object."""
        split: dict[Part, dict[str, Any]] = {part: {} for part in self.part_names()}
        for field, value in self.to_mapping().items():
            split[self.part_of(field)][field] = value
        return split

    @classmethod
    def from_parts(cls, parts: Mapping[Part, Mapping[str, Any]]) -> Self:
        """Return the letter that consists of the opened *parts*; fields of other parts are absent.

        Raise :class:`~nrmbus.events.errors.Invalid` also for a field in a wrong part: a name among the coded facts would
        reach agencies that may open coded facts alone.
        """
        whole: dict[str, Any] = {}
        problems = []
        for part, fields in parts.items():
            if part not in cls.part_names():
                problems.append(Problem("", "unknown_part"))
            for field, value in fields.items():
                if field not in cls.model_fields:
                    problems.append(Problem("", "unknown_field"))
                elif cls.part_of(field) != part:
                    problems.append(Problem(f"/{field}", "wrong_part"))
                whole[field] = value
        if problems:
            raise Invalid(problems)
        return cls.from_mapping(whole)


_LetterClass: TypeAlias = type[Letter]  # `Data.type` hides the builtin from here on


class Data(Frozen):
    """The clear part of one type and version of event: process metadata only (class DC1).

    ``child`` is process metadata too: it says which procedure applies, not how old somebody is.
    """

    type: ClassVar[str]
    version: ClassVar[int] = 1
    letter: ClassVar[_LetterClass | None] = None
    keyed_by: ClassVar[Literal["case", "incident", "agency"]] = "case"
    """Subject of the event: a case, an incident of many persons, or the bulletin of its publisher (``bulletin.py``)."""
    technical: ClassVar[bool] = False
    """Whether the event is about a letter or a reading, and not a person's statement about a case; it moves no state."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Return the agencies that the sender chose: the field ``to``, if the type has one."""
        return self.__dict__.get("to") or ()  # pydantic's own lookup is slow for a field that is not there

    @property
    def named(self) -> tuple[str, ...]:
        """Return the agencies that must be in the directory: the chosen recipients, and the receiver of a consent.

        A consent, refusal or withdrawal about an unknown agency would have no effect, and nobody would notice.
        """
        return (*self.recipients, *self.__dict__.get("receivers", ()))

    @classmethod
    def up(cls, body: Body) -> Body:  # noqa: ARG003 - the first version has nothing to cast
        """Return the body *body*, which fits the version before, in this version. Each later version defines its own.

        Nothing is lost or invented: a new field stays absent. Any field of the letter may be missing, because not every
        reader opens every part.
        """
        raise TypeError(f"{cls.__name__} has no version before it")

    @classmethod
    def down(cls, body: Body) -> Lowered:  # noqa: ARG003 - the same
        """Return the body *body* of this version in the version before, with the losses. The inverse of `up`."""
        raise TypeError(f"{cls.__name__} has no version before it")


class Event(Frozen):
    """One event as everybody on the way may read it. Equal bytes give equal events."""

    id: Annotated[EventId, Field(description="The event's id; with source and subject it names the event")]
    source: Annotated[AgencyId, Field(description="The agency that says it")]
    type: Annotated[str, Field(description="The type, without the prefix `nrm.`")]
    version: Annotated[int, Field(description="The version of the type")]
    subject: Annotated[
        CaseRef, Field(description="The case or the incident: 128 random bits, never derived from a person")
    ]
    time: Annotated[Time, Field(description="When it happened; starts the clocks of the law")]
    recordedtime: Annotated[Time, Field(description="When it was written down")]
    sequence: Annotated[
        int,
        Field(
            ge=1,
            le=_INT32,
            description="Number of this event among those of this agency about this case, from 1; refused ones count",
        ),
    ]
    actor: Annotated[
        Code, Field(description="A random number per member of staff, whose meaning only the agency knows")
    ]
    policy: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@-]{0,63}$",
            description="The dated profile of the Rules that the sender went by",
        ),
    ]
    data: SerializeAsAny[Data]
    approver: Annotated[Code | None, Field(description="The second member of staff, where two must act")] = None
    legalbasis: Annotated[Printable | None, Field(description="Act and article that this rests on")] = None
    consent: Annotated[
        Ids | None, Field(description="Ids of the consents that this rests on, separated by a space")
    ] = None
    referral: Annotated[
        CaseRef | None, Field(description="The referral, bed, hold, payment, service or review that this is about")
    ] = None
    incident: Annotated[CaseRef | None, Field(description="The incident that the case came out of")] = None
    correlationid: Annotated[EventId | None, Field(description="The event that began the exchange")] = None
    causationid: Annotated[EventId | None, Field(description="The event that this answers")] = None
    expectedversion: Annotated[
        Seen | None, Field(description="Events of the case that the sender had seen; more: `version_passed`")
    ] = None
    dataclassification: Annotated[ClearClass, Field(description="The highest class of data in the clear")] = "DC1"
    sealeddigest: Annotated[Digest | None, Field(description="The digest of the letter")] = None
    traceparent: Annotated[Trace | None, Field(description="W3C trace context")] = None

    @property
    def consents(self) -> tuple[str, ...]:
        """Return the consents that this event rests on: one event id for each recipient."""
        return tuple(self.consent.split()) if self.consent else ()


class Draft(Frozen):
    """Event that an agency wants to publish, before its desk signs, numbers and seals it.

    ``referral`` names a referral, bed, hold, payment, service or review of the case. Only procedures set ``id``: they
    derive it, so that a restart publishes the event once.
    """

    type: str
    version: int = 1
    subject: CaseRef
    data: SerializeAsAny[Data]
    time: Time
    letter: SerializeAsAny[Letter] | None = None
    actor: Code
    approver: Code | None = None
    legalbasis: str | None = None
    consent: str | None = None
    referral: CaseRef | None = None
    incident: CaseRef | None = None
    causationid: EventId | None = None
    correlationid: EventId | None = None
    expectedversion: int | None = None
    id: EventId | None = None


@frozen
class Fact:
    """Registered event, as input to the fold of a history.

    ``recipients`` are the agencies that received it, without the sender, as far as this reader knows (the registrar knows
    all). ``registered`` is the time of the registration; nobody can answer before it.
    """

    event: Event
    recipients: tuple[str, ...]
    registered: datetime
    number: int
    policy: str | None = None
    """Name of the profile of its registration; None if this reader did not keep the name."""

    @classmethod
    def of(
        cls,
        event: Event,
        recipients: Mapping[str, object] | tuple[str, ...],
        registered: datetime,
        number: int,
        policy: str | None = None,
    ) -> Self:
        """Build a fact; *recipients* in any order."""
        return cls(
            event=event, recipients=tuple(sorted(recipients)), registered=registered, number=number, policy=policy
        )
