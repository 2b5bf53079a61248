"""Faults that desks and services tell of themselves, and those of machines elsewhere."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.cli.counted import counted
from nrmbus.cli.health import ENDING, Health, brokers_down, failing, silence_of, supervised, why_not_ready
from nrmbus.cli.operate.faults import OFTEN, OFTEN_WITHIN, SOON, Finding, of_numbers
from nrmbus.directory.standby import SERVED
from nrmbus.host.services import agency_of, pages_here, services_of
from nrmbus.wire.names import AUDITOR


def of_services(folder: BusFolder, healths: Mapping[str, Health | None]) -> Iterator[Finding]:
    """Yield the desks and services that do not answer, are not ready, or lost their ledger or a part of it, by their *healths*."""
    ending = failing(folder)
    for name, reason in brokers_down(folder).items():
        yield Finding(
            "failing",
            f"Kafka's process {name} is down. {reason}",
            "With one broker nothing is sent or received; with three no other one may be lost.",
            f"look at {folder.logs / f'{name}.log'}, and at the disk; nrmbus up continues to start it",
        )
    for name, health in healths.items():
        log: object = folder.logs / f"{name}.log"
        if folder.is_joined:  # `nrmbus run` writes no file
            log = f"what nrmbus run {name} printed (journalctl --unit nrmbus-desk@{name}, where systemd runs it)"
        if name in ending:
            yield Finding(
                "failing",
                f"{name} is failing: it ended five times in a minute.",
                f"Its log ends: {ending[name]}",
                f"look at {log}; nrmbus up continues to start it",
            )
            continue
        if health is None:
            yield Finding(
                "not_answering",
                f"{name} does not answer.",
                "Events that it would send or receive wait.",
                f"look at {log}, and ask again in a minute if it was just started",
            )
            continue
        if not health.get("ready"):
            yield Finding(
                "not_ready",
                f"{name} is not ready.",
                why_not_ready(health),
                f"nrmbus check --data '{folder.path}'"
                if silence_of(health)
                else f"ask again in a minute if it was just started; else look at {log} and at its open tasks",
            )
        yield from of_numbers(name, health.get("shown", {}))
        yield from _of_desks(health)
        yield from _of_page(folder, name, health)
        for code in set(ENDING) - {"sealing_key"}:  # the directory tells of sealing keys, also elsewhere
            if found := health.get(code):
                what, _, mend = found["sentence"].removesuffix(".").partition(": ")
                why = "A system that uses it is refused from then on."
                if code == "mail":
                    why = "The agency's people are told by mail of nothing that waits for them."
                yield Finding(code, f"{name}: {what}.", why, mend)
        for code, what in (
            ("ledger_lost", "lost its ledger"),
            ("ledger_older", "began with an older copy of its ledger"),
        ):
            if found := health.get(code):
                is_over = found.get("caught_up", True)
                mend = f"mark the task {code} as done when the agency has compared its files"
                yield Finding(
                    code,
                    f"{name} {what}.",
                    found["sentence"],
                    mend if is_over else "it catches up automatically, unless this says what to do; then ask again",
                    serious=code in health.get("open_tasks", ()) or not is_over,
                )


def _of_desks(health: Health) -> Iterator[Finding]:
    """Yield a finding if the timekeeper does not see at the broker which desks are connected; other services do not look."""
    if health.get("desks_unseen"):
        yield Finding(
            "desks_unseen",
            "The timekeeper does not see which desks are connected.",
            "An agency that does not read what it is sent is shown to nobody.",
            "nrmbus check; if each step succeeds, nrmbus topics apply",
        )
    for agency in health.get("desks_still", ()):
        yield Finding(
            "standing_still",
            f"The desk of {agency} is connected, and has read nothing of what waits for it for a minute.",
            "What is sent to it is read by nobody; all agencies are shown so once the profile's silent_minutes have passed.",
            "the finding of the desk itself says why: here, or at nrmbus doctor on the machine where it runs",
        )


def _of_page(folder: BusFolder, name: str, health: Health) -> Iterator[Finding]:
    """Yield a finding if the public page *name* names no telephone number; other services do not tell."""
    if health.get("names_number") is False:
        agency = agency_of(name)
        yield Finding(
            "number_missing",
            f"The public page of {agency} names no telephone number.",
            "A person in danger reads no number to call.",
            f"set `phone` or `lines` of `public` in {folder.agency(agency).agency_json}, and start the page again",
        )


def of_stopped(folder: BusFolder, closed: Collection[str]) -> Iterator[Finding]:
    """Yield the stopped desks, public pages and services of a machine elsewhere, or of a bus on another's cluster without `nrmbus up`.

    *Closed* agencies, suspended or retired, need no desk. `nrmbus up` restarts ended processes. A bus with a Kafka of its own
    needs `nrmbus up`: without it nothing runs.
    """
    if folder.is_joined:
        services = [
            each
            for each in (SERVED if folder.host is not None else (AUDITOR,))
            if (folder.service(each) / "keys").exists()  # a host gets no keys of an auditor with a machine of her own
        ]
    elif folder.settings.bootstrap and not folder.is_held:
        # The register has them without TLS too, where the broker denies them nothing.
        services, closed = [*services_of(folder)], Authority(folder).suspended.union(closed)
    else:
        return
    due, running = [each for each in folder.agencies() if each not in closed], folder.running
    pages = [page for each in due for page in pages_here(folder, each)]
    for name in (*due, *pages, *services):
        if name not in running:
            what, why, run = f"The {name}", "Nothing is sent or received for it.", name
            if name in pages:
                run = f"public {agency_of(name)}"
                what, why = (
                    f"The public page of {agency_of(name)}",
                    "People without an account do not reach the agency.",
                )
            elif name in due:
                what = f"The desk of {name}"
            elif folder.host is not None:
                why = "This host does not take over if the operator's machine is lost."
            yield Finding(
                "stopped",
                f"{what} does not run.",
                why,
                f"nrmbus {f'run {run}' if running or folder.is_joined else 'up'} --data '{folder.path}'",
            )


def of_restarts(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    """Yield the processes of `nrmbus up` that ended again and again within half an hour; `of_services` yields those that fail."""
    ending = failing(folder)
    for name, state in supervised(folder).items():
        ended = [each for each in state.get("ended", ()) if now - datetime.fromisoformat(each) <= OFTEN_WITHIN]
        if len(ended) >= OFTEN and name not in ending:
            yield Finding(
                "restarts",
                f"{name} ended {counted(len(ended), 'time')} within half an hour, and was started again.",
                "Each restart delays what waits.",
                f"look at {folder.logs / f'{name}.log'} (deploy/RUNBOOK.md#service-restarts)",
            )


def of_brokers(there: int, due: int) -> Iterator[Finding]:
    """Yield a finding if only *there* of *due* brokers are in the cluster: a frozen broker runs, but is not in it."""
    if there < due:
        yield Finding(
            "brokers_away",
            f"Of {due} brokers of Kafka, {there} are there.",
            "Nothing is lost; until the others are back, no further one may be away.",
            "end one that is frozen, start one that is off (deploy/RUNBOOK.md#one-broker-of-three-away)",
        )


def of_peers(peers: Iterable[Mapping[str, Any]], here: Collection[str], now: datetime) -> Iterator[Finding]:
    """Yield the agencies on other machines whose desk is not connected, or whose certificate nobody renewed."""
    for peer in peers:
        agency, written = str(peer["agency"]), peer["certificate_ends"]
        if agency in here or peer["suspended"]:
            continue
        if written and (end := datetime.fromisoformat(written)) - now < SOON:
            yield Finding(
                "certificate",
                f"The certificate of {agency} {'has ended' if end <= now else f'ends on {end:%Y-%m-%d %H:%M} UTC'}.",
                "Its desk renews it automatically while it is connected, so it was away, or failed.",
                f"ask its people to run nrmbus check, and nrmbus agency renew {agency}",
            )
        if not peer["connected"]:
            yield Finding(
                "silent",
                f"{'The auditor' if agency == AUDITOR else f'The desk of {agency}'}, on another machine, is not connected.",
                "What is sent to it waits; whether that is a fault only its people know.",
                "ask them for the result of nrmbus check",
                serious=False,
            )
