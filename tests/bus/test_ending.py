"""The end of a service: in order if possible, and always within five seconds."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from forked import Forked
from nrmbus.bus import http_server
from nrmbus.bus.http_server import Listening, Server, pages
from nrmbus.telemetry.log import set_up_log
from patience import ended, until

FOR_EVER = 3600
BLOCKED = "blocks the event loop"


async def _never_starts(_here: Path) -> None:
    await asyncio.sleep(FOR_EVER)


async def _never_starts_and_is_not_cancelled(_here: Path) -> None:
    until_then = time.monotonic() + FOR_EVER
    while time.monotonic() < until_then:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(FOR_EVER)


async def _blocks_the_event_loop(_here: Path) -> None:
    time.sleep(FOR_EVER)  # noqa: ASYNC251 - that is the fault


async def _waits_for_a_thread(_here: Path) -> None:
    await asyncio.to_thread(threading.Event().wait)


async def _nothing(_here: Path) -> None:
    pass


async def _writes(here: Path) -> None:
    await asyncio.sleep(0.2)
    (here / "closed").touch()


STARTING = {
    "waits": _never_starts,
    "waits and is not cancelled": _never_starts_and_is_not_cancelled,
    BLOCKED: _blocks_the_event_loop,
}


def _serve(home: Path, starting: str, ending: str) -> None:
    """Run a service as the bus runs each of its own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores SIGINT
    if starting != BLOCKED:  # on a busy machine the alarm would come before the event loop's turn
        http_server.BLOCKED_SECONDS = FOR_EVER  # type: ignore[misc]  # this process is the test's own
    set_up_log("service")
    listening = Listening(home)
    steps = {"nothing": _nothing, "writes": _writes, "waits for a thread": _waits_for_a_thread, **STARTING}

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        (home / "starting").touch()
        await steps[starting](home)
        (home / "started").touch()
        try:
            yield
        finally:
            await steps[ending](home)

    asyncio.run(Server(pages({}, listening, running), listening).run_until_told())


def told(home: Path, starting: str, ending: str, number: signal.Signals = signal.SIGTERM) -> tuple[float, int]:
    """Return the seconds that a service takes to end at a signal, and its exit status."""
    process = Forked(home / "log", _serve, home, starting, ending)
    reached = home / ("started" if starting == "nothing" else "starting")
    try:
        until("it has got there", reached.exists)
        return ended(process, number)
    finally:
        process.kill()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("starting", "number"), [*((each, signal.SIGTERM) for each in STARTING), ("waits", signal.SIGINT)]
)
def test_a_service_that_cannot_start_ends_at_a_signal(tmp_path: Path, starting: str, number: signal.Signals) -> None:
    """A broker that never answers, or a blocked event loop, delays the end by five seconds at most."""
    took, status = told(tmp_path, starting, "nothing", number)

    assert took < http_server.ENDS_SECONDS
    assert status != 0
    assert not (tmp_path / "started").exists()


@pytest.mark.thorough
def test_a_service_that_cannot_end_in_order_is_cut_off(tmp_path: Path) -> None:
    """The log says so, and the process ends by the signal, like a service that ended in order."""
    took, status = told(tmp_path, "nothing", "waits for a thread")

    assert took < http_server.ENDS_SECONDS
    assert status == -signal.SIGTERM
    assert '"event": "cut_off"' in (tmp_path / "log").read_text()


def test_a_service_that_can_end_in_order_is_not_cut_off(tmp_path: Path) -> None:
    """A service gets a moment to close its files."""
    _, status = told(tmp_path, "nothing", "writes")

    assert status == -signal.SIGTERM
    assert (tmp_path / "closed").exists()
    assert "cut_off" not in (tmp_path / "log").read_text()
