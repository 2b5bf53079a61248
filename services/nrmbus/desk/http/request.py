"""Reading of requests at the door: plain JSON becomes drafts of published events, and nothing else.

Errors name published fields, the fault, and the allowed values; they never repeat a value or an unpublished name.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import Field

from nrmbus.desk.errors import DeskError, of_invalid, of_unknown, of_wire
from nrmbus.desk.versions import Speaks, version_of
from nrmbus.events import bulletin
from nrmbus.events.case import OPENING
from nrmbus.events.document import DocumentShared
from nrmbus.events.errors import Invalid, Problem, UnknownType, UnknownVersion
from nrmbus.events.justice import CaseOpened, MeasureGranted, VerdictRecorded
from nrmbus.events.legal_basis import is_legal_basis, is_printable
from nrmbus.events.model import AgencyId, CaseRef, Code, Data, Draft, EventId, Frozen, Letter, Printable, Time
from nrmbus.events.referral import ReferralAcknowledged
from nrmbus.events.registry import TYPES, data_type
from nrmbus.events.safeguard import RepresentativeAssigned
from nrmbus.wire import json
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import is_derived, new_event_id, new_ref, said_by_itself
from nrmbus.wire.record import DATA_LIMIT

if TYPE_CHECKING:  # nrmbus publish and schema use this module where no ledger is installed
    from nrmbus.desk.state.context import Seat

_Model = TypeVar("_Model", bound=Frozen)

BODY_LIMIT: Final = 512 * 1024
"""Largest size of a request in bytes: a letter's parts, plus JSON's escapes."""

_BOUND: Final = b"nrmbus/asked/v1\0"
_DIGIT: Final = re.compile("[0-9]")
_TELEPHONE_AS_CODE: Final = re.compile("[0-9]{7}|^[0-9](?:[._/-]?[0-9]){6}")
"""Telephone number in a code: seven digits in a row, or seven from its beginning. `REP-2026-0014` is a number of a register."""
_YEAR_AND_NUMBER: Final = re.compile(
    "(?:[0-9]{1,2}[._/-])?(?:19|20)[0-9]{2}[._/-][0-9]{1,6}|[0-9]{1,6}[._/-](?:19|20)[0-9]{2}"
)
"""So is `2026-0014`, with the number of an office before it or not: the commonest form, and no telephone is written so."""
_TYPED_CODES: Final[Mapping[str, str]] = {
    CaseOpened.type: "article", MeasureGranted.type: "article", VerdictRecorded.type: "article",
    ReferralAcknowledged.type: "receipt_no", RepresentativeAssigned.type: "representative",
}  # fmt: skip
"""Type, and the code in its data that a person types: the pattern of a code would let a name pass."""
MOST_RECEIVERS: Final = 64
"""Most receivers of one consent: each becomes an event; the same limit as for an event's recipients."""

SHARED: Final = DocumentShared.type
"""Type that announces an upload."""

MOST_EVENTS: Final = 50
"""Most events of one request."""

ABOUT_NO_CASE: Final = frozenset(data.type for data in TYPES.values() if data.keyed_by == "agency")
"""Types that concern the agency or the bus and no case: the subject is the agency's bulletin."""

FOLLOWS_NONE: Final = OPENING | ABOUT_NO_CASE
"""Types that, in a request for several events, never belong to the case of the event before."""


