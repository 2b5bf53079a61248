"""``nrmbus cluster``: what an existing Kafka cluster must be set to for a bus, as a file to apply, and what is still missing."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import typer
import yaml

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.clients import ANSWER_SECONDS, Administration
from nrmbus.bus.kafka.cluster import ADVISED_SETTINGS, CLUSTER_SETTINGS, guest_settings, rights_settings
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.bus.kafka.strimzi import resources
from nrmbus.bus.kafka.topics import few_replicas
from nrmbus.bus.pki.authority import OPERATOR, Authority
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.membership.keys import KeysContext

app = Commands("cluster", "An existing Kafka cluster: print the settings that a bus needs, and check them.")

_AT_LEAST: Final = frozenset(
    {"default.replication.factor", "offsets.retention.minutes", "offsets.topic.replication.factor",
     "transaction.max.timeout.ms", "transaction.state.log.replication.factor"}
)  # fmt: skip
"""Settings of which more is as good."""
_BELOW: Final = {
    "min.insync.replicas": "default.replication.factor",
    "transaction.state.log.min.isr": "transaction.state.log.replication.factor",
}
"""Settings of which more is as good while it is below the other one: with as many, no broker may be away."""
_UNTOLD: Final = frozenset({"super.users", "allow.everyone.if.no.acl.found"})
"""The authorizer's own settings, whose values Kafka does not tell. The operator's own access proves ``super.users``."""
_AT_MOST: Final = frozenset({"group.min.session.timeout.ms", "group.initial.rebalance.delay.ms"})
"""Settings of which less is as good."""


class _Readable(yaml.SafeDumper):
    """Writer of YAML in which a text of several lines, as a certificate, stands as it is."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


@app.register(example="nrmbus cluster settings --for strimzi --data ./my-bus")
def settings(
    *,
    kind: Annotated[
        Literal["kafka", "strimzi"],
        typer.Option("--for", help="kafka: lines for server.properties; strimzi: resources for kubectl apply."),
    ] = "kafka",
    name: Annotated[str, typer.Option(metavar="NAME", help="With --for strimzi: the name of the cluster.")] = "nrmbus",
    context: KeysContext,
) -> None:
    """Print the settings that the bus's cluster needs, as a file that its administrator can apply.

    The bus was made by nrmbus up --bootstrap HOST:PORT --tls DIR. The file holds no secret.
    """
    folder = context.unlocked()
    _on_a_cluster(folder)
    authority = Authority(folder)
    if kind == "strimzi":
        made = resources(folder.settings, authority.ca, load_declarations(), name)
        typer.echo(yaml.dump_all(made, Dumper=_Readable, sort_keys=False, allow_unicode=True), nl=False)
        return
    listener, rights = guest_settings(folder.settings.bus, authority.path)
    for head, lines in (
        ("Each broker: the listener NRMBUS of the bus, SSL in listener.security.protocol.map; copy the truststore's file there, and write its path there", listener),
        ("Each broker and controller; add the cluster's own brokers to super.users, with semicolons between", rights),
        ("The whole cluster", CLUSTER_SETTINGS),
        ("The whole cluster, if no other user needs other values: a certificate's owner cannot fill the memory", ADVISED_SETTINGS),
    ):  # fmt: skip
        typer.echo(f"# {head}")
        for key, value in lines.items():
            typer.echo(f"{key}={value}")


@app.register(example="nrmbus cluster check --data ./my-bus")
def check(*, context: KeysContext) -> None:
    """Print what the bus's cluster still lacks, one line for each setting and broker, or topic on too few brokers; change nothing.

    nrmbus check tells whether the cluster is reached at all, nrmbus topics check whether topics and rights are as declared.
    Exit status: 1 if something is missing; what is only advised does not count.
    """
    folder = context.unlocked()
    _on_a_cluster(folder)
    found = list(_missing(folder))
    for needed, sentence in found:
        typer.echo(sentence if needed else f"(advised) {sentence}")
    if not found:
        typer.echo("The cluster is set as the bus needs it.")
    sys.exit(any(needed for needed, _ in found))


def _on_a_cluster(folder: BusFolder) -> None:
    made = folder.settings
    if not made.bootstrap or not made.tls or folder.is_joined:
        raise NoBus(
            "This bus has its own Kafka, or reaches a cluster in plain text: the settings are for a bus that was made by "
            "nrmbus up --bootstrap HOST:PORT --tls DIR."
        )


def _missing(folder: BusFolder) -> Iterator[tuple[bool, str]]:
    """Yield for each unfit setting of each broker whether the setting is required, and a sentence; then for each topic on too few brokers."""
    from confluent_kafka.admin import ConfigResource  # noqa: PLC0415 - see clients.admin

    broker = Administration(folder.as_operator)
    numbers = sorted(broker.answers(lambda client: [client.describe_cluster()])[0].nodes, key=lambda node: node.id)
    if len(numbers) < 3:
        yield True, f"The cluster has {counted(len(numbers), 'broker')}: with three, any one of them may be away."
    asked = [ConfigResource(ConfigResource.Type.BROKER, str(node.id)) for node in numbers]
    answers = broker.answers(lambda client: client.describe_configs(asked, request_timeout=ANSWER_SECONDS).values())
    wanted: dict[str, Any] = {**rights_settings(OPERATOR), **CLUSTER_SETTINGS}
    # Kafka's own default is well, so nobody is asked to set it; with a shorter one no registrar can begin.
    wanted["transaction.max.timeout.ms"] = clients.settings("shard")["transaction_timeout_ms"]
    for node, has in zip(numbers, answers, strict=True):
        for key, value in {**wanted, **ADVISED_SETTINGS}.items():
            present = has[key].value if key in has else None
            if present is None and key in _UNTOLD:
                continue
            too_many = max(int(wanted[_BELOW[key]]), int(has[_BELOW[key]].value)) if key in _BELOW else None
            if not _fits(key, str(value), present, too_many):
                yield key in wanted, f"Broker {node.id} has {key}={present or ''}: set {key}={value}"
    for drift in few_replicas(folder.as_operator):  # the settings are for topics that are made later
        yield True, str(drift)


def _fits(key: str, wanted: str, found: str | None, too_many: int | None) -> bool:
    if found is None:
        return False
    if too_many is not None:
        return int(wanted) <= int(found) < too_many
    if key == "super.users":
        return wanted in found.split(";")
    if key in _AT_LEAST or key in _AT_MOST:
        return int(found) >= int(wanted) if key in _AT_LEAST else int(found) <= int(wanted)
    return found == wanted
