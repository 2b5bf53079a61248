"""Webhooks reach the agency's own system: at least once, under the same id, and nobody waits for anybody else."""

import asyncio
import json
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import Connection, Row, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

from agencies import CASE, SIGNAL
from desk.given import BED, CANARY, REF, desk_of, killed_at_call
from desk.kept import kept_on
from desk.webhooks.receiver import (
    OTHER_CASE,
    Got,
    Hooks,
    hear,
    hooks_of,
    receiving,
    says,
    states,
)
from nrmbus.desk import looking
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.answers import AT
from nrmbus.desk.state import book
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.store.suspending import suspend
from nrmbus.desk.webhooks import schedule, sender, store
from nrmbus.desk.webhooks.notices import OWN, TASK
from nrmbus.desk.webhooks.signing import Secret
from nrmbus.wire import times
from patience import eventually
from postgres import Server

on_both = pytest.mark.usefixtures("kept")


class Killed(BaseException):
    """The process was killed here."""


async def until_killed(hooks: Hooks) -> None:
    """Let the webhooks work until they are killed, or have nothing left to do."""
    for _ in range(8):
        await hooks.webhooks.once()
        for task in tuple(hooks.webhooks._tasks):
            await task


@on_both
async def test_a_webhook_says_that_something_happened_and_leads_to_it(tmp_path: Path) -> None:
    """The body has type, time, id and a path at the door that shows the event; it has no case, no person, and is small."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        event = await hear(given)

        await hooks.settle()

        (got,) = receiver.got
        said = json.loads(got.body)
        assert (said["type"], said["data"]["id"]) == ("shelter.bed_requested", event)
        assert (got.method, got.target, got.headers["content-type"]) == ("POST", "/hook?of=agency", "application/json")
        assert got.headers["host"] == f"localhost:{receiver.port}"
        assert got.headers["webhook-request-origin"] == receiver.asked[0].headers["webhook-request-origin"]
        whole = got.body.decode() + str(got.headers)
        assert CASE not in whole
        assert CANARY not in whole
        assert len(got.body) < 1_000
        (shown,) = (await given.door.get(said["data"]["link"])).json()["events"]
        assert (shown["id"], shown["registered"]) == (event, said["timestamp"])


async def test_the_answer_to_an_own_event_and_a_task_are_told_too(tmp_path: Path) -> None:
    """A program hears what became of the events that it published at the door, and of tasks; the links lead there."""
    async with desk_of("ngo-a", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, *OWN)
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        refused = await given.said(type="case.signal_recorded", case=OTHER_CASE, data=SIGNAL)
        await given.hear(given.registrar.refuse(refused, "not_allowed"))

        await hooks.settle()

        told = {json.loads(each.body)["type"]: json.loads(each.body) for each in receiver.got}
        assert {"nrmbus.event.registered", "nrmbus.event.refused"} <= told.keys()
        for type_, verdict in (("nrmbus.event.registered", "registered"), ("nrmbus.event.refused", "refused")):
            shown = (await given.door.get(told[type_]["data"]["link"])).json()
            assert (shown["id"], shown["verdict"]) == (told[type_]["data"]["id"], verdict)


async def test_the_answer_to_an_event_that_was_sealed_again_names_the_programs_own_id(tmp_path: Path) -> None:
    """Given an event that the desk sealed again twice under other ids, then the webhook has the id that the program gave, and so has its link."""
    async with desk_of("ngo-a", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, *OWN)
        own = await given.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "25-34", "sex": "F"})
        for agencies in (("special-unit",), ("special-unit", "statistics")):
            (sent,) = await given.out()
            await given.hear(given.registrar.refuse(sent, "audience_changed", seal_to={"coded": agencies}))
        (again,) = await given.out()
        await given.hear(given.registrar.register(again, to="ngo-a"))

        await hooks.settle()

        (said,) = [json.loads(got.body) for got in receiver.got if "nrmbus.event." in json.loads(got.body)["type"]]
        assert (said["type"], said["data"]["id"]) == ("nrmbus.event.registered", own["id"])
        shown = (await given.door.get(said["data"]["link"])).json()
        assert (shown["verdict"], shown["asked_id"]) == ("registered", own["id"])


async def test_the_link_of_a_task_that_is_done_leads_to_no_other_task(tmp_path: Path) -> None:
    """Given two tasks, of which the first is done before the program looks, then its link shows none, and that of the other shows the other."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, TASK)
        async with given.desk.seat.ledger.write() as tx:
            for case in (CASE, OTHER_CASE):
                open_task(tx, opened=AT, subject=case, event_id=None, kind="read", about="{}")
        await hooks.settle()
        first, second = sorted((json.loads(got.body)["data"] for got in receiver.got), key=lambda data: int(data["id"]))
        await given.door.post(f"/v1/tasks/{first['id']}/done")
        shown = [(await given.door.get(data["link"])).json()["tasks"] for data in (first, second)]

    assert [[each["task"] for each in tasks] for tasks in shown] == [[], [int(second["id"])]]


