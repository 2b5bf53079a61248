"""What a recipient's desk says about a letter; `causationid` is the event that the letter belongs to [D]."""

from typing import Annotated

from nrmbus.events.codes import Unreadable
from nrmbus.events.model import Data, clear


class LetterOpened(Data):
    """The recipient's desk could open all parts that were sealed to it [D]."""

    type = "letter.opened"
    technical = True


class LetterKeptShut(Data):
    """The recipient's desk did not open the letter: the person had refused or taken back consent for that agency by then.

    It moves no clock: the sender has done what it owed [D].
    """

    type = "letter.kept_shut"
    technical = True


class LetterUnreadable(Data):
    """The recipient's desk could not open the letter: what it came with counts as not said, and clocks run on [D]."""

    type = "letter.unreadable"
    technical = True

    reason: Annotated[Unreadable, clear("What was wrong: its digest, the key, its form, or it did not come")]
