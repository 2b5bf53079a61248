"""References of cases and referrals as people type them: whole, or the first digits."""

from collections.abc import Iterable
from typing import Final

from nrmbus.bus.errors import BusError

LEAST_PREFIX: Final = 8
"""Number of digits to which a reference may be shortened if they are unambiguous: as many as are shown.

With fewer, a wrong digit would sometimes name another person, who would receive the letter or the report.
"""

WHOLE: Final = 32
_HEX: Final = frozenset("0123456789abcdef")


def whole(ref: str, known: Iterable[str], option: str = "--case") -> str:
    """Return the whole reference among the *known* ones that begins with *ref*.

    Raises:
        BusError: *ref* is no reference, or fits none or several; the message names the *option*.
    """
    if not LEAST_PREFIX <= len(ref) <= WHOLE or not _HEX.issuperset(ref):
        raise BusError(f"{option} takes a reference: {WHOLE} hexadecimal digits, or the first {LEAST_PREFIX} or more.")
    found = {each for each in known if each.startswith(ref)}
    if len(found) == 1:
        return found.pop()
    what = (
        "More than one reference here begins with these digits: give more digits"
        if found
        else "Nothing here has this reference"
    )
    raise BusError(f"{what}; nrmbus inbox AGENCY and nrmbus replay show the references ({option}).")
