"""Supervisor of a bus: it runs the broker and one process for each service, restarts each that ends, and ends them with itself.

The order of a start: hold the folder, warm up Python while Kafka starts, make the topics, admit the bus's own services
to the directory, start them. An agency's desk is started when its ``agency.json`` appears.
"""

import asyncio
import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Container, Mapping
from contextlib import ExitStack
from typing import Final, Self

from aiokafka.errors import KafkaError

from nrmbus.bus.clock import BEFORE_ANY_TICK, WallClock
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.embedded.jars import Progress
from nrmbus.bus.embedded.node import Node
from nrmbus.bus.errors import BusError, KafkaFailed, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import OPERATOR
from nrmbus.bus.private_files import write_json
from nrmbus.bus.replicas import parted
from nrmbus.directory import DirectoryError
from nrmbus.directory.admission import Newcomer, admit, home_of, ids_of
from nrmbus.directory.commands import sign_head
from nrmbus.directory.heads import EVERY
from nrmbus.host import expired_keys, log_rotation
from nrmbus.host.request_loop import Answering
from nrmbus.host.service_state import FAILING_ENDS, Running
from nrmbus.host.services import agency_of, is_public_page, pages_here, processes_of
from nrmbus.host.spawn import Spawner, spawner

LOOK_SECONDS: Final = 0.2
"""Seconds between two looks for a new agency's folder."""
HELD_SECONDS: Final = 2.0
"""Seconds between two checks whether an agency is no longer suspended."""
CERTIFICATE_SECONDS: Final = 10.0
"""Seconds between two checks of certificates; an expired one may be served for so long."""
BROKER_SECONDS: Final = 60.0
"""Seconds that the watching thread waits for the broker's records; only this thread starts a broker that has ended."""
AGAIN_SECONDS: Final = 60.0
"""Seconds until the next attempt to sign a head of the directory, which is valid for three hours."""
KEPT_SECONDS: Final = 86_400.0
"""Seconds between two searches for expired keys of services."""
FIRST_LOOK_SECONDS: Final = 60.0
"""Seconds until the first such search."""
END_SECONDS: Final = 4.0
"""Seconds that services may take to end; with the broker's own grace, everything ends within 10 s."""


