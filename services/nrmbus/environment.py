"""Environment variables of nrmbus. No other module reads the environment, so `deploy/SETTINGS.md` names all of them."""

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Variable:
    """Environment variable: who sets it, its default in words, and what it does."""

    name: str
    by: str
    """Who sets it: ``operator``, ``agency`` or ``auditor``, several with commas between; ``everyone`` for all three."""
    default: str
    does: str

    def get(self) -> str | None:
        """Return the value, or None if the variable is unset or empty."""
        return os.environ.get(self.name) or None


KEY_FILE: Final = Variable(
    "NRMBUS_KEY_FILE",
    by="operator, agency",
    default="none: a command asks for the passphrase at a terminal",
    does="Path of the key file under which private keys are sealed, never its content. `nrmbus keys new FILE` makes one.",
)
DOOR: Final = Variable(
    "NRMBUS_DOOR",
    by="agency",
    default="none",
    does="Folder of a desk, or a `door.json` with its `url` and `token`, for a program that gives none (`AsyncDesk.of()`).",
)
PLACE: Final = Variable(
    "NRMBUS_PLACE",
    by="operator",
    default="`a`",
    does="Place of a service among several that stand by for one another, on a machine of their own; each machine needs a name of its own. With `--replicas` the second process on it adds `.2`, and so on.",
)
FORK: Final = Variable(
    "NRMBUS_FORK",
    by="operator",
    default="on, on Linux",
    does="`0`: start services from the beginning and fork none from a warm process. `--fork` and `--no-fork` come first.",
)
SPANS: Final = Variable(
    "NRMBUS_SPANS",
    by="operator, agency",
    default="on",
    does="`off`: keep no spans on this machine; the trace still goes on through this service.",
)
ENDPOINT: Final = Variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    by="operator, agency",
    default="none: spans stay on this machine",
    does="Send spans to this collector too, by OTLP over HTTP. OpenTelemetry's other `OTEL_EXPORTER_OTLP_…` variables then hold too.",
)
DATA_HOME: Final = Variable(
    "XDG_DATA_HOME",
    by="everyone",
    default="`~/.local/share`",
    does="Folder in which the buses' folders are, as `nrmbus/NAME`. `--data` comes first.",
)
CACHE_HOME: Final = Variable(
    "XDG_CACHE_HOME",
    by="operator",
    default="`~/.cache`",
    does="Folder in which Kafka's jars are kept, as `nrmbus/kafka-…`; they can be fetched again.",
)
CREDENTIALS: Final = Variable(
    "CREDENTIALS_DIRECTORY",
    by="operator, agency",
    default="none",
    does="systemd sets it: the folder of `LoadCredential=`. A key file there may be readable as systemd makes it.",
)
NOTIFY_SOCKET: Final = Variable(
    "NOTIFY_SOCKET",
    by="operator",
    default="none",
    does="systemd sets it, for a unit of `Type=notify`: `nrmbus up` reports there that the bus is ready.",
)
PASSWORD_FILE: Final = Variable(
    "PGPASSFILE",
    by="agency",
    default="`~/.pgpass`",
    does="File with the password for the ledger's PostgreSQL server, in libpq's form and for its owner only; asyncpg reads it.",
)
