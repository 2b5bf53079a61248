"""A service's process: quick to start, ended with its supervisor, and silent about its data."""

import importlib
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

import nrmbus
from nrmbus.bus import standby
from nrmbus.bus.errors import FolderHeld, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.host import services
from nrmbus.host.open_files import make_room
from nrmbus.host.spawn import Fresh, Spawner, Started, Warm, spawner
from nrmbus.wire.keys import keyfile
from patience import busy, lives, until

TESTS = Path(__file__).parents[1]
SERVICES = Path(nrmbus.__file__).parents[1]
RESTART_SECONDS = 1.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BusFolder:
    """Return a bus; every Python started from here on knows the test's services."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import host.sleeper\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(TESTS), str(SERVICES))))
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    return folder


@pytest.fixture(params=[Warm, Fresh])
def way(request: pytest.FixtureRequest, folder: BusFolder) -> Iterator[Spawner]:
    """Yield each of the two spawners, and close it at the end."""
    del folder  # first, for its environment settings
    spawner: Spawner = request.param() if request.param is Fresh else Warm([])
    yield spawner
    spawner.close()


class Begin:
    """Starts the sleeping service, and lets go of what it started at the end of the test."""

    def __init__(self, folder: BusFolder) -> None:
        self._folder = folder
        self._begun: list[Started] = []

    def __call__(self, way: Spawner, name: str = "sleeper") -> Started:
        """Start *name*; the sleeper runs when this returns."""
        (self._folder.run / "sleeper").unlink(missing_ok=True)
        begun = way.spawn(name, self._folder.path)
        self._begun.append(begun)
        if name == "sleeper":
            until("the service runs", (self._folder.run / "sleeper").exists)
        return begun

    def let_go(self) -> None:
        """Close all lifelines, which ends the running services."""
        for each in self._begun:
            each.lifeline.close()


@pytest.fixture
def begin(folder: BusFolder) -> Iterator[Begin]:
    """Yield a function that starts services."""
    begun = Begin(folder)
    yield begun
    begun.let_go()


def has_ended(lifeline: Started) -> bool:
    """Return whether the lifeline is closed."""
    lifeline.lifeline.setblocking(False)  # noqa: FBT003 - its one argument
    try:
        return lifeline.lifeline.recv(1) == b""
    except BlockingIOError:
        return False


@pytest.mark.thorough
def test_a_service_runs_until_a_signal_ends_it(way: Spawner, folder: BusFolder, begin: Begin) -> None:
    """The service has the reported pid, one thread beside the watchers of lifeline and profiles, and its own process group."""
    service = begin(way)

    pid, threads, group = (folder.run / "sleeper").read_text().split()
    assert (int(pid), int(threads), int(group)) == (service.pid, 3, service.pid)
    assert not has_ended(service)
    os.kill(service.pid, signal.SIGTERM)
    until("its lifeline says so", lambda: has_ended(service))
    until("it is gone", lambda: not lives(service.pid))


@pytest.mark.thorough
def test_a_service_has_room_for_more_open_files_than_its_door_takes(folder: BusFolder, begin: Begin) -> None:
    """Given the limit with which macOS starts a process, 256, then a service has 1,024: strangers at its door fill fewer."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    way = Fresh()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        begin(way)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        begin.let_go()
        way.close()

    assert (folder.run / "open_files").read_text() == "1024"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((256, resource.RLIM_INFINITY), 1024),
        ((256, 512), 512),
        ((4096, 8192), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
    ids=["macOS", "the administrator allows fewer", "more already", "no limit"],
)
def test_the_limit_of_open_files_is_never_lowered(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: int | None
) -> None:
    """Given the limits of a system, then a process asks for 1,024, or for what it may have, and keeps a higher limit."""
    asked = list[tuple[int, int]]()
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    make_room()

    assert asked == ([] if after is None else [(after, before[1])])


@pytest.mark.thorough
def test_a_command_has_room_for_open_files_too(folder: BusFolder) -> None:
    """Given a process that macOS gave 256 open files, when it is a command, as `nrmbus run` is, then it has 1,024."""
    script = """
        import contextlib, resource, sys
        from nrmbus import cli
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        sys.argv = ["nrmbus", "--help"]
        with contextlib.suppress(SystemExit):
            cli.main()
        print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "1024"


@pytest.mark.thorough
def test_a_killed_service_is_seen_at_once(way: Spawner, folder: BusFolder, begin: Begin) -> None:
    """The lifeline ends with the process, however it ends."""
    service = begin(way)
    os.kill(service.pid, signal.SIGKILL)

    until("its lifeline says so", lambda: has_ended(service))


@pytest.mark.thorough
def test_a_service_ends_with_its_lifeline(way: Spawner, folder: BusFolder, begin: Begin) -> None:
    """A closed lifeline means that the supervisor is gone."""
    service = begin(way)
    service.lifeline.close()

    until("it is gone", lambda: not lives(service.pid))


@pytest.mark.thorough
def test_a_service_gets_the_passphrase_where_nobody_else_sees_it(way: Spawner, folder: BusFolder, begin: Begin) -> None:
    """The passphrase is not in the service's arguments or environment, nor in any file of the bus."""
    keyfile.hold(keyfile.Passphrase(b"CANARY wrong horse"))
    try:
        service = begin(way)
    finally:
        keyfile.hold(None)

    assert (folder.run / "told").read_bytes() == b"CANARY wrong horse"
    (folder.run / "told").unlink()
    seen = [Path(f"/proc/{service.pid}/{name}") for name in ("cmdline", "environ")] if sys.platform == "linux" else []
    seen += [path for path in folder.path.rglob("*") if path.is_file()]
    assert all(b"CANARY" not in path.read_bytes() for path in seen)
    assert not any("CANARY" in value for value in os.environ.values())


