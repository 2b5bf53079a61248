"""Sign-in: name and password, then a second factor; nobody learns who exists, and nobody guesses."""

import asyncio
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy.exc import OperationalError

from agencies import Town
from desk.given import StandingClock
from desk.staff.given import PASSWORD, GivenStaff, staff_at
from desk.staff.test_members import NAME
from nrmbus.desk.errors import DeskError
from nrmbus.desk.staff import passwords
from nrmbus.desk.staff.attempts import OF_ALL, OF_NAME
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.staff import NotSignedIn
from nrmbus.desk.store import tables

pytestmark = pytest.mark.usefixtures("kept", "cheap_passwords")


async def refusal(here: GivenStaff, name: str, password: str) -> str:
    """Return why *name* does not get in with *password*."""
    with pytest.raises(NotSignedIn) as refused:
        await here.staff.with_password(name, password)
    return refused.value.reason


async def test_a_first_sign_in_sets_an_own_password_and_a_second_factor(tmp_path: Path) -> None:
    """Whoever has the one-time password gets no session before both are set; afterwards it is worth nothing."""
    async with staff_at(tmp_path) as here:
        member, once = await here.invited()
        value, stage = await here.staff.with_password("leyla  EXAMPLE", once.lower().replace("-", " "))
        assert (stage, member.standing, here.staff.sessions.of(member.number)) == ("password", "invited", [])
        with pytest.raises(NotSignedIn):
            await here.staff.with_first_code(value, "000000")
        assert await here.staff.set_first_password(value, "too short") == "short"
        assert await here.staff.set_first_password(value, "aaaabbbbaaaa") == "plain"
        assert await here.staff.set_first_password(value, "Leyla Example") == "name"
        assert await here.staff.set_first_password(value, once) == "same"
        assert await here.staff.set_first_password(value, PASSWORD) is None

        half, now = here.staff.half_way(value)
        assert now.standing == "active"
        with pytest.raises(NotSignedIn, match="code_wrong"):
            await here.staff.with_first_code(value, "000000")
        cookie, codes = await here.staff.with_first_code(value, here.app(half.secret))

        session = here.staff.sessions.look(cookie)
        assert session is not None
        assert (session.member, session.how, len(set(codes))) == (member.number, "code", 8)
        assert await refusal(here, "Leyla Example", once) == "wrong"
        with pytest.raises(NotSignedIn, match="over"):
            here.staff.half_way(value)


async def test_a_one_time_password_ends_after_three_days(tmp_path: Path) -> None:
    """It lies on a paper somewhere."""
    async with staff_at(tmp_path) as here:
        _, once = await here.invited()
        here.later(days=3)
        assert await refusal(here, "Leyla Example", once) == "wrong"


async def test_a_later_sign_in_takes_a_code_once(tmp_path: Path) -> None:
    """The same code, or an older one, opens no second session, also not after a restart; a recovery code opens one."""
    clock = StandingClock()
    async with staff_at(tmp_path, clock) as here:
        member, secret, _, codes = await here.settled()
        here.later(minutes=1)
        value = await here.half_way("Leyla Example", PASSWORD)
        assert here.staff.sessions.look(
            await here.staff.with_code(value, here.app(secret)[:3] + " " + here.app(secret)[3:])
        )

    async with staff_at(tmp_path, clock) as here:
        value = await here.half_way("Leyla Example", PASSWORD)
        with pytest.raises(NotSignedIn, match="code_wrong"):
            await here.staff.with_code(value, here.app(secret))
        step = here.staff.members.secrets_of(member.number).step
        assert step is not None
        assert not await here.staff.members.take_step(member.number, step), "two requests at once take a code once, too"
        session = here.staff.sessions.look(await here.staff.with_code(value, codes[2].upper()))
        assert session is not None
        assert session.how == "recovery_code"
        value = await here.half_way("Leyla Example", PASSWORD)
        with pytest.raises(NotSignedIn, match="code_wrong"):
            await here.staff.with_code(value, codes[2])
        both = [here.staff.with_code(value, codes[4]) for _ in range(2)]
        of_both = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(isinstance(each, NotSignedIn) for each in of_both) == [False, True], (
            "two at once take it once, too"
        )
        here.later(minutes=16)
        with pytest.raises(NotSignedIn, match="over"):
            await here.staff.with_code(value, codes[3])


