"""Geometry of a picture of the statuses: one column of boxes; ways forward bend to the right, ways back to the left.

A page draws it as SVG in its reader's language; the table beside it has the same ways in words.
"""

from dataclasses import dataclass, replace
from typing import Final, get_args

from nrmbus.rules.handbook.diagram import BACK, BEGINNING, arrows, group_of, statuses_of
from nrmbus.rules.profile import Profile
from nrmbus.rules.records import Status

WIDTH: Final = 640
BOX: Final = 250
HEIGHT: Final = 38
_STEP: Final = 68
_TOP: Final = 12
_PORT: Final = 8
_BEND: Final = 30
_LABEL_WIDTH: Final = 46
_LABEL_HEIGHT: Final = 17


@dataclass(frozen=True, slots=True)
class Box:
    """One status: its name, and the upper left corner of its box."""

    name: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Way:
    """One way between two statuses: the curve, and the transitions with their place."""

    path: str
    label: str
    x: int
    y: int
    is_back: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and ways, with the size of the whole; ``from_all`` are the ways that lead from each open status."""

    boxes: tuple[Box, ...]
    ways: tuple[Way, ...]
    height: int
    width: int
    from_all: tuple[tuple[str, str], ...]
    """Status and transitions of the ways that are not drawn, since they lead from every open status."""


def picture(profile: Profile) -> Picture:
    """Return the picture of the statuses of *profile*."""
    reached = set(statuses_of(profile))
    names = [each for each in get_args(Status) if each in reached]
    left = (WIDTH - BOX) // 2
    tops = {name: _TOP + number * _STEP for number, name in enumerate(names)}
    ways: list[Way] = []
    from_all: list[tuple[str, str]] = []
    group = group_of(profile)
    for each in arrows(profile):
        label = ", ".join(each.ids)
        if each.before not in tops:
            if group and each.before != BEGINNING:
                from_all.append((each.after, label))
        elif each.after not in (BACK, each.before):
            ways.append(_clear(_way(tops[each.before], tops[each.after], left, label), ways))
    boxes = tuple(Box(name, left, top) for name, top in tops.items())
    return Picture(boxes, tuple(ways), _TOP + len(names) * _STEP, WIDTH, tuple(from_all))


def _way(start: int, end: int, left: int, label: str) -> Way:
    is_back = end < start
    side = left if is_back else left + BOX
    steps = abs(end - start) // _STEP
    bend = side + (-1 if is_back else 1) * (_BEND + 21 * steps)
    first, last = (
        start + HEIGHT // 2 + (-_PORT if is_back else _PORT),
        end + HEIGHT // 2 + (_PORT if is_back else -_PORT),
    )
    path = f"M {side} {first} C {bend} {first}, {bend} {last}, {side} {last}"
    return Way(path, label, side + (bend - side) * 3 // 4, (first + last) // 2, is_back)


def _clear(way: Way, others: list[Way]) -> Way:
    """Return *way* with its label moved down until it lies on none of the *others*."""
    while any(abs(each.x - way.x) < _LABEL_WIDTH and abs(each.y - way.y) < _LABEL_HEIGHT for each in others):
        way = replace(way, y=way.y + _LABEL_HEIGHT)
    return way
