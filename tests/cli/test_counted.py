"""Numbers and their nouns."""

import pytest

from nrmbus.cli.counted import counted


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (1, ("webhook",), "1 webhook"),
        (1.0, ("record waits", "records wait"), "1 record waits"),
        (0, ("case",), "0 cases"),
        (2, ("entry", "entries"), "2 entries"),
        (12_345.0, ("file",), "12,345 files"),
    ],
)
def test_one_thing_is_not_named_as_many(number: float, nouns: tuple[str, ...], text: str) -> None:
    """Given one, none or many, then the noun fits the number."""
    assert counted(number, *nouns) == text