class Asked(Frozen):
    """An event as an agency's own system, a page or the command line asks for it."""

    type: Annotated[str, Field(max_length=100, description="The type, without the prefix `nrm.`")]
    version: Annotated[
        int | None, Field(ge=1, le=9999, description="Left out: the one that the asking system speaks")
    ] = None
    case: Annotated[
        CaseRef | None,
        Field(
            description="The case, as the verdict on its first event names it. A type that begins a case may leave it out: "
            "the desk then makes the reference."
        ),
    ] = None
    incident: Annotated[
        CaseRef | None,
        Field(description="The incident from which the case came; the verdict on `incident.opened` names it."),
    ] = None
    to: Annotated[tuple[AgencyId, ...] | None, Field(min_length=1, max_length=64)] = None
    data: Annotated[dict[str, Any], Field(default_factory=dict)]
    sealed: dict[str, Any] | None = None
    ref: Annotated[
        CaseRef | None,
        Field(
            description="Reference of the referral, bed, hold, payment, service or review: 32 random hex digits, never derived "
            "from a person. The system that begins one makes it; every answer repeats it."
        ),
    ] = None
    consent: Annotated[
        tuple[EventId, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Ids of the consents on which the event rests. Left out: those of the case count; `consent.objected` "
            "needs it.",
        ),
    ] = None
    decision: EventId | None = None
    cause: Annotated[EventId | None, Field(description="Id of the event that this one answers.")] = None
    time: Annotated[
        Time | None,
        Field(description="When it happened, UTC to the second: the clocks of the law start then. Left out: now."),
    ] = None
    occurred: Annotated[Time | None, Field(description="Another name for `time`; send one of the two.")] = None
    actor: Annotated[Code, Field(description="Staff number of the person who acts: it has a digit, and is no name.")]
    approver: Annotated[
        Code | None, Field(description="Staff number of the second person, where the Rules ask for two.")
    ] = None
    document: Annotated[
        EventId | None, Field(description="The upload that `document.shared` announces; no other type has one.")
    ] = None
    legal_basis: Annotated[
        Printable | None, Field(description="Act and article on which the event rests, as `CoM 21/2008 art. 7`.")
    ] = None
    expected_version: Annotated[
        int | None,
        Field(
            ge=0,
            le=2**31 - 1,
            description="`version` of the case as the person saw it. If the case has more events, the event is refused as "
            "`version_passed`.",
        ),
    ] = None
    id: Annotated[
        EventId | None,
        Field(
            description="Id of the event, a UUIDv7 that the system makes and stores before it sends. A request that is sent "
            "again with its id is published once. Left out: the desk makes one."
        ),
    ] = None


def read(raw: bytes, id: str | None = None) -> tuple[Asked, bytes]:
    """Return the request for an event in *raw*, and its canonical bytes; *id* is that of a header.

    Raises as `read_as`, and ``unknown_field`` for another id in the body.
    """
    asked, canonical = read_as(Asked, raw)
    if id is None or asked.id == id:
        return asked, canonical
    if asked.id is not None:
        raise _wrong("/id", "twice")
    return read_as(Asked, json.dumps({**json.loads(canonical, limit=len(canonical)), "id": id}))


def read_as(model: type[_Model], raw: bytes) -> tuple[_Model, bytes]:
    """Return the object of *model* in *raw*, and its canonical bytes: the same for the same request.

    Raises:
        DeskError: ``json_invalid``, ``json_duplicate``, ``too_large``, ``unknown_field``.
    """
    failed: DeskError
    try:
        body = json.loads(raw, limit=BODY_LIMIT)
        return model.from_json(raw), json.dumps(body)
    except WireError as error:
        failed = of_wire(error)
    except Invalid as error:
        failed = of_invalid(error)
    raise failed


def events_in(raw: bytes) -> list[dict[str, Any]]:
    """Return the events of a request for several, each as for one.

    Raises:
        DeskError: ``json_invalid``, ``json_duplicate``, ``too_large``, ``unknown_field``.
    """
    try:
        body = json.loads(raw, limit=BODY_LIMIT)
    except WireError as error:
        failed = of_wire(error)
    else:
        events = body.get("events")
        if set(body) == {"events"} and isinstance(events, list) and all(isinstance(each, dict) for each in events):
            if 0 < len(events) <= MOST_EVENTS:
                return events
            failed = DeskError("unknown_field", [Problem("/events", "too_long" if events else "too_short")])
        else:
            failed = DeskError("unknown_field", [Problem("", "unknown_field", ("events",))])
    raise failed


def follows(body: Mapping[str, Any], *, is_first: bool) -> bool:
    """Return whether the event in *body*, of a request for several, belongs to the case of an event before it."""
    kind = body.get("type")
    begins = isinstance(kind, str) and kind in FOLLOWS_NONE
    return not is_first and not {"case", "incident"} & body.keys() and not begins


