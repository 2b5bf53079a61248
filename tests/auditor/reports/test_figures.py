"""Refusals and breaches by agency: each refusal under its sender, each breach under the agency that owed the duty."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from auditor.played import Written, first_scenario
from nrmbus.auditor.reports.figures import Figures, by_agency
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.rules import Refusal
from nrmbus.rules.due import Due
from nrmbus.wire import ids
from rules.given import DEFAULTS

CASE = "ab" * 16
BEGAN = datetime.fromisoformat("2026-03-02T05:00:00Z")


class Story:
    """A case of its own, with the keys of the first scenario."""

    def __init__(self) -> None:
        first = first_scenario()
        self.written, self.now = Written(first.directory, first.identities, first.rules), BEGAN

    def say(
        self, by: str, type: str, *, refused: Refusal | None = None, registered: datetime | None = None, **said: Any
    ) -> None:
        """Register it now, or as late as *registered*, or refuse it."""
        ref, cause = said.pop("ref", None), said.pop("cause", None)
        data = said.pop("data", None) or data_type(type, 1).from_mapping({**DEFAULTS.get(type, {}), **said})
        event = Event(
            id=ids.new_event_id(), source=by, type=type, version=1, subject=CASE, time=self.now, recordedtime=self.now,
            sequence=1, actor="S-1", policy="az@2022-04-29", referral=ref, causationid=cause, data=data,
        )  # fmt: skip
        self.written.register(event, registered or self.now, refused)

    def breaches(self) -> list[Due]:
        """Return the breaches that are due if nothing else happens."""
        due = self.written.rules.due(self.written.view[CASE])
        return [each for each in due if each.type == "deadline.breached"]

    def breach(self, due: Due) -> None:
        """Let the timekeeper say it, registered now if its time has come already."""
        registered = max(self.now, due.at)
        self.now = due.at
        self.say("timekeeper", due.type, data=due.data, cause=due.cause, ref=due.ref, registered=registered)
        self.now = registered

    def missed(self) -> list[str]:
        """Let the timekeeper say every breach that is due; which clocks."""
        said = []
        while found := self.breaches():
            self.breach(found[0])
            said.append(found[0].rule)
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


class TestABreachThatIsRegisteredAfterARefusal:
    """Given a special unit that owes an answer, which an adult's refusal lifts before the breach is registered."""

    @staticmethod
    def answering(last_day: str | None) -> tuple[Story, Due]:
        """Return the case up to the acknowledgement, and the breach of the unit's answer, due on 3 March."""
        story = Story()
        story.say("ngo-a", "case.signal_recorded")
        if last_day is not None:
            story.say("ngo-a", "consent.refused", receivers=["special-unit"])
        given: dict[str, Any] = {"expires": last_day} if last_day else {}
        story.say("ngo-a", "consent.given", receivers=["special-unit"], **given)
        story.say("ngo-a", "referral.submitted", ref="ef" * 16, to=["special-unit"], urgency="emergency")
        story.now += timedelta(hours=1)
        story.say("special-unit", "referral.acknowledged", ref="ef" * 16)
        return story, next(each for each in story.breaches() if each.rule == "D-ANSWER")

    def test_is_under_who_owed_the_duty(self) -> None:
        """When she refuses the unit twenty seconds after the answer was due, then its breach counts all the same."""
        story, late = self.answering(None)
        story.now = late.at + timedelta(seconds=20)
        story.say("ngo-a", "consent.refused", receivers=["special-unit"])
        story.breach(late)

        assert list(story.figures()["special-unit"].breaches) == ["D-ANSWER"]

    def test_is_under_who_owed_the_duty_where_a_consent_has_expired(self) -> None:
        """When the last day of the consent passes first, with an event on the next day, then its breach counts all the same."""
        story, late = self.answering("2026-03-03")
        story.now = datetime.fromisoformat("2026-03-04T05:00:00Z")
        story.say("ngo-a", "consent.given", receivers=["vac"])
        story.breach(late)

        assert list(story.figures()["special-unit"].breaches) == ["D-ANSWER"]
