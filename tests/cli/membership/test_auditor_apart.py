"""An auditor on a machine of her own: her keys are made there, the operator runs none, and her answers and logs stay with her."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nrmbus.auditor.history.whole import audited
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.cli import health
from nrmbus.cli.app import app
from nrmbus.cli.membership import agency, invitation
from nrmbus.cli.operate.peers import peers_of
from nrmbus.cli.operate.topic_faults import TopicRead, of_the_auditor
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer
from nrmbus.host.services import run_service, services_of
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire.names import AUDITOR
from patience import LONGEST_WAIT, PATIENCE, until
from typed import run

SIGNAL = json.loads((Path(__file__).parents[3] / "deploy" / "examples" / "signal.json").read_text(encoding="utf-8"))
_RUN = """
from nrmbus.directory import own_certificate
own_certificate.LOOK_SECONDS = 0.5
from nrmbus.cli import main
main()
"""
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module", name="bus")
def _bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    """Yield a running bus without an auditor."""
    folder = BusFolder(tmp_path_factory.mktemp("operator"))
    folder.create()
    folder.audit(elsewhere=True)
    with Supervisor(folder, agencies={"ngo-a": Newcomer("ngo_outreach"), "special-unit": Newcomer("special_unit")}):
        until("all is ready", lambda: not health.not_ready(folder))
        yield folder


def joined(bus: BusFolder, home: Path) -> BusFolder:
    """Return the folder of her machine, admitted like an agency, by files alone."""
    hers, invited, file = BusFolder(home / "hers"), home / "invitation.json", home / "auditor.request.json"
    here: dict[str, Any] = {"data": hers.path, "keys_unprotected": True}
    there: dict[str, Any] = {"data": bus.path, "keys_unprotected": True}
    invitation.invite(invited, data=bus.path)
    invitation.join(invited, data=hers.path)
    agency.request(AUDITOR, role=AUDITOR, out=file, **here)
    for admitter in ("admitter-a", "admitter-b"):
        agency.admit(file, admitter, **there)
    agency.check(AUDITOR, file, **here)
    agency.admit(file, **there)
    agency.check(AUDITOR, file, **here)
    return hers


@contextmanager
def running(hers: BusFolder) -> Iterator[None]:
    """Run her auditor as a process of her machine."""
    argv = ["nrmbus", "run", AUDITOR, "--data", str(hers.path), "--keys-unprotected"]
    with (hers.path / "auditor.log").open("ab") as log:
        command = [sys.executable, "-c", f"import sys; sys.argv = {argv!r}\n{_RUN}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until("her auditor is ready", lambda: process.poll() is not None or not health.not_ready(hers))
        assert process.poll() is None, (hers.path / "auditor.log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def publish(bus: BusFolder) -> str:
    """Publish the first event of a case; return the case."""

    async def published() -> str:
        async with Door.of(bus.agency("ngo-a").path) as door:
            return str((await door.publish(SIGNAL, wait=LONGEST_WAIT))["case"])

    return asyncio.run(published())


def findings(folder: BusFolder) -> dict[str, Any]:
    """Return what nrmbus doctor finds, by code."""
    shown = CliRunner().invoke(app, ["doctor", "--json", "--data", str(folder.path)])
    return {each["code"]: each for each in json.loads(shown.output)["findings"]}


@pytest.mark.slow
@pytest.mark.broker
def test_an_auditor_on_her_own_machine_signs_answers_and_exports(bus: BusFolder, tmp_path: Path) -> None:
    """Given a bus without an auditor, when she joined from her folder, then desks co-sign her log, her questions are registered before they are answered, and her evidence verifies without the bus.

    The operator has neither her keys nor her log, users or answers; on the bus stands that she read which case, and why.
    """
    assert not (bus.service(AUDITOR) / "keys").exists()
    case = publish(bus)
    hers = joined(bus, tmp_path)
    data = ("--data", hers.path)
    assert "stopped" in findings(hers), "she has not started it yet"

    with running(hers):
        until("her checkpoint is co-signed", lambda: state(hers)["history"].get("cosigned", 0) > 0)
        assert [each["name"] for each in state(hers)["services"]] == [AUDITOR]
        shown = run("replay", "--case", case, "--purpose", "audit", *data)
        assert (shown.returncode, "case.signal_recorded" in shown.stdout) == (0, True), shown.stderr
        assert "127.0.0.1" in run("auditor", "page", *data).stdout
        out = tmp_path / "evidence.jsonl"
        exported = run("export", "--case", case, "--out", out, *data)
        assert exported.returncode == 0, exported.stderr
        assert findings(hers).keys() & {"stopped", "not_ready", "not_answering"} == set()
        checked = run("check", *data, "--keys-unprotected")
        assert (checked.returncode, "auditor may read its inbox." in checked.stdout) == (0, True), checked.stdout
        renewed(bus, hers)
        until("the operator sees her", lambda: [each["connected"] for each in seen_by(bus)] == [["127.0.0.1"]])
    until("the operator misses her", lambda: [each["connected"] for each in seen_by(bus)] == [[]])

    entries = asyncio.run(audited(bus)).history.entries
    questions = [each for each in entries if each.registration.source == AUDITOR]
    assert [each.event.data.to_mapping()["what"] for each in questions if each.event] == ["case", "export"]
    keys = re.findall(r"^  (--\w+) (\S+)$", exported.stdout, re.MULTILINE)
    log = [part for each in keys for part in each]
    verified = run("verify", out, *log, "--quorum", "1")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    theirs = {path.name for path in bus.path.rglob("*") if path.is_file() and "kafka" not in path.parts}
    assert theirs.isdisjoint({"log-ed25519.seed", "cosigned.db", "users.json", "heads.db", "off-the-record.jsonl"})
    assert not (bus.service(AUDITOR) / "logs").exists()


def renewed(bus: BusFolder, hers: BusFolder) -> None:
    """Give her machine a certificate that is due; wait until her auditor works with a new certificate."""
    tls = Tls(hers.service(AUDITOR))
    issued = Authority(bus).issue(AUDITOR, certificate.request(tls), life=timedelta(minutes=1))
    Gate(bus).apply()
    certificate.keep(tls, issued, tls.ca.read_bytes())
    assert certificate.is_due(tls, certificate.now())
    until("she has another certificate", lambda: not certificate.is_due(tls, certificate.now()))
    until("she connects with it", lambda: "connections_anew" in (hers.path / "auditor.log").read_text())
    until("she is ready", lambda: not health.not_ready(hers))


def seen_by(bus: BusFolder) -> list[dict[str, object]]:
    """Return what the operator's status knows of her."""
    return [each for each in peers_of(bus) if each["agency"] == AUDITOR]


