"""Recipients and openers in an emergency: the rows of section 3 on emergency access."""

from collections.abc import Iterator
from typing import Final

from rules.audience_words import UNIT, Seen, barring, going_on
from rules.given import Bench
from rules.stories import child_signalled, planned


def _emergency() -> Iterator[Seen]:
    two = {"ref": "E-1", "approver": "A-2"}
    yield Seen(planned, "shelter", "access.break_glass", ("ngo-a", "vac"), said=two)
    yield Seen(barring(planned, "ngo-a", UNIT), "shelter", "access.break_glass", (UNIT, "vac"), said=two)
    yield Seen(child_signalled, UNIT, "access.break_glass", ("district", "school"), said=two)
    asked = going_on(planned, "shelter", "access.break_glass", **two)
    told = ("ngo-a", "shelter")
    yield Seen(asked, "vac", "access.break_glass_objected", told, said={"ref": "E-1"})
    yield Seen(asked, "timekeeper", "access.reseal_due", (*told, "vac"), said={"ref": "E-1"})

    def due(b: Bench) -> Bench:
        asked(b).say_due("access.reseal_due")
        return b

    opened = {"contact": ("shelter",), "identity": ("shelter",), "health": (), "story": ()}
    yield Seen(due, "vac", "access.resealed", told, opened, {"ref": "E-1"})


EMERGENCY: Final[tuple[Seen, ...]] = tuple(_emergency())
