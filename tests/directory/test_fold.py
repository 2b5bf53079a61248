"""Keys over time: the fold of any history of admissions, rotations, losses and suspensions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agencies import BUS, NOW
from directory.given import HOUR, Office
from nrmbus.directory import Directory, DirectoryError, Identity, joining
from nrmbus.directory.entry import Entry, Kind
from nrmbus.directory.own_entry_watch import Own
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

DAY = 24 * HOUR


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def signs(office: Office, identity: Identity, at: datetime, written: datetime | None = None) -> str:
    """``ok`` where what *identity* signed holds at *at*, else the code."""
    try:
        office.directory.verify_key(identity.agency, identity.signing.kid, at, written)
    except WireError as error:
        return error.code
    return "ok"


class TestASealingKey:
    def test_becomes_current_only_when_the_agency_has_opened_a_challenge(self, office: Office) -> None:
        """Two admitters alone cannot have letters sealed to a key that its agency may not hold."""
        identity = office.identity("ngo-a")
        office.enter(office.admitted(office.asked(identity)))

        assert office.directory.seal_to("ngo-a", NOW) is None
        office.confirms(identity, NOW + HOUR)
        assert office.directory.seal_to("ngo-a", NOW) is None
        current = office.directory.seal_to("ngo-a", NOW + HOUR)
        assert current is not None
        assert current.kid == identity.sealing.kid

    def test_a_challenge_opens_under_its_own_label_only(self, office: Office) -> None:
        """A challenge opens neither with another key nor in another step of the same agency."""
        identity, other = office.identity("ngo-a"), office.identity("ngo-b")
        entry = office.admitted(office.asked(identity))

        for moved, key in ((entry, other.sealing), (joining.changed(entry, step=2), identity.sealing)):
            with pytest.raises(DirectoryError, match="challenge_unopened"):
                joining.opened(moved, [key])
        assert joining.opened(entry, [other.sealing, identity.sealing])

    def test_until_the_next_is_confirmed_the_one_before_stays(self, office: Office) -> None:
        """A rotation in which the agency never opened the challenge cuts nobody off."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.enter(office.admitted(office.asked(new, "rotated", before=old, until=NOW + DAY), NOW + HOUR))

        for at, identity in ((NOW + 2 * HOUR, old), (NOW + 40 * DAY, old)):
            current = office.directory.seal_to("ngo-a", at)
            assert current is not None
            assert current.kid == identity.sealing.kid
        office.confirms(new, NOW + 2 * HOUR)
        current = office.directory.seal_to("ngo-a", NOW + 2 * HOUR)
        assert current is not None
        assert current.kid == new.sealing.kid


class TestAnOverlap:
    def test_lets_what_is_under_way_in(self, office: Office) -> None:
        """Events and letters with the old key are accepted until the overlap ends; newer ones with the old key never."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        since, until = NOW + HOUR, NOW + DAY
        office.enter(office.admitted(office.asked(new, "rotated", before=old, until=until), since))
        office.confirms(new, since)

        assert signs(office, old, since, NOW) == "ok"
        assert signs(office, old, until, NOW) == "ok"
        assert signs(office, old, until + HOUR, NOW) == "signature_invalid"
        assert signs(office, old, since, since + HOUR / 2) == "ok"
        assert signs(office, old, since + HOUR, since + HOUR) == "signature_invalid"
        assert signs(office, new, since, since) == "ok"
        for at, opens in ((since, True), (until, True), (until + HOUR, False)):
            assert office.directory.opens("ngo-a", old.sealing.kid, at) is opens
            assert office.directory.opens("ngo-a", new.sealing.kid, at)
        assert office.directory.any_verify_key("ngo-a", old.signing.kid).kid == old.signing.kid

    def test_without_one_the_old_key_ends_at_once(self, office: Office) -> None:
        """If an agency names no overlap, its old key ends at once."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.enter(office.admitted(office.asked(new, "rotated", before=old), NOW + HOUR))

        assert signs(office, old, NOW + HOUR, NOW) == "signature_invalid"


