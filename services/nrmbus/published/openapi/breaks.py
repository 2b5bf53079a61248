"""Comparison of two OpenAPI documents of the door: each change that would break a client of the old one, as a sentence.

A client of the old document sends what it permits, and reads what it promises. So a request may be widened and never
narrowed, an answer may gain members and never lose or change one, and a name that a generated client has stays. Codes of
errors and of enumerated answers may be added: the document says so to every client.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

Node = Mapping[str, Any]

_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_TEXTUAL: Final = ("pattern", "format", "contentEncoding")
_REMEDY: Final = "clients use it: give it back, and put the new beside it"


class _Side(NamedTuple):
    """A document, and the schema of it that is compared."""

    whole: Node
    here: Node

    def at(self, here: Any) -> "_Side":
        """Return the same document at another schema; True and False are schemas too."""
        return self._replace(here=here if isinstance(here, Mapping) else {} if here else {"not": {}})

    @property
    def name(self) -> str | None:
        """Return the name of the component that is referred to, or None."""
        reference = self.here.get("$ref")
        return None if reference is None else str(reference)

    def flat(self) -> "_Side":
        """Return the schema with its reference followed and the parts of ``allOf`` put together."""
        here = self.here
        while "$ref" in here:
            kind, name = here["$ref"].removeprefix("#/components/").split("/", 1)
            here = self.whole["components"][kind][name]
        for part in here.get("allOf", ()):
            below = self.at(part).flat().here
            properties = dict(here.get("properties", {}))
            for name, each in below.get("properties", {}).items():
                properties[name] = {"allOf": [properties[name], each]} if name in properties else each
            required = [*here.get("required", ()), *below.get("required", ())]
            here = {**below, **here, "properties": properties, "required": required}
        return self.at({key: value for key, value in here.items() if key != "allOf"})

    def options(self) -> dict[str, "_Side"]:
        """Return the alternatives of the schema by a name that both documents have; a plain schema is the only one."""
        flat = self.flat().here
        listed = flat.get("oneOf") or flat.get("anyOf")
        if listed is None:
            listed = [{"type": each} for each in flat["type"]] if isinstance(flat.get("type"), list) else [self.here]
        return {_kind(each): self.at(each) for each in listed}


def _kind(schema: Node) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    return json.dumps(schema.get("const", schema.get("type")))


def breaks(old: Node, new: Node) -> tuple[str, ...]:
    """Return a sentence for each change from *old* to *new* that breaks a client of *old*."""
    return tuple(dict.fromkeys(_breaks(old, new)))


def _breaks(old: Node, new: Node) -> Iterator[str]:
    for path, item in old["paths"].items():
        for method, before in item.items():
            route = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                yield f"{route} is gone: {_REMEDY}"
                continue
            if before["operationId"] != now["operationId"]:
                yield f"{route} has another operationId, the name of a generated function: {_REMEDY}"
            more = sorted(_scopes(now) - _scopes(before))
            if more:
                yield f"{route} needs the scope {', '.join(more)} too, which tokens of today lack: {_REMEDY}"
            yield from _parameters(route, _Side(old, before), _Side(new, now))
            yield from _body(route, _Side(old, before), _Side(new, now))
            yield from _answers(route, _Side(old, before), _Side(new, now))
    for name in old["components"]["schemas"]:
        if name not in new["components"]["schemas"]:
            yield f"the schema {name} is gone, the name of a generated class: {_REMEDY}"


def _scopes(operation: Node) -> set[str]:
    return {scope for scheme in operation.get("security", ()) for scopes in scheme.values() for scope in scopes}


def _parameters(route: str, old: _Side, new: _Side) -> Iterator[str]:
    before, now = (
        {(each["in"], each["name"]): each for each in side.here.get("parameters", ())} for side in (old, new)
    )
    for key, was in before.items():
        place = f"the parameter {key[1]} of {route}"
        became = now.get(key)
        if became is None:
            yield f"{place} is gone: {_REMEDY}"
            continue
        if became.get("required") and not was.get("required"):
            yield f"{place} is now required, and clients of today leave it out: give it a default"
        if not was.get("required") and was["schema"].get("default") != became["schema"].get("default"):
            yield f"{place} has another default, so a request of today means something else: {_REMEDY}"
        yield from _request(place, old.at(was["schema"]), new.at(became["schema"]), set())
    for key, became in now.items():
        if key not in before and became.get("required"):
            yield f"the parameter {key[1]} of {route} is new and required, and clients of today leave it out: give it a default"


def _body(route: str, old: _Side, new: _Side) -> Iterator[str]:
    if "requestBody" not in old.here:
        if "requestBody" in new.here and new.at(new.here["requestBody"]).flat().here.get("required"):
            yield f"{route} now requires a body, and clients of today send none: let it be optional"
        return
    if "requestBody" not in new.here:
        yield f"the body of {route} is gone: {_REMEDY}"
        return
    was, became = (side.at(side.here["requestBody"]).flat() for side in (old, new))
    if became.here.get("required") and not was.here.get("required"):
        yield f"the body of {route} is now required, and clients of today leave it out: let it be optional"
    for media, before in was.here["content"].items():
        if media not in became.here["content"]:
            yield f"{route} no longer takes {media}: {_REMEDY}"
        else:
            now = became.here["content"][media]
            yield from _request(f"the body of {route}", was.at(before["schema"]), became.at(now["schema"]), set())


def _answers(route: str, old: _Side, new: _Side) -> Iterator[str]:
    for status, before in old.here["responses"].items():
        now, place = new.here["responses"].get(status, {}), f"the answer {status} of {route}"
        headers = sorted(before.get("headers", {}).keys() - now.get("headers", {}).keys())
        yield from (f"the header {each} of {place} is gone: {_REMEDY}" for each in headers)
        for media, content in before.get("content", {}).items():
            became = now.get("content", {}).get(media)
            gone = sorted(_codes(content) - _codes(became or {}))
            if gone:
                yield f"{route} no longer answers {', '.join(gone)}, and clients act on codes: {_REMEDY}"
            elif became is None:
                yield f"{place} is no longer {media}: {_REMEDY}"
            if became is not None:
                shown = "an error" if _codes(content) else place  # one for all routes, which share the form
                yield from _answer(shown, old.at(content["schema"]), new.at(became["schema"]), set())


def _codes(media: Node) -> set[str]:
    return set(media.get("examples", ()))


# -- schemas ---------------------------------------------------------------------------------------------------------

_Seen = set[tuple[str | None, str | None]]


def _is_seen(old: _Side, new: _Side, seen: _Seen) -> bool:
    """Return whether the pair of components was compared already; a recursive one would never end."""
    pair = (old.name, new.name)
    if pair[0] is None or pair[1] is None:
        return False
    found = pair in seen
    seen.add(pair)
    return found


def _request(place: str, old: _Side, new: _Side, seen: _Seen) -> Iterator[str]:
    """Yield what *old* permits to send and *new* refuses."""
    if _is_seen(old, new, seen):
        return
    was, became = old.options(), new.options()
    for kind, before in was.items():
        now = became.get(kind) or (next(iter(became.values())) if len(was) == len(became) == 1 else None)
        if now is None:
            yield f"{place} no longer takes {_shown(kind)}: {_REMEDY}"
        else:
            yield from _narrowed(place, before.flat(), now.flat(), seen)


def _narrowed(place: str, old: _Side, new: _Side, seen: _Seen) -> Iterator[str]:
    was, became = old.here, new.here
    if "type" in became and was.get("type") != became["type"]:
        yield f"{place} has another type: {_REMEDY}"
        return
    yield from _tightened(place, was, became)
    if became.get("additionalProperties") is False and was.get("additionalProperties") is not False:
        yield f"{place} takes no further members any more: {_REMEDY}"
    for name in sorted({*became.get("required", ())} - {*was.get("required", ())}):
        yield f"{name} in {place} is now required, and clients of today leave it out: let it be optional"
    for name, member in was.get("properties", {}).items():
        if name not in became.get("properties", {}):
            yield f"{name} in {place} is gone: {_REMEDY}"
        else:
            yield from _request(f"{name} in {place}", old.at(member), new.at(became["properties"][name]), seen)
    if "items" in was:
        yield from _request(f"each item of {place}", old.at(was["items"]), new.at(became.get("items", True)), seen)


def _tightened(place: str, was: Node, became: Node) -> Iterator[str]:
    gone = _values(was) - _values(became) if _values(became) else set()
    if gone or (_values(became) and not _values(was)):
        yield f"{place} takes fewer values{_named(gone)}: {_REMEDY}"
    for words, sign in ((_LOWER, 1), (_UPPER, -1)):
        for word in words:
            if word in became and (word not in was or sign * (became[word] - was[word]) > 0):
                yield f"{place} takes less than before (`{word}`): {_REMEDY}"
    for word in (*_TEXTUAL, "uniqueItems"):
        if became.get(word) and was.get(word) != became[word]:
            yield f"{place} takes another form than before (`{word}`): {_REMEDY}"


def _answer(place: str, old: _Side, new: _Side, seen: _Seen) -> Iterator[str]:
    """Yield what *old* promises and *new* does not."""
    if _is_seen(old, new, seen):
        return
    was, became = old.options(), new.options()
    for kind, now in became.items():
        before = was.get(kind) or (next(iter(was.values())) if len(was) == len(became) == 1 else None)
        if before is None:
            yield f"{place} may now be {_shown(kind)}, which clients of today do not expect: {_REMEDY}"
        else:
            yield from _changed(place, before.flat(), now.flat(), seen)


def _changed(place: str, old: _Side, new: _Side, seen: _Seen) -> Iterator[str]:
    was, became = old.here, new.here
    if "type" in was and was["type"] != became.get("type"):
        yield f"{place} has another type: {_REMEDY}"
        return
    for word in _TEXTUAL:
        if was.get(word) and was[word] != became.get(word):
            yield f"{place} has another form than before (`{word}`): {_REMEDY}"
    for name, member in was.get("properties", {}).items():
        if name not in became.get("properties", {}):
            yield f"{name} in {place} is gone: {_REMEDY}"
            continue
        if name in was.get("required", ()) and name not in became.get("required", ()):
            yield f"{name} in {place} may now be left out, and clients of today rely on it: {_REMEDY}"
        yield from _answer(f"{name} in {place}", old.at(member), new.at(became["properties"][name]), seen)
    for word in ("items", "additionalProperties"):
        if isinstance(was.get(word), Mapping):
            below = f"each {'item' if word == 'items' else 'member'} of {place}"
            yield from _answer(below, old.at(was[word]), new.at(became.get(word, True)), seen)


def _values(schema: Node) -> set[str]:
    listed = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {json.dumps(each) for each in listed}


def _shown(kind: str) -> str:
    return kind.rpartition("/")[2].strip('"')


def _named(values: set[str]) -> str:
    return f" ({', '.join(sorted(each.strip(chr(34)) for each in values))} is gone)" if values else ""
