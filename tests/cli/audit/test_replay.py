"""``nrmbus replay``: any part of the history, as of any moment, as text, JSON, JSON Lines, or a page to print."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cli.audit.typed_commands import Commands
from nrmbus.auditor.history.selection import Selection, moment, numbers
from nrmbus.auditor.reports.replayed import case_mapping, replayed
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit import own_reading
from nrmbus.wire import times

BAKU = ZoneInfo("Asia/Baku")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return a terminal."""
    return Commands(tmp_path, monkeypatch)


def lines(commands: Commands, *arguments: str) -> list[dict[str, Any]]:
    """Return the rows that ``--jsonl`` prints."""
    return [json.loads(line) for line in commands.shown("replay", "--jsonl", *arguments).splitlines()]


class TestWhatIsShown:
    def test_everything_in_the_order_of_its_numbers(self, commands: Commands) -> None:
        """Refusals are included; each row names its case."""
        rows = lines(commands)

        assert [row["number"] for row in rows] == list(range(1, len(commands.seen.history.entries) + 1))
        assert {row["case"] for row in rows} == {commands.case}
        assert {row["verdict"] for row in rows} == {"registered", "refused"}

    def test_a_refusal_says_what_to_do(self, commands: Commands) -> None:
        """A refusal has the profile's sentence, as its sender was told; a registration has none."""
        refusals = commands.seen.rules.profile.refusals
        rows = lines(commands)

        assert {row["rule"] for row in rows if row["verdict"] == "refused"} <= set(refusals)
        for row in rows:
            assert row.get("sentence") == (refusals[row["rule"]].says if row["verdict"] == "refused" else None)

    @pytest.mark.parametrize("agency", ["migration", "embassy", "fund", "timekeeper"])
    def test_by_agency_published_refused_and_received_events_are_shown(self, commands: Commands, agency: str) -> None:
        """The rows are exactly the agency's own events, also refused ones, and the events delivered to the agency."""
        rows = lines(commands, "--agency", agency)

        assert rows == [each for each in lines(commands) if agency in (each["source"], *each.get("told", ()))]
        assert bool(rows) == (agency != "embassy")

    def test_by_type_or_by_the_beginning_of_one(self, commands: Commands) -> None:
        """A type may be written with or without ``nrm.``."""
        referrals = lines(commands, "--type", "nrm.referral.*")

        assert {row["type"] for row in lines(commands, "--type", "referral.submitted")} == {"referral.submitted"}
        assert referrals == [each for each in lines(commands) if each.get("type", "").startswith("referral.")]
        assert len({row["type"] for row in referrals}) > 2

    @pytest.mark.parametrize(
        ("text", "expected"), [("12", [12]), ("3..5", [3, 4, 5]), ("64..", [64, 65, 66]), ("9000", [])]
    )
    def test_by_number(self, commands: Commands, text: str, expected: list[int]) -> None:
        """The rows of one number, of a range, or of all numbers from one on."""
        assert [row["number"] for row in lines(commands, "--number", text)] == expected

    def test_by_time_ends_included(self, commands: Commands) -> None:
        """From and to the same second: registrations of that second."""
        at = lines(commands, "--number", "12")[0]["time"]

        assert {row["time"] for row in lines(commands, "--from", at, "--to", at)} == {at}

    def test_by_day_of_the_policys_zone(self, commands: Commands) -> None:
        """The third day of the story, in Baku, has the interview and its receipt."""
        rows = lines(commands, "--from", "2026-03-04", "--to", "2026-03-04")

        assert [row["type"] for row in rows] == ["identification.interview_held", "letter.opened"]

    def test_filters_together(self, commands: Commands) -> None:
        """Each filter excludes rows that the other filters keep."""
        rows = lines(
            commands, "--agency", "vac", "--type", "consent.*", "--from", "2026-05-01", "--case", commands.case[:8]
        )

        assert [row["type"] for row in rows] == ["consent.withdrawn", "consent.stop_confirmed"]

    def test_the_status_is_that_of_the_whole_case_under_any_filter(self, commands: Commands) -> None:
        """A filter of rows does not change the status of the case."""
        body = json.loads(commands.shown("replay", "--json", "--number", "1"))

        assert body["verified"] == len(commands.seen.history.entries)
        assert [case["status"] for case in body["cases"]] == ["CLOSED"]


