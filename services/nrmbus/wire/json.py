"""JSON as the bus reads and writes it: RFC 8785, without floats and nulls.

Nothing passes that two readers could understand in two ways (I-JSON, RFC 7493).
"""

import codecs
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from nrmbus.wire.errors import WireError

MAX_DEPTH: Final = 16
MAX_INTEGER: Final = 2**53 - 1
_MAX_DIGITS: Final = 17
_NESTED: Final = (dict, list, tuple)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise WireError("json_duplicate")
    return members


_NUMBER: Final = "A number has a fraction or an exponent, is -0, or lies beyond 2^53-1: send such a value as text."
_NULL: Final = "A value is null, or the JSON has more than 16 levels: leave out a member that has no value."
_DEEP: Final = "The JSON has more than 16 levels: send it flatter."
_SURROGATE: Final = "A text holds half of a surrogate pair: send whole characters."
_NO_OBJECT: Final = "The JSON is no object: send one, in braces."
_BOM: Final = "The JSON begins with a byte order mark: send it without."


def _refuse(_literal: str) -> Any:
    raise WireError("json_invalid", _NUMBER)


def _integer(literal: str) -> int:
    # The length first: turning a long row of digits into an integer takes quadratic time.
    if len(literal) > _MAX_DIGITS or literal == "-0" or abs(number := int(literal)) > MAX_INTEGER:
        raise WireError("json_invalid", _NUMBER)
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_refuse, parse_int=_integer, parse_constant=_refuse
)


def _has_null_or_is_deep(value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            inner.extend(item.values() if isinstance(item, dict) else item)
        if None in inner:
            return True
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _has_lone_surrogate(value: dict[str, Any]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _wrong_at(what: str, before: str) -> WireError:
    """Return the error for the place behind the text *before*: line and column, counted in characters from 1."""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    where = f"The JSON {what} at line {line}, column {column}: correct it there or just before."
    return WireError("json_invalid", where, line=line, column=column)


def loads(raw: bytes, *, limit: int, tidy: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Read one JSON object of at most *limit* bytes.

    Refused as ``json_invalid``: anything but UTF-8 without BOM, a value that is not an object, floats, ``null``, NaN,
    integers beyond 2^53-1, lone surrogates, more than 16 levels. ``json_duplicate``: a member that stands twice.
    ``too_large``: more bytes than *limit*. The sentence says which of these it is; where the text is not well formed,
    the error has ``line`` and ``column``.

    *tidy* takes out of the object what the sender's own format lets stand for nothing, a null above all, before nulls are
    refused.
    """
    if len(raw) > limit:
        raise WireError("too_large", limit=limit)
    if raw.startswith(codecs.BOM_UTF8):
        raise WireError("json_invalid", _BOM)
    value, wrong = None, None
    try:
        value = _DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        wrong = _wrong_at("is not UTF-8", raw[: error.start].decode())
    except json.JSONDecodeError as error:
        wrong = _wrong_at("is not well formed", error.doc[: error.pos])
    except (ValueError, RecursionError):
        wrong = WireError("json_invalid", _DEEP)
    if not isinstance(value, dict):
        raise wrong or WireError("json_invalid", _NO_OBJECT)  # outside: the errors above carry the input
    if tidy is not None:
        tidy(value)
    # Most documents are flat and plain; only the others are walked.
    looks_deep = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
    if (looks_deep or b"null" in raw) and _has_null_or_is_deep(value):
        raise WireError("json_invalid", _NULL if b"null" in raw else _DEEP)
    if b"\\u" in raw and _has_lone_surrogate(value):
        raise WireError("json_invalid", _SURROGATE)
    return value


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False)


def _is_writable(value: Any, depth: int = 1) -> bool:
    items = value
    if type(value) is dict:
        for name in value:
            if type(name) is not str:
                return False
        items = value.values()
    for item in items:
        kind = type(item)
        if kind is str or kind is bool:
            continue
        if kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                return False
        elif kind not in _NESTED or depth == MAX_DEPTH or not _is_writable(item, depth + 1):
            return False
    return True


def _in_utf16_order(value: Any) -> Any:
    # RFC 8785 section 3.2.3 sorts by UTF-16 code units; Python sorts by code points, which differs above U+FFFF.
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return {name: _in_utf16_order(value[name]) for name in names}
    if isinstance(value, list | tuple):
        return [_in_utf16_order(item) for item in value]
    return value


def dumps(value: Mapping[str, Any]) -> bytes:
    """Write *value* as RFC 8785 asks: members sorted, no blanks, the shortest escapes, UTF-8.

    Raises ``json_invalid`` for what this bus does not write: floats, ``None``, integers beyond 2^53-1, keys that are
    not strings, lone surrogates, more than 16 levels.
    """
    if not _is_writable(value):
        raise WireError("json_invalid")
    text = _ENCODER.encode(value)
    if text.isascii():
        return text.encode()
    raw = b""
    try:
        text = json.dumps(_in_utf16_order(value), ensure_ascii=False, separators=(",", ":"))
        raw = text.encode()
    except UnicodeEncodeError:
        raw = b""  # the error carries the text: ours is raised below, outside
    if not raw:
        raise WireError("json_invalid")
    return raw


def digest(raw: bytes) -> str:
    """Return SHA-256 of *raw*, in lower hex."""
    return hashlib.sha256(raw).hexdigest()
