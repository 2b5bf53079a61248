"""`since` and `until` are at every list of what happened, and mean the same at each: since is included, until is not."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import insert

from agencies import CASE, NOW, SIGNAL
from desk.documented import operations
from desk.given import BED, REF, Given, desk_of
from desk.http.test_following import stream
from desk.http.test_resources import ORDER, get
from nrmbus.desk.store import tables
from nrmbus.events import bulletin
from nrmbus.wire import times

REFERRAL: Final = {
    "to": ["special-unit"],
    "mode": "referral",
    "reason": "LegalAid",
    "urgency": "normal",
    "services": ["legal"],
}
WEBHOOK: Final = "9f86d081884c7d65"
MOMENTS: Final = [NOW + timedelta(minutes=minutes) for minutes in (1, 2, 3)]
TIME_OF: Final = {
    "/v1/inbox": "registered",
    "/v1/cases": "last",
    "/v1/cases/{ref}/reads": "at",
    "/v1/cases/{ref}/timeline": "registered",
    "/v1/referrals": "registered",
    "/v1/beds": "registered",
    "/v1/payments": "registered",
    "/v1/bulletins": "registered",
    "/v1/tasks": "opened",
    "/v1/webhooks/{webhook}/deliveries": "time",
    "/v1/receipts": "closed",
    "/v1/reads": "at",
}
"""Member with the time by which `since` and `until` select, for each list of what happened."""
WITHOUT: Final = {
    "/v1/cursors": "what is there now: how far each program has read",
    "/v1/directory": "what is there now: the agencies",
    "/v1/staff": "what is there now: the people",
    "/v1/steps": "what the Rules allow now",
    "/v1/tokens": "what is there now: the tokens",
    "/v1/webhooks": "what is there now: the endpoints",
    "/v1/witness": "what is there now: one line for each log",
}
"""Lists without bounds of time, each with its reason."""


def lists() -> dict[str, set[str]]:
    """Return the parameters of every list of the document: a route about no single thing whose answer has an array of objects."""
    found = {}
    for path, method, operation in operations():
        example = operation["responses"]["200"]["content"].get("application/json", {}).get("example", {})
        entries = [each for each in example.values() if isinstance(each, list) and each and isinstance(each[0], dict)]
        if method == "get" and entries and not path.endswith("}"):
            found[path] = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    return found


def test_every_list_of_what_happened_is_selected_by_time() -> None:
    """A list that is added has `since` and `until`, or a reason why not; one that has them says which time is meant."""
    found = lists()

    assert {path for path, names in found.items() if {"since", "until"} <= names} == set(TIME_OF)
    assert {path for path, names in found.items() if not {"since", "until"} & names} == set(WITHOUT)
    assert set(found) == {*TIME_OF, *WITHOUT}


async def fill(here: Given) -> None:
    """Let something happen at each of MOMENTS that every list has."""
    me, bulletins = here.desk.seat.me, iter(("shelter", "ngo-shelter", "vac"))
    for number, moment in enumerate(MOMENTS):
        here.registrar.time = here.clock.time = moment
        source = next(bulletins)
        events: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
            ("ngo-a", "case.signal_recorded", SIGNAL, {}),
            ("ngo-a", "case.signal_recorded", SIGNAL, {"case": f"{number:02x}" * 16}),
            ("ngo-a", "referral.submitted", REFERRAL, {"referral": f"{number:02x}" * 16}),
            ("fund", "payment.ordered", ORDER, {"referral": f"{number + 8:02x}" * 16}),
            (source, "provider.capacity_changed", {"women": "free"}, {"case": bulletin.of(source)}),
        ]
        for by, type_, data, more in events:
            event = here.registrar.event(by, type_, data, **more)
            await here.hear(here.registrar.register(event, to=me))
        await here.registered(type="shelter.bed_requested", data=BED, ref=f"{number + 16:02x}" * 16)
        at = times.write(moment)
        reading = {
            "at": at,
            "who": "S-1",
            "subject": CASE,
            "source": "ngo-a",
            "event": REF,
            "part": "story",
            "purpose": "case_work",
        }
        task = {"opened": at, "subject": CASE, "event": f"{number}", "kind": "read", "about": "{}"}
        hook = {
            "id": WEBHOOK,
            "url": "",
            "types": "[]",
            "in_order": 0,
            "state": "active",
            "since": at,
            "heard": 0,
            "answered": 0,
            "tasked": 0,
        }
        sent = {
            "webhook": WEBHOOK, "message": f"msg_{number:032x}", "type": "referral.submitted", "subject": CASE, "about": REF,
            "time": at, "state": "delivered", "due": at, "closed": at,
        }  # fmt: skip
        async with here.desk.seat.ledger.write() as tx:
            if not number:
                tx.execute(insert(tables.webhooks), hook)
            for table, row in ((tables.reads, reading), (tables.tasks, task), (tables.deliveries, sent)):
                tx.execute(insert(table), row)


def entries_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a list."""
    (found,) = (each for each in answer.values() if isinstance(each, list))
    return found


async def pages_of(here: Given, path: str, **asked: str) -> list[dict[str, Any]]:
    """Return the entries of a list that is read one by one, each page by the cursor of the page before."""
    found, more = list[dict[str, Any]](), dict[str, str]()
    while True:
        page = await get(here, path, **asked, limit="1", **more)
        found += entries_of(page)
        if page["next"] is None:
            return found
        more = {"after": str(page["next"])}


async def test_since_is_included_and_until_is_not_at_every_list(tmp_path: Path) -> None:
    """The same bounds select alike at every list, in any zone, and page by page."""
    async with desk_of("special-unit", tmp_path) as here:
        await fill(here)
        for path, at in TIME_OF.items():
            url = path.format(ref=CASE, webhook=WEBHOOK)
            everything = entries_of(await get(here, url))
            stamps = sorted({each[at] for each in everything})
            assert {times.write(each) for each in MOMENTS} <= set(stamps), path
            for stamp in stamps:
                moment = datetime.fromisoformat(stamp)
                for bound in (stamp, moment.astimezone(timezone(timedelta(hours=4))).isoformat()):
                    later = entries_of(await get(here, url, since=bound))
                    earlier = entries_of(await get(here, url, until=bound))
                    assert later == [each for each in everything if each[at] >= stamp] != [], path
                    assert earlier == [each for each in everything if each[at] < stamp], path
            within = {"since": times.write(MOMENTS[1]), "until": times.write(MOMENTS[2])}
            one = [each for each in everything if within["since"] <= each[at] < within["until"]]
            assert entries_of(await get(here, url, **within)) == one != [], path
            if path != "/v1/bulletins":
                del within["until"]
                assert await pages_of(here, url, **within) == [
                    each for each in everything if each[at] >= within["since"]
                ]


@pytest.mark.parametrize("number", [0, 2])
async def test_a_stream_begins_at_a_time(tmp_path: Path, number: int) -> None:
    """A program that needs no history gets what was registered since then; a stream has no end, so it takes no `until`."""
    at = times.write(MOMENTS[number])
    async with desk_of("special-unit", tmp_path) as here:
        await fill(here)
        async with stream(here, f"since={at}&type=referral.submitted") as found:
            await found.next()
            got = [json.loads((await found.next())["data"])["registered"] for _ in MOMENTS[number:]]
        until = await here.door.get("/v1/inbox/stream", params={"until": at})

    assert got == [times.write(each) for each in MOMENTS[number:]]
    assert until.json()["code"] == "unknown_field"