async def test_a_failure_is_the_same_for_a_name_that_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown, wrong, removed and ended look alike, cost one hash each, and are locked after as many failures."""
    async with staff_at(tmp_path) as here:
        await here.settled()
        gone, _ = await here.invited("Rena Example")
        await here.staff.members.remove(gone.number, "door.json")
        checked = list[str | None]()
        fits = here.staff._passwords.fits

        async def counted(known: str | None, password: str) -> bool:
            checked.append(known)
            return await fits(known, password)

        monkeypatch.setattr(here.staff._passwords, "fits", counted)
        names = ("Leyla Example", "Rena Example", "Nobody Example", "")
        for name in names:
            assert [await refusal(here, name, "wrong") for _ in range(OF_NAME + 1)] == ["wrong"] * OF_NAME + ["locked"]
        assert len(checked) == OF_NAME * len(names)
        assert await refusal(here, "leyla example", PASSWORD) == "locked", (
            "the right one helps nobody while it is locked"
        )


async def test_a_lock_ends_after_a_quarter_of_an_hour_and_outlives_a_restart(tmp_path: Path) -> None:
    """A restart of the desk gives nobody more guesses; the ledger does not say which names were tried."""
    clock = StandingClock()
    async with staff_at(tmp_path, clock) as here:
        await here.settled()
        for _ in range(OF_NAME):
            await refusal(here, "Leyla Example", "wrong")
        with here.seat.ledger.read() as tx:
            rows = tx.execute(tables.sign_in_failures.select()).all()
        assert "eyla" not in repr(rows)

    async with staff_at(tmp_path, clock) as here:
        assert await refusal(here, "Leyla Example", PASSWORD) == "locked"
        here.later(minutes=15, seconds=1)
        assert await here.half_way("Leyla Example", PASSWORD)


async def test_a_lock_of_a_clock_that_was_ahead_does_not_last(tmp_path: Path) -> None:
    """Given failures that are dated two days ahead, when the clock is right, then the member signs in, also after a restart, and the next failure deletes them."""
    clock = StandingClock()
    async with staff_at(tmp_path, clock) as here:
        await here.settled()
        here.later(days=2)
        for _ in range(OF_NAME):
            await refusal(here, "Leyla Example", "wrong")
        here.later(days=-2)
        assert await here.half_way("Leyla Example", PASSWORD)

    async with staff_at(tmp_path, clock) as here:
        assert await refusal(here, "Leyla Example", "wrong") == "wrong"
        with here.seat.ledger.read() as tx:
            assert len(tx.execute(tables.sign_in_failures.select()).all()) == 1


async def test_a_clock_that_is_set_back_by_minutes_gives_nobody_more_guesses(tmp_path: Path) -> None:
    """Given a name that is locked, when the clock is corrected by five minutes, then it stays locked."""
    async with staff_at(tmp_path) as here:
        await here.settled()
        for _ in range(OF_NAME):
            await refusal(here, "Leyla Example", "wrong")
        here.later(minutes=-5)

        assert await refusal(here, "Leyla Example", PASSWORD) == "locked"


async def test_guesses_at_the_same_time_are_no_more_guesses(tmp_path: Path) -> None:
    """Twenty requests at once get as many tries as twenty after one another."""
    async with staff_at(tmp_path) as here:
        await here.settled()
        reasons = await asyncio.gather(*(refusal(here, "Leyla Example", "wrong") for _ in range(20)))
    assert reasons.count("wrong") == OF_NAME


async def test_a_full_disk_gives_nobody_more_guesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a ledger that cannot be written, failures count all the same, and look like any other."""
    async with staff_at(tmp_path) as here:
        await here.settled()

        def full() -> None:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))

        monkeypatch.setattr(here.seat.ledger, "write", full)
        reasons = [await refusal(here, "Leyla Example", "wrong") for _ in range(OF_NAME + 1)]
        assert reasons == ["wrong"] * OF_NAME + ["locked"]
        assert await refusal(here, "Leyla Example", PASSWORD) == "locked"


