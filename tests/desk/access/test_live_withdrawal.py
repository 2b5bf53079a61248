"""P7 on a real broker: a desk that was down opens nothing that the person took back meanwhile."""

from typing import Any

import pytest

from brokers import Broker
from desk.live import live, signal_of
from desk.test_live import CASE, CONSENT, REF, REFERRAL, TWO, about, delivered, quiet, rows
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SEALED = {"name": "CANARY-desk-name", "facts": "CANARY-desk-facts"}
REFERRED: dict[str, Any] = {"ref": REF, "to": ["special-unit"], "legal_basis": "CoM 21/2008 art. 7"}
WITHDRAWN = {"purposes": ["services", "information_sharing"], "receivers": ["special-unit"]}


async def test_p7_what_was_withdrawn_while_a_desk_was_down_stays_closed(broker: Broker) -> None:
    """Letter and withdrawal wait in the inbox: the desk does not open the letter, and tells the sender so."""
    async with live(broker, TWO, run=list(TWO)) as bus, bus.door("ngo-a") as ngo:
        await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
        await quiet(bus, *TWO)
        bus.kill("special-unit")
        said = [
            await ngo.publish(about("consent.given", CONSENT), wait=LONGEST_WAIT),
            await ngo.publish(about("referral.submitted", REFERRAL, **REFERRED, sealed=SEALED), wait=LONGEST_WAIT),
            await ngo.publish(about("consent.withdrawn", WITHDRAWN), wait=LONGEST_WAIT),
        ]
        assert [answer["verdict"] for answer in said] == ["registered"] * 3
        bus.start("special-unit")
        await bus.ready("special-unit")
        await delivered(bus, "special-unit", 5)
        await quiet(bus, *TWO)
        async with bus.door("special-unit") as unit:
            heard = (await unit.inbox(opened=True, actor="S-1"))["events"]
        opened = rows(bus, "special-unit", "SELECT DISTINCT who, purpose, event FROM reads ORDER BY id")
        receipts = rows(
            bus, "ngo-a", "SELECT type FROM events WHERE technical = 1 AND source = 'special-unit' ORDER BY position"
        )

    signal, _, referral, _ = heard
    assert referral["shut"] == "consent_withdrawn"
    assert "CANARY-desk-name" not in str(heard)
    assert opened == [("desk", "receipt", signal["id"]), ("S-1", "case_work", signal["id"])]
    assert receipts == [("letter.opened",), ("letter.kept_shut",)]
