"""Promises of the SDK at every desk: a real desk in this process, a desk on a bus, and the SDK's own fake."""

import asyncio
import json
import os
import shutil
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from client.given import CANARY, LETTER, REFERRAL, SIGNAL, InMemory, Place, in_process, on_a_bus, served
from desk.given import TOKEN, desk_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.door_authority import DoorAuthority
from nrmbus.bus.reach import Tls
from nrmbus.client import (
    AsyncDesk,
    Cursor,
    CursorFile,
    Desk,
    DoorError,
    Pending,
    Received,
    Refused,
    Registered,
    RequestRefused,
    TokenRefused,
    Unavailable,
    Unreachable,
    event_of,
    new_event_id,
    new_ref,
)
from nrmbus.client.testing import FakeDesk
from nrmbus.events.case import SignalDismissed, SignalRecorded, SignalRecordedLetter
from nrmbus.events.model import Data, Letter
from nrmbus.events.referral import ReferralSubmitted, ReferralSubmittedV2
from patience import LONGEST_WAIT

EARLY, LATE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)


@pytest.fixture(
    name="place",
    params=["in_memory", "in_process", pytest.param("on_a_bus", marks=[pytest.mark.broker, pytest.mark.slow])],
)
async def _place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each kind of desk."""
    if request.param == "on_a_bus":
        async with on_a_bus(request.getfixturevalue("kafka")) as place:
            yield place
    elif request.param == "in_memory":
        yield InMemory()
    else:
        async with in_process(tmp_path) as place:
            yield place


async def heard(desk: AsyncDesk, after: Cursor | str = "0") -> list[Received[Data | None]]:
    """Everything that the desk has received after a cursor."""
    return [event async for event in desk.inbox(after=after, follow=False)]


@pytest.mark.thorough
async def test_what_a_program_publishes_and_hears(place: Place) -> None:
    """One desk, all promises: a bus takes long to start."""
    async with place.desk() as desk:
        await an_event_is_registered_once(desk)
        await a_refusal_is_a_verdict(place, desk)
        await a_fault_names_place_and_remedy(desk)
        await several_events_are_taken_together_or_not_at_all(desk)
        await events_come_typed_and_in_order(place, desk)
        await lists_come_in_pages(desk)
        await a_letter_is_opened_on_record(desk)
        await handlers_hear_each_event_once(place, desk)
        await a_program_that_follows_hears_what_comes(place, desk)
    await a_foreign_token_is_refused(place)


async def an_event_is_registered_once(desk: AsyncDesk) -> None:
    """Given an id of its own, when a program publishes twice, then both verdicts are the same registration."""
    case, id = new_ref(), new_event_id()
    first = await desk.publish(SIGNAL, case=case, actor="S-7", sealed=LETTER, id=id, wait=LONGEST_WAIT)
    again = await desk.publish(SIGNAL, case=case, actor="S-7", sealed=LETTER, id=id, wait=LONGEST_WAIT)
    shown = await desk.verdict(id)

    assert isinstance(first, Registered)
    assert (first.id, first.case) == (id, case)
    assert isinstance(again, Registered)
    assert isinstance(shown, Registered)
    assert first.number == again.number == shown.number
    assert case in [each["case"] for each in await desk.cases()]
    assert await desk.referrals(case=case) == []
    with pytest.raises(RequestRefused) as raised:
        await desk.publish(SIGNAL, case=case, actor="S-8", id=id)
    assert (raised.value.code, raised.value.retryable) == ("id_reused", False)
    with pytest.raises(RequestRefused, match="nothing at this address"):
        await desk.verdict(new_event_id())


async def a_refusal_is_a_verdict(place: Place, desk: AsyncDesk) -> None:
    """Given a person without consent, when she is referred, then the verdict has code, rule and a sentence, and is no error."""
    opened = await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)
    place.refuse()
    verdict = await desk.publish(
        REFERRAL, case=opened.case, ref=new_ref(), actor="S-7", legal_basis="CoM 21/2008 art. 7", wait=LONGEST_WAIT
    )

    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.rule) == ("consent_required", "G-32")
    assert "onsent" in verdict.sentence


async def a_fault_names_place_and_remedy(desk: AsyncDesk) -> None:
    """Given a wrong code, a misspelt name or an unknown type, then the error has its place and what is allowed, never the input."""
    body = {"type": "case.signal_recorded", "actor": "S-7", "data": SIGNAL.to_mapping()}
    data = SIGNAL.to_mapping()
    wrong: dict[str, dict[str, Any]] = {
        "unknown_field": {"data": data | {"urgency": CANARY}},
        "unknown_type": {"type": "case.imagined"},
        "unknown_version": {"version": 9},
    }
    for code, part in wrong.items():
        with pytest.raises(RequestRefused) as raised:
            await desk.publish({**body, **part})
        assert raised.value.code == code
        assert CANARY not in str(raised.value)
        if code == "unknown_field":
            (problem,) = raised.value.problems
            assert problem.pointer == "/data/urgency"
            assert "emergency" in problem.allowed
        assert raised.value.accepts == ((1,) if code == "unknown_version" else ())
    with pytest.raises(RequestRefused) as raised:
        await desk.door.get("/v1/inbox", cse="ab" * 16)
    (problem,) = raised.value.problems
    assert (problem.pointer, problem.kind, problem.nearest) == ("?", "unknown_parameter", ("case",))
    for path, name, value, kind in (
        ("inbox", "limit", CANARY, "int_parsing"),
        ("tasks", "limit", "0", "greater_than_equal"),
        ("referrals", "limit", "1001", "less_than_equal"),
        ("inbox", "after", "-1", "greater_than_equal"),
        ("inbox", "wait", "nan", "less_than_equal"),
    ):
        with pytest.raises(RequestRefused) as raised:
            await desk.door.get(f"/v1/{path}", **{name: value})
        (problem,) = raised.value.problems
        assert (raised.value.code, problem.pointer, problem.kind) == ("unknown_field", f"?{name}", kind)
        assert CANARY not in str(raised.value)
    with pytest.raises(RequestRefused) as raised:
        await desk.publish({**body, "data": {**data, "urgncy": data["urgency"]}, "actor": "Leyla"})
    assert CANARY.split()[0] not in str(raised.value)
    assert raised.value.code == "unknown_field"
    with pytest.raises(RequestRefused) as raised:
        await desk.publish(REFERRAL.model_copy(update={"to": ("ngo-b",)}), case=new_ref(), actor="S-7")
    assert raised.value.code == "unknown_recipient"
    (problem,) = raised.value.problems
    assert problem.pointer == "/data/to/0"
    assert "ngo-a" in problem.nearest


async def several_events_are_taken_together_or_not_at_all(desk: AsyncDesk) -> None:
    """Given two events of a new person, then each has a verdict and they share the case; with a fault in one, none is taken."""
    dismissed = SignalDismissed(reason="no_indicator")
    opening = event_of(SIGNAL, actor="S-7", sealed=LETTER)
    bodies = [opening, event_of(dismissed, actor="S-7")]
    first = await desk.publish_all(bodies, wait=LONGEST_WAIT)
    again = await desk.publish_all(bodies, wait=LONGEST_WAIT)

    assert [type(each) for each in first] == [Registered, Registered]
    assert [each.id for each in first] == [each.id for each in again] == [each["id"] for each in bodies]
    assert first[0].case == first[1].case
    wrong = [event_of(SIGNAL, actor="S-7"), event_of({**event_of(dismissed, actor="S-7"), "type": "case.imagined"})]
    with pytest.raises(RequestRefused) as raised:
        await desk.publish_all(wrong)
    assert raised.value.code == "unknown_type"
    with pytest.raises(RequestRefused, match="nothing at this address"):
        await desk.verdict(wrong[0]["id"])


async def events_come_typed_and_in_order(place: Place, desk: AsyncDesk) -> None:
    """Given three reports, then each comes once as the published model, and a stored cursor goes on behind it.

    A cursor of another ledger begins again: the program is told, and each event has the id that it had.
    """
    cases = [new_ref() for _ in range(3)]
    for case in cases:
        await place.tell(case)
    events = await heard(desk)

    assert [event.case for event in events] == cases
    assert all(isinstance(event.data, SignalRecorded) and event.source == "ngo-a" for event in events)
    assert all(event.letter is None for event in events)
    assert "detector" not in repr(events)
    later = Cursor.parse(str(events[0].cursor))
    assert [event.case for event in await heard(desk, later)] == cases[1:]
    assert await heard(desk, str(events[-1].cursor)) == []
    assert [event.case async for event in desk.inbox(case=cases[1], follow=False)] == [cases[1]]
    assert [event.case async for event in desk.inbox(source="ngo-a", type=SIGNAL.type, follow=False)] == cases
    assert [event async for event in desk.inbox(type="referral.accepted", follow=False)] == []
    told: list[str] = []
    stale = Cursor(events[-1].cursor.row, "0" * 16)
    again = desk.inbox(after=stale, follow=False, waiting=lambda error: told.append(error.code))
    assert [event.id async for event in again] == [event.id for event in events]
    assert told == ["inbox_restarted"]


async def lists_come_in_pages(desk: AsyncDesk) -> None:
    """Given more rows than a page has, then `next` leads on to the last; times select, and an unknown selection is refused."""
    for path, name in (
        ("/v1/inbox", "events"),
        ("/v1/cases", "cases"),
        (f"/v1/cases/{(await desk.cases())[0]['case']}/timeline", "events"),
    ):
        whole = await desk.door.get(path)
        found, following = list[Any](), None
        while True:
            page = await desk.door.get(path, limit="1", **({} if following is None else {"after": str(following)}))
            found += page[name]
            if (following := page["next"]) is None:
                break
        assert found == whole[name] != []
        assert whole["next"] is None
        for stamp in {each["registered"] for each in whole[name] if name == "events"}:
            half = datetime.fromisoformat(stamp) + timedelta(milliseconds=400)
            bound = half.astimezone(timezone(timedelta(hours=4))).isoformat()
            assert (await desk.door.get(path, since=bound))[name] == [
                each for each in whole[name] if each["registered"] >= stamp
            ]
            assert (await desk.door.get(path, until=bound))[name] == [
                each for each in whole[name] if each["registered"] < stamp
            ]
    for wrong in ({"sinse": "2020-01-01T00:00:00Z"}, {"since": "2020-01-01"}, {"until": "2020-01-01T00:00:00"}):
        for path in ("/v1/inbox", "/v1/cases", "/v1/referrals", "/v1/tasks"):
            with pytest.raises(RequestRefused) as raised:
                await desk.door.get(path, **wrong)
            assert raised.value.code == "unknown_field"
            assert len(raised.value.problems) == 1
    for time, before, since in ((EARLY, False, True), (LATE, True, False)):
        case = (await desk.cases())[0]["case"]
        asks: list[Callable[..., Awaitable[list[Any]]]] = [
            partial(_events, desk),
            desk.cases,
            partial(desk.timeline, case),
        ]
        for ask in asks:
            assert bool(await ask(until=time)) is before
            assert bool(await ask(since=time)) is since
        for tasks in (desk.tasks, desk.referrals):
            assert await tasks(since=LATE) == await tasks(until=EARLY) == []
    with pytest.raises(ValueError, match="follow=False"):
        await anext(desk.inbox(until=LATE))


async def _events(desk: AsyncDesk, **within: Any) -> list[Any]:
    return [event async for event in desk.inbox(follow=False, **within)]


async def a_letter_is_opened_on_record(desk: AsyncDesk) -> None:
    """Given a reader, then the letter comes as its model; without one, nothing is opened."""
    with pytest.raises(RequestRefused) as raised:
        _ = [event async for event in desk.inbox(opened=True, follow=False)]
    assert raised.value.code == "reader_unnamed"
    event = await anext(aiter(desk.inbox(opened=True, actor="S-7", follow=False)))

    assert isinstance(event.letter, SignalRecordedLetter)
    assert event.letter.age_band == LETTER.age_band
    assert CANARY not in repr(event)


async def handlers_hear_each_event_once(place: Place, desk: AsyncDesk) -> None:
    """Given a handler that has finished all events, when one more comes, then the next run hands over only this event.

    A cursor kept by the desk under a name is a separate cursor.
    """
    cases, letters = list[str](), list[Letter | None]()

    @desk.on(SignalRecorded)
    async def report(event: Received[SignalRecorded]) -> None:
        cases.append(event.case)
        letters.append((await desk.open(event, actor="S-7")).letter)

    with TemporaryDirectory() as folder:
        store = CursorFile(Path(folder) / "cursor")
        await desk.run(store, follow=False)
        assert cases == [event.case for event in await heard(desk)]
        await place.tell(case := new_ref())
        await desk.run(store, follow=False)
        await desk.run(store, follow=False)
        await desk.run("booking", follow=False)
        assert len(cases) == 2 * len(set(cases))
        await desk.run("booking", follow=False)
        del cases[len(cases) // 2 :]
    assert cases[-1] == case
    assert len(cases) == len(set(cases)) == len(await heard(desk))
    assert all(isinstance(letter, SignalRecordedLetter) for letter in letters)


async def a_program_that_follows_hears_what_comes(place: Place, desk: AsyncDesk) -> None:
    """Given a program that waits behind the newest event, when two reports come, then it hears both, with letters too."""
    after = (await heard(desk))[-1].cursor
    inboxes = [desk.inbox(after=after, type=SIGNAL.type), desk.inbox(after=after, opened=True, actor="S-7")]
    waiting = [asyncio.ensure_future(anext(inbox)) for inbox in inboxes]
    await asyncio.sleep(0)
    for case in (first := new_ref(), second := new_ref()):
        await place.tell(case)
    plain, opened = [await each for each in waiting]

    assert (plain.case, opened.case, plain.cursor) == (first, first, opened.cursor)
    assert (plain.letter, opened.letter and opened.letter.age_band) == (None, LETTER.age_band)  # type: ignore[attr-defined]
    assert [(await anext(inbox)).case for inbox in inboxes] == [second, second]
    for inbox in inboxes:
        await inbox.aclose()


async def a_foreign_token_is_refused(place: Place) -> None:
    """Given a wrong token, then the error says so, and that another attempt does not help."""
    async with place.desk(token="wrong") as desk:
        with pytest.raises(TokenRefused) as raised:
            await desk.publish(SIGNAL, actor="S-7")
    assert (raised.value.code, raised.value.retryable) == ("token_required", False)


async def test_without_waiting_a_verdict_is_pending(tmp_path: Path) -> None:
    """Given a registrar that has not answered, then the verdict is pending, and names the event that can be asked for."""
    async with in_process(tmp_path) as place, place.desk() as desk:
        verdict = await desk.publish(SIGNAL, actor="S-7", wait=0)
        assert isinstance(verdict, Pending)
        assert (await desk.verdict(verdict.id)).case == verdict.case


async def test_a_program_without_asyncio_has_the_same_desk(tmp_path: Path) -> None:
    """Given a desk, then the synchronous client publishes, reads verdict, cases and inbox, and ends its thread."""
    async with in_process(tmp_path) as place:
        case = new_ref()
        await place.tell(case)

        def program() -> tuple[list[str], str]:
            with Desk(place.url, TOKEN) as desk:
                verdict = desk.publish(SIGNAL, actor="S-7", sealed=LETTER)
                assert isinstance(verdict, Registered)
                assert desk.verdict(verdict.id).case == verdict.case
                assert {each["case"] for each in desk.cases()} == {case, desk.case(verdict.case)["case"]}
                assert desk.tasks()[0]["case"] == case
                assert desk.health()["service"] == "special-unit"
                heard = [event.case for event in desk.inbox(follow=False)]
                return heard, next(iter(desk.inbox())).case

        assert await asyncio.to_thread(program) == ([case], case)
    assert not [each.name for each in threading.enumerate() if each.name == "nrmbus-desk"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of os.fork, which servers use all the same
async def test_a_refusal_for_one_receiver_names_those_that_have_their_event(tmp_path: Path) -> None:
    """Given a consent for two agencies, of which one part is refused, then the verdict says for whom the other is registered."""
    consent = {
        "type": "consent.given",
        "data": {
            "purposes": ["services"],
            "receivers": ["ngo-a", "shelter"],
            "given_by": "individual",
            "form": "written",
        },
    }
    async with in_process(tmp_path) as place, place.desk() as desk:
        case = (await desk.publish(SIGNAL, actor="S-7", wait=LONGEST_WAIT)).case
        place.refuse()
        verdict = await desk.publish(consent, case=case, actor="S-7", wait=LONGEST_WAIT)

    assert isinstance(verdict, Refused)
    (refused,) = [each for each in verdict.answer["events"] if each["verdict"] == "refused"]
    assert refused["id"] == verdict.id
    assert {*refused["receivers"], *verdict.registered_for} == {"ngo-a", "shelter"}
    assert len(verdict.registered_for) == 1


def test_a_desk_that_has_no_thread_says_so() -> None:
    """Given a desk that was closed, or made before a fork, then a call raises at once, and does not wait for ever."""
    with Desk("http://127.0.0.1:1", "token") as desk:
        if not (child := os.fork()):
            try:
                desk.health()
            except RuntimeError:
                os._exit(7)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with pytest.raises(RuntimeError, match="after a fork"):
        desk.health()


def test_a_desk_is_not_used_by_a_function_that_it_waits_for() -> None:
    """Given `waiting`, or a handler that is a coroutine, then its call of the same desk raises at once, and other threads can use the desk."""
    fake, said = FakeDesk("special-unit", agencies=["ngo-a"]), list[str]()
    fake.receive(SIGNAL, source="ngo-a")

    def ask(desk: Desk) -> None:
        try:
            desk.health()
        except RuntimeError as error:
            said.append(str(error))

    with fake.sync_desk() as desk:
        fake.away = True

        def waiting(_: DoorError) -> None:
            ask(desk)
            fake.away = False

        assert next(iter(desk.inbox(waiting=waiting))).data == SIGNAL

        @desk.on(SignalRecorded)
        async def report(_: Received[SignalRecorded]) -> None:
            ask(desk)

        desk.run("booking", follow=False)
        assert desk.health()
    assert len(said) == 2
    assert all("a handler that is a plain function" in each for each in said)


async def test_an_event_survives_a_desk_that_starts_again(tmp_path: Path) -> None:
    """Given a desk that is away at first, when a program publishes, then the event is offered again and registered once."""
    answers: list[int | None] = [None, 503, 429, 200]
    ids = set[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        ids.add(json.loads(request.content)["id"])
        status = answers.pop(0)
        if status is None:
            raise httpx.ConnectError("nobody there")
        said = {"id": "1", "case": "2", "verdict": "registered", "number": 3, "receipt": "4"}
        return httpx.Response(status, json=said if status == 200 else {"code": "x"}, headers={"retry-after": "0"})

    transport = httpx.MockTransport(answer)
    async with AsyncDesk("http://127.0.0.1:1", "token", transport=transport) as desk:
        assert isinstance(await desk.publish(SIGNAL, actor="S-7"), Registered)
    assert len(ids) == 1
    answers = [429]
    async with AsyncDesk("http://127.0.0.1:1", "token", transport=transport, patience=0) as desk:
        with pytest.raises(Unavailable) as raised:
            await desk.publish(SIGNAL, actor="S-7")
    assert (raised.value.retryable, raised.value.retry_after) == (True, 0.0)


@pytest.mark.parametrize("url", ["http://desk.example", "http://192.0.2.1:8000", "ftp://127.0.0.1"])
def test_a_token_travels_to_another_machine_over_tls_only(url: str) -> None:
    """Given an address that is neither https nor on this machine, then no request is made."""
    with pytest.raises(RequestRefused) as raised:
        AsyncDesk(url, "token")
    assert raised.value.code == "tls_required"


async def test_the_environment_names_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given `NRMBUS_DOOR`, a folder or a file with url and token, then a program needs no address of its own."""
    monkeypatch.delenv("NRMBUS_DOOR", raising=False)
    with pytest.raises(Unreachable, match="NRMBUS_DOOR"):
        AsyncDesk.of()
    file = tmp_path / "door.json"
    file.write_text(json.dumps({"url": "http://127.0.0.1:1", "token": "t"}))
    for named in (tmp_path, file):
        monkeypatch.setenv("NRMBUS_DOOR", str(named))
        async with AsyncDesk.of(speaks=[ReferralSubmittedV2]) as desk:
            assert (desk.door.url, desk.door.token) == ("http://127.0.0.1:1", "t")
            assert desk.door.speaks == {"referral.submitted": 2}
    with pytest.raises(ValueError, match="two versions"):
        AsyncDesk.of(speaks=[ReferralSubmittedV2, ReferralSubmitted])


