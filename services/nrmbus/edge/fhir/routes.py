"""Routes of a FHIR R4 server for referrals, above the door's routes for cases, the inbox and events."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from importlib import metadata
from operator import eq, ge, gt, le, lt
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nrmbus.edge.door import DoorProblem, OwnDoor, body_of, seconds_of
from nrmbus.edge.fhir import mapping, rest
from nrmbus.edge.fhir.mapping import AGENCY, CASE, Referral
from nrmbus.edge.misfit import Misfit, NotThere
from nrmbus.edge.problems import answer_of
from nrmbus.events.errors import Problem
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.web.languages import LANGUAGES
from nrmbus.wire import json, times
from nrmbus.wire.errors import WireError

Json = dict[str, Any]
_Handler = Callable[[Request], Awaitable[Response]]

FHIR_JSON: Final = "application/fhir+json"
_JSON: Final = frozenset({FHIR_JSON, "application/json", "json", "application/*", "*/*"})
PATCH_JSON: Final = "application/json-patch+json"
FORM: Final = "application/x-www-form-urlencoded"
MOST: Final = 200
"""Most referrals of a page."""
_TASK: Final = re.compile(r"([0-9a-f]{32})\.([a-z][a-z0-9-]{1,30})")
_REF: Final = re.compile(r"[0-9a-f]{32}")
_SPEAKS: Final = ("speaks", "referral.submitted:3")
_BESIDE: Final = frozenset({"_count", "_include", "_format", "after"})
_NO_VERSION: Final = (
    "The ledger of this desk was lost and with it the version of this case: send the change without If-Match."
)
_NOTHING: Final = (
    "This server has nothing at this address, or not by this method: read its CapabilityStatement at /fhir/metadata."
)
_HTTP: Final[Mapping[int, tuple[str, str]]] = {
    405: ("method_not_allowed", _NOTHING),
    406: ("unknown_field", f"This server answers in JSON alone: ask for {FHIR_JSON}."),
}
"""Codes and sentences of errors of HTTP; any other is ``not_found``."""
_DAY: Final = len("2026-03-02")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
"""A day or a time of R4; Python reads other forms of ISO 8601 too, and takes their seconds for none."""
_SEARCH: Final = "/_search"
_COMPARED: Final = {"eq": eq, "ge": ge, "gt": gt, "le": le, "lt": lt}
_SYSTEMS: Final[Mapping[str, str]] = {"owner": AGENCY, "requester": AGENCY, "patient": CASE}
"""Systems of the identifiers by which a reference is searched for."""


class Fhir:
    """Request handlers of the FHIR server."""

    def __init__(self, door: OwnDoor) -> None:
        """Read and publish at *door*."""
        self._door = door

    def application(self) -> Starlette:
        """Return the routes of this adapter."""
        routes = [
            Route(path, _in_json(handler), methods=methods)
            for path, handler, methods in (
                ("/metadata", self.capability, ["GET"]),
                ("/Task", self.tasks, ["GET"]),
                (f"/Task{_SEARCH}", self.tasks, ["POST"]),
                ("/Task/{id}", self.task, ["GET", "PUT", "PATCH"]),
                ("/ServiceRequest", self.requests, ["GET"]),
                (f"/ServiceRequest{_SEARCH}", self.requests, ["POST"]),
                ("/ServiceRequest/{id}", self.request, ["GET"]),
                ("/ServiceRequest/{id}/$letter", self.letter, ["GET"]),
            )
        ]
        found = (DoorProblem, Misfit, NotThere, WireError, HTTPException)
        return Starlette(routes=routes, exception_handlers=dict.fromkeys(found, _refused))

    async def capability(self, request: Request) -> Response:
        """Return what this server can do. Asks the door for nothing."""
        today = datetime.now(UTC).strftime("%Y-%m-%d")
        return _resource(rest.capability(_base(request), today, metadata.version("nrmbus")))

    async def task(self, request: Request) -> Response:
        """Return a Task, changed before if it is put or patched. One route, so that a 405 names each method of the address."""
        if request.method in {"PUT", "PATCH"}:
            return await self._change(request)
        ref, owner = _named(request)
        return _resource(_task_of(await self._referral(request, ref), owner))

    async def request(self, request: Request) -> Response:
        """Return a ServiceRequest."""
        return _resource(mapping.service_request(await self._referral(request, _ref_of(request))))

    async def tasks(self, request: Request) -> Response:
        """Return the Tasks of a page of referrals, with their ServiceRequests if ``_include=Task:focus`` asks for them."""
        params = await _parameters(request)
        wanted = _wanted(params, rest.TASK_PARAMETERS, rest.TASK_CODES)
        found, requests = [], []
        referrals, links = await self._page(request, params, wanted)
        for each in referrals:
            tasks = [each_task for owner in each.answers if _fits(each_task := mapping.task(each, owner), wanted)]
            found += tasks
            if tasks and "Task:focus" in params.getlist("_include"):
                requests.append(mapping.service_request(each))
        return _resource(rest.bundle(_base(request), found, requests, links))

    async def requests(self, request: Request) -> Response:
        """Return the ServiceRequests of a page of referrals."""
        params = await _parameters(request)
        wanted = _wanted(params, rest.REQUEST_PARAMETERS, rest.REQUEST_CODES)
        referrals, links = await self._page(request, params, wanted)
        found = [each for each in map(mapping.service_request, referrals) if _fits(each, wanted)]
        return _resource(rest.bundle(_base(request), found, (), links))

    async def letter(self, request: Request) -> Response:
        """Return the letter of a referral, after the registrar has recorded that ``actor`` reads it for ``purpose``."""
        ref = _ref_of(request)
        listed = await self._listed(request, ref)
        # The inbox has received events only: behind an own one it would begin with the letter of another referral.
        if listed["source"] == self._door.agency:
            raise NotThere
        row = listed["row"]
        asked = [each for each in request.query_params.multi_items() if each[0] in {"actor", "purpose"}]
        asked += [("after", str(row - 1)), ("limit", "1"), ("technical", "true"), ("open", "true"), _SPEAKS]
        asked += [("case", listed["case"]), ("ref", ref), ("type", ReferralSubmitted.type)]
        page = (await self._door.ask(request, "GET", "/v1/inbox", params=asked)).body
        found = next((each for each in page["events"] if each["row"] == row and "letter" in each), None)
        if found is None:
            raise NotThere
        return _resource(rest.letter(found["letter"], found["version"]))

    async def _change(self, request: Request) -> Response:
        """Publish the event that leads to the Task in the body; the answer is the Task after it.

        Headers: ``If-Match`` with the version of the Task that the program has seen. Parameters: ``actor``, ``approver``,
        ``wait``.
        """
        ref, owner = _named(request)
        referral = await self._referral(request, ref)
        before = _task_of(referral, owner)
        after = await _after(request, before)
        is_alone = not any(each.is_open for agency, each in referral.answers.items() if agency != owner)
        event = mapping.change(before, after, is_alone=is_alone, labels=self._labels)
        if event is None:
            return _resource(before)
        body = {"version": 1, **event, "case": referral.case, "ref": ref} | _seen(request, referral)
        body |= {name: request.query_params[name] for name in ("actor", "approver") if name in request.query_params}
        wait = {"wait": seconds_of(request)}
        try:
            answer = await self._door.ask(request, "POST", "/v1/events", params=wait, body=body)
        except DoorProblem as error:
            return _outcome(error, {**_PLACES, "/sealed/notes": mapping.words_place(before, after) or ""})
        match answer.body["verdict"]:
            case "registered":
                return _resource(_task_of(await self._referral(request, ref), owner))
            case "pending":
                return _resource(rest.outcome(202, answer.body, "information"), 202)
            case _:
                status = 412 if answer.body.get("code") == "version_passed" else 422
                return _resource(rest.outcome(status, answer.body), status)

    def _labels(self, listed: str, code: str) -> list[str]:
        """Return the words of *code* of the list *listed* in each language of the pages."""
        from nrmbus.web.words import Words  # noqa: PLC0415 - a desk without pages loads them for a text that needs them

        family, zone = listed.title().replace("-", ""), self._door.zone()
        return [Words(language, zone).code(family, code) for language in LANGUAGES]

    async def _listed(self, request: Request, ref: str) -> Json:
        found = (await self._door.ask(request, "GET", "/v1/referrals", params={"ref": ref})).body["referrals"]
        if not found:
            raise NotThere
        return dict(found[0])

    async def _referral(self, request: Request, ref: str) -> Referral:
        case = (await self._listed(request, ref))["case"]
        known = await self._of_case(request, case)
        if ref not in known:
            raise NotThere
        return known[ref]

    async def _of_case(self, request: Request, case: str) -> dict[str, Referral]:
        # The version comes first: an event between the two requests is in the Tasks, and `If-Match` only refuses too much.
        seen = (await self._door.ask(request, "GET", f"/v1/cases/{case}")).body.get("version")
        events = [each async for each in self._door.timeline(request, case, [_SPEAKS])]
        has_expired = any(each["type"] == "referral.expired" for each in events)
        expired = await self._expired(request, case) if has_expired else {}
        found = mapping.referrals(events, self._door.agency, expired)
        for each in found.values():
            each.version = seen
        return found

    async def _expired(self, request: Request, case: str) -> dict[str, frozenset[str]]:
        """Return the receivers whose part has expired, for each referral of *case* that has one."""
        found: dict[str, frozenset[str]] = {}
        after: int | None = 0
        while after is not None:
            params = {"case": case, "state": "expired", "after": after, "limit": MOST}
            page = (await self._door.ask(request, "GET", "/v1/referrals", params=params)).body
            for each in page["referrals"]:
                ended = (party["agency"] for party in each["receivers"] if party["state"] == "expired")
                found[each["ref"]] = frozenset(ended)
            after = page["next"]
        return found

    async def _page(
        self, request: Request, params: QueryParams, wanted: "_Search"
    ) -> tuple[list[Referral], dict[str, str]]:
        """Return the referrals of a page, and the links of its Bundle."""
        asked = {"after": params.get("after", "0"), "limit": str(_count(params))}
        single = {name: values[0] for name, values in wanted.values if len(values) == 1}
        if "patient" in single:
            asked["case"] = single["patient"]
        ref = single.get("focus", single.get("_id", "")).partition(".")[0]
        if _REF.fullmatch(ref):
            asked["ref"] = ref
        page = (await self._door.ask(request, "GET", "/v1/referrals", params=asked)).body
        cases: dict[str, dict[str, Referral]] = {}
        found = []
        for each in page["referrals"]:
            if each["case"] not in cases:
                cases[each["case"]] = await self._of_case(request, each["case"])
            if (known := cases[each["case"]].get(each["ref"])) is not None:
                found.append(known)
        # Links are followed by GET, also those of a search that was posted.
        url = request.url.replace(path=request.url.path.removesuffix(_SEARCH), query=str(params))
        links = {"self": str(url)}
        if page["next"] is not None:
            links["next"] = str(url.include_query_params(after=page["next"]))
        return found, links


def _base(request: Request) -> str:
    """Return the address of this server, with the name below which it is mounted: the base of every resource's address."""
    above = request.scope.get("app_root_path", "")
    return str(request.base_url).rstrip("/") + str(request.scope["root_path"]).removeprefix(above)


