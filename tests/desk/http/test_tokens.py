"""Tokens of the agency's own systems: shown once, scoped, ended, counted, and worth nothing once revoked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import ValidationError
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agencies import BUS, CASE, NOW, SIGNAL
from desk.given import BED, StandingClock, behind_a_revocation, desk_of
from desk.kept import place_at
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import recipients
from nrmbus.desk.http.door import Token
from nrmbus.desk.http.limits import A_MINUTE
from nrmbus.desk.http.scopes import LOCAL, SCOPES, Caller
from nrmbus.desk.http.tokens import LONGEST, NewToken, Tokens
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.staff.permissions import PERMISSIONS, StaffSettings
from nrmbus.desk.staff.staff import Staff
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from patience import eventually

pytestmark = pytest.mark.usefixtures("kept")
DAY = timedelta(days=1)


@asynccontextmanager
async def tokens_at(home: Path, clock: StandingClock | None = None) -> AsyncIterator[tuple[Tokens, Ledger]]:
    """Yield the tokens of a desk that starts on the ledger at *home*."""
    ledger = await Ledger.open(await place_at(home / "ledger.sqlite"), bus=BUS, agency="ngo-a")
    try:
        yield Tokens(ledger, lambda given: given == "Bearer local", now=(clock or StandingClock()).now), ledger
    finally:
        await ledger.close()


def wanted(name: str = "booking", scopes: tuple[str, ...] = ("read",), days: float = 30) -> NewToken:
    """Return a request for a token."""
    return NewToken.model_validate({"name": name, "scopes": scopes, "ends": NOW + days * DAY})


def code_of(refused: pytest.ExceptionInfo[DeskError]) -> tuple[str, list[Any]]:
    """Return the code of a refusal, and its problems."""
    return refused.value.code, list(refused.value.problems)


async def test_a_token_is_shown_once_and_stored_as_a_digest(tmp_path: Path) -> None:
    """Neither the list nor the ledger has the token; the desk knows it after a restart."""
    async with tokens_at(tmp_path) as (tokens, ledger):
        made = await tokens.add(wanted(scopes=("open", "read")), LOCAL)
        secret = made.pop("token")

        assert tokens.caller_of(f"Bearer {secret}") == Caller("booking", frozenset(["read", "open"]), A_MINUTE)
        assert made == {
            "name": "booking", "scopes": ["read", "open"], "state": "valid", "made": "2026-03-02T05:00:00Z",
            "made_by": "door.json", "ends": "2026-04-01T05:00:00Z", "used": 0,
        }  # fmt: skip
        with ledger.read() as tx:
            (row,) = tx.execute(tables.tokens.select()).all()
        assert secret not in repr([row, tokens.page("", 10)])

    async with tokens_at(tmp_path) as (tokens, _):
        assert tokens.caller_of(f"Bearer {secret}") is not None
        for other in (
            None,
            "",
            secret,
            f"bearer {secret}",
            f"Bearer {secret}x",
            f"Bearer {secret[:-1]}",
            "Bearer nrm_",
        ):
            assert tokens.caller_of(other) is None


@pytest.mark.parametrize("name", ["7", "0042", "123456789"])
def test_no_token_has_a_members_number_for_a_name(name: str) -> None:
    """A record names members by numbers and systems by names: nobody can take one for the other."""
    with pytest.raises(ValidationError) as refused:
        wanted(name)

    assert [(each["type"], each["loc"]) for each in refused.value.errors()] == [("string_pattern_mismatch", ("name",))]


async def test_a_revoked_token_is_worth_nothing_from_that_moment(tmp_path: Path) -> None:
    """Revoking takes effect with its answer, and lasts; the name may then be given again."""
    async with tokens_at(tmp_path) as (tokens, _):
        secret = (await tokens.add(wanted(), LOCAL))["token"]

        assert (await tokens.revoke("booking", "door.json"))["state"] == "revoked"
        assert tokens.caller_of(f"Bearer {secret}") is None
        assert (await tokens.revoke("booking", "door.json"))["revoked"] == "2026-03-02T05:00:00Z"
        with pytest.raises(DeskError, match="not_found"):
            await tokens.revoke("nobody", "door.json")

    async with tokens_at(tmp_path) as (tokens, _):
        assert tokens.caller_of(f"Bearer {secret}") is None
        again = await tokens.add(wanted(), LOCAL)
        assert tokens.caller_of(f"Bearer {again['token']}") is not None
        assert tokens.caller_of(f"Bearer {secret}") is None


async def test_whoever_waits_for_an_answer_gets_nothing_after_its_token_was_revoked(tmp_path: Path) -> None:
    """A stream ends with the next line that it would get, and a long poll gets 401."""
    lines, let_go = asyncio.Queue[bytes](), asyncio.Event()

    async def stream(_: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield await lines.get()

        return StreamingResponse(body())

    async def poll(_: Request) -> Response:
        await let_go.wait()
        return Response(b"what was waited for")

    async with tokens_at(tmp_path) as (tokens, _):
        secret = (await tokens.add(wanted(), LOCAL))["token"]
        app = Starlette(routes=[Route("/stream", stream), Route("/poll", poll)])
        guarded = Token(app, tokens.caller_of, holds=tokens.holds)
        sent: dict[str, list[Any]] = {"/stream": [], "/poll": []}

        async def ask(path: str) -> None:
            async def send(message: Any) -> None:
                sent[path].append(message)

            headers = [(b"authorization", f"Bearer {secret}".encode())]
            scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
            await guarded(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]  # nobody hangs up

        asking = {path: asyncio.create_task(ask(path)) for path in sent}
        lines.put_nowait(b"before")
        await eventually("the stream has begun", lambda: len(sent["/stream"]) == 2)
        await tokens.revoke("booking", "door.json")
        lines.put_nowait(b"after")
        let_go.set()
        await asyncio.wait(asking.values())

    assert asking["/stream"].exception() is not None
    assert [each.get("body") for each in sent["/stream"]] == [None, b"before"]
    assert sent["/poll"][0]["status"] == 401
    assert b"waited" not in b"".join(each.get("body", b"") for each in sent["/poll"])


async def test_letter_is_read_for_nobody_whose_token_was_revoked_while_it_waited(tmp_path: Path) -> None:
    """P4: given a long poll that opens, when its token is revoked before an event comes, no reading is registered or recorded."""
    async with desk_of("shelter", tmp_path) as here:
        tokens = here.behind.tokens
        made = await tokens.add(NewToken(name="booking", scopes=("read", "open"), ends=wall_now() + DAY), LOCAL)
        mine = {"authorization": f"Bearer {made['token']}"}
        asked: dict[str, str | int | bool] = {"open": True, "wait": 60, "actor": "S-9"}
        waiting = asyncio.create_task(here.door.get("/v1/inbox", params=asked, headers=mine))
        await eventually("it waits", lambda: here.behind.arrivals._waiting)
        await tokens.revoke("booking", "door.json")
        event = here.registrar.event(
            "special-unit", "shelter.bed_requested", BED, referral="cd" * 16,
            parts={"coded": {"category": "women"}, "story": {"notes": "CANARY"}}, opens=["shelter"],
        )  # fmt: skip
        await here.hear(here.registrar.register(event, to="shelter"))
        answer = await here.during(waiting)

        assert (answer.status_code, answer.json()["code"]) == (401, "token_required")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert [row.type for row in await here.rows("outbox") if row.type == "access.granted"] == []
        assert [row.system for row in await here.rows("reads") if row.system == "booking"] == []


async def test_p2_nothing_is_published_by_a_body_that_comes_slowly_once_its_token_is_revoked(tmp_path: Path) -> None:
    """P2: given half of an event, when its token is revoked before the other half, the answer is 401 and nothing is published."""
    async with desk_of("ngo-a", tmp_path) as here:
        tokens, has_begun, is_revoked = here.behind.tokens, asyncio.Event(), asyncio.Event()
        made = await tokens.add(NewToken(name="booking", scopes=("publish",), ends=wall_now() + DAY), LOCAL)
        body = json.dumps({"type": "case.signal_recorded", "case": CASE, "actor": "S-1", "data": SIGNAL}).encode()

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:5]
            has_begun.set()
            await is_revoked.wait()
            yield body[5:]

        mine = {"authorization": f"Bearer {made['token']}", "content-type": "application/json"}
        asking = asyncio.create_task(here.door.post("/v1/events", content=slowly(), headers=mine))
        await has_begun.wait()
        await tokens.revoke("booking", "door.json")
        is_revoked.set()
        answer = await here.during(asking)

        assert (answer.status_code, answer.json()["code"]) == (401, "token_required")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert await here.rows("outbox") == []


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batches"])
async def test_p2_nothing_is_published_whose_token_was_revoked_while_the_directory_was_read(
    path: str, tmp_path: Path
) -> None:
    """P2: given an event for which the desk reads the directory, when its token is revoked meanwhile, the answer is 401 and nothing is published."""
    async with desk_of("ngo-a", tmp_path) as here:
        tokens, is_read, is_revoked = here.behind.tokens, asyncio.Event(), asyncio.Event()
        made = await tokens.add(NewToken(name="booking", scopes=("publish",), ends=wall_now() + DAY), LOCAL)

        async def see(*_: object) -> None:
            is_read.set()
            await is_revoked.wait()

        event = {"type": "case.signal_recorded", "case": CASE, "actor": "S-1", "data": SIGNAL}
        body = event if path == "/v1/events" else {"events": [event]}
        with patch.object(recipients, "see", see):
            mine = {"authorization": f"Bearer {made['token']}"}
            asking = asyncio.create_task(here.door.post(path, json=body, headers=mine))
            await is_read.wait()
            await tokens.revoke("booking", "door.json")
            is_revoked.set()
            answer = await here.during(asking)

        assert (answer.status_code, answer.json()["code"]) == (401, "token_required")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert await here.rows("outbox") == []


@pytest.mark.usefixtures("cheap_passwords")
async def test_p2_nothing_is_done_by_requests_that_waited_for_the_ledger_while_their_token_was_revoked(
    tmp_path: Path,
) -> None:
    """P2: given requests that wait for the ledger, when their token is revoked before their turn, then each gets 401 and changes nothing."""
    async with desk_of("vac", tmp_path) as here:
        tokens, staff = here.behind.tokens, here.behind.staff
        _, made = [
            await tokens.add(NewToken(name=name, scopes=SCOPES, ends=wall_now() + DAY), LOCAL)
            for name in ("case-system", "stolen")
        ]
        mine = {"authorization": f"Bearer {made['token']}"}
        for name in ("Leyla Example", "Rashad Example"):
            await staff.add(NewMember(name=name, roles=("worker",)), "door.json")
        first, second = (each.number for each in staff.members.everybody())
        sent = await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.hear(
            here.registrar.register(here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac")
        )
        await here.settle()
        (task, *_) = [row.id for row in await here.rows("tasks") if row.done is None]
        assert (await here.door.put("/v1/cursors/mine", headers=mine)).status_code == 200

        async def everything() -> dict[str, list[Any]]:
            """Return all that the ledger has, but for the revocation itself."""
            found = {name: await here.rows(name) for name in tables.METADATA.tables}
            return found | {
                "tokens": [row for row in found["tokens"] if row.name != "stolen"],
                "staff_changes": [row for row in found["staff_changes"] if row.member != "stolen"],
            }

        before, door = await everything(), here.door
        ends = times.write(wall_now() + 300 * DAY)
        answers = await behind_a_revocation(
            here, "stolen",
            door.post("/v1/tokens", json={"name": "another", "scopes": ["read"], "ends": ends}, headers=mine),
            door.delete("/v1/tokens/case-system", headers=mine),
            door.post("/v1/staff", json={"name": "Another Example", "roles": ["worker"]}, headers=mine),
            door.post(f"/v1/staff/{first}/reset", headers=mine),
            door.delete(f"/v1/staff/{second}", headers=mine),
            door.post(f"/v1/tasks/{task}/done", headers=mine),
            door.post(f"/v1/events/{decode(sent).id}/again", headers=mine),
            door.put("/v1/cursors/other", headers=mine),
            door.delete("/v1/cursors/mine", headers=mine),
        )  # fmt: skip

        assert [(each.status_code, each.json()["code"]) for each in answers] == [(401, "token_required")] * 9
        after = await everything()
        assert {name: rows for name, rows in after.items() if rows != before[name]} == {}


async def test_a_token_ends(tmp_path: Path) -> None:
    """From its end on it is worth nothing; a valid one is not replaced, and one that ended is."""
    clock = StandingClock()
    async with tokens_at(tmp_path, clock) as (tokens, _):
        secret = (await tokens.add(wanted(days=1), LOCAL))["token"]
        with pytest.raises(DeskError, match="token_exists"):
            await tokens.add(wanted(days=2), LOCAL)

        clock.time = NOW + DAY
        assert tokens.caller_of(f"Bearer {secret}") is None
        assert [each["state"] for each in tokens.page("", 10)] == ["ended"]
        again = await tokens.add(wanted(days=3), LOCAL)
        assert tokens.caller_of(f"Bearer {again['token']}") is not None

        for days, kind in ((1, "greater_than_equal"), (LONGEST.days + 2, "less_than_equal")):
            with pytest.raises(DeskError) as refused:
                await tokens.add(wanted("other", days=days), LOCAL)
            assert code_of(refused) == ("unknown_field", [("/ends", kind)])


async def test_a_token_makes_none_that_may_do_more_or_lasts_longer(tmp_path: Path) -> None:
    """Whoever got the administrator's token for a day cannot make the day a year, nor open letters with it."""
    async with tokens_at(tmp_path) as (tokens, _):
        secret = (await tokens.add(wanted("page", ("administer", "read"), days=1), LOCAL))["token"]
        page = tokens.caller_of(f"Bearer {secret}")
        assert page is not None

        with pytest.raises(DeskError) as refused:
            await tokens.add(wanted(scopes=("read", "open"), days=1), page)
        assert (refused.value.code, refused.value.safe) == ("scope_missing", {"scope": "open"})
        with pytest.raises(DeskError) as refused:
            await tokens.add(wanted(days=2), page)
        assert code_of(refused) == ("unknown_field", [("/ends", "less_than_equal")])
        made = await tokens.add(wanted(days=1), page)
        assert (made["made_by"], made["scopes"]) == ("page", ["read"])


