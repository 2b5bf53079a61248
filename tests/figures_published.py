"""Published figures at a desk in a test: releases of made-up persons, and the events that carry them."""

from collections.abc import Iterable
from typing import Any, Final

from desk.given import Given
from figures_made import released, victims
from nrmbus.events import bulletin
from nrmbus.events.figures import Release
from nrmbus.events.stats import packed

AGENCY: Final = "statistics"
LAST: Final = released(victims([(40, 2, "F", "25-34", "AZ"), (30, 3, "M", "25-34", "AZ")], 2025), "2025")
YEAR: Final = released(
    victims([(60, 2, "F", "25-34", "AZ"), (25, 5, "M", "35-44", "UZ"), (3, 6, "F", "16-17", "AZ")]), "2026", [LAST]
)
CORRECTED: Final = released(victims([(90, 2, "F", "25-34", "AZ"), (45, 5, "M", "35-44", "UZ")]), "2026", [LAST, YEAR])


def said(release: Release) -> dict[str, Any]:
    """Return the data of the event that publishes *release*."""
    found = {"period": release.period, "k": release.k, "release": release.digest, "figures": packed(release.to_json())}
    return found | ({"previous": release.previous} if release.previous else {})


async def hear(here: Given, to: str, releases: Iterable[Release]) -> None:
    """Deliver *releases* to the desk of *to*, one after another."""
    for each in releases:
        event = here.registrar.event(AGENCY, "stats.period_published", said(each), case=bulletin.of(AGENCY))
        await here.hear(here.registrar.register(event, to=to))
    await here.settle()
