"""Report of a play: one row for each step and for each automatic event of a service, and every failure."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from nrmbus.play.scenario import Scenario

Result = Literal["registered", "refused", "same receipt", "by itself", "holds", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed expectation: its place in the file, the expected and the actual value."""

    step: int
    line: int
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"step {self.step} (line {self.line}): {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the story. *at* is UTC; *who* an agency or a service; *detail* says more about the result."""

    step: int
    line: int
    at: datetime
    who: str
    event: str
    result: Result
    detail: str = ""
    received: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


Notify = Callable[[Row], None]


@dataclass(frozen=True, slots=True)
class Report:
    """A play from its first to its last row. *played* counts the steps that were reached."""

    scenario: Scenario
    rows: tuple[Row, ...]
    played: int
    failures: tuple[Failure, ...] = field(default=())

    @property
    def green(self) -> bool:
        """True if every step was played and every expectation held."""
        return not self.failures and self.played == len(self.scenario.steps)

    def to_mapping(self) -> dict[str, Any]:
        """Return the report in JSON types, as ``nrmbus play --json`` prints it."""
        return {
            "title": self.scenario.title,
            "policy": self.scenario.policy,
            "steps": len(self.scenario.steps),
            "played": self.played,
            "green": self.green,
            "rows": [_row(row) for row in self.rows],
            "failures": [asdict(failure) for failure in self.failures],
        }


def _row(row: Row) -> dict[str, Any]:
    told = {"time": row.at.strftime("%Y-%m-%dT%H:%M:%SZ"), "received": list(row.received)}
    names = ("step", "line", "time", "who", "event", "result", "detail", "received")
    return {name: told[name] if name in told else getattr(row, name) for name in names}
