"""Roles are enforced at the door: every role at every page, whoever adds one."""

import re
from pathlib import Path
from typing import Final

import pytest

from agencies import CASE
from desk.given import REF, desk_of
from desk.web.browsing import browsing
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.staff.permissions import ROLES, Role
from nrmbus.desk.web.application import SUBJECTS
from nrmbus.desk.web.shell import Page

pytestmark = pytest.mark.usefixtures("cheap_passwords")

PAGES: Final = [page for each in SUBJECTS for page in each.routes]
ANYBODY: Final = {
    "GET /sign-in", "POST /sign-in", "POST /sign-in/passkey", "GET /sign-in/code", "POST /sign-in/code",
    "GET /sign-in/password", "POST /sign-in/password", "GET /sign-in/second-factor", "POST /sign-in/second-factor",
    "GET /sign-in/provider", "GET /sign-in/provider/back", "POST /sign-out",
}  # fmt: skip
"""The only pages without a session. Another one is a decision: it is added here by hand."""


def address(page: Page) -> str:
    """Return an address of *page* with references that are well formed."""
    known = {"number": "100000", "ref": CASE, "case": CASE, "type": "case.closed", "name": "booking"}
    return "/app" + re.sub(r"{(\w+)(?::\w+)?}", lambda found: known.get(found[1], REF), page.path)


def test_the_pages_without_a_session_are_those_of_the_sign_in() -> None:
    """A page that names no permission is found here, before anybody opens it."""
    assert {f"{page.method} {page.path}" for page in PAGES if page.may == "anybody"} <= ANYBODY


@pytest.mark.thorough
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_the_pages_of_its_permissions_and_no_other(tmp_path: Path, role: Role) -> None:
    """Whoever lacks the permission gets 403 and nothing else; whoever has it gets the page, or 404 where nothing is."""
    async with desk_of("ngo-a", tmp_path) as here:
        new = NewMember(name="Example Member", roles=(role,))
        who = await here.behind.staff.add_example(new, "door.json", "open sesame")
        async with browsing(here, who) as browser:
            wrong = []
            for page in PAGES:
                is_permitted = page.may in {"anybody", "member"} or page.may in who.permissions
                if is_permitted and page.path.endswith("/stream"):
                    continue  # it answers for as long as somebody listens
                answer = await browser.request(page.method, address(page), headers={"sec-fetch-site": "same-origin"})
                is_fine = (
                    answer.status_code < 500 and answer.status_code != 403
                    if is_permitted
                    else answer.status_code == 403
                )
                if not is_fine:
                    wrong.append((page.method, page.path, page.may, answer.status_code))
            assert wrong == []


async def test_without_a_session_every_page_leads_to_the_sign_in(tmp_path: Path) -> None:
    """Nothing is said of what stands there, and nothing is done; the script that saves a draft, which is no page, is told by a status."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here) as browser:
        for page in PAGES:
            if page.may != "anybody":
                answer = await browser.request(page.method, address(page), headers={"sec-fetch-site": "same-origin"})
                if page.path.endswith("/keep"):
                    assert (answer.status_code, answer.content) == (401, b"")
                    continue
                assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/app/sign-in"), (
                    page.path
                )