async def test_a_crowd_of_names_is_stopped(tmp_path: Path) -> None:
    """One password tried with everybody's name ends at the limit of all names together."""
    async with staff_at(tmp_path) as here:
        await here.settled()
        for number in range(OF_ALL):
            await refusal(here, f"name {number}", "wrong")
        assert await refusal(here, "Leyla Example", PASSWORD) == "locked"


async def test_wrong_codes_are_counted_as_wrong_passwords_are(tmp_path: Path) -> None:
    """A stolen password gives five guesses of six digits, and a sign-in forgets the failures before it."""
    async with staff_at(tmp_path) as here:
        _, secret, _, codes = await here.settled()
        here.later(minutes=1)
        value = await here.half_way("Leyla Example", PASSWORD)
        for _ in range(OF_NAME - 1):
            with pytest.raises(NotSignedIn, match="code_wrong"):
                await here.staff.with_code(value, "000000")
        await here.staff.with_code(value, here.app(secret))
        value = await here.half_way("Leyla Example", PASSWORD)
        for _ in range(OF_NAME):
            with pytest.raises(NotSignedIn, match="code_wrong"):
                await here.staff.with_code(value, "000000")
        with pytest.raises(NotSignedIn, match="locked"):
            await here.staff.with_code(value, codes[0])


async def test_a_reset_ends_what_was_under_way(tmp_path: Path) -> None:
    """After a reset neither the old password, nor a sign-in half way, nor a session is worth anything."""
    async with staff_at(tmp_path) as here:
        member, secret, cookie, codes = await here.settled()
        here.later(minutes=1)
        value = await here.half_way("Leyla Example", PASSWORD)
        _, once = await here.staff.reset(member.number, "door.json")

        assert once is not None
        assert here.staff.sessions.look(cookie) is None
        with pytest.raises(NotSignedIn, match="over"):
            await here.staff.with_code(value, here.app(secret))
        assert await refusal(here, "Leyla Example", PASSWORD) == "wrong"
        value, stage = await here.staff.with_password("Leyla Example", once)
        assert stage == "password"
        with pytest.raises(NotSignedIn, match="over"):
            await here.staff.with_code(value, codes[0])


async def test_a_new_password_ends_every_session_and_begins_one(tmp_path: Path) -> None:
    """Whoever had the old password is out; the member goes on."""
    async with staff_at(tmp_path) as here:
        member, _, cookie, _ = await here.settled()
        session = here.staff.sessions.look(cookie)
        assert session is not None
        assert await here.staff.is_password_of(member, PASSWORD)
        assert not await here.staff.is_password_of(member, "wrong")
        assert await here.staff.set_password(member, session, "short") == "short"
        changed = await here.staff.set_password(member, session, "a longer way home")

        assert isinstance(changed, tuple)
        assert here.staff.sessions.look(cookie) is None
        assert here.staff.sessions.look(changed[0]) is not None
        assert await refusal(here, "Leyla Example", PASSWORD) == "wrong"


async def test_an_invented_member_signs_in_with_the_password_alone_on_a_bus_for_playing(tmp_path: Path) -> None:
    """The member is marked as example; on any other bus nobody goes without a second factor."""
    async with staff_at(tmp_path) as here:
        new = NewMember(name="Aysel", roles=("worker",), language="az")
        made: Member = await here.staff.add_example(new, "door.json", "open sesame")
        again = await here.staff.add_example(new, "door.json", "open sesame 2")
        assert (made.is_example, made.number) == (True, again.number)
        value, stage = await here.staff.with_password("aysel", "open sesame 2")
        session = here.staff.sessions.look(value)
        assert stage is None
        assert session is not None
        assert session.how == "password"

    async with staff_at(tmp_path / "other", here=Town("0123456789abcdef")) as here:
        with pytest.raises(DeskError, match="not_a_play"):
            await here.staff.add_example(new, "door.json", "open sesame")