def _resource(body: Json, status: int = 200) -> Response:
    version = body.get("meta", {}).get("versionId")
    return JSONResponse(body, status, {"etag": f'W/"{version}"'} if version else None, media_type=FHIR_JSON)


def _in_json(handler: _Handler) -> _Handler:
    """Return *handler* for requests that take its answer, which is JSON; any other is 406, before anything is done.

    A posted search is looked at with its form, which may have the ``_format``: see `_parameters`.
    """

    async def answered(request: Request) -> Response:
        if request.method != "POST":
            _take_json(request, request.query_params)
        return await handler(request)

    return answered


def _take_json(request: Request, params: QueryParams) -> None:
    """Raise HTTPException 406 if the request wants another format; ``_format`` goes before the header Accept."""
    accepted = ",".join(request.headers.getlist("accept"))  # several lines are one list: RFC 9110, section 5.3
    formats = [params["_format"]] if params.get("_format") else (accepted or "*/*").split(",")
    # A plus that was not encoded in an address arrives as a space.
    if _JSON.isdisjoint(each.partition(";")[0].strip().lower().replace(" ", "+") for each in formats):
        raise HTTPException(406)


async def _refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        code, sentence = _HTTP.get(error.status_code, ("not_found", _NOTHING))
        response = _resource(rest.outcome(error.status_code, {"code": code, "sentence": sentence}), error.status_code)
        response.headers.update(error.headers or {})
        return response
    return _outcome(error, _PLACES)


