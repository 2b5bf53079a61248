"""Events that the answers of the guide become: signal, child's flag or consents, referrals, and a request for a bed."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import yaml

from nrmbus.desk.outbox.drafts import Kept, Typed
from nrmbus.desk.web.acts import around, form, sending
from nrmbus.desk.web.acts.guide_questions import GUARDIANS, INDICATORS, counts_of
from nrmbus.desk.web.acts.sending import Body
from nrmbus.desk.web.shell import Visit
from nrmbus.desk.web.work.kinds import LODGING
from nrmbus.events.case import SignalRecorded
from nrmbus.events.model import Data
from nrmbus.packed import packed
from nrmbus.web import names
from nrmbus.wire.ids import new_event_id, new_ref

_GUARDIANS: Final = "GUARDIANS"
"""Group of the profile with the roles of the guardian bodies."""
INFORMATION, SERVICES = "information_sharing", "services"
BED: Final = "shelter.bed_requested"
REFERRAL: Final = "referral.submitted"
BASIS: Final = "legal_basis"
"""Name of the legal basis in a form and in a request."""
IDS, REFS = "guide.ids", "guide.refs"
INTERPRETER: Final = "sealed.interpreter"
"""Field of a referral's letter that follows from the language: it is not asked for again."""
MOST_EVENTS: Final = 8
REFS_OF_ONE: Final = 4
"""References of a guide: of the referral to the deciding body, to those who are asked, of the bed, and to those who are told."""


@cache
def takers() -> Mapping[str, tuple[str, ...]]:
    """Return the roles that take each service."""
    read = yaml.safe_load(packed("desk/web/acts/services.yaml").read_text(encoding="utf-8"))
    return {service: tuple(roles) for service, roles in read.items()}


def role_of(visit: Visit, agency: str) -> str:
    """Return the role of *agency*."""
    return visit.door.seat.rules.role_of(agency)


def decides(visit: Visit, agency: str) -> bool:
    """Return whether *agency* decides, by the profile in force, whether a person is a victim."""
    return role_of(visit, agency) in visit.profile.deciders


def is_shelter(visit: Visit, agency: str) -> bool:
    """Return whether *agency* takes people in by the profile in force."""
    return role_of(visit, agency) in visit.profile.shelters


def units_of(visit: Visit) -> list[str]:
    """Return the agencies that decide by the profile in force."""
    return [each for role in visit.profile.deciders for each in visit.door.seat.directory.of_role(role)]


def taken_by(visit: Visit, agency: str, services: tuple[str, ...]) -> list[str]:
    """Return those of *services* that *agency* takes from this agency: a shelter gives a bed to those who may ask for one."""
    role = role_of(visit, agency)
    if is_shelter(visit, agency) and not around.may_do(visit, BED):
        services = tuple(each for each in services if each not in LODGING)
    return [each for each in services if role in takers().get(each, ())]


def new_ids(visit: Visit) -> Typed:
    """Return ids for the events and references for the referrals of a guide that is sent for the first time."""
    milliseconds = int(visit.now.timestamp() * 1000)
    return {
        IDS: tuple(new_event_id(milliseconds) for _ in range(MOST_EVENTS)),
        REFS: tuple(new_ref() for _ in range(REFS_OF_ONE)),
    }


def referral_form(visit: Visit) -> form.Form:
    """Return the form of a referral, whose letter is the last page of the guide."""
    return form.form_of(sending.model_of(visit.door, REFERRAL))


def asks_for_basis(visit: Visit, typed: Typed) -> bool:
    """Return whether a person has to name the legal basis: the Rules ask for one (G-35), and the profile names no law."""
    is_asked = is_child(typed) or any(decides(visit, each) for each in recipients_of(visit, typed))
    return is_asked and not around.basis_of(visit, REFERRAL)


def _basis(visit: Visit, typed: Typed) -> str:
    """Return the legal basis of the referrals: the law of the profile, else the one that was typed."""
    return around.basis_of(visit, REFERRAL) or (form.one(typed, BASIS) if asks_for_basis(visit, typed) else "")


