"""An event sealed again for a changed audience: every view shows the second sealing, and none counts a refusal."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from auditor.played import AUDIENCE_CHANGED, Written, first_scenario
from auditor.web.given import LATER, Hall
from cli.audit.typed_commands import Commands
from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import Counts, kind_of, successor
from nrmbus.auditor.reports.figures import by_agency
from nrmbus.bus.folder import BusFolder
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.web.languages import Language
from nrmbus.web.words import Words
from nrmbus.wire import ids
from rules.given import DEFAULTS

CASE = "ab" * 16
BAKU = ZoneInfo("Asia/Baku")
BEGAN = datetime.fromisoformat("2026-03-02T05:00:00Z")


def signal() -> Event:
    """Return a signal of the NGO with a letter."""
    type = "case.signal_recorded"
    return Event(
        id=ids.new_event_id(), source="ngo-a", type=type, version=1, subject=CASE, time=BEGAN, recordedtime=BEGAN,
        sequence=1, actor="S-1", policy="az@2022-04-29", sealeddigest="0" * 64,
        data=data_type(type, 1).from_mapping(DEFAULTS[type]),
    )  # fmt: skip


def history(*, came_again: bool = True) -> Audited:
    """Return a history of one signal whose audience had changed; with *came_again* its desk has sealed the event again."""
    first = first_scenario()
    written = Written(first.directory, first.identities, first.rules)
    if came_again:
        written.seal_again(signal(), BEGAN)
    else:
        written.register(signal(), BEGAN, AUDIENCE_CHANGED)
    return written.audited("last")


@pytest.fixture(name="commands")
def _commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands(tmp_path, monkeypatch)
    commands.seen = history()
    return commands


def words(shown: str) -> str:
    """Return *shown* on one line."""
    return " ".join(shown.split())


def test_it_is_no_refusal_and_leads_to_the_event_that_came_again() -> None:
    """The first registration is counted apart, and the second is found by the id that the desk gives it."""
    entries = history().history.about(CASE)
    assert [kind_of(each) for each in entries][:2] == ["sealed_again", "event"]
    assert Counts.of(entries) == Counts(registered=len(entries) - 1, refused=0, sealed_again=1)
    assert successor(entries[0], entries) is entries[1]
    assert [successor(each, entries) for each in entries[1:]] == [None] * (len(entries) - 1)


def test_until_its_desk_has_sealed_it_again_nothing_follows() -> None:
    """It stays apart from the refusals also where the desk gave up."""
    (entry,) = history(came_again=False).history.about(CASE)
    assert (kind_of(entry), successor(entry, [entry])) == ("sealed_again", None)


def test_an_agency_is_not_refused_by_it() -> None:
    """The figures of the agency count it under its own name."""
    (found,) = (each for each in by_agency(history()) if each.agency == "ngo-a")
    assert (found.refusals.total(), found.sealed_again, found.registered) == (0, 1, 1)


class TestCommandLine:
    def test_the_table_shows_the_second_sealing_and_its_number(self, commands: Commands) -> None:
        """The row has no word of a refusal."""
        shown = words(commands.shown("replay", "--number", "1"))
        assert "sealed again for a changed audience, as no. 2" in shown
        assert "refused audience_changed" not in shown
        assert "as it was refused" not in shown

    def test_a_program_gets_the_verdict_of_the_registrar_and_what_became_of_it(self, commands: Commands) -> None:
        """Every earlier key stays; two are added."""
        row: dict[str, Any] = json.loads(commands.shown("replay", "--jsonl", "--number", "1"))
        assert (row["verdict"], row["code"], row["rule"]) == ("refused", "audience_changed", "W9")
        assert row["sealed_again"] is True
        assert (row["followed_by"]["number"], row["followed_by"]["partition"]) == (2, 0)

    def test_the_html_page_shows_it_without_red(self, commands: Commands, tmp_path: Path) -> None:
        """The counts of the case have no refusal either."""
        commands.shown("replay", "--html", tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert '<li class="sealed_again">' in page
        assert '<li class="refused">' not in page
        assert "refused: 0; sealed again: 1" in page

    def test_why_shows_a_second_sealing_and_no_refusal(self, commands: Commands) -> None:
        """The sentence is the one about the second sealing."""
        shown = words(commands.shown("why", "1"))
        assert "event of ngo-a, sealed again for a changed audience" in shown
        assert "It came again: case.signal_recorded, number 2" in shown
        assert "refused" not in shown

    def test_trace_names_it_likewise(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        """Title and history have no word of a refusal."""
        monkeypatch.setattr(BusFolder, "bootstrap", "127.0.0.1:9")
        shown = words(commands.shown("trace", commands.seen.history.entries[0].registration.id))
        assert "event of ngo-a, sealed again as number 1" in shown
        assert "refused" not in shown

    def test_why_shows_a_second_sealing_to_a_program(self, commands: Commands) -> None:
        """The earlier keys stay; two are added."""
        body: dict[str, Any] = json.loads(commands.shown("why", "1", "--json"))
        assert (body["refusal"]["code"], body["sealed_again"], body["followed_by"]["number"]) == (
            "audience_changed", True, 2,
        )  # fmt: skip
        assert {each["code"] for each in body["not_told"]} <= {"source", "sealed_again"}


class TestPage:
    @pytest.fixture(name="hall")
    def _hall(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
        hall = Hall(tmp_path, monkeypatch)
        hall.written.seal_again(signal(), LATER)
        return hall

    @staticmethod
    def first(hall: Hall) -> Entry:
        """Return the registration that had to be sealed again."""
        return next(each for each in hall.audited().history.about(CASE) if kind_of(each) == "sealed_again")

    @pytest.mark.parametrize(
        ("language", "shown", "refused"),
        [
            ("en", "Sealed again for a changed audience", "form, signature or order"),
            ("az", "Dəyişmiş ünvanlananlar üçün yenidən möhürlənib", "forma, imza və ya sıra"),
            ("ru", "Запечатано заново: изменился круг адресатов", "формы, подписи или порядка"),
        ],
    )
    async def test_no_page_calls_it_a_refusal(self, hall: Hall, language: Language, shown: str, refused: str) -> None:
        """Case, event and search name it in the reader's language, and link to the event that came again."""
        said, again = self.first(hall).registration, hall.audited().history.about(CASE)[1].registration
        event = f"/events/{said.id}?partition=0&number={said.number}"
        async with hall.browser(language=language) as browser:
            for path in (f"/cases/{CASE}", event, f"/search?number={said.number}"):
                page = (await browser.get(path)).text
                assert shown in page, path
                assert refused not in page, path
                assert f"/events/{again.id}?partition=0&amp;number={again.number}" in page, path
                assert 'class="stop kind"' not in page, path
                assert f'<span class="stop">{Words(language, BAKU).code("verdict", "refused")}' not in page, path

    async def test_figures_and_search_count_it_alike(self, hall: Hall) -> None:
        """The agency's row links to a search that finds it; a search for refusals does not."""
        async with hall.browser() as browser:
            page = (await browser.get("/agencies")).text
            refused = (await browser.get(f"/search?q={CASE}&verdict=refused")).text
            again = (await browser.get(f"/search?q={CASE}&verdict=sealed_again")).text
        row = page.split("<b>ngo-a</b>")[1].partition("</tr>")[0]
        assert "audience_changed" not in row
        assert "verdict=sealed_again" in row
        assert "Registrations: 0" in refused
        assert "Registrations: 1" in again
