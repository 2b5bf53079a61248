"""One partition's registrar decides, numbers and routes, and its history records everything."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agencies import BUS, CASE, NOW, SIGNAL
from nrmbus.events import bulletin
from nrmbus.events.model import Event, Part
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.records import Coordinates
from nrmbus.registrar.shard import Decision, Shard
from nrmbus.wire import ids
from nrmbus.wire.envelope import decode, encode, with_letter
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container, seal
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import Delivery, Registration
from registrar.given import Bus, as_record, check_history, to
from rules.given import DEFAULTS, figures

CONSENT = {"purposes": ["information_sharing", "services"], "given_by": "individual", "form": "written"}
REFERRAL = {
    "to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency", "services": [],
}  # fmt: skip
LETTER: dict[Part, dict[str, Any]] = {
    "coded": {},
    "contact": {},
    "identity": {"name": "Example"},
    "money": {},
    "story": {},
}


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


def registration(decision: Decision) -> Registration:
    """The registration that a decision wrote to the history."""
    return next(
        Registration.parse(said.body)
        for out in decision.outs
        for name, said in out.statements
        if name == "nrm_registration"
    )


def deliveries(decision: Decision, agency: str) -> list[int]:
    """The inbox numbers under which *agency* gets something."""
    return [
        Delivery.parse(said.body).inbox_number
        for out in to(decision, agency)
        for name, said in out.statements
        if name == "nrm_delivery"
    ]


class TestAnAcceptedEvent:
    def test_is_numbered_and_reaches_exactly_its_audience(self, bus: Bus) -> None:
        """P1, P2: one registration, one copy to the special unit, one receipt to the sender, nothing to anybody else."""
        shard = bus.shard()
        decision = bus.signal(shard)

        assert decision.outcome == "registered"
        assert registration(decision).number == 1
        assert sorted(out.topic for out in decision.outs) == ["nrm.cases", "nrm.inbox.ngo-a", "nrm.inbox.special-unit"]
        check_history(bus, shard)

    def test_submitted_again_gets_the_very_same_answer(self, bus: Bus) -> None:
        """P1: a repeated submission changes nothing, and its receipt is equal byte for byte, also after a restart."""
        shard = bus.shard()
        record = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL))
        first = bus.take(shard, record, owner="ngo-a")
        again = bus.take(shard, record, owner="ngo-a")
        folded = check_history(bus, shard)
        after_restart = bus.take(folded, record, owner="ngo-a")

        assert again.outcome == after_restart.outcome == "repeated"
        receipt = as_record(to(first, "ngo-a")[0])
        assert [as_record(out) for out in again.outs] == [receipt]
        assert [as_record(out) for out in after_restart.outs] == [receipt]
        assert shard.memory.number == 1

    def test_brings_a_newcomer_the_consent_that_covers_it_first(self, bus: Bus) -> None:
        """With its first event of a case an agency gets the standing consent first, as an earlier registration."""
        shard = bus.shard()
        referred(bus, shard, receivers=["special-unit", "migration"])
        bus.say(
            shard,
            "special-unit",
            "referral.acknowledged",
            {"receipt_no": "SU-1", "duty_role": "duty_officer"},
            referral=REF,
        )
        bus.say(shard, "special-unit", "referral.accepted", {"next_step": "reception"}, referral=REF)
        bus.say(shard, "special-unit", "identification.stage_entered", {"stage": "initial_assistance"})
        event = bus.event(
            "special-unit",
            "stay.hold_requested",
            {"to": ["migration"], "ground": "identification", "until_days": 30},
            referral="cd" * 16,
        )
        decision = bus.take(
            shard,
            bus.signed(event, {"identity": {"name": "Example"}, "story": {}}, {"identity": ["migration"]}),
            owner="special-unit",
        )

        assert decision.outcome == "registered", decision.code
        types = [dict(out.headers)["ce_type"] for out in to(decision, "migration")]
        assert types == [b"nrm.consent.given", b"nrm.stay.hold_requested"]
        assert deliveries(decision, "migration") == [1, 2]
        check_history(bus, shard)

    def test_brings_a_unit_that_she_lets_in_again_what_it_missed_first(self, bus: Bus) -> None:
        """Closed while she refused the unit, the case is told to the unit with her new consent."""
        shard = bus.shard()
        bus.signal(shard)
        refused = {name: said for name, said in CONSENT.items() if name != "form"}
        bus.say(shard, "ngo-a", "consent.refused", {**refused, "receivers": ["special-unit"]})
        closed = bus.say(shard, "ngo-a", "case.closed", {"reason": "lost_contact", "follow_up": False})
        decision = bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})

        assert (closed.outcome, to(closed, "special-unit")) == ("registered", [])
        types = [dict(out.headers)["ce_type"] for out in to(decision, "special-unit")]
        assert types == [b"nrm.case.closed", b"nrm.consent.given"]
        check_history(bus, shard)

    def test_brings_a_unit_that_lets_itself_in_what_it_missed_before_its_receipt(self, bus: Bus) -> None:
        """It records an override, and hears first that the case was closed; a restart goes on with the same numbers."""
        shard = bus.shard()
        bus.signal(shard)
        refused = {name: said for name, said in CONSENT.items() if name != "form"}
        bus.say(shard, "ngo-a", "consent.refused", {**refused, "receivers": ["special-unit"]})
        bus.say(shard, "ngo-a", "case.closed", {"reason": "lost_contact", "follow_up": False})
        found = {"receivers": ["special-unit"], "ground": "imminent_danger", "approver_role": "head_of_agency"}
        decision = bus.say(shard, "special-unit", "consent.overridden", found)

        assert decision.outcome == "registered", decision.code
        types = [dict(out.headers)["ce_type"] for out in to(decision, "special-unit")]
        assert types == [b"nrm.case.closed", b"nrm.consent.overridden"]
        check_history(bus, shard)


REF = "ef" * 16


def referred(bus: Bus, shard: Any, receivers: list[str]) -> Decision:
    """A signal, a consent for each of *receivers*, and a referral to the special unit."""
    bus.signal(shard)
    for receiver in receivers:
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": [receiver]})
    event = bus.event("ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="CoM 21/2008 art. 7")
    return bus.take(shard, bus.signed(event, LETTER, ["special-unit", "statistics"]), owner="ngo-a")


class TestARefusedEvent:
    def test_is_numbered_with_code_rule_and_article_and_without_its_envelope(self, bus: Bus) -> None:
        """P3: the refusal names rule, policy and article; nobody but the sender learns of it, and no envelope is kept."""
        shard = bus.shard()
        decision = bus.say(shard, "vac", "plan.completed", {"outcome": "achieved"})

        said = registration(decision)
        assert (said.verdict, said.code, said.rule) == ("refused", "unknown_case", "G-02")
        assert said.article
        assert said.policy.name == "az@2022-04-29"
        assert [out.topic for out in decision.outs] == ["nrm.cases", "nrm.inbox.vac"]
        assert all(out.value == b"" for out in decision.outs)
        check_history(bus, shard)

    def test_submitted_again_is_refused_by_the_same_registration(self, bus: Bus) -> None:
        """A refusal is an answer like any other: the same bytes get it again."""
        shard = bus.shard()
        record = bus.signed(bus.event("vac", "plan.completed", {"outcome": "achieved"}))
        first, again = bus.take(shard, record, owner="vac"), bus.take(shard, record, owner="vac")

        assert [as_record(out) for out in again.outs] == [as_record(out) for out in to(first, "vac")]
        check_history(bus, shard)

    def test_counts_in_its_senders_sequence(self, bus: Bus) -> None:
        """After a refusal the next event of that sender and case has the next sequence."""
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["ngo-a"]})
        decision = bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]})

        assert decision.outcome == "registered"
        check_history(bus, shard)

    def test_an_id_used_again_with_other_bytes(self, bus: Bus) -> None:
        """Another event under a known id is refused, and does not replace the first."""
        shard = bus.shard()
        event = bus.event("ngo-a", "case.signal_recorded", SIGNAL)
        bus.take(shard, bus.signed(event), owner="ngo-a")
        other = bus.event("ngo-a", "case.signal_recorded", {**SIGNAL, "urgency": "normal"}, id=event.id, sequence=2)
        decision = bus.take(shard, bus.signed(other), owner="ngo-a")

        assert (decision.outcome, decision.code) == ("refused", "id_reused")
        assert bus.take(shard, bus.signed(event), owner="ngo-a").outcome == "repeated"
        check_history(bus, shard)

    @pytest.mark.parametrize(
        ("shift", "code"),
        [
            (timedelta(minutes=5), None),
            (timedelta(minutes=5, seconds=1), "time_in_future"),
            (-timedelta(days=7), None),
            (-timedelta(days=7, seconds=1), "stale"),
        ],
        ids=["nearly ahead", "ahead", "nearly stale", "stale"],
    )
    def test_a_time_that_cannot_be(self, bus: Bus, shift: timedelta, code: str | None) -> None:
        """More than five minutes ahead, or written down more than seven days ago."""
        shard = bus.shard()
        decision = bus.signal(shard, at=NOW + shift)

        assert (decision.outcome, decision.code) == ("refused" if code else "registered", code)
        check_history(bus, shard)

    def test_a_recipient_that_nobody_admitted(self, bus: Bus) -> None:
        """An event to an agency that the directory does not know goes nowhere."""
        shard = bus.shard()
        bus.signal(shard)
        decision = bus.say(shard, "ngo-a", "safeguard.child_flagged", {"to": ["nobody-here"], "basis": "stated_age"})

        assert decision.code == "unknown_recipient"
        check_history(bus, shard)

    @pytest.mark.parametrize(
        ("type_", "data"),
        [
            ("consent.given", {"given_by": "individual", "form": "written", "purposes": ["services"]}),
            ("consent.refused", {"given_by": "individual", "purposes": ["services"]}),
            ("consent.withdrawn", {"purposes": ["services"]}),
            ("consent.overridden", {"ground": "legal_duty", "approver_role": "duty_officer"}),
        ],
    )
    def test_a_consent_about_an_agency_that_nobody_admitted(self, bus: Bus, type_: str, data: dict[str, Any]) -> None:
        """A slip in the receiver's id is refused: registered, it would allow or protect nothing, and say so to nobody."""
        shard = bus.shard()
        bus.signal(shard)
        decision = bus.say(shard, "ngo-a", type_, {**data, "receivers": ["special-unt"]})

        assert (decision.outcome, decision.code) == ("refused", "unknown_recipient")
        check_history(bus, shard)

    def test_is_judged_at_the_time_of_its_registration(self, bus: Bus) -> None:
        """Given a clock that was an hour ahead past midnight, when a consent's last day is not over, then it has ended.

        The registration would be dated to the day after, and no time in the history falls.
        """
        shard, half_an_hour = bus.shard(), timedelta(minutes=30)
        midnight = datetime(2026, 3, 2, 20, tzinfo=UTC)  # in Baku
        bus.signal(shard)
        consent = {**CONSENT, "receivers": ["vac"], "expires": "2026-03-02"}
        assert bus.say(shard, "ngo-a", "consent.given", consent).outcome == "registered"
        bus.signal(shard, case=ids.new_ref(), at=midnight - half_an_hour, now=midnight + half_an_hour)
        referral = {**REFERRAL, "to": ["vac"], "reason": "Other", "urgency": "normal"}
        decision = bus.say(
            shard, "ngo-a", "referral.submitted", referral, referral=ids.new_ref(), legalbasis="a law",
            now=midnight - half_an_hour,
        )  # fmt: skip

        assert (decision.outcome, decision.code) == ("refused", "consent_required")
        assert registration(decision).time == midnight + half_an_hour
        check_history(bus, shard)

    def test_an_expected_version_that_has_passed(self, bus: Bus) -> None:
        """A sender that names the last event it saw is refused if the case has moved on since."""
        shard = bus.shard()
        bus.signal(shard)
        consent = {**CONSENT, "receivers": ["vac"]}

        assert bus.say(shard, "ngo-a", "consent.given", consent, expectedversion=0).code == "version_passed"
        assert bus.say(shard, "ngo-a", "consent.given", consent, expectedversion=1).outcome == "registered"
        check_history(bus, shard)

    @pytest.mark.parametrize(
        ("by", "type_", "data"),
        [
            ("statistics", "stats.period_published", figures(period="9999")),
            ("statistics", "stats.period_published", figures(period="9999-Q4")),
            ("statistics", "stats.period_published", figures(period="0000-Q1")),
            (
                "coordinator", "policy.profile_activated",
                {**DEFAULTS["policy.profile_activated"], "valid_from": "0001-01-01"},
            ),
        ],
    )  # fmt: skip
    def test_a_day_that_no_calendar_has_is_refused_by_a_rule(
        self, bus: Bus, by: str, type_: str, data: dict[str, Any]
    ) -> None:
        """Given a signed event with such a day, when it comes, then a rule of the profile refuses it and the registrar goes on."""
        shard = bus.shard()
        decision = bus.say(shard, by, type_, data, case=bulletin.of(by), approver="S-2")

        assert (decision.outcome, decision.error) == ("refused", None)
        assert str(registration(decision).rule).startswith("G-")
        assert bus.signal(shard).outcome == "registered"
        check_history(bus, shard)


