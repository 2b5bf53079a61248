"""Keeps one program, and lets it live no longer than who asked for it. Stands alone: ``python -S -E -I babysitter.py GRACE PROGRAM ARGUMENT…``.

Standard input is a pipe whose other end only the parent holds. At its end (the parent closed it, or was killed with
SIGKILL) the program's process group gets SIGTERM, and what is left of it after GRACE seconds SIGKILL. The first and only
line on standard output is the program's pid; the pipe closes when the program is gone. Exit status: the program's.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # prctl(2)
_OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)
"""Signals that mean something to the keeper, or to Python, and nothing special to the program."""


def _die_with_keeper() -> Callable[[], object]:
    """What the program's process calls so that it goes with the keeper, where the keeper itself is killed: only Linux has it."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes  # noqa: PLC0415 - 5 ms, and only here

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(program: list[str]) -> int:
    die_with_keeper = _die_with_keeper()
    # Until the child has put our handlers off, a SIGTERM for it would be ours, and lost: it waits for that.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with suppress(PermissionError):  # it has set its group itself, and is the program already
            os.setpgid(pid, pid)
        return pid
    os.setpgid(0, 0)  # a group of its own: what it starts is ended with it, and a terminal's Ctrl-C does not reach it
    die_with_keeper()
    if os.getppid() != keeper:  # it was killed before we were tied to it, and nothing will tell us any more
        os._exit(128 + signal.SIGKILL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # the pid pipe must not stay open in the program
    for number in _OURS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted
    finally:
        os._exit(127)


def _signal_group(group: int, number: int) -> None:
    """Signal what is left of *group*."""
    with suppress(ProcessLookupError, PermissionError):  # none is left; macOS says the latter where only a zombie is
        os.killpg(group, number)


def _exited(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _end(pid: int, grace: float) -> int:
    """End the program and its group: first by asking."""
    _signal_group(pid, signal.SIGTERM)
    until = time.monotonic() + grace
    code = None
    while code is None and time.monotonic() < until:
        time.sleep(0.01)
        code = _exited(pid)
    _signal_group(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if code is None else code


def main() -> int:
    """Keep the program of the command line; answer its exit status, 128 + n when signal n ended it."""
    os.umask(0o077)  # what the program writes is for its owner only
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    asked_to_end = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.append(True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    grace, program = float(sys.argv[1]), sys.argv[2:]
    pid = _start(program)
    os.write(1, f"{pid}\n".encode())
    code = None
    while code is None:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            os.read(wake, 64)
        parent_gone = 0 in readable and not os.read(0, 64)
        code = _end(pid, grace) if parent_gone or asked_to_end else _exited(pid)
    _signal_group(pid, signal.SIGKILL)  # whatever it left behind in its group
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
