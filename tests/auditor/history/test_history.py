"""Reader of the history: a sound history verifies, and any alteration is found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from auditor.played import first_scenario, of_type, with_header
from nrmbus.auditor.history.history import History, HistoryError, Signatures, Verifier, fold
from nrmbus.auditor.history.reader import HistoryReader
from nrmbus.bus.errors import BusError
from nrmbus.bus.kafka import clients
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.record import AUDIENCE, REGISTRATION, STATEMENTS, Record
from nrmbus.wire.registration import Audience, sign_registration, verify_registration
from registrar.given import Bus

BOTH: tuple[Signatures, ...] = ("all", "last")


@pytest.fixture
def bus() -> Bus:
    """A bus on which four signals were registered."""
    bus = Bus()
    shard = bus.shard()
    for number in range(4):
        bus.signal(shard, case=f"{number:032x}")
    return bus


def read(bus: Bus, records: list[Record], signatures: Signatures = "all") -> History:
    """Read *records* as partition 0, to their end."""
    history = History(bus.directory, signatures=signatures)
    for record in records:
        history.take(record, 0)
    history.verifier.check_last()
    return history


def code_of(bus: Bus, records: list[Record], signatures: Signatures = "all") -> tuple[int, str]:
    """At which number, and by which code, *records* do not verify."""
    with pytest.raises(HistoryError) as found:
        read(bus, records, signatures)
    return found.value.number, found.value.code


def registered_as(record: Record, other: Record) -> Record:
    """The envelope of *record* under the registrar's words on *other*."""
    words = [header for header in other.headers if header[0] in STATEMENTS]
    return Record(record.key, record.value, (*[each for each in record.headers if each[0] not in STATEMENTS], *words))


@pytest.mark.parametrize("signatures", BOTH)
class TestWhatIsVerified:
    def test_a_history_as_it_was_written(self, bus: Bus, signatures: Signatures) -> None:
        """Registrar, senders, audiences and the chain."""
        history = read(bus, bus.history, signatures)

        assert [entry.registration.number for entry in history.entries] == [1, 2, 3, 4]

    @pytest.mark.parametrize("missing", [0, 1, 2])
    def test_a_number_that_was_taken_out_is_found(self, bus: Bus, signatures: Signatures, missing: int) -> None:
        """The next one names the digest of what is not there."""
        records = [record for index, record in enumerate(bus.history) if index != missing]

        assert code_of(bus, records, signatures) == (missing + 1, "chain_broken")

    def test_two_that_changed_places_and_one_that_comes_twice(self, bus: Bus, signatures: Signatures) -> None:
        """Order is part of what happened."""
        first, second, *rest = bus.history

        assert code_of(bus, [second, first, *rest], signatures) == (1, "chain_broken")
        assert code_of(bus, [first, first, second, *rest], signatures) == (2, "chain_broken")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda record, other: with_header(record, REGISTRATION, dict(other.headers)[REGISTRATION]), "chain_broken"),
            (lambda record, other: with_header(record, AUDIENCE, dict(other.headers)[AUDIENCE]), "audience_altered"),
            (lambda record, other: registered_as(other, record), "envelope_altered"),
            (lambda record, other: replace(record, value=(other.value or b"") + b" "), "envelope_altered"),
            (lambda record, _: Record(record.key, record.value, record.headers[:-2]), "unreadable"),
            (lambda record, _: Record(record.key, None, record.headers), "unreadable"),
        ],
        ids=["another's registration", "another's audience", "another's envelope", "other data", "no words", "no value"],
    )  # fmt: skip
    def test_a_record_that_was_altered(
        self, bus: Bus, signatures: Signatures, change: Callable[[Record, Record], Record], code: str
    ) -> None:
        """Each part is tied to the others by a digest or a signature; the error names the place."""
        records = [*bus.history]
        records[2] = change(records[2], records[1])

        assert code_of(bus, records, signatures) == (3, code)

    def test_the_history_of_another_bus_or_partition(self, bus: Bus, signatures: Signatures) -> None:
        """It is signed by the right key, and still not this one's."""
        history = History(bus.directory, signatures=signatures)

        with pytest.raises(HistoryError, match="foreign"):
            history.take(bus.history[0], 1)

    def test_a_tail_that_somebody_else_signed(self, bus: Bus, signatures: Signatures) -> None:
        """A chain that holds, and no registrar's word on its end."""
        known = bus.directory.any_verify_key
        registration = verify_registration(
            dict(bus.history[3].headers)[REGISTRATION], lambda kid: known("registrar", kid)
        )
        forged = sign_registration(registration, SigningKey.generate())
        records = [*bus.history[:3], with_header(bus.history[3], REGISTRATION, forged)]

        assert code_of(bus, records, signatures) == (4, "signature_invalid")


