"""Rules of the directory, pure: entries in order give each agency's keys over time, and the entries not believed.

Keys are named by their kids, and signatures are those that were verified; `directory.py` does the cryptography.
Nothing here reads a clock: an entry states when it was made and from when on it holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from nrmbus.directory.entry import (
    CHANGES_KEYS,
    NOTHING_BEFORE,
    Admitters,
    Challenge,
    Entry,
    challenge_digest,
    digest_of,
)
from nrmbus.directory.errors import DirectoryCode
from nrmbus.wire import base64, ids
from nrmbus.wire.names import AUDITOR, CANARY, REGISTRAR, STATISTICS, TEST_AGENCIES, TIMEKEEPER

SERVICES: Final[Mapping[str, str]] = MappingProxyType(
    {
        REGISTRAR: "registrar",
        TIMEKEEPER: "timekeeper",
        AUDITOR: "auditor",
        **dict.fromkeys(TEST_AGENCIES, CANARY),
    }
)
"""Services that sign or open something, and their role: they stand in the directory like agencies."""

RUNNING: Final[Mapping[str, str]] = MappingProxyType(
    {name: role for name, role in SERVICES.items() if name not in TEST_AGENCIES}
)
"""Services that every bus has."""

ROLES: Final[Mapping[str, str]] = MappingProxyType({**SERVICES, STATISTICS: STATISTICS})
"""Ids that have one role and no other. The statistics are an agency with a desk, and only under their own name may they
read the history."""

WITHOUT_OLD_KEY: Final = timedelta(hours=72)
"""How long new keys wait that the old key did not vouch for, from when they stand in the directory: time for its owner to object."""

TO_AGREE: Final = timedelta(hours=24)
"""How long two admitters and the operator may take until such keys stand there: so much later they hold."""

LIFE: Final = timedelta(days=90)
"""Longest use of a sealing key, from when it first holds; a late confirmation does not prolong it."""

WARNED: Final = timedelta(days=14)
"""How long before that end its agency is told."""

TWO: Final = 2
"""How many admitters have to agree."""

State = Literal["admitted", "suspended", "retired"]
_STATE: Final[Mapping[str, State]] = MappingProxyType(
    {"admitted": "admitted", "resumed": "admitted", "suspended": "suspended", "retired": "retired"}
)


class Kids(NamedTuple):
    """The keys of an entry by their kids, each under its purpose."""

    signing: str
    sealing: str
    witness: str | None = None
    log: str | None = None
    lasting: str | None = None

    def named(self) -> tuple[tuple[str, str], ...]:
        """Return purpose and kid of each key that is there."""
        return tuple((purpose, kid) for purpose, kid in self._asdict().items() if kid is not None)


class Signed(NamedTuple):
    """Verified signatures: the agency's keys over the request, and admitters' over the admission, repetitions included."""

    asked: frozenset[str] = frozenset()
    admitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """The keys of an agency from *since* on; *confirmed* is from when on its sealing key is good."""

    entry: Entry
    kids: Kids
    confirmed: datetime | None

    @property
    def since(self) -> datetime:
        """Return the time from which the keys hold."""
        return self.entry.valid_from

    def overlaps(self, at: datetime) -> bool:
        """Return whether at *at* the keys before are still accepted for events and letters on the way."""
        return self.entry.kind == "rotated" and self.entry.until is not None and self.since <= at <= self.entry.until


@dataclass(frozen=True, slots=True)
class Standing:
    """One agency: its last entry, and its keys and states over time."""

    last: Entry
    digest: str
    periods: tuple[Period, ...]
    states: tuple[tuple[datetime, State], ...]

    @property
    def undisputed(self) -> tuple[Period, ...]:
        """Return the periods that took effect; a period replaced before its start was disputed by its owner."""
        return tuple(
            each
            for turn, each in enumerate(self.periods)
            if not any(later.since < each.since for later in self.periods[turn + 1 :])
        )

    def effective(self, at: datetime) -> tuple[Period, ...]:
        """Return the undisputed periods that have begun at *at*, in the order of their entries; the last one holds."""
        return tuple(each for each in self.undisputed if each.since <= at)

    def state(self, at: datetime) -> State | None:
        """Return its state at *at*, or None before its admission."""
        found = [state for since, state in self.states if since <= at]
        return found[-1] if found else None

    def first_held(self, kid: str) -> datetime:
        """Return the time since which the listed sealing key *kid* was the agency's."""
        return min(each.since for each in self.periods if each.kids.sealing == kid)

    def sealing(self, at: datetime, life: timedelta | None = None) -> Period | None:
        """Return the period whose sealing key is current at *at*: confirmed, within *life*, and not followed by a loss."""
        current = None
        for each in self.effective(at):
            if each.confirmed is not None and each.confirmed <= at:
                current = each
            elif each.entry.kind != "rotated":
                current = None
        if current is not None and life is not None and at >= self.first_held(current.kids.sealing) + life:
            return None
        return current


