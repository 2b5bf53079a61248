"""Places of a YAML file: the line and column of each key and item, and keys that are there twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

Path = tuple[str | int, ...]
"""Keys and numbers of items that lead from the top of a file to a value."""
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: a profile is read in a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where each path of a file begins, and the paths whose key is there a second time, with that second place."""

    known: dict[Path, Place]
    twice: list[tuple[Path, Place]] = field(default_factory=list)
    elsewhere: Place = Place(1, 1)
    """The place of a value that another file has."""

    def of(self, path: Path) -> Place:
        """Return the place of *path*, or of the nearest value around it that the file has."""
        for length in range(len(path), 0, -1):
            if found := self.known.get(path[:length]):
                return found
        return self.elsewhere


def places(text: str) -> Places:
    """Return the places of the YAML *text*. Raise yaml.YAMLError if it is none."""
    found = Places({})
    node = yaml.compose(text, LOADER)
    if node is not None:
        for path, place in _walk(node, ()):
            if path in found.known:
                found.twice.append((path, place))
            else:
                found.known[path] = place
    return found


def _walk(node: yaml.Node, path: Path) -> Iterator[tuple[Path, Place]]:
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            name = str(key.value)
            yield (*path, name), _place(key)
            if name not in seen:  # what is below a key that is there twice has the places of the first one
                yield from _walk(value, (*path, name))
            seen.add(name)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            below = (*path, number)
            yield below, _place(item)
            yield from _walk(item, below)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