async def test_an_endpoint_gets_the_types_that_it_asked_for(tmp_path: Path) -> None:
    """One endpoint gets a type, another nothing of it, a third everything; what happened before it was added, none."""
    async with desk_of("shelter", tmp_path) as given, receiving() as one, receiving() as two, receiving() as three:
        await hear(given, OTHER_CASE, "ef" * 16)
        async with hooks_of(given) as hooks:
            await hooks.add(one.url, "shelter.bed_requested")
            await hooks.add(two.url, "referral.submitted")
            await hooks.add(three.url)
            await hear(given)

            await hooks.settle()

        assert [len(each.got) for each in (one, two)] == [1, 0]
        assert json.loads(three.got[0].body)["type"] == "shelter.bed_requested"


@pytest.mark.parametrize("status", [500, 404, 301, 400, 101])
async def test_whatever_is_no_success_is_tried_again_by_the_schedule_with_the_same_id(
    tmp_path: Path, status: int
) -> None:
    """Ten attempts over three days, each with the same id and its own time; then the desk gives up and opens a task."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        receiver.answer = says(status, "location: http://169.254.169.254/latest/meta-data/")
        await hear(given)
        at = []
        for delay in schedule.DELAYS:
            hooks.wall.time += delay
            await hooks.settle()
            await hooks.settle()
            at.append(int(hooks.wall.time.timestamp()))

        assert len(set(receiver.ids)) == 1
        assert [int(each.headers["webhook-timestamp"]) for each in receiver.got] == at
        assert await states(given) == [("shelter.bed_requested", "exhausted", 10)]
        (task,) = [row for row in await given.rows("tasks") if row.kind.startswith("webhook")]
        assert task.kind == "webhook_exhausted"


async def test_a_delivery_that_was_written_by_a_clock_ahead_is_sent_when_the_clock_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that ended before it sent what it had written ten days ahead, when the clock is right, then it is sent at once, and once."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        await hear(given)
        hooks.wall.time += timedelta(days=10)
        with monkeypatch.context() as ended:
            ended.setattr(hooks.webhooks, "_begin", AsyncMock(return_value=looking.LOOK_SECONDS))
            await hooks.webhooks.once()
        assert [state for _, state, _ in await states(given)] == ["open"]
        hooks.wall.time -= timedelta(days=10)

        await hooks.settle()
        await hooks.settle()

        assert len(receiver.got) == 1
        assert await states(given) == [("shelter.bed_requested", "delivered", 1)]


@pytest.mark.thorough
@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["together", "post", "commit"])
async def test_a_desk_that_is_killed_at_any_point_loses_nothing_and_repeats_under_the_same_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, turn: int, *, after: bool
) -> None:
    """Killed before or after each commit and each request; the next process sends what has no recorded answer."""
    async with receiving() as receiver:
        async with desk_of("shelter", tmp_path) as given, hooks_of(given) as hooks:
            await hooks.add(receiver.url, "shelter.*")
            events = {await hear(given), await hear(given, OTHER_CASE, "ef" * 16)}
            where: Any = {
                "together": given.desk.seat.ledger, "post": sender.Sender, "commit": given.desk.seat.ledger._engine,
            }[step]  # fmt: skip
            with monkeypatch.context() as patch:
                patch.setattr(where, step, killed_at_call(getattr(where, step), turn, Killed, after=after))
                with suppress(Killed, DeskError):
                    await until_killed(hooks)
        async with desk_of("shelter", tmp_path, registrar=given.registrar) as given, hooks_of(given) as hooks:
            hooks.wall.go_on(seconds=5)
            await hooks.settle()

            assert {json.loads(each.body)["data"]["id"] for each in receiver.got} == events
            assert len(set(receiver.ids)) == 2
            assert [state for _, state, _ in await states(given)] == ["delivered", "delivered"]


@on_both
async def test_in_order_a_case_waits_for_its_first_webhook_and_other_cases_go_on(tmp_path: Path) -> None:
    """If the first webhook of a case fails, the second waits; another case does not. Without order nobody waits."""
    async with receiving() as ordered, receiving() as loose, desk_of("shelter", tmp_path) as given:  # noqa: SIM117 - too long
        async with hooks_of(given) as hooks:
            await hooks.add(ordered.url, "shelter.*", in_order=True)
            await hooks.add(loose.url, "shelter.*")
            ordered.answer = loose.answer = says(500)
            first, second = await hear(given), await hear(given, CASE, "ef" * 16)
            other = await hear(given, OTHER_CASE, "ba" * 16)

            await hooks.settle()
            assert {json.loads(each.body)["data"]["id"] for each in ordered.got} == {first, other}
            assert {json.loads(each.body)["data"]["id"] for each in loose.got} == {first, second, other}
            ordered.answer = says(204)
            ordered.got.clear()
            hooks.wall.go_on(seconds=5)
            await hooks.settle()

            of_case = [json.loads(each.body)["data"]["id"] for each in ordered.got]
            assert [each for each in of_case if each != other] == [first, second]


async def test_an_endpoint_that_says_gone_is_disabled_and_told_of_until_it_is_enabled(tmp_path: Path) -> None:
    """410 ends it at once, with a task. After `enable` everything that waited is sent, and a task says so."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        receiver.answer = says(410)
        await hear(given)
        await hooks.settle()
        await hear(given, OTHER_CASE, "ef" * 16)
        hooks.wall.go_on(days=3)
        await hooks.settle()
        assert len(receiver.got) == 1
        here = f"/v1/webhooks/{webhook}/deliveries"
        waiting = (await given.door.get(here, params={"state": "open"})).json()["deliveries"]
        assert [each for each in waiting if "due" in each] == [], "no time is promised while nothing is sent"

        receiver.answer = says(204)
        await hooks.webhooks.enable(webhook)
        await hooks.settle()

        assert [state for _, state, _ in await states(given)] == ["delivered", "delivered"]
        told = [(row.kind, row.done is not None) for row in await given.rows("tasks") if row.kind.startswith("webhook")]
        assert told == [("webhook_gone", True), ("webhook_recovered", False)]


