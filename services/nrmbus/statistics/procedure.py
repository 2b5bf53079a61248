"""The statistics: one function per numbered line of ``README.md``."""

from nrmbus.desk.procedure.interface import Heard, Result, Settings, line
from nrmbus.events.model import Data, Event, Frozen
from nrmbus.events.registry import TYPES


class State(Frozen):
    """Nothing: the letters stay in the ledger, under the key of their case, and are counted when figures are made."""


def begin(_: Settings) -> State:
    """Return the state."""
    return State()


@line(*{data.type: data for (_, version), data in TYPES.items() if version == 1}.values())
def counted(_: Data, _heard: Heard, _state: State) -> Result:
    """1. Whatever comes is counted when figures are made, and asks nobody to do anything ([D])."""
    return Result()


def keep(state: State, _: Heard) -> State:
    """Return the state as it was."""
    return state


def take_back(state: State, _: Event) -> State:
    """Return the state as it was."""
    return state
