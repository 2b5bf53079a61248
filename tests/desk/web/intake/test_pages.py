"""Anonymous messages at the hotline's desk, as a worker with a browser reads and answers them."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import BUS
from desk.given import Given, desk_of
from desk.web.browsing import browsing, kept_in, member, titles
from desk.web.staff.given import office
from intake.given import CANARY, ID, WRITTEN, holder, on_disk, take
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk import intake
from nrmbus.intake.messages import MOST_CHARACTERS, Hotline, Written
from nrmbus.intake.store import IntakeStore, StoreFull
from nrmbus.wire import ids

WORKER = member("intake", "publish", "read_cases")
OUR = Hotline(BUS, "ngo-a")


async def write(here: Given, home: Path, id: str = ID, written: Written = WRITTEN, *, danger: bool = False) -> None:
    """Have a person write to this desk's agency."""
    IntakeStore(home).close()
    here.behind.home = home
    await intake.tend(here.desk.seat, home)
    store, person = IntakeStore(home), holder()
    store.take(person, id, lambda to: OUR.seal(written, to, id=id, ref=person.ref), now=wall_now(), danger=danger)
    store.close()


def to_person(home: Path) -> list[str]:
    """Return the answers that the code's holder opens."""
    store, person = IntakeStore(home), holder()
    thread = store.found(person.ref, now=wall_now())
    store.close()
    assert thread is not None
    return [OUR.opened_by(person, each.letter, id=each.id) for each in thread.messages if each.who is not None]


