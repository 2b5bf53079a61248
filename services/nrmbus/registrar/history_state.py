"""State of one partition's registrar: a fold of ``nrm.cases``, and nothing else.

Folding is quick, so that a registrar is back in seconds: of every record the number, the chain of digests and the
commitments are checked at once, but a case is brought to life only when somebody speaks of it again.
"""

import json as plain_json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Final

from nrmbus.bus.high_water import Mark
from nrmbus.events.model import Event, Fact
from nrmbus.events.policy import ProfileActivated
from nrmbus.registrar.case import Asleep, Case, Known, Packed
from nrmbus.registrar.records import Statement
from nrmbus.registrar.spill_file import Scratch, Submission
from nrmbus.rules import Rules, View
from nrmbus.rules.earlier import HEARD_FIRST
from nrmbus.wire import times
from nrmbus.wire.history import (
    FaultCode,
    HistoryFault,
    HistoryRecord,
    Plain,
    carried,
    check_signature,
    known_event,
    plain,
    read,
)
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.names import CASES
from nrmbus.wire.record import SUBMITTED, Record, header_of
from nrmbus.wire.registration import NOTHING_BEFORE
from nrmbus.wire.transaction import Proved, Transaction, salts


def _is_heard_first(event: Event, view: View) -> bool:
    """Return whether the envelope is kept for an agency that joins later, or that the person lets in again."""
    return event.type in HEARD_FIRST or any(event.id in missed for missed in view.missed.values())


ACTIVATION: Final = "policy.profile_activated"
"""The type that puts a profile in force."""
EMERGENCY: Final = "access.break_glass"
"""The type that an agency may say only so often a month, over all cases."""

_PROFILE_REMEDY: Final = "add the operator's file of the profile (nrmbus rules add FILE) or, if a newer release has the profile, upgrade the registrar"
_WHAT: Final[Mapping[FaultCode, str]] = {
    "unreadable": "is not a registration",
    "signature_invalid": "was not signed by the registrar of this bus",
    "foreign": "belongs to another bus or partition",
    "gap": "is due, another number came",
    "duplicate": "is due, another number came",
    "chain_broken": "does not follow the one before it",
    "audience_missing": "is not a registration",
    "audience_altered": "names other recipients than it committed to",
    "envelope_missing": "has another envelope than it registered",
    "envelope_unreadable": "has another envelope than it registered",
    "envelope_altered": "has another envelope than it registered",
}

_TORN: Final = "does not fit the registrations and deliveries that were signed with it"
_TYPE: Final = header_of("type")
_EMERGENCY: Final = f"nrm.{EMERGENCY}".encode()
_ACTIVATION: Final = f"nrm.{ACTIVATION}".encode()


