"""The auditor's page on a real bus: what is asked there is registered by the registrar before it is answered."""

import json
import re

import httpx
import pyotp
import pytest

from auditor.live import AuditedBus
from brokers import Broker
from desk.live import live, signal_of
from nrmbus.auditor.history.whole import audited
from nrmbus.auditor.web.users import Users
from nrmbus.wire import ids
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PASSWORD = "a long example password"


async def test_a_question_is_registered_before_it_is_answered(broker: Broker) -> None:
    """A search and a case: on record under the auditor's own key, proved and told to nobody; the case is as it was."""
    async with live(broker, {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}, run=("ngo-a",)) as running:
        bus, case = AuditedBus(running.folder), ids.new_ref()
        actor = Users(bus.home).add("leyla", PASSWORD)
        async with running.door("ngo-a") as door:
            assert (await door.publish(signal_of(case), wait=LONGEST_WAIT))["verdict"] == "registered"
        bus.start()
        try:
            await bus.until(lambda health: health["ready"])
            url = json.loads((bus.home / "door.json").read_bytes())["url"]
            headers = {"accept-language": "en"}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as browser:
                form = {"name": "leyla", "password": PASSWORD, "purpose": "complaint", "back": f"/cases/{case}"}
                assert (await browser.post("/sign-in", data=form)).headers["location"] == "/sign-in/code"
                key = re.search(r'class="nrm-code">([A-Z2-7 ]+)<', (await browser.get("/sign-in/code")).text)
                assert key
                code = pyotp.TOTP(key[1].replace(" ", "")).now()
                led = await browser.post("/sign-in/code", data={"code": code})
                assert led.headers["location"] == f"/cases/{case}"
                pages = [await browser.get(path) for path in ("/search?go=1", f"/cases/{case}", "/checkpoints")]
                assert [each.status_code for each in pages] == [200, 200, 200], pages[0].text[-2000:]
        finally:
            bus.stop()
        seen = await audited(running.folder)

    readings = [each for each in seen.history.entries if each.said and each.said.type == "access.granted"]
    assert [(each.event.actor, each.registration.subject == case) for each in readings if each.event] == [
        (actor, False),
        (actor, True),
    ]
    assert all(each.audience.recipients == () for each in readings)
    for page, reading in zip(pages, readings, strict=False):
        assert re.search(rf"recorded before it was answered: no\. {reading.registration.number},", page.text)
    assert "case.signal_recorded" in pages[1].text
    assert "auditor" not in seen.view(case, seen.history.about(case)).counts
