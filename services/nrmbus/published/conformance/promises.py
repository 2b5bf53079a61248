"""The promises of a door, in the order in which they are checked; each is a function whose docstring is the promise."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from nrmbus.published.conformance.probe import CANARY, LACKS, Answer, Broken, Json, NotTried, Probe, the_document
from nrmbus.wire.ids import new_event_id, new_ref

Check = Callable[[Probe], Awaitable[None]]

SIGNAL: Final[Json] = {
    "type": "case.signal_recorded", "version": 1, "actor": "conformance-1",
    "data": {"detector": "ngo_outreach", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"]},
    "sealed": {"age_band": "25-34", "sex": "F", "notes": CANARY},
}  # fmt: skip
"""An invented signal, which begins a case."""
REFERRAL: Final[Json] = {
    "type": "referral.submitted", "version": 1, "actor": "conformance-1",
    "data": {"mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]},
}  # fmt: skip
"""A referral without the person's consent, which the Rules refuse."""
UNPUBLISHABLE: Final[Json] = {**SIGNAL, "data": {}}
"""The signal without its data: no door can publish it, whatever it overlooks."""
FINAL: Final = ("registered", "refused")
_WAIT: Final = 30
_PAGE: Final = 2
_EARLY, _LATE = "1990-01-01T00:00:00Z", "2190-01-01T00:00:00Z"
"""Times before and after everything that a bus has."""
_MOST: Final = 5
"""Pages that are compared with the whole."""
_EMPTY: Final = (
    "no list that the token may read has an entry: publish at this door, or have another agency send an event"
)


@dataclass(frozen=True, slots=True)
class Found:
    """Outcome of one promise: *broken* says what the door did, *not_tried* what is missing to check it; both empty if it holds."""

    name: str
    promise: str
    broken: str = ""
    not_tried: str = ""

    @property
    def outcome(self) -> str:
        """Return the outcome in one word."""
        return "broken" if self.broken else "not_tried" if self.not_tried else "holds"


PROMISES: Final[dict[str, Check]] = {}


def _promise(check: Check) -> Check:
    PROMISES[check.__name__] = check
    return check


def text_of(check: Check) -> str:
    """Return the promise of *check* in one line."""
    return " ".join((check.__doc__ or "").split())


async def check(probe: Probe, names: Iterable[str] = ()) -> AsyncIterator[Found]:
    """Yield the outcome of each promise, or of those in *names*, as soon as it is known."""
    wanted = tuple(names) or tuple(PROMISES)
    for name in wanted:
        promise = PROMISES[name]
        broken = not_tried = ""
        try:
            await promise(probe)
        except Broken as error:
            broken = str(error)
        except NotTried as error:
            not_tried = str(error)
        yield Found(name, text_of(promise), broken, not_tried)


def _same(what: str, one: Any, other: Any) -> None:
    if one != other:
        raise Broken(f"{what} is not the same")


class _Listed(NamedTuple):
    """List of the document that is read without the address of one thing."""

    path: str
    plural: str
    key: str
    """Member that names an entry; others may change while the list is read, as the uses of a token do."""
    has_bounds: bool
    """True if `since` and `until` select by time."""


def _lists() -> list[_Listed]:
    found, schemas = list[_Listed](), the_document()["components"]["schemas"]
    for path, item in the_document()["paths"].items():
        if "get" in item and "{" not in path:
            content = item["get"]["responses"]["200"]["content"].get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            members = schemas.get(name, {}).get("properties", {})
            asked = {each["name"] for each in item["get"].get("parameters", ())}
            for each in members:
                if "next" in members and members[each].get("type") == "array":
                    entry = schemas[members[each]["items"]["$ref"].rpartition("/")[2]]
                    found.append(_Listed(path, each, next(iter(entry["properties"])), {"since", "until"} <= asked))
    return found


@_promise
async def token(probe: Probe) -> None:
    """A request without a token, or with another one, gets 401 and nothing else."""
    reads = [path for path, item in the_document()["paths"].items() if "get" in item and "{" not in path]
    for path in reads:
        if "text/html" in the_document()["paths"][path]["get"]["responses"]["200"]["content"]:
            continue  # the page of the document: a door on the program's own machine may show it to anybody there
        for given in (None, "not-a-token"):
            answer = await probe.ask("GET", path, 401, token=given)
            if "bearer" not in answer.headers.get("www-authenticate", "").lower():
                raise Broken(f"GET {path}: a 401 has the header WWW-Authenticate: Bearer")
    await probe.ask("POST", "/v1/events", 401, token=None, body=UNPUBLISHABLE)


