"""A real bus as a stage: agencies speak through their desks' doors, and nothing else is used to say or see what they see.

The history is read as an auditor reads it; the files or topics of the broker are searched for what must not stand in them.
"""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Collection, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from nrmbus.auditor.history.history import History, rules_of
from nrmbus.auditor.history.reader import HistoryReader
from nrmbus.bus.clock import BEFORE_ANY_TICK, SteppedClock, tick_clock
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.replicas import parted, turn_of
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory import DirectoryError
from nrmbus.directory.admission import Newcomer, admit, home_of, read_directory
from nrmbus.events.figures import Release
from nrmbus.events.model import Part
from nrmbus.events.registry import TYPES
from nrmbus.play import differences, traces_left
from nrmbus.play.quiet import Quiet
from nrmbus.play.registrars import Registrars
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Happened, Outcome, Stage, StageError, Standing, Words, shown
from nrmbus.wire import times
from nrmbus.wire.names import AUDITOR, REGISTRAR, STATISTICS, TIMEKEEPER

START_SECONDS: Final = 180.0
"""Limit for the start or return of a service; a busy machine takes many times as long as an idle one."""
LISTENING_SECONDS: Final = 180.0
"""Limit until others see that an agency reads again, or has no desk."""
VERDICT_SECONDS: Final = 25.0
_Result = TypeVar("_Result")


