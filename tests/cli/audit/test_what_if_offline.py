"""``nrmbus rules what-if --history``: a draft of a profile judges a history from files, on a machine without a bus."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agencies import BUS, CASE, POLICY, ROLES
from auditor.evidence.given import Evidence
from auditor.played import Written, first_scenario
from backup.given import backup
from cli.test_commands import nrmbus
from copies import MIGRATION_DECIDES, copied, copy
from nrmbus.auditor.evidence.file import evidence_of
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit.offline_history import offline_history
from nrmbus.cli.audit.what_if import _table
from nrmbus.events.figures import Checkpoint, Release
from nrmbus.rules import Agency, Rules, read_profile
from nrmbus.statistics.exported import exported
from nrmbus.wire import history, statement
from nrmbus.wire.keys.keys import SigningKey

ONE_HOUR = (
    "length: {hours: 24}, scope: case, answerable: source",
    "length: {hours: 1}, scope: case, answerable: source",
)


def written(into: Path, found: Written) -> Path:
    """Write the whole history of *found* as ``nrmbus export --release`` does."""
    last = history.read(found.records[-1], history.plain)
    checkpoint = Checkpoint(partition=0, size=len(found.records), head=last.digest)
    release = Release(
        bus=BUS, by="statistics", period="2026", k=11, profile=POLICY, checkpoints=(checkpoint,), tables=()
    )
    records = ((0, record) for record in found.records)
    into.write_bytes(b"".join(exported(release, found.directory.signed, records, made="2026-12-01T00:00:00Z")))
    return into


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("exported") / "2026.history.jsonl", first_scenario())


def asked(profile: Path | str, path: Path, here: Path) -> dict[str, Any]:
    """Return the answer in JSON; *here* is a folder in which no bus was ever made."""
    done = nrmbus("rules", "what-if", profile, "--history", path, "--json", "--data", here)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.thorough
def test_a_draft_judges_an_exported_history_without_a_bus(tmp_path: Path, file: Path) -> None:
    """One hour to refer instead of 24: the duty ends at another time, and would have been missed; nothing else differs."""
    draft = tmp_path / "draft.yaml"
    draft.write_text(copied(ONE_HOUR))
    answer = asked(draft, file, tmp_path / "nothing")

    assert answer["digest"] == read_profile(draft.read_text()).digest
    assert {kind: n for kind, n in answer["totals"].items() if n} == {"clock_moved": 1, "breached": 1}
    assert [(row["rule"], row["basis"]) for row in answer["summary"]] == [
        ("D-REFER", "CoM 21/2008 art. 7 [S2]; RULES.md#d-refer [u]")
    ] * 2
    assert {row["type"] for row in answer["by_type"]} == {"case.signal_recorded"}
    assert answer["judged"]["events"] + answer["not_judged"] == len(first_scenario().records)
    assert not (tmp_path / "nothing").exists()


def test_a_basis_in_brackets_is_printed_and_not_taken_for_a_colour() -> None:
    """Given a profile of one's own with brackets in its words, then the table has every letter of them."""
    row = {"kind": "refused", "rule": "G-1", "basis": "Order 5 [/annex] art. 1 [u]", "count": 1, "cases": 1}
    console = Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(_table("Under draft", ("what", "rule", "basis", "times", "cases"), "rule", [row]))

    assert "Order 5 [/annex] art. 1 [u]" in shown.get()


@pytest.mark.thorough
def test_the_answer_is_printed_by_rule_and_by_type(tmp_path: Path, file: Path) -> None:
    """With the totals that a legislator asks for, and what vouches for the file."""
    draft = tmp_path / "draft.yaml"
    draft.write_text(copied(MIGRATION_DECIDES))
    done = nrmbus("rules", "what-if", draft, "--history", file, "--data", tmp_path / "nothing")

    assert done.returncode == 0, done.stderr
    for words in (
        "Under az@2027-01-01",
        "By type of event",
        "G-01",
        "would have been refused",
        "by its own lines alone",
    ):
        assert words in " ".join(done.stdout.split())


@pytest.mark.thorough
def test_a_refusal_is_named_if_the_other_profile_has_no_such_rule(tmp_path: Path, file: Path) -> None:
    """The refused event itself is gone, so nothing is claimed beyond the rule."""
    refused = {row.registration.rule for row in offline_history(file).entries if row.registration.verdict == "refused"}
    rule = min(each for each in refused if each and each.startswith("G-") and each != "G-01")
    line = next(each for each in copied().splitlines(keepends=True) if each.startswith(f"  {rule}: "))
    draft = tmp_path / "draft.yaml"
    draft.write_text(copied((line, "")))

    rows = asked(draft, file, tmp_path)["differences"]
    assert {(row["kind"], row["rule"], row["type"]) for row in rows} == {("let_in", rule, "")}