@pytest.mark.parametrize(
    ("scopes", "roles", "lacks"),
    [
        (("administer",), ["worker"], "publish"),
        (("administer", "publish", "read"), ["worker"], "open"),
        (("administer", "publish", "open"), ["supervisor"], "read"),
        (("administer", "publish", "read", "open"), ["administrator"], "administer"),
        (("administer", "publish", "read", "open"), ["worker"], None),
    ],
)  # fmt: skip
async def test_a_token_makes_and_resets_no_member_who_may_do_more_or_lasts_longer(
    tmp_path: Path, scopes: tuple[str, ...], roles: list[Any], lacks: str | None
) -> None:
    """Given a token that may administer, when its holder asks for a member's one-time password, then the roles permit nothing that the token does not, and nobody who manages staff or systems outlives its end."""
    async with desk_of("ngo-a", tmp_path) as here:
        new = NewToken.model_validate({"name": "page", "scopes": scopes, "ends": wall_now() + DAY})
        token = (await here.behind.tokens.add(new, LOCAL))["token"]
        staff, headers = here.behind.staff, {"authorization": f"Bearer {token}"}
        colleague, _ = await staff.add(NewMember(name="A Colleague", roles=tuple(roles)), "door.json")
        known = staff.members.secrets_of(colleague.number)

        added = await here.door.post("/v1/staff", json={"name": "Second Me", "roles": roles}, headers=headers)
        reset = await here.door.post(f"/v1/staff/{colleague.number}/reset", headers=headers)

        for answer in (added, reset):
            assert answer.json().get("scope") == lacks
            assert (answer.status_code, "password" in answer.json()) == ((200, True) if lacks is None else (403, False))
        assert (staff.members.named("Second Me") is None) is (lacks is not None)
        assert (staff.members.secrets_of(colleague.number) == known) is (lacks is not None)


