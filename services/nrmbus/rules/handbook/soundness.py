"""Mistakes of a profile that reads, but cannot work: nobody may publish, nobody is told, nobody can end a duty, no text.

Each is found without a history, from the tables alone; what only a history shows is for ``tests/rules``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, get_args
from zoneinfo import ZoneInfoNotFoundError

from pydantic import TypeAdapter, ValidationError, model_validator

from nrmbus.events.access import Emergency
from nrmbus.events.codes import Role, Stage, Tariff
from nrmbus.events.legal_basis import LEGAL_BASIS_LIMIT, is_legal_basis
from nrmbus.events.model import Data, Days
from nrmbus.events.payment import Amount
from nrmbus.events.registry import TYPES, versions
from nrmbus.rules.calendar import countries
from nrmbus.rules.due import MOST_MONTHS
from nrmbus.rules.event_context import STATISTICS
from nrmbus.rules.handbook.citations import citations, unresolved
from nrmbus.rules.handbook.places import Path
from nrmbus.rules.handbook.wording import nearest, quoted
from nrmbus.rules.judge.judge import CHECKS
from nrmbus.rules.judge.parties import RECEIVING
from nrmbus.rules.length import Length
from nrmbus.rules.placed import unknown_places
from nrmbus.rules.profile import DECIDERS, SHELTERS, ClockRule, Profile, Row, matches
from nrmbus.rules.records import Status
from nrmbus.rules.vocabulary import Term
from nrmbus.rules.why import FOR

SERVICES: Final = frozenset({"timekeeper", "registrar", STATISTICS})
"""Roles of the bus's own services, which no group of agencies has."""
DECIDING: Final = frozenset({"special_unit", "social_services"})
"""Roles whose procedure in this release decides whether a person is a victim."""
HOUSING: Final = frozenset({"shelter_state", "ngo_shelter"})
"""Roles whose procedure in this release answers requests for a bed."""
_FIELDS: Final[Mapping[Term, str]] = {
    "to": "to",
    "consent_receiver_knowing": "receivers",
    "consent_receiver_on_case": "receivers",
}
"""Field of the event that a term reads; without the field the term names nobody."""
_UNREAD: Final = "[u]"
MOST_K: Final = 1_000
"""The largest threshold that `stats.period_published` may name."""
_LONGEST_DAYS: Final = 36_525
"""A century: nothing in a mechanism takes longer, and a time beyond the last day there is would never come."""
LONGEST_BASIS: Final = 400
"""Characters of a basis that a registration has room for, as the article of a refusal."""
CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""The codes of a refusal that a registration takes."""
_SCREENING: Final[Stage] = "indicator_screening"
_FEWEST_STAGES: Final = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is, what is wrong, and what to do; a note changes nothing that anybody may do or see."""

    path: Path
    says: str
    do: str
    is_note: bool = False


class Draft(Profile):
    """Profile whose shape is right, and whose names may still lead nowhere, so that all its mistakes can be found at once."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        return self

    def expand(self, names: tuple[str, ...]) -> frozenset[str]:
        """Return the roles that *names* stand for; groups that do not exist or contain themselves add none."""
        found: set[str] = set()
        waiting, seen = list(names), set[str]()
        while waiting:
            name = waiting.pop()
            if not name.isupper():
                found.add(name)
            elif name not in seen:
                seen.add(name)
                waiting += self.roles.get(name, ())
        return frozenset(found)


def problems(profile: Draft) -> Iterator[Problem]:
    """Yield the mistakes of *profile*, table by table."""
    yield from _roles(profile)
    yield from _deciders(profile)
    yield from _shelters(profile)
    for name, row in profile.types.items():
        yield from _type(profile, name, row)
    yield from _without_letter(profile)
    yield from _rules(profile)
    for code, rule in profile.clocks.items():
        yield from _clock(profile, code, rule)
    yield from _statuses(profile)
    yield from _patterns(profile)
    yield from _bases(profile)
    yield from _legal_bases(profile)
    yield from _calendar(profile)
    yield from _numbers(profile)
    yield from _tariffs(profile)


# Roles


def _deciders(profile: Draft) -> Iterator[Problem]:
    here: Path = ("roles", DECIDERS)
    if not profile.roles.get(DECIDERS):
        yield Problem(here, f"{DECIDERS} has no role, so nobody could decide", "name the roles that decide")
    if unable := sorted((profile.expand((DECIDERS,)) & known_roles(profile)) - DECIDING):
        do = f"name {' or '.join(sorted(DECIDING))}, or write the procedure first"
        yield Problem(here, f"no procedure of this release decides as {quoted(unable)}", do)


def _shelters(profile: Draft) -> Iterator[Problem]:
    if unable := sorted((profile.shelters & known_roles(profile)) - HOUSING):
        says = f"no procedure of this release counts the places of {quoted(unable)}: a person answers each request for a bed"
        do = f"name {' or '.join(sorted(HOUSING))} if the desk is to answer"
        yield Problem(("roles", SHELTERS), says, do, is_note=True)


def known_roles(profile: Draft) -> frozenset[str]:
    """Return the roles that *profile* may name: those of its group AGENCIES, of the codes, and of the bus's services."""
    return profile.expand(("AGENCIES",)) | frozenset(get_args(Role)) | SERVICES


