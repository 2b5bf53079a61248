"""Content of the pages of a case and of an event, from the verified history. Pure; nothing of a letter is ever here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import Counts, is_reading, kind_of, refusal_of, successor, with_pieces
from nrmbus.auditor.history.selection import EVERYTHING, Selection
from nrmbus.auditor.reports.why import Explained, Point, Whom, explain
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.events.access import AccessGranted
from nrmbus.rules import Rules
from nrmbus.web.lists import family_of, list_of
from nrmbus.web.words import Words
from nrmbus.wire import base64, times
from nrmbus.wire.keys.keys import VerifyKey

_TOLD: Final = "told"
"""Context of words about what somebody else did: a form asks "you"."""


def row(entry: Entry, known: Iterable[Entry] = ()) -> dict[str, Any]:
    """Return one registration as a line of a list; *known* are those of its case, where its second sealing is looked for."""
    said, event = entry.registration, entry.said
    again = successor(entry, known)
    return {
        "id": said.id,
        "partition": said.partition,
        "number": said.number,
        "time": said.time,
        "source": said.source,
        "subject": said.subject,
        "type": event.type if event else "",
        "version": event.version if event else 1,
        "unknown": event is not None and entry.event is None,
        "letter": event is not None and event.sealeddigest is not None,
        "told": entry.audience.recipients,
        "about": getattr(entry.event.data, "receivers", ()) if entry.event else (),
        "happened": event.time if event and event.time != said.time else None,
        "code": said.code,
        "rule": said.rule,
        "article": said.article,
        "kind": kind_of(entry),
        "followed_by": Point.of(again) if again else None,
        "earlier": [
            (agency, [Point.of(each) for each in known if each.registration.id in consents])
            for agency, consents in (entry.audience.earlier.items() if event else ())
        ],
    }


# -- a case ----------------------------------------------------------------------------------------------------------


def course(seen: Audited, subject: str) -> list[Entry]:
    """Return the registrations of a case without readings, in number order."""
    return [each for each in seen.history.about(subject) if not is_reading(each)]


def case(
    seen: Audited,
    subject: str,
    t: Words,
    *,
    step: int | None,
    as_of: datetime | None,
    now: datetime,
    chosen: Selection = EVERYTHING,
) -> dict[str, Any]:
    """Return the case after its *step*-th registration, or as it was known at *as_of*, or as it is *now*.

    Rows and readings are those *chosen*; status, duties and counts are those of the whole case.
    """
    whole = course(seen, subject)
    if step is not None:
        known = whole[: max(1, min(step, len(whole)))]
        then = known[-1].registration.time if known and len(known) < len(whole) else None
    else:
        known, then = [each for each in whole if as_of is None or each.registration.time <= as_of], as_of
    at = then or now
    view = seen.view(subject, known)
    read = [
        each
        for each in seen.history.about(subject)
        if is_reading(each) and (then is None or each.registration.time <= then)
    ]
    rows = [each for each in known if chosen.has(each)]
    clocks = [
        {
            "code": clock.code,
            "answerable": clock.answerable,
            "due": clock.due,
            "state": "breached" if clock.breached else _state(clock.due, at),
            "basis": seen.rules.profile_for(view).clocks[clock.code].basis,
            "unverified": seen.rules.profile_for(view).clocks[clock.code].unverified,
        }
        for clock in seen.rules.clocks(view, at)
    ]
    over = seen.history.over(subject)
    return {
        "subject": subject,
        "status": view.status,
        "over": row(over) if over is not None and over in known else None,
        "as_of": then,
        "day": at.astimezone(t.zone).date().isoformat(),
        "step": len(known),
        "steps": len(whole),
        "times": [t.moment(each.registration.time, seconds=True) for each in whole],
        "counts": Counts.of([*known, *read]),
        "selected": None if chosen.all else len(rows),
        "first": known[0].registration.time if known else None,
        "last": known[-1].registration.time if known else None,
        "parties": [{"agency": each, "role": _role(seen, each)} for each in sorted(view.parts)],
        "unread": sum(each.said is not None and each.event is None for each in known),
        "clocks": clocks,
        "days": list(_days(rows, known, seen.rules, t)),
        "readings": [each for entry in read if chosen.has(entry) for each in _reading(entry)],
    }


def _state(due: datetime | None, now: datetime) -> str:
    if due is None:
        return "paused"
    return "overdue" if due < now else "runs"


def _days(entries: Sequence[Entry], known: Sequence[Entry], rules: Rules, t: Words) -> Iterator[dict[str, Any]]:
    for _, some in groupby(entries, key=lambda each: each.registration.time.astimezone(t.zone).date()):
        rows = [
            row(each, known) | {"says": refusal_of(each, rules), "pieces": [Point.of(piece) for piece in pieces]}
            for each, pieces in with_pieces(some)
        ]
        yield {"time": rows[0]["time"], "rows": rows}


def _reading(entry: Entry) -> Iterator[dict[str, Any]]:
    data = entry.event.data if entry.event else None
    if entry.event is not None and isinstance(data, AccessGranted):
        yield row(entry) | {
            "actor": entry.event.actor,
            "what": data.what,
            "purpose": data.purpose,
            "parts": data.parts or (),
        }


def _role(seen: Audited, agency: str) -> str:
    found = seen.directory.entries.get(agency)
    return found.role if found else ""


# -- an event --------------------------------------------------------------------------------------------------------


def event(seen: Audited, entry: Entry, t: Words, now: datetime) -> dict[str, Any]:
    """Return everything that the history says about one registration, as of *now*, with words of *t*."""
    said, event = entry.registration, entry.event
    why = explain(seen, entry, now)
    table = seen.rules.row(event.type, said.policy.name) if event else None
    return row(entry) | {
        "role": _role(seen, said.source),
        "actor": event.actor if event else None,
        "approver": event.approver if event else None,
        "happened": entry.said.time if entry.said else None,
        "recorded": entry.said.recordedtime if entry.said else None,
        "refusal": None if why.sealed_again else why.refusal,
        "followed_by": why.followed_by,
        "basis": table.basis if table else None,
        "unverified": table.unverified if table else False,
        "legalbasis": event.legalbasis if event else None,
        "policy": said.policy.name,
        "policy_digest": said.policy.digest,
        "policy_known": why.policy_known,
        "data": list(facts(event.data, event.type, t)) if event else [],
        "key": said.key,
        "key_since": _since(seen, said.source, said.key),
        "envelope": said.envelope,
        "sequence": said.sequence,
        "previous": said.previous,
        "leaf": said.digest,
        "told": list(_receivers(why)),
        "not_told": list(_non_receivers(why.whom)),
        "answers": why.answers,
        "also": why.also,
        "clocks": why.clocks,
        "ended": why.ended,
        "lifted": why.lifted,
    }


@dataclass(frozen=True, slots=True)
class Fact:
    """A field of an event's data: its name in the event, its label, and its values, each with its words, if it has any."""

    name: str
    label: str
    values: tuple[tuple[str, str], ...]


