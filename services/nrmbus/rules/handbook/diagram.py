"""The statuses of a profile as a graph, and as text for Mermaid."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nrmbus.rules.profile import Profile, Transition

_MANY: Final = 5
"""From this number of statuses on, a row leads from the group of them."""
BEGINNING: Final = "none"
BACK: Final = "before"
_GROUP: Final = "OPEN"


@dataclass(frozen=True, slots=True)
class Arrow:
    """Way from one status to another: the transitions and the types of event that lead there."""

    before: str
    after: str
    ids: tuple[str, ...]
    events: tuple[str, ...]


def moving(profile: Profile) -> Iterator[Transition]:
    """Yield the rows that change the status of a case."""
    yield from (row for row in profile.statuses.transitions if row.to is not None)


def group_of(profile: Profile) -> tuple[str, ...]:
    """Return the statuses that every row from many statuses leads from; empty if no row has many."""
    many = [row.from_ for row in moving(profile) if len(row.from_) >= _MANY]
    return tuple(each for each in many[0] if all(each in others for others in many)) if many else ()


def arrows(profile: Profile) -> tuple[Arrow, ...]:
    """Return the ways between statuses; rows with the same two ends are one way, and those from many statuses lead from their group."""
    group = set(group_of(profile))
    found: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for row in moving(profile):
        starts: list[str] = [*row.from_]
        if group and group <= set(starts):
            starts = [_GROUP, *(each for each in starts if each not in group)]
        for start in starts:
            ids, events = found.setdefault((start, str(row.to)), ({}, {}))
            ids.update(dict.fromkeys(row.id.split(", ")))
            events.update(dict.fromkeys(row.events))
    return tuple(Arrow(before, after, tuple(ids), tuple(events)) for (before, after), (ids, events) in found.items())


def statuses_of(profile: Profile) -> tuple[str, ...]:
    """Return the statuses that some row leads to, in the order of the rows."""
    return tuple(dict.fromkeys(str(row.to) for row in moving(profile) if row.to != BACK))


def mermaid(profile: Profile) -> str:
    """Return the diagram of the statuses in Mermaid's language."""
    lines = ["stateDiagram-v2"]
    group = group_of(profile)
    if group:
        lines += [f'    state "any of these" as {_GROUP} {{', *(f"        {each}" for each in group), "    }"]
    drawn = arrows(profile)
    if any(each.after == BACK for each in drawn):
        lines.append(f'    state "the status before" as {BACK}')
    for each in drawn:
        before = "[*]" if each.before == BEGINNING else each.before
        label = f"{', '.join(each.ids)} {' or '.join(each.events)}"
        lines.append(f"    {before} --> {each.after} : {label}")
    return "\n".join(lines)
