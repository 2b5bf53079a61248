"""Rights at the broker: a pure function of the declarations in ``deploy/topics`` and the members of the bus.

Everything else is forbidden. Every name is literal: no prefix, no wildcard. Kafka itself adds that readers and writers of
a topic may ask for its offsets, and that its writers may use an idempotent producer.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from nrmbus.bus.kafka.declarations import Declaration

Kind = Literal["topic", "group", "transactional_id"]
Operation = Literal["read", "write", "describe"]

EVERYBODY: Final = "everybody"
BY_THE_OPERATOR: Final = frozenset({"operator", "player"})
"""Words for the operator, who may do anything and needs no entitlement; the player of a story comes as the operator."""


class Entitlement(NamedTuple):
    """The right of *who* (an agency's or a service's id) to do *operation* with the resource *name* of *kind*."""

    who: str
    kind: Kind
    name: str
    operation: Operation


def entitlements(
    declarations: Iterable[Declaration], everybody: Iterable[str], partitions: int, *, play: bool
) -> frozenset[Entitlement]:
    """Return every right of *everybody* (agencies and the bus's own services) on a bus of so many *partitions*.

    A topic's writers may write the topic, and its readers may read it, in the consumer group that the declaration names.
    The watchers may ask whether that group has a member and how far it is, and read no record.
    If the declaration names a transactional id, the writers have one for each partition. An unknown id gets no right.
    """
    everybody = tuple(everybody)
    found: set[Entitlement] = set()
    for each in declarations:
        if each.buses == "play" and not play:
            continue
        # One round for each agency that owns a topic, or a single round for a shared topic.
        for agency in everybody if each.of_each_agency else ("",):
            (topic,) = each.names((agency,))
            writers = _who(each.writers, agency, everybody)
            readers = _who(each.readers, agency, everybody)
            found.update(Entitlement(who, "topic", topic, "write") for who in writers)
            found.update(Entitlement(who, "topic", topic, "read") for who in readers)
            if each.group:
                group = each.group.replace("{agency}", agency)
                found.update(Entitlement(who, "group", group.replace("{reader}", who), "read") for who in readers)
                watchers = _who(each.watchers, agency, everybody)
                found.update(Entitlement(who, "group", group, "describe") for who in watchers)
                found.update(Entitlement(who, "topic", topic, "describe") for who in watchers)
            if each.transactional_id:
                ids = [each.transactional_id.replace("{partition}", str(number)) for number in range(partitions)]
                found.update(Entitlement(who, "transactional_id", one, "write") for who in writers for one in ids)
    return frozenset(found)


def _who(words: Iterable[str], agency: str, everybody: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    for word in words:
        found.update(everybody if word == EVERYBODY else (agency,) if word == "{agency}" else {word} & set(everybody))
    return found - BY_THE_OPERATOR
