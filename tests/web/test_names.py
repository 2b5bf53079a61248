"""Names of languages, countries and regions: people type a name, and an event has its code."""

from typing import Final
from zoneinfo import ZoneInfo

import pytest

from nrmbus.rules import load_profile, profile_names
from nrmbus.web import names
from nrmbus.web.words import LANGUAGES, Language, Words

BAKU: Final = ZoneInfo("Asia/Baku")


@pytest.mark.parametrize(
    ("kind", "typed", "code"),
    [
        ("language", "украинский", "ukr"),
        ("language", "Fars", "fas"),
        ("language", "Filipino", "tgl"),
        ("language", "пушту", "pus"),
        ("language", "Rus", "rus"),
        ("country", "Украина", "UA"),
        ("country", "türkiyə", "TR"),
        ("country", "IRAN", "IR"),
        ("country", "xa", "XA"),
        ("region", "Гянджа", "AZ-GA"),
        ("region", "gence", "AZ-GA"),
        ("region", "Chișinău", "MD-CU"),
        ("region", "tr-34", "TR-34"),
    ],
)
def test_a_name_or_a_code_means_its_code(kind: names.Kind, typed: str, code: str) -> None:
    """Given a name in any language of the pages, or a code in any case of letters, then it is the code that an event has."""
    assert names.code_of(kind, typed) == code
    assert names.is_known(kind, code)


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("language", "far"), ("language", "qqq"), ("language", "uk"), ("country", "UK"), ("country", "QQ"), ("country", "EU"),
        ("region", "AZ-QQ"), ("region", "UK-1"), ("region", "Lənkəran"), ("region", "AZ"), ("language", ""), ("country", ""),
    ],
)  # fmt: skip
def test_what_is_no_name_stays_as_it_was_typed(kind: names.Kind, typed: str) -> None:
    """Given a code that nobody has, or a name of two regions, then nothing is guessed, and it is not known."""
    assert names.code_of(kind, typed) == typed
    assert not names.is_known(kind, typed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_that_a_page_proposes_has_a_name_that_leads_back(language: Language) -> None:
    """Given a language, a country, or a region of a profile's country, then the page has its name, and the name typed is its code."""
    t = Words(language, BAKU)
    countries = {load_profile(each).calendar.country for each in profile_names()} - {None}
    assert countries == set(names.REGIONS)

    lists = [("language", ""), ("country", ""), *(("region", each) for each in sorted(names.REGIONS))]
    for kind, country in lists:
        found = names.proposed(t, kind, country)  # type: ignore[arg-type]  # a kind each
        assert len(found) > 30
        assert [each for each in found if names.code_of(kind, each[1]) != each[0]] == []  # type: ignore[arg-type]


def test_a_name_stands_before_its_code() -> None:
    """Given a code, then a page has its name in the reader's language; a code without a name stays alone."""
    t = Words("ru", BAKU)

    shown = [("language", "ukr"), ("country", "UA"), ("region", "AZ-GA"), ("region", "TR-34")]
    assert [names.named(t, kind, code) for kind, code in shown] == [  # type: ignore[arg-type]
        "Украинский (ukr)", "Украина (UA)", "Гянджа (AZ-GA)", "TR-34",
    ]  # fmt: skip