@dataclass(frozen=True, slots=True)
class Roll:
    """All that the entries so far say."""

    bus: str
    number: int = 0
    admitters: Admitters | None = None
    admitter_kids: Mapping[str, str] = field(default_factory=dict)
    """Of each admitter's key, the name."""
    used: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Every key that the directory ever named: its agency and its purpose."""
    agencies: Mapping[str, Standing] = field(default_factory=dict)

    # -- who admits --------------------------------------------------------------------------------------------------

    def refuses_admitters(
        self, listed: Admitters, kids: Mapping[str, str], head: str, signed: Signed
    ) -> DirectoryCode | None:
        """Return why the list is not believed, or None; *kids* is kid to name, *head* the kid of the key for heads."""
        before = self.admitters
        if code := self._out_of_place(listed.bus, listed.number):
            return code
        if len(kids) < TWO or len(kids) != len(listed.admitters) or len(set(kids.values())) != len(kids):
            return "admitters_few"
        if listed.previous != (digest_of(before) if before else NOTHING_BEFORE):
            return "previous_differs"
        if head in kids:
            return "key_two_purposes"
        if code := self._taken([(name, "admission", kid) for kid, name in kids.items()] + [("operator", "head", head)]):
            return code
        return self._too_few(signed.admitted) if before else None

    def with_admitters(self, listed: Admitters, kids: Mapping[str, str], head: str) -> "Roll":
        """Return the roll after the list, which was believed."""
        used = {**self.used, **{kid: (name, "admission") for kid, name in kids.items()}, head: ("operator", "head")}
        return replace(self, number=listed.number, admitters=listed, admitter_kids=dict(kids), used=used)

    def _too_few(self, admitted: Iterable[str]) -> DirectoryCode | None:
        signers = list(admitted)
        if any(kid not in self.admitter_kids for kid in signers):
            return "admitter_unknown"
        if len(set(signers)) != len(signers):
            return "admitter_twice"
        return "admitters_missing" if len(signers) < TWO else None

    # -- agencies ----------------------------------------------------------------------------------------------------

    def refuses(self, entry: Entry, kids: Kids, signed: Signed, seen: datetime | None = None) -> DirectoryCode | None:
        """Return why *entry* is not believed as the next one, or None. *seen*: a head proves its absence until then."""
        return (
            self._out_of_place(entry.bus, entry.number)
            or self.refuses_request(entry, kids, signed.asked)
            or self._holds_wrongly(entry, signed.asked, seen)
            or (None if entry.kind == "confirmed" else self._too_few(signed.admitted))
        )

    def refuses_request(self, entry: Entry, kids: Kids, asked: frozenset[str]) -> DirectoryCode | None:
        """Return why no admitter may ever admit what the agency requests, or None."""
        if self.admitters is None:
            return "not_founded"
        if entry.agency in ids.RESERVED_NAMES or ROLES.get(entry.agency, entry.role) != entry.role:
            return "id_reserved"
        if entry.role in ROLES.values() and entry.agency not in ROLES:
            return "id_reserved"
        if entry.supervisor == entry.agency:
            return "supervisor_itself"  # it would hear of its own silence, and nobody else
        if self._supervises(entry.agency, entry.supervisor):
            return "supervisor_circle"  # each would hear of the other's, and nobody outside
        standing = self.agencies.get(entry.agency)
        if code := _out_of_turn(entry, standing):
            return code
        if entry.kind not in CHANGES_KEYS:
            return _repeats_wrongly(entry, standing, asked)
        named = [(entry.agency, purpose, kid) for purpose, kid in kids.named()]
        if len({kid for _, _, kid in named}) != len(named):
            return "key_two_purposes"
        return self._taken(named) or _came_back(kids, standing) or _unproven(kids, standing, asked)

    def after(self, entry: Entry, kids: Kids) -> "Roll":
        """Return the roll after *entry*, which was believed."""
        before = self.agencies.get(entry.agency)
        periods, states = (before.periods, before.states) if before else ((), ())
        if entry.kind in CHANGES_KEYS:
            prior = before.effective(entry.valid_from)[-1:] if before else ()
            same = bool(prior) and prior[0].kids.sealing == kids.sealing
            confirmed = prior[0].confirmed if same else entry.valid_from if entry.opened else None
            periods = (*periods, Period(entry, kids, confirmed))
        elif entry.kind == "confirmed":
            pending = periods[-1]
            confirmed = max(entry.valid_from, pending.since)
            periods = (*periods[:-1], replace(pending, confirmed=confirmed))
        if entry.kind in _STATE:
            states = (*states, (entry.valid_from, _STATE[entry.kind]))
        standing = Standing(entry, digest_of(entry), periods, states)
        used = {**self.used, **{kid: (entry.agency, purpose) for purpose, kid in kids.named()}}
        return replace(self, number=entry.number, used=used, agencies={**self.agencies, entry.agency: standing})

    # -- one rule each -----------------------------------------------------------------------------------------------

    def _supervises(self, agency: str, other: str | None) -> bool:
        """Return whether *agency* supervises *other*, directly or through other agencies."""
        for _ in self.agencies:  # a chain is no longer than there are agencies, since no circle was let in before
            standing = self.agencies.get(other or "")
            if standing is None:
                return False
            other = standing.last.supervisor
            if other == agency:
                return True
        return False

    def _out_of_place(self, bus: str, number: int) -> DirectoryCode | None:
        if bus != self.bus:
            return "other_bus"
        return "number_skipped" if number != self.number + 1 else None

    def _taken(self, named: Iterable[tuple[str, str, str]]) -> DirectoryCode | None:
        for owner, purpose, kid in named:
            owner_before, purpose_before = self.used.get(kid, (owner, purpose))
            if owner_before != owner:
                return "key_in_use"
            if purpose_before != purpose:
                return "key_two_purposes"
        return None

    def _holds_wrongly(self, entry: Entry, asked: frozenset[str], seen: datetime | None) -> DirectoryCode | None:
        """Times and challenge: what the admitters add to a request."""
        standing = self.agencies.get(entry.agency)
        if entry.valid_from < entry.made or (standing and entry.made < standing.last.made):
            return "time_backwards"
        if entry.kind not in CHANGES_KEYS:
            return None
        if entry.lacks_overlap:
            return "overlap_missing"
        prior = _prior(standing, entry.valid_from)
        vouched = prior is None or prior.kids.signing in asked
        if not vouched and entry.kind != "lost":
            return "previous_key_missing"
        if standing and seen and any(each.since > entry.valid_from for each in standing.effective(seen)):
            return "time_backwards"  # the old key objects to what waits, and takes back nothing that holds
        # Admitters state when the entry was made, and could hold it back; a head proves since when everybody can see it.
        since = max(entry.made, seen) if seen else entry.made
        if not vouched and entry.valid_from - since < WITHOUT_OLD_KEY:  # a sum may lie beyond the year 9999
            return "lost_too_soon"
        if entry.opened is not None and not _opens(entry.challenge, entry.opened):
            return "challenge_unopened"
        sealed_anew = prior is None or prior.entry.sealing != entry.sealing
        return "challenge_missing" if sealed_anew and entry.challenge is None else None


def _prior(standing: Standing | None, at: datetime) -> Period | None:
    if standing is None:
        return None
    return (standing.effective(at) or standing.periods)[-1]


def _out_of_turn(entry: Entry, standing: Standing | None) -> DirectoryCode | None:
    if standing is None:
        if entry.kind != "admitted":
            return "agency_unknown"
        if entry.step != 1:
            return "step_skipped"
        return None if entry.previous == NOTHING_BEFORE else "previous_differs"
    if standing.states[-1][1] == "retired":
        return "agency_retired"
    if entry.step <= standing.last.step:
        return "agency_known" if entry.kind == "admitted" else "step_replayed"
    if entry.step > standing.last.step + 1:
        return "step_skipped"
    if entry.previous != standing.digest:
        return "previous_differs"
    if entry.kind == "admitted":
        return "agency_known"
    return "role_changed" if entry.role != standing.last.role else None


def _repeats_wrongly(entry: Entry, standing: Standing | None, asked: frozenset[str]) -> DirectoryCode | None:
    assert standing is not None  # noqa: S101 - only ``admitted`` comes first
    last, newest = standing.last, standing.periods[-1]
    for name in ("supervisor", "contact", "signing", "sealing", "witness", "log"):
        if getattr(entry, name) != getattr(last, name):
            return "keys_changed"
    if entry.kind == "confirmed":
        if newest.confirmed is not None:
            return "nothing_to_confirm"
        if not _opens(newest.entry.challenge, entry.opened or ""):
            return "challenge_unopened"
        return None if newest.kids.signing in asked else "previous_key_missing"
    prior = _prior(standing, entry.valid_from)
    if entry.kind == "retired" and (prior is None or prior.kids.signing not in asked):
        return "previous_key_missing"  # what is for good, nobody says in its place: others suspend it
    return "state_same" if _STATE[entry.kind] == standing.states[-1][1] else None


def _opens(challenge: Challenge | None, opened: str) -> bool:
    secret = base64.read(opened)
    return challenge is not None and secret is not None and challenge_digest(secret) == challenge.digest


def _came_back(kids: Kids, standing: Standing | None) -> DirectoryCode | None:
    """Return ``key_replaced`` for a replaced sealing key: its private key is destroyed on the announced day."""
    sealing = [(each.kids.sealing, each.confirmed) for each in standing.periods] if standing else []
    first = next((turn for turn, (kid, _) in enumerate(sealing) if kid == kids.sealing), len(sealing))
    after = [kid for kid, confirmed in sealing[first:] if kid != kids.sealing and confirmed is not None]
    return "key_replaced" if after else None


def _unproven(kids: Kids, standing: Standing | None, asked: frozenset[str]) -> DirectoryCode | None:
    known = {kid for period in (standing.periods if standing else ()) for _, kid in period.kids.named()}
    new = {kids.signing, *([kids.witness] if kids.witness else [])} - known
    return "possession_unproven" if not new <= asked or not asked else None
