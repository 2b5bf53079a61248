"""A desk's use of the directory: to whom it seals, with which keys it opens, and when it stops signing."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from agencies import CASE, NOW, Town, town
from desk.documents.test_sharing import shared
from desk.given import REF, Given, desk_of
from desk.outbox.test_queue import REFERRAL, consent, readers, signal_
from nrmbus.desk.keys import lost_keys
from nrmbus.desk.keys.lost_keys import ask_to_send_again
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.directory import Directory, Identity, joining
from nrmbus.directory.entry import Entry, Kind
from nrmbus.directory.operator import Admitter
from nrmbus.directory.own_entry_watch import Own
from nrmbus.wire.envelope import decode
from patience import eventually


def directory() -> Directory:
    """Return a copy of the tests' directory, to be written on."""
    return Town().directory


def entered(found: Directory, entry: Entry) -> Entry:
    """Enter *entry* as two admitters sign it now."""
    signed = joining.challenged(joining.holding_from(found, entry, NOW))
    for admitter in Admitter.here(town().operator.home):
        signed = joining.admitted_by(signed, admitter.key)
    taken = found.add(town().operator.number(signed, found))
    assert taken is not None
    return taken


def state(found: Directory, agency: str, kind: Kind) -> Entry:
    """Have two admitters suspend or retire *agency*."""
    return entered(found, joining.repeated(found, agency, kind, made=NOW))


def lost(found: Directory, agency: str, home: Path, old: Identity | None = None) -> Entry:
    """Enter new keys for *agency*, which lost its keys; the *old* key, if given, vouches for them."""
    new = Identity.at(home, agency)
    wanted = joining.Wanted(
        agency, found.entries[agency].role, new.signing.public, new.sealing.public, new.witness.public
    )
    entry = joining.proposed(found, wanted, "lost", made=NOW)
    return entered(found, joining.asked_by(entry, [new.signing, new.witness, *([old.signing] if old else [])]))


async def referred(given: Given) -> None:
    """Register a referral to the special unit, with the consent for it."""
    await given.registered(**signal_())
    await given.registered(**consent("special-unit"))
    referral = {"type": "referral.submitted", "ref": REF, "to": ["special-unit"], "data": REFERRAL}
    await given.registered(**referral, legal_basis="CoM 21/2008", sealed={"name": "Alina Example"})


async def test_nothing_is_signed_by_a_directory_that_may_be_behind(tmp_path: Path) -> None:
    """A key in a stale directory may have been replaced: drafts wait, and go out once a head is fresh."""
    async with desk_of("ngo-a", tmp_path) as given:
        stale = True
        given.desk.seat.stale = lambda: stale
        await given.ask(**signal_())

        assert await given.out() == []
        assert given.desk.seat.held_up == "directory_stale"
        stale = False
        (record,) = await given.out()
        assert decode(record).subject == CASE


