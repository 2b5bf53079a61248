"""Guide for a first-time worker: from what was seen to a signal, consents and referrals, as one draft and one sending."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept, Typed
from nrmbus.desk.web.acts import around, fields, form, sending, speed
from nrmbus.desk.web.acts.doubts import age_doubt, doubts
from nrmbus.desk.web.acts.editing import CHECK, WHAT, merged, moment_of, save, sections_of, seen_of
from nrmbus.desk.web.acts.fields import Choices, Option, Shown
from nrmbus.desk.web.acts.form import Field
from nrmbus.desk.web.acts.guide_events import (
    BASIS,
    INTERPRETER,
    asked_for,
    asks_for_basis,
    asks_for_beds_alone,
    bodies,
    decides,
    guardians_missing,
    guardians_to_choose,
    is_child,
    language_of,
    new_ids,
    recipients_of,
    referral_form,
    role_of,
    seen_signs,
    taken_by,
    units_of,
)
from nrmbus.desk.web.acts.guide_questions import (
    CONSENT,
    DANGER,
    GUARDIANS,
    GUIDE,
    HELP,
    LETTER,
    NEED,
    PERSON,
    QUESTIONS,
    SEEN,
)
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.events.case import IncidentOpened, SignalRecorded
from nrmbus.events.errors import Problem
from nrmbus.events.legal_basis import is_legal_basis
from nrmbus.web import names
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.guard import Form as Sent
from nrmbus.wire.ids import new_ref

routes: Final = Pages()
# -- pages ---------------------------------------------------------------------------------------------------------------


@routes.get("/signals/new", may="publish")
async def start(visit: Visit) -> Response:
    """Say what the guide does, and begin it."""
    return _start(visit)


def _start(visit: Visit, text: str = "") -> Response:
    """Show the first page, with the *text* that somebody typed to look for a case."""
    _may_guide(visit)
    with visit.door.ledger.read() as tx:
        mine = [(each.id, each.page, moment_of(visit, each.changed)) for each in _mine(visit, tx)]
    return visit.page(
        "acts/guide_start.html.j2",
        title=visit.t("Somebody may be a victim"),
        mine=mine,
        may_group=around.may_do(visit, IncidentOpened.type),
        text=text,
        keeps=url("/signals/new"),
    )


def _mine(visit: Visit, tx: Connection) -> list[Kept]:
    """Return the member's guides that are not sent."""
    found = drafts.listed(visit.door.seat, tx, owner=visit.me.number, state="open")
    return [each for each in found if each.type == GUIDE]


@routes.post("/signals/new", may="publish")
async def begin(visit: Visit) -> Response:
    """Begin a guided signal in a case of its own."""
    if (form := await visit.form())["go"] == LANGUAGE:
        return _start(visit, form["text"])
    _may_guide(visit)
    typed = new_ids(visit)
    async with visit.door.ledger.write() as tx:
        untouched = [each for each in _mine(visit, tx) if each.typed.keys() == typed.keys()]
        made = (
            untouched[0]
            if untouched
            else drafts.begin(
                visit.door.seat,
                tx,
                owner=visit.me.number,
                type=GUIDE,
                subject=new_ref(),
                ref=None,
                page=SEEN,
                typed=typed,
            )
        )
    return visit.see(f"/acts/{made.id}/{SEEN}")


def again(visit: Visit, tx: Connection, sent: Kept) -> Kept:
    """Return the draft to go on with after a refusal of the guide *sent*, which ends.

    If nothing of it was registered, it is the same guide, with new events. Otherwise each event that was not registered
    becomes a draft of its own in the case, with what was typed, and the first of them is returned.

    Raises:
        NotFound: nothing was refused, or an answer is still to come.
    """
    bodies = sending.bodies_of(sent)
    verdicts = [sending.verdict_of(sending.outcome(visit.door, tx, [str(body["id"])])) for body in bodies]
    missing = [body for body, verdict in zip(bodies, verdicts, strict=True) if verdict in {"refused", "failed"}]
    if not missing or "pending" in verdicts:
        raise NotFound
    zone, made = visit.t.zone, list[tuple[str, Typed]]()
    if len(missing) == len(bodies):
        made.append((GUIDE, {**sent.typed, **new_ids(visit)}))
    else:
        for body in missing:
            typed = form.typed_of(form.form_of(sending.model_of(visit.door, body["type"])), body, zone)
            made.append((body["type"], sending.fresh(body["type"], typed)))
    drafts.drop(tx, drafts.is_draft(sent.id))
    begun = [
        drafts.begin(
            visit.door.seat, tx, owner=sent.owner, type=type, subject=sent.subject, ref=None,
            page=SEEN if type == GUIDE else WHAT, typed=typed, is_another=True,
        )
        for type, typed in made
    ]  # fmt: skip
    return begun[0]


