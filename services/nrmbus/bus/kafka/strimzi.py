"""Resources of Strimzi (``kafka.strimzi.io/v1``) for a cluster that carries one bus: brokers, listener, rights and topics.

The bus makes and checks its topics, rights and quotas itself, so each topic is unmanaged and the User Operator, where one
runs, ignores the bus's principals.
"""

from collections.abc import Iterable
from typing import Any, Final

from nrmbus.bus.folder import BusSettings
from nrmbus.bus.kafka.cluster import ADVISED_SETTINGS, CLUSTER_SETTINGS, GUEST, listener_settings
from nrmbus.bus.kafka.declarations import Declaration
from nrmbus.bus.pki.authority import OPERATOR

API: Final = "kafka.strimzi.io/v1"
PRINCIPALS: Final = r"^([a-z][a-z0-9-]*\.[1-9][0-9]*|operator)$"
"""The names that the bus's listener gives to certificates; Kafka's own ones begin with ``CN=``."""
_PORT: Final = 9094
_SECRET: Final = "nrmbus-authority"  # noqa: S105 - the name of a secret that holds a certificate
_MOUNT: Final = f"/mnt/{_SECRET}"
_COUNT: Final = 3


def resources(
    settings: BusSettings, authority: bytes, declarations: Iterable[Declaration], cluster: str
) -> list[dict[str, Any]]:
    """Return the resources for the bus with *settings* and its *authority*'s certificate, on the Strimzi cluster *cluster*."""
    return [
        _resource("v1", "Secret", _SECRET, {}, stringData={"ca.pem": authority.decode("ascii")}, type="Opaque"),
        _pool(cluster),
        _kafka(settings, cluster),
        *(_topic(each, settings, cluster) for each in declarations if not each.of_each_agency),
    ]


def _resource(api: str, kind: str, name: str, labels: dict[str, str], **body: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def _of(cluster: str) -> dict[str, str]:
    return {"strimzi.io/cluster": cluster}


def _pool(cluster: str) -> dict[str, Any]:
    volume = {"id": 0, "type": "persistent-claim", "size": "50Gi", "deleteClaim": False, "kraftMetadata": "shared"}
    spec = {"replicas": _COUNT, "roles": ["controller", "broker"], "storage": {"type": "jbod", "volumes": [volume]}}
    return _resource(API, "KafkaNodePool", f"{cluster}-nodes", _of(cluster), spec=spec)


def _kafka(settings: BusSettings, cluster: str) -> dict[str, Any]:
    listener = {**listener_settings(settings.bus, OPERATOR), "ssl.truststore.location": f"{_MOUNT}/ca.pem"}
    kafka = {
        "listeners": [
            {
                "name": GUEST,
                "port": _PORT,
                "type": "loadbalancer",
                "tls": True,
                "authentication": {"type": "custom", "sasl": False, "listenerConfig": listener},
            }
        ],
        "authorization": {"type": "simple", "superUsers": [OPERATOR]},
        "config": {**CLUSTER_SETTINGS, **ADVISED_SETTINGS},
        "template": {
            "pod": {"volumes": [{"name": _SECRET, "secret": {"secretName": _SECRET}}]},
            "kafkaContainer": {"volumeMounts": [{"name": _SECRET, "mountPath": _MOUNT, "readOnly": True}]},
        },
    }
    ignored = {"env": [{"name": "STRIMZI_IGNORED_USERS_PATTERN", "value": PRINCIPALS}]}
    operators = {"topicOperator": {}, "userOperator": {}, "template": {"userOperatorContainer": ignored}}
    return _resource(API, "Kafka", cluster, {}, spec={"kafka": kafka, "entityOperator": operators})


def _topic(each: Declaration, settings: BusSettings, cluster: str) -> dict[str, Any]:
    made = _resource(
        API, "KafkaTopic", each.topic, _of(cluster),
        spec={
            "topicName": each.topic,
            "partitions": settings.partitions if each.partitions == "P" else each.partitions,
            "replicas": _COUNT,
            "config": dict(each.settings()),
        },
    )  # fmt: skip
    made["metadata"]["annotations"] = {"strimzi.io/managed": "false"}
    return made
