"""A transaction is as large as the line to the broker carries in time."""

import pytest
from hypothesis import given, strategies

from nrmbus.registrar.transaction_size import FIRST, LEAST, MOST, SLOW_SECONDS, TransactionSize

BROKERS_SECONDS = 15.0
"""How long the broker lets a transaction last."""


def seconds_of(size: int, line: float) -> float:
    """Return how long *size* bytes of submissions take on a *line* of so many bytes a second, to three readers each."""
    return 0.02 + 3 * size / line


@given(strategies.lists(strategies.integers(1, 3 * FIRST)), strategies.integers(1, MOST))
def test_nothing_is_left_out_and_nothing_changes_its_place(sizes: list[int], limit: int) -> None:
    """A part is larger than the limit only if it is a single record."""
    allowed = TransactionSize()
    allowed.limit = limit

    parts = list(allowed.parts(sizes, int))

    assert [each for part, _ in parts for each in part] == sizes
    assert all(size == sum(part) and (size <= limit or len(part) == 1) for part, size in parts)


@pytest.mark.parametrize("line", [5e6 / 8, 1e7 / 8, 1e9 / 8], ids=["5 Mbit/s", "10 Mbit/s", "1 Gbit/s"])
def test_no_transaction_outlasts_the_broker(line: float) -> None:
    """Twenty megabytes of letters wait, at whatever line; a fast one soon takes them in few transactions."""
    allowed, took = TransactionSize(), list[float]()
    for _ in range(20):
        for _part, size in allowed.parts([240_000] * 90, int):
            took.append(seconds_of(size, line))
            allowed.took(size, took[-1])

    assert max(took) < BROKERS_SECONDS
    assert (allowed.limit >= 16 * FIRST) == (line > 1e8)


def test_a_line_that_became_slow_gets_less_each_time() -> None:
    """And more again when it has recovered."""
    allowed, waiting = TransactionSize(), [1_000] * 100_000
    allowed.limit = MOST

    def sizes(seconds: float) -> list[int]:
        found = []
        for _ in range(40):
            _part, size = next(allowed.parts(waiting, int))
            found.append(size)
            allowed.took(size, seconds)
        return found

    assert sizes(SLOW_SECONDS + 1)[-1] == LEAST // 1_000 * 1_000
    assert sizes(0.1)[-1] == MOST // 1_000 * 1_000


def test_a_broker_that_is_slow_whatever_it_is_asked_still_gets_many_at_once() -> None:
    """A single event that took long, on a starving machine, makes no transactions of single events."""
    allowed = TransactionSize()
    for _ in range(40):
        allowed.took(2_000, 2 * SLOW_SECONDS)

    part, _size = next(allowed.parts([2_000] * 400, int))
    assert len(part) > 100


def test_a_small_transaction_says_nothing_about_large_ones() -> None:
    """A single event is quick on every line."""
    allowed = TransactionSize()
    for _ in range(1_000):
        allowed.took(2_000, 0.02)

    assert allowed.limit == FIRST
