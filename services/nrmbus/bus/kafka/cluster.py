"""Kafka settings of the embedded broker, and of a foreign cluster that admits a bus."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from nrmbus.bus.pki.authority import BROKER, OPERATOR

MAX_REQUEST: Final = 2 * 1024 * 1024
"""The largest request that a broker takes, in bytes; a larger write takes several requests."""

BROKER_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    # A single broker: what a cluster has three of, it has once.
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    # Fewer partitions of the broker's own topics to load at each start.
    "offsets.topic.num.partitions": 3,
    "transaction.state.log.num.partitions": 3,
    # A topic made by a spelling mistake would have another number of partitions; a loss is worse than a halt.
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    # Recovery: as measured under faults.
    # (A broker that was killed may come back only when its own session has ended: nobody else takes over here.)
    "broker.session.timeout.ms": 1500,
    "broker.heartbeat.interval.ms": 300,
    "controller.quorum.fetch.timeout.ms": 1500,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.election.backoff.max.ms": 300,
    "group.initial.rebalance.delay.ms": 0,
    # All of ours join by the older protocol. The newer ones take a pattern of topics, of which one of 24 characters needs more
    # memory than there is; and a group has as many members as registrars at most.
    "group.coordinator.rebalance.protocols": "classic",
    "group.max.size": 20,
    # A service that stands by takes over after 1.35 s or 1.5 s; the default allows no shorter session than 6 s.
    "group.min.session.timeout.ms": 1000,
    # Nor does any of ours have the broker remember what it fetches.
    "max.incremental.fetch.session.cache.slots": 0,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    # A desk that was off for months must find where it stopped; the default forgets after a week.
    "offsets.retention.minutes": 525_600,
    # Records whose retention is over leave the disk within seconds; the default looks every five minutes.
    "log.retention.check.interval.ms": 2000,
    "log.segment.delete.delay.ms": 1000,
    # Sizes for a small machine: else gigabytes of sparse index files and 128 MB for a cleaner without work.
    "log.index.size.max.bytes": 1_048_576,
    "log.cleaner.dedupe.buffer.size": 16_777_216,
    # The broker reserves memory as soon as a client announces a request of this size. With the default of 100 MiB, eleven
    # connections of certificate holders took all of the broker's memory.
    "socket.request.max.bytes": MAX_REQUEST,
    # A writer may use any number of idempotent producer ids, and the broker remembers each for this long; the default is a
    # day. No client of the bus retries a record later than this, and a producer that returns later may go on.
    "producer.id.expiration.ms": 60_000,
    "producer.id.expiration.check.interval.ms": 10_000,
    "num.network.threads": 2,
    # This many batches are decompressed at the same time: the heap has room for two large ones.
    "num.io.threads": 2,
}


def replicated_settings(brokers: int) -> dict[str, int]:
    """Return what a cluster of so many *brokers* is set to beside `BROKER_SETTINGS`: each record is on three, and written on two."""
    if brokers == 1:
        return {}
    return {
        "default.replication.factor": brokers,
        "min.insync.replicas": brokers - 1,
        "offsets.topic.replication.factor": brokers,
        "transaction.state.log.replication.factor": brokers,
        "transaction.state.log.min.isr": brokers - 1,
        # Others take over after this; a machine that is busy for a moment must not look like a broker that is away.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }


_COUNT: Final = 3
_OF_A_CLUSTER: Final = (
    "auto.create.topics.enable", "unclean.leader.election.enable", "offsets.retention.minutes",
    "group.initial.rebalance.delay.ms", "group.min.session.timeout.ms",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
)  # fmt: skip
CLUSTER_SETTINGS: Final = {
    **{key: value for key, value in replicated_settings(_COUNT).items() if not key.startswith("broker.")},
    **{key: BROKER_SETTINGS[key] for key in _OF_A_CLUSTER},
}
"""Settings that a bus needs of a whole cluster that was there before the bus."""
ADVISED_SETTINGS: Final = {
    key: BROKER_SETTINGS[key]
    for key in (
        "group.coordinator.rebalance.protocols", "group.max.size", "max.incremental.fetch.session.cache.slots",
        "socket.request.max.bytes", "producer.id.expiration.ms",
    )
}  # fmt: skip
"""Settings without which the owner of one certificate can fill a broker's memory; other users of the cluster may need other values."""


def listener_settings(bus: str, *operators: str) -> dict[str, str]:
    """Return the settings of the listener of *bus*, which accepts only names that the bus's authority certifies.

    Any other subject of a certificate is mapped to no name: the mapping has no default.
    """
    subject = f"OU=[1-9][0-9]*,OU={bus},O=nrmbus"
    counted = subject.replace("OU=[1-9][0-9]*", "OU=([1-9][0-9]*)")
    return {
        "ssl.client.auth": "required",
        "ssl.principal.mapping.rules": (
            f"RULE:^CN=({'|'.join(operators)}),{subject}$/$1/,RULE:^CN=([a-z][a-z0-9-]*),{counted}$/$1.$2/"
        ),
        "ssl.enabled.protocols": "TLSv1.3",
        "ssl.truststore.type": "PEM",
    }


def rights_settings(*super_users: str) -> dict[str, str]:
    """Return the settings of a whole cluster that deny everything without a rule, except to *super_users*."""
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": ";".join(f"User:{each}" for each in super_users),
    }


def tls_settings(bus: str) -> dict[str, str]:
    """Return the settings that close both ports of the embedded broker of *bus*."""
    return {
        **listener_settings(bus, BROKER, OPERATOR),
        **rights_settings(BROKER, OPERATOR),
        "inter.broker.listener.name": "SSL",
        "ssl.protocol": "TLSv1.3",
        "ssl.keystore.type": "PEM",
        "ssl.truststore.location": "broker/tls/ca.pem",
    }


GUEST: Final = "nrmbus"
"""The bus's listener on a foreign cluster, in lower case as Kafka wants listener names in settings."""


def guest_settings(bus: str, authority: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings of a foreign cluster: those of each broker's listener for *bus*, and those of each node.

    The listener trusts only the bus's *authority* (a file), so the cluster's other listeners and their users stay as they
    are. The names of the cluster's own brokers have to be added to ``super.users``.
    """
    listener = {**listener_settings(bus, OPERATOR), "ssl.truststore.location": str(authority)}
    return {f"listener.name.{GUEST}.{key}": value for key, value in listener.items()}, rights_settings(OPERATOR)


def cluster_id(bus: str) -> str:
    """Return the Kafka cluster id of a bus: 22 characters derived from the bus's id, so that another broker is recognised as such."""
    raw = bytearray(hashlib.sha256(b"nrmbus/cluster/v1\0" + bus.encode()).digest()[:16])
    raw[0] &= 0x7F  # never a leading dash, which Kafka's command line would take for an option
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
