"""Two ways to start a service's process: forked from a warm one, or afresh."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from nrmbus.environment import FORK
from nrmbus.host.process import PASSPHRASE_LENGTH
from nrmbus.host.services import DESK, SERVICES, is_public_page
from nrmbus.wire.keys.keyfile import held

WARM: Final = (
    *SERVICES.values(),
    DESK,
    # What these import only when they first need it.
    "_strptime",
    "pydantic.v1",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""Modules that a warm process has imported; the services bring the heavy libraries."""
WARM_SECONDS: Final = 30.0
FORK_IS_SAFE: Final = sys.platform == "linux"
"""macOS's own libraries may abort in a forked process that never called exec; there, services start afresh."""


class Started(NamedTuple):
    """Process of a service: its pid, and a socket that reads as ended when the process is gone."""

    pid: int
    lifeline: socket.socket


def hand_on(lifeline: socket.socket, name: str) -> None:
    """Send the new process the passphrase of the private keys, or that there is none, and never by arguments or environment.

    The process *name* gets none if it is a public page: it needs no key.
    """
    passphrase = None if is_public_page(name) else held()
    secret = passphrase.hand_on() if passphrase else b""
    with contextlib.suppress(OSError):  # it has ended already, which its lifeline tells
        lifeline.sendall(len(secret).to_bytes(PASSPHRASE_LENGTH) + secret)


def _python(module: str, *arguments: str, inherits: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        pass_fds=[inherits.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


class Spawner(Protocol):
    """Starter of services' processes; its owner closes it."""

    def spawn(self, name: str, folder: Path) -> Started:
        """Start the service *name* of the bus in *folder*."""

    def close(self) -> None:
        """Start no more."""


class Fresh:
    """Starter of each service as a Python process of its own; the imports take 2 s each time."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def spawn(self, name: str, folder: Path) -> Started:
        """Start the service *name* of the bus in *folder*."""
        self._processes = [each for each in self._processes if each.poll() is None]  # so that none stays a zombie
        ours, theirs = socket.socketpair()
        with theirs:
            process = _python("nrmbus.host.process", name, str(folder), str(theirs.fileno()), inherits=theirs)
        self._processes.append(process)
        hand_on(ours, name)
        return Started(process.pid, ours)

    def close(self) -> None:
        """Wait for processes that have already ended."""
        for process in self._processes:
            process.wait()


class Warm:
    """Starter that forks each service from one warm process, or starts it afresh if forking is not possible."""

    def __init__(self, modules: Sequence[str] = WARM) -> None:
        """Start the warm process, and do not wait for it."""
        self._modules = tuple(modules)
        self._fresh: Fresh | None = None
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(WARM_SECONDS)
        with theirs:
            self._process = _python("nrmbus.host.zygote", str(theirs.fileno()), *self._modules, inherits=theirs)

    @property
    def pid(self) -> int | None:
        """Warm process, or None if services are started afresh after all."""
        return None if self._fresh else self._process.pid

    def spawn(self, name: str, folder: Path) -> Started:
        """Start the service *name* of the bus in *folder*; waits until the warm process is warm."""
        if self._fresh is None:
            for _ in range(2):  # the warm process may have been killed; one more is worth a try
                with contextlib.suppress(OSError, ValueError):
                    return self._fork(name, folder)
                self._end()
                self._start()
            self._end()
            self._fresh = Fresh()
        return self._fresh.spawn(name, folder)

    def _fork(self, name: str, folder: Path) -> Started:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                request = json.dumps({"name": name, "folder": str(folder)}).encode()
                socket.send_fds(self._control, [request], [theirs.fileno()])
            started = Started(int(self._control.recv(32)), ours)
            hand_on(ours, name)
            return started
        except BaseException:
            ours.close()
            raise

    def _end(self) -> None:
        self._control.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the warm process; the services forked from it go on."""
        self._end()
        if self._fresh:
            self._fresh.close()


def spawner(*, fork: bool | None = None) -> Spawner:
    """Return the starter for this system, or the one that *fork* chooses. NRMBUS_FORK=0 in the environment forbids forking."""
    if fork is None:
        fork = FORK_IS_SAFE and FORK.get() != "0"
    return Warm() if fork else Fresh()
