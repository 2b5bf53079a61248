"""YAML read strictly: every value knows its line, and what a reader might misread is an error.

YAML 1.1 reads ``no`` as false, ``1:10`` as 70 and lets a key stand twice. Here only ``true``, ``false`` and whole
numbers are not text; a key stands once; there are no anchors, tags, fractions and empty values.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import yaml

Path = tuple[str | int, ...]
"""Where a value stands: keys and positions from the root of the file."""

_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = "tag:yaml.org,2002:int"
_TEXT: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_FLOAT: Final = "tag:yaml.org,2002:float"

_NOT_HERE: Final = {
    _NULL: "there is no value here",
    _FLOAT: "a fraction is written as text: put it in quotation marks",
}


class NotStrictError(Exception):
    """Raised when a file is not YAML, or not as strict as this reader wants it; *line* counts from 1."""

    def __init__(self, line: int, sentence: str, path: Path = ()) -> None:
        """Say what is wrong in *line*; *path* is where that stands, if so much was read."""
        super().__init__(f"line {line}: {sentence}")
        self.line = line
        self.sentence = sentence
        self.path = path


class _Loader(yaml.SafeLoader):
    """Composes nodes; resolves plain scalars by the few rules above."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and type that PyYAML reads


_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(_INT, re.compile(r"^-?(?:0|[1-9][0-9]{0,15})$"), list("-0123456789"))
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"^-?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?$"), list("-0123456789"))
_Loader.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


def load(text: str) -> tuple[Any, dict[Path, int]]:
    """Return the JSON value of *text*, and the line of every key and item in it.

    Raises:
        NotStrictError: not YAML, or not strict.

    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = NotStrictError(mark.line + 1 if mark else 1, f"this is not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, OverflowError, ValueError):  # the latter two for an escape beyond Unicode
        problem = NotStrictError(1, "this is not YAML: a character that YAML does not allow")
    except RecursionError:
        problem = NotStrictError(1, "it is nested deeper than anything that is meant here")
    else:
        if root is None:
            raise NotStrictError(1, "the file is empty")
        lines: dict[Path, int] = {(): _line(root)}
        return _Reader(lines).value(root, ()), lines
    raise problem


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Reader:
    """Turns nodes into JSON values and notes their lines."""

    def __init__(self, lines: dict[Path, int]) -> None:
        self._lines = lines
        self._met: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        if id(node) in self._met:  # the composer hands out an anchored node once more
            line = self._lines.get(path, _line(node))
            raise NotStrictError(line, "anchors are not used here: write the value out", path)
        self._met.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(value, (*path, key)) for key, value in self._entries(node, path)}
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[*path, index] = _line(item)
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(cast("yaml.ScalarNode", node), path)

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
                raise NotStrictError(_line(key), "a key is a word", path)
            if key.value in seen:
                raise NotStrictError(_line(key), f"the key '{key.value}' stands here twice", path)
            seen.add(key.value)
            self._lines[*path, key.value] = _line(key)
            yield key.value, value


def _scalar(node: yaml.ScalarNode, path: Path) -> str | int | bool:
    if node.tag == _TEXT:
        return str(node.value)
    if node.tag == _BOOL:
        return bool(node.value == "true")
    if node.tag == _INT:
        return int(node.value)
    raise NotStrictError(_line(node), _NOT_HERE.get(node.tag, "tags are not used here"), path)
