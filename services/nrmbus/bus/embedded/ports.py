"""Free ports on this machine, for the broker and the doors."""

import random
import socket
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Final

HOST: Final = "127.0.0.1"
"""Never ``localhost``: that may be an IPv6 address first, or another machine's."""

_RANGE: Final = range(20_000, 32_000)
"""Below what Linux (32768) and macOS (49152) hand out to outgoing connections, which would take a port between two starts."""


def is_free(port: int) -> bool:
    """Return whether a server could listen on *port* now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: a connection of the last server that is still closing does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def who_listens() -> str:
    """Return the command by which a person sees which programs listen on which ports of this machine."""
    return "lsof -nP -iTCP -sTCP:LISTEN" if sys.platform == "darwin" else "ss -tlnp"


def free_ports(count: int, *, avoid: Iterable[int] = ()) -> list[int]:
    """Return *count* different ports that are free now. Another program may be faster, so the caller must be ready to ask again."""
    avoided = set(avoid)
    # By chance, so that two buses rarely want the same.
    candidates = (port for port in random.sample(_RANGE, len(_RANGE)) if port not in avoided and is_free(port))
    return list(islice(candidates, count))


def accepts(port: int) -> bool:
    """Return whether a program listens on *port*."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