def _outcome(error: Exception, places: Mapping[str, str]) -> Response:
    """Return the OperationOutcome of *error*; *places* has the place in this server's request for one in the door's."""
    answer = answer_of(error, lambda pointer: places.get(pointer, pointer))
    response = _resource(rest.outcome(answer.status, answer.body), answer.status)
    response.headers.update(answer.headers)
    return response


_PLACES: Final[Mapping[str, str]] = {
    "/actor": "?actor",
    "/approver": "?approver",
    "/data/receipt_no": "/identifier",
    "/data/alternative": "/extension",
    "/sealed/answer": "/note/0/text",
}
"""Where a fault of the door's request stands in the request of this server."""


def _named(request: Request) -> tuple[str, str]:
    found = _TASK.fullmatch(request.path_params["id"])
    if found is None:
        raise NotThere
    return found[1], found[2]


def _ref_of(request: Request) -> str:
    ref = str(request.path_params["id"])
    if _REF.fullmatch(ref) is None:
        raise NotThere
    return ref


def _task_of(referral: Referral, owner: str) -> Json:
    if owner not in referral.answers:
        raise NotThere
    return mapping.task(referral, owner)


async def _after(request: Request, before: Json) -> Json:
    """Return the Task that the body asks for: whole, or as a JSON Patch of the one *before*."""
    raw = await body_of(request)
    if request.method == "PUT":
        return json.loads(raw, limit=len(raw))
    if _media_type(request) != PATCH_JSON:
        raise Misfit(Problem("", "literal_error", (PATCH_JSON,)))
    whole = json.loads(b'{"operations":%s}' % raw, limit=len(raw) + 15)
    return rest.patched(before, whole["operations"] if len(whole) == 1 else None)


