"""P3 on the wire: a registration that refuses cannot be made without saying why."""

from typing import Any

import pytest
from pydantic import ValidationError

from nrmbus.published import vectors
from nrmbus.wire.registration import NOTHING_BEFORE, Policy, Registration

SAID: dict[str, Any] = {
    "bus": vectors.BUS, "partition": 0, "number": 1, "time": vectors.TIME, "source": "ngo-a", "subject": "ab" * 16,
    "id": "01a20e60-33c3-7926-a116-2a610b01f281", "sequence": 1, "envelope": "0" * 64, "key": "ed25519:" + "0" * 32,
    "verdict": "refused", "code": "unknown_case", "rule": "G-02", "article": "[D]",
    "policy": Policy(name="az@2022-04-29", digest="0" * 64), "audience": "0" * 64, "previous": NOTHING_BEFORE,
}  # fmt: skip


@pytest.mark.parametrize("missing", ["code", "rule", "article", "policy"])
def test_a_refusal_without_rule_or_article_cannot_be_said(missing: str) -> None:
    """Sabotage: a registrar that leaves one of the four out does not get a registration to sign."""
    Registration(**SAID)

    with pytest.raises(ValidationError):
        Registration(**{name: value for name, value in SAID.items() if name != missing})
