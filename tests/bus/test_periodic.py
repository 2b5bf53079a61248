"""Periodic tasks go on after an error that their owner takes, and end with one that nobody takes."""

import asyncio

import pytest

from nrmbus.bus.periodic import LONGEST_PAUSE, doubled, every, pause_after


class Look:
    """A look that fails at the numbers in *fails*, and ends the waiting of the test after *until* looks."""

    def __init__(self, *, until: int, fails: set[int]) -> None:
        self.count, self._until, self._fails = 0, until, fails
        self.enough = asyncio.Event()

    async def __call__(self) -> None:
        """Count one look."""
        self.count += 1
        if self.count >= self._until:
            self.enough.set()
        if self.count in self._fails:
            raise OSError(self.count)


async def test_an_error_that_its_owner_takes_does_not_end_the_task() -> None:
    """Each error is handed over once, and the next look comes as usual, until the task is cancelled."""
    look, errors = Look(until=4, fails={1, 3}), list[str]()
    task = asyncio.create_task(every(0.0, look, failed=lambda error: errors.append(str(error))))
    await look.enough.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert errors == ["1", "3"]


async def test_an_error_that_nobody_takes_ends_the_task() -> None:
    """The service then ends, and its supervisor starts it again."""
    look = Look(until=2, fails={2})

    with pytest.raises(OSError, match="2"):
        await every(0.0, look)
    assert look.count == 2


@pytest.mark.parametrize("times", [0, 1, 5, 1_024, 10**6])
def test_a_pause_has_a_longest_however_often_it_was_made(times: int) -> None:
    """A broker that is away for days, or an inbox that waits for a person, is no error of arithmetic."""
    assert doubled(0.5, times, 20.0) == min(0.5 * 2 ** min(times, 10), 20.0)
    assert 0 < pause_after(times + 1) <= LONGEST_PAUSE
