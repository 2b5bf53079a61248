"""One person at two NGOs, found without telling anybody who she is: a working prototype, in memory (decision on oblivious matching).

An agency turns an identity into a token with the help of two evaluators, each of which sees a blinded value only (VOPRF,
RFC 9497, ristretto255). A comparer, which has neither key, compares tokens and answers both agencies at once. Identity numbers
can be tried one after the other, so an evaluation costs a registered consent of a person, once, and a place in a monthly limit.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from voprf import ristretto

from nrmbus.wire.keys.keys import SealingKey, SealTo

PURPOSE: Final = "tracing"
"""Purpose of consent without which nothing is asked."""
MONTHLY: Final = 20
"""Most evaluations for one agency in a month; about ninety persons are identified in a year."""
TOKEN_BYTES: Final = 32

_CONTEXT: Final = b"nrmbus/matching/v1\0"
_GAPS: Final = re.compile(r"[\W_]+")
_LATIN: Final = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0130", "ABEKMHOPCTYXII"
)
"""Letters of other keyboards that look like a letter of a document: Cyrillic ones, and the Azerbaijani dotted I."""
_DOCUMENT: Final = re.compile(r"[A-Z0-9]+")

Code = Literal["consent_missing", "consent_used", "monthly_limit", "evaluator_wrong"]


class NotAsked(Exception):
    """Nothing was asked, or no token was made; ``code`` says why. The message has no fact about anybody."""

    def __init__(self, code: Code) -> None:
        """Name the *code*."""
        self.code: Code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's registered consent that an agency may have it found out whether another agency helps her too."""

    id: str
    agency: str
    purpose: str
    until: datetime


Registered = Callable[[str], Consent | None]
"""Returns the consent of an id from the history, or None if it was never registered, or was withdrawn."""


class Sent(NamedTuple):
    """A message as its carrier sees it."""

    by: str
    to: str
    content: bytes


class Match(NamedTuple):
    """Answer to an agency: the other agency with the same person, and both references."""

    to: str
    own: str
    other: str
    others: str


def identity(country: str, document: str) -> bytes:
    """Return an identity document in the one form that all agencies feed in: no gaps or marks, and Latin capitals (ICAO 9303).

    Raises:
        ValueError: no document has such a number or country. No other agency would write the same, so no match would be
            found.
    """
    typed = (unicodedata.normalize("NFKC", each).upper() for each in (country, document))
    parts = [_GAPS.sub("", each).translate(_LATIN) for each in typed]
    if not all(_DOCUMENT.fullmatch(each) for each in parts):
        raise ValueError("a document has the letters A to Z and digits: type country and number as they stand there")
    return _CONTEXT + b"\0".join(each.encode() for each in parts)


def _standing(registered: Registered, agency: str, id: str, now: datetime) -> Consent:
    consent = registered(id)
    if consent is None or (consent.agency, consent.purpose) != (agency, PURPOSE) or now >= consent.until:
        raise NotAsked("consent_missing")
    return consent


class Evaluator:
    """One of two bodies with a key each. An evaluator sees the asking agency, time and consent, never the person."""

    def __init__(self, name: str, registered: Registered, monthly: int = MONTHLY) -> None:
        """Begin with a fresh key; *registered* looks a consent up in the history."""
        self.name = name
        self._server = ristretto.Evaluator(os.urandom(32))
        self._registered, self._monthly = registered, monthly
        self._used: dict[str, bytes] = {}
        self._spent: Counter[tuple[str, str]] = Counter()

    @property
    def public(self) -> bytes:
        """Return the public key, which the directory would publish: an evaluation with another key is noticed."""
        return self._server.public_key.serialize()

    def evaluate(self, agency: str, consent: str, blinded: bytes, now: datetime) -> bytes:
        """Return the evaluation of *blinded*, with a proof. A repeated question is answered: it reveals no more.

        Raises:
            NotAsked: there is no such consent, the consent was used before, or the agency has reached its monthly
                limit.
        """
        _standing(self._registered, agency, consent, now)
        month = (agency, f"{now:%Y-%m}")
        if self._used.get(consent, blinded) != blinded:
            raise NotAsked("consent_used")
        if consent not in self._used:
            if self._spent[month] >= self._monthly:
                raise NotAsked("monthly_limit")
            self._used[consent] = blinded
            self._spent[month] += 1
        return self._server.evaluate(ristretto.BlindedInput.deserialize(blinded)).serialize()


