"""A person hears of the readers that the registrar adds to a letter, and of a refused copy no more than is true."""

import json
from pathlib import Path

import pytest

from desk.given import Given, desk_of
from desk.outbox.test_queue import readers, signal_

UNIT = ("special-unit",)


async def sealed_again(given: Given, *copies: tuple[str, ...]) -> None:
    """Have the NGO's signal sealed again, once for each of *copies*: the agencies that the registrar names for its story."""
    for story in copies:
        (sent,) = await given.out()
        seal_to = {"coded": ("special-unit", "statistics"), "story": story}
        await given.hear(given.registrar.refuse(sent, "audience_changed", rule="W9", seal_to=seal_to))


async def tasks(given: Given) -> list[tuple[str, list[str]]]:
    """Return kind and agencies of the open tasks about a letter's readers."""
    rows = [(row.kind, json.loads(row.about).get("agencies")) for row in await given.rows("tasks") if row.done is None]
    return [(kind, agencies) for kind, agencies in rows if agencies is not None]


@pytest.mark.parametrize("copies", [1, 2], ids=["the first copy", "the second copy"])
async def test_p2_readers_of_the_registered_copy_are_named_once(copies: int, tmp_path: Path) -> None:
    """Given copies for a reader whom the desk did not expect, when the last one is registered, then a task says that this reader can read the letter."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        await sealed_again(given, *[UNIT] * copies)
        (sent,) = await given.out()
        await given.hear(given.registrar.register(sent, to="ngo-a"))

        assert readers(sent)["story"] == ["ngo-a", "special-unit"]
        assert await tasks(given) == [("sealed_to_more", ["special-unit"])]


async def test_nobody_is_said_to_read_a_letter_whose_registered_copy_is_not_theirs(tmp_path: Path) -> None:
    """Given two copies for the unit and a last one without it, when the last one is registered, then one task says that a copy was not delivered."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        await sealed_again(given, UNIT, UNIT, ())
        (sent,) = await given.out()
        await given.hear(given.registrar.register(sent, to="ngo-a"))

        assert readers(sent)["story"] == ["ngo-a"]
        assert await tasks(given) == [("copy_refused", ["special-unit"])]


async def test_p2_a_refused_copy_is_not_forgotten(tmp_path: Path) -> None:
    """Given a copy for the unit, when the registrar refuses it for good, then the task no longer says that the unit can read it, and a person still hears that the copy exists."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        await sealed_again(given, UNIT)
        (sent,) = await given.out()
        await given.hear(given.registrar.refuse(sent, "consent_withdrawn", rule="G-31"))

        assert await tasks(given) == [("copy_refused", ["special-unit"])]
        assert [row.state for row in await given.rows("outbox")] == ["closed", "closed"]
