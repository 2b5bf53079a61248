"""The directory decides whose signatures the registrar takes, and to which keys letters may be sealed."""

from datetime import datetime, timedelta

import pytest
from aiokafka import ConsumerRecord

from agencies import NOW, SIGNAL, identity
from nrmbus.directory import Identity, joining
from nrmbus.directory.entry import Entry, Kind
from nrmbus.directory.operator import Admitter
from nrmbus.registrar.batch import check, check_again, read
from nrmbus.registrar.shard import Shard
from nrmbus.wire import ids
from nrmbus.wire.record import Record
from registrar.given import Bus
from registrar.test_shard import LETTER, REF, REFERRAL

HOUR = timedelta(hours=1)
READERS = ("special-unit", "statistics")


@pytest.fixture
def bus() -> Bus:
    """A bus in memory."""
    return Bus()


def entered(bus: Bus, entry: Entry, at: datetime) -> None:
    """*entry* as two admitters sign it at *at*."""
    signed = joining.challenged(joining.holding_from(bus.directory, entry, at))
    for admitter in Admitter.here(bus.operator.home):
        signed = joining.admitted_by(signed, admitter.key)
    bus.directory.add(bus.operator.number(signed, bus.directory))


def state(bus: Bus, agency: str, kind: Kind, at: datetime) -> None:
    """Two admitters suspend or resume *agency*."""
    entered(bus, joining.repeated(bus.directory, agency, kind, made=at), at)


def rotated(bus: Bus, agency: str, at: datetime, overlap: timedelta) -> Identity:
    """*agency* has other keys from *at* on; it has opened the challenge."""
    old, new = bus.identities[agency], identity(agency, "new")
    public = (new.signing.public, new.sealing.public, new.witness.public)
    wanted = joining.Wanted(agency, bus.directory.entries[agency].role, *public)
    asked = joining.proposed(bus.directory, wanted, "rotated", made=at, until=at + overlap)
    entered(bus, joining.asked_by(asked, [new.signing, new.witness, old.signing]), at)
    secret = joining.opened(bus.directory.entries[agency], [new.sealing])
    confirmed = joining.repeated(bus.directory, agency, "confirmed", made=at, opened=secret)
    bus.directory.add(bus.operator.number(joining.asked_by(confirmed, [new.signing]), bus.directory))
    bus.identities[agency] = new
    return old


def coming(record: Record) -> "ConsumerRecord[bytes, bytes]":
    """A submission of the NGO as the consumer gives it."""
    return ConsumerRecord("nrm.outbox.ngo-a", 0, 0, 0, 0, record.key, record.value, None, 0, 0, record.headers)


def test_the_next_submission_of_a_suspended_agency_is_answered_so(bus: Bus) -> None:
    """A submission that was checked before the suspension is refused too; after the suspension the same bytes are registered."""
    submitted = read(coming(bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL))))
    before = check(submitted, bus.directory, NOW)
    state(bus, "ngo-a", "suspended", NOW)
    state(bus, "ngo-a", "resumed", NOW + HOUR)

    assert before.code is None
    assert check_again(before, bus.directory, NOW).code == "agency_suspended"
    assert check(submitted, bus.directory, NOW).code == "agency_suspended"
    assert check(submitted, bus.directory, NOW + HOUR).code is None


def test_within_an_overlap_the_key_of_its_time_is_good(bus: Bus) -> None:
    """Events signed before a change of keys are taken until the overlap ends; the old key signs nothing new."""
    under_way = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL, at=NOW - HOUR))
    too_late = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL, at=NOW + HOUR, case=ids.new_ref()))
    rotated(bus, "ngo-a", NOW, 72 * HOUR)
    anew = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL, at=NOW + HOUR, case=ids.new_ref()))

    def code(record: Record, at: datetime) -> str | None:
        return check(read(coming(record)), bus.directory, at).code

    assert [code(under_way, NOW + after * HOUR) for after in (0, 72, 73)] == [None, None, "signature_invalid"]
    assert code(too_late, NOW + HOUR) == "signature_invalid"
    assert code(anew, NOW + HOUR) is None


def referral(bus: Bus, shard: Shard) -> Record:
    """Return a referral to the special unit in a case of its own, sealed to its readers' current keys."""
    case = ids.new_ref()
    bus.signal(shard, case=case)
    bus.consents(shard, "special-unit", case=case)
    event = bus.event("ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="CoM 21/2008", case=case)
    return bus.signed(event, LETTER, READERS)


def test_a_letter_to_the_key_before_comes_in_within_the_overlap(bus: Bus) -> None:
    """And after it is refused: the sender's desk seals again."""
    shard = bus.shard()
    letters = [referral(bus, shard) for _ in range(2)]
    rotated(bus, "special-unit", NOW, 72 * HOUR)

    first, second = (
        bus.take(shard, each, owner="ngo-a", now=NOW + after * HOUR).code
        for each, after in zip(letters, (72, 73), strict=True)
    )
    assert first == "audience_changed"
    assert second == "key_not_current"


def test_to_who_is_suspended_nothing_is_sealed(bus: Bus) -> None:
    """A desk that did not know yet is told whom to seal to, and the suspended agency is not among them."""
    shard = bus.shard()
    sealed = referral(bus, shard)
    state(bus, "statistics", "suspended", NOW)
    decision = bus.take(shard, sealed, owner="ngo-a")

    assert decision.code == "audience_changed"
    ((_, registration),) = decision.outs[0].statements
    assert b'"special-unit"' in registration.body
    assert b'"statistics"' not in registration.body


def test_who_is_asked_must_not_be_suspended(bus: Bus) -> None:
    """A referral that cannot be read is none: its sender hears so at once."""
    shard = bus.shard()
    sealed = referral(bus, shard)
    state(bus, "special-unit", "suspended", NOW)

    assert bus.take(shard, sealed, owner="ngo-a").code == "agency_suspended"
