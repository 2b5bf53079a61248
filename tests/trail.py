"""The check of the trail: whatever a test did to a bus, its history is whole, and everybody's word on it is one word.

`check_trail` runs at the end of every test that has a bus: `conftest` calls it for each bus of a broker of its own or of
the session, for each broker that is stopped, and for each play in memory. A test that breaks a history on purpose says so
by the marker ``broken_trail``, with a reason.
"""

import json
import re
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, Literal

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from nrmbus.auditor.history.history import HistoryError, Verifier
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory import Directory, DirectoryError, Published, operator_key
from nrmbus.play.memory import MemoryBus
from nrmbus.play.memory_desk import Delivery
from nrmbus.play.trail import Read, compare, read_all
from nrmbus.rules import View
from nrmbus.wire import statement
from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, place_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import TIMEKEEPER
from nrmbus.wire.record import Record
from nrmbus.wire.registration import NOTHING_BEFORE
from patience import PATIENCE

Part = Literal["anomalies", "history", "checkpoints", "witnesses"]
PARTS: Final[tuple[Part, ...]] = ("anomalies", "history", "checkpoints", "witnesses")
"""What is looked at, each for itself; see `faults_of`."""

TOPICS: Final = r"nrm\.(cases|checkpoints|directory|inbox\..*|witness\..*)"
FEW: Final = 500
ANYBODY: Final = SigningKey(bytes(32))
"""Up to so many registrations, every signature is verified; of more, the last of each partition, and the chain to it."""
SETTLES_SECONDS: Final = PATIENCE
"""How long a transaction may take to end whose registrar was killed."""

Ends = dict[tuple[str, int], tuple[int, int]]
"""Of each topic and partition, where it ends, and where the last transaction that is over ends."""


def check_trail(folder: BusFolder, parts: Collection[str] = PARTS) -> None:
    """Read the topics of the bus in *folder*, and raise AssertionError with all `faults_of` them.

    A fault may only be that a transaction is still open, or that something was written while the topics were read one
    after another. Then they are read again; else what was found stands.
    """
    until, before = time.monotonic() + SETTLES_SECONDS, Ends()
    while True:
        read = list(read_all(folder.as_operator, TOPICS))
        faults = faults_of(read, folder.settings.bus, operator_key(folder.path), parts) if _speaks(read) else []
        if not faults:
            return
        ends = _ends(folder)
        is_final = ends == before and all(end == over for end, over in ends.values())
        if is_final or time.monotonic() > until:
            raise AssertionError("the trail is broken: " + "; ".join(faults))
        before = ends
        time.sleep(0.2)


def _ends(folder: BusFolder) -> Ends:
    admin = clients.admin(folder.as_operator)
    topics = admin.list_topics(timeout=PATIENCE).topics
    latest = {
        TopicPartition(name, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library's own factory has no types
        for name, topic in topics.items()
        if re.fullmatch(TOPICS, name)
        for number in topic.partitions
    }
    all_of, over = (
        {
            (each.topic, each.partition): future.result(PATIENCE).offset
            for each, future in admin.list_offsets(latest, isolation_level=level).items()
        }
        for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED)
    )
    return {where: (end, over[where]) for where, end in all_of.items()}


def _speaks(read: Sequence[Read]) -> bool:
    return any(each.topic in {"nrm.cases", "nrm.checkpoints"} for each in read)


def faults_of(read: Sequence[Read], bus: str, operator: VerifyKey, parts: Collection[str] = PARTS) -> list[str]:
    """What is wrong with the topics of a *bus* as they were *read*, a sentence each; nothing is the only good answer.

    - **anomalies**: a registration doubled, missing or out of order; a delivery that is missing or that nobody was due.
    - **history**: a record that does not verify, from the first to the last.
    - **checkpoints**: one that the logs' keys did not sign, that does not follow the one before it, or whose root is
      not that of the tree which the history gives.
    - **witnesses**: a co-signature that does not verify, or of what was never published.
    """
    by_topic: dict[str, list[Read]] = {}
    for each in read:
        by_topic.setdefault(each.topic, []).append(each)
    cases = by_topic.get("nrm.cases", [])
    directory = Directory(bus, operator)
    try:
        for each in by_topic.get("nrm.directory", []):
            directory.add(each.record.value or b"")
    except DirectoryError as error:
        return [f"directory: {error}"]
    faults: list[str] = []
    if "anomalies" in parts:
        inboxes = [each for topic, records in by_topic.items() if topic.startswith("nrm.inbox.") for each in records]
        found = compare(cases, inboxes, ())
        faults += [f"anomalies: {found}"] if found.any else []
    if "history" in parts:
        faults += _history(cases, directory)
    published: set[bytes] = set()
    checkpoints = _checkpoints(cases, by_topic.get("nrm.checkpoints", []), directory, published)
    faults += checkpoints if "checkpoints" in parts else []
    if "witnesses" in parts:
        for topic, records in by_topic.items():
            if topic.startswith("nrm.witness."):
                faults += _witness(topic, records, directory, published)
    return faults


