"""Gate before ``schemas``: a published version stays as it was published. Each finding says what to do.

The gate needs no earlier state of the folder, because each version is recorded three times: in its files, in its golden
record, where a destroyed key has signed the digests of the files, and in a line of ``schemas/CHANGELOG.md`` for partner
agencies. An edit of a version must change all three, and a reviewer sees the line. The gate knows no keys;
`nrmbus.published.golden` checks signatures and letters.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from nrmbus.events.body import Body
from nrmbus.events.model import Data
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import FOLDER, documents, schema_of
from nrmbus.published.compatibility import PRIVACY, changes
from nrmbus.published.fidelity import broken, variants

CHANGELOG: Final = "CHANGELOG.md"
_LINE: Final = re.compile(
    r"- `nrm\.([a-z_.]+) ([1-9][0-9]*)`: (.*) \(schema `([0-9a-f]{16})`, record `([0-9a-f]{16})`\)", re.DOTALL
)
_SAID: Final = re.compile(r"\w{2,}")
_SHOWN: Final = 16
"""Hex digits of a digest in a line of the changelog."""
_FREEZE: Final = "`nrmbus schema freeze` writes it"
_ANEW: Final = "a published version is never edited; restore the file, and make a new version"
_MODEL: Final = "a published version is never edited; give its model back what it said, and make a new version"


class _Line(NamedTuple):
    """Line of a version in the changelog, with its two digests."""

    says: str
    schema: str
    record: str


class _Frozen(NamedTuple):
    """Folder as read: texts by path, lines of the changelog, and the digests that each golden record has signed."""

    texts: Mapping[str, str]
    lines: Mapping[tuple[str, int], list[_Line]]
    published: Mapping[tuple[str, int], Mapping[str, str] | None]


def findings(folder: Path = FOLDER, types: Iterable[type[Data]] = tuple(TYPES.values())) -> Iterator[str]:
    """Yield one sentence for each fault of *folder*, given the models *types*, with the remedy."""
    published = {(data.type, data.version): data for data in types}
    frozen = _read(folder)
    yield from _leftovers(frozen, published)
    for key, data in published.items():
        steps = {version: each for (name, version), each in published.items() if name == data.type}
        if data.version > 1 and data.version - 1 not in steps:
            yield f"{_named(key)} has no version {data.version - 1} before it: versions have no gaps"
        generated, problem = _generated(data)
        yield from problem
        if generated:
            yield from _files(frozen, data, generated)
            yield from _line(frozen, key)
        if data.version > 1:
            yield from _version(steps, data, generated)


def golden_name(name: str, version: int) -> str:
    """Return the path of a golden record below ``schemas``; *name* has no ``nrm.``."""
    return f"golden/nrm.{name}.v{version}.json"


def published_files(name: str, version: int) -> Mapping[str, str]:
    """Return the frozen files of a version below ``schemas``, by the name of their digest in the golden record."""
    stem = f"nrm.{name}/v{version}"
    return {"schema": f"{stem}.schema.json", "minimal": f"{stem}/minimal.json", "full": f"{stem}/full.json"}


def body_of(example: Mapping[str, Any]) -> Body:
    """Return data and letter of an example file."""
    return Body(example["event"]["data"], example.get("letter", {}))


def _read(folder: Path) -> _Frozen:
    paths = [path for pattern in ("nrm.*/**/*", "golden/*", CHANGELOG) for path in folder.glob(pattern)]
    texts = {
        path.relative_to(folder).as_posix(): path.read_bytes().decode(errors="replace")  # line ends as they are
        for path in paths
        if path.is_file()
    }
    lines: dict[tuple[str, int], list[_Line]] = {}
    for paragraph in re.split(r"\n(?=- |#|\n)", texts.get(CHANGELOG, "")):
        if found := _LINE.fullmatch(paragraph.strip()):
            lines.setdefault((found[1], int(found[2])), []).append(_Line(found[3], found[4], found[5]))
    records = {path: text for path, text in texts.items() if path.startswith("golden/")}
    published = {}
    for path, text in records.items():
        if name := re.fullmatch(r"golden/nrm\.([a-z_.]+)\.v([1-9][0-9]*)\.json", path):
            published[name[1], int(name[2])] = _signed(text)
    return _Frozen(texts, lines, published)


def _signed(text: str) -> Mapping[str, str] | None:
    """Return the digests that a golden record has signed; None if *text* is no golden record."""
    try:
        published: dict[str, str] = json.loads(base64.b64decode(json.loads(json.loads(text)["publication"])["payload"]))
        return {name: published[name] for name in ("type", "schema", "minimal", "full")} | {
            "version": str(published["version"])
        }
    except (ValueError, KeyError, TypeError):
        return None


def _leftovers(frozen: _Frozen, published: Mapping[tuple[str, int], type[Data]]) -> Iterator[str]:
    """Yield the files and lines of versions without a model: somebody removed a published version."""
    owned = {path for key in published for path in (*published_files(*key).values(), golden_name(*key))}
    for path in sorted(frozen.texts.keys() - owned - {CHANGELOG}):
        yield f"schemas/{path} belongs to no published version: restore its model, which events on the bus still need"
    for key in sorted(frozen.lines.keys() - published.keys()):
        yield f"schemas/{CHANGELOG} has {_named(key)}, which is not published: restore its model and its files"


def _generated(data: type[Data]) -> tuple[Mapping[str, str], list[str]]:
    try:
        return documents((data,)), []
    except KeyError as error:
        return {}, [f"{_named((data.type, data.version))}: {error.args[0]}"]


def _files(frozen: _Frozen, data: type[Data], generated: Mapping[str, str]) -> Iterator[str]:
    key = (data.type, data.version)
    signed, record = frozen.published.get(key), golden_name(*key)
    if record not in frozen.texts:
        yield f"schemas/{record} is missing, a signed record of {_named(key)}: {_FREEZE}"
    elif signed is None or (signed["type"], signed["version"]) != (f"nrm.{data.type}", str(data.version)):
        yield f"schemas/{record} is no golden record of {_named(key)}: restore it"
    for name, path in published_files(*key).items():
        text = frozen.texts.get(path)
        if text is None:
            yield f"schemas/{path} is missing: {_FREEZE if record not in frozen.texts else 'restore it'}"
        elif signed and _digest(text) != signed[name]:
            yield f"schemas/{path} is not what {_named(key)} was published with: {_ANEW}"
        elif text != generated[path]:
            yield f"schemas/{path} is not what its model says{_verdict(path, text, generated[path])}: {_MODEL}"


def _verdict(path: str, frozen: str, generated: str) -> str:
    """Return the meaning of a model's edit for a schema, in parentheses; empty for an example."""
    if not path.endswith(".schema.json"):
        return ""
    try:
        found = changes(json.loads(frozen), json.loads(generated))
    except (ValueError, AttributeError, TypeError):
        return " (and no schema)"
    if not found:
        return " (words only)"
    told = [
        f"{each.pointer} {each.sentence}" + (f", breaks {' and '.join(sorted(each.breaks))}" if each.breaks else "")
        for each in found
    ]
    return f" ({'; '.join(told)})"


