"""Somebody shares a document from the browser: kept sealed, checked, and announced by one event."""

import json
import re
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import CASE
from desk.documents.test_sharing import PDF
from desk.given import CANARY
from desk.web.browsing import member
from desk.web.cases.given import AT, at_vac, referred
from desk.web.staff.given import behind_a_removal, office

SHARE = f"{AT}/documents/share"
FILE = {"file": (f"{CANARY}.pdf", PDF, "text/html")}
SAID: dict[str, Any] = {"kind": "medical_report", "to": ["ngo-a"]}


def hidden(page: httpx.Response) -> dict[str, Any]:
    """Return the hidden fields of the form on *page*, the repeated ones as lists."""
    found = dict[str, Any]()
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text):
        found.setdefault(name, []).append(value)
    return found


async def test_a_document_goes_from_the_browser_to_the_agencies_that_were_chosen(tmp_path: Path) -> None:
    """Given a file, a kind and a receiver, the page shows who will read it; after the send it is one event with its chunks."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        check = await browser.post(SHARE, data=SAID, files=FILE)
        sent = [await browser.post(f"{AT}/documents/send", data=hidden(check)) for _ in range(2)]
        await here.settle()
        announced = [row for row in await here.rows("outbox") if row.type == "document.shared"]
        chunks = [row for row in await here.rows("outbox") if row.type == "document.chunk_sent"]
        listed = (await browser.get(f"{AT}/documents")).text

    assert check.status_code == 200
    assert "Medical report" in check.text
    assert "Part: Health" in check.text
    assert check.headers["cache-control"] == "no-store"
    assert {each.headers["location"] for each in sent} == {f"/app/acts/{announced[0].id}/sent"}
    assert [(row.verdict, json.loads(row.clear)["actor"]) for row in announced] == [("registered", "4711")]
    assert len(chunks) == 3
    assert "Medical report" in listed
    assert CANARY not in listed + str([dict(each.headers) for each in sent])


@pytest.mark.usefixtures("cheap_passwords")
async def test_the_last_click_of_a_member_who_was_removed_shares_nothing(tmp_path: Path) -> None:
    """Given a click on send that waits for the ledger behind the removal of its sender, then no document is announced."""
    async with office(tmp_path, agency="vac") as it:
        await referred(it.here)
        me, own = await it.signed_in("Leyla Example", "worker"), {"sec-fetch-site": "same-origin"}
        check = await it.browser.post(SHARE, data=SAID, files=FILE, headers=own)
        send = it.send(f"/cases/{CASE}/documents/send", **hidden(check))
        answer = await behind_a_removal(it, me, send)

        assert (check.status_code, answer.status_code) == (200, 303)
        assert answer.headers["location"].startswith("/app/sign-in?over=1")
        assert [row.type for row in await it.here.rows("outbox") if row.type.startswith("document.")] == []


async def test_a_refused_document_stays_on_the_first_page_until_its_own_kind_is_shared(tmp_path: Path) -> None:
    """Given a refused medical report, a document of another kind leaves the refusal on the overview; the report ends it."""
    words = "Refused: nothing of it counts."
    async with at_vac(tmp_path, member()) as (here, browser, _):

        async def shared(kind: str) -> None:
            check = await browser.post(SHARE, data={**SAID, "kind": kind}, files=FILE)
            assert (await browser.post(f"{AT}/documents/send", data=hidden(check))).status_code == 303

        await shared("medical_report")
        (refused,) = await here.out()
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        await shared("other")
        await here.settle()
        other = (await browser.get(AT)).text
        await shared("medical_report")
        await here.settle()
        same = (await browser.get(AT)).text

    assert [words in page for page in (other, same)] == [True, False]


async def test_a_document_with_a_refused_piece_is_not_on_its_way_for_ever(tmp_path: Path) -> None:
    """Given a piece that the registrar refused, the sender reads that no more follows and why; a document on its way, and one shared again, do not say so."""
    words, rule = "Only a part of this document was sent, and no more follows. You can share it again.", "G-31"
    async with at_vac(tmp_path, member()) as (here, browser, _):

        async def shared(pieces: int) -> str:
            check = await browser.post(SHARE, data=SAID, files=FILE)
            assert (await browser.post(f"{AT}/documents/send", data=hidden(check))).status_code == 303
            for _ in range(1 + pieces):
                (record,) = await here.out()
                await here.hear(here.registrar.register(record, to="vac"))
            return (await browser.get(f"{AT}/documents")).text

        on_its_way = await shared(1)
        (second,) = await here.out()
        await here.hear(here.registrar.refuse(second, "consent_withdrawn", rule))
        ended = (await browser.get(f"{AT}/documents")).text
        await shared(3)
        again = (await browser.get(f"{AT}/documents")).text
        says = here.town.rules.profile.refusals[rule].says

    assert [words in page for page in (on_its_way, ended, again)] == [False, True, True]
    assert "Not all of this document is here" in on_its_way
    assert says in unescape(ended)
    assert [page.count('name="document" type="radio"') for page in (ended, again)] == [0, 1]


async def test_a_file_is_kept_while_the_rest_of_the_form_is_mended(tmp_path: Path) -> None:
    """Given a form without a kind or a receiver, the page asks for them, and the file need not be chosen again."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        first = await browser.post(SHARE, files=FILE)
        second = await browser.post(SHARE, data={**hidden(first), **SAID}, files={"file": ("", b"")})
        kept = len(await here.rows("documents"))

    assert first.status_code == 422
    assert "Choose what kind of paper it is" in first.text
    assert "Choose who gets it" in first.text
    assert (second.status_code, kept) == (200, 1)
    assert hidden(second)["document"] == hidden(first)["document"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"MZ\x00\x01", 415, "no PDF, JPEG, PNG or TIFF"),
        (b"", 422, "Choose a file"),
        (b"%PDF-" + bytes(10_100_000), 413, "larger than"),
    ],
    ids=["a program", "nothing", "too large"],
)
async def test_what_is_no_document_is_not_kept(content: bytes, status: int, words: str, tmp_path: Path) -> None:
    """Given a program under the name of a picture, no file, or one that is too large, the page says so, and nothing is kept."""
    files = {"file": ("picture.jpg" if content else "", content, "image/jpeg")}
    async with at_vac(tmp_path, member()) as (here, browser, _):
        answer = await browser.post(SHARE, data=SAID, files=files)
        kept = await here.rows("documents")

    assert (answer.status_code, kept) == (status, [])
    assert words in answer.text


