"""A log on disk: the same leaves give the same files, and no moment of a kill or a failure of power spoils them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.given import Disk, Home, Killed, fed, history, refused
from nrmbus.auditor.log import tiles
from nrmbus.auditor.log.tree import StoredTree
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint

MANY = 600
REGISTRATIONS = history(MANY)


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A log of many registrations, which nobody changes."""
    home = Home(tmp_path_factory.mktemp("whole"))
    with home.log() as log:
        fed(log, REGISTRATIONS)
    return home


def test_the_files_are_those_of_the_text(whole: Home) -> None:
    """All tiles of the size, the head, and nothing else."""
    wanted = {tile.path for tile in (*tiles.full_tiles(MANY), *tiles.partial_tiles(MANY))}

    assert set(whole.files()) == wanted | {"head"}
    assert Checkpoint.parse(whole.files()["head"]).size == MANY
    assert whole.files()["tile/0/001"] == b"".join(each.leaf() for each in REGISTRATIONS[256:512])


@pytest.mark.thorough
@pytest.mark.parametrize("commit_every", [5, 255, 256, 257, 600])
def test_the_files_are_a_function_of_the_leaves(home: Home, whole: Home, commit_every: int) -> None:
    """However often it was committed, and opened in between."""
    for until in (100, 256, MANY):
        with home.log() as log:
            fed(log, REGISTRATIONS[:until], commit_every)

    assert home.files() == whole.files()


def test_a_deleted_log_is_made_again_byte_for_byte(home: Home) -> None:
    """From the registrations alone."""
    with home.log() as log:
        fed(log, REGISTRATIONS)
    before = home.files()
    shutil.rmtree(home.folder / "log")
    with home.log() as log:
        assert log.size == 0
        fed(log, REGISTRATIONS)

    assert home.files() == before


def test_an_uncommitted_leaf_is_not_on_disk(home: Home, whole: Home) -> None:
    """Between two commits nothing on disk changes; the log goes on where it was committed."""
    with home.log() as log:
        fed(log, REGISTRATIONS[:300])
        before = home.files()
        for registration in REGISTRATIONS[300:550]:
            log.append(registration)
        assert home.files() == before
    with home.log() as log:
        assert (log.size, log.head.size) == (300, 300)
        fed(log, REGISTRATIONS)

    assert home.files() == whole.files()


BEGIN, MIDDLE = 250, 530
"""From a partial tile over two full ones to a partial one: a commit with every kind of step."""


@pytest.mark.thorough
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power fails"])
def test_no_moment_of_a_commit_spoils_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Home, *, power: bool
) -> None:
    """Cut off after each step, a restart finds the commit before or after, and goes on to the same files."""
    start = Home(tmp_path)
    with start.log("start") as log:
        fed(log, REGISTRATIONS[:BEGIN])
    found = set()
    for steps in range(1000):
        folder = start.folder / f"after-{steps}"
        shutil.copytree(start.folder / "start", folder)
        disk = Disk(left=steps)
        killed = False
        with start.log(folder.name) as log, monkeypatch.context() as patch:
            disk.install(patch)
            try:
                for registration in REGISTRATIONS[BEGIN:MIDDLE]:
                    log.append(registration)
                log.commit()
            except Killed:
                killed = True
        if power:
            disk.fail()
        with start.log(folder.name) as log:
            assert log.set_aside is None
            assert log.size in {BEGIN, MIDDLE}
            log.check()
            found.add(log.size)
            fed(log, REGISTRATIONS)
        assert start.files(folder.name) == whole.files()
        if not killed:
            break
    else:
        raise AssertionError("a commit takes fewer steps")

    assert found == {BEGIN, MIDDLE}
    assert disk.steps > 20


