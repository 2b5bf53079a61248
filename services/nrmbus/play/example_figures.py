"""Released figures of an example bus: the figures of the previous year, made of invented cases.

An example has two days of cases, so no count of its own reaches the threshold. With some hundred made-up cases of the
previous year, people see how released figures look. The next release is compared with the previous year's.
"""

from pathlib import Path
from typing import Any, Final

from nrmbus.events.figures import Checkpoint, Release
from nrmbus.events.stats import PeriodPublished, packed
from nrmbus.play.reader import find, read
from nrmbus.play.scale import played, rules_of, scaled
from nrmbus.statistics.counting import Count
from nrmbus.statistics.release import release_of
from nrmbus.statistics.spans import Span
from nrmbus.wire.names import STATISTICS
from nrmbus.wire.registration import NOTHING_BEFORE

STORIES: Final = (
    "01-woman-referred-by-ngo", "02-child-begging-found-by-school", "05-home-or-here", "06-found-abroad",
    "07-no-and-then-a-court",
)  # fmt: skip
CASES: Final = 300
SEED: Final = 20


def invented(year: int, *, bus: str, partitions: int, policy: str) -> Release:
    """Return the release of *year*, from made-up cases; the same for the same year, of no place in the history of *bus*."""
    stories = [played(read(find(Path(name)))) for name in STORIES]
    cases = list(scaled(stories, CASES, SEED, (year,)))
    return release_of(
        Count(rules_of(stories, policy), cases, year), Span(year), bus=bus, by=STATISTICS,
        checkpoints=[Checkpoint(partition=each, size=0, head=NOTHING_BEFORE) for each in range(partitions)],
    )  # fmt: skip


def event_of(release: Release, actor: str, approver: str) -> dict[str, Any]:
    """Return the request that publishes *release* in the name of two people."""
    data = PeriodPublished(
        period=release.period, k=release.k, release=release.digest, figures=packed(release.to_json())
    )
    return {"type": data.type, "actor": actor, "approver": approver, "data": data.to_mapping()}
