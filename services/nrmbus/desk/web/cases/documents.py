"""Documents of a case: listed closed, opened on record, downloaded under a name that says nothing."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response, StreamingResponse

from nrmbus.desk.access import documents as reading
from nrmbus.desk.access.documents import Closed, Shared
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.documents import disposition
from nrmbus.desk.outbox import refusals
from nrmbus.desk.outbox.documents import CutShort
from nrmbus.desk.web.cases.case import Case
from nrmbus.desk.web.cases.letters import PURPOSES, SYSTEM, purpose_of, why_shut
from nrmbus.desk.web.cases.pages import reason
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.web.frame import LANGUAGE

routes: Final = Pages()


@dataclass(frozen=True, slots=True)
class Document:
    """A document as its page lists it."""

    id: str
    title: str
    by: str
    to: str
    when: str
    part: str
    why_shut: str
    """Why it cannot be opened now; empty if it can."""


@routes.get("/cases/{ref}/documents", may="read_cases")
async def closed(visit: Visit) -> Response:
    """List the documents of the case that this agency shared or received."""
    return await _listed(visit)


@routes.post("/cases/{ref}/documents", may="open_letters")
async def read(visit: Visit) -> Response:
    """Have the registrar record that the member reads the chosen document, then send it."""
    form, door = await visit.form(), visit.door
    purpose, who = purpose_of(form["purpose"]), visit.me.number
    if form["go"] == LANGUAGE:
        return await _listed(visit, chosen=form["document"], purpose=purpose)
    with door.ledger.read() as tx:
        case = Case(visit, tx)
        shared = reading.find(tx, door.seat.me, form["document"], case.subject)
    if shared is None:
        if form["document"]:
            raise NotFound
        return await _listed(visit, purpose=purpose, is_sent=True)
    if purpose is None:
        return await _listed(visit, chosen=form["document"], is_sent=True)
    try:
        await visit.put_on_record([await reading.reading(door.desk, shared, who=who, purpose=purpose)])
        file = await reading.open_file(door.desk, shared, who=who, purpose=purpose, system=SYSTEM)
    except DeskError as error:
        return await _listed(visit, chosen=form["document"], purpose=purpose, refused=error)
    return StreamingResponse(
        reading.pieces(door.desk, shared, file), headers=disposition(file), media_type=file.media_type
    )


async def _listed(
    visit: Visit,
    *,
    chosen: str = "",
    purpose: str | None = None,
    is_sent: bool = False,
    refused: DeskError | None = None,
) -> Response:
    t, errors = visit.t, dict[str, str]()
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        found = reading.of_case(tx, visit.door.seat.me, case.subject)
    closed = await reading.why_closed(visit.door.desk, case.subject, found)
    shown = [_closed(case, each, why) for each, why in zip(found, closed, strict=True)]
    if is_sent and not chosen:
        errors["document"] = t("Choose the document that you want to read")
    if is_sent and purpose is None:
        errors["purpose"] = t("Choose what you need it for")
    status = refused.status if refused else 422 if errors else 200
    return visit.page(
        "cases/documents.html.j2", title=t("Documents of a case"), case=case, documents=shown, chosen=chosen,
        purposes=PURPOSES, purpose=purpose, errors=errors, refused=_why(visit, refused) if refused else "",
        may_open="open_letters" in visit.me.permissions, has_errors=bool(errors or refused), status=status,
        keeps=url(f"{case.path}/documents") if shown and "open_letters" in visit.me.permissions else "",
    )  # fmt: skip


def _closed(case: Case, shared: Shared, closed: Closed | None) -> Document:
    t, row, why = case.visit.t, shared.announcement, ""
    if closed is not None:
        why = _why_cut_short(case.visit, closed.cut_short) if closed.cut_short else _why(case.visit, closed.error)
    return Document(
        id=row.id,
        title=t.code("DocumentType", shared.data.document_type),
        by=case.agency(row.source),
        to=", ".join(case.agency(each) for each in shared.data.to),
        when=case.moment(row.registered),
        part=t.capital(t.code("part", shared.part)),
        why_shut=why,
    )


def _why_cut_short(visit: Visit, ended: CutShort) -> str:
    """Return that nothing more is sent of an own document, and why."""
    said = visit.t("Only a part of this document was sent, and no more follows. You can share it again.")
    if ended.code is None:
        return said
    return f"{said} {reason(visit, ended.code, refusals.sentence(visit.door.seat, ended.code, ended.rule))}"


def _why(visit: Visit, error: DeskError) -> str:
    if error.code == "document_shut":
        return why_shut(visit, str(error.safe.get("shut")))
    return visit.t(error.sentence)
