"""Prints of a case: the person's own copy of a referral in her language, and a sheet for the agency's paper file.

The registrar records first that it is handed on. Neither has content of a letter, a label of this agency's, or a name of
anybody who works here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response

from nrmbus.desk.access import opening
from nrmbus.desk.access.written_parts import written
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import courses
from nrmbus.desk.state.open_duties import hears
from nrmbus.desk.web.acts import around
from nrmbus.desk.web.cases import case as cases
from nrmbus.desk.web.cases.case import Case
from nrmbus.desk.web.cases.letters import PURPOSES, purpose_of
from nrmbus.desk.web.cases.pages import Referral, referrals_of
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.events.access import Access, AccessPurpose
from nrmbus.events.case import CopyIssued
from nrmbus.events.codes import CopyForm
from nrmbus.events.model import Draft
from nrmbus.rules.event_context import SHARING
from nrmbus.rules.handbook.citations import citations
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.languages import IN_EVENTS, LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire.json import MAX_INTEGER

routes: Final = Pages()

_ASKED: Final = ("reason", "urgency", "services")
"""Fields of the request that the person's copy shows."""
SUBMITTED: Final = "referral.submitted"
PAPER: Final = "/print"
"""Address of the person's copy: it says nothing of her, not even that there is a case."""


@dataclass(frozen=True, slots=True)
class Place:
    """An agency that the person is referred to, as she finds it."""

    name: str
    role: str
    address: str
    phone: str
    answer: str
    ground: str = ""
    """Why it may know of her: her consent, an override, or a law."""


@routes.get("/cases/{ref}/referrals/{referral}/copy", may="open_letters")
async def ask_copy(visit: Visit) -> Response:
    """Ask in which language the person's copy is printed, and how much it may say."""
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        referral, _ = _referral(case, tx, visit.path("referral"))
    return _asked(case, referral)


@routes.post(PAPER, may="open_letters")
async def copy(visit: Visit) -> Response:
    """Have the registrar record who reads and that the person gets her copy, then show it for printing.

    The form names the case and the referral, so that the address does not: a browser may print it on the paper.
    """
    form = await visit.form()
    language = next((each for each in LANGUAGES if each == form["language"]), None)
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx, form["case"])
        referral, told = _referral(case, tx, form["referral"])
    visit.back = f"{case.path}/referrals/{referral.ref}/copy"
    if form["go"] == LANGUAGE:
        return _asked(case, referral, language=language, says=form["says"])
    if language is None or form["says"] not in {"all", "contacts"}:
        return _asked(case, referral, language=language, says=form["says"], is_sent=True)
    try:
        number = await _recorded(
            case, "person_report", "person_request", _issued(case, referral.ref, language, form["says"])
        )
    except DeskError as error:
        return _asked(case, referral, language=language, says=form["says"], refused=error)
    parts = await written(visit.door.desk, case.subject) if form["says"] == "all" else []
    return _copy(case, language, told, number, parts, only_contacts=form["says"] == "contacts")


@routes.get("/cases/{ref}/sheet", may="open_letters")
async def ask_sheet(visit: Visit) -> Response:
    """Ask for what the case sheet is printed."""
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
    return _asked_sheet(case)


@routes.post("/cases/{ref}/sheet", may="open_letters")
async def sheet(visit: Visit) -> Response:
    """Have the registrar record that the case is handed on as a sheet, then show the sheet for printing."""
    form = await visit.form()
    purpose = purpose_of(form["purpose"])
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
    if form["go"] == LANGUAGE:
        return _asked_sheet(case, purpose=purpose)
    if purpose is None:
        return _asked_sheet(case, is_sent=True)
    try:
        number = await _recorded(case, "export", purpose)
    except DeskError as error:
        return _asked_sheet(case, purpose=purpose, refused=error)
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        events = cases.course(visit, tx, case.subject, before=MAX_INTEGER, limit=MAX_INTEGER)
        referrals = referrals_of(case, tx)
    return visit.page(
        "cases/sheet.html.j2", title=visit.t("Case sheet"), case=case, steps=list(case.steps(reversed(events), {})),
        referrals=referrals, number=number, how=visit.t, who=visit.me.number, purpose=visit.t.code("purpose", purpose),
    )  # fmt: skip


async def _recorded(case: Case, what: Access, purpose: AccessPurpose, *more: Draft) -> int:
    """Have the registrar record that the member hands the case on, and *more*; return the number of the last record."""
    door, who = case.visit.door, case.visit.me.number
    access = opening.access(door.desk, case.subject, what, who=who, purpose=purpose)
    said = await case.visit.put_on_record([access, *more])
    return int(said["events"][-1]["number"])


def _issued(case: Case, ref: str, language: Language, says: str) -> Draft:
    """Return the event that the person got her copy of the referral *ref*."""
    form: CopyForm = "addresses" if says == "contacts" else "referral_form"
    data = CopyIssued(form=form, paper_language=IN_EVENTS[language])
    now, who = case.visit.door.seat.now(), case.visit.me.number
    return Draft(
        type=data.type, version=data.version, subject=case.subject, data=data, time=now, actor=who, referral=ref
    )


def _referral(case: Case, tx: Connection, ref: str) -> tuple[Referral, Mapping[str, Any]]:
    """Return the referral *ref* of the case. Raises NotFound if the case has none."""
    told = courses.referrals(tx, case.visit.door.desk, case=case.subject, ref=ref)
    found = next((each for each in referrals_of(case, tx) if each.ref == ref), None)
    if found is None or not told:
        raise NotFound
    return found, told[-1]


