"""Referrals as FHIR R4 resources, and changes of a Task as events: pure, both ways.

The profiles are SDOHCC ServiceRequest and SDOHCC Task For Referral Management of the SDOH Clinical Care guide (2.3.0).
`README.md` has the tables, and what does not fit.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, get_args

from nrmbus.edge.misfit import Misfit
from nrmbus.events.codes import (
    DeclinedBy,
    DeclineReason,
    DutyRole,
    NextStep,
    Question,
    RevocationReason,
    ServiceOutcome,
)
from nrmbus.events.errors import Problem

Json = dict[str, Any]
Labels = Callable[[str, str], Collection[str]]
"""Returns the words of a code in each language of the bus, by its code list and the code."""

GUIDE: Final = "http://hl7.org/fhir/us/sdoh-clinicalcare"
TASK_PROFILE: Final = f"{GUIDE}/StructureDefinition/SDOHCC-TaskForReferralManagement"
REQUEST_PROFILE: Final = f"{GUIDE}/StructureDefinition/SDOHCC-ServiceRequest"
TASK_CODE: Final = "http://hl7.org/fhir/CodeSystem/task-code"
CODES: Final = "urn:nrmbus:code"
"""Systems of the bus's own code lists: this, and the name of the list."""
EXTENSION: Final = "urn:nrmbus:fhir"
CASE, AGENCY, REFERRAL, RECEIPT = "urn:nrmbus:case", "urn:nrmbus:agency", "urn:nrmbus:referral", "urn:nrmbus:receipt"
PRIORITIES: Final[Mapping[str, str]] = {"emergency": "stat", "urgent": "urgent", "normal": "routine"}
URGENCIES: Final[Mapping[str, str]] = {priority: urgency for urgency, priority in PRIORITIES.items()}

_EXPIRED: Final = ("revocation-reason", "no_answer")
_QUESTION: Final = "question"
"""Code list of the ``statusReason`` of a Task whose question is open."""


@dataclass
class Answer:
    """The state of a referral at one of its receivers."""

    status: str = "requested"
    progress: tuple[str, str] | None = None
    """Code list and code of the ``businessStatus``."""
    reason: tuple[str, str] | None = None
    """Code list and code of the ``statusReason``."""
    receipt: str | None = None
    outcome: str | None = None
    declined_by: str | None = None
    alternative: str | None = None
    duty_role: str | None = None
    letters: list[str] = field(default_factory=list)
    """Ids of the other side's answers with a letter that this agency may open, the oldest first."""
    changed: str = ""
    """Registration of the newest event."""
    heard: str = ""
    """When the desk received the newest event: later than its registration if the line was cut or the record was parked."""
    before_question: str = "requested"

    @property
    def is_open(self) -> bool:
        """Return whether the receiver has not answered yet."""
        return self.status == "requested" or (self.status == "on-hold" and self.before_question == "requested")

    @property
    def asks(self) -> bool:
        """Return whether the receiver's question waits for an answer, also since it has accepted."""
        return self.reason is not None and self.reason[0] == _QUESTION

    def mark(self, event: Mapping[str, Any]) -> None:
        """Note the times of *event*, which changes this answer."""
        self.changed, self.heard = event["registered"], max(self.heard, event["received"])


@dataclass
class Referral:
    """A referral, folded from the events of its case that the desk knows."""

    ref: str
    case: str
    source: str
    said: Json
    time: str
    version: int | None = None
    """Version of the case; None if the desk does not know the beginning of the case."""
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def heard(self) -> str:
        """Return when the desk received the newest change."""
        return max(answer.heard for answer in self.answers.values())