async def test_each_permission_asks_for_a_scope_of_the_token_that_gives_it(tmp_path: Path) -> None:
    """Given roles with one permission each, a token that may only administer adds a member to see the desk's health, and no other."""
    async with desk_of("ngo-a", tmp_path) as here:
        headers = {"authorization": "Bearer a-token-to-administer"}
        lacks = dict[str, str | None]()
        for each in PERMISSIONS:
            settings = StaffSettings.read({"roles": {"worker": [each]}})
            here.behind._staff = Staff(here.desk.seat, settings)
            asked = {"name": f"May {each.replace('_', ' ')}", "roles": ["worker"]}
            answer = (await here.door.post("/v1/staff", json=asked, headers=headers)).json()
            lacks[each] = answer.get("scope")

        assert lacks == {
            "read_cases": "read", "open_letters": "open", "publish": "publish", "decide": "publish", "approve": "publish",
            "see_reads": "read", "see_colleagues": "read", "intake": "open",
            "manage_staff": "administer", "manage_tokens": "administer", "see_health": None,
        }  # fmt: skip


async def test_a_member_whose_roles_grow_meanwhile_is_not_reset_by_a_token_that_may_do_less(tmp_path: Path) -> None:
    """Given a reset that waits for the ledger, when the member gets another role before it, then the reset is refused and the member signs in as before."""
    async with desk_of("ngo-a", tmp_path) as here:
        new = NewToken(name="page", scopes=("administer", "read"), ends=wall_now() + DAY)
        token = (await here.behind.tokens.add(new, LOCAL))["token"]
        here.behind._staff = Staff(here.desk.seat, StaffSettings.read({"roles": {"worker": ["read_cases"]}}))
        staff = here.behind.staff
        member, _ = await staff.add(NewMember(name="A Colleague", roles=("worker",)), "door.json")
        known = staff.members.secrets_of(member.number)
        ledger = here.desk.seat.ledger

        async with ledger.write():
            grows = asyncio.create_task(staff.members.set_roles(member.number, ("supervisor",), "door.json"))
            await eventually("the new role waits for its turn", lambda: len(ledger._turn._waiters or ()) == 1)
            headers = {"authorization": f"Bearer {token}"}
            asking = asyncio.create_task(here.door.post(f"/v1/staff/{member.number}/reset", headers=headers))
            await eventually(
                "the reset waits behind it, or is answered",
                lambda: len(ledger._turn._waiters or ()) == 2 or asking.done(),
            )
        await grows

        assert (await asking).json()["code"] == "scope_missing"
        assert staff.members.secrets_of(member.number) == known


