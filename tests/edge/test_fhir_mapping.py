"""A referral is a valid FHIR R4 ServiceRequest with a Task for each receiver, and a change of a Task is one event."""

from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fhir_judge import judged
from edge.given import examples
from nrmbus.edge.fhir import mapping, rest
from nrmbus.edge.misfit import Misfit
from nrmbus.events.body import Body
from nrmbus.events.codes import (
    DeclineReason,
    NextStep,
    Question,
    RevocationReason,
    ServiceOutcome,
)
from nrmbus.events.registry import data_type

CASE, REF = "ab" * 16, "cd" * 16
SUBMITTED = {name: each for name, each in examples().items() if name.startswith("referral.submitted ")}


def said(kind: str, source: str, data: Mapping[str, Any], minute: int = 0) -> dict[str, Any]:
    """Return an event of the referral, registered so many minutes after it was submitted."""
    at = f"2026-03-02T05:{minute:02}:00Z"
    told = {"type": kind, "source": source, "case": CASE, "ref": REF, "data": data}
    told |= {"id": f"example-{minute}", "parts": []}
    return told | dict.fromkeys(("time", "registered", "received"), at)


def newest(data: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return *data* of a referral in version 3."""
    body = Body(dict(data), {})
    for each in range(version + 1, 4):
        body = data_type("referral.submitted", each).up(body)
    return dict(body.data)


@given(name=st.sampled_from(sorted(SUBMITTED)))
def test_every_published_referral_goes_out_and_comes_back(name: str) -> None:
    """The ServiceRequest of a published example is valid, and has everything that the event says in the clear."""
    example, version = SUBMITTED[name]["event"], int(name.split()[1][1:])
    data = newest(example["data"], version)
    (referral,) = mapping.referrals([said("referral.submitted", "ngo-a", example["data"])], "ngo-a").values()

    request = judged(mapping.service_request(referral))

    assert mapping.submitted(request) == data
    for owner in data["to"]:
        assert judged(mapping.task(referral, owner))["status"] == "requested"


REFERRAL = said(
    "referral.submitted", "ngo-a",
    {"to": ["shelter", "vac"], "mode": "referral", "reason": "LegalAid", "urgency": "urgent", "services": [{"code": "legal"}]},
)  # fmt: skip
ANSWERS = st.one_of(
    st.builds(lambda no, role: ("referral.acknowledged", {"receipt_no": no, "duty_role": role}), st.from_regex(r"[A-Z]{2}-[0-9]{4}", fullmatch=True), st.sampled_from(["duty_officer", "patrol", "other"])),
    st.builds(lambda step: ("referral.accepted", {"next_step": step}), st.sampled_from(get_args(NextStep))),
    st.builds(lambda question: ("referral.info_requested", {"question": question}), st.sampled_from(get_args(Question))),
    st.builds(lambda outcome: ("referral.completed", {"outcome": outcome}), st.sampled_from(get_args(ServiceOutcome))),
    st.builds(
        lambda reason, by, more: ("referral.declined", {"reason": reason, "declined_by": by, **more}),
        st.sampled_from(get_args(DeclineReason)), st.sampled_from(["provider", "person"]), st.sampled_from([{}, {"alternative": "ngo-l"}]),
    ),
    st.builds(lambda reason: ("referral.revoked", {"reason": reason}), st.sampled_from(get_args(RevocationReason))),
)  # fmt: skip
"""Each answer that a party of a referral gives by changing a Task."""


@given(
    first=st.sampled_from([None, ("referral.acknowledged", {"receipt_no": "A-1", "duty_role": "other"})]),
    answer=ANSWERS,
)
def test_the_change_that_an_event_makes_asks_for_that_event(first: Any, answer: Any) -> None:
    """A party that sets a Task to what it becomes by an event publishes just this event; the Task is valid before and after."""
    events = [REFERRAL, *([said(first[0], "vac", first[1], 1)] if first else [])]
    by = "ngo-a" if answer[0] == "referral.revoked" else "vac"
    before = judged(_task(events))
    after = judged(_task([*events, said(answer[0], by, answer[1], 2)]))

    assert mapping.change(before, after) == {"type": answer[0], "data": answer[1]}
    assert mapping.change(after, after) is None
    assert after["lastModified"] == "2026-03-02T05:02:00Z"


def test_a_question_holds_the_task_until_its_answer() -> None:
    """The asker answers with a note, whose text is for the letter; the Task goes on where it was."""
    asked = [REFERRAL, said("referral.info_requested", "vac", {"question": "language"}, 1)]
    held = judged(_task(asked))
    again = judged(_task([*asked, said("referral.info_supplied", "ngo-a", {"question": "language"}, 2)]))
    accepted = [
        REFERRAL,
        said("referral.accepted", "vac", {"next_step": "plan"}, 1),
        said("referral.info_requested", "vac", {"question": "other"}, 2),
    ]

    assert (held["status"], held["statusReason"]["text"]) == ("on-hold", "language")
    assert mapping.change(held, {**held, "note": [{"text": "Example: Russian."}]}) == {
        "type": "referral.info_supplied", "data": {"question": "language"}, "sealed": {"answer": "Example: Russian."},
    }  # fmt: skip
    assert again["status"] == "requested"
    assert "statusReason" not in again
    assert _task([*accepted, said("referral.info_supplied", "ngo-a", {"question": "other"}, 3)])["status"] == "accepted"


def test_question_is_still_open_after_the_acceptance() -> None:
    """The sender owes the answer as before, reads that in the Task, and can give it.

    Given: a receiver that asked, and accepts before the answer has come.
    When: the sender answers with a note.
    Then: the Task was accepted with the question as its reason, the answer is published, and the reason is gone after it.
    """
    asked = [
        REFERRAL,
        said("referral.info_requested", "vac", {"question": "safe_contact"}, 1),
        said("referral.accepted", "vac", {"next_step": "plan"}, 2),
    ]
    accepted = judged(_task(asked))
    after = judged(_task([*asked, said("referral.info_supplied", "ngo-a", {"question": "safe_contact"}, 3)]))
    note = {"note": [{"text": "Example: after six."}]}

    assert (accepted["status"], accepted["statusReason"]["text"]) == ("accepted", "safe contact")
    assert mapping.change(accepted, {**accepted, **note}) == {
        "type": "referral.info_supplied", "data": {"question": "safe_contact"}, "sealed": {"answer": "Example: after six."},
    }  # fmt: skip
    assert mapping.change(accepted, accepted) is None
    assert (after["status"], after["lastModified"]) == ("accepted", "2026-03-02T05:03:00Z")
    assert "statusReason" not in after
    for before, status in ((accepted, "requested"), (after, "accepted")):
        with pytest.raises(Misfit) as caught:
            mapping.change(before, {**before, "status": status, **note})
        assert [tuple(each) for each in caught.value.problems] == [("/note", "no_letter")]


def test_completed_task_has_no_question() -> None:
    """Given a question that nobody answered, when the receiver completes its part, then it needs no answer any more."""
    events = [
        REFERRAL,
        said("referral.info_requested", "vac", {"question": "safe_contact"}, 1),
        said("referral.accepted", "vac", {"next_step": "plan"}, 2),
        said("referral.completed", "vac", {"outcome": "provided_by_own_agency"}, 3),
        said("referral.info_supplied", "ngo-a", {"question": "safe_contact"}, 4),
    ]
    task = judged(_task(events))

    assert (task["status"], task["lastModified"]) == ("completed", "2026-03-02T05:03:00Z")
    assert "statusReason" not in task


def test_one_answer_frees_every_receiver_that_asked() -> None:
    """Given two receivers with two questions, when the sender answers one, then no Task stays on hold, as by the Rules."""
    events = [
        REFERRAL,
        said("referral.info_requested", "vac", {"question": "language"}, 1),
        said("referral.info_requested", "shelter", {"question": "documents"}, 2),
        said("referral.info_supplied", "ngo-a", {"question": "language"}, 3),
    ]

    assert [_task(events, each)["status"] for each in ("vac", "shelter")] == ["requested", "requested"]


def test_a_second_question_of_a_receiver_is_published() -> None:
    """Given a Task on hold, when it gets another question, then that is asked; the same question again changes nothing."""
    held = judged(_task([REFERRAL, said("referral.info_requested", "vac", {"question": "language"}, 1)]))
    other = judged(_task([REFERRAL, said("referral.info_requested", "vac", {"question": "documents"}, 1)]))
    beside = {"coding": [*held["statusReason"]["coding"], {"system": "http://example.org", "code": "x"}]}

    assert mapping.change(held, other) == {"type": "referral.info_requested", "data": {"question": "documents"}}
    assert mapping.change(held, {**held, "statusReason": beside}) is None


def test_a_code_that_changes_without_an_event_is_refused() -> None:
    """Given an answered Task, when a code of the bus in it becomes another one, then that is refused by its place and not ignored."""
    accepted = _task([REFERRAL, said("referral.accepted", "vac", {"next_step": "plan"}, 1)])
    declined = {"reason": "no_capacity", "declined_by": "provider"}
    rejected = _task([REFERRAL, said("referral.declined", "vac", declined, 1)])
    step = {"coding": [{"system": "urn:nrmbus:code:next-step", "code": "reception"}]}
    other = [{"url": "urn:nrmbus:fhir:declined-by", "valueCode": "person"}]
    receipt = [{"system": "urn:nrmbus:receipt", "value": "A-1"}]

    for before, change in (
        (accepted, {"businessStatus": step}),
        (accepted, {"identifier": receipt}),
        (rejected, {"extension": other}),
    ):
        with pytest.raises(Misfit) as caught:
            mapping.change(before, {**before, **change})
        assert [tuple(each) for each in caught.value.problems] == [(f"/{next(iter(change))}", "literal_error")]


def test_the_other_ends_of_a_referral() -> None:
    """A referral that expired, or whose case was withdrawn, is cancelled with the reason; one that was accepted is not."""
    late = [REFERRAL, said("referral.expired", "timekeeper", {"reason": "no_answer"}, 9)]
    left = [
        REFERRAL,
        said("referral.accepted", "shelter", {"next_step": "plan"}, 1),
        {**said("case.withdrawn", "ngo-a", {}, 9), "ref": None},
    ]

    (referral,) = mapping.referrals(late, "ngo-a", {REF: {"shelter", "vac"}}).values()
    assert judged(mapping.task(referral, "vac"))["statusReason"]["text"] == "no answer"
    assert judged(mapping.service_request(referral))["status"] == "revoked"
    assert judged(_task(left))["statusReason"]["text"] == "case withdrawn"
    assert judged(_task(left, "shelter"))["status"] == "accepted"


def test_a_referral_that_one_receiver_still_works_on_is_not_revoked() -> None:
    """Given one receiver that accepted and one whose part expired, then the ServiceRequest is active, and completed with the work."""
    events = [
        REFERRAL,
        said("referral.accepted", "vac", {"next_step": "plan"}, 1),
        said("referral.expired", "timekeeper", {"reason": "no_answer"}, 2),
    ]
    done = said("referral.completed", "vac", {"outcome": "provided_by_own_agency"}, 3)
    found = []
    for each in (events, [*events, done]):
        (referral,) = mapping.referrals(each, "ngo-a", {REF: {"shelter"}}).values()
        found.append(judged(mapping.service_request(referral))["status"])

    assert found == ["active", "completed"]


def test_a_task_that_expired_by_one_of_two_events_is_found_after_both() -> None:
    """Given a deciding body whose part ends with the second event, then a search by time after the first one finds its Task."""
    events = [
        REFERRAL,
        said("referral.expired", "timekeeper", {"reason": "no_answer"}, 2),
        said("referral.expired", "timekeeper", {"reason": "no_answer"}, 9),
    ]
    (referral,) = mapping.referrals(events, "ngo-a", {REF: {"shelter", "vac"}}).values()

    assert judged(mapping.task(referral, "vac"))["lastModified"] == "2026-03-02T05:09:00Z"


def test_a_deciding_body_that_asks_after_the_time_of_the_others_has_no_task_once_the_person_withdraws() -> None:
    """Given a question between the expiry of the other parts and the withdrawal, then its Task is cancelled, and nothing stays on hold."""
    events = [
        REFERRAL,
        said("referral.expired", "timekeeper", {"reason": "no_answer"}, 2),
        said("referral.info_requested", "vac", {"question": "documents"}, 4),
        {**said("case.withdrawn", "ngo-a", {}, 9), "ref": None},
    ]
    (before,) = mapping.referrals(events[:-1], "ngo-a", {REF: {"shelter"}}).values()
    (after,) = mapping.referrals(events, "ngo-a", {REF: {"shelter", "vac"}}).values()

    assert judged(mapping.task(before, "vac"))["status"] == "on-hold"
    task = judged(mapping.task(after, "vac"))
    assert (task["status"], task["statusReason"]["text"]) == ("cancelled", "case withdrawn")
    assert judged(mapping.service_request(after))["status"] == "revoked"


def test_resources_are_updated_when_their_newest_event_is_received() -> None:
    """A client that asks for what is new since its last request misses no event, whatever the order of arrival.

    Given: a referral of 05:00 that the desk receives at 05:11, and an acceptance of 05:01 that it received before.
    When: the resources are made.
    Then: Task and ServiceRequest were updated at 05:11, and the Task's own last change is the acceptance.
    """
    referral = REFERRAL | {"received": "2026-03-02T05:11:00Z"}
    (found,) = mapping.referrals(
        [referral, said("referral.accepted", "vac", {"next_step": "plan"}, 1)], "ngo-a"
    ).values()
    task, request = judged(mapping.task(found, "vac")), judged(mapping.service_request(found))

    assert task["meta"]["lastUpdated"] == request["meta"]["lastUpdated"] == "2026-03-02T05:11:00Z"
    assert task["lastModified"] == "2026-03-02T05:01:00Z"


def test_task_is_never_modified_before_it_was_authored() -> None:
    """Given a sender whose clock is two seconds ahead of the registrar's, then the Task is valid by R4 before and after an answer."""
    ahead = REFERRAL | {"time": "2026-03-02T05:00:02Z"}
    accepted = said("referral.accepted", "vac", {"next_step": "plan"}, 1)

    assert judged(_task([ahead]))["lastModified"] == "2026-03-02T05:00:02Z"
    assert judged(_task([ahead, accepted]))["lastModified"] == "2026-03-02T05:01:00Z"


def test_a_receiver_sees_its_own_task_alone() -> None:
    """No receiver learns from a Task how another one answered."""
    (referral,) = mapping.referrals([REFERRAL], "vac").values()

    assert list(referral.answers) == ["vac"]
    assert mapping.referrals([REFERRAL], "guardianship") == {}


@pytest.mark.parametrize(
    ("change", "pointer", "kind"),
    [
        ({"status": "in-progress"}, "/status", "literal_error"),
        ({"status": "failed"}, "/status", "literal_error"),
        ({"status": ["accepted"]}, "/status", "literal_error"),
        ({"status": "accepted"}, "/businessStatus", "missing"),
        ({"status": "accepted", "businessStatus": {"coding": [{"system": "urn:nrmbus:code:next-step", "code": "x"}]}}, "/businessStatus", "literal_error"),
        ({"status": "accepted", "businessStatus": {"coding": [{"system": "http://example.org", "code": "plan"}]}}, "/businessStatus", "missing"),
        ({"status": "rejected"}, "/statusReason", "missing"),
        ({"status": "rejected", "statusReason": {"coding": "no_capacity"}}, "/statusReason", "missing"),
        ({"status": "completed", "output": [7]}, "/output", "missing"),
        ({"status": "received"}, "/identifier", "missing"),
        ({"status": "received", "identifier": [{"system": "urn:nrmbus:receipt", "value": "A-1"}]}, "/extension", "missing"),
        ({"owner": {"reference": "Organization/1"}}, "/owner", "literal_error"),
        ({"for": {"reference": "Patient/1", "display": "CANARY"}}, "/for", "literal_error"),
    ],
)  # fmt: skip
def test_a_change_without_an_event_is_refused_by_its_place(change: Any, pointer: str, kind: str) -> None:
    """The problem has the place and the codes that would do, and nothing of what was sent."""
    before = _task([REFERRAL])
    with pytest.raises(Misfit) as caught:
        mapping.change(before, {**before, **change})

    assert [tuple(each) for each in caught.value.problems] == [(pointer, kind)]
    assert "CANARY" not in repr(caught.value.problems)


WORDS = "CANARY: do not send her here"
LISTED = "urn:nrmbus:code:"
REASON = {"coding": [{"system": f"{LISTED}decline-reason", "code": "no_capacity", "display": "We are full"}]}
STEP = {"coding": [{"system": f"{LISTED}next-step", "code": "plan"}]}
REVOKED = {"coding": [{"system": f"{LISTED}revocation-reason", "code": "sent_in_error"}]}
DONE = {"coding": [{"system": f"{LISTED}service-outcome", "code": "provided_by_own_agency"}]}


@pytest.mark.parametrize(
    ("change", "pointer", "kind"),
    [
        ({"priority": "stat"}, "/priority", "literal_error"),
        ({"status": "accepted", "businessStatus": STEP, "priority": "stat"}, "/priority", "literal_error"),
        ({"description": WORDS}, "/description", "no_letter"),
        ({"status": "accepted", "businessStatus": STEP, "description": WORDS}, "/description", "no_letter"),
        ({"status": "rejected", "statusReason": REASON, "businessStatus": {"text": WORDS}}, "/businessStatus/text", "no_letter"),
        ({"status": "accepted", "businessStatus": STEP, "statusReason": {"text": WORDS}}, "/statusReason/text", "no_letter"),
        ({"status": "cancelled", "statusReason": {**REVOKED, "text": WORDS}}, "/statusReason/text", "no_letter"),
        ({"businessStatus": {"text": WORDS}}, "/businessStatus/text", "no_letter"),
        ({"status": "completed", "output": [{"valueCodeableConcept": {**DONE, "text": WORDS}}]}, "/output/0/valueCodeableConcept/text", "no_letter"),
        ({"status": "completed", "output": [{"valueCodeableConcept": DONE}, {"valueString": WORDS}]}, "/output/1/valueString", "no_letter"),
        ({"status": "completed", "output": [{"valueCodeableConcept": DONE}, {"valueAnnotation": {"text": WORDS}}]}, "/output/1/valueAnnotation", "no_letter"),
        ({"status": "completed", "output": [{"valueCodeableConcept": DONE}, {"valueAttachment": {"title": WORDS}}]}, "/output/1/valueAttachment", "no_letter"),
        ({"status": "completed", "output": [{"valueCodeableConcept": DONE}, {"valueReference": {"display": WORDS}}]}, "/output/1/valueReference/display", "no_letter"),
    ],
)  # fmt: skip
def test_words_that_no_event_carries_are_refused_by_their_place(change: Any, pointer: str, kind: str) -> None:
    """Given words or a priority beside a code or alone, then the change is refused and its sender is not told that it was done."""
    before = _task([REFERRAL])
    with pytest.raises(Misfit) as caught:
        mapping.change(before, {**before, **change})

    assert [tuple(each) for each in caught.value.problems] == [(pointer, kind)]
    assert "CANARY" not in repr(caught.value.problems)


RECEIPT = [{"system": "urn:nrmbus:receipt", "value": "A-1"}]
DUTY = [{"url": "urn:nrmbus:fhir:duty-role", "valueCode": "other"}]
QUESTION = {"coding": [{"system": f"{LISTED}question", "code": "safe_contact"}]}
OTHER_REASON = {"system": f"{LISTED}decline-reason", "code": "outside_mandate"}
OTHER_OUTCOME = {"coding": [{"system": f"{LISTED}service-outcome", "code": "declined_by_survivor"}]}


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"status": "accepted", "businessStatus": STEP, "statusReason": QUESTION}, "statusReason"),
        ({"status": "accepted", "businessStatus": STEP, "identifier": RECEIPT}, "identifier"),
        ({"status": "accepted", "businessStatus": STEP, "extension": DUTY}, "extension"),
        ({"status": "accepted", "businessStatus": STEP, "output": [{"valueCodeableConcept": DONE}]}, "output"),
        ({"status": "rejected", "statusReason": REASON, "businessStatus": STEP}, "businessStatus"),
        ({"status": "rejected", "statusReason": REASON, "extension": DUTY}, "extension"),
        ({"status": "rejected", "statusReason": {"coding": [*REASON["coding"], OTHER_REASON]}}, "statusReason"),
        ({"status": "completed", "output": [{"valueCodeableConcept": DONE}, {"valueCodeableConcept": OTHER_OUTCOME}]}, "output"),
        ({"status": "received", "identifier": RECEIPT, "extension": DUTY, "businessStatus": STEP}, "businessStatus"),
        ({"identifier": RECEIPT, "extension": DUTY, "statusReason": QUESTION}, "statusReason"),
    ],
)  # fmt: skip
def test_a_code_beside_the_event_of_a_change_is_refused(change: Any, member: str) -> None:
    """A second fact is never dropped behind a change that is published.

    Given: a referral that nobody has answered.
    When: a change has the code of its event, and another code that the event does not say: a question, a receipt.
    Then: the change is refused by the place of the other code, and nothing is published.
    """
    before = _task([REFERRAL])
    with pytest.raises(Misfit) as caught:
        mapping.change(before, {**before, **change})

    assert [tuple(each) for each in caught.value.problems] == [(f"/{member}", "literal_error")]


