"""Operator's inbox: reads the agencies' topics of requests, and answers the valid ones.

`nrmbus up` makes a pass every few seconds, or `nrmbus agency head` from a timer. A pass reads the new records of each
topic up to a limit, so that an agency that floods its topic delays only itself. An invalid request is skipped and
reported with a code. A certificate is written to disk before the broker learns of it, so that the next pass can finish
a pass that crashed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import Field, ValidationError

from nrmbus.bus.async_lock import locked_meanwhile
from nrmbus.bus.errors import BusError, NotCertified
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, clock_check
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory import commands, joining, renewal, rotation
from nrmbus.directory.admission import read_directory
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.renewal import Renewal
from nrmbus.directory.requests import Request
from nrmbus.events.model import AgencyId, Frozen
from nrmbus.wire import json
from nrmbus.wire.names import ANSWERS, REQUESTS

A_PASS: Final = 200
"""So many records of one agency are read in a pass."""

_CHANGE: Final = b"nrmbus-request/1"
"""The form that a change of keys names; what says so and is none is refused like any other."""

READ_SECONDS: Final = 5.0
"""Seconds for reading one agency's topic; the next pass retries a topic that takes longer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of an agency's request: *done*, or the *code* of the refusal."""

    agency: str
    code: str | None = None
    done: Literal["certificate", "waiting", "twice", "entered", "confirmed", "again"] = "certificate"

    def __str__(self) -> str:
        if self.code is None:
            return f"{self.agency} {_DONE[self.done]}"
        return f"A request in the topic of {self.agency} was passed over: {self.code}."


_DONE: Final = {
    "certificate": "has asked for another certificate, and has it.",
    "waiting": "asks for other keys: an admitter signs with nrmbus agency admit --waiting.",
    "twice": "asks for other keys, and two admitters signed at the same time: the second signs again, with nrmbus agency admit --waiting.",
    "entered": "has asked for other keys, two admitters have signed, and it is entered.",
    "confirmed": "has confirmed its other keys, and they are current.",
    "again": "has a topic of requests that was made again: it is read from its beginning.",
}


class Answer(Frozen):
    """A record of the topic of answers."""

    agency: AgencyId
    record: str


class State(Frozen):
    """State between passes, in ``keys/requests.json``: the next offsets, and answers not yet published."""

    next: Mapping[str, int] = Field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    waiting: Mapping[str, str] = Field(default_factory=dict)
    """Change of keys that waits for admitters, by agency: only one, so that admitters do not see a pile."""


@dataclass(slots=True)
class _Found:
    """New records in the topics of requests."""

    records: dict[str, list[bytes]] = field(default_factory=dict)
    """By agency, oldest first."""
    next: dict[str, int] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    """Of reading itself: topics that could not be read, and topics whose offsets begin again."""


async def answer(folder: BusFolder) -> tuple[Outcome, ...]:
    """Make one pass and return its outcomes, at most one per agency and code. No content of a topic makes it raise.

    Raises:
            BusError, KafkaError: the broker does not answer, or fails; the next pass does the rest.
        DirectoryError: the directory cannot be believed.
    """
    async with locked_meanwhile(folder.keys / "requests.lock"):
        state = _kept(folder)
        found = await _read(folder, state.next)
        outcomes = dict.fromkeys(found.outcomes)
        waits = dict(state.waiting)
        for agency, record in state.waiting.items():  # one that an earlier pass could not enter
            if commands.is_complete(Request.parsed(record.encode())):
                del waits[agency]
                found.records.setdefault(agency, []).insert(0, record.encode())
        if found.records:
            directory = await read_directory(folder)
            issued = list[Answer]()
            for agency, records in found.records.items():
                changed = [each for each in records if _CHANGE in each]
                asked = [each for each in records if _CHANGE not in each and each != clock_check.RECORD]
                made, codes = await asyncio.to_thread(_answered, folder, directory, agency, asked)
                outcomes |= dict.fromkeys(Outcome(agency, code) for code in codes)
                if made is not None:
                    issued.append(Answer(agency=agency, record=json.dumps(body_of(made)).decode()))
                    outcomes[Outcome(agency)] = None
                async for outcome, waiting in _changed(folder, directory, agency, changed, waits):
                    outcomes[outcome] = None
                    issued += [waiting] if waiting else []
            state = State(next={**state.next, **found.next}, answers=(*state.answers, *issued), waiting=waits)
            _keep(folder, state)
        if state.answers:
            await asyncio.to_thread(Gate(folder).apply)
            await _publish(folder, state.answers)
            _keep(folder, State(next=state.next, waiting=state.waiting))
        return tuple(outcomes)


# -- certificates ----------------------------------------------------------------------------------------------------


def _answered(
    folder: BusFolder, directory: Directory, agency: str, records: Iterable[bytes]
) -> tuple[Renewal | None, list[str]]:
    """Return the answer to the newest valid request in *agency*'s topic, if any; and why others are invalid."""
    newest: Renewal | None = None
    codes: list[str] = []
    for raw in records:
        try:
            asked = Renewal.parsed(raw)
            if renewal.asked_by(directory, asked).agency != agency:
                raise DirectoryError("request_invalid")
            newest = asked
        except DirectoryError as error:
            codes.append(error.code)
    if newest is None:
        return None, codes
    try:
        return renewal.certified(folder, directory, newest), codes
    except (DirectoryError, NotCertified) as error:
        return None, [*codes, error.code]


