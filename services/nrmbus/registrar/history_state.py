"""What one partition's registrar knows: a fold of ``nrm.cases``, and nothing else.

Folding is quick, so that a registrar is back in seconds: of every record the number, the chain of digests and the
commitments are checked at once, but a case is brought to life only when somebody speaks of it again.
"""

import json as plain_json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nrmbus.bus.high_water import Mark
from nrmbus.events.model import Event, Fact
from nrmbus.registrar.case import Asleep, Case, Known
from nrmbus.registrar.records import Statement
from nrmbus.registrar.spill_file import Scratch, Submission
from nrmbus.rules import Rules
from nrmbus.wire import base64, json, statement, times
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.record import AUDIENCE, MATERIAL, REGISTRATION, SUBMITTED, Record, header_of
from nrmbus.wire.registration import NOTHING_BEFORE

CONSENTS: Final = frozenset({"consent.given", "consent.overridden"})
"""Types whose envelopes are kept: they are delivered again to whoever gets its first event of the case later."""


EMERGENCY: Final = "access.break_glass"
"""The type that an agency may say only so often a month, over all cases."""

_TYPE: Final = header_of("type")
_EMERGENCY: Final = f"nrm.{EMERGENCY}".encode()


def is_asking(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether *headers* are of an agency that breaks the glass; of a refusal, which keeps no envelope, they never are."""
    return (_TYPE, _EMERGENCY) in headers


class HistoryError(Exception):
    """Raised when ``nrm.cases`` is not the history it claims to be; a person must look before this partition runs again."""

    def __init__(self, partition: int, number: int, what: str, remedy: str = "restore the topic") -> None:
        super().__init__(f"nrm.cases partition {partition}: registration {number} {what}; {remedy}, then start again")


@dataclass(slots=True)
class _Inbox:
    number: int = 0
    previous: str = NOTHING_BEFORE


class Memory:
    """The state of one partition; what grows with every submission is in *scratch*."""

    def __init__(self, *, bus: str, partition: int, rules: Rules, scratch: Scratch | None = None) -> None:
        self.bus, self.partition = bus, partition
        self.number = 0
        """Number of the last registration; numbers start at 1 and have no gaps."""
        self.previous = NOTHING_BEFORE
        """Digest of the last registration."""
        self.time: datetime | None = None
        self.head: bytes | None = None
        """The last committed registration, signed, as it stands in the topic."""
        self.sources: dict[str, int] = {}
        """Per outbox topic, the offset of its last registered submission."""
        self.spent: Counter[tuple[str, str]] = Counter()
        """How often each agency has broken the glass in each month, in the cases of this partition."""
        self._rules = rules
        self._scratch = scratch or Scratch()
        self._inboxes: dict[str, _Inbox] = {}

    def case(self, subject: str) -> Case | None:
        """A case, awake.

        Raises:
            HistoryError: an envelope of it is not the one that was registered.
        """
        case = self._scratch.case(subject)
        if case is not None and case.asleep:
            before = case.view
            try:
                for each in case.asleep:
                    self._wake(case, each)
            except HistoryError:
                case.view = before  # half a case must not pass for one
                raise
            case.asleep = []
        return case

    def case_or_new(self, subject: str) -> Case:
        """A case, awake, or a fresh one of which nothing is known."""
        return self.case(subject) or self._scratch.keep(subject, Case(self._rules.start(subject)))

    def answered(self, submission: Submission) -> Known | None:
        """How the submission with this source, subject and id was answered, if it was."""
        return self._scratch.answered(submission)

    def answer(self, submission: Submission, known: Known) -> None:
        """Note how a submission is answered; what was noted first stays."""
        self._scratch.answer(submission, known)

    def has_events(self, subject: str) -> bool:
        """Whether anything of this case was ever registered; it is not woken for that."""
        case = self._scratch.case(subject)
        return case is not None and bool(case.digests)

    def subjects(self) -> tuple[str, ...]:
        """Every case and incident of this partition that somebody spoke of."""
        return self._scratch.subjects()

    @property
    def inbox_numbers(self) -> dict[str, int]:
        """The last delivery number of each agency on this partition."""
        return {agency: inbox.number for agency, inbox in self._inboxes.items()}

    def next_delivery(self, agency: str, registration: str) -> Statement:
        """The next delivery to *agency*, of the registration with this digest. Written as `Delivery.json` writes it."""
        inbox = self._inboxes.setdefault(agency, _Inbox())
        inbox.number += 1
        body = (
            f'{{"bus":"{self.bus}","inbox_number":{inbox.number},"partition":{self.partition},'
            f'"previous":"{inbox.previous}","registration":"{registration}","to":"{agency}"}}'
        ).encode()
        inbox.previous = json.digest(body)
        return Statement("delivery", body)

    def remember(self, case: Case, event: Event, envelope: Record, told: tuple[str, ...], said: Statement) -> None:
        """Let *event*, just registered as `number`, be part of the case."""
        assert self.time is not None  # noqa: S101 - set with every number
        case.count(event.source, event.sequence)
        case.view = self._rules.evolve(case.view, Fact.of(event, told, self.time, self.number))
        if event.type in CONSENTS:
            case.consents[event.id] = (envelope, said)
        if case.view.over:
            case.consents.clear()  # nobody comes to it any more
        if event.type == EMERGENCY:
            self.spent[event.source, self._rules.month(self.time)] += 1

    # -- recovering --------------------------------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """Take one committed record of ``nrm.cases``, in order.

        Raises:
            HistoryError: a number, a digest or an envelope is not the due one. Whoever folds refuses to run.
        """
        envelope, registration, audience, said, (topic, offset) = self._due(record)
        self.number, self.previous, self.time = registration["number"], said.digest, times.read(registration["time"])
        self.head = said.signed
        self.sources[topic] = offset
        source, subject = registration["source"], registration["subject"]
        case = self._scratch.case(subject) or self._scratch.keep(subject, Case(self._rules.start(subject)))
        case.count(source, registration["sequence"])
        refused = registration["verdict"] == "refused"
        if not refused:
            self._committed(envelope, registration)
            told = tuple(audience["recipients"])
            case.asleep.append(Asleep(envelope, told, registration["time"], self.number, said.signed))
            case.digests.setdefault(registration["id"], said.digest)
            self._delivered(case, audience)
            if self.time is not None and is_asking(envelope.headers):
                self.spent[source, self._rules.month(self.time)] += 1
        receipt = self.next_delivery(source, said.digest)
        known = Known(registration["envelope"], said, receipt, refused)
        self._scratch.answer((source, subject, registration["id"]), known)

    def hold_against(self, mark: Mark | None) -> None:
        """Check that the registration just folded is the one of the high-water *mark*, if it has the mark's number.

        Raises:
            HistoryError: it is another.
        """
        if mark is not None and mark.number == self.number and mark.digest != self.previous:
            raise HistoryError(self.partition, self.number, "is not the one that was here")

    def _delivered(self, case: Case, audience: Mapping[str, Any]) -> None:
        for agency in audience["recipients"]:
            for earlier in audience["earlier"].get(agency, ()):
                if earlier not in case.digests:
                    raise HistoryError(self.partition, self.number, "delivers a consent that was not registered before")
                self.next_delivery(agency, case.digests[earlier])
            self.next_delivery(agency, self.previous)

    def _due(self, record: Record) -> tuple[Record, dict[str, Any], dict[str, Any], Statement, tuple[str, int]]:
        found = None
        with suppress(WireError, KeyError, ValueError, TypeError):
            envelope, added = record.split()
            body = statement.body_of("registration", added[REGISTRATION])
            registration, audience = plain_json.loads(body), plain_json.loads(added[AUDIENCE])
            committed = registration["audience"] == json.digest(added[AUDIENCE])
            ours = (registration["bus"], registration["partition"]) == (self.bus, self.partition)
            topic, _, offset = added[SUBMITTED].decode("ascii").rpartition(":")
            said = Statement("registration", body, added[REGISTRATION])
            found = envelope, registration, audience, said, (topic, int(offset))
        if found is None:
            raise HistoryError(self.partition, self.number + 1, "is not a registration")
        if not ours:
            raise HistoryError(self.partition, self.number + 1, "belongs to another bus or partition")
        if registration["number"] != self.number + 1:
            raise HistoryError(self.partition, self.number + 1, "is due, another number came")
        if registration["previous"] != self.previous:
            raise HistoryError(self.partition, self.number + 1, "does not follow the one before it")
        if not committed:
            raise HistoryError(self.partition, self.number + 1, "names other recipients than it committed to")
        return found

    def _committed(self, envelope: Record, registration: Mapping[str, Any]) -> None:
        material = next((value for name, value in envelope.headers if name == MATERIAL), b"")
        digest = None
        with suppress(WireError):
            digest = json.digest(base64.decode(material.decode("ascii", "replace"), "signature_profile"))
        if digest != registration["envelope"]:
            raise HistoryError(self.partition, registration["number"], "has another envelope than it registered")

    def _wake(self, case: Case, asleep: Asleep) -> None:
        event, code = None, ""
        try:
            signed = decode(asleep.record)
            event = signed.event() if signed.fits else None
        except WireError as error:
            code = error.code
        if code in ("unknown_type", "unknown_version"):
            what = "was said in a type or version that this release does not know"
            raise HistoryError(self.partition, asleep.number, what, "upgrade the registrar")
        time = times.read(asleep.time)
        if event is None or time is None:
            raise HistoryError(self.partition, asleep.number, "has another envelope than it registered")
        case.view = self._rules.evolve(case.view, Fact.of(event, asleep.told, time, asleep.number))
        if event.type in CONSENTS:
            body = statement.body_of("registration", asleep.signed)
            case.consents[event.id] = asleep.record, Statement("registration", body, asleep.signed)
        if case.view.over:
            case.consents.clear()  # as `remember` does

    def check_head(self, key_of: Callable[[str], VerifyKey]) -> None:
        """After the last `fold`: verify the signature of the last registration, whose chain of digests answers for all before it.

        Raises:
            HistoryError: the registrar of this bus did not sign it.
        """
        if self.head is None:
            return
        with suppress(WireError):
            statement.verify("registration", self.head, key_of)
            return
        raise HistoryError(self.partition, self.number, "was not signed by the registrar of this bus")
