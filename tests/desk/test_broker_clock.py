"""A desk learns from the broker's answers by how much its machine's clock is wrong."""

import pytest

from nrmbus.desk.broker_clock import BrokerClock


@pytest.mark.parametrize(("appended", "ahead"), [(40.005, 60.0), (160.005, -60.0), (100.005, 0.0), (100.009, 0.0)])
def test_the_stamp_lies_between_sending_and_answer(appended: float, ahead: float) -> None:
    """Given a record sent at 100 s and answered 10 ms later, then a stamp outside of that time tells the difference."""
    clock = BrokerClock()
    assert clock.ahead is None
    clock.note(100.0, 100.01, appended)

    assert clock.ahead == pytest.approx(ahead, abs=0.01)


def test_a_slow_answer_says_less_than_a_quick_one() -> None:
    """Given a quick answer, when the next takes a minute, then the quick one counts; a clock set meanwhile is seen at the next quick one."""
    clock = BrokerClock()
    clock.note(100.0, 160.0, 100.0)
    assert clock.ahead == 0.0, "half a minute of uncertainty explains it"
    clock.note(200.0, 200.01, 190.0)
    clock.note(300.0, 360.0, 300.0)
    assert clock.ahead == pytest.approx(10, abs=0.1)
    clock.note(400.0, 400.01, 400.0)

    assert clock.ahead == 0.0


def test_a_clock_that_is_set_back_meanwhile_measures_nothing() -> None:
    """Given an answer that comes before its sending by a clock that was set back, then it does not count."""
    clock = BrokerClock()
    clock.note(100.0, 90.0, 95.0)

    assert clock.ahead is None