def referrals(
    events: Iterable[Mapping[str, Any]], me: str, expired: Mapping[str, Collection[str]] = MappingProxyType({})
) -> dict[str, Referral]:
    """Return the referrals among the *events* of one case, in the order of registration, by reference.

    A receiver hears no other receiver's answer, so for *me* as a receiver the referral has its own answer alone.
    *expired* has the receivers of each referral whose part has expired by the Rules. The event does not name them, and a
    deciding body goes on owing its answer when the time of the others is over.
    """
    found: dict[str, Referral] = {}
    for event in events:
        kind = event["type"].removeprefix("referral.")
        if event["type"] == "referral.submitted":
            data, ref = event["data"], event["ref"]
            asked = data["to"] if event["source"] == me else [each for each in data["to"] if each == me]
            answers = {each: Answer(changed=event["registered"], heard=event["received"]) for each in asked}
            found[ref] = Referral(ref, event["case"], event["source"], data, event["time"], answers=answers)
        elif event["type"] == "case.withdrawn":
            for each in found.values():
                _end(each, event, "case_withdrawn")
        elif event["type"].startswith("referral.") and (referral := found.get(event.get("ref", ""))) is not None:
            if kind == "revoked":
                _end(referral, event, event["data"]["reason"])
            elif kind == "expired":
                _end(referral, event, event["data"]["reason"], expired.get(referral.ref, ()))
            elif kind == "info_supplied":
                _answered(referral, event, me)
            elif (answer := referral.answers.get(event["source"])) is not None:
                _take(answer, kind, event)
                answer.letters += _letter_of(event, me)
    return {ref: each for ref, each in found.items() if each.answers}


def _end(referral: Referral, event: Mapping[str, Any], reason: str, receivers: Collection[str] | None = None) -> None:
    """Cancel the open Tasks of *receivers*; None: of all.

    Of two events that end a referral nobody says by which one a Task expired. It has changed by both, so that a search by
    time finds it after each.
    """
    for owner, answer in referral.answers.items():
        if answer.is_open and (receivers is None or owner in receivers):
            answer.status, answer.reason = "cancelled", ("revocation-reason", reason)
            answer.mark(event)
        elif answer.reason == _EXPIRED:
            answer.mark(event)


def _letter_of(event: Mapping[str, Any], me: str) -> list[str]:
    """Return the id of *event* if *me* is not its source, and may open its letter."""
    return [event["id"]] if event["parts"] and event["source"] != me else []


def _answered(referral: Referral, event: Mapping[str, Any], me: str) -> None:
    """Free every Task whose question is open: by the Rules, one answer is an answer to all who asked."""
    for answer in referral.answers.values():
        if answer.asks:
            answer.status = answer.before_question if answer.status == "on-hold" else answer.status
            answer.reason = None
            answer.letters += _letter_of(event, me)
            answer.mark(event)


def _take(answer: Answer, kind: str, event: Mapping[str, Any]) -> None:
    data = event["data"]
    answer.mark(event)
    if answer.reason == _EXPIRED:  # whoever acts had not expired by then: a later event ends this part
        answer.status, answer.reason = "requested", None
    match kind:
        case "acknowledged":
            answer.progress = ("referral-progress", "acknowledged")
            answer.receipt, answer.duty_role = data["receipt_no"], data["duty_role"]
        case "accepted":
            answer.status, answer.progress = "accepted", ("next-step", data["next_step"])
            if not answer.asks:  # by the Rules, an open question still waits for its answer
                answer.reason = None
        case "declined":
            answer.status, answer.reason = "rejected", ("decline-reason", data["reason"])
            answer.declined_by, answer.alternative = data["declined_by"], data.get("alternative")
        case "info_requested":
            if answer.status != "on-hold":
                answer.before_question = answer.status
            answer.status, answer.reason = "on-hold", (_QUESTION, data["question"])
        case "completed":
            answer.status, answer.outcome, answer.reason = "completed", data["outcome"], None
        case _:
            pass


