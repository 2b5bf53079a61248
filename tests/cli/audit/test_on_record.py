"""Commands that show the history are recorded first: reader, question, and purpose."""

import asyncio
import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor.live import AuditedBus
from brokers import Broker
from cli.audit.typed_commands import Commands
from desk.live import STARTS, live, signal_of
from nrmbus.auditor.evidence.verifier import Trust, Verification
from nrmbus.auditor.history.history import Audited, HistoryError
from nrmbus.auditor.history.whole import audited
from nrmbus.auditor.reports.holders import AccessRecord, access_records
from nrmbus.auditor.web.names import OFF_THE_RECORD
from nrmbus.auditor.web.offline_log import OffTheRecord
from nrmbus.auditor.web.users import Users
from nrmbus.bus.clock import tick_clock
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.cli.app import app
from nrmbus.cli.audit import own_reading, person_report
from nrmbus.cli.audit.on_record import READING_SECONDS, AuditorsDoor, NoDoor
from nrmbus.wire import ids
from patience import LONGEST_WAIT, eventually

PASSWORD = "a long example password"
OFF = "--off-the-record"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return a terminal on a bus that claims to run."""
    monkeypatch.setattr(BusFolder, "bootstrap", "127.0.0.1:9")
    return Commands(tmp_path, monkeypatch)


def typed(commands: Commands) -> dict[str, tuple[str | Path, ...]]:
    """Return each command that shows the history, by name, with its output files."""
    return {
        "replay": ("replay", "--case", commands.case),
        "replay of all": ("replay", "--jsonl"),
        "replay as a page": ("replay", "--case", commands.case[:8], "--html", commands.home / "shown.html"),
        "why": ("why", "12"),
        "trace": ("trace", "referral.submitted"),
        "reads": ("reads", "--case", commands.case),
        "erasure certificate": ("erasure", "certificate", "--case", commands.case),
        "retention due": ("retention", "due"),
    }


OF_ALL = ("replay of all", "retention due")
NAMES = ("replay", "replay as a page", "why", "trace", "reads", "erasure certificate", *OF_ALL)


def test_p4_each_command_asks_for_what_it_shows(commands: Commands) -> None:
    """A case is asked for by its whole reference, an event by its id, all cases as a search, always by the same account."""
    assert set(typed(commands)) == set(NAMES)
    for command in typed(commands).values():
        commands.type(*command)
    event = {
        "what": "event",
        "case": commands.case,
        "event": [
            each for each in commands.seen.history.entries if each.said and each.said.type == "referral.submitted"
        ][-1].registration.id,
    }
    case = {"what": "case", "case": commands.case}
    who = Users(commands.home / "auditor")
    ((_, actor),) = who.accounts()
    twelfth = commands.seen.history.entries[11].registration.id

    assert commands.asked == [
        {"actor": actor, "purpose": "audit", **each}
        for each in (case, {"what": "search"}, case, {**event, "event": twelfth}, event, case, case, {"what": "search"})
    ]
    assert list(who.names()) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", ["away", "away_later"])
def test_p4_what_is_not_on_record_is_not_shown(commands: Commands, name: str, when: str) -> None:
    """Sabotage: the auditor does not answer, or the registrar does not; no line is printed, no file written."""
    setattr(commands, when, "unanswered")
    result = commands.type(*typed(commands)[name])

    assert "Nothing is shown" in str(result.exception)
    assert (result.stdout, result.exit_code) == ("", 1)
    assert not (commands.home / "shown.html").exists()
    assert not (commands.home / "auditor" / OFF_THE_RECORD).exists()


@pytest.mark.parametrize("name", NAMES)
def test_p4_off_the_record_is_loud_and_written_down_before_it_is_shown(commands: Commands, name: str) -> None:
    """The warning and the stored line have the code for why the reading is not on record."""
    commands.away_later = "not_verified"
    result = commands.type(*typed(commands)[name], OFF, "--purpose", "incident")

    assert result.stderr.startswith("OFF THE RECORD (not_verified)")
    assert result.stdout != ""
    (line,) = OffTheRecord(commands.home / "auditor").left().readings
    assert (line.why, line.purpose) == ("not_verified", "incident")
    assert (line.subject == commands.case) == (name not in OF_ALL)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", [(), (OFF,)])
def test_p4_nothing_is_noted_where_no_auditor_ever_runs(commands: Commands, name: str, option: tuple[str, ...]) -> None:
    """Given a bus whose auditor is elsewhere, when the operator asks, also off the record, then nothing is shown and nothing is noted that nobody records."""
    BusFolder(commands.home).audit(elsewhere=True)
    commands.away = "unreachable"
    result = commands.type(*typed(commands)[name], *option)

    assert "on a machine of her own" in str(result.exception)
    assert (result.stdout, result.exit_code) == ("", 1)
    assert not (commands.home / "auditor" / OFF_THE_RECORD).exists()


def test_a_refused_report_names_the_machine_of_the_auditor(commands: Commands) -> None:
    """Given a bus whose auditor is elsewhere, when a person's report finds no such case, then the answer is not shown, and the sentence says where to ask."""
    BusFolder(commands.home).audit(elsewhere=True)
    commands.away = "unreachable"

    refused = commands.refused("person-report", "--case", "00000000", "--language", "az")
    assert "on a machine of her own" in refused
    assert "nrmbus up" not in refused