async def test_a_desk_elsewhere_is_reached_by_tls_with_its_own_authority(tmp_path: Path) -> None:
    """Given a desk that asks for certificates, then a program with the right files is served, by hand and by a door's file."""
    home = tmp_path / "door"
    authority, folder, client = DoorAuthority(home, "door"), BusFolder(tmp_path / "bus"), Tls(tmp_path / "client")
    made = authority.issue(("127.0.0.1",))
    server = {"ssl_certfile": home / "desk.pem", "ssl_keyfile": home / "desk.key"}
    for file, raw in zip(server.values(), (made.chain, made.key), strict=True):
        file.write_bytes(raw)
    folder.create()
    clients = Authority(folder)
    clients.equip("ngo-a", client.home)
    ca, pair = shutil.copy(authority.ca, client.folder / "authority.pem"), (client.certificate, client.key)
    tls = {**server, "ssl_ca_certs": clients.path, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    async with desk_of("special-unit", tmp_path) as given, served(given.door._transport.app, **tls) as url:  # type: ignore[attr-defined]
        door = client.folder / "elsewhere.json"
        named = {"ca": "authority.pem", "certificate": pair[0].name, "key": pair[1].name}
        door.write_text(json.dumps({"url": url, "token": TOKEN} | named))
        for desk in (AsyncDesk(url, TOKEN, ca=ca, certificate=pair), AsyncDesk.of(door)):
            async with desk:
                assert (await desk.health())["service"] == "special-unit"
        for code, wrong in {
            "unreachable": AsyncDesk(url, TOKEN, ca=ca),
            "not_trusted": AsyncDesk(url, TOKEN, certificate=pair),
        }.items():
            async with wrong:
                with pytest.raises(DoorError) as raised:
                    await wrong.health()
                assert (raised.value.code, raised.value.retryable) == (code, code == "unreachable")
        async with AsyncDesk(url, TOKEN, certificate=pair) as wrong:
            with pytest.raises(RequestRefused, match="give `ca`"):  # it does not follow for ever
                await anext(wrong.inbox())


async def test_a_list_is_read_to_its_end() -> None:
    """Given a list of two pages, then the program gets both, and only what it selected."""
    asked = list[dict[str, str]]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        first = "after" not in asked[-1]
        return httpx.Response(200, json={"referrals": [{"row": 1 if first else 2}], "next": 1 if first else None})

    async with AsyncDesk("http://127.0.0.1:1", "t", transport=httpx.MockTransport(answer)) as desk:
        assert await desk.referrals(case="ab") == [{"row": 1}, {"row": 2}]
    assert asked == [{"case": "ab"}, {"case": "ab", "after": "1"}]


@pytest.mark.thorough
async def test_a_program_that_follows_keeps_one_stream(tmp_path: Path) -> None:
    """Given a real desk, then one request brings each event as it comes."""
    async with in_process(tmp_path) as place, place.desk() as desk:
        paths = list[str]()

        async def noted(request: httpx.Request) -> None:
            paths.append(request.url.path)

        desk.door._http.event_hooks = {"request": [noted]}
        inbox = desk.inbox()
        for case in (new_ref(), new_ref()):
            await place.tell(case)
            assert (await anext(inbox)).case == case
        await inbox.aclose()
        assert paths == ["/v1/inbox/stream"]
