"""Everybody on one bus, in memory: keys, directory and rules, for measurements without a broker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from aiokafka import ConsumerRecord
from throughput import AGENCIES, RECEIVER, SENDERS

from nrmbus.auditor.history.history import rules_of
from nrmbus.directory import Directory, Identity, Operator
from nrmbus.play.load import POLICY, Agency, Submission
from nrmbus.registrar.shard import Shard
from nrmbus.registrar.spill_file import Scratch
from nrmbus.rules import Rules
from nrmbus.wire import ids
from nrmbus.wire.keys.keys import VerifyKey

BUS: Final = "0123456789abcdef"
SERVICES: Final = ("registrar",)


@dataclass(frozen=True, slots=True)
class Town:
    """The agencies of `throughput.AGENCIES`, and the registrar, all with keys and an entry."""

    bus: str
    directory: Directory
    rules: Rules
    identities: dict[str, Identity]

    @classmethod
    def at(cls, home: Path, now: datetime) -> Self:
        """Make the keys below *home*, and the entries valid for 30 days at *now*."""
        operator = Operator(home)
        directory = Directory(BUS, VerifyKey(operator.public))
        identities = {name: Identity.at(home / name, name) for name in (*AGENCIES, *SERVICES)}
        for name, identity in identities.items():
            entry = operator.entry(directory, identity, AGENCIES.get(name, name), now - timedelta(days=30))
            assert entry is not None
            directory.add(entry)
        return cls(BUS, directory, rules_of(directory, POLICY), identities)

    def shard(self, scratch: Scratch | None = None) -> Shard:
        """Return a registrar's one partition that has processed nothing; *scratch* is in memory unless it is given."""
        return _shard(self.directory, self.rules, scratch)

    def agencies(self, cases: int, names: Sequence[str] = tuple(SENDERS), receiver: str = RECEIVER) -> list[Agency]:
        """Return the agencies *names*, each with *cases* new cases, whose people let *receiver* receive them."""
        return [Agency(self.identities[name], receiver, [ids.new_ref() for _ in range(cases)]) for name in names]


def shard_of(directory: Directory, policy: str) -> Shard:
    """Return the one partition of a registrar that has processed nothing, by the profile *policy*."""
    return _shard(directory, rules_of(directory, policy))


def _shard(directory: Directory, rules: Rules, scratch: Scratch | None = None) -> Shard:
    return Shard(
        bus=directory.bus, partition=0, partitions=1, rules=rules, directory=directory, salt=lambda: bytes(16), scratch=scratch
    )  # fmt: skip


def consumed(load: Sequence[Submission]) -> list[Any]:
    """Return *load* as a consumer of the outboxes gets it."""
    return [
        ConsumerRecord(each.topic, 0, number, 0, 0, each.record.key, each.record.value, None, 0, 0, each.record.headers)
        for number, each in enumerate(load)
    ]
