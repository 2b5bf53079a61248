"""A case whose retention period is over: it is refused from then on, its holders erase it, and its history stays whole."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agencies import BUS, CASE
from auditor.altered_topics import reading_of, taken
from nrmbus.auditor.errors import LogError
from nrmbus.auditor.history.history import Audited, History, HistoryError
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.auditor.reports.holders import held
from nrmbus.auditor.web.pages import shown
from nrmbus.cli.audit import person_report
from nrmbus.registrar.history_state import HistoryError as RefusedToRun
from nrmbus.timekeeper.watch import Watch
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire.record import Record
from registrar.given import Bus, check_history, to
from registrar.kept_long_enough import LATER, OPEN_CASE, OTHER_CASE, OVER_AT, Kept, bare

Cut = Callable[[Kept], list[Record]]


@pytest.fixture(name="kept", scope="module")
def _kept() -> Kept:
    return Kept()


def history_of(kept: Kept, records: list[Record]) -> History:
    """Return *records* verified to their end."""
    history = History(kept.bus.directory)
    for each in records:
        history.take(each, 0)
    history.verifier.check_last()
    return history


def without(*numbers: int) -> Cut:
    """Return a history from which somebody cut the envelopes of *numbers*."""
    return lambda kept: [bare(each) if at in numbers else each for at, each in enumerate(kept.history, 1)]


CUTS: list[tuple[str, Cut, int]] = [
    ("of the case that is over", without(1), 1),
    ("of a case that is held", without(2), 2),
    ("of a case that is open", without(8), 8),
    ("the event that ends the retention period", without(9), 9),
    ("a holder's confirmation", without(10), 10),
    ("the last event", without(11), 11),
]


def test_the_history_names_the_event_that_ended_the_retention_period(kept: Kept) -> None:
    """Given the whole history, it verifies, and names since when the case is over and by which event."""
    history = history_of(kept, kept.history)

    over = history.over(CASE)
    assert over is not None
    assert (over.registration.number, over.registration.time) == (kept.SAYS_SO, OVER_AT)
    assert (history.over(OTHER_CASE), history.over(OPEN_CASE)) == (None, None)


@pytest.mark.parametrize(("cut", "number"), [row[1:] for row in CUTS], ids=[row[0] for row in CUTS])
def test_every_reader_finds_a_missing_envelope(kept: Kept, tmp_path: Path, cut: Cut, number: int) -> None:
    """A replay, a registrar, a new auditor, and an auditor that had read the whole history before all stop there."""
    records = cut(kept)

    with pytest.raises(HistoryError) as found:
        history_of(kept, records)
    assert (found.value.code, found.value.number) == ("envelope_missing", number)

    memory = kept.bus.shard().memory
    for each in records[: number - 1]:
        memory.fold(each)
    with pytest.raises(RefusedToRun, match=f"registration {number} has another envelope"):
        memory.fold(records[number - 1])

    for known in (False, True):
        heads, home = SignedHeads(tmp_path / f"{known}.db"), tmp_path / f"log-{known}"
        if known:
            with closing(Log(home, heads, BUS, 0)) as log:
                taken(reading_of(log, kept), kept.history)  # type: ignore[arg-type]  # it asks for its bus alone
                log.commit()
        with closing(Log(home, heads, BUS, 0)) as log, pytest.raises(LogError) as stopped:
            taken(reading_of(log, kept), records)  # type: ignore[arg-type]  # likewise
        assert (stopped.value.code, stopped.value.number) == ("envelope_missing", number)


def test_the_timekeeper_publishes_nothing_about_a_case_with_a_missing_envelope(kept: Kept) -> None:
    """A fold without the envelope could publish a breach that never was; other cases are served as before."""
    whole, cut = watched(kept, kept.history), watched(kept, without(8)(kept))

    later = LATER.replace(year=2030)
    assert {each.subject for each in whole.due(later)} == {CASE, OTHER_CASE, OPEN_CASE}
    assert {each.subject for each in cut.due(later)} == {CASE, OTHER_CASE}
    assert (whole.unknown, cut.unknown) == (set(), {OPEN_CASE})


def watched(kept: Kept, records: list[Record]) -> Watch:
    """Return a timekeeper's watch that has read *records*."""
    watch = Watch(kept.bus.rules, BUS, lambda _: kept.bus.key.verify_key)
    for each in records:
        watch.take(each, 0)
    return watch