class TestALetter:
    @pytest.mark.parametrize(
        "readers",
        [["special-unit"], ["special-unit", "statistics", "vac"], ["statistics"]],
        ids=["not to statistics", "to one too many", "to one too few"],
    )
    def test_sealed_to_others_than_may_open_it_is_answered_with_who_may(self, bus: Bus, readers: list[str]) -> None:
        """P2: too many or too few, the answer names the agencies by part, and nobody was told."""
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
        event = bus.event("ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="CoM 21/2008 art. 7")
        parts = {part: (["special-unit"] if part != "money" else []) for part in LETTER}
        decision = bus.take(shard, bus.signed(event, LETTER, readers), owner="ngo-a")

        said = registration(decision)
        assert said.code == "audience_changed"
        assert said.seal_to is not None
        assert {part: list(agencies) for part, agencies in said.seal_to.items()} == {
            **parts,
            "coded": ["special-unit", "statistics"],
        }
        assert to(decision, "special-unit") == []
        check_history(bus, shard)

    def test_reaches_a_recipient_with_its_own_parts_only(self, bus: Bus) -> None:
        """P2: of a referral the special unit gets no money part, not even closed; the digest still verifies."""
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
        decision = bus.take(shard, sealed_right(bus), owner="ngo-a")

        assert decision.outcome == "registered", decision.code
        (copy,) = to(decision, "special-unit")
        container = Container.parse(dict(copy.headers)["nrm_letter"])
        assert container.digest == dict(copy.headers)["ce_sealeddigest"].decode()
        opened = container.open(
            "special-unit", bus.identities["special-unit"].sealing, bus=BUS, source="ngo-a",
            id=dict(copy.headers)["ce_id"].decode(), subject=CASE,
        )  # fmt: skip
        assert opened["identity"] == {"name": "Example"}
        assert "money" not in opened
        check_history(bus, shard)

    def test_never_stands_in_the_history(self, bus: Bus) -> None:
        """The history has the envelope and the digest of the letter, never the letter."""
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
        bus.take(shard, sealed_right(bus), owner="ngo-a")

        assert all("nrm_letter" not in dict(record.headers) for record in bus.history)
        check_history(bus, shard)

    def test_sealed_to_a_retired_key_is_refused(self, bus: Bus) -> None:
        """A key that the directory does not name as current would leave the letter shut, or open to its thief."""
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
        decision = bus.take(shard, sealed_right(bus, retired=True), owner="ngo-a")

        assert (decision.outcome, decision.code) == ("refused", "key_not_current")
        check_history(bus, shard)

    def test_that_is_not_the_signed_one_is_refused(self, bus: Bus) -> None:
        """Another letter than the one whose digest was signed."""
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["special-unit"]})
        right, other = sealed_right(bus), dict(sealed_right(bus).headers)["nrm_letter"]
        bus._sequences["ngo-a", CASE] -= 1
        swapped = with_letter(right.without_letter(), other)
        decision = bus.take(shard, swapped, owner="ngo-a")

        assert (decision.outcome, decision.code) == ("refused", "letter_digest_mismatch")
        check_history(bus, shard)


