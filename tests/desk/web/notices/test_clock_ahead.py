"""Notices by mail after the clock of the desk's machine was ahead: each at its own time, once, and none days late."""

from datetime import timedelta
from pathlib import Path

import pytest

from desk.web.notices.test_notices import OVERDUE, SOON, WAITS, mailing
from nrmbus.desk.web.notices.dispatcher import GATHERED
from nrmbus.desk.webhooks import schedule


async def test_a_clock_that_was_ahead_for_a_while_hides_no_duty(tmp_path: Path) -> None:
    """Given a machine whose clock was three days ahead for one look, then later duties are told at their own times, each once."""
    ahead = timedelta(days=3)
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.pass_by(ahead)
        await mails.referred()
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS])]
        await mails.pass_by(-ahead)
        await mails.referred("12" * 16)
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS])]

        await mails.pass_by(timedelta(hours=20))
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [SOON])]
        await mails.pass_by(timedelta(hours=4))
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [OVERDUE])]


@pytest.mark.parametrize("ahead", [timedelta(hours=4), timedelta(days=3650)])
@pytest.mark.parametrize("fails", [None, "451 4.3.0 Later"], ids=["not sent", "failed"])
async def test_a_notice_of_a_time_when_the_clock_was_ahead_waits_no_longer_than_another(
    tmp_path: Path, ahead: timedelta, fails: str | None
) -> None:
    """Given a referral that came while the clock was ahead, and a mail that was not sent then, or not taken, when the clock is right, then it leaves like any other, and once."""
    async with mailing(tmp_path, fails=fails) as mails:
        await mails.member("Ayla")
        await mails.pass_by(ahead)
        await mails.referred()
        await mails.look()
        if fails:
            await mails.pass_by(GATHERED)
        mails.inbox.fails = None
        await mails.pass_by(-ahead)
        await mails.pass_by(GATHERED)
        await mails.pass_by(schedule.DELAYS[1])

        assert mails.said() == [("Ayla@agency.example", [WAITS])]
        await mails.pass_by(ahead)
        assert WAITS not in [line for _, lines in mails.said() for line in lines]


async def test_a_mail_once_a_day_comes_at_the_next_eight_after_the_clock_was_ahead(tmp_path: Path) -> None:
    """Given a member who wants one mail a day and a notice that was written by a clock ten years ahead, when the clock is right, then it comes the next morning."""
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla", notices="daily")
        await mails.pass_by(timedelta(days=3650))
        await mails.referred()
        await mails.look()
        await mails.pass_by(-timedelta(days=3650))
        assert mails.said() == []
        await mails.pass_by(timedelta(hours=23))  # 8:00 in Baku

        ((_, lines),) = mails.said()
        assert WAITS in lines