def fields(page: httpx.Response) -> dict[str, str]:
    """Return the hidden fields of the form for an answer."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))


async def test_a_message_is_shown_only_after_its_reader_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """List and closed page show nothing that was written; without the record nothing is opened."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path, danger=True)
        closed = [await browser.get("/app/intake"), await browser.get("/app/intake/1")]
        assert all("Danger now" in each.text or "there is danger now" in each.text for each in closed)
        assert await here.rows("reads") == []

        def full(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError

        with monkeypatch.context() as broken:
            broken.setattr("nrmbus.desk.intake.insert", full)
            failed = await browser.post("/app/intake/1/open")
        assert failed.status_code == 503
        opened = await browser.post("/app/intake/1/open")
        rows = await here.rows("reads")

        assert not any("CANARY" in each.text for each in (*closed, failed))
        assert CANARY in opened.text
        assert "CANARY +994 00 000 00 09" in opened.text
        assert opened.headers["cache-control"] == "no-store"
        assert {(row.who, row.source, row.event, row.purpose) for row in rows} == {("4711", "ngo-a", ID, "intake")}
        assert {row.part for row in rows} == {"coded", "contact", "story"}
        again = await browser.get("/app/intake/1")
        assert "number 4711" in again.text
        (row,) = {row.subject for row in rows}
        async with browsing(here, member("see_reads")) as supervisor:
            listed = await supervisor.get("/app/readings")
        assert "Message without a name" in listed.text
        assert row[:8] not in listed.text, "it is no case"
        assert "CANARY" not in again.text + "".join(titles([*closed, opened]))


async def test_no_spelling_service_reads_an_answer(tmp_path: Path) -> None:
    """P9: A browser may send what is typed to a spelling service of its maker: the form of an answer asks it not to."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        opened = await browser.post("/app/intake/1/open")
        (form,) = [each for each in re.findall(r"<form.*?</form>", opened.text, re.DOTALL) if "<textarea" in each]

        assert 'spellcheck="false"' in form.partition(">")[0]


async def test_an_answer_reaches_the_codes_holder(tmp_path: Path) -> None:
    """Sealed to her and to the hotline; sent twice, it is there once; the thread is answered."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = fields(await browser.post("/app/intake/1/open")) | {"text": "CANARY come <at> ten"}
        other = await browser.post("/app/intake/1/answer?lang=ru", data=form | {"go": "language"})
        assert (other.status_code, to_person(tmp_path)) == (200, [])
        assert '<html lang="ru"' in other.text
        assert ">CANARY come &lt;at&gt; ten</textarea>" in other.text
        assert "govuk-error-summary" not in other.text
        chosen = await browser.post("/app/intake/1/answer?lang=ru", data=form | {"go": "language", "how": "delete"})
        assert kept_in(chosen)["how"] == ["delete"], "how to close it is kept too"
        for _ in range(2):
            sent = await browser.post("/app/intake/1/answer", data=form)
            assert (sent.status_code, sent.headers["location"]) == (303, "/app/intake/1")

        assert to_person(tmp_path) == ["CANARY come <at> ten"]
        assert "Answered" in (await browser.get("/app/intake?lang=en")).text
        assert "CANARY come &lt;at&gt; ten" in (await browser.post("/app/intake/1/open")).text
        assert b"CANARY" not in on_disk(tmp_path)


async def test_an_answer_in_many_lines_may_be_as_long_as_the_page_says(tmp_path: Path) -> None:
    """Given an answer with a line break after each word, as a browser sends it, then each break counts once."""
    text = "ten\r\n" * (MOST_CHARACTERS // 4 - 1) + "ten!"
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = fields(await browser.post("/app/intake/1/open")) | {"text": text}
        sent = await browser.post("/app/intake/1/answer", data=form)

    assert sent.status_code == 303, titles([sent])
    assert to_person(tmp_path) == [text.replace("\r\n", "\n")]


async def test_an_answer_to_what_has_changed_is_not_sent_and_not_lost(tmp_path: Path) -> None:
    """A colleague was first, or the person has written more: the page shows it, and keeps what was typed."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = fields(await browser.post("/app/intake/1/open")) | {"text": "my answer"}
        await write(here, tmp_path, ID[:-1] + "2", Written("I am safe now", "en"))

        late = await browser.post("/app/intake/1/answer", data=form)
        empty = await browser.post("/app/intake/1/answer", data=form | {"text": " "})

        assert (late.status_code, empty.status_code) == (409, 422)
        assert "I am safe now" in late.text
        assert ">my answer</textarea>" in late.text
        assert to_person(tmp_path) == []


async def test_another_language_is_the_same_answer_and_the_same_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an answer that was stored though the page says otherwise, a language and Send give it once; only what is new is recorded."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = fields(await browser.post("/app/intake/1/open")) | {"text": "come at ten"}
        stores = IntakeStore.answer

        def stored_and_failed(*given: Any, **named: Any) -> None:
            stores(*given, **named)
            raise StoreFull

        with monkeypatch.context() as broken:
            broken.setattr(IntakeStore, "answer", stored_and_failed)
            failed = await browser.post("/app/intake/1/answer", data=form)
        assert failed.status_code == 503
        read = await here.rows("reads")
        form = fields(failed) | {"text": form["text"]}
        other = await browser.post("/app/intake/1/answer?lang=ru", data=form | {"go": "language"})
        assert {name: fields(other)[name] for name in ("id", "last")} == {name: form[name] for name in ("id", "last")}
        assert await here.rows("reads") == read
        await browser.post("/app/intake/1/answer", data=fields(other) | {"text": form["text"]})
        assert to_person(tmp_path) == ["come at ten"]

        await write(here, tmp_path, ID[:-1] + "2", Written("I am safe now", "en"))
        newer = await browser.post("/app/intake/1/answer", data=form | {"go": "language"})
        assert "I am safe now" in newer.text
        assert {row.event for row in (await here.rows("reads"))[len(read) :]} == {ID[:-1] + "2"}
        late = fields(newer) | {"id": ids.new_event_id(), "text": "another answer"}
        assert (await browser.post("/app/intake/1/answer", data=late)).status_code == 409


async def test_another_language_a_while_later_is_another_reading(tmp_path: Path) -> None:
    """Given a message that a member opened, when the member sends the form of a language months later, then that reading is recorded too."""
    form = {"id": ids.new_event_id(), "last": "1", "text": "", "go": "language"}
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        await browser.post("/app/intake/1/open")
        rows = []
        for minutes in (14, 2, 14, 200_000):
            here.clock.time += timedelta(minutes=minutes)
            assert CANARY in (await browser.post("/app/intake/1/answer", data=form)).text
            rows.append(len({row.at for row in await here.rows("reads")}))

    assert rows == [1, 2, 2, 3]


async def test_another_language_of_what_nobody_opened_is_recorded(tmp_path: Path) -> None:
    """Nobody reads a message without a record by choosing a language first."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = {"id": ids.new_event_id(), "last": "1", "text": "", "go": "language"}
        assert CANARY in (await browser.post("/app/intake/1/answer", data=form)).text
        assert {row.event for row in await here.rows("reads")} == {ID}


@pytest.mark.parametrize("is_readable", [True, False], ids=["readable", "unreadable"])
async def test_an_answer_that_cannot_be_stored_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_readable: bool
) -> None:
    """Given a full disk or a held file, the page has the answer, beside the conversation if that can be read; sent again, it is stored once."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = fields(await browser.post("/app/intake/1/open")) | {"text": "CANARY come <at> ten"}

        def held(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError

        def full(*_: object, **__: object) -> None:
            raise StoreFull

        with monkeypatch.context() as broken:
            broken.setattr(IntakeStore, "answer", full)
            if not is_readable:
                broken.setattr(IntakeStore, "thread", held)
            failed = await browser.post("/app/intake/1/answer", data=form)

        assert failed.status_code == 503
        assert ">CANARY come &lt;at&gt; ten</textarea>" in failed.text
        assert "Your answer was not stored" in failed.text
        assert (WRITTEN.text in failed.text) is is_readable
        assert fields(failed)["id"] == form["id"]
        sent = await browser.post("/app/intake/1/answer", data=fields(failed) | {"text": form["text"]})
        assert sent.headers["location"] == "/app/intake/1"
        assert to_person(tmp_path) == ["CANARY come <at> ten"]


@pytest.mark.usefixtures("cheap_passwords")
async def test_an_opened_message_leads_back_to_a_page_after_the_sign_in(tmp_path: Path) -> None:
    """Given pages that are the answer to a form, then the session's script leads back to an address that can be opened."""
    async with office(tmp_path) as it:
        await write(it.here, tmp_path)
        await it.signed_in("Leyla Example", "worker")
        opened = await it.send("/intake/1/open")
        sent = await it.send("/intake/1/answer", **{**fields(opened), "text": " "})
        backs = [re.findall(r'data-back="([^"]*)"', each.text) for each in (opened, sent, await it.get("/intake"))]
        assert backs == [["/intake/1"], ["/intake/1"], ["/intake"]]


@pytest.mark.parametrize(
    ("step", "how", "turn"),
    [("open", "", 1), ("signal", "", 1), ("answer", "", 1), ("answer", "", 2), ("close", "keep", 3), ("close", "delete", 1),
     ("close", "delete", 3)],
)  # fmt: skip
@pytest.mark.usefixtures("cheap_passwords")
async def test_a_member_who_is_removed_while_the_desk_waits_for_the_file_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, how: str, turn: int
) -> None:
    """Given a removal while the public page holds the file, then no message is shown, answered, closed or deleted."""
    async with office(tmp_path) as it:
        await write(it.here, tmp_path)
        me, loop, writing = (
            await it.signed_in("Leyla Example", "worker"),
            asyncio.get_running_loop(),
            IntakeStore._writing,
        )
        form = fields(await it.send("/intake/1/open")) | {"text": "come at ten" if step == "answer" else "", "how": how}
        turns = iter(range(1, 10))

        @contextmanager
        def waited(store: IntakeStore) -> Iterator[sqlite3.Connection]:
            with writing(store) as tx:
                if next(turns) == turn:
                    removal = it.staff.members.remove(me.number, "door.json")
                    asyncio.run_coroutine_threadsafe(removal, loop).result()
                yield tx

        with monkeypatch.context() as slow:
            slow.setattr(IntakeStore, "_writing", waited)
            answer = await it.send(f"/intake/1/{step}", **form)

        assert (answer.status_code, answer.headers.get("location")) == (303, "/app/sign-in?over=1&back=%2Fintake%2F1")
        assert to_person(tmp_path) == []
        store = IntakeStore(tmp_path)
        assert [each.state for each in store.threads()] == ["waiting"]
        store.close()
        assert await it.here.rows("drafts") == []


