"""The profiles beside the pinned one: dated, read strictly, cited, and different exactly where they say so."""

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.rules import Profile, Rules, load_profile, profile_names

PINNED = {
    "az@2009-09-03": "2c362f3492c2786aa042bf0de9b3156570aee1f1f92c7afa7b533b2db7c6093f",
    "az@2010-10-01": "efadf96336676c0222f1ff5e3ecd6b988833633e88b1f57e763c976ee49cb312",
    "az@2024-02-08": "1c88824fa6f39a1e9683001a9843abb91de8367a4b49c629d795b3d50c81d3fe",
    "md@2014-03-28": "8795e034e4f845bb42f505d60ebbd15e902cab7d548a6b1384351fb7cbea34c4",
    "osce-generic@2022-01-01": "7982d54e768efe19114f0d24baa16d93e8208574c4ed4fac13365d3bbe0a7df1",
}
"""Digests of the whole profiles. A change of the profile that they extend changes all of them: pin them again together."""
AZERBAIJAN = ("CoM ", "Law 958-IIQ")


def differences(one: object, other: object, place: str = "") -> set[str]:
    """Return the places where two profiles have different values; a whole row where one lacks it."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = {f"{place}{name}" for name in one.keys() ^ other.keys()}
        for name in one.keys() & other.keys():
            found |= differences(one[name], other[name], f"{place}{name}/")
        return found
    return set() if one == other else {place.rstrip("/")}


def unlike(name: str, other: str = POLICY) -> set[str]:
    """Return the places where the profile *name* differs from *other*, but for name, citations and their marks."""
    found = differences(load_profile(other).model_dump(mode="json"), load_profile(name).model_dump(mode="json"))
    return {place for place in found if place != "name" and not place.endswith(("/basis", "/unverified"))}


def cited(profile: Profile) -> dict[str, str]:
    """Return the bases of *profile* by the place of their row."""
    rows = {**profile.types, **profile.refusals, **profile.clocks, "allowance": profile.allowance}
    return {name: row.basis for name, row in rows.items()}


def test_the_profiles_are_those_that_are_pinned() -> None:
    """A registration names a digest for good: what has changed here has changed there."""
    assert {name: load_profile(name).digest for name in profile_names() if name != POLICY} == PINNED


@pytest.mark.parametrize("name", sorted(PINNED))
def test_the_rules_can_be_made_of_each(name: str) -> None:
    """Each refusal that it names is written, and its name is that of its file."""
    assert Rules(load_profile(name), AGENCIES).profile.name == name


@pytest.mark.parametrize("name", [*sorted(PINNED), POLICY])
def test_each_row_on_unread_law_is_marked(name: str) -> None:
    """`[u]` in a basis and `unverified: true` stand together."""
    profile = load_profile(name)
    rows = {**profile.types, **profile.refusals, **profile.clocks}

    assert [each for each, row in rows.items() if ("[u]" in row.basis) is not row.unverified] == []


@pytest.mark.parametrize("name", ["md@2014-03-28", "osce-generic@2022-01-01"])
def test_another_country_cites_no_law_of_azerbaijan(name: str) -> None:
    """A refusal in one country does not lead a lawyer to another country's decree."""
    assert [each for each, basis in cited(load_profile(name)).items() if basis.startswith(AZERBAIJAN)] == []


def test_the_convention_is_cited_from_its_day_on() -> None:
    """CETS 197 came into force for Azerbaijan on 1 October 2010."""
    by = {name: [each for each, basis in cited(load_profile(name)).items() if "CETS" in basis] for name in PINNED}

    assert by["az@2009-09-03"] == []
    assert "D-RECOVERY" in by["az@2010-10-01"]


def test_what_came_later_is_not_in_an_earlier_profile() -> None:
    """Recovery period, one-year shield and tariffs: each from the day of its text."""
    recovery = {"recovery.period_started", "recovery.extended", "recovery.reviewed", "recovery.ended"}

    assert unlike("az@2010-10-01") == {"allowance/tariffs", "calendar/days_off"}
    found = unlike("az@2009-09-03", "az@2010-10-01")
    assert {f"types/{each}" for each in recovery} | {"clocks/D-RECOVERY", "clocks/D-REVIEW30"} <= found
    assert found - {f"types/{each}" for each in recovery} == {
        "clocks/D-RECOVERY", "clocks/D-REVIEW30", "clocks/D-CG", "periods/stay_days", "periods/recovery_days", "statuses/transitions",
        "retention/classes/decisions/types",
    }  # fmt: skip


def test_the_amendment_of_2024_changes_marks_alone() -> None:
    """Its text was not readable: no value differs, and six rows wait for a lawyer."""
    assert unlike("az@2024-02-08") == set()
    newly = set(load_profile("az@2024-02-08").unverified) - set(load_profile(POLICY).unverified)
    assert newly == {
        "identification.stage_entered",
        "safeguard.representative_assigned",
        "G-22",
        "G-23",
        "G-42",
        "D-REPRESENT",
    }


def test_the_generic_profile_differs_where_the_text_says() -> None:
    """Another decider, 45 days with a look on day 30, no closed shelter, no amount, no country."""
    found = unlike("osce-generic@2022-01-01")

    assert {place for place in found if not place.endswith("/says")} == {
        "timezone", "roles/DECIDERS", "clocks/D-RECOVERY/length/event_days", "clocks/D-REVIEW30/length/days",
        "periods/recovery_days", "refusals/G-54", "allowance/tariffs", "calendar/country", "calendar/days_off",
    }  # fmt: skip
    generic = load_profile("osce-generic@2022-01-01")
    assert generic.clocks["D-RG"].length.working_days == 5
    assert generic.periods.recovery_days == 45
    assert [row.says for row in generic.refusals.values() if "special unit" in row.says] == []
