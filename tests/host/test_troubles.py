"""A supervisor that meets trouble of its own goes on: nobody else starts a service of the machine again."""

import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nrmbus.bus.errors import KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.cli import health
from nrmbus.host import supervisor as supervisor_module
from nrmbus.host.service_state import LONGEST_PAUSE_SECONDS, Running
from nrmbus.host.spawn import Started
from nrmbus.host.supervisor import Supervisor
from patience import until

FAR = 1e12
"""A time of the monotonic clock that does not come."""
NOBODY = 2**22 + 5
"""A pid that no process has: Linux ends below it."""


class Dying:
    """Spawner of services that end at once, with a count of the starts."""

    def __init__(self) -> None:
        self.starts = 0

    def spawn(self, _name: str, _folder: Path) -> Started:
        """Return a service that has ended already."""
        self.starts += 1
        ours, theirs = socket.socketpair()
        theirs.close()
        return Started(NOBODY, ours)

    def close(self) -> None:
        """Do nothing."""


class Lasting(Dying):
    """Spawner of services that live until their other end is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.theirs: list[socket.socket] = []

    def spawn(self, _name: str, _folder: Path) -> Started:
        """Return a service that lives."""
        self.starts += 1
        ours, theirs = socket.socketpair()
        self.theirs.append(theirs)
        return Started(NOBODY, ours)


class Scarce(Dying):
    """Spawner on a machine that has no memory for a process, twice."""

    def spawn(self, name: str, folder: Path) -> Started:
        """Return a service that has ended already, from the third start on."""
        if self.starts < 2:
            self.starts += 1
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return super().spawn(name, folder)


def made(tmp_path: Path, services: Dying, said: list[str]) -> Supervisor:
    """Return the supervisor of a bus on another's cluster, with one service and nothing else to do."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="127.0.0.1:1", tls=False, play=True)
    folder.run.mkdir(exist_ok=True)
    found = Supervisor(folder, notify=said.append)
    found._spawner = services
    found._head_due = found._look_at = found._kept_at = FAR
    found._services["ngo-a"] = Running("ngo-a")
    return found


@contextmanager
def watched(supervisor: Supervisor) -> Iterator[threading.Thread]:
    """Run the supervisor's thread until the end of the block."""
    thread = threading.Thread(target=supervisor._watch)
    thread.start()
    try:
        yield thread
    finally:
        supervisor._stopping = True
        thread.join()


def full(*_: Any) -> None:
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def gone(_sentence: str) -> None:
    """Fail as a write to a terminal that was closed does."""
    raise OSError(errno.EIO, "Input/output error")


def test_the_report_has_the_times_of_the_last_ends(tmp_path: Path) -> None:
    """Given a service that ended and runs again, then doctor and status read from the report when it ended."""
    services = Lasting()
    supervisor = made(tmp_path, services, [])

    def ended() -> list[str]:
        return list(health.supervised(supervisor.folder).get("ngo-a", {}).get("ended", []))

    def has_begun(times: int) -> bool:
        return len(services.theirs) == times

    def has_reported(times: int) -> bool:
        return len(ended()) == times

    with watched(supervisor):
        for times in (1, 2, 3):
            until("it runs", partial(has_begun, times))
            services.theirs[-1].close()
            until("its end is in the report", partial(has_reported, times))
    services.theirs[-1].close()
    supervisor._end_services()

    assert ended() == sorted(ended())
    assert all(abs(datetime.now(UTC) - datetime.fromisoformat(each)) < timedelta(hours=1) for each in ended())


def test_a_service_that_died_early_for_days_is_still_started(tmp_path: Path) -> None:
    """The pause before each start stays the longest one, after thousands of starts too."""
    service = Running("ngo-a", started=0.0)

    pauses = [service.pause(1.0) for _ in range(5_000)]

    assert pauses[:3] == [0.0, 0.4, 0.8]
    assert set(pauses[10:]) == {LONGEST_PAUSE_SECONDS}


def test_a_full_disk_ends_no_supervision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status file is not written, and the service is started again."""
    monkeypatch.setattr(supervisor_module, "write_json", full)
    services = Dying()

    with watched(made(tmp_path, services, [])) as thread:
        until("it was started twice", lambda: services.starts >= 2)
        assert thread.is_alive()


def test_a_closed_terminal_ends_no_supervision(tmp_path: Path) -> None:
    """Nobody hears what is said, and the service is started again."""
    services = Dying()
    supervisor = made(tmp_path, services, [])
    deaf = Supervisor(supervisor.folder, notify=gone)
    deaf._spawner, deaf._services = services, supervisor._services
    deaf._head_due = deaf._look_at = deaf._kept_at = FAR

    with watched(deaf) as thread:
        until("it was started twice", lambda: services.starts >= 2)
        assert thread.is_alive()


def test_a_service_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """The machine has no memory for a process; that is said, and the service is started when there is some."""
    said: list[str] = []
    services = Scarce()

    with watched(made(tmp_path, services, said)):
        until("it was started", lambda: services.starts >= 3)

    assert said.count("ngo-a could not be started: [Errno 12] Cannot allocate memory") == 2


def test_trouble_with_one_duty_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder cannot be read for new agencies: it is said once, and services are started again meanwhile."""
    said: list[str] = []
    services = Dying()
    supervisor = made(tmp_path, services, said)
    monkeypatch.setattr(BusFolder, "agencies", full)

    with watched(supervisor):
        until("it was started three times", lambda: services.starts >= 3)

    assert [each for each in said if "supervisor" in each] == [
        "The supervisor could not look for new agencies (OSError); it goes on."
    ]


def test_an_unusable_key_keeps_no_broker_from_its_new_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a damaged key of one agency, then that is said, and a broker that is due is restarted."""
    said, ended = list[str](), list[int]()
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    supervisor = Supervisor(folder, notify=said.append)
    supervisor._services["broker"] = Running("broker", pid=NOBODY)
    monkeypatch.setattr(supervisor, "_kafka", SimpleNamespace(due=SimpleNamespace(name="broker")))
    monkeypatch.setattr(os, "kill", lambda pid, _: ended.append(pid))

    def unusable(_homes: object) -> frozenset[str]:
        raise KeysSealed("A private key's file cannot be read: restore it from a backup.")

    monkeypatch.setattr(supervisor._gate, "keep", unusable)
    supervisor._keep_certificates()

    assert ended == [NOBODY]
    assert said == ["Certificates could not be kept: A private key's file cannot be read: restore it from a backup."]


def test_the_end_of_a_service_is_waited_for_without_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To be woken once is no reason to look again and again while services write down what they have."""
    services = Lasting()
    supervisor = made(tmp_path, services, [])
    wake, woken = socket.socketpair()
    supervisor._selector.register(woken, selectors.EVENT_READ)
    supervisor._begin(supervisor._services["ngo-a"])
    wake.send(b".")
    looks = 0
    select = supervisor._selector.select

    def counted(seconds: float | None = None) -> Any:
        nonlocal looks
        looks += 1
        if looks == 3:
            services.theirs[0].close()
        return select(seconds)

    monkeypatch.setattr(supervisor._selector, "select", counted)
    began = time.monotonic()
    supervisor._end({"ngo-a"})

    assert looks in (3, 4)
    assert time.monotonic() - began >= 0.1, "it did not wait"
    for each in (wake, woken):
        each.close()


@pytest.fixture(autouse=True)
def _nobody_is_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pid of these services is nobody's: signals for it go nowhere."""
    monkeypatch.setattr(os, "kill", lambda _pid, _signal: None)
