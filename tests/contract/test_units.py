"""The units for systemd: systemd itself reads them, and what they start and protect is what the code has."""

import re
import shutil
import socket
import subprocess
from configparser import ConfigParser
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from contract.tree import ROOT
from intake.public_page import made, running
from nrmbus.bus.embedded.jars import jar_home
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.http_server import ENDS_SECONDS
from nrmbus.bus.kafka.lease import HELD
from nrmbus.cli import health
from nrmbus.cli.app import COMMANDS
from nrmbus.cli.operate import foreground, up
from nrmbus.directory.standby import SERVED
from nrmbus.intake import store as intake
from nrmbus.registrar.owner import EXIT_CODE
from nrmbus.wire.keys import keyfile
from patience import PATIENCE

DATA = Path("/var/lib/nrmbus")
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
PUBLIC = ROOT / "deploy" / "systemd" / "nrmbus-public@.service"
MOST_EXPOSED = 2.0
"""Of ten: what systemd calls the exposure of a service that has no right it does not need."""


def service(unit: Path) -> dict[str, str]:
    """Return the settings of the unit's service; a setting that stands twice has its last value."""
    parsed = ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals
    parsed.read_string(unit.read_text(encoding="utf-8"))
    return dict(parsed["Service"])


def test_there_is_one_for_each_kind_of_machine() -> None:
    """An operator's machine runs a whole bus, an agency's machine a desk and a public page, and a timer backs up either."""
    names = ["nrmbus-backup.service", "nrmbus-desk@.service", "nrmbus-public@.service", "nrmbus.service"]
    assert [each.name for each in UNITS] == names


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_starts_a_command_that_there_is(unit: Path) -> None:
    """Given the unit, then it starts a command of nrmbus on the folder that systemd makes for it, with the key file as a credential."""
    found = service(unit)
    command = found["ExecStart"].split()

    assert command[1] in COMMANDS
    assert command[-2:] == ["--data", str(DATA)]
    text = unit.read_text(encoding="utf-8")
    if unit == PUBLIC:  # strangers talk to it: it is given no key
        assert {"LoadCredential", "EnvironmentFile"}.isdisjoint(found)
        assert keyfile.SETTING not in text
    else:
        assert found["StateDirectory"] == DATA.name
        name = found["LoadCredential"].partition(":")[0]
        assert f"Environment={keyfile.SETTING}=%d/{name}" in text
    assert float(found["TimeoutStopSec"].removesuffix("s")) > 2 * ENDS_SECONDS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_lets_a_process_forbid_core_files_that_go_to_a_program(unit: Path) -> None:
    """Given a machine whose core files go to a program, then the limit is 1: Linux hands the file over at 0, and a process may not raise a limit."""
    assert service(unit)["LimitCORE"] == "1"


def test_an_upgrade_restarts_each_unit_that_runs() -> None:
    """Given the step of the page that starts the new release, then it names the units of desk and public page, and of each service that stands by."""
    page = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    step = page.partition("\n## Upgrading\n")[2].partition("\n3. ")[2].partition("\n")[0]

    for name in ("nrmbus-desk@AGENCY", "nrmbus-public@AGENCY", *(f"nrmbus-desk@{each}" for each in SERVED)):
        assert name in step


def paths(name: str) -> set[Path]:
    """Return the paths that the setting *name* of the unit of a public page names, as in the unit of the agency ``hotline``."""
    lines = re.findall(rf"^{name}=(.+)$", PUBLIC.read_text(encoding="utf-8"), re.MULTILINE)
    return {Path(each.lstrip("-").replace("%i", "hotline")) for line in lines for each in line.split()}


def seen_by_the_public_page() -> set[Path]:
    """Return the paths of the data folder that the process of the public page of ``hotline`` has, as the unit lists them."""
    made = {DATA.parent / path for path in paths("StateDirectory")}
    return made | {path for path in paths("Bind(?:ReadOnly)?Paths") if path.is_relative_to(DATA)}