def _history(cases: Sequence[Read], directory: Directory) -> list[str]:
    verifier = Verifier(directory, signatures="all" if len(cases) <= FEW else "last")
    try:
        for each in cases:
            verifier.take(each.record, each.partition)
        verifier.check_last()
    except HistoryError as error:
        return [f"history: {error.code} at number {error.number} of partition {error.partition}"]
    return []


def _checkpoints(
    cases: Sequence[Read], records: Sequence[Read], directory: Directory, published: set[bytes]
) -> list[str]:
    """What is wrong with the checkpoints; the texts of those that were signed are put into *published*."""
    faults, seen, due = list[str](), dict[str, Checkpoint](), dict[int, dict[int, bytes]]()
    for at, each in enumerate(records):
        try:
            body = AddCheckpoint.parse(each.record.value or b"")
            said = Published.read(body.note, directory.bus, directory.log_keys()).checkpoint
            before = seen.get(said.origin, Checkpoint(said.origin, 0, merkle.EMPTY))
            if body.old != before.size:
                faults.append(f"checkpoints: record {at} begins at {body.old}, not at {before.size}")
            said.follows(before, body.proof)
        except ProofError as error:
            faults.append(f"checkpoints: {error.code} in record {at}")
            continue
        published.add(said.text)
        seen[said.origin] = said
        due.setdefault(place_of(said.origin)[1], {})[said.size] = said.root
    for partition, roots in due.items():
        faults += [
            f"checkpoints: root_differs at size {size} of partition {partition}"
            for size in _other_roots(cases, partition, roots)
        ]
    return faults


def _other_roots(cases: Sequence[Read], partition: int, roots: dict[int, bytes]) -> Iterator[int]:
    tree, left = merkle.Frontier(), dict(roots)
    for each in cases:
        if each.partition == partition:
            try:
                leaf = statement.body_of("registration", each.headers.get("nrm_registration", b""))
            except WireError:
                break
            tree.append(merkle.leaf_hash(leaf))
            root = left.pop(tree.size, None)
            if root is not None and root != tree.root():
                yield tree.size
    yield from left  # larger than the history


def _witness(topic: str, records: Sequence[Read], directory: Directory, published: set[bytes]) -> list[str]:
    faults = []
    for at, each in enumerate(records):
        code = None
        try:
            note = Note.parse(each.record.value or b"")
            note.verified(directory.witnesses(topic.removeprefix("nrm.witness.")))
            code = None if note.text in published else "never published"
        except ProofError as error:
            code = error.code
        faults += [f"witnesses: {code} in record {at} of {topic}"] if code else []
    return faults


# -- plays in memory -----------------------------------------------------------------------------------------------------


def check_play(stage: MemoryBus) -> None:
    """Raise AssertionError unless what was played on *stage* is as whole as it must be on a broker.

    Numbers, sequences, and who was delivered what are compared by the same checker; registrar and desks are folded anew.
    """
    found = compare(*_as_topics(stage), ())
    assert not found.any, f"the trail is broken: {found}"
    differing = stage.replay()
    assert not differing, f"the trail is broken: {'; '.join(differing)}"


