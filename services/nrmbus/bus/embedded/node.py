"""One broker of a bus: its process under a babysitter, its ports, and how to end it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from nrmbus.bus.embedded import ports
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.reach import piped

ENVIRONMENT: Final[Mapping[str, str]] = {"LC_ALL": "C.UTF-8"}
"""Nothing of the person's own: a JAVA_TOOL_OPTIONS would change the broker; the locale, so that any folder's name works."""
BABYSITTER: Final = Path(__file__).parent / "babysitter.py"


class Node:
    """One broker, also a controller: number *number* of *count*."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count = number, count
        self.name = "broker" if count == 1 else f"broker.{number}"
        """Its name among the services. No agency's id has a dot."""
        self.ports: list[int] = []
        """The port for the bus's own services, and that of the controller."""
        self.pid: int | None = None
        """The broker's own process, while it runs."""
        self.chain = b""
        """The certificate with which the process started."""
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT for clients on this machine; empty before the first start."""
        return f"{ports.HOST}:{self.ports[0]}" if self.ports else ""

    @property
    def controller(self) -> str:
        """HOST:PORT of the controller."""
        return f"{ports.HOST}:{self.ports[1]}"

    def data(self, base: str) -> str:
        """Return the folder of its data within *base*, which is that of all brokers of the bus."""
        return base if self.count == 1 else f"{base}/{self.number}"

    @property
    def has_its_ports(self) -> bool:
        """True if its ports were chosen and are free."""
        return bool(self.ports) and all(map(ports.is_free, self.ports))

    @property
    def ended(self) -> IO[bytes]:
        """A pipe that reads as ended when the broker's process is gone; for who waits for several things at once.

        Raises:
            KafkaFailed: it was not started.
        """
        if self._keeper is None or self._keeper.stdout is None:
            raise KafkaFailed("Kafka was not started.")
        return self._keeper.stdout

    @property
    def runs(self) -> bool:
        """True while its process runs."""
        return self._keeper is not None and self._keeper.poll() is None

    def launch(self, java: Sequence[str], properties: bytes, folder: Path, log: IO[bytes], grace: float) -> None:
        """Start the process in *folder* with *properties*, which it reads from a pipe; do not wait until it answers."""
        keeper = [sys.executable, "-S", "-E", "-I", str(BABYSITTER), str(grace)]
        with piped(properties) as read:
            self._keeper = subprocess.Popen(
                [*keeper, *java, "kafka.Kafka", f"/dev/fd/{read}"],
                cwd=folder,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[read],
                start_new_session=True,  # a terminal's Ctrl-C is for the parent, who ends us in order
            )
        self.pid = int(self._keeper.stdout.readline())  # type: ignore[union-attr]  # a pipe, as asked for above

    def let_go(self) -> None:
        """Have the babysitter end the broker, and do not wait."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()  # what the babysitter takes for our end

    def end(self, grace: float) -> None:
        """End the broker and wait for it; after *grace* seconds it is killed."""
        keeper = self._keeper
        if keeper is None:
            return
        self.let_go()
        try:
            keeper.wait(grace + 2)
        except subprocess.TimeoutExpired:
            self.kill()
            keeper.kill()
            keeper.wait()
        if keeper.stdout is not None:
            keeper.stdout.close()
        self._keeper, self.pid = None, None

    def kill(self) -> None:
        """End the broker at once, as kill -9 does; what was acknowledged stays."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