def test_off_the_record_is_not_taken_where_the_record_can_be_had(commands: Commands) -> None:
    """A user who always gives the option is recorded anyway."""
    commands.shown("replay", OFF)

    assert len(commands.asked) == 1
    assert not (commands.home / "auditor" / OFF_THE_RECORD).exists()


def test_p4_what_cannot_be_written_down_is_not_shown(commands: Commands) -> None:
    """A full disk or a read-only folder prevents the reading."""
    commands.away = "unreachable"
    (commands.home / "auditor" / OFF_THE_RECORD).mkdir(parents=True)

    assert "cannot be written" in commands.refused("replay", OFF)
    assert commands.type("replay", OFF).stdout == ""


def test_the_answer_that_there_is_no_such_case_is_recorded_too(commands: Commands) -> None:
    """It is recorded as a search, and printed only then."""
    assert "Nothing here has this reference" in commands.refused("replay", "--case", "00000000")
    assert [each["what"] for each in commands.asked] == ["search"]

    assert "Nothing here has this" in commands.refused("person-report", "--case", "00000000", "--language", "az")
    assert [(each["what"], each["purpose"]) for each in commands.asked[1:]] == [("search", "person_request")]

    commands.away_later = "unanswered"
    for command in (
        ("replay", "--case", "00000000"),
        ("why", "9000"),
        ("trace", "9000"),
        ("reads", "--case", "00000000"),
        ("person-report", "--case", "00000000", "--language", "az"),
        ("erasure", "hold", "--case", "00000000", "--until", "2026-12-31"),
    ):
        assert "The registrar has not recorded the question" in commands.refused(*command)


