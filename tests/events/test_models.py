"""Models are closed, strict and frozen, and a letter is the sum of its parts."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nrmbus.events import schemas as published
from nrmbus.events.case import Closed, IncidentOpened, SignalRecordedLetter
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.errors import Invalid
from nrmbus.events.identification import InterviewHeld
from nrmbus.events.model import PARTS, Data, Event, Letter
from nrmbus.events.referral import ReferralSubmitted, ReferralSubmittedLetter, ReferralSubmittedV3
from nrmbus.events.registry import MODULES, TYPES
from nrmbus.events.stats import PeriodPublished
from nrmbus.events.support import ServiceDelivered, ServiceScheduled

LETTERS = {
    data.letter: json.loads(published.documents((data,))[f"nrm.{data.type}/v{data.version}/full.json"])["letter"]
    for data in TYPES.values()
    if data.letter
}


@st.composite
def letters(draw: st.DrawFn) -> Letter:
    """Return letters of any type, with any fields and any free texts."""
    model, full = draw(st.sampled_from(list(LETTERS.items())))
    filled: dict[str, Any] = {name: full[name] for name in draw(st.sets(st.sampled_from(list(full))))}
    for name in filled.keys() & {"notes", "facts", "name", "answer", "record", "evidence", "account"}:
        filled[name] = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
    letter: Letter = model.from_mapping(filled)
    return letter


@given(letters())
def test_the_parts_of_a_letter_are_the_letter(letter: Letter) -> None:
    """A letter split by part and put together again is the same letter; every part travels, empty ones too."""
    parts = letter.parts()

    assert tuple(parts) == letter.part_names()
    assert type(letter).from_parts(parts) == letter
    assert sum(len(fields) for fields in parts.values()) == len(letter.to_mapping())


@given(letters(), st.sets(st.sampled_from(PARTS)))
def test_a_reader_of_fewer_parts_reads_less_and_nothing_else(letter: Letter, opened: set[str]) -> None:
    """A recipient that may open some parts reads exactly the fields of those."""
    some = {part: fields for part, fields in letter.parts().items() if part in opened}

    read = type(letter).from_parts(some).to_mapping()

    assert read == {name: value for name, value in letter.to_mapping().items() if letter.part_of(name) in opened}


def test_a_name_among_the_coded_facts_is_refused() -> None:
    """A field written into another part would reach others than may read it, so the letter is not put together."""
    with pytest.raises(Invalid) as caught:
        ReferralSubmittedLetter.from_parts({"coded": {"name": "Alina Example"}})
    with pytest.raises(Invalid) as unknown:
        ReferralSubmittedLetter.from_parts({"health": {}, "story": {"fact": "Example"}})

    assert caught.value.problems == (("/name", "wrong_part"),)
    assert unknown.value.kinds == {"unknown_part", "unknown_field"}


def test_every_letter_may_have_notes_in_its_story() -> None:
    """Every letter has a field for free notes, which lies in the part `story`."""
    assert all(letter.part_of("notes") == "story" for letter in LETTERS)
    assert SignalRecordedLetter.part_names() == ("coded", "story")
    assert ReferralSubmittedLetter.part_names() == ("coded", "contact", "identity", "money", "story")


@pytest.mark.parametrize(
    "not_quite",
    [
        {"number": "1"},
        {"number": 1.0},
        {"number": True},
        {"number": 0},
        {"number": 100},
        {"attended": []},
        {"attended": ["doctor", "doctor"]},
        {"attended": "doctor"},
        {"attended": ["Doctor"]},
        {"attended": None},
    ],
)
def test_nothing_is_guessed(not_quite: dict[str, Any]) -> None:
    """A value of another type, out of bounds, said twice or not of the list is refused, never made to fit."""
    with pytest.raises(Invalid):
        InterviewHeld.from_mapping({"number": 1, "attended": ["special_unit"]} | not_quite)


@pytest.mark.parametrize(
    ("said", "pointers"),
    [
        ({"services": [{"code": "legal", "time_frame": None}]}, ["/services/0/time_frame"]),
        (
            {"services": [{"code": "legal"}, {"code": "food", "time_frame": None}], "child": None},
            ["/services/1/time_frame", "/child"],
        ),
    ],
    ids=["in a list", "in a list and beside it"],
)
def test_a_null_is_refused_wherever_it_stands(said: dict[str, Any], pointers: list[str]) -> None:
    """An absent field is left out, of an object in a list too, so that each event has one form; the pointer names the field."""
    asked = {"to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal"}

    with pytest.raises(Invalid) as caught:
        ReferralSubmittedV3.from_mapping(asked | said)
    assert caught.value.problems == tuple((pointer, "null") for pointer in pointers)


@pytest.mark.parametrize("receivers", [[], ["shelter", "vac"]])
def test_a_consent_names_one_receiver(receivers: list[str]) -> None:
    """A consent on the wire is about exactly one agency, so that no receiver learns of another."""
    written = {"purposes": ["services"], "given_by": "individual", "form": "written"}
    assert ConsentGiven.from_mapping(written | {"receivers": ["vac"]}).receivers == ("vac",)

    with pytest.raises(Invalid):
        ConsentGiven.from_mapping(written | {"receivers": receivers})


@pytest.mark.parametrize("to", [[], ["vac", "fund"], ["vac", "vac"], ["Vac"], ["special_unit"], ["a"]])
def test_recipients_are_sorted_ids_each_once(to: list[str]) -> None:
    """The chosen recipients are a sorted list of agency ids (schemas/README.md, "An event"), so that each choice has one form."""
    with pytest.raises(Invalid):
        ReferralSubmitted.from_mapping(
            {"to": to, "mode": "referral", "reason": "Payment", "urgency": "normal", "services": []}
        )


@pytest.mark.parametrize(
    "when",
    [
        "2026-03-02T05:00:00+00:00",
        "2026-03-02T09:00:00+04:00",
        "2026-03-02T05:00:00.5Z",
        "2026-03-02 05:00:00Z",
        "2026-02-30T05:00:00Z",
        "2026-03-02T05:00:00Z\n",
        "1772427600",
        1772427601,
    ],
)
def test_a_time_has_one_form(when: str | int) -> None:
    """A time is UTC to the second, in the one form of the wire; nothing else means the same."""
    with pytest.raises(Invalid):
        ServiceScheduled.from_mapping({"service": "legal", "when": when})


def test_a_time_in_python_is_aware_utc_and_whole() -> None:
    """A program hands in aware times in UTC without fractions, and gets them back."""
    moment = datetime(2026, 3, 2, 5, tzinfo=UTC)

    assert ServiceScheduled(service="legal", when=moment).to_mapping()["when"] == "2026-03-02T05:00:00Z"
    for wrong in (
        moment.replace(tzinfo=None),
        moment.replace(microsecond=1),
        moment.astimezone(timezone(timedelta(hours=4))),
    ):
        with pytest.raises(ValidationError):
            ServiceScheduled(service="legal", when=wrong)


@pytest.mark.parametrize("day", ["1996-02-30", "1996-2-29", "29.02.1996", "1996-02-29T00:00:00Z"])
def test_a_day_is_one_of_the_calendar(day: str) -> None:
    """A day that the calendar does not have is refused when it is typed, not years later."""
    with pytest.raises(Invalid):
        ReferralSubmittedLetter.from_mapping({"birth_date": day})


def test_a_published_event_cannot_be_changed() -> None:
    """An event's fields are frozen, lists included."""
    said = ConsentGiven.from_mapping(
        {"purposes": ["services"], "receivers": ["vac"], "given_by": "individual", "form": "oral"}
    )

    with pytest.raises(ValidationError):
        setattr(said, "form", "written")  # noqa: B010  # mypy sees the plain assignment
    assert isinstance(said.purposes, tuple)
    assert hash(said) == hash(said.model_copy())


