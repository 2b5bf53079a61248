"""``nrmbus reads`` and ``nrmbus person-report``: the readers of a case and the report to its person, recorded first."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from agencies import CASE, NOW, SIGNAL
from auditor.played import Written, first_audited, first_scenario
from cli.audit.typed_commands import Commands
from client.given import served
from desk.given import TOKEN, desk_of
from generations import before_type
from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.reports.holders import AccessRecord, Holder, access_records, held
from nrmbus.auditor.web.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli import local_door
from nrmbus.cli.audit import person_report, reads
from nrmbus.desk.store import tables
from nrmbus.directory.entry import Contact
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire import ids

READER = "S-17"
MADE = NOW + timedelta(days=275)
"""Time of a report: after the whole story."""


def story() -> Written:
    """Return a copy of the first story, to be continued."""
    found = first_scenario()
    return replace(found, records=[*found.records], view={**found.view})


def say(found: Written, agency: str, kind: str, **said: Any) -> str:
    """Have *agency* publish an event at the end of the story; return the event's id."""
    (subject,) = first_audited().history.spoken_of()
    last = first_audited().history.entries[-1].registration.time
    event = Event(
        id=ids.new_event_id(), source=agency, type=kind, version=1, subject=subject, time=last,
        recordedtime=last, sequence=900 + len(found.records), actor=READER, policy="az@2022-04-29",
        data=data_type(kind, 1).from_mapping(said),
    )  # fmt: skip
    found.register(event, last)
    return event.id


def read_by(found: Written, agency: str, about: Event, **said: Any) -> str:
    """Register that somebody at *agency* reads the letter of *about*; return the event's id."""
    whole = {"what": "letter", "purpose": "case_work", "parts": ["story"], "event": about.id} | said
    return say(found, agency, "access.granted", **{name: each for name, each in whole.items() if each is not None})


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return a terminal; somebody at the assistance centre has read a received referral."""
    typed = Commands(tmp_path, monkeypatch)
    found = story()
    read_by(found, "special-unit", letter_to("special-unit"))
    typed.seen = found.audited()
    return typed


def letter_to(agency: str) -> Event:
    """Return the story's referral sent to *agency*."""
    for entry in first_audited().history.entries:
        if entry.event and entry.event.type == "referral.submitted" and agency in entry.audience.recipients:
            return entry.event
    raise AssertionError(agency)


def rows(agency: str, event: str, *, who: str = READER, parts: tuple[str, ...] = ("story",)) -> list[dict[str, Any]]:
    """Return the rows of one opening in a desk's own table."""
    at = {"at": "2026-03-02T09:00:00Z", "who": who, "source": agency, "event": event, "purpose": "case_work"}
    return [{**at, "part": part} for part in parts]


