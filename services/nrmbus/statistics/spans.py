"""Periods of figures: a year or a quarter of the profile's calendar. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A year or a quarter of the profile's calendar."""

    year: int
    quarter: int | None = None

    @classmethod
    def named(cls, name: str) -> "Span":
        """Return the period *name*, such as 2026 or 2026-Q1."""
        year, _, quarter = name.partition("-Q")
        return cls(int(year), int(quarter) if quarter else None)

    @property
    def name(self) -> str:
        """Return the name, such as 2026 or 2026-Q1."""
        return f"{self.year:04d}" + (f"-Q{self.quarter}" if self.quarter else "")

    @property
    def parts(self) -> tuple["Span", ...]:
        """Return the quarters of the year; the quarter itself of a quarter."""
        return (self,) if self.quarter else tuple(Span(self.year, quarter) for quarter in (1, 2, 3, 4))

    def has(self, local: datetime) -> bool:
        """Return whether the *local* time lies in the period."""
        return local.year == self.year and self.quarter in (None, (local.month + 2) // 3)


@dataclass(frozen=True, slots=True)
class Rest:
    """Quarters of a year whose figures are not published; what they have together follows from the year and the others."""

    quarters: tuple[Span, ...]

    @property
    def name(self) -> str:
        """Return a name that no period has."""
        return f"{self.quarters[0].year:04d}-rest"

    def has(self, local: datetime) -> bool:
        """Return whether the *local* time lies in one of the quarters."""
        return any(each.has(local) for each in self.quarters)