class TestAsOf:
    def test_a_day_shows_what_was_known_at_its_end(self, commands: Commands) -> None:
        """The replay shows status, duties and registrations of Monday evening, and nothing of Tuesday."""
        (case,) = json.loads(commands.shown("replay", "--json", "--as-of", "2026-03-02"))["cases"]

        assert case["status"] == "UNDER_IDENTIFICATION"
        assert [(each["code"], each["overdue"]) for each in case["open_deadlines"]] == [
            ("D-RG", False), ("D-SHELTER", False),
        ]  # fmt: skip
        assert {row["time"][:10] for row in case["history"]} == {"2026-03-02"}

    def test_every_moment_of_the_story_is_the_fold_up_to_it(self, commands: Commands) -> None:
        """At each registration, the replay has as many rows as the case has, and the status of their fold."""
        seen, subject = commands.seen, commands.case
        for entry in seen.history.entries[::7]:
            at = entry.registration.time
            body = json.loads(commands.shown("replay", "--json", "--as-of", times.write(at)))
            known = seen.history.about(subject, at)
            assert [row["number"] for row in body["cases"][0]["history"]] == [
                each.registration.number for each in known
            ]
            assert body["cases"][0]["status"] == seen.view(subject, known).status

    @pytest.mark.parametrize(("hours", "overdue"), [(0, False), (24, False), (25, True)])
    def test_a_duty_is_overdue_before_its_breach(self, commands: Commands, hours: int, overdue: bool) -> None:  # noqa: FBT001 - a row of the table
        """A day and an hour after the signal the duty to refer is overdue, although its breach was not published."""
        at = commands.seen.history.entries[0].registration.time
        now = at + timedelta(hours=hours)
        (case,) = replayed(commands.seen, Selection(), subject=commands.case, as_of=at)
        assert case is not None
        (clock,) = case_mapping(case, commands.seen.rules, now)["open_deadlines"]

        assert (clock["code"], clock["overdue"], clock["breached"]) == ("D-REFER", overdue, False)

    def test_before_the_first_registration_nothing_was_known(self, commands: Commands) -> None:
        """For a case given by name, the command says so."""
        assert lines(commands, "--as-of", "2020-01-01") == []
        shown = commands.shown("replay", "--as-of", "2020-01-01", "--case", commands.case)
        assert "Nothing of this case was registered by then." in shown


