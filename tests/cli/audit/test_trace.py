"""``nrmbus trace``: from an event to its trace and back, with spans kept and without."""

import json
from pathlib import Path

import pytest

from auditor.played import of_type
from cli.audit.typed_commands import Commands
from nrmbus.auditor.reports.traces import spans_of
from nrmbus.bus.folder import BusFolder
from nrmbus.telemetry.span_file import Span
from spans import leave

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"
MS = 1_000_000


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return a terminal on a bus that claims to run."""
    monkeypatch.setattr(BusFolder, "bootstrap", "127.0.0.1:9")
    return Commands(tmp_path, monkeypatch)


def words(shown: str) -> str:
    """Return the words without wrapping and alignment."""
    return " ".join(shown.split())


def keep(home: Path, event: str, type_: str = "referral.submitted") -> None:
    """Have the services of the bus at *home* store spans of *event*, and of another event in another trace."""
    folder = BusFolder(home)
    for name in ("ngo-a", "special-unit"):
        folder.agency(name).path.mkdir(parents=True)
        folder.agency(name).agency_json.write_text("{}")
    made = Span(
        TRACE, "1" * 16, "", (), "create", "producer", "ngo-a", 10**18, 10**18 + 2 * MS, type_, event, "", "",
    )  # fmt: skip
    other = "ffffffff-0000-7000-8000-000000000000"
    transaction = {
        "trace": "2" * 32, "id": "2" * 16, "name": "register", "kind": "internal", "service": "registrar",
        "start": 10**18 + 5 * MS, "end": 10**18 + 6 * MS,
        "links": [
            {"trace": trace, "span": maker * 16, "type": type_, "event": id, "outcome": "registered"}
            for trace, maker, id in ((TRACE, "1", event), (OTHER, "5", other))
        ],
    }  # fmt: skip
    heard = made._replace(
        id="4" * 16, parent="1" * 16, name="process", service="special-unit", start=10**18 + 20 * MS,
        end=10**18 + 30 * MS, outcome="handled",
    )  # fmt: skip
    stranger = made._replace(trace=OTHER, id="5" * 16, event=other)
    leave(folder.agency("ngo-a").path, made, stranger)
    leave(folder.agency("special-unit").path, heard)
    leave(folder.service("registrar"), transaction)


def test_of_an_event_it_shows_sender_registrar_and_receiver_in_one_waterfall(commands: Commands) -> None:
    """The history follows below; other events of the same transaction are counted, not shown."""
    entry = of_type(commands.seen, "referral.submitted")
    keep(commands.home, entry.registration.id)
    shown = commands.shown("trace", "12")

    assert spans_of(BusFolder(commands.home), entry.registration.id[:-1]) == []
    assert "referral.submitted of ngo-a, registered as number 12" in shown
    assert f"trace {TRACE}" in shown
    assert "3 spans of 3 services" in shown
    rows = [words(line.replace("█", "").replace("▏", "")) for line in shown.splitlines() if "├" in line or "└" in line]
    assert rows == [
        "├ registrar register registered with 1 other 5.0 1.0",
        "└ special-unit process handled 20.0 10.0",
    ]
    assert "ffffffff" not in shown
    said = words(shown)
    assert "recorded 2026-03-02 06:10:00 UTC, by the desk of ngo-a" in said
    assert "registered 2026-03-02 06:10:00 UTC, number 12 of partition 0" in said
    assert "opened 2026-03-02 06:10:00 UTC, the letter at special-unit, number 13" in said


def test_without_a_span_the_history_answers_all_the_same(commands: Commands) -> None:
    """The trail never depends on spans: the exit status is 0, and the history is shown."""
    shown = words(commands.shown("trace", "referral.submitted"))

    assert "no longer has them" in shown
    assert "recorded" in shown
    assert "registered" in shown


def test_the_way_back_leads_from_a_trace_to_its_events(commands: Commands) -> None:
    """A trace is given by its first digits, and spans of other traces are left out."""
    entry = of_type(commands.seen, "referral.submitted")
    keep(commands.home, entry.registration.id)
    shown = words(commands.shown("trace", "--trace", TRACE[:8]))

    assert f"trace of 1 event trace {TRACE} 3 spans" in shown
    assert "process referral.submitted" in shown
    assert "ffffffff" not in shown


def test_while_the_bus_is_down_the_spans_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans are read from the folder, and the output says that the history was not asked."""
    commands = Commands(tmp_path, monkeypatch)
    event = of_type(commands.seen, "referral.submitted").registration.id
    keep(commands.home, event)
    shown = {commands.shown("trace", way) for way in (event, event[:20])}

    assert len(shown) == 1
    assert "the history could not be asked" in words(shown.pop())
    assert "ffffffff" in commands.shown("trace", "ffffffff-0000")


