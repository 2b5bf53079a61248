"""Processes of the bus's own services on all hosts, as the operator's certificate shows them: who works and who stands by."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka.errors import KafkaError
from rich.table import Table

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.clients import Administration
from nrmbus.bus.kafka.failures import sentence_of
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.replicas import PLACES
from nrmbus.directory.admission import read_directory
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.standby import SERVED
from nrmbus.wire.names import REGISTRAR

_GROUPS: Final[Mapping[str, str]] = {each: "nrm-registrar" if each == REGISTRAR else f"{each}.turn" for each in SERVED}


@dataclass(frozen=True, slots=True)
class Placed:
    """A process of a service on a standby host, or the place of a missing process."""

    host: str
    service: str
    state: str
    """``works``, ``stands by``, ``away`` if no process is connected, or ``old keys`` if the service has others since."""
    connected: str | None
    """Address from which the process is connected."""
    certificate_ends: str | None


def hosts_of(folder: BusFolder) -> tuple[Placed, ...]:
    """Return each service on each admitted standby host, and what else is connected under a host's name.

    Raises:
        KafkaFailed: no broker answers, or it refuses.
        KeysSealed: nothing given opens the operator's key.
    """
    now, authority = datetime.now(UTC), Authority(folder)
    admitted, given = authority.hosts(now), authority.given(now)
    if folder.settings.tls and not (admitted or given):
        return ()
    old = _with_old_keys(folder, given, now) if given else frozenset()
    groups = Administration(folder.as_operator).answers(
        lambda client: client.describe_consumer_groups(list(_GROUPS.values())).values()
    )
    found = {
        (host, service): (member.host.lstrip("/"), _works(member))
        for service, group in zip(_GROUPS, groups, strict=True)
        for member in group.members
        if (host := _host(member.client_id, service)) is not None
    }
    expected = {(host, service) for host, by in admitted.items() for service in by} | old
    return tuple(
        Placed(
            host,
            service,
            "old keys" if (host, service) in old else "away" if where is None else "works" if where[1] else "stands by",
            where[0] if where else None,
            end.isoformat() if (end := admitted.get(host, {}).get(service)) else None,
        )
        for host, service in sorted(expected | found.keys())
        for where in [found.get((host, service))]
    )


def _with_old_keys(
    folder: BusFolder, given: Mapping[str, Mapping[str, str]], now: datetime
) -> frozenset[tuple[str, str]]:
    """Return host and service where a host was *given* another signing key than the directory names at *now*."""
    try:
        directory = asyncio.run(read_directory(folder))
    except (KafkaError, DirectoryError) as error:
        raise BusError(sentence_of(error) or str(error)) from None
    return frozenset(
        (host, service)
        for host, by in given.items()
        for service, kid in by.items()
        if directory.signing_kid(service, now) != kid
    )


def _works(member: Any) -> bool:
    return bool(member.assignment and member.assignment.topic_partitions)


def _host(client_id: str, service: str) -> str | None:
    """Return the standby host in the name under which Kafka knows a process, or None for one of the first machine."""
    place = client_id.removeprefix(f"{service}-").partition(".")[0]
    return place if client_id.startswith(f"{service}-") and place not in PLACES else None


def table_of(found: Iterable[Placed], now: datetime) -> Table:
    """Return the table that a person reads at *now*."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("standby host", "service", "state", "connected from", "certificate"):
        table.add_column(title, overflow="fold")
    for each in found:
        until = datetime.fromisoformat(each.certificate_ends) if each.certificate_ends else None
        state = f"[{'bold red' if each.state in ('away', 'old keys') else 'green'}]{each.state}[/]"
        days = "–" if until is None else f"{(until - now).days} days"
        table.add_row(each.host, each.service, state, each.connected or "–", days)
    return table
