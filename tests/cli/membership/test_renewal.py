"""An agency on its own machine gets its next certificate in time and automatically, and loses nothing meanwhile."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.own_machine import A, Apart, B, admitters_place, apart, until_over
from desk.live import signal_of
from desk.test_live import CASE, CONSENT, REF, REFERRAL, about
from nrmbus.auditor.history.whole import audited
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.membership import agency
from nrmbus.directory import Directory
from nrmbus.directory.admission import Newcomer, read_directory
from nrmbus.directory.operator import Identity
from nrmbus.host import request_loop
from nrmbus.host.supervisor import Supervisor
from patience import LONGEST_WAIT, PATIENCE, until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

LIFE = timedelta(seconds=24)
"""Short lifetime of a certificate; renewal begins in its last third."""

HOW = {
    "ref": REF,
    "to": ["special-unit"],
    "legal_basis": "CoM 21/2008 art. 7",
    "sealed": {"name": "CANARY-apart-name", "facts": "CANARY-apart-facts"},
}


@pytest.fixture(name="up", scope="module")
def _up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Yield the operator's bus, which looks for requests often."""
    folder = BusFolder(tmp_path_factory.mktemp("operator"))
    folder.create(play=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_loop, "REQUESTS_SECONDS", 0.5)
        with Supervisor(folder, agencies={"special-unit": Newcomer("special_unit")}) as running:
            yield running


def ready(one: Apart) -> None:
    """Wait until its desk handles its inbox."""
    until("its desk is ready", lambda: asyncio.run(one.health()).get("ready"))


def says(one: Apart, event: dict[str, Any] | None = None) -> str:
    """Publish an *event*, by default a signal about a new person; return the verdict."""
    return str(asyncio.run(one.says(event or signal_of(secrets.token_hex(16))))["verdict"])


def history(up: Supervisor, agency: str) -> list[str]:
    """Return the ids of *agency*'s registrations, as the auditor reads them."""
    entries = asyncio.run(audited(up.folder)).history.entries
    return [each.registration.id for each in entries if each.registration.source == agency]


async def answered(up: Supervisor, one: Apart, ref: str) -> str:
    """Return the type of *one*'s next event after the special unit has acknowledged the referral *ref*."""
    case = about("referral.acknowledged", {"receipt_no": "SU-1", "duty_role": "duty_officer"}, ref=ref)
    async with door_of(up.folder, "special-unit") as unit, door_of(one.folder, one.name) as door:
        await unit.publish(case, wait=LONGEST_WAIT)
        async with asyncio.timeout(PATIENCE):
            async for heard in door.pages():
                return str(heard[0]["type"])
    raise AssertionError("nothing was heard")


def test_a_desk_alone_renews_its_certificate_and_nothing_is_lost(up: Supervisor, tmp_path: Path) -> None:
    """The desk asks over the topic, the operator answers, and the desk reconnects with the new certificate before the old one ends."""
    with apart(up.folder, tmp_path, "ngo-r", "ngo_outreach") as one:
        ends, before = one.holds(LIFE), one.tls.certificate.read_bytes()
        one.start()
        ready(one)
        refers = [signal_of(CASE), about("consent.given", CONSENT), about("referral.submitted", REFERRAL) | HOW]
        assert [says(one, event) for event in refers] == ["registered"] * 3
        door, process = one.folder.agency("ngo-r").door.read_bytes(), one.process

        said = []
        while certificate.now() < ends + timedelta(seconds=2):  # events are published to it all the while
            said.append(says(one))
            time.sleep(0.2)
        up.look_at_certificates()
        until("the old one has no right", lambda: not rights(up, one, count=2))

        assert set(said) == {"registered"}
        assert one.tls.certificate.read_bytes() != before
        assert says(one) == "registered"
        registered = history(up, "ngo-r")
        assert len(set(registered)) == len(registered) == len(refers) + len(said) + 1
        assert asyncio.run(answered(up, one, REF)) == "referral.acknowledged"
        assert one.folder.agency("ngo-r").door.read_bytes() == door, "whoever speaks to the desk finds it where it was"
        assert one.process is process
        assert process is not None
        assert process.poll() is None
        assert "connections_anew" in one.log


def rights(up: Supervisor, one: Apart, count: int) -> list[str]:
    """Return the broker's rules for certificate number *count* of the agency."""
    found = Gate(up.folder)._found()
    return [str(rule) for rule in found if rule.principal == f"{one.name}.{count}"]


def test_one_that_has_ended_is_renewed_by_file(up: Supervisor, tmp_path: Path) -> None:
    """Three commands, at the agency, at the operator and at the agency again, renew the certificate; then the desk starts."""
    file = Path("ngo-f.renewal.json")
    with apart(up.folder, tmp_path, "ngo-f", "ngo_outreach") as one, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        until_over(one.holds(timedelta(seconds=2)))

        agency.renew("ngo-f", data=one.folder.path, keys_unprotected=True)
        agency.renew("ngo-f", file, data=up.folder.path, keys_unprotected=True)
        agency.renew("ngo-f", file, data=one.folder.path, keys_unprotected=True)

        assert not certificate.is_due(one.tls, certificate.now())
        one.start()
        ready(one)
        assert says(one) == "registered"


def test_keys_change_and_nobody_carries_a_file(
    up: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The desk asks and confirms; two admitters sign, at the operator's and elsewhere; the operator's `up` does its part."""

    def waits() -> str:
        capsys.readouterr()
        agency.waiting(data=up.folder.path)
        return capsys.readouterr().out

    def directory() -> Directory:
        return asyncio.run(read_directory(up.folder))

    with apart(up.folder, tmp_path, "ngo-k", "ngo_outreach") as one:
        before = Identity.at(one.folder.agency("ngo-k").path, "ngo-k")
        one.start(rotates=True)
        ready(one)
        until("it asks", lambda: "ngo-k (rotated" in waits())
        agency.admit(name=A, waiting=True, data=up.folder.path, keys_unprotected=True)
        until("one has signed", lambda: f"signed by {A}" in waits())
        elsewhere = admitters_place(one, tmp_path, B)
        agency.admit(Path("ngo-k"), B, waiting=True, data=elsewhere.path, keys_unprotected=True)

        until(
            "it is confirmed",
            lambda: (directory().seal_to("ngo-k", wall_now()) or before.sealing).kid != before.sealing.kid,
        )
        until(
            "it has the next",
            lambda: not (one.folder.agency("ngo-k").keys / "next" / "signing.seed").exists(),
        )
        after = Identity.at(one.folder.agency("ngo-k").path, "ngo-k")
        assert {after.signing.kid, after.sealing.kid, after.witness.kid}.isdisjoint(before.kids)
        assert before.sealing.kid in after.opening
        assert directory().signing_kid("ngo-k", wall_now()) == after.signing.kid
        assert says(one) == "registered"
        assert asyncio.run(one.health())["held_up"] is None
        assert "Nothing waits" in waits()
