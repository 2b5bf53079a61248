"""Services as processes of their own, forked from one that has imported them: to import them costs each of them 2 s."""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.lease import How
from nrmbus.host.services import run_service
from nrmbus.host.spawn import FORK_IS_SAFE, WARM

_CONTEXT = multiprocessing.get_context("forkserver" if FORK_IS_SAFE else "spawn")
if FORK_IS_SAFE:
    _CONTEXT.set_forkserver_preload(list(WARM))


class Forked:
    """A process that runs *run* with what is *given*, and writes what it says to *log*. It is asked as `subprocess.Popen` is."""

    def __init__(
        self, log: Path, run: Callable[..., object], *given: object, environment: Mapping[str, str] | None = None
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        begins = (str(log), {**os.environ, **(environment or {})}, run, given)
        self._process = _CONTEXT.Process(target=_begin, args=begins, daemon=True)  # type: ignore[attr-defined]
        self._process.start()

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid  # type: ignore[no-any-return]

    @property
    def returncode(self) -> int | None:
        """With what it ended: its status, or minus the signal; none while it runs."""
        return self._process.exitcode  # type: ignore[no-any-return]

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.returncode is None:
            # As Popen does: it ended a moment ago, and the server that forked it has not said so yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it has ended, and answer with what. Raises subprocess.TimeoutExpired after so many *seconds*."""
        self._process.join(seconds)
        if (ended := self.returncode) is None:
            raise subprocess.TimeoutExpired("a service", seconds or 0.0)
        return ended


def service(name: str, folder: BusFolder, how: How = "wait") -> Forked:
    """The service or desk *name* of the bus in *folder*, its log beside the others there."""
    return Forked(folder.logs / f"{name}.log", _serve, name, folder.path, how)


def _serve(name: str, path: Path, how: How) -> None:
    run_service(name, BusFolder(path), _say, how)


def _say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - into the log of the service


def _begin(log: str, environment: Mapping[str, str], run: Callable[..., object], given: tuple[object, ...]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    os.environ.clear()  # of when the first one was forked
    os.environ.update(environment)
    run(*given)
