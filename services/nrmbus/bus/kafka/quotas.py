"""Quotas of ``deploy/quotas.yaml``: how much each agency may write, read and submit. The broker enforces the first two.

The registrar delays submissions beyond the third (`nrmbus.bus.rate_limit`). No sender beyond a quota is refused: it
waits. The bus's own services have no quota.
aiokafka's client carries the two requests, which none of the Python administration clients has.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int8, Int16, Int32, Schema, String

from nrmbus.bus.errors import DeclarationError, KafkaFailed
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.failures import nobody_at
from nrmbus.bus.reach import Where, reach

Quota = Mapping[str, float]
"""Kafka's name of a limit to its value, in bytes a second."""

SUBMISSIONS: Final = ("submissions_at_once", "submissions_a_second")
"""The file's names for the burst of submissions that the registrar takes at once, and for the rate per second after it."""
LIMITS: Final = {"write_bytes_a_second": "producer_byte_rate", "read_bytes_a_second": "consumer_byte_rate"}
"""The file's name of each limit, and Kafka's name."""
DEFAULT: Final = "<default>"
"""In place of a principal, as Kafka's tools write it: the quota of every user without one, so of the bus's services too."""
_OTHER_LIMITS: Final = ("request_percentage", "controller_mutation_rate")
"""Kafka's other limits of a user. The file declares none, so each is removed."""
_USER: Final = "user"
_ANY: Final = 2
"""Kafka's match type: every entity that has a quota of its own."""


def load_quota(path: Path | None = None) -> Quota:
    """Return each agency's quota at the broker, as the file at *path* (default: ``deploy/quotas.yaml``) declares it.

    Raises:
        DeclarationError: it is not a mapping of exactly the limits there are to whole numbers above 0.
    """
    body = _load(path)
    return {kafka: float(body[name]) for name, kafka in LIMITS.items()}


def load_submissions(path: Path | None = None) -> tuple[int, int]:
    """Return the burst of submissions per agency and the rate per second after it, by the same file.

    Raises:
        DeclarationError: as `load_quota`.
    """
    at_once, a_second = map(_load(path).__getitem__, SUBMISSIONS)
    return at_once, a_second


def _load(path: Path | None) -> dict[str, int]:
    path, due = path or _file(), (*LIMITS, *SUBMISSIONS)
    body = None
    with suppress(OSError, yaml.YAMLError):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(body, dict) or body.keys() != set(due) or not all(map(_is_rate, body.values())):
        raise DeclarationError(f"{path.name}: {', '.join(due)} are due, each a whole number above 0.")
    return body


def _is_rate(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _file() -> Path:
    packaged = Path(__file__).parents[2] / "deploy" / "quotas.yaml"
    return packaged if packaged.exists() else Path(__file__).parents[4] / "deploy" / "quotas.yaml"


async def found(where: Where) -> dict[str, dict[str, float]]:
    """Return the broker's quotas by principal, the default of all users under `DEFAULT`.

    Raises:
        KafkaFailed: it does not answer.
    """
    answer = await asked(where, _Describe())
    if answer.error_code:
        raise KafkaFailed(f"The broker did not tell its quotas (code {answer.error_code}).")
    return {
        DEFAULT if entity[0][1] is None else entity[0][1]: dict(values)
        for entity, values in answer.entries or ()
        if len(entity) == 1 and entity[0][0] == _USER
    }


async def put(where: Where, wanted: Mapping[str, Quota]) -> None:
    """Set the broker's quotas to *wanted*, by principal; an empty quota removes the present one.

    Raises:
        KafkaFailed: it does not answer, or refuses.
    """
    entries = []
    for principal, quota in wanted.items():
        ops = [(key, quota.get(key, 0.0), key not in quota) for key in (*LIMITS.values(), *_OTHER_LIMITS)]
        entries.append(([(_USER, None if principal == DEFAULT else principal)], ops))
    if not entries:
        return
    for code, _, _ in (await asked(where, _Alter(entries))).entries:
        if code:
            raise KafkaFailed(f"The broker did not take a quota (code {code}).")


async def asked(where: Where, request: "Request[Any]") -> Any:
    """Return the broker's answer to *request*, sent with the certificate in *where*.

    Raises:
        KafkaFailed: it does not answer.
    """
    place = reach(where)
    client = AIOKafkaClient(client_id="nrm-admin", **clients.settings("command"), **place.settings())
    try:
        await client.bootstrap()
        return await _first_answer(client, request)
    except (KafkaError, OSError, TimeoutError):
        raise KafkaFailed(nobody_at(place)) from None
    finally:
        await client.close()


async def _first_answer(client: AIOKafkaClient, request: "Request[Any]") -> Any:
    """Return the answer of whichever broker answers: one that has just gone away is still named by the others."""
    nodes = [each.nodeId for each in client.cluster.brokers()]
    for node in nodes[:-1]:
        with suppress(KafkaError, OSError, TimeoutError):
            return await client.send(node, request)
    return await client.send(nodes[-1] if nodes else client.get_random_node(), request)


_ENTITY: Final = Array(("type", String("utf-8")), ("name", String("utf-8")))


class _DescribeResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 48
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", String("utf-8")),
        ("entries", Array(("entity", _ENTITY), ("values", Array(("key", String("utf-8")), ("value", Float64))))),
    )


class _DescribeStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 48
    API_VERSION = 0
    RESPONSE_TYPE = _DescribeResponse
    SCHEMA = Schema(
        ("components", Array(("type", String("utf-8")), ("match_type", Int8), ("match", String("utf-8")))),
        ("strict", Boolean),
    )


class _Describe(Request[_DescribeStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = 48

    def build(self, request_struct_class: type[_DescribeStruct]) -> _DescribeStruct:
        strict = False  # quotas of a user and a client together are told as well
        return request_struct_class([(_USER, _ANY, None)], strict)


class _AlterResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), ("entity", _ENTITY))),
    )


class _AlterStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_AlterStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = 49

    def __init__(self, entries: list[Any]) -> None:
        self._entries = entries

    def build(self, request_struct_class: type[_AlterStruct]) -> _AlterStruct:
        validate_only = False
        return request_struct_class(self._entries, validate_only)