def test_every_type_is_published_once_under_its_step() -> None:
    """The modules hold every type: each name and version has one class, and a shared base is no type."""
    assert len(TYPES) == len({data.__name__ for data in TYPES.values()})
    assert {data.__module__ for data in TYPES.values()} == {module.__name__ for module in MODULES}
    assert all((data.type, data.version) == key for key, data in TYPES.items())
    technical = {data.type for data in TYPES.values() if data.technical}
    assert technical == {
        "access.erasure_confirmed",
        "access.erasure_due",
        "access.granted",
        "access.reseal_due",
        "document.chunk_sent",
        "letter.kept_shut",
        "letter.opened",
        "letter.unreadable",
    }
    assert {data.type for data in TYPES.values() if data.keyed_by == "incident"} == {IncidentOpened.type}


def test_recipients_are_the_senders_choice() -> None:
    """A type without `to`, or with an empty choice, has no recipients of the sender's."""
    assert Closed(reason="integrated", follow_up=True).recipients == ()
    assert ServiceDelivered(service="legal", outcome="referred").recipients == ()
    assert ServiceDelivered(service="legal", outcome="referred", to=("vac",)).recipients == ("vac",)


def test_an_envelope_holds_what_its_example_shows() -> None:
    """The example's attributes make an envelope, with the named consents."""
    shown: dict[str, Any] = json.loads(published.documents((Closed,))["nrm.case.closed/v1/full.json"])["event"]
    attributes = {name: value for name, value in shown.items() if name in Event.model_fields}
    attributes |= {
        "source": shown["source"].removeprefix("/agency/"),
        "type": "case.closed",
        "version": 1,
        "data": Closed.from_mapping(shown["data"]),
        **{name: datetime.fromisoformat(shown[name]) for name in ("time", "recordedtime")},
    }

    event = Event(**attributes)

    assert event.consents == (shown["consent"],)
    assert event.model_dump(mode="json", exclude_none=True)["data"] == shown["data"]
    assert event.model_copy(update={"consent": None}).consents == ()


def _names(data: type[Data]) -> set[str]:
    return set(data.model_fields) | set(data.letter.model_fields if data.letter else ())


def test_ids_and_grounds_stay_in_the_envelope() -> None:
    """No type repeats attributes of the envelope in its data: the ground in law, and the referral."""
    assert not [data.type for data in TYPES.values() if _names(data) & {"legal_basis", "legalbasis", "ref", "referral"}]


@pytest.mark.parametrize("text", ["AAAA\n", "AAA", "A" * 15_001, "AAAA===", "AA-A", ""])
def test_figures_that_are_no_packed_text_are_refused_where_they_stand(text: str) -> None:
    """The check is as strict as the published pattern, a line's end after it included."""
    example = json.loads(published.documents((PeriodPublished,))["nrm.stats.period_published/v1/full.json"])["event"][
        "data"
    ]
    PeriodPublished.from_mapping(example)

    with pytest.raises(Invalid) as refused:
        PeriodPublished.from_mapping(example | {"figures": text})

    assert list(refused.value.problems) == [("/figures", "string_pattern_mismatch")]


def test_no_pattern_is_written_out_in_memory() -> None:
    """Pydantic's matcher repeats a pattern's states: one bound of 15,000 would take 3 MiB in every process."""
    compiled = {
        each
        for data in TYPES.values()
        for each in re.findall(r"'type': 'str', 'pattern': '(.*?)'", repr(data.__pydantic_core_schema__))
    }

    assert len(compiled) > 10
    assert not {each for each in compiled for most in re.findall(r"(\d+)\}", each) if int(most) > 1_000}
