"""Law of the mechanism as dated profiles (data), and the pure engine that applies a profile to a case."""

from nrmbus.rules.audience import Audience
from nrmbus.rules.clocks import Clock
from nrmbus.rules.due import Due
from nrmbus.rules.evolve.erasure import ends_keeping
from nrmbus.rules.judge.judge import Refusal
from nrmbus.rules.profile import Profile, ProfileError, UnknownProfileError
from nrmbus.rules.profile_files import (
    add_profiles,
    installed_digest,
    load_profile,
    profile_names,
    profile_text,
    profile_values,
    read_profile,
    refusal_codes,
)
from nrmbus.rules.records import Agency, Announced, Status
from nrmbus.rules.retention import RetentionPeriod
from nrmbus.rules.rules import Rules
from nrmbus.rules.versions import read
from nrmbus.rules.view import View
from nrmbus.rules.why import Reason

__all__ = [
    "Agency",
    "Announced",
    "Audience",
    "Clock",
    "Due",
    "Profile",
    "ProfileError",
    "Reason",
    "Refusal",
    "RetentionPeriod",
    "Rules",
    "Status",
    "UnknownProfileError",
    "View",
    "add_profiles",
    "ends_keeping",
    "installed_digest",
    "load_profile",
    "profile_names",
    "profile_text",
    "profile_values",
    "read",
    "read_profile",
    "refusal_codes",
]