def test_a_file_that_is_not_synced_before_it_is_named_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: without syncing, a failure of power leaves a log that is not what was committed."""
    with home.log() as log, monkeypatch.context() as patch:
        disk = Disk(left=1000)
        disk.install(patch)
        patch.setattr(os, "fsync", lambda descriptor: None)
        fed(log, REGISTRATIONS[:MIDDLE])
    disk.fail()

    with home.log() as log:
        assert log.size != MIDDLE


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["removed", "cut", "altered"])
def test_a_damaged_log_is_put_aside_and_made_again(tmp_path: Path, whole: Home, how: str) -> None:
    """Whichever file of it is missing, cut or altered: what is found is consistent, and ends as the same files.

    An altered full tile or bundle is found when it is read or checked, since opening does not read them all.
    """
    put_aside = 0
    for path, raw in whole.files().items():
        home = Home(tmp_path)
        shutil.rmtree(home.folder / "log", ignore_errors=True)
        shutil.copytree(whole.folder / "log", home.folder / "log")
        file = home.folder / "log" / path
        if how == "removed":
            file.unlink()
        else:
            file.write_bytes(raw[:-1] if how == "cut" else raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:])
        with home.log() as log:
            if log.set_aside is None:
                assert how != "removed"
                assert refused("state_damaged", log.check).path is not None
                continue
            put_aside += 1
            assert log.size == 0
            assert (home.folder / "log" / log.set_aside).is_dir()
            fed(log, REGISTRATIONS)
            log.check()
        shutil.rmtree(home.folder / "log" / "damaged-1")
        assert home.files() == whole.files()

    assert put_aside >= 4


def test_an_altered_tile_or_entry_is_named(whole: Home, tmp_path: Path) -> None:
    """Checking names the file; an entry is held against its hash before anybody gets it."""
    home = Home(tmp_path)
    shutil.copytree(whole.folder / "log", home.folder / "log")
    with home.log() as log:
        log.check()
        for path in ("tile/0/001", "tile/entries/001", "tile/1/000.p/2", "tile/0/002.p/88", "head"):
            file = home.folder / "log" / path
            raw = file.read_bytes()
            file.write_bytes(raw[:100] + bytes([raw[-1] ^ 1]) + raw[101:] if len(raw) > 101 else raw[:-2])
            error = refused("state_damaged", log.check)
            assert error.path is not None
            assert error.path in {path, "tile/0/001"}
            file.write_bytes(raw)
        log.check()
        entries = home.folder / "log" / "tile/entries/001"
        entries.write_bytes(entries.read_bytes().replace(b"ngo-a", b"ngo-b"))
        assert log.registration(256) == REGISTRATIONS[255].json()
        assert refused("state_damaged", log.registration, 257).path == "tile/entries/001"


def test_a_log_has_one_owner(home: Home) -> None:
    """A second process, or the same twice, is told; the folder of another log is not taken for this one's."""
    with home.log() as log:
        fed(log, REGISTRATIONS[:5])
        refused("folder_busy", StoredTree, home.folder / "log", log.origin)
    refused("foreign", StoredTree, home.folder / "log", "nrmbus/0011223344556677/p3")
    with home.log() as log:
        assert log.size == 5


def test_an_entry_has_a_limit(tmp_path: Path) -> None:
    """An entry's length has two bytes; a larger entry is refused with its number, and changes nothing."""
    tree = StoredTree(tmp_path / "x", "x")
    tree.append(bytes(65_535))
    error = refused("leaf_too_large", tree.append, bytes(65_536))
    tree.commit()

    assert error.number == 2
    assert tree.head.root == merkle.leaf_hash(bytes(65_535))
    tree.close()


CHILD = """
import sys
from pathlib import Path
from auditor.given import Home, fed, history
home = Home(Path(sys.argv[1]))
with home.log() as log:
    print("ready", flush=True)
    fed(log, history(600), 3)
"""


@pytest.mark.thorough
def test_a_process_that_is_killed_leaves_what_it_committed(home: Home, whole: Home) -> None:
    """A real SIGKILL at some moment, five times: each time it goes on, at last to the same files."""
    search = os.pathsep.join(path for path in sys.path if path)
    reached = [0]
    for after in (1, 2, 3, 4, 5):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(home.folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": search},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        head = home.folder / "log" / "head"
        while Checkpoint.parse(head.read_bytes()).size < reached[-1] + 11 * after:
            assert child.poll() is None
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        with home.log() as log:
            assert log.set_aside is None
            log.check()
            reached.append(log.size)

    assert reached == sorted(set(reached))
    assert reached[-1] < MANY
    with home.log() as log:
        fed(log, REGISTRATIONS)
    assert home.files() == whole.files()
