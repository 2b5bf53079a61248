"""The auditor's page on the history of the first scenario: no broker, and a registrar that answers, refuses or is away."""

import asyncio
import re
import shutil
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, Self

import httpx
import pyotp
import pytest
from aiokafka import TopicPartition
from starlette.applications import Starlette

from agencies import BUS, POLICY
from auditor.played import Written, written
from nrmbus.auditor.history import live
from nrmbus.auditor.history.history import Audited, Entry, History
from nrmbus.auditor.history.outcomes import is_reading
from nrmbus.auditor.log.logs import Logs
from nrmbus.auditor.web import access_log, users
from nrmbus.auditor.web.access_log import AccessLog
from nrmbus.auditor.web.pages import site
from nrmbus.auditor.web.pages.answers import Opened
from nrmbus.auditor.web.pages.site import Site
from nrmbus.auditor.web.users import Users
from nrmbus.rules import Refusal, load_profile
from nrmbus.telemetry.span_file import Span
from nrmbus.web.second_factor import STEP_SECONDS
from nrmbus.wire import ids
from nrmbus.wire.envelope import decode
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import Record

CHEAP: Final = 16
"""The cost of a password hash in tests."""
NAME: Final = "leyla"
PASSWORD: Final = "a long example password"
LATER: Final = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
"""The bus's time: after the whole story."""
WITNESSES: Final = ("ngo-a", "special-unit", "vac")
REFUSED: Final = Refusal("wrong_state", "G-40", "RULES.md#statuses [D]", "")


