"""The event loop of a desk: Ctrl-C ends it as Ctrl-C, whatever fails in the same moment."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from nrmbus.desk.store.place import run
from patience import interruptible


async def _told(error: Exception) -> None:
    """Press Ctrl-C, and fail with *error* when the desk is told to end."""
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise error from None


async def _failing(error: Exception) -> None:
    raise error


def test_an_error_in_the_moment_of_ctrl_c_is_no_other_end(tmp_path: Path) -> None:
    """Given a request that times out while a person ends the desk, then the desk was ended by the person."""
    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(_told(TimeoutError()), tmp_path / "ledger.sqlite")


def test_an_error_of_its_own_is_raised_as_it_is(tmp_path: Path) -> None:
    """Given nobody who ends the desk, then its error says why it ended."""
    with pytest.raises(TimeoutError):
        run(_failing(TimeoutError()), tmp_path / "ledger.sqlite")