class TestLostKeys:
    def test_hold_after_four_days_without_the_old_key(self, office: Office) -> None:
        """Until the four days are over the old key is valid; then no event with it is accepted, and nothing is sealed to it."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.enter(office.admitted(office.asked(new, "lost"), NOW + HOUR))
        since = NOW + HOUR + timedelta(hours=24 + 72)

        assert signs(office, old, since - HOUR) == "ok"
        assert signs(office, old, since, NOW) == "signature_invalid"
        assert signs(office, new, since) == "ok"
        assert office.directory.seal_to("ngo-a", since) is None
        assert not office.directory.opens("ngo-a", old.sealing.kid, since)
        office.confirms(new, NOW + 2 * HOUR)
        before, after = office.directory.seal_to("ngo-a", since - HOUR), office.directory.seal_to("ngo-a", since)
        assert before is not None
        assert after is not None
        assert (before.kid, after.kid) == (old.sealing.kid, new.sealing.kid)

    def test_hold_at_once_with_it(self, office: Office) -> None:
        """A stolen copy: the agency still has its key, and lets nothing signed with it in from now on."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.enter(office.admitted(office.asked(new, "lost", before=old), NOW + HOUR))

        assert signs(office, old, NOW + HOUR, NOW) == "signature_invalid"
        assert signs(office, new, NOW + HOUR) == "ok"

    def test_the_owner_of_the_old_key_may_object(self, office: Office) -> None:
        """Within the 72 hours, the old key has the last word: what it signs meanwhile takes the other's place."""
        old, theirs, ours = office.joins("ngo-a"), office.identity("ngo-a", 2), office.identity("ngo-a", 3)
        office.enter(office.admitted(office.asked(theirs, "lost"), NOW + HOUR))
        office.enter(office.admitted(office.asked(ours, "rotated", before=old, until=NOW + DAY), NOW + 2 * HOUR))

        for at in (NOW + 2 * HOUR, NOW + 40 * DAY):
            assert signs(office, ours, at) == "ok"
            assert signs(office, theirs, at) == "signature_invalid"
        witnesses = [each.public for each in office.directory.witnesses("ngo-a")]
        assert witnesses == [old.witness.public, ours.witness.public]

    def test_keys_that_were_objected_to_have_no_part_in_an_overlap(self, office: Office) -> None:
        """Neither backdated events with these keys nor letters sealed to them are accepted when their time comes."""
        old, theirs, ours = office.joins("ngo-a"), office.identity("ngo-a", 2), office.identity("ngo-a", 3)
        office.enter(office.admitted(office.asked(theirs, "lost"), NOW))
        since = office.confirms(theirs, NOW).valid_from + 4 * DAY
        objected = NOW + 90 * HOUR
        until = objected + 72 * HOUR
        office.enter(office.admitted(office.asked(ours, "rotated", before=old, until=until), objected))

        assert signs(office, theirs, since + HOUR, NOW) == "signature_invalid"
        assert signs(office, old, since + HOUR, NOW) == "ok"
        current = office.directory.seal_to("ngo-a", since + HOUR)
        assert current is not None
        assert current.kid == old.sealing.kid
        assert not office.directory.opens("ngo-a", theirs.sealing.kid, since + HOUR)

    def test_two_who_keep_an_admission_to_themselves_gain_no_time(self, tmp_path: Path) -> None:
        """The 72 hours run from when everybody can see the entry: a head was signed without it, whatever the entry says."""
        office = Office(tmp_path, "bus-0123456789abcdef")
        office.joins("ngo-a")
        kept_back = office.admitted(office.asked(office.identity("ngo-a", 2), "lost"))
        for hours, code in ((24, None), (25, "lost_too_soon"), (200, "lost_too_soon")):
            office.directory.head = None
            office.directory.add(office.operator.head(office.directory, NOW + hours * HOUR))
            refused_with = None
            try:
                office.directory.checked(joining.changed(kept_back, number=office.directory.number + 1))
            except DirectoryError as error:
                refused_with = error.code
            assert refused_with == code

    def test_the_old_key_cannot_object_once_the_new_keys_hold(self, tmp_path: Path) -> None:
        """A backdated objection would make the keys of a thief good at once, without the 72 hours."""
        office = Office(tmp_path, "bus-0123456789abcdef")
        old, ours, theirs = office.joins("ngo-a"), office.identity("ngo-a", 2), office.identity("ngo-a", 3)
        office.enter(office.admitted(office.asked(ours, "lost"), NOW + HOUR))
        holds = office.directory.roll.agencies["ngo-a"].periods[-1].since
        dated_back = office.admitted(office.asked(theirs, "rotated", before=old), NOW + 2 * HOUR)
        for seen, code in ((holds - HOUR, None), (holds, "time_backwards"), (holds + 30 * DAY, "time_backwards")):
            office.directory.head = None
            office.directory.add(office.operator.head(office.directory, seen))
            refused_with = None
            try:
                office.directory.checked(joining.changed(dated_back, number=office.directory.number + 1))
            except DirectoryError as error:
                refused_with = error.code
            assert refused_with == code


