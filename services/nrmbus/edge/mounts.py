"""Adapters that a desk mounts, by the names that ``edge`` in ``agency.json`` has."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from nrmbus.edge.cloud_events.routes import CloudEvents
from nrmbus.edge.door import OwnDoor
from nrmbus.edge.fhir.routes import Fhir
from nrmbus.edge.govstack.routes import GovStack
from nrmbus.edge.htcds.routes import Htcds


class Adapter(Protocol):
    """Adapter of one standard."""

    def application(self) -> Starlette:
        """Return the routes of the adapter."""
        ...


class Guarded(Protocol):
    """An application behind a check of the token, as a desk serves it."""

    @property
    def app(self) -> Starlette:
        """Return the routes behind the check."""
        ...

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request."""
        ...


ADAPTERS: Final[Mapping[str, Callable[[OwnDoor], Adapter]]] = {
    "cloudevents": CloudEvents,
    "fhir": Fhir,
    "govstack": GovStack,
    "htcds": Htcds,
}
"""Adapters by name; the name is also the first part of their addresses."""


def mount(names: Iterable[str], served: Guarded, agency: str, zone: Callable[[], ZoneInfo]) -> None:
    """Mount the adapters *names* behind the check of the token in *served*, the application of the desk of *agency*.

    *zone* returns the time zone of the profile in force.
    """
    door = OwnDoor(served, agency, zone)
    for name in names:
        served.app.mount(f"/{name}", ADAPTERS[name](door).application())
