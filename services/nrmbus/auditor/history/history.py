"""Verified history: an entry for every record of ``nrm.cases``, and folds of a case as of any moment.

Pure: records in, entries out. `history.reader` reads them from Kafka, `history.whole` those of a whole bus.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal, overload

from nrmbus.bus.errors import BusError
from nrmbus.directory import Directory
from nrmbus.events import bulletin
from nrmbus.events.bulletin import is_bulletin
from nrmbus.events.model import Event, Fact
from nrmbus.events.policy import ProfileActivated
from nrmbus.rules import Agency, Rules, View, ends_keeping, load_profile
from nrmbus.wire.committed import Committed, committed
from nrmbus.wire.envelope import Signed
from nrmbus.wire.history import Chain, FaultCode, HistoryFault, check_signature, known_event, plain, read, unspelled
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Audience, Registration

Signatures = Literal["all", "last"]
"""Signatures to verify: every one, or the registrar's on the last registration of each partition.

Through the chain of digests the last signature covers all registrations before it, and each registration covers its
envelope and audience. "last" trusts the registrar to have verified each sender's signature.
"""

HistoryCode = Literal[
    "unreadable", "signature_invalid", "foreign", "chain_broken", "envelope_altered", "audience_altered", "envelope_missing",
]  # fmt: skip
"""Reasons why a record does not verify: no registration, or an envelope that cannot be read; a wrong signature; another bus
or partition; out of order; another envelope, or audience, than the registered one; no envelope of a registered event."""

_CODES: Final[Mapping[FaultCode, HistoryCode]] = {
    "unreadable": "unreadable", "signature_invalid": "signature_invalid", "foreign": "foreign", "gap": "chain_broken",
    "duplicate": "chain_broken", "chain_broken": "chain_broken", "audience_missing": "unreadable",
    "audience_altered": "audience_altered", "envelope_missing": "envelope_missing", "envelope_unreadable": "unreadable",
    "envelope_altered": "envelope_altered",
}  # fmt: skip


class HistoryError(BusError):
    """Raised when a record does not verify; ``code`` says why, and the record is named by its place alone."""

    def __init__(self, partition: int, number: int, code: HistoryCode) -> None:
        super().__init__(
            f"The history does not verify at number {number} of partition {partition} ({code}): "
            "keep the broker's data as they are, and ask the bus's operator."
        )
        self.partition, self.number = partition, number
        self.code: HistoryCode = code


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration with its audience and, unless it is a refusal, its event.

    ``said`` is the signed envelope, None for a refusal. ``event`` is read from the envelope, and None also if this release
    does not know the type or version: the history is complete without it, a fold of the case is not. ``signed`` is the
    registrar's statement as in the topic.
    """

    registration: Registration
    said: Signed | None
    event: Event | None
    audience: Audience
    signed: bytes

    @property
    def fact(self) -> Fact | None:
        """The registered event as a fold takes it; None for a refusal, and for an event that this release cannot read."""
        if self.event is None:
            return None
        said = self.registration
        return Fact.of(self.event, self.audience.recipients, said.time, said.number, said.policy.name)

    def concerns(self, agency: str) -> bool:
        """Return whether *agency* sent or received the event."""
        return agency == self.registration.source or (
            self.registration.verdict == "registered" and agency in self.audience.recipients
        )


class Kept:
    """A verified record in memory; its typed `Entry` is made when somebody asks for the entry, and then kept.

    Raises `HistoryError` then, if the registrar committed to a registration whose form is none: with "last" nobody has
    looked at its form before.
    """

    __slots__ = ("_committed", "_entry", "record", "subject")

    def __init__(
        self, subject: str, record: Record, *, entry: Entry | None = None, found: Committed | None = None
    ) -> None:
        self.subject, self.record = subject, record
        self._entry, self._committed = entry, found

    @property
    def entry(self) -> Entry:
        """The typed entry."""
        if self._entry is None:
            self._entry = _entry_of(self.record)
        return self._entry

    @property
    def fact(self) -> Fact | None:
        """The registered event as `Entry.fact`, without the entry."""
        if self._entry is not None:
            return self._entry.fact
        if self._committed is None:
            self._committed = committed(self.record, None)
        return self.entry.fact if self._committed is None else self._committed.fact


class Entries(Sequence[Entry]):
    """The entries of *kept*, each made when somebody asks for it."""

    def __init__(self, kept: list[Kept]) -> None:
        self._kept = kept

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        """Return one, or a list of some."""
        if isinstance(index, slice):
            return [each.entry for each in self._kept[index]]
        return self._kept[index].entry


