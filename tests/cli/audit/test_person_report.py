"""Report to a person: the ground for each agency, and what became of a withdrawal, on the day on which the report is made."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from auditor.played import Written, first_audited, first_scenario
from generations import before_type
from nrmbus.auditor.reports.holders import Holder, HoldersReport, held
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit import person_report
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire import ids


class Continued:
    """The first story, cut before the answer to the withdrawal from the legal NGO, or whole, and continued."""

    def __init__(self, *, before: str = "") -> None:
        """Take the story until the first event of the type *before*, or to its end."""
        found, entries = first_scenario(), first_audited().history.entries
        (self.subject,) = first_audited().history.spoken_of()
        cut = next((n for n, each in enumerate(entries) if each.event and each.event.type == before), None)
        last = entries[:cut][-1].registration
        self.found: Written = replace(found, records=found.records[:cut], view={}, previous=last.digest)
        self.found.view[self.subject] = self.found.audited().latest(self.subject)
        self.now = last.time
        self.steps = [(each.registration.time, each.event.type) for each in entries[:cut] if each.event]

    def say(self, by: str, kind: str, data: Any = None, cause: str | None = None, **said: Any) -> None:
        """Have the agency *by* publish an event now."""
        event = Event(
            id=ids.new_event_id(), source=by, type=kind, version=1, subject=self.subject, time=self.now, recordedtime=self.now,
            sequence=900 + len(self.found.records), actor="S-17", policy="az@2022-04-29", causationid=cause,
            data=data or data_type(kind, 1).from_mapping(said),
        )  # fmt: skip
        self.found.register(event, self.now)

    def holder(self, agency: str, made: datetime) -> Holder:
        """Return what the report of *made* knows of *agency*."""
        report = held(self.found.audited(), self.subject, made)
        return next(each for each in report.holders if each.agency == agency)

    def lines(self, agency: str, made: datetime, language: Language) -> list[str]:
        """Return the sentences of the report of *made* about *agency*."""
        seen = self.found.audited()
        words = Words(language, seen.rules.profile.zone)
        report = person_report.written(held(seen, self.subject, made), words, teller="vac", number=7, made=made)
        section = next(each for each in report.sections if each.heading.endswith(f"({agency})"))
        return [line for line, _ in section.lines]


@pytest.mark.parametrize("language", LANGUAGES)
def test_consent_whose_last_day_is_over_is_no_ground_any_more(language: Language) -> None:
    """The report and the person's own copy of a referral name the same ground.

    Given: a consent for the fund, until a day.
    When: the report is made on that day, and on the day after.
    Then: the first names the consent and its day; the second says that the consent has ended since, as the copy does.
    """
    case = Continued()
    last = case.now.astimezone(case.found.rules.profile.zone) + timedelta(days=5)
    case.say(
        "vac", "consent.given", receivers=["fund"], purposes=["information_sharing"], given_by="individual", form="written",
        expires=last.date().isoformat(),
    )  # fmt: skip
    end = last.replace(hour=23, minute=59)
    ended = person_report.sentences()["ground.consent_over"][language]
    copy = Words(language, case.found.rules.profile.zone)("Ground: a consent of yours that has ended since.")

    assert (case.holder("fund", end).ground, case.holder("fund", end).since) == ("consent", case.now)
    assert ended not in case.lines("fund", end, language)
    assert ended in case.lines("fund", end + timedelta(minutes=2), language)
    assert ended == copy


@pytest.mark.parametrize("language", LANGUAGES)
def test_answer_that_was_lifted_is_reported_as_missing(language: Language) -> None:
    """The breach stays on record, and the answer counts as missing.

    Given: a withdrawal that the legal NGO never answered, so that the answer is overdue.
    When: two members of staff record that nobody there can answer any more.
    Then: the report still says when the person took the consent back, and that there is no answer and will be none.
    """
    case = Continued(before="consent.stop_confirmed")
    withdrawn = next(at for at, kind in case.steps if kind == "consent.withdrawn")
    due = next(due for due in case.found.rules.due(case.found.view[case.subject]) if due.type == "deadline.breached")
    case.now = due.at
    case.say("timekeeper", due.type, due.data, due.cause)
    case.now += timedelta(days=3)
    before = case.holder("ngo-l", case.now).stopped
    case.say("vac", "deadline.lifted", rule="D-STOP", agency="ngo-l", ground="no_contact")
    after = case.holder("ngo-l", case.now).stopped
    words = Words(language, case.found.rules.profile.zone)
    said = {key: each[language] for key, each in person_report.sentences().items()}
    lines = case.lines("ngo-l", case.now, language)

    assert before is not None
    assert before.breached
    assert after is not None
    assert (after.at, after.state, after.lifted) == (withdrawn, "missing", case.now)
    assert said["stopped"].format(day=words.day(withdrawn)) in lines
    assert said["stop.lifted"].format(day=words.day(case.now)) in lines


def test_agency_that_knew_nothing_of_the_case_owes_no_answer() -> None:
    """Given a consent that was withdrawn before anything reached its agency, when it is told later, then no answer is missing."""
    case = Continued()
    about: dict[str, Any] = {"receivers": ["latecomer"], "purposes": ["information_sharing"]}
    case.say("vac", "consent.given", **about, given_by="individual", form="written")
    case.say("vac", "consent.withdrawn", **about)
    case.say("vac", "consent.given", **about, given_by="individual", form="written")
    said: dict[str, Any] = {"mode": "referral", "reason": "Other", "urgency": "normal", "services": []}
    case.say("vac", "referral.submitted", to=["latecomer"], **said)

    assert case.holder("latecomer", case.now).stopped is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_p2_an_agency_that_was_told_in_a_form_of_a_later_release_is_in_the_report(language: Language) -> None:
    """Given referrals that this machine cannot read, then the report names everybody who was told of them, and that more may be missing.

    Given: a story in which agencies know of the case by referrals.
    When: the report is made on a machine whose release does not know that type yet.
    Then: it has the same agencies, none of which is said to have no letter or no reading, and begins with how many steps it cannot read.
    """
    case = Continued()
    whole = held(case.found.audited(), case.subject, case.now)
    referred = [each for _, each in case.steps].count("referral.submitted")
    with before_type("referral.submitted"):
        seen = case.found.audited()
        known = held(seen, case.subject, case.now)
    words = Words(language, seen.rules.profile.zone)
    text = person_report.written(known, words, teller="auditor", number=7, made=case.now).text()
    said = {key: each[language] for key, each in person_report.sentences().items()}

    assert {each.agency: each.received.keys() for each in known.holders} == {
        each.agency: each.received.keys() for each in whole.holders
    }
    assert (whole.unread, known.unread) == (0, referred)
    assert said["unread"].format(count=referred) in text
    told = [each for each in known.holders if "referral.submitted" in each.received]
    assert told
    for each in told:
        lines = case_lines(known, each, words)
        assert not {said["held.nothing"], said["read.nothing"]} & {*lines}


def case_lines(report: HoldersReport, holder: Holder, words: Words) -> list[str]:
    """Return the sentences of *report* about *holder* alone."""
    made = datetime.fromisoformat("2026-03-02T05:00:00Z")
    alone = person_report.written(replace(report, holders=(holder,)), words, teller="vac", number=7, made=made)
    return [line for line, _ in alone.sections[0].lines]


def test_p2_a_reading_in_a_form_of_a_later_release_is_not_said_not_to_be() -> None:
    """Given a reading that this machine cannot read, then the report does not say that nobody at that agency read a letter."""
    case = Continued()
    case.say("vac", "access.granted", what="case", purpose="case_work")
    with before_type("access.granted"):
        known = held(case.found.audited(), case.subject, case.now)
    (centre,) = [each for each in known.holders if each.agency == "vac"]
    words = Words("en", case.found.audited().rules.profile.zone)

    assert known.unread == 1
    assert person_report.sentences()["read.nothing"]["en"] not in case_lines(known, centre, words)


@pytest.mark.parametrize(
    ("terminal", "language", "is_page", "is_refused"),
    [
        ("cp1251", "az", False, True),
        ("cp1254", "ru", False, True),
        ("cp1251", "ru", False, False),
        ("cp1251", "az", True, False),
        ("utf-8", "az", False, False),
    ],
)
def test_report_that_the_terminal_cannot_show_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, terminal: str, language: str, is_page: bool, is_refused: bool
) -> None:
    """A disclosure is recorded only if the person can read the report.

    Given: a terminal whose encoding lacks letters of the person's language.
    When: the report is asked for.
    Then: the command names --html before it reads anything; a page, or a language that the terminal has, goes on.
    """
    read = list[object]()

    def verified(folder: object) -> None:
        read.append(folder)
        raise BusError("The test goes no further.")

    monkeypatch.setattr(person_report, "verified", verified)
    words = ["--case", "5f0c1a2b", "--language", language, "--data", str(tmp_path)]
    words += ["--html", str(tmp_path / "report.html")] if is_page else []
    done = CliRunner(charset=terminal).invoke(person_report.app, words)

    assert isinstance(done.exception, BusError)
    assert ("--html FILE" in str(done.exception)) is is_refused
    assert bool(read) is not is_refused