def facts(data: BaseModel, kind: str, t: Words, inside: str = "") -> Iterator[Fact]:
    """Yield the fields of *data*, those of objects inside it after them."""
    for name, info in type(data).model_fields.items():
        value = getattr(data, name)
        some = value if isinstance(value, tuple) else () if value is None else (value,)
        plain = [each for each in some if not isinstance(each, BaseModel)]
        if plain:
            named = list_of(_codes(info.annotation)) or f"{kind}.{name}"
            said = tuple(_said(each, named, t) for each in plain)
            yield Fact(f"{inside}{name}", _label(info.description or "", t), said)
        for each in some:
            if isinstance(each, BaseModel):
                yield from facts(each, kind, t, f"{inside}{name}.")


def _label(description: str, t: Words) -> str:
    """Return the label of a field for people who did not fill it in; empty for fields of services, which have none."""
    told = t.meaning(_TOLD, description)
    label = t.label(description)
    known = t.language == "en" or label != description
    return told or (label.partition("; ")[0].partition(": ")[0] if known else "")


def _said(value: Any, named: str, t: Words) -> tuple[str, str]:
    """Return *value* as the event has it, and the words of it if it is a code of the list *named*, a time, or yes or no."""
    if isinstance(value, bool):
        return ("true", t("Yes")) if value else ("false", t("No"))
    text = str(value) if isinstance(value, str) else str(to_jsonable_python(value))
    if (moment := times.read(text)) is not None:
        return text, t.moment(moment, seconds=True)
    return text, t.meaning(f"{_TOLD}.{named}", text) or t.meaning(family_of(named), text)


def _codes(annotation: Any) -> tuple[str, ...]:
    """Return the codes of the closed list inside *annotation*; none if there is none."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for each in get_args(annotation) if (found := _codes(each))), ())


def _since(seen: Audited, agency: str, kid: str) -> datetime | None:
    """Return the time since which this key is the newest of *agency* in the directory, or None if it is not.

    None too on a bus for playing that admitted the agency before its clock began.
    """
    found = seen.directory.entries.get(agency)
    if found is None or found.valid_from <= BEFORE_ANY_TICK:
        return None
    newest = VerifyKey(base64.decode(found.signing, "signature_invalid"))
    return found.valid_from if newest.kid == kid else None


def _receivers(why: Explained) -> Iterator[dict[str, Any]]:
    receipts = {each.agency: each for each in why.receipts}
    for each in why.whom:
        if each.told:
            yield asdict(each) | {"consent": each.consent, "later": each.later, "receipt": receipts.get(each.agency)}


def _non_receivers(whom: Sequence[Whom]) -> Iterator[dict[str, Any]]:
    """Yield the agencies that were not told, grouped by reason."""
    groups: dict[tuple[str, int | None], list[Whom]] = {}
    for each in whom:
        if not each.told and each.code != "source":
            groups.setdefault((each.code, each.consent.number if each.consent else None), []).append(each)
    for (code, _), some in groups.items():
        first = some[0]
        yield {
            "agencies": some, "code": code, "rule": first.rule, "basis": first.basis, "unverified": first.unverified,
            "consent": first.consent,
        }  # fmt: skip
