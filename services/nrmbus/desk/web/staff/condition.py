"""The administrator's page about the desk: whether it sends and receives, and what ends when, in words."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.responses import Response

from nrmbus.bus.agency_folder import OLD_BACKUP, AgencyFolder
from nrmbus.bus.errors import NoBus
from nrmbus.bus.vitals import WAITS, nearly_full
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import MEANINGS
from nrmbus.desk.http import views
from nrmbus.desk.http.measured import oldest_open
from nrmbus.desk.store.ledger import finish_task
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.desk.webhooks import store
from nrmbus.web.words import Words
from nrmbus.wire import times

routes: Final = Pages()

_SKEW: Final = timedelta(seconds=5)
_SOON: Final = timedelta(days=14)
_MOST_TASKS: Final = 200
"""Most tasks about the desk on its page."""


def facts(visit: Visit, health: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return what the administrator should know of the desk: a heading, a sentence, and whether something is to be done."""
    t, seat = visit.t, visit.door.seat
    said = [_sends(visit, health), _receives(visit, health)]
    if parked := health.get("parked"):
        one = t.many(
            "{n} case waits for a person or for a newer release.",
            "{n} cases wait for a person or for a newer release.",
            parked,
        )
        said.append((t("Parked"), one, True))
    began = [(code, found) for code in ("ledger_lost", "ledger_older") if (found := health.get(code))]
    said += [(t("Store"), in_words(t, code, found["sentence"]), True) for code, found in began]
    ahead = float(health.get("clock_ahead") or 0)
    if abs(ahead) > _SKEW.total_seconds():
        words = t(
            "The clock of this machine is {length} off: set it by a time server.",
            length=t.length(timedelta(seconds=ahead)),
        )
        said.append((t("Clock"), words, True))
    ends = seat.directory.sealing_ends(seat.me, seat.now())
    key = health.get("sealing_key")
    words = (
        t("No end is set.")
        if ends is None
        else t("Until {day}. The desk asks for the next one, and two people confirm it.", day=t.day(ends))
    )
    said.append((t("Key for letters"), words, key is not None))
    if (left := visit.door.vitals().get("certificate_left")) is not None:
        day = t.day(visit.now + timedelta(seconds=left))
        said.append((t("Certificate at the broker"), t("Until {day}. The desk renews it.", day=day), left < 0))
    if (certificate := health.get("door_certificate")) is not None:
        day = t.day(times.read(certificate["ends"]) or visit.now)
        words = t("Until {day}. Put a newer one into the files that agency.json names.", day=day)
        said.append((t("Certificate of this page"), words, True))
    if (token := health.get("token_ends")) is not None:
        day = t.day(times.read(token["ends"]) or visit.now)
        words = t("The token of {name} ends on {day}: give the system another one.", name=token["token"], day=day)
        said.append((t("Systems"), words, True))
    if (mail := health.get("mail")) is not None:
        since = t.moment(times.read(mail["since"]) or visit.now)
        words = t("The mail server has taken no notice since {moment}: look at smtp in agency.json, and at the mail server.", moment=since)  # fmt: skip
        said.append((t("Notices by e-mail"), words, True))
    said += _webhooks(visit)
    if (backup := _backup(visit)) is not None:
        said.append(backup)
    if "keys_sealed" in health:
        words = (
            t("Sealed with a passphrase.")
            if health["keys_sealed"]
            else t("They lie open on the disk, as only a bus for trying may have them.")
        )
        said.append((t("Private keys"), words, not health["keys_sealed"]))
    disk = visit.door.vitals()
    if size := disk.get("disk_size"):
        free = disk["disk_free"]
        said.append((t("Disk"), t("{share} % free.", share=round(100 * free / size)), nearly_full(free, size)))
    if release := health.get("release"):
        said.append((t("Release"), str(release), False))
    return said


def _webhooks(visit: Visit) -> list[tuple[str, str, bool]]:
    """Return for each webhook whether its receiver takes what is sent; of its address only the host, the rest may be a secret."""
    t = visit.t

    def moment(written: str | None) -> str:
        return t.moment(times.read(written or "") or visit.now)

    with visit.door.ledger.read() as tx:
        found = [(row, store.last_taken(tx, row.id)) for row in store.endpoints(tx)]
    said = []
    for row, taken in found:
        last = t("Last taken on {moment}.", moment=moment(taken)) if taken else t("Nothing was taken in thirty days.")
        words, is_wrong = {
            "paused": (t("Paused since {moment}: the receiver failed for days. The desk tries it once a day, and nothing is lost.", moment=moment(row.since)), True),
            "disabled": (t("Disabled since {moment}: nothing is sent until somebody enables it.", moment=moment(row.since)), True),
        }.get(row.state, (t("Fails since {moment}; the desk tries again.", moment=moment(row.failing)), True) if row.failing else (t("Works."), False))  # fmt: skip
        # Host and port as written, with an IPv6 address's brackets; a name and password before them are left out.
        address = urlsplit(row.url).netloc.rpartition("@")[2]
        said.append((t("Webhook {id} to {address}", id=row.id, address=address), f"{words} {last}", is_wrong))
    return said