def desks(monkeypatch: pytest.MonkeyPatch, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Pretend that these desks are here, with these tables."""
    monkeypatch.setattr(reads, "tables_of", lambda *_: tables)


class TestReads:
    def test_p4_who_read_what_and_what_for(self, commands: Commands) -> None:
        """Without a desk on the machine, the history alone shows readers and purposes."""
        shown = json.loads(commands.shown("reads", "--case", commands.case, "--json"))

        (row,) = shown["registered"]
        assert (row["agency"], row["actor"], row["what"], row["purpose"]) == (
            "special-unit", READER, "letter", "case_work",
        )  # fmt: skip
        assert (row["parts"], shown["desks"], shown["differences"]) == (["story"], {}, [])
        assert READER in commands.shown("reads", "--case", commands.case[:8])

    def test_p4_a_reading_in_a_form_of_a_later_release_is_counted(self, commands: Commands) -> None:
        """Given an auditor that is not upgraded yet, when a reading is of a type that it lacks, then the list says that one is missing."""
        found = story()
        read_by(found, "special-unit", letter_to("special-unit"))
        with before_type("access.granted"):
            commands.seen = found.audited()
            shown = json.loads(commands.shown("reads", "--case", commands.case, "--json"))
            of_another = json.loads(commands.shown("reads", "--case", commands.case, "--agency", "fund", "--json"))
            text = commands.shown("reads", "--case", commands.case)

        assert (shown["registered"], shown["unread"], of_another["unread"]) == ([], 1, 0)
        assert "1 event of this case cannot be read by the auditor's release" in text

    def test_of_one_agency(self, commands: Commands) -> None:
        """Other agencies' readings are left out."""
        shown = json.loads(commands.shown("reads", "--case", commands.case, "--agency", "fund", "--json"))

        assert shown["registered"] == []

    def test_a_desk_that_opened_what_was_registered_differs_in_nothing(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each part that was registered has a row; automatic openings of the desk need no registration."""
        event, found = letter_to("special-unit").id, story()
        read_by(found, "special-unit", letter_to("special-unit"), parts=["identity", "story"])
        commands.seen = found.audited()
        mine = rows("ngo-a", event, parts=("identity", "story"))
        desks(monkeypatch, {"special-unit": [*mine, *rows("ngo-a", event, who="desk")]})

        assert "exactly what was registered" in commands.shown("reads", "--case", commands.case)

    def test_p4_what_was_opened_off_the_record_is_found(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sabotage: a second opening of the same letter that nobody registered; the command fails."""
        event = letter_to("special-unit").id
        desks(monkeypatch, {"special-unit": [*rows("ngo-a", event), *rows("ngo-a", event)]})
        result = commands.type("reads", "--case", commands.case)

        assert result.exit_code == 1
        assert "OFF THE RECORD" in result.stdout

    def test_p4_a_part_that_was_opened_off_the_record_is_found(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sabotage: the story is registered, and identity and contact are opened; each part is named at what it lacks."""
        event = letter_to("special-unit").id
        desks(monkeypatch, {"special-unit": rows("ngo-a", event, parts=("contact", "identity"))})
        result = commands.type("reads", "--case", commands.case)

        assert result.exit_code == 1
        assert (
            f"Registered and then not opened, 1 times: special-unit, {READER}, event {event} (story)" in result.stdout
        )
        assert f"never registered, 1 times: special-unit, {READER}, event {event} (contact, identity)" in result.stdout

    def test_p4_a_letter_that_was_opened_after_the_answer_is_not_off_the_record(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given a reading that is registered after the answer and before the desk's table comes, then its reader is not accused."""
        found = story()
        read_by(found, "special-unit", letter_to("special-unit"))
        commands.seen = found.audited()

        def opened_meanwhile(*_: object) -> dict[str, list[dict[str, Any]]]:
            read_by(found, "special-unit", letter_to("special-unit"))
            commands.seen = found.audited()
            return {"special-unit": rows("ngo-a", letter_to("special-unit").id) * 2}

        monkeypatch.setattr(reads, "tables_of", opened_meanwhile)
        shown = commands.shown("reads", "--case", commands.case)

        assert "exactly what was registered" in shown
        assert [each["what"] for each in commands.asked] == ["case", "case"]

    def test_a_registered_reading_without_an_opening_is_reported(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The desk failed before it opened the letter: this does no harm, and is not hidden."""
        desks(monkeypatch, {"special-unit": []})

        assert "Registered and then not opened, 1 times" in commands.shown("reads", "--case", commands.case)

    def test_a_desk_that_lost_its_ledger_is_not_reported_to_have_opened_nothing(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lost ledger held the table of readings, so nobody knows whether the letter was opened."""
        desks(monkeypatch, {"special-unit": []})

        health = {"ready": True, "ledger_lost": {"noticed": "2026-03-03T00:00:00Z"}}
        monkeypatch.setattr(local_door, "asked", lambda *_: (200, json.dumps(health).encode()))
        shown = commands.shown("reads", "--case", commands.case)

        assert "lost its ledger (2026-03-03T00:00:00Z)" in shown
        assert "not opened" not in shown


async def test_the_table_of_a_desk_is_read_to_its_last_page(tmp_path: Path) -> None:
    """Given more openings than the largest page has, then each is compared with the history, once and in order.

    A desk that is not here is left out.
    """
    folder, opened = BusFolder(tmp_path / "bus"), rows("ngo-a", ids.new_event_id())
    async with desk_of("vac", tmp_path) as here, served(here.door._transport.app) as url:  # type: ignore[attr-defined]
        signal = here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL)
        await here.hear(here.registrar.register(signal, to="vac"))
        async with here.desk.seat.ledger.write() as tx:
            tx.execute(insert(tables.reads), [each | {"subject": CASE} for each in opened * 2001])
        for agency, at in (("vac", url), ("fund", "http://127.0.0.1:1")):
            named = folder.agency(agency)
            named.path.mkdir(parents=True)
            named.agency_json.write_text("{}", encoding="utf-8")
            (named.path / "door.json").write_text(json.dumps({"url": at, "token": TOKEN}), encoding="utf-8")
        found = await asyncio.to_thread(reads.tables_of, folder, CASE, None)
        kept = [each.id for each in await here.rows("reads")]

    assert list(found) == ["vac"]
    assert [each["row"] for each in found["vac"]] == kept
    assert len(kept) >= 2001


HERE = ("ngo-a", "vac")


def reported(agency: str) -> Audited:
    """Return the story, after the desk of *agency* has recorded a report for the person."""
    found = story()
    read_by(found, "special-unit", letter_to("special-unit"))
    about = letter_to("special-unit")
    read_by(found, agency, about, what="person_report", purpose="person_request", parts=None, event=None)
    return found.audited()


class Tags(HTMLParser):
    """The addresses that a page loads, and its language."""

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
    def registered(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
        """Pretend that two desks here record readings; return the agency and reader of each request."""
        asked: list[tuple[str, str]] = []

        class Desk:
            def __init__(self, agency: str) -> None:
                self.agency = agency

            async def read_case(self, case: str, *, what: str, actor: str, purpose: str) -> dict[str, Any]:
                assert (case, what, purpose) == (commands.case, "person_report", "person_request")
                asked.append((self.agency, actor))
                commands.seen = reported(self.agency)
                return {"verdict": "registered", "number": 4711, "written": commands.written}

        @asynccontextmanager
        async def door_of(_: BusFolder, agency: str) -> AsyncIterator[Desk]:
            if agency not in HERE:
                raise BusError("The bus has no such agency")
            yield Desk(agency)

        monkeypatch.setattr(person_report, "door_of", door_of)
        monkeypatch.setattr(BusFolder, "agencies", lambda _: HERE)
        return asked

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_report_names_holders_and_data_and_no_member_of_staff(
        self, language: str, commands: Commands, tmp_path: Path
    ) -> None:
        """The report is in the person's language, as text and as a page that loads nothing."""
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

    def test_p4_a_report_that_cannot_be_recorded_is_not_printed(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Without a registration there is no report, neither on the terminal nor in a file."""

        async def refused(*_: object) -> int:
            raise BusError("read_not_registered: …")

        monkeypatch.setattr(person_report, "_by_its_desk", refused)
        how = ("person-report", "--case", commands.case, "--language", "az", "--html", tmp_path / "report.html")

        assert "read_not_registered" in commands.refused(*how)
        assert not (tmp_path / "report.html").exists()
        assert commands.type(*how[:-2]).stdout == ""

    def test_a_missing_answer_is_reported_with_its_last_day(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For a withdrawal on Monday 18 May, three working days end on Thursday the 21st, at 24:00."""
        found = story()
        cut = next(n for n, each in enumerate(found.audited().history.entries) if _is(each, "consent.stop_confirmed"))
        found.records[cut:] = []
        commands.seen = found.audited()
        monkeypatch.setattr(BusFolder, "agencies", lambda _: ())
        text = commands.shown("person-report", "--case", commands.case, "--language", "en")

        assert "It has not answered yet; its answer is due by 21 May 2026." in text

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_a_confirmed_erasure_is_reported_as_such(
        self, language: str, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The report names each confirmed erasure with its times, and each agency that has not confirmed yet."""
        found = story()
        say(found, "timekeeper", "access.erasure_due", ground="decision")
        say(found, "vac", "access.erasure_confirmed", ground="decision", horizon="2027-01-05T00:00:00Z")
        commands.seen = found.audited()
        monkeypatch.setattr(BusFolder, "agencies", lambda _: ())
        text = commands.shown("person-report", "--case", commands.case, "--language", language)

        said = {key: each[language] for key, each in person_report.sentences().items()}
        sections = sections_of(text)
        assert said["erased"].split("{")[0] in sections["vac"]
        assert "2027" in sections["vac"]
        assert said["held.room"].split("{")[0] not in sections["vac"]
        assert said["erased.missing"].split("{")[0] in sections["fund"]
        assert said["held.room"].split("{")[0] in sections["fund"]

    def test_the_holder_hands_the_report_over(self, commands: Commands, registered: list[tuple[str, str]]) -> None:
        """The holder of the case hands the report over, unless another agency is named."""
        how = ("person-report", "--case", commands.case, "--language", "en")
        commands.shown(*how, "--actor", "S-9")
        commands.shown(*how, "--agency", "ngo-a")

        ((_, number),) = Users(BusFolder(commands.home).agency("ngo-a").path).accounts()
        assert registered == [("vac", "S-9"), ("ngo-a", number)]
        assert "no such agency" in commands.refused(*how, "--agency", "ngo-l")

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_p4_without_a_desk_of_the_holder_the_auditor_hands_it_over(
        self, language: str, commands: Commands, registered: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a bus of many machines only one has the history: its user is recorded first, by the auditor's number."""
        monkeypatch.setattr(BusFolder, "agencies", lambda _: ())
        how = ("person-report", "--case", commands.case, "--language", language)
        text = commands.shown(*how)

        said = {"purpose": "person_request", "what": "person_report", "case": commands.case}
        assert [{**each, "actor": "…"} for each in commands.asked] == [{"actor": "…", **said}]
        assert tuple(word for word in ("auditor", "4711") if word in text) == ("auditor", "4711")
        assert registered == []
        commands.away_later = "unanswered"
        assert "Nothing is shown." in commands.refused(*how)
        assert commands.type(*how).stdout == ""

    def test_the_report_has_the_written_parts_and_no_others(self, commands: Commands) -> None:
        """A desk knows the empty parts of its own letters; the report says that nobody here knows about other letters."""
        found = story()
        commands.written = [
            {
                "source": each.event.source,
                "event": each.event.id,
                "parts": {part: part in ("identity", "story") for part in each.event.data.letter.part_names()},
            }
            for each in found.audited().history.entries
            if each.event and each.event.data.letter and each.event.source == "ngo-a"
        ]
        text = commands.shown("person-report", "--case", commands.case, "--language", "en", "--agency", "ngo-a")
        sections = sections_of(text)

        assert "Written in sealed letters: your name, birth date, documents; what happened to you." in sections["ngo-a"]
        assert "income" not in sections["ngo-a"]
        assert "have room for" not in sections["ngo-a"]
        assert "have room for: age group" in sections["shelter"]

    def test_a_paper_begins_with_who_holds_letters_and_ends_with_who_audits(self, commands: Commands) -> None:
        """The person's own matters come first; agencies are described, and have their id."""
        (subject,) = commands.seen.history.spoken_of()
        known = held(commands.seen, subject, MADE)
        (read,) = access_records(commands.seen.history.about(subject))
        audits = Holder("auditor", "auditor", readings=[replace(read, what="case", purpose="audit", parts=())] * 3)
        report = person_report.written(
            replace(known, holders=(audits, *known.holders)), Words("en", commands.seen.rules.profile.zone),
            teller="auditor", number=7, made=read.at,
        )  # fmt: skip
        headings = [each.heading for each in report.sections]

        assert headings[-2:] == ["Auditor", "What you can do"]
        assert "Victim assistance centre (vac)" in headings
        assert headings.index("NGO, legal aid (ngo-l)") > headings.index("Victim assistance centre (vac)")
        assert [len(below) for _, below in report.sections[-2].lines] == [0, 0, 1]
        assert "3 times: the case; purpose: planned inspection" in report.text()

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_report_names_somebody_to_ask(self, language: Language, commands: Commands) -> None:
        """The report has name, address and number as in the directory, or else names others who can answer."""
        (subject,) = commands.seen.history.spoken_of()
        known = held(commands.seen, subject, MADE)
        found = Contact(name="Example Centre", address="1 Example Street", phone="+994 00 000 00 01")
        hidden = Contact(name="Example House", phone="+994 00 000 00 02")
        contacts = {"vac": found, "shelter": hidden}
        holders = tuple(replace(each, contact=contacts.get(each.agency)) for each in known.holders)
        words = Words(language, commands.seen.rules.profile.zone)
        made = commands.seen.history.entries[-1].registration.time
        report = person_report.written(replace(known, holders=holders), words, teller="vac", number=7, made=made)
        said = {each.heading: [line for line, _ in each.lines] for each in report.sections}
        centre, house, fund = (
            next(lines for heading, lines in said.items() if heading.endswith(f"{agency})"))
            for agency in ("vac", "shelter", "fund")
        )

        assert centre[:2] == [
            said_in(language, "contact.address", {"address": "1 Example Street"}),
            said_in(language, "contact.phone", {"phone": "+994 00 000 00 01"}),
        ]
        assert house[0] == said_in(language, "contact.phone", {"phone": "+994 00 000 00 02"})
        assert fund[0] == said_in(language, "contact.none", {})
        assert f"Example Centre ({words.agency_role('vac')}; vac)" in said
        assert f"Example Centre ({words.agency_role('vac')}; vac)" in report.intro[1]

    def test_readings_for_one_purpose_are_one_line(self, commands: Commands) -> None:
        """The line has the count, the first and last time, and the parts, each named once."""
        found = story()
        read_by(found, "vac", letter_to("special-unit"), parts=["story"])
        read_by(found, "vac", letter_to("special-unit"), parts=["identity", "story"])
        read_by(found, "vac", letter_to("special-unit"), purpose="supervision")
        commands.seen = found.audited()
        (subject,) = commands.seen.history.spoken_of()
        words = Words("en", commands.seen.rules.profile.zone)
        (vac,) = [each for each in held(commands.seen, subject, MADE).holders if each.agency == "vac"]
        apart = replace(vac.readings[0], at=vac.readings[0].at - timedelta(days=3))

        assert lines_of([apart, *vac.readings[1:]], words) == [
            f"{words.day(apart.at)} to {words.day(vac.readings[1].at)}, 2 times: what happened to you; your name, birth date, documents; purpose: work on the case",
            f"{words.moment(vac.readings[2].at, seconds=True)}: what happened to you; purpose: supervision of the work",
        ]
        assert lines_of(vac.readings[:2], words)[0].startswith(f"{words.day(vac.readings[0].at)}, 2 times: ")

    def test_the_report_lists_itself(self, commands: Commands) -> None:
        """The report is built after its own record, so the report is among the readings."""
        how = ("person-report", "--case", commands.case, "--language", "en")
        assert "a report for the person; purpose: request of the person" in commands.shown(*how)

    def test_the_page_is_for_its_owner_only(self, commands: Commands, tmp_path: Path) -> None:
        """The file names a person's helpers, so only its owner may read it, even if an older file was open to all."""
        page = tmp_path / "report.html"
        page.touch(0o644)
        commands.shown("person-report", "--case", commands.case, "--language", "en", "--html", page)
        assert page.stat().st_mode & 0o777 == 0o600

    def test_p4_who_names_nobody_is_the_account_of_this_machine(
        self, commands: Commands, registered: list[tuple[str, str]]
    ) -> None:
        """The account has a number that only a file of the agency explains, the same each time."""
        folder = BusFolder(commands.home)
        for _ in range(2):
            commands.shown("person-report", "--case", commands.case, "--language", "en")

        ((_, number),) = Users(folder.agency("vac").path).accounts()
        assert registered == [("vac", number)] * 2
        assert number.isdecimal()

    def test_every_sentence_is_there_in_three_languages(self) -> None:
        """No sentence is empty, and each language has the same placeholders."""
        for key, sentence in person_report.sentences().items():
            assert set(sentence) == set(LANGUAGES), key
            places = {language: sorted(_places(text)) for language, text in sentence.items()}
            assert len({tuple(each) for each in places.values()}) == 1, key
            assert all(text.strip() for text in sentence.values()), key


def lines_of(found: list[AccessRecord], words: Words) -> list[str]:
    """Return the lines of a report about these readings."""
    return list(person_report._readings(found, words, lambda key, **values: said_in(words.language, key, values)))


def said_in(language: str, key: str, values: dict[str, Any]) -> str:
    """Return a sentence of a report."""
    return person_report.sentences()[key][language].format(**values)


def sections_of(text: str) -> dict[str, str]:
    """Return each agency's section of a report, by the agency's id."""
    return {part.partition(")\n")[0].partition("(")[2]: part for part in text.split("\n\n")}


def _is(entry: Entry, kind: str) -> bool:
    return entry.event is not None and entry.event.type == kind


def _places(text: str) -> list[str]:
    from string import Formatter  # noqa: PLC0415 - one helper's need

    return [name for _, name, _, _ in Formatter().parse(text) if name]


def test_holdings_follow_from_the_readers_of_the_letters() -> None:
    """The fund holds no story, migration no contact; each holding follows the person's latest word."""
    found = story()
    (subject,) = found.audited().history.spoken_of()
    by = {each.agency: each for each in held(found.audited(), subject, MADE).holders}

    assert by["fund"].parts == {"coded", "contact", "identity", "money"}
    assert "contact" not in by["migration"].parts
    assert (by["fund"].ground, by["ngo-l"].ground, by["ngo-a"].ground) == ("consent", "consent", "law")
    assert by["ngo-l"].stopped is not None
    assert by["ngo-l"].stopped.state == "deleted"
    assert by["ngo-l"].parts == set()
    assert by["vac"].stopped is None
    assert "timekeeper" not in by


def test_a_reading_is_shown_with_its_agency_and_apart_from_its_events() -> None:
    """A reading is shown separately from the steps of the case."""
    found = story()
    (subject,) = found.audited().history.spoken_of()
    before = {each.agency: dict(each.received) for each in held(found.audited(), subject, MADE).holders}
    read_by(found, "vac", letter_to("ngo-l"))
    after = {each.agency: each for each in held(found.audited(), subject, MADE).holders}

    assert [each.actor for each in after["vac"].readings] == [READER]
    assert {agency: each.received for agency, each in after.items()} == before
    assert len(access_records(found.audited().history.about(subject))) == 1
