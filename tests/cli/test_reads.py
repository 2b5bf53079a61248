"""``nrmbus reads`` and ``nrmbus person-report``: who read what, and what a person is told of it, on record first."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from auditor.played import Written, first_scenario
from cli.told import Commands
from nrmbus.auditor.held import held, readings
from nrmbus.auditor.history import Entry
from nrmbus.auditor.pages.words import LANGUAGES
from nrmbus.auditor.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder, write_json
from nrmbus.cli import person_report, reads
from nrmbus.events import data_type
from nrmbus.events.model import Event
from nrmbus.wire import ids

READER = "S-17"


def story() -> Written:
    """The first story once more, to be gone on with."""
    found = first_scenario()
    return replace(found, records=[*found.records], view={**found.view})


def read_by(found: Written, agency: str, about: Event, **said: Any) -> str:
    """Have it on record that somebody at *agency* reads the letter of *about*; the event's id."""
    last = found.audited().history.entries[-1].registration.time
    data = {"what": "letter", "purpose": "case_work", "parts": ["story"], "event": about.id} | said
    event = Event(
        id=ids.new_event_id(), source=agency, type="access.granted", version=1, subject=about.subject, time=last,
        recordedtime=last, sequence=900 + len(found.records), actor=READER, policy="az@2022-04-29",
        data=data_type("access.granted", 1).from_mapping(data),
    )  # fmt: skip
    found.register(event, last)
    return event.id


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """A terminal; somebody at the assistance centre has read a referral that it was sent."""
    typed = Commands(tmp_path, monkeypatch)
    found = story()
    read_by(found, "special-unit", letter_to(found, "special-unit"))
    typed.seen = found.audited()
    return typed


def letter_to(found: Written, agency: str) -> Event:
    """The referral that *agency* was sent."""
    for entry in found.audited().history.entries:
        if entry.event and entry.event.type == "referral.submitted" and agency in entry.audience.recipients:
            return entry.event
    raise AssertionError(agency)


def rows(agency: str, event: str, *, who: str = READER, parts: tuple[str, ...] = ("story",)) -> list[dict[str, Any]]:
    """What the desk of an agency has in its own table of one opening."""
    at = {"at": "2026-03-02T09:00:00Z", "who": who, "source": agency, "event": event, "purpose": "case_work"}
    return [{**at, "part": part} for part in parts]


def desks(monkeypatch: pytest.MonkeyPatch, tables: dict[str, list[dict[str, Any]]]) -> None:
    """These desks are here, with these tables."""

    async def here(*_: Any) -> dict[str, list[dict[str, Any]]]:
        return tables

    monkeypatch.setattr(reads, "tables_of", here)


