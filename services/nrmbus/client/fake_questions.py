"""Questions to the fake desk: which routes it has, with which parameters, and which rows of a list are asked for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args

import httpx

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import forms
from nrmbus.events.access import AccessPurpose
from nrmbus.events.errors import Problem
from nrmbus.events.nearest import nearest
from nrmbus.wire import times

TAKES: Final[Mapping[str, frozenset[str]]] = {
    "POST /v1/events": frozenset({"wait", "speaks"}),
    "POST /v1/batches": frozenset({"wait", "speaks"}),
    "POST /v1/documents": frozenset({"case"}),
    "GET /v1/documents/{id}": frozenset({"case", "actor", "purpose"}),
    "GET /v1/inbox": frozenset(
        {"after", "ledger", "limit", "wait", "case", "type", "source", "ref", "since", "until", "open", "technical", "actor",
         "purpose", "speaks"}
    ),
    "GET /v1/inbox/stream": frozenset(
        {"after", "ledger", "case", "type", "source", "ref", "since", "technical", "speaks"}
    ),
    "GET /v1/cases": frozenset({"after", "limit", "since", "until"}),
    "GET /v1/cases/{ref}/timeline": frozenset({"after", "limit", "since", "until", "technical", "speaks"}),
    "GET /v1/tasks": frozenset({"after", "limit", "case", "kind", "task", "since", "until"}),
    "GET /v1/referrals": frozenset({"after", "limit", "case", "ref", "state", "direction", "since", "until"}),
    "PUT /v1/cursors/{name}": frozenset({"after", "ledger"}),
    **dict.fromkeys(
        ("GET /v1/events/{id}", "GET /v1/cases/{ref}", "GET /v1/cursors/{name}", "DELETE /v1/cursors/{name}", "GET /health"),
        frozenset[str](),
    ),
}  # fmt: skip
"""Parameters of each route of the fake, as the document of the door has them."""
_NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "after": (0, 2**63 - 1), "limit": (1, 1_000), "task": (1, 2**63 - 1), "wait": (0, 60),
}  # fmt: skip
"""Least and largest value of the parameters that are numbers; ``after`` of the cases is a text."""
_FORMS: Final[Mapping[str, str]] = {
    "case": forms.REF, "ref": forms.REF, "type": forms.TYPE, "source": forms.SOURCE, "ledger": forms.LEDGER, "actor": forms.ACTOR,
}  # fmt: skip
"""Forms of the parameters that are texts, as the door has them."""
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "purpose": get_args(AccessPurpose), "state": get_args(forms.State), "direction": get_args(forms.Direction),
}  # fmt: skip
"""Values of the parameters that have few."""
_LONGEST: Final[Mapping[str, int]] = {"kind": forms.LONGEST_KIND}

Json = dict[str, Any]


def route_of(request: httpx.Request) -> str:
    """Return the route of *request*, a key of `TAKES`; empty if the fake has no such address.

    Raises:
        DeskError: ``method_not_allowed`` if the address takes other methods.
    """
    there = _routes_at(request.url.path)
    if there and request.method not in there:
        raise DeskError("method_not_allowed")
    return there.get(request.method, "")


def allowed(request: httpx.Request) -> str:
    """Return the methods that the address of *request* takes, as the header ``allow`` has them."""
    return ", ".join(sorted(_routes_at(request.url.path)))


def _routes_at(path: str) -> dict[str, str]:
    """Return the routes at *path*, by their method."""
    return {
        method: route
        for route in TAKES
        for method, _, template in [route.partition(" ")]
        if re.fullmatch(re.sub("{[a-z]+}", "[^/]+", template), path)
    }


def check_parameters(request: httpx.Request, route: str) -> None:
    """Raise DeskError for a parameter that *route* does not take, that is given twice, or that is no value of its kind."""
    taken = TAKES.get(route, frozenset())
    names = [name for name, _ in request.url.params.multi_items()]
    unknown = sorted(set(names) - taken)
    faults = [Problem("?", "unknown_parameter", sorted(taken), nearest(each, taken)) for each in unknown]
    if route == "POST /v1/documents" and "case" not in names:
        faults.append(Problem("?case", "missing"))
    faults += [Problem(f"?{each}", "twice") for each in sorted(taken - {"speaks"}) if names.count(each) > 1]
    numbers = set(names) & taken & (_NUMBERS.keys() - ({"after"} if route == "GET /v1/cases" else set()))
    faults += [
        Problem(f"?{each}", kind) for each in sorted(numbers) if (kind := _fault(each, request.url.params[each]))
    ]
    bounds = sorted(set(names) & taken & {"since", "until"})
    faults += [
        Problem(f"?{each}", "datetime_parsing") for each in bounds if times.moment(request.url.params[each]) is None
    ]
    faults += [
        Problem(f"?{each}", "string_pattern_mismatch")
        for each in sorted(set(names) & taken & _FORMS.keys())
        if re.search(_FORMS[each], request.url.params[each]) is None
    ]
    faults += [
        Problem(f"?{each}", "literal_error", _CHOICES[each])
        for each in sorted(set(names) & taken & _CHOICES.keys())
        if request.url.params[each] not in _CHOICES[each]
    ]
    longest = {**_LONGEST, **({"after": forms.LONGEST_CASE} if route == "GET /v1/cases" else {})}
    faults += [
        Problem(f"?{each}", "string_too_long")
        for each in sorted(set(names) & taken & longest.keys())
        if len(request.url.params[each]) > longest[each]
    ]
    spoken = request.url.params.get_list("speaks") if "speaks" in taken else []
    faults += [
        Problem("?speaks", "string_pattern_mismatch") for each in spoken if re.search(forms.SPOKEN, each) is None
    ]
    if len(spoken) > forms.MOST_SPOKEN:
        faults.append(Problem("?speaks", "too_long"))
    if faults:
        raise DeskError("unknown_field", faults)


def key_of(request: httpx.Request) -> str | None:
    """Return the id of an event in the header ``Idempotency-Key``, or None.

    Raises:
        DeskError: ``unknown_field``: the header is no id of an event.
    """
    key: str | None = request.headers.get("idempotency-key")
    if request.url.path != "/v1/events" or key is None:
        return None
    if re.search(forms.IDEMPOTENCY_KEY, key) is None:
        raise DeskError("unknown_field", [Problem("idempotency-key:", "string_pattern_mismatch")])
    return key.strip('"')


def _fault(name: str, text: str) -> str | None:
    """Return what is wrong with the value of the number *name*, as the models of the door call it."""
    whole, (least, most) = name != "wait", _NUMBERS[name]
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        return "int_parsing" if whole else "float_parsing"
    return "greater_than_equal" if value < least else None if value <= most else "less_than_equal"


def page_of(name: str, rows: Sequence[Json], asked: httpx.QueryParams, cursor: str) -> Json:
    """Return the page that is *asked* for; ``next`` is the member *cursor* of its last row, or None if there are no more."""
    limit = int(asked.get("limit", "200"))
    return {name: list(rows[:limit]), "next": rows[limit - 1].get(cursor) if len(rows) > limit else None}


def wanted(rows: Iterable[Json], asked: httpx.QueryParams, cursor: str, at: str) -> list[Json]:
    """Return the *rows* behind ``after`` that have the members which are *asked* for; *at* is the member with their time.

    A row that a test gave no number is behind everything, and one without a time is within all bounds.
    """
    only: Json = {name: value for name, value in asked.items() if name in {"case", "kind", "ref", "direction"}}
    only |= {"task": int(asked["task"])} if "task" in asked else {}
    after, state = int(asked.get("after", "0")), asked.get("state")
    return [
        each
        for each in rows
        if each.get(cursor, after + 1) > after
        and all(each.get(name) == value for name, value in only.items())
        and (at not in each or is_within(each[at], asked))
        and (state is None or state in {party["state"] for party in each.get("receivers", ())})
    ]


def is_within(time: str, asked: httpx.QueryParams) -> bool:
    """Return whether *time* is within the bounds that are *asked* for."""
    since, until = (times.moment(asked.get(name, "")) for name in ("since", "until"))
    return times.is_within(time, since, until)