async def test_an_entry_that_its_agency_did_not_ask_for_silences_its_desk(tmp_path: Path) -> None:
    """Signed events are not sent again either; a person gets one task, however often the relay looks."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.said(**signal_())
        found, seat = directory(), given.desk.seat
        seat.own = Own("ngo-a", seat.identity.kids, lambda: seat.identity.kids)
        seat.own.take(found.entries["ngo-a"], found.kids(found.entries["ngo-a"]))
        theirs = lost(found, "ngo-a", tmp_path / "theirs")
        seat.own.take(theirs, found.kids(theirs))
        await given.ask(**signal_(case="ef" * 16))
        given.relay._tried.clear()

        assert [await given.out() for _ in range(2)] == [[], []]
        (task,) = await given.rows("tasks")
        assert (task.kind, task.event) == ("alarm", f"nrm.directory/{theirs.number}")
        assert seat.held_up == "entry_not_asked"


async def test_nothing_is_sealed_to_who_is_suspended(tmp_path: Path) -> None:
    """The event goes to the others; before the suspension the same letter was for both."""
    async with desk_of("ngo-a", tmp_path) as given:
        given.desk.seat.directory = directory()
        state(given.desk.seat.directory, "statistics", "suspended")

        assert readers(await given.said(**signal_()))["coded"] == ["ngo-a", "special-unit"]
    async with desk_of("ngo-a", tmp_path / "other") as given:
        assert readers(await given.said(**signal_()))["coded"] == ["ngo-a", "special-unit", "statistics"]


async def test_letters_to_keys_that_were_lost_are_asked_for_once_more(tmp_path: Path) -> None:
    """Each letter of the last 30 days to that agency gets one task; letters to others get none."""
    async with desk_of("ngo-a", tmp_path) as given:
        await referred(given)
        found = directory()
        entry = lost(found, "special-unit", tmp_path / "new")

        assert [await ask_to_send_again(given.desk.seat, entry) for _ in range(2)] == [2, 2]
        tasks = [each for each in await given.rows("tasks") if each.kind == "send_again"]
        assert [each.subject for each in tasks] == [CASE, CASE]
        assert [json.loads(each.about)["type"] for each in tasks] == ["case.signal_recorded", "referral.submitted"]
        assert {json.loads(each.about)["agency"] for each in tasks} == {"special-unit"}
        assert await ask_to_send_again(given.desk.seat, lost(directory(), "vac", tmp_path / "vac")) == 0
        late = joining.changed(entry, made="2026-08-02T05:00:00Z", valid_from="2026-08-02T05:00:00Z")
        assert await ask_to_send_again(given.desk.seat, late) == 0


async def test_a_document_is_asked_for_once_however_many_chunks_it_has(tmp_path: Path) -> None:
    """Given a document of three chunks for an agency that then lost its keys, a person gets one task for the document."""
    async with desk_of("ngo-a", tmp_path) as given:
        await shared(given)
        await ask_to_send_again(given.desk.seat, lost(directory(), "special-unit", tmp_path / "new"))

        tasks = [json.loads(each.about) for each in await given.rows("tasks") if each.kind == "send_again"]
        assert [each["type"] for each in tasks] == ["document.shared"]


async def test_each_agency_that_lost_its_keys_gets_the_letter_again(tmp_path: Path) -> None:
    """One letter was for two agencies, and one of them loses its keys twice: a task for each loss, and the same ones at each start."""
    async with desk_of("ngo-a", tmp_path) as given:
        await referred(given)
        async with given.desk.seat.ledger.write() as tx:
            tx.execute(update(tables.outbox).values(recipients=json.dumps(["special-unit", "vac"])))
        first = lost(directory(), "special-unit", tmp_path / "one")
        losses = [first, lost(directory(), "vac", tmp_path / "two"), joining.changed(first, number=first.number + 7)]
        for entry in losses * 2:
            await ask_to_send_again(given.desk.seat, entry)

        tasks = [json.loads(each.about) for each in await given.rows("tasks") if each.kind == "send_again"]
        assert Counter(each["agency"] for each in tasks) == {"special-unit": 4, "vac": 2}


async def test_a_full_disk_leaves_lost_keys_for_the_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk goes on, and asks when its ledger can be written."""
    monkeypatch.setattr(lost_keys, "LOOK_SECONDS", 0.01)
    async with desk_of("ngo-a", tmp_path) as given:
        await referred(given)
        given.desk.seat.directory = found = directory()
        waiting = [lost(found, "special-unit", tmp_path / "theirs")]
        given.clock.time = NOW + timedelta(hours=96)
        ask, failed = lost_keys.ask_to_send_again, list[int]()

        async def full_once(seat: Seat, entry: Entry) -> int:
            if not failed:
                failed.append(1)
                raise OperationalError("", {}, Exception("disk full"))
            return await ask(seat, entry)

        monkeypatch.setattr(lost_keys, "ask_to_send_again", full_once)
        running = asyncio.create_task(lost_keys.run(given.desk.seat, waiting))
        await eventually("it was asked for", lambda: running.done() or not waiting)

        assert not running.done()
        assert len([each for each in await given.rows("tasks") if each.kind == "send_again"]) == 2
        running.cancel()


class Counted(list[Entry]):
    """Entries that count how often somebody has looked at all of them."""

    looks = 0

    def __iter__(self) -> Iterator[Entry]:
        self.looks += 1
        return super().__iter__()

    async def is_looked_at(self) -> None:
        """Wait until a whole look has passed that began after now."""
        due = self.looks + 2
        await eventually("the desk looks twice", lambda: self.looks >= due)