class TestStates:
    def test_a_suspended_agency_cannot_publish_and_nothing_is_sealed_to_it(self, office: Office) -> None:
        """From the moment on that two admitters name, until they end it."""
        identity = office.joins("ngo-a")
        office.state("ngo-a", "suspended", NOW + HOUR)
        office.state("ngo-a", "resumed", NOW + DAY)

        for at, code, state in (
            (NOW, "ok", "admitted"),
            (NOW + HOUR, "agency_suspended", "suspended"),
            (NOW + DAY, "ok", "admitted"),
        ):
            assert signs(office, identity, at) == code
            assert office.directory.state("ngo-a", at) == state
            assert (office.directory.seal_to("ngo-a", at) is None) is (code != "ok")

    def test_suspending_does_not_hasten_keys_that_are_pending(self, office: Office) -> None:
        """The owner of a lost laptop may have the agency suspended; the 72 hours stay 72 hours."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.enter(office.admitted(office.asked(new, "lost"), NOW))
        office.state("ngo-a", "suspended", NOW)
        office.state("ngo-a", "resumed", NOW + HOUR)

        assert signs(office, new, NOW + HOUR) == "signature_invalid"
        assert signs(office, old, NOW + HOUR) == "ok"

    def test_retired_is_for_good(self, office: Office) -> None:
        """Events of a retired agency stay verifiable; no new event or key of it is accepted."""
        identity = office.joins("ngo-a")
        office.leaves(identity, NOW + HOUR)

        assert signs(office, identity, NOW + HOUR) == "agency_suspended"
        assert office.directory.any_verify_key("ngo-a", identity.signing.kid).kid == identity.signing.kid
        for kind in ("resumed", "rotated"):
            entry = joining.repeated(office.directory, "ngo-a", kind, made=NOW + DAY)
            with pytest.raises(DirectoryError, match="agency_retired"):
                office.enter(office.admitted(entry, NOW + DAY))

    def test_an_old_rotation_is_not_played_back(self, office: Office) -> None:
        """Keys that were replaced do not come back by the entry that once brought them."""
        old, new, third = office.joins("ngo-a"), office.identity("ngo-a", 2), office.identity("ngo-a", 3)
        rotated = office.enter(office.admitted(office.asked(new, "rotated", before=old)))
        office.enter(office.admitted(office.asked(third, "rotated", before=new)))

        with pytest.raises(DirectoryError, match="step_replayed"):
            office.enter(rotated)


class TestOwnEntries:
    def watch(self, office: Office, *own: Identity) -> Own:
        """Return the own-entry watch of ngo-a's desk after reading the directory."""
        found = Own("ngo-a", frozenset(), lambda: frozenset(kid for each in own for kid in each.kids))
        again = Directory(BUS, VerifyKey(office.operator.public))
        for raw in office.directory.signed:
            entry = again.add(raw)
            if entry is not None:
                found.take(entry, again.kids(entry))
        found.read_to_the_end(again.number)
        return found

    def test_an_entry_that_it_requested_raises_no_alarm(self, office: Office) -> None:
        """A suspension, which names the agency's own keys, raises no alarm either, nor does another agency's entry."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.joins("ngo-b")
        office.enter(office.admitted(office.asked(new, "rotated", before=old)))
        office.state("ngo-a", "suspended", NOW)

        assert self.watch(office, old, new).alarm is None

    def test_a_key_that_it_never_made_raises_an_alarm(self, office: Office) -> None:
        """Although two admitters agreed and 72 hours passed, the agency's desk names the entry."""
        old = office.joins("ngo-a")
        number = office.enter(office.admitted(office.asked(office.identity("ngo-a", 2), "lost"))).number

        assert self.watch(office, old).alarm == number

    def test_a_witness_key_that_it_never_made_raises_one_too(self, office: Office) -> None:
        """A holder of that key could co-sign another history in the agency's name, although the other keys are right."""
        old = office.joins("ngo-a")
        other = replace(old, witness=SigningKey.generate())
        number = office.enter(office.admitted(office.asked(other, "rotated", before=old))).number

        assert self.watch(office, old).alarm == number

    def test_an_objection_in_time_ends_the_alarm(self, office: Office) -> None:
        """The desk goes on with the agency's own keys; if the other keys held in between, it does not."""
        old, ours = office.joins("ngo-a"), office.identity("ngo-a", 3)
        lost = office.enter(office.admitted(office.asked(office.identity("ngo-a", 2), "lost"), NOW))
        assert self.watch(office, old, ours).alarm == lost.number
        office.enter(office.admitted(office.asked(ours, "rotated", before=old), NOW + HOUR))
        assert self.watch(office, old, ours).alarm is None

        stolen = office.enter(
            office.admitted(office.asked(office.identity("ngo-a", 4), "rotated", before=ours), NOW + 2 * HOUR)
        )
        office.enter(office.admitted(office.asked(office.identity("ngo-a", 5), "lost"), NOW + 2 * HOUR))
        assert self.watch(office, old, ours).alarm == stolen.number

    def test_keys_from_before_a_dead_disk_raise_no_alarm(self, office: Office) -> None:
        """A new machine knows only its own keys, and accepts that earlier keys were its agency's."""
        old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
        office.enter(office.admitted(office.asked(new, "lost")))

        assert self.watch(office, new).alarm is None
        assert self.watch(office, old).alarm is not None

    def test_a_desk_without_any_listed_key_raises_an_alarm(self, office: Office) -> None:
        """A desk whose keys stand nowhere must not speak."""
        office.joins("ngo-a")

        assert self.watch(office, office.identity("ngo-a", 7)).alarm == office.directory.number


