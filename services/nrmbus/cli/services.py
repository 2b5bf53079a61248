"""The services of a bus, by name, and where each of them begins."""

import importlib
from typing import Final

from nrmbus import telemetry
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.errors import DirectoryError

SERVICES: Final = {
    "registrar": "nrmbus.registrar.app",
    "timekeeper": "nrmbus.timekeeper.app",
    "auditor": "nrmbus.auditor.app",
}
"""The bus's own services, and the module whose ``main(folder)`` is one of them. Every other name is an agency's."""

DESK: Final = "nrmbus.desk.app"
"""The module whose ``main(folder, agency)`` is an agency's desk."""


def run_service(name: str, folder: BusFolder) -> None:
    """Be the service *name* of the bus in *folder* until SIGTERM.

    Raises:
        NoBus: there is no such bus, or no such service on it.
        BusError: it did not start, and a person has to mend what the message says.
    """
    folder.settings  # noqa: B018 - raises where no bus was made
    try:
        if name in SERVICES:
            importlib.import_module(SERVICES[name]).main(folder)
        elif name in folder.agencies():
            importlib.import_module(DESK).main(folder, name)
        else:
            known = ", ".join([*SERVICES, *folder.agencies()])
            raise NoBus(f"The bus in {folder.path} has no such service; it has {known}.")
    except DirectoryError as error:  # a code, a number and a sentence of ours
        raise BusError(f"{name} does not go on: {error}") from None
    finally:
        telemetry.shut_down()  # whoever called us may leave without tidying