class Verifier:
    """Verifier of the records of each partition, in order.

    For every record it verifies the registrar's statement and its place in the chain, envelope and audience, and, by
    *signatures*, the signatures. The steps are those of `nrmbus.wire.history`.
    """

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self._directory, self._all = directory, signatures == "all"
        self._chains: dict[int, Chain] = {}
        self._unverified: dict[int, bytes] = {}
        """The signed registration that `check_last` has yet to verify, by partition."""

    def number(self, partition: int) -> int:
        """Return the last number taken of *partition*, 0 before the first."""
        chain = self._chains.get(partition)
        return chain.number if chain else 0

    def take(self, record: Record, partition: int) -> Entry:
        """Verify the next record of *partition*.

        Raises:
            HistoryError: the record is not the next one, or not as it was registered.
        """
        return self.keep(record, partition).entry

    def end(self, partition: int) -> tuple[Chain, bytes | None]:
        """Return the chain up to the last record of *partition*, and its statement if `check_last` has yet to verify it."""
        return self._chain(partition), self._unverified.get(partition)

    def go_on(self, chain: Chain, unverified: bytes | None) -> None:
        """Go on behind *chain*, whose records another verifier took from where this one was; as `end` returned both."""
        self._chains[chain.partition] = chain
        if unverified is not None:
            self._unverified[chain.partition] = unverified

    def keep(self, record: Record, partition: int) -> Kept:
        """Verify the next record of *partition* as `take`, and leave its typed entry for later where that is possible."""
        chain = self._chain(partition)
        if not self._all and (found := committed(record, chain)) is not None:
            chain.number, chain.digest = found.said.number, found.digest
            self._unverified[partition] = found.signed
            return Kept(found.said.subject, record, found=found)
        entry = None
        code: HistoryCode = "unreadable"
        try:
            entry = self._entry(record, chain)
        except HistoryFault as fault:
            code = _CODES[fault.code]
        if entry is None:
            raise HistoryError(partition, chain.number + 1, code)
        return Kept(entry.registration.subject, record, entry=entry)

    def _chain(self, partition: int) -> Chain:
        chain = self._chains.get(partition)
        if chain is None:
            chain = self._chains[partition] = Chain(self._directory.bus, partition)
        return chain

    def check_last(self) -> None:
        """Verify the registrar's signature on the last registration of each partition, unless `take` has done so.

        Raises:
            HistoryError: the registrar of this bus did not sign it.
        """
        for partition in list(self._unverified):
            found = None
            try:
                check_signature(self._unverified[partition], self._directory.registrar_key)
                del self._unverified[partition]
            except HistoryFault as fault:
                found = fault.code
            if found is not None:
                raise HistoryError(partition, self.number(partition), _CODES[found])

    def _entry(self, record: Record, chain: Chain) -> Entry:
        if self._all:
            found = read(record, Registration.parse, self._directory.registrar_key)
        else:
            found = read(record, partial(unspelled, Registration))
        chain.check(found)
        found.check_commitments()
        said = event = None
        if found.registration.verdict == "registered":
            said = found.opened(self._directory.any_verify_key if self._all else None)
            event = known_event(said)
        told = found.told(Audience.parse if self._all else partial(unspelled, Audience))
        chain.take(found)
        if not self._all:
            self._unverified[chain.partition] = found.signed
        return Entry(found.registration, said, event, told, found.signed)


def _entry_of(record: Record) -> Entry:
    """Return the entry of a record that was verified before; raises `HistoryError` for a form that is none."""
    code: HistoryCode = "unreadable"
    partition = number = 0
    try:
        place = read(record, plain).registration
        partition, number = place.partition, place.number
        found = read(record, partial(unspelled, Registration))
        said = found.opened() if found.registration.verdict == "registered" else None
        told = found.told(partial(unspelled, Audience))
        return Entry(found.registration, said, known_event(said) if said else None, told, found.signed)
    except HistoryFault as fault:
        code = _CODES[fault.code]
    raise HistoryError(partition, number, code)