def _roles(profile: Draft) -> Iterator[Problem]:
    known = known_roles(profile)
    lists: dict[Path, tuple[str, ...]] = {("roles", name): names for name, names in profile.roles.items()}
    lists |= {("types", name, "by"): row.by for name, row in profile.types.items()}
    for path, names in lists.items():
        for number, name in enumerate(names):
            if name.isupper() and name not in profile.roles:
                yield Problem((*path, number), f"there is no group {name}", nearest(name, profile.roles))
            elif not name.isupper() and name not in known:
                yield Problem((*path, number), f"{name} is no role", nearest(name, known))
            elif path[:2] == ("roles", path[1]) and name.isupper() and path[1] in _groups_below(profile, name):
                yield Problem(
                    (*path, number), f"a cycle of roles: {path[1]} contains itself by {name}", f"remove {name} here"
                )
    for name in profile.referral_parts:
        if name.isupper() and name not in profile.roles:
            yield Problem(("referral_parts", name), f"there is no group {name}", nearest(name, profile.roles))
        elif not name.isupper() and name not in known | {"others"}:
            yield Problem(("referral_parts", name), f"{name} is no role", nearest(name, known))
    for group, names in profile.roles.items():
        if not names:
            yield Problem(
                ("roles", group), f"{group} has no role", "name a role, or remove the group and every use of it"
            )


