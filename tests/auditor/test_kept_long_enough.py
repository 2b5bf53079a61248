"""Envelopes that were kept long enough are gone: who reads the history says so, proves the rest, and finds what was cut out."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from auditor.altered_topics import reading_of, taken
from auditor.evidence import Evidence
from nrmbus.auditor.bundle import bundle
from nrmbus.auditor.errors import LogError
from nrmbus.auditor.heads import SignedHeads
from nrmbus.auditor.held import held
from nrmbus.auditor.history import Audited, History, HistoryError
from nrmbus.auditor.log import Log
from nrmbus.auditor.pages import shown
from nrmbus.auditor.pages.words import LANGUAGES, Language, Words
from nrmbus.auditor.selection import Selection
from nrmbus.auditor.verifier import Verification, files_of
from nrmbus.auditor.why import explain
from nrmbus.cli import person_report, replay, timeline
from nrmbus.cli.replayed import Replayed, row_of
from nrmbus.play.trail import Read, compare
from nrmbus.timekeeper.watch import Watch, registration_of
from nrmbus.wire.record import Record
from nrmbus.wire.registration import verify_registration
from registrar.given import BUS, CASE, Bus, check_history, to
from registrar.kept import LATER, OPEN_CASE, OTHER_CASE, OVER_AT, Kept, bare

Strip = Callable[[Kept], list[Record]]


@pytest.fixture(name="kept", scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


def history_of(kept: Kept, records: list[Record]) -> History:
    """*records*, verified to their end."""
    history = History(kept.bus.directory)
    for each in records:
        history.take(each, 0)
    history.verifier.check_last()
    return history


def also(*numbers: int) -> Strip:
    """The stripped history, with the envelopes of *numbers* cut out as well."""
    return lambda kept: [bare(each) if at in numbers else each for at, each in enumerate(kept.stripped, 1)]


ILLEGAL: list[tuple[str, Strip, int]] = [
    ("of a case that is held", also(2), 2),
    ("of a case that is open", also(8), 8),
    ("the one that says that the time is over", also(9), 1),
    ("one after it, a holder's confirmation", also(10), 10),
    ("of the last event", also(11), 11),
]


class TestWhoReadsIt:
    """History, auditor, registrar, timekeeper and the trail's checker read it to its end."""

    def test_the_history_verifies_and_names_the_ground(self, kept: Kept) -> None:
        """Each entry that is gone, and what says since when."""
        history = history_of(kept, kept.stripped)
        assert [each.registration.number for each in history.entries if each.ended] == list(kept.ENVELOPES)
        over = history.over(CASE)
        assert over is not None
        assert (over.registration.number, over.registration.time) == (kept.SAYS_SO, OVER_AT)
        assert (history.over(OTHER_CASE), history.over(OPEN_CASE)) == (None, None)
        assert all(each.audience.commitment() == each.registration.audience for each in history.entries)

    @pytest.mark.parametrize(("strip", "number"), [row[1:] for row in ILLEGAL], ids=[row[0] for row in ILLEGAL])
    def test_what_was_not_to_go_is_missed(self, kept: Kept, tmp_path: Path, strip: Strip, number: int) -> None:
        """By whoever replays, by the auditor at its first reading, and by one that had read it whole before."""
        records = strip(kept)
        with pytest.raises(HistoryError) as found:
            history_of(kept, records)
        assert (found.value.code, found.value.number) == ("envelope_missing", number)
        for known in (False, True):
            heads, home = SignedHeads(tmp_path / f"{known}.db"), tmp_path / f"log-{known}"
            if known:
                with closing(Log(home, heads, BUS, 0)) as log:
                    taken(reading_of(log, kept), kept.history)  # type: ignore[arg-type]  # it asks for its bus alone
                    log.commit()
            with closing(Log(home, heads, BUS, 0)) as log, pytest.raises(LogError) as stopped:
                taken(reading_of(log, kept), records)  # type: ignore[arg-type]  # likewise
            assert (stopped.value.code, stopped.value.number) == ("envelope_missing", number)

    @pytest.mark.parametrize("known", [0, 4, 9, 11])
    def test_the_auditors_log_goes_on_over_it(self, kept: Kept, tmp_path: Path, known: int) -> None:
        """However much of it was read before the envelopes went: the same leaves, the same tree."""
        heads = SignedHeads(tmp_path / "heads.db")
        with closing(Log(tmp_path / "log", heads, BUS, 0)) as log:
            reading = reading_of(log, kept)  # type: ignore[arg-type]  # it asks for its bus alone
            for each in kept.history[:known]:
                reading.take(each)
            log.commit()
            before = log.head
        with closing(Log(tmp_path / "log", heads, BUS, 0)) as log:
            taken(reading_of(log, kept), kept.stripped)  # type: ignore[arg-type]  # likewise
            log.commit()
            assert log.size == len(kept.history)
            whole = log.head.root
        with closing(Log(tmp_path / "whole", SignedHeads(tmp_path / "whole.db"), BUS, 0)) as log:
            taken(reading_of(log, kept), kept.history)  # type: ignore[arg-type]  # likewise
            log.commit()
            assert log.head.root == whole
        assert before.size == known

    def test_an_auditor_that_has_caught_up_takes_no_registration_without_its_envelope(
        self, kept: Kept, tmp_path: Path
    ) -> None:
        """What goes, goes while it stands still: one that comes so was never whole."""
        with closing(Log(tmp_path / "log", SignedHeads(tmp_path / "heads.db"), BUS, 0)) as log:
            reading = reading_of(log, kept)  # type: ignore[arg-type]  # it asks for its bus alone
            taken(reading, kept.history[:2])
            with pytest.raises(LogError) as stopped:
                reading.take(kept.stripped[2])
            assert (stopped.value.code, stopped.value.number, log.size) == ("envelope_missing", 3, 2)

    def test_the_registrar_knows_what_it_knew(self, kept: Kept) -> None:
        """Numbers, ids, sequences, deliveries and the next answer are those of one that read every envelope."""
        kept.bus.history, whole = kept.stripped, kept.bus.history
        try:
            folded = check_history(kept.bus, kept.shard)
        finally:
            kept.bus.history = whole
        assert folded.memory.over == kept.shard.memory.over == {CASE: kept.SAYS_SO}

    def test_the_checker_of_the_trail_reads_it(self, kept: Kept) -> None:
        """Another client's: numbers, chain and sequences."""
        found = compare([Read("nrm.cases", 0, each) for each in kept.stripped], [], ())
        assert (found.gap, found.twice, found.disordered, found.lost) == (0, 0, 0, 0)

    def test_the_timekeeper_is_silent_about_it_and_holds_the_erasure_to_its_end(self, kept: Kept) -> None:
        """With and without the envelopes it says the same; of a case that was cut it says nothing at all."""
        whole, stripped, cut = (watched(kept, records) for records in (kept.history, kept.stripped, also(8)(kept)))
        later = LATER.replace(year=2030)
        assert list(stripped.due(later)) == list(whole.due(later))
        assert {each.subject for each in whole.due(later)} == {CASE, OTHER_CASE, OPEN_CASE}
        assert {each.subject for each in cut.due(later)} == {CASE, OTHER_CASE}
        assert (stripped.gone, cut.gone) == (set(), {OPEN_CASE})


