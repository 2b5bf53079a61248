"""The schedule: ten attempts over three days, whatever the receiver and the chance say."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from nrmbus.desk.webhooks import schedule

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
FACTORS = st.lists(st.floats(*schedule.JITTER), min_size=10, max_size=10)
HOLDS = st.lists(st.none() | st.integers(0, 10**10), min_size=10, max_size=10)


@given(FACTORS, HOLDS)
def test_ten_attempts_each_not_before_its_delay_and_at_most_a_day_later(
    factors: list[float], holds: list[int | None]
) -> None:
    """Jitter spreads each delay by a fifth; Retry-After only lengthens it, up to a day; after ten attempts none is left."""
    now = NOW
    for attempt, (factor, hold) in enumerate(zip(factors, holds, strict=True)):
        asked = schedule.retry_after(None if hold is None else str(hold), now)
        due = schedule.next_try(attempt, now, factor, asked)
        assert due is not None
        delay = schedule.DELAYS[attempt]
        assert due - now >= delay * schedule.JITTER[0]
        assert due - now <= max(
            delay * schedule.JITTER[1], schedule.LONGEST_HOLD if asked else timedelta()
        ) + timedelta(seconds=1)
        assert due.microsecond == 0
        now = due
    assert schedule.next_try(10, now, 1.0) is None


def test_without_jitter_the_last_attempt_is_after_three_days() -> None:
    """The delays are those of Standard Webhooks' example: 75 hours, 35 minutes and 5 seconds in all."""
    now = NOW
    for attempt in range(10):
        now = schedule.next_try(attempt, now, 1.0) or now

    assert now - NOW == timedelta(hours=75, minutes=35, seconds=5)


@given(st.text(max_size=40) | st.integers().map(str) | st.datetimes(timezones=st.just(UTC)).map(format_datetime))
def test_whatever_a_receiver_writes_as_retry_after_is_bounded_or_ignored(value: str) -> None:
    """Seconds or a date; garbage asks for nothing, and nothing asks for more than a day."""
    found = schedule.retry_after(value, NOW)

    assert found is None or timedelta() <= found <= schedule.LONGEST_HOLD


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    """Both forms of RFC 9110."""
    assert schedule.retry_after("90", NOW) == timedelta(seconds=90)
    assert schedule.retry_after("Mon, 02 Mar 2026 06:02:00 GMT", NOW) == timedelta(minutes=2)
    assert schedule.retry_after(None, NOW) is None


def test_only_failures_without_a_break_count_to_the_five_days() -> None:
    """A failure after more than two days without an attempt begins a new count; one within goes on with the earlier."""
    since = NOW - timedelta(days=5)

    assert schedule.is_given_up(schedule.failing_since(since, NOW - timedelta(days=1), NOW), NOW)
    assert schedule.failing_since(since, NOW - timedelta(days=3), NOW) == NOW
    assert schedule.failing_since(None, None, NOW) == NOW
    assert not schedule.is_given_up(since + timedelta(seconds=1), NOW)