def task(referral: Referral, owner: str) -> Json:
    """Return the Task of *referral* at its receiver *owner*."""
    answer = referral.answers[owner]
    identifiers = [{"system": REFERRAL, "value": referral.ref}]
    if answer.receipt:
        identifiers.append({"system": RECEIPT, "value": answer.receipt})
    extensions = [
        {"url": f"{EXTENSION}:{name}", "valueCode": value}
        for name, value in (
            ("duty-role", answer.duty_role),
            ("declined-by", answer.declined_by),
            ("alternative", answer.alternative),
        )
        if value
    ]
    extensions += [{"url": f"{EXTENSION}:letter", "valueId": each} for each in answer.letters]
    return {
        "resourceType": "Task",
        "id": f"{referral.ref}.{owner}",
        "meta": _meta(TASK_PROFILE, referral.version, answer.heard),
        **({"extension": extensions} if extensions else {}),
        "identifier": identifiers,
        "status": answer.status,
        **({"statusReason": _concept(*answer.reason)} if answer.reason else {}),
        **({"businessStatus": _concept(*answer.progress)} if answer.progress else {}),
        "intent": "order",
        "priority": PRIORITIES[referral.said["urgency"]],
        "code": {"coding": [{"system": TASK_CODE, "code": "fulfill"}]},
        "focus": {"reference": f"ServiceRequest/{referral.ref}", "type": "ServiceRequest"},
        "for": person(referral.case),
        "authoredOn": referral.time,
        "lastModified": max(referral.time, answer.changed),  # R4, inv-1: a sender's clock may be ahead
        "requester": organization(referral.source),
        "owner": organization(owner),
        **({"output": [_output(answer.outcome)]} if answer.outcome else {}),
    }


def service_request(referral: Referral) -> Json:
    """Return the ServiceRequest of *referral*."""
    said = referral.said
    extensions: list[Json] = [{"url": f"{EXTENSION}:mode", "valueCode": said["mode"]}]
    if "child" in said:
        extensions.append({"url": f"{EXTENSION}:child", "valueBoolean": said["child"]})
    extensions += [{"url": f"{EXTENSION}:withhold-from", "valueCode": each} for each in said.get("withhold_from", ())]
    statuses = {answer.status for answer in referral.answers.values()}
    if statuses - {"cancelled"} == {"completed"}:
        status = "completed"
    elif "cancelled" in statuses and statuses <= {"cancelled", "rejected"}:
        status = "revoked"
    else:
        status = "active"
    return {
        "resourceType": "ServiceRequest",
        "id": referral.ref,
        "meta": _meta(REQUEST_PROFILE, referral.version, referral.heard),
        "extension": extensions,
        "identifier": [{"system": REFERRAL, "value": referral.ref}],
        "status": status,
        "intent": "order",
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "410606002"}]}],
        "priority": PRIORITIES[said["urgency"]],
        "code": _concept("referral-reason", said["reason"]),
        **({"orderDetail": [_service(each) for each in said["services"]]} if said["services"] else {}),
        "subject": person(referral.case),
        "authoredOn": referral.time,
        "requester": organization(referral.source),
        "performer": [organization(each) for each in referral.answers],
    }


def submitted(request: Mapping[str, Any]) -> Json:
    """Return the data of the ``referral.submitted`` that *request* was made from, in version 3: the inverse of `service_request`."""
    codes = {each["url"].removeprefix(f"{EXTENSION}:"): each for each in request["extension"]}
    withheld = [each["valueCode"] for each in request["extension"] if each["url"] == f"{EXTENSION}:withhold-from"]
    return {
        "to": [each["identifier"]["value"] for each in request["performer"]],
        "mode": codes["mode"]["valueCode"],
        "reason": _code(request["code"], "referral-reason"),
        "urgency": URGENCIES[request["priority"]],
        "services": [_asked(each) for each in request.get("orderDetail", ())],
        **({"child": codes["child"]["valueBoolean"]} if "child" in codes else {}),
        **({"withhold_from": withheld} if withheld else {}),
    }


def _service(asked: Any) -> Json:
    code, frame = (asked, None) if isinstance(asked, str) else (asked["code"], asked.get("time_frame"))
    extension = [{"url": f"{EXTENSION}:time-frame", "valueCode": frame}]
    return {**({"extension": extension} if frame else {}), **_concept("service", code)}