def _line(frozen: _Frozen, key: tuple[str, int]) -> Iterator[str]:
    schema, record = frozen.texts.get(published_files(*key)["schema"]), frozen.texts.get(golden_name(*key))
    if schema is None or record is None:
        return  # reported already, and there is no line without them
    shown = _digest(schema)[:_SHOWN], _digest(record)[:_SHOWN]
    lines = frozen.lines.get(key, [])
    if not lines:
        due = f"- `{_named(key)}`: … (schema `{shown[0]}`, record `{shown[1]}`)"
        yield f"schemas/{CHANGELOG} has no line of {_named(key)}; add it, with what changed and why: {due}"
    if len(lines) > 1:
        yield f"schemas/{CHANGELOG} has {_named(key)} more than once: leave the first"
    for line in lines[:1]:
        if not _SAID.search(line.says):
            yield f"schemas/{CHANGELOG} does not say what {_named(key)} changed: write it for a partner's developer"
        if line.schema != shown[0]:
            yield f"schemas/{CHANGELOG} has another schema of {_named(key)} than the folder: {_ANEW}"
        if line.record != shown[1]:
            yield f"schemas/{CHANGELOG} has another golden record of {_named(key)} than the folder: restore the record"


def _version(steps: Mapping[int, type[Data]], data: type[Data], generated: Mapping[str, str]) -> Iterator[str]:
    """Yield the faults of a version after the first: its privacy, its parts and its casts."""
    named = _named((data.type, data.version))
    lower = [steps[version] for version in sorted(steps) if version < data.version]
    for each in lower:
        for change in changes(schema_of(each), schema_of(data)):
            if PRIVACY in change.breaks:
                yield (
                    f"{named} lets more read {change.pointer} than version {each.version}, {change.sentence}: "
                    "a field keeps its name only as long as nobody more may read it"
                )
            elif change.kind == "unknown":
                yield f"{named} cannot be compared at {change.pointer}, {change.sentence}: write the field in another way"
        if _parts(each) not in ((), _parts(data)):  # nobody opens a first letter until a profile names who does
            yield f"{named} has other parts of the letter than version {each.version}: the Rules open them by type"
    missing = [cast for cast in ("up", "down") if cast not in vars(data)]
    for cast in missing:
        yield f"{named} has no `{cast}` of its own: write it into {data.__name__}"
    if not missing and data.version - 1 in steps and generated:
        told = Counter(_casts(steps, data, generated))
        yield from (f"{named}: {sentence}" for sentence in told)


def _parts(data: type[Data]) -> tuple[str, ...]:
    return data.letter.part_names() if data.letter else ()


def _casts(steps: Mapping[int, type[Data]], data: type[Data], generated: Mapping[str, str]) -> Iterator[str]:
    """Yield the broken promises of the casts to and from the version before, on both versions' examples and parts of them."""
    pair = {version: steps[version] for version in (data.version - 1, data.version)}
    for version, model in pair.items():
        texts = generated if model is data else _generated(model)[0]
        for name in ("minimal", "full"):
            example = texts.get(published_files(data.type, version)[name])
            for body in variants(model, body_of(json.loads(example))) if example else ():
                yield from broken(pair, version, body)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _named(key: tuple[str, int]) -> str:
    return f"nrm.{key[0]} {key[1]}"
