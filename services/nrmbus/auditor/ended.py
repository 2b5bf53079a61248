"""Envelopes that are not there: gone since the case's time of keeping is over, or taken out by somebody. Pure.

What tells the two apart stands in the history itself: the word that the time is over, registered after the envelope, and
whose own envelope is there. Until a reader comes to it, a missing envelope is unexplained.
"""

from nrmbus.rules import ends_keeping
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.record import Record, header_of

__all__ = ["Unexplained", "ends_keeping", "is_bare", "may_end_keeping"]

_TYPE = header_of("type")
_DUE = b"nrm.access.erasure_due"


def is_bare(envelope: Record) -> bool:
    """Whether of an *envelope* nothing is there: as of a refusal, and of what was kept long enough."""
    return not envelope.headers and not envelope.value


def may_end_keeping(envelope: Record) -> bool:
    """Whether *envelope*, which is the one that was registered, says that the case's time of keeping is over."""
    if (_TYPE, _DUE) not in envelope.headers:
        return False
    try:
        return ends_keeping(decode(envelope).event())
    except WireError:
        return False


class Unexplained:
    """The missing envelopes of one partition that nothing explains yet, in number order."""

    def __init__(self) -> None:
        """Begin with none."""
        self._first: dict[str, int] = {}

    def missing(self, subject: str, number: int) -> None:
        """The envelope of *number*, which is about *subject*, is not there."""
        self._first.setdefault(subject, number)

    def over(self, subject: str) -> None:
        """It was said that the time of *subject* is over: whatever is missing of it up to here went on that ground."""
        self._first.pop(subject, None)

    @property
    def first(self) -> int | None:
        """The number of the first envelope that is missing without a ground; None where there is none."""
        return min(self._first.values(), default=None)
