"""One rule, clock, type or status of a profile, explained for people: sentence, basis with the law's title, effect."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from nrmbus.events.registry import TYPES, versions
from nrmbus.events.schemas import documents
from nrmbus.rules.audience import openers_of
from nrmbus.rules.handbook.citations import OF_THE_ROW, Citation, citations, wording
from nrmbus.rules.handbook.words import (
    ANSWERABLE,
    AT,
    BEFORE_THE_CASE,
    CONDITIONS,
    MOVED_BY,
    OUTLIVES,
    TOLD,
    UNIT_CONSENT,
    WAITS_FOR_REVIEW,
)
from nrmbus.rules.judge.judge import CHECKS, UNKNOWN_TYPE
from nrmbus.rules.placed import length_in_words, placed
from nrmbus.rules.placed import of_type as type_sentence
from nrmbus.rules.profile import ClockRule, Profile, Transition
from nrmbus.rules.records import Status
from nrmbus.rules.why import WORDS


@dataclass(frozen=True, slots=True)
class Line:
    """One fact of an explanation: its title, and one or more texts."""

    title: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explanation of one thing: its kind, name and sentence, facts, and the laws and places behind it."""

    kind: str
    name: str
    sentence: str
    lines: tuple[Line, ...]
    sources: tuple[Citation, ...]
    unverified: bool
    example: dict[str, Any] | None = None


def explained(profile: Profile, word: str) -> tuple[Explanation, ...]:
    """Return what *profile* says about *word*: a rule, a code, a clock, a type, a transition or a status; empty if nothing."""
    name = word.removeprefix("nrm.")
    if (rule := name.upper()) in profile.refusals:
        return (of_rule(profile, rule),)
    if (clock := name.upper()) in profile.clocks:
        return (of_clock(profile, clock),)
    if name in profile.types:
        return (of_type(profile, name),)
    if name.upper() in get_args(Status):
        return (of_status(profile, name.upper()),)
    rows = [row for row in profile.statuses.transitions if name.upper().replace("B", "b") in row.id.split(", ")]
    if rows:
        return tuple(_of_transition(row) for row in rows)
    return tuple(of_rule(profile, rule) for rule, cited in profile.refusals.items() if cited.code == name)


def words_of(profile: Profile) -> tuple[str, ...]:
    """Return every word that can be explained, for a suggestion."""
    codes = (cited.code for cited in profile.refusals.values())
    return (*profile.refusals, *profile.clocks, *profile.types, *get_args(Status), *dict.fromkeys(codes))


# A rule


def of_rule(profile: Profile, rule: str) -> Explanation:
    """Return the explanation of the refusal rule *rule*."""
    cited = profile.refusals[rule]
    check = CHECKS.get(rule)
    types = tuple(name for name in profile.types if check and (check.types is None or name in check.types))
    lines = [
        Line("Code", (cited.code,)),
        Line("Refused when", (wording(rule.lower()) or rule_sentence(rule),)),
        Line(
            "Asked",
            (
                f"as number {list(profile.refusals).index(rule) + 1} of {len(profile.refusals)}; the first that applies answers",
            ),
        ),
        Line("Applies to", ("every type",) if check and check.types is None else types or ("no type of this profile",)),
    ]
    if check:
        lines.append(Line("Judged by", (_place(check.applies),)))
    basis = cited.basis if cited.basis != OF_THE_ROW else UNKNOWN_TYPE
    if cited.basis == OF_THE_ROW:
        lines.append(Line("Basis", ("that of the row of the refused type: nrmbus rules explain TYPE",)))
    kind = next(iter(types), "case.closed")
    article = cited.basis if cited.basis != OF_THE_ROW else profile.types[kind].basis
    says = placed(cited.says, profile)
    refusal = {"code": cited.code, "rule": rule, "article": article, "sentence": says}
    return Explanation(
        "rule",
        rule,
        says,
        tuple(lines),
        tuple(citations(basis, profile.laws)),
        cited.unverified,
        {"type": f"nrm.{kind}", "refusal": refusal},
    )


def rule_sentence(rule: str) -> str:
    """Return the sentence of the function that judges *rule*; empty if there is none."""
    check = CHECKS.get(rule)
    return " ".join((inspect.getdoc(check.applies) or "").partition("\n\n")[0].split()) if check else ""


def _place(function: Any) -> str:
    return f"{function.__module__}.{function.__name__}"


# A clock


def of_clock(profile: Profile, code: str) -> Explanation:
    """Return the explanation of the clock *code*."""
    rule = profile.clocks[code]
    lines = [
        Line("Starts with", tuple(_started(start.events, start.when, AT[start.at]) for start in rule.starts)),
        Line("Length", tuple(length_in_words(rule.length))),
        Line("Ends with", tuple(_started(end.events, end.when) for end in rule.ends_by)),
        Line("Owed by", (ANSWERABLE[rule.answerable],)),
        Line("Also told of a breach", ("the supervisor of who owes it", *told_of(rule))),
        *moving(rule),
    ]
    return Explanation(
        "clock",
        code,
        sentence_of_clock(rule),
        tuple(lines),
        tuple(citations(rule.basis, profile.laws)),
        rule.unverified,
    )


def told_of(rule: ClockRule) -> Iterator[str]:
    """Yield the agencies that are told of a breach, beside the agency that owes the duty and its supervisor."""
    if rule.told not in ("nobody", "supervisor"):
        yield TOLD[rule.told]


