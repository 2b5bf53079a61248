"""What comes through the door, read: plain JSON becomes drafts of published events, and nothing else does.

Errors name fields of ours and say what is wrong with them, and what is allowed there; they never repeat a value, nor a name
that is not published.
"""

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import Field

from nrmbus.desk.errors import DeskError, of_invalid, of_unknown, of_wire
from nrmbus.desk.state.context import Seat
from nrmbus.desk.versions import Speaks, version_of
from nrmbus.events.errors import Invalid, Problem, UnknownType, UnknownVersion
from nrmbus.events.model import AgencyId, CaseRef, Code, Data, Draft, EventId, Frozen, Letter, Printable, Time
from nrmbus.events.registry import data_type
from nrmbus.wire import json
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import is_derived, new_event_id, new_ref, said_by_itself
from nrmbus.wire.record import DATA_LIMIT

BODY_LIMIT: Final = 512 * 1024
"""The most bytes of a request: a letter's parts, and what JSON's escapes add to them."""

LEGAL_BASIS_LIMIT: Final = 200
_BOUND: Final = b"nrmbus/asked/v1\0"
_DIGIT: Final = re.compile("[0-9]")
_TELEPHONE: Final = re.compile("(?:[0-9][ -]?){7}")
"""More digits than an act or an article has; no date, and no number of a law, is as long."""
MOST_RECEIVERS: Final = 64
"""Of one consent: each is an event of its own, as many as an event may name recipients."""

OPENING: Final = frozenset({"case.signal_recorded", "case.re_referred"})
"""Types that begin a case: without ``case`` the desk gives it its reference."""


class Asked(Frozen):
    """An event as an agency's own system, a page or the command line asks for it."""

    type: Annotated[str, Field(max_length=100, description="The type, without the prefix `nrm.`")]
    version: Annotated[
        int | None, Field(ge=1, le=9999, description="Left out: the one that the asking system speaks")
    ] = None
    case: CaseRef | None = None
    incident: CaseRef | None = None
    to: Annotated[tuple[AgencyId, ...] | None, Field(min_length=1, max_length=64)] = None
    data: Annotated[dict[str, Any], Field(default_factory=dict)]
    sealed: dict[str, Any] | None = None
    ref: CaseRef | None = None
    consent: Annotated[tuple[EventId, ...] | None, Field(min_length=1, max_length=64)] = None
    decision: EventId | None = None
    cause: EventId | None = None
    time: Time | None = None
    occurred: Time | None = None
    actor: Code
    approver: Code | None = None
    legal_basis: Printable | None = None
    expected_version: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    id: EventId | None = None


def read(raw: bytes) -> tuple[Asked, bytes]:
    """The request in *raw*, and its canonical bytes: the same for the same request.

    Raises:
        DeskError: ``json_invalid``, ``json_duplicate``, ``too_large``, ``unknown_field``.
    """
    failed: DeskError
    try:
        body = json.loads(raw, limit=BODY_LIMIT)
        return Asked.from_json(raw), json.dumps(body)
    except WireError as error:
        failed = of_wire(error)
    except Invalid as error:
        failed = of_invalid(error)
    raise failed


def known_by(seat: Seat, request: bytes) -> tuple[str, ...]:
    """By what the canonical *request* is known again: under the sealing key in use, then under each other that is here.

    A request has the letter in it. Of a bare digest, whoever has the ledger could find by trying what stands in a letter
    of few words, also after its erasure; under a key it ends as the letter does, when the key is destroyed.
    """
    using = seat.identity.sealing
    others = (key for kid, key in seat.identity.opening.items() if kid != using.kid)
    return tuple(hmac.new(key.seed, _BOUND + request, sha256).hexdigest() for key in (using, *others))


def drafts_of(seat: Seat, asked: Asked, speaks: Speaks) -> tuple[Draft, ...]:
    """The drafts that *asked* amounts to: of a consent with n receivers n, so that no receiver learns of another.

    They are in the version that *asked* says, else in the one that the asking system *speaks*.

    Raises:
        DeskError: ``unknown_type``, ``unknown_version``, ``unknown_field``, ``too_large``.
    """
    model = _model(asked, speaks)
    legal_basis, said, letter = parts_of(asked, model)
    if (pointer := _named_in_the_clear(asked, legal_basis)) is not None:
        raise _wrong(pointer, "string_pattern_mismatch")
    if asked.id is not None and is_derived(asked.id):
        raise _wrong(
            "/id", "string_pattern_mismatch"
        )  # a desk says something under it by itself, and would keep silent
    if (asked.time is None) != (asked.occurred is None):
        time = asked.time or asked.occurred
    elif asked.time is None:
        time = seat.now()
    else:
        raise _wrong("/occurred", "twice")
    subject = _subject(asked, model)
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
    """The legal basis, the data (of a consent one for each receiver) and the letter of *asked*, read by *model*.

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
        if not model.technical:  # what a desk says about a letter or a reading, no person says for it
            return model
    except (UnknownType, UnknownVersion) as error:
        unknown = error
    raise of_unknown(unknown)


def _lifted(asked: Asked, model: type[Data]) -> tuple[str | None, dict[str, Any]]:
    """The data with what stands beside them put in, and the legal basis, which belongs to the envelope, taken out."""
    data = dict(asked.data)
    legal_basis = asked.legal_basis
    if "legal_basis" in data and "legal_basis" not in model.model_fields:
        inside = data.pop("legal_basis")
        if legal_basis is not None or not _printable(inside):
            raise _wrong("/legal_basis", "twice" if legal_basis is not None else "string_pattern_mismatch")
        legal_basis = inside
    for name, value in (("to", sorted(set(asked.to)) if asked.to else None), ("decision", asked.decision)):
        if value is None:
            continue
        if name in data or name not in model.model_fields:
            raise _wrong(f"/{name}", "twice" if name in data else "unknown_field")
        data[name] = value
    return legal_basis, data


def _printable(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= LEGAL_BASIS_LIMIT and text.isascii() and text.isprintable()


def _named_in_the_clear(asked: Asked, legal_basis: str | None) -> str | None:
    """Where something stands in the envelope that is no number of a member of staff, or no act and article; none if nowhere.

    All on the way read the envelope, and it stays for good: a name or a telephone number typed there would too.
    """
    for name in ("actor", "approver"):
        number = getattr(asked, name)
        if number is not None and _DIGIT.search(number) is None:
            return f"/{name}"
    if legal_basis is not None and (_DIGIT.search(legal_basis) is None or _TELEPHONE.search(legal_basis)):
        return "/legal_basis"
    return None


def _subject(asked: Asked, model: type[Data]) -> str:
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