@routes.post("/signals/alone", may="publish")
async def begin_alone(visit: Visit) -> Response:
    """Begin a signal in a case of its own, without the guide."""
    type = SignalRecorded.type
    if not around.may_do(visit, type):
        raise NotFound
    detector = role_of(visit, visit.door.seat.me)
    async with visit.door.ledger.write() as tx:
        made = drafts.begin(
            visit.door.seat, tx, owner=visit.me.number, type=type, subject=new_ref(), ref=None, page=WHAT,
            typed=sending.fresh(type, {"data.detector": (detector,)}),
        )  # fmt: skip
    return visit.see(f"/acts/{made.id}/{made.page}")


def _may_guide(visit: Visit) -> None:
    if not around.may_do(visit, SignalRecorded.type) or not around.may_do(visit, "referral.submitted"):
        raise NotFound


async def show(visit: Visit, draft: Kept, page: str) -> Response:
    """Show a page of the guide."""
    pages = _pages(visit, draft.typed)
    if page == CHECK:
        return await check(visit, draft)
    if page not in pages:
        return visit.see(f"/acts/{draft.id}/{pages[0]}")
    return _fill_in(visit, draft, page, draft.typed, {})


async def go_on(visit: Visit, draft: Kept, page: str, sent: Sent) -> Response:
    """Save a page of the guide, and lead to the next one."""
    if page not in _pages(visit, draft.typed):
        raise NotFound
    typed = merged(draft.typed, sent, _fields(visit, page, draft.typed))
    wrong = errors_of(visit, page, typed)
    pages = (*_pages(visit, typed), CHECK)
    following = pages[pages.index(page) + 1]
    goes_on = sent["go"] == "on" and not wrong
    kept = await save(visit, draft, typed, following if goes_on and following != CHECK else page, sent)
    if isinstance(kept, Response):
        return kept
    if sent["go"] == "later":
        return visit.see("/acts")
    if sent["go"] == LANGUAGE:
        return visit.see(f"/acts/{draft.id}/{page}")
    return visit.see(f"/acts/{draft.id}/{following}") if goes_on else _fill_in(visit, kept, page, typed, wrong)


def _pages(visit: Visit, typed: Typed) -> tuple[str, ...]:
    """Return the pages of the guide.

    Nobody asks a child for consent, without guardian bodies a child has no referral, and without a referral there is no letter.
    """
    if is_child(typed) and guardians_missing(visit):
        return (SEEN, PERSON, DANGER)
    middle = () if is_child(typed) else (CONSENT,)
    letter = () if asks_for_beds_alone(visit, typed) else (LETTER,)
    return (SEEN, PERSON, DANGER, NEED, HELP, *middle, *letter)


def _fields(visit: Visit, page: str, typed: Typed) -> tuple[Field, ...]:
    letter = referral_form(visit).fields if page == LETTER else ()
    of_letter = (each for each in letter if fields.is_letter(each) and each.name != INTERPRETER)
    return (*_questions(visit, page, typed), *of_letter)


def _questions(visit: Visit, page: str, typed: Typed) -> tuple[Field, ...]:
    """Return the questions of *page*; beside the letter it is the legal basis, if a person has to name one."""
    if page == LETTER:
        basis = referral_form(visit).named(BASIS)
        return (replace(basis, is_required=True),) if basis is not None and asks_for_basis(visit, typed) else ()
    asks = page == HELP and bool(guardians_to_choose(visit, typed))
    return tuple(each for each in QUESTIONS[page] if each.name != GUARDIANS or asks)