def test_the_public_page_sees_nothing_of_the_data_folder_but_its_own() -> None:
    """The folder is hidden as a whole, so that no file is seen that is made, or renamed over another, after the page's start."""
    folder = BusFolder(DATA)
    own = folder.agency("hotline")

    assert "/var/lib/nrmbus:ro" in service(PUBLIC)["TemporaryFileSystem"].split()
    assert seen_by_the_public_page() == {
        folder.run, folder.profiles, DATA / "bus.json", own.agency_json, own.path / intake.FOLDER,
    }  # fmt: skip
    assert {Path("/etc/nrmbus"), Path("/var/backups")} <= paths("InaccessiblePaths")
    assert service(PUBLIC)["PrivateUsers"] == "yes", "else /proc/PID/root of the desk leads to all of it"


@pytest.mark.thorough
def test_the_public_page_needs_nothing_else_of_the_data_folder(tmp_path: Path) -> None:
    """Given a folder with those paths alone, when the page starts, then it answers, and has made nothing beside them."""
    whole, there = made(tmp_path / "whole"), BusFolder(tmp_path / "there")
    listed = [path.relative_to(DATA) for path in seen_by_the_public_page()]
    for path in listed:
        source, target = whole.path / path, there.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copy(source, target)
        elif source.is_dir():
            shutil.copytree(source, target)
    with running(there) as (_, url):
        assert httpx.get(f"{url}/en/", trust_env=False, timeout=PATIENCE).status_code == 200
    found = {path.relative_to(there.path) for path in there.path.rglob("*") if path.is_file()}

    assert [path for path in found if not any(path.is_relative_to(each) for each in listed)] == []


@pytest.mark.parametrize(
    "unit",
    [each for each in UNITS if each.name in {"nrmbus.service", "nrmbus-desk@.service"}],
    ids=lambda unit: unit.name,
)
def test_a_service_with_metrics_can_count_its_own_start(unit: Path) -> None:
    """An alert counts how often a service starts, by a time that is reckoned from /proc/stat: ``ProcSubset=pid`` would hide it."""
    assert service(unit).get("ProcSubset", "all") == "all"


