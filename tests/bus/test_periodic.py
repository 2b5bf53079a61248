"""Periodic tasks go on after an error that their owner takes, and end with one that nobody takes."""

import asyncio

import pytest

from nrmbus.bus.periodic import every


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
