"""Shared material of the wire's tests: one letter and its readers, and the check of a refusal."""

import json as plain
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from nrmbus.events.model import Part
from nrmbus.published import vectors
from nrmbus.wire import letter
from nrmbus.wire.errors import SENTENCES, WireError
from nrmbus.wire.keys.keys import SealingKey, SealTo
from nrmbus.wire.letter import Container

CANARY = "Alina-7731"
"""Text in the input of the tests, which no output may contain."""


def refused(codes: str, attempt: Callable[[], object], unsaid: str = CANARY) -> WireError:
    """Call *attempt*, and assert a refusal with a code of the list and nothing of the input."""
    with pytest.raises(WireError) as caught:
        attempt()
    error = caught.value

    assert error.code in codes.split()
    assert error.code in SENTENCES
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = f"{error} {error!r} {error.safe} {''.join(traceback.format_exception(error))}"
    assert unsaid not in shown
    return error


SENDER, UNIT, SHELTER = "ngo-a", "special-unit", "shelter"
KEYS = {name: SealingKey.from_seed(vectors.seed(name)) for name in (SENDER, UNIT, SHELTER)}
TO = {name: key.seal_to for name, key in KEYS.items()}
PLACE = {"bus": vectors.BUS, "source": SENDER, "id": vectors.EVENT_ID, "subject": vectors.CASE}
SAYS: dict[Part, dict[str, Any]] = {
    "coded": {"interpreter": "rus"}, "contact": {}, "identity": {"name": CANARY}, "money": {}, "story": {"facts": CANARY},
}  # fmt: skip
READS: dict[str, tuple[Part, ...]] = {SENDER: tuple(SAYS), UNIT: ("coded", "identity", "story"), SHELTER: ("coded",)}


def readers(part: Part) -> list[tuple[str, SealTo]]:
    """Return the readers of *part* in these tests."""
    return [(name, TO[name]) for name, parts in READS.items() if part in parts]


def sealed(says: dict[Part, dict[str, Any]] = SAYS, **place: str) -> bytes:
    """A letter from the NGO."""
    return letter.seal(says, {part: readers(part) for part in says}, **{**PLACE, **place})


RAW = sealed()
WHOLE = Container.parse(RAW)
BODY = plain.loads(RAW)


def opened(raw: bytes | Container, name: str, **place: str) -> dict[Part, dict[str, Any]]:
    """Return the parts that *name* opens in a letter."""
    container = raw if isinstance(raw, Container) else Container.parse(raw)
    return container.open(name, KEYS[name], **{**PLACE, **place})


def edited(change: Callable[[list[dict[str, Any]]], object], body: dict[str, Any] = BODY) -> bytes:
    """The letter after somebody changed its parts."""
    body = plain.loads(plain.dumps(body))
    change(body["parts"])
    return plain.dumps(body).encode()
