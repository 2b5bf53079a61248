"""Letter of an answer: what a code cannot say, in the words of the agency that answers."""

from typing import Annotated

from nrmbus.events.body import Body, Lowered
from nrmbus.events.model import Letter, Text, sealed


class AnswerLetter(Letter):
    """The answer in words, for the agency that asked."""

    notes: Annotated[
        Text | None,
        sealed("story", "DC4", "In your own words", example="Example: we have a place from the first of the month."),
    ] = None


def without_letter(body: Body) -> Lowered:
    """Return *body* for a version whose type has no letter; name the pointer of each field of the letter as lost."""
    return Lowered(Body(body.data, {}), tuple(f"/letter/{name}" for name in body.letter))
