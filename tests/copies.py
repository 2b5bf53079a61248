"""Copies of the profile in force with other rules in them, as a legislator, or another country, would write them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nrmbus.rules import Profile, profile_files, profile_text, read_profile
from nrmbus.rules.handbook.default import PROFILE

NAME: Final = "az@2027-01-01"
Change = tuple[str, str]

MIGRATION_DECIDES: Final[Change] = ("DECIDERS: [special_unit]", "DECIDERS: [migration]")
SOCIAL_SERVICE_HOUSES: Final[Change] = (
    "  SHELTERS: [shelter_state, ngo_shelter]",
    "  SHELTERS: [shelter_state, ngo_shelter, social_services]",
)
REFER_IN_36_HOURS: Final[Change] = (
    "length: {hours: 24}, scope: case, answerable: source",
    "length: {hours: 36}, scope: case, answerable: source",
)
HOLD_IN_2_DAYS: Final[Change] = (
    "D-HOLD:     {starts: [{events: [stay.hold_requested], at: R}], length: {hours: 24}",
    "D-HOLD:     {starts: [{events: [stay.hold_requested], at: R}], length: {working_days: 2}",
)
RECOVERY_OF_45_DAYS: Final[tuple[Change, ...]] = (
    (
        "length: {event_days: 30}, scope: case, answerable: source, told: nobody",
        "length: {event_days: 45}, scope: case, answerable: source, told: nobody",
    ),
    ("  recovery_days: 30 ", "  recovery_days: 45 "),
)


def copied(*changes: Change, name: str = NAME) -> str:
    """Return the YAML of a copy of the profile in force, called *name*, in which each of *changes* was made once."""
    text = profile_text(PROFILE)
    renamed = () if name == PROFILE else ((f"name: {PROFILE}", f"name: {name}"),)
    for old, new in (*changes, *renamed):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def copy(*changes: Change, name: str = NAME) -> Profile:
    """Return the copy of `copied`, read."""
    return read_profile(copied(*changes, name=name))


@contextmanager
def known_here() -> Iterator[None]:
    """Forget, after the block, each profile that was added to those of this process within it."""
    before = dict(profile_files._OWN)
    try:
        yield
    finally:
        profile_files._OWN.clear()
        profile_files._OWN.update(before)
        profile_files.load_profile.cache_clear()
