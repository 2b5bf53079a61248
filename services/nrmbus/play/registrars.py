"""The doors of the registrar's processes as one: of several (`nrmbus up --replicas 2`) one works, and others take over.

Timekeeper and auditor have one door each, at which the working process answers. Each registrar has its own door.
"""

import asyncio
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, Self

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.replicas import PLACES, replica
from nrmbus.client.door import Door
from nrmbus.client.errors import Unreachable
from nrmbus.wire.names import REGISTRAR

_NOBODY: Final = "no registrar has the partitions; is the bus up?"


class Registrars(Door):
    """The door of the registrar that works; a process that was started later is found too."""

    works: str = REGISTRAR
    """Name of the process that worked when somebody asked last."""
    folder: BusFolder

    @cached_property
    def others(self) -> dict[str, Door]:
        """The doors of the processes beside the first, by name."""
        return {}

    @classmethod
    def on(cls, folder: BusFolder) -> Self:
        """Return the door of the registrar in *folder*.

        Raises:
            DoorError: no registrar was started here.
        """
        found = cls.of(folder.service(REGISTRAR))
        found.folder = folder
        return found

    async def __aexit__(self, *_: object) -> None:
        for each in self.others.values():
            await each.__aexit__()
        await super().__aexit__()

    def _look(self) -> None:
        """Find the doors of all processes that were started here, at the addresses that they have now."""
        self.look_again()
        for name in (replica(REGISTRAR, number) for number in range(2, len(PLACES) + 1)):
            if name in self.others:
                self.others[name].look_again()
            elif (home := self.folder.service(name)).is_dir():
                with suppress(Unreachable):
                    self.others[name] = Door.of(home)

    async def health(self) -> dict[str, Any]:
        """Return the health of the registrar that works.

        Raises:
            DoorError: no registrar works, or the working one is not known yet.
        """
        self._look()
        asked = {REGISTRAR: super().health(), **{name: door.health() for name, door in self.others.items()}}
        answers = dict(zip(asked, await asyncio.gather(*asked.values(), return_exceptions=True), strict=True))
        working = {name: each for name, each in answers.items() if isinstance(each, dict) and not each["standby"]}
        if len(working) != 1:
            raise Unreachable("unreachable", _NOBODY)
        ((self.works, found),) = working.items()
        return found

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Return what the registrar that works answers.

        Raises:
            DoorError: it does not answer, or has nothing to say.
        """
        if self.works in self.others:
            return await self.others[self.works].get(path, **params)
        return await super().get(path, **params)
