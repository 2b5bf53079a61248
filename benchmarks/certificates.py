"""Cost of certificates: to issue them, to have the broker enforce their rights, and at each connection."""

import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stages import timed
from throughput import bus

from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.certificate import request
from nrmbus.bus.reach import Reach, Tls

AGENCIES: Final = 30
CONNECTIONS: Final = 200
_API_VERSIONS: Final = struct.pack(">hhih", 18, 0, 1, -1)
"""The first request of any Kafka client, version 0, without a name."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Milliseconds to issue a certificate; seconds until the broker has all rights, and to find nothing changed; connections."""

    issued: float
    applied: float
    again: float
    plain: list[float]
    tls: list[float]


def certificates(home: Path) -> Certificates:
    """Measure connections on a bus in plain text, then certificates, rights and connections of `AGENCIES` on a closed bus."""
    with bus(home / "plain") as (folder, _):
        plain = _connections(folder.as_operator)
    with bus(home / "closed", closed=True) as (folder, _):
        tls = _connections(folder.as_operator)
        authority, gate = Authority(folder), Gate(folder)
        names = [f"agency-{number}" for number in range(AGENCIES)]
        asked = {name: request(Tls(folder.agency(name).path)) for name in names}
        issued, _ = timed(AGENCIES, lambda: [authority.issue(name, each) for name, each in asked.items()])
        applied, _ = timed(1, gate.apply)
        again, _ = timed(1, gate.apply)
        assert gate.check() == (), "the broker has not what is declared"
    return Certificates(issued / 1e3, applied / 1e6, again / 1e6, plain, tls)


def _connections(where: Reach) -> list[float]:
    """Return the milliseconds of each of `CONNECTIONS`, from opening it until the broker has answered the first request.

    The answer is awaited because a TLS 1.3 client finishes the handshake before the broker has checked its certificate.
    """
    host, _, port = where.bootstrap.rpartition(":")
    context, found = where.context(), []
    for _ in range(CONNECTIONS):
        started = time.perf_counter()
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            connection = context.wrap_socket(raw, server_hostname=host) if context else raw
            with connection:
                connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
                answer = connection.recv(10)
                found.append((time.perf_counter() - started) * 1000)
                if context:
                    assert connection.version() == "TLSv1.3"  # type: ignore[attr-defined]
                assert answer[4:8] == struct.pack(">i", 1), "the broker did not answer"
                assert answer[8:10] in {b"", b"\0\0"}, "the broker refused"
    return found
