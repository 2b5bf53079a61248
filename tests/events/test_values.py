"""Frozen records: nobody changes one, and creating one is cheap."""

from dataclasses import replace

import pytest

from nrmbus.events.values import frozen


@frozen
class Place:
    """A record of two fields."""

    town: str
    number: int = 1


def test_a_record_is_equal_by_its_fields_and_can_be_a_key() -> None:
    """Equality, hash, representation and `replace` are those of a frozen dataclass."""
    place = Place("Example")
    assert place == Place("Example", 1) != Place("Example", 2)
    assert {place: 1}[Place("Example")] == 1
    assert replace(place, number=3) == Place("Example", 3)
    assert repr(place) == "Place(town='Example', number=1)"


def test_mypy_lets_nobody_change_a_field_and_python_lets_nobody_add_one() -> None:
    """Mypy would report the comment in the next line as unused if it let the field be assigned."""
    place = Place("Example")
    place.number = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        place.street = "none"  # type: ignore[attr-defined]
