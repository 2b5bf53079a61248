"""One service as a process: log file, private files, no life beyond its parent's.

``python -m nrmbus.host.process SERVICE FOLDER LIFELINE``.
"""

import faulthandler
import os
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.host.core_dumps import leave_no_picture
from nrmbus.host.open_files import make_room
from nrmbus.host.services import is_public_page, run_service
from nrmbus.wire.keys import keyfile

ORPHANED: Final = 71
"""Exit status of a service whose supervisor is gone."""

PASSPHRASE_LENGTH: Final = 4
"""Bytes of the length before the passphrase on the lifeline, big-endian."""


def become(name: str, path: Path, lifeline: int) -> NoReturn:
    """Turn this process into the service *name*, and leave when it ends.

    Args:
        name: ``registrar``, ``timekeeper``, ``auditor``, ``canary`` or an agency's id.
        path: the bus's folder.
        lifeline: one end of a socket whose other end only the supervisor holds: at its end, so ends this process.
    """
    status = 1
    try:
        # A group of its own: a terminal's Ctrl-C is for the supervisor, who ends everybody in order.
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)
        os.umask(0o077)
        leave_no_picture()
        make_room()
        folder = BusFolder(path)
        _log_to(folder.logs / f"{name}.log")
        keyfile.hold(_passphrase(lifeline))
        if keyfile.held() is None and not is_public_page(name):
            _say("Private keys lie unprotected on this bus.")
        threading.Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
        run_service(name, folder, _say)
        status = 0
    except BusError as error:
        _say(str(error))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - whatever it was, the supervisor starts us again
        _say(without_message(error))
    finally:
        os._exit(status)  # nothing of the process that it was forked from may run its tidying here


def without_message(error: BaseException) -> str:
    """Return where *error* was raised, and of which kind; never its message, which may hold what somebody wrote."""
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__qualname__])


def _say(sentence: str) -> None:
    """Write *sentence* to the service's log, if the disk has room for it: a full log ends nobody, and keeps nobody from ending."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - standard error is the service's log


def _passphrase(lifeline: int) -> keyfile.Passphrase | None:
    """Read the supervisor's first message on the lifeline: the passphrase of the private keys, or that there is none."""
    secret = _exactly(lifeline, int.from_bytes(_exactly(lifeline, PASSPHRASE_LENGTH)))
    return keyfile.Passphrase(secret) if secret else None


def _exactly(descriptor: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = os.read(descriptor, size - len(found))
        if not more:
            os._exit(ORPHANED)
        found += more
    return found


def _log_to(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, standard in ((null, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, standard)
    os.close(null)
    os.close(log)
    faulthandler.enable()  # a crash in a library's machine code leaves at least the place


def _end_with(lifeline: int) -> None:
    """End this process as soon as nobody holds the other end; nothing is lost, since every state survives a kill."""
    while os.read(lifeline, 64):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    become(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