def _seen(request: Request, referral: Referral) -> Json:
    """Return what the program has seen of the case, by ``If-Match``."""
    given = request.headers.get("if-match")
    if given is None:
        return {}
    if referral.version is None:  # the Task has no ETag, and no version would be the registrar's
        raise WireError("unknown_field", _NO_VERSION)
    found = re.fullmatch(r'W/"([0-9]{1,9})"', given)
    if found is None:
        raise Misfit(Problem("?if-match", "string_pattern_mismatch"))
    return {"expected_version": int(found[1])}


async def _parameters(request: Request) -> QueryParams:
    """Return the parameters of a search: those of the address, and of the form if it is posted."""
    if request.method != "POST":
        return request.query_params
    raw = await body_of(request)
    if raw and _media_type(request) != FORM:
        raise Misfit(Problem("", "literal_error", (FORM,)))
    params = QueryParams([*request.query_params.multi_items(), *QueryParams(raw).multi_items()])
    _take_json(request, params)
    return params


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _count(params: QueryParams) -> int:
    given = params.get("_count", "50")
    if not given.isdecimal() or not 0 < len(given) < 6:
        raise Misfit(Problem("?_count", "int_parsing"))
    return min(max(int(given), 1), MOST)


class _Search(NamedTuple):
    """Filters of a search."""

    values: list[tuple[str, list[str]]]
    """Each parameter as often as it was given, all of which must hold: a resource must have one of its values."""
    changed: list[Callable[[datetime], bool]]
    """Conditions on the time at which the desk received the newest change, all of which must hold."""