def _asked(detail: Mapping[str, Any]) -> Json:
    frames = [each["valueCode"] for each in detail.get("extension", ())]
    return {"code": _code(detail, "service"), **({"time_frame": frames[0]} if frames else {})}


def person(case: str) -> Json:
    """Return the logical reference to the person of *case*: never more than the case's reference."""
    return {"type": "Patient", "identifier": {"system": CASE, "value": case}}


def organization(agency: str) -> Json:
    """Return the logical reference to *agency*."""
    return {"type": "Organization", "identifier": {"system": AGENCY, "value": agency}}


def _meta(profile: str, version: int | None, heard: str) -> Json:
    known = {} if version is None else {"versionId": str(version)}
    return {**known, "lastUpdated": heard, "profile": [profile]}


def _concept(listed: str, code: str) -> Json:
    return {"coding": [{"system": f"{CODES}:{listed}", "code": code}], "text": code.replace("_", " ")}


def _output(outcome: str) -> Json:
    kind = {"system": f"{GUIDE}/CodeSystem/SDOHCC-CodeSystemTemporaryCodes", "code": "resulting-activity"}
    return {"type": {"coding": [kind]}, "valueCodeableConcept": _concept("service-outcome", outcome)}


_FIXED: Final = ("id", "resourceType", "intent", "code", "focus", "for", "requester", "owner")
"""Members of a Task that nobody changes."""
_CHANGES: Final[Mapping[Any, tuple[str, str, str, tuple[str, ...]]]] = {
    "accepted": ("next_step", "businessStatus", "next-step", get_args(NextStep)),
    "rejected": ("reason", "statusReason", "decline-reason", get_args(DeclineReason)),
    "on-hold": ("question", "statusReason", "question", get_args(Question)),
    "completed": ("outcome", "output", "service-outcome", get_args(ServiceOutcome)),
    "cancelled": ("reason", "statusReason", "revocation-reason", get_args(RevocationReason)),
}
"""For each new status the one code of its event: its name, the Task's member that has it, the code list, its codes."""
EVENTS: Final[Mapping[Any, str]] = {
    "received": "acknowledged",
    "accepted": "accepted",
    "rejected": "declined",
    "on-hold": "info_requested",
    "completed": "completed",
    "cancelled": "revoked",
}
"""Event ``referral.<...>`` that a new status of a Task publishes."""
_IN_WORDS: Final = ("accepted", "rejected", "on-hold")
"""New statuses whose event has a letter, from version 2, with ``notes`` for words beside its code."""
_WORDS: Final = ("valueString", "valueMarkdown", "valueAnnotation", "valueAttachment")
"""Values of an ``output`` that are a person's words."""


