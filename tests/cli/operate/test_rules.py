"""``nrmbus rules``: somebody looks up a refusal, and a lawyer holds a draft of a profile against the one in force."""

import json
from pathlib import Path

import pytest

from agencies import POLICY
from copies import NAME, REFER_IN_36_HOURS, copied, known_here
from nrmbus.bus.folder import BusFolder
from nrmbus.rules import profile_text, read_profile
from typed import run


def draft(folder: Path, old: str, new: str) -> Path:
    """Return the path of a copy of the profile with one change."""
    text = profile_text(POLICY)
    assert old in text
    file = folder / "draft.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_a_refusal_is_looked_up_by_its_code() -> None:
    """The terminal shows rule, sentence, article and example; a script gets the same."""
    shown = run("rules", "explain", "consent_required")
    assert shown.returncode == 0
    assert "G-32" in shown.stdout
    assert "RULES.md#g-32 [S34, S57]" in shown.stdout

    (found,) = json.loads(run("rules", "explain", "G-32", "--json").stdout)["found"]
    assert found["lines"]["Judged by"] == ["nrmbus.rules.judge.protection.consent_required"]


def test_marks_of_a_basis_are_printed_and_not_taken_for_colours() -> None:
    """[u] says that a lawyer has to confirm the value."""
    assert "RULES.md#d-rg [D] [u]" in run("rules", "explain", "D-RG").stdout


def test_a_code_of_the_wire_is_explained_too() -> None:
    """It came before any rule."""
    assert "more than seven days ago" in run("rules", "explain", "stale").stdout


def test_an_unknown_word_is_answered_with_the_nearest_one() -> None:
    """A slip of the keyboard costs no search."""
    done = run("rules", "explain", "consent_requird")

    assert done.returncode == 1
    assert "Did you mean consent_required?" in done.stderr


def test_a_profile_is_shown_whole_by_table_or_as_json() -> None:
    """Each table alone, for a small screen."""
    assert POLICY in run("rules", "show").stdout
    assert "D-REFER" in run("rules", "show", "--only", "clocks").stdout
    assert run("rules", "show", "--only", "nothing").returncode == 1
    assert json.loads(run("rules", "show", POLICY, "--json").stdout)["profile"]["k"] == 11
    assert run("rules", "show", "zz@2000-01-01").stderr.startswith("nrmbus: There is no such profile or file.")


def test_words_in_brackets_of_a_draft_are_printed_and_not_taken_for_colours(tmp_path: Path) -> None:
    """Given a sentence and a file's name with brackets, then the table and the count of mistakes have them whole."""
    sound = draft(tmp_path, "Your agency has no such case;", "No such case [/annex] [u];")
    assert "No such case [/annex] [u];" in run("rules", "show", sound, "--only", "rules").stdout

    wrong = draft(tmp_path, "k: 11", "k: eleven").rename(tmp_path / "draft [old].yaml")
    assert run("rules", "check", wrong).stdout.endswith(f"in {wrong}\n")


def test_a_draft_is_compared_with_the_profile_in_force(tmp_path: Path) -> None:
    """One value, with both of its texts."""
    file = draft(tmp_path, "length: {hours: 24}, scope: case", "length: {hours: 48}, scope: case")

    assert "D-REFER.length.hours: 24 → 48" in run("rules", "diff", POLICY, file).stdout
    (found,) = json.loads(run("rules", "diff", POLICY, file, "--json").stdout)["differences"]
    assert (found["path"], found["before"], found["after"]) == ("clocks.D-REFER.length.hours", "24", "48")


