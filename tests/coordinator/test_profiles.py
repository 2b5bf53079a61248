"""Pages on which two people of the Coordinator's office put another profile of the Rules in force."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import pytest

from agencies import Town
from copies import NAME as OWN
from copies import REFER_IN_36_HOURS, copied, known_here
from desk.given import FakeRegistrar, Given, desk_of
from desk.web.browsing import browsing, employed, member
from nrmbus.coordinator.differing import compared
from nrmbus.desk.staff.permissions import Permission
from nrmbus.rules import add_profiles, load_profile, profile_names, read_profile
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire import json

ME: Final = "coordinator"
NEXT: Final = "osce-generic@2022-01-01"
FIRST: Final[tuple[Permission, ...]] = ("read_cases", "publish")
SECOND: Final[tuple[Permission, ...]] = ("read_cases", "publish", "approve")
_SEEN: Final = re.compile(r'name="seen" value="([^"]*)"')


@asynccontextmanager
async def two_people(home: Path) -> AsyncIterator[tuple[Given, httpx.AsyncClient, httpx.AsyncClient]]:
    """Yield the desk of the office, a first person who may ask, and a second one who may sign."""
    async with (
        desk_of(ME, home, registrar=FakeRegistrar(Town())) as here,  # its Rules are its own: an activation changes them
        browsing(here, employed(here, member(*FIRST, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        yield here, one, two


def on(day: str, **more: str) -> dict[str, str]:
    """Return what somebody types to have a profile in force from *day* on."""
    year, month, of_month = day.split("-")
    date = {"data.valid_from.day": of_month, "data.valid_from.month": month, "data.valid_from.year": year}
    return {
        **date,
        "data.open_cases": "keep",
        "data.acts": "CoM 131/2009, Law 958-IIQ",
        "go": "on",
        "version": "1",
        **more,
    }


async def checked(browser: httpx.AsyncClient, profile: str = NEXT, day: str = "2026-04-01", **more: str) -> str:
    """Fill in the form for *profile*; return the draft's id."""
    begun = await browser.post(f"/app/profiles/{profile}/activate")
    answer = await browser.post(begun.headers["location"], data=on(day, **more))
    assert answer.headers["location"].endswith("/check"), answer.text
    return str(answer.headers["location"].split("/")[3])


async def pressed(browser: httpx.AsyncClient, page: str, button: str) -> httpx.Response:
    """Read *page*, and press the button that leads to *button*."""
    seen = _SEEN.search((await browser.get(page)).text)
    return await browser.post(button, data={"seen": seen[1]} if seen else {})


async def asked(browser: httpx.AsyncClient, id: str) -> httpx.Response:
    """Ask for a second signature under the draft *id*."""
    return await pressed(browser, f"/app/acts/{id}/check", f"/app/acts/{id}/send")


async def signed(browser: httpx.AsyncClient, id: str) -> httpx.Response:
    """Read what waits under *id*, and sign."""
    return await pressed(browser, f"/app/approvals/{id}", f"/app/approvals/{id}/sign")


async def activated(here: Given) -> list[dict[str, Any]]:
    """Return what the desk has published."""
    return [json.loads(row.clear, limit=100_000) for row in await here.rows("outbox")]


async def test_two_people_put_a_profile_in_force(tmp_path: Path) -> None:
    """Given a profile chosen by its name, then both people read what it changes, and one event names both of them."""
    async with two_people(tmp_path) as (here, one, two):
        first = (await one.get("/app/profiles")).text
        assert all(each in first for each in profile_names())
        id = await checked(one)
        check = (await one.get(f"/app/acts/{id}/check")).text
        assert f"From 1 April 2026 on: {NEXT} in place of az@2022-04-29" in check
        assert "Body that decides on the status" in check
        await asked(one, id)
        assert await activated(here) == []
        assert f"{NEXT} waits for a second signature" in (await two.get("/app/profiles")).text
        assert "Body that decides on the status" in (await two.get(f"/app/approvals/{id}")).text

        answer = await here.during(signed(two, id))

        assert "Registered" in (await two.get(answer.headers["location"])).text
        (said,) = await activated(here)
        assert (said["actor"], said["approver"]) == ("S-1", "S-2")
        assert said["data"] == {
            "profile": NEXT, "digest": load_profile(NEXT).digest, "valid_from": "2026-04-01", "open_cases": "keep",
            "acts": ["CoM 131/2009", "Law 958-IIQ"],
        }  # fmt: skip
        assert "From 1 April 2026 on" in (await one.get("/app/profiles")).text


async def test_a_profile_that_was_added_meanwhile_can_be_chosen(tmp_path: Path) -> None:
    """Given a desk that runs, then the page lists a country's own profile as soon as the desk knows it, with its changes."""
    with known_here():
        async with two_people(tmp_path) as (here, one, two):
            assert (await one.get(f"/app/profiles/{OWN}")).status_code == 404
            (added,) = add_profiles([copied(REFER_IN_36_HOURS)])
            assert OWN in (await one.get("/app/profiles")).text
            id = await checked(one, OWN)
            assert "To refer (D-REFER): hours" in (await one.get(f"/app/acts/{id}/check")).text
            await asked(one, id)
            await here.during(signed(two, id))
            (said,) = await activated(here)

    assert (said["data"]["profile"], said["data"]["digest"]) == (OWN, added.digest)


