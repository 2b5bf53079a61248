"""Limits on one certificate: it can exhaust neither the broker's memory nor the share of others."""

import socket
import ssl
import struct
from contextlib import ExitStack
from typing import Any

import pytest
from confluent_kafka.admin import ConfigResource

from bus.closed import Closed
from bus.raw_requests import MEASURING, REQUESTS, UNSUPPORTED, answer, by_pattern
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.client_metrics import INTERVAL_MILLISECONDS
from nrmbus.bus.kafka.cluster import MAX_REQUEST
from patience import PATIENCE

pytestmark = pytest.mark.broker

MOST = 12
"""So many took all of the broker's memory, when each might announce 100 MiB."""


def announcing(bus: Closed, size: int) -> ssl.SSLSocket:
    """A connection of ngo-a on which the first bytes of a request of *size* are sent."""
    where = bus.reach("ngo-a")
    context = where.context()
    assert context is not None
    host, _, port = where.bootstrap.rpartition(":")
    line = context.wrap_socket(socket.create_connection((host, int(port)), timeout=PATIENCE), server_hostname=host)
    line.sendall(struct.pack(">i", size) + b"\0\0\0\x09")
    return line


def hung_up(line: ssl.SSLSocket) -> bool:
    """Return whether the broker closed the connection."""
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_an_announced_request_that_never_comes_takes_no_memory(closed_bus: Closed) -> None:
    """A request larger than any of ours is not waited for, and others are served meanwhile."""
    (asking,) = [each for each in REQUESTS if each.what == "ask whether it is there"]
    with ExitStack() as held:
        lines = [held.enter_context(announcing(closed_bus, 100_000_000)) for _ in range(MOST)]
        assert answer(closed_bus.reach("registrar"), asking)
        assert all(map(hung_up, lines))
        lines = [held.enter_context(announcing(closed_bus, MAX_REQUEST - 1)) for _ in range(MOST)]
        assert answer(closed_bus.reach("registrar"), asking)
        lines[0].settimeout(0.2)
        assert not hung_up(lines[0]), "one of ours may come slowly"


def test_no_pattern_of_topics_is_taken(closed_bus: Closed) -> None:
    """Not even in one's own group: of a thousand times a thousand times a thousand letters the broker would make a machine."""
    bomb = by_pattern("ngo-a.desk", "((a{1000}){1000}){1000}")
    assert UNSUPPORTED.to_bytes(2) in answer(closed_bus.reach("ngo-a"), bomb)


def test_a_metrics_subscription_is_forgotten_at_once(closed_bus: Closed) -> None:
    """Each asking may be under a new id, and is remembered for three times the interval that the broker answers with."""
    told = answer(closed_bus.reach("ngo-a"), MEASURING)
    throttle, error, id = told[1:5], told[5:7], told[7:23]

    assert (throttle, error, any(id)) == (bytes(4), bytes(2), True)
    assert INTERVAL_MILLISECONDS.to_bytes(4) in told[23:]


def test_nobodys_numbering_is_remembered_for_long(closed_bus: Closed) -> None:
    """A writer may invent one producer per record, at 320 bytes of memory each; they expire after a minute, not a day."""
    resource = ConfigResource(ConfigResource.Type.BROKER, "1")
    admin: Any = clients.admin(closed_bus.folder.as_operator)
    (told,) = admin.describe_configs([resource]).values()
    has = told.result(10)

    assert (
        int(has["producer.id.expiration.ms"].value) + int(has["producer.id.expiration.check.interval.ms"].value)
        < 90_000
    )
