"""A registrar that loses a partition before it is ready lets go of what it began for it."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from nrmbus.registrar.owner import Owned, Owner


def begun() -> Owned:
    """Return a shard of doubles that is not ready."""
    producer, snapshots = AsyncMock(), AsyncMock()
    return Owned(0, Mock(), producer, Mock(), snapshots)


def owner_of(owned: Owned, fold: Any) -> Any:
    """Return an owner that takes *owned* over and then waits for *fold*."""
    found = cast("Any", object.__new__(Owner))
    found.owned, found._consumer = {}, Mock()
    found._take_over, found._position, found._fold = AsyncMock(return_value=owned), AsyncMock(), fold
    return found


async def test_a_fold_that_is_cut_leaves_no_producer() -> None:
    """A rebalance comes while the history is read, which may take minutes: connections and tasks of the producer end."""
    owned, folds = begun(), asyncio.Event()

    async def fold(_: Owned) -> None:
        folds.set()
        await asyncio.Event().wait()

    serving = asyncio.create_task(owner_of(owned, fold)._serve(0, [], None))
    await folds.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving

    cast("AsyncMock", owned.producer.stop).assert_awaited_once()


async def test_a_shard_that_was_ready_stays_warm() -> None:
    """It goes on from what it knows if the partition comes back."""
    owned = begun()
    owned.ready = True
    owner = owner_of(owned, AsyncMock())
    owner._consumer = SimpleNamespace(resume=Mock(side_effect=AssertionError))

    await owner._serve(0, [], owned)

    cast("AsyncMock", owned.producer.stop).assert_not_awaited()