def _groups_below(profile: Draft, name: str) -> frozenset[str]:
    """Return *name* and every group inside it."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        group = waiting.pop()
        if group not in found:
            found.add(group)
            waiting += [each for each in profile.roles.get(group, ()) if each.isupper()]
    return frozenset(found)


# Types


def _type(profile: Draft, name: str, row: Row) -> Iterator[Problem]:
    here: Path = ("types", name)
    data = TYPES.get((name, 1))
    if data is None:
        types = {each for each, _ in TYPES}
        yield Problem(
            here, f"{name} is no published type", f"{nearest(name, types)}; nrmbus schema list shows all types"
        )
        return
    if row.refused_as is not None and row.refused_as not in profile.refusals:
        yield Problem(
            (*here, "refused_as"), f"there is no rule {row.refused_as}", nearest(row.refused_as, profile.refusals)
        )
    if not profile.expand(row.by) and not row.by:
        yield Problem((*here, "by"), f"nobody may publish {name}", "name a role, or remove the row")
    told = _roles_of_terms(profile, row.sees)
    for number, term in enumerate(row.sees):
        roles = roles_of(profile, term)
        empty = any(not profile.roles.get(each, "x") for each in FOR.get(term, ()))
        if roles is not None and not _hearing(profile, data, roles) and not empty:
            yield Problem(
                (*here, "sees", number),
                f"no role can receive {name} as {term}",
                f"give {' or '.join(FOR[term])} a role that may receive, or remove the word",
            )
        elif _FIELDS.get(term) not in (None, *data.model_fields):
            yield Problem(
                (*here, "sees", number),
                f"no role can receive {name} as {term}, because the type has no field {_FIELDS[term]}",
                "choose another word",
            )
    for part, terms in row.opens.items():
        where = (*here, "opens", part)
        if data.letter is None:
            continue
        if part not in ("all", "rest", *data.letter.part_names()):
            yield Problem(
                where, f"the letter of {name} has no part {part}", f"write one of {quoted(data.letter.part_names())}"
            )
        roles = _roles_of_terms(profile, terms)
        if not row.sees or (told is not None and roles is not None and not told & roles):
            yield Problem(
                where,
                f"nobody who receives {name} may open this part",
                "add who opens the part to `sees`, or open it for a recipient",
            )


def _without_letter(profile: Draft) -> Iterator[Problem]:
    found = [
        name
        for name, row in profile.types.items()
        if row.opens and not any(each.letter for each in versions(name).values())
    ]
    if found:
        says = f"{len(found)} types have no letter, and their rows say who opens it: {quoted(found, 99)}"
        yield Problem(
            ("types", found[0], "opens"),
            says,
            "remove `opens` there, unless a later version brings a letter",
            is_note=True,
        )


def roles_of(profile: Draft, term: Term) -> frozenset[str] | None:
    """Return the roles that *term* can name; None if it names agencies by their acts, whatever their role."""
    return profile.expand(FOR[term]) if term in FOR else None


def _roles_of_terms(profile: Draft, terms: Iterable[Term]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for term in terms:
        roles = roles_of(profile, term)
        if roles is None:
            return None
        found |= roles
    return found


def _deaf(profile: Draft) -> frozenset[str]:
    return profile.expand(("NEVER_RECIPIENTS",))


def _hearing(profile: Draft, data: type[Data], roles: frozenset[str]) -> frozenset[str]:
    """Return which of *roles* may receive *data*; what is about no case may reach roles that are told of no person."""
    return roles & profile.expand(("EVERYBODY",)) if data.keyed_by == "agency" else roles - _deaf(profile)


# Rules


def _rules(profile: Draft) -> Iterator[Problem]:
    for rule, cited in profile.refusals.items():
        if rule not in CHECKS:
            yield Problem(
                ("refusals", rule),
                f"{rule} is an unknown rule: no function judges it",
                f"{nearest(rule, CHECKS)}, or write its function first",
            )
        if "; " not in cited.says:
            yield Problem(
                ("refusals", rule, "says"),
                "the sentence does not say what to do",
                "write what happened, a semicolon, and then what to do",
            )
        if not CODE.fullmatch(cited.code):
            yield Problem(
                ("refusals", rule, "code"),
                "no registration could carry this code",
                "write at most 64 small letters and underscores, a letter first",
            )
        for place in unknown_places(cited.says, profile):
            yield Problem(
                ("refusals", rule, "says"),
                f"the sentence has {place}, which stands for nothing",
                "write {decider} for the roles that decide, or {D-REFER} for the length of a clock of this profile",
            )


# Clocks


def answerable_roles(profile: Draft, rule: ClockRule) -> frozenset[str]:
    """Return the roles that can come to owe the duty of *rule*."""
    starts = [name for start in rule.starts for name in start.events]
    unit = profile.expand((DECIDERS,))
    if rule.answerable in ("unit", "units_in_to"):
        return unit
    if rule.answerable == "guardianship":
        return profile.expand(("guardianship",))
    if rule.answerable == "referring":
        return _publishers(profile, "referral.submitted")
    if rule.answerable == "decider":
        return unit | {"court"}
    if rule.answerable == "source":
        left_out = unit if all(start.when == "not_by_unit" for start in rule.starts) else frozenset()
        return frozenset(role for name in starts for role in _publishers(profile, name)) - left_out
    if rule.answerable in ("to", "others_in_to"):
        roles = frozenset(role for name in starts for role in _receiving(profile, name)) - _deaf(profile)
        return roles - unit if rule.answerable == "others_in_to" else roles
    told = {STATISTICS} if any(_tells_statistics(profile, name) for name in starts) else set()
    return (known_roles(profile) - _deaf(profile) - SERVICES) | told


def _tells_statistics(profile: Draft, name: str) -> bool:
    return name in profile.types and "statistics_with_facts" in profile.types[name].sees


def _publishers(profile: Draft, name: str) -> frozenset[str]:
    return profile.expand(profile.types[name].by) if name in profile.types else frozenset()


def _receiving(profile: Draft, name: str) -> frozenset[str]:
    return profile.expand((RECEIVING.get(name, "RECEIVERS"),))


def _clock(profile: Draft, code: str, rule: ClockRule) -> Iterator[Problem]:
    here: Path = ("clocks", code)
    for number, start in enumerate(rule.starts):
        yield from _unknown_types(profile, (*here, "starts", number, "events"), start.events)
    for number, end in enumerate(rule.ends_by):
        yield from _unknown_types(profile, (*here, "ends_by", number, "events"), end.events)
    if not any(start.events for start in rule.starts):
        yield Problem((*here, "starts"), f"nothing starts {code}", "name the events that start it")
    ends = [name for end in rule.ends_by for name in end.events]
    if not ends:
        yield Problem(
            (*here, "ends_by"),
            f"{code} is a clock without an end",
            "name an event that the agency in charge can publish",
        )
        return
    publishers = frozenset(role for name in ends for role in _publishers(profile, name))
    unable = sorted(answerable_roles(profile, rule) - publishers)
    if unable:
        yield Problem(
            (*here, "answerable"),
            f"{code} can be owed by {quoted(unable)}, which may publish none of its ends",
            "add an end that they may publish, or change who is answerable",
        )
    yield from _length(code, rule.length)


def _length(code: str, length: Length) -> Iterator[Problem]:
    here, units = ("clocks", code, "length"), "hours, days, working_days, event_days or by_urgency"
    by_urgency = length.by_urgency
    if by_urgency is not None and "normal" not in by_urgency:
        yield Problem(here, f"{code} has no length for `normal`", "add `normal`")
    for each in (length, *(by_urgency.values() if by_urgency else ())):
        said = [value for value in (each.hours, each.days, each.working_days, each.event_days) if value is not None]
        count = len(said) + (each.by_urgency is not None)
        if count == 0:
            yield Problem(here, f"{code} has no length", f"write {units}")
        elif count > 1 or (each.by_urgency is not None and each is not length):
            yield Problem(here, f"{code} has two lengths", f"write one of {units}")
        elif max(said, default=0) > (_LONGEST_DAYS * 24 if each.hours else _LONGEST_DAYS):
            yield Problem(here, f"{code} takes longer than a century", "write a shorter time")


# Statuses


def _unknown_types(profile: Draft, path: Path, names: Iterable[str]) -> Iterator[Problem]:
    for number, name in enumerate(names):
        if name not in profile.types:
            yield Problem((*path, number), f"there is no type {name}", nearest(name, profile.types))


def _patterns(profile: Draft) -> Iterator[Problem]:
    lists: dict[Path, tuple[str, ...]] = {("statuses", "always"): profile.statuses.always}
    lists |= {("statuses", "only", status): only for status, only in profile.statuses.only.items()}
    lists |= {("retention", "classes", name, "types"): row.types for name, row in profile.retention.classes.items()}
    for path, patterns in lists.items():
        for number, pattern in enumerate(patterns):
            if not any(matches(name, pattern) for name in profile.types):
                yield Problem(
                    (*path, number), f"no type matches the pattern {pattern}", nearest(pattern, profile.types)
                )
    classed = [pattern for row in profile.retention.classes.values() for pattern in row.types]
    for name in profile.types:
        if not any(matches(name, pattern) for pattern in classed):
            yield Problem(("types", name), f"{name} has no class of retention", "name the type in `retention.classes`")
    for number, reason in enumerate(profile.emergency.at_once):
        if reason not in get_args(Emergency):
            yield Problem(
                ("emergency", "at_once", number), f"{reason} is no emergency", nearest(reason, get_args(Emergency))
            )
    for reason in profile.emergency.parts:
        if reason not in get_args(Emergency):
            yield Problem(
                ("emergency", "parts", reason), f"{reason} is no emergency", nearest(reason, get_args(Emergency))
            )


def _statuses(profile: Draft) -> Iterator[Problem]:
    yield from _stages(profile)
    rows = profile.statuses.transitions
    leads: dict[str, set[str]] = {"none": set()}
    for row in rows:
        if row.to is not None and row.to != "before":
            for status in row.from_:
                leads.setdefault(status, set()).add(row.to)
    reached = _reached(leads, "none")
    named: dict[str, Path] = {}
    for number, row in enumerate(rows):
        yield from _unknown_types(profile, ("statuses", "transitions", number, "events"), row.events)
        if not row.from_:
            yield Problem(
                ("statuses", "transitions", number), f"the row {row.id} comes from no status", "name a status"
            )
        for place, status in enumerate(row.from_):
            named.setdefault(status, ("statuses", "transitions", number, "from", place))
    for status in get_args(Status):
        if status in named and status not in reached:
            yield Problem(
                named[status], f"no row leads to {status}", "add a row that leads there, or remove the status"
            )
        elif status in reached and status != "CLOSED" and "CLOSED" not in _reached(leads, status):
            path = named.get(status, ("statuses", "transitions"))
            yield Problem(path, f"a case that is {status} can never be closed", "add it to the row of `case.closed`")


def _stages(profile: Draft) -> Iterator[Problem]:
    here: Path = ("statuses", "stages")
    stages, known = profile.statuses.stages, get_args(Stage)
    for number, stage in enumerate(stages):
        if stage not in known:
            yield Problem((*here, number), f"{stage} is no stage", nearest(stage, known))
    if len(stages) < _FEWEST_STAGES:
        yield Problem(here, "no interview could be held, because the first stage has none", "name a second stage")
    if _SCREENING not in stages:
        yield Problem(here, f"without {_SCREENING} no status could be decided", f"name {_SCREENING} among the stages")


def _reached(leads: Mapping[str, set[str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for status in leads.get(waiting.pop(), set()) - found:
            found.add(status)
            waiting.append(status)
    return found


# Bases, calendar, tariffs


def cited_values(value: Any, path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each table below *value* (JSON types) that has a basis, with its path."""
    if isinstance(value, Mapping):
        if isinstance(value.get("basis"), str):
            yield path, value
        for name, below in value.items():
            yield from cited_values(below, (*path, name))
    elif isinstance(value, list | tuple):
        for number, below in enumerate(value):
            yield from cited_values(below, (*path, number))


