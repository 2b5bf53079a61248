"""Bases of the Rules that a lawyer can look up: articles of listed laws, and anchors in the text of the Rules."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import plain_yaml
from contract.tree import ROOT
from nrmbus.rules import profile_names, profile_text, profile_values

RULES = ROOT / "services" / "nrmbus" / "rules"
PAGE = RULES / "RULES.md"
MARKS = r"(?: \[(?:S\d+(?:, S\d+)*|D|u)\])"
OF_THE_ROW = "of the row"
"""The basis of G-01: that of the refused type's row, which is resolved there."""


def anchors(page: str) -> list[str]:
    """Return every anchor that *page* sets, in its order."""
    return re.findall(r'<a id="([^"]+)"></a>', page)


def laws(page: str) -> set[str]:
    """Return the short names in the first column of the table of laws."""
    table = page.partition("## Laws")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| ((?!cited as|---)[^|]+) \|", table, re.MULTILINE))


def bases(profile: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every basis of *profile* with its place: whatever stands under a key ``basis``, however deep."""
    if isinstance(profile, dict):
        for key, value in profile.items():
            if key == "basis":
                yield place, value
            else:
                yield from bases(value, f"{place}/{key}")
    elif isinstance(profile, list):
        for number, each in enumerate(profile):
            yield from bases(each, f"{place}/{number}")


def unresolved(profile: str, page: str) -> list[str]:
    """Return each basis of *profile*, with its place, of which a part is neither a listed law nor an anchor of *page*.

    An act without its article can be looked up only beside the text of the rule, so it needs an anchor too.
    """
    known, listed = set(anchors(page)), "|".join(map(re.escape, sorted(laws(page))))
    article = re.compile(rf"(?:{listed})(?P<article> (?:art|s)\. \d[\d., to]*)?{MARKS}+")
    anchor = re.compile(rf"RULES\.md#(?P<anchor>[a-z0-9._-]+){MARKS}*")
    found = []
    for place, basis in bases(plain_yaml.read(profile)):
        exact = False
        parts = [] if basis == OF_THE_ROW and place.startswith("/refusals/") else basis.split("; ")
        for part in parts:
            law, text = article.fullmatch(part) if listed else None, anchor.fullmatch(part)
            if not law and not (text and text["anchor"] in known):
                found.append(f"{place}: {part}")
            exact = exact or bool(law and law["article"]) or bool(text)
        if parts and not exact:
            found.append(f"{place}: {basis}")
    return found


def undescribed(profile: str, page: str) -> list[str]:
    """Return every rule, clock, type and transition of *profile* without an anchor in *page*, and anchors set twice."""
    loaded, known = plain_yaml.read(profile), anchors(page)
    wanted = [key.lower() for table in ("types", "refusals", "clocks") for key in loaded.get(table, {})]
    for row in loaded.get("statuses", {}).get("transitions", []):
        wanted += [each.lower() for each in re.findall(r"T\d\db?", row["id"])]
    return sorted({each for each in wanted if each not in known} | {a for a in known if known.count(a) > 1})


def whole(name: str) -> str:
    """Return the profile *name* with the values of the profile that it extends, as text."""
    return yaml.safe_dump(profile_values(profile_text(name)))


@pytest.mark.thorough
@pytest.mark.parametrize("profile", profile_names())
def test_every_basis_is_an_article_or_a_place_in_the_text_of_the_rules(profile: str) -> None:
    """A refusal cites the profile's basis, and every basis leads a lawyer to a text."""
    assert unresolved(whole(profile), PAGE.read_text(encoding="utf-8")) == []


@pytest.mark.thorough
@pytest.mark.parametrize("profile", profile_names())
def test_the_text_has_a_place_for_every_rule(profile: str) -> None:
    """The rule's number in a refusal leads to the rule's sentence, for any basis."""
    assert undescribed(whole(profile), PAGE.read_text(encoding="utf-8")) == []


SMALL_PAGE = """## Laws
| cited as | law |
| --- | --- |
| Act 1/2000 | an act |

## Section 4
| <a id="g-01"></a>G-01 |
"""


@pytest.mark.parametrize(
    ("basis", "found"),
    [
        ("Act 1/2000 art. 7 [S2]", []),
        ("Act 1/2000 art. 7 [S2]; RULES.md#g-01 [S1, S2] [D] [u]", []),
        ("RULES.md#g-01", []),
        ("Act 2/2000 art. 7 [S2]", ["Act 2/2000 art. 7 [S2]"]),
        ("Act 1/2000 art. 7", ["Act 1/2000 art. 7"]),
        ("Act 1/2000 [S2]", ["Act 1/2000 [S2]"]),
        ("RULES.md#g-02 [D]", ["RULES.md#g-02 [D]"]),
        ("C8 [D]", ["C8 [D]"]),
        ("Act 1/2000 art. 7 [S2]; I-3 [D]", ["I-3 [D]"]),
        ("[D]", ["[D]"]),
        ("section 2", ["section 2"]),
    ],
)
def test_a_basis_that_leads_nowhere_is_found(basis: str, found: list[str]) -> None:
    """Sabotage: shorthand, an unlisted law, an act without article or source, and an anchor that is not there."""
    profile = yaml.safe_dump({"refusals": {"G-01": {"basis": OF_THE_ROW}}, "clocks": {"D-X": [{"basis": basis}]}})

    assert sorted(set(unresolved(profile, SMALL_PAGE))) == [f"/clocks/D-X/0: {each}" for each in found]


def test_a_rule_without_its_text_is_found() -> None:
    """Sabotage: a rule, a type, a clock and a transition without an anchor are named, and an anchor that is set twice."""
    profile = {
        "refusals": {"G-01": {}, "G-02": {}}, "types": {"case.closed": {}}, "clocks": {"D-X": {}},
        "statuses": {"transitions": [{"id": "T03b"}]},
    }  # fmt: skip

    assert undescribed(yaml.safe_dump(profile), SMALL_PAGE * 2) == ["case.closed", "d-x", "g-01", "g-02", "t03b"]
