"""Answers that no model refuses and a page asks about: they contradict each other, or nobody can mean them."""

from html import unescape
from pathlib import Path

import pytest

from desk.given import desk_of
from desk.web.acts.test_guide import ADULT
from desk.web.acts.test_pages import ANSWERS, begun, filled, heading, with_case
from desk.web.browsing import browsing, member

SIGNAL = {
    "data.detector": "ngo_outreach", "data.urgency": "urgent", "data.detected_abroad": "no", "data.basis": ["indicators"],
}  # fmt: skip
CONTRADICTION = "The age band and the answer about a child do not fit: correct one of them."


@pytest.mark.parametrize(
    ("child", "band", "fits"),
    [
        ("no", "10-13", False), ("no", "16-17", False), ("no", "18-24", True), ("no", "unknown", True), ("no", "", True),
        ("yes", "35-44", False), ("yes", "16-17", True), ("unclear", "18-24", True), ("unclear", "10-13", True),
    ],
)  # fmt: skip
async def test_the_guide_treats_no_child_as_an_adult(tmp_path: Path, child: str, band: str, *, fits: bool) -> None:
    """Given an age band that contradicts the answer about a child, then the guide asks and goes no further; an unclear age fits every band."""
    person = {**ADULT["person"], "guide.child": child, "guide.basis": "age_unclear", "guide.age_band": band}
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        at = str((await filled(browser, at, ADULT["seen"])).headers["location"])
        answer = await filled(browser, at, person)

    assert (answer.status_code == 303) == fits
    assert (f'<a href="#guide-age_band">{CONTRADICTION}' in answer.text) != fits


@pytest.mark.parametrize(
    ("child", "band", "fits"),
    [("no", "10-13", False), ("no", "18-24", True), ("yes", "10-13", True), ("yes", "18-24", True)],
)
async def test_the_form_of_a_signal_treats_no_child_as_an_adult(
    tmp_path: Path, child: str, band: str, *, fits: bool
) -> None:
    """Given the answer that the procedure for children does not apply and a band below 18, then the signal is not sent; its yes also stands for an unclear age."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        what = str((await browser.post("/app/signals/alone")).headers["location"])
        letter = str((await filled(browser, what, {**SIGNAL, "data.child": child})).headers["location"])
        answer = await filled(browser, letter, {"sealed.age_band": band})
        check = await browser.get(letter.replace("/letter", "/check"))

    assert (answer.status_code == 303) == fits
    assert (f'<a href="#sealed-age_band">{CONTRADICTION}' in answer.text) != fits
    assert (heading(check) == "Check your answers") == fits


@pytest.mark.parametrize(
    ("letter", "field", "sentence"),
    [
        (
            {"sealed.contact.method": "phone", "sealed.contact.value": "abc"}, "sealed-contact-value",
            "Is the number right? Write all its digits.",
        ),
        (
            {"sealed.contact.method": "email", "sealed.contact.value": "nomail"}, "sealed-contact-value",
            "Is the address right? An e-mail address has an @.",
        ),
        (
            {"sealed.birth_date.day": "3", "sealed.birth_date.month": "3", "sealed.birth_date.year": "2026"},
            "sealed-birth_date-day", "The date of birth lies in the future: correct it.",
        ),
    ],
    ids=["no number", "no address", "born tomorrow"],
)  # fmt: skip
async def test_a_letter_names_no_contact_or_birth_that_cannot_be(
    tmp_path: Path, letter: dict[str, str], field: str, sentence: str
) -> None:
    """Given a number without digits, an e-mail address without an @ or a birth after today, then the form of a referral asks about it."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = (await filled(browser, await begun(browser, "referral.submitted"), ANSWERS)).headers["location"]
        answer = await filled(browser, at, letter)

    assert answer.status_code == 422
    assert f'<a href="#{field}">{sentence}' in unescape(answer.text)


async def test_contact_and_birth_that_can_be_are_taken(tmp_path: Path) -> None:
    """Given numbers as people write them, a contact in person, and a birth of today, then the form goes on."""
    born = {"sealed.birth_date.day": "2", "sealed.birth_date.month": "3", "sealed.birth_date.year": "2026"}
    ways = [
        ("phone", "(050) 123-45-67"),
        ("phone", "+994 50 123 45 67"),
        ("email", "alina@example.org"),
        ("in_person", "Alina"),
    ]
    found = []
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = (await filled(browser, await begun(browser, "referral.submitted"), ANSWERS)).headers["location"]
        for method, value in ways:
            contact = {"sealed.contact.method": method, "sealed.contact.value": value}
            found.append((await filled(browser, at, {**contact, **born})).status_code)

    assert found == [303] * len(ways)
