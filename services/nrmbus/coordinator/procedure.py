"""The office of the National Coordinator: one function per numbered line of ``README.md``."""

from typing import Final

from pydantic import Field

from nrmbus.desk.procedure.interface import Heard, Result, Settings, line, task
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.breach import BreachReported
from nrmbus.events.model import Event, Frozen
from nrmbus.events.stats import PeriodPublished

SILENT: Final = "agency_silent"
BREACH: Final = "breach_reported"
RELEASED: Final = "figures_released"
CORRECTED: Final = "figures_corrected"
"""Kinds of the tasks of the lines."""


class State(Frozen):
    """Which agencies do not read: for each the events whose tasks end when it reads again. The office has no case."""

    silent: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def begin(_: Settings) -> State:
    """Return the state."""
    return State()


@line(ListeningChanged)
def silence(said: ListeningChanged, heard: Heard, state: State) -> Result | None:
    """1. An agency no longer takes what is delivered: the office calls it, since letters and people wait there ([D])."""
    if said.listening:
        return Result(over=tuple((SILENT, event) for event in state.silent.get(said.agency, ())))
    sentence = f"The desk of {said.agency} no longer takes what is delivered: call the agency, and ask when its desk runs again."
    return Result(tasks=(task(heard, SILENT, sentence),))


@line(BreachReported)
def breach(said: BreachReported, heard: Heard, _: State) -> Result:
    """2. A breach of data is reported: the office asks the agency what is done, until the breach is over ([S57], [D])."""
    asks = "read what was done." if said.ended else "ask what is done, until the breach is over."
    return Result(tasks=(task(heard, BREACH, f"{heard.event.source} reports a breach of data: {asks}"),))


@line(PeriodPublished)
def yearly(said: PeriodPublished, heard: Heard, _: State) -> Result:
    """3. Figures are released: the office reads them, and writes the yearly information from those of a year ({basis:stats.period_published})."""
    if said.previous is not None:
        return corrected(said, heard)
    return Result(tasks=(task(heard, RELEASED, f"The figures of {said.period} are released: read them."),))


def corrected(said: PeriodPublished, heard: Heard) -> Result:
    """4. A release corrects an earlier one: what was published of it is replaced ({basis:stats.period_published})."""
    sentence = f"The figures of {said.period} are corrected: replace what was published."
    return Result(tasks=(task(heard, CORRECTED, sentence),))


def keep(state: State, heard: Heard) -> State:
    """Return the state after *heard*: an agency is added with each event of its silence, and leaves when it reads again."""
    said = heard.event.data
    if not isinstance(said, ListeningChanged):
        return state
    silent = {agency: events for agency, events in state.silent.items() if agency != said.agency}
    if not said.listening:
        silent[said.agency] = (*state.silent.get(said.agency, ()), heard.event.id)
    return State(silent=silent)


def take_back(state: State, _: Event) -> State:
    """Return the state as it was."""
    return state