# -- changes of keys -------------------------------------------------------------------------------------------------


async def _changed(
    folder: BusFolder, directory: Directory, agency: str, records: Iterable[bytes], waits: dict[str, str]
) -> AsyncIterator[tuple[Outcome, Answer | None]]:
    """Enter fully signed requests; note in *waits*, and answer, those that need another admitter's signature."""
    for raw in records:
        try:
            request = Request.parsed(raw)
            count, owner = rotation.signed(directory, request, agency), request.entry.agency
            record = json.dumps(body_of(request)).decode()
            if commands.is_complete(request):
                directory.checked(joining.changed(request.entry, number=directory.number + 1))
                waits[owner] = record
                await commands.enter(folder, request)
                del waits[owner]
                directory = await read_directory(folder)
                done: Literal["confirmed", "entered"] = "confirmed" if request.entry.kind == "confirmed" else "entered"
                yield Outcome(owner, done=done), None
            elif count > _waiting(directory, waits.get(owner)):
                waits[owner] = record
                yield Outcome(owner, done="waiting"), Answer(agency=owner, record=record)
            elif count and _signers(record) != _signers(waits[owner]):
                # Each admitter signed a challenge of their own, and nobody can join the two.
                yield Outcome(owner, done="twice"), None
        except DirectoryError as error:
            yield Outcome(agency, error.code), None
        except (BusError, KafkaError):  # what is complete stays there for the next pass
            yield Outcome(agency, "not_available"), None


def _signers(record: str) -> frozenset[str]:
    """Return the kids of the admitters who have signed the request in *record*."""
    return frozenset(each.keyid for each in Request.parsed(record.encode()).entry.admitted)


def _waiting(directory: Directory, record: str | None) -> int:
    """Return how many admitters have signed the waiting request; -1 if no request could still be entered."""
    if record is None:
        return -1
    try:
        request = Request.parsed(record.encode())
        over = request.entry.until is not None and request.entry.until < wall_now()
        return -1 if over else rotation.signed(directory, request, request.entry.agency)
    except DirectoryError:
        return -1


# -- the topics ------------------------------------------------------------------------------------------------------


async def _read(folder: BusFolder, positions: Mapping[str, int]) -> _Found:
    found, consumer = _Found(), clients.reader(folder.as_operator)
    try:
        await consumer.start()  # one that did not start has connections to end as well
        there = [TopicPartition(each, 0) for each in sorted(await consumer.topics()) if each.startswith(REQUESTS)]
        ends = await clients.ends(consumer, there) if there else {}
        for each, end in ends.items():
            if end > 0 and positions.get(each.topic) != end:
                await _read_one(consumer, each, positions.get(each.topic, 0), end, found)
    finally:
        await consumer.stop()
    return found


async def _read_one(consumer: AIOKafkaConsumer, topic: TopicPartition, start: int, end: int, found: _Found) -> None:
    agency, records = topic.topic.removeprefix(REQUESTS), list[Any]()
    if start > end:  # nobody else gives requests their offsets: the topic was made again, or is another cluster's
        found.outcomes.append(Outcome(agency, done="again"))
        start = 0
    consumer.assign([topic])
    consumer.seek(topic, start)
    try:
        async with asyncio.timeout(READ_SECONDS):
            while len(records) < A_PASS and await consumer.position(topic) < end:
                records += (await consumer.getmany(topic, timeout_ms=200, max_records=A_PASS)).get(topic, ())
        found.next[topic.topic] = await consumer.position(topic)
    except (KafkaError, TimeoutError):
        found.outcomes.append(Outcome(agency, "not_available"))
        return
    found.records[agency] = [each.value or b"" for each in records]


async def _publish(folder: BusFolder, answers: Iterable[Answer]) -> None:
    async with clients.producer(folder.as_operator, command=True) as producer:
        for each in answers:
            await producer.send_and_wait(ANSWERS, value=each.record.encode(), key=each.agency.encode(), partition=0)


# -- from one pass to the next ---------------------------------------------------------------------------------------


def _kept(folder: BusFolder) -> State:
    path = folder.keys / "requests.json"
    try:
        return State.model_validate_json(path.read_bytes())
    except (
        FileNotFoundError,
        ValidationError,
    ):  # all is read again: what is old is refused, and how many are good is bounded
        return State()


def _keep(folder: BusFolder, state: State) -> None:
    write_json(folder.keys / "requests.json", body_of(state))
