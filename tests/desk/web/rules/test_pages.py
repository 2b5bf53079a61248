"""Pages of the Rules: a worker looks up a refusal, a deadline or an article, in the worker's own language."""

import re
from pathlib import Path

import pytest

from agencies import POLICY
from desk.given import desk_of
from desk.web.browsing import browsing, member
from nrmbus.rules import Rules, load_profile, profile_text, read_profile
from nrmbus.rules.handbook.lookup import has_words
from nrmbus.web.languages import LANGUAGES

PROFILE = load_profile(POLICY)


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_first_page_leads_to_every_rule_deadline_event_and_status(tmp_path: Path, language: str) -> None:
    """And each of them has a page, whose every name is in the reader's language."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        index = await browser.get(f"/app/rules?lang={language}")
        links = dict.fromkeys(re.findall(r'href="/app/rules/([^"#]+)"', index.text))
        pages = {name: await browser.get(f"/app/rules/{name}?lang={language}") for name in links}

    assert {*PROFILE.refusals, *PROFILE.clocks, *PROFILE.types} <= set(links)
    assert {name: page.status_code for name, page in pages.items() if page.status_code != 200} == {}
    assert f'<html lang="{language}"' in index.text


async def test_a_rule_is_shown_with_its_law_and_the_events_it_is_about(tmp_path: Path) -> None:
    """The law has its title, not its number alone."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        rule = (await browser.get("/app/rules/G-62")).text
        clock = (await browser.get("/app/rules/D-RG")).text
        event = (await browser.get("/app/rules/plan.adopted")).text
        nowhere = await browser.get("/app/rules/G-00")

    assert "Law 958-IIQ art. 17.2" in rule
    assert "Law on combating trafficking in human beings" in rule
    assert "5 working days" in clock
    assert "Law not confirmed" in clock
    assert "whom the sender chose" in event
    assert "/app/rules/G-32" in event
    assert nowhere.status_code == 404


async def test_the_navigation_leads_to_the_rules(tmp_path: Path) -> None:
    """For every member, an administrator too."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member("manage_staff")) as browser:
        page = await browser.get("/app/rules")

    assert page.status_code == 200
    assert page.text.count('href="/app/rules"') >= 1


async def test_a_value_that_is_changed_in_a_copy_is_on_the_pages(tmp_path: Path) -> None:
    """A deadline and a refusal's own sentence follow the profile, without another edit."""
    text = profile_text(POLICY).replace("length: {hours: 24}, scope: case", "length: {hours: 36}, scope: case")
    changed = read_profile(text.replace("No consent covers this agency", "Nothing in writing covers this agency"))
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        here.desk.seat.rules = Rules(changed, here.desk.seat.agencies)
        clock = (await browser.get("/app/rules/D-REFER")).text
        rule = (await browser.get("/app/rules/G-32?lang=ru")).text
        index = (await browser.get("/app/rules")).text

    assert "36 hours" in clock
    assert "Nothing in writing covers this agency" in rule
    assert "Nothing in writing covers this agency" in index
    assert has_words("G-32", PROFILE.refusals["G-32"].says)
    assert not has_words("consent_required", changed.refusals["G-32"].says)