@pytest.mark.slow
@pytest.mark.thorough
def test_the_evidence_of_a_case_and_a_backup_are_histories_too(tmp_path: Path) -> None:
    """Evidence has one case of many in its partitions; a backup is verified with every signature."""
    evidence = Evidence(tmp_path / "auditor")
    file = tmp_path / "case.evidence.jsonl"
    file.write_bytes(evidence_of(CASE, evidence.source()))
    kept = backup(tmp_path / "backup")

    assert {entry.registration.subject for entry in offline_history(file).entries} == {CASE}
    answer = asked("az@2009-09-03", file, tmp_path)
    assert answer["judged"]["cases"] == 1
    found = offline_history(kept.path)
    assert (
        "every signature of registrar, senders and operator, by the operator's key that the backup itself has"
        in found.vouched
    )
    assert asked("az@2024-02-08", kept.path, tmp_path)["judged"] == {"events": len(found.entries), "cases": 2}


@pytest.mark.parametrize("place", [0, 1, 40, -2, -1])
def test_an_altered_or_cut_file_is_judged_by_nobody(tmp_path: Path, file: Path, place: int) -> None:
    """A missing or changed line is named; no profile judges half a history."""
    lines = file.read_bytes().splitlines(keepends=True)
    cut, changed = tmp_path / "cut.jsonl", tmp_path / "changed.jsonl"
    cut.write_bytes(b"".join(line for at, line in enumerate(lines) if at != place % len(lines)))
    lines[place] = lines[place].replace(b"e", b"f", 1)
    changed.write_bytes(b"".join(lines))

    for each in (cut, changed):
        with pytest.raises(BusError, match=r"does not verify at|is no history"):
            offline_history(each)


@pytest.mark.parametrize("name", ["agency", "role", "supervisor"])
def test_a_directory_entry_that_does_not_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    """Given a file of somebody else whose entry has a list in place of a word, then the sentence says what to do."""
    release = Release(bus=BUS, by="statistics", period="2026", k=11, profile=POLICY, checkpoints=(), tables=())
    body = {"agency": "ngo-a", "role": "ngo_outreach", "supervisor": "police", name: ["x"]}
    entry = statement.sign("directory", body, SigningKey.generate())
    file = tmp_path / "theirs.jsonl"
    file.write_bytes(b"".join(exported(release, [entry], (), made="2026-12-01T00:00:00Z")))

    with pytest.raises(BusError, match="an entry of the directory that does not read"):
        offline_history(file)


def test_a_history_under_a_profile_that_is_not_here_is_not_judged_by_another(tmp_path: Path) -> None:
    """The local profile of the same name would take its place unnoticed; the sentence says which file to bring."""
    seen = first_scenario()
    entry = seen.audited().history.entries[0]
    assert entry.event
    other = Written(
        seen.directory,
        seen.identities,
        Rules(copy(ONE_HOUR, name=POLICY), {each: Agency(each, role) for each, role in ROLES.items()}),
    )
    other.register(entry.event, entry.registration.time)

    with pytest.raises(BusError, match=r"was judged by az@2022-04-29, .* --judged-by FILE"):
        offline_history(written(tmp_path / "other.jsonl", other))


@pytest.mark.thorough
@pytest.mark.slow
def test_a_history_under_a_profile_of_one_s_own_is_judged_with_its_file(tmp_path: Path) -> None:
    """Given the export of a bus with its own profile, a legislator needs the profile's very file, and not the bus."""
    seen = first_scenario()
    entry = seen.audited().history.entries[0]
    assert entry.event
    agencies = {each: Agency(each, role) for each, role in ROLES.items()}
    theirs = Written(seen.directory, seen.identities, Rules(copy(ONE_HOUR), agencies))
    theirs.register(entry.event, entry.registration.time)
    history = written(tmp_path / "theirs.jsonl", theirs)
    own, other = tmp_path / "own.yaml", tmp_path / "other.yaml"
    own.write_text(copied(ONE_HOUR))
    other.write_text(copied(MIGRATION_DECIDES))
    asked = ("rules", "what-if", POLICY, "--history", history, "--data", tmp_path / "nothing")

    assert "--judged-by FILE" in nrmbus(*asked).stderr
    assert nrmbus(*asked, "--judged-by", other).returncode == 1
    done = nrmbus(*asked, "--judged-by", own)
    assert done.returncode == 0, done.stderr
    assert "D-REFER" in done.stdout
