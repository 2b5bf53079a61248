"""Fields of a form as components of a page: labels and codes in words, what was typed, and what is wrong with it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, get_args

from nrmbus.desk.web.acts.form import DATA, SEALED, Field, Form, Values, one, rows_of, several
from nrmbus.desk.web.acts.guide_questions import COUNTS, INDICATORS
from nrmbus.desk.web.called import SERVICES
from nrmbus.events.codes import Role
from nrmbus.events.errors import Problem
from nrmbus.web.lists import family_of
from nrmbus.web.names import Kind, named, proposed
from nrmbus.web.words import Words

Option = tuple[str, str]
"""Value and words of one choice."""

_FEW: Final = 8
"""Most choices that are shown as radio buttons; more are a list to open."""
_WIDTHS: Final = {"number": "govuk-input--width-5", "agency": "govuk-input--width-20", "case": "govuk-input--width-30"}
_KNOWN_AS: Final[Mapping[Kind, str]] = {"language": "rus", "country": "UA", "region": "AZ-BA"}
"""Code that a sentence takes as its example."""
_INDICATORS: Final = ".indicators"
"""End of the name of a field with codes of indicators."""
_DUTY: Final = f"{DATA}.rule"
"""Name of the field with a duty, by its clock."""
_LISTS: Final[Mapping[str, str]] = {
    "ILO-AL": "adult_labour", "ILO-AS": "adult_sexual", "ILO-CL": "child_labour", "ILO-CS": "child_sexual",
}  # fmt: skip
"""Beginning of a code, and the list of the ILO that it is of."""
_ROLES: Final = frozenset(get_args(Role))
_OFF: Final = {"autocomplete": "off", "spellcheck": "false"}
"""A browser keeps nothing of what is typed about a person, and no spelling service reads it."""
_BIRTH: Final = "/sealed/birth_date"
"""Day that lies far back; every other day that a form asks for is still to come."""
_ARTICLE: Final = re.compile(r" (?:art|s)\. .*")
_COUNTRY: Final = re.compile(r"^[A-Z]{2} ")
_OWN_NUMBERS: Final = frozenset({"/data/receipt_no", "/data/representative"})
"""Fields with a number that the agency gives: a person or a telephone must not be found by it."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen for fields that name agencies, earlier events or duties."""

    agencies: Callable[[Field], list[Option]]
    roles: Callable[[], list[Option]]
    events: Callable[[Field], list[Option]]
    duties: Callable[[], list[Option]]
    country: str = ""
    """Country of the profile, whose regions are proposed."""


@dataclass(frozen=True, slots=True)
class Block:
    """One component of a page, with its parameters; a group has blocks of its own."""

    component: str
    params: dict[str, Any] = field(default_factory=dict)
    blocks: "tuple[Block, ...]" = ()