def _backup(visit: Visit) -> tuple[str, str, bool] | None:
    """Return when the last backup was made that this machine knows of; None if the desk has no folder."""
    t, home = visit.t, visit.door.home
    if home is None:
        return None
    folder = AgencyFolder(home)
    made = folder.backed_up
    if made is None:
        words, is_old = t("This machine knows of none. Ask the operator of the bus whether your folder is backed up, and how often."), False  # fmt: skip
    else:
        is_old = wall_now() - made > OLD_BACKUP
        words = t("The last one was complete on {moment}.", moment=t.moment(made))
    with suppress(NoBus, OSError):
        if folder.settings.ledger:
            words = f"{words} {t('The store is on a database server and not in it: its own means back it up.')}"
    return t("Backup"), words, is_old


def _sends(visit: Visit, health: dict[str, Any]) -> tuple[str, str, bool]:
    t, held, waiting = visit.t, health.get("held_up"), health.get("outbox_open") or 0
    if held == "entry_not_asked":
        return t("Sending"), t("Nothing is sent: the directory has keys of this agency that it did not ask for. Ask the operator of the bus at once."), True  # fmt: skip
    if held is not None:
        return (
            t("Sending"),
            t("Nothing is sent: the directory may be behind. This ends by itself once the bus answers."),
            True,
        )
    if waiting:
        one = t.many(
            "{n} event waits for the answer of the bus.", "{n} events wait for the answer of the bus.", waiting
        )
        with visit.door.ledger.read() as tx:
            oldest = times.read(oldest_open(tx) or "")
        if oldest is not None and visit.door.seat.now() - oldest > WAITS:
            since = t("The oldest event has had no answer since {moment}: ask the operator of the bus.", moment=t.moment(oldest))  # fmt: skip
            return t("Sending"), f"{one} {since}", True
        return t("Sending"), one, False
    return t("Sending"), t("Everything was sent and answered."), False


def _receives(visit: Visit, health: dict[str, Any]) -> tuple[str, str, bool]:
    t, trouble, lag = visit.t, health.get("trouble"), health.get("lag")
    if trouble is not None:
        meaning = {str(code): each for code, each in MEANINGS.items()}.get(str(trouble))
        stopped = t("Receiving has stopped: the log says why.")
        return t("Receiving"), in_words(t, str(trouble), meaning.sentence) if meaning else stopped, True
    if lag is None:
        return t("Receiving"), t("The bus does not answer now."), True
    if lag or not health.get("ready"):
        return t("Receiving"), t("The desk is still reading what came."), False
    return t("Receiving"), t("Everything that came was read."), False


@routes.get("/condition", may="see_health")
async def condition(visit: Visit) -> Response:
    """Show the state of the desk in words."""
    health = await visit.door.health()
    found, open_tasks = facts(visit, health), _open_tasks(visit)
    tasks = _in_words(visit, views.some_of_each_kind(open_tasks, _MOST_TASKS))
    wrong = sum(is_wrong for _, _, is_wrong in found) + len(open_tasks)
    return visit.page(
        "staff/condition.html.j2", title=visit.t("State of the desk"), facts=found, tasks=tasks, all_tasks=len(open_tasks),
        wrong=wrong, works=bool(health.get("ready")),
    )  # fmt: skip


def _open_tasks(visit: Visit) -> list[dict[str, Any]]:
    """Return the open tasks about the desk itself."""
    with visit.door.ledger.read() as tx:
        return list(views.open_tasks(tx, of_cases=False))


def _in_words(visit: Visit, found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return of each task: since when, whom it is about, and what to do."""
    t, members = visit.t, visit.door.staff.members
    return [
        {
            "number": each["task"], "since": t.moment(times.read(each["opened"]) or visit.now), "who": members.name_of(each.get("member", "")),
            "sentence": in_words(t, each["kind"], each.get("sentence", "")),
        }
        for each in found
    ]  # fmt: skip


def in_words(t: Words, kind: str, sentence: str) -> str:
    """Return the *sentence* of a task about the desk in the reader's language, or else what a task of this *kind* is about.

    The English sentence of a task may have days and numbers in it, which no catalogue has.
    """
    said = t(sentence) if sentence else ""
    return (
        said
        if said and (said != sentence or t.language == "en")
        else t.meaning("task", kind) or said or t.code("task", kind)
    )


@routes.post("/condition/tasks/{task}/done", may="see_health")
async def task_done(visit: Visit) -> Response:
    """Note that a task about the desk is done; a task about a case is not this page's."""
    number = visit.path("task")
    if all(number != str(each["task"]) for each in _open_tasks(visit)):
        raise NotFound
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        finish_task(tx, int(number), visit.door.seat.stamp())
    return visit.see("/condition")
