"""Work on a draft: its form as a page shows it, saving without loss, what is wrong, and sending."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept, PassedError, TooLongError, Typed
from nrmbus.desk.web.acts import around, fields, form, sending
from nrmbus.desk.web.acts.around import Case
from nrmbus.desk.web.acts.doubts import doubts
from nrmbus.desk.web.acts.fields import Shown
from nrmbus.desk.web.acts.guide_events import REFERRAL, new_ids, referral_for_later
from nrmbus.desk.web.acts.guide_questions import GUIDE
from nrmbus.desk.web.own_acts import Own
from nrmbus.desk.web.rooms import own_act
from nrmbus.desk.web.shell import NotFound, Visit
from nrmbus.events import bulletin
from nrmbus.events.answer import AnswerLetter
from nrmbus.events.case import IncidentOpened, SignalRecorded
from nrmbus.events.errors import Problem
from nrmbus.events.model import Data
from nrmbus.telemetry import log
from nrmbus.web import names
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.guard import Form as Sent
from nrmbus.wire import times
from nrmbus.wire.ids import new_ref

WHAT, LETTER, CHECK = "what", "letter", "check"
PATIENCE_SECONDS: Final = 2.0
"""How long a page waits for the registrar before it says that the answer is still to come."""


@dataclass(frozen=True, slots=True)
class Act:
    """A draft with all that its pages need."""

    draft: Kept
    data: type[Data]
    sheet: form.Form
    case: Case
    said: Mapping[str, Any]
    """The data so far."""
    own: Own | None = None
    """The room's own act, if it is one."""

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the pages of the form; the words of an answer stand on its first page."""
        return (WHAT, LETTER) if self.data.letter not in (None, AnswerLetter) else (WHAT,)

    def page_of(self, of: form.Field) -> str:
        """Return the page with the field *of*."""
        return LETTER if fields.is_letter(of) and LETTER in self.steps else WHAT

    @property
    def has_recipients(self) -> bool:
        """Return whether somebody was chosen to whom this goes."""
        return bool(self.said.get("to"))

    def fields_of(self, page: str) -> tuple[form.Field, ...]:
        """Return the fields of *page* that somebody fills in."""
        return self.typed_by_people(each for each in self.sheet.fields if self.page_of(each) == page)

    def typed_by_people(self, of: Iterable[form.Field]) -> tuple[form.Field, ...]:
        """Return those fields *of* the form that no room fills in."""
        return tuple(each for each in of if self.own is None or not self.own.is_fixed(each.name))


async def save(visit: Visit, draft: Kept, typed: Typed, page: str, sent: Sent) -> Kept | Response:
    """Return the saved draft, or the page that says why it was not saved, with all that was typed on it."""
    # A language chosen on the page that was not saved is no answer, so what was chosen before it stays.
    chosen = sent["again"] if sent["go"] == LANGUAGE else sent["go"]
    again = {"version": sent["version"], "go": "both" if chosen == "both" else "on"}
    try:
        try:
            return await saved(visit, draft, typed, page, sent)
        except PassedError:
            if sent["go"] != "both":
                raise
            return await _both(visit, draft, typed, page)
    except PassedError as passed:
        return page_with(
            visit,
            draft,
            typed,
            "acts/passed.html.j2",
            visit.t("This draft was changed in another tab."),
            409,
            now=moment_of(visit, passed.now.changed),
        )
    except TooLongError:
        return page_with(
            visit,
            draft,
            typed,
            "acts/not_saved.html.j2",
            visit.t("This is too long to be sent."),
            413,
            is_long=True,
            **again,
        )
    except LookupError:
        return await lead_on(visit, draft.id)
    except (SQLAlchemyError, OSError) as error:
        log.report("draft_not_kept", error=type(error).__name__)
        return page_with(
            visit,
            draft,
            typed,
            "acts/not_saved.html.j2",
            visit.t("Your answers were not saved."),
            503,
            is_long=False,
            **again,
        )


async def _both(visit: Visit, draft: Kept, typed: Typed, page: str) -> Response:
    own = own_act(visit, draft.type)
    kept = own.kept(draft, typed) if own else typed
    # Two first contacts are two people, and two incidents two groups: a second one under the same reference would be refused.
    subject = new_ref() if draft.type in (GUIDE, SignalRecorded.type, IncidentOpened.type) else draft.subject
    ids = new_ids(visit) if draft.type == GUIDE else {}
    async with visit.door.ledger.write() as tx:
        made = drafts.begin(
            visit.door.seat, tx, owner=draft.owner, type=draft.type, subject=subject, ref=draft.ref, page=page,
            typed={**sending.fresh(draft.type, kept), **ids}, is_another=True,
        )  # fmt: skip
    return visit.see(f"/acts/{made.id}/{page}")


def page_with(visit: Visit, draft: Kept, typed: Typed, template: str, title: str, status: int, **more: Any) -> Response:
    """Return a page that keeps everything *typed* in hidden fields, so that it can be sent once more."""
    hidden = [(name, value) for name, values in typed.items() for value in values]
    return visit.page(
        template,
        title=title,
        status=status,
        draft=draft,
        hidden=hidden,
        action=visit.request.url.path,
        keeps=visit.request.url.path,
        **more,
    )


async def saved(visit: Visit, draft: Kept, typed: Typed, page: str, sent: Sent) -> Kept:
    """Save the draft as it is *typed*, unless another tab has since the page was shown. Raises as `drafts.keep`."""
    seen = int(sent["version"]) if sent["version"].isdecimal() else 0
    own = own_act(visit, draft.type)
    typed = own.kept(draft, typed) if own else typed
    async with visit.door.ledger.write() as tx:
        visit.door.ledger.make_nothing_due()
        return drafts.keep(visit.door.seat, tx, replace(draft, typed=typed, page=page), seen=seen)


def merged(typed: Typed, sent: Sent, of: tuple[form.Field, ...]) -> dict[str, tuple[str, ...]]:
    """Return *typed* with the fields *of* a page as they were *sent*; other fields stay."""
    names = tuple(each.name for each in of)

    def is_of_page(name: str) -> bool:
        return any(name == each or name.startswith(f"{each}.") for each in names)

    kept = {name: values for name, values in typed.items() if not is_of_page(name)}
    for name in dict.fromkeys(name for name, _ in sent.pairs):
        values = tuple(sent.all(name))
        if is_of_page(name) and any(values):
            kept[name] = values
    return kept


def merged_by_script(draft: Kept, sent: Sent) -> Typed:
    """Return what was typed with a page's fields as they were sent by the script: those that the page has."""
    there = set(sent["fields"].split())
    kept = {name: values for name, values in draft.typed.items() if name not in there}
    for name in dict.fromkeys(name for name, _ in sent.pairs):
        values = tuple(sent.all(name))
        if name in there and any(values):
            kept[name] = values
    return kept


