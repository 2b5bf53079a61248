"""One partition's registrar without Kafka: judge, number, route. Its state is a fold of ``nrm.cases``.

`take` never waits for anybody: what was set aside of its state lies in a file of this process alone (`scratch`). The caller commits the result or throws the shard away:
there is no undo.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from nrmbus.directory import Directory
from nrmbus.events.model import Event, Fact, Part
from nrmbus.events.values import frozen
from nrmbus.registrar.case import Case, Known
from nrmbus.registrar.history_state import EMERGENCY, Memory
from nrmbus.registrar.records import Coordinates, Out, Statement, audience_json, sign_all
from nrmbus.registrar.refusals import Refused, wire_refusal
from nrmbus.registrar.spill_file import Scratch
from nrmbus.rules import ProfileError, Rules, View
from nrmbus.wire import ids, json, times
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.letter import Container
from nrmbus.wire.names import CANARY, CASES, QUARANTINE, STATISTICS, TEST_AGENCIES, inbox_of
from nrmbus.wire.record import ANSWER, AUDIENCE, DELIVERY, LETTER, REGISTRATION, STATEMENT_LIMIT, SUBMITTED, Record
from nrmbus.wire.registration import Answer, Policy, Registration
from nrmbus.wire.transaction import salts

STALE_AFTER: Final = timedelta(days=7)


@frozen
class Decision:
    """The decision about one submission, and the records that make it true."""

    outcome: Literal["registered", "refused", "repeated", "answered", "quarantined", "tested"]
    code: str | None
    outs: list[Out]
    error: str | None = None
    """Name of the error with which the Rules failed on the event, for the log."""


class Shard:
    """Everything that decides about the submissions of one partition."""

    def __init__(
        self,
        *,
        bus: str,
        partition: int,
        partitions: int,
        rules: Rules,
        directory: Directory,
        salt: Callable[[], bytes],
        elsewhere: Callable[[int, str, str], int] = lambda *_: 0,
        scratch: Scratch | None = None,
    ) -> None:
        """*elsewhere* says how often an agency broke the glass in a month (``2026-03``) in all partitions but this one."""
        self.bus, self.partition, self.partitions = bus, partition, partitions
        self.memory = Memory(bus=bus, partition=partition, rules=rules, scratch=scratch)
        self.repeats = 0
        """Submissions answered again since the start; more than relays resent means something repeats them."""
        self._rules, self._directory, self._salt = rules, directory, salt
        self._elsewhere = elsewhere
        self._secret = b""
        """The salt of the last audience."""
        self._marks: dict[str, str] = {}
        self._marked = 0
        self._policies: dict[str, tuple[Policy, str]] = {}
        """Each profile that was judged by, as a registration names it, and in JSON."""

    def spent(self, agency: str, month: str) -> int:
        """How often *agency* has broken the glass in *month*: in the cases of this partition, and elsewhere as far as is known."""
        return self.memory.spent[agency, month] + self._elsewhere(self.partition, agency, month)

    # -- deciding ------------------------------------------------------------------------------------------------

    def unreadable(self, at: Coordinates, record: Record, code: str, now: datetime) -> list[Out]:
        """Answer what was not signed by the outbox's owner: a quarantine entry, and word to the owner; no number."""
        sha256 = record.digest()
        entry = {
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
            "size": record.size(),
            "sha256": sha256,
            "code": code,
        }
        outs = [Out(QUARANTINE, 0, None, json.dumps(entry))]
        if self._directory.knows(at.owner):
            outs.append(self._answer(at, code, now, sha256=sha256))
        return outs

    def take(self, signed: Signed, at: Coordinates, now: datetime) -> Decision:
        """Judge one submission whose signature holds; the decision has the records to commit, in order."""
        try:
            self._in_its_place(signed, at)
        except WireError as error:
            return Decision("quarantined", error.code, self.unreadable(at, signed.record, error.code, now))
        if (other := TEST_AGENCIES.get(signed.source)) is not None:
            sha256 = signed.record.digest()
            return Decision("tested", None, [self._answer(at, CANARY, now, about=signed, sha256=sha256, to=other)])
        known = self.memory.answered((signed.source, signed.subject, signed.id))
        if known and known.envelope == signed.digest:
            self.repeats += 1
            envelope = None if known.refused else signed.record.without_letter()
            again = self._copy(signed.source, signed.record.key, envelope, (known.registration, known.receipt), None)
            return Decision("repeated", None, [again])
        case = self.memory.case(signed.subject)
        due = (case.sequences.get(signed.source, 0) if case else 0) + 1
        if known is None and signed.sequence != due:
            sha256 = signed.record.digest()
            gap = self._answer(at, "sequence_gap", now, about=signed, sha256=sha256, expected_sequence=due)
            return Decision("answered", "sequence_gap", [gap])
        case = case or self.memory.case_or_new(signed.subject)
        policy = self._rules.policy_for(case.view, signed.source, self._time(now))
        failed = None
        try:
            if known or self._is_anothers(signed):
                raise WireError("id_reused")
            event, letter = self._readable(signed, now)
            told = self._judged(case.view, event, letter, now, policy)
            if event.id in case.digests:
                # Consents, letters and decisions are found by their id alone: nobody may take the place of another's. Asked
                # last, so that who knows an id, and not the case, learns nothing.
                raise WireError("id_reused")
            fact = Fact.of(event, told.recipients, self._time(now), self.memory.number + 1, policy)
            after = self._rules.evolve(case.view, fact)
            self._secret = self._salt()
            audience = audience_json(told.recipients, told.earlier, self._secret.hex())
            if len(audience) > STATEMENT_LIMIT:  # it would stop every reader of the history
                raise WireError("too_large")
        except (WireError, Refused) as error:
            refused = wire_refusal(error) if isinstance(error, WireError) else error
        except (ProfileError, MemoryError, OSError):
            raise  # the profile or the machine is at fault, and not the event
        except Exception as error:  # noqa: BLE001 - a mistake in a rule shows as any error
            # The Rules cannot judge the event. If this ended the process, the event would be read again after each start,
            # and nobody could publish any more. Nothing has changed yet: `evolve` returns another view.
            refused, failed = wire_refusal(WireError("unknown_field")), type(error).__name__
        else:
            return Decision("registered", None, self._register(case, signed, fact, after, at, told, audience, policy))
        return Decision("refused", refused.code, self._refuse(case, signed, at, now, refused, policy), failed)

    def sign(self, outs: Iterable[Out], key: SigningKey) -> None:
        """Sign every statement of a transaction, whose records are *outs*; what they decided may be spilled from now on."""
        sign_all((said for out in outs for _, said in out.statements), key, self._secret)
        self.memory.settle()

    def _is_anothers(self, signed: Signed) -> bool:
        """Return whether the id has the mark of another agency's automatic events, published or not.

        Those can be worked out beforehand. Taken in advance, what another has to say would be refused; tried, the answer
        would tell that it has heard of something.
        """
        if self._marked != self._directory.number:
            self._marks = {ids.mark_of(agency): agency for agency in self._directory.entries}
            self._marked = self._directory.number
        return self._marks.get(ids.mark_in(signed.id) or "", signed.source) != signed.source

    def _in_its_place(self, signed: Signed, at: Coordinates) -> None:
        if signed.record.key != signed.subject.encode():
            raise WireError("key_mismatch")
        if ids.partition_of(signed.subject, self.partitions) != at.partition:
            raise WireError("wrong_partition")

    def _readable(self, signed: Signed, now: datetime) -> tuple[Event, Container | None]:
        """Everything the wire asks of an event whose sender is established."""
        if now - signed.recordedtime > STALE_AFTER:
            raise WireError("stale")
        event = signed.event()
        if max(event.time, event.recordedtime) - now > times.AHEAD_AT_MOST:
            raise WireError("time_in_future")
        if any(each in TEST_AGENCIES or self._directory.state(each, now) is None for each in event.data.named):
            raise WireError("unknown_recipient")
        letter = signed.letter()
        wraps = [pair for part in letter.parts for pair in letter.wraps(part).items()] if letter else []
        for agency, kid in dict.fromkeys(wraps):  # a reader of five parts has one key
            if self._directory.state(agency, now) is None:
                raise WireError("unknown_recipient")
            if not self._is_key_of(agency, kid, event.source, now):
                raise WireError("key_not_current")
        if letter and any(self._directory.state(agency, now) != "admitted" for agency in event.data.recipients):
            raise WireError("agency_suspended")
        if letter and any(self._directory.seal_to(agency, now) is None for agency in event.data.recipients):
            raise WireError("key_not_current")  # what is asked of somebody who cannot read it is asked of nobody
        return event, letter

    def _is_key_of(self, agency: str, kid: str, source: str, now: datetime) -> bool:
        """Return whether a letter of *source* may be sealed for *agency* to the key *kid*."""
        if self._directory.seal_to(agency, now):
            return self._directory.opens(agency, kid, now)
        # An agency without a current key gets no sealed part: `_judged` answers with who is. But the sender always has
        # its own words, if need be under a key that it has not confirmed yet.
        return agency != source or kid == self._directory.kids(self._directory.entries[agency]).sealing

    def _judged(self, view: View, event: Event, letter: Container | None, now: datetime, policy: str) -> "Told":
        """Ask the Rules of the profile *policy*; return the audience and the readers of each part. Raises Refused."""
        if event.expectedversion is not None and event.expectedversion != view.count_for(event.source):
            raise WireError("version_passed")
        # The event is judged at the time of its registration, as an auditor judges it again. This time never falls.
        time = self._time(now)
        spent = self.spent(event.source, self._rules.month(time)) if event.type == EMERGENCY else 0
        refusal = self._rules.judge(view, event, time, spent=spent, policy=policy)
        if refusal:
            raise Refused(refusal.code, refusal.rule, refusal.article, because=refusal.because)
        audience = self._rules.audience(view, event, policy, time)
        told = Told(audience.recipients, audience.earlier, {})
        if letter is None:
            return told
        due = {part: {event.source, *self._sealed_to(part, audience.opens, now)} for part in letter.parts}
        if sum(map(len, due.values())) * 40 > STATEMENT_LIMIT:  # too many names for a refusal, and readers for a letter
            raise WireError("letter_too_large")
        if any(set(letter.wraps(part)) != agencies for part, agencies in due.items()):
            raise Refused.audience_changed(
                {part: tuple(sorted(agencies - {event.source})) for part, agencies in due.items()}
            )
        copies = {agency for agencies in due.values() for agency in agencies} - {event.source}
        return Told(
            tuple(sorted({*audience.recipients, *copies})), audience.earlier, {a: letter.copy_for(a) for a in copies}
        )

    def _sealed_to(self, part: Part, opens: Mapping[Part, Iterable[str]], now: datetime) -> Iterator[str]:
        """Return the agencies that may open *part* and have a current key; suspended agencies have none."""
        statistics = self._directory.of_role(STATISTICS) if part == "coded" else ()
        for agency in (*opens.get(part, ()), *statistics):
            if self._directory.seal_to(agency, now):
                yield agency

    # -- saying --------------------------------------------------------------------------------------------------

    def _register(
        self, case: Case, signed: Signed, fact: Fact, after: View, at: Coordinates, told: "Told", audience: bytes,
        policy: str,
    ) -> list[Out]:  # fmt: skip
        """Register *fact*, with which the view of *case* becomes *after*."""
        time, salt = self._advance(fact.registered), salts(self._secret)
        registration = self._registered(signed, time, json.digest(audience), next(salt), policy)
        envelope = signed.record.without_letter()
        outs = [self._case_record(envelope.key, at, registration, audience, envelope)]
        outs += self._deliver(case, signed, envelope, registration, told, salt)
        self.memory.remember(case, fact, after, envelope, registration)
        case.digests.setdefault(fact.event.id, registration.digest)
        return outs

    def _refuse(
        self, case: Case, signed: Signed, at: Coordinates, now: datetime, refused: Refused, policy: str
    ) -> list[Out]:
        secret = self._secret = self._salt()
        audience, salt = audience_json((), {}, secret.hex(), refused.because), salts(secret)
        registration = self._refused(signed, self._advance(now), json.digest(audience), refused, next(salt), policy)
        receipt = self.memory.next_delivery(signed.source, registration.digest, next(salt))
        case.count(signed.source, signed.sequence)
        submission = (signed.source, signed.subject, signed.id)
        self.memory.answer(submission, Known(signed.digest, registration, receipt, refused=True))
        key = signed.record.key
        return [
            self._case_record(key, at, registration, audience, None),
            self._copy(signed.source, key, None, (registration, receipt), None),
        ]

    def _time(self, now: datetime) -> datetime:
        return now if self.memory.time is None else max(now, self.memory.time)

    def _advance(self, now: datetime) -> datetime:
        self.memory.number += 1
        self.memory.time = self._time(now)
        return self.memory.time

    def _named(self, policy: str) -> tuple[Policy, str]:
        """Return the profile *policy* as a registration names it, and in JSON."""
        found = self._policies.get(policy)
        if found is None:
            profile = self._rules.profile_named(policy)
            named = Policy(name=profile.name, digest=profile.digest)
            text = json.dumps({"digest": profile.digest, "name": profile.name}).decode()
            found = self._policies[policy] = named, text
        return found

    def _registered(self, signed: Signed, time: datetime, audience: str, salt: bytes, policy: str) -> Statement:
        """Written as `Registration.json` writes it: building and serialising the model takes four times as long."""
        body = (
            f'{{"audience":"{audience}","bus":"{self.bus}","envelope":"{signed.digest}","id":"{signed.id}",'
            f'"key":"{signed.kid}","number":{self.memory.number},"partition":{self.partition},'
            f'"policy":{self._named(policy)[1]},"previous":"{self.memory.previous}",'
            f'"sequence":{signed.sequence},"source":"{signed.source}","subject":"{signed.subject}",'
            f'"time":"{times.write(time)}","verdict":"registered"}}'
        ).encode()
        return self._chained(body, salt)

    def _refused(
        self, signed: Signed, time: datetime, audience: str, refused: Refused, salt: bytes, policy: str
    ) -> Statement:
        registration = Registration(
            bus=self.bus,
            partition=self.partition,
            number=self.memory.number,
            time=time,
            source=signed.source,
            subject=signed.subject,
            id=signed.id,
            sequence=signed.sequence,
            envelope=signed.digest,
            key=signed.kid,
            verdict="refused",
            code=refused.code,
            rule=refused.rule,
            article=refused.article,
            seal_to=refused.seal_to,
            accepts=refused.accepts,
            policy=self._named(policy)[0],
            audience=audience,
            previous=self.memory.previous,
        )
        return self._chained(registration.json(), salt)

    def _chained(self, body: bytes, salt: bytes) -> Statement:
        said = Statement("registration", body, salt)
        self.memory.previous = said.digest
        return said

    def _case_record(
        self, key: bytes | None, at: Coordinates, registration: Statement, audience: bytes, envelope: Record | None
    ) -> Out:
        own = ((AUDIENCE, audience), (SUBMITTED, f"{at.topic}:{at.offset}".encode()))
        headers = (*(envelope.headers if envelope else ()), *own)
        value = (envelope.value if envelope else None) or b""
        return Out(CASES, self.partition, key, value, headers, ((REGISTRATION, registration),))

    def _deliver(
        self, case: Case, signed: Signed, envelope: Record, registration: Statement, told: "Told", salt: Iterator[bytes]
    ) -> list[Out]:
        """To each recipient what it must know first, then the event; to the sender what it must know first, then its receipt."""
        outs: list[Out] = []
        next_delivery, digest = self.memory.next_delivery, registration.digest
        for agency in told.recipients:
            outs += self._first(case, told, agency, salt)
            said_to = (registration, next_delivery(agency, digest, next(salt)))
            outs.append(self._copy(agency, envelope.key, envelope, said_to, told.copies.get(agency)))
        outs += self._first(case, told, signed.source, salt)
        receipt = next_delivery(signed.source, digest, next(salt))
        submission = (signed.source, signed.subject, signed.id)
        self.memory.answer(submission, Known(signed.digest, registration, receipt, refused=False))
        outs.append(self._copy(signed.source, envelope.key, envelope, (registration, receipt), None))
        return outs

    def _first(self, case: Case, told: "Told", agency: str, salt: Iterator[bytes]) -> Iterator[Out]:
        """Yield what *agency* must know before the event."""
        for earlier in told.earlier.get(agency, ()):
            record, said = case.heard_first[earlier].value
            delivery = self.memory.next_delivery(agency, said.digest, next(salt))
            yield self._copy(agency, record.key, record, (said, delivery), None)

    def _copy(
        self,
        agency: str,
        key: bytes | None,
        envelope: Record | None,
        said: tuple[Statement, Statement],
        letter: bytes | None,
    ) -> Out:
        headers = envelope.headers if envelope else ()
        if letter:
            headers = (*headers, (LETTER, letter))
        value = (envelope.value if envelope else None) or b""
        return Out(
            inbox_of(agency), self.partition, key, value, headers, ((REGISTRATION, said[0]), (DELIVERY, said[1]))
        )

    def _answer(
        self,
        at: Coordinates,
        code: str,
        now: datetime,
        *,
        sha256: str,
        about: Signed | None = None,
        expected_sequence: int | None = None,
        to: str | None = None,
    ) -> Out:
        to = to or at.owner
        answer = Answer(
            bus=self.bus, to=to, partition=at.partition, time=now, code=code, topic=at.topic, offset=at.offset, sha256=sha256,
            subject=about.subject if about else None, id=about.id if about else None, expected_sequence=expected_sequence,
        )  # fmt: skip
        said = Statement("answer", answer.json())
        return Out(inbox_of(to), at.partition, about.record.key if about else None, b"", (), ((ANSWER, said),))


@frozen
class Told:
    """Return the recipients, the consents that each needs first, and each one's copy of the letter."""

    recipients: tuple[str, ...]
    earlier: Mapping[str, tuple[str, ...]]
    copies: Mapping[str, bytes]
