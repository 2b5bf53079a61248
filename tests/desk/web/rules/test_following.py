"""Pages under a copy of the profile: another body decides and other times run, and no page says otherwise."""

from pathlib import Path
from typing import Final

import pytest

from copies import HOLD_IN_2_DAYS, MIGRATION_DECIDES, REFER_IN_36_HOURS, copy
from desk.given import desk_of
from desk.web.acts.test_guide import ADULT, led, sent
from desk.web.browsing import browsing, member
from nrmbus.rules import Rules
from nrmbus.web.languages import LANGUAGES, Language

COPY: Final = copy(MIGRATION_DECIDES, REFER_IN_36_HOURS, HOLD_IN_2_DAYS)
MIGRATION: Final = {"az": "(miqrasiya", "en": "(migration service)", "ru": "(миграционная служба)"}
UNIT: Final = {"az": "xüsusi", "en": "special", "ru": "специальн"}
TIMES: Final = {"az": "36 saat", "en": "36 hours", "ru": "36 часов"}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_who_decides_has_the_board_of_who_decides(tmp_path: Path, language: Language) -> None:
    """And the times on it are those of the copy; the special unit, which decides no more, has the common lists alone."""
    async with desk_of("migration", tmp_path / "one") as here, browsing(here, member(language=language)) as browser:
        here.desk.seat.rules = Rules(COPY, here.desk.seat.agencies)
        board = (await browser.get(f"/app/board?lang={language}")).text
    async with desk_of("special-unit", tmp_path / "two") as here, browsing(here, member(language=language)) as browser:
        here.desk.seat.rules = Rules(COPY, here.desk.seat.agencies)
        no_board = await browser.get(f"/app/board?lang={language}")

    assert TIMES[language] in board
    assert "new-signals" in board
    assert UNIT[language] not in board.casefold()
    assert no_board.headers["location"] == "/app/work"


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_guide_asks_about_the_body_that_decides(tmp_path: Path, language: Language) -> None:
    """By its name, in the reader's language; the refusal is recorded of that body, and the referral withheld from it."""
    answers = {
        **ADULT,
        "help": {"guide.to": ["vac"]},
        "consent": {
            **ADULT["consent"],
            "guide.sharing": ["vac"],
            "guide.accepts": ["vac"],
            "guide.refuses_unit": "yes",
        },
    }
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language=language)) as browser:
        here.desk.seat.rules = Rules(COPY, here.desk.seat.agencies)
        check = await led(browser, answers)
        asked = (await browser.get(check.replace("/check", "/consent") + f"?lang={language}")).text
        await here.during(browser.post(check.replace("/check", "/send")))
        events = {type: data for type, data, _ in await sent(here)}

    assert MIGRATION[language] in asked
    assert UNIT[language] not in asked.casefold()
    assert events["consent.refused"]["receivers"] == ["migration"]
    assert events["referral.submitted"]["withhold_from"] == ["migration"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_pages_of_the_rules_name_the_body_that_decides(tmp_path: Path, language: Language) -> None:
    """At the top, where a deadline is owed, and in the words of a refusal."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language=language)) as browser:
        here.desk.seat.rules = Rules(COPY, here.desk.seat.agencies)
        index = (await browser.get(f"/app/rules?lang={language}")).text
        clock = (await browser.get(f"/app/rules/D-RG?lang={language}")).text
        rule = (await browser.get(f"/app/rules/G-34?lang={language}")).text

    for page in (index, clock, rule):
        assert MIGRATION[language] in page
    assert TIMES[language] in index
