"""Machines on one host: network namespaces on a bridge, each with processes and a folder of its own.

Only root can make them, on Linux, with the command `ip`. This host is the operator's machine; the others reach it under the
name `OPERATOR`, through a line of their own that delays and cuts connections.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from nrmbus.bus.folder import BusFolder
from nrmbus.client.door import Address, Door

OPERATOR: Final = "bus.example.org"
NETWORK: Final = "10.77.0"
LINE: Final = Path(__file__).with_name("line.py")
POSSIBLE: Final = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip") is not None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(slots=True)
class Machine:
    """One machine: the namespace *name*, the bus's folder there, and the agencies whose desks it runs."""

    title: str
    name: str
    link: str
    folder: BusFolder
    agencies: tuple[str, ...]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, port: int) -> None:
        """Switch the machine on: the line to the operator's *port*, the desks, and a way for this test to their doors."""
        self._run("line", sys.executable, str(LINE), "line", str(port), f"{NETWORK}.1")
        for agency in self.agencies:
            desk = ["nrmbus", "run", agency, "--data", str(self.folder.path)]
            self._run(
                agency, sys.executable, "-c", f"import sys; sys.argv = {desk!r}; from nrmbus.cli import main; main()"
            )
            self._run(
                f"{agency}.door", sys.executable, str(LINE), "door", str(self.home(agency)), str(self.socket(agency))
            )

    def _run(self, log: str, *command: str) -> None:
        with (self.folder.path / f"{log}.out").open("ab") as out:
            within = ["ip", "netns", "exec", self.name, *command]
            self.processes.append(subprocess.Popen(within, stdout=out, stderr=out, stdin=subprocess.DEVNULL))

    def lose(self) -> None:
        """Switch the machine off as a power cut does."""
        for each in self.processes:
            each.send_signal(signal.SIGKILL)
        for each in self.processes:
            each.wait()
        self.processes.clear()

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Plug the cable in again."""
        _ip("link", "set", self.link, "up")

    def home(self, agency: str) -> Path:
        """Return the folder of the *agency*'s desk."""
        return self.folder.agency(agency).path

    def socket(self, agency: str) -> Path:
        """Return the socket through which this test reaches the *agency*'s door."""
        return self.folder.path / f"{agency}.sock"

    def door(self, agency: str) -> Door:
        """Return the door of the *agency*'s desk, as a program on the machine has it."""
        return through(self.home(agency), self.socket(agency))


def through(home: Path, socket: Path) -> Door:
    """Return the door of the desk in *home*, reached by the Unix *socket* of a program in its namespace."""
    return _Within.through(home, socket)


class _Within(Door):
    """Door of a desk in a namespace, reached by a Unix socket, since 127.0.0.1 is another address there."""

    _socket: Path

    @classmethod
    def through(cls, home: Path, socket: Path) -> "_Within":
        """Return the door of the desk in *home* by *socket*."""
        cls_of = type("_Within", (cls,), {"_socket": socket})
        return cls_of.of(home)  # type: ignore[attr-defined,no-any-return]

    def _connected(self, at: Address) -> httpx.AsyncClient:
        client = super()._connected(at)
        client._transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        client._mounts = {}
        return client


@contextmanager
def machines(home: Path, agencies: dict[str, tuple[str, ...]]) -> Iterator[tuple[Machine, ...]]:
    """Yield one machine each for these *agencies*, switched off; nothing of them is left after the block."""
    tag = secrets.token_hex(2)
    bridge = f"nrm{tag}"
    made: list[Machine] = []
    hosts = Path("/etc/netns")
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, (title, names) in enumerate(agencies.items(), 2):
            name, link = f"{bridge}-{title}", f"{bridge}v{number}"
            made.append(Machine(title, name, link, BusFolder(home / title), names))
            _ip("netns", "add", name)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", link, "master", bridge, "up")
            for command in (("link", "set", "lo", "up"), ("addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):  # fmt: skip
                _ip("-n", name, *command)
            (hosts / name).mkdir(parents=True)
            (hosts / name / "hosts").write_text(f"127.0.0.1 localhost\n127.0.0.2 {OPERATOR}\n")  # where its line begins
        yield tuple(made)
    finally:
        for each in made:
            each.lose()
            subprocess.run(["ip", "netns", "del", each.name], check=False, capture_output=True)
            shutil.rmtree(hosts / each.name, ignore_errors=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)