@pytest.mark.slow
@on_both
async def test_an_endpoint_that_fails_for_five_days_is_paused_and_goes_on_when_it_answers(tmp_path: Path) -> None:
    """Its owner hears of the pause and of the recovery, which a daily ping finds; nothing is lost meanwhile."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        receiver.answer = says(503)
        for day in range(6):
            await hear(given, OTHER_CASE, f"{day:032x}")
            for _ in range(4):
                await hooks.settle()
                hooks.wall.go_on(hours=5)
        hooks.wall.go_on(hours=15)
        await hooks.settle()
        (row,) = await given.rows("webhooks")
        assert row.state == "paused"
        before = len(receiver.got)
        await hear(given)
        await hooks.settle()
        assert len(receiver.got) == before, "a paused endpoint is left alone"

        receiver.answer = says(200)
        hooks.wall.go_on(days=1)
        await hooks.settle()
        await hooks.settle()

        open_ones = [row for row in await given.rows("deliveries") if row.state == "open"]
        assert open_ones == []
        kinds = [row.kind for row in await given.rows("tasks") if row.kind.startswith("webhook")]
        assert kinds[-1] == "webhook_recovered"
        assert "webhook_paused" in kinds
        last = [json.loads(each.body)["type"] for each in receiver.got[before:]]
        assert last[0] == "nrmbus.ping"
        assert last.count("shelter.bed_requested") >= 2


async def test_a_new_ledger_sends_what_it_reads_again_under_the_same_ids(tmp_path: Path) -> None:
    """The id follows from what happened: after the loss of a ledger a receiver drops what it has had."""
    ids = list[list[str]]()
    record: Any = None
    for home in (tmp_path / "first", tmp_path / "second"):
        home.mkdir()
        async with desk_of("shelter", home) as given, receiving() as receiver, hooks_of(given) as hooks:
            await hooks.add(receiver.url, "shelter.*")
            if record is None:
                submitted = given.registrar.event(
                    "special-unit", "shelter.bed_requested", BED, referral=REF,
                    parts={"coded": {"category": "women"}}, opens=["shelter"],
                )  # fmt: skip
                record = given.registrar.register(submitted, to="shelter")
            await given.hear(record)
            await hooks.settle()
            ids.append(receiver.ids)

    assert ids[0] == ids[1]
    assert len(ids[0]) == 1


async def test_a_process_that_was_put_out_sends_nothing(tmp_path: Path) -> None:
    """Only the host that runs the desk sends; the other one would repeat what this one has sent."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        await hear(given)
        hooks.webhooks._may_send = lambda: False
        await hooks.settle()
        assert receiver.got == []
        hooks.webhooks._may_send = lambda: True

        await hooks.settle()

        assert len(receiver.got) == 1