class Shown:
    """Fields of one form in one language."""

    def __init__(
        self, t: Words, typed: Values, errors: Mapping[str, str], choices: Choices, *, few: int = _FEW
    ) -> None:
        """Show what was *typed*, and at each pointer what is wrong with it; more than *few* choices are a list to open."""
        self._t, self._typed, self._errors, self._choices, self._few = t, typed, errors, choices, few

    def blocks(self, fields: Iterable[Field]) -> tuple[Block, ...]:
        """Return the components of *fields*, in their order, without those that nobody fills in."""
        return tuple(found for each in fields if (found := self._block(each)) is not None)

    def _block(self, of: Field) -> Block | None:
        match of.kind:
            case "choice":
                found = self._codes(of)
                return self._radios(of, found) if len(found) <= self._few else self._select(of, found)
            case "yes_no":
                return self._radios(of, [("yes", self._t("Yes")), ("no", self._t("No"))], inline=True)
            case "choices":
                return self._checkboxes(of, self._codes(of))
            case "agencies" | "agencies_or_roles":
                roles = self._choices.roles() if of.kind == "agencies_or_roles" else []
                return self._folded(of, self._checkboxes(of, [*roles, *self._choices.agencies(of)]))
            case "agency" | "text" if of.kind == "agency" or of.name == _DUTY:
                return self._select(of, self._choices.duties() if of.name == _DUTY else self._choices.agencies(of))
            case "events":
                return self._checkboxes(of, self._choices.events(of))
            case "event":
                known = self._choices.events(of)
                return self._select(of, known) if known or of.is_required else None
            case "day" | "time":
                return self._day(of)
            case "money" | "object":
                hint = {"hint": hint_of(self._t, of)} if of.pointer in COUNTS else {}
                legend = {"legend": label_of(self._t, of), **hint, **self._wrong(of)}
                return Block("group", legend, self.blocks(of.fields))
            case "objects":
                return self._rows(of)
            case "words" if of.name.endswith(_INDICATORS):
                return self._checklists(of)
        return self._text(of)

    def _checklists(self, of: Field) -> Block:
        """Show the indicators of each of the ILO's lists as boxes to tick, and a field for codes of other lists."""
        typed, known = several(of, self._typed) or [], list[str]()
        blocks = []
        for prefix, name in _LISTS.items():
            codes = [f"{prefix}-{code}" for dimension in INDICATORS.values() for code in dimension]
            known += codes
            items = [{"value": code, "text": _known(self._t, of, code), "checked": code in typed} for code in codes]
            title = self._t.capital(self._t.code(family_of("IndicatorList"), name))
            legend = {"legend": {"text": title, "classes": "govuk-visually-hidden"}}
            boxes = {"name": of.name, "idPrefix": f"{id_of(of.name)}-{name}", "fieldset": legend, "items": items}
            inner = Block("checkboxes", {**boxes, "classes": "govuk-checkboxes--small"})
            blocks.append(Block("folded", {"text": title, "is_open": any(each in codes for each in typed)}, (inner,)))
        others = ", ".join(each for each in typed if each not in known)
        text = self._text(of)
        label = {"text": self._t("Codes of another list (optional)"), "classes": "govuk-label--s"}
        blocks.append(Block("input", {**text.params, "label": label, "value": others}))
        return Block("group", {"legend": label_of(self._t, of)}, tuple(blocks))

    def _codes(self, of: Field) -> list[Option]:
        codes = of.codes
        if (
            of.list == "Attendee"
        ):  # the list has every role first; services of the bus are none that sit at an interview
            by_person = sorted(codes, key=lambda code: code in _ROLES)
            codes = tuple(code for code in by_person if code not in SERVICES)
        return [(code, word(self._t, of, code)) for code in codes]

    def _named(self, of: Field) -> dict[str, Any]:
        hint = hint_of(self._t, of)
        return {
            "name": of.name,
            "idPrefix": id_of(of.name),
            **self._wrong(of),
            **({"hint": {"text": hint}} if hint else {}),
        }

    def _wrong(self, of: Field) -> dict[str, Any]:
        error = self._errors.get(of.pointer)
        return {"errorMessage": {"text": error, "visuallyHiddenText": self._t("Error")}} if error else {}

    def _legend(self, of: Field) -> dict[str, Any]:
        return {"legend": {"text": label_of(self._t, of), "classes": "govuk-fieldset__legend--s"}}

    def _radios(self, of: Field, options: list[Option], *, inline: bool = False) -> Block:
        chosen = one(self._typed, of.name)
        items = [{"value": value, "text": text, "checked": value == chosen} for value, text in options]
        classes = "govuk-radios--small" + (" govuk-radios--inline" if inline else "")
        return Block("radios", {**self._named(of), "fieldset": self._legend(of), "classes": classes, "items": items})

    def _checkboxes(self, of: Field, options: list[Option]) -> Block | None:
        """Return a box for each of *options*; None if there are none, and nobody has to choose."""
        chosen = self._typed.get(of.name, ())
        items = [{"value": value, "text": text, "checked": value in chosen} for value, text in options]
        if not items:
            return Block("nothing", {"text": label_of(self._t, of), "id": id_of(of.name)}) if of.is_required else None
        many = " nrm-two" if len(items) > _FEW else ""
        small = {"fieldset": self._legend(of), "classes": f"govuk-checkboxes--small{many}", "items": items}
        return Block("checkboxes", {**self._named(of), **small})

    def _folded(self, of: Field, block: Block | None) -> Block | None:
        """Return *block*, folded if nobody needs to choose there and nobody has."""
        if block is None or of.is_required or not of.pointer.startswith(f"/{DATA}/"):
            return block
        is_open = bool(self._typed.get(of.name)) or of.pointer in self._errors
        return Block("folded", {"text": label_of(self._t, of), "is_open": is_open}, (block,))

    def _select(self, of: Field, options: list[Option]) -> Block:
        chosen = one(self._typed, of.name)
        first = {"value": "", "text": self._t("Choose")}
        items = [first, *({"value": value, "text": text, "selected": value == chosen} for value, text in options)]
        return Block("select", {**self._named(of), "id": id_of(of.name), "label": self._label(of), "items": items})

    def _label(self, of: Field) -> dict[str, Any]:
        return {"text": label_of(self._t, of), "classes": "govuk-label--s"}

    def _text(self, of: Field) -> Block:
        params = {**self._named(of), "id": id_of(of.name), "label": self._label(of), "value": self._as_typed(of.name)}
        params |= {"autocomplete": "off", "spellcheck": False, "classes": _WIDTHS.get(of.kind, "")}
        if of.kind == "number":
            params |= {"inputmode": "numeric"}
        if of.lookup and of.kind == "text":
            known, codes = f"{params['id']}-known", proposed(self._t, of.lookup, self._choices.country)
            return Block("input", {**params, "attributes": {"list": known}, "known": known, "proposed": codes})
        if of.kind == "long_text":
            return Block("textarea", {**params, "rows": 6})
        return Block("input", params)

    def _as_typed(self, name: str) -> str:
        return next(iter(self._typed.get(name, ())), "")

    def _day(self, of: Field) -> Block:
        words = {"day": self._t("Day"), "month": self._t("Month"), "year": self._t("Year"), "clock": self._t("Time")}
        wrong = " govuk-input--error" if of.pointer in self._errors else ""
        items = [
            {
                "name": f"{of.name}.{part}", "id": id_of(f"{of.name}.{part}"), "label": text, "attributes": _OFF,
                "value": self._as_typed(f"{of.name}.{part}"),
                "classes": f"govuk-input--width-{4 if part in {'year', 'clock'} else 2}{wrong}",
                **({"inputmode": "text"} if part == "clock" else {}),
            }
            for part, text in words.items() if of.kind == "time" or part != "clock"
        ]  # fmt: skip
        return Block("date", {**self._named(of), "id": id_of(of.name), "fieldset": self._legend(of), "items": items})

    def _rows(self, of: Field) -> Block:
        """Show a list of objects: boxes to tick, if each is one code with more about it, else a row for each and an empty one."""
        key = of.fields[0]
        if key.kind == "choice" and key.is_required:
            return self._ticked(of, key)
        rows = rows_of(of, self._typed)
        shown = [*rows, max(rows, default=-1) + 1]
        inner = tuple(
            Block("group", {"legend": f"{number}."}, self.blocks(of.in_row(row).fields))
            for number, row in enumerate(shown, 1)
        )
        return Block("rows", {"legend": label_of(self._t, of), "add": of.name, **self._wrong(of)}, inner)

    def _ticked(self, of: Field, key: Field) -> Block:
        key_of = {one(self._typed, of.in_row(row).fields[0].name): row for row in rows_of(of, self._typed)}
        items = []
        for number, code in enumerate(key.codes):
            there, row = key_of.get(code), of.in_row(number)
            moved = dict(self._typed)
            if there is not None and there != number:
                for here, before in zip(row.fields, of.in_row(there).fields, strict=True):
                    moved[here.name] = self._typed.get(before.name, ())
            elif there is None:
                moved |= {each.name: () for each in row.fields}
            more = Shown(self._t, moved, self._errors, self._choices, few=0).blocks(row.fields[1:])
            items.append(
                {"name": row.fields[0].name, "id": id_of(row.fields[0].name), "value": code, "more": more,
                 "text": word(self._t, key, code), "checked": there is not None}
            )  # fmt: skip
        named = {**self._named(of), "fieldset": self._legend(of), "classes": "govuk-checkboxes--small"}
        return Block("ticked", {**named, "items": items})


