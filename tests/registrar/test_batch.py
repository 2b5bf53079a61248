"""Work prepared during another commit, and records built by hand for speed, equal the slow way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given, strategies

from agencies import NOW, SIGNAL
from nrmbus.directory import Directory
from nrmbus.registrar.batch import check, check_again, read
from nrmbus.registrar.records import audience_json
from nrmbus.wire.record import REGISTRATION
from nrmbus.wire.registration import Audience, Registration
from registrar.given import Bus

EVENT_ID = "0190b6a0-0000-7000-8000-000000000001"
AGENCIES = strategies.sampled_from(["fund", "ngo-a", "special-unit", "vac"])


@pytest.fixture
def bus() -> Bus:
    """A bus in memory."""
    return Bus()


def incoming(bus: Bus, owner: str = "ngo-a") -> ConsumerRecord[bytes, bytes]:
    """A submission as the consumer gives it."""
    record = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL))
    return ConsumerRecord(f"nrm.outbox.{owner}", 0, 0, 0, 0, record.key, record.value, None, 0, 0, record.headers)


def test_a_registration_is_what_the_model_writes(bus: Bus) -> None:
    """Byte for byte, or two readers would compute two digests."""
    said = dict(bus.signal(bus.shard()).outs[0].statements)[REGISTRATION]

    assert Registration.parse(said.body).json() == said.body


@given(
    strategies.lists(AGENCIES, unique=True).map(sorted),
    strategies.dictionaries(AGENCIES, strategies.lists(strategies.just(EVENT_ID), min_size=1, max_size=3)),
)
def test_an_audience_is_what_the_model_writes(recipients: Sequence[str], earlier: Mapping[str, Sequence[str]]) -> None:
    """The commitment in the registration is over these bytes."""
    model = Audience(
        salt="ab" * 16, recipients=tuple(recipients), earlier={agency: tuple(ids) for agency, ids in earlier.items()}
    )

    assert audience_json(recipients, earlier, "ab" * 16) == model.json()


def test_a_signature_checked_ahead_holds_when_its_turn_comes(bus: Bus) -> None:
    """A second later the key is still its sender's: it is not verified twice."""
    checked = check(read(incoming(bus)), bus.directory, NOW)

    assert checked.code is None
    assert check_again(checked, bus.directory, NOW + timedelta(seconds=1)) is checked


def test_a_key_that_went_meanwhile_does_not_count(bus: Bus) -> None:
    """A submission is judged by the state at its turn, not at the time of reading."""
    checked = check(read(incoming(bus)), bus.directory, NOW)
    before_it_was_admitted = datetime(2025, 1, 1, tzinfo=UTC)

    assert check_again(checked, bus.directory, before_it_was_admitted).code == "signature_invalid"


def test_a_sender_admitted_meanwhile_is_heard(bus: Bus) -> None:
    """Read before its entry of the directory, judged after it."""
    nobody = Directory(bus.directory.bus, bus.key.verify_key)
    checked = check(read(incoming(bus)), nobody, NOW)

    assert checked.code == "signature_invalid"
    assert check_again(checked, bus.directory, NOW).code is None


def test_another_agencys_outbox_stays_another_agencys(bus: Bus) -> None:
    """A valid signature in another agency's topic is not believed, now or later."""
    checked = check(read(incoming(bus, owner="vac")), bus.directory, NOW)

    assert checked.code == "source_not_owner"
    assert check_again(replace(checked, under=(0, NOW)), bus.directory, NOW).code == "source_not_owner"