def _asked(
    case: Case,
    referral: Referral,
    *,
    language: Language | None = None,
    says: str = "",
    is_sent: bool = False,
    refused: DeskError | None = None,
) -> Response:
    t, errors = case.visit.t, dict[str, str]()
    if is_sent and language is None:
        errors["language"] = t("Choose the person's language")
    if is_sent and says not in {"all", "contacts"}:
        errors["says"] = t("Choose what the paper may say")
    return case.visit.page(
        "cases/ask_copy.html.j2", title=t("The person's own copy"), case=case, referral=referral, languages=LANGUAGES,
        language=language, says_what=says, errors=errors, refused=t(refused.sentence) if refused else "",
        has_errors=bool(errors or refused), status=refused.status if refused else 422 if errors else 200,
        keeps=url(PAPER),
    )  # fmt: skip


def _asked_sheet(
    case: Case, *, purpose: str | None = None, is_sent: bool = False, refused: DeskError | None = None
) -> Response:
    t = case.visit.t
    errors = {"purpose": t("Choose what you need it for")} if is_sent else {}
    return case.visit.page(
        "cases/ask_sheet.html.j2", title=t("Case sheet"), case=case, purposes=PURPOSES, purpose=purpose, errors=errors,
        refused=t(refused.sentence) if refused else "", has_errors=bool(errors or refused),
        status=refused.status if refused else 422 if errors else 200, keeps=url(f"{case.path}/sheet"),
    )  # fmt: skip


def _copy(
    case: Case,
    language: Language,
    told: Mapping[str, Any],
    number: int,
    parts: Iterable[Mapping[str, Any]],
    *,
    only_contacts: bool,
) -> Response:
    """Return the copy in the person's *language*, whatever the member's own is."""
    visit, how = case.visit, case.visit.t
    t = visit.t = Words(language, **{**facts_of(visit.profile), "zone": how.zone})
    with visit.door.ledger.read() as tx:
        events = courses.course(tx, visit.door.desk, case.subject, cases.NEWEST, limit=MAX_INTEGER)
    data: Mapping[str, Any] = next((each["data"] for each in events if each["id"] == told["id"] and "data" in each), {})
    asked = {name: data[name] for name in _ASKED if name in data}
    there: Mapping[str, bool] | None = next((each["parts"] for each in parts if each["event"] == told["id"]), None)
    asked_too = {each["agency"] for each in told["receivers"]}
    teller = None if (me := visit.door.seat.me) in asked_too else _place(visit, me)
    known = {
        each["agency"]: each["state"]
        for each in told["receivers"]
        if hears(me, told["source"], each["agency"], each["state"])
    }
    directory = visit.door.seat.directory
    lines = set(directory.of_role("hotline")) - asked_too - {me}
    # Somebody answers the telephone of a suspended one all the same.
    hotlines = {each for each in lines if directory.state(each, visit.now) != "retired"}
    return visit.page(
        "cases/copy.html.j2", title=t("Addresses") if only_contacts else t("Your referral"), case=case, number=number, how=how, only_contacts=only_contacts,
        places=[_place(visit, each["agency"], known.get(each["agency"], ""), _ground(case, each["agency"], events)) for each in told["receivers"]], teller=teller,
        hotlines=[found for each in sorted(hotlines) if (found := _place(visit, each)).phone],
        facts=() if only_contacts else tuple(case.facts(SUBMITTED, asked)),
        parts=[t.code("person.part", part) for part, has_content in sorted((there or {}).items()) if has_content],
        is_known=there is not None, sender=_place(visit, told["source"]), day=case.day(told["registered"]),
    )  # fmt: skip


def _ground(case: Case, agency: str, events: Iterable[Mapping[str, Any]]) -> str:
    """Return in the person's words on which ground *agency* was told of her: what stands for it now, as this desk knows it.

    A consent that is over was the ground; a refusal before it holds again, and is none.
    """
    t, view = case.visit.t, case.view
    standing = None if view.child else view.consents.get((agency, SHARING))
    if standing is not None and standing.on(around.today(case.visit)) is not standing:
        return t("Ground: a consent of yours that has ended since.")
    day = next((case.day(each["registered"]) for each in events if standing and each["id"] == standing.id), "")
    match standing.kind if standing else None:
        case "given":
            return t("Ground: your consent of {day}.", day=day) if day else t("Ground: your consent.")
        case "overridden":
            return t("Ground: without your consent, for a reason in law that was recorded.")
        case "withdrawn":
            return t("Ground: a consent that you have taken back since.")
    profile = case.visit.door.seat.rules.profile_for(view)
    row = profile.types.get(SUBMITTED)
    law = next((each for each in citations(row.basis, profile.laws) if each.title), None) if row else None
    if law is None or law.title is None:
        return t("Ground: the rules of the referral mechanism.")
    return t("Ground: {basis}.", basis=f"{law.text} ({t(law.title, ctx='law')})")


def _place(visit: Visit, agency: str, state: str = "", ground: str = "") -> Place:
    """Return the *agency* as somebody finds it who does not work there; with its answer, by the *state* of a referral if that is known here."""
    t, entry = visit.t, visit.door.seat.directory.entries.get(agency)
    contact, role = (entry.contact, t.capital(t.agency_role(entry.role))) if entry else (None, "")
    answers = {
        "submitted": t("It has not answered yet."),
        "accepted": t("It has said yes."),
        "completed": t("It has said yes."),
        "declined": t("It has said no. Ask who else can help."),
        "revoked": t("It is not asked any more."),
        "expired": t("It has not answered in time. Ask who else can help."),
    }
    return Place(
        name=contact.name if contact else agency,
        role=role,
        address=(contact.address or "") if contact else "",
        phone=(contact.phone or "") if contact else "",
        answer=answers.get(state, ""),
        ground=ground,
    )
