"""A member of staff, as the pages use it."""

from dataclasses import dataclass
from typing import Literal

from nrmbus.web.words import Language

Role = Literal["worker", "duty_officer", "supervisor", "administrator"]
Permission = Literal[
    "read_cases", "open_letters", "publish", "decide", "approve", "see_reads", "see_colleagues", "intake",
    "manage_staff", "manage_tokens", "see_health",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """Member of staff who has signed in; the bus sees the number alone, as the event's actor."""

    number: str
    name: str
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    language: Language
