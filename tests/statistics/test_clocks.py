"""Duties by clock and by role: the same duties, counted twice over."""

from pathlib import Path
from typing import Final

from nrmbus.play.reader import find, read
from nrmbus.play.scale import played, rules_of, scaled
from nrmbus.statistics.counting import Count
from nrmbus.statistics.spans import Span
from nrmbus.statistics.specs import SPECS
from nrmbus.statistics.tables import TOTAL

BY: Final = {spec.id: spec for spec in SPECS if spec.population == "clocks"}


def counted() -> dict[str, dict[tuple[str, ...], int]]:
    """Return both tables of the years of forty copies of the story in which duties are missed."""
    story = played(read(find(Path("03-she-takes-it-back"))))
    count = Count(rules_of([story], "az@2022-04-29"), list(scaled([story], 40, 7, (2026,))), 2026)
    return {name: count.cells(spec, Span(2026), 1) for name, spec in BY.items()}


def test_every_missed_duty_has_the_role_that_owed_it() -> None:
    """Both tables have the same totals, and no duty is anybody's: the role follows from the clock that ran out."""
    found = counted()

    for outcome in ("met", "missed", TOTAL):
        assert found["clocks_by_rule"][TOTAL, outcome] == found["clocks_by_role"][TOTAL, outcome] > 0
    assert found["clocks_by_role"]["unknown", "missed"] == 0
    # In the story, NGO and centre do not begin in time, and the NGO also does not stop in time.
    stopped, begun = (found["clocks_by_rule"][rule, "missed"] for rule in ("D-STOP", "D-ASSIGN"))
    assert found["clocks_by_role"]["ngo_legal", "missed"] == stopped + begun // 2
    assert found["clocks_by_role"]["vac", "missed"] == begun // 2 > 0
