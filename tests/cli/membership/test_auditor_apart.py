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
from types import SimpleNamespace
from typing import Any

import pyotp
import pytest
from typer.testing import CliRunner

from nrmbus.auditor.app import Auditor
from nrmbus.auditor.history.whole import audited
from nrmbus.auditor.web.apps import Apps
from nrmbus.auditor.web.users import Users
from nrmbus.bus.agency_folder import BACKED_UP
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import write_json, write_private
from nrmbus.bus.reach import Tls
from nrmbus.cli import health
from nrmbus.cli.app import app
from nrmbus.cli.membership import agency, invitation
from nrmbus.cli.operate import folder_faults
from nrmbus.cli.operate.peers import peers_of
from nrmbus.cli.operate.topic_faults import TopicRead, of_left_keys, of_sealing_keys, of_the_auditor
from nrmbus.client.door import Door
from nrmbus.directory import Directory, Identity, LogIdentity, Operator
from nrmbus.directory.admission import Newcomer
from nrmbus.directory.epochs import Ending
from nrmbus.host.services import run_service, services_of
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire import times
from nrmbus.wire.keys.keys import VerifyKey
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
    past = hers.service(AUDITOR) / "keys" / "past" / "sealing-cut.gone"
    write_private(past, b"a key whose destruction was cut")

    with running(hers):
        until("p6: her expired keys are destroyed", lambda: not past.exists())
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


@pytest.fixture(name="hers")
def _hers(tmp_path: Path) -> BusFolder:
    """Return the folder of her machine, joined, with her keys and without a broker."""
    folder = BusFolder(tmp_path / "hers")
    folder.create(bootstrap="127.0.0.1:9", tls=False)
    write_private(folder.keys / "operator.pub", b"ab" * 32)
    Identity.at(folder.service(AUDITOR), AUDITOR)
    return folder


def test_each_fault_of_her_machine_has_a_command_that_works_there(hers: BusFolder, tmp_path: Path) -> None:
    """Given a joined machine, where nrmbus up is refused, then no fault of the auditor's names it: she asks by file as an agency does."""
    operator = BusFolder(tmp_path / "operator")
    operator.create()
    home, tls = hers.service(AUDITOR), Tls(hers.service(AUDITOR))
    Authority(operator).equip(AUDITOR, home)
    write_json(home / BACKED_UP, {"made": times.write(NOW - timedelta(days=40))})
    end = certificate.ends(tls)
    assert end is not None
    found = {each.code: each for each in folder_faults.findings(hers, end)}
    topic = TopicRead(ending=(Ending(AUDITOR, NOW, "sealing_key_over"),), left=((AUDITOR, 1),))
    found |= {each.code: each for each in (*of_sealing_keys(hers, topic, NOW), *of_left_keys(hers, topic))}

    assert found["certificate"].mend == f"nrmbus agency renew auditor --data '{hers.path}'"
    assert f"--agency auditor --data '{hers.path}'" in found["backup_old"].mend
    assert found["sealing_key"].mend == "nrmbus agency rotate auditor"
    assert found["key_left"].mend.startswith("nrmbus run auditor destroys")


async def test_p6_her_replaced_key_is_destroyed_and_her_users_sign_in_with_the_same_app(
    hers: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given keys that were rotated while her auditor runs, when the old key's time is over, then the apps of her users are handed over, and the key is destroyed."""
    home, secret, operator = hers.service(AUDITOR), pyotp.random_base32(), Operator(tmp_path / "operator")
    directory = Directory(hers.settings.bus, VerifyKey(operator.public))
    old = Identity.at(home, AUDITOR)
    users, apps = Users(home), Apps(home)
    users.add("leyla", "a long example password")
    assert apps.set_up("leyla", users.password_of("leyla") or "", secret, 0)
    directory.add(operator.entry(directory, old, AUDITOR, NOW, log=LogIdentity.at(home)))
    new = old.succeeded(home)
    directory.add(operator.entry(directory, new, AUDITOR, NOW + timedelta(days=80), log=LogIdentity.at(home)))
    later = NOW + timedelta(days=120)

    read = SimpleNamespace(catch_up=lambda: asyncio.sleep(0))
    monkeypatch.setattr("nrmbus.auditor.app.DirectoryReader", lambda *_, **__: read)
    auditor = Auditor(hers)
    monkeypatch.setattr(auditor, "_directory", directory)
    monkeypatch.setattr(auditor, "_clock", SimpleNamespace(now=lambda: later))
    await auditor._destroy_replaced()

    assert set(Identity.at(home, AUDITOR).opening) == {new.sealing.kid}
    assert apps.is_code("leyla", pyotp.TOTP(secret).at(later), later)


def test_her_machine_is_never_sent_to_a_command_of_the_operator(hers: BusFolder) -> None:
    """Given a joined machine, when its auditor has not started, or a command names another agency, then no answer names nrmbus up."""
    page = run("auditor", "page", "--data", hers.path)
    inbox = run("inbox", "ngo-x", "--data", hers.path)

    assert "The auditor has not started yet: nrmbus run auditor" in page.stderr
    assert "has no such agency; it has none." in inbox.stderr
    assert "nrmbus up" not in page.stderr + inbox.stderr


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
