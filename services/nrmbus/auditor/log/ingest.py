"""From the topic into the log: each record of ``nrm.cases`` is verified and appended in its turn, or the reading stops.

Pure but for the log: nothing here knows Kafka. The topic is read from its beginning at every start; what the log holds
already is compared with what comes, leaf by leaf, so a history that was rewritten, or lost its tail, is noticed then.
"""

from collections.abc import Callable
from typing import Final

from nrmbus.auditor.errors import LogCode, LogError
from nrmbus.auditor.log.log import Log
from nrmbus.wire import json, statement
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from nrmbus.wire.registration import Registration

_NOT_SIGNED: Final = frozenset({"signature_invalid", "key_not_current"})


class Reading:
    """One partition of the history on its way into its log."""

    def __init__(self, log: Log, registrar_key: Callable[[str], VerifyKey]) -> None:
        """Begin before the first record; *registrar_key* finds the registrar's key of a kid, as `Directory` does."""
        self.log = log
        self.number = 0
        """The number of the last record that was taken."""
        self._known, self._registrar_key = log.size, registrar_key

    def take(self, record: Record) -> None:
        """Take the next record of the topic.

        Raises:
            LogError: as `Log.append`; ``unreadable``, ``signature_invalid``, ``envelope_altered``,
                ``audience_altered`` or ``envelope_missing`` with the number that is due. Nothing has changed then.
        """
        code: LogCode
        try:
            self._take(record)
        except WireError as error:
            code = "signature_invalid" if error.code in _NOT_SIGNED else "unreadable"
        else:
            self.number += 1
            return
        raise self._stopped(code)

    def end(self) -> None:
        """Say that the topic was read to its end.

        Raises:
            LogError: ``tail_cut`` if log or signature reach further than the topic.
        """
        if self.number < self.log.size:
            raise self._stopped("tail_cut")
        if not self.log.reaches_signed:
            raise LogError("tail_cut", self.log.origin, number=self.log.signed.size)

    def _take(self, record: Record) -> None:
        envelope, added = record.split()
        if REGISTRATION not in added:
            raise WireError("unreadable")
        if self.number < self._known:
            body = statement.body_of("registration", added[REGISTRATION])
            self._compare(body)
            if _is_bare(envelope) and Registration.parse(body).verdict == "registered":
                raise self._stopped("envelope_missing")
            return
        body, _ = statement.verify_bytes("registration", added[REGISTRATION], self._registrar_key)
        registration = Registration.parse(body)
        if AUDIENCE not in added or json.digest(added[AUDIENCE]) != registration.audience:
            raise self._stopped("audience_altered")
        if registration.verdict == "registered" and _is_bare(envelope):
            raise self._stopped("envelope_missing")
        if not _carries(envelope, registration):
            raise self._stopped("envelope_altered")
        self.log.append(registration)

    def _compare(self, body: bytes) -> None:
        due = self.number + 1
        if self.log.holds(due, body):
            return
        number = Registration.parse(body).number
        raise LogError(
            "gap" if number > due else "duplicate" if number < due else "out_of_turn", self.log.origin, number=number
        )

    def _stopped(self, code: LogCode) -> LogError:
        return LogError(code, self.log.origin, number=self.number + 1)


def _is_bare(envelope: Record) -> bool:
    """Return whether nothing of an *envelope* is there, as for a refusal."""
    return not envelope.headers and not envelope.value


def _carries(envelope: Record, registration: Registration) -> bool:
    """Whether *envelope* is what was registered: the signed one of an event, and none of what was refused."""
    if registration.verdict == "refused":
        return _is_bare(envelope)
    try:
        said = decode(envelope)
    except WireError:
        return False
    named = (said.digest, said.id, said.source, said.subject, said.kid)
    return said.fits and named == (
        registration.envelope, registration.id, registration.source, registration.subject, registration.key,
    )  # fmt: skip