def _bases(profile: Draft) -> Iterator[Problem]:
    for path, cited in cited_values(profile.model_dump(mode="json", by_alias=True)):
        where, basis = (*path, "basis"), cited["basis"]
        if len(basis) > LONGEST_BASIS:
            says = f"no registration could carry this basis, which has more than {LONGEST_BASIS} characters"
            yield Problem(where, says, "name fewer laws, or give a law a shorter name in the table `laws`")
        for part in unresolved(basis, profile.laws):
            yield Problem(
                where,
                f"the basis {part!r} does not resolve",
                "cite an article of a law in the table `laws` of the profile, of one in the table Laws of RULES.md with its source, or a place there: RULES.md#…",
            )
        if _UNREAD in basis and not cited.get("unverified"):
            yield Problem(where, f"the basis has {_UNREAD}, and the value is not marked", "add `unverified: true`")
        if _UNREAD not in basis and cited.get("unverified"):
            yield Problem(
                where,
                "the value is marked unverified, and its basis does not say so",
                f"add {_UNREAD}, or remove the mark",
            )


def _legal_bases(profile: Draft) -> Iterator[Problem]:
    """Yield the laws behind types of event that no event could name as its legal basis: a desk proposes them."""
    seen: set[str] = set()
    for name, row in profile.types.items():
        law = next((each.text for each in citations(row.basis) if each.anchor is None), None)
        if law is not None and not is_legal_basis(law) and law not in seen:
            seen.add(law)
            yield Problem(
                ("types", name, "basis"),
                f"no event can name {law!r}: a legal basis has a digit, Latin letters without accents, no telephone number, and at most {LEGAL_BASIS_LIMIT} characters",
                "cite the law as events can name it, such as CoM 21/2008 art. 7; its title in `laws` may have any letters",
            )


