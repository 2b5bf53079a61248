"""What a view knows of the end of a case's data: decision, holds, and that its time of keeping is over."""

from dataclasses import dataclass

from nrmbus.rules.mark import Mark


@dataclass(frozen=True, slots=True)
class AccessHold:
    """What stops an erasure until the end of the day *until*; *objects_only* if it does nothing but object to a decision."""

    source: str
    until: str
    objects_only: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """The end of access to what is stored: the decision, what stops it, for which it was said to be *due*, who confirmed.

    ``retention`` is where it was said that the time of keeping is over, ``told`` who was told of that.
    """

    terminated: Mark | None = None
    holds: tuple[AccessHold, ...] = ()
    due: str | None = None
    confirmed: frozenset[str] = frozenset()
    retention: Mark | None = None
    told: frozenset[str] = frozenset()
