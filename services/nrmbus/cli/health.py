"""Health of the desks and services of a bus on this machine, and the reason why one is not ready."""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nrmbus.bus.embedded.node import Node
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.replicas import parted, turn_of
from nrmbus.cli.counted import counted
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.desk.errors import MEANINGS
from nrmbus.directory.admission import home_of
from nrmbus.host.services import SERVICES, agency_of, is_public_page, pages_here, services_of
from nrmbus.intake.store import FOLDER as PUBLIC

ASK_SECONDS: Final = 10.0
"""Seconds that a service may take to answer; it takes milliseconds, on a busy machine longer."""

_STANDBY: Final = "Another process has the ledger of this desk open; this one takes over when that one is gone."

_UNHEARD: Final = (
    "It stands by, and Kafka has not answered it for a minute, so it would not take over: nrmbus check says where the way "
    "ends. If Kafka answers, the process hangs: end it, and it is started again."
)

_UNANSWERED: Final = "Kafka has not answered it for {}: nrmbus check says where the way ends. It sends and reads what waits once Kafka answers."

QUIET_SECONDS: Final = 5.0
"""Age of Kafka's last answer at which a person is notified, though the machine may only be slow."""
SILENT_SECONDS: Final = 15.0
"""Silence of Kafka at which a person is notified; a waiting desk has an answer every two seconds."""

Health = Mapping[str, Any]
_LOSSES: Final = ("ledger_lost", "ledger_older")
"""Kinds of tasks by which a loss is a fault until a person has marked the task as done."""
ENDING: Final = ("sealing_key", "token_ends", "door_certificate", "mail")
"""Members of a desk's health that name in a sentence what ends soon, or fails without stopping the desk; null otherwise."""


def expected(folder: BusFolder) -> tuple[str, ...]:
    """Return the services that must run on this machine now: all under ``nrmbus up``, else those of ``nrmbus run``.

    The desk of an agency that is suspended or has left does not run.
    """
    running = folder.running
    agencies = folder.agencies()
    pages = [page for each in agencies for page in pages_here(folder, each)]
    known = (*services_of(folder), *(each for each in running if parted(each)[1] > 1), *agencies, *pages)
    if not folder.is_held:
        return tuple(each for each in known if each in running)
    denied = suspended(folder)
    return tuple(each for each in known if agency_of(each) not in denied)


def suspended(folder: BusFolder) -> frozenset[str]:
    """Return the ids whose desks do not run, because the broker denies them everything for now or for good."""
    return Authority(folder).suspended if folder.settings.tls else frozenset()


async def ask(folder: BusFolder, name: str) -> Health | None:
    """Return the health of the desk or service *name*, those of `_LOSSES` that are its ``open_tasks``, and its metrics as ``shown``.

    None if there is no answer. A service that waits for another process has only the reason, as ``standby``. A service
    without Kafka's answer since its start has only the reason, as ``waiting``.
    """
    for each in (name, turn_of(name)):
        if (waits := folder.standby_marker(each).read()) is not None:
            unheard = waits.silence > clients.UNHEARD_SECONDS
            return {"ready": not unheard, "standby": waits.sentence, "unheard": unheard}
    if is_public_page(name):
        home = folder.agency(agency_of(name)).path / PUBLIC
    else:
        home = folder.service(name) if name in SERVICES else home_of(folder, name)
    with suppress(DoorError, OSError, ValueError, KeyError, TimeoutError):
        async with asyncio.timeout(ASK_SECONDS), Door.of(home) as door:
            health = await door.health()
            if health.get("held_up") == "ledger_held":
                return {"ready": True, "standby": _STANDBY}
            has_tasks = parted(name)[0] not in SERVICES and not is_public_page(name) and "waits" not in health
            # By kind: a desk may have any number of older tasks.
            asked = (
                [] if not has_tasks else [(each, await door.get("/v1/tasks", kind=each, limit="1")) for each in _LOSSES]
            )
            found = {**health, "open_tasks": [kind for kind, answer in asked if answer["tasks"]]}
            with suppress(DoorError):  # a service of an earlier release has no metrics
                found["shown"] = _numbers(await door.metrics())
            return found
    if (waits := folder.unanswered_marker(name).read()) is not None:
        return {"ready": False, "waiting": waits.sentence, "silent": waits.silence}
    return None


def _numbers(shown: str) -> dict[str, float]:
    """Return the metrics without labels, by name."""
    lines = (line.partition(" ") for line in shown.splitlines() if line and line[0] != "#" and "{" not in line)
    return {name: float(value) for name, _, value in lines}


