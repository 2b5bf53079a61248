"""The form of an event: every type and version of the models goes through it, and comes back as it was."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.desk.web.acts import form
from nrmbus.desk.web.acts.fields import Choices, Shown, hint_of, label_of, sentence
from nrmbus.events.errors import Problem
from nrmbus.events.examples import example
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralSubmitted, ReferralSubmittedV3
from nrmbus.events.registry import TYPES, data_type, versions
from nrmbus.events.schemas import FOLDER, schema_of
from nrmbus.rules import load_profile
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.words import Words
from nrmbus.zone import zone_of

BAKU: Final = ZoneInfo("Asia/Baku")
NOBODY: Final = Choices(lambda _: [], list, lambda _: [], list)
REFERRAL: Final[Mapping[str, Any]] = {
    "data": {
        "to": ["shelter", "vac"], "mode": "referral", "reason": "EmergencyProtection", "urgency": "urgent",
        "services": [{"code": "safe_shelter"}, {"code": "health", "time_frame": "24_hours"}], "child": False,
    },
    "sealed": {"name": "Alina Example", "birth_date": "1996-02-09", "contact": {"method": "phone", "value": "+99400"}},
}  # fmt: skip


@cache
def _example(data: type[Data], *, full: bool) -> Mapping[str, Any]:
    return _request(example(schema_of(data), full=full))


def _request(made: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the request for an example, with the members of the envelope that a person fills in."""
    event = made["event"]
    request = {"data": event["data"], "time": event["time"]}
    request |= (
        {"consent": event["consent"].split()} if event["type"] == "nrm.consent.objected" and "consent" in event else {}
    )
    request |= {"legal_basis": event["legalbasis"]} if "legalbasis" in event else {}
    return request | ({"sealed": made["letter"]} if made.get("letter") else {})


@pytest.mark.thorough
@given(st.sampled_from(tuple(TYPES.values())), st.booleans(), st.sampled_from(("Asia/Baku", "UTC", "Europe/Berlin")))
def test_each_example_comes_back_from_its_form(data: type[Data], full: bool, zone: str) -> None:  # noqa: FBT001 - hypothesis
    """Given an example of any type and version, when its form is filled in and read, then the same request is there, and fits."""
    request, made = _example(data, full=full), form.form_of(data)

    typed = form.typed_of(made, request, ZoneInfo(zone))
    found = form.read(made, typed, ZoneInfo(zone))

    assert found == request
    assert form.problems(made, found) == ()


@pytest.mark.parametrize(("name", "version"), sorted(TYPES))
def test_frozen_examples_come_back_from_their_forms(name: str, version: int) -> None:
    """The examples that partner agencies have go through the form too."""
    made = form.form_of(data_type(name, version))
    for path in (FOLDER / f"nrm.{name}" / f"v{version}").glob("*.json"):
        request = _request(json.loads(path.read_text(encoding="utf-8")))

        assert form.read(made, form.typed_of(made, request, BAKU), BAKU) == request


def test_each_field_has_a_label_and_each_code_a_list() -> None:
    """A page needs both, and a new version brings its own."""
    for data in (each for each in TYPES.values() if not each.technical):
        for field in _all(form.form_of(data).fields):
            assert field.label, (data.type, field.pointer)
            assert bool(field.codes) == bool(field.list), (data.type, field.pointer)


def _all(fields: tuple[form.Field, ...]) -> list[form.Field]:
    return [found for each in fields for found in (each, *_all(each.fields))]


def test_a_field_that_is_owed_at_times_is_not_called_optional() -> None:
    """Given reasons that a negative decision needs, then the form does not say beside it that nobody has to give them."""
    asked, t = form.form_of(data_type("identification.reasonable_grounds_decided", 1)), Words("en", BAKU)
    labels = {each.name: (label_of(t, each), hint_of(t, each)) for each in asked.clear}
    assert labels["data.review_until_days"][0] == "Calendar days in which a review may be asked for"
    assert labels["data.review_until_days"][1].startswith("Needed for a negative decision")


def test_the_example_beside_a_day_is_one_that_may_be_meant() -> None:
    """Given the last day of a hold, then its example is no year of birth; beside a date of birth it is one."""
    t = Words("en", BAKU)
    hints = [
        hint_of(t, each)
        for type in ("access.hold_placed", "referral.submitted")
        for each in form.form_of(data_type(type, max(versions(type)))).fields
        if each.kind == "day"
    ]
    assert hints == ["For example, 31 12 2027", "For example, 27 3 1996"]


