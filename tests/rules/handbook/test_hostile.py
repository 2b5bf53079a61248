"""Hostile and broken profiles: `rules check` never fails, and each mistake has a place and the thing to do."""

import random
from copy import deepcopy
from typing import Any, Final

import pytest
import yaml

from nrmbus.rules import ProfileError, profile_text, read_profile
from nrmbus.rules.handbook.checking import findings
from nrmbus.rules.handbook.explaining import explained

WHOLE: Final = profile_text("az@2022-04-29")
OVERLAY: Final = profile_text("osce-generic@2022-01-01")
DAY_OFF: Final = WHOLE[: WHOLE.index('- "2026-03-09"')].count("\n") + 1
ODD: Final[tuple[Any, ...]] = (
    None, True, -1, 1.5, 10**30, float("inf"), "", "NOBODY", "{decider", [], {}, [[]], {"a": []}, [None], "2026-02-31",
)  # fmt: skip
MARKS: Final = "{}[]:,&*#'\"?|>%@ \t\x07"


def placed(text: str) -> list[tuple[int, int]]:
    """Return the place of each mistake in *text*; each says what is wrong, and what to do."""
    found = [each for each in findings(text) if each.kind == "error"]
    assert all(each.says and each.do and each.line >= 1 and each.column >= 1 for each in found)
    return [(each.line, each.column) for each in found]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"a: &a [x, x]\nb: &b [*a, *a]\n{WHOLE}", (2, 8)),
        ("[" * 20_000, None),
        ("#" * 1_000_001, None),
        (f"? [a, b]\n: 1\n{WHOLE}", (1, 3)),
        (WHOLE.replace('- "2026-03-09"', "- 2026-02-31"), (DAY_OFF, 7)),
        ("name: az@2027-01-01\nextends: az@2022-04-29\nwithout: {types: [{a: b}]}\n", (3, 11)),
        ("name: az@2027-01-01\nextends: az@2022-04-29\ncites: {1: [2]}\n", (3, 9)),
        ("name: az@2027-01-01\nextends: az@2022-04-29\nchanges: [k]\n", (3, 1)),
        ("name: az@2027-01-01\nextends: az@2027-01-01\n", (2, 1)),
    ],
    ids=["bomb", "deep", "long", "key", "no such day", "no key", "no citation", "no table", "itself"],
)
def test_a_hostile_file_is_refused_at_its_place(text: str, place: tuple[int, int] | None) -> None:
    """A bomb is small before it is read; nothing of the file is run, built or multiplied."""
    found = placed(text)

    assert found
    assert place is None or found[0] == place
    with pytest.raises(ProfileError):
        read_profile(text)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, one in below for each in _paths(one, (*path, key)))]


def _broken(text: str, chance: random.Random) -> str:
    """Return *text* with a character, a line, or a value that does not belong there."""
    if chance.random() < 0.4:
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        cut = chance.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:cut] + chance.choice(MARKS) + lines[at][cut + 1 :]
        return "\n".join(lines)
    values = deepcopy(yaml.safe_load(text))
    *above, last = chance.choice(_paths(values)[1:])
    inside = values
    for key in above:
        inside = inside[key]
    if chance.random() < 0.3:
        del inside[last]
    else:
        inside[last] = chance.choice(ODD)
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in range(1, 4))])
def test_a_broken_profile_is_read_or_its_mistake_is_found(seed: int) -> None:
    """Whatever is broken: either it reads, or `rules check` names a mistake. The seed is the test's name."""
    chance = random.Random(seed)
    for text in (_broken(WHOLE, chance), _broken(OVERLAY, chance), _broken(OVERLAY, chance)):
        found = placed(text)
        try:
            read_profile(text)
        except ProfileError:
            assert found


ODD_NUMBERS: Final = [
    ("length: {hours: 24}, scope: case, answerable: source", "length: {hours: 99999999999999}, scope: case, answerable: source", "clocks.D-REFER.length"),
    ("length: {hours: 24}, scope: case, answerable: source", "length: {hours: 24, days: 3}, scope: case, answerable: source", "clocks.D-REFER.length"),
    ("length: {hours: 24}, scope: case, answerable: source", "length: {}, scope: case, answerable: source", "clocks.D-REFER.length"),
    ("length: {by_urgency: {emergency: {hours: 3}, urgent: {hours: 24}, normal: {hours: 72}}}", "length: {by_urgency: {emergency: {hours: 3}}}", "clocks.D-BED.length"),
    ("length: {by_urgency: {emergency: {hours: 3}, ", "length: {by_urgency: {emergency: {by_urgency: {emergency: {days: 1}, urgent: {days: 1}, normal: {days: 1}}}, ", "clocks.D-BED.length"),
    ("weekend: [5, 6]", "weekend: [0, 1, 2, 3, 4, 5, 6]", "calendar.weekend"),
    ("activation_notice_hours: 1 ", "activation_notice_hours: 99999999999 ", "periods.activation_notice_hours"),
    ("follow_up_months: [3, 6, 12]", "follow_up_months: [12, 3, 3]", "periods.follow_up_months"),
    ("k: 11 ", "k: 5000 ", "k"),
    (", opening: true", "", "types"),
]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("old", "new", "path"), ODD_NUMBERS, ids=[new or "no opening" for _, new, _ in ODD_NUMBERS])
def test_a_value_that_cannot_be_meant_is_named(old: str, new: str, path: str) -> None:
    """Two lengths or none, a week without work, a threshold that no figures may have: the line is named, and nothing hangs."""
    assert old in WHOLE
    found = [each for each in findings(WHOLE.replace(old, new)) if each.kind == "error"]

    assert path in [each.path.removesuffix(".emergency") for each in found], found
    assert all(each.line > 1 and each.do for each in found)


def test_a_file_brings_the_laws_of_its_country() -> None:
    """They resolve, and have their titles; without the table the citation leads nowhere."""
    bare = 'name: xx@2027-01-01\nextends: osce-generic@2022-01-01\nchanges:\n  clocks:\n    D-HOLD: {basis: "XX Law 5 art. 3"}\n'
    whole = bare + 'adds:\n  laws: {"XX Law 5": "On the protection of victims"}\n'

    assert placed(bare) == [(5, 14)]
    assert placed(whole) == []
    (source,) = explained(read_profile(whole), "D-HOLD")[0].sources
    assert (source.text, source.title) == ("XX Law 5 art. 3", "On the protection of victims")
