"""The woman's case over five machines, while machines are lost and cables pulled."""

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from machines import OPERATOR, POSSIBLE, Machine, machines
from nrmbus.bus.embedded import ports
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.bus.private_files import make_private
from nrmbus.cli.membership import invitation
from nrmbus.client.door import Door
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage, newcomers_of
from nrmbus.play.player import play
from nrmbus.play.quiet import Quiet
from nrmbus.play.reader import parse
from nrmbus.play.stage import Outcome, Words
from patience import PATIENCE
from play.stories import WOMAN, text_of

pytestmark = [pytest.mark.broker, pytest.mark.slow]

MACHINES = {
    "ministry": ("special-unit", "police-x", "migration"),
    "social": ("shelter", "vac", "fund"),
    "ngos": ("ngo-a", "ngo-l"),
    "abroad": ("embassy",),
}
CUT_SECONDS = 3.0
"""Seconds for which a cable is out."""


class OverMachines(BusStage):
    """A stage whose desks are on other machines; while every third event is under way, something happens to one of them."""

    def __init__(self, folder: BusFolder, everywhere: tuple[Machine, ...], port: int) -> None:
        super().__init__(folder)
        self._quiet = Quiet(self._doors, patience=PATIENCE)
        self._everywhere, self._port, self._spoken = everywhere, port, 0
        self.lost: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()

    def _on(self, agency: str) -> Machine | None:
        return next((each for each in self._everywhere if agency in each.agencies), None)

    async def _find_doors(self) -> None:
        until = time.monotonic() + PATIENCE
        for each in self._everywhere:
            for agency in each.agencies:
                await self._open(agency, each.home(agency), until)
        await super()._find_doors()

    def _door(self, name: str, home: Path) -> Door:
        machine = self._on(name)
        return machine.door(name) if machine else super()._door(name, home)

    async def _restart(self, service: str) -> None:
        if (machine := self._on(service)) is None:
            await super()._restart(service)
            return
        machine.lose()
        machine.start(self._port)
        self.lost[machine.title] += 1
        await self._quiet.wait(machine.agencies)

    async def _publish(self, words: Words) -> Outcome:
        self._spoken += 1
        others = [each for each in self._everywhere if each is not self._on(words.by)]
        each = others[self._spoken // 3 % len(others)]
        if self._spoken % 6 == 0:
            each.lose()
            self.lost[each.title] += 1
            each.start(self._port)  # which takes seconds, and the event is there before
        elif self._spoken % 3 == 0:
            each.cut()
            self.cut[each.title] += 1
            asyncio.get_running_loop().call_later(CUT_SECONDS, each.mend)
        return await super()._publish(words)


@pytest.mark.parametrize("possible", ["namespaces"] if POSSIBLE else [])
def test_the_first_story_over_five_machines(tmp_path: Path, possible: str) -> None:
    """P1, P2: scenario 1, every expectation, with 80 ms and lost connections between the machines."""
    scenario = parse(text_of(WOMAN), "woman.yaml")
    operator = BusFolder(tmp_path / "operator")
    operator.create(play=True)
    (port,) = ports.free_ports(1)
    with Supervisor(operator, agencies=newcomers_of(scenario.agencies)):
        pass
    with machines(tmp_path, MACHINES) as everywhere:
        operator.listen(Listening((f"{OPERATOR}:{port}",), forwarded=True))
        for each in everywhere:
            moved(operator, each, tmp_path)
        with Supervisor(operator):
            for each in everywhere:
                each.start(port)
            with OverMachines(operator, everywhere, port) as stage:
                report = play(scenario, stage)
    assert [str(failure) for failure in report.failures] == []
    assert set(stage.lost) | set(stage.cut) == set(MACHINES)
    assert stage.lost.total() > 3
    assert stage.cut.total() > 3


def moved(operator: BusFolder, machine: Machine, home: Path) -> None:
    """Have the agencies of *machine* there: it joins by an invitation, and each agency's folder is carried over."""
    invited = home / f"{machine.name}.invitation.json"
    if not invited.exists():
        invitation.invite(invited, data=operator.path)
    invitation.join(invited, data=machine.folder.path)
    for agency in machine.agencies:
        make_private(machine.home(agency).parent)
        shutil.move(operator.agency(agency).path, machine.home(agency))
