"""Scenario 12: a full house and an agency that does not read are seen before somebody turns to them."""

from pathlib import Path
from typing import Final

from nrmbus.play.reader import parse
from play.stories import play_file, played, text_of

LISTENING: Final = Path("12-full-house-silent-ngo")


def test_a_full_house_and_a_silent_agency_are_seen_before_somebody_turns_to_them() -> None:
    """Scenario 12 in memory: capacity is said by the house itself, silence by the timekeeper, and both end."""
    report = play_file(LISTENING)

    assert report.failures == ()


def test_a_silence_that_nobody_is_shown_fails_the_play() -> None:
    """Sabotage: the desk does not stop, so the check that others are shown its silence does not hold."""
    text = text_of(LISTENING).replace("  - {check: away, agency: ngo-l}\n", "")
    report = played(parse(text, LISTENING.name))

    assert [each.what for each in report.failures][:1] == ["listening ngo-l at ngo-a"]
