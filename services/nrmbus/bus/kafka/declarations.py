"""Topics as files: a strict reader of ``deploy/topics/*.yaml``. An unknown word is an error with its line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from nrmbus.bus.errors import DeclarationError
from nrmbus.packed import packed

_KEYS: Final = frozenset(
    {
        "topic", "description", "buses", "writers", "readers", "watchers", "group", "transactional_id", "key", "partitions",
        "retention", "dead_letter", "config",
    }
)  # fmt: skip
_OPTIONAL: Final = frozenset({"buses", "watchers", "group", "transactional_id"})
_CONFIG: Final = frozenset(
    {"cleanup.policy", "segment.ms", "message.timestamp.type", "compression.type", "max.message.bytes"}
)
_NEVER_INHERITED: Final = {"retention.bytes": "-1", "unclean.leader.election.enable": "false"}
"""Settings of every topic. A cluster's own values may delete the oldest records by their size, or the newest with a broker."""
_AGENCY: Final = "{agency}"
_NAME: Final = re.compile(r"nrm\.[a-z]+(\.\{agency\})?")
_WHO: Final = re.compile(r"[a-z][a-z-]*|\{agency\}")
_GROUP: Final = re.compile(r"(\{(agency|reader)\}\.)?[a-z][a-z-]*")
_SHARD: Final = re.compile(r"[a-z][a-z-]*\{partition\}")
_DAYS: Final = re.compile(r"([1-9][0-9]*) days")
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """One topic, or one topic per agency if the name contains ``{agency}``."""

    topic: str
    description: str
    buses: Literal["every", "play"]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    key: Literal["case", "agency", "none"]
    partitions: int | Literal["P"]
    retention_ms: int
    """Retention in milliseconds; -1 is for ever."""
    dead_letter: str
    config: Mapping[str, str]
    group: str = ""
    """Consumer group of the readers, one per agency with ``{agency}``, one per reader with ``{reader}``; empty if each reader keeps its own offsets."""
    transactional_id: str = ""
    """Transactional id of the writers, with ``{partition}`` for the partition's number; empty if they have none."""
    watchers: tuple[str, ...] = ()
    """Services that may ask whether the group of the readers has a member; they read no record."""

    @property
    def of_each_agency(self) -> bool:
        """True if every agency has a topic of its own."""
        return _AGENCY in self.topic

    def names(self, agencies: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the topics for these *agencies*."""
        return tuple(self.topic.replace(_AGENCY, each) for each in agencies) if self.of_each_agency else (self.topic,)

    def settings(self) -> dict[str, str]:
        """Kafka's settings of the topic, with the retention and the settings that no topic inherits from a cluster."""
        return {**_NEVER_INHERITED, **self.config, "retention.ms": str(self.retention_ms)}


def folder() -> Traversable:
    """Return the folder of the topic files: beside the sources, or in the installed package."""
    carried = packed("deploy/topics")
    return carried if carried.is_dir() else Path(__file__).parents[4] / "deploy" / "topics"


def load_declarations(where: Traversable | None = None) -> tuple[Declaration, ...]:
    """Return all topics declared in *where* (default: `folder`), by name.

    Raises:
        DeclarationError: a file holds a key, or a value, that is not understood; the message names file and line.
    """
    where = where or folder()
    files = (each for each in where.iterdir() if each.name.endswith(".yaml"))
    found = [_File(path).declaration() for path in sorted(files, key=lambda each: each.name)]
    if not found:
        raise DeclarationError(f"No topic file lies in {where}: name another folder with --topics DIR.")
    return tuple(sorted(found, key=lambda each: each.topic))


class _File:
    """One file, its mapping read with the line of every key."""

    def __init__(self, path: Traversable) -> None:
        self._path = path
        self._lines: dict[str, int] = {}

    def _wrong(self, line: int, what: str) -> DeclarationError:
        return DeclarationError(f"{self._path.name}, line {line}: {what}")

    def declaration(self) -> Declaration:
        try:
            root = yaml.compose(self._path.read_text(encoding="utf-8"), yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise self._wrong(line, f"this is not YAML ({error.problem}).") from None
        body = self._mapping(root, _KEYS, "key of a topic file")
        for key in sorted(_KEYS - _OPTIONAL - set(body)):
            raise self._wrong(1, f"the key {key} is missing.")
        config = self._mapping(body["config"], _CONFIG, "setting that a topic file may have")
        values = {key: self._scalar(node) for key, node in body.items() if isinstance(node, yaml.ScalarNode)}
        return Declaration(
            topic=self._matching(values, "topic", _NAME, "nrm.NAME or nrm.NAME.{agency}"),
            description=self._one(values, "description"),
            buses=self._among(values.get("buses", "every"), "buses", ("every", "play")),
            writers=self._who(body, "writers"),
            readers=self._who(body, "readers"),
            watchers=self._who(body, "watchers") if "watchers" in body else (),
            key=self._among(self._one(values, "key"), "key", ("case", "agency", "none")),
            partitions=self._partitions(self._one(values, "partitions")),
            retention_ms=self._retention(self._one(values, "retention")),
            dead_letter=self._one(values, "dead_letter"),
            config={key: self._scalar(node) for key, node in config.items()},
            group=self._optional(values, "group", _GROUP, "a name, {agency}.NAME or {reader}.NAME"),
            transactional_id=self._optional(values, "transactional_id", _SHARD, "NAME{partition}"),
        )

    def _mapping(self, node: yaml.Node | None, known: frozenset[str], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node.start_mark.line + 1 if node else 1, "a mapping of keys to values is due here.")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key, line = self._scalar(key_node), key_node.start_mark.line + 1
            if key not in known:
                raise self._wrong(line, f"{key} is no {what}; those are {', '.join(sorted(known))}.")
            if key in found:
                raise self._wrong(line, f"{key} stands here twice.")
            found[key], self._lines[key] = value, line
        return found

    def _scalar(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self._wrong(node.start_mark.line + 1, "one word or number is due here.")
        return str(node.value)

    def _one(self, values: Mapping[str, str], key: str) -> str:
        if key not in values:
            raise self._wrong(self._lines[key], f"{key} is one word, number or sentence.")
        return values[key]

    def _optional(self, values: Mapping[str, str], key: str, pattern: re.Pattern[str], what: str) -> str:
        return self._matching(values, key, pattern, what) if key in self._lines else ""

    def _matching(self, values: Mapping[str, str], key: str, pattern: re.Pattern[str], what: str) -> str:
        if not pattern.fullmatch(value := self._one(values, key)):
            raise self._wrong(self._lines[key], f"{key} is {what}.")
        return value

    def _among(self, value: str, key: str, choices: tuple[str, ...]) -> Any:
        if value not in choices:
            raise self._wrong(self._lines[key], f"{key} is one of {', '.join(choices)}.")
        return value

    def _who(self, body: Mapping[str, yaml.Node], key: str) -> tuple[str, ...]:
        node = body[key]
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._wrong(self._lines[key], f"{key} is a list of services.")
        who = tuple(self._scalar(each) for each in node.value)
        if not all(map(_WHO.fullmatch, who)):
            raise self._wrong(self._lines[key], f"{key} names services, or {_AGENCY} for the topic's own agency.")
        return who

    def _partitions(self, value: str) -> int | Literal["P"]:
        if value == "P":
            return "P"
        if not value.isdecimal() or int(value) < 1:
            raise self._wrong(self._lines["partitions"], "partitions is a number, or P for the bus's own.")
        return int(value)

    def _retention(self, value: str) -> int:
        if value == "forever":
            return -1
        if not (days := _DAYS.fullmatch(value)):
            raise self._wrong(self._lines["retention"], "retention is forever, or like 30 days.")
        return int(days[1]) * _DAY_MS