def _as_topics(stage: MemoryBus) -> tuple[list[Read], list[Read]]:
    """The history of a play and its inboxes as another client would read them; anybody signed them."""
    cases, digests, rules, views = list[Read](), dict[str, str](), stage._rules, dict[str, View]()
    inboxes: dict[str, list[str]] = {agency: [] for agency in (*stage._desks, TIMEKEEPER)}
    previous = NOTHING_BEFORE
    for number, (event, _, outcome) in enumerate(stage._submitted.values(), 1):
        body = {
            "number": number, "previous": previous, "source": event.source, "subject": event.subject, "id": event.id,
            "sequence": event.sequence, "verdict": "registered" if outcome.code is None else "refused",
        }  # fmt: skip
        said, previous = _stated("registration", body)
        digests[event.id] = previous
        audience: dict[str, Any] = {"recipients": (), "earlier": {}}
        fact = stage._history.get(event.subject, {}).get(event.id)
        if fact is not None:
            view = views.get(event.subject) or rules.start(event.subject)
            told = rules.audience(view, event, None, fact.registered)
            audience = {"recipients": told.recipients, "earlier": {who: list(ids) for who, ids in told.earlier.items()}}
            views[event.subject] = rules.evolve(view, fact)
        if fact is None or event.source == TIMEKEEPER:  # its own desk is not played, nor is the answer to a refusal
            inboxes[event.source].append(previous)
        headers = (("nrm_registration", said), ("nrm_audience", json.dumps(audience).encode()))
        cases.append(Read("nrm.cases", 0, Record(None, None, headers)))
    for agency, desk in stage._desks.items():
        delivered = (each.fact.event.id for each in desk._ledger if isinstance(each, Delivery))
        inboxes[agency] += [digests[event] for event in delivered]
    return cases, [each for agency, got in inboxes.items() for each in _inbox(agency, got)]


def _inbox(agency: str, registrations: Sequence[str]) -> Iterator[Read]:
    previous = NOTHING_BEFORE
    for number, registration in enumerate(registrations, 1):
        body = {"inbox_number": number, "previous": previous, "to": agency, "registration": registration}
        said, previous = _stated("delivery", body)
        yield Read(f"nrm.inbox.{agency}", 0, Record(None, None, (("nrm_delivery", said),)))


def _stated(thing: statement.Thing, body: dict[str, Any]) -> tuple[bytes, str]:
    payload = json.dumps(body).encode()
    return statement.sign_bytes(thing, payload, ANYBODY), sha256(payload).hexdigest()


# -- so that it cannot be forgotten --------------------------------------------------------------------------------------


class Watch:
    """Every bus and play that a test begins, each looked at before it goes."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.parts: Collection[str] = PARTS
        """What of them is whole, by the test that runs."""
        self.begun = 0
        """How many buses have begun."""
        self._buses: dict[str, tuple[int, BusFolder]] = {}
        self._plays: list[MemoryBus] = []
        self._faults: list[str] = []

    def begins(self, folder: BusFolder) -> None:
        """A bus that is looked at at the end of its test or module, or before another one takes its place on the broker."""
        self.begun += 1
        self._buses[folder.bootstrap] = self.begun, folder

    def ends(self, bootstrap: str) -> None:
        """Look at the bus on this broker, which will not be there any more."""
        if bootstrap in self._buses:
            self._look(self._buses.pop(bootstrap)[1])

    def end(self, since: int = 0) -> None:
        """Look at all plays, and at the buses after the first *since*; raise AssertionError with all that was ever found."""
        for bootstrap, (number, _) in list(self._buses.items()):
            if number > since:
                self.ends(bootstrap)
        plays, self._plays = self._plays, []
        for stage in plays if "anomalies" in self.parts else ():
            self._collect(check_play, stage)
        faults, self._faults = self._faults, []
        assert not faults, "\n".join(faults)

    def _look(self, folder: BusFolder) -> None:
        # Where there is no operator nobody was admitted: what is in the topics then is no bus's history.
        if self.parts and (folder.keys / "operator.pub").exists() and _answers(folder):
            self._collect(check_trail, folder, self.parts)

    def _collect(self, check: Any, *given: Any) -> None:
        try:
            check(*given)
        except AssertionError as error:
            self._faults.append(str(error))
        except Exception as error:  # noqa: BLE001 - what cannot be looked at is a fault, and its broker is stopped all the same
            self._faults.append(f"the trail cannot be read: {error!r}")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Have every broker looked at before it is stopped, and every play in memory when its test ends."""
        stop, admit = EmbeddedKafka.stop, MemoryBus.admit

        def stops(kafka: EmbeddedKafka) -> None:
            self.ends(kafka.bootstrap)
            if kafka.pid is not None and kafka.folder.service("registrar").exists():
                self._look(kafka.folder)
            stop(kafka)

        def admits(stage: MemoryBus, *given: Any) -> None:
            admit(stage, *given)
            self._plays.append(stage)

        patch.setattr(EmbeddedKafka, "stop", stops)
        patch.setattr(MemoryBus, "admit", admits)


def _answers(folder: BusFolder) -> bool:
    """Whether a broker is there: what a test has killed cannot be read."""
    try:
        host, port = folder.bootstrap.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except (OSError, NoBus, ValueError):
        return False


WATCH: Final = Watch()
