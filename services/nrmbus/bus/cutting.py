"""Taking the head off a topic, so that its bytes leave the disk. Blocking; for the operator, who alone may.

Kafka deletes whole segments, and never the one it writes to: so the first record that stays has to begin a new segment.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nrmbus.bus import clients
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.reach import Where

if TYPE_CHECKING:
    from confluent_kafka.admin import AlterConfigOpType

ANSWER_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 0.3
"""How long the broker may take until a topic's new setting holds for its log."""
_SEGMENT: Final = "segment.ms"


def roll_with_next(where: Where, topic: str) -> None:
    """Have each partition of *topic* begin a new segment with its next record, until `roll_as_before`.

    Raises:
        KafkaFailed: the broker does not answer.
    """
    from confluent_kafka.admin import AlterConfigOpType  # noqa: PLC0415 - see clients.admin

    _set(where, topic, AlterConfigOpType.SET, "1")
    time.sleep(SETTLE_SECONDS)


def roll_as_before(where: Where, topic: str) -> None:
    """Have *topic* begin its segments as it is declared; done twice, the second changes nothing. Raises as `roll_with_next`."""
    from confluent_kafka.admin import AlterConfigOpType  # noqa: PLC0415 - see clients.admin

    _set(where, topic, AlterConfigOpType.DELETE, "")


def _set(where: Where, topic: str, operation: "AlterConfigOpType", value: str) -> None:
    from confluent_kafka.admin import ConfigEntry, ConfigResource  # noqa: PLC0415 - see clients.admin

    entry = ConfigEntry(_SEGMENT, value, incremental_operation=operation)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = clients.admin(where)  # held until it has answered
    _answers(admin.incremental_alter_configs([resource]))


def cut(where: Where, topic: str, partition: int, offset: int) -> None:
    """Delete every record before *offset*: for readers at once, from the disk a little later. Raises as `roll_with_next`."""
    from confluent_kafka import TopicPartition  # noqa: PLC0415 - see clients.admin

    admin = clients.admin(where)
    _answers(admin.delete_records([TopicPartition(topic, partition, offset)]))


def _answers(futures: Any) -> None:
    from confluent_kafka import KafkaException  # noqa: PLC0415 - see clients.admin

    for future in futures.values():
        reason = ""
        try:
            future.result(ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            reason = error.args[0].name() if isinstance(error, KafkaException) else "no answer"
        if reason:
            raise KafkaFailed(
                f"The broker did not do what was asked ({reason}): see whether it runs, then do it again."
            )


def on_disk(data: Path, topic: str, partition: int) -> list[int]:
    """The first offset of each segment that our own broker, whose data are in *data*, still has on the disk, in order.

    One that was deleted stays a moment under another name, and counts.
    """
    found = {int(each.name.split(".")[0]) for each in data.glob(f"{topic}-{partition}/*.log*")}
    return sorted(found)