@pytest.mark.thorough
def test_no_service_holds_anothers_lifeline(way: Spawner, folder: BusFolder, begin: Begin) -> None:
    """Otherwise the first would live as long as the second."""
    first, second = begin(way), begin(way)
    first.lifeline.close()

    until("the first is gone", lambda: not lives(first.pid))
    assert lives(second.pid)
    second.lifeline.close()
    until("the second is gone", lambda: not lives(second.pid))


@pytest.mark.thorough
def test_the_log_of_a_failed_service_has_no_content(way: Spawner, folder: BusFolder, begin: Begin) -> None:
    """The log has kind and place of the error, and not its message, which may name a person."""
    service = begin(way, "raiser")
    until("it has ended", lambda: has_ended(service))

    log = folder.logs / "raiser.log"
    assert "ValueError" in log.read_text()
    assert "raiser.py" in log.read_text()
    assert "CANARY" not in log.read_text().replace('raise ValueError("CANARY-Alina Example", folder)', "")
    assert log.stat().st_mode & 0o077 == 0


def test_an_unknown_service_gets_the_list_of_services(folder: BusFolder) -> None:
    """The log has a sentence with the known services."""
    with pytest.raises(NoBus, match=r"has no such service; it has registrar, timekeeper, auditor"):
        services.run_service("registrer", folder)


@pytest.mark.thorough
def test_a_restart_costs_less_than_a_second(begin: Begin) -> None:
    """A restart takes little processor time: the service is forked from a process that has imported everything already."""
    way = Warm(["faststream.kafka", "fastapi", "sqlalchemy.dialects.sqlite", "cryptography.x509"])
    try:
        first = begin(way)
        os.kill(first.pid, signal.SIGKILL)
        until("it is gone", lambda: has_ended(first))

        assert busy(begin(way).pid) < RESTART_SECONDS
    finally:
        begin.let_go()
        way.close()


@pytest.mark.thorough
def test_a_warm_process_that_was_killed_is_replaced(begin: Begin) -> None:
    """Its forked services go on; the next service is forked from another process."""
    way = Warm([])
    try:
        first = begin(way)
        assert way.pid
        os.kill(way.pid, signal.SIGKILL)
        second = begin(way)

        assert lives(first.pid)
        assert lives(second.pid)
    finally:
        begin.let_go()
        way.close()


def test_a_process_loads_no_library_before_its_service() -> None:
    """Kafka's client and the models come with the module of the service, and a process without one waits for neither."""
    program = "import sys, nrmbus.host.process; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"aiokafka", "pydantic", "structlog", "nrmbus.directory"} & set(loaded)


@pytest.mark.thorough
def test_a_process_with_threads_never_forks(begin: Begin) -> None:
    """A fork would copy the locks and not the threads that open them: the services start as new processes instead."""
    way = Warm(["host.threaded"])
    try:
        service = begin(way)
        assert lives(service.pid)
        assert way.pid is None
    finally:
        begin.let_go()
        way.close()


def test_kill_9_of_the_supervisor_leaves_no_service(folder: BusFolder) -> None:
    """The warm process and its forked services end too."""
    parent = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from nrmbus.host.spawn import Warm
        way = Warm([])
        service = way.spawn("sleeper", Path(sys.argv[1]))
        print(way.pid, service.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", parent, str(folder.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        pids = [int(each) for each in process.stdout.readline().split()]
        assert all(map(lives, pids))
        process.send_signal(signal.SIGKILL)

    until("both are gone", lambda: not any(map(lives, pids)))


def test_forking_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument or the environment forbids forking."""
    with_argument = spawner(fork=False)
    monkeypatch.setenv("NRMBUS_FORK", "0")
    by_environment = spawner()

    assert isinstance(with_argument, Fresh)
    assert isinstance(by_environment, Fresh)


@pytest.mark.parametrize("service", ["ngo-a", "timekeeper"])
def test_one_ledger_has_one_process(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second desk, run by hand, would take the first one's place at the broker and its door, and both would end."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    write_json(folder.agency("ngo-a").agency_json, {"agency": "ngo-a", "role": "ngo_outreach"})
    began: list[object] = []
    monkeypatch.setattr(standby, "working", lambda *_: nullcontext())
    monkeypatch.setattr(importlib, "import_module", lambda _: SimpleNamespace(main=lambda *of, **_: began.append(of)))

    with folder.alone(service), pytest.raises(FolderHeld, match=rf"ledger of {service} .* is held by process \d+"):
        services.run_service(service, BusFolder(folder.path))
    assert began == []
    services.run_service(service, folder)
    assert len(began) == 1
