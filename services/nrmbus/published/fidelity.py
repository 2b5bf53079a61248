"""Promises of casts: each loss is named, no value is invented, nothing is shown to more readers.

The promises hold for every event. Each caller checks them on its own events: the gate on the frozen examples, the golden
records and the tests on theirs.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from nrmbus.events.body import Body, Lowered
from nrmbus.events.errors import Invalid
from nrmbus.events.model import Data

_MISSING: Final = object()
_NONE_OF_THESE: Final = frozenset({'"other"', '"Other"'})
"""Codes of a list for all other values: the only value that `down` may insert, where it names a loss."""


class _Leaf(NamedTuple):
    """Value that is no list and no object, as JSON text; *access* is part and class, or None in the clear."""

    pointer: str
    value: str
    access: tuple[str, str] | None


def broken(steps: Mapping[int, type[Data]], version: int, body: Body) -> Iterator[str]:
    """Yield one sentence for each promise that a cast breaks for *body*; no sentence repeats a value.

    *body* fits *version* of the type with the models *steps*. One step is tried in each direction: up and back, and down
    and back.
    """
    if version + 1 in steps:
        yield from _up(steps, version + 1, body)
    if version - 1 in steps:
        yield from _down(steps, version, body)


def variants(model: type[Data], full: Body) -> Iterator[Body]:
    """Yield *full*, then without each optional field, without all of them, and with each field of the letter alone."""
    yield full
    optional = [name for name, field in model.model_fields.items() if name in full.data and not field.is_required()]
    for gone in (*([name] for name in optional), optional):
        yield Body({name: value for name, value in full.data.items() if name not in gone}, full.letter)
    for name in full.letter:
        yield Body(full.data, {name: full.letter[name]})
    yield Body(full.data, {})


def _up(steps: Mapping[int, type[Data]], upper: int, body: Body) -> Iterator[str]:
    raised = _tried(steps[upper].up, body)
    if isinstance(raised, str) or not isinstance(raised, Body):
        yield f"`up` of version {upper} {raised if isinstance(raised, str) else 'gives no body'}"
        return
    yield from _fits("up", steps[upper], raised)
    yield from _invented("up", steps[upper], (steps[upper - 1], body), raised, ())
    back = _tried(steps[upper].down, raised)
    if not isinstance(back, Lowered):
        yield f"`down` of version {upper} {back if isinstance(back, str) else 'gives no body'} after `up`"
    elif _spelled(back.body) != _spelled(body):
        yield f"`down` of version {upper} does not give back what `up` was given, at {_first(body, back.body)}"
    elif back.lost:
        yield f"`down` of version {upper} names as lost what `up` had from version {upper - 1}: {back.lost[0]}"


def _down(steps: Mapping[int, type[Data]], upper: int, body: Body) -> Iterator[str]:
    lowered = _tried(steps[upper].down, body)
    if not isinstance(lowered, Lowered):
        yield f"`down` of version {upper} {lowered if isinstance(lowered, str) else 'gives no body'}"
        return
    yield from _fits("down", steps[upper - 1], lowered.body)
    yield from _invented("down", steps[upper - 1], (steps[upper], body), lowered.body, lowered.lost)
    absent = [pointer for pointer in lowered.lost if _at(_tree(body), pointer) is _MISSING]
    for pointer in absent:
        yield f"`down` of version {upper} names as lost what was not there: {pointer}"
    if len(set(lowered.lost)) != len(lowered.lost):
        yield f"`down` of version {upper} names a loss twice"
    back = _tried(steps[upper].up, lowered.body)
    if not isinstance(back, Body):
        yield f"`up` of version {upper} {back if isinstance(back, str) else 'gives no body'} after `down`"
        return
    stood_in = [at for at in lowered.lost if _json(_at(_tree(back), at)) in _NONE_OF_THESE]
    kept, due = _without(_tree(back), stood_in), _without(_tree(body), lowered.lost)
    if not absent and _json(kept) != _json(due):
        yield (
            f"what `down` of version {upper} names as lost is not what is missing after `up`, at {_difference(due, kept)}"
        )


def _tried(step: Any, body: Body) -> Body | Lowered | str:
    before = copy.deepcopy(body)
    try:
        result: Body | Lowered = step(body)
    except Exception as error:  # noqa: BLE001  # a cast may raise nothing
        return f"raises {type(error).__name__}"
    return result if _spelled(body) == _spelled(before) else "changes what it was given"


def _fits(cast: str, model: type[Data], body: Body) -> Iterator[str]:
    read: list[tuple[str, Any, Mapping[str, Any]]] = [("/data", model, body.data)]
    if model.letter is not None:
        read.append(("/letter", model.letter, body.letter))
    elif body.letter:
        yield f"what `{cast}` gives has a letter, and version {model.version} has none"
    for pointer, each, fields in read:
        try:
            same = _json(each.from_mapping(fields).to_mapping()) == _json(fields)
        except Invalid as error:
            first = error.problems[0]
            yield f"what `{cast}` gives is not valid in version {model.version}: {pointer}{first.pointer} {first.kind}"
        else:
            if not same:
                yield f"what `{cast}` gives is not spelled as version {model.version} spells it, in {pointer}"


def _invented(
    cast: str, model: type[Data], source: tuple[type[Data], Body], result: Body, lost: Sequence[str]
) -> Iterator[str]:
    given = list(_leaves(*source))
    for leaf in _leaves(model, result):
        if leaf.pointer in lost and leaf.value in _NONE_OF_THESE:
            continue
        same = [each for each in given if each.value == leaf.value]
        if not same:
            yield f"`{cast}` invents a value at {leaf.pointer} of version {model.version}"
        elif not any(_as_closed(each, leaf) for each in same):
            yield f"`{cast}` shows at {leaf.pointer} of version {model.version} what fewer were to read"


def _as_closed(was: _Leaf, now: _Leaf) -> bool:
    """Return True if every reader of *now* may also read *was*."""
    if was.access is None:
        return True
    return now.access is not None and now.access[0] == was.access[0] and now.access[1] >= was.access[1]


def _leaves(model: type[Data], body: Body) -> Iterator[_Leaf]:
    for name, value in body.data.items():
        yield from _leaf(f"/data/{name}", value, None)
    for name, value in body.letter.items():
        yield from _leaf(f"/letter/{name}", value, _access(model, name))


def _access(model: type[Data], name: str) -> tuple[str, str] | None:
    field = model.letter.model_fields.get(name) if model.letter else None
    extra = field.json_schema_extra if field else None
    # A field that the model does not have is invalid; `_fits` reports it.
    return (str(extra.get("x-part")), str(extra.get("x-class"))) if isinstance(extra, dict) else ("", "")


def _leaf(pointer: str, value: Any, access: tuple[str, str] | None) -> Iterator[_Leaf]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaf(f"{pointer}/{name}", inner, access)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _leaf(f"{pointer}/{at}", inner, access)
    else:
        yield _Leaf(pointer, _json(value), access)


def _tree(body: Body) -> dict[str, Any]:
    return {"data": copy.deepcopy(dict(body.data)), "letter": copy.deepcopy(dict(body.letter))}


def _at(tree: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        if isinstance(tree, Mapping):
            tree = tree.get(step, _MISSING)
        elif isinstance(tree, list) and step.isdecimal() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            return _MISSING
    return tree


def _without(tree: dict[str, Any], pointers: Sequence[str]) -> dict[str, Any]:
    """Return *tree* without the values at *pointers*. Later list items go first, so that the pointers stay right."""
    for pointer in sorted(set(pointers), key=_steps, reverse=True):
        parent, _, last = pointer.rpartition("/")
        inner = _at(tree, parent)
        if isinstance(inner, list):
            del inner[int(last)]
        elif isinstance(inner, dict):
            inner.pop(last, None)
    return tree


def _steps(pointer: str) -> list[tuple[bool, int, str]]:
    return [(step.isdecimal(), int(step) if step.isdecimal() else 0, step) for step in pointer.split("/")]


def _first(one: Body, other: Body) -> str:
    return _difference(_tree(one), _tree(other))


def _difference(one: Any, other: Any, pointer: str = "") -> str:
    """Return the pointer of the first place where the two differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys()):
            if _json(one.get(name, _MISSING)) != _json(other.get(name, _MISSING)):
                return _difference(one.get(name), other.get(name), f"{pointer}/{name}")
    if isinstance(one, list) and isinstance(other, list):
        for at, (left, right) in enumerate(zip(one, other, strict=False)):
            if _json(left) != _json(right):
                return _difference(left, right, f"{pointer}/{at}")
    return pointer


def _spelled(body: Body) -> str:
    return _json([body.data, body.letter])


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)