async def test_a_hash_of_an_earlier_release_is_renewed_at_a_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other parameters the password stays the same."""
    async with staff_at(tmp_path) as here:
        member, *_ = await here.settled()
        before = here.staff.members.secrets_of(member.number).password
        from argon2 import PasswordHasher  # noqa: PLC0415 - the next release's

        from nrmbus.desk.staff import passwords  # noqa: PLC0415 - the same

        monkeypatch.setattr(passwords, "hasher", lambda: PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
        value = await here.half_way("Leyla Example", PASSWORD)
        after = here.staff.members.secrets_of(member.number).password
        assert before != after
        assert here.staff.half_way(value)
        assert await here.half_way("Leyla Example", PASSWORD)


async def test_the_first_try_of_all_tells_nothing_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a desk that has just started, a name that nobody has costs the same work as one that somebody has."""
    work = list[str]()
    real = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

    class Counted:
        def hash(self, password: str) -> str:
            work.append("hash")
            return real.hash(password)

        def verify(self, known: str, password: str) -> bool:
            work.append("verify")
            return real.verify(known, password)

    monkeypatch.setattr(passwords, "hasher", Counted)
    async with staff_at(tmp_path) as here:
        await here.invited(NAME)
        done = []
        for name in (NAME, "Nobody Example"):
            passwords._of_nobody.cache_clear()
            work.clear()
            with pytest.raises(NotSignedIn):
                await here.staff.with_password(name, "no password of anybody")
            done.append(list(work))
    passwords._of_nobody.cache_clear()

    assert done[0] == done[1] == ["hash", "verify"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_reset_ends_what_signs_in_at_the_same_moment(tmp_path: Path, turns: int) -> None:
    """Whoever has somebody's password and code gets no session that outlives the reset, however the two fall together."""
    async with staff_at(tmp_path) as here:
        member, secret, _, _ = await here.settled()
        here.later(minutes=1)
        value = await here.half_way("Leyla Example", PASSWORD)
        hashed = await here.staff._passwords.hashed("ABCD-ABCD-ABCD-ABCD")

        async def reset() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await here.staff.members.reset(member.number, hashed, "door.json")

        await asyncio.gather(here.staff.with_code(value, here.app(secret)), reset(), return_exceptions=True)

        assert here.staff.sessions.of(member.number) == []


async def test_a_reset_is_not_undone_by_a_first_password_of_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a one-time password in the wrong hands, when the member is reset while an own one is set, then the reset stands."""
    async with staff_at(tmp_path) as here:
        member, once = await here.invited()
        value, hashed = await here.half_way("Leyla Example", once), here.staff._passwords.hashed

        async def meanwhile(password: str) -> str:
            await here.staff.members.reset(member.number, await hashed("ABCD-ABCD-ABCD-ABCD"), "door.json")
            return await hashed(password)

        monkeypatch.setattr(here.staff._passwords, "hashed", meanwhile)
        with pytest.raises(NotSignedIn, match="over"):
            await here.staff.set_first_password(value, PASSWORD)

        assert here.staff.members.there(member.number).standing == "invited"
        assert await refusal(here, "Leyla Example", PASSWORD) == "wrong"


@pytest.mark.parametrize("turns", range(6))
async def test_a_reset_leaves_no_app_of_a_first_sign_in_at_the_same_moment(tmp_path: Path, turns: int) -> None:
    """Given a one-time password in the wrong hands, when the member is reset, then no second factor outlives the reset."""
    async with staff_at(tmp_path) as here:
        member, once = await here.invited()
        value = await here.half_way("Leyla Example", once)
        assert await here.staff.set_first_password(value, PASSWORD) is None
        code = here.app(here.staff.half_way(value)[0].secret)
        hashed = await here.staff._passwords.hashed("ABCD-ABCD-ABCD-ABCD")

        async def signs_in() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await here.staff.with_first_code(value, code)

        reset = here.staff.members.reset(member.number, hashed, "door.json")
        await asyncio.gather(reset, signs_in(), return_exceptions=True)

        member = here.staff.members.there(member.number)
        assert (member.standing, member.has_code, member.recovery_codes) == ("invited", False, 0)
