"""What Kafka is set to: our own broker, and any cluster that lets a bus in."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from nrmbus.bus.pki.authority import BROKER, OPERATOR

NODE: Final = 1

MAX_REQUEST: Final = 2 * 1024 * 1024
"""The largest request that a broker takes, in bytes; whoever writes much sends it in several."""

BROKER_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": NODE,
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
    # Nor does any of ours have the broker remember what it fetches.
    "max.incremental.fetch.session.cache.slots": 0,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    # A desk that was off for months must find where it stopped; the default forgets after a week.
    "offsets.retention.minutes": 525_600,
    # What was cut off a topic is off the disk within seconds; the default looks every five minutes.
    "log.retention.check.interval.ms": 2000,
    "log.segment.delete.delay.ms": 1000,
    # Sizes for a small machine: else gigabytes of sparse index files and 128 MB for a cleaner without work.
    "log.index.size.max.bytes": 1_048_576,
    "log.cleaner.dedupe.buffer.size": 16_777_216,
    # Who has a certificate may say that a request of so many bytes comes, and the broker sets them aside until it is there.
    # Of the default, 100 MiB, eleven connections took all of its memory.
    "socket.request.max.bytes": MAX_REQUEST,
    # Who writes may number its records under as many names as it likes, and each is remembered for so long; the default is
    # a day. Nobody of ours tries a record again later than this, and who comes back after it is let go on.
    "producer.id.expiration.ms": 60_000,
    "producer.id.expiration.check.interval.ms": 10_000,
    "num.network.threads": 2,
    # So many batches are unpacked at the same time: the heap has room for two large ones.
    "num.io.threads": 2,
}


def listener_settings(bus: str, *operators: str) -> dict[str, str]:
    """What a listener must be set to by which *bus* is reached: only names that its authority writes.

    A certificate's subject is turned into a name only where it is one that the authority writes; there is no default.
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
    """What a whole cluster must be set to: only what is entitled is done, for all but *super_users*."""
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": ";".join(f"User:{each}" for each in super_users),
    }


def tls_settings(bus: str) -> dict[str, str]:
    """What closes our own broker of *bus*, on both of its ports."""
    return {
        **listener_settings(bus, BROKER, OPERATOR),
        **rights_settings(BROKER, OPERATOR),
        "listener.security.protocol.map": "SSL:SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "SSL",
        "ssl.protocol": "TLSv1.3",
        "ssl.keystore.type": "PEM",
        "ssl.truststore.location": "broker/tls/ca.pem",
    }


GUEST: Final = "nrmbus"
"""The listener by which a bus is reached on a cluster that is another's, in lower case as Kafka wants it in settings."""


def guest_settings(bus: str, authority: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What a cluster that is another's must be set to: each broker, on a listener for *bus* alone; each broker and controller.

    The listener trusts the bus's *authority*, a file, and nobody else, so that the cluster's other listeners, and who
    comes by them, stay as they are. Whom the cluster's own brokers are known as, is to be added to ``super.users``.
    """
    listener = {**listener_settings(bus, OPERATOR), "ssl.truststore.location": str(authority)}
    return {f"listener.name.{GUEST}.{key}": value for key, value in listener.items()}, rights_settings(OPERATOR)


def cluster_id(bus: str) -> str:
    """The Kafka cluster id of a bus: 22 characters, derived from its id, so that no other broker is taken for its own."""
    raw = bytearray(hashlib.sha256(b"nrmbus/cluster/v1\0" + bus.encode()).digest()[:16])
    raw[0] &= 0x7F  # never a leading dash, which Kafka's command line would take for an option
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
