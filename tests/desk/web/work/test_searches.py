"""A search in the work list: labels and agencies however they are written, and whose search it is."""

import unicodedata
from pathlib import Path

import pytest

from agencies import CASE
from desk.given import desk_of
from desk.web.browsing import browsing, member
from desk.web.work.given import a_referral_comes, rows


@pytest.mark.parametrize(
    ("label", "typed"),
    [
        ("İlahə Quliyeva", "ilahə"),
        ("İLAHƏ", "ilahə"),
        ("Işıq", "ışıq"),
        ("IŞIQ", "ışıq"),
        ("ƏLİYEVA", "əliyeva"),
        ("Əliyeva", "eliyeva"),
        ("Алёна", "алена"),
        ("Йоана", unicodedata.normalize("NFD", "йоана")),
        ("Ștefan", "Ştefan"),
    ],
)
async def test_a_search_finds_a_label_however_it_is_written(tmp_path: Path, label: str, typed: str) -> None:
    """Given a case with a label, when a colleague types it with other capitals, accents or letters of a keyboard, then the case is found and nobody records it twice."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        await browser.post(f"/app/cases/{CASE}/notes", data={"label": label, "colleague": "nobody"})
        asked = await browser.post("/app/lists/cases/search", data={"text": typed, "type": "", "colleague": ""})
        found = await browser.get(asked.headers["location"])

    assert len(rows(found)) == 1, found.text


async def test_a_search_finds_an_agency_however_its_name_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an agency with a name in Azerbaijani, when a member types the name without its capitals, or the id with capitals, then its cases are found."""
    names = {"ngo-a": "İşıq İctimai Birliyi"}
    monkeypatch.setattr("nrmbus.desk.web.work.rows.called", lambda _, agency: names.get(agency, agency))
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        found = list[int]()
        for text in ("işıq ictimai birliyi", "ISIQ İCTİMAİ BİRLİYİ", "NGO-A", "işıq"):
            asked = await browser.post("/app/lists/waits/search", data={"text": text, "type": "", "colleague": ""})
            found.append(len(rows(await browser.get(asked.headers["location"]))))

    assert found == [1, 1, 1, 0]


async def test_a_search_is_its_owner_s_and_says_when_it_has_ended(tmp_path: Path) -> None:
    """Another member's search, or one that is gone, shows the whole list and says so."""
    async with desk_of("vac", tmp_path) as here:
        await a_referral_comes(here)
        async with browsing(here, member()) as browser:
            asked = await browser.post(
                "/app/lists/waits/search", data={"text": "nothing like it", "type": "", "colleague": ""}
            )
            own = await browser.get(asked.headers["location"])
        async with browsing(here, member(number="4712")) as browser:
            other = await browser.get(asked.headers["location"])

    assert rows(own) == []
    assert "Nothing fits this search." in own.text
    assert len(rows(other)) == 1
    assert "Your search has ended." in other.text
