"""A history with three cases: one whose retention period is over, one held, and one open."""

from datetime import UTC, datetime, timedelta

from agencies import NOW, SIGNAL
from nrmbus.rules import Rules
from nrmbus.wire.record import Record
from registrar.given import Bus
from rules.given import ONE_YEAR

OTHER_CASE = "cd" * 16
OPEN_CASE = "ef" * 16
CLOSED = {"reason": "no_indicator"}
OVER = {"ground": "retention"}
LATER = NOW + timedelta(days=400)
OVER_AT = datetime(2027, 3, 2, 20, tzinfo=UTC)
"""A year after the day on which the case was closed: the end of that day in Baku."""


class Kept:
    """A bus under a profile that names years. Registration 9 says that the case is over."""

    SAYS_SO = 9

    def __init__(self) -> None:
        """Say it all."""
        self.bus = bus = Bus()
        bus.rules = Rules(ONE_YEAR, bus.agencies)
        self.shard = shard = bus.shard()
        bus.signal(shard)
        bus.signal(shard, case=OTHER_CASE)
        bus.consents(shard, "special-unit")
        bus.say(shard, "vac", "case.signal_recorded", SIGNAL)
        bus.consents(shard, "vac")
        bus.say(shard, "ngo-a", "case.signal_dismissed", CLOSED)
        bus.say(shard, "ngo-a", "case.signal_dismissed", CLOSED, case=OTHER_CASE)
        bus.signal(shard, case=OPEN_CASE)
        assert bus.say_due(shard, "access.erasure_due").outcome == "registered"
        data = OVER | {"horizon": "2027-12-01T00:00:00Z"}
        assert bus.say(shard, "ngo-a", "access.erasure_confirmed", data, now=LATER).outcome == "registered"
        held = {"reasons": ["inspection"], "until": "2027-12-31"}
        bus.say(shard, "auditor", "access.hold_placed", held, case=OTHER_CASE, now=LATER)

    @property
    def history(self) -> list[Record]:
        """The records of the topic."""
        return self.bus.history


def bare(record: Record) -> Record:
    """Return *record* without its envelope."""
    return Record(record.key, b"", tuple(each for each in record.headers if each[0].startswith("nrm_")))