def _numbers(profile: Draft) -> Iterator[Problem]:
    """Yield numbers that read and cannot be meant."""
    periods, kept, emergency = profile.periods, profile.retention, profile.emergency
    months = periods.follow_up_months
    lasting = {"stay_days": periods.stay_days, "recovery_days": periods.recovery_days}
    for name, number in lasting.items():
        if number is not None and not _fits(Days, number):
            yield Problem(("periods", name), "no event could carry so many days", "write at most 3660")
    days: dict[Path, int | None] = {
        ("retention", "letter_days"): kept.letter_days, ("retention", "objection_days"): kept.objection_days,
        ("retention", "hold_days"): kept.hold_days,
    }  # fmt: skip
    hours: dict[Path, int] = {
        ("periods", "bed_offer_hours"): periods.bed_offer_hours,
        ("periods", "activation_notice_hours"): periods.activation_notice_hours,
        ("emergency", "answer_hours"): emergency.answer_hours,
    }
    minutes: dict[Path, int] = {
        ("periods", "silent_minutes"): periods.silent_minutes, ("emergency", "object_minutes"): emergency.object_minutes,
    }  # fmt: skip
    for numbers, a_day in ((days, 1), (hours, 24), (minutes, 1440)):
        for path, number in numbers.items():
            if (number or 0) > _LONGEST_DAYS * a_day:
                yield Problem(path, "this is longer than a century", "write a shorter time")
    if max(months, default=0) > MOST_MONTHS:
        says = f"no follow-up can be more than {MOST_MONTHS} months after the closing"
        yield Problem(("periods", "follow_up_months"), says, "leave the later months out")
    if list(months) != sorted(set(months)):
        yield Problem(
            ("periods", "follow_up_months"), "the months are not in order, or twice", "write each once, in order"
        )
    if profile.k > MOST_K:
        yield Problem(("k",), f"no figures could be released with a threshold above {MOST_K}", "write a smaller number")
    if not any(row.opening for row in profile.types.values()):
        yield Problem(("types",), "no type begins a case", "mark one with `opening: true`")