async def test_a_result_that_the_ledger_does_not_take_is_sent_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk makes no storm: the endpoint rests for a while, and the message comes again under its id."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        await hear(given)

        def full(*_: object) -> None:
            raise OperationalError("", {}, Exception("disk full"))

        with monkeypatch.context() as patch:
            patch.setattr(store, "settle", full)
            await hooks.settle()
            await hooks.settle()
        assert len(receiver.got) == 1
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + looking.LOOK_SECONDS)

        await hooks.settle()

        assert receiver.ids == [receiver.ids[0]] * 2
        assert await states(given) == [("shelter.bed_requested", "delivered", 1)]


async def test_a_webhook_that_is_removed_meanwhile_recovers_nothing(tmp_path: Path) -> None:
    """Nothing is written that nobody would ever send, or delete."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        await hear(given)
        webhook = await hooks.add(receiver.url, "shelter.*")
        since = times.write(given.clock.time)
        done = await asyncio.gather(
            hooks.webhooks.remove(webhook), hooks.webhooks.recover(webhook, since, None, delivered=False),
            return_exceptions=True,
        )  # fmt: skip

        assert [each.code for each in done if isinstance(each, DeskError)] == ["not_found"]
        assert await given.rows("deliveries") == []


@on_both
async def test_one_delivery_is_sent_again_and_a_time_is_recovered(tmp_path: Path) -> None:
    """`resend` repeats one message; `recover` sends what was given up, and what happened before the endpoint was added."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        early = await hear(given)
        webhook = await hooks.add(receiver.url, "shelter.*")
        late = await hear(given, OTHER_CASE, "ef" * 16)
        await hooks.settle()
        (message,) = receiver.ids

        await hooks.webhooks.resend(webhook, message)
        await hooks.settle()
        assert receiver.ids == [message, message]
        since, until = times.write(given.clock.time), times.write(given.clock.time + timedelta(days=1))
        assert await hooks.webhooks.recover(webhook, since, since, delivered=True) == 0, "`until` is not reached"
        assert await hooks.webhooks.recover(webhook, since, None, delivered=False) == 1
        await hooks.settle()
        assert json.loads(receiver.got[-1].body)["data"]["id"] == early
        assert await hooks.webhooks.recover(webhook, since, until, delivered=True) == 2
        await hooks.settle()

        assert {json.loads(each.body)["data"]["id"] for each in receiver.got[-2:]} == {early, late}
        assert len(set(receiver.ids)) == 2
        with pytest.raises(DeskError):
            await hooks.webhooks.resend(webhook, "msg_" + "0" * 32)


