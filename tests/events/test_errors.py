"""Errors name the problem without repeating the input."""

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.events import schemas as published
from nrmbus.events.errors import EventError, Invalid, UnknownType, UnknownVersion
from nrmbus.events.model import Frozen
from nrmbus.events.registry import TYPES, data_type

CANARY = "CANARY-Alina-Example"
MODELS: list[tuple[type[Frozen], dict[str, Any]]] = []
for _data in TYPES.values():
    _full = json.loads((published.FOLDER / f"nrm.{_data.type}/v{_data.version}/full.json").read_text(encoding="utf-8"))
    MODELS.append((_data, _full["event"]["data"]))
    if _data.letter and _data.letter not in dict(MODELS):  # versions may share one
        MODELS.append((_data.letter, _full["letter"]))


def _tells_nothing(error: EventError, secret: str) -> None:
    problems = getattr(error, "problems", ())
    told = [str(error), repr(error), repr(error.args), repr(problems), *traceback.format_exception_only(error)]
    assert not [text for text in told if secret in text]
    assert error.__cause__ is None
    assert error.__context__ is None


def _poisoned(value: Any, secret: Any) -> Iterator[Any]:
    """The JSON *value* with *secret* instead of one thing in it, or as a member's name, in every way."""
    yield secret
    if isinstance(value, dict):
        yield value | {str(secret): 1}
        for name, inner in value.items():
            for poisoned in _poisoned(inner, secret):
                yield value | {name: poisoned}
            yield {(str(secret) if key == name else key): kept for key, kept in value.items()}
    elif isinstance(value, list):
        yield [*value, secret]
        for index, inner in enumerate(value):
            for poisoned in _poisoned(inner, secret):
                yield [*value[:index], poisoned, *value[index + 1 :]]


@pytest.mark.thorough
@pytest.mark.parametrize(("model", "full"), MODELS, ids=[model.__name__ for model, _ in MODELS])
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda canary: canary + " " * 30_000, id="text"),
        pytest.param(lambda canary: [canary], id="list"),
        pytest.param(lambda canary: {canary: canary}, id="member"),
    ],
)
def test_a_secret_in_any_field_is_not_in_the_error(
    model: type[Frozen], full: dict[str, Any], wrap: Callable[[str], Any]
) -> None:
    """Wherever a name is put where it does not fit, as value or as member, the error does not have it."""
    for poisoned in _poisoned(full, wrap(CANARY)):
        if not isinstance(poisoned, dict):
            continue
        with pytest.raises(Invalid) as caught:
            model.from_mapping(poisoned)
        _tells_nothing(caught.value, CANARY)


_TOKENS = st.text("ΩЖ漢字", min_size=6, max_size=12)  # letters that no published name or code has
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TOKENS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TOKENS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.thorough
@given(model=st.sampled_from(MODELS), junk=st.dictionaries(_TOKENS, _ANY, min_size=1, max_size=4), keep=st.booleans())
def test_junk_is_refused_without_an_echo(
    model: tuple[type[Frozen], dict[str, Any]], junk: dict[str, Any], *, keep: bool
) -> None:
    """Any JSON is refused by the same error, which repeats none of its characters."""
    published_model, full = model
    with pytest.raises(Invalid) as caught:
        published_model.from_mapping(full | junk if keep else junk)

    for letter in "ΩЖ漢字":
        _tells_nothing(caught.value, letter)


@given(model=st.sampled_from([model for model, _ in MODELS]), raw=st.binary(max_size=60))
def test_bytes_that_are_not_json_are_refused_without_an_echo(model: type[Frozen], raw: bytes) -> None:
    """Bytes that are no object of the model are refused, and the error does not have them."""
    with pytest.raises(Invalid) as caught:
        model.from_json(b"\xff" + raw + CANARY.encode())

    _tells_nothing(caught.value, CANARY)


@pytest.mark.parametrize("unwritable", [{"notes": object()}, {"notes": {1, 2}}, {"notes": float("nan")}, {1: CANARY}])
def test_objects_outside_json_are_refused(unwritable: dict[Any, Any]) -> None:
    """Objects that JSON does not have are refused by the same error."""
    with pytest.raises(Invalid) as caught:
        TYPES["case.closed", 1].from_mapping(unwritable)

    _tells_nothing(caught.value, CANARY)


def test_a_misspelt_name_is_refused_where_it_stands() -> None:
    """A misspelt field is unknown; the pointer leads to the enclosing object, without the name."""
    letter = TYPES["referral.submitted", 1].letter
    assert letter is not None
    with pytest.raises(Invalid) as outer:
        letter.from_mapping({"nmae": "Alina Example"})
    with pytest.raises(Invalid) as inner:
        letter.from_mapping({"contact": {"method": "phone", "value": "+994000000001", "save_hours": "10:00"}})

    assert outer.value.problems == (("", "unknown_field"),)
    assert inner.value.problems == (("/contact", "unknown_field"),)
    assert inner.value.kinds == {"unknown_field"}


def test_every_problem_is_reported_at_once() -> None:
    """The error lists every problem of an event, each with its pointer."""
    with pytest.raises(Invalid) as caught:
        TYPES["payment.ordered", 1].from_mapping({"kind": "wage", "amount": {"value": "700", "currency": "AZN"}})

    assert {pointer for pointer, _ in caught.value.problems} == {"/kind", "/amount/value", "/payee"}


def test_an_unknown_type_or_version_is_reported_without_its_name() -> None:
    """A type that is not published is not repeated; of a version the published ones are listed."""
    with pytest.raises(UnknownType) as unknown:
        data_type(CANARY, 1)
    with pytest.raises(UnknownVersion, match=r"those that are: 1") as other:
        data_type("case.closed", 4711)

    _tells_nothing(unknown.value, CANARY)
    _tells_nothing(other.value, "4711")
    assert other.value.known == (1,)