def _fill_in(visit: Visit, draft: Kept, page: str, typed: Typed, errors: Mapping[str, str]) -> Response:
    shown = Shown(visit.t, typed, errors, _choices(visit, draft, page, typed))
    parts: list[Mapping[str, Any]] = []
    pages = _pages(visit, typed)
    if page == LETTER:
        readers = _readers(visit, draft, typed)
        asked = [
            (part, tuple(each for each in of if each.name != INTERPRETER))
            for part, of in referral_form(visit).parts.items()
        ]
        parts = [
            {"part": part, "blocks": shown.blocks(of), "readers": readers[part]}
            for part, of in asked
            if of and readers.get(part)
        ]
    at = pages.index(page)
    return visit.page(
        "acts/guide.html.j2", title=_title(visit, page), status=422 if errors else 200, draft=draft, page=page, parts=parts,
        blocks_of_page=shown.blocks(_questions(visit, page, typed)), has_errors=bool(errors),
        summary=[{"text": text, "href": f"#{_anchor(pointer)}"} for pointer, text in errors.items()],
        has_unit=bool(set(units_of(visit)) - {visit.door.seat.me}), is_child=is_child(draft.typed), number=at + 1, pages=len(pages) + 1, has_recipients=True,
        back_path=f"/acts/{draft.id}/{pages[at - 1]}" if at else "/signals/new", keeps=url(f"/acts/{draft.id}/{page}"),
    )  # fmt: skip


def _anchor(pointer: str) -> str:
    return fields.id_of(pointer[1:].replace("/", "."))


def _title(visit: Visit, page: str) -> str:
    t = visit.t
    return {
        SEEN: t("What did you see or hear?"), PERSON: t("Who is the person?"), DANGER: t("Is there danger?"),
        NEED: t("What is needed?"), HELP: t("Who can help?"), CONSENT: t("What does the person agree to?"), LETTER: t("What must they know?"),
    }[page]  # fmt: skip


def _choices(visit: Visit, draft: Kept, page: str, typed: Typed) -> Choices:
    """Return whom one may choose: on the page of help those that take the services first, afterwards only the chosen."""
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
        within = speed.answered_within(tx, visit.door.seat.me) if page == HELP else {}
    data = sending.model_of(visit.door, "referral.submitted")
    known = around.choices(visit, case, data, {}, None)
    chosen, services = typed.get("guide.to", ()), typed.get("guide.services", ())
    guardians = guardians_to_choose(visit, typed)

    def agencies(of: Field) -> list[Option]:
        if of.name == GUARDIANS:
            named = sorted((around.name_of(visit, each), each) for there in guardians.values() for each in there)
            return [(each, name) for name, each in named]
        if page != HELP:
            wanted = [each for each in chosen if of.name != "guide.accepts" or not decides(visit, each)]
            return [(each, around.name_of(visit, each)) for each in wanted]
        found = known.agencies(Field("/data/to", "", "agencies"))
        told = [(each, _with_speed(visit, each, name, services, within)) for each, name in found]
        return sorted(
            told, key=lambda each: (not decides(visit, each[0]), not taken_by(visit, each[0], services), each[1])
        )

    return Choices(agencies, known.roles, known.events, known.duties)


def _with_speed(visit: Visit, agency: str, name: str, services: tuple[str, ...], within: Mapping[str, Any]) -> str:
    t = visit.t
    taken = taken_by(visit, agency, services)
    found = [name]
    if decides(visit, agency):
        found.append(t("decides whether the person is a victim"))
    if taken:
        found.append(t("takes: {services}", services=", ".join(t.code("Service", each) for each in taken)))
    if agency in within:
        found.append(t("has answered within {length}", length=t.length(within[agency])))
    return " – ".join(found)


def _readers(visit: Visit, draft: Kept, typed: Typed) -> Mapping[Any, list[str]]:
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
    said = {"to": sorted(each for _, to, _ in asked_for(visit, typed) for each in to), "child": is_child(typed)}
    return around.readers_of(visit, case, sending.model_of(visit.door, "referral.submitted"), said, None)