def own_draft(visit: Visit, id: str) -> Kept | None:
    """Return the member's draft *id*; None for nobody's and for a colleague's."""
    with visit.door.ledger.read() as tx:
        return drafts.of(visit.door.seat, tx, id, visit.me.number)


def act_of(visit: Visit, draft: Kept) -> Act:
    """Return *draft* with its form and its case."""
    data = sending.model_of(visit.door, draft.type)
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
    said = form.read(form.form_of(data), draft.typed, visit.t.zone)[form.DATA]
    return Act(draft, data, form.form_of(data), case, said, own_act(visit, draft.type))


def replace_said(visit: Visit, act: Act, typed: Typed) -> Act:
    """Return *act* with the data as they are *typed* now."""
    return replace(
        act, said=form.read(act.sheet, typed, visit.t.zone)[form.DATA], draft=replace(act.draft, typed=typed)
    )


def shown(visit: Visit, act: Act, typed: Typed, errors: Mapping[str, str]) -> Shown:
    """Return the fields of *act* for a page."""
    return Shown(visit.t, typed, errors, around.choices(visit, act.case, act.data, act.said, act.draft.ref))


def about_of(visit: Visit, act: Act) -> str:
    """Return the case and the record that *act* answers, or what a room's own act is about, in words; empty if there is none."""
    if act.own is not None:
        return act.own.about(visit, act.said)
    with visit.door.ledger.read() as tx:
        case = around.case_in_words(visit, tx, act.case.subject)
    record = "" if act.draft.ref is None else around.record_of(visit, act.case.view, act.draft.ref)
    return " · ".join(each for each in (case, record) if each)


