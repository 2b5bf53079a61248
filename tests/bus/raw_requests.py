"""Requests of Kafka's protocol that no client of ours sends, written by hand, and who is answered when sending them.

Each is about something of the police, of the registrar or of the broker itself. `entitled` is somebody whom the broker
does serve with it, so that the refusal of everybody else says something; none where even asking would alter the bus.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Final

from nrmbus.bus.reach import Reach
from patience import PATIENCE

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 29, 30, 31, 53
"""Kafka's codes for "not authorized", by what for."""

UNSUPPORTED: Final = 35
"""Kafka's code for what this broker does for nobody."""
NO_TOKENS: Final = 61
"""Kafka's code for "there are no tokens here"."""

CLIENT: Final = b"\0\1x"
NO_TAGS: Final = b"\0"
PRODUCER: Final = bytes(10)
"""Producer 0 in its epoch 0."""


def _short(number: int) -> bytes:
    return struct.pack(">h", number)


def _int(number: int) -> bytes:
    return struct.pack(">i", number)


def _long(number: int) -> bytes:
    return struct.pack(">q", number)


def _text(text: str) -> bytes:
    return _short(len(text)) + text.encode()


def _list(*items: bytes) -> bytes:
    return _int(len(items)) + b"".join(items)


def _brief(text: str) -> bytes:
    return bytes([len(text) + 1]) + text.encode()


def _briefs(*items: bytes) -> bytes:
    return bytes([len(items) + 1]) + b"".join(items)


def _of(topic: str, *more: bytes) -> bytes:
    """Partition 0 of one topic, with the fields of the request."""
    return _list(_text(topic) + _list(_int(0) + b"".join(more)))


@dataclass(frozen=True)
class Request:
    """One request: Kafka's number of the request, its version and body, the code of its refusal, and the clients that are served."""

    what: str
    key: int
    version: int
    body: bytes
    refused: int
    entitled: str | None = "operator"
    brief: bool = False
    """True if the request has the flexible encoding, with short lengths of lists and texts."""