async def test_each_use_is_counted(tmp_path: Path) -> None:
    """The list shows how often and when last, at once, and so after a restart and a revocation."""
    clock = StandingClock()
    async with tokens_at(tmp_path, clock) as (tokens, _):
        made = await tokens.add(wanted(), LOCAL)
        tokens.caller_of(f"Bearer {made['token']}")
        await tokens.record_uses()
        clock.time = NOW + DAY
        tokens.caller_of(f"Bearer {made['token']}")

        seen = tokens.page("", 10)[0]
        assert (seen["used"], seen["last_used"]) == (2, "2026-03-03T05:00:00Z")
        assert (await tokens.revoke("booking", "door.json"))["used"] == 2

    async with tokens_at(tmp_path, clock) as (tokens, _):
        seen = tokens.page("", 10)[0]
        assert (seen["used"], seen["last_used"]) == (2, "2026-03-03T05:00:00Z")


async def test_a_use_while_the_earlier_ones_are_written_is_counted(tmp_path: Path) -> None:
    """Given a ledger that takes a while to write the uses, then a request meanwhile is counted too, once."""
    async with tokens_at(tmp_path) as (tokens, ledger):
        made = await tokens.add(wanted(), LOCAL)
        sent, writing = 0, asyncio.create_task(asyncio.sleep(0))
        for _ in range(20):
            while True:
                assert tokens.caller_of(f"Bearer {made['token']}")
                sent += 1
                if writing.done():
                    break
                await asyncio.sleep(0)
            writing = asyncio.create_task(tokens.record_uses())
        await writing
        await tokens.record_uses()
        with ledger.read() as tx:
            assert tx.scalar(select(tables.tokens.c.used)) == sent