def anchor_of(act: Act, pointer: str) -> str:
    """Return the id of the first element of the field at *pointer*."""
    field = act.sheet.field_at(pointer)
    name = fields.id_of(pointer[1:].replace("/", "."))
    if field is None:
        return "main"
    if field.kind in {"day", "time"}:
        return f"{name}-day"
    if field.kind in {"object", "money"} and field.fields:
        return fields.id_of(field.fields[0].name)
    if field.kind == "objects":
        return fields.id_of(field.in_row(0).fields[0].name)
    return name


def errors_of(visit: Visit, act: Act, page: str, typed: Typed) -> dict[str, str]:
    """Return what is wrong on *page*, by pointer, in the order of its fields."""
    request = form.read(act.sheet, typed, visit.t.zone)
    found: dict[str, str] = {}
    for problem in (*form.problems(act.sheet, request), *_problems_of_page(visit, act, request)):
        field, pointer = fields.place_of(act.sheet, typed, problem)
        if field is not None and act.page_of(field) == page:
            found.setdefault(pointer, fields.sentence(visit.t, field, problem))
    for pointer, doubt in doubts(visit.t, act.data, request, around.today(visit)):
        field = act.sheet.field_at(pointer)
        if field is not None and act.page_of(field) == page:
            found.setdefault(pointer, doubt)
    order = [each.pointer for each in act.sheet.fields]
    return dict(
        sorted(found.items(), key=lambda item: next(n for n, each in enumerate(order) if item[0].startswith(each)))
    )


def _problems_of_page(visit: Visit, act: Act, request: Mapping[str, Any]) -> list[Problem]:
    """Return what is missing or does not fit in the envelope or the letter, as far as the page tells it and no model does."""
    found, happened = [], times.read(str(request.get("time")))
    for each in act.sheet.fields:
        value = form.value_of(each, request)
        if value is None and each.is_required:
            found.append(Problem(each.pointer, "missing"))
        if each.part is None and each.kind == "time" and value is not None and not str(value).endswith("Z"):
            found.append(Problem(each.pointer, "value_error"))
        kind, codes = each.lookup, value if isinstance(value, list) else [value]
        if kind and value is not None and not all(names.is_known(kind, code) for code in codes):
            found.append(Problem(each.pointer, "value_error"))
    if happened is not None and happened - visit.now > times.AHEAD_AT_MOST:  # the registrar would refuse it
        found.append(Problem("/time", "time_in_future"))
    return found


def sections_of(visit: Visit, case: Case, bodies: list[sending.Body]) -> list[dict[str, Any]]:
    """Return the answers of *bodies* for a page: of each the clear ones, then each part of the letter with its readers."""
    return [section for body in bodies for section in _sections(visit, case, body)]