def test_p4_an_event_of_another_case_is_not_shown_in_place_of_one_of_the_case(commands: Commands) -> None:
    """Given spans of another case's event, then the answer and its record say that the case has no such event."""
    keep(commands.home, "ffffffff-0000-7000-8000-000000000001", "services.offered")

    assert "The history has no such event" in commands.refused("trace", "services.offered", "--case", commands.case)
    assert "The history has no such event" in commands.refused(
        "trace", "ffffffff-0000-7000-8000-000000000001", "--case", commands.case
    )
    assert "Nothing here has this reference" in commands.refused("trace", "services.offered", "--case", "0" * 8)
    assert {each["what"] for each in commands.asked} == {"search"}


def test_p4_a_trace_is_not_asked_for_within_a_case(commands: Commands) -> None:
    """Given a trace and a case, then nothing is shown or recorded: a trace is shown whole, and spans name no case that could be held against it."""
    keep(commands.home, of_type(commands.seen, "referral.submitted").registration.id)

    assert "leave --case out" in commands.refused("trace", "--trace", TRACE, "--case", commands.case)
    assert "leave --case out" in commands.refused("trace", "--trace", TRACE, "--case", "0" * 8)
    assert commands.asked == []


def test_p4_an_event_that_the_history_has_without_its_type_is_recorded_under_its_case(commands: Commands) -> None:
    """Given a refusal, which keeps no type, then the span finds the event; answer and record follow the history."""
    refused = next(
        each for each in commands.seen.history.entries if each.registration.verdict == "refused"
    ).registration
    keep(commands.home, refused.id, "services.offered")
    shown = words(commands.shown("trace", "services.offered"))

    assert f"refused as number {refused.number}" in shown
    assert "no registration of it yet" not in shown
    assert [(each["case"], each["event"]) for each in commands.asked] == [(refused.subject, refused.id)]


def test_a_name_of_several_events_is_not_taken_for_the_one_with_spans(commands: Commands) -> None:
    """Given the first characters of several events' ids, of which one has spans here, then more of the id is asked for."""
    ids = [each.registration.id for each in commands.seen.history.entries]
    several = next(id for id in ids if sum(each.startswith(id[:8]) for each in set(ids)) > 1)
    keep(commands.home, several)

    assert "names more than one event" in commands.refused("trace", several[:8])


def test_causes_and_consequences_reach_beyond_the_trace(commands: Commands) -> None:
    """The event's cause and its consequences are found by the ids that their senders signed."""
    asked, offered = (of_type(commands.seen, type_) for type_ in ("shelter.bed_requested", "shelter.bed_offered"))
    back, forth = words(commands.shown("trace", "24")), words(commands.shown("trace", "shelter.bed_requested"))

    assert f"because of shelter.bed_requested of special-unit, number 22, event {asked.registration.id}" in back
    assert f"caused shelter.bed_offered of shelter, number 24, event {offered.registration.id}" in forth


def test_a_program_gets_one_object(commands: Commands) -> None:
    """The object has the rows of the waterfall in order, without empty members, and the history's data."""
    entry = of_type(commands.seen, "referral.submitted")
    keep(commands.home, entry.registration.id)
    raw = commands.shown("trace", "12", "--json")
    body = json.loads(raw)

    assert [(row["service"], row["name"], row["depth"]) for row in body["spans"]] == [
        ("ngo-a", "create", 0),
        ("registrar", "register", 1),
        ("special-unit", "process", 1),
    ]
    assert body["spans"][2]["after_ms"] == 20.0
    assert body["history"][0]["number"] == 12
    assert body["history"][0]["receipts"][0]["state"] == "opened"
    assert "null" not in raw


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "takes an EVENT"),
        (("12", "--trace", TRACE), "takes an EVENT"),
        (("9000",), "The history has no such event"),
        (("--trace", TRACE), "Neither history nor spans have this trace"),
        (("--trace", "0af"), "the first 8 digits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_argument_that_names_neither_event_nor_trace_is_one_sentence(
    commands: Commands, arguments: tuple[str, ...], sentence: str
) -> None:
    """The sentence says which arguments would work."""
    assert sentence in commands.refused("trace", *arguments)