def errors_of(visit: Visit, page: str, typed: Typed) -> dict[str, str]:
    """Return what is missing or wrong on *page*, by pointer."""
    t = visit.t
    if page == LETTER:
        made = referral_form(visit)
        request = form.read(made, typed, t.zone)
        found = form.problems(made, request)
        letter = [each for each in found if each.pointer.startswith(f"/{form.SEALED}/")]
        placed = [(*fields.place_of(made, typed, each), each) for each in letter]
        basis = _questions(visit, page, typed)
        said = form.one(typed, BASIS)
        wrong = {
            each.pointer: fields.sentence(t, each, Problem(each.pointer, "value_error" if said else "missing"))
            for each in basis if not is_legal_basis(said)
        }  # fmt: skip
        wrong |= {pointer: fields.sentence(t, field, each) for field, pointer, each in placed if field is not None}
        return dict(doubts(t, made.data, request, around.today(visit))) | wrong
    wrong = {
        each.pointer: fields.sentence(t, each, Problem(each.pointer, "missing"))
        for each in _questions(visit, page, typed) if each.is_required and not any(typed.get(each.name, ()))
    }  # fmt: skip
    unchosen = [
        t.capital(t.agency_role(role)) for role, there in guardians_to_choose(visit, typed).items()
        if page == HELP and not set(there) & set(typed.get(GUARDIANS, ()))
    ]  # fmt: skip
    if unchosen:
        wrong["/guide/guardians"] = t("Choose: {label}", label=", ".join(unchosen))
    if page == SEEN and not seen_signs(typed) and form.one(typed, "guide.asked") != "yes":
        wrong["/guide/dr"] = t(
            "Tick what you saw, or say that the person asked for help: a signal rests on one of them."
        )
    if page == PERSON and is_child(typed) and not form.one(typed, "guide.basis"):
        wrong["/guide/basis"] = t("Choose what it rests on that the person is, or may be, a child.")
    if page == PERSON and (doubt := age_doubt(t, form.one(typed, "guide.child"), form.one(typed, "guide.age_band"))):
        wrong["/guide/age_band"] = doubt
    language, needs = language_of(typed), form.one(typed, "guide.interpreter") == "yes"
    if page == PERSON and (language or needs) and not names.is_known("language", language):
        asked = next(each for each in QUESTIONS[PERSON] if each.name == "guide.language")
        problem = Problem(asked.pointer, "value_error" if language else "missing")
        wrong[asked.pointer] = fields.sentence(t, asked, problem)
    if page == CONSENT and not wrong and not recipients_of(visit, typed):
        wrong["/guide/sharing"] = t(
            "Nobody is left whom you may tell. Choose another agency, or save the draft and come back."
        )
    return wrong


# -- check -----------------------------------------------------------------------------------------------------------------


def first_wrong(visit: Visit, draft: Kept) -> str | None:
    """Return the first page with something wrong or missing; None if all of them are complete."""
    return next((page for page in _pages(visit, draft.typed) if errors_of(visit, page, draft.typed)), None)


async def check(visit: Visit, draft: Kept, *, passed: bool = False) -> Response:
    """Show everything that will be sent, or what is missing; *passed*: the draft is not what this tab showed."""
    page = first_wrong(visit, draft)
    if page is not None:
        return _fill_in(visit, draft, page, draft.typed, errors_of(visit, page, draft.typed))
    wanted = bodies(visit, draft)
    found = await sending.checked(visit.door, wanted)
    refusal = next((each for each in found if each["verdict"] == "refused"), None)
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
    pages = _pages(visit, draft.typed)
    missing = [visit.t.agency_role(each) for each in guardians_missing(visit)] if is_child(draft.typed) else []
    events = [
        {"type": body["type"], "sections": sections_of(visit, case, [body]), "verdict": verdict["verdict"]}
        for body, verdict in zip(wanted, found, strict=True)
    ]
    return visit.page(
        "acts/guide_check.html.j2", status=409 if passed else 200, passed=passed, seen=seen_of(visit, draft, wanted[0][form.DATA]), cited=around.cited, title=visit.t("Check your answers"), draft=draft, events=events, refusal=refusal,
        has_errors=refusal is not None, back_path=f"/acts/{draft.id}/{pages[-1]}",
        mend=f"/acts/{draft.id}/{HELP if HELP in pages else pages[-1]}",
        missing=missing, asks_for_beds_alone=asks_for_beds_alone(visit, draft.typed),
    )  # fmt: skip
