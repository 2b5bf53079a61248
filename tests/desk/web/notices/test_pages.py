"""The page on which a member chooses when notices come."""

from pathlib import Path

from desk.given import desk_of
from desk.web.browsing import browsing
from nrmbus.desk.staff.members import NewMember


async def test_a_member_chooses_when_mails_come(tmp_path: Path) -> None:
    """The choice is kept, the page says where mails go, and a choice that does not exist changes nothing."""
    async with desk_of("ngo-a", tmp_path) as here:
        members = here.behind.staff.members
        who = await members.add(
            NewMember(name="Ayla", roles=("worker",), email="ayla@agency.example"), "S-1", None, is_example=True
        )
        here.behind.has_mail = True
        async with browsing(here, who) as browser:
            before = await browser.get("/app/account/notices")
            chosen = await browser.post(
                "/app/account/notices", data={"notices": "daily"}, headers={"sec-fetch-site": "same-origin"}
            )
            wrong = await browser.post(
                "/app/account/notices", data={"notices": "hourly"}, headers={"sec-fetch-site": "same-origin"}
            )
            after = await browser.get(chosen.headers["location"])

        assert 'value="at_once" checked' in before.text
        assert "Notices go to ayla@agency.example." in before.text
        assert (chosen.status_code, wrong.status_code) == (303, 404)
        assert 'value="daily" checked' in after.text
        assert "Your choice was saved." in after.text
        assert members.there(who.number).notices == "daily"


async def test_the_page_says_what_is_missing(tmp_path: Path) -> None:
    """Given an agency without a mail server, or a member without an address, the page says so and whom to ask."""
    async with desk_of("ngo-a", tmp_path) as here:
        who = await here.behind.staff.members.add(
            NewMember(name="Ayla", roles=("worker",)), "S-1", None, is_example=True
        )
        async with browsing(here, who) as browser:
            without = await browser.get("/app/account/notices")
            here.behind.has_mail = True
            unknown = await browser.get("/app/account/notices")

    assert "Your agency sends no mail yet." in without.text
    assert "You have no e-mail address here." in unknown.text