def language_of(typed: Typed) -> str:
    """Return the code of the language that the person speaks, which may be typed by its name; what is typed if it is none."""
    return names.code_of("language", form.one(typed, "guide.language"))


def _letter(visit: Visit, typed: Typed) -> Any:
    """Return the letter of the referrals, with the language of a person who needs an interpreter; None if it is empty."""
    needs = form.one(typed, "guide.interpreter") == "yes"
    whole = {**typed, INTERPRETER: (language_of(typed),)} if needs else typed
    return form.read(referral_form(visit), whole, visit.t.zone).get(form.SEALED)


def is_child(typed: Typed) -> bool:
    """Return whether the person is a child, or may be one."""
    return form.one(typed, "guide.child") in {"yes", "unclear"}


def _guardian_roles(visit: Visit) -> list[str]:
    """Return the roles of the guardian bodies by the profile in force."""
    return sorted(visit.profile.expand((_GUARDIANS,))) if _GUARDIANS in visit.profile.roles else []


def _guardians(visit: Visit, role: str) -> list[str]:
    """Return the guardian bodies of *role* that hear of a child now: a suspended one, or one that has left, hears nothing."""
    directory = visit.door.seat.directory
    return [each for each in directory.of_role(role) if directory.state(each, visit.now) == "admitted"]


def guardians_missing(visit: Visit) -> list[str]:
    """Return the roles of guardian bodies that no agency has: without them no child can be referred (G-21)."""
    return [role for role in _guardian_roles(visit) if not _guardians(visit, role)]


def guardians_to_choose(visit: Visit, typed: Typed) -> Mapping[str, list[str]]:
    """Return the guardian bodies of each role that several agencies have; none if no child's guardian bodies are told."""
    found = {role: _guardians(visit, role) for role in _guardian_roles(visit)} if is_child(typed) else {}
    return {role: agencies for role, agencies in found.items() if len(agencies) > 1}


def _guardians_told(visit: Visit, typed: Typed) -> list[str]:
    """Return the guardian bodies that hear of the child: of a role that several agencies have, those that were chosen.

    Nobody is asked to choose where a child cannot be referred: then all of them hear.
    """
    chosen, told = typed.get(GUARDIANS, ()), list[str]()
    for role in _guardian_roles(visit):
        there = _guardians(visit, role)
        told += [each for each in there if each in chosen] or there
    return sorted(told)


def seen_signs(typed: Typed) -> list[str]:
    """Return the signs that were ticked."""
    return [each for key in INDICATORS for each in typed.get(f"guide.{key.lower()}", ())]


def recipients_of(visit: Visit, typed: Typed) -> list[str]:
    """Return the chosen agencies that may be told: all of them for a child, else those that the person agrees to."""
    chosen = typed.get("guide.to", ())
    if is_child(typed):
        return list(chosen)
    refused = form.one(typed, "guide.refuses_unit") == "yes"
    agreed = typed.get("guide.sharing", ())
    return [each for each in chosen if each in agreed and not (refused and decides(visit, each))]


def houses_of(visit: Visit, typed: Typed) -> list[str]:
    """Return the chosen shelters that this agency may ask for a bed, and whose services the person accepts."""
    wants_bed = any(each in LODGING for each in typed.get("guide.services", ()))
    if not wants_bed or not around.may_do(visit, BED) or len(typed.get(REFS, ())) < 3:  # begun by an older release
        return []
    found = recipients_of(visit, typed)
    accepted = found if is_child(typed) else typed.get("guide.accepts", ())
    return sorted(each for each in found if each in accepted and is_shelter(visit, each))


def bodies(visit: Visit, draft: Kept) -> list[Body]:
    """Return the requests that the guide has become: signal, child's flag or consents, and referrals, in this order."""
    found = list[Body]()
    for id, body in zip(draft.typed[IDS], _bodies(visit, draft), strict=False):
        model = sending.model_of(visit.door, body["type"])
        keyed = {"version": model.version, "case": draft.subject, "actor": draft.owner, "id": id if found else draft.id}
        found.append({**body, **keyed})
    return found