class BusStage(Stage):
    """A stage over a running bus for playing. Use as a context manager."""

    def __init__(self, folder: BusFolder) -> None:
        """Prepare to play on the bus in *folder*, which must be up."""
        self._folder, self._settings = folder, folder.settings
        # A thread of its own: consumers must go on fetching between one look and the next.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)
        self._thread.start()
        self._doors: dict[str, Door] = {}
        self._frozen: dict[str, Door] = {}
        self._quiet = Quiet(self._doors)
        self._now = BEFORE_ANY_TICK
        self._agencies: tuple[str, ...] = ()
        self._counts = False
        """True if the play looks at figures, so that their agency is on the bus."""
        self._sender: dict[str, str] = {}
        self._inboxes: dict[str, list[dict[str, Any]]] = {}
        self._trail_at: tuple[dict[str, int], dict[str, Any]] | None = None
        """How far history and inboxes had come when the trail was last looked at; None if it must be looked at again."""
        self._looked: dict[str, Any] = {}
        """Per agency, how far its inbox was when we last looked into it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for agency in tuple(self._frozen):  # the bus goes on after the play
            self._thaw(agency)
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except DoorError as error:
            raise StageError(str(error)) from error

    async def _close(self) -> None:
        for door in self._doors.values():
            await door.__aexit__(None, None, None)
        if hasattr(self, "_reader"):
            await self._reader.stop()
            await self._producer.stop()

    # -- before the play ---------------------------------------------------------------------------------------------

    def admit(self, agencies: Mapping[str, Participant], policy: str, starts: datetime | None) -> None:
        """Admit the new agencies, wait until every desk is up, and set the clock to *starts*, unless it is None."""
        if not self._settings.play:
            raise StageError("this bus runs by the wall's clock; play on one made with `nrmbus up --play`")
        if self._settings.policy != policy:
            raise StageError(
                f"this bus is under {self._settings.policy}; a play under another policy needs a bus of its own"
            )
        try:
            self._run(self._admit(agencies, starts))
        except (BusError, DirectoryError) as error:
            raise StageError(str(error)) from None

    async def _admit(self, agencies: Mapping[str, Participant], starts: datetime | None) -> None:
        where = self._folder.as_operator
        async with SteppedClock(where) as clock:
            self._quiet.tick, self._now = clock.tick, clock.now()
        starts = self._now if starts is None else starts
        if self._now > starts:
            raise StageError("this bus is past the start of the play: play on a fresh one")
        newcomers = newcomers_of(agencies) | ({STATISTICS: Newcomer(STATISTICS)} if self._counts else {})
        for name, newcomer in newcomers.items():
            self._same_places(name, newcomer)
        self._agencies = tuple(agencies)
        self._directory = await read_directory(self._folder)
        known = {name: entry.role for name, entry in self._directory.entries.items()}
        if any(known.get(name) != newcomer.role for name, newcomer in newcomers.items()):
            await admit(self._folder, newcomers, starts)
            self._directory = await read_directory(self._folder)
        self._history = History(self._directory)
        self._reader = HistoryReader(where, self._settings.partitions, self._history)
        await self._reader.start()
        self._producer = clients.producer(where)
        await self._producer.start()
        await self._find_doors()
        await self._tick(starts)

    def _same_places(self, name: str, newcomer: Newcomer) -> None:
        home, places = self._folder.agency(name), dict(newcomer.capacity)
        if home.agency_json.exists() and places and home.settings.capacity != places:
            raise StageError(f"{name} is on this bus already, with other places: play on a fresh one")

    async def _find_doors(self) -> None:
        until = time.monotonic() + START_SECONDS
        for name in (*self._folder.agencies(), REGISTRAR, TIMEKEEPER, AUDITOR):
            await self._open(name, home_of(self._folder, name), until)
        spoken = {*self._agencies, *([STATISTICS] if self._counts else [])}
        while not spoken <= set((await self._doors[REGISTRAR].health())["outboxes"]):
            if time.monotonic() > until:
                raise StageError("the registrar has not noticed the new agencies: see its log")
            await asyncio.sleep(0.02)

    async def _open(self, name: str, home: Path, until: float) -> None:
        old = self._doors.pop(name, None)
        if old is not None:
            await old.__aexit__(None, None, None)
        while True:
            door = None
            try:
                door = self._door(name, home)
                await door.health()
            except DoorError as error:
                if door is not None:
                    await door.__aexit__(None, None, None)
                if time.monotonic() > until:
                    raise StageError(f"{name} did not start: see {self._folder.logs / name}.log") from error
                await asyncio.sleep(0.02)
            else:
                self._doors[name] = door
                return

    def _desk(self, agency: str) -> Door:
        """Return the door of the desk of *agency*. Raises StageError while the desk is away."""
        if agency not in self._doors:
            raise StageError(f"the desk of {agency} is away: let it go on with `check: back`")
        return self._doors[agency]

    def _door(self, name: str, home: Path) -> Door:
        return Registrars.on(self._folder) if name == REGISTRAR else Door.of(home)

    # -- saying ------------------------------------------------------------------------------------------------------

    def publish(self, words: Words) -> Outcome:
        """Hand *words* to the desk of their agency, wait for the verdict and then for quiet."""
        return self._run(self._publish(words))

    async def _publish(self, words: Words) -> Outcome:
        desk = self._desk(words.by)
        try:
            answer = await desk.publish(asked(words), wait=VERDICT_SECONDS)
        except DoorError as error:
            await self._quiet.wait({words.by})
            return Outcome("", "", error.code)
        await self._quiet.wait({words.by})
        found = outcome(await self._answered(words.by, answer))
        self._sender[found.id] = words.by
        return found

    async def _answered(self, sender: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *answer*, or on a quiet bus its verdict where that came after the door had been asked."""
        if answer["verdict"] != "pending":
            return answer
        return await self._desk(sender).event(answer["id"])

    def again(self, event: str) -> Outcome:
        """Have the sender's desk send the very bytes of *event* once more."""
        return self._run(self._again(self._sender[event], event))

    async def _again(self, sender: str, event: str) -> Outcome:
        self._trail_at = None  # it may be delivered twice, though nothing is registered
        answer = await self._desk(sender).again(event, wait=VERDICT_SECONDS)
        await self._quiet.wait({sender})
        return outcome(await self._answered(sender, answer))

    def advance(self, at: datetime) -> None:
        """Move the clock through every due time up to *at*."""
        self._run(self._advance(at))

    async def _advance(self, at: datetime) -> None:
        while (due := self._quiet.seen.get(TIMEKEEPER, {}).get("next_due")) is not None:
            instant = times.read(due)
            if instant is None or instant > at:
                break
            await self._tick(max(instant, self._now))
            # On a quiet bus every event is published and answered; only events that the registrar refused can still be due.
            if self._quiet.seen.get(TIMEKEEPER, {}).get("next_due") == due:
                raise StageError(f"what was due at {due} was said and not registered: see the timekeeper's inbox")
        if at > self._now:
            await self._tick(at)

    async def _tick(self, at: datetime) -> None:
        self._quiet.tick += 1
        self._now = at
        await tick_clock(self._producer, self._quiet.tick, at)
        await self._quiet.wait()

    # -- looking -----------------------------------------------------------------------------------------------------

    def history(self, subject: str, *, technical: bool = False) -> tuple[Happened, ...]:
        """Return the registered events of a case, from the history."""
        self._run(self._catch_up())
        return tuple(
            Happened.of(fact.event, fact.event.time)
            for fact in self._history.facts(subject)
            if technical or not fact.event.data.technical
        )

    async def _catch_up(self) -> None:
        try:
            await self._reader.catch_up(self._numbers())
        except BusError as error:  # what does not verify, too: the step fails, and says where
            raise StageError(str(error)) from None

    def _numbers(self) -> dict[str, int]:
        """Return how far the history had come when the bus was last quiet."""
        numbers: dict[str, int] = self._quiet.seen.get(REGISTRAR, {}).get("numbers", {})
        return numbers

    async def _received(self) -> dict[str, list[dict[str, Any]]]:
        """Return the received events of each desk; only desks with new deliveries are asked again, and none that is away."""
        for name in self._agencies:
            if name in self._frozen:  # asked before it was frozen, and has read nothing since
                continue
            rows, position = self._inboxes.setdefault(name, []), self._quiet.seen.get(name, {}).get("inbox")
            if position == self._looked.get(name):
                continue
            self._looked[name] = position
            while page := (await self._desk(name).inbox(after=rows[-1]["row"] if rows else 0))["events"]:
                rows += page
        return self._inboxes

    def received(self, event: str) -> tuple[str, ...]:
        """Return the agencies whose desk shows *event* as received."""
        inboxes = self._run(self._received())
        return tuple(name for name, rows in inboxes.items() if any(row["id"] == event for row in rows))

    def opens(self, event: str) -> Mapping[Part, tuple[str, ...]]:
        """Return the parts that each desk opened when the letter came."""
        opened: dict[Part, list[str]] = {}
        for name, rows in self._run(self._received()).items():
            for row in rows:
                for part in row["parts"] if row["id"] == event else ():
                    opened.setdefault(part, []).append(name)
        return {part: tuple(names) for part, names in opened.items()}

    def exposed(self, texts: Collection[str]) -> tuple[str, ...]:
        """Return the carriers whose files have any of *texts*."""
        return traces_left.found(self._folder, texts)

    def standing(self, subject: str) -> Standing:
        """Return the standing of a case at registrar and timekeeper."""
        return self._run(self._standing(subject))

    async def _standing(self, subject: str) -> Standing:
        at_registrar = await _shown_by(REGISTRAR, self._doors[REGISTRAR].get("/case", ref=subject))
        at_timekeeper = await _shown_by(TIMEKEEPER, self._doors[TIMEKEEPER].get("/case", ref=subject))
        return Standing(
            at_registrar.get("status"),
            tuple(at_registrar.get("open_referrals", ())),
            tuple(at_timekeeper.get("open_deadlines", ())),
        )

    def status_at(self, agency: str, subject: str) -> str | None:
        """Return the status that the agency's own desk shows."""
        return self._run(self._case_at(agency, subject)).get("status")

    async def _case_at(self, agency: str, subject: str) -> dict[str, Any]:
        return await _shown_by(agency, self._desk(agency).case(subject))

    def inbox(self, agency: str, subject: str | None = None) -> tuple[str, ...]:
        """Return the types that the agency's desk shows as received, in order."""
        rows = self._run(self._received())[agency]
        return tuple(row["type"] for row in rows if subject in (None, row["case"]))

    def counts(self) -> None:
        """Admit the statistics with the agencies of the play."""
        self._counts = True

    def statistics(self, year: int, table: str) -> Mapping[str, int | str]:
        """Ask the desk of the statistics for the figures."""
        return shown(self._run(self._figures(year)), table)

    async def _figures(self, year: int) -> Release:
        try:
            return Release.from_mapping(await self._doors[STATISTICS].get(f"/v1/figures/{year}/draft"))
        except DoorError as error:
            raise StageError(f"the statistics answer no figures: {error}") from None

    # -- doing harm, and comparing -----------------------------------------------------------------------------------

    def restart(self, service: str) -> None:
        """Kill *service* and wait until it is back and quiet."""
        self._run(self._restart(service))

    async def _restart(self, service: str) -> None:
        self._trail_at = None  # the process may repeat deliveries from before the kill
        before = self._pid(service)
        if before is None:
            raise StageError(f"this bus has no {service} that could be killed")
        os.kill(before, signal.SIGKILL)
        until = time.monotonic() + START_SECONDS
        while self._pid(service) in (None, before):
            if time.monotonic() > until:
                raise StageError(f"{service} was killed and did not come back")
            await asyncio.sleep(0.02)
        if service in self._doors:
            await self._open(service, home_of(self._folder, service), until)
        await self._quiet.wait(self._doors)

    def away(self, agency: str) -> None:
        """Freeze the process of the desk of *agency*: the broker misses its heartbeats, and nobody starts another."""
        pid = self._pid(agency)
        if pid is None or agency not in self._doors:
            raise StageError(f"this bus has no desk of {agency} that could be frozen")
        self._run(self._received())
        self._frozen[agency] = self._doors.pop(agency)
        os.kill(pid, signal.SIGSTOP)
        self._run(self._seen_away(agency))

    async def _seen_away(self, agency: str) -> None:
        until = time.monotonic() + LISTENING_SECONDS
        while agency not in (await self._doors[TIMEKEEPER].health())["desks_away"]:
            if time.monotonic() > until:
                raise StageError(f"the desk of {agency} was frozen, and the timekeeper did not notice")
            await asyncio.sleep(0.5)

    def back(self, agency: str) -> None:
        """Let the desk of *agency* go on, and wait for quiet."""
        if agency not in self._frozen:
            raise StageError(f"the desk of {agency} was not away")
        self._thaw(agency)
        self._run(self._quiet.wait(self._doors))

    def _thaw(self, agency: str) -> None:
        self._doors[agency] = self._frozen.pop(agency)
        pid = self._pid(agency)
        if pid is not None:  # else the bus was stopped meanwhile
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def listens(self, agency: str, shown_to: str, expected: bool) -> bool:  # noqa: FBT001 - as on a stage
        """Return whether *agency* reads what it is sent, as the desk of *shown_to* shows it; wait up to `LISTENING_SECONDS` for *expected*."""
        return self._run(self._listens(agency, shown_to, expected=expected))

    async def _listens(self, agency: str, shown_to: str, *, expected: bool) -> bool:
        until = time.monotonic() + LISTENING_SECONDS
        while True:
            found = (await self._desk(shown_to).get("/v1/directory"))["agencies"]
            listens = not any(each["agency"] == agency and "silent_since" in each for each in found)
            if listens is expected or time.monotonic() > until:
                return listens
            await asyncio.sleep(0.5)

    def _pid(self, service: str) -> int | None:
        try:
            running = json.loads((self._folder.run / "services.json").read_bytes())
        except FileNotFoundError:
            return None
        pid: int | None = running.get(self._working(service, running), {}).get("pid")
        return pid

    def _working(self, service: str, running: Collection[str]) -> str:
        """Return the working process of *service*, among processes that stand by for one another."""
        door = self._doors.get(service)
        if isinstance(door, Registrars):
            return door.works
        waits = {each for each in running if self._folder.standby_marker(turn_of(each)).read()}
        return next((each for each in sorted(running) if parted(each)[0] == service and each not in waits), service)

    def replay(self, subject: str | None = None) -> tuple[str, ...]:
        """Fold the history again, compare the states of registrar, timekeeper and desks, and name absent desks."""
        return self._run(self._replay(subject))

    async def _replay(self, subject: str | None) -> tuple[str, ...]:
        await self._catch_up()
        rules = rules_of(self._directory, self._settings.policy)
        found = [
            f"{each} is away, and was not compared: let it go on with `check: back`" for each in sorted(self._frozen)
        ]
        for case in self._history.subjects() if subject is None else (subject,):
            standing = await self._standing(case)
            here = [each for each in self._agencies if each not in self._frozen]
            shown = {agency: await self._case_at(agency, case) for agency in here}
            found += differences.of_case(rules, self._history, case, standing, shown, self._now)
        at = self._numbers(), self._quiet.seen.get(REGISTRAR, {}).get("inbox", {})
        if self._trail_at != at:  # where nothing was registered or delivered since, it was looked at already
            found += await asyncio.to_thread(differences.of_trail, self._folder.as_operator)
            self._trail_at = at
        return tuple(found)