def answer(where: Reach, request: Request, port: int | None = None) -> bytes:
    """Return the broker's answer without length and number, or nothing if the broker closes the connection."""
    context = where.context()
    assert context is not None
    host, _, own = where.bootstrap.rpartition(":")
    head = _short(request.key) + _short(request.version) + _int(7) + CLIENT + (NO_TAGS if request.brief else b"")
    try:
        with (
            socket.create_connection((host, port or int(own)), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as sent,
        ):
            sent.sendall(_int(len(head + request.body)) + head + request.body)
            (length,) = struct.unpack(">i", _exactly(sent, 4))
            return _exactly(sent, length)[4:]
    except OSError:
        return b""


def _exactly(sent: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        more = sent.recv(length - len(found))
        if not more:
            raise ConnectionAbortedError
        found += more
    return found


DESK, SHARD, CASES, INBOX, OUTBOX = (
    "police.desk", "nrm-registrar-p0", "nrm.cases", "nrm.inbox.police", "nrm.outbox.police",
)  # fmt: skip
_READ: Final = _long(0) + _int(1 << 16)

REQUESTS: Final = (
    # Requests about another agency's consumer group: join it, take it over, move or delete its offsets, describe it.
    Request("join a group", 11, 2, _text(DESK) + _int(10_000) * 2 + _text("") + _text("consumer") + _list(_text("range") + _int(10) + bytes(10)), GROUP, "police"),
    Request("take a share of a group", 14, 0, _text(DESK) + _int(1) + _text("m") + _list(), GROUP, "police"),
    Request("keep a group alive", 12, 0, _text(DESK) + _int(1) + _text("m"), GROUP, "police"),
    Request("put somebody out of a group", 13, 0, _text(DESK) + _text("m"), GROUP, "police"),
    Request("read a group's place", 9, 1, _text(DESK) + _of(INBOX), GROUP, "police"),
    Request("forget a group's place", 47, 0, _text(DESK) + _of(INBOX), GROUP),
    Request("look at a group", 15, 0, _list(_text(DESK)), GROUP, "police"),
    Request("delete a group", 42, 0, _list(_text("another")), GROUP),
    Request("look at a group of the newer kind", 69, 0, _briefs(_brief(DESK)) + bytes(1) + NO_TAGS, UNSUPPORTED, None, brief=True),
    Request("join a sharing group", 76, 1, _brief(DESK) + _brief("m") + _int(0) + bytes(1) + _briefs(_brief(INBOX)) + NO_TAGS, GROUP, None, brief=True),
    Request("read a sharing group's place", 90, 0, _briefs(_brief(DESK) + bytes(1) + NO_TAGS) + NO_TAGS, GROUP, None, brief=True),
    Request("move a sharing group's place", 91, 0, _brief(DESK) + _briefs() + NO_TAGS, GROUP, None, brief=True),
    Request("forget a sharing group's place", 92, 0, _brief(DESK) + _briefs() + NO_TAGS, GROUP, None, brief=True),
    Request("read what a sharing group keeps", 84, 0, _brief(DESK) + _briefs(bytes(16) + _briefs(_int(0) * 2 + NO_TAGS) + NO_TAGS) + NO_TAGS, CLUSTER, None, brief=True),
    Request("write what a sharing group keeps", 83, 0, _brief(DESK) + _briefs(bytes(16) + _briefs(_int(0) * 2 + _long(0) + NO_TAGS) + NO_TAGS) + NO_TAGS, CLUSTER, None, brief=True),
    Request("look at a sharing group", 77, 1, _briefs(_brief(DESK)) + bytes(1) + NO_TAGS, GROUP, "police", brief=True),
    # Requests about the registrar's transactions: fence the registrar, end or join an open transaction, commit offsets.
    Request("find a transaction's keeper", 10, 1, _text(SHARD) + b"\1", TRANSACTIONAL_ID, "registrar"),
    Request("join a transaction", 24, 0, _text(SHARD) + PRODUCER + _of(CASES), TRANSACTIONAL_ID, "registrar"),
    Request("commit places in a transaction", 25, 0, _text(SHARD) + PRODUCER + _text("nrm-registrar"), TRANSACTIONAL_ID, "registrar"),
    Request("end a transaction", 26, 0, _text(SHARD) + PRODUCER + b"\1", TRANSACTIONAL_ID, "registrar"),
    Request("move places in a transaction", 28, 0, _text(SHARD) + _text("nrm-registrar") + PRODUCER + _of(OUTBOX, _long(0), _text("")), TRANSACTIONAL_ID, "registrar"),
    Request("look at a transaction", 65, 0, _briefs(_brief(SHARD)) + NO_TAGS, TRANSACTIONAL_ID, "registrar", brief=True),
    Request("write the end of a transaction", 27, 1, _briefs(PRODUCER + b"\1" + _briefs(_brief(CASES) + _briefs(_int(0)) + NO_TAGS) + _int(0) + NO_TAGS) + NO_TAGS, CLUSTER, None, brief=True),
    # Requests for the content of a topic other than a fetch.
    Request("read as another broker would", 1, 4, _int(1) + _int(0) * 2 + _int(1 << 20) + b"\0" + _of(CASES, _READ), TOPIC),
    Request("read as a debugger would", 1, 4, _int(-2) + _int(0) * 2 + _int(1 << 20) + b"\0" + _of(CASES, _READ), TOPIC, "registrar"),
    Request("ask how far it is as another broker would", 2, 1, _int(1) + _of(CASES, _long(-1)), TOPIC, "registrar"),
    Request("ask after its leaders", 23, 2, _of(CASES, _int(0), _int(0)), TOPIC, "registrar"),
    Request("ask who writes it", 61, 0, _briefs(_brief(CASES) + _briefs(_int(0)) + NO_TAGS) + NO_TAGS, TOPIC, "registrar", brief=True),
    Request("ask whether it is there", 3, 4, _list(_text(CASES)) + b"\0", TOPIC, "registrar"),
    Request("have it made by asking", 3, 4, _list(_text("nrm.inbox.new")) + b"\1", TOPIC, None),
    Request("empty it", 21, 0, _of(OUTBOX, _long(0)) + _int(1000), TOPIC),
    Request("make it wider", 37, 0, _list(_text(OUTBOX) + _int(9) + _int(-1)) + _int(1000) + b"\1", TOPIC),
    # The broker itself.
    Request("read quotas", 48, 0, _list() + b"\0", CLUSTER),
    Request("set a quota", 49, 0, _list(_list(_text("user") + _text("x")) + _list(_text("producer_byte_rate") + bytes(8) + b"\1")) + b"\1", CLUSTER),
    Request("look at the quorum", 55, 0, _briefs(_brief("__cluster_metadata") + _briefs(_int(0) + NO_TAGS) + NO_TAGS) + NO_TAGS, CLUSTER, brief=True),
    Request("list moves of partitions", 46, 0, _int(1000) + bytes(1) + NO_TAGS, CLUSTER, brief=True),
    Request("move a partition", 45, 0, _int(1000) + _briefs(_brief(CASES) + _briefs(_int(0) + bytes(1) + NO_TAGS) + NO_TAGS) + NO_TAGS, CLUSTER, brief=True),
    Request("put a broker out", 64, 0, _int(99) + NO_TAGS, CLUSTER, brief=True),
    Request("set features", 57, 0, _int(1000) + _briefs() + NO_TAGS, CLUSTER, None, brief=True),
    Request("list what clients measure", 74, 0, NO_TAGS, CLUSTER, brief=True),
    Request("look at its folders", 35, 4, b"\0" + NO_TAGS, CLUSTER, None, brief=True),
    Request("have leaders elected", 43, 2, bytes(2) + _int(1000) + NO_TAGS, CLUSTER, None, brief=True),
    Request("set somebody a password", 51, 0, _briefs() + _briefs(_brief("police") + b"\1" + _int(4096) + _brief("s") + _brief("p") + NO_TAGS) + NO_TAGS, CLUSTER, None, brief=True),
    Request("have a voter added", 80, 0, b"\0" + _int(1000) + _int(9) + bytes(16) + _briefs() + NO_TAGS, CLUSTER, brief=True),
    Request("have a voter removed", 81, 0, b"\0" + _int(1) + bytes(16) + NO_TAGS, CLUSTER, brief=True),
    Request("make a token to come with", 38, 2, _briefs() + _long(-1) + NO_TAGS, NO_TOKENS, None, brief=True),
)  # fmt: skip


def by_pattern(group: str, pattern: str) -> Request:
    """Join *group*, by the newer protocol, for the topics of a *pattern*."""
    who = _brief(group) + _brief("m") + _int(0) + bytes(2)
    what = _int(1000) + b"\0" + _brief(pattern) + b"\0" + _briefs()
    return Request("join for a pattern", 68, 1, who + what + NO_TAGS, UNSUPPORTED, None, brief=True)


MEASURING: Final = Request("ask how to tell what it measures", 71, 0, bytes(16) + NO_TAGS, 0, None, brief=True)
"""As a client with no id yet, which is given one."""

ENVELOPE: Final = Request("speak in another's name", 58, 0, b"\5abcd\1\5abcd" + NO_TAGS, CLUSTER, None, brief=True)
"""A request that a broker forwards to the controller with the caller's name: a client that could send one could be anybody."""


def by_id(most: int, least: int) -> Request:
    """Read the topic whose id has these two halves (Fetch 13)."""
    partition = _int(0) + _int(-1) + _long(0) + _int(-1) + _long(-1) + _int(1 << 16) + NO_TAGS
    topic = struct.pack(">qq", most, least) + _briefs(partition) + NO_TAGS
    head = _int(-1) + _int(0) * 2 + _int(1 << 20) + b"\0" + _int(0) + _int(-1)
    return Request("read by id", 1, 13, head + _briefs(topic) + _briefs() + b"\1" + NO_TAGS, TOPIC, None, brief=True)