async def test_no_form_names_another_profile_than_the_page(tmp_path: Path) -> None:
    """Given a form with another name and digest, then what the room filled in stands; a form that begins elsewhere is none."""
    async with two_people(tmp_path) as (here, one, _):
        forged = {"data.profile": "az@2009-09-03", "data.digest": "0" * 64, "fields": "data.profile data.digest"}
        id = await checked(one, **forged)
        await one.post(f"/app/acts/{id}/keep", data=on("2026-04-01", **forged))
        assert f"{NEXT} in place of" in (await one.get(f"/app/acts/{id}/check")).text
        assert (await one.post("/app/bulletins/policy.profile_activated")).status_code == 404
        assert (await one.post("/app/profiles/xx@2026-01-01/activate")).status_code == 404
        async with browsing(here, member("see_health", number="S-9")) as reader:
            assert (await reader.post(f"/app/profiles/{NEXT}/activate")).status_code == 403


async def test_a_day_that_does_not_fit_is_refused_with_its_rule(tmp_path: Path) -> None:
    """Given the day of today, or the profile that is in force, then the check names rule G-15, and nothing is asked for."""
    async with two_people(tmp_path) as (here, one, _):
        id = await checked(one, day="2026-03-02")
        check = await one.get(f"/app/acts/{id}/check")
        assert "G-15" in check.text
        assert (await asked(one, id)).headers["location"] == f"/app/acts/{id}/check"
        assert "nothing follows it yet" in (await one.get("/app/profiles/az@2022-04-29")).text
        assert await activated(here) == []


async def test_what_another_activation_changed_meanwhile_is_shown_again(tmp_path: Path) -> None:
    """Given an activation that was registered after the second person opened the page, then they read the difference to that one first."""
    async with two_people(tmp_path) as (here, one, two):
        id = await checked(one, day="2026-06-01")
        await asked(one, id)
        seen = _SEEN.search((await two.get(f"/app/approvals/{id}")).text)
        other = {
            "profile": "az@2024-02-08", "digest": load_profile("az@2024-02-08").digest, "valid_from": "2026-05-01",
            "open_cases": "keep", "acts": ["CoM 131/2009"],
        }  # fmt: skip
        event = {"type": "policy.profile_activated", "actor": "S-8", "approver": "S-9", "data": other}
        assert (await here.door.post("/v1/events", json=event)).status_code == 202
        await here.settle()
        assert seen is not None
        late = await two.post(f"/app/approvals/{id}/sign", data={"seen": seen[1]})

        assert late.status_code == 409
        assert "in place of az@2024-02-08" in late.text
        await here.during(signed(two, id))
        assert [each["data"]["profile"] for each in await activated(here)] == ["az@2024-02-08", NEXT]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_profile_is_compared_in_every_language(tmp_path: Path, language: Language) -> None:
    """Given any profile, its page says what it changes, and every difference has words."""
    async with desk_of(ME, tmp_path) as here, browsing(here, member(*FIRST, language=language)) as one:
        pages = [await one.get(f"/app/profiles/{each}") for each in profile_names()]

    assert [each.status_code for each in pages] == [200] * len(profile_names())
    texts = [each.text.partition("<main")[2] for each in pages]
    assert not any(re.search(r"\b[A-Za-z]+\.\*", text) for text in texts)
    assert language == "en" or not any(re.search(r"\bdecisions\b", text) for text in texts)
    assert not any("{decider}" in text for text in texts)
    assert not any("`" in text for text in texts), "a person reads no marks of code"


def test_a_difference_is_one_of_duties_or_of_the_law_alone() -> None:
    """The period of recovery is 45 days in the general profile; the amendment of 2024 changes laws and nobody's duty."""
    t = Words("en", ZoneInfo("Asia/Baku"))
    az, general, later = map(load_profile, ("az@2022-04-29", NEXT, "az@2024-02-08"))

    lines = [each for group in compared(t, az, general).groups for each in group.lines]
    assert ("Recovery and reflection period, in days", "30", "45") in {
        (each.what, each.before, each.after) for each in lines
    }
    assert compared(t, az, later).count == 0
    before = compared(t, load_profile("az@2009-09-03"), az)
    said = [each.after for group in before.groups for each in group.lines]
    assert "400 AZN (1 January 2016), 700 AZN (1 January 2024)" in said
    assert not [each for each in said if re.search(r"\d{4}-\d\d-\d\d", each)], "no day as a profile writes it"
    assert "Interview held" not in compared(t, az, later).of_the_law
    assert len(compared(t, az, later).of_the_law) == 6


def test_the_title_of_a_law_alone_is_no_change() -> None:
    """A profile of a country's own names its laws; a reader sees what the rows that cite them change."""
    text = (
        "name: xa@2031-01-01\nextends: az@2022-04-29\nadds: {laws: {XA Law 9: On beds}}\n"
        "changes: {clocks: {D-BED: {basis: XA Law 9 art. 2}}}\n"
    )

    found = compared(Words("en", ZoneInfo("Asia/Baku")), load_profile("az@2022-04-29"), read_profile(text))

    assert (found.count, found.of_the_law) == (0, ("To answer about a bed (D-BED)",))