def state(folder: BusFolder) -> dict[str, Any]:
    """Return what nrmbus status shows."""
    found: dict[str, Any] = json.loads(CliRunner().invoke(app, ["status", "--json", "--data", str(folder.path)]).output)
    return found


def test_a_bus_whose_auditor_is_here_cannot_give_her_away(tmp_path: Path) -> None:
    """Given keys that the operator made, then nobody else can call them her own; a new bus keeps the choice."""
    folder = BusFolder(tmp_path)
    folder.audit(elsewhere=True)
    assert AUDITOR not in services_of(folder)
    folder.audit(elsewhere=True)
    folder.audit(elsewhere=False)
    assert AUDITOR in services_of(folder)
    (folder.service(AUDITOR) / "keys").mkdir(parents=True)
    with pytest.raises(NoBus, match="whose keys the operator made"):
        folder.audit(elsewhere=True)


def test_no_auditor_starts_on_a_bus_that_has_one_elsewhere(tmp_path: Path) -> None:
    """Given a bus whose auditor is on her own machine, when the operator runs an auditor, then it is refused, and no folder of hers is left."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    folder.audit(elsewhere=True)

    with pytest.raises(NoBus, match="nrmbus run auditor there"):
        run_service(AUDITOR, folder)
    assert not folder.service(AUDITOR).exists()
    assert not folder.runs(AUDITOR)


@pytest.mark.parametrize(
    ("signed", "registered", "silent"),
    [
        (None, None, False),
        (None, timedelta(hours=3), True),
        (timedelta(hours=4), timedelta(hours=3), True),
        (timedelta(hours=4), timedelta(hours=1), False),
        (timedelta(hours=2), timedelta(hours=3), False),
    ],
)
def test_the_operator_is_told_when_she_is_silent(
    signed: timedelta | None,
    registered: timedelta | None,
    silent: bool,  # noqa: FBT001 - a column
) -> None:
    """Given no connection that anybody could ask, then her newest checkpoint tells: it follows a registration within two hours."""
    topic = TopicRead(
        checkpointed=NOW - signed if signed else None, registered=NOW - registered if registered else None
    )

    assert [each.code for each in of_the_auditor(topic, NOW)] == (["auditor_silent"] if silent else [])