def _bodies(visit: Visit, draft: Kept) -> Iterator[Body]:
    typed = draft.typed
    yield _signal(visit, typed)
    if is_child(typed):
        if bodies := _guardians_told(visit, typed):
            yield {"type": "safeguard.child_flagged", "data": {"to": bodies, "basis": form.one(typed, "guide.basis")}}
        if guardians_missing(visit):
            return  # the Rules refuse every referral of the child
    else:
        yield from _consents(visit, typed)
    yield from _referrals(visit, draft)
    if houses := houses_of(visit, draft.typed):
        yield _bed(visit, draft.typed, houses)


def _bed(visit: Visit, typed: Typed, houses: list[str]) -> Body:
    """Return the request for a bed."""
    data: dict[str, Any] = {"to": houses, "urgency": form.one(typed, "guide.urgency")}
    if not is_child(typed) and form.one(typed, "guide.refuses_unit") == "yes":
        data["withhold_from"] = units_of(visit)
    category = "children" if is_child(typed) else {"F": "women", "M": "men"}.get(form.one(typed, "guide.sex"))
    return {
        "type": BED,
        "ref": typed[REFS][2],
        "data": data,
        **({"sealed": {"category": category}} if category else {}),
    }


def _signal(visit: Visit, typed: Typed) -> Body:
    seen = seen_signs(typed)
    asked = form.one(typed, "guide.asked") == "yes"
    prefix = f"ILO-{'C' if is_child(typed) else 'A'}{'S' if form.one(typed, 'guide.kind') == 'sexual' else 'L'}"
    sealed: dict[str, Any] = {
        name: value for name in ("age_band", "sex", "told_by") if (value := form.one(typed, f"guide.{name}"))
    }
    if language := language_of(typed):
        sealed["language"] = language
    if seen:
        sealed["indicator_counts"] = counts_of(seen)
        sealed["indicators"] = [f"{prefix}-{each}" for each in seen]
    data = {
        "detector": role_of(visit, visit.door.seat.me), "child": is_child(typed), "urgency": form.one(typed, "guide.urgency"),
        "detected_abroad": form.one(typed, "guide.abroad") == "yes",
        "basis": [*(["indicators"] if seen else []), *(["help_requested"] if asked else [])],
    }  # fmt: skip
    return {"type": SignalRecorded.type, "data": data, "sealed": sealed}


def _consents(visit: Visit, typed: Typed) -> Iterator[Body]:
    """Yield one consent for each set of purposes, and the refusal of the deciding body."""
    accepted = typed.get("guide.accepts", ())
    by_purposes: dict[tuple[str, ...], list[str]] = {}
    for agency in sorted(recipients_of(visit, typed)):
        purposes: tuple[str, ...] = (INFORMATION, SERVICES) if agency in accepted else (INFORMATION,)
        by_purposes.setdefault(purposes, []).append(agency)
    for purposes, receivers in by_purposes.items():
        given = {"purposes": list(purposes), "receivers": receivers, "given_by": "individual"}
        yield {"type": "consent.given", "data": {**given, "form": form.one(typed, "guide.form")}}
    units = units_of(visit)
    if form.one(typed, "guide.refuses_unit") == "yes" and units:
        said = {"purposes": [INFORMATION], "receivers": units, "given_by": "individual"}
        yield {"type": "consent.refused", "data": said}


