"""A client in Java, made by a public generator from the frozen document alone, is an NGO's system in the first half of a story."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from brokers import Broker
from desk.live import live
from nrmbus.client import AsyncDesk, Registered
from nrmbus.events.schemas import FOLDER
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.broker, pytest.mark.oracle]

HERE = Path(__file__).parent / "openapi_java"
DOCUMENT = FOLDER / "openapi.yaml"
REFERRAL = "ab" * 16
OFFICER = {"actor": "special-unit-1102", "ref": REFERRAL}
UNITS_ANSWERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("referral.submitted", {"type": "referral.acknowledged", "data": {"receipt_no": "SU-1", "duty_role": "duty_officer"}}),
    ("referral.submitted", {"type": "referral.info_requested", "data": {"question": "safe_contact"}}),
    ("referral.info_supplied", {"type": "referral.accepted", "data": {"next_step": "reception"}}),
    ("referral.info_supplied", {
        "type": "handover.person_received", "data": {"place_type": "reception", "duty_role": "duty_officer", "items": 2}
    }),
)  # fmt: skip
"""Events of the special unit, each after an event of the NGO."""
STORY = [
    "registered case.signal_recorded",
    "registered consent.given",
    "registered consent.refused",
    "refused referral.submitted consent_refused G-30",
    "registered referral.submitted",
    "heard referral.acknowledged from special-unit",
    "heard referral.info_requested from special-unit",
    "registered referral.info_supplied",
    "heard referral.accepted from special-unit",
    "heard handover.person_received from special-unit",
    "case REFERRED",
    "error 404 true",
]


@pytest.fixture(name="program", scope="module")
def _program(request: pytest.FixtureRequest) -> Path | None:
    """A folder with the client's classes, built once for this document and program; None where there is no Maven, or no network."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None or request.config.cache is None:
        return None
    sources = [DOCUMENT, HERE / "pom.xml", *sorted(HERE.rglob("*.java"))]
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()
    home = request.config.cache.mkdir("openapi-java") / digest[:16]
    if not (home / "built").exists():
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(HERE, home)
        command = [maven, "--batch-mode", "--quiet", f"-Dopenapi={DOCUMENT}", "compile"]
        built = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=280)
        assert "COMPILATION ERROR" not in built.stdout, built.stdout[-4000:]
        if built.returncode:
            return None
        (home / "built").touch()
    return home / "target"


@pytest.mark.slow
async def test_a_generated_client_refers_a_woman(program: Path | None, broker: Broker) -> None:
    """The NGO's program publishes, is refused with code and rule, hears the answers, and reads its case; types are generated."""
    if program is None:
        return  # a client in Java needs Maven, a JDK, and packages that are here or on a network
    roles = {"ngo-a": "ngo_outreach", "special-unit": "special_unit", "embassy": "embassy"}
    async with live(broker, roles, run=("ngo-a", "special-unit")) as bus:
        door = json.loads((bus.folder.agency("ngo-a").path / "door.json").read_bytes())
        classpath = os.pathsep.join((str(program / "classes"), str(program / "dependency" / "*")))
        ngo = await asyncio.create_subprocess_exec(
            "java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "example.Ngo", door["url"], door["token"],
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        unit = asyncio.create_task(_answer(AsyncDesk.of(bus.folder.agency("special-unit").path)))
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                told, failed = await ngo.communicate()
        finally:
            unit.cancel()
            if ngo.returncode is None:
                ngo.kill()
    assert (told.decode().splitlines(), failed.decode(), ngo.returncode) == (STORY, "", 0)


async def _answer(unit: AsyncDesk) -> None:
    """Be the special unit's people: say each answer as soon as its event is there."""
    due = list(UNITS_ANSWERS)
    async with unit:
        async for event in unit.inbox():
            while due and due[0][0] == event.type:
                said = await unit.publish(due.pop(0)[1] | OFFICER | {"case": event.case})
                assert isinstance(said, Registered), said
