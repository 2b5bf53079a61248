"""The profile: dated values as data, read strictly, named by a digest that is pinned here."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

import plain_yaml
from agencies import AGENCIES, POLICY
from nrmbus.packed import packed
from nrmbus.rules import (
    ProfileError,
    Rules,
    UnknownProfileError,
    calendar,
    load_profile,
    profile_names,
    profile_text,
    read_profile,
)
from nrmbus.rules.calendar import Calendar, countries
from nrmbus.rules.handbook import holidays as library

PROFILE = load_profile(POLICY)
TEXT = profile_text(POLICY)
CALENDAR = Calendar.of(PROFILE)

PINNED = "f658041523275768af9b6bd36e1cb33750ca98048dc9d41c1bf384e931572acf"
"""The digest that registrations of this profile carry.

If this fails, a value of the profile was altered. Before the profile is in force anywhere: see that a behaviour test
fails too and mend it, then pin the new digest. Afterwards: never; write a new profile with a new date, since registered
events name the old one.
"""


def test_the_digest_of_the_profile_is_pinned() -> None:
    """A changed value fails this test, whose constant says what a change means."""
    assert PROFILE.digest == PINNED


def test_the_digest_is_that_of_the_values_not_of_the_text() -> None:
    """Comments and the order of keys do not change it; a value does."""
    loaded = plain_yaml.read(TEXT)
    turned = dict(reversed(loaded.items()))
    assert read_profile(yaml.safe_dump(turned, sort_keys=False)).digest == PROFILE.digest
    loaded["k"] = 12
    assert read_profile(yaml.safe_dump(loaded)).digest != PROFILE.digest


def test_the_order_of_the_rules_is_a_value() -> None:
    """The first rule that applies answers, so two rules changed about are another profile."""
    loaded = plain_yaml.read(TEXT)
    loaded["refusals"] = dict(reversed(loaded["refusals"].items()))
    assert read_profile(yaml.safe_dump(loaded, sort_keys=False)).digest != PROFILE.digest


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("timezone:", "time_zone: x\ntimezone:", "time_zone"),
        ("stops: true,", "stopps: true,", "stopps"),
        ("told: supervisor", "told: everybody", "told"),
        ("sees: [to,", "sees: [all_of_them,", "sees"),
        ("by: [DETECTORS],", "by: [DETECTIVES],", "no such group"),
        ("when: to_unit", "when: it_rains", "when"),
        ("events: [case.linked]", "events: [case.linked]", ""),
        ("[needs.assessed,", "[needs.guessed,", "no such type"),
        ("stay.permit_*", "stay.permits_*", "a pattern"),
        ("G-01: {", "G-01: {}\n  G-01: {", "twice"),
        ("from: [SUSPECTED]", "from: [SUSPICIOUS]", "from"),
        ('"2026-03-09"', "2026-03-09", "quotation marks"),
        ('"2026-03-09"', '"2026-02-30"', "days_off"),
        ("hours: 24", "hours: 0", "length"),
        ("roles:", "roles: {", "no YAML"),
        ("PROVIDERS: [vac,", "PROVIDERS: [SERVICE_PROVIDERS, vac,", "contains itself"),
    ],
)
def test_an_unknown_member_of_a_profile_is_an_error_that_names_the_place(old: str, new: str, where: str) -> None:
    """Unknown keys, words, groups, types and statuses, days that are none, and a key that is there twice."""
    if not where:
        assert read_profile(TEXT.replace(old, new, 1)).digest == PROFILE.digest
        return
    assert old in TEXT
    with pytest.raises(ProfileError, match=where):
        read_profile(TEXT.replace(old, new, 1))


def test_a_rule_that_is_not_written_is_not_put_in_force() -> None:
    """A profile cannot invent a rule that no function judges."""
    altered = read_profile(TEXT.replace("  G-62:", "  G-99:"))
    with pytest.raises(ProfileError, match="G-99"):
        Rules(altered, AGENCIES)


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    """The name asked for is not repeated."""
    assert POLICY in profile_names()
    with pytest.raises(UnknownProfileError, match=POLICY):
        load_profile("zz@2000-01-01")


def test_every_value_on_unread_law_is_marked() -> None:
    """Every [u] of the basis column has its mark, and no mark stands without one."""
    tables = (PROFILE.types, PROFILE.refusals, PROFILE.clocks)
    cited = {name: row for table in tables for name, row in table.items()}
    assert {name for name, row in cited.items() if "[u]" in row.basis} == {
        name for name, row in cited.items() if row.unverified
    }
    assert {"payment.ordered", "review.decided", "G-21", "D-RG", "D-SHELTER", "az-2024", "calendar"} <= set(
        PROFILE.unverified
    )
    assert PROFILE.name in TEXT


def test_the_tariff_is_that_of_the_day() -> None:
    """400 manat from 2016, 700 from 2024, none before."""
    known = {day: PROFILE.tariff_on(date.fromisoformat(day)) for day in ("2015-12-31", "2023-12-31", "2024-01-01")}
    assert {day: tariff and tariff.value for day, tariff in known.items()} == {
        "2015-12-31": None,
        "2023-12-31": "400.00",
        "2024-01-01": "700.00",
    }


def test_figures_below_eleven_are_not_published() -> None:
    """k of the research export [S48]."""
    assert PROFILE.k == 11


def test_the_periods_are_those_of_the_rules_text() -> None:
    """Section 5 of RULES.md, periods and reminders."""
    assert PROFILE.periods.model_dump() == {
        "bed_offer_hours": 24,
        "activation_notice_hours": 1,
        "follow_up_months": (3, 6, 12),
        "stay_days": 365,
        "recovery_days": 30,
        "silent_minutes": 30,
    }
    assert PROFILE.retention.letter_days == 30


# The calendar


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2026-03-06", True),  # Friday
        ("2026-03-07", False),  # Saturday
        ("2026-03-08", False),  # Sunday, Women's Day
        ("2026-03-09", False),  # in lieu of it
        ("2026-03-10", True),
        ("2026-03-20", False),  # spring festival
        ("2026-05-18", True),
        ("2026-05-28", False),  # Independence Day
    ],
)
def test_the_days_worked_around_the_scenarios(day: str, worked: bool) -> None:  # noqa: FBT001 - a table
    """Monday to Friday less holidays, days off in lieu included."""
    assert CALENDAR.is_worked(date.fromisoformat(day)) is worked


def test_the_holidays_have_the_day_in_lieu_too_and_the_profile_does_not_need_it() -> None:
    """The profile's own days hold whatever the holidays of a country are."""
    assert date(2026, 3, 9) in CALENDAR.public
    bare = read_profile(TEXT.replace("country: AZ", "country: MD"))
    assert date(2026, 3, 9) not in Calendar.of(bare).public
    assert not Calendar.of(bare).is_worked(date(2026, 3, 9))


