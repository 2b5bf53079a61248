"""Level of the embedded Kafka's own metadata, which a newer Kafka keeps until somebody raises it.

A newer Kafka runs at the level of the older one, and the older Kafka can be started again on the same data. Once the level
is raised it cannot: so `nrmbus up` never raises it, and a person does when the new release has proved itself.
Kafka's own tool reads and raises the level; no Python client can (confluent-kafka 2.16, aiokafka 0.14).
"""

import re
import subprocess
from dataclasses import dataclass
from typing import Final

from nrmbus.bus.embedded import jars
from nrmbus.bus.embedded.archive import Archive
from nrmbus.bus.embedded.embedded import java_on
from nrmbus.bus.embedded.node import ENVIRONMENT
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.reach import piped

TOOL: Final = "org.apache.kafka.tools.FeatureCommand"
SECONDS: Final = 60.0
"""Patience for the tool; it takes two seconds, on a busy machine longer."""
_LEVEL: Final = re.compile(
    r"Feature: metadata\.version\s+SupportedMinVersion: \S+\s+SupportedMaxVersion: (\S+)\s+FinalizedVersionLevel: (\S+)"
)


@dataclass(frozen=True, slots=True)
class MetadataLevel:
    """Level at which the metadata is, and the newest that this release's Kafka knows; Kafka's own names, as ``4.3-IV0``."""

    present: str
    newest: str

    @property
    def is_newest(self) -> bool:
        """True if there is nothing to raise."""
        return self.present == self.newest


def read(folder: BusFolder) -> MetadataLevel:
    """Return the level of the running broker of the bus in *folder*.

    Raises:
        KafkaFailed: it does not run, or the tool says something else.
    """
    found = _LEVEL.search(_run(folder, "describe"))
    if not found:
        raise KafkaFailed("Kafka did not tell the level of its metadata.")
    return MetadataLevel(present=found[2], newest=found[1])


def raise_to_newest(folder: BusFolder) -> None:
    """Raise the level, for good: an older Kafka does not start on this data any more.

    Raises:
        KafkaFailed: it does not run, or refused.
    """
    _run(folder, "upgrade", "--release-version", ".".join(jars.KAFKA.split(".")[:2]))


def _run(folder: BusFolder, *arguments: str) -> str:
    home = jars.jar_home()
    java = java_on(jars.class_path(home))
    java += Archive(home, java).options()
    where = folder.as_operator
    with piped(where.properties()) as properties:
        try:
            done = subprocess.run(
                [
                    *java,
                    TOOL,
                    "--bootstrap-server",
                    where.bootstrap,
                    "--command-config",
                    f"/dev/fd/{properties}",
                    *arguments,
                ],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=[properties],
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise KafkaFailed("Kafka's tool for the level of its metadata does not answer.") from None
    if done.returncode != 0:
        raise KafkaFailed(
            "Kafka's tool for the level of its metadata failed: see whether the bus runs (nrmbus status)."
        )
    return done.stdout.decode(errors="replace")
