"""The suite of a door's promises: a real desk keeps them all, and a finding names a broken promise and the fault."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from client.given import in_process, served
from desk.given import TOKEN, desk_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.door_authority import DoorAuthority
from nrmbus.bus.reach import Tls
from nrmbus.client.testing import TOKEN as FAKE_TOKEN
from nrmbus.client.testing import FakeDesk
from nrmbus.desk.store import tables
from nrmbus.published.conformance.probe import CANARY, Probe, the_document
from nrmbus.published.conformance.promises import PROMISES, SIGNAL, Found, check
from nrmbus.wire.ids import new_event_id, new_ref
from typed import run

Change = Callable[[httpx.Request, httpx.Response, Any], httpx.Response | None]


class Changed(httpx.AsyncBaseTransport):
    """A door before the desk at *url*, which changes its answers."""

    def __init__(self, change: Change) -> None:
        self._change, self._desk = change, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the desk, and change what it answers."""
        came = await self._desk.handle_async_request(request)
        await came.aread()
        kind = came.headers.get("content-type", "")
        body = came.json() if kind.partition(";")[0].endswith("json") else None
        return self._change(request, came, body) or came

    async def aclose(self) -> None:
        """Close the connections to the desk."""
        await self._desk.aclose()


def answered(came: httpx.Response, body: Any, status: int | None = None) -> httpx.Response:
    """Return *came* with another body."""
    headers = {name: value for name, value in came.headers.items() if name.lower() != "content-length"}
    return httpx.Response(status or came.status_code, headers=headers, content=json.dumps(body).encode())


