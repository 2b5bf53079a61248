"""Strict reader of scenario files: a misspelt expectation is an error, never an unchecked line."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, to_json

from nrmbus.events.model import AgencyId, Frozen
from nrmbus.events.policy import PROFILE_NAME
from nrmbus.events.registry import TYPES
from nrmbus.packed import packed
from nrmbus.play import strict
from nrmbus.play.scenario import (
    CARRIERS,
    SERVICES,
    Check,
    CheckAway,
    CheckBack,
    CheckEvents,
    CheckInbox,
    CheckListening,
    CheckPayments,
    CheckReplay,
    CheckRestart,
    CheckState,
    Participant,
    Publish,
    Scenario,
    Step,
    When,
)
from nrmbus.rules import load_profile, profile_names

M = TypeVar("M", bound=Frozen)

_CHECKS: Final[Mapping[str, type[Check]]] = {
    name: each for each in get_args(Check) for name in get_args(each.model_fields["check"].annotation)
}
_AGAIN: Final = {"by", "event", "case", "cases", "incident", "ref", "again", "expect", "seen_by"}
_WHEN: Final[TypeAdapter[str]] = TypeAdapter(When)
_MONDAY: Final = 0
_YEARS: Final = (2000, 2999)
"""First and last year in which a play may start: clocks of years before and behind it stay within the calendar."""


class ScenarioError(Exception):
    """Raised when a file is no scenario. Says the line, and the step where there is one."""

    def __init__(self, name: str, line: int, sentence: str, step: int | None = None) -> None:
        """Say what is wrong with the file *name* in *line*."""
        where = f"step {step} ({name}, line {line})" if step else f"{name}, line {line}"
        super().__init__(f"{where}: {sentence}")
        self.name, self.line, self.step, self.sentence = name, line, step, sentence


class _File(Frozen):
    title: Annotated[str, Field(min_length=1)]
    policy: Annotated[str, Field(pattern=PROFILE_NAME)]
    starts: str
    agencies: Annotated[dict[AgencyId, Participant], Field(min_length=1)]
    steps: Annotated[list[dict[str, Any]], Field(min_length=1)]


def find(named: Path) -> Traversable:
    """Return the file *named*: an existing file, or a packaged story of that name.

    Raises:
        FileNotFoundError: there is neither; the message lists those that come with the package.

    """
    ours = {path.name: path for path in packed("play/scenarios").iterdir() if path.name.endswith(".yaml")}
    found = named if named.is_file() else ours.get(named.name) or ours.get(f"{named.name}.yaml")
    if found is not None:
        return found
    names = ", ".join(sorted(name.removesuffix(".yaml") for name in ours))
    raise FileNotFoundError(f"There is no scenario file of that name; these come with nrmbus: {names}.")


def read(path: Traversable) -> Scenario:
    """Read the scenario in the file *path*.

    Raises:
        ScenarioError: it is no scenario; the message names the line.
        OSError: there is no such file, or it may not be read.

    """
    with suppress(UnicodeDecodeError):
        return parse(path.read_text(encoding="utf-8"), path.name)
    raise ScenarioError(path.name, 1, "the file is not UTF-8")


def parse(text: str, name: str = "scenario") -> Scenario:
    """Read a scenario from *text*; *name* is how errors call it.

    Raises:
        ScenarioError: as :func:`read`.

    """
    try:
        plain, lines = strict.load(text)
    except strict.NotStrictError as error:
        in_step = error.path[:1] == ("steps",) and len(error.path) > 1 and isinstance(error.path[1], int)
        problem = ScenarioError(name, error.line, error.sentence, int(error.path[1]) + 1 if in_step else None)
    else:
        return _Reader(name, lines).scenario(plain, text.count("\n") + 1)
    raise problem


class _Reader:
    """Walks a file once, from the first step to the last, and remembers which aliases were used."""

    def __init__(self, name: str, lines: Mapping[strict.Path, int]) -> None:
        self._name = name
        self._lines = lines
        self._step: int | None = None
        self._agencies: Mapping[str, Participant] = {}
        self._shelters: frozenset[str] | None = None
        """Roles of the shelters, or None for a profile that the operator adds during the play."""
        self._starts = datetime.min.replace(tzinfo=UTC)
        self._at = self._starts
        self._used: dict[str, set[str]] = {"case": set(), "ref": set(), "as": set()}
        self._published: set[tuple[str, ...]] = set()

    def scenario(self, plain: Any, length: int) -> Scenario:
        if not isinstance(plain, dict):
            raise self._error((), "a scenario is a set of keys: title, policy, starts, agencies, steps")
        file = self._model(_File, plain, ())
        self._starts = self._at = self._first(file.starts)
        self._agencies = file.agencies
        if file.policy in profile_names():
            self._shelters = load_profile(file.policy).shelters
        for agency, participant in file.agencies.items():
            self._admit(agency, participant)
        steps = tuple(self._read_step(index, step) for index, step in enumerate(file.steps))
        return Scenario(
            title=file.title,
            policy=file.policy,
            starts=self._starts.astimezone(UTC),
            zone=self._starts.tzinfo or UTC,
            agencies=file.agencies,
            steps=steps,
            lines=length,
        )

    def _error(self, path: strict.Path, sentence: str) -> ScenarioError:
        while path not in self._lines:
            path = path[:-1]
        return ScenarioError(self._name, self._lines[path], sentence, self._step)

    def _model(self, model: type[M], plain: Mapping[str, Any], path: strict.Path) -> M:
        try:
            return model.model_validate_json(to_json(plain))
        except ValidationError as invalid:
            errors = invalid.errors(include_input=False, include_url=False, include_context=False)
        # Of a value that may be written in two ways both are reported; an unknown key says more than "not the other way".
        error = min(errors, key=lambda each: (each["type"] != "extra_forbidden", -len(self._path(path, each))))
        raise self._error(self._path(path, error), _sentence(error, model)) from None

    def _path(self, path: strict.Path, error: ErrorDetails) -> strict.Path:
        for key in error["loc"]:  # names of models and of kinds of value stand between the keys
            if (*path, key) in self._lines:
                path = (*path, key)
        return path

    def _first(self, starts: str) -> datetime:
        first = None
        with suppress(ValueError):
            first = datetime.fromisoformat(starts)
        if first is None or first.tzinfo is None or first.microsecond:
            raise self._error(
                ("starts",), "'starts' is a time with seconds and an offset, like 2026-03-02T09:00:00+04:00"
            )
        if not _YEARS[0] <= first.year <= _YEARS[1]:
            raise self._error(("starts",), "'starts' is in one of the years 2000 to 2999")
        if first.weekday() != _MONDAY:
            raise self._error(("starts",), "'starts' is a Monday, so that working days count as the Rules say")
        return first

    def _admit(self, agency: str, participant: Participant) -> None:
        path = ("agencies", agency)
        if agency in ("broker", "statistics") or (agency in SERVICES and participant.role != agency):
            raise self._error(path, "this id is the name of a service")
        if participant.supervisor is not None:
            self._known((participant.supervisor,), (*path, "supervisor"))
        is_shelter = self._shelters is None or participant.role in self._shelters
        if participant.capacity is not None and not is_shelter:
            raise self._error((*path, "capacity"), "only a shelter has 'capacity'")

    def _read_step(self, index: int, plain: dict[str, Any]) -> Step:
        self._step = index + 1
        path: strict.Path = ("steps", index)
        if ("event" in plain) == ("check" in plain):
            raise self._error(path, "a step has exactly one of 'event' and 'check'")
        rest = {key: value for key, value in plain.items() if key not in ("at", "occurred")}
        at = self._moment(plain["at"], (*path, "at")) if "at" in plain else self._at
        if at < self._at:
            raise self._error((*path, "at"), "the clock never goes back: this is earlier than the step before")
        self._at = occurred = at
        what: Publish | Check
        if "event" in plain:
            if "occurred" in plain:
                occurred = self._moment(plain["occurred"], (*path, "occurred"))
            if occurred > at:
                raise self._error((*path, "occurred"), "an event cannot be published before it happened")
            what = self._model(Publish, rest, path)
            self._publish(what, path)
        else:
            if "occurred" in plain:
                raise self._error((*path, "occurred"), "unknown key 'occurred': only an event happens")
            model = _CHECKS.get(plain["check"]) if isinstance(plain["check"], str) else None
            if model is None:
                raise self._error((*path, "check"), f"'check' is one of {', '.join(_CHECKS)}")
            what = self._model(model, rest, path)
            self._check(what, path)
        return Step(self._step, self._lines[path], at.astimezone(UTC), occurred.astimezone(UTC), what)

    def _moment(self, text: Any, path: strict.Path) -> datetime:
        when = None
        with suppress(ValidationError):
            when = _WHEN.validate_python(text, strict=True)
        if when is None:
            raise self._error(path, """a time is "H:MM", "dN H:MM" or "dN", in quotation marks""")
        if not when.startswith("d"):
            hours, minutes = when.split(":")
            return self._starts + timedelta(hours=int(hours), minutes=int(minutes))
        day, _, clock = when[1:].partition(" ")
        hours, _, minutes = clock.partition(":")
        of_day = time(int(hours), int(minutes)) if clock else self._starts.time()
        return datetime.combine(self._starts.date() + timedelta(days=int(day)), of_day, self._starts.tzinfo)

    def _publish(self, step: Publish, path: strict.Path) -> None:
        if step.about_no_case and (step.case or step.cases or step.incident):
            raise self._error(path, f"{step.event} is about no case: no 'case', 'cases' or 'incident'")
        self._cases(step.case, step.cases, path, needed=step.incident is None and not step.about_no_case)
        self._known((step.by,), (*path, "by"))
        self._known(step.to or (), (*path, "to"))
        self._known(step.seen_by or (), (*path, "seen_by"))
        for part in step.opened_by.values() if isinstance(step.opened_by, dict) else [step.opened_by or ()]:
            self._known(part, (*path, "opened_by"))
        self._known(set(step.closed_to) - set(CARRIERS), (*path, "closed_to"))
        if "to" in step.data:
            raise self._error((*path, "data", "to"), "recipients stand in the step's own 'to'")
        if step.event.startswith("consent."):
            receivers = step.data.get("receivers", ())
            self._known(receivers if isinstance(receivers, list) else (), (*path, "data", "receivers"))
        letter = step.sealed or step.previous_case or step.other_case
        if not letter and (step.opened_by is not None or step.closed_to):
            raise self._error(path, "without 'sealed' there is no letter that could be opened or closed")
        if step.opened_by is not None and step.expect != "registered":
            raise self._error(
                (*path, "opened_by"), "nobody gets the letter of an event that is refused: no 'opened_by'"
            )
        for key, kind in (("decision", "as"), ("consent", "as"), ("previous_case", "case"), ("other_case", "case")):
            alias = getattr(step, key)
            if alias is not None and alias not in self._used[kind]:
                raise self._error((*path, key), f"'{key}' names nothing that an earlier step has")
        self._again(step, path)
        if step.alias in self._used["as"]:
            raise self._error((*path, "as"), "'as' gives a name that an earlier step gave")
        self._used["case"].update(alias for alias in step.subjects if alias)
        self._used["ref"].update([step.ref] if step.ref else ())
        self._used["as"].update([step.alias] if step.alias else ())

    def _again(self, step: Publish, path: strict.Path) -> None:
        which = (step.by, step.event, *(step.cases or (step.case or "",)), step.ref or "", step.incident or "")
        if not step.again:
            self._published.add(which)
            return
        for key in step.model_fields_set - _AGAIN:
            raise self._error((*path, key), f"with 'again' the very same bytes go out once more: no '{key}'")
        if which not in self._published:
            raise self._error(
                (*path, "again"), "no earlier step published this: 'by', 'event', 'case' and 'ref' must be the same"
            )

    def _check(self, check: Check, path: strict.Path) -> None:
        match check:
            case CheckEvents():
                self._of_cases(check.case, check.cases, path)
                self._known({check.by} - {None, "timekeeper"}, (*path, "by"))
                self._types([check.type], (*path, "type"))
            case CheckState():
                self._of_cases(check.case, check.cases, path)
                self._known(check.shown_to, (*path, "shown_to"))
                self._aliases("ref", check.open_referrals or (), (*path, "open_referrals"))
                looked = (check.status, check.open_referrals, check.open_deadlines, check.shown_to or None)
                if all(each is None for each in looked):
                    any_of = "a state is any of 'status', 'open_referrals', 'open_deadlines', 'shown_to'"
                    raise self._error(path, any_of)
            case CheckInbox():
                self._known((check.agency,), (*path, "agency"))
                self._aliases("case", [check.case] if check.case else (), (*path, "case"))
                self._types(check.types or (), (*path, "types"))
                if (check.count is None) == (check.types is None):
                    raise self._error(path, "an inbox has exactly one of 'count' and 'types'")
            case CheckPayments():
                self._aliases("case", [check.case], (*path, "case"))
            case CheckReplay():
                self._aliases("case", {check.case} - {"all"}, (*path, "case"))
            case CheckRestart():
                if check.service not in SERVICES:
                    self._known((check.service,), (*path, "service"))
            case CheckAway() | CheckBack() | CheckListening():
                self._known((check.agency, *getattr(check, "shown_to", ())), path)

    def _of_cases(self, case: str | None, cases: tuple[str, ...] | None, path: strict.Path) -> None:
        self._cases(case, cases, path, needed=True)
        self._aliases("case", cases or (case or "",), (*path, "cases" if cases else "case"))

    def _cases(self, case: str | None, cases: tuple[str, ...] | None, path: strict.Path, *, needed: bool) -> None:
        if (case and cases) or (needed and not (case or cases)):
            raise self._error(path, "one of 'case' and 'cases' is needed, and not both")
        if any(first == second for first, second in pairwise(sorted(cases or ()))):
            raise self._error((*path, "cases"), "a case stands here twice")
        if "all" in (case, *(cases or ())):
            raise self._error(path, "'all' means every case: give this one another alias")

    def _known(self, agencies: Iterable[str | None], path: strict.Path) -> None:
        if unknown := [agency for agency in agencies if agency not in self._agencies]:
            raise self._error(path, f"'{unknown[0]}' is not among the 'agencies' of this file")

    def _aliases(self, kind: str, aliases: Iterable[str], path: strict.Path) -> None:
        if unknown := [alias for alias in aliases if alias not in self._used[kind]]:
            raise self._error(path, f"no earlier step has the {kind} '{unknown[0]}'")

    def _types(self, types: Iterable[str], path: strict.Path) -> None:
        if unknown := sorted(set(types) - {name for name, _ in TYPES}):
            raise self._error(path, f"there is no event '{unknown[0]}'")


def _sentence(error: ErrorDetails, model: type[Frozen]) -> str:
    key = next((str(part) for part in reversed(error["loc"]) if isinstance(part, str)), "")
    if error["type"] == "extra_forbidden":
        fields = model.model_fields.items() if len(error["loc"]) == 1 else ()
        known = [field.alias or name for name, field in fields]
        return f"unknown key '{key}'" + (f"; known here are {', '.join(known)}" if known else "")
    if error["type"] == "missing":
        return f"the key '{key}' is missing"
    if error["type"] == "too_short":
        return f"'{key}' has nothing in it"
    message = error["msg"].removeprefix("Input ").removeprefix("String ")
    if key == "[key]":
        return f"the key '{error['loc'][-2]}' {message}"
    return f"the value of '{key}' {message}"
