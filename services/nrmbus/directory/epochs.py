"""Epochs: lifetimes of an agency's sealing keys by the directory; pure rules without clock or files.

A key is used for at most 90 days from when it first holds, and destroyed 30 days after its use ended, even if the
directory has no successor yet. By then the letters sealed in its last hour have left the topics. A desk's stored
letters are sealed under the case key (`kept`), which is sealed to the current key. So every backup expires with a key.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from nrmbus.bus.errors import KeysSealed
from nrmbus.directory import SERVICES, Directory, Identity
from nrmbus.directory.fold import LIFE, WARNED, Period
from nrmbus.wire import times

GRACE: Final = timedelta(days=30)
"""How long a key is kept after the end of its epoch: as long as letters lie in inboxes (``deploy/topics/inbox.yaml``)."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Time in which the key *kid* is used: *since*, *until* (its replacement), and the longest use *lasts*.

    *lasts* is None on a bus for playing, where months pass in seconds and a key is used until it is replaced.
    """

    kid: str
    since: datetime
    until: datetime | None = None
    lasts: timedelta | None = LIFE

    @property
    def spent_from(self) -> datetime | None:
        """Return the end of the key's longest use; None on a bus for playing."""
        return None if self.lasts is None else self.since + self.lasts

    @property
    def ends(self) -> datetime | None:
        """Return the time from which nothing is sealed to the key; None while unknown."""
        return min((each for each in (self.until, self.spent_from) if each is not None), default=None)

    @property
    def destroyed_from(self) -> datetime | None:
        """Return the time from which the private key must be destroyed."""
        ends = self.ends
        return None if ends is None else ends + GRACE


def epochs_of(directory: Directory, agency: str) -> tuple[Epoch, ...]:
    """Return the epochs of the sealing keys that the directory names for *agency*, in the order of its entries.

    An epoch ends at the latest when another key is confirmed, or at the end of the overlap. A key that waits to be
    confirmed has an epoch too, since its agency may seal its own data to it. A disputed key ends no other key's epoch.
    """
    standing = directory.roll.agencies.get(agency)
    periods = standing.periods if standing else ()
    undisputed = {each.entry.step for each in standing.undisputed} if standing else set()
    found: dict[str, Epoch] = {}
    for turn, period in enumerate(periods):
        kid = period.kids.sealing
        since = min(period.since, found[kid].since) if kid in found else period.since
        later = (each for each in periods[turn + 1 :] if each.entry.step in undisputed)
        found[kid] = Epoch(kid, since, _replaced(kid, later), directory.life)
    return tuple(found.values())


def _replaced(kid: str, later: Iterable[Period]) -> datetime | None:
    ends = []
    for each in later:
        if each.kids.sealing != kid and each.confirmed is not None:
            begins = max(each.confirmed, each.since)
            overlap = each.entry.until if each.entry.kind == "rotated" else None
            ends.append(max(begins, overlap or begins))
    return min(ends, default=None)


def of_desk(directory: Directory, identity: Identity) -> tuple[Epoch, ...]:
    """Return the epochs of all sealing keys of *identity*: those in the directory, and its interim keys."""
    return with_interim(epochs_of(directory, identity.agency), identity.interim.items())


def with_interim(known: tuple[Epoch, ...], interim: Iterable[tuple[str, datetime]]) -> tuple[Epoch, ...]:
    """Return the epochs *known* to the directory, and those of *interim* keys (kid, time of first use).

    An interim key gives way to the next one, and to the next that the directory names.
    """
    own = [Epoch(kid, since) for kid, since in interim]
    begun = [each.since for each in (*known, *own)]
    return (
        *known,
        *(replace(one, until=min((each for each in begun if each > one.since), default=None)) for one in own),
    )


def is_spent(known: Iterable[Epoch], kid: str, now: datetime) -> bool:
    """Return whether the 90 days of the key *kid* are over, so that stored data must be sealed to another key."""
    return any(each.kid == kid and each.spent_from is not None and each.spent_from <= now for each in known)


def to_destroy(known: Iterable[Epoch], now: datetime) -> tuple[str, ...]:
    """Return the kids of the epochs whose private keys must be destroyed by *now*."""
    return tuple(each.kid for each in known if (over := each.destroyed_from) is not None and over <= now)


def left_at(home: Path, directory: Directory, agency: str, now: datetime) -> tuple[str, ...]:
    """Return the replaced private keys in *agency*'s folder *home* that must be destroyed by *now*; opens none of them."""
    known = with_interim(epochs_of(directory, agency), Identity.interim_at(home).items())
    return tuple(sorted(Identity.replaced_at(home).intersection(to_destroy(known, now))))


def destroy_left(
    home: Path, directory: Directory, agency: str, now: datetime
) -> tuple[tuple[str, ...], OSError | KeysSealed | None]:
    """Destroy the keys of `left_at`; the next run completes an interrupted one.

    Return their kids, and the first error: no other key waits for one that cannot be destroyed.
    """
    gone: list[str] = []
    failed: OSError | KeysSealed | None = None
    try:
        Identity.finish_destroying(home)
    except OSError as error:
        failed = error
    for kid in left_at(home, directory, agency, now):
        try:
            Identity.destroy(home, kid)
        except (OSError, KeysSealed) as error:
            failed = failed or error
        else:
            gone.append(kid)
    return tuple(gone), failed


def horizon(known: Iterable[Epoch], now: datetime) -> datetime:
    """Return the time from which on no backup of a ledger, topic or disk opens data that are erased at *now*.

    The horizon is the destruction of the last key that is, or was, in use; an earlier change of keys brings it nearer.
    On a bus for playing, the horizon assumes that the agency changes its key in time.
    """
    ends = [each.destroyed_from or max(each.since + LIFE, now) + GRACE for each in known]
    return max([*ends, now]) if ends else now + LIFE + GRACE


# -- what a person is told -------------------------------------------------------------------------------------------

State = Literal["sealing_key_old", "sealing_key_over"]
_SENTENCES: Final[dict[State, str]] = {
    "sealing_key_old": "The sealing key ends on {ends}; from then on no letter reaches this agency. Change it now: {command}",
    "sealing_key_over": "The sealing key ended on {ends}: no letter reaches this agency until it has another. Change it: {command}",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """The sealing key of an agency ends within 14 days, or has ended."""

    agency: str
    ends: datetime
    state: State

    @property
    def command(self) -> str:
        """Return the command that a person runs; for the bus's own services this is the start of the bus."""
        return "nrmbus up" if self.agency in SERVICES else f"nrmbus agency rotate {self.agency}"

    @property
    def sentence(self) -> str:
        """Return the warning: what happens, when, and the command."""
        return _SENTENCES[self.state].format(ends=times.write(self.ends), command=self.command)


def ending(directory: Directory, agency: str, now: datetime) -> Ending | None:
    """Return the warning about *agency*'s sealing key at *now*, or None if it has more than 14 days, or no end."""
    ends = directory.sealing_ends(agency, now)
    if ends is None or now < ends - WARNED:
        return None
    return Ending(agency, ends, "sealing_key_old" if now < ends else "sealing_key_over")
