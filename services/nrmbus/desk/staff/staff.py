"""The agency's people at one desk: who may sign in, how, and what each changes of the own account."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import Connection

from nrmbus.bus.folder import PLAY
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import DeskError
from nrmbus.desk.staff import passkeys, passwords
from nrmbus.desk.staff.attempts import Attempts
from nrmbus.desk.staff.late_forms import LateForms
from nrmbus.desk.staff.members import Member, Members, NewMember
from nrmbus.desk.staff.passkeys import Challenges
from nrmbus.desk.staff.passwords import Passwords, Weakness
from nrmbus.desk.staff.permissions import Provider, StaffSettings
from nrmbus.desk.staff.sessions import How, Session, Sessions, digest_of
from nrmbus.desk.state.context import Seat
from nrmbus.events.errors import Problem
from nrmbus.web import second_factor
from nrmbus.web.languages import Language
from nrmbus.wire import times

if TYPE_CHECKING:
    from nrmbus.desk.staff.provider import SignInElsewhere

HALF_WAY: Final = timedelta(minutes=15)
"""Time between the password and the rest of a sign-in."""
_MOST_HALF_WAY: Final = 1_000

Reason = Literal["wrong", "locked", "over", "code_wrong", "passkey_wrong"]
"""Why nobody was signed in: wrong name or password, too many failures, a sign-in that took too long, a wrong code or passkey."""
Still = Callable[[], bool]
"""Returns whether what somebody signed in with holds still: asked within the transaction that rests on it."""
Stage = Literal["password", "factor", "code"]
"""Next step after the password: to choose an own password, to set up a second factor, or to enter its code."""


class NotSignedIn(Exception):
    """Raised where a sign-in fails, or a session has ended; says of the member nothing."""

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class HalfWay:
    """A sign-in whose password was right."""

    member: str
    until: datetime
    who: str = field(repr=False)
    name: str = field(repr=False)
    password: str | None = field(repr=False, default=None)
    """Hash of the password that was right: another one since ends the sign-in."""
    secret: str = field(repr=False, default_factory=second_factor.new_secret)
    """For an authenticator app, if the member is to have one."""


class Staff:
    """Members, sessions and sign-ins of one desk."""

    def __init__(self, seat: Seat, settings: StaffSettings, now: Callable[[], datetime] = wall_now) -> None:
        """Read the staff in the ledger of *seat*, with the agency's *settings*."""
        self.settings, self.now, self._seat = settings, now, seat
        self.members = Members(seat, settings.permissions, now)
        self.sessions = Sessions(seat.ledger, now)
        self.members.signed_out = self.sessions.forget
        self.attempts = Attempts(seat, now)
        self.challenges = Challenges(now)
        self.late = LateForms(now)
        self.elsewhere = _elsewhere(settings.provider, now) if settings.provider else None
        """Sign-in by the agency's own provider, if it has one."""
        self._passwords = Passwords()
        self._half_way: dict[str, HalfWay] = {}

    # -- signing in ----------------------------------------------------------------------------------------------------

    async def with_password(self, name: str, password: str) -> tuple[str, Stage | None]:
        """Return the value of a cookie after a right *password*, and what is missing; None: a session has begun.

        It takes as long for a name that nobody has, and the failure is the same.

        Raises:
            NotSignedIn: ``wrong``, ``locked``.
        """
        who = self.attempts.who(name)
        if not self.attempts.allows(who):
            raise NotSignedIn("locked")
        member = None if self.settings.provider and self.settings.provider.is_only else self.members.named(name)
        known = self.members.secrets_of(member.number).password if member else None
        typed = passwords.as_one_time(password) if member and member.once_ends else password
        with self.attempts.trying(who):
            if not await self._passwords.fits(known, typed) or member is None or not self._may_begin(member):
                await self.attempts.failed(who)
                raise NotSignedIn("wrong")
        if known is not None and passwords.is_outdated(known):
            before, known, number = known, await self._passwords.hashed(typed), member.number
            same = _if(lambda: self._has_password(number, before), "wrong")  # the old password must not come back
            await self.members.change(number, password=known, also=same)
        if member.is_example:
            number = member.number
            return await self._begin(member, "password", who, lambda: self._has_password(number, known)), None
        value, ends = secrets.token_urlsafe(32), self.now() + HALF_WAY
        there = {each: one for each, one in self._half_way.items() if one.until > self.now()}
        self._half_way = dict(list(there.items())[-_MOST_HALF_WAY:])
        self._half_way[digest_of(value)] = HalfWay(member.number, ends, who, member.name, known)
        return value, stage_of(member)

    def _may_begin(self, member: Member) -> bool:
        ends = times.read(member.once_ends) if member.once_ends else None
        return ends is None or self.now() < ends

    def half_way(self, value: str) -> tuple[HalfWay, Member]:
        """Return the sign-in that has come as far as its password, and its member.

        Raises:
            NotSignedIn: ``over``.
        """
        half = self._half_way.get(digest_of(value))
        member = self.members.find(half.member) if half else None
        if half is None or member is None or half.until <= self.now():
            raise NotSignedIn("over")
        if self.members.secrets_of(half.member).password != half.password:  # reset or removed meanwhile
            raise NotSignedIn("over")
        return half, member

    async def set_first_password(self, value: str, new: str) -> Weakness | None:
        """Give a member who came with a one-time password *new* as own one; return why it is too weak.

        Raises:
            NotSignedIn: ``over``: there is no such sign-in, or the member has an own password already.
        """
        half, member = self.half_way(value)
        if stage_of(member) != "password":
            raise NotSignedIn("over")
        weak = self._weakness(member, new) or ("same" if await self._passwords.fits(half.password, new) else None)
        if weak is None:
            hashed = await self._passwords.hashed(new)
            same = _if(self._goes_on(half))
            await self.members.change(member.number, password=hashed, once_ends=None, signs_out=True, also=same)
            half.password = hashed
        return weak

    async def with_first_code(self, value: str, code: str) -> tuple[str, tuple[str, ...]]:
        """Make an authenticator app the second factor of a member who has none; return cookie and recovery codes.

        Raises:
            NotSignedIn: ``over``, ``code_wrong``.
        """
        half, member = self.half_way(value)
        if stage_of(member) != "factor":
            raise NotSignedIn("over")
        codes = await self.set_code(member, half.secret, code, self._goes_on(half))
        if codes is None:
            raise NotSignedIn("code_wrong")
        return await self._complete(value, half, "code"), codes

    async def with_first_passkey(self, value: str, answer: str, host: str, origin: str) -> tuple[str, tuple[str, ...]]:
        """Make a passkey the second factor of a member who has none; return cookie and recovery codes.

        Raises:
            NotSignedIn: ``over``, ``passkey_wrong``.
        """
        half, member = self.half_way(value)
        if stage_of(member) != "factor":
            raise NotSignedIn("over")
        if not await self.add_passkey(member, answer, host, origin, self._goes_on(half)):
            raise NotSignedIn("passkey_wrong")
        codes = await self.new_recovery_codes(member, self._goes_on(half))
        return await self._complete(value, half, "passkey"), codes

    async def with_code(self, value: str, code: str) -> str:
        """Return the cookie of the session that *code*, or a recovery code, begins after the password.

        Raises:
            NotSignedIn: ``over``, ``locked``, ``code_wrong``.
        """
        half, member = self.half_way(value)
        if stage_of(member) != "code":
            raise NotSignedIn("over")
        if not self.attempts.allows(half.who):
            raise NotSignedIn("locked")
        known = self.members.secrets_of(member.number)
        with self.attempts.trying(half.who):
            step = second_factor.step_of(known.code, code, self.now(), known.step) if known.code else None
            if step is not None and await self.members.take_step(member.number, step):
                return await self._complete(value, half, "code")
            left = second_factor.without(known.recovery, code)
            if left is not None and await self.members.use_recovery_code(member.number, known.recovery, left):
                return await self._complete(value, half, "recovery_code")
            await self.attempts.failed(half.who)
        raise NotSignedIn("code_wrong")

    async def with_passkey(self, answer: str, host: str, origin: str) -> str:
        """Return the cookie of the session that a passkey begins; it needs no password.

        Raises:
            NotSignedIn: ``passkey_wrong``.
        """
        id, challenge = passkeys.challenge_in(answer)
        key = self.members.passkey(id)
        if key is None or key.host != host or not self.challenges.take(challenge, passkeys.SIGN_IN):
            raise NotSignedIn("passkey_wrong")
        uses, member = passkeys.used(key, answer, challenge, origin), self.members.find(key.member)
        if uses is None or member is None or member.standing != "active":
            raise NotSignedIn("passkey_wrong")
        try:
            await self.members.used_passkey(key, uses)
        except DeskError:  # it was removed, or the member reset, while it signed in
            raise NotSignedIn("passkey_wrong") from None
        return await self._begin(
            member, "passkey", self.attempts.who(member.name), lambda: self.members.passkey(id) is not None
        )

    async def with_subject(self, subject: str) -> str:
        """Return the cookie of the session of the member whom the agency's provider calls *subject*.

        Raises:
            NotSignedIn: ``wrong``: nobody here is called so.
        """
        member = self.members.of_subject(subject)
        if member is None:
            raise NotSignedIn("wrong")
        return await self._begin(
            member, "provider", self.attempts.who(member.name), lambda: self.members.of_subject(subject) is not None
        )

    async def _complete(self, value: str, half: HalfWay, how: How) -> str:
        self._half_way.pop(digest_of(value), None)
        return await self._begin(self.members.there(half.member), how, half.who, self._goes_on(half))

    async def _begin(self, member: Member, how: How, who: str, still: Still) -> str:
        """Begin a session if what the member signed in with *still* holds.

        Raises:
            NotSignedIn: ``over``.
        """
        look = _if(still)
        await self.attempts.succeeded(who)
        await self.members.change(member.number, signed_in=times.write(self.now()), also=look)
        return await self.sessions.begin(member.number, how, look)

    def _goes_on(self, half: HalfWay) -> Still:
        return lambda: self._has_password(half.member, half.password)

    def _has_password(self, number: str, password: str | None) -> bool:
        return self.members.find(number) is not None and self.members.secrets_of(number).password == password

    # -- the own account -----------------------------------------------------------------------------------------------

    async def is_password_of(self, member: Member, password: str) -> bool:
        """Return whether *password* is that of *member*, who is signed in; failures count as those of a sign-in.

        Raises:
            NotSignedIn: ``locked``.
        """
        who = self.attempts.who(member.name)
        if not self.attempts.allows(who):
            raise NotSignedIn("locked")
        with self.attempts.trying(who):
            if await self._passwords.fits(self.members.secrets_of(member.number).password, password):
                return True
            await self.attempts.failed(who)
        return False

    async def set_password(self, member: Member, session: Session, new: str) -> Weakness | tuple[str]:
        """Give *member* another password, which ends every session; return the cookie of a new one, or why not.

        Raises:
            NotSignedIn: ``over``: *session* was ended meanwhile.
        """
        weak = self._weakness(member, new)
        if weak is not None:
            return weak
        hashed = await self._passwords.hashed(new)
        goes_on = _if(lambda: self.sessions.goes_on(session))
        await self.members.change(member.number, password=hashed, once_ends=None, signs_out=True, also=goes_on)
        look = _if(lambda: self._has_password(member.number, hashed))
        return (await self.sessions.begin(member.number, session.how, look),)

    def _weakness(self, member: Member, new: str) -> Weakness | None:
        return passwords.weakness(new, member.name, self._seat.me, "nrmbus")

    async def set_code(self, member: Member, secret: str, code: str, still: Still) -> tuple[str, ...] | None:
        """Make an app with *secret* the second factor of *member*; return new recovery codes, or None if *code* is wrong.

        Raises:
            NotSignedIn: ``over``: what the member signed in with does not *still* hold.
        """
        step = second_factor.step_of(secret, code, self.now(), None)
        if step is None:
            return None
        codes = second_factor.new_recovery_codes()
        sealed = {"code": secret, "recovery": [second_factor.digest(each) for each in codes]}
        await self.members.change(member.number, sealed=sealed, code_step=step, also=_if(still))
        return codes

    async def new_recovery_codes(self, member: Member, still: Still) -> tuple[str, ...]:
        """Give *member* new recovery codes, and return them; the earlier ones are worth nothing from now on.

        Raises:
            NotSignedIn: ``over``: what the member signed in with does not *still* hold.
        """
        codes = second_factor.new_recovery_codes()
        sealed = {"recovery": [second_factor.digest(each) for each in codes]}
        await self.members.change(member.number, sealed=sealed, also=_if(still))
        return codes

    async def add_passkey(self, member: Member, answer: str, host: str, origin: str, still: Still) -> bool:
        """Add the passkey in a browser's *answer*; return False if the answer does not hold.

        Raises:
            NotSignedIn: ``over``: what the member signed in with does not *still* hold.
        """
        _, challenge = passkeys.challenge_in(answer)
        if not self.challenges.take(challenge, member.number):
            return False
        key = passkeys.added(member.number, answer, challenge, host, origin, self.now())
        if key is None:
            return False
        await self.members.add_passkey(key, _if(still))
        return True

    async def remove_passkey(self, member: Member, id: str) -> bool:
        """Remove a passkey of *member*; return False if it is the only second factor of a member who has a password here."""
        return await self.members.remove_passkey(member.number, id, keeps_one=not self.signs_in_elsewhere(member))

    # -- for the administrator -----------------------------------------------------------------------------------------

    async def add(self, new: NewMember, by: str, still: Still = lambda: True) -> tuple[Member, str | None]:
        """Add a member; return it, and its one-time password unless the agency's provider signs it in.

        Raises:
            NotSignedIn: ``over``: what *by* signed in with does not *still* hold.
            DeskError: ``member_exists``, ``staff_full``; ``unknown_field`` if the provider alone signs members in, and would
                not know this one, or if there is no provider to know the subject.
        """
        if new.subject is not None and self.settings.provider is None:
            raise DeskError("unknown_field", [Problem("/subject", "no_provider")])
        if new.subject is None and self.settings.provider is not None and self.settings.provider.is_only:
            raise DeskError("unknown_field", [Problem("/subject", "missing")])
        if new.subject is not None:
            return await self.members.add(new, by, None, also=_if(still)), None
        once = passwords.one_time()
        return await self.members.add(new, by, await self._passwords.hashed(once), also=_if(still)), once

    async def add_example(self, new: NewMember, by: str, password: str) -> Member:
        """Add an invented member who signs in with *password* alone; one of that name gets that password and these roles.

        Raises:
            DeskError: ``not_a_play``.
        """
        if not self._seat.bus.startswith(PLAY):
            raise DeskError("not_a_play")
        hashed, known = await self._passwords.hashed(password), self.members.named(new.name)
        if known is None:
            return await self.members.add(new, by, hashed, is_example=True)
        await self.members.set_roles(known.number, new.roles, by)
        return await self.members.change(
            known.number, password=hashed, once_ends=None, example=1, language=new.language
        )

    def signs_in_elsewhere(self, member: Member) -> bool:
        """Return whether the agency's provider signs *member* in, who then has no password here."""
        return member.is_of_provider and self.settings.provider is not None

    def gets_no_password(self, member: Member) -> bool:
        """Return whether a reset gives *member* no one-time password: the provider signs in this member, or everybody."""
        provider = self.settings.provider
        return self.signs_in_elsewhere(member) or (provider is not None and provider.is_only)

    async def reset(self, number: str, by: str, still: Still = lambda: True) -> tuple[Member, str | None]:
        """Have *by* reset a member's sign-in: second factors are forgotten, and sessions end.

        Return the member, and a one-time password unless the member could not sign in with one (`gets_no_password`).

        Raises:
            NotSignedIn: ``over``: what *by* signed in with does not *still* hold.
        """
        if self.gets_no_password(self.members.there(number)):
            return await self.members.reset(number, None, by, also=_if(still)), None
        once = passwords.one_time()
        return await self.members.reset(number, await self._passwords.hashed(once), by, also=_if(still)), once

    async def set_language(self, member: Member, language: Language) -> Member:
        """Have pages and mails speak *language* to *member*."""
        return await self.members.change(member.number, language=language)


def stage_of(member: Member) -> Stage:
    """Return what is missing after the password of *member*."""
    if member.once_ends is not None:
        return "password"
    return "code" if member.has_code or member.passkeys else "factor"


def _if(still: Still, reason: Reason = "over") -> Callable[[Connection], None]:
    """Return a step of a transaction that raises NotSignedIn unless what somebody signed in with *still* holds.

    A reset or a removal may have come since it was looked at.
    """

    def look(_: Connection) -> None:
        if not still():
            raise NotSignedIn(reason)

    return look


def _elsewhere(provider: Provider, now: Callable[[], datetime]) -> "SignInElsewhere":
    """Return the sign-in by *provider*; a desk without one loads no HTTP client."""
    from nrmbus.desk.staff.provider import SignInElsewhere  # noqa: PLC0415 - said above

    return SignInElsewhere(provider, now)
