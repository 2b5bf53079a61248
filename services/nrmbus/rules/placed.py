"""Facts of a profile in a sentence: which body decides, and how long a duty may take.

A sentence names the deciding body as ``the deciding body ({decider})`` and a length as ``{D-REFER}``, so that it stays
true under every profile. The pages do the same in their reader's language (``nrmbus.web.words``).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol


class Facts(Protocol):
    """What a sentence needs of a profile, which uses this module itself."""

    @property
    def deciders(self) -> tuple[str, ...]:
        """Roles that decide."""

    @property
    def clocks(self) -> Mapping[str, Any]:
        """Rows of the clocks, by code."""


PLACE: Final = re.compile(r"\{(decider|D-[A-Z0-9]+)\}")
"""Place of a fact in a sentence."""
NO_DEADLINE: Final = "no deadline"


def placed(text: str, profile: Facts) -> str:
    """Return *text* with the facts of *profile* in its places, in English."""
    if "{" not in text:
        return text

    def fact(found: re.Match[str]) -> str:
        if found[1] == "decider":
            return " or ".join(role.replace("_", " ") for role in profile.deciders)
        rule = profile.clocks.get(found[1])
        return "; ".join(length_in_words(rule.length)) if rule else NO_DEADLINE

    return PLACE.sub(fact, text)


def unknown_places(text: str, profile: Facts) -> Iterator[str]:
    """Yield what stands in braces in *text* and is no fact of *profile*."""
    for found in re.findall(r"\{[^{}]*\}?", text):
        known = PLACE.fullmatch(found)
        if known is None or (known[1] != "decider" and known[1] not in profile.clocks):
            yield found


def is_placed(sentence: str, text: str) -> bool:
    """Return whether *sentence* is *text* with the facts of some profile in its places."""
    pieces = [re.escape(piece) for piece in PLACE.split(text)[::2]]
    return re.fullmatch(".+".join(pieces), sentence) is not None


def length_in_words(length: Any) -> Iterator[str]:
    """Yield how long a duty may take; by urgency, one text for each."""
    if length.by_urgency is not None:
        for urgency, each in length.by_urgency.items():
            yield from (f"{urgency}: {text}" for text in length_in_words(each))
    elif length.hours is not None:
        yield _many(length.hours, "hour")
    elif length.working_days is not None:
        yield _many(length.working_days, "working day")
    elif length.event_days is not None:
        yield f"the event's days, else {_many(length.event_days, 'calendar day')}"
    elif length.days is not None:
        yield _many(length.days, "calendar day")


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
