"""Refusals in the words of the rule's sentence: what happened and what to do."""

from collections.abc import Mapping
from typing import Any

from nrmbus.desk.state.context import Seat
from nrmbus.wire.errors import sentence_of


def sentence(seat: Seat, code: str, rule: str | None) -> str:
    """Return the sentence of the profile's *rule*, or else of *code*, which is the wire's or a desk's own."""
    return seat.rules.says(code, rule) or sentence_of(code)


def told(seat: Seat, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of an event (`views.said`), with a sentence if the event was refused or failed."""
    code = said.get("code")
    return dict(said) if code is None else {**said, "sentence": sentence(seat, code, said.get("rule"))}
