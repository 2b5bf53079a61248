"""Figures in words: what is suppressed stays suppressed, and every word is there in three languages."""

import re
from typing import Any, Final

import pytest

from figures_made import RULES, released, victims
from nrmbus.events.figures import TOTAL, Release, Row, Table
from nrmbus.statistics.counting import Count
from nrmbus.statistics.document import document
from nrmbus.statistics.named import InAllLanguages, heading_of, word_of
from nrmbus.statistics.shown import Shown, period_name, shown, table_of
from nrmbus.statistics.specs import MEDIANS, MONEY, OPEN, SPECS
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words

ZONE: Final = RULES.profile.zone
EN: Final = Words("en", ZONE)
LAST: Final = released(victims([(40, 2, "F", "25-34", "AZ"), (30, 3, "M", "25-34", "AZ")], 2025), "2025")
RELEASE: Final = released(
    victims([(60, 2, "F", "25-34", "AZ"), (25, 5, "M", "35-44", "UZ"), (3, 6, "F", "16-17", "AZ")]), "2026", [LAST]
)


def table(dimensions: tuple[str, ...], rows: dict[tuple[str, ...], int | None], **more: Any) -> Table:
    """Return a table of *rows*."""
    made = tuple(Row(keys=keys, count=count) for keys, count in rows.items())
    return Table(**{"id": "made_up", "title": "Made up", "unit": "persons"} | more, dimensions=dimensions, rows=made)


def texts(of: Shown) -> dict[tuple[str, ...], list[str]]:
    """Return the cells of each row in words."""
    return {line.names: [cell.text for cell in line.cells if cell] for line in of.lines}


def test_a_page_has_no_number_that_the_release_has_not() -> None:
    """Every number that is shown is a published count, or the difference of two of them."""
    counts = {row.count for each in RELEASE.tables for row in each.rows}
    changes = {row.change for each in RELEASE.tables for row in each.rows}
    for section in shown(RELEASE, EN):
        for each in section.tables:
            for cell in (cell for line in each.lines for cell in line.cells if cell):
                is_change = cell.text[:1] in "+−±"
                said = cell.text.lstrip("+−±").replace(",", "")
                if said.isdecimal():
                    number = int(said) * (-1 if cell.text.startswith("−") else 1)
                    assert number in (changes if is_change else counts)
                else:
                    assert said in {"suppressed", "–"}


def test_a_suppressed_cell_is_neither_zero_nor_empty() -> None:
    """It says so in words, in the table and in the chart, where it has no length."""
    found = table_of(table(("sex",), {("F",): 31, ("M",): None, (TOTAL,): 44}), EN)

    assert texts(found) == {("Female",): ["31"], ("Male",): ["suppressed"], ("Total",): ["44"]}
    assert found.chart is not None
    assert [(bar.text, bar.percent) for bar in found.chart.bars] == [("31", 76.0), ("suppressed", None)]


def test_two_dimensions_become_rows_and_columns() -> None:
    """The dimension with fewer codes goes across, and totals come last."""
    rows: dict[tuple[str, ...], int | None] = {
        (TOTAL, TOTAL): 90, ("F", TOTAL): 60, ("M", TOTAL): 30, ("F", "sexual"): 40, ("F", "labour"): 20, ("M", "sexual"): None,
        ("M", "labour"): None, (TOTAL, "sexual"): 50, (TOTAL, "labour"): 40, ("F", "begging"): 12, ("M", "begging"): 13,
        (TOTAL, "begging"): 25,
    }  # fmt: skip
    found = table_of(table(("sex", "form"), rows), EN)

    assert found.columns == ("Female", "Male", "Total")
    assert texts(found)["Sexual exploitation",] == ["40", "suppressed", "50"]
    assert [line.is_total for line in found.lines] == [False, False, False, True]


def test_an_age_band_stands_below_its_age() -> None:
    """A dimension that divides another is indented below the other, which is bold."""
    rows: dict[tuple[str, ...], int | None] = {
        ("child", "16-17"): 20, ("child", TOTAL): 33, ("adult", TOTAL): 70, ("adult", "25-34"): 40, ("unknown", "25-34"): None, ("unknown", TOTAL): None, (TOTAL, TOTAL): 103,
    }  # fmt: skip
    found = table_of(table(("age", "age_band"), rows), EN)

    assert [(line.names, line.is_within) for line in found.lines] == [
        (("Children",), False), (("16 or 17",), True), (("Adults",), False), (("25 to 34",), True), (("Not known",), False), (("Total",), False)
    ]  # fmt: skip


