"""The woman's case on a cluster of three brokers, with every part on a machine of its own, while the machines are lost."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException

from contract.tree import ROOT
from hosts import MADE, Host, hosts, prepare
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import make_private
from nrmbus.cli.membership import invitation, standby
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory.admission import admit
from nrmbus.directory.standby import SERVED, Standby
from nrmbus.play.bus import BusStage, newcomers_of
from nrmbus.play.player import play
from nrmbus.play.quiet import Quiet
from nrmbus.play.reader import parse
from nrmbus.play.stage import Outcome, Words
from patience import PATIENCE, until
from play.stories import WOMAN, text_of
from trail import check_trail

pytestmark = [pytest.mark.broker, pytest.mark.slow]

BROKERS = ("broker-1", "broker-2", "broker-3")
DESKS = {
    "ministry": ("special-unit", "police-x", "migration", "embassy", "vac", "fund"),
    "ngos": ("ngo-a", "ngo-l", "shelter"),
}
DELAY, LOSS = 0.02, 0.01
"""Each way from each machine: 20 ms, and one frame in a hundred."""
CUT_SECONDS = 8.0


class Working(Door):
    """Door of a service on two machines: asks the machine whose service works."""

    @classmethod
    def on(cls, name: str, machines: tuple[Host, Host]) -> "Working":
        """Return the door of the service *name*, which works on one of *machines*."""
        made = cls("http://127.0.0.1:1", "")
        made._name, made._machines, made._found = name, machines, dict[str, Door]()
        return made

    _name: str
    _machines: tuple[Host, Host]
    _found: dict[str, Door]
    _works: Door

    async def health(self, ref: str = "") -> dict[str, Any]:
        """Return the health of the process that works."""
        for each in self._machines:
            try:
                door = self._found.get(each.title) or each.door(self._name, each.folder.service(self._name))
                self._found[each.title] = door
                found = dict(await door.health())
            except DoorError:
                continue
            if found.get("ready") and not found.get("standby"):
                self._works = door
                return found
        raise DoorError("not_running", "the service works on neither machine")

    async def __aexit__(self, *how: object) -> None:
        """Let go of both."""
        for each in self._found.values():
            await each.__aexit__(None, None, None)
        await super().__aexit__(*how)

    async def get(self, path: str, **query: Any) -> Any:
        """Ask the process that works."""
        await self.health()
        return await self._works.get(path, **query)


class OverHosts(BusStage):
    """A stage with each part on its own machine; before the events of a *script* something happens to a machine."""

    def __init__(self, everywhere: Mapping[str, Host], script: Mapping[int, Callable[[], None]]) -> None:
        super().__init__(everywhere["operator"].folder)
        self._quiet = Quiet(self._doors, patience=PATIENCE)
        self._everywhere, self._script, self.spoken = everywhere, script, 0
        self.took: dict[int, float] = {}
        """Seconds until the bus was quiet again after each event before which something happened."""

    def _on(self, agency: str) -> Host | None:
        return next((self._everywhere[title] for title, agencies in DESKS.items() if agency in agencies), None)

    async def _find_doors(self) -> None:
        for title, agencies in DESKS.items():
            for agency in agencies:
                await self._open(
                    agency, self._everywhere[title].folder.agency(agency).path, time.monotonic() + PATIENCE
                )
        await super()._find_doors()

    def _door(self, name: str, home: Path) -> Door:
        machine = self._on(name)
        if machine is not None:
            return machine.door(name, home)
        return Working.on(name, (self._everywhere["operator"], self._everywhere["standby"]))

    async def _restart(self, service: str) -> None:
        machine = self._on(service)
        if machine is None:
            await super()._restart(service)
            return
        machine.lose()
        machine.start()
        await self._quiet.wait(self._doors)

    async def _publish(self, words: Words) -> Outcome:
        self.spoken += 1
        happens, began = self._script.get(self.spoken), time.monotonic()
        if happens is None:
            return await super()._publish(words)
        happens()
        found = await super()._publish(words)
        self.took[self.spoken] = time.monotonic() - began
        return found


def moved(operator: Host, machine: Host, agencies: tuple[str, ...]) -> None:
    """Have the desks of *agencies* on *machine*."""
    joins(operator, machine)
    for agency in agencies:
        home = machine.folder.agency(agency).path
        make_private(home.parent)
        shutil.move(operator.folder.agency(agency).path, home)
        machine.nrmbus(agency, "run", agency)
        machine.shows(agency, home)


def joins(operator: Host, machine: Host) -> None:
    """Have *machine* join the bus by an invitation."""
    invited = machine.home / "invitation.json"
    invitation.invite(invited, data=operator.folder.path)
    invitation.join(invited, data=machine.folder.path)


def stands_by(operator: Host, machine: Host) -> None:
    """Have *machine* stand by for the operator's services."""
    joins(operator, machine)
    file, of_host = machine.home / "standby.json", {"data": machine.folder.path}
    standby.request("host-b", out=file, **of_host)
    standby.admit(file, fingerprint=Standby.read(file).fingerprint, data=operator.folder.path)
    standby.take(file, **of_host)
    for each in SERVED:
        machine.nrmbus(each, "run", each)
        machine.shows(each, machine.folder.service(each))


def answering(operator: Host) -> tuple[int, ...]:
    """Return the brokers that the cluster has now."""
    with suppress(KafkaException):
        return tuple(clients.admin(operator.folder.as_operator).list_topics(timeout=2).brokers)
    return ()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("made", ["namespaces"] if MADE else [])
def test_the_first_story_while_machines_are_lost(
    tmp_path: Path, made: str, record_property: Callable[[str, object], None]
) -> None:
    """P1, P2: scenario 1, every expectation, while a broker's machine and the operator's are lost and a desk's is cut off."""
    scenario = parse(text_of(WOMAN), "woman.yaml")
    with hosts(tmp_path, (*BROKERS, "operator", "standby", *DESKS), delay=DELAY, loss=LOSS) as everywhere:
        operator, brokers = everywhere["operator"], [everywhere[each] for each in BROKERS]
        prepare(operator, brokers, ROOT / "deploy" / "compose")
        for each in brokers:
            each.start()
        until("three brokers answer", lambda: len(answering(operator)) == len(BROKERS))
        asyncio.run(admit(operator.folder, newcomers_of(scenario.agencies), BEFORE_ANY_TICK))
        for title, agencies in DESKS.items():
            moved(operator, everywhere[title], agencies)
        stands_by(operator, everywhere["standby"])
        operator.nrmbus("up", "up", "--canary", "0")
        for service in SERVED:
            operator.shows(service, operator.folder.service(service))
        operator.start()
        until("the bus is up", lambda: "is up" in (operator.home / "up.out").read_text())
        for title in ("standby", *DESKS):
            everywhere[title].start()

        def cut() -> None:
            everywhere["ngos"].cut()
            asyncio.get_running_loop().call_later(CUT_SECONDS, everywhere["ngos"].mend)

        script = {3: brokers[0].lose, 6: brokers[0].start, 8: operator.lose, 12: operator.start, 14: cut, 16: brokers[1].lose}  # fmt: skip
        with OverHosts(everywhere, script) as stage:
            report = play(scenario, stage)
        assert [str(failure) for failure in report.failures] == []
        assert stage.spoken > max(script)
        brokers[1].start()
        check_trail(operator.folder)
        for number, what in {3: "a broker's machine lost", 8: "the operator's lost", 14: "a desk's cut off"}.items():
            record_property(
                "measured", f"{what}: the bus is quiet again {stage.took[number]:.1f} s after the next event"
            )
