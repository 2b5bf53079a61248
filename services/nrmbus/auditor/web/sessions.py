"""Who is signed in at the auditor's page, in this process's memory: a restart signs everybody out.

Times are seconds of a clock that only goes forward.
"""

import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nrmbus.auditor.web.access_log import OnRecord, Question
from nrmbus.events.access import AccessPurpose

IDLE_SECONDS: Final = 30 * 60
LONGEST_SECONDS: Final = 8 * 3600
ANEW_SECONDS: Final = 15 * 60
"""The same question of the same session, within so long, is one question: a reload, or another moment of the same case."""
FAILURES: Final = 5
FAILURES_OF_ALL: Final = 50
WITHIN_SECONDS: Final = 15 * 60


@dataclass(slots=True)
class Session:
    """One person at one browser; ``form`` goes into every form, so that no other page can send one.

    ``password`` is what `Users.password_of` said when it began: another one ends it.
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
        """The record of *question* with these *words* if it was put a short while ago."""
        self._asked = {key: each for key, each in self._asked.items() if now - each[1] <= ANEW_SECONDS}
        found = self._asked.get((question, words))
        return found[0] if found else None

    def asked(self, record: OnRecord, words: str, now: float) -> None:
        """Note that the question is on record."""
        self._asked[record.question, words] = record, now


class Sessions:
    """All sessions; a token is known by its digest alone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the time from *clock*."""
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def begin(self, name: str, actor: str, password: str, purpose: AccessPurpose) -> str:
        """Sign somebody in; the token for his cookie."""
        now = self._clock()
        self._sessions = {key: each for key, each in self._sessions.items() if not _over(each, now)}
        token = secrets.token_urlsafe(32)
        self._sessions[_key(token)] = Session(name, actor, password, purpose, now, now)
        return token

    def find(self, token: str) -> Session | None:
        """The session of *token*, unless it is over; it is used by this."""
        now, session = self._clock(), self._sessions.get(_key(token))
        if session is None or _over(session, now):
            self.end(token)
            return None
        session.used = now
        return session

    def end(self, token: str) -> None:
        """Sign out."""
        self._sessions.pop(_key(token), None)


class Attempts:
    """How often signing in has failed of late, by name and altogether."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the time from *clock*."""
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque(maxlen=FAILURES_OF_ALL)

    def allows(self, name: str) -> bool:
        """Whether *name* may try now."""
        now = self._clock()
        while self._failed and now - self._failed[0][0] > WITHIN_SECONDS:
            self._failed.popleft()
        own = sum(each == name for _, each in self._failed)
        return own < FAILURES and len(self._failed) < FAILURES_OF_ALL

    def failed(self, name: str) -> None:
        """Note that a try for *name* has failed."""
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
