"""Who may do what at the broker: a pure function of what ``deploy/topics`` declares and who is on the bus.

What is not in its answer is forbidden. Every name is literal: no prefix, no wildcard. Kafka adds by itself that who may
read or write a topic may ask how far it is, and that who may write one may number its records.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from nrmbus.bus.kafka.declarations import Declaration

Kind = Literal["topic", "group", "transactional_id"]
Operation = Literal["read", "write"]

EVERYBODY: Final = "everybody"
BY_THE_OPERATOR: Final = frozenset({"operator", "player"})
"""Words for the operator, who may do anything and needs no entitlement; the player of a story comes as the operator."""


class Entitlement(NamedTuple):
    """*who* (an agency's or a service's id) may do *operation* with the one thing of *kind* that is called *name*."""

    who: str
    kind: Kind
    name: str
    operation: Operation


def entitlements(
    declarations: Iterable[Declaration], everybody: Iterable[str], partitions: int, *, play: bool
) -> frozenset[Entitlement]:
    """All that *everybody*, agencies and the bus's own services, may do on a bus of so many *partitions*.

    A topic's writers may write it, its readers read it, as a member of the group that it names if it names one; where it
    names a transactional id, its writers have that one for each partition. A word that is nobody's id gives nothing.
    """
    everybody = tuple(everybody)
    found: set[Entitlement] = set()
    for each in declarations:
        if each.buses == "play" and not play:
            continue
        # One turn for each agency that a topic is of; one for nobody in particular, where it is of all.
        for agency in everybody if each.of_each_agency else ("",):
            (topic,) = each.names((agency,))
            writers = _who(each.writers, agency, everybody)
            readers = _who(each.readers, agency, everybody)
            found.update(Entitlement(who, "topic", topic, "write") for who in writers)
            found.update(Entitlement(who, "topic", topic, "read") for who in readers)
            if each.group:
                group = each.group.replace("{agency}", agency)
                found.update(Entitlement(who, "group", group, "read") for who in readers)
            if each.transactional_id:
                ids = [each.transactional_id.replace("{partition}", str(number)) for number in range(partitions)]
                found.update(Entitlement(who, "transactional_id", one, "write") for who in writers for one in ids)
    return frozenset(found)


def _who(words: Iterable[str], agency: str, everybody: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    for word in words:
        found.update(everybody if word == EVERYBODY else (agency,) if word == "{agency}" else {word} & set(everybody))
    return found - BY_THE_OPERATOR
