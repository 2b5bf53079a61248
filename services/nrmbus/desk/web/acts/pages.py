"""Pages of one act: choose, fill in, check, send, and see what became of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept, PassedError, TooLongError, Typed
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.web.acts import around, fields, form, guide, guide_events, guide_questions, sending
from nrmbus.desk.web.acts.around import Case
from nrmbus.desk.web.acts.editing import (
    CHECK,
    LETTER,
    WHAT,
    Act,
    about_of,
    act_of,
    anchor_of,
    answered_page,
    errors_of,
    finish,
    lead_on,
    merged,
    merged_by_script,
    moment_of,
    own_draft,
    part_of,
    replace_said,
    save,
    saved,
    sections_of,
    seen_of,
    shown,
)
from nrmbus.desk.web.acts.proposed import proposed
from nrmbus.desk.web.acts.told import Fact, asked
from nrmbus.desk.web.rooms import own_act
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.desk.web.work.kinds import LODGING, PERIODS
from nrmbus.desk.web.work.known import known_of
from nrmbus.events.bulletin import is_bulletin
from nrmbus.events.errors import Problem
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.shelter import BedRequested
from nrmbus.web.frame import LANGUAGE
from nrmbus.wire import json as wire_json

routes: Final = Pages()

TWO_PERSONS: Final = "two_person_rule"
FIELD_OF_RULE: Final[Mapping[str, str]] = {
    "G-07": "/data/duty_role", "G-08": "/time", "G-10": "/data/to", "G-22": "/data/attended", "G-23": "/data/attended",
    "G-27": "/data/until", "G-30": "/data/to", "G-31": "/data/to", "G-32": "/data/to", "G-33": "/data/withhold_from",
    "G-34": "/data/withhold_from", "G-35": "/legal_basis", "G-36": "/data/receivers", "G-44": "/data/reasons",
    "G-50": "/data/reason", "G-55": "/data/to", "G-56": "/data/given_by", "G-62": "/data/amount", "G-63": "/data/payee",
}  # fmt: skip
"""Field that a person changes after a refusal by a rule."""
_FIRST: Final[Mapping[str, str]] = {
    "acceptance_required": "referral.accepted", "best_interests_required": "safeguard.best_interests_decided",
    "consent_required": "consent.given", "embassy_not_allowed": "consent.given", "no_offer": "shelter.bed_offered", "refusal_not_on_record": "consent.refused",
    "return_not_safe": "return.risk_assessed", "return_not_voluntary": "return.consented",
    "safeguard_first": "safeguard.child_flagged", "screening_required": "identification.indicators_screened",
    "stage_order": "identification.stage_entered",
}  # fmt: skip
"""Step after which the Rules may allow what they refuse with a code; it is offered where the member may take it."""


# -- choosing --------------------------------------------------------------------------------------------------------------


@routes.get("/cases/{case}/acts", may="read_cases")
async def choose(visit: Visit) -> Response:
    """Show what the member may do in the case now, and why the rest is closed."""
    with visit.door.ledger.read() as tx:
        case = around.known_case(visit, tx, visit.path("case"))
    now, later = around.choices_of(visit, case) if case.is_whole else ([], [])
    return visit.page(
        "acts/choose.html.j2", title=visit.t("What do you want to do?"), case=case, later=later, pressing=[each for each in now if each.due],
        others=around.by_subject(visit, (each for each in now if not each.due)),
        back_path=f"/cases/{case.subject}",
    )  # fmt: skip


@routes.post("/cases/{case}/acts/{type}", may="read_cases")
async def begin(visit: Visit) -> Response:
    """Begin the draft of a step, or go on with the member's own."""
    subject, type = visit.path("case"), visit.path("type")
    ref = (await visit.form())["ref"][:64] or None
    if not around.may_do(visit, type) or own_act(visit, type) is not None:
        raise NotFound
    basis = around.basis_of(visit, type)
    model = sending.model_of(visit.door, type)
    asks_nothing = not form.form_of(model).clear and model.letter is None
    with visit.door.ledger.read() as tx:
        case = around.known_case(visit, tx, subject)
        ref = sending.answers(case.view, type, ref)
        asking = around.request_of(tx, type, subject, ref) if ref else None
    request = None if asking is None else event_of(asking)
    typed = {
        **proposed(visit, case, model, ref, request),
        **({"legal_basis": (basis,)} if basis else {}),
    }

    async with visit.door.ledger.write() as tx:
        made = drafts.begin(
            visit.door.seat, tx, owner=visit.me.number, type=type, subject=subject, ref=ref,
            page=WHAT, typed=sending.fresh(type, typed),
        )  # fmt: skip
    return visit.see(f"/acts/{made.id}/{CHECK if asks_nothing else made.page}")