def words_place(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return the place in *after* whose new words its event carries in a letter; None if there is no such event."""
    new = after.get("status")
    if new not in _IN_WORDS or after.get("note"):
        return None
    member = _CHANGES[new][1]
    is_published = new != before["status"] or (new == "on-hold" and member in _differing(before, after))
    return f"/{member}/text" if is_published else None


def change(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    is_alone: bool = True,
    labels: Labels = lambda _list, _code: (),
) -> Json | None:
    """Return the door's request (``type``, ``data``, perhaps ``version`` and ``sealed``) that leads from the Task *before* to *after*.

    None if nothing changes. *is_alone*: no other receiver of the referral still has to answer. A text that repeats one of
    the *labels* of its code is no new word.

    Raises:
        Misfit: the bus has no event for the change, or the event would change other Tasks too; or a code that the event
            needs is missing, or the event would not say another code that is new; or a note stands beside another change or another note, or where no question is open, or a
            description or text is new, and the event would not carry its words.
    """
    unsaid, place = list(_without_event(before, after, labels)), words_place(before, after)
    if refused := [each for each in unsaid if each.pointer != place]:
        raise Misfit(*refused)
    old, new = before["status"], after.get("status")
    if after.get("note"):
        question = _code(before.get("statusReason"), _QUESTION)
        goes_on = (old, "requested", "accepted") if old == "on-hold" else (old,)
        if question is None or new not in goes_on or _differing(before, after):
            raise Misfit(Problem("/note", "no_letter"))
        return _supplied(question, after)
    if new == "received" or (new == old == "requested" and _receipt(after) != _receipt(before)):
        return _acknowledged(before, after)
    if new == old:
        different = _differing(before, after)
        if not different:
            return None
        if unfit := [name for name in different if (new, name) != ("on-hold", "statusReason")]:  # another question
            raise Misfit(*(Problem(f"/{name}", "literal_error") for name in unfit))
    allowed = [each for each in EVENTS if is_alone or each != "cancelled"]  # a revocation ends every open Task
    if not isinstance(new, str) or new not in _CHANGES or new not in allowed:
        raise Misfit(Problem("/status", "literal_error", allowed))
    name, member, listed, codes = _CHANGES[new]
    value = _code(_output_of(after) if member == "output" else after.get(member), listed)
    data: Json = {name: _among(f"/{member}", value, codes)}
    carried: Json = {member: {(f"{CODES}:{listed}", value)}}
    if new == "rejected":
        by = _extension(after, "declined-by") or "provider"
        data["declined_by"] = _among("/extension", by, get_args(DeclinedBy))
        if (alternative := _extension(after, "alternative")) is not None:
            data["alternative"] = alternative
        carried["extension"] = {("declined-by", by), ("alternative", str(alternative))}
    _refuse_others(before, after, carried)
    in_words = {"version": 2, "sealed": {"notes": after[member]["text"]}} if unsaid else {}
    return {"type": f"referral.{EVENTS[new]}", "data": data, **in_words}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the members of *after* that say something else than *before* in the bus's own codes; a missing one says nothing."""
    return [name for name, own in _SAYING.items() if name in after and own(after) != own(before)]


def _refuse_others(before: Mapping[str, Any], after: Mapping[str, Any], carried: Mapping[str, Any]) -> None:
    """Raise Misfit for the members of *after* with a new code that the event does not say; *carried* are those that it says."""
    if lost := [name for name, own in _SAYING.items() if own(after) - own(before) - carried.get(name, set())]:
        raise Misfit(*(Problem(f"/{name}", "literal_error") for name in lost))


def _without_event(before: Mapping[str, Any], after: Mapping[str, Any], labels: Labels) -> Iterator[Problem]:
    """Yield a problem for each difference that no event can say, whatever the status is, and for all new words."""
    yield from (Problem(f"/{name}", "literal_error") for name in _FIXED if after.get(name) != before.get(name))
    if after.get("priority", before["priority"]) != before["priority"]:
        yield Problem("/priority", "literal_error", (before["priority"],))
    yield from (Problem(pointer, "no_letter") for pointer in _new_words(before, after, labels))


def _new_words(before: Mapping[str, Any], after: Mapping[str, Any], labels: Labels) -> Iterator[str]:
    """Yield the places of new words in *after*.

    The text of a concept may be what this server wrote, or repeat a code of the concept, its display or one of its *labels*.
    """
    if after.get("description"):
        yield "/description"
    for member in ("statusReason", "businessStatus"):
        if _is_new(before.get(member), after.get(member), labels):
            yield f"/{member}/text"
    known = _output_of(before)
    for place, each in enumerate(_listed(after.get("output"))):
        if _is_new(known, each.get("valueCodeableConcept"), labels):
            yield f"/output/{place}/valueCodeableConcept/text"
        yield from (f"/output/{place}/{name}" for name in _WORDS if name in each)
        reference = each.get("valueReference")
        if isinstance(reference, Mapping) and "display" in reference:
            yield f"/output/{place}/valueReference/display"


def _is_new(before: Any, after: Any, labels: Labels) -> bool:
    if not isinstance(after, Mapping) or not after.get("text"):
        return False
    codings = _listed(after.get("coding"))
    known = [each.get(name) for each in codings for name in ("code", "display")]
    if isinstance(before, Mapping):
        known.append(before["text"])
    text = _plain(after["text"])
    if text in map(_plain, known):
        return False
    ours = ((system.removeprefix(f"{CODES}:"), code) for system, code in _own_codes(after))
    return not any(text in map(_plain, labels(listed, code)) for listed, code in ours)


def _plain(words: Any) -> str:
    return str(words).replace("_", " ").casefold()


def _acknowledged(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    receipt = _receipt(after)
    if receipt is None:
        raise Misfit(Problem("/identifier", "missing", (RECEIPT,)))
    role = _among("/extension", _extension(after, "duty-role"), get_args(DutyRole))
    progress = {(f"{CODES}:referral-progress", "acknowledged")}
    carried = {"identifier": {str(receipt)}, "extension": {("duty-role", role)}, "businessStatus": progress}
    _refuse_others(before, after, carried)
    return {"type": "referral.acknowledged", "data": {"receipt_no": receipt, "duty_role": role}}


def _supplied(question: str, after: Mapping[str, Any]) -> Json:
    """Return the answer to the open *question*: its text is for the letter, which the desk seals."""
    if isinstance(after["note"], list) and len(after["note"]) > 1:  # nobody says which of them is new
        raise Misfit(Problem("/note", "too_long"))
    note = _first(after["note"])
    if not isinstance(note.get("text"), str):
        raise Misfit(Problem("/note/0/text", "missing"))
    return {"type": "referral.info_supplied", "data": {"question": question}, "sealed": {"answer": note["text"]}}


def _among(pointer: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise Misfit(Problem(pointer, "missing" if value is None else "literal_error", allowed))
    return value


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _first(value: Any) -> Mapping[str, Any]:
    return next(iter(_listed(value)), {})


def _code(concept: Any, listed: str) -> Any:
    """Return the code of *concept* in the bus's own list *listed*; None if it has none."""
    codings = _listed(concept.get("coding")) if isinstance(concept, Mapping) else []
    return next((each.get("code") for each in codings if each.get("system") == f"{CODES}:{listed}"), None)


def _output_of(resource: Mapping[str, Any]) -> Any:
    return _first(resource.get("output")).get("valueCodeableConcept")


def _extension(resource: Mapping[str, Any], name: str) -> Any:
    urls = _listed(resource.get("extension"))
    return next((each.get("valueCode") for each in urls if each.get("url") == f"{EXTENSION}:{name}"), None)


def _receipt(resource: Mapping[str, Any]) -> Any:
    identifiers = _listed(resource.get("identifier"))
    return next((each.get("value") for each in identifiers if each.get("system") == RECEIPT), None)


def _receipts(resource: Mapping[str, Any]) -> set[Any]:
    found = (each.get("value") for each in _listed(resource.get("identifier")) if each.get("system") == RECEIPT)
    return {str(each) for each in found if each is not None}


def _own_extensions(resource: Mapping[str, Any]) -> set[Any]:
    urls = {f"{EXTENSION}:{name}": name for name in ("duty-role", "declined-by", "alternative")}
    found = [(urls.get(str(each.get("url"))), each.get("valueCode")) for each in _listed(resource.get("extension"))]
    return {(name, str(code)) for name, code in found if name is not None and code is not None}


def _outcomes(resource: Mapping[str, Any]) -> set[Any]:
    return set().union(*(_own_codes(each.get("valueCodeableConcept")) for each in _listed(resource.get("output"))))


def _own_codes(concept: Any) -> set[Any]:
    codings = _listed(concept.get("coding")) if isinstance(concept, Mapping) else []
    return {(each["system"], str(each.get("code"))) for each in codings if str(each.get("system")).startswith(CODES)}


_SAYING: Final[Mapping[str, Callable[[Mapping[str, Any]], set[Any]]]] = {
    "statusReason": lambda task: _own_codes(task.get("statusReason")),
    "businessStatus": lambda task: _own_codes(task.get("businessStatus")),
    "output": _outcomes,
    "extension": _own_extensions,
    "identifier": _receipts,
}
"""Members of a Task, beside its status and note, that events are made from, with what the bus reads in each."""
