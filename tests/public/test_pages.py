"""The public pages: what anybody reads, on any telephone, and what the page tells nobody."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from intake.given import KEY
from intake.public_page import SETTING, code_in, here
from nrmbus.desk.intake import facts
from nrmbus.intake import codes
from nrmbus.intake.store import IntakeStore, StoreFull, TooMany
from nrmbus.public.site import INFORMATION, PublicSite
from nrmbus.rules.profile_files import load_profile
from nrmbus.web.languages import LANGUAGES

LIGHT = 50_000
"""Bytes of a page with everything that it loads, uncompressed."""
FORMS = ("before", "write", "answer")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_light_and_loads_nothing_from_elsewhere(tmp_path: Path, language: str) -> None:
    """At 2G the heaviest page takes some seconds; style and script are the site's own, and nothing stands in the page."""
    with here(tmp_path) as page:
        for name in (*INFORMATION, *FORMS):
            found = await page.get(f"/{language}/{name}")
            assert found.status_code == 200
            loaded = re.findall(r'(?:src|<link rel="stylesheet" href)="([^"]+)"', found.text)
            assert [each.split("?")[0] for each in loaded] == ["/static/public.css", "/static/public.js"]
            whole = found.content + b"".join([(await page.get(each)).content for each in loaded])
            assert len(whole) < LIGHT
            assert not re.search(r"<style|style=|<script>|onclick", found.text)
            assert f'<html lang="{language}">' in found.text


async def test_no_page_sets_a_cookie_and_each_has_a_way_out(tmp_path: Path) -> None:
    """The way out is a plain link to the neutral address, which learns nothing of where the person was."""
    with here(tmp_path) as page:
        for name in (*INFORMATION, *FORMS):
            found = await page.get(f"/en/{name}")
            assert "set-cookie" not in found.headers
            assert found.text.count('href="https://weather.example/" rel="nofollow noreferrer" data-leave') >= 2
            kept = "no-store" if name in FORMS else "public, max-age=600"
            assert found.headers["cache-control"] == kept
            assert "default-src 'none'" in found.headers["content-security-policy"]


async def test_the_first_page_is_in_the_reader_s_language(tmp_path: Path) -> None:
    """A browser's language decides, and nothing is remembered."""
    with here(tmp_path) as page:
        wanted = {"ru-RU,ru;q=0.9": "/ru/", "de": "/az/", "en-GB": "/en/"}
        for accepted, to in wanted.items():
            assert (await page.get("/", **{"accept-language": accepted})).headers["location"] == to


async def test_an_unknown_address_is_a_page_with_the_number(tmp_path: Path) -> None:
    """A mistyped address helps too."""
    with here(tmp_path) as page:
        found = await page.get("/ru/nowhere")

        assert found.status_code == 404
        assert "+994 00 000 00 02" in found.text
        assert 'lang="ru"' in found.text


@pytest.mark.parametrize(
    ("run_by", "sentence"),
    [("police", "so police read what you write"), ("state", "not to the police"), ("ngo", "non-governmental")],
)
async def test_the_page_says_who_reads_before_anybody_writes(tmp_path: Path, run_by: str, sentence: str) -> None:
    """A person who wants no police learns it in time."""
    with here(tmp_path, run_by=run_by) as page:
        for name in ("before", "about"):
            assert sentence in (await page.get(f"/en/{name}")).text


async def test_numbers_are_the_agency_s_own(tmp_path: Path) -> None:
    """Only the state's hotline, which the sources name, is in the page by itself, and an agency can leave it out."""
    with here(tmp_path / "a", national=None, lines=[{"number": "000", "name": SETTING["name"]}]) as page:
        assert set(re.findall(r'href="tel:([^"]+)"', (await page.get("/en/call")).text)) == {"+994000000002", "000"}
    with here(tmp_path / "b") as page:
        assert 'href="tel:152"' in (await page.get("/en/call")).text