class TestText:
    def test_a_case_its_rows_its_duties_and_what_was_verified(self, commands: Commands) -> None:
        """The text shows the case as a person reads it."""
        shown = " ".join(commands.shown("replay", "--as-of", "2026-03-02").split())

        assert f"case {commands.case} UNDER_IDENTIFICATION" in shown
        assert "refused consent_refused G-30" in shown
        assert "record a new consent" in shown
        assert "runs: D-RG of special-unit (to decide on reasonable grounds), due 2026-03-10 20:00 UTC" in shown
        assert f"Verified: {len(commands.seen.history.entries)} registrations, each signed" in shown

    def test_an_empty_result_is_reported(self, commands: Commands) -> None:
        """The command says that nothing was found, and that the history was verified."""
        shown = commands.shown("replay", "--number", "9000")

        assert "Nothing in the history fits these filters." in shown
        assert "Verified:" in shown

    def test_the_bar_is_for_a_terminal_only(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        """Standard error of a pipe has only the line about the record; a terminal also shows the bar."""
        result = commands.type("replay")
        (asked,) = commands.asked
        assert result.stderr == f"Recorded as number 4711: search, by {asked['actor']}, for audit.\n"

        monkeypatch.setenv("FORCE_COLOR", "1")
        with own_reading.progress() as told:
            assert told is not None
            told(1, 2)
        monkeypatch.delenv("FORCE_COLOR")
        with own_reading.progress() as told:
            assert sys.stderr.isatty() or told is None


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


class TestPage:
    @pytest.fixture
    def html(self, commands: Commands, tmp_path: Path) -> str:
        """Return the page of the whole story."""
        file = tmp_path / "timeline.html"
        assert commands.shown("replay", "--html", file).startswith(f"Wrote {file}. Verified: ")
        return file.read_text(encoding="utf-8")

    def test_it_loads_nothing(self, html: str) -> None:
        """The page has no script, no source and no outside address: it can be handed to a court on a stick."""
        tags = Page(html).tags

        assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "iframe", "link", "object", "embed"})
        assert all((attributes.get("href") or "#").startswith("#") for _, attributes in tags)
        assert not any("src" in attributes for _, attributes in tags)
        assert not re.search(r"url\(|@import|https?:", html)

    def test_it_has_every_registration(self, commands: Commands, html: str) -> None:
        """Registrations are listed by id, number and local time; refusals with rule, article and what to do."""
        text = Page(html).text
        for entry in commands.seen.history.entries:
            said = entry.registration
            assert said.id in text
            assert re.search(rf"No\. {said.number}\b", text)
            assert f"{said.time.astimezone(BAKU):%H:%M}" in text
            if said.rule:
                assert f"{said.rule}, {said.article}" in text
        assert "The person has refused this agency" in text

    def test_it_shows_when_the_shelter_received_the_consent(self, html: str) -> None:
        """The shelter was not told when consent was given, but just before its first event."""
        assert "Before it, shelter was told of this: No. 4" in Page(html).text

    def test_the_same_history_gives_the_same_page(self, commands: Commands, html: str, tmp_path: Path) -> None:
        """Two people who make the page can compare their copies."""
        commands.shown("replay", "--html", tmp_path / "again.html")

        assert (tmp_path / "again.html").read_text(encoding="utf-8") == html

    def test_as_of_a_day_it_names_the_day_and_shows_duties(self, commands: Commands, tmp_path: Path) -> None:
        """The heading names the day, and the page shows the duties of that day."""
        file = tmp_path / "then.html"
        commands.shown("replay", "--html", file, "--as-of", "2026-03-02")
        text = Page(file.read_text(encoding="utf-8")).text

        assert "As it was known on 2 March 2026, 23:59:59." in text
        assert "to decide on reasonable grounds D-RGspecial-unit11 March 2026, 00:00:00runs" in text


class TestWhatIsMistyped:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--as-of", "yesterday"), "--as-of wants a day"),
            (("--from", "2026-02-30"), "--from wants a day"),
            (("--to", "2026-03-02 09:00"), "--to wants a day"),
            (("--number", "5..3"), "--number wants"),
            (("--number", "-1"), "--number wants"),
            (("--agency", "ngo-z"), "The directory never had an agency with this name"),
            (("--case", "zz"), "--case takes a reference"),
            (("--json", "--jsonl"), "choose one"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_an_error_names_the_expected_form(self, commands: Commands, arguments: tuple[str, ...], words: str) -> None:
        """The sentence repeats nothing of the input."""
        assert words in commands.refused("replay", *arguments)

    @pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
    @pytest.mark.parametrize(
        ("first", "last"), [("2026-03-10", "2026-03-01"), ("2026-03-02T09:00:01Z", "2026-03-02T09:00:00Z")]
    )
    def test_a_period_that_ends_before_it_begins_is_no_question(
        self, commands: Commands, form: tuple[str, ...], first: str, last: str
    ) -> None:
        """Given `--from` after `--to`, then the command says so, and nothing is recorded: an empty answer would say that nothing happened."""
        assert "--from is after --to" in commands.refused("replay", "--from", first, "--to", last, *form)
        assert commands.asked == []

    def test_a_day_is_that_of_the_zone(self) -> None:
        """A day runs from its first second to its last, in Baku; the last representable day has no end."""
        assert moment("2026-03-02", BAKU, "--from", begin=True) == datetime(2026, 3, 1, 20, tzinfo=UTC)
        assert moment("2026-03-02", BAKU, "--to") == datetime(2026, 3, 2, 19, 59, 59, tzinfo=UTC)
        assert moment("2026-03-02T09:00:00Z", BAKU, "--to") == datetime(2026, 3, 2, 9, tzinfo=UTC)
        with pytest.raises(BusError):
            moment("9999-12-31", BAKU, "--to")

    def test_numbers(self) -> None:
        """Numbers are one number, a range, or an open range."""
        assert [numbers(text) for text in (None, "1", "1..1", "2..")] == [None, (1, 1), (1, 1), (2, None)]