def test_a_draft_may_extend_a_profile_that_lies_beside_it(tmp_path: Path) -> None:
    """An amendment of one's own profile is checked and compared before either is on a bus."""
    (tmp_path / "xa@2031-01-01.yaml").write_text(f"name: xa@2031-01-01\nextends: {POLICY}\nchanges: {{k: 12}}\n")
    file = tmp_path / "amendment.yaml"
    file.write_text("name: xa@2031-06-01\nextends: xa@2031-01-01\nchanges: {timezone: UTC}\n")

    assert "xa@2031-06-01 is sound" in run("rules", "check", file).stdout
    found = json.loads(run("rules", "diff", POLICY, file, "--json").stdout)["differences"]
    assert {each["path"] for each in found} == {"name", "k", "timezone"}


@pytest.mark.thorough
def test_a_mistake_is_printed_with_line_and_column(tmp_path: Path) -> None:
    """As an editor understands it; the exit status tells a script."""
    file = draft(tmp_path, "k: 11", "k: eleven")

    done = run("rules", "check", file)
    assert done.returncode == 1
    assert f"{file}:7:1: error:" in done.stdout
    (found,) = json.loads(run("rules", "check", file, "--json").stdout)["findings"]
    assert (found["line"], found["path"]) == (7, "k")
    assert "nrmbus rules check" in run("rules", "show", file).stderr


@pytest.mark.parametrize("content", ["Alina-CANARY: born 2010\n", "[Alina-CANARY", "\ufffd\x00"])
def test_a_wrong_file_is_not_repeated(tmp_path: Path, content: str) -> None:
    """It may be about a person."""
    file = tmp_path / "x.yaml"
    file.write_text(content, encoding="utf-8")

    done = run("rules", "check", file)
    assert done.returncode == 1
    assert "CANARY" not in done.stdout + done.stderr


def test_a_draft_under_the_name_of_the_profile_in_force_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Given a machine that got an earlier draft, when the file of the operator is added, then the answer names the draft; without the draft the file is added."""
    folder, file = BusFolder(tmp_path / "bus"), tmp_path / "right.yaml"
    folder.create(play=True)
    folder.keep_profile(NAME, copied())
    file.write_text(copied(REFER_IN_36_HOURS), encoding="utf-8")

    with known_here():
        refused = run("rules", "add", file, "--data", folder.path)
    assert refused.returncode == 1
    assert f"{folder.profiles / NAME}.yaml is an earlier draft: remove that" in refused.stderr
    assert read_profile(copied(REFER_IN_36_HOURS)).digest in refused.stderr

    (folder.profiles / f"{NAME}.yaml").unlink()
    with known_here():
        added = run("rules", "add", file, "--data", folder.path)
    assert added.returncode == 0, added.stderr
    assert "standby host" in added.stdout


def test_a_sound_profile_is_named_with_its_digest(tmp_path: Path) -> None:
    """And exit status 0."""
    done = run("rules", "check", draft(tmp_path, "name: az@2022-04-29", "name: az@2031-01-01"))

    assert done.returncode == 0
    assert "az@2031-01-01 is sound" in done.stdout


def test_the_holidays_of_another_country_are_printed_for_a_profile(tmp_path: Path) -> None:
    """The printed holidays make a sound profile for a country without a table here."""
    printed = run("rules", "holidays", "GE", "--since", "2026", "--until", "2026").stdout
    _, title, *days = printed.splitlines()
    assert '    - "2026-01-07"  # Christmas Day' in days

    file = draft(tmp_path, "  country: AZ ", "  # country: AZ ")
    text = file.read_text(encoding="utf-8")
    own = next(line for line in text.splitlines() if line.startswith("  days_off:"))
    file.write_text(text.replace(own, "\n".join([title, *days])), encoding="utf-8")
    assert run("rules", "check", str(file)).returncode == 0


@pytest.mark.parametrize("asked", [["QQ"], ["GE", "--since", "3000"], ["GE", "--since", "2030", "--until", "2029"]])
def test_holidays_that_nobody_knows_are_an_error_and_no_empty_list(asked: list[str]) -> None:
    """A list without days would make a calendar without holidays."""
    done = run("rules", "holidays", *asked)

    assert (done.returncode, done.stdout) == (1, "")
    assert "holidays" in done.stderr
