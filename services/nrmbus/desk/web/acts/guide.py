"""Guide for a first-time worker: from what was seen to a signal, consents and referrals, as one draft and one sending."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import Connection
from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept, Typed
from nrmbus.desk.web.acts import around, fields, form, sending, speed
from nrmbus.desk.web.acts.editing import CHECK, WHAT, merged, moment_of, save, sections_of
from nrmbus.desk.web.acts.fields import Choices, Option, Shown
from nrmbus.desk.web.acts.form import Field
from nrmbus.desk.web.acts.sending import Body
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.events.case import IncidentOpened, SignalRecorded
from nrmbus.events.codes import AgeBand, ChildBasis, ConsentForm, Service, Sex, ToldBy
from nrmbus.events.errors import Problem
from nrmbus.events.model import Data
from nrmbus.web.guard import Form as Sent
from nrmbus.wire.ids import new_event_id, new_ref

routes: Final = Pages()

GUIDE: Final = "guide"
"""Type of the draft: it becomes several events."""
SEEN, PERSON, DANGER, NEED = "seen", "person", "danger", "need"
HELP, CONSENT, LETTER = "help", "consent", "letter"
UNIT: Final = "special_unit"
GUARDIANS: Final = ("guardianship", "child_commission")
INFORMATION, SERVICES = "information_sharing", "services"
LODGING: Final = ("safe_shelter", "shelter")
"""Services for which a shelter is asked for a bed: a referral would find no place there."""
BED: Final = "shelter.bed_requested"
HOUSES: Final = ("shelter_state", "ngo_shelter")
_IDS, _REFS = "guide.ids", "guide.refs"
_MOST_EVENTS: Final = 8

_INDICATORS: Final[Mapping[str, tuple[str, ...]]] = {
    "DR": ("DR-01", "DR-02", "DR-03", "DR-04"),
    "CR": ("CR-01", "CR-02", "CR-03", "CR-04"),
    "RV": ("RV-01", "RV-02", "RV-03"),
    "EX": ("EX-01", "EX-02", "EX-03", "EX-04"),
    "CD": ("CD-01", "CD-02", "CD-03", "CD-04", "CD-05", "CD-06"),
    "VD": ("VD-01", "VD-02", "VD-03"),
}
"""Checklist by the dimensions of the ILO's operational indicators; texts and numbers are this project's own [D]."""
_COUNTED: Final = {
    "deception": ("DR",),
    "coercion": ("CR", "CD"),
    "vulnerability": ("RV", "VD"),
    "exploitation": ("EX",),
}
_HERE: Final = Path(__file__).parent


def _ask(name: str, label: str, kind: form.Kind, **more: Any) -> Field:
    return Field(f"/{GUIDE}/{name}", label, kind, **{"is_required": True, **more})


def _code(name: str, label: str, list: str, codes: tuple[str, ...], **more: Any) -> Field:
    return _ask(name, label, "choice", list=list, codes=codes, **more)


def _codes(of: Any) -> tuple[str, ...]:
    return tuple(of.__args__)


_SEEN_LABELS: Final = {
    "DR": "Before: how the person was brought into it",
    "CR": "Before: force and debt",
    "RV": "What was used against the person",
    "EX": "Now: work and life",
    "CD": "Now: control",
    "VD": "Now: dependence",
}
QUESTIONS: Final[Mapping[str, tuple[Field, ...]]] = {
    SEEN: (
        _code("kind", "What may the person be used for?", "guide.kind", ("labour", "sexual", "unclear")),
        *(
            _ask(key.lower(), _SEEN_LABELS[key], "choices", list="indicator", codes=codes, is_required=False)
            for key, codes in _INDICATORS.items()
        ),
        _ask("asked", "Did the person ask for help?", "yes_no"),
        _code("told_by", "Where do you know it from?", "ToldBy", _codes(ToldBy)),
    ),
    PERSON: (
        _code("child", "Is the person under 18?", "guide.child", ("no", "yes", "unclear")),
        _code(
            "basis", "What does this rest on? For a child, or an unclear age, this is needed", "ChildBasis",
            _codes(ChildBasis), is_required=False,
        ),
        _code("age_band", "Age band", "AgeBand", _codes(AgeBand), is_required=False),
        _code("sex", "Sex", "Sex", _codes(Sex), is_required=False),
        _ask("language", "Language spoken, ISO 639-2/T", "text", is_required=False),
        _ask("abroad", "Was the person found outside the country?", "yes_no"),
    ),
    DANGER: (_code("urgency", "Is the person in danger now?", "guide.danger", ("emergency", "urgent", "normal")),),
    NEED: (_ask("services", "What does the person need?", "choices", list="Service", codes=_codes(Service)),),
    HELP: (_ask("to", "Whom do you refer to?", "agencies"),),
    CONSENT: (
        _ask("sharing", "Who may be told about the person? Ask about each agency", "agencies"),
        _ask("accepts", "From whom does the person accept services?", "agencies", is_required=False),
        _ask("refuses_unit", "Does the person refuse that the special unit is told?", "yes_no"),
        _code("form", "How was the consent given?", "ConsentForm", _codes(ConsentForm)),
    ),
}  # fmt: skip
"""Questions of each page; the page of the letter has the fields of a referral's letter."""


