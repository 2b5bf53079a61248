"""A whole bus in memory: real desks with ledgers and relays, a real shard of the registrar, and between them what a broker does.

A broker keeps what was sent and hands it out in order; it may lose the answer to a sending, so that the desk sends again, and
hand a record out twice. A desk may be killed at any time. Nothing is thrown away.
"""

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from agencies import NOW, SIGNAL
from desk.given import REF, Given, Read, consumed, desk_of
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.registrar.records import Out
from nrmbus.wire.letter import Place
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import verify_registration
from registrar.given import Bus, as_record

DESKS: Final = ("ngo-a", "special-unit", "vac", "court")
CASES: Final = ("a1" * 16, "b2" * 16, "c3" * 16)
SHARED: Final = {"purposes": ["services", "information_sharing"]}
REFERRAL: Final = {"mode": "referral", "reason": "FormalIdentification", "urgency": "urgent", "services": []}


class Word(NamedTuple):
    """A word that was sealed: who typed it, in which event of which case, and whether no other agency may read it."""

    by: str
    event: str
    case: str
    kept_to_itself: bool


class _Lost(Exception):
    """The broker has the record, and its answer got lost."""


class Post(Bus):
    """The broker and the registrar, as the desks meet them: `FakeRegistrar` for `desk_of`, but with the Rules."""

    def __init__(self) -> None:
        super().__init__()
        self.town, self.live = self, self.shard()
        self.outbox: dict[str, list[Record]] = defaultdict(list)
        self.inbox: dict[str, list[Read]] = defaultdict(list)
        self.heard: Counter[str] = Counter()

    def judge(self, agency: str, now: Any) -> None:
        """Have the registrar take the next record of an outbox, and deliver."""
        self.deliver(self.take(self.live, self.outbox[agency].pop(0), owner=agency, now=now).outs)

    def deliver(self, outs: list[Out]) -> None:
        """Append each delivery to its inbox."""
        for out in outs:
            agency = out.topic.removeprefix("nrm.inbox.")
            if out.topic != agency:
                self.inbox[agency].append(consumed(as_record(out), to=agency, offset=len(self.inbox[agency])))


