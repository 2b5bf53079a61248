"""Mistakes of a profile: each is found, with its line and column and the thing to do, and many in one run."""

from typing import Final

import pytest
from pydantic import TypeAdapter, ValidationError

from agencies import POLICY
from copies import SOCIAL_SERVICE_HOUSES, copied
from nrmbus.rules import profile_names, profile_text
from nrmbus.rules.handbook.checking import Finding, findings
from nrmbus.rules.handbook.soundness import CODE, LONGEST_BASIS
from nrmbus.wire.registration import Line, Word

TEXT: Final = profile_text(POLICY)


def altered(*changes: tuple[str, str]) -> str:
    """Return the profile with each old text replaced once; a change that changes nothing fails the test."""
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def errors(text: str) -> list[Finding]:
    """Return what is wrong, without notes."""
    return [each for each in findings(text) if each.kind == "error"]


@pytest.mark.thorough
@pytest.mark.parametrize("name", profile_names())
def test_a_bundled_profile_has_no_mistake(name: str) -> None:
    """What this release brings can be put in force."""
    assert errors(profile_text(name)) == []


MISTAKES: Final[tuple[tuple[str, str, str, str, str], ...]] = (
    ("  G-62: {", "  G-99: {", "refusals.G-99", "unknown rule", "write"),
    ("ends_by: [{events: [shelter.discharged]}]", "ends_by: []", "clocks.D-SHELTER.ends_by", "without an end", "name an event"),
    ("{events: [stay.hold_confirmed, stay.hold_ended]}", "{events: [stay.hold_ended]}", "clocks.D-HOLD.answerable", "`migration`, which may publish none", "add an end"),
    ("starts: [{events: [stay.hold_requested]", "starts: [{events: []", "clocks.D-HOLD.starts", "nothing starts", "name the events"),
    ("case.signal_dismissed:       {by: [DETECTORS]", "case.signal_dismissed:       {by: []", "types.case.signal_dismissed.by", "nobody may publish", "name a role"),
    ("case.linked:                 {by: [DECIDERS]", "case.linked:                 {by: [specail_unit]", "types.case.linked.by.0", "no role", "write `special_unit`"),
    ("  PROVIDERS: [vac,", "  PROVIDERS: [SERVICE_PROVIDERS, vac,", "roles.PROVIDERS.0", "a cycle of roles", "remove SERVICE_PROVIDERS"),
    ("  DECIDERS: [special_unit] ", "  DECIDERS: [prosecution] ", "roles.DECIDERS", "no procedure of this release decides as `prosecution`", "write the procedure first"),
    ("  DECIDERS: [special_unit] ", "  DECIDERS: [special_unit, migration] ", "roles.DECIDERS", "decides as `migration`", "social_services or special_unit"),
    ("  SHELTERS: [shelter_state, ngo_shelter]", "  SHELTERS: [GUESTS]", "roles.SHELTERS.0", "no group GUESTS", "write"),
    ("sees: [asker, lapsing_shelter]", "sees: [holder_of_it, lapsing_shelter]", "types.shelter.offer_lapsed.sees.0", "no word of this place", "write"),
    ("  NEVER_RECIPIENTS: [police_other,", "  NEVER_RECIPIENTS: [migration, police_other,", "types.case.withdrawn.sees.4", "no role can receive", "may receive"),
    ("{by: [DECIDERS], sees: [holder, referrer]", "{by: [DECIDERS], sees: [to, referrer]", "types.case.linked.sees.0", "has no field to", "choose another word"),
    ("opens: {all: [special_unit]}, opening: true", "opens: {all: [vac_on_case]}, opening: true", "types.incident.opened.opens.all", "nobody who receives", "add who opens"),
    ("opens: {coded: [special_unit], rest: [special_unit_of_child]}", "opens: {money: [special_unit], rest: [special_unit_of_child]}", "types.case.signal_recorded.opens.money", "has no part money", "write one of"),
    ('unverified: true, says: "Guardianship', 'says: "Guardianship', "refusals.G-21.basis", "not marked", "unverified: true"),
    ('basis: "RULES.md#g-20 [D]"', 'basis: "RULES.md#g-20 [D]", unverified: true', "refusals.G-20.basis", "does not say so", "[u]"),
    ('basis: "RULES.md#g-24 [S8, S25] [D]"', 'basis: "RULES.md#g-224 [D]"', "refusals.G-24.basis", "does not resolve", "cite an article"),
    ('basis: "CoM 131/2009 s. 6.4 to 6.6 [S2]"', 'basis: "CoM 999/2009 s. 6.4 [S2]"', "refusals.G-42.basis", "does not resolve", "cite an article"),
    ('basis: "RULES.md#incident.opened [D]"', 'basis: "Hotărârea 228/2014 art. 5; RULES.md#incident.opened [D]"', "types.incident.opened.basis", "no event can name 'Hotărârea 228/2014 art. 5'", "any letters"),
    ("from: [SUSPECTED], to: CLOSED", "from: [SUSPICIOUS], to: CLOSED", "statuses.transitions.7.from.0", "no word of this place", "write"),
    ("when: positive, from: [PRESUMED], to: IDENTIFIED", "when: positive, from: [PRESUMED], to: PRESUMED", "", "no row leads to IDENTIFIED", "add a row"),
    ("IDENTIFIED, NOT_IDENTIFIED, SUPPORT_NO_STATUS, WITHDRAWN], to: CLOSED", "IDENTIFIED, NOT_IDENTIFIED, SUPPORT_NO_STATUS], to: CLOSED", "", "WITHDRAWN can never be closed", "case.closed"),
    ("[needs.assessed,", "[needs.guessed,", "", "no type needs.guessed", "write `needs.assessed`"),
    ("  needs.assessed:              {", "  needs.guessed:               {", "types.needs.guessed", "no published type", "schema list"),
    ("stay.permit_*", "stay.permits_*", "statuses.only.CLOSED.2", "no type matches", "write"),
    ("timezone: Asia/Baku", "timezone: Asia/Bakku", "timezone", "no time zone", "IANA"),
    ("timezone: Asia/Baku", "timezone: Asia", "timezone", "no time zone", "IANA"),
    ("timezone: Asia/Baku", "timezone: ../etc/passwd", "timezone", "no time zone", "IANA"),
    ("timezone: Asia/Baku", 'timezone: ""', "timezone", "no time zone", "IANA"),
    ("timezone: Asia/Baku", "timezone: " + "Asia" * 80, "timezone", "no time zone", "IANA"),
    ("country: AZ", "country: QQ", "calendar.country", "no holidays of QQ", "nrmbus rules holidays QQ"),
    ('valid_from: "2024-01-01"', 'valid_from: "2016-01-01"', "allowance.tariffs.1.valid_from", "two tariffs", "keep one"),
    ('- "2026-03-09"', "- 2026-03-09", "calendar.days_off.0", "without quotation marks", "quotation marks"),
    ("stops: true, about: withdrawal", "stopps: true, about: withdrawal", "types.consent.stop_confirmed.stopps", "no key of this place", "write `stops`"),
    ("k: 11", "k: 11\nk: 12", "k", "there twice", "remove one"),
    ("k: 11", "k: 1", "k", "too small", "2 or more"),
    ("k: 11", "k: many", "k", "no whole number", "write a whole number"),
    ("  SHELTERS: [shelter_state, ngo_shelter]", "  SHELTERS: shelter_state", "roles.SHELTERS", "no list", "write a list"),
    ("name: az@2022-04-29", "name: az@2022-02-30", "name", "no such day", "correct"),
    ("name: az@2022-04-29", "name: az", "name", "no name of a profile", "az@2022-04-29"),
    ("roles:\n", "roles: {\n", "", "no YAML", "correct the line"),
    ("hold_days: 365 ", "hold_days: 9999999 ", "retention.hold_days", "longer than a century", "shorter"),
    ("objection_days: 7 ", "objection_days: 36526 ", "retention.objection_days", "longer than a century", "shorter"),
    ("letter_days: 30 ", "letter_days: 36526 ", "retention.letter_days", "longer than a century", "shorter"),
    ("object_minutes: 10 ", "object_minutes: 52596001 ", "emergency.object_minutes", "longer than a century", "shorter"),
    ("answer_hours: 24 ", "answer_hours: 99999999999 ", "emergency.answer_hours", "longer than a century", "shorter"),
    ("bed_offer_hours: 24 ", "bed_offer_hours: 1" + "0" * 400 + " ", "periods.bed_offer_hours", "longer than a century", "shorter"),
    ("follow_up_months: [3, 6, 12]", "follow_up_months: [3, 6, 121]", "periods.follow_up_months", "more than 120 months", "later months"),
    ("stages: [initial_assistance, inquiry,", "stages: [initial_assistance, inqury,", "statuses.stages.1", "inqury is no stage", "write `inquiry`"),
    ("stages: [initial_assistance, inquiry, indicator_screening, recovery_plan]", "stages: [indicator_screening]", "statuses.stages", "no interview could be held", "second stage"),
    ("inquiry, indicator_screening, recovery_plan]", "inquiry, recovery_plan]", "statuses.stages", "no status could be decided", "name indicator_screening"),
    ("G-40: {code: wrong_state,", "G-40: {code: " + "wrong_state_" * 6 + ",", "refusals.G-40.code", "no registration could carry this code", "at most 64"),
    ("G-40: {code: wrong_state,", "G-40: {code: _wrong_state,", "refusals.G-40.code", "no registration could carry this code", "a letter first"),
    ('basis: "CoM 131/2009 s. 6.4 to 6.6 [S2]"', 'basis: "' + "CoM 131/2009 s. 6.4; " * 20 + '[S2]"', "refusals.G-42.basis", "more than 400 characters", "fewer laws"),
    ("recovery_days: 30 ", "recovery_days: 3661 ", "periods.recovery_days", "no event could carry so many days", "at most 3660"),
    ("stay_days: 365 ", "stay_days: 5000 ", "periods.stay_days", "no event could carry so many days", "at most 3660"),
    ("tariff: az-2024", 'tariff: "muavinat 2024"', "allowance.tariffs.1.tariff", "no order of a payment could carry this name", "az-2024"),
    ('value: "700.00"', 'value: "7000000000.00"', "allowance.tariffs.1.value", "no order of a payment could carry this sum", "nine digits"),
    ('value: "700.00"', 'value: "0700.00"', "allowance.tariffs.1.value", "no order of a payment could carry this sum", "no zero before"),
    ("object_minutes: 10 ", "objecting_minutes: 10 ", "emergency.object_minutes", "is missing", "add `object_minutes`"),
)  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("old", "new", "path", "says", "do"), MISTAKES, ids=[new for _, new, *_ in MISTAKES])
def test_a_mistake_is_found_at_its_line_with_advice(old: str, new: str, path: str, says: str, do: str) -> None:
    """The line is that of the change, counted from 1, and the advice names what to write."""
    text = altered((old, new))
    changed = text[: text.index(new)].count("\n") + 1

    found = next(each for each in errors(text) if says in each.says)
    shown = text.splitlines()[found.line - 1][found.column - 1 :]
    key = found.path.rpartition(".")[2]
    assert found.path == path or not path
    assert do in found.do
    assert key.isdecimal() or not path or key in shown.partition(" ")[0] or says == "is missing"
    assert abs(found.line - changed) <= 1 or not path or "case.withdrawn" in path