def sealed_right(bus: Bus, *, retired: bool = False) -> Record:
    """Return a referral whose parts are sealed to exactly the entitled agencies."""
    event = bus.event("ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="CoM 21/2008 art. 7")
    own = ("ngo-a", bus.identities["ngo-a"].sealing.seal_to)
    unit_key = SealingKey.generate() if retired else bus.identities["special-unit"].sealing
    unit, statistics = ("special-unit", unit_key.seal_to), ("statistics", bus.identities["statistics"].sealing.seal_to)
    audience = {part: [own, unit] for part in LETTER} | {"money": [own], "coded": [own, unit, statistics]}
    container = seal(LETTER, audience, bus=BUS, source="ngo-a", id=event.id, subject=CASE)
    event = type(event)(**{**dict(event), "sealeddigest": Container.parse(container).digest})
    return with_letter(encode(event, bus.identities["ngo-a"].signing), container)


class TestAPassingAnswer:
    def test_a_gap_in_the_sequence_is_answered_and_forgotten(self, bus: Bus) -> None:
        """The event behind a gap gets the due sequence, no number; sent again in order it is registered."""
        shard = bus.shard()
        first = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL))
        second = bus.signed(bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]}))
        early = bus.take(shard, second, owner="ngo-a")

        assert (early.outcome, early.code, shard.memory.number) == ("answered", "sequence_gap", 0)
        assert b'"expected_sequence":1' in early.outs[0].statements[0][1].body
        assert bus.take(shard, first, owner="ngo-a").outcome == "registered"
        assert bus.take(shard, second, owner="ngo-a").outcome == "registered"
        check_history(bus, shard)

    def test_a_record_on_the_wrong_partition_is_set_aside(self) -> None:
        """librdkafka's default partitioner differs from Kafka's own; the answer's code says so, and no number is spent."""
        bus = Bus(partitions=3)
        wrong = (ids.partition_of(CASE, 3) + 1) % 3
        shard = bus.shard(wrong)
        decision = bus.signal(shard)

        assert (decision.outcome, decision.code, shard.memory.number) == ("quarantined", "wrong_partition", 0)
        assert [out.topic for out in decision.outs] == ["nrm.quarantine", "nrm.inbox.ngo-a"]
        check_history(bus, shard)

    def test_what_cannot_be_decoded_is_answered_to_the_topics_owner(self, bus: Bus) -> None:
        """Coordinates, size and digest are kept, never the record; the owner's relay learns not to send it again."""
        shard = bus.shard()
        junk = Record(None, b"not an event", ())
        outs = shard.unreadable(Coordinates("nrm.outbox.ngo-a", 0, 7), junk, "unreadable", NOW)

        assert [out.topic for out in outs] == ["nrm.quarantine", "nrm.inbox.ngo-a"]
        assert {b'"offset":7', b'"size":12', f'"sha256":"{junk.digest()}"'.encode()} <= set(
            outs[0].value[1:-1].split(b",")
        )
        assert shard.memory.number == 0

    def test_a_stranger_in_a_topic_gets_no_inbox(self, bus: Bus) -> None:
        """An outbox whose owner nobody admitted is quarantined and not answered."""
        outs = bus.shard().unreadable(
            Coordinates("nrm.outbox.stranger", 0, 0), Record(None, b".", ()), "unreadable", NOW
        )

        assert [out.topic for out in outs] == ["nrm.quarantine"]