async def _shown_by(name: str, asked: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Return the case as *name* shows it, empty if there is no such case. Raises StageError without an answer."""
    try:
        return await asked
    except DoorError as error:
        if error.code != "not_found":
            raise StageError(f"{name} does not show a case: {error}") from error
        return {}


def newcomers_of(agencies: Mapping[str, Participant]) -> dict[str, Newcomer]:
    """Return the requests for admission of the agencies in a play."""
    return {
        name: Newcomer(each.role, each.supervisor, each.capacity or {}, each.contact) for name, each in agencies.items()
    }


def asked(words: Words) -> dict[str, Any]:
    """Return *words* as a desk's door takes them."""
    body = {
        "type": words.type,
        "to": list(words.to) or None,
        "data": dict(words.data),
        "sealed": dict(words.sealed) if words.sealed is not None else None,
        "ref": words.ref,
        "incident": words.incident,
        "consent": list(words.consents) or None,
        "cause": words.cause,
        "time": times.write(words.time),
        "actor": words.actor,
        "approver": words.approver,
    }
    keyed_by = TYPES[words.type, 1].keyed_by if (words.type, 1) in TYPES else "case"
    about = {} if keyed_by == "agency" else {keyed_by: words.subject}
    return {name: value for name, value in (body | about).items() if value is not None}


def outcome(answer: Mapping[str, Any]) -> Outcome:
    """Return what a door's *answer* says of an event."""
    code = None if answer["verdict"] == "registered" else answer.get("code", answer["verdict"])
    return Outcome(answer["id"], answer.get("receipt", ""), code, answer.get("rule"), answer.get("article"))
