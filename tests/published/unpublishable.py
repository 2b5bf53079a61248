"""Versions of the tests' type as nobody may publish them, each wrong in one way; and a fourth that is right."""

from typing import Annotated, Literal

from pydantic import Field

from events.given import First, Part, Third
from nrmbus.events.body import Body, Lowered
from nrmbus.events.model import Letter, Line, clear, sealed


class Edited(First):
    """An example of a type, in its first version."""

    what: Annotated[Literal["bed", "other"], clear("What is asked for")]


class Reworded(First):
    """An example of a type, told in other words."""


class Fourth(Third):
    """As version 3; who asks may say for how many nights."""

    version = 4

    nights: Annotated[int | None, clear("For how many nights", ge=1, le=90, example=2)] = None

    @classmethod
    def up(cls, said: Body) -> Body:
        """Version 3 does not say for how many nights."""
        return said

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """Version 3 has no room for nights."""
        data = {name: value for name, value in said.data.items() if name != "nights"}
        return Lowered(Body(data, said.letter), ("/data/nights",) if "nights" in said.data else ())


class Castless(Third):
    """A version that nobody can read as another."""

    version = 4

    nights: Annotated[int | None, clear("For how many nights", ge=1, le=90, example=2)] = None


class Demanding(Third):
    """It asks for what the version before did not have."""

    version = 4

    nights: Annotated[int, clear("For how many nights", ge=1, le=90, example=2)]

    @classmethod
    def up(cls, said: Body) -> Body:
        """Version 3 does not say for how many nights."""
        return said

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """As the fourth does."""
        return Fourth.down(said)


class Inventive(Demanding):
    """It makes it up."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """Two nights, as always."""
        return Body({**said.data, "nights": 2}, said.letter)

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """As the fourth does."""
        return Fourth.down(said)


class Silent(Fourth):
    """It drops in silence."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """As it was."""
        return said

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """Without a word."""
        return Fourth.down(said)._replace(lost=())


class Careless(Fourth):
    """It hands on what the version before does not take."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """As it was."""
        return said

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """All of it."""
        return Lowered(said, ())


class Forgetful(Fourth):
    """It forgets a part of what was said."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """The letter is left out."""
        return Body(said.data, {})

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """As the fourth does."""
        return Fourth.down(said)


class Hoping(Fourth):
    """It hopes that every reader has the letter."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """Some do not."""
        return Body(said.data, {"name": said.letter["name"]})

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """As the fourth does."""
        return Fourth.down(said)


class Open(Fourth):
    """It tells everybody what was sealed."""

    name: Annotated[str | None, clear("A name", example="Example")] = None


class Lowering(Letter):
    """The name, as if it were nobody's."""

    name: Annotated[
        tuple[Part, ...] | None,
        Field(min_length=1, max_length=4),
        sealed("identity", "DC2", "Names, the best first", example=[{"text": "Example"}]),
    ] = None


class Lower(Fourth):
    """It lowers a class."""

    letter = Lowering


class Moving(Letter):
    """The name, in a part that more may open."""

    name: Annotated[
        tuple[Part, ...] | None,
        Field(min_length=1, max_length=4),
        sealed("coded", "DC3", "Names, the best first", example=[{"text": "Example"}]),
    ] = None


class Moved(Fourth):
    """It moves a field to another part."""

    letter = Moving


class Union(Third):
    """It has a field that the checker cannot compare."""

    version = 4

    nights: Annotated[int | Literal["some"] | None, clear("For how many nights", example=2)] = None


class Unshown(Third):
    """It has a field without an example."""

    version = 4

    nights: Annotated[Line | None, clear("For how many nights")] = None


class Unfit(Third):
    """It has a field whose name has an example of another kind."""

    version = 4

    language: Annotated[int | None, clear("The language, by its number", ge=1, le=90)] = None


class Renamed(Letter):
    """Facts for the asked agency, under another name and in a part that more agencies may open."""

    called: Annotated[
        tuple[Part, ...] | None,
        Field(min_length=1, max_length=4),
        sealed("story", "DC4", "Names, the best first", example=[{"text": "Example"}]),
    ] = None


class Indiscreet(Fourth):
    """It reads a sealed name as a field that others open."""

    letter = Renamed

    @classmethod
    def up(cls, said: Body) -> Body:
        """From one part into another."""
        return Body(said.data, {"called": said.letter["name"]} if "name" in said.letter else said.letter)

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """And back."""
        lowered = Fourth.down(said)
        letter = {"name": said.letter["called"]} if "called" in said.letter else said.letter
        return Lowered(Body(lowered.body.data, letter), lowered.lost)
