"""An agency that reads nothing is shown as silent before somebody needs it, and as back within a minute."""

from datetime import timedelta
from typing import Final

from agencies import NOW
from nrmbus.events import bulletin
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.model import Draft
from nrmbus.timekeeper.silence import STILL_LOOKS, Reading, Silence, Stillness, told
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.names import TIMEKEEPER
from rules.given import Bench

AFTER: Final = timedelta(minutes=30)
ANOTHER: Final = "0190b6a0-0000-7000-8000-000000000002"


class Looks:
    """Looks of one timekeeper, whose events are published at once."""

    def __init__(self) -> None:
        self.silence = Silence(AFTER)
        self.bulletin = Bench.of_bulletin("timekeeper")

    def at(
        self, minutes: float, *, registered: bool = True, still: tuple[str, ...] = (), **taking: bool
    ) -> list[tuple[str, bool]]:
        """Look after so many minutes; return agency and word of what was said."""
        now = NOW + timedelta(minutes=minutes)
        said = list(self.silence.look(taking, told(self.bulletin.view), now, still))
        for draft in said if registered else ():
            self.bulletin.say("timekeeper", draft.type, data=draft.data)
        return [(data.agency, data.listening) for data in map(_data, said)]


def _data(draft: Draft) -> ListeningChanged:
    assert isinstance(draft.data, ListeningChanged)
    return draft.data


def test_a_silence_is_told_after_its_time_and_once() -> None:
    """Nothing before 30 minutes, once afterwards; an agency that is there is not spoken of."""
    looks = Looks()

    assert looks.at(0, shelter=False, vac=True) == []
    assert looks.at(29, shelter=False, vac=True) == []
    assert looks.at(30, shelter=False, vac=True) == [("shelter", False)]
    assert looks.at(31, shelter=False, vac=True) == []


def test_whoever_is_back_is_told_of_at_the_next_look() -> None:
    """The return is published without a wait. A flapping desk is announced at most once per silence."""
    looks = Looks()
    looks.at(0, shelter=False)
    looks.at(30, shelter=False)

    assert looks.at(30.2, shelter=True) == [("shelter", True)]
    flapping = [looks.at(31 + turn / 6, shelter=bool(turn % 3)) for turn in range(360)]
    assert sum(map(len, flapping)) == 0


def test_a_restart_of_a_desk_is_no_silence_however_far_the_clock_goes() -> None:
    """One look that finds nobody says nothing, even if an hour has passed at once."""
    looks = Looks()
    looks.at(0, shelter=False)

    assert looks.at(0.2, shelter=True) == []
    assert looks.at(600, shelter=False) == []
    assert looks.at(601, shelter=True) == []


def test_a_timekeeper_that_starts_again_repeats_nothing() -> None:
    """A new timekeeper goes on from the published bulletin, and announces the agency's return."""
    looks = Looks()
    looks.at(0, shelter=False)
    looks.at(30, shelter=False)
    looks.silence = Silence(AFTER)

    assert looks.at(31, shelter=False) == looks.at(90, shelter=False) == []
    assert looks.at(91, shelter=True) == [("shelter", True)]


def test_until_it_is_registered_the_same_event_is_said_again() -> None:
    """A lost submission is repeated under the same id, in the timekeeper's own bulletin."""
    looks = Looks()
    looks.at(0, shelter=False)
    first = [*looks.silence.look({"shelter": False}, {}, NOW + AFTER)]
    again = [*looks.silence.look({"shelter": False}, {}, NOW + 2 * AFTER)]

    assert [each.id for each in first] == [each.id for each in again] != []
    assert {each.subject for each in first} == {bulletin.of("timekeeper")}
    assert looks.at(90, registered=False, shelter=False) == [("shelter", False)]


def test_a_desk_that_is_connected_and_stands_still_is_told_of_too() -> None:
    """Given a full disk, when half an hour has passed, then it is silent; a clock that goes far at once makes no slow desk silent."""
    looks = Looks()
    minute = 1 / STILL_LOOKS
    jumped = [looks.at(40 * turn, shelter=False, still=("shelter",)) for turn in range(STILL_LOOKS)]

    assert jumped == [[]] * (STILL_LOOKS - 1) + [[("shelter", False)]]
    assert looks.at(300 + minute, shelter=False, still=("shelter",)) == []
    assert looks.at(300 + 2 * minute, shelter=True) == [("shelter", True)]