@_promise
async def addresses(probe: Probe) -> None:
    """An unknown address is 404, a wrong method 405, and an unknown case or event is 404 like one of another agency."""
    for path in ("/v1/nothing", f"/v1/cases/{new_ref()}", f"/v1/events/{new_event_id()}"):
        answer = await probe.ask("GET", path, 404)
        _same(f"the code of GET {path}", answer.code, "not_found")
    await probe.ask("DELETE", "/v1/inbox", 405)


@_promise
async def faults(probe: Probe) -> None:
    """A request that cannot be read gets a status and code for its fault, with its place, and is never repeated."""
    cases: tuple[tuple[int, str, bytes], ...] = (
        (400, "json_invalid", b'{"type": "' + CANARY.encode()),
        (400, "json_duplicate", b'{"type": "case.signal_recorded", "type": "case.signal_recorded"}'),
        (413, "too_large", json.dumps({**UNPUBLISHABLE, "sealed": {"notes": "x" * 2**20}}).encode()),
        (422, "unknown_type", json.dumps({**UNPUBLISHABLE, "type": "case.imagined"}).encode()),
        (422, "unknown_version", json.dumps({**UNPUBLISHABLE, "version": 9999}).encode()),
        (422, "unknown_field", json.dumps({**UNPUBLISHABLE, "data": {"urgency": CANARY}}).encode()),
    )
    await _refused(probe, cases)
    await probe.ask("GET", "/v1/inbox", 422, params={"limit": CANARY})


@_promise
async def members(probe: Probe) -> None:
    """An event with a member that its type does not have, or with a value that does not fit, is refused as a whole."""
    wrong = (
        {**SIGNAL, CANARY: 1},
        {**SIGNAL, "actor": CANARY},
        {**SIGNAL, "data": {**SIGNAL["data"], "urgency": CANARY}},
    )
    await _refused(probe.may_publish(), [(422, "unknown_field", json.dumps(each).encode()) for each in wrong])


async def _refused(probe: Probe, cases: Iterable[tuple[int, str, bytes]]) -> None:
    """Publish each body, and compare status, code and places of the refusal."""
    for status, code, raw in cases:
        answer = await probe.ask("POST", "/v1/events", status, content=raw)
        _same(f"the code of POST /v1/events ({code} was due, and {answer.code or 'none'} came)", answer.code, code)
        if code == "unknown_version" and not answer.body.get("accepts"):
            raise Broken("POST /v1/events: unknown_version names no version in `accepts`")
        if code == "unknown_field" and not answer.body.get("problems"):
            raise Broken("POST /v1/events: unknown_field names no place in `problems`")


@_promise
async def parameters(probe: Probe) -> None:
    """A parameter that a route does not take, or that is given twice, is refused: a misspelt filter would show everything."""
    for path, *_ in _lists():
        for params in ({CANARY: "1"}, {"limit": ["1", "1"]}):
            answer = await probe.ask("GET", path, 422, 403, params=params)
            if answer.code != LACKS:
                _same(f"the code of GET {path} with a wrong parameter", answer.code, "unknown_field")
    misspelt = await probe.ask("GET", "/v1/inbox", 422, params={"cse": new_ref()})
    if not any("case" in each.get("allowed", ()) for each in misspelt.body.get("problems", ())):
        raise Broken(
            "GET /v1/inbox: the refusal of a misspelt filter does not name the parameters that the route takes"
        )


@_promise
async def once(probe: Probe) -> None:
    """An event that is published again under its id is the same event; another one under that id is refused."""
    asked = {**SIGNAL, "id": new_event_id()}
    first = await _published(probe.may_publish(), asked)
    again = await _published(probe, asked)
    for name in ("id", "case", "verdict", "number"):
        _same(f"`{name}` of an event that was published twice", again.get(name), first.get(name))
    _same("the id of the event", first["id"], asked["id"])
    with_case = await _published(probe, {**asked, "case": first["case"]})
    _same("the case of an event that was published again with it", with_case["case"], first["case"])
    other = await probe.ask("POST", "/v1/events", 409, body={**asked, "actor": "conformance-2"})
    _same("the code of another event under the id", other.code, "id_reused")
    probe.said = first


