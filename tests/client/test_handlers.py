"""Handlers: whatever fails, each event is dealt with, in the order of its case, and the cursor never runs ahead."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import httpx
import pytest

from client.given import CASE, LETTER, OTHER, REFERRAL, SIGNAL, Kept, of_two_cases
from nrmbus.client import (
    AsyncDesk,
    Cursor,
    Desk,
    HandlerFailed,
    NotKnown,
    Received,
    RequestRefused,
    TokenRefused,
    WaitCancelled,
    handlers,
    new_ref,
)
from nrmbus.client.handlers import WAIT_PER_SLOT
from nrmbus.client.received import BEGINNING
from nrmbus.client.testing import FakeDesk
from nrmbus.events.case import SignalRecorded
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralSubmitted, ReferralSubmittedV2
from patience import LONGEST_WAIT, eventually, interruptible


@pytest.fixture(name="fake")
def _fake() -> FakeDesk:
    """A desk that has heard of two cases."""
    return of_two_cases()


async def test_events_are_handled_once_and_the_cursor_follows(fake: FakeDesk) -> None:
    """Given two runs with one store, then the second hears only what came after the first."""
    store, heard = Kept(), list[int]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            assert event.data.urgency == "emergency"
            assert store.load().row == event.cursor.row - 1
            heard.append(event.cursor.row)

        await desk.run(store, follow=False, at_once=1, pauses=())
        assert (heard, store.load().row) == ([1, 2, 3], 4)
        fake.receive(SIGNAL, source="ngo-a", case=new_ref())
        await desk.run(store, follow=False, pauses=())

    assert heard == [1, 2, 3, 5]
    assert [each.row for each in store.all] == sorted({each.row for each in store.all})


async def test_a_case_waits_for_its_failing_event_and_others_go_on(fake: FakeDesk) -> None:
    """Given a handler that fails twice for row 1, then row 2 of another case comes in between, row 3 after it, and no cursor runs ahead."""
    store, heard, tries = Kept(), list[int](), 0
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            nonlocal tries
            if event.cursor.row == 1 and (tries := tries + 1) < 3:
                raise OSError("full")
            if event.cursor.row == 1:
                assert 2 in heard
                assert store.all == []
            heard.append(event.cursor.row)

        await desk.run(store, follow=False, pauses=(0.01, 0.01))

    assert heard == [2, 1, 3]
    assert (tries, store.load().row) == (3, 4)


async def test_a_handler_that_fails_for_good_ends_the_run_before_its_event(fake: FakeDesk) -> None:
    """Given no hook, then the run ends with the reason, later events of the case were not handed over, and the next run begins there."""
    store, heard, broken = Kept(), list[int](), True
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        def report(event: Received[SignalRecorded]) -> None:
            heard.append(event.cursor.row)
            if broken and event.cursor.row == 1:
                raise KeyError("Leyla")

        with pytest.raises(HandlerFailed, match=r"case\.signal_recorded") as raised:
            await desk.run(store, follow=False, pauses=(0.0,))
        assert isinstance(raised.value.__cause__, KeyError)
        assert "Leyla" not in str(raised.value)
        assert heard.count(1) == 2
        assert 3 not in heard
        assert store.load() == BEGINNING
        broken, before = False, len(heard)
        await desk.run(store, follow=False)

    again = heard[before:]
    assert sorted(again) == [1, 2, 3]
    assert again.index(1) < again.index(3)
    assert store.load().row == 4


async def test_a_dead_letter_is_handed_to_the_hook_and_the_case_goes_on(fake: FakeDesk) -> None:
    """Given a hook, then it gets the event and the error once, and the run goes on behind it; a failing hook ends the run."""
    store, dead, heard = Kept(), list[tuple[int, str]](), list[int]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.cursor.row == 1:
                raise RequestRefused(
                    "unknown_field", "it does not fit", 422
                )  # the desk's own error: no further attempt
            heard.append(event.cursor.row)

        def bury(event: Received[Data | None], error: Exception) -> None:
            dead.append((event.cursor.row, type(error).__name__))

        def fail(event: Received[Data | None], error: Exception) -> None:
            raise OSError("no room") from error

        with pytest.raises(OSError, match="no room"):
            await desk.run(store, follow=False, pauses=(9,), dead_letter=fail)
        await desk.run(store, follow=False, pauses=(9,), dead_letter=bury)

    assert dead == [(1, "RequestRefused")]
    assert heard[-1] == 3
    assert store.load().row == 4


async def test_a_cancellation_within_a_handler_is_a_failure_of_the_handler(fake: FakeDesk) -> None:
    """Given a handler that waits for a cancelled task, then the event is retried, then buried; the case goes on."""
    store, heard, dead = Kept(), list[int](), list[tuple[int, type[Exception]]]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            heard.append(event.cursor.row)
            if event.cursor.row == 1:
                waited = asyncio.create_task(asyncio.Event().wait())
                waited.cancel()
                await waited

        def bury(event: Received[Data | None], error: Exception) -> None:
            dead.append((event.cursor.row, type(error)))

        await desk.run(store, follow=False, pauses=(0.0,), dead_letter=bury)

    assert (heard.count(1), dead) == (2, [(1, WaitCancelled)])
    assert heard.index(3) > heard.index(1)
    assert (heard[-1], store.load().row) == (3, 4)


async def test_a_handler_that_cancels_its_own_task_ends_the_run(fake: FakeDesk) -> None:
    """Given a handler's task that ends before the run, then the run fails, and the cursor stays before the event."""
    store, heard = Kept(), list[int]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            heard.append(event.cursor.row)
            task = asyncio.current_task()
            if event.cursor.row == 1 and task is not None:
                task.cancel()
                await asyncio.Event().wait()

        with pytest.raises(HandlerFailed):
            await desk.run(store, follow=False)

    assert 3 not in heard
    assert store.load() == BEGINNING


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
@pytest.mark.parametrize("by", ["handler", "waiting"])
def test_a_program_without_asyncio_may_exit_within_its_functions(
    fake: FakeDesk, by: str, end: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a function of the program that exits, then the run ends with that in the caller's thread, and the desk can be closed."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # of the loop's thread, if it dies
    store = Kept()

    def leave(_: object) -> None:
        raise end

    with fake.sync_desk() as desk:
        desk.on(SignalRecorded)(leave)
        fake.away = by == "waiting"
        with pytest.raises(type(end)):
            desk.run(store, waiting=leave, dead_letter=lambda *_: None)
        fake.away = False
        assert desk.health()
    assert store.load() == BEGINNING


async def test_only_the_desk_says_when_a_handler_is_called_again(fake: FakeDesk) -> None:
    """Given an error of another library with a `retry_after` of its own, then the pauses hold, and the event is buried at last."""

    class Busy(Exception):
        retry_after = "in a while"

    dead = list[int]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.cursor.row == 1:
                raise Busy

        await desk.run(Kept(), follow=False, pauses=(0.0,), dead_letter=lambda event, _: dead.append(event.cursor.row))
    assert dead == [1]


async def test_an_event_of_an_unknown_version_is_a_dead_letter(fake: FakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an event of an unknown version, then the handler cannot read the event, and the hook learns why."""
    shown = fake._shown
    monkeypatch.setattr(fake, "_shown", lambda *how: {**shown(*how), "unknown": True})
    dead = list[Exception]()
    async with fake.desk() as desk:
        desk.on(SignalRecorded)(lambda _: None)
        await desk.run(Kept(), follow=False, dead_letter=lambda _, error: dead.append(error))

    assert [type(each) for each in dead] == [NotKnown] * 3


async def test_an_end_in_order_lets_a_handler_end_and_starts_no_other(fake: FakeDesk) -> None:
    """Given a handler at work and one before a retry, when the run is stopped, then the first ends, without a retry."""
    store, started, going_on, heard = Kept(), asyncio.Event(), asyncio.Event(), list[int]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.cursor.row == 2:
                raise OSError
            started.set()
            await going_on.wait()
            heard.append(event.cursor.row)

        running = asyncio.create_task(desk.run(store, pauses=(3600,)))
        await started.wait()
        desk.stop()
        await asyncio.sleep(0)
        assert not running.done()
        going_on.set()
        await running
        desk.stop()

    assert (heard, store.load().row) == ([1], 1)


async def test_a_cancelled_run_leaves_the_cursor_before_what_was_not_done(fake: FakeDesk) -> None:
    """Given a cancelled run, then the handlers are cancelled too, and their events come again."""
    store, started, cancelled = Kept(), asyncio.Event(), list[int]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(event.cursor.row)
                raise

        running = asyncio.create_task(desk.run(store))
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert 1 in cancelled
    assert store.load() == BEGINNING


async def test_a_store_that_fails_ends_the_run(fake: FakeDesk) -> None:
    """Given a full disk, then the program learns it, and does not go on without a cursor."""

    class Full(Kept):
        def store(self, cursor: Cursor) -> None:
            raise OSError("no space left")

    async with fake.desk() as desk:
        desk.on(SignalRecorded)(lambda _: None)
        with pytest.raises(OSError, match="no space"):
            await desk.run(Full())


async def test_no_more_handlers_at_once_than_asked(fake: FakeDesk) -> None:
    """Given events of many cases, then two handlers are at work at the same time, never three."""
    for _ in range(6):
        fake.receive(SIGNAL, source="ngo-a", case=new_ref())
    at_work, most = 0, 0
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(_: Received[SignalRecorded]) -> None:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0)
            at_work -= 1

        await desk.run(Kept(), follow=False, at_once=2)
    assert most == 2


async def test_events_that_wait_for_their_case_keep_no_other_case_waiting(fake: FakeDesk) -> None:
    """Given more waiting events of failing cases than handlers may work at once, then another case is handled meanwhile."""
    for _ in range(4):
        fake.receive(SIGNAL, source="ngo-a", case=CASE)
    fake.receive(SIGNAL, source="ngo-a", case=OTHER)
    other = asyncio.Event()
    store = Kept()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.case == CASE:
                raise OSError
            if event.cursor.row == 9:
                other.set()

        running = asyncio.create_task(desk.run(store, pauses=(3600,), at_once=2))
        waiting = asyncio.create_task(other.wait())
        async with asyncio.timeout(LONGEST_WAIT):
            await waiting
        desk.stop()
        await running
    assert store.load() == BEGINNING


async def test_in_an_outage_few_events_use_up_their_attempts(fake: FakeDesk) -> None:
    """Given a program whose own store is away, then so many events are tried as may wait for it, and the others stay new."""
    for _ in range(3 * WAIT_PER_SLOT):
        fake.receive(SIGNAL, source="ngo-a", case=new_ref())
    tried: set[str] = set()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            tried.add(event.case)
            raise OSError

        running = asyncio.create_task(desk.run(Kept(), pauses=(3600,), at_once=1))
        await eventually(
            "as many as may wait, and the one with the slot, were tried", lambda: len(tried) > WAIT_PER_SLOT
        )
        for _ in range(100):  # turns of the loop in which others could be
            await asyncio.sleep(0)
        desk.stop()
        await running

    assert len(tried) == WAIT_PER_SLOT + 1


@pytest.mark.parametrize("failing", [2, 3])
async def test_cases_that_wait_for_another_attempt_keep_no_other_case_waiting(fake: FakeDesk, failing: int) -> None:
    """Given as many failing cases as handlers may work at once, or more, then other cases are handled meanwhile, each in order."""
    broken, sound = [new_ref() for _ in range(failing)], new_ref()
    for case in (*broken, *broken, sound, sound):
        fake.receive(SIGNAL, source="ngo-a", case=case)
    heard, both, mended, store = list[tuple[str, int]](), asyncio.Event(), False, Kept()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.case in broken and not mended:
                raise OSError
            heard.append((event.case, event.cursor.row))
            if [case for case, _ in heard].count(sound) == 2:
                both.set()

        running = asyncio.create_task(desk.run(store, pauses=(3600,), at_once=2))
        waiting = asyncio.create_task(both.wait())
        async with asyncio.timeout(LONGEST_WAIT):
            await waiting
        desk.stop()
        await running
        assert not {case for case, _ in heard} & {*broken}
        mended = True
        await desk.run(store, follow=False, at_once=2)

    for case in (*broken, sound):
        rows = [row for each, row in heard if each == case]
        assert sorted(set(rows)) == rows[-2:]


async def test_few_events_are_handed_over_behind_one_that_waits(
    fake: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event that waits for another attempt, then a bounded number comes behind it: as many come again after a crash."""
    monkeypatch.setattr(handlers, "_WINDOW", 4)
    heard, cases = list[int](), [new_ref() for _ in range(6)]
    for case in cases:
        fake.receive(SIGNAL, source="ngo-a", case=case)
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.cursor.row == 1 and 1 not in heard:
                heard.append(1)
                raise OSError
            assert event.cursor.row <= 4 or heard.count(1) == 2
            heard.append(event.cursor.row)

        await desk.run(Kept(), follow=False, pauses=(0.05,))
    assert sorted(heard) == [1, 1, 2, 3, *range(5, 11)]


async def test_a_handler_that_dies_after_its_answer_answers_once(fake: FakeDesk) -> None:
    """Given an answer under the id that follows from the event, when the handler is called again, then it is published once."""
    died = set[str]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            answer = REFERRAL.model_copy(update={"to": ("ngo-a",)})
            for name in ("referral", "other") if event.cursor.row == 2 else ("referral",):
                await desk.publish(answer, id=event.answer_id(name), case=event.case, ref=event.id[:8] * 4, actor="S-1")
            if event.id not in died:
                died.add(event.id)
                raise OSError("killed here")

        await desk.run(Kept(), follow=False, pauses=(0.0,))

    assert sorted(each.subject for each in fake.published) == [CASE, CASE, OTHER, OTHER]
    assert len({each.id for each in fake.published}) == 4


async def test_a_handler_opens_the_letter_that_it_needs(fake: FakeDesk) -> None:
    """Given a handler that opens one letter, then only this reading is recorded."""
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.cursor.row == 2:
                opened = await desk.open(event, actor="S-7")
                assert (opened.id, opened.letter) == (event.id, LETTER)

        await desk.run(Kept(), follow=False)
    assert [(each.actor, len(fake.readings)) for each in fake.readings] == [("S-7", 1)]


def test_one_handler_a_type_and_one_version_a_program(fake: FakeDesk) -> None:
    """Given a second handler, or another version, then the mistake is told where it is made."""
    desk = fake.desk(speaks=[ReferralSubmittedV2])
    desk.on(SignalRecorded)(print)

    with pytest.raises(ValueError, match="has a handler"):
        desk.on(SignalRecorded)(print)
    with pytest.raises(ValueError, match="another version"):
        desk.on(ReferralSubmitted)(print)
    desk.on(ReferralSubmittedV2)(print)
    assert desk.door.speaks == {"case.signal_recorded": 1, "referral.submitted": 2}


@pytest.fixture(name="ended_by_term")
def _ended_by_term() -> Iterator[list[str]]:
    """Yield the SIGTERMs outside a run: none, if SIGTERM ends runs in order and the earlier handler is restored."""
    seen: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("term"))
    yield seen
    signal.signal(signal.SIGTERM, before)


def test_a_program_without_asyncio_ends_in_order_at_a_signal(fake: FakeDesk, ended_by_term: list[str]) -> None:
    """Given plain functions that use the desk themselves, when the process gets SIGTERM, then the run ends behind what is done."""
    store, threads = Kept(), set[str]()
    with fake.sync_desk() as desk:

        @desk.on(SignalRecorded)
        def report(event: Received[SignalRecorded]) -> None:
            threads.add(threading.current_thread().name)
            assert desk.open(event, actor="S-7").letter == LETTER
            if event.cursor.row == 3:
                os.kill(os.getpid(), signal.SIGTERM)

        desk.run(store)
        assert store.load().row >= 3
        desk.run(store, follow=False)
    assert "MainThread" not in threads
    assert ended_by_term == []


class _Silent(httpx.AsyncBaseTransport):
    """The way to a desk that never answers; once a question waits for its answer, the person at the keyboard interrupts."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        main = threading.main_thread().ident
        while main is None or sys._current_frames()[main].f_code.co_name != "wait":  # noqa: ASYNC110 - a thread has no event for it
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # it never comes
        finally:
            for _ in range(1000):  # as a connection that takes its time to close
                await asyncio.sleep(0)


@pytest.mark.parametrize("follow", [True, False], ids=["stream", "page"])
def test_an_interrupted_inbox_ends_with_the_interrupt(*, follow: bool) -> None:
    """Given a waiting program without asyncio, when Ctrl-C comes, then the program gets the interrupt."""
    with (
        interruptible(),
        pytest.raises(KeyboardInterrupt),
        Desk("http://127.0.0.1", "a-token", transport=_Silent()) as desk,
    ):
        for _ in desk.inbox(follow=follow):
            pass


async def test_an_asynchronous_run_ends_in_order_at_a_signal(fake: FakeDesk, ended_by_term: list[str]) -> None:
    """Given a service manager that stops the program, then handlers end and the cursor is stored."""
    store = Kept()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            if event.cursor.row == 3:
                signal.raise_signal(signal.SIGTERM)

        await desk.run(store)
    assert store.load().row >= 3
    assert ended_by_term == []


async def test_a_desk_that_refuses_for_good_ends_the_run(fake: FakeDesk) -> None:
    """Given a token that ended, then the run ends with the desk's own error."""
    async with AsyncDesk("http://127.0.0.1", "another", transport=fake) as desk:
        desk.on(SignalRecorded)(lambda _: None)
        with pytest.raises(TokenRefused):
            await desk.run(Kept())


async def test_plain_handlers_leave_the_threads_that_connections_need(fake: FakeDesk) -> None:
    """Given as many plain handlers at work as may be, then the loop still finds the address of a desk, which needs one of its own threads."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    fake.receive(SIGNAL, source="ngo-a", case=new_ref())
    all_at_work, found = threading.Event(), threading.Event()
    together, store = threading.Barrier(3, action=all_at_work.set), Kept()
    who, heard = ContextVar("who", default="nobody"), list[str]()
    async with fake.desk() as desk:

        @desk.on(SignalRecorded)
        def report(_: Received[SignalRecorded]) -> None:
            heard.append(who.get())
            if not found.is_set():
                together.wait(LONGEST_WAIT)
                assert found.wait(LONGEST_WAIT)

        who.set("the program")
        running = asyncio.create_task(desk.run(store, follow=False, pauses=(), at_once=3))
        await eventually("all are at work", all_at_work.is_set, LONGEST_WAIT)
        async with asyncio.timeout(LONGEST_WAIT):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        found.set()
        await running

    assert heard == ["the program"] * 4
    assert store.load().row == 5