def id_of(name: str) -> str:
    """Return the id of the element with the field *name*."""
    return name.replace(".", "-")


def _label(t: Words, of: Field) -> tuple[str, str]:
    text, _, hint = t.label(of.label).partition("; ")
    return t.capital(text), t.capital(hint)


def label_of(t: Words, of: Field, *, bare: bool = False) -> str:
    """Return the words before a field; those of an optional one say that it is, unless *bare*."""
    text = _label(t, of)[0]
    is_owed_at_times = of.label.partition("; ")[2].startswith("owed")
    is_plain = of.is_required or bare or is_owed_at_times or of.kind == "choices"  # nobody has to tick a box
    return text if is_plain else t("{label} (optional)", label=text)


def hint_of(t: Words, of: Field) -> str:
    """Return the second half of a label, and how a value is written."""
    found = [_label(t, of)[1]]
    if of.kind == "day":
        found.append(t("For example, 27 3 1996") if of.pointer == _BIRTH else t("For example, 31 12 2027"))
    elif of.kind == "time":
        found.append(t("For example, 27 3 2026 and 14:30. If you leave it out, it is now."))
    elif of.kind == "number" and of.most is not None:
        found.append(t("A number from {least} to {most}", least=of.least or 0, most=of.most))
    elif of.kind in {"choices", "agencies", "agencies_or_roles", "events"}:
        found.append(t("Choose all that apply"))
    elif of.kind == "words":
        if of.pointer == "/data/acts" and (acts := _acts(t)):
            found.append(t("For example, {acts}", acts=acts))
        found.append(t("Put a comma between them"))
    elif of.pointer in COUNTS:
        found.append(t("If you leave it out, the indicators that you tick are counted"))
    elif of.pointer in _OWN_NUMBERS:
        found.append(t("A number of your own register, with a digit: no name and no telephone number"))
    elif of.kind == "case":
        found.append(t("The reference of the case: 32 letters and digits"))
    return ". ".join(each for each in found if each)


