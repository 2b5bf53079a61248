"""Forms that ask for a language, a country or a region: people type names, and the event has codes."""

import re
from pathlib import Path

import httpx

from agencies import SIGNAL
from desk.given import desk_of
from desk.web.acts.test_guide import ADULT
from desk.web.acts.test_pages import filled
from desk.web.browsing import browsing, member


async def alone(browser: httpx.AsyncClient, **about: str) -> httpx.Response:
    """Record a signal with *about* in its letter; return the page that follows the form."""
    at = (await browser.post("/app/signals/alone")).headers["location"]
    clear = {f"data.{name}": each for name, each in SIGNAL.items() if isinstance(each, str | list)}
    clear |= {f"data.{name}": "yes" if each else "no" for name, each in SIGNAL.items() if isinstance(each, bool)}
    at = (await filled(browser, at, clear)).headers["location"]
    answer = await filled(browser, at, {f"sealed.{name}": each for name, each in about.items()})
    return await browser.get(answer.headers["location"]) if answer.status_code == 303 else answer


async def test_languages_countries_and_regions_are_chosen_by_name(tmp_path: Path) -> None:
    """Given a reader of Russian who types names, then the form proposes names, the check page has them with the codes that the event has, and it is registered."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language="ru")) as browser:
        check = await alone(browser, citizenship="Украина", language="украинский", region="Гянджа")
        form = await browser.get(str(check.url).replace("/check", "/letter"))
        await here.during(browser.post(str(check.url).replace("/check", "/send")))
        (row,) = await here.rows("outbox")

    assert [name in check.text for name in ("Украина (UA)", "Украинский (ukr)", "Гянджа (AZ-GA)")] == [True] * 3
    assert re.findall(r'<option value="(UA|ukr|AZ-GA)">(.*?)</option>', form.text) == [
        ("UA", "Украина"), ("ukr", "Украинский"), ("AZ-GA", "Гянджа"),
    ]  # fmt: skip
    assert "MD-CU" not in form.text, "regions of the profile's country alone"
    assert row.verdict == "registered"


async def test_a_code_that_nobody_has_is_no_answer(tmp_path: Path) -> None:
    """Given codes that somebody guessed, then the form names each field with an example, in the reader's language."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language="az")) as browser:
        page = await alone(browser, citizenship="UK", language="far", region="AZ-QQ")

    assert page.status_code == 422
    for name, example in (("citizenship", "Ukrayna (UA)"), ("language", "Rus (rus)"), ("region", "Bakı (AZ-BA)")):
        (said,) = re.findall(rf'<a href="#sealed-{name}">(.*?)</a>', page.text)
        assert f"bu tanınmır. Siyahıdan ad seçin, ya da adı və ya kodu yazın, məsələn {example}" in said


async def test_the_guide_takes_a_language_by_its_name(tmp_path: Path) -> None:
    """Given an Azerbaijani page, then the name of a language leads on, and three letters of no language are asked about in Azerbaijani."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language="az")) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        at = str((await filled(browser, at, ADULT["seen"])).headers["location"])
        wrong = await filled(browser, at, ADULT["person"] | {"guide.language": "qqq"})
        right = await filled(browser, at, ADULT["person"] | {"guide.language": "Azərbaycan"})

    assert (wrong.status_code, right.status_code) == (422, 303)
    (said,) = re.findall(r'<a href="#guide-language">(.*?)</a>', wrong.text)
    assert said.endswith("ya da adı və ya kodu yazın, məsələn Rus (rus)")


async def test_the_guide_takes_an_interpreter_of_sign_language(tmp_path: Path) -> None:
    """Given a deaf woman who needs an interpreter, then the guide proposes sign language, and its name leads on."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language="az")) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        at = str((await filled(browser, at, ADULT["seen"])).headers["location"])
        form = await browser.get(at)
        answer = await filled(browser, at, ADULT["person"] | {"guide.language": "jest dili"})

    assert '<option value="sgn">Jest dili</option>' in form.text
    assert answer.status_code == 303
