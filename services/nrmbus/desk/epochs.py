"""How long a sealing key lives: the epochs of an agency, by the directory, as pure rules; no clock and no file here.

A key lives 90 days, and is destroyed 30 days after another took its place: what was sealed to it in its last hour has
left the topics by then. What a desk keeps longer, it keeps under the key of the case (`kept`), which is sealed to the
key that is current; so with each epoch every backup of before ends.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nrmbus.directory import Directory

LIFE: Final = timedelta(days=90)
"""After so long another key has to take a key's place."""

GRACE: Final = timedelta(days=30)
"""How long a key is kept after the end of its epoch: as long as letters lie in inboxes (W17)."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time in which letters to an agency are sealed to the key *kid*; *until* is None while it is current."""

    kid: str
    since: datetime
    until: datetime | None = None

    @property
    def destroyed_from(self) -> datetime | None:
        """From when on its private key has to be gone; None while it is current."""
        return None if self.until is None else self.until + GRACE

    def over(self, now: datetime) -> bool:
        """Whether it is current and has lived its 90 days: it is time for another key."""
        return self.until is None and now >= self.since + LIFE


def epochs_of(directory: Directory, agency: str) -> tuple[Epoch, ...]:
    """The epochs of *agency*, oldest first; none of a key that the directory never called good.

    An epoch ends when the next begins, and where both overlap, when the overlap ends.
    """
    standing = directory.roll.agencies.get(agency)
    found: list[Epoch] = []
    for period in standing.periods if standing else ():
        if period.confirmed is None or (found and found[-1].kid == period.kids.sealing):
            continue
        since = max(period.confirmed, period.since)
        if found:
            overlap = period.entry.until if period.entry.kind == "rotated" else None
            found[-1] = Epoch(found[-1].kid, found[-1].since, max(since, overlap or since))
        found.append(Epoch(period.kids.sealing, since))
    return tuple(found)


def opening(epochs: tuple[Epoch, ...], at: datetime) -> tuple[str, ...]:
    """Which keys open what was sealed at *at*: one, two while they overlap, none before the first."""
    return tuple(each.kid for each in epochs if each.since <= at and (each.until is None or at <= each.until))


def to_destroy(epochs: tuple[Epoch, ...], now: datetime) -> tuple[str, ...]:
    """Of which epochs the private keys have to be gone at *now*."""
    current = {each.kid for each in epochs if each.until is None}
    ended = [each for each in epochs if each.destroyed_from is not None and each.destroyed_from <= now]
    return tuple(each.kid for each in ended if each.kid not in current)


def horizon(epochs: tuple[Epoch, ...], now: datetime) -> datetime:
    """From when on nothing opens what is erased at *now*, in whichever backup of a ledger, a topic or a disk it lies.

    A key may still be used whose epoch ended less than 30 days ago; the current one ends when its 90 days are over, and
    where these are over already, not before now. An agency that changes its key sooner brings the horizon nearer.
    """
    ends = [max(each.since + LIFE, now) if each.until is None else each.until for each in epochs]
    return max([end + GRACE for end in ends] or [now + LIFE + GRACE])
