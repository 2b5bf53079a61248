"""The third story: consent taken back, the glass broken, access ended by a court; in memory, and where services are killed."""

from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from play.stories import TAKEN_BACK, altered, play_file, text_of

KILLED = {
    "  # She is missing.": ("registrar",),
    '  - {at: "d45 9:00", check': ("vac", "timekeeper"),
}
"""Services to kill, by the line of the story before which each dies."""


def test_it_holds() -> None:
    """The story holds: recipients, refusals and duties are as written, and in the end six holders confirm their erasure."""
    report = play_file(TAKEN_BACK)

    assert [str(failure) for failure in report.failures] == []
    assert report.played == 44


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("[information_sharing, services], receivers: [special-unit]", "[tracing], receivers: [migration]"),
        ("approver: second, data: {reason: missing_person}, seen_by", "data: {reason: missing_person}, seen_by"),
        ('until: "2026-04-20"', 'until: "2026-04-02"'),
        ("answer: deleted}, seen_by: [ngo-a]", "answer: must_retain, legal_basis: Law 958-IIQ}, seen_by: [ngo-a]"),
    ],
    ids=["a refusal left out", "one officer alone", "a shorter hold", "retained instead of deleted"],
)
def test_an_altered_story_does_not_hold(line: str, other: str) -> None:
    """Sabotage: each alteration of the story is found by one of its expectations."""
    assert not altered(TAKEN_BACK, line, other).green


@pytest.mark.slow
@pytest.mark.broker
def test_it_holds_on_a_real_bus_while_services_are_killed(tmp_path: Path) -> None:
    """Registrar, timekeeper and a holder's desk get SIGKILL before the emergency and the erasure."""
    text = text_of(TAKEN_BACK)
    for line, services in KILLED.items():
        assert line in text
        kills = "".join(f"  - {{check: restart, service: {service}}}\n" for service in services)
        text = text.replace(line, kills + line, 1)
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    with Supervisor(folder), BusStage(folder) as stage:
        report = play(parse(text, "taken-back.yaml"), stage)

    assert [str(failure) for failure in report.failures] == []