def test_the_check_takes_for_a_refusal_what_a_registration_takes() -> None:
    """Given the longest basis and code that the check lets pass, then a registration has room for both, and for no more."""
    article, code = TypeAdapter(Line), TypeAdapter(Word)
    assert article.validate_python("x" * LONGEST_BASIS)
    assert CODE.fullmatch(code.validate_python("x" * 64))
    assert not CODE.fullmatch("x" * 65)
    with pytest.raises(ValidationError):
        article.validate_python("x" * (LONGEST_BASIS + 1))


def test_mistakes_of_all_kinds_are_reported_in_one_run() -> None:
    """Wrong shapes do not hide what else is wrong."""
    found = errors(
        altered(
            ("k: 11", "k: 11\nk: 12"),
            ("told: supervisor", "told: everybody"),
            ("  G-62: {", "  G-99: {"),
            ("code: wrong_state, ", ""),
            ("ends_by: [{events: [shelter.discharged]}]", "ends_by: []"),
            ('valid_from: "2024-01-01"', 'valid_from: "2016-01-01"'),
        )
    )

    assert [each.path for each in found] == [
        "k", "refusals.G-40.code", "refusals.G-99", "clocks.D-REFER.told", "clocks.D-SHELTER.ends_by",
        "allowance.tariffs.1.valid_from",
    ]  # fmt: skip
    assert [each.line for each in found] == sorted(each.line for each in found)


