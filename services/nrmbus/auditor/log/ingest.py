"""Log ingest: every record of ``nrm.cases`` is verified and appended to the log in turn, or the ingest stops.

Pure but for the log: nothing here knows Kafka. The topic is read from its beginning at every start. A registration that the
log holds already is compared with its leaf, so that a history that was rewritten, or lost its tail, is noticed then.
"""

from collections.abc import Callable, Mapping
from typing import Final

from nrmbus.auditor.errors import LogCode, LogError
from nrmbus.auditor.log.log import Log
from nrmbus.wire.history import FaultCode, HistoryFault, HistoryRecord, Plain, plain, read
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Registration

_CODES: Final[Mapping[FaultCode, LogCode]] = {
    "unreadable": "unreadable", "signature_invalid": "signature_invalid", "foreign": "foreign", "gap": "gap",
    "duplicate": "duplicate", "chain_broken": "chain_broken", "audience_missing": "audience_altered",
    "audience_altered": "audience_altered", "envelope_missing": "envelope_missing",
    "envelope_unreadable": "envelope_altered", "envelope_altered": "envelope_altered",
}  # fmt: skip


class LogIngest:
    """One partition of the history on its way into its log."""

    def __init__(self, log: Log, registrar_key: Callable[[str], VerifyKey]) -> None:
        """Begin before the first record; *registrar_key* finds the registrar's key of a kid, as `Directory` does."""
        self.log = log
        self.number = 0
        """The number of the last record that was taken."""
        self._known, self._registrar_key = log.size, registrar_key

    def begin_after(self, number: int) -> None:
        """Take the records behind the registration *number*, which the log has; others compare those before."""
        self.number = number

    def compared(self, number: int) -> None:
        """Check, where a comparison ends, that it came to the registration *number*; raises LogError, ``gap``, if not."""
        if self.number != number:
            raise self._stopped("gap")

    def take(self, record: Record) -> None:
        """Verify the next record of the topic, and append it to the log or compare it with its leaf.

        Raises:
            LogError: as `Log.append`; ``unreadable``, ``signature_invalid``, ``envelope_altered``,
                ``audience_altered`` or ``envelope_missing`` with the number that is due. Nothing has changed then.
        """
        code: LogCode
        try:
            if self.number < self._known:
                self._compare(read(record, plain))
            else:
                self._append(read(record, Registration.parse, self._registrar_key))
        except HistoryFault as fault:
            code = _CODES[fault.code]
        else:
            self.number += 1
            return
        raise self._stopped(code)

    def end(self) -> None:
        """Check, after the last record of the topic, that the topic reaches as far as the log and its signature.

        Raises:
            LogError: ``tail_cut``.
        """
        if self.number < self.log.size:
            raise self._stopped("tail_cut")
        if not self.log.reaches_signed:
            raise LogError("tail_cut", self.log.origin, number=self.log.signed.size)

    def _append(self, record: HistoryRecord[Registration]) -> None:
        record.check_commitments()
        if record.registration.verdict == "registered":
            record.opened()
        self.log.append(record.registration)  # checks the place of the record

    def _compare(self, record: HistoryRecord[Plain]) -> None:
        number, due = record.registration.number, self.number + 1
        if not self.log.holds(due, record.body):
            raise LogError(
                "gap" if number > due else "duplicate" if number < due else "out_of_turn",
                self.log.origin,
                number=number,
            )
        record.check_commitments()
        if record.registration.verdict == "registered":
            record.check_envelope_digest()

    def _stopped(self, code: LogCode) -> LogError:
        return LogError(code, self.log.origin, number=self.number + 1)