class History:
    """Verified entries read so far, in memory; `take` adds a record."""

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self.verifier: Final = Verifier(directory, signatures=signatures)
        self._kept: list[Kept] = []
        self.entries: Final = Entries(self._kept)
        """All entries; those of a partition are in the order of their numbers."""
        self._by_subject: dict[str, list[Kept]] = {}
        self._folded: dict[str, tuple[int, View]] = {}
        """Views of cases, each after its first so many records."""

    def take(self, record: Record, partition: int) -> None:
        """Verify the next record of *partition*, and add its entry; raises as `Verifier.take`."""
        self.add(self.verifier.keep(record, partition))

    def add(self, kept: Kept) -> None:
        """Add a record that was verified, in the order of its partition."""
        self._kept.append(kept)
        self._by_subject.setdefault(kept.subject, []).append(kept)

    def kept(self) -> Sequence[Kept]:
        """Return the records of all entries, in their order."""
        return self._kept

    def folded(self, views: Mapping[str, View]) -> None:
        """Take *views* of cases after all their records so far: whoever verified these records has folded them too."""
        for subject, view in views.items():
            self._folded[subject] = len(self._by_subject[subject]), view

    def view(self, rules: Rules, subject: str) -> View:
        """Return the view of a case after all its records."""
        first, view = self._folded.get(subject, (0, rules.start(subject)))
        for kept in self._by_subject.get(subject, [])[first:]:
            if (fact := kept.fact) is not None:
                view = rules.evolve(view, fact)
        return view

    def spoken_of(self) -> tuple[str, ...]:
        """Return every case and incident with a registration or refusal, in the order in which they appear."""
        return tuple(each for each in self._by_subject if not is_bulletin(each))

    def bulletins(self) -> tuple[str, ...]:
        """Return every agency's bulletin with a registration or refusal: its events are about no case, and are never counted as one."""
        return tuple(each for each in self._by_subject if is_bulletin(each))

    def subjects(self) -> tuple[str, ...]:
        """Return every case and incident with a registered event that this release can read."""
        return tuple(each for each in self.spoken_of() if any(one.fact for one in self._by_subject[each]))

    def about(self, subject: str, as_of: datetime | None = None) -> list[Entry]:
        """Return the registrations and refusals of a case, up to *as_of*."""
        entries = [kept.entry for kept in self._by_subject.get(subject, ())]
        return [entry for entry in entries if as_of is None or entry.registration.time <= as_of]

    def over(self, subject: str) -> Entry | None:
        """Return the entry that ended the retention period of *subject*, or None while the case is kept."""
        kept = self._by_subject.get(subject, ())
        return next((each.entry for each in kept if (fact := each.fact) and ends_keeping(fact.event)), None)

    def facts(self, subject: str) -> Iterator[Fact]:
        """Return the registered events of a case, in number order."""
        return (fact for kept in self._by_subject.get(subject, ()) if (fact := kept.fact) is not None)

    def of(self, agency: str, subject: str) -> Iterator[Fact]:
        """Yield the events of a case that *agency* sent or received, in the order of its inbox."""
        by_id = {fact.event.id: fact for fact in self.facts(subject)}
        for kept in self._by_subject.get(subject, ()):
            fact = kept.fact
            if fact is None:
                continue
            for earlier in kept.entry.audience.earlier.get(agency, ()):
                if earlier in by_id:  # this release may not know its type
                    yield by_id[earlier]
            if agency in (fact.event.source, *fact.recipients):
                yield fact


def activate(rules: Rules, history: History, directory: Directory) -> None:
    """Let *rules* know the activations of profiles that *history* has so far, from the agencies that may publish them."""
    for agency in directory.entries:
        if rules.may_publish(agency, ProfileActivated.type):
            for fact in history.facts(bulletin.of(agency)):
                rules.activate(fact)


def rules_of(directory: Directory, policy: str) -> Rules:
    """Return the Rules under *policy* for the agencies of *directory*."""
    agencies = {name: Agency(name, entry.role, entry.supervisor) for name, entry in directory.entries.items()}
    return Rules(load_profile(policy), agencies)


def fold(rules: Rules, subject: str, facts: Iterable[Fact]) -> View:
    """Return the view after *facts*."""
    view = rules.start(subject)
    for fact in facts:
        view = rules.evolve(view, fact)
    return view


@dataclass(frozen=True, slots=True)
class Audited:
    """Verified history of a bus, with the directory that verified it and the Rules of its policy."""

    history: History
    directory: Directory
    rules: Rules
    partitions: int

    def latest(self, subject: str) -> View:
        """Return the view of the case now, as far as this release can read its history."""
        return self.history.view(self.rules, subject)

    def view(self, subject: str, entries: Iterable[Entry]) -> View:
        """Return the view of the case after *entries*, as far as this release can read them."""
        return fold(self.rules, subject, (fact for entry in entries if (fact := entry.fact) is not None))