@routes.get("/acts", may="publish")
async def mine(visit: Visit) -> Response:
    """List the member's drafts."""
    with visit.door.ledger.read() as tx:
        found = drafts.listed(visit.door.seat, tx, owner=visit.me.number)
        sent = {each.id: sending.outcome(visit.door, tx, [each.id]) for each in found if each.state == "sent"}
        cases = {each.id: around.case_called(visit, tx, each.subject) for each in found}
    rows = [
        {
            "id": each.id, "type": each.type, "case": cases[each.id], "page": each.page if each.state == "open" else "sent", "state": each.state,
            "changed": moment_of(visit, each.changed), "verdict": sending.verdict_of(sent[each.id]) if sent.get(each.id) else "",
        }
        for each in found if sending.verdict_of(sent.get(each.id) or [{"verdict": ""}]) != "registered" or each.state != "sent"
    ]  # fmt: skip
    kept_days = drafts.KEPT.days
    return visit.page("acts/mine.html.j2", title=visit.t("Your drafts"), rows=rows, kept_days=kept_days)


# -- filling in --------------------------------------------------------------------------------------------------------------


@routes.get("/acts/{id}/{page}", may="read_cases")
async def show(visit: Visit) -> Response:
    """Show a page of a draft: its fields, the answers to check, or what became of it."""
    id, page = visit.path("id"), visit.path("page")
    if page == "sent":
        return await _sent(visit, id)
    draft = own_draft(visit, id)
    if draft is None or draft.state != "open":
        return visit.see(f"/acts/{id}/sent")
    if draft.type == guide_questions.GUIDE:
        return await guide.show(visit, draft, page)
    act = act_of(visit, draft)
    if page == CHECK:
        return await _check(visit, act)
    if page not in act.steps or is_filled_in(act):
        raise NotFound
    return _fill_in(visit, act, page, draft.typed, {})


def is_filled_in(act: Act) -> bool:
    """Return whether the act's room has filled in everything."""
    return act.own is not None and act.own.is_whole


@routes.post("/acts/{id}/keep", may="publish")
async def keep(visit: Visit) -> Response:
    """Save what is typed so far, for the script of the page."""
    sent = await visit.form()
    draft = own_draft(visit, visit.path("id"))
    if draft is None or draft.state != "open":
        return JSONResponse({"state": "gone"}, 409)
    try:
        kept = await saved(visit, draft, merged_by_script(draft, sent), draft.page, sent)
    except PassedError:
        return JSONResponse({"state": "passed"}, 409)
    except LookupError:
        return JSONResponse({"state": "gone"}, 409)
    except (TooLongError, SQLAlchemyError, OSError):
        return JSONResponse({"state": "failed"}, 503)
    return JSONResponse({"state": "saved", "version": kept.version, "at": visit.t.clock(visit.now)})


@routes.post("/acts/{id}/delete", may="read_cases")
async def delete(visit: Visit) -> Response:
    """Delete the member's own draft."""
    draft = own_draft(visit, visit.path("id"))
    if draft is not None:
        async with visit.door.ledger.write() as tx:
            now = drafts.of(visit.door.seat, tx, draft.id, draft.owner)
            if now is not None and now.state != "sent":
                drafts.drop(tx, drafts.is_draft(now.id))
    return visit.see("/acts")