async def test_a_token_in_use_is_named_before_its_end(tmp_path: Path) -> None:
    """A system does not stop one morning because nobody looked; a token that nobody uses is not missed."""
    clock = StandingClock()
    async with tokens_at(tmp_path, clock) as (tokens, _):
        used = (await tokens.add(wanted(days=30), LOCAL))["token"]
        await tokens.add(wanted("unused", days=20), LOCAL)
        tokens.caller_of(f"Bearer {used}")
        assert tokens.ending("ngo-a") is None

        clock.time = NOW + 17 * DAY
        assert tokens.ending("ngo-a") is None  # it was not used for a week
        tokens.caller_of(f"Bearer {used}")
        found = tokens.ending("ngo-a")
        assert found is not None
        assert (found["token"], found["ends"]) == ("booking", "2026-04-01T05:00:00Z")
        await tokens.record_uses()

    async with tokens_at(tmp_path, clock) as (tokens, _):
        assert tokens.ending("ngo-a") == found
        await tokens.revoke("booking", "door.json")
        assert tokens.ending("ngo-a") is None


async def test_the_token_of_the_door_file_may_do_everything(tmp_path: Path) -> None:
    """A local program goes on as before."""
    async with tokens_at(tmp_path) as (tokens, _):
        caller = tokens.caller_of("Bearer local")
        assert caller is not None
        assert caller.scopes == set(SCOPES)


