"""Assignor of the registrars' group: by range, in the order in which the members began to work.

A registrar that returns comes behind the working ones, so with one partition the registrar stands by. A frozen registrar
that wakes up does the same: the group's last generation was without it, whatever its own memory says. While a registrar rests,
it gets a partition only if the group has no awake member. Members of an earlier release name no generation, and come last of the
members that do not rest.

Partitions that an outbox has beyond those of the bus are given to nobody: shared out with the others, they would give one
partition number to two members.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

NEVER = 2**31
"""In place of the generation for a member that does not work; generations are below."""
RESTS = NEVER + 1
"""In its place for a member that rests (`rest.py`): it gets what nobody else can have."""


class InOrder(RangePartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Range assignor over members in the order of `since`. Each member of a process has a class of its own (`made`)."""

    since: ClassVar[int] = NEVER
    """Generation of the group from which on this member has had a partition."""
    last: ClassVar[int] = 0
    """Last generation of which this member knows."""
    partitions: ClassVar[int]
    """Number of partitions of the bus."""

    @classmethod
    def made(cls, partitions: int) -> "type[InOrder]":
        """Return the assignor of one member, on a bus of so many *partitions*."""
        return type(cls.__name__, (cls,), {"partitions": partitions})

    @classmethod
    def noted(cls, generation: int, *, works: bool) -> None:
        """Note whether this member *works* in the *generation*, if it is not for longer."""
        cls.since, cls.last = min(cls.since, generation) if works else NEVER, generation

    @classmethod
    def missed(cls, generation: int) -> bool:
        """Return whether the group has shared out its partitions without this member before the *generation*: it was silent."""
        return 0 < cls.last < generation - 1

    @classmethod
    def rests(cls, generation: int) -> None:
        """Note that this member does not work in the *generation*, and comes behind everybody until it is `noted`."""
        cls.since, cls.last = RESTS, generation

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this member tells the others: since when it works, and of which generation it knows."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), f"{cls.since} {cls.last}".encode())

    @classmethod
    def assign(
        cls, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Give the partitions to the members in their order."""
        told = {each: _told(member) for each, member in members.items()}
        last = max(known for _, known in told.values())
        since = {each: began if known == last else NEVER for each, (began, known) in told.items()}
        awake = [each for each in members if since[each] != RESTS] or list(members)
        order = sorted(awake, key=lambda each: (since[each], each))
        by_rank = {f"{rank:06}": each for rank, each in enumerate(order)}
        due = SimpleNamespace(
            partitions_for_topic=lambda topic: cls._due(
                cluster.partitions_for_topic(topic)
            )  # all that the assignor asks
        )
        given = super().assign(due, {rank: members[each] for rank, each in by_rank.items()})
        nothing = {each: ConsumerProtocolMemberAssignment(cls.version, [], b"") for each in members}
        return nothing | {by_rank[rank]: assignment for rank, assignment in given.items()}

    @classmethod
    def _due(cls, found: Iterable[int] | None) -> set[int] | None:
        return None if found is None else {number for number in found if number < cls.partitions}


def _told(member: ConsumerProtocolMemberMetadata) -> tuple[int, int]:
    """Return since when *member* works, and of which generation it knows."""
    words = bytes(member.user_data or b"").split()
    return (int(words[0]), int(words[1])) if len(words) == 2 and all(each.isdigit() for each in words) else (NEVER, 0)