@routes.post("/acts/{id}/send", may="publish")
async def send(visit: Visit) -> Response:
    """Send the draft, or have it wait for a second person."""
    draft = own_draft(visit, visit.path("id"))
    if draft is None:
        return await lead_on(visit, visit.path("id"))
    if draft.state != "open":
        return visit.see(f"/acts/{draft.id}/sent")
    bodies = _complete(visit, draft)
    if bodies is None:
        return visit.see(f"/acts/{draft.id}/{CHECK}")
    if (shown_anew := await _not_as_seen(visit, draft, bodies)) is not None:
        return shown_anew
    found = await sending.checked(visit.door, bodies)
    if any(each.get("code") == TWO_PERSONS for each in found):
        return await _ask_second(visit, draft, bodies)
    refused = next((each for each in found if each["verdict"] == "refused"), None)
    if refused is not None and (await visit.form())["go"] != "anyway":
        return visit.see(f"/acts/{draft.id}/{CHECK}")
    return await finish(visit, draft, bodies)


async def _not_as_seen(visit: Visit, draft: Kept, bodies: list[sending.Body]) -> Response | None:
    """Return the check as it is now, if what would be sent is no longer what the member has seen; None if it is.

    A page of an earlier release has no mark of what it showed, except for a room's own acts.
    """
    own, said, seen = own_act(visit, draft.type), bodies[0][form.DATA], (await visit.form())["seen"]
    if (seen or own is not None) and seen != seen_of(visit, draft, said):
        if draft.type == guide_questions.GUIDE:
            return await guide.check(visit, draft, passed=True)
        return await _check(visit, act_of(visit, draft), passed=True)
    if own is None:
        return None
    changed = await own.changed(visit, said)
    if changed is None:
        return None
    if changed.is_passing:
        return await _check(visit, act_of(visit, draft), changed=changed.part)
    kept = await _kept(visit, replace(draft, typed=changed.typed))
    return kept if isinstance(kept, Response) else await _check(visit, act_of(visit, kept), changed=changed.part)


def _complete(visit: Visit, draft: Kept) -> list[sending.Body] | None:
    """Return the requests that the draft is; None if something is missing or wrong. Raises NotFound for who may not send."""
    if draft.type == guide_questions.GUIDE:
        return None if guide.first_wrong(visit, draft) else guide_events.bodies(visit, draft)
    if not around.may_do(visit, draft.type):
        raise NotFound
    act = act_of(visit, draft)
    is_wrong = any(errors_of(visit, act, page, draft.typed) for page in act.steps)
    return None if is_wrong else [sending.body_of(visit.door, draft)]


@routes.post("/acts/{id}/again", may="publish")
async def again(visit: Visit) -> Response:
    """Go on with what was typed after a refusal, as a new event; or take it back from a second person.

    A second click leads to the same draft after taking it back, and to the refusal after that.
    """
    draft, made = own_draft(visit, visit.path("id")), None
    if draft is not None:
        async with visit.door.ledger.write() as tx:
            now = drafts.of(visit.door.seat, tx, draft.id, draft.owner)
            made = _again(visit, tx, now) if now is not None else None
    return await lead_on(visit, visit.path("id")) if made is None else visit.see(f"/acts/{made.id}/{CHECK}")


def _again(visit: Visit, tx: Connection, now: Kept) -> Kept:
    """Return the draft with which the member goes on instead of *now*. Raises NotFound if nothing of it was refused."""
    seat = visit.door.seat
    if now.state == "open":
        return now
    if (taken := drafts.take_back(seat, tx, now)) is not None:
        return taken
    if now.type == guide_questions.GUIDE:
        return guide.again(visit, tx, now)
    found = sending.outcome(visit.door, tx, [now.id])
    if now.state != "sent" or not found or sending.verdict_of(found) not in {"refused", "failed"}:
        raise NotFound
    made = drafts.begin(
        seat, tx, owner=now.owner, type=now.type, subject=now.subject, ref=now.ref, page=WHAT, typed=now.typed,
        is_another=True,
    )  # fmt: skip
    drafts.drop(tx, drafts.is_draft(now.id))
    return made


