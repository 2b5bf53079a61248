"""Sessions of the auditor's page, in the memory of the process: a restart signs everybody out.

Times are seconds of a monotonic clock.
"""

import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nrmbus.auditor.web.access_log import OnRecord, Question
from nrmbus.events.access import AccessPurpose

IDLE_SECONDS: Final = 15 * 60
LONGEST_SECONDS: Final = 8 * 3600
REPEAT_SECONDS: Final = 15 * 60
"""How long the same question of a session counts as one: a reload, or another moment of the same case."""
HALF_WAY_SECONDS: Final = 15 * 60
"""Time between the password and the code."""
_MOST_HALF_WAY: Final = 1_000
FAILURES: Final = 5
FAILURES_OF_ALL: Final = 50
WITHIN_SECONDS: Final = 15 * 60


@dataclass(slots=True)
class Session:
    """Session of one person at one browser; ``form`` is a token in every form, so that no other page can send one.

    ``password`` is the value of `Users.password_of` at the beginning: another value ends the session.
    """

    name: str
    actor: str
    password: str = field(repr=False)
    purpose: AccessPurpose
    began: float
    used: float
    form: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    _asked: dict[tuple[Question, str], tuple[OnRecord, float]] = field(default_factory=dict, repr=False)

    def on_record(self, question: Question, words: str, now: float) -> OnRecord | None:
        """Return the record of *question* with these *words* if it was recorded a short while ago, else None."""
        self._asked = {key: each for key, each in self._asked.items() if now - each[1] <= REPEAT_SECONDS}
        found = self._asked.get((question, words))
        return found[0] if found else None

    def asked(self, record: OnRecord, words: str, now: float) -> None:
        """Note that a question was recorded."""
        self._asked[record.question, words] = record, now


class Sessions:
    """All sessions; of a token only the digest is stored."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the time from *clock*."""
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def begin(self, name: str, actor: str, password: str, purpose: AccessPurpose) -> str:
        """Begin a session, and return the token for its cookie."""
        now = self._clock()
        self._sessions = {key: each for key, each in self._sessions.items() if not _over(each, now)}
        token = secrets.token_urlsafe(32)
        self._sessions[_key(token)] = Session(name, actor, password, purpose, now, now)
        return token

    def find(self, token: str, *, by_itself: bool = False) -> Session | None:
        """Return the session of *token* and note its use, or None if it is over; a page that asks *by_itself* does not use it."""
        now, session = self._clock(), self._sessions.get(_key(token))
        if session is None or _over(session, now):
            self.end(token)
            return None
        if not by_itself:
            session.used = now
        return session

    def seconds_left(self, session: Session) -> int:
        """Return the seconds until *session* is over unless it is used."""
        return max(0, int(min(session.used + IDLE_SECONDS, session.began + LONGEST_SECONDS) - self._clock()))

    def end(self, token: str) -> None:
        """End the session of *token*."""
        self._sessions.pop(_key(token), None)


@dataclass(frozen=True, slots=True)
class HalfWay:
    """Sign-in of one person after the password and before the code; ``secret`` is that of an app to set up, if there is none yet."""

    name: str
    actor: str
    password: str = field(repr=False)
    purpose: AccessPurpose
    back: str
    began: float
    secret: str | None = field(repr=False)


class Begun:
    """All sign-ins that wait for a code; of a token only the digest is stored."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the time from *clock*."""
        self._clock = clock
        self._begun: dict[bytes, HalfWay] = {}

    def begin(
        self, name: str, actor: str, password: str, purpose: AccessPurpose, back: str, *, secret: str | None
    ) -> str:
        """Keep a sign-in, and return the token for its cookie."""
        now = self._clock()
        kept = {key: each for key, each in self._begun.items() if now - each.began <= HALF_WAY_SECONDS}
        self._begun = dict(list(kept.items())[-_MOST_HALF_WAY + 1 :])
        token = secrets.token_urlsafe(32)
        self._begun[_key(token)] = HalfWay(name, actor, password, purpose, back, now, secret)
        return token

    def find(self, token: str) -> HalfWay | None:
        """Return the sign-in of *token*; None if it took too long."""
        found = self._begun.get(_key(token))
        return found if found and self._clock() - found.began <= HALF_WAY_SECONDS else None

    def end(self, token: str) -> None:
        """Forget the sign-in of *token*."""
        self._begun.pop(_key(token), None)


class Attempts:
    """Failed attempts to sign in within the last minutes, by name and in total."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the time from *clock*."""
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque(maxlen=FAILURES_OF_ALL)

    def allows(self, name: str) -> bool:
        """Return whether *name* may try now."""
        now = self._clock()
        while self._failed and now - self._failed[0][0] > WITHIN_SECONDS:
            self._failed.popleft()
        own = sum(each == name for _, each in self._failed)
        return own < FAILURES and len(self._failed) < FAILURES_OF_ALL

    def failed(self, name: str) -> None:
        """Note a failed attempt for *name*."""
        self._failed.append((self._clock(), name))

    def succeeded(self, name: str) -> None:
        """Forget the failures of *name*."""
        kept = [each for each in self._failed if each[1] != name]
        self._failed.clear()
        self._failed.extend(kept)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _over(session: Session, now: float) -> bool:
    return now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS
