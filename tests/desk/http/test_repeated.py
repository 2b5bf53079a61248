"""An event id of an agency stands for one event, with or without a case, however often and whenever it is sent."""

import asyncio
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agencies import CASE, SIGNAL, town
from desk.given import CANARY, REF, FakeRegistrar, Given, desk_of
from nrmbus.wire.envelope import decode

ID = "01890000-0000-7000-8000-000000000001"
OTHER_CASE = "ef" * 16
WORDS: dict[str, Any] = {"type": "case.signal_recorded", "actor": "S-1", "data": SIGNAL, "sealed": {"notes": CANARY}}
SAID: dict[str, Any] = WORDS | {"id": ID}
CONSENT = {"purposes": ["services"], "receivers": ["vac", "fund"], "given_by": "individual", "form": "written"}


async def post(here: Given, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Post *body* at the door; return status and answer."""
    answer = await here.door.post("/v1/events", json=body)
    return answer.status_code, dict(answer.json())


async def test_an_id_without_a_case_opens_one_case(tmp_path: Path) -> None:
    """The repeated request gets the same answer: same case, and the same number once there is one."""
    async with desk_of("ngo-a", tmp_path) as here:
        first, again = await post(here, SAID), await post(here, SAID)
        (sent,) = await here.out()
        await here.hear(here.registrar.register(sent, to="ngo-a"))
        (_, registered), later = await post(here, SAID), await here.door.get(f"/v1/events/{ID}")

        assert again == first
        assert len(await here.rows("outbox")) == 1
        assert (registered["case"], registered["number"]) == (first[1]["case"], 1)
        assert later.json()["number"] == 1


async def test_other_words_under_an_id_are_refused_without_a_case_too(tmp_path: Path) -> None:
    """Another actor, another fact or another word of the letter gives `id_reused`, and nothing goes into the outbox."""
    async with desk_of("ngo-a", tmp_path) as here:
        await post(here, SAID)
        others = [
            SAID | {"actor": "S-2"},
            SAID | {"data": SIGNAL | {"child": True}},
            SAID | {"sealed": {"notes": "another"}},
            SAID | {"time": "2026-03-01T05:00:00Z"},
            {"type": "consent.given", "actor": "S-1", "data": CONSENT, "case": CASE, "id": ID},
        ]
        answers = [await post(here, body) for body in others]

        assert [(status, body["code"]) for status, body in answers] == [(409, "id_reused")] * len(others)
        assert len(await here.rows("outbox")) == 1


@pytest.mark.parametrize("first_has_case", [True, False])
async def test_the_case_of_the_first_answer_may_be_given_or_left_out(tmp_path: Path, *, first_has_case: bool) -> None:
    """A repeated event may name the case of the first answer or no case; another case makes different content."""
    async with desk_of("ngo-a", tmp_path) as here:
        _, first = await post(here, SAID | ({"case": CASE} if first_has_case else {}))
        with_case, without = await post(here, SAID | {"case": first["case"]}), await post(here, SAID)
        elsewhere = await post(here, SAID | {"case": OTHER_CASE})

        assert with_case[1] == without[1] == first
        assert (elsewhere[0], elsewhere[1]["code"]) == (409, "id_reused")
        assert len(await here.rows("outbox")) == 1


async def test_of_two_requests_at_once_one_is_the_event(tmp_path: Path) -> None:
    """A system that sends requests in parallel opens one case."""
    async with desk_of("ngo-a", tmp_path) as here:
        answers = await asyncio.gather(*[post(here, SAID) for _ in range(8)])

        assert len({answer["case"] for _, answer in answers}) == 1
        assert len(await here.rows("outbox")) == 1


async def test_an_incident_is_known_by_its_id_as_a_case_is(tmp_path: Path) -> None:
    """An incident's reference is in `incident`, and a repeated event may omit it the same way."""
    body = {
        "type": "incident.opened",
        "actor": "S-1",
        "id": ID,
        "data": {"place_type": "dwelling", "head_count": 3},
    }
    async with desk_of("ngo-a", tmp_path) as here:
        (_, first), (_, again) = await post(here, body), await post(here, body)
        given_too = await post(here, body | {"incident": first["case"]})
        other = await post(here, body | {"incident": REF})

        assert first == again == given_too[1]
        assert other[1]["code"] == "id_reused"


async def test_a_retry_after_a_restart_finds_the_event(tmp_path: Path) -> None:
    """A desk killed between commit and answer answers the retry from its ledger."""
    async with desk_of("ngo-a", tmp_path) as here:
        _, first = await post(here, SAID)
    async with desk_of("ngo-a", tmp_path) as here:
        assert (await post(here, SAID))[1] == first


async def test_the_ids_that_a_desk_derives_stay_its_own(tmp_path: Path) -> None:
    """The second receiver of a consent gets a derived id, and nobody may publish under that id at the door."""
    async with desk_of("ngo-a", tmp_path) as here:
        _, both = await post(here, {"type": "consent.given", "actor": "S-1", "data": CONSENT, "case": CASE, "id": ID})
        derived = both["events"][1]["id"]

        assert (await post(here, WORDS | {"id": derived}))[1]["code"] == "unknown_field"


async def test_a_lost_ledger_knows_from_its_inbox_what_was_said(tmp_path: Path) -> None:
    """The receipt in the inbox names the id: a retry opens no second case, and the signed event reveals different content."""
    registrar = FakeRegistrar(town())
    async with desk_of("ngo-a", tmp_path / "before", registrar=registrar) as here:
        _, first = await post(here, SAID)
        (sent,) = await here.out()
        receipt = registrar.register(sent, to="ngo-a")
    async with desk_of("ngo-a", tmp_path / "after", registrar=registrar) as here:
        await here.hear(receipt)
        _, again = await post(here, SAID)
        status, other = await post(here, SAID | {"actor": "S-2"})
        elsewhere = await post(here, SAID | {"case": OTHER_CASE})

        assert (again["verdict"], again["number"], again["case"]) == ("registered", 1, first["case"])
        assert (again["id"], again["events"][0]["type"]) == (ID, "case.signal_recorded")
        assert (status, other["code"], elsewhere[1]["code"]) == (409, "id_reused", "id_reused")
        assert await here.rows("outbox") == []


async def test_a_lost_ledger_says_no_refused_event_again(tmp_path: Path) -> None:
    """The registrar has answered for the id, so the retry gets that answer."""
    registrar = FakeRegistrar(town())
    async with desk_of("ngo-a", tmp_path / "before", registrar=registrar) as here:
        await post(here, SAID)
        (sent,) = await here.out()
        receipt = registrar.refuse(sent, "wrong_state")
    async with desk_of("ngo-a", tmp_path / "after", registrar=registrar) as here:
        await here.hear(receipt)
        _, again = await post(here, SAID)

        assert (again["verdict"], again["code"], again["number"]) == ("refused", "wrong_state", 1)
        assert await here.rows("outbox") == []


async def test_a_lost_ledger_follows_an_event_that_was_sealed_again(tmp_path: Path) -> None:
    """An event refused as `audience_changed` and not sent again before the ledger was lost is sent under the next id."""
    registrar = FakeRegistrar(town())
    async with desk_of("ngo-a", tmp_path / "before", registrar=registrar) as here:
        _, first = await post(here, SAID)
        (sent,) = await here.out()
        receipt = registrar.refuse(sent, "audience_changed", seal_to={"coded": ("special-unit",)})
    async with desk_of("ngo-a", tmp_path / "after", registrar=registrar) as here:
        await here.hear(receipt)
        _, pending = await post(here, SAID)
        (again,) = await here.out()
        await here.hear(registrar.register(again, to="ngo-a"))
        _, answered = await post(here, SAID)

        assert decode(again).id != ID
        assert (pending["verdict"], pending["case"]) == ("pending", first["case"])
        assert (answered["verdict"], answered["events"][0]["asked_id"]) == ("registered", ID)


async def test_an_id_is_looked_up_without_reading_the_whole_ledger(tmp_path: Path) -> None:
    """Every table that is searched by id has an index that begins with the id."""
    async with desk_of("ngo-a", tmp_path) as here:
        for table in ("outbox", "inbox"):
            with here.desk.seat.ledger.read() as tx:
                plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT subject FROM {table} WHERE id = 'x'")  # noqa: S608 - a name of ours
                assert f"USING INDEX {table}_by_id" in str(plan.all())


IDS = [f"01890000-0000-7000-8000-{number:012x}" for number in range(2)]
ACTORS, CASES, STEPS = ("S-1", "S-2"), (None, "first", CASE, OTHER_CASE), ("post", "send", "restart")
Step = tuple[str, int, str, str | None]


@pytest.mark.thorough
@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.sampled_from(ACTORS), st.sampled_from(CASES)),
        min_size=4,
        max_size=10,
    )
)
def test_whatever_is_retried_one_id_is_one_event(steps: list[Step]) -> None:
    """Posts under two ids, with different content and cases, mixed with sending, hearing and restarts, make one event per id."""
    asyncio.run(_retried(steps))


