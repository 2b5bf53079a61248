"""The timekeeper's watch publishes the due events at the exact time, and the same after a restart."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agencies import BUS, CASE, NOW
from auditor.played import with_header
from generations import before_version
from nrmbus.events.model import Draft
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Due, View
from nrmbus.timekeeper import watch as watch_module
from nrmbus.timekeeper.watch import Watch
from nrmbus.wire.history import HistoryFault, named_in
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.record import AUDIENCE, MATERIAL, Record
from registrar.given import Bus, check_history
from timekeeper.given import watching

DAY = timedelta(hours=24)
REF = "11" * 16
REFERRAL = {
    "to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "normal", "services": [],
}  # fmt: skip


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


def due(bus: Bus, now: datetime) -> list[Draft]:
    """Return the events of a freshly started timekeeper at *now*."""
    return list(watching(bus).due(now))


def said(bus: Bus, shard: Shard, draft: Draft, now: datetime) -> str:
    """Submit what the timekeeper says; how it was decided."""
    decision = bus.say(
        shard, "timekeeper", draft.type, draft.data.to_mapping(), now=now, at=draft.time, recordedtime=now,
        causationid=draft.causationid, referral=draft.referral, id=draft.id,
    )  # fmt: skip
    return decision.code or decision.outcome


class TestADutyThatIsMissed:
    def test_is_published_at_its_due_time_and_not_a_second_before(self, bus: Bus) -> None:
        """P10: nobody refers within 24 hours: the breach is due at 24:00 exactly."""
        shard = bus.shard()
        bus.signal(shard)

        assert watching(bus).next_due() == NOW + DAY
        assert due(bus, NOW + DAY - timedelta(seconds=1)) == []
        (breach,) = due(bus, NOW + DAY)
        assert (breach.type, breach.data.to_mapping()["rule"], breach.time) == (
            "deadline.breached",
            "D-REFER",
            NOW + DAY,
        )
        check_history(bus, shard)

    def test_gets_the_same_id_from_a_timekeeper_that_lost_everything(self, bus: Bus) -> None:
        """P1: a restart, or a lost ledger, says the same thing under the same id, which the registrar knows."""
        shard = bus.shard()
        bus.signal(shard)
        first, later = due(bus, NOW + DAY), due(bus, NOW + 3 * DAY)

        assert [each.id for each in first] == [each.id for each in later]
        check_history(bus, shard)

    def test_is_published_once(self, bus: Bus) -> None:
        """Once the breach is registered nothing more is due, though the duty stays overdue."""
        shard = bus.shard()
        bus.signal(shard)
        (breach,) = due(bus, NOW + DAY)

        assert said(bus, shard, breach, NOW + DAY) == "registered"
        watch = watching(bus)
        assert list(watch.due(NOW + 10 * DAY)) == []
        assert watch.open_deadlines(CASE, NOW) == ("D-REFER",)
        check_history(bus, shard)

    def test_counts_as_overdue_until_it_is_met(self, bus: Bus) -> None:
        """P6: a published breach ends no duty; only its fulfilment, or the end of the case, does."""
        shard = bus.shard()
        bus.signal(shard)
        running = watching(bus).overdue(NOW)
        (breach,) = due(bus, NOW + DAY)
        assert said(bus, shard, breach, NOW + DAY) == "registered"
        watch = watching(bus)
        late = (watch.overdue(NOW + DAY), watch.overdue(NOW + DAY))
        read = len(bus.history)
        bus.say(shard, "ngo-a", "case.signal_dismissed", {"reason": "no_indicator"})
        for record in bus.history[read:]:
            watch.take(record, 0)

        assert (running, late, watch.overdue(NOW + DAY)) == (0, (1, 1), 0)
        check_history(bus, shard)

    def test_counts_as_overdue_no_more_once_the_last_day_of_a_consent_has_lifted_it(self, bus: Bus) -> None:
        """P6: given a unit that is late and that the person refuses again from 5 March on, then its answer is overdue until then."""
        shard, last_day = bus.shard(), f"{NOW + 2 * DAY:%Y-%m-%d}"
        word = {"purposes": ["information_sharing"], "receivers": ["special-unit"], "given_by": "individual"}
        bus.signal(shard)
        bus.say(shard, "ngo-a", "consent.refused", word)
        bus.say(shard, "ngo-a", "consent.given", {**word, "form": "written", "expires": last_day})
        assert bus.say(shard, "ngo-a", "referral.submitted", REFERRAL, referral=REF, legalbasis="a law").code is None
        (late,) = [each for each in due(bus, NOW + 2 * DAY) if each.data.to_mapping()["rule"] == "D-ACK"]
        assert said(bus, shard, late, NOW + 2 * DAY) == "registered"
        watch = watching(bus)

        assert [watch.overdue(NOW + days * DAY) for days in (2, 3)] == [1, 0]
        assert "D-ACK" not in watch.open_deadlines(CASE, NOW + 3 * DAY)
        check_history(bus, shard)

    def test_is_published_again_to_a_registrar_with_a_slow_clock(self, bus: Bus) -> None:
        """An event that was refused as not yet due is published again a minute later, and not before."""
        shard, minute = bus.shard(), timedelta(minutes=1)
        bus.signal(shard)
        (early,) = due(bus, NOW + DAY)
        behind = NOW + DAY - 2 * minute

        assert said(bus, shard, early, behind) == "not_open"
        assert due(bus, behind + minute - timedelta(seconds=1)) == []
        (again,) = due(bus, NOW + DAY)
        assert (again.id == early.id, again.data, again.time) == (False, early.data, early.time)
        assert said(bus, shard, again, NOW + DAY) == "registered"
        assert due(bus, NOW + 10 * DAY) == []
        check_history(bus, shard)

    def test_is_published_again_a_minute_after_a_refusal_that_is_dated_ahead(self, bus: Bus) -> None:
        """P10: given a partition whose times are ten days ahead since the registrar's clock was, when a breach is refused by a clock that is slow now, then it is published again a minute after the timekeeper's next look."""
        shard, minute = bus.shard(), timedelta(minutes=1)
        bus.signal(shard)
        bus.signal(shard, case="cd" * 16, now=NOW + 10 * DAY, at=NOW)
        (early,) = (each for each in due(bus, NOW + DAY) if each.subject == CASE)
        assert said(bus, shard, early, NOW + DAY - 10 * minute) == "time_in_future"
        watch = watching(bus)

        def again(now: datetime) -> list[Draft]:
            return [each for each in watch.due(now) if each.subject == CASE]

        assert again(NOW + DAY) == []
        assert again(NOW + DAY + minute - timedelta(seconds=1)) == []
        (breach,) = again(NOW + DAY + minute)
        assert (breach.id == early.id, breach.data, breach.time) == (False, early.data, early.time)
        assert said(bus, shard, breach, NOW + DAY + minute) == "registered"

    def test_is_published_more_and_more_seldom_to_a_registrar_that_refuses_for_ever(
        self, bus: Bus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given one of another release, then the history does not fill with refusals, and a look costs the same after a thousand."""
        shard = bus.shard()
        bus.signal(shard)
        watch = watching(bus)
        (early,) = watch.due(NOW + DAY)
        ids, now, made = [str(early.id)], NOW + DAY, 0

        def counted(*what: str) -> str:
            nonlocal made
            made += 1
            return said_by_itself(*what)

        monkeypatch.setattr(watch_module, "said_by_itself", counted)
        for _ in range(24 * 60):
            now += timedelta(minutes=1)
            if ids[-1] not in watch._refused:
                watch._refused[ids[-1]] = now
            ids += [str(each.id) for each in watch.due(now)]

        assert 5 < len(set(ids)) < 20
        assert made <= 2 * 24 * 60

    def test_is_not_published_when_it_was_met(self, bus: Bus) -> None:
        """A signal that is dismissed ends the clock."""
        shard = bus.shard()
        bus.signal(shard)
        decision = bus.say(shard, "ngo-a", "case.signal_dismissed", {"reason": "no_indicator"})

        assert decision.outcome == "registered", decision.code
        assert due(bus, NOW + DAY) == []
        assert watching(bus).next_due() is None
        check_history(bus, shard)


