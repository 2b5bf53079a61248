"""Plays a scenario on a stage, step by step: says what the file says, and has it judged."""

from collections.abc import Iterable, Iterator
from typing import Any

from nrmbus.events import bulletin
from nrmbus.events.policy import ProfileActivated
from nrmbus.events.registry import TYPES
from nrmbus.play.aliases import Aliases
from nrmbus.play.judge import Judge, Submitted
from nrmbus.play.report import Failure, Notify, Report, Result, Row
from nrmbus.play.scenario import Check, CheckReplay, CheckStatistics, Publish, Scenario, Step
from nrmbus.play.stage import Happened, Outcome, Stage, StageError, Words
from nrmbus.rules import load_profile, profile_names


def play(scenario: Scenario, stage: Stage, *, keep_going: bool = False, notify: Notify = lambda _: None) -> Report:
    """Play *scenario* on *stage*; *notify* is called with each row of the story as it happens.

    The play stops after the first failed step, unless *keep_going* is set. Always ends with
    ``check: replay, case: all``.
    """
    return _Play(scenario, stage, notify).run(keep_going=keep_going)


class _Play:
    """A play: aliases, rows and failures."""

    def __init__(self, scenario: Scenario, stage: Stage, notify: Notify) -> None:
        self._scenario = scenario
        self._stage = stage
        self._notify = notify
        self._aliases = Aliases()
        self._judge = Judge(stage, self._aliases, scenario.agencies)
        self._rows: list[Row] = []
        self._failures: list[Failure] = []
        self._registered: dict[tuple[str | None, ...], Submitted] = {}
        self._told: set[str] = set()

    def run(self, *, keep_going: bool) -> Report:
        steps, played = self._scenario.steps, 0
        if any(isinstance(step.what, CheckStatistics) for step in steps):
            self._stage.counts()
        try:
            self._stage.admit(self._scenario.agencies, self._scenario.policy, self._scenario.starts)
        except StageError as error:
            self._put(self._stuck(steps[0], error))
            return Report(self._scenario, tuple(self._rows), 0, tuple(self._failures))
        for step in steps:
            self._step(step)
            played += 1
            if self._failures and not keep_going:
                break
        self._step(self._end(steps[played - 1]))
        return Report(self._scenario, tuple(self._rows), played, tuple(self._failures))

    def _end(self, last: Step) -> Step:
        replay = CheckReplay(check="replay", case="all")
        return Step(len(self._scenario.steps) + 1, self._scenario.lines, last.at, last.at, replay)

    def _step(self, step: Step) -> None:
        try:
            self._stage.advance(step.at)
            self._by_themselves(step, self._aliases.cases.values())
            row = self._publish(step, step.what) if isinstance(step.what, Publish) else self._check(step, step.what)
            self._put(row)
            self._by_themselves(step, self._aliases.cases.values())
        except StageError as error:
            self._put(self._stuck(step, error))

    def _put(self, row: Row) -> None:
        self._rows.append(row)
        self._failures += row.failures
        self._notify(row)

    def _stuck(self, step: Step, error: StageError) -> Row:
        by, named = (step.what.by, step.what.event) if isinstance(step.what, Publish) else ("", step.what.title)
        failure = Failure(step.number, step.line, named, "an answer of the bus", f"none: {error}")
        return Row(step.number, step.line, step.at, by, named, "failed", failures=(failure,))

    def _by_themselves(self, step: Step, subjects: Iterable[str]) -> None:
        new = [event for subject in subjects for event in self._stage.history(subject) if event.id not in self._told]
        for event in sorted(new, key=lambda each: each.at):
            self._told.add(event.id)
            received = tuple(sorted(self._stage.received(event.id)))
            place = step.number, step.line, event.at
            self._put(Row(*place, event.by, event.type, "by itself", _detail(event), received))

    def _publish(self, step: Step, what: Publish) -> Row:
        submitted: list[Submitted] = []
        for case in what.subjects:
            submitted += self._once_more(what, case) if what.again else self._submit(step, what, case)
        nothing = Failure(step.number, step.line, "again", "an earlier registered event", "none that was registered")
        failures = tuple(self._judge.published(step, what, submitted)) if submitted else (nothing,)
        self._told.update(each.outcome.id for each in submitted)
        result: Result = "registered" if submitted and submitted[0].outcome.registered else "refused"
        if what.again:
            result = "same receipt"
        detail = _refusal(submitted[0].outcome) if result == "refused" else ""
        received = () if what.again else self._judge.received(submitted)
        place = step.number, step.line, step.at
        return Row(*place, what.by, what.event, "failed" if failures else result, detail, received, failures)

    def _submit(self, step: Step, what: Publish, case: str | None) -> Iterator[Submitted]:
        for receiver, words in self._words(step, what, case):
            before = None if what.expect == "registered" else self._judge.seen(words.subject)
            submitted = Submitted(case, words, self._stage.publish(words), before)
            if what.alias:
                self._aliases.name(what.alias, case, receiver, submitted.outcome.id)
            if submitted.outcome.registered:
                self._registered[what.by, what.event, case, what.ref, what.incident, receiver] = submitted
            yield submitted

    def _once_more(self, what: Publish, case: str | None) -> Iterator[Submitted]:
        for (*which, _), submitted in list(self._registered.items()):
            if which == [what.by, what.event, case, what.ref, what.incident]:
                before = self._judge.seen(submitted.words.subject)
                yield Submitted(
                    case, submitted.words, self._stage.again(submitted.outcome.id), before, first=submitted.outcome
                )

    def _words(self, step: Step, what: Publish, case: str | None) -> Iterator[tuple[str | None, Words]]:
        """Yield the words of a step on one case; a consent with several receivers is one event for each."""
        aliases = self._aliases
        subject = aliases.case(case) if case else self._elsewhere(what)
        data, cause = self._data(what, case)
        receivers: list[str | None] = [None]
        if what.event.startswith("consent.") and isinstance(data.get("receivers"), list):
            receivers = data["receivers"] or receivers
        for receiver in receivers:
            yield (
                receiver,
                Words(
                    by=what.by,
                    type=what.event,
                    subject=subject,
                    time=step.occurred,
                    actor=aliases.staff(f"of {what.by}"),
                    data=data if receiver is None else {**data, "receivers": [receiver]},
                    sealed=self._sealed(what),
                    to=what.to or (),
                    ref=aliases.ref(what.ref, case, one_of_several=bool(what.cases)) if what.ref else None,
                    incident=aliases.incident(what.incident) if what.incident and case else None,
                    consents=aliases.covering(what.consent, case, what.to or ()) if what.consent else (),
                    cause=cause,
                    approver=aliases.staff(what.approver) if what.approver else None,
                ),
            )

    def _elsewhere(self, what: Publish) -> str:
        """Return the subject of an event that is about no case: the publisher's bulletin, or an incident."""
        return bulletin.of(what.by) if what.about_no_case else self._aliases.incident(what.incident or "")

    def _data(self, what: Publish, case: str | None) -> tuple[dict[str, Any], str | None]:
        """Return the clear data, and the decision as the event's cause if the type has no field for it."""
        if (
            what.event == ProfileActivated.type
            and "digest" not in what.data
            and what.data.get("profile") in profile_names()
        ):
            # A story names the profile alone: its digest is that of this release.
            return {**what.data, "digest": load_profile(what.data["profile"]).digest}, None
        if what.decision is None:
            return what.data, None
        named = self._aliases.events(what.decision, case)
        if not named:
            raise StageError(f"the step that {what.decision!r} names got no answer")
        decision = named[0]
        model = TYPES.get((what.event, 1))
        if model is not None and "decision" in model.model_fields:
            return {**what.data, "decision": decision}, None
        return what.data, decision

    def _sealed(self, what: Publish) -> dict[str, Any] | None:
        linked = {"previous_case": what.previous_case, "other_case": what.other_case}
        cases = {field: self._aliases.case(alias) for field, alias in linked.items() if alias}
        return {**(what.sealed or {}), **cases} if cases else what.sealed

    def _check(self, step: Step, check: Check) -> Row:
        found, failures = self._judge.checked(step, check)
        result: Result = "failed" if failures else "holds"
        return Row(step.number, step.line, step.at, "", check.title, result, found, failures=tuple(failures))


def _refusal(outcome: Outcome) -> str:
    return " · ".join(word for word in (outcome.code, outcome.rule, outcome.article) if word)


def _detail(event: Happened) -> str:
    """Return the clear data of an event in a few words; a bare number is shown with its field."""
    fields = [(name, value) for name, value in event.data.items() if name not in ("to", "decision")]
    return " · ".join(
        f"{name.replace('_', ' ')} {value}" if isinstance(value, int) else _word(value) for name, value in fields
    )


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(map(_word, value.values()))
    if isinstance(value, list):
        return " ".join(map(_word, value))
    return str(value)
