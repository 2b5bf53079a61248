"""What follows from a profile is made once for it."""

from agencies import POLICY
from nrmbus.rules import Profile, load_profile
from nrmbus.rules.once import KEPT, once_for


def test_each_profile_has_its_own() -> None:
    """Equal profiles are two: what is remembered belongs to the object that was asked about."""
    made: list[int] = []

    def of_k(profile: Profile) -> int:
        made.append(profile.k)
        return profile.k

    of, profile = once_for(of_k), load_profile(POLICY)
    others = [profile.model_copy(update={"k": profile.k + more}) for more in (1, 0)]

    assert [of(each) for each in (profile, *others, profile, *others)] == [profile.k, profile.k + 1, profile.k] * 2
    assert made == [profile.k, profile.k + 1, profile.k]


def test_few_are_remembered() -> None:
    """A process that reads profile after profile does not keep them all, and a profile that comes back is made again."""
    made: list[str] = []
    of = once_for(lambda profile: made.append(profile.name))
    profile = load_profile(POLICY)
    others = [profile.model_copy(update={"name": f"xa@2022-04-{day:02}"}) for day in range(1, KEPT + 1)]
    for each in (profile, *others, profile):
        of(each)

    assert made == [profile.name, *(each.name for each in others), profile.name]