async def _retried(steps: list[Step]) -> None:
    registrar, known = FakeRegistrar(town()), dict[str, tuple[str, str]]()
    with tempfile.TemporaryDirectory() as home:
        at = count()
        while (start := next(at)) < len(steps):
            async with desk_of("ngo-a", Path(home), registrar=registrar) as here:
                for kind, id, actor, case in steps[start:]:
                    if kind == "post":
                        await _post(here, known, IDS[id], actor, case)
                    elif kind == "send":
                        await here.settle()
                    else:
                        break
                    next(at)
                assert {row.id: row.subject for row in await here.rows("outbox")} == {
                    id: subject for id, (_, subject) in known.items()
                }
        assert registrar.number <= len(known)


async def _post(here: Given, known: dict[str, tuple[str, str]], id: str, actor: str, case: str | None) -> None:
    subject = known.get(id, ("", CASE))[1] if case == "first" else case
    status, answer = await post(here, WORDS | {"id": id, "actor": actor} | ({"case": subject} if subject else {}))
    if id not in known:
        known[id] = (actor, answer["case"])
    if (actor, subject or known[id][1]) == known[id]:
        assert (status, answer["events"][0]["id"], answer["case"]) == (status, id, known[id][1])
    else:
        assert (status, answer["code"]) == (409, "id_reused")
