"""Readers of a letter that is still being written: those to whom its parts would be sealed now, by the code that seals."""

from collections.abc import Mapping
from typing import Any

from nrmbus.desk.letters import letters
from nrmbus.desk.state.context import Seat
from nrmbus.desk.state.steps import specimen
from nrmbus.events.model import Data, Part
from nrmbus.rules import View


def readers(
    seat: Seat, view: View, data: type[Data], said: Mapping[str, Any], ref: str | None = None
) -> Mapping[Part, tuple[str, ...]]:
    """Return for each part of a letter of *data* the agencies that will be able to read it, beside this one.

    *said* has the data so far: with other recipients there are other readers.
    """
    if data.letter is None:
        return {}
    opens = seat.rules.audience(view, specimen(seat, view, data, ref, said)).opens
    known = {
        part: [each for each in agencies if seat.directory.state(each, seat.now()) is not None]
        for part, agencies in opens.items()
    }  # without the agency of an example, where no recipient is chosen yet
    return {part: letters.readers_of(seat, part, known) for part in data.letter.part_names()}