def _acts(t: Words) -> str:
    """Return two acts that the profile cites, as an activation names them: without an article or the letters of a country."""
    names = (_COUNTRY.sub("", _ARTICLE.sub("", each)) for each in t.laws)
    return ", ".join(list(dict.fromkeys(names))[:2])


def word(t: Words, of: Field, code: str) -> str:
    """Return the words of *code* of the field's list, with a capital letter."""
    return t.capital(t.code(family_of(of.list), code))


# -- what is wrong -------------------------------------------------------------------------------------------------------


def place_of(form: Form, typed: Values, problem: Problem) -> tuple[Field | None, str]:
    """Return the field of *problem* and the pointer at which its page shows it; no field if no page has one."""
    found = form.field_at(problem.pointer)
    if found is None:
        return None, problem.pointer
    outer = next(each for each in form.fields if (problem.pointer + "/").startswith(each.pointer + "/"))
    if outer.kind == "objects":
        key, rows = outer.fields[0], rows_of(outer, typed)
        if key.kind == "choice" and key.is_required:
            return outer, outer.pointer
        number, _, inner = problem.pointer[len(outer.pointer) + 1 :].partition("/")
        if number.isdecimal() and int(number) < len(rows):
            return found, "/".join(each for each in (f"{outer.pointer}/{rows[int(number)]}", inner) if each)
    return found, found.pointer


def sentence(t: Words, of: Field, problem: Problem) -> str:
    """Return what is wrong with the field and what to do, without what was typed."""
    label = label_of(t, of, bare=True)
    chosen = of.kind in {
        "choice",
        "choices",
        "yes_no",
        "agency",
        "agencies",
        "agencies_or_roles",
        "event",
        "events",
        "objects",
    }
    match problem.kind:
        case "missing" | "too_short" | "string_too_short":
            return t("Choose: {label}", label=label) if chosen else t("Fill in: {label}", label=label)
        case "string_too_long" | "too_long":
            return t("{label}: this is too long", label=label)
        case "greater_than_equal" | "less_than_equal":
            return t("{label}: give a number from {least} to {most}", label=label, least=of.least or 0, most=of.most)
        case "int_type" | "int_parsing":
            return t("{label}: give a whole number", label=label)
        case "unknown_recipient":
            return t("{label}: there is no such agency on the bus", label=label)
        case "time_in_future":
            return t(
                "{label}: this lies in the future. Give the day and time when it happened, or leave it empty",
                label=label,
            )
    return _of_form(t, of, label)