def test_a_clock_that_was_ahead_hides_no_silence() -> None:
    """Given a clock set back by two days, then a silent desk is announced after 30 minutes, with a time in the past."""
    looks = Looks()
    ahead = 2 * 24 * 60
    found = [looks.at(minutes, shelter=False) for minutes in (ahead, ahead + 1, 0, 29)]

    assert found == [[]] * 4
    assert looks.at(30, shelter=False) == [("shelter", False)]
    (said,) = (each.data for each in looks.bulletin.view.bulletin.values())
    assert isinstance(said, ListeningChanged)
    assert said.since == NOW


def test_an_agency_that_was_suspended_has_its_whole_time_again() -> None:
    """Given an agency suspended while away, when the agency is resumed after 60 days, then it is silent 30 minutes later, and not since the suspension."""
    looks = Looks()
    resumed = 60 * 24 * 60
    before = [looks.at(minutes, shelter=False) for minutes in (0, 0.2)] + [looks.at(minutes) for minutes in (1, 2)]

    assert before == [[]] * 4
    assert [looks.at(resumed + minutes, shelter=False) for minutes in (0, 29)] == [[], []]
    assert looks.at(resumed + 30, shelter=False) == [("shelter", False)]
    (said,) = (each.data for each in looks.bulletin.view.bulletin.values())
    assert isinstance(said, ListeningChanged)
    assert said.since == NOW + timedelta(minutes=resumed)


class TestStillness:
    """A desk stands still while its inbox has records, and it acknowledges none of them."""

    def test_an_idle_desk_does_not(self) -> None:
        """Everything is read; behind the last record stands the end of a transaction, which nobody acknowledges."""
        stillness = Stillness()

        assert [stillness.look({"ngo-a": {0: Reading(11, 12), 1: Reading(0, 0)}}) for _ in range(3)] == [
            frozenset()
        ] * 3

    def test_a_desk_that_moves_on_does_not(self) -> None:
        """However much waits, and however slowly it is read."""
        stillness = Stillness()
        looks = [stillness.look({"ngo-a": {0: Reading(at, 500)}}) for at in range(5)]

        assert looks[1:] == [frozenset()] * 4

    def test_a_desk_that_stops_at_one_record_does(self) -> None:
        """At one partition is enough: the cases of that partition are read by nobody. Others are not blamed."""
        stillness = Stillness()
        found = {"ngo-a": {0: Reading(5, 7), 1: Reading(9, 10)}, "shelter": {0: Reading(3, 4)}}
        looks = [{**found, "ngo-a": {0: Reading(4, 7), 1: Reading(2, 10)}}, found, found, found]

        assert [stillness.look(each) for each in looks[1:]][1:] == [{"ngo-a"}] * 2
        assert stillness.look({**found, "ngo-a": {0: Reading(6, 7), 1: Reading(9, 10)}}) == frozenset()

    def test_a_restart_of_the_timekeeper_brings_nobody_back(self) -> None:
        """The first look cannot compare: a desk with a waiting inbox is not taken for a desk that reads."""
        assert Stillness().look({"ngo-a": {0: Reading(5, 7)}, "shelter": {0: Reading(3, 4)}}) == {"ngo-a"}


def test_what_the_registrar_refused_is_said_again_under_another_id() -> None:
    """After a refusal, for a wrong clock or a week's absence, everybody still hears that the agency does not read."""
    given: dict[str | None, str | None] = {}

    def id_of(key: str, rule: str) -> str | None:
        first = said_by_itself(TIMEKEEPER, key, rule)
        return given.get(first, first)

    silence = Silence(AFTER)
    looks = [NOW + timedelta(minutes=each) for each in (0, 30, 31, 33)]
    said = [list(silence.look({"shelter": False}, {}, now, (), id_of)) for now in looks[:2]]
    (first,) = said[1]
    given[first.id] = None
    too_soon = list(silence.look({"shelter": False}, {}, looks[2], (), id_of))
    given[first.id] = ANOTHER
    (again,) = silence.look({"shelter": False}, {}, looks[3], (), id_of)

    assert too_soon == []
    assert (again.id, again.data) == (ANOTHER, first.data)