class TestReading:
    def test_a_refusal_starts_no_clock(self, bus: Bus) -> None:
        """A refused submission is no event."""
        shard = bus.shard()
        bus.say(shard, "vac", "plan.completed", {"outcome": "achieved"})
        watch = watching(bus)

        assert watch.next_due() is None
        assert watch.numbers == {0: 1}
        check_history(bus, shard)

    def test_a_record_read_twice_counts_once(self, bus: Bus) -> None:
        """Reading the topic again from its start changes nothing."""
        shard = bus.shard()
        bus.signal(shard)
        watch = watching(bus)
        for record in bus.history:
            watch.take(record, 0)

        assert len(list(watch.due(NOW + DAY))) == 1
        check_history(bus, shard)

    def test_it_knows_the_agencies_of_a_record(self, bus: Bus) -> None:
        """Sender, recipients and registrar must be in the directory before a record is folded."""
        shard = bus.shard()
        bus.signal(shard)

        assert set(named_in(bus.history[0])) == {"registrar", "ngo-a", "special-unit"}
        check_history(bus, shard)


class TestAHistoryThatWasAltered:
    """The timekeeper verifies what it folds, as every reader of the history does."""

    @pytest.fixture(name="two")
    def _two(self, bus: Bus) -> list[Record]:
        """Two signals of two cases, each of which has to be referred within a day."""
        shard = bus.shard()
        bus.signal(shard)
        bus.signal(shard, case="cd" * 16)
        return bus.history

    def watch(self, bus: Bus, records: list[Record]) -> Watch:
        """Return a watch that has read *records*."""
        watch = Watch(bus.rules, BUS, lambda _: bus.key.verify_key)
        for record in records:
            watch.take(record, 0)
        return watch

    @pytest.mark.parametrize(
        "alter",
        [
            lambda record: replace(record, value=(record.value or b"") + b" "),
            lambda record: Record(record.key, b"", tuple(each for each in record.headers if each[0][:4] == "nrm_")),
            lambda record: replace(record, headers=tuple(each for each in record.headers if each[0] != AUDIENCE)),
            lambda record: with_header(record, AUDIENCE, b"{}"),
            lambda record: with_header(record, MATERIAL, b"e30="),
        ],
        ids=["other data", "no envelope", "no audience", "another audience", "another envelope"],
    )
    def test_silences_the_clocks_of_that_case_alone(
        self, bus: Bus, two: list[Record], alter: Callable[[Record], Record]
    ) -> None:
        """The altered event may have ended a clock, so that no breach of its case is published; the other case's is."""
        watch = self.watch(bus, [alter(two[0]), two[1]])

        assert {each.subject for each in watch.due(NOW + DAY)} == {"cd" * 16}
        assert (watch.unknown, watch.numbers) == ({CASE}, {0: 2})

    @pytest.mark.parametrize(
        ("order", "code"), [((1,), "gap"), ((0, 1, 1), None), ((0, 1, 0), None)], ids=["a gap", "twice", "an old one"]
    )
    def test_stops_at_a_gap_and_passes_over_what_was_read(
        self, bus: Bus, two: list[Record], order: tuple[int, ...], code: str | None
    ) -> None:
        """Without an event in between nobody knows which clocks run; a record that was read before changes nothing."""
        records = [two[each] for each in order]
        if code is None:
            assert self.watch(bus, records).numbers == {0: 2}
            return

        with pytest.raises(HistoryFault, match=code):
            self.watch(bus, records)

    def test_a_record_with_a_foreign_signature_stops_the_timekeeper(self, bus: Bus, two: list[Record]) -> None:
        """Given a key that is not the registrar's, no record counts."""
        watch = Watch(bus.rules, BUS, lambda _: bus.identities["vac"].signing.verify_key)

        with pytest.raises(HistoryFault, match="signature_invalid"):
            watch.take(two[0], 0)
        assert watch.numbers == {}

    def test_of_another_partition_stops_the_timekeeper(self, bus: Bus, two: list[Record]) -> None:
        """A record belongs to the partition that its registration names."""
        watch = Watch(bus.rules, BUS, lambda _: bus.key.verify_key)

        with pytest.raises(HistoryFault, match="foreign"):
            watch.take(two[0], 1)