async def test_a_signal_begins_with_what_can_be_told(tmp_path: Path) -> None:
    """The draft is the worker's own; the person's words are not in it, and nothing is on the bus."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path, danger=True)
        begun = await browser.post("/app/intake/1/signal")
        page = await browser.get(begun.headers["location"])

        assert begun.status_code == 303
        assert re.search(r'value="emergency"\s+(checked|selected)', page.text)
        assert re.search(r'value="help_requested"\s+(checked|selected)', page.text)
        assert "CANARY" not in unescape(page.text)
        assert re.search(r'govuk-back-link[^>]* href="/app/acts"', page.text)
        assert await here.rows("outbox") == []


@pytest.mark.parametrize("step", ["close", "signal"])
async def test_no_other_step_loses_an_answer_that_is_not_sent(tmp_path: Path, step: str) -> None:
    """Given an answer that was typed, then closing the conversation or a signal waits until it is sent or taken away."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = kept_in(await browser.post("/app/intake/1/open")) | {"text": ["my answer"]}
        kept = await browser.post(f"/app/intake/1/{step}", data=form)
        done = await browser.post(f"/app/intake/1/{step}", data=form | {"text": [" "]})

    assert (kept.status_code, done.status_code) == (409, 303)
    assert "Your answer is not sent yet" in kept.text
    assert ">my answer</textarea>" in kept.text


