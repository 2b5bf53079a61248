"""A test hand-over goes the way of a referral and back, leaves no trace in the history, and its age is that of the newest return."""

from agencies import CASE, NOW, SIGNAL
from nrmbus.canary.hand_overs import KEPT, RECEIVER, SENDER, HandOvers
from nrmbus.registrar.shard import Decision
from nrmbus.wire import ids
from nrmbus.wire.envelope import decode, encode_test
from nrmbus.wire.names import CANARY, CASES, TEST_AGENCIES, inbox_of
from nrmbus.wire.record import ANSWER, Record
from nrmbus.wire.registration import Answer, verify_answer
from registrar.given import Bus, as_record


class Way:
    """The registrar between two test agencies of a bus with *partitions*."""

    def __init__(self, partitions: int = 1) -> None:
        self.bus = Bus(partitions)
        for each in TEST_AGENCIES:
            self.bus.admit(each, CANARY)
        self.shards = [self.bus.shard(each) for each in range(partitions)]
        keys = {each: self.bus.identities[each].signing for each in TEST_AGENCIES}
        self.hand_overs = HandOvers(self.bus.bus, partitions, keys, began=0.0)
        self.decided: list[Decision] = []

    def over(self, record: Record, by: str) -> Record:
        """Have the registrar take *record* of *by*; return the record in the inbox of the other."""
        signed = decode(record)
        signed.verify(self.bus.directory.verify_key(by, signed.kid, NOW, signed.recordedtime))
        shard = self.shards[ids.partition_of(signed.subject, self.bus.partitions)]
        decision = self.bus.take(shard, record, owner=by)
        self.decided.append(decision)
        (out,) = decision.outs
        assert out.topic == inbox_of(TEST_AGENCIES[by])
        return as_record(out)

    def read(self, record: Record) -> Answer:
        """Return the registrar's signed statement in *record*."""
        raw = dict(record.headers)[ANSWER]
        return verify_answer(raw, lambda kid: self.bus.directory.any_verify_key("registrar", kid))

    def back(self, record: Record, at: float) -> None:
        """Carry one hand-over to the receiver, and its acknowledgement to the sender, who takes it *at* that time."""
        acknowledged = self.hand_overs.take(RECEIVER, self.read(self.over(record, SENDER)), at, NOW)
        assert acknowledged is not None
        assert self.hand_overs.take(SENDER, self.read(self.over(acknowledged, RECEIVER)), at, NOW) is None


def test_it_goes_through_both_outboxes_and_inboxes_and_is_registered_nowhere() -> None:
    """Given a round on a bus of three partitions, when it came back, then the history has no word of it."""
    way = Way(partitions=3)
    sent = way.hand_overs.begin(10.0, NOW)
    for each in sent:
        way.back(each, at=10.5)

    assert [ids.partition_of(str(each.key, "ascii"), 3) for each in sent if each.key] == [0, 1, 2]
    assert [each.outcome for each in way.decided] == ["tested"] * 6
    assert (way.bus.history, [each.memory.number for each in way.shards]) == ([], [0, 0, 0])
    assert [out.topic for each in way.decided for out in each.outs if out.topic == CASES] == []
    assert (way.hand_overs.age(12.0), way.hand_overs.way) == (2.0, 0.5)


def test_its_age_is_that_of_the_newest_round_that_came_back_whole() -> None:
    """Given rounds of which one partition's hand-over is lost, then the age grows until a whole round is back."""
    way = Way(partitions=2)
    assert (way.hand_overs.age(7.0), way.hand_overs.way) == (7.0, None)
    for each in way.hand_overs.begin(10.0, NOW):
        way.back(each, at=11.0)
    half, _lost = way.hand_overs.begin(70.0, NOW)
    way.back(half, at=71.0)
    assert way.hand_overs.age(300.0) == 290.0

    for each in way.hand_overs.begin(310.0, NOW):
        way.back(each, at=311.0)
    assert way.hand_overs.age(312.0) == 2.0


def test_a_late_round_makes_the_age_no_older() -> None:
    """Given an outage after which old hand-overs come with new ones, then the newest counts, in any order."""
    way = Way()
    (old,), (new,) = way.hand_overs.begin(10.0, NOW), way.hand_overs.begin(70.0, NOW)
    way.back(new, at=71.0)
    way.back(old, at=72.0)

    assert way.hand_overs.age(75.0) == 5.0


def test_what_nobody_sent_here_counts_for_nothing() -> None:
    """Given a repeated hand-over, one of an earlier process, and one whose record was altered on its way, then none counts."""
    way = Way()
    (record,) = way.hand_overs.begin(10.0, NOW)
    handed = way.read(way.over(record, SENDER))
    assert way.hand_overs.take(RECEIVER, handed.model_copy(update={"sha256": "0" * 64}), 11.0, NOW) is None
    assert way.hand_overs.take(RECEIVER, handed.model_copy(update={"to": SENDER}), 11.0, NOW) is None
    assert way.hand_overs.take(SENDER, handed, 11.0, NOW) is None
    acknowledged = way.hand_overs.take(RECEIVER, handed, 11.0, NOW)
    assert acknowledged is not None
    assert way.hand_overs.take(RECEIVER, handed, 12.0, NOW) is None, "it was acknowledged already"
    assert way.hand_overs.way is None

    for at in range(KEPT):  # the acknowledgement comes when so many later ones are on their way
        way.hand_overs.begin(20.0 + at, NOW)
    way.hand_overs.take(SENDER, way.read(way.over(acknowledged, RECEIVER)), 40.0, NOW)
    assert way.hand_overs.way is None


def test_an_agency_that_writes_the_same_form_is_refused_on_record() -> None:
    """Given a test hand-over signed by an agency, then the registrar refuses the unknown type, and hands nothing over."""
    way = Way()
    record = encode_test("ngo-a", "sent", CASE, ids.new_event_id(), NOW, way.bus.identities["ngo-a"].signing)
    decision = way.bus.take(way.shards[0], record, owner="ngo-a")

    assert (decision.outcome, decision.code) == ("refused", "unknown_type")
    assert {out.topic for out in decision.outs} == {CASES, inbox_of("ngo-a")}


def test_a_test_agency_has_no_part_in_a_case() -> None:
    """Given an event of a test agency, or one that is addressed to it, then none is registered in any case."""
    way = Way()
    own = way.bus.say(way.shards[0], SENDER, "case.signal_recorded", SIGNAL)
    way.bus.signal(way.shards[0])
    way.bus.consents(way.shards[0], RECEIVER)
    data = {
        "to": [RECEIVER],
        "mode": "referral",
        "reason": "FormalIdentification",
        "urgency": "emergency",
        "services": [],
    }
    to_it = way.bus.say(way.shards[0], "ngo-a", "referral.submitted", data, referral=ids.new_ref())

    assert (own.outcome, to_it.code) == ("tested", "unknown_recipient")
    assert len(way.bus.history) == way.shards[0].memory.number == 3
