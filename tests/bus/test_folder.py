"""A bus's folder: made once, held by one, private."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nrmbus.bus.errors import BusError, FolderHeld, NoBus
from nrmbus.bus.folder import BusFolder, cache_home, data_home
from nrmbus.bus.private_files import write_private

HOLDER = """
import sys, time
from pathlib import Path
from nrmbus.bus.folder import BusFolder
with BusFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_bus_is_made_once_and_for_ever(tmp_path: Path) -> None:
    """Records are placed and signed by what was decided then; asking again changes nothing."""
    folder = BusFolder(tmp_path / "bus")
    made = folder.create(partitions=3)

    assert folder.create() == folder.create(partitions=3) == folder.settings == made
    assert len(made.bus) == 16
    assert int(made.bus, 16) >= 0


@pytest.mark.parametrize("other", [{"partitions": 3}, {"play": True}, {"policy": "az@2019-01-01"}, {"brokers": 3}])
def test_settings_of_a_bus_cannot_change(tmp_path: Path, other: dict[str, int | bool | str]) -> None:
    """Another number of partitions would lose the order of every case: refused, with what to do."""
    folder = BusFolder(tmp_path)
    made = folder.create()

    with pytest.raises(NoBus, match=r"which cannot change: .* --data DIR"):
        folder.create(**other)  # type: ignore[arg-type]  # one of three keywords, each with its type
    assert folder.settings == made


def test_only_a_bus_for_playing_is_marked_by_its_id(tmp_path: Path) -> None:
    """Only such a bus has a movable clock, and the bus's id shows so in every record."""
    assert BusFolder(tmp_path / "a").create(play=True).bus.startswith("play-")
    assert not BusFolder(tmp_path / "b").create().bus.startswith("play-")


def test_a_folder_without_a_bus_says_how_to_make_one(tmp_path: Path) -> None:
    """The sentence ends with the command that mends it."""
    with pytest.raises(NoBus, match="nrmbus up --data"):
        _ = BusFolder(tmp_path).settings


def test_a_service_started_alone_is_seen_as_long_as_it_runs(tmp_path: Path) -> None:
    """An agency has one desk; a service with standbys has one or more processes. A killed process does not count as running."""
    folder, other = BusFolder(tmp_path), BusFolder(tmp_path)
    assert folder.running == ()
    with folder.alone("ngo-a"), folder.among("registrar"):
        with other.among("registrar"):
            assert other.running == ("ngo-a", "registrar")
        assert other.running == ("ngo-a", "registrar")
        assert other.runs("ngo-a")
        with pytest.raises(FolderHeld, match=str(os.getpid())), other.alone("ngo-a"):
            pass
    assert folder.running == ()


def test_nothing_starts_in_an_idle_folder(tmp_path: Path) -> None:
    """Given a folder that a process keeps idle, when the bus or a service starts there, then it is refused with that process, until the end.

    Nobody is told to kill that process: it may have replaced half of the files.
    """
    folder, other = BusFolder(tmp_path), BusFolder(tmp_path)
    with folder.idle():
        for start in (other.held, lambda: other.alone("ngo-a"), lambda: other.among("canary")):
            with (
                pytest.raises(FolderHeld, match=rf"by process {os.getpid()} since \S+: wait until") as refused,
                start(),
            ):
                pass
            assert "kill" not in str(refused.value)
    with other.held(), other.alone("ngo-a"), other.among("canary"):
        pass


@pytest.mark.parametrize("name", ["ngo-a", "public.ngo-a", "canary", "registrar.2"])
def test_a_folder_in_which_a_service_runs_is_not_idle(tmp_path: Path, name: str) -> None:
    """Given a service that was started alone, when a process asks for the idle folder, then it is refused, and the service is named."""
    folder, other = BusFolder(tmp_path), BusFolder(tmp_path)
    with folder.among(name), pytest.raises(FolderHeld, match=f"runs {name}: end that first"), other.idle():
        pass


def test_a_bus_that_does_not_run_says_how_to_start_it(tmp_path: Path) -> None:
    """Also where a killed holder left its broker's address behind."""
    folder = BusFolder(tmp_path)
    folder.create()
    write_private(folder.run / "broker.json", b'{"bootstrap": "127.0.0.1:1"}')

    with pytest.raises(NoBus, match="is not running: nrmbus up --data"):
        _ = folder.bootstrap
    with folder.held():
        assert BusFolder(tmp_path).bootstrap == "127.0.0.1:1"


def test_a_second_instance_is_refused_with_the_holder(tmp_path: Path) -> None:
    """The sentence names the process, its start time and how to end the process."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()

        with pytest.raises(FolderHeld, match=rf"process {holder.pid} since 20\d\d-.*Z: end it with kill {holder.pid}"):
            BusFolder(tmp_path).held().__enter__()
        holder.kill()


def test_the_folder_of_a_killed_holder_is_free(tmp_path: Path) -> None:
    """kill -9 leaves no lock behind that somebody must remove."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    with BusFolder(tmp_path).held():
        assert BusFolder(tmp_path).is_held
    assert not BusFolder(tmp_path).is_held


def test_the_holder_of_the_folder_may_hold_it_again(tmp_path: Path) -> None:
    """The supervisor and the broker that it starts share one object and one lock."""
    folder = BusFolder(tmp_path)
    with folder.held():
        with folder.held():
            pass
        assert folder.is_held


def test_files_and_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    """Whatever the umask says: keys and ledgers lie here."""
    before = os.umask(0)
    try:
        folder = BusFolder(tmp_path / "bus")
        folder.create()
        write_private(folder.keys / "operator.seed", b"seed")
        with folder.held():
            pass
    finally:
        os.umask(before)

    for path in [folder.path, *folder.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_an_agency_is_there_when_its_file_is(tmp_path: Path) -> None:
    """A folder with keys alone is not one yet: its desk is started when ``agency.json`` appears."""
    folder = BusFolder(tmp_path)
    assert folder.agencies() == ()
    for name in ("shelter", "police", "half-made"):
        write_private(folder.agency(name).keys / "signing.seed", b"seed")
    for name in ("shelter", "police"):
        write_private(folder.agency(name).agency_json, b"{}")

    assert folder.agencies() == ("police", "shelter")
    assert folder.agency("police").id == "police"


@pytest.mark.parametrize("name", ["../../etc", "/etc", "ngo-a\n", "NGO-A", "ngo a", ".", "", "a"])
def test_nobodys_keys_lie_anywhere_else(name: str, tmp_path: Path) -> None:
    """A string that is not an agency's id is refused as a folder's name, and not repeated."""
    with pytest.raises(BusError, match="no agency's id") as refused:
        BusFolder(tmp_path).agency(name)
    assert "etc" not in str(refused.value)


def test_other_folders_among_agencies_are_no_agencies(tmp_path: Path) -> None:
    """A copy that somebody made, or what a file manager leaves."""
    for name in ("police", "police (copy)", ".DS_Store"):
        write_private(tmp_path / "agencies" / name / "agency.json", b"{}")
    assert BusFolder(tmp_path).agencies() == ("police",)


def test_folders_follow_the_xdg_base_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and cache lie where the person's other programs put theirs."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert BusFolder.named("local").path == tmp_path / "data" / "nrmbus" / "local" == data_home() / "local"
    assert cache_home() == tmp_path / "cache" / "nrmbus"