async def test_another_country_has_neither_the_language_nor_the_number_of_azerbaijan(tmp_path: Path) -> None:
    """Given a profile of another country, then a browser without a language of ours reads English, and 152 is named only if the agency says so."""
    romanian, told = {"accept-language": "ro-MD,ro;q=0.9"}, facts(load_profile("md@2014-03-28"))
    with here(tmp_path / "a") as page:
        page.store.state(told)
        assert (await page.get("/", **romanian)).headers["location"] == "/en/"
        for name in (*INFORMATION, *FORMS):
            assert "152" not in (await page.get(f"/en/{name}")).text
    with here(tmp_path / "b", national="152") as page:
        page.store.state(told)
        assert 'href="tel:152"' in (await page.get("/en/call")).text


async def test_no_sentence_breaks_off_without_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given another country and no number in the setting, when a person in danger opens the form, then no sentence breaks off before a number."""
    monkeypatch.delitem(SETTING, "phone")
    told = facts(load_profile("md@2014-03-28"))
    with here(tmp_path / "a", run_by="ngo") as page:
        page.store.state(told)
        shown = {name: (await page.get(f"/en/{name}")).text for name in ("", *INFORMATION, *FORMS)}
    with here(tmp_path / "b", store=IntakeStore(tmp_path / "b"), run_by="ngo") as page:
        page.store.state(told)
        shown["not ready"] = (await page.get("/en/write")).text

    assert "A message may be read too late." in shown["write"]
    assert "We cannot take a message now." in shown["not ready"]
    for words in (
        "call first",
        "Please call",
        "Then call",
        "Who answers at these numbers",
        "The numbers",
        'class="call"',
    ):
        assert [name for name, text in shown.items() if words in text] == [], words


async def test_nobody_is_told_to_call_where_no_number_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no number and a desk that has been off for days, when a person in danger writes, comes back, or cannot be served, then no sentence tells her to call."""
    monkeypatch.setattr(codes, "MEMORY", 1 << 20)
    monkeypatch.delitem(SETTING, "phone")
    told = facts(load_profile("md@2014-03-28"))
    with here(tmp_path, run_by="ngo") as page:
        page.store.state(told)
        shown = {name: await page.get(f"/en/{name}") for name in (*INFORMATION, *FORMS)}
        shown["receipt"] = await page.write(danger="yes")
        code = code_in(shown["receipt"])
        shown["back"] = await page.come_back(code)
        for reason in (StoreFull, TooMany, ZeroDivisionError):
            monkeypatch.setattr(IntakeStore, "take", raising(reason))
            shown[reason.__name__] = await page.send("/en/more", shown["back"], text="more")

    who = shown.pop("call")
    assert [name for name, each in shown.items() if "nobody at the hotline could read" in each.text] == [
        "before", "write", "receipt", "back", "StoreFull", "TooMany",
    ]  # fmt: skip
    assert "You wrote that there is danger now. A message may be read too late." in shown["receipt"].text
    sentences = {
        "StoreFull": "Your words are still here: try again later.",
        "TooMany": "There are as many messages under this code as we can keep.",
        "ZeroDivisionError": "This page failed. Go back and try again.",
    }
    for name, sentence in sentences.items():
        assert sentence in shown[name].text, name
    words = {name: re.sub(r"<[^>]+>", " ", each.text) for name, each in shown.items()}
    words["signs"] = words["signs"].replace("threatens to call the police", "")
    told_to = {name: re.findall(r"[^.]*\bcall\b[^.]*", text, re.IGNORECASE) for name, text in words.items()}
    assert {name: found for name, found in told_to.items() if found} == {}
    assert who.status_code == 404


def raising(error: type[Exception]) -> Callable[..., None]:
    """Return a function that fails with *error*."""

    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


async def test_the_form_names_the_number_to_call_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a hotline without a number of its own, then the form names the state's, or else the first further line."""
    monkeypatch.delitem(SETTING, "phone")
    lines = [{"number": "1 12", "name": SETTING["name"]}, {"number": "113", "name": SETTING["name"]}]
    for folder, national, number in (("a", "152", "152"), ("b", None, "112")):
        with here(tmp_path / folder, national=national, lines=lines) as page:
            text = (await page.get("/en/write")).text
            assert re.findall(r'call first: <a href="tel:([^"]+)"', text) == [number]


