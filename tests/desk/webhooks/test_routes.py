"""Webhooks at the door: an administrator's token adds, tries, rotates and removes them; a secret is shown once."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE
from desk.given import BED, REF, behind_a_revocation, desk_of
from desk.webhooks.receiver import Got, hear, hooks_of, receiving, says
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.http.scopes import LOCAL
from nrmbus.desk.http.tokens import NewToken
from nrmbus.wire import times


async def test_the_whole_life_of_a_webhook_at_the_door(tmp_path: Path) -> None:
    """Add, list, ping, deliver, log, send again, recover, rotate, enable, remove; each answer is as the document says."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        asked = {"url": receiver.url, "types": ["shelter.*"], "order": "case", "algorithm": "v1"}
        made = (await given.door.post("/v1/webhooks", json=asked)).json()
        secret, here = made["keys"][0]["key"], f"/v1/webhooks/{made['id']}"
        assert secret.startswith("whsec_")
        listed = (await given.door.get("/v1/webhooks")).json()["webhooks"]
        assert listed == [made | {"keys": [{"algorithm": "v1"}]}], "a secret is shown once"
        assert (await given.door.post(f"{here}/ping")).json()["status"] == 204

        record = given.registrar.event(
            "special-unit", "shelter.bed_requested", BED, case=CASE, referral=REF,
            parts={"coded": {"category": "women"}}, opens=["shelter"],
        )  # fmt: skip
        await given.hear(given.registrar.register(record, to="shelter"))
        await hooks.settle()
        ping, delivery = (await given.door.get(f"{here}/deliveries", params={"state": "delivered"})).json()[
            "deliveries"
        ]
        assert (ping["type"], delivery["type"]) == ("nrmbus.ping", "shelter.bed_requested")
        assert [each["status"] for each in delivery["attempts"]] == [204]
        first = (await given.door.get(f"{here}/deliveries", params={"limit": 1})).json()
        assert first["next"] == ping["delivery"]
        assert (await given.door.get(f"{here}/deliveries", params={"state": "open"})).json()["deliveries"] == []

        await given.door.post(f"{here}/deliveries/{delivery['message']}/again")
        await hooks.settle()
        assert receiver.ids[-2:] == [delivery["message"]] * 2
        how: dict[str, str | bool] = {
            "since": times.write(given.clock.time),
            "until": times.write(given.clock.time + timedelta(seconds=1)),
            "delivered": True,
        }
        assert (await given.door.post(f"{here}/recover", params=how)).json() == {"deliveries": 1}

        rotated = (await given.door.post(f"{here}/rotate", params={"grace": 3600, "algorithm": "v1a"})).json()
        assert [each["algorithm"] for each in rotated["keys"]] == ["v1a", "v1"]
        assert rotated["keys"][0]["key"].startswith("whpk_")
        assert "key" not in rotated["keys"][1]
        await hooks.settle()
        assert [each[:3] for each in receiver.got[-1].headers["webhook-signature"].split(" ")] == ["v1a", "v1,"]
        assert (await given.door.post(f"{here}/enable")).json()["state"] == "active"
        assert (await given.door.delete(here)).json()["removed"]
        for gone in (given.door.get(here), given.door.delete(here), given.door.post(f"{here}/ping")):
            assert (await gone).status_code == 404
        assert json.loads(receiver.got[0].body)["type"] == "nrmbus.ping"
        assert secret not in str(await given.rows("book"))


@pytest.mark.parametrize("route", ["", "/0000000000000000", "/0000000000000000/deliveries"])
async def test_only_an_administrators_token_sees_webhooks(tmp_path: Path, route: str) -> None:
    """An address may hold a key of the receiver, and a webhook makes the desk send: other scopes are refused."""
    async with desk_of("shelter", tmp_path) as given:
        for scope, status in (("read", 403), ("publish", 403), ("administer", 200 if not route else 404)):
            headers = {"authorization": f"Bearer a-token-to-{scope}"}
            assert (await given.door.get(f"/v1/webhooks{route}", headers=headers)).status_code == status