def at(method: str, path: str, change: Callable[[Any], Any]) -> Change:
    """Return a door that changes the good answers of one route."""

    def changed(request: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
        if (request.method, request.url.path) != (method, path) or came.is_error:
            return None
        return answered(came, change(body))

    return changed


def open_to_all(_: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
    """Be a door that answers without a token."""
    return httpx.Response(200, json={"ok": True}) if came.status_code == httpx.codes.UNAUTHORIZED else None


def repeats(request: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
    """Be a door whose errors repeat what was sent."""
    if request.method != "POST" or not came.is_error:
        return None
    return answered(came, {**body, "detail": request.content.decode(errors="replace")[:4000]})


def plain_errors(_: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
    """Be a door whose errors are plain JSON."""
    if not came.is_error:
        return None
    return httpx.Response(came.status_code, headers={"www-authenticate": "Bearer"}, json=body)


def bare_refusal(request: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
    """Be a door whose refusals have no article."""
    if came.is_error or not isinstance(body, dict) or body.get("verdict") != "refused":
        return None
    return answered(came, {name: each for name, each in body.items() if name != "article"})


def ignores_parameters(_: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
    """Be a door that takes every parameter."""
    kinds = {each["kind"] for each in body.get("problems", ())} if isinstance(body, dict) else set()
    return answered(came, {}, 200) if kinds & {"unknown_parameter", "twice"} else None


def ignores_members(request: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
    """Accept an event with an unknown member, as a door that ignores the member."""
    unknown = CANARY.encode() + b'": 1'
    return answered(came, {}, 200) if unknown in request.content else None


def backwards(body: Any) -> Any:
    """The list from its end."""
    return {**body, "events": body["events"][::-1]}


_NUMBERS = count(1)
OPENED = {
    "at": "2026-03-02T09:00:00Z", "who": "S-17", "source": "ngo-a", "event": new_event_id(), "part": "story",
    "purpose": "case_work",
}  # fmt: skip
"""One row of the openings of letters."""
TOKEN_ROW = the_document()["paths"]["/v1/tokens"]["get"]["responses"]["200"]["content"]["application/json"]["example"][
    "tokens"
][0]
BREAKS: dict[str, tuple[Change, str]] = {
    "token": (open_to_all, "401 was expected and 200"),
    "addresses": (plain_errors, "an error is application/problem+json"),
    "faults": (repeats, "the answer repeats what was sent"),
    "members": (ignores_members, "422 was expected and 200"),
    "parameters": (ignores_parameters, "422 or 403 was expected and 200"),
    "lists": (at("GET", "/v1/inbox", lambda it: {**it, "next": None}), "`next` is null before the end"),
    "bounds": (
        at(
            "GET",
            "/v1/cases",
            lambda _: {"cases": [{"case": "ab" * 16, "events": 1, "last": OPENED["at"]}], "next": None},
        ),
        "GET /v1/cases: what `until` 1990",
    ),
    "once": (
        at("POST", "/v1/events", lambda it: {**it, "number": next(_NUMBERS)}),
        "`number` of an event that was published twice is not the same",
    ),
    "verdict": (bare_refusal, "a refusal has no article"),
    "known": (at("GET", "/v1/cases", lambda it: {**it, "cases": []}), "a case of this agency is missing"),
    "inbox": (at("GET", "/v1/inbox", backwards), "the rows are not in order"),
    "letters": (
        at("GET", "/v1/inbox", lambda it: {**it, "events": [{**each, "letter": {}} for each in it["events"]]}),
        "a letter came although nobody asked",
    ),
    "health": (at("GET", "/openapi.json", lambda it: {**it, "paths": {}}), "the document lacks /docs, /health"),
}
"""By promise: a door that breaks the promise, and the suite's finding."""


def when(path: str, change: Callable[[Any], Any], **asked: str) -> Change:
    """Return a door that changes good answers to a GET for *asked* at *path* or below."""

    def changed(request: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
        params = dict(request.url.params)
        is_asked = request.url.path.endswith(path) and {**params, **asked} == params
        return answered(came, change(body)) if is_asked and request.method == "GET" and not came.is_error else None

    return changed


def never_ends(page: Callable[[int], Any]) -> Change:
    """Return a door whose reads of a case have a page after each page; nobody asks for more than a few."""
    pages = count(1)

    def another(_: Any) -> Any:
        number = next(pages)
        assert number < 9, "the suite asks for ever"
        return page(number)

    return when("/reads", another)


READ_ROW = {**OPENED, "row": 1}
LIES: dict[str, tuple[str, Change, str]] = {
    "an opened page is empty": (
        "letters", when("/v1/inbox", lambda it: {**it, "events": []}, open="true"), "the opened letter is missing",
    ),
    "a page of reads leads to itself": (
        "letters", never_ends(lambda _: {"reads": [READ_ROW], "next": 5}), "a `next` that is not beyond it",
    ),
    "empty pages of reads lead on": (
        "letters", never_ends(lambda number: {"reads": [], "next": number}), "a page has no entries and a `next`",
    ),
    "empty pages of a list lead on": (
        "lists", when("/v1/inbox", lambda it: {**it, "events": [], "next": 1}, limit="2"), "a page has no entries, and a `next`",
    ),
    "a time is none": (
        "inbox",
        at("GET", "/v1/inbox", lambda it: {**it, "events": [{**each, "time": "yesterday"} for each in it["events"]]}),
        "the answer is not as documented at /events/0/time",
    ),
    "the paths are a list": ("health", at("GET", "/openapi.json", lambda it: {**it, "paths": []}), "`paths` is no object"),
    "a body is nested without end": (
        "health",
        lambda _, came, __: httpx.Response(200, headers=came.headers, content=b"[" * 200_000),
        "the body is no JSON object",
    ),
    "a token lacks a scope, whatever it is": (
        "token",
        lambda _, came, body: answered(came, {**body, "code": "scope_missing", "status": 403}, 403) if came.is_error else None,
        "401 was expected and 403 scope_missing came",
    ),
}  # fmt: skip
"""By lie: the broken promise, a door that lies so, and the suite's finding."""


@pytest.fixture(name="url")
async def _url(tmp_path: Path) -> AsyncIterator[str]:
    """Yield the address of a real desk that has received three letters and refuses a referral without consent."""
    async with in_process(tmp_path) as place:
        for _ in range(3):
            await place.tell(new_ref())
        place.refused_type = "referral.submitted"
        yield place.url


async def found(
    url: str, *names: str, change: Change | None = None, publishes: bool = True, token: str = TOKEN
) -> list[Found]:
    """Return the outcomes of the promises in *names*, or of all."""
    transport = Changed(change) if change else None
    async with Probe.at(url, token, publishes=publishes, transport=transport) as probe:
        return [each async for each in check(probe, names)]


@pytest.mark.slow
@pytest.mark.thorough
async def test_a_desk_keeps_every_promise(url: str) -> None:
    """The real door passes the suite. Without permission to publish, the suite lists the promises not tried."""
    outcomes = await found(url)
    assert [(each.name, each.broken or each.not_tried) for each in outcomes] == [(name, "") for name in PROMISES]
    assert all(each.promise for each in outcomes)

    quiet = await found(url, publishes=False)
    assert {each.name for each in quiet if each.not_tried} == {"members", "once", "verdict", "known", "letters"}
    assert not [each for each in quiet if each.broken]


async def test_a_door_that_breaks_a_promise_is_told_which(url: str) -> None:
    """Sabotage: for each promise a door breaks the promise; no finding repeats the sent content."""
    assert BREAKS.keys() == PROMISES.keys()
    for name, (change, says) in BREAKS.items():
        before = ("once",) if name == "known" else ()
        last = (await found(url, *before, name, change=change))[-1]
        assert says in last.broken, (name, last)
        assert CANARY not in last.broken


@pytest.mark.parametrize("lie", LIES)
async def test_a_door_that_lies_is_told_so(url: str, lie: str) -> None:
    """Given a door whose answers are empty, endless or of no form, then the suite ends, and names the lie."""
    name, change, says = LIES[lie]

    (only,) = await found(url, name, change=change)

    assert says in only.broken


async def test_no_depth_of_an_answer_ends_the_suite(url: str) -> None:
    """Given answers that are nested ever deeper, then each is told to the door: by the reader of JSON, or by the validator."""
    for depth in range(700, 1000, 20):
        nested = b'{"service": ' + b"[" * depth + b"]" * depth + b"}"
        answer = httpx.Response(200, headers={"content-type": "application/json"}, content=nested)
        (only,) = await found(url, "health", change=lambda *_, answer=answer: answer)
        assert only.broken, depth


async def test_at_an_empty_door_the_lists_are_tried_once_something_is_published(tmp_path: Path) -> None:
    """Given a door without an entry, then nothing is said to hold of its lists before the suite has published, nor of its inbox."""
    names = [name for name in PROMISES if name in {"once", "lists", "bounds", "inbox"}]
    alone = at("GET", "/v1/directory", lambda _: {"agencies": [], "next": None})
    async with in_process(tmp_path) as place:
        quiet = await found(place.url, *names, change=alone, publishes=False)
        loud = await found(place.url, *names, change=alone)

    assert [each.outcome for each in quiet] == ["not_tried"] * 4
    assert {each.name: each.outcome for each in loud} == {
        "once": "holds", "lists": "holds", "bounds": "holds", "inbox": "not_tried"
    }  # fmt: skip


async def test_what_a_token_may_not_read_is_not_tried(url: str) -> None:
    """Given a token without the scope that a promise needs, then the promise neither holds nor is called broken."""
    reading = ["addresses", "parameters", "inbox", "letters"]
    for token, names in (("publish", reading), ("nothing", [*reading, "faults", "members", "lists", "bounds", "once"])):
        outcomes = await found(url, *names, token=f"a-token-to-{token}")
        assert {each.name: each.outcome for each in outcomes} == dict.fromkeys(names, "not_tried")
        assert "the token lacks the scope" in outcomes[2].not_tried


@pytest.mark.slow
@pytest.mark.thorough
async def test_nothing_is_sent_without_leave_that_a_lax_door_would_publish(url: str) -> None:
    """Given a suite without leave to publish, then no request is an event with its data, whatever else is wrong with the request."""
    sent = list[bytes]()

    def listens(request: httpx.Request, came: httpx.Response, body: Any) -> None:
        if request.method == "POST":
            sent.append(request.content)

    assert not [each for each in await found(url, change=listens, publishes=False) if each.broken]
    assert len(sent) >= 6
    for raw in sent:
        with suppress(ValueError):
            assert not json.loads(raw).get("data", {}).keys() >= SIGNAL["data"].keys()


async def test_what_changes_while_a_list_is_read_breaks_no_promise(url: str) -> None:
    """Given a token whose uses are counted, then the list of tokens is the same list at each reading."""
    used = at("GET", "/v1/tokens", lambda _: {"tokens": [{**TOKEN_ROW, "used": next(_NUMBERS)}], "next": None})
    (only,) = await found(url, "lists", change=used)

    assert only.broken == ""


@pytest.mark.parametrize("kind", ["unknown_parameter", "twice"])
async def test_a_door_that_takes_one_kind_of_wrong_parameter_is_told(url: str, kind: str) -> None:
    """Sabotage: a door that refuses unknown parameters alone, or repeated ones alone, does not keep the promise."""

    def takes(_: httpx.Request, came: httpx.Response, body: Any) -> httpx.Response | None:
        kinds = {each["kind"] for each in body.get("problems", ())} if isinstance(body, dict) else set()
        return answered(came, {}, 200) if kind in kinds else None

    (only,) = await found(url, "parameters", change=takes)
    assert "422 or 403 was expected and 200" in only.broken


async def test_the_fake_of_the_sdk_refuses_parameters_as_a_desk_does() -> None:
    """A program that was tested against the fake finds the same refusals of tokens and parameters at a real desk."""
    names = ("token", "parameters")
    async with Probe.at("http://desk", FAKE_TOKEN, publishes=True, transport=FakeDesk("ngo-a")) as probe:
        outcomes = [each async for each in check(probe, names)]

    assert [(each.name, each.broken or each.not_tried) for each in outcomes] == [(name, "") for name in names]


async def test_an_opening_is_found_on_a_later_page_of_the_reads(tmp_path: Path) -> None:
    """Given a case with more than a page of openings, then the newest one is found, however often the suite has run."""
    async with in_process(tmp_path) as place:
        await place.tell(case := new_ref())
        ledger = place._given.desk.seat.ledger
        async with ledger.write() as tx:
            tx.execute(insert(tables.reads), [{**OPENED, "subject": case} for _ in range(1001)])
        (only,) = await found(place.url, "letters")

    assert (only.broken, only.not_tried) == ("", "")


@pytest.mark.parametrize(
    "said",
    [
        '{"url": 5, "token": "x"}',
        '{"url": "http://[::1", "token": "x"}',
        '{"url": "http://127.0.0.1:99999", "token": "x"}',
        '{"url": "http://127.0.0.1:-1", "token": "x"}',
        '{"url": "http://127.0.0.1:1", "token": 1}',
        '{"url": "http://127.0.0.1:1", "token": "t\u00f6ken"}',
        '{"url": "http://127.0.0.1:1", "token": "a\\nb"}',
        "[" * 200_000,
    ],
    ids=range(8),
)
def test_a_file_that_is_no_address_is_named_so(tmp_path: Path, said: str) -> None:
    """Given a door.json with anything but an address and a token, then the command says what it wants."""
    door = tmp_path / "door.json"
    door.write_text(said, encoding="utf-8")

    done = run("conformance", str(door))

    assert "name a door.json or a token file" in " ".join(done.stderr.split())
    assert done.returncode == 1


def test_a_token_file_that_no_header_can_carry_is_named_so(tmp_path: Path) -> None:
    """Given a token file with a letter beyond ASCII, then nothing is asked, and the command says what it wants."""
    token = tmp_path / "token"
    token.write_text("t\u00f6ken", encoding="utf-8")

    done = run("conformance", "http://127.0.0.1:1", "--token-file", token)

    assert "name a door.json or a token file" in " ".join(done.stderr.split())
    assert done.returncode == 1


@pytest.mark.parametrize("url", ["http://desk.example", "HTTP://desk.example:8000"])
def test_a_door_on_another_machine_is_asked_over_tls_only(tmp_path: Path, url: str) -> None:
    """Given an address that is neither https nor on this machine, then the token is not sent, by door.json or by address."""
    door, token = tmp_path / "door.json", tmp_path / "token"
    door.write_text(json.dumps({"url": url, "token": TOKEN}), encoding="utf-8")
    token.write_text(TOKEN, encoding="utf-8")

    for given in ((door,), (url, "--token-file", token)):
        done = run("conformance", *given)
        assert "Nothing was sent, since a desk on another machine is asked over https only" in " ".join(
            done.stderr.split()
        )
        assert (done.stdout, done.returncode) == ("", 1)


async def test_a_door_is_verified_however_its_address_is_written(tmp_path: Path) -> None:
    """Given `HTTPS://` and a door whose authority nobody here trusts, then the door gets no request."""
    home, door = tmp_path / "door", tmp_path / "door.json"
    made = DoorAuthority(home, "door").issue(("127.0.0.1",))
    server = {"ssl_certfile": home / "desk.pem", "ssl_keyfile": home / "desk.key"}
    for file, raw in zip(server.values(), (made.chain, made.key), strict=True):
        file.write_bytes(raw)
    asked = list[str]()

    async def listens(scope: Any, _: object, __: object) -> None:
        asked.append(scope["path"])

    async with served(listens, **server) as url:
        door.write_text(json.dumps({"url": url.replace("https", "HTTPS"), "token": TOKEN}), encoding="utf-8")
        done = await asyncio.to_thread(run, "conformance", door, "--json")

    assert asked == []
    assert "GET /health: no answer (ConnectError)" in {each["broken"] for each in json.loads(done.stdout)["promises"]}


@pytest.mark.slow
@pytest.mark.thorough
async def test_the_command_says_what_holds(url: str, tmp_path: Path) -> None:
    """The command takes a door.json or an address with a token file; its exit status is that of the door."""
    door = tmp_path / "door.json"
    door.write_text(json.dumps({"url": url, "token": TOKEN}), encoding="utf-8")
    kept = await asyncio.to_thread(run, "conformance", str(door), "--publish")
    assert "13 promises hold, 0 are broken, 0 were not tried." in kept.stdout
    assert kept.returncode == 0

    (tmp_path / "token").write_text("another", encoding="utf-8")
    broken = await asyncio.to_thread(run, "conformance", url, "--token-file", str(tmp_path / "token"), "--json")
    outcomes = {each["name"]: each["outcome"] for each in json.loads(broken.stdout)["promises"]}
    assert outcomes["addresses"] == "broken"
    assert broken.returncode == 1
    missing = await asyncio.to_thread(run, "conformance", url)
    assert "--token-file" in missing.stderr


@pytest.mark.slow
async def test_the_command_shows_a_certificate_to_a_door_that_asks_for_one(tmp_path: Path) -> None:
    """Given a door of another machine, then the command needs its authority and a certificate, by options or by door.json."""
    home = tmp_path / "door"
    authority, folder, client = DoorAuthority(home, "door"), BusFolder(tmp_path / "bus"), Tls(tmp_path / "client")
    made = authority.issue(("127.0.0.1",))
    server = {"ssl_certfile": home / "desk.pem", "ssl_keyfile": home / "desk.key"}
    for file, raw in zip(server.values(), (made.chain, made.key), strict=True):
        file.write_bytes(raw)
    folder.create()
    clients = Authority(folder)
    clients.equip("ngo-a", client.home)
    token, door = tmp_path / "token", client.folder / "elsewhere.json"
    token.write_text(TOKEN, encoding="utf-8")
    asks = {**server, "ssl_ca_certs": clients.path, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    shown = ("--certificate", str(client.certificate), "--key", str(client.key))
    async with desk_of("special-unit", tmp_path) as given, served(given.door._transport.app, **asks) as url:  # type: ignore[attr-defined]
        named = {"ca": str(authority.ca), "certificate": client.certificate.name, "key": client.key.name}
        door.write_text(json.dumps({"url": url, "token": TOKEN, **named}), encoding="utf-8")
        there = ("conformance", url, "--token-file", str(token), "--json", "--ca", str(authority.ca))
        unknown = await asyncio.to_thread(run, *there)
        known = [
            await asyncio.to_thread(run, *each) for each in ((*there, *shown), ("conformance", str(door), "--json"))
        ]
        wrong = await asyncio.to_thread(run, *there, "--certificate", str(token))
        token.write_text("another", encoding="utf-8")
        refused = await asyncio.to_thread(run, "conformance", str(door), "--token-file", str(token), "--json")

    assert {each["outcome"] for each in json.loads(unknown.stdout)["promises"]} <= {"broken", "not_tried"}
    for each in known:
        outcomes = {one["name"]: one["outcome"] for one in json.loads(each.stdout)["promises"]}
        assert outcomes["health"] == "holds"
        assert "broken" not in outcomes.values()
    assert "each is a PEM file" in wrong.stderr
    assert "health" in {each["name"] for each in json.loads(refused.stdout)["promises"] if each["broken"]}