class Comparer:
    """Compares tokens. Without the evaluators' keys a token leads to nobody, and it has no list to show."""

    def __init__(self, name: str, registered: Registered) -> None:
        """Begin with no token; *registered* looks a consent up in the history."""
        self.name = name
        self._registered = registered
        self._key = SealingKey.generate()
        self._waiting: dict[bytes, list[tuple[str, str, str]]] = {}

    @property
    def seal_to(self) -> SealTo:
        """Return the public key that tokens are sealed to, so that no carrier compares them."""
        return self._key.seal_to

    def deposit(self, agency: str, consent: str, ref: str, sealed: bytes, now: datetime) -> tuple[Match, ...]:
        """Take a token, which waits as long as the consent stands; return the answers to both agencies, or nothing.

        Raises:
            NotAsked: no such consent stands.
        """
        _standing(self._registered, agency, consent, now)
        token = self._key.open(sealed, _info(agency, consent))
        there = [each for each in self._waiting.get(token, []) if self._stands(each, now)]
        others = [each for each in there if each[0] != agency]
        self._waiting[token] = [*(each for each in there if each[0] != agency), (agency, consent, ref)]
        found = []
        for other, _, others_ref in others:
            found += [Match(agency, ref, other, others_ref), Match(other, others_ref, agency, ref)]
        return tuple(found)

    def _stands(self, waiting: tuple[str, str, str], now: datetime) -> bool:
        agency, consent, _ = waiting
        try:
            _standing(self._registered, agency, consent, now)
        except NotAsked:
            return False
        return True


def _info(agency: str, consent: str) -> bytes:
    return _CONTEXT + f"{agency}\0{consent}".encode()


class Asker:
    """An agency that asks for one person. Its messages go through *carry*, as a broker would carry them.

    A question that was interrupted is asked again in the same words: it costs the person no second consent.
    """

    def __init__(self, agency: str, registered: Registered, carry: Callable[[Sent], None]) -> None:
        """Ask in the name of *agency*."""
        self.agency = agency
        self._registered, self._carry = registered, carry
        self._begun: dict[tuple[str, str, bytes], tuple[ristretto.Client, bytes]] = {}
        """Questions without an answer yet, by consent, evaluator and identity. A service keeps them sealed in its ledger."""

    def ask(
        self,
        who: bytes,
        consent: str,
        ref: str,
        evaluators: Mapping[Evaluator, bytes],
        comparer: Comparer,
        now: datetime,
    ) -> tuple[Match, ...]:
        """Have it found out whether another agency has *who*; *evaluators* maps each to its public key by the directory.

        Raises:
            NotAsked: the person has not agreed, and then nothing was sent; or as the evaluators raise it.
        """
        _standing(self._registered, self.agency, consent, now)
        token = self._token([self._evaluated(who, consent, each, key, now) for each, key in evaluators.items()])
        sealed = comparer.seal_to.wrap(token, _info(self.agency, consent))
        self._carry(Sent(self.agency, comparer.name, sealed))
        found = comparer.deposit(self.agency, consent, ref, sealed, now)
        self._begun = {begun: kept for begun, kept in self._begun.items() if begun[0] != consent}
        return found

    def _evaluated(self, who: bytes, consent: str, evaluator: Evaluator, public: bytes, now: datetime) -> bytes:
        begun = (consent, evaluator.name, who)
        if begun not in self._begun:
            fresh, blinded = ristretto.Client.blind(who)
            self._begun[begun] = fresh, blinded.serialize()
        client, asked = self._begun[begun]
        self._carry(Sent(self.agency, evaluator.name, asked))
        answer = evaluator.evaluate(self.agency, consent, asked, now)
        self._carry(Sent(evaluator.name, self.agency, answer))
        try:
            return client.finalize(
                ristretto.VerifiableOutput.deserialize(answer), ristretto.PublicKey.deserialize(public)
            )
        except ValueError:
            pass
        raise NotAsked("evaluator_wrong")

    @staticmethod
    def _token(outputs: Sequence[bytes]) -> bytes:
        """Return the token of all *outputs*: to try identities, an attacker needs every evaluator's key."""
        return hashlib.sha256(_CONTEXT + b"".join(outputs)).digest()[:TOKEN_BYTES]
