"""Answers that the procedures of several agencies have in common; each procedure still declares its own line."""

from nrmbus.desk.procedure.interface import Heard, Result, task


def referral_came(heard: Heard) -> Result | None:
    """Return the task to answer the referral that came; None for a referral of this agency."""
    if heard.own:
        return None
    return Result(tasks=(task(heard, "referral", "A referral has come: acknowledge it, then accept, decline or ask."),))


def noted(heard: Heard) -> Result | None:
    """Return that nothing has to be done about what another agency said; None for an event of this agency."""
    return None if heard.own else Result()
