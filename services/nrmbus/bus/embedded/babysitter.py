"""Babysitter of one program, which never outlives the process that asked for it. The file stands alone: ``python -S -E -I babysitter.py GRACE PROGRAM ARGUMENT…``.

Standard input is a pipe whose other end only the parent holds. When the pipe ends (the parent closed it, or was killed
with SIGKILL), the program's process group gets SIGTERM, and after GRACE seconds SIGKILL. The first and only
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
"""Signals with a meaning for the babysitter or for Python, and none for the program."""


def _die_with_keeper() -> Callable[[], object]:
    """Return the call by which the program's process dies with a killed babysitter; only Linux has such a call."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes  # noqa: PLC0415 - 5 ms, and only here

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(program: list[str]) -> int:
    die_with_keeper = _die_with_keeper()
    # Until the child has reset the handlers, a SIGTERM would run the babysitter's handler and be lost, so it is blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with suppress(PermissionError):  # the child has set its group itself and runs the program already
            os.setpgid(pid, pid)
        return pid
    os.setpgid(0, 0)  # its own group: its children end with it, and a terminal's Ctrl-C does not reach it
    die_with_keeper()
    if os.getppid() != keeper:  # the babysitter was killed before prctl, so no signal will come any more
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
    """End the program and its group: SIGTERM first, SIGKILL after *grace* seconds."""
    _signal_group(pid, signal.SIGTERM)
    until = time.monotonic() + grace
    code = None
    while code is None and time.monotonic() < until:
        time.sleep(0.01)
        code = _exited(pid)
    _signal_group(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if code is None else code


def main() -> int:
    """Run the program of the command line; return its exit status, or 128 + n if signal n ended it."""
    os.umask(0o077)  # files of the program are for their owner only
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
    _signal_group(pid, signal.SIGKILL)  # processes that the program left behind
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
