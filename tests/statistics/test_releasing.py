"""Pages on which two people release figures: exactly the draft seen by the first person, signed by a second."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import httpx
import pytest

from agencies import NOW
from desk.given import Given, desk_of, killed_at_call
from desk.web.browsing import browsing, employed, kept_in, member
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.http.scopes import SCOPES
from nrmbus.desk.outbox import drafts
from nrmbus.desk.staff.permissions import Permission
from nrmbus.events.figures import Checkpoint, Release
from nrmbus.events.model import Fact
from nrmbus.events.stats import unpacked
from nrmbus.statistics import service
from nrmbus.statistics.history import Histories
from nrmbus.statistics.release import compute
from nrmbus.statistics.releasing import pages
from nrmbus.statistics.service import Figures
from nrmbus.statistics.spans import Span
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.wire import json, times
from nrmbus.wire.envelope import decode
from patience import PATIENCE, eventually
from statistics_story import Story

pytestmark = pytest.mark.thorough

ME: Final = "statistics"
FIRST: Final[tuple[Permission, ...]] = ("read_cases", "publish")
SECOND: Final[tuple[Permission, ...]] = ("read_cases", "publish", "approve")
THEN: Final = datetime(2025, 6, 2, 9, tzinfo=UTC)
_SEEN: Final = re.compile(r'name="seen" value="([^"]*)"')


async def _nothing_new() -> None:
    return


@asynccontextmanager
async def the_desk(home: Path, story: Story | None = None) -> AsyncIterator[tuple[Given, Story]]:
    """Yield the desk of the statistics, which has heard of twelve women in 2025, and the story that goes on."""
    is_new = story is None
    story = story or Story(at=THEN)
    story.registrar.time = NOW
    async with desk_of(ME, home, registrar=story.registrar) as here:
        for each in story.deliveries if is_new else ():
            await here.hear(each)
        known = {"facts": story.facts, "checkpoints": story.checkpoints, "is_known_to": lambda _: True}
        histories = cast("Histories", SimpleNamespace(**known))
        here.behind.beside[Figures] = Figures(here.desk, histories, _nothing_new)
        employed(here, member(*FIRST, number="S-1"))  # a desk that begins again knows its people
        yield here, story


@asynccontextmanager
async def two_people(
    home: Path, story: Story | None = None
) -> AsyncIterator[tuple[Given, Story, httpx.AsyncClient, httpx.AsyncClient]]:
    """Yield the desk, its story, and two people: the first may ask, the second may sign."""
    async with (
        the_desk(home, story) as (here, told),
        browsing(here, employed(here, member(*FIRST, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        yield here, told, one, two


def history_of(here: Given) -> Any:
    """Return the history that the figures of *here* count."""
    return here.behind.beside[Figures]._histories


async def made(browser: httpx.AsyncClient, period: str = "2025") -> str:
    """Make a draft of *period*; return its id."""
    answer = await browser.post(f"/app/releases/{period}/draft")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"].split("/")[3])


async def pressed(browser: httpx.AsyncClient, page: str, button: str) -> httpx.Response:
    """Read *page*, and press the button that leads to *button* below it."""
    seen = _SEEN.search((await browser.get(page)).text)
    return await browser.post(button, data={"seen": seen[1]} if seen else {})


async def asked(browser: httpx.AsyncClient, id: str) -> httpx.Response:
    """Ask for a second signature under the draft *id*."""
    return await pressed(browser, f"/app/acts/{id}/check", f"/app/acts/{id}/send")


async def signed(browser: httpx.AsyncClient, id: str) -> httpx.Response:
    """Read what waits under *id*, and sign."""
    return await pressed(browser, f"/app/approvals/{id}", f"/app/approvals/{id}/sign")


async def releases(here: Given) -> list[dict[str, Any]]:
    """Return what the desk has published, with the release in it."""
    found = []
    for row in await here.rows("outbox"):
        clear = json.loads(row.clear, limit=100_000)
        found.append({**clear, "release": Release.read(unpacked(clear["data"]["figures"]) or b"")})
    return found


def goes_on(here: Given, story: Story) -> None:
    """Let the history have what the desk has published since."""
    for record in here.sent:
        event = decode(record).event()
        story.facts[event.subject] = [Fact.of(event, (), NOW, len(here.sent))]
    history_of(here).checkpoints = (Checkpoint(partition=0, size=100 + len(here.sent), head="b" * 64),)


@pytest.mark.slow
async def test_two_people_release_the_draft_that_the_first_one_saw(tmp_path: Path) -> None:
    """Given a draft of twelve women, then nothing is sent before a second person signs, and that very release is published."""
    async with two_people(tmp_path) as (here, story, one, two):
        id = await made(one)
        check = (await one.get(f"/app/acts/{id}/check")).text
        digest = re.findall(r"[0-9a-f]{64}", check)[-1]
        assert "A second person has to sign" in check
        assert "The figures of 2024 are not released" in check
        await asked(one, id)
        assert await here.rows("outbox") == []
        assert digest in (await two.get(f"/app/approvals/{id}")).text
        assert f"/app/approvals/{id}" in (await two.get("/app/releases")).text

        story.elsewhere()
        history_of(here).checkpoints = story.checkpoints
        answer = await here.during(signed(two, id))

        end = (await two.get(answer.headers["location"])).text
        assert "Registered" in end
        assert re.search(r'href="/app/figures"[^>]*>Show all figures<', end)
        (said,) = await releases(here)
        assert (said["actor"], said["approver"], said["release"].digest) == ("S-1", "S-2", digest)
        assert said["release"].table("signalled_by_sex").cell("_T") == 12
        assert "Released on 2 March 2026" in (await one.get("/app/releases")).text


async def test_a_release_that_is_signed_and_not_answered_is_shown_so_and_not_made_again(tmp_path: Path) -> None:
    """Given an absent registrar, both people see a release on its way, and nobody is asked for another draft."""
    async with two_people(tmp_path) as (here, _, one, two):
        id = await made(one)
        await asked(one, id)
        await signed(two, id)
        for each in (one, two):
            page = (await each.get("/app/releases")).text
            assert "Not registered yet" in page
            assert f'href="/app/acts/{id}/sent"' in page
            assert "/app/releases/2025/draft" not in page

        await here.settle()

        assert "Not registered yet" not in (await one.get("/app/releases")).text


async def test_a_draft_that_changed_is_shown_again_and_not_released(tmp_path: Path) -> None:
    """Given an erasure after the draft was made, then neither the first nor the second person gets it out; both are shown what changed."""
    async with two_people(tmp_path) as (here, story, one, two):
        id = await made(one)
        story.erased(1)
        await here.hear(story.deliveries[-1])
        history_of(here).checkpoints = story.checkpoints
        first = await asked(one, id)
        assert first.status_code == 409
        assert "The figures have changed since this draft was made" in first.text
        assert (await two.get(f"/app/approvals/{id}")).status_code == 404

        assert (await asked(one, id)).status_code == 303
        story.happens(
            "ngo-a", "case.signal_recorded", story.signal, case="a" * 32, parts=story.coded, opens=(ME,), at=THEN
        )
        await here.hear(story.deliveries[-1])
        history_of(here).checkpoints = story.checkpoints
        second = await signed(two, id)
        assert second.status_code == 409
        assert "The figures have changed since this draft was made" in second.text
        assert f"/app/approvals/{id}/sign" not in second.text
        assert await here.rows("outbox") == []

        await two.post(f"/app/approvals/{id}/back")
        assert (await asked(one, id)).status_code == 409
        assert (await asked(one, id)).status_code == 303
        await here.during(signed(two, id))
        assert [each["release"].table("signalled_by_sex").cell("_T") for each in await releases(here)] == [12]


async def test_of_two_releases_at_once_one_is_published(tmp_path: Path) -> None:
    """Given two pairs of people with a draft each, then the second pair learns that the figures are released already."""
    async with (
        two_people(tmp_path) as (here, story, _, two),
        browsing(here, employed(here, member(*SECOND, number="S-3"))) as one,
    ):
        ids = [await made(each) for each in (one, two)]
        for each, id in zip((one, two), ids, strict=True):
            await asked(each, id)
        await here.during(signed(two, ids[0]))
        goes_on(here, story)
        late = await signed(one, ids[1])

        assert late.status_code == 409
        assert len(await releases(here)) == 1
        again = await one.post("/app/releases/2025/draft")
        assert "There is nothing to correct." in again.text


async def test_nobody_signs_twice_or_without_the_right_and_no_form_is_believed(tmp_path: Path) -> None:
    """Given people who try: the owner, a worker, a reader, a form with other figures, a page that was read before."""
    async with (
        the_desk(tmp_path) as (here, _), browsing(here, employed(here, member(*SECOND, number="S-1"))) as owner,
        browsing(here, employed(here, member(*FIRST, number="S-3"))) as worker, browsing(here, member("see_health", number="S-4")) as reader,
    ):  # fmt: skip
        assert (await reader.post("/app/releases/2025/draft")).status_code == 403
        assert (await owner.post("/app/releases/2026/draft")).status_code == 404
        assert (await owner.post("/app/releases/2025-Q5/draft")).status_code == 404
        assert (await owner.post("/app/bulletins/stats.period_published")).status_code == 404
        id = await made(owner)
        before = (await owner.get(f"/app/acts/{id}/check")).text
        forged = {"data.k": "2", "data.figures": "AAAA", "fields": "data.k data.figures", "version": "1", "go": "on"}
        assert (await owner.post(f"/app/acts/{id}/what", data=forged)).status_code == 404
        assert (await owner.get(f"/app/acts/{id}/what")).status_code == 404
        await owner.post(f"/app/acts/{id}/keep", data=forged)
        assert re.findall(r"[0-9a-f]{64}", (await owner.get(f"/app/acts/{id}/check")).text) == re.findall(
            r"[0-9a-f]{64}", before
        )
        assert (await owner.post(f"/app/acts/{id}/send", data={"seen": "9."})).status_code == 409
        await asked(owner, id)
        own = await signed(owner, id)
        assert own.headers["location"] == f"/app/acts/{id}/sent", "it waits there for somebody else"
        assert (await signed(worker, id)).status_code == 403
        assert await here.rows("outbox") == []


@pytest.mark.slow
async def test_a_desk_that_is_killed_between_two_signatures_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a kill after the first signature, and one in the middle of the second, then the release is published once and whole."""
    async with the_desk(tmp_path) as (here, story), browsing(here, employed(here, member(*FIRST, number="S-1"))) as one:
        id = await made(one)
        await asked(one, id)
    async with (
        the_desk(tmp_path, story) as (here, _),
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        with monkeypatch.context() as killing:
            killing.setattr(drafts, "keep", killed_at_call(drafts.keep, 0, MemoryError, after=True))
            assert (await signed(two, id)).status_code == 500
        assert await here.rows("outbox") == []
    async with (
        the_desk(tmp_path, story) as (here, _),
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        await here.during(signed(two, id))
        again = await signed(two, id)
        assert (again.status_code, again.headers["location"]) == (303, f"/app/acts/{id}/sent")
        assert [each["release"].table("signalled_by_sex").cell("_T") for each in await releases(here)] == [12]


async def steps_of(here: Given, one: httpx.AsyncClient, two: httpx.AsyncClient) -> httpx.Response:
    """Let two people go on with the release from its current step to the end or a failure. Return the last answer."""
    answer = await one.post("/app/releases/2025/draft")
    waiting = [each.id for each in await here.rows("drafts") if each.state == "waits"]
    if not waiting and answer.status_code == 303:
        id = str(answer.headers["location"].split("/")[3])
        answer = await asked(one, id)
        waiting = [id] if answer.status_code == 303 else []
    if waiting and not await here.rows("outbox"):
        answer = await signed(two, waiting[0])
    return answer


@pytest.mark.slow
async def test_a_release_that_is_killed_at_any_write_is_published_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a kill before and after each write of draft and signatures, then nothing is half published, and both people go on."""
    found: list[int] = []
    for turn, after in ((turn, after) for turn in range(9) for after in (False, True)):
        home = tmp_path / f"{turn} {after}"
        async with two_people(home) as (here, story, one, two):
            await here.behind.beside[Figures].draft(Span(2025))  # its openings are recorded before, each by a write
            engine = here.desk.seat.ledger._engine
            with monkeypatch.context() as killing:
                killing.setattr(engine, "commit", killed_at_call(engine.commit, turn, MemoryError, after=after))
                await steps_of(here, one, two)
        async with two_people(home, story) as (here, _, one, two):
            found.append(len(await releases(here)))
            await here.during(steps_of(here, one, two))
            (said,) = await releases(here)
            assert (said["actor"], said["approver"]) == ("S-1", "S-2")
            assert said["release"].table("signalled_by_sex").cell("_T") == 12
        if found[-1]:
            break

    assert found[-1] == 1, "the last kill came after the last write"
    assert len(found) > 5


async def test_an_old_draft_out_of_a_backup_is_not_released_beside_a_later_one(tmp_path: Path) -> None:
    """Given a ledger from before a release, whose draft still waits, then the history knows the release, and nothing goes out."""
    async with two_people(tmp_path / "one") as (here, story, one, two):
        id = await made(one)
        await asked(one, id)
        ledger = (tmp_path / "one" / "ledger.sqlite").read_bytes()
        wal = (tmp_path / "one" / "ledger.sqlite-wal").read_bytes()
        await here.during(signed(two, id))
        goes_on(here, story)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "ledger.sqlite").write_bytes(ledger)
    (tmp_path / "old" / "ledger.sqlite-wal").write_bytes(wal)
    async with (
        the_desk(tmp_path / "old", story) as (here, _),
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        answer = await signed(two, id)

        assert answer.status_code == 409
        assert "The figures have changed since this draft was made" in answer.text
        assert await here.rows("outbox") == []


async def test_p5_of_a_history_that_this_release_does_not_know_there_is_no_draft(tmp_path: Path) -> None:
    """Given a desk that is not upgraded yet, then the page asks for the upgrade, and nobody can sign figures that are too low."""
    async with the_desk(tmp_path) as (here, _), browsing(here, member(*FIRST)) as one:
        history_of(here).is_known_to = lambda _: False
        answer = await one.post("/app/releases/2025/draft")

        assert answer.status_code == 503
        assert "Ask the operator to upgrade this program." in answer.text


async def test_without_every_letter_there_is_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given letters under way, or a draft that takes long, then the page says so, and nothing is kept."""
    monkeypatch.setattr(service, "WITHIN_SECONDS", 0.0)
    story = Story(at=THEN)
    async with the_desk(tmp_path, story) as (here, _), browsing(here, member(*FIRST)) as one:
        answer = await one.post("/app/releases/2025/draft")

        assert answer.status_code == 503
        assert "have not arrived here yet" in answer.text
        assert await here.rows("drafts") == []


@pytest.mark.slow
async def test_a_draft_that_takes_longer_is_computed_on_and_kept_for_the_next_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given figures that take longer than a page waits, then the page says so, nothing is computed twice, and the next request has the draft."""
    done, begun = threading.Event(), list[Any]()

    def slow(*about: Any, **more: Any) -> Release:
        begun.append(about)
        assert done.wait(PATIENCE)
        return compute(*about, **more)

    async with the_desk(tmp_path) as (here, _), browsing(here, member(*FIRST)) as one:
        with monkeypatch.context() as slowly:
            slowly.setattr(service, "compute", slow)
            slowly.setattr(pages, "PATIENCE_SECONDS", 0.0)
            for _turn in range(2):
                answer = await one.post("/app/releases/2025/draft")
                assert answer.status_code == 503
                assert "The figures are still being computed" in answer.text
            await eventually("the computation begins", lambda: begun)
            assert await here.rows("drafts") == []
            done.set()
            running = here.behind.beside[Figures]._running
            await eventually("the computation ends", lambda: all(each.done() for each in running.values()))
        await made(one)

    assert len(begun) == 1


async def test_a_correction_names_the_release_before_and_what_changes(tmp_path: Path) -> None:
    """Given released figures and many more signals since, then the draft corrects them, and lists the numbers that change."""
    async with two_people(tmp_path) as (here, story, one, two):
        id = await made(one)
        await asked(one, id)
        await here.during(signed(two, id))
        for number in range(14):
            story.happens(
                "ngo-a", "case.signal_recorded", story.signal, case=f"{number + 900:032x}", parts=story.coded,
                opens=(ME,), at=THEN,
            )  # fmt: skip
            await here.hear(story.deliveries[-1])
        goes_on(here, story)
        check = (await one.get(f"/app/acts/{await made(one)}/check")).text

        assert "A correction of the figures for 2025" in check
        assert re.search(r'data-label="Released">12</td><td class="nrm-number" data-label="Corrected">26</td>', check)


async def test_nobody_at_the_statistics_looks_at_a_case(tmp_path: Path) -> None:
    """Given sealed parts of twelve cases, then no page lists, shows or opens one: they are counted, and read by nobody."""
    everything = member("read_cases", "open_letters", "publish", "decide", "approve", "see_reads", "see_colleagues")
    case = f"{1:032x}"
    async with the_desk(tmp_path) as (here, story), browsing(here, everything) as reader:
        letter = story.facts[case][0].event.id
        pages = (
            "lists/cases",
            "work",
            "board",
            f"cases/{case}",
            f"cases/{case}/letters/{letter}",
            "readings",
            "groups",
        )
        answers = [await reader.get(f"/app/{each}") for each in pages]
        opened = await reader.post(f"/app/cases/{case}/letters", data={"purpose": "case_work"})

    assert [each.status_code for each in (*answers, opened)] == [404] * (len(pages) + 1)


async def test_p2_no_program_at_the_statistics_finds_a_case(tmp_path: Path) -> None:
    """Given a token with every scope, then no route lists, shows or streams a case: the door is closed as the pages are."""
    case, ends = f"{1:032x}", times.write(wall_now() + timedelta(days=30))
    async with the_desk(tmp_path) as (here, story):
        letter = story.facts[case][0].event.id
        asked = {"name": "counting", "scopes": sorted(SCOPES), "ends": ends}
        token = (await here.door.post("/v1/tokens", json=asked)).json()["token"]
        program = {"authorization": f"Bearer {token}"}
        paths = (
            "cases", f"cases/{case}", f"cases/{case}/timeline", f"cases/{case}/reads", "inbox", "inbox/stream", "cursors", "documents",
            f"documents/{letter}", "referrals", "steps", "beds", "payments", "tasks", "webhooks", "receipts", "reads",
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):  # an open stream never ends
            answers = {each: await here.door.get(f"/v1/{each}", headers=program) for each in paths}
        opened = await here.door.post(f"/v1/cases/{case}/reads", headers=program, json={"purpose": "case_work"})
        bulletins = await here.door.get("/v1/bulletins", headers=program)

    found = {each: answer.status_code for each, answer in {**answers, "opened": opened}.items()}
    assert found == dict.fromkeys((*paths, "opened"), 404)
    assert not any(f"{number:032x}" in each.text for each in answers.values() for number in range(1, 13))
    assert bulletins.status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_pages_speak_the_reader_s_language(tmp_path: Path, language: Language) -> None:
    """The periods and the draft, in Azerbaijani, English and Russian."""
    async with the_desk(tmp_path) as (here, _), browsing(here, member(*FIRST, language=language)) as one:
        pages = [await one.get("/app/releases"), await one.get(f"/app/acts/{await made(one)}/check")]
        another: Language = "en" if language == "ru" else "ru"
        form = {"year": "2019", "go": "language"}
        kept = await one.post(f"/app/releases?lang={another}", data=form)

    assert [each.status_code for each in pages] == [200, 200]
    assert all(f'<html lang="{language}"' in each.text for each in pages)
    assert kept_in(kept)["year"] == ["2019"], "a year that was typed is not lost by another language"
    assert "2019-Q1" not in kept.text
