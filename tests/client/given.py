"""Places at which a program may use a desk: the same promises hold at each of them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import uvicorn

from brokers import Broker
from desk.given import TOKEN, Given, desk_of
from desk.live import live
from nrmbus.client import AsyncDesk, Cursor
from nrmbus.client.received import BEGINNING
from nrmbus.client.testing import FakeDesk
from nrmbus.events.case import SignalRecorded, SignalRecordedLetter
from nrmbus.events.referral import ReferralAccepted, ReferralSubmitted
from nrmbus.wire.record import Record
from patience import LONGEST_WAIT

CANARY = "Leyla Example"
SIGNAL = SignalRecorded(
    detector="special_unit", child=False, urgency="emergency", detected_abroad=False, basis=("indicators",)
)
LETTER = SignalRecordedLetter(age_band="25-34", sex="F", notes=CANARY)
REFERRAL = ReferralSubmitted(to=("ngo-a",), mode="referral", reason="LegalAid", urgency="normal", services=("legal",))
"""Refused, since the person has given no consent."""
CASE, OTHER = "ab" * 16, "cd" * 16


class Place(Protocol):
    """Desk of the special unit, and an NGO that can tell it something."""

    def desk(self, **how: Any) -> AsyncDesk:
        """Return the desk as a program uses it."""

    async def tell(self, case: str) -> None:
        """Have the NGO report SIGNAL with LETTER, and wait until the special unit's desk has it."""

    def refuse(self) -> None:
        """See that REFERRAL is refused."""


class InProcess:
    """Real desk in this process, whose registrar is the test's."""

    def __init__(self, given: Given, url: str) -> None:
        self._given, self.url, self._refused, self._in_order = given, url, False, asyncio.Lock()
        self.refused_type: str | None = None
        """Type of which every event is refused."""

    def desk(self, **how: Any) -> AsyncDesk:
        """Return a client of the desk's own HTTP application."""
        return AsyncDesk(self.url, **{"token": TOKEN, **how})

    async def tell(self, case: str) -> None:
        """Deliver the signal."""
        letter: Any = LETTER.parts()
        record = self._given.registrar.event(
            "ngo-a", SIGNAL.type, SIGNAL.to_mapping(), case=case, parts=letter, opens=["special-unit"]
        )
        await self.hear(record)

    async def hear(self, record: Record) -> None:
        """Register the *record* of another agency, and deliver it."""
        async with self._in_order:
            await self._given.hear(self._given.registrar.register(record, to="special-unit"))

    def refuse(self) -> None:
        """Refuse the next event as the Rules refuse a referral without consent."""
        self._refused = True

    async def registering(self) -> None:
        """Register, or refuse, whatever the desk sends."""
        registrar = self._given.registrar
        while True:
            for record in await self._given.out():
                kind = dict(record.headers)["ce_type"].decode().removeprefix("nrm.")
                refuse, self._refused = self._refused or kind == self.refused_type, False
                async with self._in_order:
                    answer = registrar.refuse(record, "consent_required", "G-32") if refuse else None
                    await self._given.hear(answer or registrar.register(record, to="special-unit"))
            await asyncio.sleep(0.005)


@asynccontextmanager
async def served(app: Any, **tls: Any) -> AsyncIterator[str]:
    """Serve the ASGI application *app* on this machine; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, **tls))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def in_process(home: Path) -> AsyncIterator[InProcess]:
    """Yield a real desk without a broker."""
    async with desk_of("special-unit", home) as given, served(given.door._transport.app) as url:  # type: ignore[attr-defined]
        place = InProcess(given, url)
        registering = asyncio.create_task(place.registering())
        try:
            yield place
        finally:
            registering.cancel()
            with suppress(asyncio.CancelledError):
                await registering


class InMemory:
    """The SDK's own fake."""

    def __init__(self) -> None:
        self._fake = FakeDesk("special-unit", agencies=["ngo-a"])

    def desk(self, **how: Any) -> AsyncDesk:
        """Return the fake's desk."""
        return self._fake.desk(**how)

    async def tell(self, case: str) -> None:
        """Put the signal into the inbox."""
        self._fake.receive(SIGNAL, source="ngo-a", case=case, sealed=LETTER)

    def refuse(self) -> None:
        """Refuse the next referral."""
        self._fake.refuse(ReferralSubmitted, "consent_required", "No consent covers this agency.", rule="G-32")


class OnABus:
    """Desk of a running bus."""

    def __init__(self, home: Callable[[str], Path]) -> None:
        self._home = home

    def desk(self, **how: Any) -> AsyncDesk:
        """Return a client of the desk's process."""
        desk = AsyncDesk.of(self._home("special-unit"), speaks=how.pop("speaks", ()))
        return AsyncDesk(desk.door.url, **{"token": desk.door.token, **how}) if how else desk

    async def tell(self, case: str) -> None:
        """Publish the signal, and wait until it has arrived."""
        async with AsyncDesk.of(self._home("ngo-a")) as ngo, self.desk() as unit:
            signal = SIGNAL.model_copy(update={"detector": "ngo_outreach"})
            await ngo.publish(signal, case=case, actor="S-1", sealed=LETTER, wait=LONGEST_WAIT)
            async for event in unit.inbox():
                if event.case == case:
                    return

    def refuse(self) -> None:
        """Leave it to the Rules."""


@asynccontextmanager
async def on_a_bus(broker: Broker) -> AsyncIterator[Place]:
    """Yield a desk of a real bus."""
    agencies = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
    async with live(broker, agencies, run=tuple(agencies)) as bus:
        yield OnABus(lambda name: bus.folder.agency(name).path)


class Kept:
    """Store in memory that remembers every cursor."""

    def __init__(self) -> None:
        self.all: list[Cursor] = []

    def load(self) -> Cursor:
        """The last one."""
        return self.all[-1] if self.all else BEGINNING

    def store(self, cursor: Cursor) -> None:
        """Remember."""
        self.all.append(cursor)


def of_two_cases() -> FakeDesk:
    """Return a desk with two cases: rows 1 and 3 of one, row 2 of the other, and row 4 without a handler."""
    fake = FakeDesk("special-unit", agencies=["ngo-a"])
    for case in (CASE, OTHER, CASE):
        fake.receive(SIGNAL, source="ngo-a", case=case, sealed=LETTER)
    fake.receive(ReferralAccepted(next_step="reception"), source="ngo-a", case=OTHER)
    return fake