class TestAVersionThatThisReleaseDoesNotKnow:
    def test_silences_the_clocks_of_its_case_alone_until_an_upgrade(self, bus: Bus) -> None:
        """A referral of a later version may have met the duty: of that case nothing is said; another case's breach is."""
        shard, other = bus.shard(), "cd" * 16
        bus.signal(shard)
        bus.signal(shard, case=other)
        bus.consents(shard, "special-unit")
        asked = {
            "to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency",
            "services": [{"code": "safe_shelter", "time_frame": "24_hours"}],
        }  # fmt: skip
        decision = bus.say(
            shard, "ngo-a", "referral.submitted", asked, version=2, referral="f" * 32,
            legalbasis="CoM 21/2008 art. 7",
        )  # fmt: skip
        assert decision.outcome == "registered", decision.code

        with before_version(2):
            older = watching(bus)
            assert older.unknown == {CASE}
            assert {each.subject for each in older.due(NOW + DAY)} == {other}
            assert older.numbers == {0: 4}

        assert watching(bus).unknown == set()
        assert watching(bus).open_deadlines(CASE, NOW) != ()
        check_history(bus, shard)


def test_a_case_with_many_events_is_looked_at_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10 for all others: who says thousands of things about one case does not keep the timekeeper from their clocks."""
    shard = bus.shard()
    bus.signal(shard)
    for _ in range(20):
        bus.consents(shard, "special-unit")
    looked, look = list[str](), bus.rules.due

    def noted(view: View) -> tuple[Due, ...]:
        looked.append(view.subject)
        return look(view)

    monkeypatch.setattr(bus.rules, "due", noted)
    watch = watching(bus)
    (breach,) = watch.due(NOW + DAY)

    assert breach.subject == CASE
    assert looked == [CASE]
    assert watch.next_due() == NOW + DAY
    assert looked == [CASE]


def test_a_watch_that_does_not_look_publishes_nothing(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a timekeeper that forgets to note what comes due is found by the test of the due time."""
    shard = bus.shard()
    bus.signal(shard)
    monkeypatch.setattr("nrmbus.timekeeper.watch.heapq.heappush", lambda *_: None)

    assert due(bus, NOW + DAY) == []
    assert watching(bus).next_due() is None
    check_history(bus, shard)


def test_notes_of_what_has_passed_do_not_pile_up(bus: Bus) -> None:
    """A timekeeper that runs for years looks only at what is due now."""
    shard = bus.shard()
    bus.signal(shard)
    consent = {"purposes": ["services"], "given_by": "individual", "form": "written", "receivers": ["vac"]}
    for _ in range(20):
        bus.say(shard, "ngo-a", "consent.given", consent)
    watch = watching(bus)

    assert [len(list(watch.due(NOW + DAY))) for _ in range(3)] == [1, 1, 1]
    assert len(watch._soonest) == 1