@pytest.mark.parametrize(
    ("profile", "law", "acts"),
    [
        ("az@2022-04-29", ", such as CoM 21/2008 art. 7", "For example, CoM 21/2008, CoM 131/2009. "),
        ("md@2014-03-28", ", such as MD Law 241-XVI art. 15", "For example, Law 241-XVI, CETS 197. "),
        (None, "", ""),
    ],
)
def test_the_example_of_a_law_is_one_of_the_profile(profile: str | None, law: str, acts: str) -> None:
    """Given a profile, then act and article beside a field are those that it cites; without a law there is no example."""
    t = Words("en", **facts_of(load_profile(profile))) if profile else Words("en", BAKU)
    basis = form.form_of(ReferralSubmitted).named("legal_basis")
    of_change = form.form_of(data_type("policy.profile_activated", 1)).named("data.acts")
    assert basis is not None
    assert of_change is not None

    assert sentence(t, basis, Problem("/legal_basis", "value_error")).partition("with a digit")[2] == law
    assert hint_of(t, of_change) == f"{acts}Put a comma between them"


def test_an_interview_offers_people_first_and_nobody_of_the_bus_itself() -> None:
    """Given a list of every role, then the form of an interview offers doctor and lawyer before agencies, and no service."""
    asked = form.form_of(data_type("identification.interview_held", max(versions("identification.interview_held"))))
    shown = Shown(Words("en", BAKU), {}, {}, NOBODY)
    (block,) = shown.blocks(each for each in asked.clear if each.name == "data.attended")
    offered = [each["value"] for each in block.params["items"]]
    assert offered[:5] == ["interpreter", "representative", "doctor", "psychologist", "lawyer"]
    assert "special_unit" in offered[5:]
    assert not set(offered) & {"registrar", "timekeeper", "auditor", "canary"}


def test_each_field_of_a_letter_names_its_part() -> None:
    """Given a referral, then its fields say which part of the letter they lie in, and what class they are of."""
    parts = form.form_of(ReferralSubmittedV3).parts

    assert {part: [each.pointer for each in fields] for part, fields in parts.items()} == {
        "story": ["/sealed/facts", "/sealed/notes"],
        "coded": ["/sealed/interpreter"],
        "identity": ["/sealed/name", "/sealed/birth_date"],
        "contact": ["/sealed/contact"],
        "money": ["/sealed/income"],
    }
    assert {each.data_class for each in parts["identity"]} == {"DC3"}


def test_kinds_follow_from_the_models() -> None:
    """Each kind of field of a referral is the one that a page can show."""
    kinds = {each.name: each.kind for each in form.form_of(ReferralSubmittedV3).fields}

    assert kinds == {
        "data.to": "agencies", "data.mode": "choice", "data.reason": "choice", "data.urgency": "choice",
        "data.services": "objects", "data.child": "yes_no", "data.withhold_from": "agencies_or_roles",
        "sealed.notes": "long_text", "sealed.interpreter": "words", "sealed.name": "text", "sealed.birth_date": "day",
        "sealed.contact": "object", "sealed.facts": "long_text", "sealed.income": "text", "legal_basis": "text",
        "time": "time",
    }  # fmt: skip


def test_empty_rows_of_a_list_leave_no_gap() -> None:
    """Given a list whose first row was emptied, when it is read, then the rows that are left are the list."""
    made = form.form_of(ReferralSubmittedV3)
    typed = form.typed_of(made, REFERRAL, BAKU) | {"data.services.0.code": ("",)}

    assert form.read(made, typed, BAKU)["data"]["services"] == [{"code": "health", "time_frame": "24_hours"}]


@pytest.mark.parametrize(
    ("changed", "pointer", "kind"),
    [
        ({"data.to": ()}, "/data/to", "missing"),
        ({"data.mode": ("sideways",)}, "/data/mode", "literal_error"),
        ({"sealed.birth_date.day": ("31",)}, "/sealed/birth_date", "value_error"),
        ({"sealed.birth_date.year": ("96",)}, "/sealed/birth_date", "string_pattern_mismatch"),
        ({"sealed.contact.value": ("",)}, "/sealed/contact/value", "missing"),
        ({"data.services.1.code": ("",)}, "/data/services/1/code", "missing"),
        ({"sealed.name": ("x" * 201,)}, "/sealed/name", "string_too_long"),
    ],
)
def test_problems_lead_to_their_fields(changed: dict[str, tuple[str, ...]], pointer: str, kind: str) -> None:
    """Given something that does not fit, then the problem has the pointer of its field, and nothing else is refused."""
    made = form.form_of(ReferralSubmittedV3)
    typed = form.typed_of(made, REFERRAL, BAKU) | changed

    (found,) = form.problems(made, form.read(made, typed, BAKU))

    assert (found.pointer, found.kind) == (pointer, kind)
    field = made.field_at(found.pointer)
    assert field is not None
    assert field.pointer == pointer