async def test_the_list_goes_on_behind_the_longest_name(tmp_path: Path) -> None:
    """Given a name of 64 characters at the end of a page, then its cursor leads to the next page."""
    longest = "a" * 64
    async with desk_of("ngo-a", tmp_path) as here:
        for name in (longest, "b"):
            await here.behind.tokens.add(NewToken(name=name, scopes=("read",), ends=wall_now() + DAY), LOCAL)
        first = (await here.door.get("/v1/tokens", params={"limit": 1})).json()
        second = (await here.door.get("/v1/tokens", params={"limit": 1, "after": first["next"]})).json()

        assert first["next"] == longest
        assert [each["name"] for each in second["tokens"]] == ["b"]


async def test_the_administrator_makes_and_revokes_tokens_at_the_door(tmp_path: Path) -> None:
    """A system gets in with the token that was made, does what it permits, and is out with the next request."""
    async with desk_of("ngo-a", tmp_path) as here:
        ends = times.write(wall_now() + DAY)
        made = (await here.door.post("/v1/tokens", json={"name": "booking", "scopes": ["read"], "ends": ends})).json()
        as_booking = {"authorization": f"Bearer {made['token']}"}

        assert (await here.door.get("/v1/cases", headers=as_booking)).status_code == 200
        assert (await here.door.get("/v1/tokens", headers=as_booking)).json()["scope"] == "administer"
        (seen,) = (await here.door.get("/v1/tokens")).json()["tokens"]
        assert (seen["name"], seen["used"], seen["state"]) == ("booking", 2, "valid")

        assert (await here.door.delete("/v1/tokens/booking")).json()["state"] == "revoked"
        refused = await here.door.get("/v1/cases", headers=as_booking)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_required")
        assert refused.headers["www-authenticate"] == "Bearer"
        for body, pointer in (
            ({"name": "Elnara Quliyeva", "scopes": [], "ends": ends}, "/name"),
            ({"name": "a", "scopes": ["everything"], "ends": ends}, "/scopes/0"),
            ({"name": "a", "scopes": []}, "/ends"),
        ):
            answer = await here.door.post("/v1/tokens", json=body)
            assert [each["pointer"] for each in answer.json()["problems"]] == [pointer]
            assert "Elnara" not in answer.text
