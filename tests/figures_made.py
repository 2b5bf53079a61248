"""Made-up figures: records of persons and events, counted as those of a history are."""

from collections.abc import Sequence
from datetime import datetime

from nrmbus.events.figures import Release
from nrmbus.rules import Rules, load_profile
from nrmbus.statistics.counting import Count
from nrmbus.statistics.release import release_of
from nrmbus.statistics.spans import Span
from nrmbus.statistics.specs import SPECS, VICTIM, Record

RULES = Rules(load_profile("az@2022-04-29"), {})
_LINKED = {
    "decided_by_status",
    "identified_by_sex",
    "identified_by_age",
    "identified_by_age_band",
    "identified_by_sex_and_age",
}
FEW = tuple(each for each in SPECS if each.id in _LINKED)
"""Tables that are linked in every way: shared totals, two dimensions, bands within ages."""
ATTRIBUTES = ("sex", "age", "age_band", "citizenship_group", "citizenship", "region", "form", "sector", "detector")


class Made(Count):
    """Counts of records that a test made."""

    def __init__(self, found: dict[str, list[tuple[datetime, Record]]], year: int = 2026) -> None:
        """Count *found*, which has the records of each population with their time."""
        self._made = found
        super().__init__(RULES, (), year)

    def _read(self) -> None:
        self._found = self._made


def victims(groups: Sequence[tuple[int, int, str, str, str]], year: int = 2026) -> Made:
    """Return counts of identified victims: number, month, sex, age band, citizenship of each group."""
    found: list[tuple[datetime, Record]] = []
    for number, month, sex, band, citizenship in groups:
        record = dict.fromkeys(ATTRIBUTES, "unknown") | {
            "sex": sex,
            "age": "child" if band in ("10-13", "16-17") else "adult",
            "age_band": band,
            "citizenship_group": "national" if citizenship == "AZ" else "foreign",
            "citizenship": citizenship,
            "detector": "police_other",
            "status": VICTIM,
        }
        found += [(datetime(year, month, 1), record)] * number  # noqa: DTZ001 - a local time
    return Made({"decided": found}, year)


def released(count: Count, period: str, earlier: Sequence[Release] = ()) -> Release:
    """Return the release of *period*."""
    return release_of(count, Span.named(period), bus="made-up", by="statistics", checkpoints=(), earlier=earlier)
