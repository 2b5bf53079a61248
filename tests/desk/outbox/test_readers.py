"""Who will be able to read a letter: what the page says is what the desk seals."""

from pathlib import Path
from typing import Any

from agencies import CASE, SIGNAL
from desk.given import Given, desk_of
from nrmbus.desk.outbox.readers import readers
from nrmbus.events.case import SignalRecorded
from nrmbus.events.model import Data, Part
from nrmbus.events.referral import ReferralDeclined, ReferralSubmitted
from nrmbus.wire.envelope import decode

CONSENT = {"purposes": ["information_sharing", "services"], "given_by": "individual", "form": "written"}
REFERRAL: dict[str, Any] = {
    "to": ["shelter", "vac"], "mode": "referral", "reason": "EmergencyProtection", "urgency": "urgent", "services": [],
}  # fmt: skip


async def with_case(given: Given) -> None:
    """Give the desk a case, with consent for the shelter and the centre."""
    await given.registered(type="case.signal_recorded", data=SIGNAL)
    await given.ask(type="consent.given", data={**CONSENT, "receivers": ["shelter", "vac"]})
    await given.settle()


def told(given: Given, data: type[Data], said: dict[str, Any]) -> dict[Part, tuple[str, ...]]:
    """Return what the page would say."""
    seat = given.desk.seat
    with seat.ledger.read() as tx:
        return dict(readers(seat, given.desk.cases.view(tx, CASE), data, said))


async def test_the_page_names_those_to_whom_the_desk_seals(tmp_path: Path) -> None:
    """Given a referral, then each part is sealed to the agencies that were named beside its fields, and to the sender."""
    async with desk_of("ngo-a", tmp_path) as given:
        await with_case(given)
        before = told(given, ReferralSubmitted, REFERRAL)

        await given.ask(type="referral.submitted", data=REFERRAL, sealed={"name": "Alina Example"}, legal_basis="Law 1")
        (sent,) = await given.out()

        container = decode(sent).letter()
        assert container is not None
        sealed = {part: set(container.wraps(part)) - {"ngo-a"} for part in container.parts}
        assert sealed == {part: set(agencies) for part, agencies in before.items()}
        assert before["identity"] == ("shelter", "vac")
        assert before["story"] != before["coded"]  # the statistics read the coded facts, or a role opens less


async def test_nobody_is_named_before_a_recipient_is_chosen(tmp_path: Path) -> None:
    """Given a referral without a recipient, then nobody but the statistics would read; another recipient, other readers."""
    async with desk_of("ngo-a", tmp_path) as given:
        await with_case(given)

        assert set(told(given, ReferralSubmitted, {"mode": "no such mode"}).values()) == {(), ("statistics",)}
        assert told(given, ReferralSubmitted, {"to": ["fund"]})["identity"] != ()


async def test_a_signals_readers_follow_from_the_childs_flag(tmp_path: Path) -> None:
    """Given a signal, then the special unit reads the story of a child, and of an adult the coded facts alone."""
    async with desk_of("ngo-a", tmp_path) as given:
        adult, child = (told(given, SignalRecorded, {**SIGNAL, "child": each}) for each in (False, True))

        assert (adult["story"], child["story"]) == ((), ("special-unit",))
        assert "special-unit" in adult["coded"]
        assert told(given, ReferralDeclined, {}) == {}