@cache
def takers() -> Mapping[str, tuple[str, ...]]:
    """Return the roles that take each service."""
    read = yaml.safe_load((_HERE / "services.yaml").read_text(encoding="utf-8"))
    return {service: tuple(roles) for service, roles in read.items()}


# -- pages ---------------------------------------------------------------------------------------------------------------


@routes.get("/signals/new", may="publish")
async def start(visit: Visit) -> Response:
    """Say what the guide does, and begin it."""
    _may_guide(visit)
    with visit.door.ledger.read() as tx:
        mine = [(each.id, each.page, moment_of(visit, each.changed)) for each in _mine(visit, tx)]
    return visit.page(
        "acts/guide_start.html.j2",
        title=visit.t("Somebody may be a victim"),
        mine=mine,
        may_group=around.may_do(visit, IncidentOpened.type),
    )


def _mine(visit: Visit, tx: Connection) -> list[Kept]:
    """Return the member's guides that are not sent."""
    found = drafts.listed(visit.door.seat, tx, owner=visit.me.number, state="open")
    return [each for each in found if each.type == GUIDE]


@routes.post("/signals/new", may="publish")
async def begin(visit: Visit) -> Response:
    """Begin a guided signal in a case of its own."""
    _may_guide(visit)
    typed = _new_ids(visit)
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


def _new_ids(visit: Visit) -> Typed:
    """Return ids for the events and references for the referrals of a guide that is sent for the first time."""
    milliseconds = int(visit.now.timestamp() * 1000)
    return {
        _IDS: tuple(new_event_id(milliseconds) for _ in range(_MOST_EVENTS)),
        _REFS: (new_ref(), new_ref(), new_ref()),
    }


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
        made.append((GUIDE, {**sent.typed, **_new_ids(visit)}))
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
    detector = _role(visit, visit.door.seat.me)
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
    pages = _pages(draft.typed)
    if page == CHECK:
        return await _check(visit, draft)
    if page not in pages:
        return visit.see(f"/acts/{draft.id}/{pages[0]}")
    return _fill_in(visit, draft, page, draft.typed, {})


async def go_on(visit: Visit, draft: Kept, page: str, sent: Sent) -> Response:
    """Save a page of the guide, and lead to the next one."""
    if page not in _pages(draft.typed):
        raise NotFound
    typed = merged(draft.typed, sent, _fields(visit, page))
    wrong = errors_of(visit, page, typed)
    pages = (*_pages(typed), CHECK)
    following = pages[pages.index(page) + 1]
    goes_on = sent["go"] == "on" and not wrong
    kept = await save(visit, draft, typed, following if goes_on and following != CHECK else page, sent)
    if isinstance(kept, Response):
        return kept
    if sent["go"] == "later":
        return visit.see("/acts")
    return visit.see(f"/acts/{draft.id}/{following}") if goes_on else _fill_in(visit, kept, page, typed, wrong)


def _pages(typed: Typed) -> tuple[str, ...]:
    """Return the pages of the guide: nobody asks a child for consent."""
    middle = () if _is_child(typed) else (CONSENT,)
    return (SEEN, PERSON, DANGER, NEED, HELP, *middle, LETTER)


def _fields(visit: Visit, page: str) -> tuple[Field, ...]:
    if page != LETTER:
        return QUESTIONS[page]
    return tuple(each for each in _referral(visit).fields if fields.is_letter(each))


def _referral(visit: Visit) -> form.Form:
    return form.form_of(sending.model_of(visit.door, "referral.submitted"))