def test_a_row_that_is_there_twice_is_one_mistake() -> None:
    """The rows below the second key are not listed one by one."""
    (found,) = errors(altered(("  D-ACK:  ", "  D-REFER: ")))

    assert (found.path, found.says) == ("clocks.D-REFER", "a key is there twice")


def test_two_profiles_that_extend_each_other_are_named_at_the_line_that_closes_the_cycle() -> None:
    """Given two drafts, each extending the other, either is refused, and the sentence names both."""
    one = "name: xa@2026-01-01\nextends: xb@2026-01-01\nchanges: {k: 12}\n"
    other = "name: xb@2026-01-01\nextends: xa@2026-01-01\nchanges: {k: 13}\n"

    (found,) = findings(one, {"xb@2026-01-01": other, "xa@2026-01-01": one})

    assert (found.line, found.path) == (2, "extends")
    assert found.says == "xa@2026-01-01 extends xb@2026-01-01, which extends xa@2026-01-01: a cycle"


def test_the_mistakes_of_a_draft_come_before_what_follows_from_them_in_the_profile_that_it_extends() -> None:
    """A cycle of roles leaves rows of the other profile without a receiver: first the lines to mend, then these rows."""
    text = (
        f"name: xa@2026-01-01\nextends: {POLICY}\nchanges:\n  roles:\n    SHELTERS: [BED_ASKERS]\n    NGOS: [SHELTERS]\n"
        "    BED_ASKERS: [NGOS]\n"
    )

    found = errors(text)

    assert [each.line for each in found[:3]] == [5, 6, 7]
    assert all("cycle" in each.says for each in found[:3])
    assert {each.line for each in found[3:]} == {2}