def _calendar(profile: Draft) -> Iterator[Problem]:
    if not set(range(7)) - set(profile.calendar.weekend):
        yield Problem(
            ("calendar", "weekend"),
            "no day of the week is worked, so no time in working days ever ends",
            "leave a day out",
        )
    try:
        _ = profile.zone
    except ZoneInfoNotFoundError:
        yield Problem(("timezone",), "this is no time zone", "write one of the IANA names, such as Asia/Baku")
        return
    country = profile.calendar.country
    if country is not None and country not in countries():
        yield Problem(
            ("calendar", "country"),
            f"this release has no holidays of {country}, but of {', '.join(sorted(countries()))}",
            f"leave `country` out, and write the holidays as `days_off`: nrmbus rules holidays {country} prints them for any country of ISO 3166",
        )


def _fits(type_: Any, value: Any) -> bool:
    """Return whether a field of *type_* in an event can have *value*."""
    try:
        TypeAdapter(type_).validate_python(value)
    except ValidationError:
        return False
    return True


def _tariffs(profile: Draft) -> Iterator[Problem]:
    for number, tariff in enumerate(profile.allowance.tariffs):
        here: Path = ("allowance", "tariffs", number)
        if not _fits(Tariff, tariff.tariff):
            yield Problem(
                (*here, "tariff"),
                "no order of a payment could carry this name",
                "write the two small letters of the country, a hyphen and the year, such as az-2024",
            )
        if not _fits(Amount, {"value": tariff.value, "currency": tariff.currency}):
            yield Problem(
                (*here, "value"),
                "no order of a payment could carry this sum",
                "write at most nine digits, no zero before them, a point and two digits",
            )
    days = [tariff.valid_from for tariff in profile.allowance.tariffs]
    for number, day in enumerate(days):
        if day in days[:number]:
            yield Problem(
                ("allowance", "tariffs", number, "valid_from"), f"two tariffs begin on {day}", "keep one of them"
            )