def _of_form(t: Words, of: Field, label: str) -> str:
    """Return how a value of the field is written, since the typed one has another form."""
    if of.kind == "day":
        return t("{label}: give a day of the calendar, such as 27 3 1996", label=label)
    if of.kind == "time":
        return t("{label}: give a day and a time, such as 27 3 2026 and 14:30", label=label)
    if of.kind == "money":
        return t("{label}: give a sum, such as 700.00", label=label)
    if of.pointer == "/legal_basis":
        if not t.laws:
            return t("{label}: name act and article in Latin letters, with a digit", label=label)
        return t(
            "{label}: name act and article in Latin letters, with a digit, such as {law}", label=label, law=t.laws[0]
        )
    if of.lookup is not None:
        example = named(t, of.lookup, _KNOWN_AS[of.lookup])
        return t(
            "{label}: this is not known. Choose a name from the list, or give a name or a code such as {example}",
            label=label, example=example,
        )  # fmt: skip
    return t("{label}: look at this again, it does not have the right form", label=label)


# -- answers in words ------------------------------------------------------------------------------------------------------


def answers(
    t: Words, fields: Iterable[Field], request: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[tuple[Field, str]]:
    """Yield each of *fields* that *request* answers, with the answer in words; *names* are those of earlier events."""
    for each in fields:
        root, _, name = each.pointer[1:].partition("/")
        value = request.get(root, {}).get(name) if name else request.get(root)
        if value is not None:
            yield each, _said(t, each, value, names)


def _said(t: Words, of: Field, value: Any, names: Mapping[str, str]) -> str:
    match of.kind:
        case "yes_no":
            return t("Yes") if value else t("No")
        case "choice":
            return word(t, of, value)
        case "choices":
            return "\n".join(word(t, of, each) for each in value) or t("None")
        case "agencies" | "agencies_or_roles" | "events":
            return "\n".join(names.get(each, each) for each in value)
        case "agency" | "event":
            return names.get(value, value)
        case "object" | "money":
            return _object(t, of, value, names)
        case "objects":
            return "\n".join(_object(t, of, each, names) for each in value) or t("None")
        case "day" | "time":
            return _moment(t, value)
        case "words":
            said = [_known(t, of, str(each)) for each in value]
            return ("\n" if said != list(value) else ", ").join(said)
    return _known(t, of, str(value))


def _known(t: Words, of: Field, value: str) -> str:
    """Return what has a name (a language, a country, a region, an indicator or a clock) in words; any other *value* as it is."""
    if of.lookup is not None:
        return named(t, of.lookup, value)
    if value.startswith("D-") and (clock := t.meaning("clock", value)):
        return t.capital(clock)
    indicator = t.meaning("indicator", "-".join(value.split("-")[-2:])) if value.startswith("ILO-") else ""
    return f"{indicator} ({value})" if indicator else value


def _object(t: Words, of: Field, value: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if of.kind == "money":
        return " ".join(str(each) for each in value.values())
    said = {each.pointer.rpartition("/")[2]: each for each in of.fields}
    found = [
        t("{label}: {answer}", label=label_of(t, said[name], bare=True), answer=each)
        if said[name].kind == "number"
        else _said(t, said[name], each, names)
        for name, each in value.items() if name in said
    ]  # fmt: skip
    return ", ".join(found)


def _moment(t: Words, value: str) -> str:
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return value
    return t.moment(read) if "T" in value else t.day(read.date())


def is_letter(of: Field) -> bool:
    """Return whether the field lies in the letter."""
    return of.pointer.startswith(f"/{SEALED}/")