async def test_an_endpoint_with_as_many_open_deliveries_as_it_may_have_keeps_nobody_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look writes nothing while nobody has room; once the receiver answers, the rest is written and sent."""
    monkeypatch.setattr(store, "OPEN_AT_MOST", 1)
    async with desk_of("shelter", tmp_path) as given, receiving(says(500)) as receiver, hooks_of(given) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        await hear(given)
        await hooks.settle()
        await hear(given, OTHER_CASE, "ef" * 16)
        before = given.desk.seat.ledger.count

        assert await hooks.webhooks.once() > 1
        assert given.desk.seat.ledger.count == before

        receiver.answer = says(204)
        hooks.wall.go_on(hours=1)
        await hooks.settle()
        await hooks.settle()
        assert [state for _, state, _ in await states(given)] == ["delivered", "delivered"]


@on_both
async def test_of_two_rotations_at_once_both_keys_sign(tmp_path: Path) -> None:
    """Each caller gives its receiver a key with which the desk signs."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        grace = timedelta(days=1)

        one, other = await asyncio.gather(
            hooks.webhooks.rotate(webhook, grace, None), hooks.webhooks.rotate(webhook, grace, None)
        )

        assert {one[0].seed, other[0].seed} < {each.seed for each in hooks.webhooks.secrets(webhook)}


