"""Machines of a bus on one host: network namespaces on a switch with bad lines (`switch.py`), each with what runs there.

Only root can make them, on Linux, with the command `ip` and the device for taps. This test reaches every machine by lines
that are good. A machine that is lost goes silent first, as by a power cut: nobody hears that its connections ended.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from machines import LINE, POSSIBLE, through
from nrmbus.bus.embedded.embedded import java_on
from nrmbus.bus.embedded.jars import class_path, jar_home
from nrmbus.bus.embedded.node import ENVIRONMENT
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import OPERATOR, Authority
from nrmbus.client.door import Door

MADE: Final = POSSIBLE and Path("/dev/net/tun").exists()
SWITCH: Final = Path(__file__).with_name("switch.py")
_NRMBUS: Final = "import sys; sys.argv = {!r}; from nrmbus.cli import main; main()"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(slots=True)
class Lines:
    """The switch, and the port of each machine."""

    process: "subprocess.Popen[bytes]"

    def tell(self, verb: str, port: str) -> None:
        """Cut or mend the line of a *port*."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{verb} {port}\n".encode())
        self.process.stdin.flush()


@dataclass(slots=True)
class Host:
    """One machine: the namespace *space* with an address, a folder, and the commands that it runs while it is on."""

    title: str
    space: str
    port: str
    address: str
    home: Path
    lines: Lines
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def folder(self) -> BusFolder:
        """Return the bus's folder on this machine."""
        return BusFolder(self.home / "bus")

    def nrmbus(self, name: str, *arguments: str) -> None:
        """Have the machine run a command of nrmbus on its folder while it is on."""
        said = ["nrmbus", *arguments, "--data", str(self.folder.path)]
        self.commands[name] = (sys.executable, "-c", _NRMBUS.format(said))

    def shows(self, name: str, home: Path) -> None:
        """Have this test reach the door of the service or desk *name*, whose folder is *home*."""
        self.commands[f"{name}.door"] = (sys.executable, str(LINE), "door", str(home), str(self.socket(name)))

    def socket(self, name: str) -> Path:
        """Return the socket through which this test reaches a door."""
        return self.home / f"{name}.sock"

    def door(self, name: str, home: Path) -> Door:
        """Return the door of the service or desk *name*, as a program on the machine has it."""
        return through(home, self.socket(name))

    def start(self) -> None:
        """Switch the machine on, with everything that it runs."""
        self.lines.tell("mend", self.port)
        for name, command in self.commands.items():
            with (self.home / f"{name}.out").open("ab") as out:
                within = ["ip", "netns", "exec", self.space, *command]
                self.processes[name] = subprocess.Popen(
                    within, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT}
                )

    def lose(self) -> None:
        """Switch the machine off as a power cut does."""
        self.cut()
        for each in self.processes.values():
            each.send_signal(signal.SIGKILL)
        for each in self.processes.values():
            each.wait()
        self.processes.clear()

    def cut(self) -> None:
        """Pull the cable."""
        self.lines.tell("cut", self.port)

    def mend(self) -> None:
        """Plug the cable in again."""
        self.lines.tell("mend", self.port)


@contextmanager
def hosts(home: Path, titles: Sequence[str], *, delay: float, loss: float) -> Iterator[Mapping[str, Host]]:
    """Yield a machine for each of *titles*, switched off; nothing of them is left after the block.

    A frame is late by *delay* seconds, and lost with the chance *loss*, on its way from any machine.
    """
    tag, network = f"n{secrets.token_hex(2)}", f"10.78.{secrets.randbelow(250)}"  # another run may have one of its own
    ports = [f"{tag}-{number}" for number in range(1, len(titles) + 2)]
    made: dict[str, Host] = {}
    switch = subprocess.Popen(
        [sys.executable, str(SWITCH), str(delay), str(loss), *ports], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert switch.stdout is not None
        assert switch.stdout.readline() == b"ready\n"
        _ip("addr", "add", f"{network}.1/24", "dev", ports[0])
        _ip("link", "set", ports[0], "up")
        for number, (title, port) in enumerate(zip(titles, ports[1:], strict=True), 2):
            space, address = f"{tag}-{title}", f"{network}.{number}"
            (home / title).mkdir(mode=0o700)
            made[title] = Host(title, space, port, address, home / title, Lines(switch))
            _ip("netns", "add", space)
            _ip("link", "set", port, "netns", space)
            for command in (("link", "set", "lo", "up"), ("addr", "add", f"{address}/24", "dev", port), ("link", "set", port, "up")):  # fmt: skip
                _ip("-n", space, *command)
        yield made
    finally:
        for each in made.values():
            each.lose()
            subprocess.run(["ip", "netns", "del", each.space], check=False, capture_output=True)
        switch.kill()
        switch.wait()
        for pipe in (switch.stdin, switch.stdout):
            if pipe is not None:
                pipe.close()


def prepare(operator: Host, brokers: Sequence[Host], compose: Path) -> None:
    """Have three machines run a broker each, as `prepare.py` of the folder *compose* sets brokers, and make a bus on them."""
    program = _program(compose / "prepare.py")
    address = {number: each.address for number, each in enumerate(brokers, 1)}
    program.name_of = address.__getitem__
    program.give = lambda *_: None
    where = ",".join(program.address_of(number, "") for number in address)
    operator.folder.create(play=True, bootstrap=where, tls=True)
    program.prepare(operator.home / "made", operator.folder, "")
    Authority(operator.folder).equip(OPERATOR, operator.folder.keys)
    java = java_on(class_path(jar_home()))
    for each in brokers:
        config = each.home / "config"
        shutil.move(operator.home / "made" / each.address, config)
        path = config / "server.properties"
        text = path.read_text().replace(program.MOUNTED, str(config))
        path.write_text(text.replace("/var/lib/kafka/data", str(each.home / "data")))
        form = ["kafka.tools.StorageTool", "format", "--cluster-id", "bnJtYnVzLWhvc3RzLS0tMQ", "--config", str(path)]
        subprocess.run([*java, *form], env=ENVIRONMENT, check=True, capture_output=True)
        each.commands["broker"] = (*java, "kafka.Kafka", str(path))


def _program(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