@_promise
async def lists(probe: Probe) -> None:
    """A list has `next`; its pages, one behind the other, are the whole list, in order and each entry once."""
    has_entries = False
    for path, plural, key, _ in _lists():
        first = await probe.ask("GET", path, 200, 403, params={"limit": _PAGE * _MOST})
        if first.code == LACKS:
            continue
        whole = _keys(first, plural, key)
        has_entries |= bool(whole)
        entries: list[Any] = []
        after: Any = None
        for _ in range(_MOST):
            cursor = {} if after is None else {"after": after}
            page = await probe.ask("GET", path, 200, params={"limit": _PAGE, **cursor})
            entries += (keys := _keys(page, plural, key))
            if len(keys) > _PAGE:
                raise Broken(f"GET {path}: more entries came than `limit` allows")
            after = page.body["next"]
            if after is None:
                break
            if not keys:
                raise Broken(f"GET {path}: a page has no entries, and a `next`")
        _same(f"GET {path}: the list, whole and by pages,", entries, whole[: len(entries)])
        if after is None and len(entries) < len(whole):
            raise Broken(f"GET {path}: `next` is null before the end of the list")
    if not has_entries:
        raise NotTried(_EMPTY)


@_promise
async def bounds(probe: Probe) -> None:
    """Every list of what happened is selected by `since` and `until`, times with a zone."""
    has_entries = False
    for path, plural, key, _ in (each for each in _lists() if each.has_bounds):
        first = await probe.ask("GET", path, 200, 403, params={"limit": _PAGE})
        if first.code == LACKS:
            continue
        entries = _keys(first, plural, key)
        has_entries |= bool(entries)
        for name, time, chosen in (
            ("since", _EARLY, entries),
            ("until", _EARLY, []),
            ("since", _LATE, []),
        ):
            page = await probe.ask("GET", path, 200, params={"limit": _PAGE, name: time})
            _same(f"GET {path}: what `{name}` {time} selects", _keys(page, plural, key), chosen)
        wrong = await probe.ask("GET", path, 422, params={"since": _EARLY.rstrip("Z")})
        _same(f"the code of GET {path} with a time without a zone", wrong.code, "unknown_field")
    if not has_entries:
        raise NotTried(_EMPTY)


def _keys(answer: Answer, plural: str, key: str) -> list[Any]:
    return [each[key] for each in answer.body[plural]]


@_promise
async def verdict(probe: Probe) -> None:
    """Each event gets a verdict, which can be asked for by its id; a refusal has code, rule, article and a sentence."""
    said = probe.may_publish().said or await _published(probe, {**SIGNAL, "id": new_event_id()})
    await _settled(probe, said)
    health = (await probe.ask("GET", "/health", 200)).body
    refused = {**REFERRAL, "case": said["case"], "ref": new_ref(), "id": new_event_id(), "to": [health["service"]]}
    found = await _settled(probe, await _published(probe, refused))
    if found["verdict"] != "refused":
        raise Broken("a referral to the agency itself is not refused")
    missing = [name for name in ("code", "rule", "article", "sentence") if not found.get(name)]
    if missing:
        raise Broken(f"a refusal has no {', '.join(missing)}")


@_promise
async def known(probe: Probe) -> None:
    """A published event is in the agency's own view of its case, and the case in the list of cases."""
    said = probe.may_publish().said
    if said.get("verdict") != "registered":
        raise NotTried("no event of this agency was registered: its role may not publish a signal")
    case = (await probe.ask("GET", f"/v1/cases/{said['case']}", 200)).body
    _same("the reference of the case", case["case"], said["case"])
    listed = (await probe.ask("GET", "/v1/cases", 200, params={"limit": 1000})).body["cases"]
    if len(listed) < 1000 and said["case"] not in {each["case"] for each in listed}:
        raise Broken("GET /v1/cases: a case of this agency is missing")