def case_before(placed: Sequence[tuple[Draft, ...]]) -> str:
    """Return the case to which an event that follows the events *placed* belongs; empty if all of them are about no case."""
    subjects = (drafts[0].subject for drafts in reversed(placed))
    return next((subject for subject in subjects if not bulletin.is_bulletin(subject)), "")


def agencies_in(asked: Asked) -> Iterator[tuple[str, str]]:
    """Yield each agency in *asked*, as recipient or in a consent, after the pointer to it."""
    there = {"/to": asked.to, "/data/to": asked.data.get("to"), "/data/receivers": asked.data.get("receivers")}
    for pointer, named in there.items():
        for place, agency in enumerate(named if isinstance(named, list | tuple) else ()):
            yield f"{pointer}/{place}", agency


def known_by(seat: "Seat", request: bytes) -> tuple[str, ...]:
    """Return the keyed digests of the canonical *request*: with the sealing key in use, then with every other key here.

    A request contains the letter. From a bare digest, an attacker with the ledger could guess a short letter by
    trying, even after an erasure. A keyed digest becomes useless together with the letter, when the key is destroyed.

    The number of an upload does not count: whoever repeats a request uploads the document again, and the letter names its
    content by digest.
    """
    if b'"document":' in request:
        body = json.loads(request, limit=len(request))
        request = json.dumps({name: value for name, value in body.items() if name != "document"})
    using = seat.identity.sealing
    others = (key for kid, key in seat.identity.opening.items() if kid != using.kid)
    return tuple(hmac.new(key.seed, _BOUND + request, sha256).hexdigest() for key in (using, *others))


def drafts_of(seat: "Seat", asked: Asked, speaks: Speaks) -> tuple[Draft, ...]:
    """Return the drafts for *asked*: n for a consent with n receivers, so that no receiver learns of another.

    The version comes from *asked*, else from *speaks*, the versions of the requesting system.

    Raises:
        DeskError: ``unknown_type``, ``unknown_version``, ``unknown_field``, ``too_large``.
    """
    model = _model(asked, speaks)
    legal_basis, said, letter = parts_of(asked, model)
    if (asked.document is None) == (model.type == SHARED):
        raise _wrong("/document", "missing" if asked.document is None else "unknown_field")
    if (pointer := _named_in_the_clear(asked, legal_basis)) is not None:
        raise _wrong(pointer, "string_pattern_mismatch")
    if asked.id is not None and is_derived(asked.id):
        raise _wrong(
            "/id", "string_pattern_mismatch"
        )  # reserved for automatic events: the desk would then skip its own event
    if (asked.time is None) != (asked.occurred is None):
        time = asked.time or asked.occurred
    elif asked.time is None:
        time = seat.now()
    else:
        raise _wrong("/occurred", "twice")
    subject = _subject(asked, model, seat.me)
    first = asked.id or new_event_id(int(seat.now().timestamp() * 1000))
    return tuple(
        Draft(
            type=model.type,
            version=model.version,
            subject=subject,
            data=one,
            time=time or seat.now(),
            letter=letter,
            actor=asked.actor,
            approver=asked.approver,
            legalbasis=legal_basis,
            consent=" ".join(asked.consent) if asked.consent else None,
            referral=asked.ref,
            incident=asked.incident if model.keyed_by == "case" else None,
            causationid=asked.cause,
            expectedversion=asked.expected_version,
            id=first if index == 0 else said_by_itself(seat.me, first, str(index)),
        )
        for index, one in enumerate(said)
    )


def parts_of(asked: Asked, model: type[Data]) -> tuple[str | None, list[Data], Letter | None]:
    """Return the legal basis, the data (for a consent one per receiver) and the letter of *asked*, read by *model*.

    Raises:
        DeskError: ``unknown_field``, ``too_large``.
    """
    legal_basis, data = _lifted(asked, model)
    receivers = data.get("receivers")
    each: list[Mapping[str, Any]] = [data]
    if "receivers" in model.model_fields and isinstance(receivers, list) and len(receivers) > 1:
        if len(receivers) > MOST_RECEIVERS or len({str(each) for each in receivers}) < len(receivers):
            raise _wrong("/data/receivers", "too_long" if len(receivers) > MOST_RECEIVERS else "twice")
        each = [{**data, "receivers": [receiver]} for receiver in receivers]
    return legal_basis, [_of_wire_size(_fit(model, one)) for one in each], _letter(asked, model)


