"""One log line, spans and counters a handled message: ids, type, outcome, time; never a content.

The audit trail is the history itself; what is here may be lost without loss of evidence.
"""

from nrmbus.telemetry.log import handled, set_up_log
from nrmbus.telemetry.trace import consumed, current_traceparent, exported, produced, set_up_trace

__all__ = ["consumed", "current_traceparent", "exported", "handled", "produced", "set_up", "set_up_log", "set_up_trace"]


def set_up(service: str) -> None:
    """Prepare logging and tracing for *service* (an agency's id, or ``registrar``, ``timekeeper``)."""
    set_up_log(service)
    set_up_trace(service)