def fold_and_look(shard: Shard, history: list[Record]) -> None:
    """Fold a history, and look into every case of it, as is done when somebody speaks of it again."""
    for record in history:
        shard.memory.fold(record)
    for subject in shard.memory.subjects():
        shard.memory.case(subject)


def proof_altered(record: Record) -> Record:
    """Return *record* with one byte of its registration's path altered."""
    headers = dict(record.headers)
    raw = headers[REGISTRATION]
    headers[REGISTRATION] = raw[:110] + bytes([raw[110] ^ 1]) + raw[111:]
    return Record(record.key, record.value, tuple(headers.items()))


class TestAHistoryThatIsNotOne:
    @pytest.fixture(name="three")
    def _three(self, bus: Bus) -> list[Record]:
        shard = bus.shard()
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]})
        bus.say(shard, "ngo-a", "consent.given", {**CONSENT, "receivers": ["fund"]})
        return bus.history

    @pytest.mark.parametrize(
        ("alter", "why"),
        [
            (lambda history: [history[0], history[2]], "is due"),
            (lambda history: [history[1], history[0], history[2]], "is due"),
            (lambda history: [history[0], history[0]], "is due"),
            (lambda history: [Record(history[0].key, history[1].value, history[0].headers)], "another envelope"),
            (lambda history: [Record(history[0].key, b"{}", ())], "is not a registration"),
        ],
        ids=["a record cut out", "two swapped", "one twice", "another's data", "no registration"],
    )
    def test_stops_the_registrar(self, bus: Bus, three: list[Record], alter: Any, why: str) -> None:
        """A fold that meets an unexpected record refuses to run and names the number."""
        shard = bus.shard()
        with pytest.raises(HistoryError, match=why):
            fold_and_look(shard, alter(three))

    @pytest.mark.parametrize(
        "cut",
        [
            lambda history: history[:2],
            lambda history: [history[0], proof_altered(history[1]), history[2]],
            lambda history: [*history[:2], proof_altered(history[2])],
        ],
        ids=["the transaction cut", "a proof within it altered", "its last proof altered"],
    )
    def test_a_torn_transaction_stops_the_registrar(
        self, bus: Bus, cut: Callable[[list[Record]], list[Record]]
    ) -> None:
        """Registrations and deliveries that were signed together must be those of the history, every proof byte for byte."""
        live = bus.shard()
        bus.commit(live, [bus.decided(live, bus.signed(event), owner="ngo-a") for event in self.three_events(bus)])
        shard = bus.shard()
        for record in cut(bus.history):
            shard.memory.fold(record)

        with pytest.raises(
            HistoryError, match="does not fit the registrations and deliveries that were signed with it"
        ):
            shard.memory.check_head(lambda _: bus.key.verify_key)
        check_history(bus, live)

    def test_a_torn_transaction_stops_the_registrar_at_the_next_one(self, bus: Bus) -> None:
        """The number is that of the last registration before."""
        live = bus.shard()
        bus.commit(live, [bus.decided(live, bus.signed(event), owner="ngo-a") for event in self.three_events(bus)])
        bus.say(live, "ngo-a", "consent.given", {**CONSENT, "receivers": ["shelter"]})
        shard = bus.shard()
        for record in [bus.history[0], proof_altered(bus.history[1]), bus.history[2]]:
            shard.memory.fold(record)

        with pytest.raises(HistoryError, match="registration 3 does not fit"):
            shard.memory.fold(bus.history[3])

    def three_events(self, bus: Bus) -> list[Event]:
        """Return a signal and two consents, the second of which another agency hears of."""
        return [
            bus.event("ngo-a", "case.signal_recorded", SIGNAL),
            bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"]}),
            bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["fund"]}),
        ]

    def test_an_envelope_under_a_refusal_stops_the_registrar(self, bus: Bus, three: list[Record]) -> None:
        """A refusal has no envelope in the history, so that nobody can put one there later."""
        shard = bus.shard()
        for record in three:
            shard.memory.fold(record)
        bus.say(shard, "vac", "plan.completed", {"outcome": "achieved"})
        *before, refused = bus.history

        with pytest.raises(HistoryError, match="registration 4 has another envelope"):
            fold_and_look(bus.shard(), [*before, Record(refused.key, b"{}", refused.headers)])

    def test_signed_by_somebody_else_stops_the_registrar(self, bus: Bus, three: list[Record]) -> None:
        """The signature of the last registration answers for the chain before it."""
        shard = bus.shard()
        for record in three:
            shard.memory.fold(record)
        stranger = bus.identities["vac"].signing.verify_key

        with pytest.raises(HistoryError, match="not signed by the registrar"):
            shard.memory.check_head(lambda _: stranger)


def test_a_signature_covers_what_is_judged(bus: Bus) -> None:
    """An envelope whose data were exchanged no longer verifies."""
    record = bus.signed(bus.event("ngo-a", "case.signal_recorded", SIGNAL))
    forged = Record(record.key, (record.value or b"").replace(b"emergency", b"normal"), record.headers)

    with pytest.raises(Exception, match="signature_invalid"):
        decode(forged).verify(bus.identities["ngo-a"].signing.verify_key)
