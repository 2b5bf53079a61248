"""Queries of ``nrmbus replay``, ``why`` and ``reads``, and their answers in JSON types.

The running auditor answers them from its verified history once the question is registered. A command answers its own
query in the same way only off the record, from a history that it has read itself.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.selection import Selection, found_event, moment, numbers
from nrmbus.auditor.reports.holders import AccessRecord, access_records, unread_readings
from nrmbus.auditor.reports.plain import plain
from nrmbus.auditor.reports.replayed import Case, case_mapping, replayed
from nrmbus.auditor.reports.what_if import Difference, Judged, differences
from nrmbus.auditor.reports.what_if import mapping as what_if_mapping
from nrmbus.auditor.reports.why import explain
from nrmbus.auditor.reports.why import mapping as explained_mapping
from nrmbus.auditor.web.pages.document import document
from nrmbus.bus.errors import BusError
from nrmbus.bus.references import whole
from nrmbus.events.bulletin import is_bulletin
from nrmbus.rules import Agency, ProfileError, Rules, UnknownProfileError, load_profile, profile_names, read_profile
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.words import Words
from nrmbus.wire import times

Steps = Generator[None, None, dict[str, Any]]
"""Makes an answer step by step, so that a long history holds up nobody else, and returns it."""
T = TypeVar("T")


class MistypedQuery(BusError):
    """Raised when a query has no meaning: nothing is looked up, and nothing is recorded."""


class _Query(BaseModel):
    """Options of a command, as they were typed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ReplayQuery(_Query):
    """Query of ``nrmbus replay``."""

    kind: Literal["replay"]
    case: str | None = None
    agency: str | None = None
    type: str | None = None
    first: str | None = None
    last: str | None = None
    number: str | None = None
    as_of: str | None = None
    html: bool = False


class WhyQuery(_Query):
    """Query of ``nrmbus why``."""

    kind: Literal["why"]
    event: str
    case: str | None = None
    as_of: str | None = None


class ReadsQuery(_Query):
    """Query of ``nrmbus reads``."""

    kind: Literal["reads"]
    case: str
    agency: str | None = None


class WhatIfQuery(_Query):
    """Query of ``nrmbus rules what-if``."""

    kind: Literal["what_if"]
    profile: str
    text: str | None = None
    """The profile itself, in YAML, if the auditor need not have it."""


Query = Annotated[ReplayQuery | WhyQuery | ReadsQuery | WhatIfQuery, Field(discriminator="kind")]
_QUERY: TypeAdapter[ReplayQuery | WhyQuery | ReadsQuery | WhatIfQuery] = TypeAdapter(Query)


@dataclass(frozen=True, slots=True)
class Found:
    """Subject of a query, which is recorded before the answer is shown; ``steps`` makes the answer."""

    what: Literal["case", "event", "search"]
    case: str | None
    event: str | None
    steps: Steps


def read_query(body: Any) -> ReplayQuery | WhyQuery | ReadsQuery | WhatIfQuery:
    """Return *body* as a query.

    Raises:
        MistypedQuery: it is none; the message repeats nothing of it.
    """
    query = None
    try:
        query = _QUERY.validate_python(body)
    except ValidationError:
        query = None
    if query is None:  # raised out here: pydantic's error holds what came in
        raise MistypedQuery("The auditor cannot read these options: use the release of nrmbus that runs the bus.")
    return query


def find(query: ReplayQuery | WhyQuery | ReadsQuery | WhatIfQuery, seen: Audited, now: datetime) -> Found:
    """Return the subject of *query* in the history *seen*, which must not change until the answer is made; *now* is the bus's time.

    Raises:
        MistypedQuery: the query has no meaning.
        BusError: the history has no such case or event, or several; this answer is recorded as a search.
    """
    match query:
        case ReplayQuery():
            return _find_replay(query, seen, now)
        case WhyQuery():
            return _find_why(query, seen, now)
        case ReadsQuery():
            _check_agency(query.agency, seen)
            subject = whole(query.case, seen.history.spoken_of())
            return Found("case", subject, None, _reads(seen.history.about(subject), query.agency, subject))
        case WhatIfQuery():
            return Found("search", None, None, _what_if(seen, query, now))