def is_asking(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Return whether *headers* are those of an emergency request; a refusal keeps no envelope and never has them."""
    return (_TYPE, _EMERGENCY) in headers


def is_activation(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Return whether *headers* are those of an activation of a profile."""
    return (_TYPE, _ACTIVATION) in headers


def check_installed(rules: Rules, partition: int, fact: Fact) -> None:
    """Check that this installation has the profile that *fact* activates, with the same values: it has to judge by them.

    Raises:
        HistoryError: it has not.
    """
    data = fact.event.data
    if isinstance(data, ProfileActivated) and not rules.is_installed(data.profile, data.digest):
        what = f"put the profile {data.profile} in force, which this machine does not have, or has with other values"
        raise HistoryError(partition, fact.number, what, _PROFILE_REMEDY)


class HistoryError(Exception):
    """Raised when ``nrm.cases`` is not the history it claims to be; a person must look before this partition runs again."""

    def __init__(self, partition: int, number: int, what: str, remedy: str = "restore the topic") -> None:
        super().__init__(f"{CASES} partition {partition}: registration {number} {what}; {remedy}, then start again")


@dataclass(slots=True)
class _Inbox:
    number: int = 0
    previous: str = NOTHING_BEFORE


@dataclass(slots=True)
class _Unfinished:
    """Transaction that is being folded; ``last`` is the proof of its last registration, ``secret`` the salt of its audience.

    ``answers`` are the registrations with their receipts, and the numbers of both in the tree.
    """

    last: Proved
    secret: bytes = b""
    tree: Transaction = field(default_factory=Transaction)
    answers: list[tuple[int, int, Known]] = field(default_factory=list)


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
        self.activations: dict[str, Fact] = {}
        """Activations of profiles in the bulletins of this partition, by event."""
        self._rules = rules
        self._scratch = scratch or Scratch()
        self._inboxes: dict[str, _Inbox] = {}
        self._unfinished: _Unfinished | None = None

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
                    self._wake(case, each.value)
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

    def settle(self) -> None:
        """Let what exceeds the memory be spilled, at the end of a transaction."""
        self._scratch.settle()

    def has_events(self, subject: str) -> bool:
        """Return whether the case has a registered event, without waking the case."""
        case = self._scratch.case(subject)
        return case is not None and bool(case.digests)

    def subjects(self) -> tuple[str, ...]:
        """Every case and incident of this partition that somebody spoke of."""
        return self._scratch.subjects()

    @property
    def inbox_numbers(self) -> dict[str, int]:
        """The last delivery number of each agency on this partition."""
        return {agency: inbox.number for agency, inbox in self._inboxes.items()}

    def next_delivery(self, agency: str, registration: str, salt: bytes) -> Statement:
        """The next delivery to *agency*, of the registration with this digest. Written as `Delivery.json` writes it."""
        inbox = self._inboxes.setdefault(agency, _Inbox())
        inbox.number += 1
        body = (
            f'{{"bus":"{self.bus}","inbox_number":{inbox.number},"partition":{self.partition},'
            f'"previous":"{inbox.previous}","registration":"{registration}","to":"{agency}"}}'
        ).encode()
        said = Statement("delivery", body, salt)
        inbox.previous = said.digest
        return said

    def remember(self, case: Case, fact: Fact, after: View, envelope: Record, said: Statement) -> None:
        """Let *fact*, just registered as `number`, be part of the case, whose view is *after* from now on."""
        event = fact.event
        case.count(event.source, event.sequence)
        self._activate(fact)
        case.view = after
        if _is_heard_first(event, case.view):
            case.heard_first[event.id] = Packed((envelope, said))
        if case.view.over:
            case.heard_first.clear()  # nobody comes to it any more
        if event.type == EMERGENCY:
            self.spent[event.source, self._rules.month(fact.registered)] += 1

    def _activate(self, fact: Fact) -> None:
        """Have the Rules take the activation of a profile; other facts are none."""
        if fact.event.type == ACTIVATION:
            self.activations[fact.event.id] = fact
            self._rules.activate(fact)

    # -- a copy ------------------------------------------------------------------------------------------------------

    def save(self, target: BinaryIO) -> str:
        """Write the state after a whole transaction to *target*; return the SHA-256 of what was written.

        Raises:
            HistoryError: the transaction is not whole.
        """
        self._finish()
        inboxes = {agency: (inbox.number, inbox.previous) for agency, inbox in self._inboxes.items()}
        activations = list(self.activations.values())
        state = (self.number, self.previous, self.time, self.head, self.sources, dict(self.spent), inboxes, activations)
        return self._scratch.save(pickle.dumps(state, pickle.HIGHEST_PROTOCOL), target)

    def load(self, source: BinaryIO, digest: str) -> bool:
        """Take the state in *source* instead of this one, which is empty; return False if *source* has another SHA-256 than *digest*.

        The caller answers for the content by its *digest*.
        """
        state = self._scratch.load(source, digest)
        if state is None:
            return False
        *plain_state, spent, inboxes, activations = pickle.loads(state)  # noqa: S301
        self.number, self.previous, self.time, self.head, self.sources = plain_state
        for each in activations:
            self._activate(each)
        self.spent = Counter(spent)
        self._inboxes = {agency: _Inbox(*inbox) for agency, inbox in inboxes.items()}
        return True

    # -- recovering --------------------------------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """Take one committed record of ``nrm.cases``, in order.

        Raises:
            HistoryError: a number, a digest or an envelope is not the due one. The registrar refuses to run.
        """
        found, audience, (topic, offset) = self._due(record)
        registration, said = found.registration, Statement("registration", found.body, _signed=found.signed)
        unfinished, salt = self._going_on(found.proved, audience["salt"])
        number = unfinished.tree.add("registration", found.body, next(salt))
        refused = registration.verdict == "refused"
        self.number, self.previous, self.time = registration.number, found.digest, times.read(registration.time)
        self.head = found.signed
        self.sources[topic] = offset
        source, subject = registration.source, registration.subject
        case = self._scratch.case(subject) or self._scratch.keep(subject, Case(self._rules.start(subject)))
        case.count(source, registration.sequence)
        if not refused:
            told = tuple(audience["recipients"])
            self._check_policy(registration.policy)
            asleep = Asleep(found.envelope, told, registration.time, self.number, registration.policy)
            case.asleep.append(Packed(asleep))
            if is_activation(found.envelope.headers):
                fact = self._fact(asleep)
                check_installed(self._rules, self.partition, fact)
                self._activate(fact)
            case.digests.setdefault(registration.id, found.digest)
            self._delivered(case, source, audience, unfinished.tree, salt)
            if self.time is not None and is_asking(found.envelope.headers):
                self.spent[source, self._rules.month(self.time)] += 1
        receipt = self.next_delivery(source, found.digest, next(salt))
        known = Known(registration.envelope, said, receipt, refused)
        self._scratch.answer((source, subject, registration.id), known)
        receipt_number = unfinished.tree.add("delivery", receipt.body, receipt.salt)
        unfinished.answers.append((number, receipt_number, known))

    def _going_on(self, proved: Proved, secret: str) -> tuple[_Unfinished, Iterator[bytes]]:
        """Return the transaction that the next registration is of, and the salts of what is said with it."""
        unfinished = self._unfinished
        if unfinished is None or proved.signature != unfinished.last.signature:
            self._finish()
            unfinished = self._unfinished = _Unfinished(proved)
        unfinished.last, unfinished.secret = proved, bytes.fromhex(secret)
        return unfinished, salts(unfinished.secret)

    def _finish(self) -> None:
        """Build the tree of a whole transaction again, compare every proof, and give each receipt the one that it had.

        Raises:
            HistoryError: these are not the registrations and deliveries that were signed together.
        """
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is None:
            return
        tree = unfinished.tree
        tree.hide(unfinished.secret)
        whole = tree.is_proved_by(unfinished.last)
        for number, receipt, known in unfinished.answers if whole else ():
            said = known.registration
            whole = whole and said.signed == tree.proved(number, "registration", said.body)
            known.receipt.take_signed(tree.proved(receipt, "delivery", known.receipt.body))
        if not whole:
            raise HistoryError(self.partition, self.number, _TORN)
        self.settle()

    def hold_against(self, mark: Mark | None) -> None:
        """Check that the registration just folded is the one of the high-water *mark*, if it has the mark's number.

        Raises:
            HistoryError: it is another.
        """
        if mark is not None and mark.number == self.number and mark.digest != self.previous:
            raise HistoryError(self.partition, self.number, "is not the one that was here")

    def _delivered(
        self, case: Case, source: str, audience: Mapping[str, Any], tree: Transaction, salt: Iterator[bytes]
    ) -> None:
        for agency in (*audience["recipients"], source):
            for earlier in audience["earlier"].get(agency, ()):
                if earlier not in case.digests:
                    raise HistoryError(self.partition, self.number, "delivers first what was not registered before")
                self._tell(agency, case.digests[earlier], tree, next(salt))
            if agency != source:  # the caller gives the sender its receipt
                self._tell(agency, self.previous, tree, next(salt))

    def _tell(self, agency: str, registration: str, tree: Transaction, salt: bytes) -> None:
        tree.add("delivery", self.next_delivery(agency, registration, salt).body, salt)

    def _due(self, record: Record) -> tuple[HistoryRecord[Plain], dict[str, Any], tuple[str, int]]:
        code: FaultCode = "unreadable"
        try:
            found = read(record, plain)
            topic, _, offset = found.added[SUBMITTED].decode("ascii").rpartition(":")
            found.check_place(self.bus, self.partition, self.number, self.previous)
            found.check_commitments()
            if found.registration.verdict != "refused":
                found.check_envelope_digest()
            return found, found.told(plain_json.loads), (topic, int(offset))
        except HistoryFault as fault:
            code = fault.code
        except (LookupError, ValueError):
            code = "unreadable"
        raise HistoryError(self.partition, self.number + 1, _WHAT[code])

    def _check_policy(self, policy: str) -> None:
        if not self._rules.knows(policy):
            what = "was judged by a profile that this machine does not have"
            raise HistoryError(self.partition, self.number, what, _PROFILE_REMEDY)

    def _wake(self, case: Case, asleep: Asleep) -> None:
        fact = self._fact(asleep)
        event = fact.event
        case.view = self._rules.evolve(case.view, fact)
        if _is_heard_first(event, case.view):
            known = self._scratch.answered((event.source, event.subject, event.id))
            assert known is not None  # noqa: S101 - each registration was its submission's answer
            case.heard_first[event.id] = Packed((asleep.record, known.registration))
        if case.view.over:
            case.heard_first.clear()  # as `remember` does

    def _fact(self, asleep: Asleep) -> Fact:
        """Read a committed record. Raises HistoryError where its event is another, or of a type that is not known."""
        event, altered = None, False
        try:
            event = known_event(carried(asleep.record))
        except HistoryFault:
            altered = True
        time = times.read(asleep.time)
        if altered or time is None:
            raise HistoryError(self.partition, asleep.number, _WHAT["envelope_altered"])
        if event is None:
            what = "was said in a type or version that this release does not know"
            raise HistoryError(self.partition, asleep.number, what, "upgrade the registrar")
        return Fact.of(event, asleep.told, time, asleep.number, asleep.policy)

    def check_head(self, key_of: Callable[[str], VerifyKey]) -> None:
        """After the last `fold`: verify the signature of the last registration, whose chain of digests answers for all before it.

        Raises:
            HistoryError: the registrar of this bus did not sign it, or its transaction is not whole.
        """
        if self.head is None:
            return
        self._finish()
        with suppress(HistoryFault):
            check_signature(self.head, key_of)
            return
        raise HistoryError(self.partition, self.number, _WHAT["signature_invalid"])