def test_an_event_signed_by_somebody_else_is_found(bus: Bus) -> None:
    """Though the registrar says that it was registered: the sender's key in the directory decides."""
    shard = bus.shard()
    bus.identities["ngo-a"] = replace(bus.identities["ngo-a"], signing=SigningKey.generate())
    bus.history.clear()
    bus.signal(shard, case="f" * 32)

    assert code_of(bus, bus.history) == (1, "signature_invalid")
    assert read(bus, bus.history, "last").entries, "what the quick reading takes on trust, and says so"


def test_an_error_holds_nothing_of_the_record(bus: Bus) -> None:
    """Neither its message nor its cause repeats the record."""
    secret = b"CANARY-not-canonical"
    records = [with_header(bus.history[0], AUDIENCE, secret)]
    with pytest.raises(HistoryError) as found:
        read(bus, records)

    assert found.value.__cause__ is None
    assert found.value.__context__ is None
    assert secret.decode() not in str(found.value)


def test_a_refused_record_leaves_the_reader_where_it_was(bus: Bus) -> None:
    """A wrong record is not taken in part: the right one may still come."""
    verifier = Verifier(bus.directory)
    verifier.take(bus.history[0], 0)
    with pytest.raises(HistoryError):
        verifier.take(bus.history[2], 0)

    assert verifier.number(0) == 1
    assert verifier.take(bus.history[1], 0).registration.number == 2


@pytest.mark.parametrize("signatures", BOTH)
def test_the_first_story_reads_alike_however_it_is_verified(signatures: Signatures) -> None:
    """Its registrations, refusals among them, and the status at its end."""
    written = first_scenario()
    seen = written.audited(signatures)
    (subject,) = seen.history.spoken_of()
    facts = list(seen.history.facts(subject))

    assert len(seen.history.entries) == len(written.records)
    assert [entry.registration.code for entry in seen.history.entries if entry.said is None][:2] == [
        "consent_refused", "recipient_not_allowed",
    ]  # fmt: skip
    assert fold(seen.rules, subject, facts) == written.view[subject]


def test_as_of_an_hour_only_what_was_registered_by_then_is_known() -> None:
    """To the second, the second itself included."""
    seen = first_scenario().audited()
    referral = of_type(seen, "referral.submitted")
    at: datetime = referral.registration.time
    subject = referral.registration.subject

    assert referral in seen.history.about(subject, at)
    assert referral not in seen.history.about(subject, at - timedelta(seconds=1))
    assert seen.view(subject, seen.history.about(subject, at)).status == "REFERRED"
    assert seen.view(subject, seen.history.about(subject, at - timedelta(seconds=1))).status == "SUSPECTED"


def test_an_agency_sees_its_own_events_each_consent_just_before_it_is_needed() -> None:
    """As its inbox has them: migration hears of the consent with the hold."""
    seen = first_scenario().audited()
    (subject,) = seen.history.spoken_of()

    assert [fact.event.type for fact in seen.history.of("migration", subject)][:3] == [
        "consent.given", "stay.hold_requested", "stay.hold_confirmed",
    ]  # fmt: skip
    assert list(seen.history.of("embassy", subject)) == []


def test_the_registration_commits_to_its_recipients() -> None:
    """A shorter list is another commitment."""
    seen = first_scenario().audited()
    entry = of_type(seen, "referral.submitted")
    shorter = Audience(earlier={}, recipients=(), salt=entry.audience.salt)

    assert entry.audience.commitment() == entry.registration.audience != shorter.commitment()


class Silent:
    """A consumer to which nothing comes."""

    async def getmany(self, **_: object) -> dict[object, object]:
        """Nothing, at once."""
        return {}


async def test_waiting_for_what_does_not_come_has_an_end(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five registrations are known to be there, and none comes: a sentence says so, and nobody waits for ever."""
    monkeypatch.setattr(clients, "reader", lambda *_, **__: Silent())
    reader = HistoryReader("127.0.0.1:9", 1, History(bus.directory))

    with pytest.raises(BusError, match="did not come within"):
        await reader.catch_up({"0": 5}, patience=0.05)
