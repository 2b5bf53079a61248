"""Profiles of one's own beside those of the release: known by name and digest, and never in the place of another."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agencies import AGENCIES, POLICY
from copies import NAME, REFER_IN_36_HOURS, copied, known_here
from nrmbus.events.model import Fact
from nrmbus.rules import ProfileError, Rules, add_profiles, installed_digest, load_profile, profile_names
from rules.given import Bench

OVERLAY = f"name: az@2027-06-01\nextends: {NAME}\nchanges:\n  k: 20\n"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with known_here():
        yield


def test_a_file_is_known_by_its_name_and_may_be_extended_by_another() -> None:
    """In whichever order the two come; what a release would say of a snapshot changes too."""
    before = installed_digest(POLICY)
    overlay, copy = add_profiles([OVERLAY, copied(REFER_IN_36_HOURS)])

    assert {NAME, "az@2027-06-01"} <= set(profile_names())
    assert load_profile(NAME) == copy
    assert (overlay.k, overlay.clocks["D-REFER"].length.hours) == (20, 36)
    assert installed_digest(POLICY) != before
    assert add_profiles([copied(REFER_IN_36_HOURS)]) == (copy,)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "text",
    [
        copied(REFER_IN_36_HOURS, name="az@2024-02-08"),  # the name of a bundled one
        copied(name=NAME),  # the name of one that was added, with other values
        "name: az@2027-03-01\nextends: az@2099-01-01\n",
        "name: az@2027-03-01\nextends: az@2027-03-01\n",
        "name: [az]\n",
        "nothing",
        "a: &a [1, 2]\nb: *a\nname: az@2027-03-01\n",
        "[" * 5000,
    ],
)
def test_a_name_never_comes_to_mean_something_else(text: str) -> None:
    """A file that takes a known name, or does not read, adds nothing."""
    add_profiles([copied(REFER_IN_36_HOURS)])
    known = {name: load_profile(name).digest for name in profile_names()}

    with pytest.raises(ProfileError):
        add_profiles([text])

    assert {name: load_profile(name).digest for name in profile_names()} == known


@pytest.mark.parametrize("zone", ["Asia", "Asia/Bakku", "../etc/passwd", "/etc/passwd", "", "Asia" * 80])
def test_a_profile_without_a_time_zone_is_never_known(zone: str) -> None:
    """Given a text that is no zone, then the file does not read, so nobody can put the profile in force and have no days."""
    with pytest.raises(ProfileError, match="timezone: no such time zone"):
        add_profiles([copied(("timezone: Asia/Baku", f'timezone: "{zone}"'))])

    assert NAME not in profile_names()


def test_a_profile_whose_digest_is_not_that_of_its_activation_is_not_known() -> None:
    """An agency with another file of the same name keeps its cases waiting, instead of judging them by it."""
    (mine,) = add_profiles([copied(REFER_IN_36_HOURS)])
    bench = Bench.of_bulletin("coordinator")
    rules, later = Rules(load_profile(POLICY), AGENCIES), datetime(2026, 6, 1, tzinfo=UTC)

    def activation(digest: str, number: int) -> Fact:
        event = bench.event(
            "coordinator", "policy.profile_activated", profile=NAME, digest=digest, valid_from="2027-01-01", approver="A-2",
        )  # fmt: skip
        return Fact.of(event, (), later, number, POLICY)

    rules.activate(activation(mine.digest, 1))
    assert rules.knows(NAME)

    other = Rules(load_profile(POLICY), AGENCIES)
    other.activate(activation("0" * 64, 1))
    assert not other.knows(NAME)
    assert not other.is_installed(NAME, "0" * 64)