def verdict(unit: Path, tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Return what systemd-analyze says of a copy of *unit* whose program and account exist here."""
    text = unit.read_text(encoding="utf-8").replace("/opt/nrmbus/bin/nrmbus", "/bin/true")
    copy = tmp_path / unit.name.replace("@.", "@ngo-b.")
    copy.write_text(re.sub(r"^(User|Group)=.*", r"\1=daemon", text, flags=re.MULTILINE))
    return subprocess.run(["systemd-analyze", *command, str(copy)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SERVED)
def test_a_standby_host_runs_each_service_by_the_unit_of_a_desk(name: str) -> None:
    """Given a standby host, then the unit of a desk runs each service that stands by: they share the folder, and start again when they leave."""
    (unit,) = (each for each in UNITS if each.name == "nrmbus-desk@.service")
    found = service(unit)

    assert found["ExecStart"].replace("%i", name).split()[1:] == ["run", name, "--data", "/var/lib/nrmbus"]
    assert (found["Restart"], str(EXIT_CODE) in found["RestartPreventExitStatus"].split()) == ("always", False)


def test_each_of_two_machines_with_one_ledger_stands_by_for_the_other(tmp_path: Path) -> None:
    """Given a ledger on a server and the lines of the page on both machines, then the one that returns stands by, and no exit status keeps its unit off."""
    page = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    lines = page.partition("**A second machine.**")[2].partition("```\n")[2].partition("```")[0]
    (unit,) = (each for each in UNITS if each.name == "nrmbus-desk@.service")
    alone, edited = service(unit), tmp_path / unit.name
    edited.write_text(f"{unit.read_text(encoding='utf-8')}\n{lines}", encoding="utf-8")
    found = service(edited)

    assert found["ExecStart"] == alone["ExecStart"].replace(" --data", " --standby --data")
    assert "\nExecStart=\n" in lines, "systemd refuses a second command beside the first"
    assert (found["Restart"], found["RestartPreventExitStatus"]) == ("always", "")
    assert str(HELD) in alone["RestartPreventExitStatus"].split(), "with a ledger each, a person decides"


def test_a_command_by_hand_finds_the_kafka_that_the_unit_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the account of the units, whose home is the data folder, when a person gives a command as a page says, then it looks where the unit keeps Kafka."""
    (unit,) = (each for each in UNITS if each.name == "nrmbus.service")
    (cache,) = re.findall(r"^Environment=XDG_CACHE_HOME=(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    pages = [unit, *(ROOT / "deploy" / name for name in ("README.md", "RUNBOOK.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    commands = re.findall(r"sudo -u nrmbus .*?/bin/nrmbus \S+", text)
    monkeypatch.setenv("HOME", str(DATA))
    monkeypatch.setenv("XDG_CACHE_HOME", cache)

    assert jar_home().is_relative_to(cache)
    assert [each for each in commands if f" XDG_CACHE_HOME={cache} " not in each] == []
    assert {"up", "status", "restore"} <= {each.rpartition(" ")[2] for each in commands}


@pytest.mark.oracle
@pytest.mark.parametrize("unit", UNITS if shutil.which("systemd-analyze") else [], ids=lambda unit: unit.name)
class TestSystemd:
    """What systemd says of each unit, without running it. Where there is no systemd, pytest says that no unit was looked at."""

    def test_it_knows_every_setting(self, unit: Path, tmp_path: Path) -> None:
        """Given the unit, when systemd verifies it, then there is no word about it; a misspelt setting is named."""
        said = verdict(unit, tmp_path, "verify", "--man=no")
        assert (said.returncode, said.stderr) == (0, "")
        broken = tmp_path / unit.name
        broken.write_text(unit.read_text(encoding="utf-8").replace("NoNewPrivileges=", "NoNewPrivilege="))

        assert "NoNewPrivilege" in verdict(broken, tmp_path, "verify", "--man=no").stderr

    def test_it_exposes_little(self, unit: Path, tmp_path: Path) -> None:
        """Given the unit, when systemd rates what the service could do, then it is among the best."""
        said = verdict(unit, tmp_path, "security", "--offline=true", "--no-pager").stdout
        rating = re.search(r"exposure level for .*: ([0-9.]+)", said)

        assert rating is not None, said
        assert float(rating[1]) <= MOST_EXPOSED


class TestReadiness:
    """systemd hears from `nrmbus up` when the bus's own services are ready, and ends no start that takes long."""

    def test_it_waits_for_no_desk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a desk that stands still until a person has looked, when the bus's own services are ready, then systemd hears so, and `nrmbus up` goes on naming the desk."""
        still = {"ngo-a": "It stands still."}
        states = iter([{"registrar.2": "It does not answer.", **still}, still, still])

        def looked(_folder: BusFolder) -> dict[str, str]:
            if (state := next(states, None)) is None:
                raise foreground.Ended
            return state

        BusFolder(tmp_path / "bus").create(play=True)
        monkeypatch.setattr(up, "Supervisor", lambda *_, **__: nullcontext())
        monkeypatch.setattr(foreground, "NAMED_SECONDS", 0.0)
        monkeypatch.setattr(foreground, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(health, "not_ready", looked)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(0)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            done = CliRunner().invoke(up.app, ["--data", str(tmp_path / "bus")])

            assert done.exception is None, done.output
            assert manager.recv(64) == b"READY=1"
            with pytest.raises(BlockingIOError):
                manager.recv(64)
        assert "Not ready yet: ngo-a: It stands still." in done.output
        assert "is up: folder" not in done.output

    def test_a_start_that_takes_long_is_not_ended(self) -> None:
        """Given a cluster that is away or a slow line, then systemd waits: `Restart=always` would end and start the whole bus again and again."""
        assert service(ROOT / "deploy" / "systemd" / "nrmbus.service")["TimeoutStartSec"] == "infinity"

    def test_it_is_told_once_the_bus_is_ready(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a socket of systemd, when the bus's own services are ready, then one message says so."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(10)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            up.tell_service_manager()

            assert manager.recv(64) == b"READY=1"

    @pytest.mark.parametrize("where", ["", "/nowhere/notify"])
    def test_nobody_needs_to_listen(self, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        """Given a terminal, or a manager that has gone, then the bus goes on."""
        monkeypatch.setenv("NOTIFY_SOCKET", where)
        up.tell_service_manager()