def test_an_export_waits_while_the_auditor_reads_its_history(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question may take minutes on a large history; "no such case" is recorded as a search, and no file is made."""
    waited: list[float] = []

    def cases(_: AuditorsDoor, _ref: str, patience: float) -> list[str]:
        waited.append(patience)
        return []

    monkeypatch.setattr(AuditorsDoor, "cases", cases)
    out = commands.home / "case.evidence.jsonl"

    assert "Nothing here has this reference" in commands.refused("export", "--case", "00000000", "--out", out)
    assert waited == [READING_SECONDS]
    assert [each["what"] for each in commands.asked] == ["search"]
    assert not out.exists()


def test_p4_the_answer_that_an_agency_cannot_report_is_recorded_too(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The auditor records that the case exists and the agency does not know it; only then is the answer shown."""
    how = ("person-report", "--case", commands.case, "--language", "az", "--agency", "fund-abroad")

    async def unknown(*_: object) -> int:
        raise BusError("read_refused: …")

    monkeypatch.setattr(person_report, "_by_its_desk", unknown)
    assert "read_refused" in commands.refused(*how)
    assert [(each["what"], each["case"]) for each in commands.asked] == [("case", commands.case)]

    commands.away = "unreachable"
    said = commands.refused(*how)
    assert "Nothing is shown." in said
    assert OFF not in said  # the command has no such option


def test_a_hold_is_placed_by_the_auditor_that_runs(commands: Commands) -> None:
    """The hold has the typing user's number; no second process signs with the auditor's key, and without an auditor there is no hold."""
    how = ("erasure", "hold", "--case", commands.case[:8], "--until", "2026-12-31", "--reason", "objection")
    assert "registered as number 4712" in commands.shown(*how)
    ((_, actor),) = Users(commands.home / "auditor").accounts()
    hold = {"actor": actor, "case": commands.case, "reasons": ["objection"], "until": "2026-12-31"}
    assert (commands.held, commands.asked) == ([hold], [])

    commands.away_later = "wrong_state"
    assert "not registered (wrong_state)" in commands.refused(*how)
    commands.away = "unreachable"
    assert "The auditor does not answer" in commands.refused(*how)
    assert len(commands.held) == 1


@pytest.mark.parametrize("code", ["unanswered", "unreachable"])
def test_a_hold_that_may_be_registered_later_is_not_called_unregistered(commands: Commands, code: str) -> None:
    """Given no answer, then the exit status is 3, and the message names the command to show the hold."""
    commands.away_later = code
    result = commands.type("erasure", "hold", "--case", commands.case, "--until", "2026-12-31")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "not known yet" in result.stderr
    assert f"nrmbus erasure certificate --case {commands.case}" in result.stderr


def test_p4_a_report_is_not_recorded_under_another_number_than_the_one_that_is_given(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given --as where a desk records, or --actor where the auditor does, then nothing is recorded, and the other option is named."""
    how = ("person-report", "--case", commands.case, "--language", "az", "--agency")

    async def recorded(*_: object) -> int:
        raise AssertionError("the desk was asked")

    monkeypatch.setattr(person_report, "_by_its_desk", recorded)

    assert "give --actor NUMBER" in commands.refused(*how, "shelter", "--as", "leyla")
    assert "give --as NAME" in commands.refused(*how, "auditor", "--actor", "S-9")
    assert commands.asked == []


def test_off_the_record_a_command_reads_in_as_many_processes_as_it_is_told(commands: Commands) -> None:
    """Only a command without the auditor asks for processes: an answering auditor has the history in memory."""
    commands.away = "unreachable"
    commands.shown("replay", "--jobs", "3", OFF)

    assert commands.jobs == 3


def test_a_history_that_does_not_verify_is_reported_and_nothing_else(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of the error is shown, which is no reading: off the record, nobody's claim of a reading is accepted."""
    commands.away = "not_verified"

    def broken(*_: object) -> Audited:
        raise HistoryError(0, 9, "chain_broken")

    monkeypatch.setattr(own_reading, "verified", broken)
    assert "does not verify at number 9" in commands.refused("replay", OFF)
    assert not (commands.home / "auditor" / OFF_THE_RECORD).exists()


def test_by_name_a_password_is_asked_for(commands: Commands) -> None:
    """The password keeps users from reading under another's number, and is in no argument."""
    actor = Users(commands.home / "auditor").add("leyla", PASSWORD)
    how = ["replay", "--as", "leyla", "--purpose", "court", "--data", str(commands.home)]

    assert CliRunner().invoke(app, how, input=f"{PASSWORD}\n").exit_code == 0
    assert [(each["actor"], each["purpose"]) for each in commands.asked] == [(actor, "court")]
    wrong = CliRunner().invoke(app, how, input="another example password\n")
    assert "Name or password is wrong" in str(wrong.exception)
    assert len(commands.asked) == 1


def test_p4_reads_shows_what_is_on_no_record(commands: Commands) -> None:
    """The command marks these readings and fails; about another case it prints nothing of them."""
    commands.away = "unreachable"
    commands.type("replay", "--case", commands.case, OFF)
    commands.type("replay", OFF)
    commands.away = None
    result = commands.type("reads", "--case", commands.case)
    body = json.loads(commands.type("reads", "--case", commands.case, "--json").stdout)

    assert result.exit_code == 1
    assert result.stdout.count("OFF THE RECORD: read at ") == 1
    (row,) = body["off_the_record"]
    assert (row["what"], row["why"], row["purpose"]) == ("case", "unreachable", "audit")


def test_a_missing_door_is_reported_as_such(tmp_path: Path) -> None:
    """The message tells a missing door from another auditor's door and from a door that nobody answers."""
    door = AuditorsDoor(tmp_path)
    for raw in (None, b"{}", b"{", b'{"url": "http://127.0.0.1:9", "token": "x"}'):
        if raw is not None:
            (tmp_path / "door.json").write_bytes(raw)
        with pytest.raises(NoDoor) as raised:
            door.begin(0.0)
        assert raised.value.code == "unreachable"


# -- on a real bus ----------------------------------------------------------------------------------------------------


async def nrmbus(folder: BusFolder, *arguments: str | Path) -> Result:
    """Type a command beside the test's own loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, [*map(str, arguments), "--data", str(folder.path)])


def live_commands(case: str, home: Path) -> dict[str, tuple[str | Path, ...]]:
    """Return the commands of a bus that has one case."""
    return {
        "case": ("replay", "--case", case[:8]),
        "search": ("replay",),
        "event": ("why", "case.signal_recorded", "--case", case),
        "traced": ("trace", "case.signal_recorded"),
        "export": ("export", "--case", case, "--out", home / "case.evidence.jsonl"),
        "reads": ("reads", "--case", case),
    }


async def on_record(folder: BusFolder) -> list[AccessRecord]:
    """Return the auditor's access records at the registrar, as another reader sees them."""
    return [each for each in access_records((await audited(folder)).history.entries) if each.agency == "auditor"]


@pytest.mark.broker
async def test_p4_on_a_bus_every_command_is_on_record(broker: Broker, tmp_path: Path) -> None:
    """Each record has a kind and the number printed by the command. All records have one account."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=("ngo-a",)) as running:
        bus, case = AuditedBus(running.folder), ids.new_ref()
        async with running.door("ngo-a") as door:
            assert (await door.publish(signal_of(case), wait=LONGEST_WAIT))["verdict"] == "registered"
        bus.start()
        try:
            await bus.until(lambda health: health["ready"])
            done = [await nrmbus(running.folder, *each) for each in live_commands(case, tmp_path).values()]
        finally:
            bus.stop()
        found = await on_record(running.folder)
    assert [(each.exit_code, each.stdout != "") for each in done] == [(0, True)] * len(done)
    assert [each.what for each in found] == ["case", "search", "event", "event", "export", "case"]
    assert [int(each.stderr.split()[3].rstrip(":")) for each in done] == [each.number for each in found]
    assert {(each.purpose, each.off_record) for each in found} == {("audit", None)}
    assert len({each.actor for each in found}) == 1


@pytest.mark.broker
async def test_p4_with_the_registration_withheld_nothing_is_shown_or_written(broker: Broker, tmp_path: Path) -> None:
    """Sabotage: no registrar. Reads shown off the record are recorded when the registrar is back."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=("ngo-a",)) as running:
        bus, case, folder = AuditedBus(running.folder), ids.new_ref(), running.folder
        async with running.door("ngo-a") as door:
            assert (await door.publish(signal_of(case), wait=LONGEST_WAIT))["verdict"] == "registered"
        running.kill("registrar", signal.SIGTERM)
        async with clients.producer(folder.bootstrap) as producer:  # the case began at the clock's own time
            await tick_clock(producer, 2, STARTS + timedelta(hours=1))
        bus.start(patience=1)
        try:
            await bus.until(lambda health: health["ready"] and health["tick"] == 2)
            commands = live_commands(case, tmp_path)
            for each in (commands["case"], commands["event"], commands["export"]):
                result = await nrmbus(folder, *each)
                assert (result.exit_code, result.stdout) == (1, "")
                assert "The registrar has not recorded the question in time" in str(result.exception)
            assert [*tmp_path.glob("*.jsonl")] == []

            shown = await nrmbus(folder, *commands["case"], OFF, "--purpose", "incident")
            assert (shown.exit_code, "case.signal_recorded" in shown.stdout) == (0, True)
            assert shown.stderr.startswith("OFF THE RECORD (unanswered): case, by ")

            running.start("registrar")
            await running.served()
            await _until_settled(bus)
        finally:
            bus.stop()
        found = [each for each in await on_record(folder) if each.off_record]
    assert [(each.what, each.purpose) for each in found] == [("case", "incident")]


async def _until_settled(bus: AuditedBus) -> None:
    """Wait until nothing is off the record any more."""
    unrecorded = OffTheRecord(bus.home)
    await eventually("nothing is off the record", lambda: not unrecorded.left().readings)


@pytest.mark.broker
async def test_p4_an_export_that_is_on_record_verifies_and_leaves_its_own_record_to_the_next(
    broker: Broker, tmp_path: Path
) -> None:
    """The export has the registrations before its own record, and no registration of the export."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=("ngo-a",)) as running:
        bus, case = AuditedBus(running.folder), ids.new_ref()
        async with running.door("ngo-a") as door:
            assert (await door.publish(signal_of(case), wait=LONGEST_WAIT))["verdict"] == "registered"
        bus.start()
        try:
            await bus.shows(1)
            files = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
            done = [await nrmbus(running.folder, "export", "--case", case, "--out", each) for each in files]
        finally:
            bus.stop()
        found = await on_record(running.folder)
    assert [(each.what, each.purpose) for each in found] == [("export", "audit")] * 2
    assert [each.exit_code for each in done] == [0, 0]
    assert done[0].stdout.splitlines()[0].endswith(f"1 registrations of case {case}.")
    assert "not in the newest checkpoint" not in done[0].stdout
    assert [Verification(each, Trust()).verdict[0] for each in files] == [3, 3]  # the keys in a file are not trusted