def test_codes_of_a_long_list_without_a_number_are_named_below() -> None:
    """A table of thirty roles has rows for those with a number; the others are named, so that nothing is hidden silently."""
    rows: dict[tuple[str, ...], int | None] = {
        (role,): None for role in ("vac", "fund", "border", "court", "health", "hotline")
    }
    found = table_of(table(("role",), {**rows, ("special_unit",): 44, (TOTAL,): 60}), EN)

    assert texts(found) == {("Special police unit",): ["44"], ("Total",): ["60"]}
    assert found.suppressed == (
        "Victim assistance centre",
        "Assistance fund",
        "Border service",
        "Court",
        "Health care",
        "Hotline",
    )


def test_changes_have_a_sign_and_only_where_both_years_are_published() -> None:
    """More, fewer and the same are told apart without a colour."""
    made = Table(
        id="made_up", title="Made up", unit="events", dimensions=("kind",),
        rows=tuple(
            Row(keys=(kind,), count=count, before=before)
            for kind, count, before in (("one_time_allowance", 30, 20), ("compensation", 12, 15), (TOTAL, 42, None))
        ),
    )  # fmt: skip
    found = table_of(made, EN)

    assert found.columns == ("Number", "Change")
    assert [[cell.text for cell in line.cells if cell] for line in found.lines] == [
        ["30", "+10"],
        ["12", "−3"],
        ["42", "–"],
    ]


def test_times_are_in_words_and_an_empty_table_says_so() -> None:
    """Minutes become days and hours; a table without a number has no rows."""
    assert texts(table_of(table(("role",), {("vac",): 1530, (TOTAL,): 90}, unit="minutes"), EN))["Total",] == [
        "1 hr 30 min"
    ]
    assert table_of(table(("role",), {("vac",): None, (TOTAL,): None}), EN).lines == ()


def test_sums_that_are_left_out_are_missed_with_a_reason() -> None:
    """Given payments in another currency, then the page says below their count why no sums are there; else it says nothing."""

    def notes(release: Release) -> dict[str, str]:
        return {each.id: each.note for section in shown(release, EN) for each in section.tables if each.note}

    without = RELEASE.model_copy(update={"tables": tuple(each for each in RELEASE.tables if each.id != MONEY.id)})

    assert notes(RELEASE) == {}
    assert notes(without) == {
        "paid_by_kind": "The sums are left out, since a payment was ordered in another currency than the manat."
    }
    assert notes(without)["paid_by_kind"] in document(without, EN)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_table_dimension_and_code_has_words(language: Language) -> None:
    """A new table of a later release is found here when its words are missing."""
    t, english = Words(language, ZONE), EN
    missing = []
    codes = Count(RULES, (), 2026).codes
    for spec in (*SPECS, *MEDIANS, MONEY):
        if language != "en" and t(spec.title) == spec.title:
            missing.append(spec.title)
        for dimension in spec.dimensions:
            if not t.meaning("figures.dimension", dimension):
                missing.append(dimension)
            named = ((code, word_of(t, dimension, code)) for code in codes.get(dimension, ()))
            missing += [f"{dimension}: {code}" for code, words in named if words == code]
    assert missing == []
    assert heading_of(t, "age_band")[0].isupper()
    assert period_name(english, "2026-Q3") == "2026, quarter 3"


def test_a_country_has_its_name_and_a_region_its_code() -> None:
    """Open lists have the names of countries; a region stands as ISO 3166-2 writes it."""
    assert {"citizenship", "region"} == OPEN
    assert word_of(EN, "citizenship", "UZ") == "Uzbekistan"
    assert word_of(EN, "region", "AZ-BA") == "AZ-BA"
    assert word_of(EN, "citizenship", "other") == "Other countries"


def test_names_for_sdmx_come_in_every_language() -> None:
    """The structure message names tables, dimensions and codes in three languages."""
    names = InAllLanguages(ZONE)

    assert (
        set(names.code("sex", "F"))
        == set(names.dimension("sex"))
        == set(names.table(RELEASE.tables[0]))
        == set(LANGUAGES)
    )
    assert names.code("sex", "F")["az"] == "Qadın"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_document_speaks_the_language_and_loads_nothing(language: Language) -> None:
    """A file to publish or to send: no script, no address but those within it, a table beside each chart."""
    t = Words(language, ZONE)
    whole = document(RELEASE, t)

    assert f'<html lang="{language}"' in whole
    assert t("Identified victims by sex") in whole
    assert not re.search(r'(src|href)="(?!#)', whole)
    assert "<script" not in whole
    charts = re.findall(r"<svg.*?</svg>", whole, re.DOTALL)
    assert charts
    assert all("<title" in each and "<desc" in each for each in charts)
    assert all(whole.partition(each)[2].lstrip().startswith(("</figure>", "<figcaption>")) for each in charts)
