"""An agency on a machine of its own: a folder with the bus's name, the operator's public key, and what is the agency's."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

import extras
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import make_private
from nrmbus.bus.reach import Tls
from nrmbus.cli.membership import agency, invitation
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.wire.ids import new_event_id
from patience import LONGEST_WAIT, PATIENCE

LOOK = 0.5
A, B = "admitter-a", "admitter-b"
_RUN = f"""
import sys
from datetime import timedelta
from nrmbus.desk.keys import rotation
from nrmbus.directory import addresses, own_certificate
addresses.LOOK_SECONDS = own_certificate.LOOK_SECONDS = rotation.LOOK_SECONDS = {LOOK}
if "rotates" in sys.argv:
    sys.argv.remove("rotates")
    ends = rotation.Rotating._ends
    rotation.BEFORE = timedelta(days=90)
    rotation.Rotating._ends = lambda self, seat: (
        len(seat.directory.roll.agencies[seat.me].periods) == 1 and ends(self, seat)
    )
from nrmbus.cli import main
main()
"""


@dataclass(slots=True)
class Apart:
    """The agency *name*, in *folder* apart from *operator*'s, which neither reads."""

    name: str
    folder: BusFolder
    operator: BusFolder
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def tls(self) -> Tls:
        """Return its certificate."""
        return Tls(self.folder.agency(self.name).path)

    @property
    def log(self) -> str:
        """Return the log of its desk."""
        return (self.folder.path / "desk.log").read_text()

    def holds(self, life: timedelta) -> datetime:
        """Give the machine a single certificate with so short a *life*; return when the certificate ends."""
        Gate(self.operator).revoke(self.name)
        issued = Authority(self.operator).issue(self.name, certificate.request(self.tls), life=life)
        certificate.keep(self.tls, issued, self.tls.ca.read_bytes())
        Gate(self.operator).apply()
        end = certificate.ends(self.tls)
        assert end is not None
        return end

    def start(self, *, rotates: bool = False) -> None:
        """Run the machine's desk alone, with the packages of a desk alone, as a person or a service manager does.

        With *rotates* the desk's first sealing key is taken to be in its last days, and no later key is.
        """
        argv = ["nrmbus", "run", self.name, "--data", str(self.folder.path), "--keys-unprotected"]
        argv += ["rotates"] if rotates else []
        with (self.folder.path / "desk.log").open("ab") as log:
            command = [sys.executable, "-c", f"{extras.only('desk')}\nsys.argv = {argv!r}\n{_RUN}"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        """End its desk as a person does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
            self.process = None

    async def says(self, event: dict[str, Any]) -> dict[str, Any]:
        """Publish an *event*, wait for the registrar's answer in the inbox, and return the desk's answer.

        After a cut connection, retry with the same id, as every client of a desk must.
        """
        event = {"id": new_event_id(int(time.time() * 1000)), **event}
        until = time.monotonic() + PATIENCE
        while True:
            try:
                async with Door.of(self.folder.agency(self.name).path) as door:
                    return await door.publish(event, wait=LONGEST_WAIT)
            except DoorError as error:
                if error.code != "unreachable" or time.monotonic() > until:
                    raise

    async def health(self) -> dict[str, Any]:
        """Return the health of its desk, or an empty mapping while the desk does not answer."""
        with suppress(DoorError, httpx.HTTPError, KeyError):
            async with Door.of(self.folder.agency(self.name).path) as door:
                return await door.health()
        return {}


@contextmanager
def apart(operator: BusFolder, home: Path, name: str, role: str) -> Iterator[Apart]:
    """Yield an agency that joins a running bus from another folder, by files alone; its desk ends with the block."""
    folder = BusFolder(home / name)
    invited, file = home / f"{name}.invitation.json", home / f"{name}.request.json"
    invitation.invite(invited, data=operator.path)
    invitation.join(invited, data=folder.path)
    agency.request(name, role=role, out=file, data=folder.path, keys_unprotected=True)
    for admitter in (A, B):
        agency.admit(file, admitter, data=operator.path, keys_unprotected=True)
    agency.check(name, file, data=folder.path, keys_unprotected=True)
    agency.admit(file, data=operator.path, keys_unprotected=True)
    agency.check(name, file, data=folder.path, keys_unprotected=True)
    assert not (folder.keys / "operator.seed").exists()
    assert not (folder.keys / "authority").exists()
    found = Apart(name, folder, operator)
    try:
        yield found
    finally:
        found.stop()


def admitters_place(one: Apart, home: Path, name: str) -> BusFolder:
    """Return the machine of an admitter with an agency's certificate; the key is moved there from the operator's."""
    folder = BusFolder(home / name)
    for each in ("bus.json", "keys/operator.pub", f"agencies/{one.name}/tls"):
        source, target = one.folder.path / each, folder.path / each
        make_private(target.parent)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    shutil.move(one.operator.path / "admitters" / name, make_private(folder.path / "admitters") / name)
    return folder


def until_over(end: datetime) -> None:
    """Wait until *end* has passed."""
    time.sleep(max(0.0, (end - certificate.now()).total_seconds()) + 0.5)
