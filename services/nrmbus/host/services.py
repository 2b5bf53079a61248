"""Services of a bus by name, and the module that each starts with."""

import asyncio
import importlib
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.replicas import parted, replica
from nrmbus.wire.names import AUDITOR, CANARY, REGISTRAR, TIMEKEEPER

if TYPE_CHECKING:  # a process that only looks a name up need not wait for Kafka's client
    from nrmbus.bus.kafka.lease import How

SERVICES: Final = {
    REGISTRAR: "nrmbus.registrar.app",
    TIMEKEEPER: "nrmbus.timekeeper.app",
    AUDITOR: "nrmbus.auditor.app",
    CANARY: "nrmbus.canary.app",
}
"""The bus's own services, and the module whose ``main(folder)`` is one of them. Every other name is an agency's."""

CLOCK_SECONDS: Final = 10.0
"""Seconds between two looks at a clock that is wrong."""

_BEGINS: Final = "{} starts here, and says below what it does. Ctrl-C ends it."

DESK: Final = "nrmbus.desk.app"
"""The module whose ``main(folder, agency)`` is an agency's desk."""

PUBLIC: Final = "nrmbus.public.app"
"""The module whose ``main(folder, agency)`` is an agency's public page."""

_PUBLIC_OF: Final = "public."


def public_page_of(agency: str) -> str:
    """Return the name of the process of *agency*'s public page; no agency's id has a dot."""
    return _PUBLIC_OF + agency


def agency_of(name: str) -> str:
    """Return the agency to which the process *name* belongs: undoes `public_page_of`."""
    return name.removeprefix(_PUBLIC_OF)


def is_public_page(name: str) -> bool:
    """Return whether the process *name* is a public page. It comes to no broker, and is given no passphrase."""
    return name.startswith(_PUBLIC_OF)


def pages_here(folder: BusFolder, agency: str) -> tuple[str, ...]:
    """Return the name of the public page of *agency*, if its ``agency.json`` sets one."""
    with suppress(BusError):  # a file that cannot be read: the agency's desk says so
        if folder.agency(agency).settings.public is not None:
            return (public_page_of(agency),)
    return ()


def services_of(folder: BusFolder) -> tuple[str, ...]:
    """Return the services of the bus in *folder* that run on the operator's machine: the canary only if it is set, the auditor unless it is elsewhere."""
    there = {CANARY: folder.canary_seconds > 0, AUDITOR: not folder.audited_elsewhere}
    return tuple(each for each in SERVICES if there.get(each, True))


def processes_of(folder: BusFolder, replicas: int) -> tuple[str, ...]:
    """Return the names of all processes of these services: *replicas* of each, and one canary."""
    return tuple(
        replica(each, number)
        for each in services_of(folder)
        for number in range(1, 2 if each == CANARY else replicas + 1)
    )


def wait_for_clock(folder: BusFolder, service: str, notify: Callable[[str], None]) -> None:
    """Wait until the clock of this standby host agrees with the broker's; *notify* gets one sentence about what is wrong.

    A broker that does not answer is waited for by the service itself. Elsewhere, and for an agency, nothing is waited for.
    """
    if service not in SERVICES or folder.host is None:
        return
    from aiokafka.errors import KafkaError  # noqa: PLC0415 - as below

    from nrmbus.bus.kafka import clock_check  # noqa: PLC0415 - it needs Kafka's client, as below

    said = False
    while True:
        try:
            seconds = asyncio.run(clock_check.ahead(folder.reach(folder.service(service)), service))
        except KafkaError:
            return
        if not clock_check.is_wrong(seconds):
            return
        if not said:
            notify(clock_check.sentence(seconds))
        said = True
        time.sleep(CLOCK_SECONDS)


def _check_place(service: str, folder: BusFolder) -> None:
    """Check that the *service* is not one that runs on another machine.

    Raises:
        NoBus: it is the auditor of a bus that was made for one elsewhere; here she would only wait for keys.
    """
    if service == AUDITOR and folder.audited_elsewhere:
        raise NoBus("The auditor of this bus works on a machine of her own: nrmbus run auditor there.")


def run_service(
    name: str, folder: BusFolder, notify: Callable[[str], None] = lambda _: None, how: "How" = "wait"
) -> None:
    """Be the service *name* of the bus in *folder* until SIGTERM. *notify* is called when it begins.

    *how* says what a desk does that runs on another host already.

    Raises:
        FolderHeld: another process is it here already. Two of one ledger would take each other's place at the broker and at the door.
        NoBus: there is no such bus, or no such service on it.
        BusError: it did not start, and a person has to mend what the message says.
    """
    folder.settings  # noqa: B018 - raises where no bus was made
    from nrmbus.host.profiles import know_profiles, take_newcomers  # noqa: PLC0415 - the Rules load with the service and not before it

    know_profiles(folder)
    if name != CANARY and not is_public_page(name):  # these judge nothing
        take_newcomers(folder)
    service, number = parted(name)
    _check_place(service, folder)
    try:
        wait_for_clock(folder, service, notify)
        if service == REGISTRAR:
            with folder.alone(name):
                notify(_BEGINS.format(name))
                importlib.import_module(SERVICES[service]).main(folder, number)
        elif service in (TIMEKEEPER, AUDITOR):
            from nrmbus.bus.standby import working  # noqa: PLC0415 - it needs Kafka's client, as above

            with folder.alone(name), working(folder, name):
                notify(_BEGINS.format(name))
                importlib.import_module(SERVICES[service]).main(folder)
        elif name in SERVICES:
            with folder.among(name):
                notify(_BEGINS.format(name))
                importlib.import_module(SERVICES[name]).main(folder)
        elif is_public_page(name):
            if agency_of(name) not in folder.agencies():
                known = ", ".join(folder.agencies()) or "none"
                raise NoBus(f"No agency of that name has its desk in {folder.path}; there are: {known}.")
            with folder.alone(name):
                importlib.import_module(PUBLIC).main(folder, agency_of(name), notify)
        elif name in folder.agencies():
            with folder.alone(name):
                notify(_BEGINS.format(f"The desk of {name}"))
                importlib.import_module(DESK).main(folder, name, notify, how)
        elif folder.agency(name).keys.exists():
            raise NoBus(
                f"{name} is not on the bus yet, or its keys do not hold yet: nrmbus agency check {name} "
                f"--data '{folder.path}' says what is missing."
            )
        else:
            known = ", ".join([*SERVICES, *folder.agencies()])
            raise NoBus(f"The bus in {folder.path} has no such service; it has {known}.")
    except Exception as error:
        # Imported here: a service has it loaded, and a process that only looks a name up need not wait for Kafka's client.
        from nrmbus.directory.errors import DirectoryError  # noqa: PLC0415

        if isinstance(error, DirectoryError):  # a code, a number and a sentence of ours
            raise BusError(f"{name} does not go on: {error}") from None
        raise
    finally:
        from nrmbus import telemetry  # noqa: PLC0415 - as above

        telemetry.shut_down()  # whoever called us may leave without tidying
