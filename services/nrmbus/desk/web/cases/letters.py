"""Letters of a case: closed until somebody opens them for a purpose, which the registrar records first."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from nrmbus.desk import versions
from nrmbus.desk.access import opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.letters import letters
from nrmbus.desk.state.cases import event_of, signed_of
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around
from nrmbus.desk.web.acts.told import Fact
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.cases.case import NEWEST, Case
from nrmbus.desk.web.shell import Pages, Visit, url
from nrmbus.events.access import AccessPurpose
from nrmbus.events.delivery import LetterKeptShut, LetterOpened, LetterUnreadable
from nrmbus.events.document import DocumentChunkSent, DocumentShared
from nrmbus.events.model import PARTS
from nrmbus.web.frame import LANGUAGE

routes: Final = Pages()

SYSTEM: Final = ROOT
"""System by which a person opens a letter here; no token has such a name."""
PURPOSES: Final[tuple[AccessPurpose, ...]] = tuple(each for each in get_args(AccessPurpose) if each != "audit")
"""Purposes of an agency's people: a planned inspection is the auditor's."""

_EVENTS: Final = tables.events.c
_RECEIPTS: Final = {LetterOpened.type: "opened", LetterKeptShut.type: "kept_shut", LetterUnreadable.type: "unreadable"}
"""Reports of a receiver's desk about a letter, with their words."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as its page lists it."""

    id: str
    title: str
    by: str
    when: str
    parts: str
    why_shut: str
    readings: tuple[str, ...]
    receipts: tuple[str, ...]
    """Of this agency's own letter: what became of it at each receiver."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened letter: its parts in words, or why it stayed closed."""

    title: str
    by: str
    when: str
    why_shut: str
    parts: tuple[tuple[str, tuple[Fact, ...]], ...]
    empty: str
    """Parts without content."""


@routes.get("/cases/{ref}/letters", may="read_cases")
async def closed(visit: Visit) -> Response:
    """List the letters of the case, closed, with who opened each before; the one that the address names is chosen."""
    return await _listed(visit, chosen=frozenset({visit.asked("letter")}))


@routes.post("/cases/{ref}/letters", may="open_letters")
async def read(visit: Visit) -> Response:
    """Have the registrar record that the member reads the chosen letters, then show them.

    The answer to the form has them, so that no address leads to an opened letter again.
    """
    form, desk = await visit.form(), visit.door.desk
    chosen, purpose = frozenset(form.all("letter")), purpose_of(form["purpose"])
    if form["go"] == LANGUAGE:
        return await _listed(visit, chosen=chosen, purpose=purpose)
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        rows = [row for row in _rows(tx, desk, case.subject) if row.id in chosen]
    if not rows or purpose is None or len(rows) > opening.MOST:
        return await _listed(visit, chosen=chosen, purpose=purpose, is_sent=True)
    who = visit.me.number
    try:
        asked = await opening.to_open(desk, rows, who=who, purpose=purpose)
        await visit.put_on_record(asked.due.values())
    except DeskError as error:
        return await _listed(visit, chosen=chosen, purpose=purpose, refused=error)
    shown = [await _opened(case, row, asked, who, purpose) for row in rows]
    with visit.door.ledger.read() as tx:
        acts = around.case_of(visit, tx, case.subject)
    now = around.choices_of(visit, acts)[0] if acts.is_whole else ()
    return visit.page(
        "cases/opened.html.j2", title=visit.t("Opened letters"), case=case, shown=shown,
        purpose=visit.t.code("purpose", purpose), who=who, is_recorded=bool(asked.due), pressing=[each for each in now if each.due is not None],
    )  # fmt: skip


def purpose_of(asked: str) -> AccessPurpose | None:
    """Return the purpose that was chosen; None for none."""
    return next((each for each in PURPOSES if each == asked), None)


async def _listed(
    visit: Visit,
    *,
    chosen: Iterable[str] = (),
    purpose: str | None = None,
    is_sent: bool = False,
    refused: DeskError | None = None,
) -> Response:
    desk, me = visit.door.desk, visit.me
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        rows = _rows(tx, desk, case.subject)
        lost = views.lost_reads(tx, desk.seat.me, _EVENTS.subject == case.subject)
        found = [*lost, *views.reads(tx, case.subject)]
        receipts = _receipts(case, tx)
    asked = await opening.to_open(desk, rows, who=me.number, purpose="case_work")
    shown = [_closed(case, row, asked.shut.get(row.position), found, receipts.get(row.id, ())) for row in rows]
    if not is_sent and len(closed := [each.id for each in shown if not each.why_shut]) == 1:
        chosen = closed
    errors = _errors(visit, shown, chosen, purpose) if is_sent else {}
    status = refused.status if refused else 422 if errors else 200
    return visit.page(
        "cases/letters.html.j2", title=visit.t("Letters of a case"), case=case, letters=shown, chosen=frozenset(chosen),
        purposes=PURPOSES, purpose=purpose, errors=errors, refused=visit.t(refused.sentence) if refused else "",
        may_open="open_letters" in me.permissions, most=opening.MOST, has_errors=bool(errors or refused), status=status,
        keeps=url(f"{case.path}/letters") if shown and "open_letters" in me.permissions else "",
    )  # fmt: skip