def _wanted(params: QueryParams, known: Mapping[str, str], systems: Mapping[str, str]) -> _Search:
    """Return the filters of a search; one that this server does not know, or cannot read, is refused and not left out.

    *systems* has the system of the codes of each parameter that is searched for by one.
    """
    found = _Search([], [])
    for given, value in params.multi_items():
        name, _, modifier = given.partition(":")
        if name in _BESIDE:
            continue
        if name not in known or modifier not in ("", "identifier") or (modifier and name not in _SYSTEMS):
            raise Misfit(Problem("", "unknown_field", sorted(known)))
        if name == "_lastUpdated":
            found.changed.append(_in_time(value))
            continue
        if name in systems:
            values = [_code(name, each, systems[name]) for each in value.split(",")]
        else:
            values = [each.rpartition("/")[2].removeprefix(f"{_SYSTEMS.get(name)}|") for each in value.split(",")]
        found.values.append((name, values))
    return found


def _code(name: str, token: str, system: str) -> str:
    """Return the code of *token*, a value of the parameter *name*: ``code``, or ``system|code`` with its own *system*."""
    given, bar, code = token.rpartition("|")
    if given not in ("", system):
        raise Misfit(Problem(f"?{name}", "literal_error", (system,)))
    if bar and not code:  # all codes of the system
        raise Misfit(Problem(f"?{name}", "string_pattern_mismatch"))
    return code


def _fits(resource: Json, wanted: _Search) -> bool:
    if wanted.changed:
        known = times.read(resource["meta"]["lastUpdated"])
        if known is None or not all(holds(known) for holds in wanted.changed):
            return False
    return all(not set(values).isdisjoint(_values(resource, name)) for name, values in wanted.values)


def _values(resource: Json, name: str) -> set[str]:
    match name:
        case "_id":
            return {resource["id"]}
        case "patient":
            return {(resource.get("for") or resource["subject"])["identifier"]["value"]}
        case "focus":
            return {resource["focus"]["reference"].rpartition("/")[2]}
        case "code":
            return {each["code"] for each in resource["code"]["coding"]}
        case "status":
            return {resource["status"]}
        case _:
            return {resource[name]["identifier"]["value"]}


def _in_time(wanted: str) -> Callable[[datetime], bool]:
    """Return the condition *wanted*: ``eq`` (or nothing), ``ge``, ``gt``, ``le`` or ``lt``, and a time.

    A day, in UTC, and a minute count as a whole.
    """
    prefix = "eq" if wanted[:1].isdecimal() else wanted[:2]
    compare, text = _COMPARED.get(prefix), wanted.removeprefix(prefix)
    form = _TIME.fullmatch(text)
    if compare is not None and form is not None:
        with suppress(ValueError):  # its text would show what came
            if len(text) == _DAY:
                day = date.fromisoformat(text)
                return lambda known: bool(compare(known.astimezone(UTC).date(), day))
            when = datetime.fromisoformat(text)
            moment = when if when.tzinfo else when.replace(tzinfo=UTC)
            if form["seconds"]:
                return lambda known: bool(compare(known, moment))
            return lambda known: bool(compare(known.replace(second=0), moment))
    raise Misfit(Problem("?_lastUpdated", "string_pattern_mismatch", sorted(_COMPARED)))