async def test_a_rotation_while_the_desk_reads_the_first_secrets_is_in_force_at_once(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an endpoint whose secrets a server is just giving, when a new secret is rotated in, then the next notice is signed with the new one."""
    suspend(asyncio.get_running_loop())

    async def sent() -> None:
        async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
            webhook, ledger, real = await hooks.add(receiver.url, "shelter.*"), given.desk.seat.ledger, book.load
            rotating: list[asyncio.Task[tuple[Secret, ...]]] = []

            def load(seat: Seat, name: str) -> tuple[bytes | None, bool]:
                found, may_be_written = real(seat, name), not ledger._turn.locked()
                rotating.append(asyncio.create_task(hooks.webhooks.rotate(webhook, timedelta(), None)))
                if may_be_written:
                    await_only(asyncio.wait(rotating))
                return found

            monkeypatch.setattr(book, "load", load)
            with ledger.read() as tx:
                row = store.endpoint(tx, webhook)
            assert row is not None
            line = await hooks.webhooks._line(row)
            new = await rotating[0]

            assert line is not None
            assert line.secrets == new

    with kept_on(postgresql):
        await asyncio.create_task(sent())


async def test_an_endpoint_that_is_removed_while_the_desk_looks_stays_removed(tmp_path: Path) -> None:
    """The look has read the endpoint, and finds no secret: that was removed with it, and nobody has to do anything."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        with given.desk.seat.ledger.read() as tx:
            row = store.endpoint(tx, webhook)
        await hooks.webhooks.remove(webhook)
        assert row is not None

        await hooks.webhooks._begin(row)

        assert [(each.state, each.url) for each in await given.rows("webhooks")] == [("removed", "")]
        assert [each.kind for each in await given.rows("tasks") if each.kind.startswith("webhook")] == []


@on_both
async def test_a_removed_endpoint_is_forgotten_with_its_secret_and_its_log_ends_after_a_month(tmp_path: Path) -> None:
    """What was not sent is cancelled, address and secret are gone at once; what was sent is shown for thirty days."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        await hear(given)
        await hooks.settle()
        receiver.answer = says(500)
        await hear(given, OTHER_CASE, "ef" * 16)
        await hooks.settle()

        await hooks.webhooks.remove(webhook)

        assert [state for _, state, _ in await states(given)] == ["delivered", "cancelled"]
        assert [row.procedure for row in await given.rows("book") if row.procedure.startswith("webhook/")] == []
        (row,) = await given.rows("webhooks")
        assert row.url == ""
        await hooks.add(receiver.url)
        hooks.wall.go_on(days=31)
        hooks.webhooks._pruned = -1e9
        await hooks.settle()
        assert [row.id != webhook for row in await given.rows("webhooks")] == [True]
        assert await states(given) == []


async def test_a_success_beside_a_410_enables_nothing(tmp_path: Path) -> None:
    """Of two requests at the same time one says gone: the other one's success recovers nothing, and no ping does either."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        webhook = await hooks.add(receiver.url, "shelter.*")
        late = asyncio.Event()

        async def first_is_gone(got: Got, writer: asyncio.StreamWriter) -> None:
            if len(receiver.got) == 1:
                await says(410)(got, writer)
                late.set()
            else:
                await late.wait()
                await eventually("the first is recorded", lambda: given.rows("attempts"))
                await says(204)(got, writer)

        receiver.answer = first_is_gone
        for case in (CASE, OTHER_CASE):
            await hear(given, case, case)
        await hooks.settle()
        receiver.answer = says(204)
        await hooks.webhooks.ping(webhook)

        assert [row.state for row in await given.rows("webhooks")] == ["disabled"]
        assert [(row.kind, row.done) for row in await given.rows("tasks") if "webhook" in row.kind] == [
            ("webhook_gone", None)
        ]


async def test_a_desk_without_webhooks_looks_at_no_commit_until_one_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody pays for webhooks that nobody has; the first one that is added is served at once by the running task."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver, hooks_of(given) as hooks:
        looks, look = list[object](), store.endpoints

        def counted(tx: Connection) -> list[Row[Any]]:
            looks.append(tx)
            return look(tx)

        monkeypatch.setattr(store, "endpoints", counted)
        running = asyncio.create_task(hooks.webhooks.run())
        try:
            await eventually("it waits", lambda: looks)
            await hear(given)
            await given.rows("events")
            assert len(looks) == 1
            await hooks.add(receiver.url, "shelter.*")
            await hear(given, OTHER_CASE, "ef" * 16)

            await eventually("it is sent", lambda: len(receiver.got) == 1)
            (row,) = await given.rows("deliveries")
            await eventually("it is recorded", lambda: given.rows("attempts"))
            assert row.subject == OTHER_CASE
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_a_secret_that_opens_no_more_disables_the_endpoint_with_a_task(tmp_path: Path) -> None:
    """A ledger from before the destruction of a key: the desk says so, signs with nothing else, and goes on after `rotate`."""
    async with desk_of("shelter", tmp_path) as given, receiving() as receiver:
        async with hooks_of(given) as hooks:
            webhook = await hooks.add(receiver.url, "shelter.*")
        async with given.desk.seat.ledger.write() as tx:
            tx.execute(update(tables.book).values(state=b'{"kid": "gone", "sealed": "AAAA"}'))
        async with hooks_of(given) as hooks:
            await hear(given)
            await hooks.settle()
            assert receiver.got == []
            assert [row.kind for row in await given.rows("tasks") if row.kind.startswith("webhook")] == [
                "webhook_secret_lost"
            ]
            with pytest.raises(DeskError, match="rotate the webhook"):
                await hooks.webhooks.ping(webhook)

            await hooks.webhooks.rotate(webhook, timedelta(), None)
            await hooks.webhooks.enable(webhook)
            await hooks.settle()

            assert len(receiver.got) == 1