def test_codes_of_earlier_events_stay_beside_a_change() -> None:
    """Given an acknowledged referral with a question, then a client that sends all of its Task declines it."""
    events = [
        REFERRAL,
        said("referral.acknowledged", "vac", {"receipt_no": "A-1", "duty_role": "other"}, 1),
        said("referral.info_requested", "vac", {"question": "language"}, 2),
    ]
    held = _task(events)
    both = {"coding": [*held["statusReason"]["coding"], *REASON["coding"]]}
    by = [*held["extension"], {"url": "urn:nrmbus:fhir:declined-by", "valueCode": "person"}]

    assert mapping.change(held, {**held, "status": "rejected", "statusReason": both, "extension": by}) == {
        "type": "referral.declined", "data": {"reason": "no_capacity", "declined_by": "person"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind", "data"),
    [
        ({"status": "rejected", "statusReason": {**REASON, "text": WORDS}}, "declined", {"reason": "no_capacity", "declined_by": "provider"}),
        ({"status": "accepted", "businessStatus": {**STEP, "text": WORDS}}, "accepted", {"next_step": "plan"}),
        ({"status": "on-hold", "statusReason": {**QUESTION, "text": WORDS}}, "info_requested", {"question": "safe_contact"}),
    ],
)  # fmt: skip
def test_words_beside_the_code_of_an_answer_go_into_its_letter(change: Any, kind: str, data: Any) -> None:
    """Given an answer whose text is the worker's own words, then its event has them in its letter, and its code in the clear."""
    before = _task([REFERRAL])

    assert mapping.change(before, {**before, **change}) == {
        "type": f"referral.{kind}", "version": 2, "data": data, "sealed": {"notes": WORDS},
    }  # fmt: skip


def test_words_without_a_new_answer_are_refused() -> None:
    """Given an open question, when its text changes and its code does not, or a note stands beside new words, then nothing is lost: it is refused."""
    held = _task([REFERRAL, said("referral.info_requested", "vac", {"question": "safe_contact"}, 1)])
    other = {"coding": [{"system": f"{LISTED}question", "code": "language"}], "text": WORDS}

    found = mapping.change(held, {**held, "statusReason": other})
    assert found is not None
    assert found["sealed"] == {"notes": WORDS}
    for change, pointer in (
        ({"statusReason": {**held["statusReason"], "text": WORDS}}, "/statusReason/text"),
        ({"status": "accepted", "businessStatus": {"text": WORDS}, "note": [{"text": "Example"}]}, "/businessStatus/text"),
    ):  # fmt: skip
        with pytest.raises(Misfit) as caught:
            mapping.change(held, {**held, **change})
        assert [tuple(each) for each in caught.value.problems] == [(pointer, "no_letter")]


@pytest.mark.parametrize("by", ["sender", "receiver"])
def test_task_says_that_an_answer_of_the_other_side_has_a_letter(by: str) -> None:
    """A reader of a Task learns of words that it has not seen, and never of a letter of its own.

    Given: a question with words, its answer, and an acceptance without words.
    When: sender and receiver read the Task.
    Then: each finds the id of the other's event with a letter that it may open.
    """
    story = {"parts": ["story"]}
    asked = said("referral.info_requested", "vac", {"question": "language"}, 1) | story
    supplied = said("referral.info_supplied", "ngo-a", {"question": "language"}, 2) | story
    accepted = said("referral.accepted", "vac", {"next_step": "plan"}, 3)
    me, letter = ("ngo-a", asked) if by == "sender" else ("vac", supplied)

    (referral,) = mapping.referrals([REFERRAL, asked, supplied, accepted], me).values()
    task = judged(mapping.task(referral, "vac"))

    assert task["extension"] == [{"url": "urn:nrmbus:fhir:letter", "valueId": letter["id"]}]
    assert mapping.change(task, task) is None


@pytest.mark.parametrize("text", ["no capacity", "No capacity", "no_capacity", "We are full", "language", ""])
def test_a_text_that_says_what_its_code_says_is_no_new_word(text: str) -> None:
    """Given a client that writes the code's words, its display or the server's text of before, then its answer is published."""
    before = _task([REFERRAL, said("referral.info_requested", "vac", {"question": "language"}, 1)])
    found = mapping.change(before, {**before, "status": "rejected", "statusReason": {**REASON, "text": text}})

    assert found is not None
    assert found["data"] == {"reason": "no_capacity", "declined_by": "provider"}


def test_an_open_question_is_answered_with_words() -> None:
    """A note without text is no answer."""
    held = _task([REFERRAL, said("referral.info_requested", "vac", {"question": "language"}, 1)])
    for note in ([{"time": "2026-03-02"}], ["x"], "x"):
        with pytest.raises(Misfit):
            mapping.change(held, {**held, "note": note})


def test_an_answer_is_one_note() -> None:
    """No note is published in the place of a newer one, which may be a warning.

    Given: an open question, and a program that keeps its Task and appends to its notes.
    When: it sends the note of its last answer and the new one, in either order.
    Then: the change is refused by its place, and the refusal repeats no word.
    """
    held = _task([REFERRAL, said("referral.info_requested", "vac", {"question": "safe_contact"}, 1)])
    old, new = {"text": "Example: Russian."}, {"text": "CANARY: do not call, he has her phone."}

    for notes in ([old, new], [new, old], [old, "x"]):
        with pytest.raises(Misfit) as caught:
            mapping.change(held, {**held, "note": notes})
        assert [tuple(each) for each in caught.value.problems] == [("/note", "too_long")]
        assert "CANARY" not in repr(caught.value.problems)


def test_a_note_beside_another_change_is_refused_and_never_published_in_its_place() -> None:
    """Given an open question, when a Task is cancelled, answered or described with a note, then the note is refused by its place."""
    held = _task([REFERRAL, said("referral.info_requested", "vac", {"question": "language"}, 1)])
    note = {"note": [{"text": "CANARY"}]}
    reason = {"coding": [{"system": "urn:nrmbus:code:revocation-reason", "code": "sent_in_error"}]}
    step = {"coding": [{"system": "urn:nrmbus:code:next-step", "code": "plan"}]}
    cancelled = {**held, "status": "cancelled", "statusReason": reason}

    assert mapping.change(held, cancelled) == {"type": "referral.revoked", "data": {"reason": "sent_in_error"}}
    for before, after in (
        (held, cancelled),
        (held, {**held, "status": "accepted", "businessStatus": step}),
        (held, {**held, "identifier": [{"system": "urn:nrmbus:receipt", "value": "A-1"}]}),
        (_task([REFERRAL]), {**_task([REFERRAL]), "status": "accepted", "businessStatus": step}),
        (_task([REFERRAL]), _task([REFERRAL])),
    ):
        with pytest.raises(Misfit) as caught:
            mapping.change(before, {**after, **note})
        assert [tuple(each) for each in caught.value.problems] == [("/note", "no_letter")]


@pytest.mark.parametrize("status", ["on-hold", "requested", "accepted"])
def test_the_answer_may_name_the_status_that_the_task_goes_on_with(status: str) -> None:
    """Given an open question, then its answer may leave the question out, with the status that the Task has after it."""
    held = _task([REFERRAL, said("referral.info_requested", "vac", {"question": "language"}, 1)])
    after = {name: each for name, each in held.items() if name != "statusReason"}

    found = mapping.change(held, {**after, "status": status, "note": [{"text": "Example: Russian."}]})
    assert found is not None
    assert found["type"] == "referral.info_supplied"


@pytest.mark.parametrize(
    ("operation", "pointer", "kind"),
    [
        ({"op": "remove", "path": "/note"}, "/1/path", "missing"),
        ({"op": "replace", "path": "/note", "value": []}, "/1/path", "missing"),
        ({"op": "test", "path": "/note"}, "/1/path", "missing"),
        ({"op": "test", "path": "/note", "value": None}, "/1/path", "missing"),
        ({"op": "test", "path": "/status"}, "/1/value", "missing"),
        ({"op": "add", "path": "/note"}, "/1/value", "missing"),
    ],
)
def test_json_patch_needs_its_member_and_its_value(operation: Any, pointer: str, kind: str) -> None:
    """Given an operation on a member that is not there, or without a value, then the patch is refused as by RFC 6902, section 4."""
    before = _task([REFERRAL])
    with pytest.raises(Misfit) as caught:
        rest.patched(before, [{"op": "test", "path": "/status", "value": "requested"}, operation])

    assert [tuple(each) for each in caught.value.problems] == [(pointer, kind)]


def test_json_patch_removes_and_replaces_what_is_there() -> None:
    """Given a Task, then its members are removed, replaced and added in order, and the Task of before stays."""
    before = _task([REFERRAL])
    after = rest.patched(
        before,
        [
            {"op": "remove", "path": "/priority"},
            {"op": "add", "path": "/note", "value": []},
            {"op": "replace", "path": "/note", "value": ["x"]},
        ],
    )

    assert after == {name: each for name, each in before.items() if name != "priority"} | {"note": ["x"]}
    assert before == _task([REFERRAL])


def test_place_in_a_json_patch_is_no_place_in_a_task() -> None:
    """Given a fault of a patch and one of a Task, then only the second has a FHIRPath; the words of the first name its place."""
    problems = [{"pointer": pointer, "kind": "missing"} for pointer in ("/0/path", "/note/0/text")]
    issues = judged(rest.outcome(422, {"code": "unknown_field", "problems": problems}))["issue"]

    assert [each.get("expression") for each in issues] == [None, ["Task.note[0].text"]]
    assert [each["diagnostics"] for each in issues] == ["0/path: missing", "missing"]


def _task(events: list[dict[str, Any]], owner: str = "vac") -> dict[str, Any]:
    (referral,) = mapping.referrals(events, "ngo-a").values()
    return mapping.task(referral, owner)