@_promise
async def inbox(probe: Probe) -> None:
    """Rows of the inbox are numbered and in order; a cursor of another ledger, or beyond the newest row, is refused."""
    page = await _inbox(probe)
    rows = [each["row"] for each in page["events"]]
    if rows != sorted(set(rows)):
        raise Broken("GET /v1/inbox: the rows are not in order, each once")
    beyond = await probe.ask("GET", "/v1/inbox", 409, params={"after": 2**62})
    _same("the code of a cursor beyond the newest row", beyond.code, "inbox_restarted")
    if not rows:
        raise NotTried("the inbox is empty: have another agency send an event")
    other = await probe.ask("GET", "/v1/inbox", 409, params={"after": rows[0], "ledger": "0" * 16})
    _same("the code of a cursor of another ledger", other.code, "inbox_restarted")
    case = page["events"][0]["case"]
    of_case = (await probe.ask("GET", "/v1/inbox", 200, params={"case": case})).body["events"]
    if not of_case or {each["case"] for each in of_case} != {case}:
        raise Broken("GET /v1/inbox: the filter `case` gives other cases, or none")


@_promise
async def letters(probe: Probe) -> None:
    """A letter stays closed unless somebody with a number opens it, and its opening is then on record."""
    page = await _inbox(probe)
    if any("letter" in each for each in page["events"]):
        raise Broken("GET /v1/inbox: a letter came although nobody asked for it")
    event = next((each for each in page["events"] if each["parts"] and not each.get("shut")), None)
    if event is None:
        raise NotTried("the inbox has no letter that this agency may open: have another agency send one")
    at = {"after": event["row"] - 1, "limit": 1, "open": "true"}
    unnamed = await probe.may_publish().ask("GET", "/v1/inbox", 422, params={**at, "actor": "by-itself"})
    _same("the code of a reader without a number", unnamed.code, "unknown_field")
    opened = (await probe.ask("GET", "/v1/inbox", 200, params={**at, "actor": "conformance-1"})).body
    found: Json = next(iter(opened["events"]), {"id": None})
    if found["id"] != event["id"] or not found.get("letter") or set(found["letter"]) - set(event["parts"]):
        raise Broken("GET /v1/inbox: the opened letter is missing, or has parts that were not sealed to this agency")
    if not await _has_opening(probe, event["case"], event["id"]):
        raise Broken("GET /v1/cases/{ref}/reads: an opening is not on record")


@_promise
async def health(probe: Probe) -> None:
    """The door says what it is, whether it is ready, and which routes it has."""
    await probe.ask("GET", "/health", 200)
    body = (await probe.ask("GET", "/openapi.json", 200)).body
    paths = body.get("paths")
    if not isinstance(paths, dict):
        raise Broken("GET /openapi.json: `paths` is no object")
    missing = sorted(the_document()["paths"].keys() - paths.keys())
    if missing:
        raise Broken(f"GET /openapi.json: the document lacks {', '.join(missing)}")


async def _has_opening(probe: Probe, case: str, event: str) -> bool:
    """Return whether an opening of *event* by this suite is among the reads of *case*, on whichever page."""
    after: int | None = 0
    while after is not None:
        asked = after
        page = (await probe.ask("GET", f"/v1/cases/{case}/reads", 200, params={"limit": 1000, "after": after})).body
        if any(each["event"] == event and each["who"] == "conformance-1" for each in page["reads"]):
            return True
        after = page["next"]
        if after is not None and (after <= asked or not page["reads"]):
            raise Broken(
                "GET /v1/cases/{ref}/reads: a page has no entries and a `next`, or a `next` that is not beyond it"
            )
    return False


async def _published(probe: Probe, asked: Json) -> Json:
    return (await probe.ask("POST", "/v1/events", 200, 202, params={"wait": _WAIT}, body=asked)).body


async def _settled(probe: Probe, said: Json) -> Json:
    """Return the final state of the event in the answer *said*."""
    state: Answer = await probe.ask("GET", f"/v1/events/{said['id']}", 200)
    if state.body["verdict"] not in FINAL:
        raise Broken(f"an event has no verdict within {_WAIT} s")
    if said["verdict"] != "pending":
        _same("the verdict, asked for by the id,", state.body["verdict"], said["verdict"])
    return state.body


async def _inbox(probe: Probe) -> Json:
    return (await probe.ask("GET", "/v1/inbox", 200, params={"limit": 1000})).body
