"""Horizon of an erasure: after it, no private key opens erased data, for any history of an agency's keys.

The directory's own rules decide which entries are believed, and the rules of epochs what the desk does in each round;
keys are names, and a backup is the set of names that open it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrmbus.directory import Directory, epochs
from nrmbus.directory.entry import NOTHING_BEFORE, AdmitterKey, Admitters, Challenge, Entry, Kind, challenge_digest
from nrmbus.directory.fold import Kids, Roll, Signed
from nrmbus.wire import base64
from nrmbus.wire.keys.keys import SigningKey

BUS = "0123456789abcdef"
ME = "ngo-a"
DAY = timedelta(days=1)
START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
SECRET = bytes(32)
CHALLENGE = Challenge(sealed="AAAA", digest=challenge_digest(SECRET))
OPERATOR = SigningKey.generate().verify_key
LAST = 700
"""Days that a history takes; later than any horizon printed in it."""


def text(kid: str) -> str:
    """Return the text of an entry for the key *kid*."""
    return base64.encode(kid.encode())


@dataclass
class Folder:
    """The keys of an agency on its machine, by name."""

    signing: str
    sealing: str
    coming: tuple[str, str] | None = None
    past: set[str] = field(default_factory=set)
    interim: dict[str, datetime] = field(default_factory=dict)

    @property
    def held(self) -> set[str]:
        """Every sealing key whose private half is there."""
        return {self.sealing, *self.past, *([self.coming[1]] if self.coming else [])}


class Agency:
    """An agency, its entries in the directory, and its desk, day by day. One case, told under seal each day that anybody can."""

    def __init__(self, directory: Directory) -> None:
        self.directory, self.now, self.made = directory, START, 0
        self.directory.roll = Roll(
            BUS,
            admitters=Admitters(
                bus=BUS, number=1, head=text("h"), previous=NOTHING_BEFORE,
                admitters=(AdmitterKey(name="one", key=text("a")), AdmitterKey(name="two", key=text("b"))),
            ),
            admitter_kids={"a": "one", "b": "two"}, number=1,
        )  # fmt: skip
        self.folder = Folder(self.new("signing"), self.new("sealing"))
        self.case: str | None = None
        """The key to which the key of the case is sealed; none before its first letter."""
        self.opens: set[str] = set()
        """Every key that opens the case in some backup: of the ledger on any day, or of what travelled."""
        self.horizon: datetime | None = None
        self.found: tuple[Roll, tuple[tuple[str, datetime], ...], tuple[epochs.Epoch, ...]] | None = None
        """The epochs that the desk uses, and what they followed from."""
        assert self.enter("admitted", self.folder.signing, self.folder.sealing)
        self.confirm()

    def new(self, purpose: str) -> str:
        """Another key."""
        self.made += 1
        return f"{purpose}-{self.made}"

    # -- the directory -----------------------------------------------------------------------------------------------

    def enter(self, kind: Kind, signing: str, sealing: str, *, vouched: bool = True, overlap: int = 3) -> bool:
        """Two admitters agree; whether the directory believes the entry."""
        roll = self.directory.roll
        standing = roll.agencies.get(ME)
        changes = kind in ("admitted", "rotated", "lost")
        since = self.now if vouched else self.now + 3 * DAY
        before = standing.effective(self.now)[-1:] if standing else ()
        entry = Entry(
            bus=BUS, number=roll.number + 1, agency=ME, step=standing.last.step + 1 if standing else 1,
            previous=standing.digest if standing else NOTHING_BEFORE, kind=kind, role="ngo_outreach",
            signing=text(signing), sealing=text(sealing), made=self.now, valid_from=since,
            until=self.now + overlap * DAY if kind == "rotated" else None,
            challenge=CHALLENGE if changes else None, opened=base64.encode(SECRET) if kind == "confirmed" else None,
        )  # fmt: skip
        kids = Kids(signing, sealing)
        old = {each.kids.signing for each in before} if vouched else set()
        if roll.refuses(entry, kids, Signed(frozenset({signing, *old}), ("a", "b"))):
            return False
        self.directory.roll = roll.after(entry, kids)
        self.directory._instants = {}
        return True

    def confirm(self) -> None:
        """The agency opens the challenge of its newest keys, if it holds them still."""
        newest = self.directory.roll.agencies[ME].periods[-1]
        if newest.confirmed is None and newest.kids.sealing in self.folder.held:
            last = newest.kids
            self.enter("confirmed", last.signing, last.sealing)

    def take(self, step: str) -> None:
        """Do what people do on a day with *step*."""
        folder = self.folder
        if step == "confirm":
            self.confirm()
        elif step == "off":
            pass
        elif step == "new machine":
            self.folder, self.case = Folder(self.new("signing"), self.new("sealing")), None
            self.enter("lost", self.folder.signing, self.folder.sealing, vouched=False)
        elif step == "old key again":  # somebody puts a key that was replaced in the place of the next
            back = sorted(folder.past)[:1] or [folder.sealing]
            signing = folder.coming[0] if folder.coming else self.new("signing")
            if self.enter("rotated", signing, back[0]):
                folder.coming = (signing, back[0])
        else:
            folder.coming = folder.coming or (self.new("signing"), self.new("sealing"))
            self.enter("lost" if step == "stolen" else "rotated", *folder.coming)

    # -- the desk ----------------------------------------------------------------------------------------------------

    def known(self) -> tuple[epochs.Epoch, ...]:
        """Return the epochs that the desk uses. They follow from the roll and the interim keys, and from no day."""
        roll, interim = self.directory.roll, tuple(self.folder.interim.items())
        if self.found is None or self.found[0] is not roll or self.found[1] != interim:
            self.found = roll, interim, epochs.with_interim(epochs.epochs_of(self.directory, ME), interim)
        return self.found[2]

    def round(self) -> None:
        """Do the round of `erasing.end_epochs`, with names for keys."""
        folder = self.folder
        effective = self.directory.roll.agencies[ME].effective(self.now)[-1].kids.signing
        if folder.coming and folder.coming[0] == effective:
            folder.past |= {folder.sealing}
            (folder.signing, folder.sealing), folder.coming = folder.coming, None
            folder.past -= {folder.sealing}
        if epochs.is_spent(self.known(), folder.sealing, self.now):
            folder.past |= {folder.sealing}
            folder.sealing = self.new("interim")
            folder.interim[folder.sealing] = self.now
        if self.case is not None:
            assert self.case in folder.held  # nothing that is kept is lost
            self.case = folder.sealing
        gone = set(epochs.to_destroy(self.known(), self.now)) - {folder.sealing}
        folder.past -= gone
        if folder.coming and folder.coming[1] in gone:
            folder.coming = None

    def letters(self) -> None:
        """Somebody tells the agency something, and it says something itself; a backup is made of everything."""
        standing, folder = self.directory.roll.agencies[ME], self.folder
        current = standing.sealing(self.now, self.directory.life)
        to = {current.kids.sealing} if current else set()
        named = standing.last.sealing
        to |= {each for each in folder.held if text(each) == named} if not to & folder.held else set()
        self.opens |= to
        if to & folder.held:
            self.case = self.case or folder.sealing
        if self.case is not None:
            self.opens.add(self.case)

    def erase(self) -> bool:
        """Erase the case and print the horizon; not where the directory does not name the keys."""
        known = self.known()
        if self.case is None or all(each.kid != self.folder.sealing for each in known):
            return False
        self.horizon, self.case = epochs.horizon(known, self.now), None
        return True


STEPS = st.lists(
    st.tuples(
        st.integers(0, 330),
        st.sampled_from(["rotate", "rotate", "stolen", "new machine", "confirm", "confirm", "old key again", "off"]),
        st.integers(1, 200),
    ),
    max_size=10,
)


def live(steps: list[tuple[int, str, int]], erased: int) -> Agency:
    """Live through the history; what was promised is looked at on every day."""
    agency = Agency(Directory(BUS, OPERATOR))
    off_until = -1
    for day in range(LAST):
        agency.now = START + day * DAY
        for at, step, length in steps:
            if at == day:
                agency.take(step)
                off_until = max(off_until, day + length) if step == "off" and agency.horizon is None else off_until
        if day <= off_until:
            continue
        agency.round()
        if agency.horizon is None:
            agency.letters()
            if day >= erased:
                agency.erase()
        elif agency.now >= agency.horizon:
            left = agency.opens & agency.folder.held
            assert not left, (day, left, agency.horizon)
    return agency


@pytest.mark.thorough
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 330))
def test_after_the_horizon_no_private_key_opens_what_was_erased(steps: list[tuple[int, str, int]], erased: int) -> None:
    """Keys that are changed in time, late, never; confirmed at once, late, never; lost, stolen, put back; a desk that was off."""
    agency = live(steps, erased)
    if agency.horizon is not None:
        assert agency.horizon < START + LAST * DAY


def test_without_a_change_of_keys_the_horizon_is_120_days_from_the_key_in_use() -> None:
    """The key of day 0 is used until day 90, then an interim key, and another every 90 days."""
    assert live([], 20).horizon == START + 120 * DAY
    assert live([], 89).horizon == START + 120 * DAY
    assert live([], 90).horizon == START + 210 * DAY
    assert live([], 200).horizon == START + 300 * DAY


@pytest.mark.parametrize("erased", [35, 80, 100, 140])
def test_a_key_that_is_confirmed_late_lives_no_longer_for_that(erased: int) -> None:
    """The key was in use from when it held, for the agency's own letters and stored data."""
    agency = live([(30, "rotate", 1), (110, "confirm", 1)], erased)
    assert agency.horizon is not None
    assert agency.horizon - START <= timedelta(days=erased + 120)


def test_nobody_puts_a_replaced_key_back() -> None:
    """The directory does not believe the entry."""
    agency = live([(10, "rotate", 1), (10, "confirm", 1), (20, "old key again", 1)], 40)
    assert len(agency.directory.roll.agencies[ME].periods) == 2
