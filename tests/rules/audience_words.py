"""A case of section 3 written down, and the words it is written with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rules.given import Bench

UNIT = "special-unit"
Opens = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Seen:
    """Expected audience of *type* published by *by* after *story*: ``sees`` get the event, ``opens`` maps parts to openers."""

    story: Callable[[Bench], Bench]
    by: str
    type: str
    sees: tuple[str, ...]
    opens: Opens = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)


def bulletin(agency: str) -> Callable[[Bench], Bench]:
    """Return a story about no case: the empty bulletin of *agency*."""

    def instead(b: Bench) -> Bench:
        return Bench.of_bulletin(agency, b.rules.profile)

    return instead


def going_on(story: Callable[[Bench], Bench], by: str, type: str, **said: Any) -> Callable[[Bench], Bench]:
    """*story*, and one event more."""

    def longer(b: Bench) -> Bench:
        story(b).say(by, type, **said)
        return b

    longer.__name__ = f"{story.__name__}_and_{type}"
    return longer


def barring(story: Callable[[Bench], Bench], agency: str, by: str = "ngo-a") -> Callable[[Bench], Bench]:
    """*story*, and consent for *agency* is withdrawn."""
    return going_on(story, by, "consent.withdrawn", receivers=[agency])


def opened_by_nobody(*parts: str) -> Opens:
    """These parts travel, and stay shut."""
    return dict.fromkeys(parts, ())


def opened_by(*agencies: str, parts: tuple[str, ...] = ("coded", "story")) -> Opens:
    """Each of *parts* is opened by *agencies*."""
    return dict.fromkeys(parts, agencies)


MOST: Opens = dict.fromkeys(("coded", "contact", "identity", "story"), ("vac",))
