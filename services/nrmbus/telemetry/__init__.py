"""One log line, spans and counters a handled message: ids, type, outcome, time; never a content.

The audit trail is the history itself; what is here may be lost without loss of evidence.
"""

from pathlib import Path

from nrmbus.telemetry.log import Handled, handled, handled_together, set_up_log
from nrmbus.telemetry.trace import Open, consumed, joined, produced, sent, set_up_trace, shut_down

__all__ = [
    "Handled",
    "Open",
    "consumed",
    "handled",
    "handled_together",
    "joined",
    "produced",
    "sent",
    "set_up",
    "shut_down",
]


def set_up(service: str, home: Path | None = None) -> None:
    """Prepare logging and tracing for *service* (an agency's id, or ``registrar``, ``timekeeper``), whose folder is *home*."""
    set_up_log(service)
    set_up_trace(service, home)
