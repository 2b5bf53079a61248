"""Activation of a dated profile of the Rules, by two people of the coordinator's office. An event about no case.

The law changes by decree: the Rules of the mechanism were amended in 2015, 2016, 2020, 2022 and 2024 [S5, S6].
"""

from typing import Annotated, Final

from pydantic import Field

from nrmbus.events.codes import OpenCases
from nrmbus.events.model import Data, Day, Digest, clear

PROFILE_NAME: Final = r"^[a-z]{2,20}(-[a-z]{2,20})?@\d{4}-\d{2}-\d{2}$"
"""A country, or an organisation, and the day of the act."""
MOST_CHARACTERS: Final = 1_000_000
"""Length of the longest profile that is read, carried to another machine, or asked about; a whole one has 45,000."""
Act = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,15} [0-9]{1,6}(/[0-9]{4}|-[A-Z]{1,5})?$")]
"""A legal act by its kind and its number, such as CoM 131/2009 or Law 958-IIQ.

The Rules put the letters of a country before some acts (MD Law 241-XVI), since they cite those of several; a bus has one country.
"""


class ProfileActivated(Data):
    """Two people of the coordinator's office put a profile of the Rules in force from a day on; everybody is told [S5, S6].

    A case that begins on that day or later is under the profile. An open case keeps the profile of its time, or moves to
    the new one by its next event, as the act says (``open_cases``).
    """

    type = "policy.profile_activated"
    keyed_by = "agency"

    profile: Annotated[str, Field(pattern=PROFILE_NAME), clear("Name of the profile", example="az@2024-02-08")]
    digest: Annotated[Digest, clear("Digest of the profile's values, as a registration names it", example="e" * 64)]
    valid_from: Annotated[Day, clear("First day, in the zone of the bus's first profile", example="2026-04-01")]
    open_cases: Annotated[OpenCases, clear("Whether open cases keep the profile of their time or move")]
    acts: Annotated[
        tuple[Act, ...],
        Field(min_length=1, max_length=8),
        clear("Legal acts that the change rests on", example=["CoM 131/2009"]),
    ]