def _errors(visit: Visit, shown: Sequence[Letter], chosen: Iterable[str], purpose: str | None) -> dict[str, str]:
    found, there = {}, {each.id for each in shown}.intersection(chosen)
    if not there:
        found["letter"] = visit.t("Choose the letters that you want to read")
    elif len(there) > opening.MOST:
        found["letter"] = visit.t("Choose at most {n} letters at a time", n=opening.MOST)
    if purpose is None:
        found["purpose"] = visit.t("Choose what you need them for")
    return found


def _rows(tx: Connection, desk: Desk, subject: str) -> list[Row[Any]]:
    """Return the events of the case with a letter for this agency or by it, the newest first; documents have a page of their own."""
    rows = opening.with_letters(desk.seat.me).where(
        _EVENTS.subject == subject, _EVENTS.type.not_in((DocumentShared.type, DocumentChunkSent.type))
    )
    found = tx.execute(rows.order_by(_EVENTS.number.desc())).all()
    return [row for row in found if opening.can_open(desk.seat.me, row) or row.shut is not None]


def _closed(
    case: Case, row: Row[Any], shut: letters.Shut | None, reads: Iterable[Mapping[str, Any]], receipts: Iterable[str]
) -> Letter:
    t = case.visit.t
    parts = json.loads(row.parts) or letters.copy_of(case.visit.door.seat, signed_of(row))[1]
    times: dict[tuple[str, str, str], list[str]] = {}
    for each in reads:
        if each["event"] == row.id and each["who"] != letters.DESK:
            times.setdefault((each["at"], each["who"], each["purpose"]), []).append(each["part"])
    return Letter(
        id=row.id,
        title=t.type(row.type),
        by=case.agency(row.source),
        when=case.moment(row.registered),
        parts=", ".join(t.capital(t.code("part", each)) for each in parts),
        why_shut=why_shut(case.visit, shut or row.shut),
        readings=tuple(
            t(
                "{name}, {moment}: {purpose}",
                name=around.staff_name(case.visit, who),
                moment=case.moment(at),
                purpose=t.code("purpose", purpose),
            )
            for at, who, purpose in times
        ),
        receipts=tuple(receipts),
    )


def _receipts(case: Case, tx: Connection) -> dict[str, list[str]]:
    """Return what the receivers' desks reported about each letter of this agency, by the letter's event."""
    t, found = case.visit.t, dict[str, list[str]]()
    rows = select(tables.events).where(_EVENTS.subject == case.subject, _EVENTS.source != case.visit.door.seat.me)
    for row in tx.execute(rows.where(_EVENTS.type.in_(_RECEIPTS)).order_by(_EVENTS.number)):
        about = dict(json.loads(row.headers)).get("ce_causationid", "")
        what = t.code("receipt", _RECEIPTS[row.type])
        line = t(
            "{agency}: {what}, {moment}", agency=case.agency(row.source), what=what, moment=case.moment(row.registered)
        )
        found.setdefault(about, []).append(line)
    return found


async def _opened(case: Case, row: Row[Any], asked: opening.LettersToOpen, who: str, purpose: str) -> Opened:
    t, desk = case.visit.t, case.visit.door.desk
    found = letters.Opened(shut=asked.shut.get(row.position) or row.shut)
    if row.position in asked.due:
        found = await opening.open_letter(desk, signed_of(row), who=who, purpose=purpose, system=SYSTEM)
    parts: list[tuple[str, tuple[Fact, ...]]] = []
    event = event_of(row)
    if event is not None and found.parts:
        version = versions.version_of(NEWEST, row.type)
        said = versions.told(event, found.fields, version).letter
        by_part = versions.by_part(row.type, version, said, found.parts)
        parts = [
            (t.capital(t.code("part", part)), tuple(case.facts(row.type, {}, by_part[part])))
            for part in PARTS
            if part in by_part
        ]
    return Opened(
        title=t.type(row.type),
        by=case.agency(row.source),
        when=case.moment(row.registered),
        why_shut=why_shut(case.visit, found.shut),
        parts=tuple((name, found) for name, found in parts if found),
        empty=", ".join(name for name, found in parts if not found),
    )


def why_shut(visit: Visit, shut: str | None) -> str:
    """Return why a letter or a document stays closed, and what to do; empty if it may open."""
    t = visit.t
    if shut is None:
        return ""
    ask = t("It could not be opened: ask the sender to send it again.")
    return {
        "consent_withdrawn": t(
            "The person refused or withdrew consent for your agency, or its access was ended, so it stays closed."
        ),
        "erased": t("It was erased when its time was over."),
        "ledger_altered": t(
            "What this desk has stored of the case differs from what was delivered, so it stays closed. "
            "Tell your administrator at once."
        ),
        "not_allowed": t("The Rules do not let your agency open it."),
    }.get(shut, ask)
