"""Shared material of the wire's tests: one letter and its readers, and the check of a refusal."""

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


def body_of(container: Container) -> list[dict[str, Any]]:
    """Return the parts of a container as plain values, to be edited and written by `written`."""
    return [
        {
            "kind": 1, "name": part.name, "iv": part.iv, "commit": part.commit, "ct": part.ct,
            "wraps": [
                {"digest": wrap} if isinstance(wrap, bytes) else {"kind": 1, "to": wrap.to, "kid": wrap.kid, "w": wrap.w}
                for wrap in part.wraps
            ],
        }
        if isinstance(part, letter.Sealed)
        else {"digest": part}
        for part in container.sealed
    ]  # fmt: skip


def written(parts: list[dict[str, Any]]) -> bytes:
    """Return *parts* as bytes, as the wire's page says it and whatever they hold; ``size`` and ``count`` may lie."""
    return b"nrl1nrm1" + bytes([len(parts)]) + b"".join(map(_part, parts))


def _part(part: dict[str, Any]) -> bytes:
    if "digest" in part:
        return b"\0" + bytes(part["digest"])
    size, count = part.get("size", len(part["ct"])), part.get("count", len(part["wraps"]))
    head = _text(part["name"]) + part["iv"] + part["commit"] + size.to_bytes(4) + part["ct"] + bytes([count])
    return b"".join((bytes([part["kind"]]), head, *map(_wrap, part["wraps"])))


def _wrap(wrap: dict[str, Any]) -> bytes:
    if "digest" in wrap:
        return b"\0" + bytes(wrap["digest"])
    return b"".join((bytes([wrap["kind"]]), _text(wrap["to"]), _text(wrap["kid"]), wrap["w"]))


def _text(text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return len(raw).to_bytes(2) + raw


def opened(raw: bytes | Container, name: str, **place: str) -> dict[Part, dict[str, Any]]:
    """Return the parts that *name* opens in a letter."""
    container = raw if isinstance(raw, Container) else Container.parse(raw)
    return container.open(name, KEYS[name], **{**PLACE, **place})


def edited(change: Callable[[list[dict[str, Any]]], object]) -> bytes:
    """The letter after somebody changed its parts."""
    parts = body_of(WHOLE)
    change(parts)
    return written(parts)