async def test_no_webhook_is_added_for_a_token_that_was_revoked_while_the_receiver_confirmed(tmp_path: Path) -> None:
    """Given a receiver that answers late, when the token is revoked before its answer, then the caller gets 401 and nothing is ever sent there."""
    has_come, is_revoked = asyncio.Event(), asyncio.Event()

    async def late(got: Got, writer: asyncio.StreamWriter) -> None:
        has_come.set()
        await is_revoked.wait()
        confirmed = {"challenge": json.loads(got.body)["data"]["challenge"]}
        await says(200, body=json.dumps(confirmed).encode())(got, writer)

    async with desk_of("shelter", tmp_path) as given, receiving(late) as receiver, hooks_of(given):
        receiver.allows, tokens = None, given.behind.tokens
        ends = wall_now() + timedelta(days=1)
        made = await tokens.add(NewToken(name="old-system", scopes=("administer",), ends=ends), LOCAL)
        mine = {"authorization": f"Bearer {made['token']}"}
        asking = asyncio.create_task(given.door.post("/v1/webhooks", json={"url": receiver.url}, headers=mine))
        await has_come.wait()
        await tokens.revoke("old-system", "door.json")
        is_revoked.set()
        answer = await asking

        assert (answer.status_code, answer.json()["code"]) == (401, "token_required")
        assert (await given.door.get("/v1/webhooks")).json()["webhooks"] == []


@pytest.mark.usefixtures("kept")
async def test_nothing_of_a_webhook_changes_for_a_token_that_was_revoked_while_its_request_waited(
    tmp_path: Path,
) -> None:
    """P2: given requests that wait for the ledger, when their token is revoked before their turn, then each gets 401, the receiver stays, and nothing is sent again."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url)
        await hear(given)
        await hooks.settle()
        ends = wall_now() + timedelta(days=1)
        made = await given.behind.tokens.add(NewToken(name="stolen", scopes=("administer",), ends=ends), LOCAL)
        mine = {"authorization": f"Bearer {made['token']}"}
        names = ("webhooks", "deliveries", "attempts", "book")
        before, here, door = [await given.rows(each) for each in names], f"/v1/webhooks/{webhook}", given.door
        since: dict[str, str | bool] = {"since": times.write(given.clock.time), "delivered": True}
        answers = await behind_a_revocation(
            given, "stolen",
            door.post(f"{here}/deliveries/{receiver.ids[-1]}/again", headers=mine),
            door.post(f"{here}/recover", params=since, headers=mine),
            door.post(f"{here}/enable", headers=mine),
            door.post(f"{here}/rotate", headers=mine),
            door.delete(here, headers=mine),
        )  # fmt: skip

        assert [(each.status_code, each.json()["code"]) for each in answers] == [(401, "token_required")] * 5
        assert [await given.rows(each) for each in names] == before


async def test_a_wrong_request_is_told_by_its_place_and_adds_nothing(tmp_path: Path) -> None:
    """An unknown type, a forbidden address, a receiver that does not confirm: a code each, and nothing is sent later."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given):
        receiver.allows, receiver.answer = None, says(200)
        for body, code in (
            ({"url": receiver.url, "types": ["referral.*", "no.such_type"]}, "unknown_field"),
            ({"url": receiver.url, "secret": "x"}, "unknown_field"),
            ({"url": "ftp://example.org/"}, "webhook_address_refused"),
            ({"url": "https://169.254.169.254/latest/"}, "webhook_address_refused"),
            ({"url": "https://[fe80::1]/"}, "webhook_address_refused"),
            ({"url": receiver.url}, "webhook_not_confirmed"),
        ):
            answer = (await given.door.post("/v1/webhooks", json=body)).json()
            assert answer["code"] == code
            assert receiver.url not in str(answer)
        assert (await given.door.get("/v1/webhooks")).json()["webhooks"] == []
        bad = {"since": "2026-02-30T00:00:00Z"}
        assert (await given.door.post("/v1/webhooks/0/recover", params=bad)).json()["code"] == "unknown_field"
