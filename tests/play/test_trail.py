"""The check of what the brokers hold: it sees each kind of anomaly, and none where there is none."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from agencies import SIGNAL
from nrmbus.events.model import Part
from nrmbus.play import trail
from nrmbus.play.trail import Anomalies, Read
from nrmbus.registrar.records import Out
from nrmbus.wire.ids import sealed_again
from nrmbus.wire.record import DELIVERY, REGISTRATION, Record
from nrmbus.wire.record import LETTER as LETTER_HEADER
from registrar.given import Bus, as_record, check_history

LETTER: dict[Part, dict[str, Any]] = {"coded": {}, "story": {}}
CONSENT = {"purposes": ["services"], "given_by": "individual", "form": "written"}
History = list[Read]


def read(out: Out) -> Read:
    """A record as another client reads it."""
    return Read(out.topic, out.partition, as_record(out))


@pytest.fixture(name="records")
def _records() -> History:
    bus = Bus()
    shard = bus.shard()
    decisions = [bus.signal(shard)]
    decisions += [
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [each]}) for each in ("vac", "fund")
    ]
    check_history(bus, shard)
    return [read(out) for decision in decisions for out in decision.outs]


def checked(monkeypatch: pytest.MonkeyPatch, records: History, *more: tuple[str, str, str]) -> Anomalies:
    """The anomalies of *records*, where all that they register was acknowledged, and *more*."""

    def of_topics(_bootstrap: str, pattern: str) -> Iterator[Read]:
        wanted = pattern.replace("\\", "").removesuffix(".*")
        return iter([record for record in records if record.topic.startswith(wanted)])

    monkeypatch.setattr(trail, "read_all", of_topics)
    return trail.check("nowhere:0", more)


def cases(records: History) -> list[int]:
    """Where the records of the history stand in *records*."""
    return [at for at, record in enumerate(records) if record.topic == "nrm.cases"]


def without(at: int) -> Callable[[History], History]:
    """Take the *at*-th record of the history out."""
    return lambda records: [record for place, record in enumerate(records) if place != cases(records)[at]]


def twice(at: int) -> Callable[[History], History]:
    """Have the *at*-th record of the history twice."""
    return lambda records: [*records, records[cases(records)[at]]]


def swapped(records: History) -> History:
    """Two records of the history in the other order."""
    first, second = cases(records)[1:3]
    altered = list(records)
    altered[first], altered[second] = altered[second], altered[first]
    return altered


def not_delivered(records: History) -> History:
    """The special unit's copy is missing."""
    return [record for record in records if record.topic != "nrm.inbox.special-unit"]


def delivered_elsewhere(records: History) -> History:
    """The special unit's copy lies in somebody else's inbox."""
    return [
        Read("nrm.inbox.fund", each.partition, each.record) if "special" in each.topic else each for each in records
    ]


def without_content(records: History) -> History:
    """The special unit's copy has its statements, and no event."""

    def emptied(record: Record) -> Record:
        kept = tuple(each for each in record.headers if each[0] in (REGISTRATION, DELIVERY))
        return Record(record.key, b"", kept)

    return [replace(each, record=emptied(each.record)) if "special" in each.topic else each for each in records]


def with_another_header(records: History) -> History:
    """The special unit's copy names another member of staff."""

    def altered(record: Record) -> Record:
        headers = tuple((name, b"S-99" if name == "ce_actor" else value) for name, value in record.headers)
        return Record(record.key, record.value, headers)

    return [replace(each, record=altered(each.record)) if "special" in each.topic else each for each in records]


def delivered_twice(records: History) -> History:
    """The special unit's copy is there a second time, byte for byte."""
    return [*records, *(each for each in records if "special" in each.topic)]


def test_a_sound_history_has_no_anomaly(monkeypatch: pytest.MonkeyPatch, records: History) -> None:
    """P1: nothing is found where nothing is wrong, and what was registered is counted."""
    found = checked(monkeypatch, records)

    assert not found.any, found
    assert found.registered == 3


@pytest.mark.parametrize(
    ("alter", "kind"),
    [
        (without(1), "gap"), (twice(2), "twice"), (swapped, "disordered"), (not_delivered, "undelivered"),
        (delivered_elsewhere, "misdelivered"), (without(2), "misdelivered"),
        (without_content, "misdelivered"), (with_another_header, "misdelivered"), (delivered_twice, "misdelivered"),
    ],
    ids=["cut out", "doubled", "swapped", "not delivered", "delivered elsewhere", "delivered without a registration",
         "delivered without its content", "delivered with another header", "delivered twice"],
)  # fmt: skip
def test_an_altered_history_is_seen(
    monkeypatch: pytest.MonkeyPatch, records: History, alter: Callable[[History], History], kind: str
) -> None:
    """Sabotage: a record cut out, doubled, swapped, not delivered, delivered elsewhere, twice or with another content is named."""
    found = checked(monkeypatch, alter(records))

    assert getattr(found, kind) > 0, found


def test_an_answer_that_its_sender_got_twice_is_no_anomaly(monkeypatch: pytest.MonkeyPatch, records: History) -> None:
    """A desk that was killed asks again, and the registrar repeats its answer."""
    again = [each for each in records if each.topic == "nrm.inbox.ngo-a"][-1]

    assert not checked(monkeypatch, [*records, again]).any


def test_a_letter_in_a_copy_is_no_anomaly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history holds no letter: a reader's copy has one header more than the registration."""
    bus = Bus()
    shard = bus.shard()
    event = bus.event("ngo-a", "case.signal_recorded", SIGNAL)
    decision = bus.take(shard, bus.signed(event, LETTER, {"coded": ["special-unit", "statistics"]}), owner="ngo-a")
    copies = [read(out) for out in decision.outs]

    assert any(LETTER_HEADER in each.headers for each in copies)
    assert not checked(monkeypatch, copies).any


def test_an_acknowledged_submission_without_registration_is_lost(
    monkeypatch: pytest.MonkeyPatch, records: History
) -> None:
    """Sabotage: an acknowledged submission without a registration is lost."""
    assert checked(monkeypatch, records, ("ngo-a", "ab" * 16, "nowhere")).lost == 1


def test_a_letter_sealed_again_is_not_counted_as_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter whose audience had changed is counted under its own name, and is no anomaly."""
    bus = Bus()
    shard = bus.shard()
    event = bus.event("ngo-a", "case.signal_recorded", SIGNAL)
    decisions = [bus.take(shard, bus.signed(event, LETTER, ["vac"]), owner="ngo-a")]
    again = event.model_copy(update={"id": sealed_again("ngo-a", event.id), "sequence": event.sequence + 1})
    decisions.append(bus.take(shard, bus.signed(again), owner="ngo-a"))
    found = checked(monkeypatch, [read(out) for decision in decisions for out in decision.outs])

    assert (found.registered, found.refused, found.sealed_again) == (1, 0, 1)
    assert not found.any, found