class TestReads:
    def test_p4_who_read_what_and_what_for(self, commands: Commands) -> None:
        """From the history alone, where no desk is here."""
        shown = json.loads(commands.shown("reads", "--case", commands.case, "--json"))

        (row,) = shown["registered"]
        assert (row["agency"], row["actor"], row["what"], row["purpose"]) == (
            "special-unit", READER, "letter", "case_work",
        )  # fmt: skip
        assert (row["parts"], shown["desks"], shown["differences"]) == (["story"], {}, [])
        assert READER in commands.shown("reads", "--case", commands.case[:8])

    def test_of_one_agency(self, commands: Commands) -> None:
        """Somebody else's readings are left out."""
        shown = json.loads(commands.shown("reads", "--case", commands.case, "--agency", "fund", "--json"))

        assert shown["registered"] == []

    def test_a_desk_that_opened_what_was_registered_differs_in_nothing(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A row for each part is one opening; what the desk opens by itself needs no registration."""
        event = letter_to(story(), "special-unit").id
        mine = rows("ngo-a", event, parts=("identity", "story"))
        desks(monkeypatch, {"special-unit": [*mine, *rows("ngo-a", event, who="desk")]})

        assert "no more and no less" in commands.shown("reads", "--case", commands.case)

    def test_p4_what_was_opened_off_the_record_is_found(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sabotage: a second opening of the same letter that nobody registered; the command fails."""
        event = letter_to(story(), "special-unit").id
        desks(monkeypatch, {"special-unit": [*rows("ngo-a", event), *rows("ngo-a", event)]})
        result = commands.type("reads", "--case", commands.case)

        assert result.exit_code == 1
        assert "OFF THE RECORD" in result.stdout

    def test_what_was_registered_and_not_opened_is_said(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The desk fell before it opened: no harm, and no secret."""
        desks(monkeypatch, {"special-unit": []})

        assert "Registered and then not opened, 1 times" in commands.shown("reads", "--case", commands.case)


class Tags(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what comes from elsewhere."""
        found = dict(attrs)
        self.loads += [str(found[name]) for name in ("src", "href", "action") if name in found]
        if tag == "html":
            self.language = found.get("lang") or ""


class TestPersonReport:
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
        """The desk puts it on record; who asked it to."""
        asked: list[tuple[str, str]] = []

        async def on_record(_: object, agency: str, subject: str, actor: str) -> int:
            asked.append((agency, actor))
            return 4711

        monkeypatch.setattr(person_report, "_on_record", on_record)
        return asked

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_says_who_holds_what_and_names_no_member_of_staff(
        self, language: str, commands: Commands, tmp_path: Path
    ) -> None:
        """In the language that the person asks for, as text and as a page that loads nothing."""
        how = ("person-report", "--case", commands.case, "--language", language)
        text = commands.shown(*how)
        commands.shown(*how, "--html", tmp_path / "report.html")
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        tags = Tags()
        tags.feed(page)

        said = person_report.sentences()
        assert text.startswith(said["title"][language])
        assert said["stop.deleted"][language] in text
        assert "4711" in text
        assert said["read"][language] in text
        assert all(
            agency in text for agency in ("fund", "migration", "ngo-a", "ngo-l", "shelter", "special-unit", "vac")
        )
        actors = {entry.event.actor for entry in commands.seen.history.entries if entry.event}
        assert not [actor for actor in actors if actor in text or actor in page]
        assert (tags.loads, tags.language) == ([], language)
        assert said["title"][language] in page

    def test_p4_what_cannot_be_put_on_record_is_not_told(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """No registration, no report: neither on the terminal nor in a file."""

        async def refused(*_: object) -> int:
            raise BusError("read_not_registered: …")

        monkeypatch.setattr(person_report, "_on_record", refused)
        how = ("person-report", "--case", commands.case, "--language", "az", "--html", tmp_path / "report.html")

        assert "read_not_registered" in commands.refused(*how)
        assert not (tmp_path / "report.html").exists()
        assert commands.type(*how[:-2]).stdout == ""

    def test_a_missing_answer_is_said_with_its_last_day(self, commands: Commands) -> None:
        """Taken back on Monday 18 May: three working days end on Thursday the 21st, at 24:00."""
        found = story()
        cut = next(n for n, each in enumerate(found.audited().history.entries) if _is(each, "consent.stop_confirmed"))
        found.records[cut:] = []
        commands.seen = found.audited()
        text = commands.shown("person-report", "--case", commands.case, "--language", "en")

        assert "It has not answered yet; its answer is due by 21 May 2026." in text

    def test_by_whom_it_is_handed_over(self, commands: Commands, registered: list[tuple[str, str]]) -> None:
        """Who holds the case, unless another is named."""
        how = ("person-report", "--case", commands.case, "--language", "en")
        commands.shown(*how, "--actor", "S-9")
        commands.shown(*how, "--agency", "ngo-a")

        assert registered == [("vac", "S-9"), ("ngo-a", "")]  # that agency is not here, as its door says

    def test_p4_who_names_nobody_is_the_account_of_this_machine(
        self, commands: Commands, registered: list[tuple[str, str]]
    ) -> None:
        """By a number that a file of the agency alone explains, the same each time."""
        folder = BusFolder(commands.home)
        write_json(folder.agency("vac").agency_json, {"agency": "vac", "role": "vac"})
        for _ in range(2):
            commands.shown("person-report", "--case", commands.case, "--language", "en")

        ((_, number),) = Users(folder.agency("vac").path).accounts()
        assert registered == [("vac", number)] * 2
        assert number.isdecimal()

    def test_every_sentence_is_there_in_three_languages(self) -> None:
        """None is empty, and each language has the same places for what is put in."""
        for key, sentence in person_report.sentences().items():
            assert set(sentence) == set(LANGUAGES), key
            places = {language: sorted(_places(text)) for language, text in sentence.items()}
            assert len({tuple(each) for each in places.values()}) == 1, key
            assert all(text.strip() for text in sentence.values()), key


def _is(entry: Entry, kind: str) -> bool:
    return entry.event is not None and entry.event.type == kind


def _places(text: str) -> list[str]:
    from string import Formatter  # noqa: PLC0415 - one helper's need

    return [name for _, name, _, _ in Formatter().parse(text) if name]


def test_what_is_held_follows_from_whom_the_letters_were_sealed_to() -> None:
    """The fund holds no story, migration no contact; each goes by what the person said last of it."""
    found = story()
    (subject,) = found.audited().history.spoken_of()
    by = {each.agency: each for each in held(found.audited(), subject).holders}

    assert by["fund"].parts == {"coded", "contact", "identity", "money"}
    assert "contact" not in by["migration"].parts
    assert (by["fund"].ground, by["ngo-l"].ground, by["ngo-a"].ground) == ("consent", "consent", "law")
    assert by["ngo-l"].stopped is not None
    assert by["ngo-l"].stopped.state == "deleted"
    assert by["vac"].stopped is None
    assert "timekeeper" not in by


def test_a_reading_stands_with_its_agency_and_adds_nothing_to_what_it_was_told() -> None:
    """It is told apart from the steps of the case."""
    found = story()
    (subject,) = found.audited().history.spoken_of()
    before = {each.agency: dict(each.told) for each in held(found.audited(), subject).holders}
    read_by(found, "vac", letter_to(found, "ngo-l"))
    after = {each.agency: each for each in held(found.audited(), subject).holders}

    assert [each.actor for each in after["vac"].readings] == [READER]
    assert {agency: each.told for agency, each in after.items()} == before
    assert len(readings(found.audited().history.about(subject))) == 1