def test_what_lies_beside_the_holidays_is_no_country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given files that Finder or an editor left in the folder, then the release has the same countries."""
    for name in ("AZ.txt", ".DS_Store", "._AZ.txt", "AZ.txt~"):
        (tmp_path / name).touch()
    monkeypatch.setattr(calendar, "_TABLES", tmp_path)

    assert countries.__wrapped__() == {"AZ"}


@pytest.mark.parametrize("country", sorted(countries()))
def test_the_holidays_of_a_release_are_the_librarys(country: str) -> None:
    """The tables have what the library computes.

    If this fails after an update of the library, its days of a year have changed. Before a profile with this country is in
    force anywhere: check them against the law, and write the table again. Afterwards: never change a year in which a clock
    has run; write a new profile with the days as `days_off`, or the library's days of later years into the table.
    """
    assert library.table(country) == packed(f"rules/holidays/{country}.txt").read_text(encoding="ascii")


def test_every_profile_of_the_release_has_its_holidays() -> None:
    """Given the profiles here, then each names a country with a table, or none; and no table is without a profile."""
    named = {load_profile(name).calendar.country for name in profile_names()}

    assert named - {None} == countries()


def test_a_country_without_holidays_is_an_error_and_no_calendar_without_them() -> None:
    """Given a profile that nobody checked, when its country has no table, then nobody counts its working days wrongly."""
    with pytest.raises(ProfileError, match="no holidays of QQ"):
        Calendar.of(read_profile(TEXT.replace("country: AZ", "country: QQ")))


def test_the_profiles_days_win_over_holidays_and_weekend() -> None:
    """A day worked although it is a Saturday or a holiday; a day off although nobody else has it off."""
    altered = TEXT.replace("working_days: []", 'working_days: ["2026-03-07", "2026-03-09"]')
    calendar = Calendar.of(read_profile(altered.replace('- "2026-03-09"', '- "2026-03-10"')))
    assert [calendar.is_worked(date(2026, 3, day)) for day in (7, 8, 9, 10)] == [True, False, True, False]


def test_a_day_ends_at_midnight_in_baku() -> None:
    """24:00 there is 20:00 UTC, whatever the machine's zone."""
    assert CALENDAR.ends(date(2026, 3, 10)) == datetime(2026, 3, 10, 20, tzinfo=UTC)
    assert CALENDAR.day(datetime(2026, 3, 10, 19, 59, 59, tzinfo=UTC)) == date(2026, 3, 10)
    assert CALENDAR.day(datetime(2026, 3, 10, 20, tzinfo=UTC)) == date(2026, 3, 11)


def test_months_end_on_the_last_day_where_they_have_no_such_day() -> None:
    """31 August and six months is 28 February, and over the year's end too."""
    assert CALENDAR.months_after(date(2026, 8, 31), 6) == date(2027, 2, 28)
    assert CALENDAR.months_after(date(2026, 12, 31), 12) == date(2027, 12, 31)
    assert CALENDAR.months_after(date(2026, 7, 30), 3) == date(2026, 10, 30)