async def test_an_unfit_file_leaves_the_rest_of_the_form(tmp_path: Path) -> None:
    """Given a program beside an earlier upload, the page has kind, receivers and the earlier upload still."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        first = await browser.post(SHARE, files=FILE)
        unfit = await browser.post(
            SHARE, data={**hidden(first), **SAID}, files={"file": ("a.exe", b"MZ\x00\x01", "image/jpeg")}
        )
        check = await browser.post(SHARE, data={**hidden(unfit), **SAID}, files={"file": ("", b"")})
        kept = len(await here.rows("documents"))

    assert unfit.status_code == 415
    assert hidden(unfit) == hidden(first)
    assert re.search(r'value="medical_report"\s+(checked|selected)', unfit.text)
    assert re.search(r'value="ngo-a" checked', unfit.text)
    assert (check.status_code, kept) == (200, 1)


@pytest.mark.parametrize("more", [100_000, 30_000_000], ids=["a little", "much"])
async def test_a_file_that_is_too_large_leaves_kind_and_receivers(more: int, tmp_path: Path) -> None:
    """Given a file above the bound, the page has kind and receivers still: they stand before the file in the form."""
    files = {"file": ("a.pdf", b"%PDF-" + bytes(10_000_000 + more), "application/pdf")}
    async with at_vac(tmp_path, member()) as (_, browser, _):
        page = await browser.get(SHARE)
        large = await browser.post(SHARE, data=SAID, files=files)

    assert page.text.index('type="file"') > max(page.text.index('name="kind"'), page.text.index('name="to"'))
    assert large.status_code == 413
    assert re.search(r'value="medical_report"\s+checked', large.text)
    assert re.search(r'value="ngo-a" checked', large.text)


async def test_another_language_keeps_file_kind_and_receivers(tmp_path: Path) -> None:
    """Given a chosen file, then the form is there in the other language with all of it, without a fault, and so after the check."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        russian = await browser.post(f"{SHARE}?lang=ru", data={**SAID, "go": "language"}, files=FILE)
        check = await browser.post(SHARE, data={**hidden(russian), **SAID}, files={"file": ("", b"")})
        again = await browser.post(
            f"{SHARE}?lang=az", data={**hidden(check), "go": "language"}, files={"file": ("", b"")}
        )
        kept = len(await here.rows("documents"))

    for page, language in ((russian, "ru"), (again, "az")):
        assert (page.status_code, f'<html lang="{language}"' in page.text) == (200, True)
        assert re.search(r'value="medical_report"\s+checked', page.text)
        assert re.search(r'value="ngo-a" checked', page.text)
        assert hidden(page)["document"] == hidden(russian)["document"]
    assert 'formenctype="multipart/form-data"' in check.text
    assert kept == 1


async def test_the_content_is_never_on_the_disk_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a large file, no temporary file is made of it, and the ledger has it sealed alone."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    content = b"%PDF-1.4\n" + CANARY.encode() * 60_000
    async with at_vac(tmp_path, member()) as (_, browser, _):
        answer = await browser.post(SHARE, data=SAID, files={"file": ("a.pdf", content)})

    assert answer.status_code == 200
    assert not any(CANARY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_a_receiver_that_may_not_have_it_is_not_offered_and_not_taken(tmp_path: Path) -> None:
    """Given a service of the bus as receiver, the page asks again."""
    async with at_vac(tmp_path, member()) as (_, browser, _):
        page = (await browser.get(SHARE)).text
        answer = await browser.post(SHARE, data={**SAID, "to": ["registrar"]}, files=FILE)

    assert 'value="registrar"' not in page
    assert re.findall(r'type="radio" value="(\w+)"', page)[-1] == "other"
    assert answer.status_code == 422


async def test_who_may_not_publish_shares_nothing(tmp_path: Path) -> None:
    """Given a member who may only read, no page for sharing opens."""
    async with at_vac(tmp_path, member("read_cases")) as (here, browser, _):
        answers = [await browser.get(SHARE), await browser.post(SHARE, data=SAID, files=FILE)]
        answers.append(await browser.post(f"{AT}/documents/send"))
        kept = await here.rows("documents")

    assert {each.status_code for each in answers} == {403}
    assert kept == []
