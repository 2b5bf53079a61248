"""A desk as a process: ``nrmbus run AGENCY``. It opens the ledger, runs until it ends, and begins again if it has to."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.http_server import Listening, Server
from nrmbus.bus.kafka import lease
from nrmbus.bus.kafka.failures import is_away, is_passing, sentence_of
from nrmbus.bus.kafka.lease import How, LeaseHeld, turn
from nrmbus.bus.periodic import pause_after
from nrmbus.bus.tls_listener import Listen, TlsListener
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.door import application
from nrmbus.desk.http.served import Door
from nrmbus.desk.own_settings import edge_of, port_of, requests_of
from nrmbus.desk.procedure.roles import BESIDE
from nrmbus.desk.process import DeskProcess
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import Place, place_of, run
from nrmbus.desk.waiting import opened
from nrmbus.desk.web.beside import Beside
from nrmbus.desk.webhooks.dispatcher import Webhooks
from nrmbus.desk.webhooks.egress import Egress
from nrmbus.edge.mounts import mount
from nrmbus.intake.store import IntakeStore
from nrmbus.telemetry import log

if TYPE_CHECKING:
    from nrmbus.desk.web.notices.dispatcher import Notices

RESTART: Final = 70
"""Exit code of a desk that could not go on; the supervisor then starts the desk again."""


def _notices(home: AgencyFolder, process: DeskProcess, door: Door) -> "Notices | None":
    """Return the notices by mail; None without `smtp` in ``agency.json``, and then nothing of them is loaded."""
    if home.settings.smtp is None:
        return None
    from nrmbus.desk.web.notices.dispatcher import Notices  # noqa: PLC0415 - most desks send no mail
    from nrmbus.desk.web.notices.settings import MailSettings  # noqa: PLC0415 - the same

    settings, door.has_mail = MailSettings.read(home.settings.smtp), True
    return Notices(
        process.desk, lambda: door.staff.members, settings, may_send=process.holding.may_send,
        unread=partial(IntakeStore.unread, home.path),
    )  # fmt: skip


async def _run(folder: BusFolder, agency: str, start: "_Start") -> DeskProcess | None:
    """Run the desk until it ends, or is to begin anew; None if it was told to end while it waited for its ledger."""
    home, bus = folder.agency(agency), folder.settings.bus
    ledger = None
    try:
        if isinstance(start.place, Path):
            begins = await turn(folder, agency, home.path, start.how, start.notify)
            ledger = await Ledger.open(start.place, bus=bus, agency=agency)
        else:
            ledger = await opened(start.place, start.listening, start.notify, how=start.how, bus=bus, agency=agency)
            if ledger is None:
                return None
            # This process has the ledger's lock, so no other one can sign: nobody need wait for the other's lease.
            begins = (await turn(folder, agency, home.path, "take_over", start.notify))._replace(quiet=0.0)
        folder.unanswered_marker(agency).remove()
        process = DeskProcess(folder, home, ledger, begins, renews=True)
        beyond = start.listening.beyond

        async def health() -> dict[str, Any]:
            return {
                **await process.health(),
                "door_certificate": beyond.ending() if beyond else None,
                "mail": process.notices.failure() if process.notices else None,
            }

        door = Door(
            process.desk,
            health=health,
            release=process.release,
            vitals=process.vitals,
            webhooks=Webhooks(process.seat, Egress.read(home.settings.webhooks), may_send=process.holding.may_send),
            is_local=start.listening.allows,
            a_minute=requests_of(home),
            staff=StaffSettings.read(home.settings.staff),
            home=home.path,
        )
        process.door, process.notices = door, _notices(home, process, door)
        served = application(door, door.tokens.caller_of, process.running)
        mount(edge_of(home), served, agency, lambda: process.seat.rules.profile_at(process.seat.now()).zone)
        if agency in BESIDE:
            import_module(BESIDE[agency]).mount(folder, process, served)
        server = Server(Beside(served, door), start.listening, keep=True)
        process.stop = server.stop
        try:
            await server.run_until_told()
        except (SQLAlchemyError, DeskError) as error:
            if not ledger.is_cause_of(error):
                raise
            process.anew = process.is_refused = True
        process.lost_ledger = ledger.lost.is_set()
        return process
    finally:
        if ledger is not None:
            await ledger.close()


@dataclass(frozen=True, slots=True)
class _Start:
    """How a desk starts."""

    place: Place
    listening: Listening
    notify: Callable[[str], None]
    how: How


def _until_it_ends(folder: BusFolder, agency: str, start: _Start) -> DeskProcess | None:
    """Run the desk, once a broker answers; on the operator's machine the supervisor starts it again after any other error of Kafka's.

    A desk that ended for each broker that is slow to answer would have a busy machine start it again and again.
    """
    marker, waited = folder.unanswered_marker(agency), 0
    while True:
        try:
            return run(_run(folder, agency, start), start.place)
        except KafkaError as error:
            if not (is_away(error) or (folder.is_joined and is_passing(error))):
                raise
            if waited == 0 or marker.read() is None:  # the first attempt, or the desk has worked since the last one
                waited = 0
                sentence = f"{sentence_of(error)} The desk of {agency} tries again until it can work."
                marker.write(sentence)
                start.notify(sentence)
            waited += 1
            telemetry.handled("not_available", attempt=waited, error=type(error).__name__)
            # A broker on this machine is back within seconds, and nobody else's desks wait for it.
            time.sleep(pause_after(waited if folder.is_joined else min(waited, 2)))


def main(folder: BusFolder, agency: str, notify: Callable[[str], None] = lambda _: None, how: How = "wait") -> None:
    """Run the desk of *agency* until SIGTERM; *notify* is called with a sentence when it waits for the broker or the ledger.

    If another process runs the desk, *how* says what to do.

    A desk outlives hours without a connection, and starts without one: it then tries again until a broker answers, with
    pauses that differ from desk to desk.

    With a new certificate the desk ends in order and begins again in this process, since a connection keeps the
    certificate from its start. The same happens when the connection to the ledger is lost. The door stays open at the
    same address, and requests wait meanwhile.

    Raises:
        SystemExit: 70 when the desk could not go on, 72 when another process runs it.
        BusError: the desk did not start; the message says how to fix this.
    """
    home = folder.agency(agency).path
    telemetry.set_up(agency, home)
    own = folder.agency(agency)
    if own.unread:
        notify(own.unread)
    listen = Listen.parse(own.settings.listen, own.agency_json)
    beyond = TlsListener(listen, home, agency) if listen else None
    listening = Listening(home, port_of(own), beyond)
    try:
        start = _Start(place_of(folder.agency(agency)), listening, notify, how)
        while (ended := _until_it_ends(folder, agency, start)) and ended.begins_anew:
            telemetry.handled("connections_anew")
            if ended.is_refused and not ended.lost_ledger:  # for a lost connection `opened` waits
                time.sleep(pause_after(1))
            # Another desk may have taken over meanwhile, and must not be put out.
            start = replace(start, how="wait" if isinstance(start.place, Path) else "standby")
    except LeaseHeld as held:
        log.report("held_elsewhere", number=held.lease.generation, pid=held.lease.pid)
        notify(lease.refused(agency, held.lease))
        raise SystemExit(lease.HELD) from None
    except DeskError as error:
        where = "".join(f" ({found.pointer} {found.kind})" for found in error.problems)
        if error.code == "ledger_held":
            notify(f"The desk of {agency} was not started. {error.detail}")
            raise SystemExit(lease.HELD) from None
        raise BusError(f"The desk of {agency} does not start: {error.sentence}{where}") from None
    finally:
        listening.close()
    if ended is not None and ended.holding.put_out is not None:
        notify(lease.put_out(agency, ended.holding.put_out))
        raise SystemExit(lease.HELD)
    if ended is not None and ended.failed:
        raise SystemExit(RESTART)
