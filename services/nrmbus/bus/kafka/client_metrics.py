"""Client metrics subscriptions (KIP-714), which no client of the bus uses: the broker is told to forget them at once.

Every holder of a certificate may subscribe again and again under new ids. The broker keeps each subscription, seven
kilobytes, for three times the reporting interval (five minutes by default), so a minute of requests filled its memory.
Only that interval can be set.
"""

from typing import Any, ClassVar, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.kafka.quotas import asked
from nrmbus.bus.reach import Where

INTERVAL_MILLISECONDS: Final = 100
"""The shortest that Kafka takes."""
_CLIENT_METRICS: Final = 16
_SET: Final = 0


async def forget_at_once(where: Where) -> None:
    """Set the shortest interval for every client. Idempotent.

    Raises:
        KafkaFailed: the broker does not answer, or refuses.
    """
    for code, *_ in (await asked(where, _Set())).resources:
        if code:
            raise KafkaFailed(f"The broker did not take how often a client tells what it measures (code {code}).")


class _SetResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _SetStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _SetResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("configs", Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8")))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Set(Request[_SetStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = 44

    def build(self, request_struct_class: type[_SetStruct]) -> Any:
        configs = [("interval.ms", _SET, str(INTERVAL_MILLISECONDS))]
        validate_only = False
        return request_struct_class([(_CLIENT_METRICS, "everybody", configs)], validate_only)