def test_a_draft_has_no_notes_about_rows_of_the_profile_that_it_extends_and_its_name_at_the_top() -> None:
    """Notes are about what the author wrote. A second name would be overruled without a word."""
    sound = f"name: xa@2026-01-01\nextends: {POLICY}\nchanges:\n  k: 12\n"

    assert findings(sound) == ()
    (found,) = findings(sound + "  name: xb@2026-01-01\n")
    assert (found.line, found.path) == (5, "changes.name")


def test_a_file_that_is_no_profile_is_answered_without_a_word_of_it() -> None:
    """Somebody may name a wrong file, and it may be about a person."""
    for text in ("name_of_person: Alina\n", "[Alina]", "Alina", "Alina: [", "\x00"):
        (found,) = findings(text)
        assert "Alina" not in found.says + found.do + found.path
        assert found.says.startswith("this is no")


@pytest.mark.thorough
def test_notes_name_what_is_left_out_and_a_name_that_is_taken() -> None:
    """Neither is a mistake: an older profile rightly lacks rules, and a copy may be for looking only."""
    text = altered(("k: 11", "k: 12"), ("  G-63: {", "  # G-63: {"))
    assert errors(text) == []

    notes = {each.path: each.says for each in findings(text) if each.kind == "note"}
    assert "G-63" in notes["refusals"]
    assert "bundled with other values" in notes["name"]


@pytest.mark.thorough
def test_a_shelter_without_the_procedure_is_noted() -> None:
    """Given a profile whose social service takes people in, then a note says that a person answers the requests for a bed there."""
    (found,) = (each for each in findings(copied(SOCIAL_SERVICE_HOUSES)) if each.path == "roles.SHELTERS")

    assert found.kind == "note"
    assert "the places of `social_services`" in found.says
