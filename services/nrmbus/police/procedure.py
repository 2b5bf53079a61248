"""The police's special unit: what it does by itself. One function per numbered line of ``README.md``."""

from typing import Final

from nrmbus.desk.procedure.interface import Heard, Line, Said, Settings, by_itself, task
from nrmbus.events import InterviewHeld, PeriodStarted, ReasonableGroundsDecided, ReferralSubmitted
from nrmbus.events.model import Event, Frozen

_ONE_INTERVIEW: Final = 1


class Book(Frozen):
    """The unit keeps nothing across cases: each case says all that the lines ask."""


def begin(_: Settings) -> Book:
    """The book of a unit that has heard nothing yet."""
    return Book()


def receive(heard: Heard, _: Book) -> Said | None:
    """1. A referral comes: its duty officer, and nobody else, acknowledges it and receives person and papers (CoM 21/2008 [S2])."""
    if heard.own or not isinstance(heard.event.data, ReferralSubmitted):
        return None
    sentence = "A referral has come: only the duty officer acknowledges it, answers it and receives the person."
    return Said(tasks=(task(heard, "duty_officer", sentence),))


def warn(heard: Heard, _: Book) -> Said | None:
    """2. From the second interview on a warning comes: share the record, ask nobody the same again ([S32, S39], [D])."""
    data = heard.event.data
    if not heard.own or not isinstance(data, InterviewHeld) or data.number <= _ONE_INTERVIEW:
        return None
    sentence = f"Interview number {data.number} of this person: share the record instead of asking again."
    return Said(tasks=(task(heard, "interviewed_again", sentence),))


def reflect(heard: Heard, _: Book) -> Said | None:
    """3. A positive reasonable-grounds decision starts the recovery and reflection period (CETS 197 art. 13 [S30])."""
    data = heard.event.data
    if not heard.own or not isinstance(data, ReasonableGroundsDecided) or data.outcome != "positive":
        return None
    period = PeriodStarted(days=heard.rules.profile.periods.recovery_days)
    return Said(drafts=(by_itself(heard, "recovery-period", period, time=heard.event.time),))


def keep(book: Book, _: Heard) -> Book:
    """Keep nothing."""
    return book


def take_back(book: Book, _: Event) -> Book:
    """Nothing was set aside."""
    return book


LINES: Final[tuple[Line[Book], ...]] = (receive, warn, reflect)