async def test_a_thread_is_closed_or_deleted(tmp_path: Path) -> None:
    """Closed, the person can still read it; deleted, nothing is left of it, and its page is not found."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = kept_in(await browser.post("/app/intake/1/open"))
        await browser.post("/app/intake/1/close", data=form | {"how": "keep"})
        assert "Closed" in (await browser.get("/app/intake/1")).text
        gone = await browser.post("/app/intake/1/close", data=form | {"how": "delete"})

        assert gone.headers["location"] == "/app/intake"
        assert "There is no message" in (await browser.get("/app/intake")).text
        assert (await browser.get("/app/intake/1")).status_code == 404
        assert (await browser.post("/app/intake/1/open")).status_code == 404


@pytest.mark.parametrize("how", ["keep", "delete"])
async def test_p4_nobody_closes_or_deletes_what_they_have_not_opened(tmp_path: Path, how: str) -> None:
    """Given a message that a colleague has opened, when another worker sends the form with the right row, then the message stays and is shown on record; after that the worker may close or delete it."""
    async with desk_of("ngo-a", tmp_path) as here:
        await write(here, tmp_path, danger=True)
        async with browsing(here, WORKER) as colleague:
            form = kept_in(await colleague.post("/app/intake/1/open")) | {"how": how}
        async with browsing(here, replace(WORKER, number="4712")) as browser:
            kept = await browser.post("/app/intake/1/close", data=form)
            assert (kept.status_code, CANARY in kept.text) == (409, True)
            assert {row.who for row in await here.rows("reads")} == {"4711", "4712"}
            assert not any(row.part == "deleted" for row in await here.rows("reads"))
            here.clock.time += timedelta(hours=7)
            done = await browser.post("/app/intake/1/close", data=kept_in(kept) | {"how": how})

    assert done.status_code == 303


async def test_p4_a_deletion_is_on_record_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a message that a worker has opened, when the worker deletes it, then supervisors see who and when without a reference; without the record nothing is deleted."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = kept_in(await browser.post("/app/intake/1/open")) | {"how": "delete"}

        def full(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError

        with monkeypatch.context() as broken:
            broken.setattr("nrmbus.desk.intake.insert", full)
            failed = await browser.post("/app/intake/1/close", data=form)
        assert failed.status_code == 503
        assert "number 4711" in (await browser.get("/app/intake/1")).text

        assert (await browser.post("/app/intake/1/close", data=form)).status_code == 303

        (row,) = [each for each in await here.rows("reads") if each.part == "deleted"]
        assert (row.who, row.subject, row.event, row.purpose) == ("4711", holder().ref, ID, "intake")
        async with browsing(here, member("see_reads")) as supervisor:
            listed = (await supervisor.get("/app/readings?lang=ru")).text
        assert "Удалено" in listed
        assert row.subject[:8] not in listed


async def test_a_deletion_that_failed_is_no_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a full disk after the deletion was recorded, then the message is still there, and its page names the opening alone."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = kept_in(await browser.post("/app/intake/1/open")) | {"how": "delete"}
        here.clock.time += timedelta(minutes=5)

        def full(*_: object, **__: object) -> None:
            raise StoreFull

        with monkeypatch.context() as broken:
            broken.setattr(IntakeStore, "finish", full)
            failed = await browser.post("/app/intake/1/close", data=form)

        assert failed.status_code == 503
        assert (await browser.get("/app/intake/1")).text.count("number 4711") == 1


async def test_a_message_that_does_not_open_can_be_deleted(tmp_path: Path) -> None:
    """Given a message of which nothing can be read, when a worker has opened the others and this one, then the worker deletes the conversation."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        await write(here, tmp_path, ID[:-1] + "2", Written("I am safe now", "en"))
        store = IntakeStore(tmp_path)
        store.replace(ID[:-1] + "2", bytes(300_000), here.desk.seat.identity.sealing.kid)
        store.close()
        page = await browser.post("/app/intake/1/open")
        assert "This message does not open" in page.text
        gone = await browser.post("/app/intake/1/close", data=kept_in(page) | {"how": "delete"})

    assert gone.headers["location"] == "/app/intake"