class WholeTown:
    """Desks that publish, answer, read, are killed and erase, as the dice say."""

    def __init__(self, seed: int, home: Path) -> None:
        self.dice, self.home, self.post = random.Random(seed), home, Post()
        self.desks: dict[str, Given] = {}
        self._lives: dict[str, AsyncExitStack] = {}
        self.now = NOW
        self.asked: list[tuple[str, str]] = []
        self.words: dict[str, Word] = {}
        self.erased: set[str] = set()
        self.read: Counter[str] = Counter()

    async def start(self, agency: str) -> None:
        """Start the desk of *agency*, or kill and start it again."""
        if agency in self._lives:
            await self._lives.pop(agency).aclose()
        stack = self._lives[agency] = AsyncExitStack()
        desk = await stack.enter_async_context(
            desk_of(agency, self.home / agency, registrar=self.post)  # type: ignore[arg-type]  # it has a town
        )
        desk.clock.time = self.now
        self.desks[agency] = desk

    async def close(self) -> None:
        """End all desks."""
        for stack in self._lives.values():
            await stack.aclose()

    # What may happen

    async def step(self) -> None:
        """Do one thing."""
        agency = self.dice.choice(DESKS)
        doing = self.dice.choices(
            (self.say, self.send, self.judge, self.hear, self.twice, self.kill, self.open, self.terminate, self.later),
            (10, 10, 12, 20, 2, 1, 1, 0.3, 0.6),
        )[0]
        await doing(agency)

    async def begin(self) -> None:
        """The NGO meets three people, who let the special unit and the assistance centre help."""
        for case in CASES:
            await self.ask("ngo-a", case, "case.signal_recorded", dict(SIGNAL), seals=lambda word: {"notes": word})
            for receiver in ("special-unit", "vac"):
                given = {**SHARED, "receivers": [receiver], "given_by": "individual", "form": "written"}
                await self.ask("ngo-a", case, "consent.given", given)
        await self.settle()

    async def say(self, agency: str) -> None:
        """Somebody at the desk publishes an event, with a word of its own in the letter."""
        dice, case = self.dice, self.dice.choice(CASES)
        to = dice.choice([each for each in ("special-unit", "vac") if each != agency])
        ref = REF[:-3] + case[:2] + dice.choice("12")
        agreed = {**SHARED, "receivers": [to], "given_by": "individual", "form": "written"}
        asking, answering = {"ref": ref, "to": [to], "legal_basis": "CoM 21/2008 art. 7"}, {"ref": ref}
        turns: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
            ("consent.given", agreed, {}, None),
            ("consent.withdrawn", {**SHARED, "receivers": [to]}, {}, None),
            ("referral.submitted", REFERRAL, asking, lambda word: {"name": word, "facts": word}),
            ("referral.submitted", REFERRAL, asking, lambda word: {"name": word, "facts": word}),
            ("referral.info_requested", {"question": "language"}, answering, None),
            ("referral.info_supplied", {"question": "language"}, answering, lambda word: {"answer": word}),
            ("referral.accepted", {"next_step": "other"}, answering, None),
            ("needs.assessed", {}, {"to": [to]}, lambda word: {"needs": ["legal"], "risk": "low", "notes": word}),
            ("consent.stop_confirmed", {"answer": "deleted"}, {}, None),
        ]
        type_, data, more, seals = dice.choice(turns)
        await self.ask(agency, case, type_, data, seals=seals, **more)

    async def ask(
        self, agency: str, case: str, type_: str, data: dict[str, Any], *, seals: Any = None, **more: Any
    ) -> None:
        """Publish at the door, and remember what was typed."""
        word = f"CANARY-{len(self.words):04d}-{agency}"
        event = {"actor": "S-1", "case": case, "type": type_, "data": data, **more}
        if seals is not None:
            event["sealed"] = seals(word)
        answer = await self.desks[agency].door.post("/v1/events", json=event)
        if answer.status_code not in (200, 202):
            return
        found = answer.json()["id"]
        self.asked.append((agency, found))
        if seals is not None:
            self.words[word] = Word(agency, found, case, kept_to_itself=type_ == "case.signal_recorded")

    async def send(self, agency: str) -> None:
        """The relay sends what is due; sometimes the broker's answer gets lost."""
        desk, sent = self.desks[agency], self.desks[agency].sent
        before = len(sent)
        lost = self.dice.random() < 0.2
        if lost:
            desk.relay._send = self._losing(sent)
        try:
            await desk.relay.once()
        except* _Lost:
            pass
        finally:
            if lost:
                desk.relay._send = self._keeping(sent)
        self.post.outbox[agency] += sent[before:]

    @staticmethod
    def _keeping(sent: list[Record]) -> Any:
        async def send(record: Record) -> None:
            sent.append(record)

        return send

    @staticmethod
    def _losing(sent: list[Record]) -> Any:
        async def send(record: Record) -> None:
            sent.append(record)
            raise _Lost

        return send

    async def judge(self, agency: str) -> None:
        """The registrar takes a record."""
        if self.post.outbox[agency]:
            self.post.judge(agency, self.now)

    async def hear(self, agency: str) -> None:
        """A desk reads the next record of its inbox."""
        post = self.post
        if post.heard[agency] < len(post.inbox[agency]):
            post.heard[agency] += 1
            await self.desks[agency].hear(post.inbox[agency][post.heard[agency] - 1])

    async def twice(self, agency: str) -> None:
        """The broker hands a record out again, to the registrar or to the desk."""
        if self.desks[agency].sent:
            self.post.outbox[agency].append(self.dice.choice(self.desks[agency].sent))
        if self.post.heard[agency]:
            await self.desks[agency].hear(self.post.inbox[agency][self.dice.randrange(self.post.heard[agency])])

    async def kill(self, agency: str) -> None:
        """The process of a desk ends, and another begins with its ledger."""
        await self.start(agency)

    async def later(self, agency: str) -> None:
        """Time passes, and the timekeeper publishes what is due."""
        del agency
        await self.passes(self.dice.choice((0, 1, 4)))

    async def passes(self, days: int) -> None:
        """So many days pass."""
        self.now += timedelta(days=days)
        for desk in self.desks.values():
            desk.clock.time = self.now
        await self.timekeeper()

    async def timekeeper(self) -> None:
        """The timekeeper publishes each erasure that is due; each desk erases in a round of its own."""
        for case in CASES:
            found = self.post.live.memory.case(case)
            due = [] if found is None else [each for each in self.post.rules.due(found.view) if each.at <= self.now]
            for each in due:
                if each.type == "access.erasure_due":
                    said = self.post.event(
                        "timekeeper", each.type, each.data.to_mapping(), case=case, at=each.at, recordedtime=self.now,
                        causationid=each.cause,
                    )  # fmt: skip
                    decision = self.post.take(self.post.live, self.post.signed(said), owner="timekeeper", now=self.now)
                    assert decision.outcome == "registered", decision.code
                    self.post.deliver(decision.outs)
                    self.erased.add(case)
        for desk in self.desks.values():
            await rounds.erase_due(desk.desk)

    async def terminate(self, agency: str) -> None:
        """A court ends access to a case."""
        del agency
        await self.end(self.dice.choice(CASES))

    async def end(self, case: str) -> None:
        """A court ends access to *case*."""
        data = {"body": "court", "scope": "case"}
        event = {
            "actor": "S-1",
            "approver": "S-2",
            "case": case,
            "type": "access.terminated",
            "data": data,
        }
        answer = await self.desks["court"].door.post("/v1/events", json=event)
        if answer.status_code in (200, 202):
            self.asked.append(("court", answer.json()["id"]))

    async def open(self, agency: str) -> None:
        """Somebody reads the inbox, letters opened."""
        await self.opened(agency)

    async def opened(self, agency: str) -> list[dict[str, Any]]:
        """Return the inbox of *agency* as a person reads it."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["row"] if found else 0
            asked = self.desks[agency].door.get("/v1/inbox", params={"open": True, "actor": "S-9", "after": after})
            page = (await self.during(asked)).json()
            if not page["events"]:
                return found
            found += page["events"]

    async def during(self, request: Awaitable[httpx.Response]) -> httpx.Response:
        """Return the door's answer, while everything else goes on."""
        asking = asyncio.ensure_future(request)
        while not asking.done():
            await asyncio.wait([asking], timeout=0.005)
            await self.settle(rounds=1)
        return asking.result()

    async def settle(self, rounds: int = 200) -> None:
        """Let everything arrive."""
        for _ in range(rounds):
            for agency in DESKS:
                sent = await self.desks[agency].out()
                self.post.outbox[agency] += sent
            moved = False
            for agency in DESKS:
                while self.post.outbox[agency]:
                    await self.judge(agency)
                    moved = True
            for agency in DESKS:
                while self.post.heard[agency] < len(self.post.inbox[agency]):
                    await self.hear(agency)
                    moved = True
            if not moved:
                return

    # What must hold

    def numbered(self) -> list[str]:
        """Return the id of each event in the history, registered or refused."""
        return [self._id(each) for each in self.post.history]

    def delivered(self, agency: str) -> set[str]:
        """Return the ids of the registered events in the inbox of *agency*, its own among them."""
        return {self._id(each) for each in self.post.inbox[agency] if each.value and self._has_number(each)}

    def _id(self, record: Record | Read) -> str:
        key = self.post.key.verify_key
        return verify_registration(dict(record.headers)[REGISTRATION], lambda _: key).id

    @staticmethod
    def _has_number(record: Read) -> bool:
        return REGISTRATION in dict(record.headers)

    def canaries(self, letter: Any) -> list[str]:
        """Return the words of this play in an opened letter."""
        return re.findall(r"CANARY-[0-9]{4}-[a-z-]+", str(letter))

    async def secrets(self, agency: str, word: str) -> bool:
        """Return whether the ledger of *agency* still opens the letter in which *word* came."""
        by, event, case, _ = self.words[word]
        desk = self.desks[agency].desk
        with desk.seat.ledger.read() as tx:
            return bool(case_keys.secrets_of(desk.seat, tx, Place(self.post.bus, by, event, case)))