async def test_the_figures_of_the_page_are_those_of_the_profile(tmp_path: Path) -> None:
    """A page that promises other days, or another sum, than the Rules would be found here first."""
    profile = load_profile("az@2022-04-29")
    newest = profile.allowance.tariffs[-1]
    with here(tmp_path) as page:
        before = (await page.get("/en/help")).text
        page.store.state(facts(profile))
        told = (await page.get("/en/help")).text

    assert f"at least: {profile.periods.recovery_days} calendar days" in told
    assert f"an allowance once: {float(newest.value):.0f} {newest.currency}" in told
    assert "Time to think" not in before, "no desk has said yet what the Rules are"


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ((), "your legal representative and a doctor are there"),
        (("G-23",), "your legal representative is there"),
        (("G-22",), "a doctor is there"),
        (("G-22", "G-23"), None),
    ],
)
async def test_a_child_reads_who_is_there_by_the_profile(
    tmp_path: Path, without: tuple[str, ...], sentence: str | None
) -> None:
    """A profile that asks for no doctor promises none, and names its own body that decides."""
    profile = load_profile("osce-generic@2022-01-01")
    rules = {rule: cited for rule, cited in profile.refusals.items() if rule not in without}
    with here(tmp_path) as page:
        page.store.state(facts(profile.model_copy(update={"refusals": rules})))
        told = (await page.get("/en/rights")).text

    promised = re.findall(r"When the deciding body \((.*)\) asks you questions, (.*)\.", told)
    assert promised == ([("social services", sentence)] if sentence else [])
    assert ("good for you" in told) is ("G-24" in rules)


@pytest.mark.parametrize(("profile", "hour"), [("az@2022-04-29", "13:00"), ("md@2014-03-28", "11:00"), (None, "13:00")])
async def test_times_are_those_of_the_country(tmp_path: Path, profile: str | None, hour: str) -> None:
    """Given the profile of a country, then a person reads the times there; those of Baku before the desk has named a profile."""
    with here(tmp_path) as page:
        if profile is not None:
            page.store.state(facts(load_profile(profile)))
        page.store.tell(KEY.seal_to, datetime(2026, 3, 2, 9, 0, tzinfo=UTC))

        assert f"{hour} nobody at the hotline could read" in (await page.get("/en/write")).text


async def test_a_desk_of_an_earlier_release_names_no_zone(tmp_path: Path) -> None:
    """Given facts without a zone, as a desk wrote them before, then the page states them."""
    profile = load_profile("az@2022-04-29")
    written = json.loads(facts(profile))
    written.pop("zone", None)
    with here(tmp_path) as page:
        page.store.state(json.dumps(written))

        assert f"at least: {profile.periods.recovery_days} calendar days" in (await page.get("/en/help")).text


async def test_a_desk_of_a_later_release_states_more(tmp_path: Path) -> None:
    """Given facts with a name that this release does not have, as a desk that was updated first writes them, then the page states the others."""
    profile = load_profile("md@2014-03-28")
    with here(tmp_path) as page:
        page.store.state(json.dumps({**json.loads(facts(profile)), "of_a_later_release": ["a fact"]}))
        page.store.tell(KEY.seal_to, datetime(2026, 3, 2, 9, 0, tzinfo=UTC))

        assert f"at least: {profile.periods.recovery_days} calendar days" in (await page.get("/en/help")).text
        assert "11:00 nobody at the hotline could read" in (await page.get("/en/write")).text


async def test_a_page_for_everybody_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of readers costs no work, and a browser that can gets a third of the bytes."""
    with here(tmp_path) as page:
        first = await page.get("/en/signs", **{"accept-encoding": "gzip"})
        monkeypatch.setattr(PublicSite, "_rendered", None)
        again = await page.get("/en/signs", **{"accept-encoding": "identity"})

        assert first.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in again.headers
        assert first.text == again.text
        for header, is_small in (
            ("br, GZIP;q=0.5", True), ("gzip;q=0.001, br;q=0", True), ("gzip;q=0", False), ("gzip; q=0.000, br", False),
        ):  # fmt: skip
            answer = await page.get("/en/signs", **{"accept-encoding": header})
            assert ("content-encoding" in answer.headers) == is_small, header