STEP = st.tuples(
    st.sampled_from(["rotated", "lost", "lost with old key", "suspended", "resumed", "confirmed", "retired"]),
    st.integers(1, 100),
    st.integers(0, 100),
)


@dataclass
class Model:
    """Model of the expected result: intervals written down as each step is taken."""

    signing: list[tuple[datetime, str]] = field(default_factory=list)
    state: list[tuple[datetime, str]] = field(default_factory=list)

    def key_at(self, at: datetime) -> str | None:
        """The last step that had begun."""
        return next((kid for since, kid in reversed(self.signing) if since <= at), None)

    def state_at(self, at: datetime) -> str:
        """The last state that had begun."""
        return next(state for since, state in reversed(self.state) if since <= at)


@contextmanager
def _scratch() -> Iterator[Office]:
    with TemporaryDirectory() as folder:
        yield Office(Path(folder))


@pytest.mark.thorough
@settings(max_examples=15, deadline=None)
@given(st.lists(STEP, max_size=7))
def test_any_history_has_one_current_key_and_one_state(steps: list[tuple[str, int, int]]) -> None:
    """At every time; reading it once more says the same, refused steps change nothing, old keys stay known."""
    with _scratch() as office:
        identities, clock, model = [office.joins("ngo-a")], NOW, Model()
        model.signing.append((NOW, identities[0].signing.kid))
        model.state.append((NOW, "admitted"))
        for kind, hours, overlap in steps:
            clock += hours * HOUR
            before, entry = office.directory.digest, _taken(office, identities, kind, clock, clock + overlap * HOUR)
            if entry is None:
                assert office.directory.digest == before
            elif entry.kind in ("rotated", "lost"):
                model.signing.append((entry.valid_from, identities[-1].signing.kid))
            elif entry.kind != "confirmed":
                model.state.append((entry.valid_from, {"resumed": "admitted"}.get(entry.kind, entry.kind)))
        _holds(office, model, clock)
        assert all(office.directory.any_verify_key("ngo-a", kid).kid == kid for _, kid in model.signing)


def _taken(office: Office, identities: list[Identity], kind: str, at: datetime, until: datetime) -> Entry | None:
    """The step as its parties would take it; none where the directory refuses."""
    effective = office.directory.roll.agencies["ngo-a"].effective(at)[-1].kids.signing
    old = next(each for each in identities if each.signing.kid == effective)
    try:
        if kind == "retired":
            return office.leaves(old, at)
        if kind in ("suspended", "resumed"):
            return office.state("ngo-a", kind, at)  # type: ignore[arg-type]  # one of these
        if kind == "confirmed":
            return office.confirms(identities[-1], at)
        new = office.identity("ngo-a", len(identities) + 1)
        before = None if kind == "lost" else old
        named: Kind = "rotated" if kind == "rotated" else "lost"
        asked = office.asked(new, named, before=before, made=at, until=until if named == "rotated" else None)
        entry = office.enter(office.admitted(asked, at))
    except DirectoryError:
        return None
    identities.append(new)
    return entry


def _holds(office: Office, model: Model, end: datetime) -> None:
    again = Directory(BUS, VerifyKey(office.operator.public))
    for raw in office.directory.signed:
        again.add(raw)
    at = NOW
    while at < end + 10 * DAY:
        key, state = model.key_at(at), model.state_at(at)
        for directory in (office.directory, again):
            assert directory.state("ngo-a", at) == state
            for _, kid in model.signing:
                outcome = "ok"
                try:
                    directory.verify_key("ngo-a", kid, at)
                except WireError as error:
                    outcome = error.code
                assert outcome == (
                    "agency_suspended" if state != "admitted" else "ok" if kid == key else "signature_invalid"
                )
        at += 11 * HOUR