@routes.post("/acts/{id}/{page}", may="publish")
async def go_on(visit: Visit) -> Response:
    """Save a page of a draft, and lead to the next one."""
    id, page, sent = visit.path("id"), visit.path("page"), await visit.form()
    draft = own_draft(visit, id)
    if draft is None or draft.state != "open":
        return await lead_on(visit, id)
    if draft.type == guide_questions.GUIDE:
        return await guide.go_on(visit, draft, page, sent)
    act = act_of(visit, draft)
    if page not in act.steps or is_filled_in(act):
        raise NotFound
    typed = merged(draft.typed, sent, act.fields_of(page))
    wrong = errors_of(visit, replace_said(visit, act, typed), page, typed)
    following = CHECK if page == act.steps[-1] else LETTER
    goes_on = sent["go"] == "on" and not wrong
    kept = await save(visit, draft, typed, following if goes_on else page, sent)
    if isinstance(kept, Response):
        return kept
    if sent["go"] == "later":
        return visit.see("/acts")
    if sent["go"] == LANGUAGE:
        return visit.see(f"/acts/{id}/{page}")
    if goes_on:
        return visit.see(f"/acts/{id}/{following}")
    added = sent["go"].startswith("add")
    return _fill_in(visit, act_of(visit, kept), page, typed, {} if added else wrong)


def _is_touched(fields: Iterable[form.Field], typed: Typed, errors: Mapping[str, str]) -> bool:
    """Return whether something stands in one of *fields*, or is wrong there."""
    names, pointers = tuple(each.name for each in fields), tuple(each.pointer for each in fields)
    return any(pointer.startswith(pointers) for pointer in errors) or any(
        any(values) for name, values in typed.items() if name.startswith(names)
    )


