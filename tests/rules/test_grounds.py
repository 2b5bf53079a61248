"""Grounds named in PRIVACY.md and RULES.md are those that the Rules enforce."""

import re
from pathlib import Path

import pytest

from nrmbus.rules import load_profile, profile_names
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.tables import renewed, types
from nrmbus.rules.profile_files import profile_text, read_profile
from nrmbus.rules.why import WORDS

BEGINS, ENDS = "<!-- types -->", "<!-- end of types -->"
PRIVACY = Path(__file__).parents[2] / "PRIVACY.md"
RULES = Path(__file__).parents[2] / "services" / "nrmbus" / "rules" / "RULES.md"


def test_every_source_that_is_cited_is_listed() -> None:
    """A lawyer who confirms a ground finds each source: of PRIVACY.md, of the profile and of the text of the Rules."""
    before, _, sources = PRIVACY.read_text(encoding="utf-8").partition("## Sources")
    listed = {
        each for row in sources.splitlines() for each in re.findall(r"S\d+", row.split("|")[1] if "|" in row else "")
    }
    cited = {
        each
        for found in re.findall(
            r"\[(S[^]]*)\]", before + "".join(map(profile_text, profile_names())) + RULES.read_text(encoding="utf-8")
        )
        for each in re.findall(r"S\d+", found)
    }

    assert cited - listed == set()
    assert listed - cited == set()


def test_each_type_has_a_row_with_its_ground() -> None:
    """A type that may be published has a ground that can be read, and says so where the law could not be."""
    profile = load_profile(PROFILE)
    rows = {row.split("`")[1]: row for row in types(profile, {}).splitlines()[2:]}
    assert rows.keys() == profile.types.keys()
    for name, row in profile.types.items():
        assert row.basis in rows[name]
        assert rows[name].endswith("*u* |") == row.unverified


def test_the_text_of_the_rules_explains_every_word_of_the_table() -> None:
    """The text explains each condition in the words of `nrmbus why`, and no other condition."""
    text = RULES.read_text(encoding="utf-8").partition("Words of the table:")[2].partition("\nRemarks on some rows:")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)) == WORDS


def test_a_change_of_the_profile_is_seen() -> None:
    """A row that is told to one more role makes another table."""
    profile = load_profile(PROFILE)
    text = profile_text(PROFILE).replace(
        "consent.refused:             {by: [DETECTORS,", "consent.refused: {by: [court, DETECTORS,"
    )
    changed = types(read_profile(text), {}).splitlines()
    assert [row for row in changed if row not in types(profile, {}).splitlines()] == [
        next(r for r in changed if "`court`, `DETECTORS`" in r)
    ]


@pytest.mark.parametrize("text", ["", BEGINS, ENDS, f"{ENDS}\n{BEGINS}"])
def test_a_file_without_a_place_for_it_is_reported(text: str) -> None:
    """Nothing is written into a file that does not ask for the table."""
    with pytest.raises(ValueError, match="no place"):
        renewed(text, load_profile(PROFILE))
