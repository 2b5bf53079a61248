"""Mails about an event that came in a version that the desk learnt later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from desk.given import CANARY, REF, Read
from desk.web.notices.test_notices import CONSENT, OVERDUE, REFERRAL, WAITS, Mails, mailing
from generations import before_version
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.web.notices.dispatcher import GATHERED, Notices
from nrmbus.desk.web.notices.settings import MailSettings

OTHER = "ef" * 16
LATER: dict[str, Any] = {**REFERRAL, "services": [{"code": "health"}]}
"""An emergency in version 2: it is answered within a day."""


def referred(mails: Mails) -> Read:
    """Return the delivery of the emergency."""
    sealed: dict[str, Any] = {"parts": {"identity": {"name": CANARY}}, "opens": ["vac"], "referral": REF}
    record = mails.here.registrar.event("ngo-a", "referral.submitted", LATER, version=2, **sealed)
    return mails.here.registrar.register(record, to="vac")


def started_again(mails: Mails) -> Notices:
    """Return the notices of the desk after a start."""
    return Notices(
        mails.here.desk, lambda: mails.here.behind.staff.members, MailSettings.read(mails.given),
        now=lambda: mails.wall[0], jitter=lambda _low, _high: 1.0,
    )  # fmt: skip


@asynccontextmanager
async def upgraded_after(hours: int, folder: Path) -> AsyncIterator[Mails]:
    """Yield a desk that was upgraded *hours* after it got a referral that it did not know; another case went on meanwhile."""
    async with mailing(folder) as mails:
        await mails.member("Ayla")
        referral = referred(mails)
        with before_version(2):
            await mails.here.hear(referral)
            await mails.pass_by(timedelta(hours=hours))
            await mails.hear("ngo-a", "consent.given", CONSENT, case=OTHER)
            await mails.pass_by(GATHERED)
            assert mails.said() == []
        mails.notices = started_again(mails)
        await mails.look()
        await release_by_itself(mails.here.desk, mails.here.inbox)
        await mails.here.settle()
        yield mails


@pytest.mark.usefixtures("kept")
async def test_a_referral_that_the_desk_learns_to_read_is_told(tmp_path: Path) -> None:
    """Given a referral of a later version, when the desk is upgraded an hour later, then the agency hears once that it waits."""
    async with upgraded_after(1, tmp_path) as mails:
        await mails.pass_by(GATHERED)
        first = mails.said()
        await mails.pass_by(timedelta(hours=1))
        again = [row.position for row in await mails.here.rows("notice_again")]

        assert first == [("Ayla@agency.example", [WAITS])]
        assert (mails.said(), again) == ([], [])


async def test_a_referral_that_the_desk_learns_to_read_too_late_is_told_as_overdue(tmp_path: Path) -> None:
    """Given an upgrade after the day in which the agency has to answer, then its people hear that something is overdue."""
    async with upgraded_after(30, tmp_path) as mails:
        await mails.pass_by(GATHERED)

        assert mails.said() == [("Ayla@agency.example", [OVERDUE, WAITS])]


async def test_a_killed_desk_looks_again_after_its_next_start(tmp_path: Path) -> None:
    """Given a desk that is killed between the release and the look, then the next start tells what the release brought."""
    async with upgraded_after(1, tmp_path) as mails:
        mails.notices = started_again(mails)
        await mails.pass_by(GATHERED)

        assert mails.said() == [("Ayla@agency.example", [WAITS])]


async def test_an_agency_without_mail_keeps_no_list(tmp_path: Path) -> None:
    """Given a ledger that notices never looked at, when a record goes on, then nothing is noted for them."""
    async with mailing(tmp_path) as mails:
        async with mails.here.desk.seat.ledger.write() as tx:
            tx.exec_driver_sql("DELETE FROM notice_place")
        referral = referred(mails)
        with before_version(2):
            await mails.here.hear(referral)
        await release_by_itself(mails.here.desk, mails.here.inbox)

        assert await mails.here.rows("parked") == []
        assert await mails.here.rows("notice_again") == []