def _wrong(pointer: str, kind: str) -> DeskError:
    return DeskError("unknown_field", [Problem(pointer, kind)])


def _model(asked: Asked, speaks: Speaks) -> type[Data]:
    unknown: UnknownType | UnknownVersion = UnknownType()
    try:
        model = data_type(asked.type, asked.version or version_of(speaks, asked.type))
        if not model.technical:  # only the desk publishes events about letters and readings, never a person
            return model
    except (UnknownType, UnknownVersion) as error:
        unknown = error
    raise of_unknown(unknown)


def _lifted(asked: Asked, model: type[Data]) -> tuple[str | None, dict[str, Any]]:
    """Return the legal basis, taken out for the envelope, and the data with ``to`` and ``decision`` put in."""
    data = dict(asked.data)
    legal_basis = asked.legal_basis
    if "legal_basis" in data and "legal_basis" not in model.model_fields:
        inside = data.pop("legal_basis")
        if legal_basis is not None or not (isinstance(inside, str) and is_printable(inside)):
            raise _wrong("/legal_basis", "twice" if legal_basis is not None else "string_pattern_mismatch")
        legal_basis = inside
    for name, value in (("to", sorted(set(asked.to)) if asked.to else None), ("decision", asked.decision)):
        if value is None:
            continue
        if name in data or name not in model.model_fields:
            raise _wrong(f"/{name}", "twice" if name in data else "unknown_field")
        data[name] = value
    return legal_basis, data


def _named_in_the_clear(asked: Asked, legal_basis: str | None) -> str | None:
    """Return the pointer to a clear field that is no staff number, no act and article, or no number; None if all are right.

    Envelope and data are readable on their way and permanent, and so would be a name or a telephone number there. A receipt
    may have digits alone, as registers of cases number.
    """
    for name in ("actor", "approver"):
        number = getattr(asked, name)
        if number is not None and _DIGIT.search(number) is None:
            return f"/{name}"
    if legal_basis is not None and not is_legal_basis(legal_basis):
        return "/legal_basis"
    if (typed := _TYPED_CODES.get(asked.type)) is not None:
        code = str(asked.data.get(typed, ""))
        is_telephone = (
            asked.type == RepresentativeAssigned.type
            and _TELEPHONE_AS_CODE.search(code)
            and not _YEAR_AND_NUMBER.fullmatch(code)
        )
        if _DIGIT.search(code) is None or is_telephone:
            return f"/data/{typed}"
    return None


def _subject(asked: Asked, model: type[Data], me: str) -> str:
    if model.keyed_by == "agency":
        own = bulletin.of(me)
        for pointer, given in (("/case", asked.case), ("/incident", asked.incident)):
            if given not in (None, own):
                raise _wrong(pointer, "keyed_by_agency")
        return own
    if model.keyed_by == "incident":
        if asked.case is not None:
            raise _wrong("/case", "keyed_by_incident")
        return asked.incident or new_ref()
    if asked.case is None and model.type not in OPENING:
        raise _wrong("/case", "missing")
    return asked.case or new_ref()


def _fit(model: type[Data], data: Mapping[str, Any]) -> Data:
    try:
        return model.from_mapping(data)
    except Invalid as error:
        found = [each.below("/data") for each in error.problems]
    raise DeskError("unknown_field", found)


def _of_wire_size(data: Data) -> Data:
    if len(json.dumps(data.to_mapping())) > DATA_LIMIT:
        raise DeskError("too_large")
    return data


def _letter(asked: Asked, model: type[Data]) -> Letter | None:
    if asked.sealed is None:
        return None
    if model.letter is None:
        raise _wrong("/sealed", "no_letter")
    try:
        return model.letter.from_mapping(asked.sealed)
    except Invalid as error:
        found = [each.below("/sealed") for each in error.problems]
    raise DeskError("unknown_field", found)
