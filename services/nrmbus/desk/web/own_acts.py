"""Acts of a room's own: fields that the room fills in and nobody types, what they mean, and a look before anything is sent.

A release of figures, or the activation of a profile, is an act as every other: a draft, a check, a second signature. Its
room computes what nobody could type, and shows it in words.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from nrmbus.desk.outbox.drafts import Kept, Typed
from nrmbus.desk.web.shell import Visit

Said = Mapping[str, Any]
"""The data of an event, as its request has them."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Answer to a draft that no longer holds: its fields as they are now, and the change in words."""

    typed: Typed
    part: Markup
    is_passing: bool = False
    """True if it could not be found out now: the draft stays as it is, and the member tries again."""


async def _never(_visit: Visit, _said: Said) -> Changed | None:
    return None


def _nothing(_visit: Visit, _said: Said) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Own:
    """An act of a room."""

    begins: str
    """Address of the page from which it begins, and to which its pages lead back."""
    back: Callable[[Visit], str]
    """Returns the words of a link to that page."""
    fixed: frozenset[str]
    """Names of the fields that the room fills in."""
    part: Callable[[Visit, Said], Markup]
    """Returns what the event means, for the person who asks and for the second one."""
    changed: Callable[[Visit, Said], Awaitable[Changed | None]] = _never
    """Returns what has changed since the draft was made; None if it holds. Raises DeskError if that cannot be found out."""
    basis: Callable[[Visit, Said], str] = _nothing
    """Returns a mark of what the words rest on besides the draft: under another mark they are shown again."""
    about: Callable[[Visit, Said], str] = _nothing
    """Returns a few words that name what the act is about, above its form."""
    is_whole: bool = False
    """True if the room fills in everything, so that there is no form."""

    def is_fixed(self, name: str) -> bool:
        """Return whether the field *name* is filled in by the room."""
        return any(name == each or name.startswith(f"{each}.") for each in self.fixed)

    def kept(self, draft: Kept, typed: Typed) -> Typed:
        """Return *typed* with the room's fields as they are in *draft*, whatever a form sent."""
        free = {name: values for name, values in typed.items() if not self.is_fixed(name)}
        return {**free, **{name: values for name, values in draft.typed.items() if self.is_fixed(name)}}
