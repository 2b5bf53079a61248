"""Shared material of the timekeeper's tests: its watch over the history of a bus in memory."""

from agencies import BUS
from nrmbus.timekeeper.watch import Watch
from registrar.given import Bus


def watching(bus: Bus) -> Watch:
    """Return a watch that has read the whole history."""
    watch = Watch(bus.rules, BUS, lambda _: bus.key.verify_key)
    for record in bus.history:
        watch.take(record, 0)
    return watch