@pytest.mark.parametrize("how", ["keep", "delete"])
async def test_a_thread_to_which_somebody_wrote_meanwhile_is_shown_again(tmp_path: Path, how: str) -> None:
    """Neither closed nor deleted: the worker reads first what has come."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        form = kept_in(await browser.post("/app/intake/1/open"))
        store = IntakeStore(tmp_path)
        take(store, holder(), ID[:-1] + "7", hotline=OUR)
        store.close()
        kept = await browser.post("/app/intake/1/close", data=form | {"how": how})
        done = await browser.post("/app/intake/1/close", data=kept_in(kept) | {"how": how})

    assert (kept.status_code, done.status_code) == (409, 303)
    assert "Somebody has written since you opened this" in kept.text


async def test_a_flood_leaves_the_list_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more than a page, danger comes first, and the number of all is told."""
    monkeypatch.setattr("nrmbus.desk.web.intake.pages.MOST_ROWS", 2)
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        await write(here, tmp_path)
        store = IntakeStore(tmp_path)
        for number in (2, 3):
            take(store, holder(number), f"{ID[:-1]}{number}", danger=number == 3, hotline=OUR)
        store.close()
        page = (await browser.get("/app/intake")).text

        assert "Waits for you (3)" in page
        assert "The first 2 are shown" in page
        assert re.findall(r'href="/app/intake/(\d)"', page)[0] == "3"
        assert len(re.findall(r'href="/app/intake/\d"', page)) == 2


async def test_only_the_intake_s_people_come_in_and_only_where_there_is_one(tmp_path: Path) -> None:
    """Without the permission, and at an agency without a public page, there is nothing to see."""
    async with desk_of("ngo-a", tmp_path) as here:
        async with browsing(here, WORKER) as browser:
            assert (await browser.get("/app/intake")).status_code == 404
        await write(here, tmp_path)
        async with browsing(here, member("read_cases", "publish")) as browser:
            for path in ("/app/intake", "/app/intake/1"):
                assert (await browser.get(path)).status_code == 403
            for path in ("open", "answer", "close", "signal"):
                assert (await browser.post(f"/app/intake/1/{path}")).status_code == 403
        async with browsing(here, WORKER) as browser:
            for number in ("2", "x", "1" * 30, "²"):
                assert (await browser.get(f"/app/intake/{number}")).status_code == 404


async def test_the_navigation_leads_there(tmp_path: Path) -> None:
    """Only for the intake's people, and only at an agency with a public page."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, WORKER) as browser:
        assert 'href="/app/intake"' not in (await browser.get("/app/work")).text
        await write(here, tmp_path)
        there = (await browser.get("/app/work")).text
        assert re.search(r'href="/app/intake"[^>]*>Messages without a name<span class="nrm-count[^>]*><span>1<', there)
        async with browsing(here, member("read_cases")) as other:
            assert 'href="/app/intake"' not in (await other.get("/app/work")).text
