"""The stories under other profiles: each step goes as before, but for those that the profile says differ."""

from pathlib import Path

import pytest

from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import find, parse
from nrmbus.rules import load_profile, profile_names
from play.stories import WOMAN, WORK, play_file

PROFILES = [name for name in profile_names() if name != "az@2022-04-29"]
NO_TARIFF = {
    "48: events payment.ordered by fund",
    "52: payment.executed",
    "53: payments one_time_allowance",
    "54: payment.ordered",
}
"""Without a known amount the fund orders nothing automatically."""
NO_RECOVERY = {
    "30: events recovery.period_started by special-unit",
    "31: open_deadlines",
    "37: open_deadlines",
    "41: open_deadlines",
    "43: recovery.extended",
    "45: open_deadlines",
}
WOMANS = {
    "az@2009-09-03": NO_TARIFF | NO_RECOVERY,
    "az@2010-10-01": NO_TARIFF,
    "az@2024-02-08": set(),
    "md@2014-03-28": NO_TARIFF,
    "osce-generic@2022-01-01": NO_TARIFF | {"30: events recovery.period_started by special-unit"},
}
"""Steps of the woman's story that go otherwise: number, and what was looked at."""


def differing(story: Path | str, profile: str) -> set[str]:
    """Return the steps of *story* with another outcome under *profile*, whose deciding role the story's unit has."""
    (decider,) = load_profile(profile).expand(("DECIDERS",))
    text = find(Path(story)).read_text(encoding="utf-8").replace("policy: az@2022-04-29", f"policy: {profile}")
    report = play(parse(text.replace("{role: special_unit", f"{{role: {decider}")), MemoryBus(), keep_going=True)
    return {f"{failure.step}: {failure.what}" for failure in report.failures}


@pytest.mark.thorough
@pytest.mark.parametrize("profile", PROFILES)
def test_the_womans_story_differs_where_the_profile_does(profile: str) -> None:
    """Seventy steps: a signal, a referral, a bed, a status by another body, and the same refusals."""
    assert differing(WOMAN, profile) == WOMANS[profile]


@pytest.mark.thorough
@pytest.mark.parametrize("profile", ["md@2014-03-28", "osce-generic@2022-01-01"])
def test_two_days_of_work_go_the_same_way_with_another_decider(profile: str) -> None:
    """The agency that decides owes the deciding body's duties. Without a tariff the fund orders nothing."""
    assert differing(WORK, profile) == {"54: events payment.ordered by fund"}


def test_the_rules_change_in_mid_story() -> None:
    """One case goes on under the profile of its time, the next one begins under the new one, over a restart."""
    report = play_file(Path("13-the-rules-change"))

    assert [str(failure) for failure in report.failures] == []
    assert report.played == 33
