"""CPU that spans cost for each event, over all threads and with writing to the file: ``python benchmarks/span_cost.py``.

The registrar has one span for each transaction, a desk one for each step of an event (decision 0008).
"""

import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nrmbus.environment import SPANS
from nrmbus.telemetry import consumed, joined
from nrmbus.telemetry.trace import set_up_trace, shut_down

EVENTS: Final = 4_000
"""No more than wait for the file at most, so that none is lost."""
ROUNDS: Final = 3
TYPE: Final = "case.signal_recorded"


def transactions(size: int) -> Callable[[], None]:
    """Return work as the registrar does it: *size* events in each transaction, with the result of each."""
    makers = [f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01" for _ in range(size)]

    def work() -> None:
        for first in range(0, EVENTS, size):
            with joined("register") as span:
                for number, maker in enumerate(makers):
                    span.judged(TYPE, f"e-{first + number}", maker, "registered", None)

    return work


def steps() -> None:
    """Return work as a desk does it: a span for each event."""
    maker = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    for number in range(EVENTS):
        with consumed(event_type=TYPE, event_id=f"e-{number}", traceparent=maker) as span:
            span.result("handled")


def microseconds(work: Callable[[], None]) -> float:
    """Return the least CPU for each event of `ROUNDS` rounds of *work*, until everything is on disk."""
    found = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as home:
            set_up_trace("bench", Path(home))
            started = time.process_time()
            work()
            shut_down()
            found.append((time.process_time() - started) / EVENTS * 1e6)
    return min(found)


def main() -> None:
    """Print one line for each kind of work, kept and not kept."""
    for setting in ("", "off"):
        os.environ[SPANS.name] = setting
        for name, work in (
            ("registrar, transactions of 100", transactions(100)),
            ("registrar, transactions of 5", transactions(5)),
            ("desk, a span for each step", steps),
        ):
            print(f"{name}{', NRMBUS_SPANS=off' if setting else ''}: {microseconds(work):.1f} µs")


if __name__ == "__main__":
    main()