def test_every_submission_to_a_case_that_is_over_is_refused_as_unknown() -> None:
    """A new signal is refused too; repeated bytes get the old answer, other bytes under a used id are `id_reused`."""
    kept = Kept()
    again = kept.bus.event("ngo-l", "case.signal_recorded", {"detector": "ngo_legal", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"]}, at=LATER)  # fmt: skip
    live = kept.bus.shard()
    for each in kept.history:
        live.memory.fold(each)
    live.memory.check_head(lambda _: kept.bus.key.verify_key)
    decision = kept.bus.take(live, kept.bus.signed(again), owner="ngo-l", now=LATER)
    assert (decision.outcome, decision.code) == ("refused", "unknown_case")
    for by, type_, data in (
        ("vac", "consent.given", {"purposes": ["services"], "receivers": ["fund"], "given_by": "individual", "form": "written"}),
        ("ngo-a", "case.reopened", {"reason": "other"}),
    ):  # fmt: skip
        assert kept.bus.say(live, by, type_, data, now=LATER).code == "unknown_case"
    repeated = kept.bus.take(live, kept.bus.signed(again), owner="ngo-l", now=LATER)
    assert repeated.outcome == "repeated"
    other = replace_id(kept.bus, again.id)
    assert kept.bus.take(live, other, owner="ngo-l", now=LATER).code == "id_reused"
    confirmed = {"ground": "retention", "horizon": "2027-12-01T00:00:00Z"}
    said = kept.bus.say(live, "special-unit", "access.erasure_confirmed", confirmed, now=LATER)
    assert (said.outcome, to(said, "ngo-a")) == ("registered", [])
    assert kept.bus.signal(live, case="99" * 16, now=LATER).outcome == "registered", "a new case goes on being served"
    check_history(kept.bus, live)


def replace_id(bus: Bus, id: str) -> Record:
    """Return other bytes under an id that was used."""
    data = {
        "detector": "ngo_legal",
        "child": True,
        "urgency": "normal",
        "detected_abroad": False,
        "basis": ["indicators"],
    }
    return bus.signed(bus.event("ngo-l", "case.signal_recorded", data, at=LATER, id=id))


class TestInWords:
    """The person's report and the auditor's page say that the retention period is over, and since when."""

    def seen(self, kept: Kept) -> Audited:
        """Return the audited history."""
        return Audited(history_of(kept, kept.history), kept.bus.directory, kept.bus.rules, 1)

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_person_reads_who_erased_the_case_and_who_did_not_answer(self, kept: Kept, language: Language) -> None:
        """The report names the end of the period, the agencies that erased, and those that still owe an answer."""
        seen, words = self.seen(kept), Words(language, kept.bus.rules.profile.zone)
        text = person_report.written(held(seen, CASE, LATER), words, teller="auditor", number=1, made=LATER).text()
        said = {key: each[language].split("{")[0] for key, each in person_report.sentences().items()}
        assert [key for key in ("over", "erased", "erased.missing") if said[key] not in text] == []

    def test_the_page_names_the_event_that_ended_the_period(self, kept: Kept) -> None:
        """The case has no status any more, and every event before is still shown."""
        words = Words("en", kept.bus.rules.profile.zone)
        case = shown.case(self.seen(kept), CASE, words, step=None, as_of=None, now=LATER)
        assert (case["over"]["number"], case["status"]) == (kept.SAYS_SO, None)
        rows = [each for day in case["days"] for each in day["rows"]]
        assert {each["kind"] for each in rows} == {"event", "refused"}
