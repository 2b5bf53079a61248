"""JSON of the wire: one spelling written, one meaning read."""

import json as plain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.wire import json
from nrmbus.wire.errors import WireError
from wire.given import CANARY, refused

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.booleans() | st.integers(-json.MAX_INTEGER, json.MAX_INTEGER) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=6)


@pytest.mark.thorough
@given(OBJECTS)
def test_what_is_written_is_read(value: dict[str, Any]) -> None:
    """Every object is read back equal, with any names of members."""
    assert json.loads(json.dumps(value), limit=1 << 20) == value


@pytest.mark.thorough
@given(OBJECTS)
def test_one_value_has_one_spelling(value: dict[str, Any]) -> None:
    """The order in which members were given does not show."""
    backwards = dict(reversed(value.items()))

    assert json.dumps(backwards) == json.dumps(value)


@pytest.mark.thorough
@given(OBJECTS)
def test_members_stand_in_utf16_order(value: dict[str, Any]) -> None:
    """RFC 8785 sorts by UTF-16 code units, also where that is not the order of code points."""
    names = list(plain.loads(json.dumps(value)))

    assert names == sorted(names, key=lambda name: name.encode("utf-16-be"))


def test_a_null_that_a_format_lets_stand_for_nothing_is_taken_out_first() -> None:
    """Given a reader of such a format, then what it takes out is not refused, and every other null is."""

    def tidy(value: dict[str, Any]) -> None:
        value.pop("a", None)

    assert json.loads(b'{"a":null,"b":1}', limit=100, tidy=tidy) == {"b": 1}
    refused("json_invalid", lambda: json.loads(b'{"a":null,"b":[null]}', limit=100, tidy=tidy))


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever comes, nothing but an object or a refusal leaves."""
    try:
        value = json.loads(raw, limit=100)
    except WireError as error:
        assert error.__context__ is None  # noqa: PT017 - either answer is right here
    else:
        assert isinstance(value, dict)


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        ("json_invalid", b'{"a":"%b"' % CANARY.encode()),
        ("json_invalid", b'["%b"]' % CANARY.encode()),
        ("json_invalid", b'\xef\xbb\xbf{"a":"%b"}' % CANARY.encode()),
        ("json_invalid", b'{"a":"%b\xff"}' % CANARY.encode()),
        ("json_invalid", b'{"%b":null}' % CANARY.encode()),
        ("json_invalid", b'{"%b":[[null]]}' % CANARY.encode()),
        ("json_invalid", b'{"%b":0.5}' % CANARY.encode()),
        ("json_invalid", b'{"%b":1E400}' % CANARY.encode()),
        ("json_invalid", b'{"%b":NaN}' % CANARY.encode()),
        ("json_invalid", b'{"%b":-Infinity}' % CANARY.encode()),
        ("json_invalid", b'{"%b":9007199254740992}' % CANARY.encode()),
        ("json_invalid", b'{"%b":-9007199254740992}' % CANARY.encode()),
        ("json_invalid", b'{"%b":%b}' % (CANARY.encode(), b"7" * 100_000)),
        ("json_invalid", b'{"%b":"\\udc00"}' % CANARY.encode()),
        ("json_invalid", b'{"\\ud83d%b":1}' % CANARY.encode()),
        ("json_invalid", b'{"%b":%b%b}' % (CANARY.encode(), b"[" * 16, b"]" * 16)),
        ("json_invalid", b'{"%b":%b%b}' % (CANARY.encode(), b"[" * 60_000, b"]" * 60_000)),
        ("json_invalid", b'{"%b":' % CANARY.encode() + b'{"a":' * 50_000),
        ("json_duplicate", b'{"%b":1,"%b":2}' % (CANARY.encode(), CANARY.encode())),
        ("json_duplicate", b'{"a":[{"b":"%b","\\u0062":2}]}' % CANARY.encode()),
        ("too_large", b'{"a":"%b"}' % (CANARY.encode() * 100_000)),
    ],
    ids=range(21),
)
def test_refused(code: str, raw: bytes) -> None:
    """Ambiguous JSON is refused, and the refusal repeats nothing."""
    refused(code, lambda: json.loads(raw, limit=300_000))


def test_sixteen_levels_are_read() -> None:
    """The limit is where it says."""
    raw = b'{"a":' + b"[" * 15 + b"]" * 15 + b"}"

    assert json.dumps(json.loads(raw, limit=100)) == raw


def test_pairs_of_surrogates_are_text() -> None:
    """A character beyond the basic plane may be written as two escapes."""
    assert json.loads(b'{"a":"\\ud83d\\ude00"}', limit=100) == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    "value",
    [{"a": 0.5}, {"a": None}, {"a": 1 << 53}, {"a": "\ud800"}, {"\udc00": 1}, {"a": b""}, {"a": [[{1: 2}]]}],
    ids=range(7),
)
def test_what_is_not_read_is_not_written(value: dict[str, Any]) -> None:
    """Floats, nulls, large numbers, lone surrogates: refused before they are signed."""
    refused("json_invalid", lambda: json.dumps(value))


def test_too_deep_is_not_written() -> None:
    """Seventeen levels are refused, sixteen are written."""
    value: Any = []
    for _ in range(14):
        value = [value]

    assert json.loads(json.dumps({"a": value}), limit=100) == {"a": value}
    refused("json_invalid", lambda: json.dumps({"a": [value]}))