def test_words_of_people_become_values() -> None:
    """Given spaces, a comma in a sum and a clock of the agency's zone, then the values are the wire's."""
    payment, scheduled = form.form_of(TYPES["payment.ordered", 1]), form.form_of(TYPES["service.scheduled", 1])
    typed = {"data.amount.value": (" 1 200,5 ",), "data.amount.currency": ("AZN",), "sealed.notes": (" a\nb ",)}
    when = {
        "data.when.day": ("9",),
        "data.when.month": ("3",),
        "data.when.year": ("2026",),
        "data.when.clock": ("9:05",),
    }

    paid = form.read(payment, typed, BAKU)

    assert paid["data"]["amount"] == {"value": "1200.50", "currency": "AZN"}
    assert paid["sealed"]["notes"] == "a\nb"
    assert form.read(scheduled, when, BAKU)["data"]["when"] == "2026-03-09T05:05:00Z"


@pytest.mark.parametrize(
    ("typed", "codes"),
    [
        ("rus tur", ["rus", "tur"]),
        ("rus, tur", ["rus", "tur"]),
        ("Русский; турецкий", ["rus", "tur"]),
        ("Haitian Creole, eng", ["hat", "eng"]),
        ("rus, neverheard", ["rus", "neverheard"]),
    ],
)
def test_languages_are_typed_by_name_or_code(typed: str, codes: list[str]) -> None:
    """Given names with spaces inside or codes with nothing but spaces between, then the letter has the codes; what is none stays to be refused."""
    made = form.form_of(ReferralSubmittedV3)
    found = form.typed_of(made, REFERRAL, BAKU) | {"sealed.interpreter": (typed,)}

    assert form.read(made, found, BAKU)["sealed"]["interpreter"] == codes


def test_a_time_before_the_calendar_is_a_problem_of_its_field() -> None:
    """Given the first half hour of the first year, which has no time in UTC, then the form says that it is no time."""
    scheduled = form.form_of(TYPES["service.scheduled", 1])
    typed = form.typed_of(scheduled, _example(scheduled.data, full=True), BAKU)
    typed |= {f"data.when.{name}": (each,) for name, each in (("day", "1"), ("month", "1"), ("year", "0001"))}
    typed |= {"data.when.clock": ("0:30",)}

    (found,) = form.problems(scheduled, form.read(scheduled, typed, BAKU))

    assert found.pointer == "/data/when"


@pytest.mark.parametrize(
    ("moment", "clock"),
    [
        ("2026-10-24T23:30:00Z", "02:30"),
        ("2026-10-25T00:30:00Z", "03:30 +03:00"),
        ("2026-10-25T01:30:15Z", "03:30:15 +02:00"),
        ("2026-10-25T02:30:00Z", "04:30"),
    ],
)
def test_each_of_two_equal_times_comes_back_from_its_form(moment: str, clock: str) -> None:
    """Given the night in which clocks in Chisinau are set back, then a form shows which of two equal times its own is."""
    made, zone = form.form_of(TYPES["service.scheduled", 1]), zone_of("Europe/Chisinau")

    typed = form.typed_of(made, {"data": {"when": moment}}, zone)

    assert typed["data.when.clock"] == (clock,)
    assert form.read(made, typed, zone)["data"]["when"] == moment


@pytest.mark.parametrize(
    ("day", "month", "clock", "moment"),
    [
        ("25", "10", "3:30", "2026-10-25T00:30:00Z"),
        ("25", "10", "3:30+02:00", "2026-10-25T01:30:00Z"),
        ("25", "10", "3:30 +04:00", None),
        ("24", "10", "3:30 +03:00", "2026-10-24T00:30:00Z"),
        ("29", "3", "3:30", None),
        ("29", "3", "4:30", "2026-03-29T01:30:00Z"),
    ],
    ids=["the first of two", "the second", "neither", "the only one", "left out", "after the hour left out"],
)
def test_a_time_that_clocks_show_twice_or_never(day: str, month: str, clock: str, moment: str | None) -> None:
    """Given a night in which clocks are set, then a time is what its offset says, else the first; one that no clock shows is a problem."""
    scheduled, zone = form.form_of(TYPES["service.scheduled", 1]), zone_of("Europe/Chisinau")
    typed = form.typed_of(scheduled, _example(scheduled.data, full=True), zone)
    typed |= {f"data.when.{name}": (each,) for name, each in (("day", day), ("month", month), ("year", "2026"))}
    typed |= {"data.when.clock": (clock,)}

    found = form.read(scheduled, typed, zone)

    if moment is None:
        assert [each.pointer for each in form.problems(scheduled, found)] == ["/data/when"]
    else:
        assert found["data"]["when"] == moment
        assert form.problems(scheduled, found) == ()


def test_a_consent_may_have_several_receivers() -> None:
    """The door makes one event of each receiver, so the form takes them together."""
    made = form.form_of(TYPES["consent.given", 1])
    typed = form.typed_of(made, _example(made.data, full=True), BAKU) | {"data.receivers": ("vac", "shelter")}

    assert form.problems(made, form.read(made, typed, BAKU)) == ()


def test_version_one_asks_for_services_by_code() -> None:
    """The same question has another form in another version, without a page of its own."""
    services = form.form_of(ReferralSubmitted).named("data.services")

    assert services is not None
    assert (services.kind, services.list, services.least) == ("choices", "Service", 0)