async def ask_all(folder: BusFolder) -> dict[str, Health | None]:
    """Return the health of each that must run here, by name."""
    names = expected(folder)
    return dict(zip(names, await asyncio.gather(*[ask(folder, each) for each in names]), strict=True))


def not_ready(folder: BusFolder) -> dict[str, str]:
    """Return those that must run here and are not ready, each with the reason in a sentence."""
    healths = asyncio.run(ask_all(folder))
    return {
        name: why_not_ready(health) if health else "It does not answer."
        for name, health in healths.items()
        if not (health and health.get("ready"))
    }


def brokers_down(folder: BusFolder) -> dict[str, str]:
    """Return the brokers of the bus's own Kafka that `nrmbus up` does not keep up here, each with the reason in a sentence.

    A broker that is frozen runs: only a question to Kafka tells that.
    """
    if not folder.is_held or folder.is_joined or folder.settings.bootstrap:
        return {}
    count, ended, running = folder.settings.brokers, failing(folder), supervised(folder)
    names = [Node(number, count).name for number in range(1, count + 1)] if running else []
    down = {
        each: "It does not run, and is being started." for each in names if not _lives(running.get(each, {}).get("pid"))
    }
    return down | {
        each: f"It ended five times in a minute. Its log ends: {ended[each]}" for each in names if each in ended
    }


def _lives(pid: int | None) -> bool:
    """Return whether a process *pid* is there: the report is as old as the last start, and a start may take long."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # this account is another than that of the bus
        return True
    return True


def supervised(folder: BusFolder) -> dict[str, Any]:
    """Return what the supervisor reports of each of its processes, by name."""
    with suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads((folder.run / "services.json").read_bytes())
        return found
    return {}


def failing(folder: BusFolder) -> dict[str, str]:
    """Return the services that the supervisor reports as failing, each with the last line of its log."""
    states = supervised(folder)
    return {name: state["failing"] for name, state in states.items() if state.get("failing") is not None}


def why_not_ready(health: Health) -> str:
    """Return in a sentence why the service whose *health* this is, is not ready."""
    trouble, held_up, lag = health.get("trouble"), health.get("held_up"), health.get("lag")
    sentences = {str(code): meaning.sentence for code, meaning in MEANINGS.items()}
    if waiting := health.get("waiting"):
        return f"{waiting} It has tried for {silence_of(health)}."
    if held_up in sentences:  # it waits for its ledger
        return sentences[held_up]
    if trouble is not None:
        return sentences.get(str(trouble), "It stands still: its log says at what.")
    if silence := silence_of(health):  # also where the directory is behind, since nobody can read it
        return _UNANSWERED.format(silence)
    if held_up is not None:
        return "It sends nothing, because the directory may be behind or has keys that the agency did not ask for."
    if (age := health.get("canary_age")) is not None:
        return f"No test hand-over has come back for {age:.0f} s: broker or registrar hand nothing over."
    if (older := health.get("ledger_older")) and not older["caught_up"]:
        return str(older["sentence"])
    if health.get("standby"):
        return _UNHEARD
    if health.get("unheard") or (lag is None and "lag" in health):
        return "Kafka does not answer it: nrmbus check says where the way ends. It sends and reads what waits once Kafka answers."
    if lag:
        return f"It has {counted(lag, 'record')} of its inbox still to read."
    return "It has not read to the end what it must know before it works."


def silence_of(health: Health) -> str:
    """Return for how long Kafka has not answered the service whose *health* this is, and since when; empty while it answers."""
    seconds = float(health.get("silent") or 0)
    if seconds < SILENT_SECONDS and "waiting" not in health:
        return ""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    length = counted(seconds // 60, "minute") if seconds >= 60 else counted(round(seconds), "second")
    return f"{length}, since {since:%Y-%m-%d %H:%M:%S} UTC"


def remark_on(health: Health) -> str:
    """Return in a sentence what a person should know of a service that is ready, or an empty text."""
    if waits := health.get("standby"):
        return str(waits)
    if "ledger_older" in health.get("open_tasks", ()):
        return "It began with an older copy of its ledger, and has caught up: nrmbus doctor says what to do."
    if health.get("desks_unseen"):
        return "It does not see which desks are connected: nrmbus doctor says what to do."
    told = "The others are told after a while that it does not read."
    found = []
    if away := health.get("desks_away"):
        found.append(f"No desk is connected of {', '.join(away)}: call the agency. {told}")
    if still := health.get("desks_still"):
        found.append(f"The desk of {', '.join(still)} stands still: nrmbus doctor where it runs says why. {told}")
    return " ".join(found)