def finished(steps: Steps) -> dict[str, Any]:
    """Return the answer, with all its steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            answer: dict[str, Any] = done.value
            return answer


# -- replay ----------------------------------------------------------------------------------------------------------


def _find_replay(query: ReplayQuery, seen: Audited, now: datetime) -> Found:
    zone = seen.rules.profile_at(now).zone
    try:
        chosen = Selection(
            agency=query.agency,
            type=query.type.removeprefix("nrm.") if query.type else None,
            first=moment(query.first, zone, "--from", begin=True),
            last=moment(query.last, zone, "--to"),
            numbers=numbers(query.number),
        )
        then = moment(query.as_of, zone, "--as-of")
    except BusError as error:
        raise MistypedQuery(str(error)) from None
    if chosen.first is not None and chosen.last is not None and chosen.first > chosen.last:
        raise MistypedQuery("--from is after --to: exchange the two, or leave one of them out.")
    _check_agency(query.agency, seen)
    history = seen.history
    subject = whole(query.case, (*history.spoken_of(), *history.bulletins())) if query.case else None
    cases = replayed(seen, chosen, subject=subject, as_of=then, now=now)
    steps = _document(seen, cases, chosen, then, now) if query.html else _cases(seen, cases, then, now)
    case = None if subject is None or is_bulletin(subject) else subject  # what concerns no case is read by a search
    return Found("case" if case else "search", case, None, steps)


def _check_agency(agency: str | None, seen: Audited) -> None:
    if agency is not None and agency not in seen.directory.entries:
        raise MistypedQuery(
            f"The directory never had an agency with this name; it has {', '.join(sorted(seen.directory.entries))}."
        )


def _cases(seen: Audited, cases: Iterable[Case | None], as_of: datetime | None, now: datetime) -> Steps:
    words = Words("en", **facts_of(seen.rules.profile_at(now)))
    found = []
    for each in cases:
        if each is not None:
            found.append(case_mapping(each, seen.rules, as_of or now))
        yield
    codes = {clock["code"] for case in found for clock in case["open_deadlines"]}
    verified = {"verified": len(seen.history.entries)}
    return {
        **_verified(seen),
        "replay": {**verified, **({"as_of": times.write(as_of)} if as_of else {}), "cases": found},
        "says": {
            "counts": words(
                "registered: {registered}; refused: {refused}; sealed again: {sealed_again}; readings: {readings}"
            ),
            "clocks": {code: words.code("clock", code) for code in sorted(codes)},
        },
    }


def _document(
    seen: Audited, cases: Iterable[Case | None], chosen: Selection, as_of: datetime | None, now: datetime
) -> Steps:
    subjects = []
    for each in cases:
        if each is not None:
            subjects.append(each.subject)
        yield
    pieces = []
    for piece in document(seen, subjects, chosen, as_of=as_of, now=as_of or now):
        pieces.append(piece)
        yield
    return {**_verified(seen), "html": "".join(pieces)}


def _verified(seen: Audited) -> dict[str, Any]:
    """Return the size of the verified history, whatever part is shown."""
    return {"verified": len(seen.history.entries), "partitions": seen.partitions}


# -- what if -----------------------------------------------------------------------------------------------------------


def _what_if(seen: Audited, query: WhatIfQuery, now: datetime) -> Steps:
    """Judge the whole history again under the profile of *query*."""
    profile = None
    try:
        profile = load_profile(query.profile) if query.text is None else read_profile(query.text)
    except (UnknownProfileError, ProfileError):
        profile = None
    if profile is None and query.text is not None:  # raised out here: nothing of what was typed is repeated
        raise MistypedQuery("The profile does not read at the auditor: nrmbus rules check FILE.")
    if profile is None:
        raise MistypedQuery(f"This release has no such profile; it has {', '.join(profile_names())}.")
    agencies = {id: Agency(id, each.role, each.supervisor) for id, each in seen.directory.entries.items()}
    entries = seen.history.entries
    found: list[Difference] = []
    for each in differences(entries, seen.rules, Rules(profile, agencies), now):
        found.append(each)
        yield
    return {**_verified(seen), "what_if": what_if_mapping(found, profile, Judged.of(entries))}


# -- why and reads ---------------------------------------------------------------------------------------------------


def _find_why(query: WhyQuery, seen: Audited, now: datetime) -> Found:
    try:
        then = moment(query.as_of, seen.rules.profile_at(now).zone, "--as-of")
    except BusError as error:
        raise MistypedQuery(str(error)) from None
    subject = whole(query.case, seen.history.spoken_of()) if query.case else None
    entry = found_event(seen.history, query.event, subject)
    if then and entry.registration.time > then:
        raise BusError("This event was registered after that time: leave --as-of out, or choose a later one.")
    said = entry.registration
    return Found("event", said.subject, said.id, _why(seen, entry, then or now))


def _why(seen: Audited, entry: Entry, now: datetime) -> Steps:
    yield
    return {"why": explained_mapping(explain(seen, entry, now))}


def _reads(entries: list[Entry], agency: str | None, subject: str) -> Steps:
    yield
    found = [each for each in access_records(entries) if agency in (None, each.agency)]
    named = {each.registration.id: each.event.type for each in entries if each.event}
    number = {each.registration.id: each.registration.number for each in entries}
    asked_for = {each.event for each in found if each.event in named}
    return {
        "case": subject,
        "registered": [_record(each) for each in found],
        "events": {id: {"type": named[id], "number": number[id]} for id in sorted(filter(None, asked_for))},
        "unread": sum(agency in (None, each.registration.source) for each in unread_readings(entries)),
    }


def _record(each: AccessRecord) -> dict[str, Any]:
    row: dict[str, Any] = plain(
        {
            "number": each.number,
            "at": each.at,
            "agency": each.agency,
            "actor": each.actor,
            "what": each.what,
            "purpose": each.purpose,
            "parts": each.parts or None,
            "event": each.event,
            "read": each.off_record,
        }
    )
    return row
