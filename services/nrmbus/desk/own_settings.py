"""Settings of a desk: what ``agency.json`` says, checked, for the start of the process."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.errors import BusError
from nrmbus.bus.http_server import PORTS
from nrmbus.bus.tls_listener import Listen
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.limits import A_MINUTE, MOST_A_MINUTE
from nrmbus.desk.procedure.interface import Settings
from nrmbus.desk.versions import declared
from nrmbus.edge.mounts import ADAPTERS
from nrmbus.events.access import is_reader
from nrmbus.events.provider import CapacityChanged


def settings_of(home: AgencyFolder) -> Settings:
    """Return what ``agency.json`` sets for the procedure and the versions.

    Raises:
        BusError: ``capacity`` has a category that no shelter has, or a value that is no number of places.
        DeskError: ``reader_unfit``.
    """
    given = home.settings
    reader = given.reader
    if reader is not None and not (isinstance(reader, str) and is_reader(reader)):
        raise DeskError("reader_unfit")
    places = given.capacity
    if not isinstance(places, dict) or not all(
        each in CapacityChanged.model_fields and type(places[each]) is int and places[each] >= 0 for each in places
    ):
        raise BusError(
            f"`capacity` in {home.agency_json} gives no places: write a whole number, 0 or more, for each of"
            f' {", ".join(CapacityChanged.model_fields)}, like {{"women": 4}}, or leave the category out.'
        )
    return Settings(capacity=places, speaks=dict(declared(given.speaks)), reader=reader)


def edge_of(home: AgencyFolder) -> tuple[str, ...]:
    """Return the adapters that ``agency.json`` names; raise DeskError ``edge_unknown`` for one that does not exist."""
    names = home.settings.edge
    if not isinstance(names, list) or not all(isinstance(each, str) and each in ADAPTERS for each in names):
        raise DeskError("edge_unknown")
    return tuple(dict.fromkeys(names))


def port_of(home: AgencyFolder) -> int | None:
    """Return the port that ``agency.json`` sets for the door, or None if the desk chooses.

    Raises:
        BusError: it is no port for a door, or another member has the port on this machine. The door would move at each
            start that comes second, and a web server in front of the public page would show the desk to everybody.
    """
    port = home.settings.port
    if port is not None and not (type(port) is int and port in PORTS):
        raise BusError(
            f"`port` in {home.agency_json} is no port for a door: write a number from {PORTS.start} to {PORTS.stop - 1},"
            " or leave it out."
        )
    if port is not None and (other := _also_at(home, port)):
        raise BusError(
            f"`port` and `{other}` in {home.agency_json} are one port of this machine: write another number for `port`,"
            " or leave it out."
        )
    return port


def _also_at(home: AgencyFolder, port: int) -> str | None:
    """Return the other member of ``agency.json`` that has *port* of 127.0.0.1, or None. A member that is wrong has none."""
    found = home.settings
    public: Mapping[str, Any] = found.public if isinstance(found.public, Mapping) else {}
    if public.get("port") == port:
        return "public.port"
    for name, listen in (("listen.port", found.listen), ("public.listen.port", public.get("listen"))):
        with suppress(BusError):
            asked = Listen.parse(listen, home.agency_json)
            if asked is not None and asked.has_here(port):
                return name
    return None


def requests_of(home: AgencyFolder) -> int:
    """Return the requests a minute that a token without a limit of its own may send."""
    found = home.settings.requests_a_minute
    if found is not None and not (type(found) is int and 0 < found <= MOST_A_MINUTE):
        raise BusError(
            f"`requests_a_minute` in {home.agency_json} is no limit: write a number from 1 to {MOST_A_MINUTE:,}, or leave it out."
        )
    return A_MINUTE if found is None else found
