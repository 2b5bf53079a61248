"""The twelve signatures on which implementations of Ed25519 differ: this bus has one verdict on each, wherever it verifies."""

import json as plain
from collections.abc import Callable

import pytest

from nrmbus.auditor.evidence import verifier
from nrmbus.published import vectors
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import VerifyKey

CASES: list[dict[str, str]] = plain.loads((vectors.FOLDER / "ed25519.json").read_text(encoding="utf-8"))["cases"]
CODES = {"key_weak": "weak_key"}
"""The offline verifier's names of codes that the wire has too."""


def by_the_wire(public: bytes, signature: bytes, message: bytes) -> str:
    """Return the verdict of the key by which every service and the client verify."""
    try:
        VerifyKey(public).verify(signature, message)
    except WireError as error:
        return error.code
    return "holds"


def offline(public: bytes, signature: bytes, message: bytes) -> str:
    """Return the verdict of the program that is handed on with evidence."""
    try:
        key = verifier.ed25519(public)
    except verifier.Failed as failed:
        return CODES[failed.code]
    return "holds" if verifier.holds(key, signature, message) else "signature_invalid"


@pytest.mark.parametrize("verdict", [by_the_wire, offline], ids=["services and client", "offline verifier"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_one_verdict_everywhere(case: dict[str, str], verdict: Callable[[bytes, bytes, bytes], str]) -> None:
    """Key, signature and message of a case have the published verdict."""
    public, signature, message = (bytes.fromhex(case[name]) for name in ("public", "signature", "message"))

    assert verdict(public, signature, message) == case["verdict"]


def test_the_verdicts_are_those_of_the_decision() -> None:
    """Two of twelve hold: R of small order, and a key and R with a part of small order. A key of small order is refused."""
    assert [case["verdict"] for case in CASES] == [
        *["weak_key"] * 2, *["holds"] * 2, *["signature_invalid"] * 6, *["weak_key"] * 2,
    ]  # fmt: skip
