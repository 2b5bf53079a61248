"""Sessions: over after a quarter of an hour without a use, after eight hours, and when somebody says so."""

from pathlib import Path

import pytest

from desk.given import StandingClock
from desk.staff.given import GivenStaff, staff_at
from nrmbus.desk.errors import DeskError
from nrmbus.desk.staff.attempts import OF_NAME
from nrmbus.desk.store import tables

pytestmark = pytest.mark.usefixtures("kept", "cheap_passwords")


async def begun(here: GivenStaff, member: str = "482913") -> str:
    """Return the cookie of a new session."""
    return await here.staff.sessions.begin(member, "code")


async def test_a_session_ends_where_nobody_is(tmp_path: Path) -> None:
    """A use extends it by a quarter of an hour; a page that follows by itself does not."""
    async with staff_at(tmp_path) as here:
        value = await begun(here)
        here.later(minutes=14)
        assert await here.staff.sessions.use(value)
        here.later(minutes=14)
        assert here.staff.sessions.look(value)
        here.later(minutes=1)
        assert here.staff.sessions.look(value) is None
        assert await here.staff.sessions.use(value) is None


async def test_a_session_ends_after_a_day_of_work(tmp_path: Path) -> None:
    """However much it is used."""
    async with staff_at(tmp_path) as here:
        value = await begun(here)
        for _ in range(47):
            here.later(minutes=10)
            assert await here.staff.sessions.use(value)
        here.later(minutes=10)
        assert await here.staff.sessions.use(value) is None


async def test_a_restart_signs_nobody_out_and_nobody_in(tmp_path: Path) -> None:
    """The ledger has a use after a minute at most, and the digest of a session alone."""
    clock = StandingClock()
    async with staff_at(tmp_path, clock) as here:
        value = await begun(here)
        here.later(minutes=10)
        await here.staff.sessions.use(value)
        with here.seat.ledger.read() as tx:
            assert value not in repr(tx.execute(tables.sessions.select()).all())
    async with staff_at(tmp_path, clock) as here:
        here.later(minutes=14)
        assert await here.staff.sessions.use(value)
        here.later(minutes=15)
    async with staff_at(tmp_path, clock) as here:
        assert await here.staff.sessions.use(value) is None
        assert here.staff.sessions.last(value) is not None, "whose form comes late is still known"
        here.later(hours=1)
        await begun(here)
        assert here.staff.sessions.last(value) is None
        with here.seat.ledger.read() as tx:
            assert len(tx.execute(tables.sessions.select()).all()) == 1, "what is over is deleted"


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_session_of_a_clock_that_was_ahead_is_over(tmp_path: Path, *, restarts: bool) -> None:
    """Given a session that was begun while the clock was two days ahead, when the clock is right, then it is over, stays so when that time comes, and is deleted."""
    clock = StandingClock()
    async with staff_at(tmp_path, clock) as here:
        here.later(days=2)
        value = await begun(here)
        here.later(days=-2)
        if not restarts:
            assert here.staff.sessions.look(value) is None
            here.later(days=2)
            assert await here.staff.sessions.use(value) is None
            here.later(days=-2)
    async with staff_at(tmp_path, clock) as here:
        assert here.staff.sessions.of("482913") == []
        assert await here.staff.sessions.use(value) is None
        here.later(hours=1)
        await begun(here)
        with here.seat.ledger.read() as tx:
            assert len(tx.execute(tables.sessions.select()).all()) == 1


async def test_a_clock_that_is_set_back_by_seconds_signs_nobody_out(tmp_path: Path) -> None:
    """Given a session, when the clock is corrected by half a minute, then it goes on."""
    async with staff_at(tmp_path) as here:
        value = await begun(here)
        here.later(seconds=-30)

        assert await here.staff.sessions.use(value)


async def test_each_session_can_be_ended_and_all_but_one(tmp_path: Path) -> None:
    """By the member, and by whoever manages the staff; a member ends nobody else's."""
    async with staff_at(tmp_path) as here:
        sessions = here.staff.sessions
        first, second, third, other = [await begun(here) for _ in range(3)] + [await begun(here, "555555")]
        found = {value: sessions.look(value) for value in (first, second, third, other)}
        with pytest.raises(DeskError, match="not_found"):
            await sessions.end_of("482913", found[other].id)  # type: ignore[union-attr]
        assert sessions.goes_on(found[first])  # type: ignore[arg-type]
        await sessions.end_of("482913", found[first].id)  # type: ignore[union-attr]
        assert not sessions.goes_on(found[first]), "a stream of events ends, too"  # type: ignore[arg-type]
        assert [sessions.look(each) is not None for each in (first, second, third, other)] == [False, True, True, True]
        await sessions.end_others(found[third])  # type: ignore[arg-type]
        assert [each.id for each in sessions.of("482913")] == [found[third].id]  # type: ignore[union-attr]
        await sessions.end_of(None, found[other].id)  # type: ignore[union-attr]
        assert [each.member for each in sessions.everybodys()] == ["482913"]
    async with staff_at(tmp_path) as here:
        assert [each.member for each in here.staff.sessions.everybodys()] == ["482913"]
        assert here.staff.sessions.look("") is None


async def test_a_server_that_is_away_signs_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a ledger whose server is away, then a session is used as before, and a failed sign-in counts in memory."""
    async with staff_at(tmp_path) as here:
        value, who = await begun(here), here.staff.attempts.who("Leyla Example")
        here.later(minutes=2)

        def away() -> None:
            raise DeskError("not_available")

        monkeypatch.setattr(here.seat.ledger, "write", away)
        session = await here.staff.sessions.use(value)
        for _ in range(OF_NAME):
            await here.staff.attempts.failed(who)

        assert (session, session and session.used) == (here.staff.sessions.look(value), here.clock.now())
        assert not here.staff.attempts.allows(who)