def asked_for(visit: Visit, typed: Typed) -> list[tuple[str, list[str], list[str]]]:
    """Return reference, recipients and services of each referral; one without recipients is none.

    Agencies from which the person accepts services are asked for all of them but a bed, a shelter only if it takes one of
    them or nobody else is there; the others who help are told of her alone. The deciding body is told what nobody else is
    asked for, which needs no consent to services (G-32).
    """
    recipients, houses, refs = sorted(recipients_of(visit, typed)), houses_of(visit, typed), typed[REFS]
    codes = typed.get("guide.services", ())
    rest = tuple(each for each in codes if not houses or each not in LODGING)
    units = [each for each in recipients if decides(visit, each)]
    helpers = [each for each in recipients if each not in units]
    accepted = helpers if is_child(typed) else [each for each in helpers if each in typed.get("guide.accepts", ())]
    told = [each for each in helpers if each not in accepted]
    asked = [each for each in accepted if each not in houses or taken_by(visit, each, rest)]
    if rest and not asked and not units:
        asked = accepted
    # Begun by an older release: one referral for all of them, and no service without consent.
    if asked and told and len(refs) < REFS_OF_ONE:
        asked, told = [], [each for each in helpers if each not in houses]
    taken = {each for agency in asked for each in taken_by(visit, agency, rest)} | set(codes) - set(rest)
    return [
        (refs[0], units, [each for each in codes if each not in taken]),
        (refs[1], asked, list(rest)),
        (refs[-1] if asked else refs[1], told, []),
    ]


def _referrals(visit: Visit, draft: Kept) -> Iterator[Body]:
    """Yield the referral to the deciding body, for identification, and those to everybody else who helps, but for beds."""
    typed = draft.typed
    letter = _letter(visit, typed)
    for ref, to, codes in asked_for(visit, typed):
        if not to:
            continue
        body: Body = {"type": REFERRAL, "ref": ref, "data": _referral(visit, typed, to, codes)}
        if basis := _basis(visit, typed):
            body[BASIS] = basis
        yield {**body, **({"sealed": letter} if letter else {})}


def _referral(visit: Visit, typed: Typed, to: list[str], codes: list[str]) -> dict[str, Any]:
    """Return the data of a referral to the agencies *to*, which asks for the services *codes*."""
    data: dict[str, Any] = {
        "to": to, "mode": "referral", "reason": _reason(typed, is_unit=decides(visit, to[0])),
        "urgency": form.one(typed, "guide.urgency"), "services": _listed(visit, codes),
    }  # fmt: skip
    if is_child(typed):
        data["child"] = True
    elif form.one(typed, "guide.refuses_unit") == "yes":
        data["withhold_from"] = units_of(visit)
    return data


def asks_for_beds_alone(visit: Visit, typed: Typed) -> bool:
    """Return whether shelters are asked for a bed and nobody is referred to anybody: no letter of a referral is sent."""
    if is_child(typed) and guardians_missing(visit):  # neither a bed nor a referral
        return False
    return bool(houses_of(visit, typed)) and not any(to for _, to, _ in asked_for(visit, typed))


def referral_for_later(visit: Visit, typed: Typed) -> Typed | None:
    """Return the form of the referral to the shelters that are asked for a bed alone; None if others are asked for more."""
    if not asks_for_beds_alone(visit, typed):
        return None
    said: dict[str, Any] = {form.DATA: _referral(visit, typed, houses_of(visit, typed), [])}
    if letter := _letter(visit, typed):
        said[form.SEALED] = letter
    if basis := _basis(visit, typed):
        said[BASIS] = basis
    return sending.fresh(REFERRAL, form.typed_of(referral_form(visit), said, visit.t.zone))


def _reason(typed: Typed, *, is_unit: bool) -> str:
    if is_unit:
        return "FormalIdentification"
    if is_child(typed):
        return "ChildSafeguarding"
    return "EmergencyProtection" if form.one(typed, "guide.urgency") == "emergency" else "AdditionalServicesRequired"


def _listed(visit: Visit, codes: list[str]) -> list[Any]:
    """Return the services *codes* as the version of the referral has them."""
    data: type[Data] = sending.model_of(visit.door, REFERRAL)
    listed = form.form_of(data).named("data.services")
    return [{"code": each} for each in codes] if listed is not None and listed.kind == "objects" else codes
