"""Warm process that has imported everything, so that a service starts by a fork in 0.02 s instead of 2 s.

It is started fresh, imports the modules named on its command line, and then forks a service for each request on a
socket. It has one thread and no event loop, ever: a fork copies locks but not the threads that would open them.
``python -m nrmbus.host.zygote SOCKET MODULE…``. It ends when its socket does.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

from nrmbus.host.process import become

THREADED = 72
"""Exit status if an import has started a thread: forking is not safe then, and services start afresh."""


def _threads() -> int:
    """Return the number of threads of this process, with those outside Python if the system counts them."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def _warm_up(modules: list[str]) -> None:
    for module in modules:
        # A service whose module fails says so itself, in its own log.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is imported is never collected: its memory stays shared with every fork


def _serve(control: socket.socket) -> None:
    """Answer each request ``{"name", "folder"}``, which comes with a lifeline's descriptor, with the pid of a new service."""
    while True:
        raw, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not raw:
            return
        request = json.loads(raw)
        pid = os.fork()
        if pid == 0:
            control.close()
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            become(request["name"], Path(request["folder"]), descriptors[0])
        os.close(descriptors[0])
        control.sendall(f"{pid}\n".encode())


def main(control: int, modules: list[str]) -> NoReturn:
    """Import *modules*, then serve the socket with descriptor *control* until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm_up(modules)
    if _threads() > 1:
        sys.exit(THREADED)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a service ended: the system may forget it
    with socket.socket(fileno=control) as channel:
        _serve(channel)
    sys.exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