def watched(kept: Kept, records: list[Record]) -> Watch:
    """A timekeeper that has read *records*."""
    watch = Watch(kept.bus.rules)
    for each in records:
        watch.take(each, verify_registration(registration_of(each), lambda _: kept.bus.key.verify_key))
    return watch


@pytest.mark.parametrize("stripped", [False, True])
def test_whatever_is_submitted_for_it_is_refused_as_unknown(tmp_path: Path, *, stripped: bool) -> None:
    """Also a signal that would open it anew; the same bytes get their old answer, other bytes under an id are `id_reused`."""
    kept = Kept(tmp_path)
    again = kept.bus.event("ngo-l", "case.signal_recorded", {"detector": "ngo_legal", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"]}, at=LATER)  # fmt: skip
    live = kept.bus.shard()
    for each in kept.stripped if stripped else kept.history:
        live.memory.fold(each)
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
    """Other bytes under an id that was used."""
    data = {
        "detector": "ngo_legal",
        "child": True,
        "urgency": "normal",
        "detected_abroad": False,
        "basis": ["indicators"],
    }
    return bus.signed(bus.event("ngo-l", "case.signal_recorded", data, at=LATER, id=id))


class TestInWords:
    """Replay, why and the page say that it is gone, since when and on which ground; who was told stays."""

    def seen(self, kept: Kept) -> Audited:
        """The stripped history."""
        return Audited(history_of(kept, kept.stripped), kept.bus.directory, kept.bus.rules, 1)

    def test_why_says_who_was_told_and_what_took_the_rest(self, kept: Kept) -> None:
        """Of a signal: told by the record, the Rules cannot be asked any more."""
        seen = self.seen(kept)
        why = explain(seen, seen.history.about(CASE)[0], LATER)
        assert why.over is not None
        assert (why.over.number, why.over.type, why.refusal) == (kept.SAYS_SO, "access.erasure_due", None)
        codes = {each.agency: (each.told, each.code) for each in why.whom}
        assert codes["special-unit"] == (True, "ended")
        assert codes["vac"] == (False, "ended")
        assert codes["ngo-a"] == (False, "source")
        assert codes["statistics"] == (False, "service")
        assert "refused" not in {code for _, code in codes.values()}

    def test_a_replay_has_a_line_for_each(self, kept: Kept) -> None:
        """In JSON and in words, with its number, its source and who was told; none of them is called refused."""
        seen = self.seen(kept)
        first, *_ = (row_of(each) for each in seen.history.about(CASE))
        assert (first["ended"], first["told"], first["verdict"]) == (True, ["special-unit"], "registered")
        assert "type" not in first
        entry = seen.history.about(CASE)[0]
        assert str(replay._type(entry)) == "gone: it was kept long enough"
        replayed = Replayed.of(seen, Selection(), subject=CASE, as_of=None, now=LATER)
        page = timeline.page(replayed)
        assert page.count("its envelope is gone") == len(kept.ENVELOPES)

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_person_is_told_what_can_still_be_said(self, kept: Kept, language: Language) -> None:
        """Who destroyed what it held, and who has not said so; of who read it, that nobody can say, and not that nobody did."""
        seen, words = self.seen(kept), Words(language, kept.bus.rules.profile.zone)
        text = person_report.written(held(seen, CASE), words, teller="auditor", number=1, made=LATER).text()
        said = {key: each[language].split("{")[0] for key, each in person_report.sentences().items()}
        assert [key for key in ("over", "erased", "erased.missing") if said[key] not in text] == []
        assert [key for key in ("held", "held.nothing", "read.nothing") if said[key] in text] == []

    def test_the_page_shows_ground_and_lines(self, kept: Kept) -> None:
        """Of the case and of each event, in words of its own."""
        seen = self.seen(kept)
        words = Words("en", kept.bus.rules.profile.zone)
        case = shown.case(seen, CASE, words, step=None, as_of=None, now=LATER)
        assert case["over"]["number"] == kept.SAYS_SO
        assert (case["counts"].refused, case["status"]) == (1, None)
        rows = [each for day in case["days"] for each in day["rows"]]
        assert [each["kind"] for each in rows].count("ended") == len(kept.ENVELOPES)
        event = shown.event(seen, seen.history.about(CASE)[0], LATER)
        assert (event["gone"], event["over"].number, event["refusal"]) == (True, kept.SAYS_SO, None)


class TestEvidence:
    """What was exported before, and what is exported afterwards."""

    def exported(self, kept: Kept, home: Path, records: list[Record]) -> Verification:
        """The bundle of the case out of *records*, verified as a stranger does."""
        evidence = object.__new__(Evidence)
        evidence.home, evidence.bus = home, kept.bus
        evidence.log = evidence.logged(kept.bus, "log")
        with closing(evidence.log):
            raw = bundle(CASE, evidence.source(records=tuple(records)))
        return evidence.verified(raw)

    def test_the_rest_of_it_is_proved_and_each_line_names_the_ground(self, kept: Kept, tmp_path: Path) -> None:
        """Chain, signature, leaf, audience: all but what is gone."""
        done = self.exported(kept, tmp_path, kept.stripped)
        assert done.verdict[0] == 0
        opened = [line for line in done.lines if line.result == "open"]
        assert {(line.check, line.about) for line in opened} == {("envelope", f"0-{at}") for at in kept.ENVELOPES}
        assert all("retention has ended, as number 9 says" in line.says for line in opened)

    @pytest.mark.parametrize(("at", "cut"), [(10, {"0-10"}), (9, {"0-1", "0-3", "0-5", "0-6", "0-9"})])
    def test_an_exporter_cannot_leave_out_what_was_not_to_go(
        self, kept: Kept, tmp_path: Path, at: int, cut: set[str]
    ) -> None:
        """The ground is in the bundle, or the bundle fails."""
        done = self.exported(kept, tmp_path, also(at)(kept))
        assert done.verdict[0] == 1
        assert {line.about for line in done.failures if line.result == "envelope_missing"} == cut

    def test_what_was_exported_before_verifies_as_before(self, kept: Kept, tmp_path: Path) -> None:
        """A bundle stands alone; registrations and proofs are the same bytes in both."""
        for name, records in (("before", kept.history), ("after", kept.stripped)):
            (tmp_path / name).mkdir()
            assert self.exported(kept, tmp_path / name, records).verdict[0] == 0
        before, after = (dict(files_of(tmp_path / name / "bundle.zip")) for name in ("before", "after"))
        same = {name for name in before if name.startswith(("proofs/", "registrations", "directory"))}
        assert same
        assert all(before[name] == after[name] for name in same)
        assert json.loads(after["gaps.json"])["ended"] == [f"0-{at}" for at in kept.ENVELOPES]
