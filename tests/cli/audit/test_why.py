"""``nrmbus why``: all that the history knows about one event, for people and programs."""

import json
from pathlib import Path

import pytest

from auditor.played import of_type
from cli.audit.typed_commands import Commands
from nrmbus.cli.audit.why import _long


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return a terminal."""
    return Commands(tmp_path, monkeypatch)


def words(shown: str) -> str:
    """Return the words without wrapping and alignment."""
    return " ".join(shown.split())


def test_a_referral_is_explained_with_recipients_rules_and_outcome(commands: Commands) -> None:
    """The output has row, basis, consent and parts; other agencies by reason; receipt, answers and clock."""
    shown = words(commands.shown("why", "12"))

    assert "referral.submitted of ngo-a, registered" in shown
    assert "special-unit Told, as whom the sender chose. CoM 21/2008 art. 7 [S2]" in shown
    assert "by consent.given, number 3, 2026-03-02 05:40 UTC may open: coded, contact, identity, story" in shown
    assert "latecomer The directory admitted it later." in shown
    assert "registrar, timekeeper A service of the bus" in shown
    assert "letter special-unit opened, number 13" in shown
    assert "special-unit referral.accepted, number 18" in shown
    assert "D-ACK met: special-unit, 50 min from 2026-03-02 06:10 UTC, due 2026-03-03 20:00 UTC" in shown
    assert "ended by referral.acknowledged of special-unit, number 14" in shown
    assert "ended D-REFER the clock of ngo-a" in shown
    assert shown.endswith("from the verified history; no letter was opened.")


def test_a_refusal_is_explained_with_code_sentence_rule_and_article(commands: Commands) -> None:
    """The output also names the policy under which the event was judged."""
    shown = words(commands.shown("why", "10"))

    assert "event of ngo-a, refused" in shown
    assert "by az@2022-04-29" in shown
    assert (
        "consent_refused The person has refused this agency; leave it out, send no letter if it is yours, or record a new consent first. G-30, RULES.md#g-30 [S34, S46]"
        in shown
    )
    assert "not told" not in shown


def test_the_mark_of_a_basis_is_printed_and_not_taken_for_a_colour(commands: Commands) -> None:
    """[u] says that a lawyer has to confirm the basis of the clock."""
    shown = words(commands.shown("why", "case.signal_recorded"))

    assert "RULES.md#d-refer [u]" in shown


def test_a_letter_without_receipt_is_named(commands: Commands) -> None:
    """The output says that the migration service's desk has published no receipt."""
    shown = words(commands.shown("why", "stay.hold_requested"))

    assert "migration no receipt yet: its desk has not said whether the letter opened" in shown


def test_an_event_may_be_named_in_four_ways(commands: Commands) -> None:
    """An event is named by id, beginning of an id, number, or type: the last of that type in the case."""
    entry = of_type(commands.seen, "referral.submitted", -1)
    ways = [entry.registration.id, entry.registration.id[:30], str(entry.registration.number), "nrm.referral.submitted"]

    shown = {commands.shown("why", way, "--case", commands.case[:8]) for way in (*ways, f"0/{ways[2]}")}
    assert len(shown) == 1
    assert entry.registration.id in shown.pop()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("9000",), "The history has no such event"),
        (("1/12",), "The history has no such event"),
        (("ffffffff-ffff",), "The history has no such event"),
        (("referral.withdrawn",), "The history has no such event"),
        (("019cad0f",), "EVENT names more than one event"),
        (("abc",), "EVENT wants an id"),
        (("66", "--as-of", "2026-03-02"), "registered after that time"),
        (("1", "--case", "ffffffff"), "Nothing here has this reference"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_argument_that_names_no_single_event_is_one_sentence(
    commands: Commands, arguments: tuple[str, ...], sentence: str
) -> None:
    """The sentence says which arguments would work."""
    assert sentence in commands.refused("why", *arguments)


def test_as_of_an_hour_it_shows_the_knowledge_of_then(commands: Commands) -> None:
    """Half an hour after the referral nobody had answered, and the unit's clock ran."""
    body = json.loads(commands.shown("why", "12", "--json", "--as-of", "2026-03-02T06:40:00Z"))

    assert body["answers"] == []
    assert [(each["code"], each["state"], each["seconds"]) for each in body["clocks"]] == [("D-ACK", "runs", 1800)]


def test_a_program_gets_one_object(commands: Commands) -> None:
    """Every agency of the directory once, told or not, with code and sentence; times in one spelling, nothing null."""
    raw = commands.shown("why", "12", "--json")
    body = json.loads(raw)

    assert "null" not in raw
    assert body["event"]["id"] == of_type(commands.seen, "referral.submitted").registration.id
    assert body["event"]["policy"] == "az@2022-04-29"
    assert sorted(each["agency"] for each in body["told"] + body["not_told"]) == sorted(commands.seen.directory.entries)
    assert all(each["code"] and each["sentence"] for each in body["told"] + body["not_told"])
    assert body["told"][0]["consent"]["time"] == "2026-03-02T05:40:00Z"
    assert body["receipts"][0]["state"] == "opened"
    assert body["clocks"][0]["end"]["type"] == "referral.acknowledged"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59, "59 s"), (3000, "50 min"), (3601, "1 h"), (90_000, "1 d 1 h"), (86_400, "1 d"), (86_460, "1 d")],
)
def test_a_length_has_its_two_largest_units(seconds: int, expected: str) -> None:
    """A length in months is shown without seconds."""
    assert _long(seconds) == expected
