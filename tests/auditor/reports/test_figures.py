"""Refusals and breaches by agency: each refusal under its sender, each breach under the agency that owed the duty."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from auditor.played import Written, first_scenario
from nrmbus.auditor.reports.figures import Figures, by_agency
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.rules import Refusal
from nrmbus.wire import ids
from rules.given import DEFAULTS

CASE = "ab" * 16
BEGAN = datetime.fromisoformat("2026-03-02T05:00:00Z")


class Story:
    """A case of its own, with the keys of the first scenario."""

    def __init__(self) -> None:
        first = first_scenario()
        self.written, self.now = Written(first.directory, first.identities, first.rules), BEGAN

    def say(self, by: str, type: str, *, refused: Refusal | None = None, **said: Any) -> None:
        """Register it now, or refuse it."""
        ref, cause = said.pop("ref", None), said.pop("cause", None)
        data = said.pop("data", None) or data_type(type, 1).from_mapping({**DEFAULTS.get(type, {}), **said})
        event = Event(
            id=ids.new_event_id(), source=by, type=type, version=1, subject=CASE, time=self.now, recordedtime=self.now,
            sequence=1, actor="S-1", policy="az@2022-04-29", referral=ref, causationid=cause, data=data,
        )  # fmt: skip
        self.written.register(event, self.now, refused)

    def missed(self) -> list[str]:
        """Let the timekeeper say every breach that is due; which clocks."""
        said = []
        while found := [
            each for each in self.written.rules.due(self.written.view[CASE]) if each.type == "deadline.breached"
        ]:
            due = found[0]
            self.now = due.at
            self.say("timekeeper", due.type, data=due.data, cause=due.cause, ref=due.ref)
            said.append(due.rule)
        return said

    def figures(self, *period: datetime | None) -> dict[str, Figures]:
        """By agency."""
        whole = (period[0], period[1]) if period else (None, None)
        return {each.agency: each for each in by_agency(self.written.audited("last"), whole)}


@pytest.fixture(name="late")
def _late() -> Story:
    """The NGO asks two for help, and neither answers; one of its tries is refused."""
    story = Story()
    story.say("ngo-a", "case.signal_recorded")
    story.say("ngo-a", "consent.given", receivers=["vac"])
    story.say("ngo-a", "consent.given", receivers=["ngo-l"])
    story.say(
        "ngo-a",
        "referral.submitted",
        refused=Refusal("consent_required", "G-32", "RULES.md#g-32 [S34, S57]", ""),
        to=["fund"],
    )
    story.say("ngo-a", "referral.submitted", ref="cd" * 16, to=["ngo-l", "vac"], urgency="urgent")
    story.say("vac", "access.granted")
    return story


def test_each_breach_is_under_who_owed_it(late: Story) -> None:
    """Two receivers of one request owe alike, and each has its own; the signal's own duty is the NGO's."""
    assert sorted(late.missed()) == ["D-REFER", "D-SERVICE", "D-SERVICE"]
    figures = late.figures()
    owed = {agency: {code: len(points) for code, points in each.breaches.items()} for agency, each in figures.items()}
    assert {agency: each for agency, each in owed.items() if each} == {
        "ngo-a": {"D-REFER": 1}, "ngo-l": {"D-SERVICE": 1}, "vac": {"D-SERVICE": 1},
    }  # fmt: skip


def test_a_refusal_is_counted_under_who_was_refused_and_a_reading_not_at_all(late: Story) -> None:
    """By code and rule; what somebody reads is nothing that he says of a case."""
    figures = late.figures()
    assert dict(figures["ngo-a"].refusals) == {("consent_required", "G-32"): 1}
    assert (figures["ngo-a"].registered, figures["vac"].registered) == (4, 0)


def test_an_agency_that_could_find_people_and_found_nobody_has_a_zero(late: Story) -> None:
    """A zero report is visible, and nobody is blamed whose role finds nobody."""
    found = {agency: each.signals for agency, each in late.figures().items()}
    assert found["ngo-a"] == 1
    assert found["vac"] == 0
    assert found["fund"] is None


def test_only_what_was_registered_in_the_period_counts(late: Story) -> None:
    """Both ends included; a breach counts when it was said."""
    late.missed()
    before, after = late.figures(None, BEGAN), late.figures(BEGAN + timedelta(seconds=1), None)
    assert (before["ngo-a"].registered, before["ngo-a"].breaches) == (4, {})
    assert (after["ngo-a"].registered, list(after["ngo-a"].breaches)) == (0, ["D-REFER"])
