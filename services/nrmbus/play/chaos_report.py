"""Result of a chaos run, and its rendering."""

from dataclasses import asdict, dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

from nrmbus.play.trail import Anomalies

BROKER: Final = "broker"
REGISTRAR_SECONDS: Final = 10.0
"""Within which a registrar must be back after it was killed, frozen or restarted."""
DESK_SECONDS: Final = 2.0
"""Limit for a desk's next handled record, counted from the restart of its process."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind and target, and the seconds until recovery."""

    kind: str
    service: str
    seconds: float


@dataclass(slots=True)
class Found:
    """The result of a run."""

    date: str
    seed: int
    faults: list[Fault] = field(default_factory=list)
    trail: Anomalies = field(default_factory=Anomalies)
    acknowledged: int = 0
    accepted: int = 0
    unclosed: int = 0
    """Accepted events that are unanswered or refused in the desk's ledger."""
    doubled: int = 0
    """Accepted events that are in the desk's ledger, or in the special unit's, more than once."""
    unheard: int = 0
    """Signals that a door accepted and that the special unit's ledger lacks."""
    restless: str = ""
    """Services that had not come to rest at the end."""

    @property
    def anomaly(self) -> bool:
        """True if anything was lost, refused, doubled, out of order or unfinished: the Rules accept the whole load."""
        return bool(
            self.trail.any or self.trail.refused or self.unclosed or self.doubled or self.unheard or self.restless
        )

    @property
    def late(self) -> list[Fault]:
        """Faults after which a registrar took 10 s, or a desk 2 s from its return, or longer."""
        return [each for each in self.faults if (limit := limit_of(each.kind)) is not None and each.seconds >= limit]


def limit_of(kind: str) -> float | None:
    """Within how many seconds a fault of this *kind* must be past; none where nothing is promised."""
    if kind in ("kill desk", "restart desk"):
        return DESK_SECONDS
    return REGISTRAR_SECONDS if "registrar" in kind and BROKER not in kind else None


def show(found: Found) -> None:
    """Print what was found: recovery by kind of fault, counts, anomalies."""
    console = Console()
    table = Table("fault", "times", "median s", "longest s", "limit s", title=f"Chaos, {found.date}, seed {found.seed}")
    for kind in sorted({each.kind for each in found.faults}):
        took = sorted(each.seconds for each in found.faults if each.kind == kind)
        limit = limit_of(kind)
        table.add_row(
            kind, str(len(took)), f"{took[len(took) // 2]:.2f}", f"{took[-1]:.2f}", f"{limit:.0f}" if limit else ""
        )
    console.print(table)
    trail = asdict(found.trail)
    console.print(
        f"{len(found.faults)} faults; {found.acknowledged} events acknowledged in outboxes, {found.accepted} accepted at doors; "
        f"{trail.pop('registered')} registered, {trail.pop('refused')} refused, {trail.pop('sealed_again')} sealed again"
    )
    trail |= {name: getattr(found, name) for name in ("unclosed", "doubled", "unheard")}
    console.print(", ".join(f"{count} {name}" for name, count in trail.items()))
    for each in found.late:
        console.print(f"late: {each.service} took {each.seconds:.1f} s after: {each.kind}")
    if found.restless:
        console.print(found.restless)