def _fill_in(visit: Visit, act: Act, page: str, typed: Typed, errors: Mapping[str, str]) -> Response:
    parts: list[Mapping[str, Any]] = []
    view = shown(visit, act, typed, errors)
    clear = act.typed_by_people(act.sheet.clear)
    if page == act.steps[-1]:
        readers = around.readers_of(visit, act.case, act.data, act.said, act.draft.ref)
        parts = [
            {
                "part": part,
                "blocks": view.blocks(of),
                "readers": readers.get(part, []),
                "is_folded": act.has_recipients and not readers.get(part) and not _is_touched(of, typed, errors),
            }
            for part, of in act.sheet.parts.items()
        ]
    summary = [{"text": text, "href": f"#{anchor_of(act, pointer)}"} for pointer, text in errors.items()]
    return visit.page(
        "acts/fill_in.html.j2", title=visit.t.code("act", act.draft.type), status=422 if errors else 200, act=act, page=page,
        blocks_of_page=view.blocks(clear) if page == WHAT else (), more=view.blocks(act.sheet.envelope) if page == WHAT else (),
        parts=parts, summary=summary, has_errors=bool(errors), is_more_open=any(each.pointer in errors for each in act.sheet.envelope),
        number=act.steps.index(page) + 1, pages=len(act.steps) + 1, about=about_of(visit, act), asked=_asked(visit, act),
        back_path=_back(act, page), own=act.own, keeps=url(f"/acts/{act.draft.id}/{page}"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What another agency asks for in the record that an act answers."""

    said: list[Fact]
    letters: str
    """Address of the case's letters, if one came with the request and the member may open it; else empty."""


def _asked(visit: Visit, act: Act) -> Asked | None:
    """Return what is asked in the record that *act* answers; None if the agency opened the record itself, or does not have it."""
    subject, ref = act.draft.subject, act.draft.ref
    with visit.door.ledger.read() as tx:
        row = around.request_of(tx, act.draft.type, subject, ref) if ref else None
    event = None if row is None else event_of(row)
    if row is None or event is None or event.source == visit.door.seat.me:
        return None
    may_open = "open_letters" in visit.me.permissions and bool(json.loads(row.parts)) and not row.shut
    return Asked(asked(visit, event), f"/cases/{subject}/letters?letter={row.id}" if may_open else "")


def _back(act: Act, page: str) -> str:
    if page == LETTER:
        return f"/acts/{act.draft.id}/{WHAT}"
    if act.own is not None:
        return act.own.begins
    if is_bulletin(act.case.subject):
        return "/bulletins"
    return f"/cases/{act.case.subject}/acts" if act.case.view.exists else "/acts"


# -- checking --------------------------------------------------------------------------------------------------------------


async def _check(visit: Visit, act: Act, *, passed: bool = False, changed: Markup | None = None) -> Response:
    """Show the answers to check; *passed*: the draft is not what this tab showed, *changed*: what no longer held, in words."""
    wrong = {page: errors_of(visit, act, page, act.draft.typed) for page in act.steps}
    for page, errors in wrong.items():
        if errors:
            return _fill_in(visit, act, page, act.draft.typed, errors)
    with visit.door.ledger.read() as tx:
        before = sending.answered(tx, act.draft)
    if before is not None:  # said before the Rules are asked, which would refuse and not say who was first
        return answered_page(visit, act.draft, before)
    body = sending.body_of(visit.door, act.draft)
    (found,) = await sending.checked(visit.door, [body])
    places = [Problem(each["pointer"], each["kind"]) for each in found.get("problems", ())]
    errors, place = dict[str, str](), WHAT
    for problem in places:
        field, pointer = fields.place_of(act.sheet, act.draft.typed, problem)
        if field is not None:
            errors[pointer] = fields.sentence(visit.t, field, problem)
            place = act.page_of(field)
    if errors:
        return _fill_in(visit, act, place, act.draft.typed, errors)
    refusal = found if found["verdict"] == "refused" else None
    needs_second = refusal is not None and refusal["code"] == TWO_PERSONS
    opened = act.case.view.opened
    is_unsure = (
        refusal is not None
        and refusal["code"] == "consent_required"
        and (opened is None or opened.source != visit.door.seat.me)
    )
    blamed = FIELD_OF_RULE.get(str(refusal.get("rule"))) if refusal else None
    there = act.sheet.field_at(blamed) if blamed else None
    first = _first_step(visit, act.case, str(refusal["code"])) if refusal else None
    mend = f"/acts/{act.draft.id}/{WHAT}#{anchor_of(act, there.pointer)}" if there else f"/acts/{act.draft.id}/{WHAT}"
    bed = _bed(visit, act) if refusal is None or is_unsure else None
    is_anew, sections = passed or changed is not None, sections_of(visit, act.case, [body])
    has_answers = not is_filled_in(act) and any(each["rows"] for each in sections)
    return visit.page(
        "acts/check.html.j2", status=409 if is_anew else 200, passed=passed, changed=changed, own=act.own,
        part=part_of(visit, act.draft, body[form.DATA]), seen=seen_of(visit, act.draft, body[form.DATA]), cited=around.cited, title=visit.t("Check your answers") if has_answers else visit.t.code("act", act.draft.type), has_answers=has_answers, act=act, sections=sections,
        refusal=None if needs_second else refusal, needs_second=needs_second, bed=bed, mend=url(mend), first=first, is_unsure=is_unsure,
        has_errors=refusal is not None and not needs_second and not is_unsure, about=about_of(visit, act), back_path=_back(act, CHECK) if is_filled_in(act) else f"/acts/{act.draft.id}/{act.steps[-1]}",
        may_send="publish" in visit.me.permissions,
    )  # fmt: skip


def _bed(visit: Visit, act: Act) -> around.Choice | None:
    """Return the request for a bed, if *act* refers somebody to a shelter for a place and the member may ask for one."""
    said = act.said
    codes = {each["code"] if isinstance(each, Mapping) else each for each in said.get("services", ())}
    goes_to_shelter = any(guide_events.is_shelter(visit, each) for each in said.get("to", ()))
    if act.draft.type != ReferralSubmitted.type or not goes_to_shelter or not codes & LODGING:
        return None
    return next((each for each in around.choices_of(visit, act.case)[0] if each.type == BedRequested.type), None)


def _first_step(visit: Visit, case: around.Case, code: str) -> around.Choice | None:
    """Return the step that the member may take now so that the Rules no longer refuse with *code*; None if there is none."""
    type = _FIRST.get(code)
    return next((each for each in around.choices_of(visit, case)[0] if each.type == type), None) if type else None


async def _ask_second(visit: Visit, draft: Kept, bodies: list[sending.Body]) -> Response:
    kept = await _kept(visit, replace(draft, state="waits", request=wire_json.dumps({"events": bodies})))
    return kept if isinstance(kept, Response) else visit.see(f"/acts/{draft.id}/sent")


async def _kept(visit: Visit, draft: Kept) -> Kept | Response:
    """Return *draft* as it was saved; or the way to what it is by now, if another tab changed, sent or deleted it meanwhile."""
    try:
        async with visit.door.ledger.write() as tx:
            return drafts.keep(visit.door.seat, tx, draft, seen=draft.version)
    except PassedError:  # the member reads it again
        return visit.see(f"/acts/{draft.id}/{CHECK}")
    except LookupError:
        return await lead_on(visit, draft.id)


# -- what became of it -----------------------------------------------------------------------------------------------------


async def _sent(visit: Visit, id: str) -> Response:
    draft = own_draft(visit, id)
    if draft is not None and draft.state == "open":
        return visit.see(f"/acts/{id}/{draft.page}")
    bodies = sending.bodies_of(draft) if draft is not None else []
    with visit.door.ledger.read() as tx:
        ids = [str(each["id"]) for each in bodies]
        found = sending.outcome(visit.door, tx, ids) if ids else sending.sent_with(visit.door, tx, id)
        row = sending.row_of(tx, id)
        subject = draft.subject if draft is not None else row.subject if row is not None else None
        if subject is None or (draft is None and not found):
            raise NotFound
        case = around.case_of(visit, tx, subject)
    if draft is not None and draft.state == "waits":
        return _page_of_state(visit, draft, case, bodies, "acts/waits.html.j2", visit.t("A second person has to sign"))
    verdict = sending.verdict_of(found)
    if verdict == "registered" and draft is not None:
        async with visit.door.ledger.write() as tx:
            visit.door.ledger.make_nothing_due()
            drafts.drop(tx, drafts.is_draft(draft.id))
    is_done = verdict == "registered" and case.is_whole and not is_bulletin(case.subject)
    return visit.page(
        "acts/sent.html.j2", visit=visit, pressing=await _pressing(visit, case) if is_done else [], cited=around.cited, title=_title(visit, verdict), found=found, verdict=verdict, draft=draft, case=case,
        sections=sections_of(visit, case, bodies) if verdict in {"refused", "failed"} else [],
        held_up=visit.door.seat.held_up, is_waiting=any(each["state"] == "waiting" for each in found),
        begun=_begun(visit, case.subject) if verdict == "registered" else [],
        periods=PERIODS, owed=[each for each in case.clocks if each.cause in {one["id"] for one in found}], name=lambda agency: around.name_of(visit, agency),
        about_no_case=is_bulletin(case.subject), own=own_act(visit, draft.type if draft else row.type if row else ""), live=f"{url(f'/acts/{id}/sent')}" if verdict == "pending" else "",
    )  # fmt: skip


async def _pressing(visit: Visit, case: Case) -> list[around.Choice]:
    """Return the steps with a deadline that the work list names for *case*: others that would end a deadline are many."""
    items = (await known_of(visit.door).fresh()).items
    named = {each.act for each in items if each.case == case.subject and each.side == "ours"}
    return [each for each in around.choices_of(visit, case)[0] if each.due is not None and each.type in named]


def _begun(visit: Visit, subject: str) -> list[Kept]:
    """Return the member's drafts of the same case that are not sent yet; not those of a record that is answered by now."""
    with visit.door.ledger.read() as tx:
        found = drafts.listed(visit.door.seat, tx, owner=visit.me.number, state="open")
        return [each for each in found if each.subject == subject and sending.answered(tx, each) is None]


def _title(visit: Visit, verdict: str) -> str:
    t = visit.t
    return {
        "registered": t("Registered", ctx="outcome"), "pending": t("Not registered yet"), "refused": t("Refused", ctx="outcome"),
    }.get(verdict, t("Not sent"))  # fmt: skip


def _page_of_state(
    visit: Visit, draft: Kept, case: Case, bodies: list[sending.Body], template: str, title: str
) -> Response:
    return visit.page(
        template, title=title, draft=draft, case=case, sections=sections_of(visit, case, bodies),
        part=part_of(visit, draft, bodies[0][form.DATA]) if bodies else "",
    )  # fmt: skip
