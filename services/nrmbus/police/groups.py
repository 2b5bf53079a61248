"""Line of the procedure about people who were found together."""

from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.events.identification import ReasonableGroundsDecided, StatusDecided, StatusRevoked
from nrmbus.events.model import Data
from nrmbus.police.state import State, last_day


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def shut_out(_decision: Data, heard: Heard, _: State) -> Result | None:
    """17. One of a group is no victim: if this person recruited the others, the access of the agencies that help this person ends in the others' cases, and each of the others is asked alone ([S11], [D])."""
    if heard.view.group is None or last_day(heard) is None:
        return None
    sentence = "This person was found with others. If this person recruited them, end the access of this person's helpers to the others' cases, and ask each of the others alone."
    return Result(tasks=(task(heard, "end_access", sentence),))
