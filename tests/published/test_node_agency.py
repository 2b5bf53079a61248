"""Systems in JavaScript, written by the pages alone with what Node has, hand over a case: publish, webhook, letter, answer, stream."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from brokers import Broker
from desk.live import live
from nrmbus.bus.private_files import write_json
from nrmbus.desk.webhooks import signing
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.slow, pytest.mark.broker, pytest.mark.oracle]

PROGRAM = Path(__file__).parent / "node_agency" / "agency.mjs"
PAGE = Path(signing.__file__).parent / "README.md"
AGENCIES = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
LOOPBACK = {"webhooks": {"networks": ["127.0.0.0/8"], "http_on_loopback": True}}
STORY = [
    "registered case.signal_recorded",
    "registered consent.given",
    "registered referral.submitted",
    "told of referral.submitted null",
    "opened identity story Alina Example",
    "registered referral.acknowledged",
    "registered referral.accepted",
    "heard referral.acknowledged from special-unit true",
    "heard referral.accepted from special-unit true",
]


def verifier() -> str:
    """Return the program of the page that verifies a webhook by Node alone."""
    (found,) = re.findall(
        r"^```js\n(import \{ createPublicKey.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(found)


async def test_two_systems_in_javascript_hand_over_a_case(broker: Broker, tmp_path: Path) -> None:
    """The receiver verifies the webhook by the page's example and refuses an altered one; letter and answers arrive."""
    if (node := shutil.which("node")) is None:
        return  # Node is not installed here
    shutil.copy(PROGRAM, tmp_path)
    (tmp_path / "verified.mjs").write_text(verifier(), encoding="utf-8")
    async with live(broker, AGENCIES, run=["ngo-a"]) as bus:
        settings = bus.folder.agency("special-unit").agency_json
        write_json(settings, json.loads(settings.read_bytes()) | LOOPBACK)
        bus.start("special-unit")
        await bus.ready("special-unit")
        known = dict(os.environ)
        for name, agency in (("NGO", "ngo-a"), ("UNIT", "special-unit")):
            door = json.loads((bus.folder.agency(agency).path / "door.json").read_bytes())
            known |= {f"{name}_URL": door["url"], f"{name}_TOKEN": door["token"]}
        process = await asyncio.create_subprocess_exec(
            node, "agency.mjs", cwd=tmp_path, env=known, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                told, failed = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    assert (told.decode().splitlines(), failed.decode(), process.returncode) == (STORY, "", 0)