class _Following:
    """Stands for the topic: hands over what was written, each record once."""

    written: Written

    def __init__(self, *_: object) -> None:
        self._position = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def join(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._topics = list(offsets)

    async def ends(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, len(self.written.records))

    async def passed(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all(self._position >= end for end in ends.values())

    async def take(self, _timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        found = self.written.records[self._position :]
        self._position += len(found)
        if not found:
            await asyncio.sleep(0.001)
        return {self._topics[0]: found} if found else {}


class Stands:
    """A clock that stands."""

    def now(self) -> datetime:
        """The time of the page."""
        return LATER


@cache
def _laid_out() -> tuple[TemporaryDirectory[str], Written, str]:
    """The folder, the history and the user that every hall begins with."""
    scratch = TemporaryDirectory()
    home = Path(scratch.name)
    found = written(home)
    logs = Logs(home, found.directory, 1, [])
    logs.take(deque((0, each) for each in found.records))
    logs.commit()
    logs.sign(LATER)
    for offset, (_, said) in enumerate(logs.unpublished(), 1):
        logs.published(said, offset)
        for agency in WITNESSES[:2]:
            cosigner = Cosigner(witness_name(BUS, agency), found.identities[agency].witness)
            note = Note.parse(said.note)
            signature = cosigner.cosign(note.text, int(LATER.timestamp()))
            logs.cosigned.add(note.signed(signature).bytes(), found.directory.witnesses(agency))
    logs.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(users._COST, "n", CHEAP)
        return scratch, found, Users(home).add(NAME, PASSWORD)


class Hall:
    """The page with its history and its sessions."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lay the history out in the folder *home*."""
        self.home = home / "auditor"
        scratch, found, self.actor = _laid_out()
        shutil.copytree(scratch.name, self.home)
        self.written = replace(found, records=[*found.records], view={**found.view})
        self.sent: list[Record] = []
        self.registrar: Literal["answers", "refuses", "away"] = "answers"
        self._read, self._history = 0, History(self.written.directory, signatures="last")
        self.stopped_at: str | None = None
        self.caught_up = True
        self.refused: dict[str, str] = {}
        self.spans: list[Span] = []
        self.logs: Logs | None = Logs(self.home, self.written.directory, 1, [])
        self.logs.take(deque((0, each) for each in self.written.records))
        self.turn = asyncio.Lock()
        self.users = Users(self.home)
        monkeypatch.setattr(live, "TopicReader", type("Topic", (_Following,), {"written": self.written}))
        self._patch = monkeypatch
        monkeypatch.setitem(users._COST, "n", CHEAP)
        monkeypatch.setattr(site, "wall_now", PHONE.now)
        self.seen = live.LiveHistory(
            where="", directory=self.written.directory, catch_up=self._nothing, policy=POLICY, partitions=1
        )
        self.site = Site(self.home, bus=BUS, partitions=1, profile=load_profile(POLICY))
        key = self.written.identities["auditor"].signing
        self.access_log = AccessLog(
            seen=self.seen, key=key, policy=POLICY, partitions=1, clock=Stands(), send=self._registered
        )
        opened = Opened(self, self.access_log, self.seen, Stands(), self.written.directory, lambda _: self.spans)
        self.site.open(opened)
        self.app = Starlette(routes=self.site.routes())

    async def _nothing(self) -> None:
        return None

    async def _registered(self, record: Record, _partition: int) -> None:
        self.sent.append(record)
        if self.registrar != "away":
            await self.register(record)

    def away(self) -> None:
        """Have the registrar answer nothing, and nobody wait long for him."""
        self.registrar = "away"
        self._patch.setattr(access_log, "PATIENCE_SECONDS", 0.1)

    def back(self) -> None:
        """Have him answer again."""
        self.registrar = "answers"
        self._patch.setattr(access_log, "PATIENCE_SECONDS", 10.0)

    async def register(self, record: Record) -> None:
        """Do what the registrar does with a record of the auditor's."""
        event = decode(record).event()
        self.written.register(event, LATER, REFUSED if self.registrar == "refuses" else None)

    def audited(self) -> Audited:
        """The history as it stands now."""
        for record in self.written.records[self._read :]:
            self._history.take(record, 0)
        self._read = len(self.written.records)
        return Audited(self._history, self.written.directory, self.written.rules, 1)

    @property
    def case(self) -> str:
        """The case of the story."""
        return self.audited().history.spoken_of()[0]

    def event(self, type: str) -> str:
        """The address of the first event of *type*."""
        for entry in self.audited().history.entries:
            if entry.said and entry.said.type == type:
                said = entry.registration
                return f"/events/{said.id}?partition={said.partition}&number={said.number}"
        raise AssertionError(type)

    def readings(self, subject: str) -> list[Entry]:
        """Return the access records of *subject*."""
        return [each for each in self.audited().history.about(subject) if is_reading(each)]

    def asked(self) -> list[dict[str, Any]]:
        """Return the access records of the history, oldest first."""
        found = []
        for entry in self.audited().history.entries:
            if entry.event and entry.event.type == "access.granted":
                event = entry.event
                found.append({"subject": event.subject, "actor": event.actor, **event.data.to_mapping()})
        return found

    @asynccontextmanager
    async def browser(self, *, signed_in: bool = True, language: str = "en") -> AsyncIterator[httpx.AsyncClient]:
        """A browser at the page."""
        headers = {"accept-language": language}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            if signed_in:
                assert (await sign_in(client)).status_code == 303
            yield client


def places(hall: Hall) -> list[str]:
    """Every page there is."""
    return ["/search?go=1", f"/cases/{hall.case}", hall.event("referral.submitted"), "/agencies", "/checkpoints"]


async def sign_in(client: httpx.AsyncClient, name: str = NAME, password: str = PASSWORD, **more: str) -> httpx.Response:
    """Sign in with a purpose and the code of the app, which is set up if there is none."""
    form = {"name": name, "password": password, "purpose": "audit", "back": "/search", **more}
    answer = await client.post("/sign-in", data=form)
    if not answer.is_redirect:
        return answer
    return await client.post(
        "/sign-in/code", data={"code": PHONE.shows(name, (await client.get("/sign-in/code")).text)}
    )


class Phone:
    """Phone with everybody's authenticator app, and the time of the pages: half a minute later at each code."""

    def __init__(self) -> None:
        """Begin without any app."""
        self._secrets: dict[str, str] = {}
        self._time = LATER

    def now(self) -> datetime:
        """Return the time."""
        return self._time

    def shows(self, name: str, page: str) -> str:
        """Return the next code of *name*'s app, which is set up first if *page* shows a key."""
        if shown := re.search(r'class="nrm-code">([A-Z2-7 ]+)<', page):
            self._secrets[name] = shown[1].replace(" ", "")
        self._time += timedelta(seconds=STEP_SECONDS)
        return pyotp.TOTP(self._secrets[name]).at(self._time)


PHONE: Final = Phone()


def form_of(page: str) -> str:
    """Return the token in the forms of this session."""
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found
    return found[1]


NO_CASE: Final = ids.new_ref()