class Supervisor:
    """Running bus, from entering the block to leaving it; one thread starts and watches the services."""

    def __init__(
        self,
        folder: BusFolder,
        *,
        fork: bool | None = None,
        agencies: Mapping[str, Newcomer] | None = None,
        replicas: int = 1,
        notify: Callable[[str], None] = lambda _: None,
        progress: Progress = lambda _what, _done, _total: None,
    ) -> None:
        """Prepare to run the bus in *folder*.

        Args:
            folder: where a bus was made.
            fork: whether services are forked from a warm process; by default where that is safe.
            agencies: who is admitted at the start, as far as the directory does not know them.
            replicas: how many processes of each service of the bus run here; all but one stand by.
            notify: called with a sentence about what happens to services.
            progress: called with how far fetching Kafka is.
        """
        self.folder = folder
        self._fork, self._progress = fork, progress
        self._notify = _unfailing(notify)
        self._newcomers, self._replicas = agencies or {}, replicas
        self._kafka = None if folder.settings.bootstrap else EmbeddedKafka(folder)
        self._services: dict[str, Running] = {}
        self._brokers: dict[str, Node] = {}
        self._selector = selectors.DefaultSelector()
        self._wake: socket.socket | None = None
        self._spawner: Spawner | None = None
        self._thread: threading.Thread | None = None
        self._answering = Answering(folder, self._notify)
        self._stopping = False
        self._gate = Gate(folder)
        self._look_at = time.monotonic() + CERTIFICATE_SECONDS
        self._head_due = 0.0
        self._kept_at = time.monotonic() + FIRST_LOOK_SECONDS
        self._status = folder.run / "services.json"
        self._open = ExitStack()

    # -- for who uses it ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._open.enter_context(self.folder.held())
            self._open.callback(self._status.unlink, missing_ok=True)
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self, service: str) -> None:
        """End *service* (or ``broker``) as kill -9 does; it is restarted automatically.

        Raises:
            NoBus: it is not running.
        """
        running = self._services.get(service)
        pid = running.pid if running else None
        if pid is None:
            raise NoBus(f"No such service is running; there are {', '.join(sorted(self._services))}.")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def look_at_certificates(self) -> None:
        """Check the certificates now: renew those that are due, and remove the rights of expired ones.

        Logs that are full are emptied then, too.
        """
        self._look_at = 0.0

    def look_at_what_was_kept(self) -> None:
        """Destroy the expired keys of services now."""
        self._kept_at = 0.0

    def stop(self) -> None:
        """End all services, then the broker, within 10 s; a second call does nothing."""
        self._stopping = True
        if self._kafka:
            self._kafka.give_up()
        if self._wake:
            self._wake.send(b".")
            self._wake = None
        if self._thread:
            self._thread.join()
            self._thread = None
        self._answering.stop()
        self._end_services()
        if self._spawner:
            self._spawner.close()
            self._spawner = None
        if self._kafka:
            self._kafka.stop()
        self._open.close()

    # -- start -------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._spawner = spawner(fork=self._fork)  # it imports while Kafka starts
        self._wake, woken = socket.socketpair()
        for end in (self._wake, woken):
            self._open.enter_context(end)
        self._selector.register(woken, selectors.EVENT_READ)
        if self._kafka:
            self._kafka.fetch(self._progress)
            self._begin_brokers(self._kafka)
        settings = self.folder.settings
        if settings.bootstrap:  # who comes to another's cluster first is the operator
            self._gate.equip({OPERATOR: self.folder.keys})
        # A stepped clock shows a time long before now, and these services were there from its beginning.
        since = BEFORE_ANY_TICK if settings.play else WallClock().now()
        asyncio.run(admit(self.folder, self._newcomers, since, self._notify))
        self._head_due = time.monotonic() + EVERY.total_seconds()
        for name in processes_of(self.folder, self._replicas):
            self._services[name] = Running(name)
        self._thread = threading.Thread(target=self._watch, name="supervisor")
        self._thread.start()
        # By itself: nobody waits for a service to be started while an answer is made.
        self._answering.start()

    def _begin_brokers(self, kafka: EmbeddedKafka) -> None:
        self._brokers = {node.name: node for node in kafka.nodes}
        for name in self._brokers:
            self._services[name] = Running(name)
            self._services[name].begin()
        kafka.start()
        for node in kafka.nodes:
            self._watch_broker(node)

    def _watch_broker(self, node: Node) -> None:
        broker = self._services[node.name]
        if not node.runs:  # it ended while the others were waited for
            self._has_ended(broker)
            return
        broker.pid = node.pid
        self._selector.register(node.ended, selectors.EVENT_READ, broker)

    def _restart_broker(self, node: Node, kafka: EmbeddedKafka) -> None:
        before = kafka.bootstrap
        where = kafka.restart(node)
        self._watch_broker(node)
        if where != before:
            # Another program took its port while it was down. A restarted service reads the new address.
            self._signal_all(signal.SIGTERM)

    def _begin_service(self, service: Running, spawner: Spawner) -> None:
        service.pid, service.lifeline = spawner.spawn(service.name, self.folder.path)
        self._selector.register(service.lifeline, selectors.EVENT_READ, service)

    # -- watch, in the thread ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look again and again, whatever a look meets: without this thread nobody starts a service again."""
        parts: Mapping[str, Callable[[], None]] = {
            "look for new agencies": self._find_agencies,
            "sign the head of the directory": self._keep_head,
            "start services": self._begin_who_is_due,
            "keep certificates and logs": self._keep,
            "destroy expired keys": self._destroy_keys,
            "see which services have ended": lambda: self._wait_for_ends(LOOK_SECONDS),
        }
        failed: dict[str, str] = {}
        while not self._stopping:
            for what, look in parts.items():
                try:
                    look()
                    failed.pop(what, None)
                except Exception as error:  # noqa: BLE001 - a full disk, a file that somebody removed: the next look may pass
                    if failed.get(what) != type(error).__name__:
                        self._notify(f"The supervisor could not {what} ({type(error).__name__}); it goes on.")
                    failed[what] = type(error).__name__
            if failed:
                time.sleep(LOOK_SECONDS)

    def _find_agencies(self) -> None:
        for agency in self.folder.agencies():
            if agency not in self._services:
                for name in (agency, *pages_here(self.folder, agency)):
                    self._services[name] = Running(name)

    def _keep_head(self) -> None:
        now = time.monotonic()
        if now >= self._head_due:
            self._sign_head(now)

    def _begin_who_is_due(self) -> None:
        now = time.monotonic()
        due = self._whom_to_begin(now)
        for each in due:
            self._begin(each)
        if self._note_recovered(now) or due:
            self._write_status()

    def _keep(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + CERTIFICATE_SECONDS
            self._keep_certificates()
            with contextlib.suppress(OSError):  # a full disk: tried again at the next look
                log_rotation.bound(self.folder.logs)

    def _destroy_keys(self) -> None:
        now = time.monotonic()
        if now >= self._kept_at:
            self._kept_at = now + KEPT_SECONDS
            expired_keys.look(self.folder, self._notify, BROKER_SECONDS)

    def _wait_for_ends(self, seconds: float) -> None:
        """Wait until a service ends, or to be woken, or *seconds*; note which services have ended."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Running):
                self._selector.unregister(key.fileobj)
                self._has_ended(key.data)
            else:
                os.read(key.fd, 1)  # else every later wait would end at once

    def _whom_to_begin(self, now: float) -> list[Running]:
        due = [each for each in self._services.values() if each.due is not None and each.due <= now]
        suspended = self._gate.suspended if due else frozenset()
        for each in due:
            if agency_of(each.name) in suspended:  # the broker would not even let it read that it is
                each.due = now + HELD_SECONDS
                if not each.held:
                    self._notify(f"{each.name} is suspended or retired, so its desk is not started.")
                    self._write_status()
            each.held = agency_of(each.name) in suspended
        return [each for each in due if not each.held]

    def _sign_head(self, now: float) -> None:
        self._head_due = now + EVERY.total_seconds()
        try:
            asyncio.run(asyncio.wait_for(sign_head(self.folder), BROKER_SECONDS))
        except (BusError, DirectoryError, KafkaError, OSError) as error:
            self._head_due = now + AGAIN_SECONDS
            self._notify(f"The directory's head could not be signed ({type(error).__name__}); it is tried again.")

    def _begin(self, service: Running) -> None:
        service.begin()
        try:
            if self._kafka and (node := self._brokers.get(service.name)):
                self._restart_broker(node, self._kafka)
            elif self._spawner:
                self._begin_service(service, self._spawner)
        except Exception as error:  # noqa: BLE001 - no memory for a process, an altered jar: else nobody would try again
            self._notify(f"{service.name} could not be started: {error}")
            self._has_ended(service)

    def _keep_certificates(self) -> None:
        """Renew the certificates on this machine, and restart each service that has a new one."""
        brokers = [self._services[name] for name in self._brokers]
        if not self.folder.settings.tls or (brokers and not any(each.pid for each in brokers)):
            return
        ours = {parted(name)[0] for name in self._services if name not in self._brokers and not is_public_page(name)}
        ids = {each: name for name in ours for each in ids_of(name)}
        homes = {each: home_of(self.folder, each) for each in ids}
        try:
            renewed = self._gate.keep({**homes, OPERATOR: self.folder.keys})
        except (BusError, OSError) as error:  # it is tried again at the next look
            self._notify(f"Certificates could not be kept: {error}")
            if isinstance(error, KafkaFailed):
                return
            renewed = frozenset()  # a key that cannot be used keeps no broker from its restart
        if self._kafka and (due := self._kafka.due):
            renewed |= {due.name}
        ended = {ids.get(each, each) for each in renewed - {OPERATOR}}
        for name, each in self._services.items():
            if each.pid is not None and {name, parted(name)[0]} & ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGTERM)

    def _end(self, names: set[str]) -> None:
        """End the services *names* and wait for them; kill those that take too long."""
        self._signal_all(signal.SIGTERM, names)
        self._signal_all(signal.SIGCONT, names)  # one that was stopped would not hear it
        until = time.monotonic() + END_SECONDS
        left = {each.name for each in self._services.values() if each.name in names and each.lifeline}
        while left:
            if time.monotonic() >= until:
                self._signal_all(signal.SIGKILL, left)
            self._wait_for_ends(0.1)
            left = {name for name in left if self._services[name].lifeline}

    def _has_ended(self, service: Running) -> None:
        now = time.monotonic()
        if service.lifeline:
            service.lifeline.close()
        service.pid, service.lifeline = None, None
        service.due = now + service.pause(now)
        if not self._stopping:
            self._report_end(service, now)

    def _report_end(self, service: Running, now: float) -> None:
        """Report that *service* has ended; report a failing service once, with the end of its log."""
        log = self.folder.logs / f"{service.name}.log"
        if not service.fails(now) and service.failing is None:
            self._notify(f"{service.name} has ended and is started again; its log is {log}")
            return
        line = log_rotation.last_line(log)
        if service.failing is None:
            self._notify(
                f"{service.name} is failing: it ended {FAILING_ENDS} times in a minute. Its log {log} ends: {line}"
            )
        service.failing = line
        self._write_status()

    def _note_recovered(self, now: float) -> list[Running]:
        recovered = [each for each in self._services.values() if each.has_recovered(now)]
        for each in recovered:
            each.failing = None
            self._notify(f"{each.name} is failing no more: it has been running for a minute.")
        return recovered

    def _write_status(self) -> None:
        status = {
            each.name: {"pid": each.pid, "restarts": each.restarts, "since": each.since, "ended": [*each.ended]}
            | ({"failing": each.failing} if each.failing is not None else {})
            for each in self._services.values()
            if each.pid is not None or each.failing is not None
        }
        with contextlib.suppress(OSError):  # a full disk: what was written last stays
            write_json(self._status, status)

    # -- end ---------------------------------------------------------------------------------------------------------

    def _signal_all(self, number: int, names: Container[str] | None = None) -> None:
        for each in self._services.values():
            if each.pid is not None and each.name not in self._brokers and (names is None or each.name in names):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, number)

    def _end_services(self) -> None:
        self._end(self._services.keys() - self._brokers.keys())
        for each in self._services.values():
            if each.lifeline:
                each.lifeline.close()
        self._services.clear()
        self._selector.close()


def _unfailing(notify: Callable[[str], None]) -> Callable[[str], None]:
    """Return *notify* for a terminal that may be gone, or a file on a full disk: services are looked after all the same."""

    def said(sentence: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            notify(sentence)

    return said