@pytest.mark.parametrize("objected", [False, True])
async def test_they_are_asked_for_when_the_new_keys_hold_and_never_for_those_that_were_objected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, objected: bool
) -> None:
    """Keys without the old key's signature hold four days after two admitters signed: a false holder would otherwise get everything again."""
    monkeypatch.setattr(lost_keys, "LOOK_SECONDS", 0.01)
    async with desk_of("ngo-a", tmp_path) as given:
        await referred(given)
        given.desk.seat.directory = found = directory()
        waiting = Counted([lost(found, "special-unit", tmp_path / "theirs")])
        if objected:
            lost(found, "special-unit", tmp_path / "own", town().identities["special-unit"])
        running = asyncio.create_task(lost_keys.run(given.desk.seat, waiting))
        for hours, count in ((0, 0), (95, 0), (96, 0 if objected else 2)):
            given.clock.time = NOW + timedelta(hours=hours)
            await waiting.is_looked_at()
            assert len([each for each in await given.rows("tasks") if each.kind == "send_again"]) == count
        assert waiting == []
        running.cancel()


async def test_a_letter_sealed_to_the_key_before_opens_after_a_rotation(tmp_path: Path) -> None:
    """Letters under way open; waiting drafts, sealed to the desk's own old key, are sent."""
    home = tmp_path / "keys"
    before = Identity.at(home, "ngo-a")
    Identity.next_at(home, "ngo-a")
    during = Identity.at(home, "ngo-a")
    during.promote(home)
    after = Identity.at(home, "ngo-a")

    assert before.sealing.kid in after.opening
    assert after.sealing.kid in during.opening
    assert after.signing.kid != before.signing.kid
    assert before.kids < after.kids
    assert {path.stat().st_mode & 0o777 for path in (home / "keys").rglob("*") if path.is_file()} == {0o600}
    async with desk_of("ngo-a", tmp_path) as given:
        given.desk.seat.identity = before
        await given.ask(**signal_())
        given.desk.seat.identity = after
        (record,) = await given.out()
        assert readers(record)["coded"] == ["ngo-a", "special-unit", "statistics"]


def test_half_a_promotion_is_finished_by_the_next(tmp_path: Path) -> None:
    """After a cut between two keys, the folder still has all of both, and the next start ends with the new ones."""
    home = tmp_path
    before, coming = Identity.at(home, "ngo-a"), Identity.next_at(home, "ngo-a")
    before.promote(home)
    again = Identity.at(home, "ngo-a")
    again.promote(home)

    assert Identity.at(home, "ngo-a").signing.kid == coming.signing.kid
    assert before.sealing.kid in Identity.at(home, "ngo-a").opening


async def test_until_its_new_key_is_confirmed_a_desk_seals_to_the_one_before(tmp_path: Path) -> None:
    """Otherwise the registrar would refuse its letters, though the agency has done nothing wrong."""
    home = tmp_path / "keys"
    async with desk_of("ngo-a", tmp_path) as given:
        seat, found = given.desk.seat, directory()
        old, new = seat.identity, Identity.at(home, "ngo-a")
        public = (new.signing.public, new.sealing.public, new.witness.public)
        wanted = joining.Wanted("ngo-a", found.entries["ngo-a"].role, *public)
        asked = joining.proposed(found, wanted, "rotated", made=NOW, until=NOW)
        entered(found, joining.asked_by(asked, [new.signing, new.witness, old.signing]))
        seat.directory = found
        opening = {**new.opening, **old.opening}
        seat.identity = Identity("ngo-a", new.signing, new.sealing, new.witness, opening, new.kids | old.kids)

        assert seat.seal_to("ngo-a").kid == old.sealing.kid
        secret = joining.opened(found.entries["ngo-a"], [new.sealing])
        confirmed = joining.repeated(found, "ngo-a", "confirmed", made=NOW, opened=secret)
        found.add(town().operator.number(joining.asked_by(confirmed, [new.signing]), found))
        assert seat.seal_to("ngo-a").kid == new.sealing.kid