def _sections(visit: Visit, case: Case, body: sending.Body) -> list[dict[str, Any]]:
    made = form.form_of(sending.model_of(visit.door, str(body["type"])))
    own = own_act(visit, str(body["type"]))
    t, names = (
        visit.t,
        around.Names(visit, {**around.papers_of(visit, case.view), **around.decisions_of(visit, case.view)}),
    )
    readers = around.readers_of(visit, case, made.data, body[form.DATA], body.get("ref"))

    def rows(of: tuple[form.Field, ...]) -> list[dict[str, str]]:
        said = fields.answers(t, of, sending.request_in(body), names)
        return [
            {"label": fields.label_of(t, each, bare=True), "text": text, "href": f"#{fields.id_of(each.name)}"}
            for each, text in said
            if own is None or not own.is_fixed(each.name)
        ]

    found: list[dict[str, Any]] = [
        {"page": WHAT, "part": None, "rows": rows((*made.clear, *made.envelope)), "readers": None}
    ]
    for part, of in made.parts.items():
        if there := rows(of):
            page = WHAT if made.data.letter is AnswerLetter else LETTER
            found.append({"page": page, "part": part, "rows": there, "readers": readers.get(part, [])})
    return found


def part_of(visit: Visit, draft: Kept, said: Mapping[str, Any]) -> Markup:
    """Return what the room says of the event that *draft* is; nothing if it is an act like every other."""
    own = own_act(visit, draft.type)
    return own.part(visit, said) if own else Markup()


def seen_of(visit: Visit, draft: Kept, said: Mapping[str, Any]) -> str:
    """Return the mark of what a page shows of *draft*. It comes back with a signature, so that nobody signs anything else."""
    own = own_act(visit, draft.type)
    return f"{draft.version}.{own.basis(visit, said) if own else ''}"


async def finish(
    visit: Visit, draft: Kept, bodies: list[sending.Body], look: Callable[[], None] | None = None
) -> Response:
    """Put *bodies* into the outbox, wait a moment for the registrar, and lead to what became of them.

    *look* raises if those who sign may no longer do so; without it the session has to go on. A guide that asks for beds
    alone leaves the draft of the referral that follows.

    Raises:
        NotSignedIn: ``over``: the session was ended meanwhile, and nothing is sent; whatever *look* raises.
    """
    later = referral_for_later(visit, draft.typed) if draft.type == GUIDE else None

    def begin(tx: Connection) -> None:
        if later is not None:
            drafts.begin(
                visit.door.seat, tx, owner=draft.owner, type=REFERRAL, subject=draft.subject, ref=None, page=WHAT,
                typed=later,
            )  # fmt: skip

    try:
        await sending.send(visit.door, draft, bodies, look or visit.must_go_on, begin)
    except LookupError:
        now = own_draft(visit, draft.id)
        if now is not None and now.state == draft.state:  # another tab changed it meanwhile: the member reads it again
            return visit.see(f"/acts/{draft.id}/{CHECK}")
        return await lead_on(visit, draft.id)
    except sending.AnsweredError as error:
        return answered_page(visit, draft, error.first)
    own = bulletin.of(visit.door.seat.me)  # the subject of what is about no case
    ids = [(str(each.get("case") or each.get("incident") or own), str(each["id"])) for each in bodies]
    with suppress(DeskError):
        await visit.door.until(
            lambda: visit.door.said(ids), lambda found: found["verdict"] != "pending", PATIENCE_SECONDS
        )
    return visit.see(f"/acts/{draft.id}/sent")


def moment_of(visit: Visit, written: str) -> str:
    """Return a time of the ledger for people."""
    read = times.read(written)
    return visit.t.moment(read) if read is not None else written


async def lead_on(visit: Visit, id: str) -> Response:
    """Lead to what became of the member's draft *id*, or of its event once the draft is gone. Raises NotFound if there was neither."""
    if own_draft(visit, id) is None:
        with visit.door.ledger.read() as tx:
            if sending.row_of(tx, id) is None:
                raise NotFound
    return visit.see(f"/acts/{id}/sent")


def answered_page(visit: Visit, draft: Kept, first: sending.First) -> Response:
    """Return the page that tells the second of two people who has answered first; nothing of *draft* is sent."""
    return visit.page(
        "acts/answered.html.j2", title=visit.t("This was answered already"), status=409, draft=draft, first=first,
        who=around.staff_name(visit, first.actor), when=moment_of(visit, first.time),
    )  # fmt: skip
