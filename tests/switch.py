"""A switch with bad lines, as a program: it passes Ethernet frames between network namespaces, late, and loses some of them.

``switch.py DELAY LOSS PORT…`` makes a tap device for each PORT and reads commands from standard input, one a line:
``cut PORT``, ``mend PORT``. A frame is late by DELAY seconds where it comes in, and lost there with the chance LOSS. It does
what ``tc netem`` does, which many kernels lack. The first PORT is this test's own: no frame from there or to
there is late or lost.
"""

import fcntl
import heapq
import os
import random
import selectors
import struct
import sys
import time
from contextlib import suppress
from typing import Final

_SET: Final = 0x400454CA
"""TUNSETIFF."""
_TAP: Final = 0x0002 | 0x1000
"""IFF_TAP and IFF_NO_PI."""
_FRAME: Final = 65536
_GROUP: Final = 1
"""The bit in the first byte of an address that is several machines'."""


def tap(name: str) -> int:
    """Return the descriptor of a new tap device."""
    made = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(made, _SET, struct.pack("16sH22s", name.encode(), _TAP, b""))
    return made


class Switch:
    """Taps by descriptor, what is known of them, and the frames that are on their way."""

    def __init__(self, delay: float, loss: float, ports: list[str]) -> None:
        """Make the taps; the first of *ports* has a good line."""
        self._delay, self._loss, self._good = delay, loss, ports[0]
        self.taps = {tap(port): port for port in ports}
        self._cut, self._places = set[int](), dict[bytes, int]()
        self._late: list[tuple[float, int, int, bytes]] = []
        self._count, self._said = 0, b""

    @property
    def pause(self) -> float | None:
        """Seconds until the next frame is due; None without one."""
        return max(0.0, self._late[0][0] - time.monotonic()) if self._late else None

    def told(self, said: bytes) -> None:
        """Obey the commands in *said*."""
        *lines, self._said = (self._said + said).split(b"\n")
        for verb, port in (line.decode().split() for line in lines):
            own = next(each for each, name in self.taps.items() if name == port)
            (self._cut.add if verb == "cut" else self._cut.discard)(own)

    def take(self, source: int) -> None:
        """Take a frame from the tap *source*."""
        try:
            frame = os.read(source, _FRAME)
        except OSError:
            return
        self._places[frame[6:12]] = source
        bad = self._good not in (self.taps[source], self.taps.get(self._places.get(frame[:6], -1)))
        if source in self._cut or (bad and random.random() < self._loss):
            return
        self._count += 1
        heapq.heappush(self._late, (time.monotonic() + bad * self._delay, self._count, source, frame))

    def deliver(self) -> None:
        """Deliver the frames that are due."""
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, source, frame = heapq.heappop(self._late)
            there = None if frame[0] & _GROUP else self._places.get(frame[:6])
            for each in self.taps if there is None else (there,):
                if each != source and each not in self._cut:
                    with suppress(OSError):  # its machine is not there, or takes no more
                        os.write(each, frame)


def run(delay: float, loss: float, ports: list[str]) -> None:
    """Pass frames on until standard input ends."""
    random.seed(7)
    switch, selector = Switch(delay, loss, ports), selectors.DefaultSelector()
    for each in (*switch.taps, 0):
        selector.register(each, selectors.EVENT_READ)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select(switch.pause):
            if key.fd != 0:
                switch.take(key.fd)
            elif said := os.read(0, 4096):
                switch.told(said)
            else:
                return
        switch.deliver()


if __name__ == "__main__":
    run(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