def moving(rule: ClockRule) -> Iterator[Line]:
    """Yield what moves the end of a duty, lifts it, or leaves it standing."""
    if rule.moved_by:
        yield Line("Moved by", (MOVED_BY[rule.moved_by],))
    if rule.waits_for_review:
        yield Line("Waits for", (WAITS_FOR_REVIEW,))
    if rule.unit_consent:
        yield Line("Lifted", (UNIT_CONSENT,))
    if rule.binds is not None:
        yield Line("Binds", tuple(f"`{name}`" for name in rule.binds))
    if rule.outlives:
        yield Line("Goes on", tuple(OUTLIVES[each] for each in rule.outlives))


def sentence_of_clock(rule: ClockRule) -> str:
    """Return a clock in one sentence."""
    starts = " or ".join(dict.fromkeys(name for start in rule.starts for name in start.events))
    return f"From {starts} on, {ANSWERABLE[rule.answerable]} has {' / '.join(length_in_words(rule.length))}."


def _started(events: tuple[str, ...], when: str | None, at: str = "") -> str:
    condition = f", if {CONDITIONS[when]}" if when else ""  # type: ignore[index]
    return f"{', '.join(events)}{condition}{f'; counted from {at}' if at else ''}"


# A type


def of_type(profile: Profile, name: str) -> Explanation:
    """Return the explanation of the event type *name*: who publishes, who is told and who opens which part, and why."""
    row = profile.types[name]
    data = list(versions(name).values())[-1] if (name, 1) in TYPES else None
    parts = data.letter.part_names() if data and data.letter else ()
    lines = [
        Line("Published by", tuple(_group(profile, each) for each in row.by)),
        Line("Told, beside the sender", tuple(f"{term}: {WORDS[term]}" for term in row.sees) or ("nobody",)),
    ]
    opened = [f"{part}: {'; '.join(WORDS[term] for term in openers_of(row, part)) or 'nobody'}" for part in parts]
    lines.append(Line("Opens the letter", tuple(opened) or ("it has no letter",)))
    if row.stops:
        lines.append(Line("Stops something", ("so it reaches agencies too whose consent is refused or withdrawn",)))
    lines += _effects(profile, name)
    if row.refused_as:
        lines.append(Line("Every refusal reads", (row.refused_as,)))
    says = " ".join((versions(name)[1].__doc__ or "").split()) if data else "This release has no such type."
    says = type_sentence(says, profile)
    example = _example(name) if data else None
    return Explanation(
        "type", name, says, tuple(lines), tuple(citations(row.basis, profile.laws)), row.unverified, example
    )


def _group(profile: Profile, name: str) -> str:
    return f"{name}: {', '.join(sorted(profile.expand((name,))))}" if name.isupper() else name


def _effects(profile: Profile, name: str) -> Iterator[Line]:
    moves = [row for row in profile.statuses.transitions if name in row.events]
    if moves:
        yield Line("In the statuses", tuple(transition_in_words(row) for row in moves))
    started = [code for code, rule in profile.clocks.items() if any(name in each.events for each in rule.starts)]
    ended = [code for code, rule in profile.clocks.items() if any(name in each.events for each in rule.ends_by)]
    if started:
        yield Line("Starts the clocks", tuple(started))
    if ended:
        yield Line("Ends the clocks", tuple(ended))
    rules = [rule for rule in profile.refusals if rule in CHECKS and name in (CHECKS[rule].types or ())]
    if rules:
        yield Line("Refused by", tuple(f"{rule} {profile.refusals[rule].code}" for rule in rules))
    yield Line("Kept as", (profile.retention_class(name),))


def _example(name: str) -> dict[str, Any]:
    data = list(versions(name).values())[-1]
    text = documents((data,))[f"nrm.{name}/v{data.version}/minimal.json"]
    found: dict[str, Any] = json.loads(text)
    return found


# Statuses


def transition_in_words(row: Transition) -> str:
    """Return a row of section 2 in words."""
    before = ", ".join(BEFORE_THE_CASE if each == "none" else each for each in row.from_)
    to = {None: "stays", "before": "→ the status before"}.get(row.to, f"→ {row.to}")
    condition = f", if {CONDITIONS[row.when]}" if row.when else ""
    return f"{row.id}: {before} {to}{condition}"


def _of_transition(row: Transition) -> Explanation:
    anchor = row.id.split(", ")[0].lower()
    lines = (Line("Events", row.events),) + ((Line("Only if", (CONDITIONS[row.when],)),) if row.when else ())
    return Explanation(
        "transition", row.id, transition_in_words(row), lines, tuple(citations(f"RULES.md#{anchor}")), unverified=False
    )


def of_status(profile: Profile, status: str) -> Explanation:
    """Return the explanation of *status*: how a case comes there, how it goes on, and what else may be published."""
    rows = profile.statuses.transitions
    into = tuple(f"{', '.join(row.events)}: {transition_in_words(row)}" for row in rows if row.to == status)
    out = tuple(
        f"{', '.join(row.events)}: {transition_in_words(row)}" for row in rows if status in row.from_ and row.to
    )
    stays = tuple(name for row in rows if status in row.from_ and not row.to for name in row.events)
    only = tuple(profile.statuses.only.get(status, ()))  # type: ignore[call-overload]
    lines = [Line("Reached by", into or ("no row",)), Line("Left by", out or ("no row",))]
    lines += [Line("Also possible", stays)] if stays else []
    lines += [Line("Nothing else but", (*only, *profile.statuses.always))] if only else []
    return Explanation(
        "status", status, f"A case is {status}.", tuple(lines), tuple(citations("RULES.md#statuses")), unverified=False
    )


KINDS: Final = ("rule", "clock", "type", "transition", "status")
"""Kinds of things that can be explained."""