def _fill_in(visit: Visit, draft: Kept, page: str, typed: Typed, errors: Mapping[str, str]) -> Response:
    shown = Shown(visit.t, typed, errors, _choices(visit, draft, page, typed))
    parts: list[Mapping[str, Any]] = []
    pages = _pages(typed)
    if page == LETTER:
        readers = _readers(visit, draft, typed)
        parts = [
            {"part": part, "blocks": shown.blocks(of), "readers": readers[part]}
            for part, of in _referral(visit).parts.items()
            if readers.get(part)
        ]
    at = pages.index(page)
    return visit.page(
        "acts/guide.html.j2", title=_title(visit, page), status=422 if errors else 200, draft=draft, page=page, parts=parts,
        blocks_of_page=() if page == LETTER else shown.blocks(QUESTIONS[page]), has_errors=bool(errors),
        summary=[{"text": text, "href": f"#{_anchor(pointer)}"} for pointer, text in errors.items()],
        has_unit=bool(visit.door.seat.directory.of_role(UNIT)), number=at + 1, pages=len(pages) + 1, has_recipients=True,
        back_path=f"/acts/{draft.id}/{pages[at - 1]}" if at else "/signals/new",
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

    def agencies(of: Field) -> list[Option]:
        if page != HELP:
            wanted = [each for each in chosen if of.name != "guide.accepts" or _role(visit, each) != UNIT]
            return [(each, around.name_of(visit, each)) for each in wanted]
        found = known.agencies(Field("/data/to", "", "agencies"))
        told = [(each, _with_speed(visit, each, name, services, within)) for each, name in found]
        return sorted(
            told, key=lambda each: (_role(visit, each[0]) != UNIT, not _taken_by(visit, each[0], services), each[1])
        )

    return Choices(agencies, known.roles, known.events)


def _taken_by(visit: Visit, agency: str, services: tuple[str, ...]) -> list[str]:
    """Return those of *services* that *agency* takes from this agency: a shelter gives a bed to those who may ask for one."""
    role = _role(visit, agency)
    if role in HOUSES and not around.may_do(visit, BED):
        services = tuple(each for each in services if each not in LODGING)
    return [each for each in services if role in takers().get(each, ())]


def _with_speed(visit: Visit, agency: str, name: str, services: tuple[str, ...], within: Mapping[str, Any]) -> str:
    t = visit.t
    taken = _taken_by(visit, agency, services)
    found = [name]
    if _role(visit, agency) == UNIT:
        found.append(t("decides whether the person is a victim"))
    if taken:
        found.append(t("takes: {services}", services=", ".join(t.code("Service", each) for each in taken)))
    if agency in within:
        found.append(t("has answered within {length}", length=t.length(within[agency])))
    return " – ".join(found)


def _role(visit: Visit, agency: str) -> str:
    return visit.door.seat.rules.role_of(agency)


def _readers(visit: Visit, draft: Kept, typed: Typed) -> Mapping[Any, list[str]]:
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
    houses = _houses(visit, typed)
    said = {"to": sorted(each for each in _recipients(visit, typed) if each not in houses), "child": _is_child(typed)}
    return around.readers_of(visit, case, sending.model_of(visit.door, "referral.submitted"), said, None)


def errors_of(visit: Visit, page: str, typed: Typed) -> dict[str, str]:
    """Return what is missing or wrong on *page*, by pointer."""
    t = visit.t
    if page == LETTER:
        made = _referral(visit)
        found = form.problems(made, form.read(made, typed, t.zone))
        letter = [each for each in found if each.pointer.startswith(f"/{form.SEALED}/")]
        placed = [(*fields.place_of(made, typed, each), each) for each in letter]
        return {pointer: fields.sentence(t, field, each) for field, pointer, each in placed if field is not None}
    wrong = {
        each.pointer: fields.sentence(t, each, Problem(each.pointer, "missing"))
        for each in QUESTIONS[page] if each.is_required and not any(typed.get(each.name, ()))
    }  # fmt: skip
    if page == SEEN and not _seen(typed) and form.one(typed, "guide.asked") != "yes":
        wrong["/guide/dr"] = t(
            "Tick what you saw, or say that the person asked for help: a signal rests on one of them."
        )
    if page == PERSON and _is_child(typed) and not form.one(typed, "guide.basis"):
        wrong["/guide/basis"] = t("Choose what it rests on that the person is, or may be, a child.")
    if (
        page == PERSON
        and (language := form.one(typed, "guide.language"))
        and not (language.isalpha() and len(language) == 3)
    ):
        wrong["/guide/language"] = t("Give the language in three letters, such as rus.")
    if page == CONSENT and not wrong and not _recipients(visit, typed):
        wrong["/guide/sharing"] = t(
            "Nobody is left whom you may tell. Choose another agency, or save the draft and come back."
        )
    return wrong


# -- events ----------------------------------------------------------------------------------------------------------------


def _is_child(typed: Typed) -> bool:
    return form.one(typed, "guide.child") in {"yes", "unclear"}


def _seen(typed: Typed) -> list[str]:
    return [each for key in _INDICATORS for each in typed.get(f"guide.{key.lower()}", ())]


def _recipients(visit: Visit, typed: Typed) -> list[str]:
    """Return the chosen agencies that may be told: all of them for a child, else those that the person agrees to."""
    chosen = typed.get("guide.to", ())
    if _is_child(typed):
        return list(chosen)
    refused = form.one(typed, "guide.refuses_unit") == "yes"
    agreed = typed.get("guide.sharing", ())
    return [each for each in chosen if each in agreed and not (refused and _role(visit, each) == UNIT)]


def _houses(visit: Visit, typed: Typed) -> list[str]:
    """Return the chosen shelters that this agency may ask for a bed, and whose services the person accepts."""
    wants_bed = any(each in LODGING for each in typed.get("guide.services", ()))
    if not wants_bed or not around.may_do(visit, BED) or len(typed.get(_REFS, ())) < 3:  # begun by an older release
        return []
    found = _recipients(visit, typed)
    accepted = found if _is_child(typed) else typed.get("guide.accepts", ())
    return sorted(each for each in found if each in accepted and _role(visit, each) in HOUSES)


def bodies(visit: Visit, draft: Kept) -> list[Body]:
    """Return the requests that the guide has become: signal, child's flag or consents, and referrals, in this order."""
    found = list[Body]()
    for id, body in zip(draft.typed[_IDS], _bodies(visit, draft), strict=False):
        model = sending.model_of(visit.door, body["type"])
        keyed = {"version": model.version, "case": draft.subject, "actor": draft.owner, "id": id if found else draft.id}
        found.append({**body, **keyed})
    return found


def _bodies(visit: Visit, draft: Kept) -> Iterator[Body]:
    typed = draft.typed
    yield _signal(visit, typed)
    if _is_child(typed):
        bodies = sorted(each for role in GUARDIANS for each in visit.door.seat.directory.of_role(role))
        yield {"type": "safeguard.child_flagged", "data": {"to": bodies, "basis": form.one(typed, "guide.basis")}}
    else:
        yield from _consents(visit, typed)
    yield from _referrals(visit, draft)
    if houses := _houses(visit, draft.typed):
        yield _bed(visit, draft.typed, houses)


def _bed(visit: Visit, typed: Typed, houses: list[str]) -> Body:
    """Return the request for a bed."""
    data: dict[str, Any] = {"to": houses, "urgency": form.one(typed, "guide.urgency")}
    if not _is_child(typed) and form.one(typed, "guide.refuses_unit") == "yes":
        data["withhold_from"] = list(visit.door.seat.directory.of_role(UNIT))
    category = "children" if _is_child(typed) else {"F": "women", "M": "men"}.get(form.one(typed, "guide.sex"))
    return {
        "type": BED,
        "ref": typed[_REFS][2],
        "data": data,
        **({"sealed": {"category": category}} if category else {}),
    }


def _signal(visit: Visit, typed: Typed) -> Body:
    seen = _seen(typed)
    asked = form.one(typed, "guide.asked") == "yes"
    counts = {name: sum(each[:2] in keys for each in seen) for name, keys in _COUNTED.items()}
    prefix = f"ILO-{'C' if _is_child(typed) else 'A'}{'S' if form.one(typed, 'guide.kind') == 'sexual' else 'L'}"
    sealed: dict[str, Any] = {
        name: value
        for name in ("age_band", "sex", "language", "told_by")
        if (value := form.one(typed, f"guide.{name}"))
    }
    if seen:
        sealed["indicator_counts"] = {name: count for name, count in counts.items() if count}
        sealed["indicators"] = [f"{prefix}-{each}" for each in seen]
    data = {
        "detector": _role(visit, visit.door.seat.me), "child": _is_child(typed), "urgency": form.one(typed, "guide.urgency"),
        "detected_abroad": form.one(typed, "guide.abroad") == "yes",
        "basis": [*(["indicators"] if seen else []), *(["help_requested"] if asked else [])],
    }  # fmt: skip
    return {"type": SignalRecorded.type, "data": data, "sealed": sealed}


def _consents(visit: Visit, typed: Typed) -> Iterator[Body]:
    """Yield one consent for each set of purposes, and the refusal of the special unit."""
    accepted = typed.get("guide.accepts", ())
    by_purposes: dict[tuple[str, ...], list[str]] = {}
    for agency in sorted(_recipients(visit, typed)):
        purposes: tuple[str, ...] = (INFORMATION, SERVICES) if agency in accepted else (INFORMATION,)
        by_purposes.setdefault(purposes, []).append(agency)
    for purposes, receivers in by_purposes.items():
        given = {"purposes": list(purposes), "receivers": receivers, "given_by": "individual"}
        yield {"type": "consent.given", "data": {**given, "form": form.one(typed, "guide.form")}}
    units = list(visit.door.seat.directory.of_role(UNIT))
    if form.one(typed, "guide.refuses_unit") == "yes" and units:
        said = {"purposes": [INFORMATION], "receivers": units, "given_by": "individual"}
        yield {"type": "consent.refused", "data": said}


def _referrals(visit: Visit, draft: Kept) -> Iterator[Body]:
    """Yield the referral to the special unit, for identification, and the one to everybody else who helps, but for beds."""
    typed = draft.typed
    recipients = sorted(_recipients(visit, typed))
    houses = _houses(visit, typed)
    units = [each for each in recipients if _role(visit, each) == UNIT]
    others = [each for each in recipients if each not in (*units, *houses)]
    letter = form.read(_referral(visit), typed, visit.t.zone).get(form.SEALED)
    for ref, to in zip(typed[_REFS], (units, others), strict=False):
        if not to:
            continue
        data: dict[str, Any] = {
            "to": to, "mode": "referral", "reason": _reason(typed, is_unit=to is units), "urgency": form.one(typed, "guide.urgency"),
            "services": _services(visit, typed, to),
        }  # fmt: skip
        if _is_child(typed):
            data["child"] = True
        elif form.one(typed, "guide.refuses_unit") == "yes":
            data["withhold_from"] = list(visit.door.seat.directory.of_role(UNIT))
        body: Body = {"type": "referral.submitted", "ref": ref, "data": data}
        if basis := around.basis_of(visit, "referral.submitted"):
            body["legal_basis"] = basis
        yield {**body, **({"sealed": letter} if letter else {})}


def _reason(typed: Typed, *, is_unit: bool) -> str:
    if is_unit:
        return "FormalIdentification"
    if _is_child(typed):
        return "ChildSafeguarding"
    return "EmergencyProtection" if form.one(typed, "guide.urgency") == "emergency" else "AdditionalServicesRequired"


def _services(visit: Visit, typed: Typed, to: list[str]) -> list[Any]:
    """Return the services that *to* are asked for, as the version of the referral has them.

    Agencies that help are asked for what the person accepts from all of them; the special unit is told what nobody else
    is asked for, which needs no consent to services (G-32).
    """
    data: type[Data] = sending.model_of(visit.door, "referral.submitted")
    codes = list(typed.get("guide.services", ()))
    helpers = {each for each in _recipients(visit, typed) if _role(visit, each) != UNIT}
    asked = helpers if _is_child(typed) else helpers & set(typed.get("guide.accepts", ()))
    if not helpers & set(to):
        taken = {each for agency in asked for each in _taken_by(visit, agency, tuple(codes))}
        codes = [each for each in codes if each not in taken]
    elif not asked >= set(to):
        codes = []
    elif _houses(visit, typed):
        codes = [each for each in codes if each not in LODGING]
    listed = form.form_of(data).named("data.services")
    return [{"code": each} for each in codes] if listed is not None and listed.kind == "objects" else codes


# -- check -----------------------------------------------------------------------------------------------------------------


def first_wrong(visit: Visit, draft: Kept) -> str | None:
    """Return the first page with something wrong or missing; None if all of them are complete."""
    return next((page for page in _pages(draft.typed) if errors_of(visit, page, draft.typed)), None)


async def _check(visit: Visit, draft: Kept) -> Response:
    page = first_wrong(visit, draft)
    if page is not None:
        return _fill_in(visit, draft, page, draft.typed, errors_of(visit, page, draft.typed))
    wanted = bodies(visit, draft)
    found = await sending.checked(visit.door, wanted)
    refusal = next((each for each in found if each["verdict"] == "refused"), None)
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
    events = [
        {"type": body["type"], "sections": sections_of(visit, case, [body]), "verdict": verdict["verdict"]}
        for body, verdict in zip(wanted, found, strict=True)
    ]
    return visit.page(
        "acts/guide_check.html.j2", cited=around.cited, title=visit.t("Check your answers"), draft=draft, events=events, refusal=refusal,
        has_errors=refusal is not None, back_path=f"/acts/{draft.id}/{LETTER}",
        mend=f"/acts/{draft.id}/{HELP}",
    )  # fmt: skip
