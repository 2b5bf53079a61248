"""Mails about a case whose beginning was lost with the ledger."""

from datetime import timedelta
from pathlib import Path

import pytest

from desk.web.notices.test_notices import WAITS, mailing
from nrmbus.desk.web.notices.dispatcher import GATHERED


@pytest.mark.usefixtures("kept")
async def test_no_mail_counts_the_time_of_a_case_without_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that lost its ledger, and with it the beginning of a case, then a mail says that a referral has come, and none that it is due: no page says so either."""
    monkeypatch.setattr("nrmbus.desk.state.beginnings.is_incomplete", lambda *_: True)
    async with mailing(tmp_path) as mails:
        await mails.member("Ayla")
        await mails.referred()
        await mails.pass_by(timedelta(days=30))
        await mails.pass_by(GATHERED)
        assert mails.said() == [("Ayla@agency.example", [WAITS])]
