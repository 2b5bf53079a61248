"""Pages about the Rules: tables, picture and procedures are those of the profile and of the code."""

import re
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

from contract.tree import ROOT
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.rules import load_profile, profile_text, read_profile
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.diagram import arrows, mermaid
from nrmbus.rules.handbook.tables import TABLES, renewed
from nrmbus.rules.profile import Profile


@pytest.fixture(scope="module")
def generator() -> Any:
    """Return the program of ``make rules``."""
    spec = spec_from_file_location("rules_pages", ROOT / ".ci" / "rules.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stale(generator: Any, profile: Profile) -> list[str]:
    """Return the pages that would be written anew under *profile*."""
    found: Iterator[Any] = generator.pages(profile)
    return [path.name for path, wanted in found if path.read_text(encoding="utf-8") != wanted]


def test_no_page_is_older_than_the_profile_or_the_code(generator: Any) -> None:
    """A change of a value or a procedure changes, in the same commit, the pages that a lawyer and a worker read."""
    assert stale(generator, load_profile(PROFILE)) == [], "write them again: make rules"


@pytest.mark.parametrize("name", ["md@2014-03-28", "osce-generic@2022-01-01"])
def test_no_procedure_of_another_country_cites_a_law_of_azerbaijan(generator: Any, name: str) -> None:
    """A line names the law behind its row in the profile; where the profile cites no law, a mark says so once."""
    lines = [line for room in set(ROOMS.values()) for line in generator.lines_of(room, load_profile(name))]

    assert [line for line in lines if re.search(r"\bCoM \d|958-IIQ|\[u\] \[u\]|no rule of this profile", line)] == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("length: {hours: 24}, scope: case", "length: {hours: 36}, scope: case", "36 hours"),
        ("No consent covers this agency", "Nothing covers this agency", "Nothing covers this agency"),
        ("when: positive, from: [UNDER_IDENTIFICATION], to: PRESUMED", "when: positive, from: [UNDER_IDENTIFICATION], to: IDENTIFIED", "UNDER_IDENTIFICATION --> IDENTIFIED : T10"),
        ("sees: [holder, referrer], basis", "sees: [holder, supervisor], basis", "`holder`, `supervisor`"),
        ("object_minutes: 10", "object_minutes: 25", "25; none for"),
        ('value: "700.00"', 'value: "800.00"', "800.00 AZN"),
        ("fund:             [coded, identity, contact, money]", "fund:             [coded, money]", "`coded`, `money`"),
        ("  GUARDIANS: [guardianship, child_commission]", "  GUARDIANS: [guardianship]", "| `GUARDIANS` | `guardianship` |"),
        ("CLOSED: [consent.*, case.*,", "CLOSED: [consent.*,", "| CLOSED | `consent.*`, `stay.permit_*`"),
    ],
)  # fmt: skip
def test_a_value_that_is_changed_in_a_copy_follows_on_the_pages(generator: Any, old: str, new: str, shown: str) -> None:
    """No other edit is needed, and nothing but the page's own words is left over from before."""
    text = profile_text(PROFILE)
    assert text.count(old) == 1
    changed = read_profile(text.replace(old, new))

    assert "RULES.md" in stale(generator, changed)
    page = next(wanted for path, wanted in generator.pages(changed) if path.name == "RULES.md")
    assert shown in page


def test_a_table_keeps_the_remarks_that_people_wrote() -> None:
    """A row that is made again has its last words; a new rule has those of its function until somebody writes better."""
    page = (ROOT / "services/nrmbus/rules/RULES.md").read_text(encoding="utf-8")
    remark = "initial assistance ends it whatever reference it names, also for another deciding body that was asked |"
    assert remark in page
    assert remark in renewed(page.replace("24 hours", "25 hours"), load_profile(PROFILE))

    bare = re.sub(r'\| <a id="g-20"></a>.*\n', "", page)
    assert "`approver` = `actor`" in next(
        line for line in renewed(bare, load_profile(PROFILE)).splitlines() if 'id="g-20"' in line
    )


def test_every_way_between_statuses_is_in_the_picture() -> None:
    """From each status of each row that moves a case; ways from all open statuses are drawn once."""
    profile = load_profile(PROFILE)
    drawn = mermaid(profile)

    for row in profile.statuses.transitions:
        for status in row.from_ if row.to else ():
            start = "[*]" if status == "none" else status
            assert f"    {start} --> {row.to}" in drawn or f"    OPEN --> {row.to}" in drawn
    assert len(arrows(profile)) < 25
    assert set(TABLES) >= {"statuses", "refusals", "clocks", "types"}


def test_a_procedure_has_the_lines_of_its_code(generator: Any) -> None:
    """Sabotage: a line that was changed in the page only is put back, and the words around it stay."""
    lines = generator.lines_of("police", load_profile(PROFILE))
    page = "# police\n\n1. Something else.\n2. And more.\n\nThe end.\n"

    assert generator.with_lines(page, lines) == "# police\n\n" + "".join(f"{each}\n" for each in lines) + "\nThe end.\n"
