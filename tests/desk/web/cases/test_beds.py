"""A bed that is held, on the first page of its case: the shelter and the agency that asked see until when."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from agencies import SIGNAL
from desk.given import BED, REF, Given, desk_of
from desk.web.browsing import browsing, member
from desk.web.cases.given import AT, came
from nrmbus.wire import times

HOURS: Final = 24


def clocks(page: httpx.Response) -> list[str]:
    """Return the running clocks on the first page of a case, each with its times in the form of the wire."""
    found = re.search(r'<ul class="nrm-clocks">(.*?)</ul>', page.text, re.DOTALL)
    return re.findall(r"<li.*?</li>", found[1], re.DOTALL) if found else []


async def offered(here: Given) -> str:
    """Let a bed be asked for and offered, by this agency and the other one; return until when it is held."""
    if here.desk.seat.me == "shelter":
        wanted = here.registrar.event("special-unit", "shelter.bed_requested", BED, referral=REF)
        await here.hear(here.registrar.register(wanted, to="shelter"))
        await here.registered(type="shelter.bed_offered", ref=REF, data={"valid_hours": HOURS})
    else:
        await came(here, "case.signal_recorded", SIGNAL)
        await here.registered(type="shelter.bed_requested", ref=REF, data=BED)
        await came(here, "shelter.bed_offered", {"valid_hours": HOURS}, by="shelter", referral=REF)
    (row,) = [each for each in await here.rows("events") if each.type == "shelter.bed_offered"]
    registered = times.read(row.registered)
    assert registered is not None
    return times.write(registered + timedelta(hours=HOURS))


@pytest.mark.parametrize("agency", ["shelter", "special-unit"])
async def test_the_case_says_until_when_a_bed_is_held(tmp_path: Path, agency: str) -> None:
    """Given an offered bed, then its end stands among the running clocks of shelter and asking agency, and is gone after the admission."""
    async with desk_of(agency, tmp_path) as here, browsing(here, member()) as browser:
        until = await offered(here)
        held = clocks(await browser.get(AT))
        if agency == "shelter":
            await here.ask(type="shelter.admitted", ref=REF, data={})
            await here.settle()
        else:
            await came(here, "shelter.admitted", {}, by="shelter", referral=REF)
        admitted = clocks(await browser.get(AT))

    assert len([each for each in held if "A bed is held: admission" in each and until in each]) == 1
    assert [each for each in admitted if "A bed is held" in each] == []


async def test_the_admission_comes_first_with_the_end_of_the_offer(tmp_path: Path) -> None:
    """Given an offered bed, then the admission is the shelter's pressing step, with its time, and not one among many."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        await offered(here)
        page = (await browser.get(AT)).text

    assert page.index("Record the admission") < page.index("more step")
    assert "due by" in page.partition("Record the admission")[2].partition("</form>")[0]
