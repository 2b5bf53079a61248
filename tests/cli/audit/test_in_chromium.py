"""A person's report on paper, in a real browser."""

import pytest

from auditor.played import first_audited
from cli.audit.test_person_report import Continued
from nrmbus.auditor.reports.holders import held
from nrmbus.cli.audit import person_report
from nrmbus.web.words import Words
from web.browser import CHROMIUM, chromium, has_head_and_foot

pytestmark = [
    pytest.mark.oracle, pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)]),
]  # fmt: skip


async def test_the_report_on_paper_does_not_say_where_its_file_was(program: str) -> None:
    """Given a report of several pages, and a browser that prints title, date and address of what it shows, then no sheet has them."""
    case, seen = Continued(), first_audited()
    words = Words("en", seen.rules.profile.zone)
    report = person_report.written(held(seen, case.subject, case.now), words, teller="vac", number=7, made=case.now)
    async with chromium(program) as browser:
        page = await browser.new_page()
        await page.set_content(report.html())

        assert not await has_head_and_foot(page)
