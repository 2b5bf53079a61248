"""Which registrar works, when one comes, goes and returns."""

from types import SimpleNamespace
from typing import Any

import pytest

from nrmbus.registrar.assignor import InOrder

TOPIC = "nrm.outbox.ngo-a"


def given(members: dict[str, "type[InOrder] | None"], partitions: int) -> dict[str, list[int]]:
    """Return the partitions of each member; None is a member of a release that tells nothing."""
    return {name: found[TOPIC] for name, found in shared_out(members, {TOPIC: partitions}, partitions).items()}


def shared_out(
    members: dict[str, "type[InOrder] | None"], outboxes: dict[str, int], partitions: int
) -> dict[str, dict[str, list[int]]]:
    """Return by outbox the partitions of each member; *outboxes* have their numbers of partitions, and the bus has *partitions*."""
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(outboxes[topic])))
    told = {
        name: SimpleNamespace(subscription=[*outboxes], user_data=b"") if each is None else each.metadata(outboxes)
        for name, each in members.items()
    }
    found = InOrder.made(partitions).assign(cluster, told)
    nothing: dict[str, list[int]] = {each: [] for each in outboxes}
    return {name: nothing | dict(found[name].assignment) for name in members}


LAST = 10
"""The last generation of the group."""


def working(since: int | None, last: int = LAST) -> type[InOrder]:
    """Return the assignor of a member that works since a generation, or not, and knows of the generation *last*."""
    made = InOrder.made(1)
    if since is not None:
        made.noted(since, works=True)
    made.noted(last, works=since is not None)
    return made


@pytest.mark.parametrize(("a", "b", "works"), [(3, None, "a"), (None, 3, "b"), (7, 3, "b"), (None, None, "a")])
def test_who_works_goes_on_and_who_returns_stands_by(a: int | None, b: int | None, works: str) -> None:
    """Given one partition, then the member that has had it for longest keeps it; of new members the first by name gets it."""
    found = given({"a": working(a), "b": working(b)}, 1)

    assert found == {"a": [0] if works == "a" else [], "b": [0] if works == "b" else []}


def test_several_partitions_are_shared_and_those_of_the_elder_stay_first() -> None:
    """Given four partitions, then two members have two each, and the elder has the first ones."""
    assert given({"a": working(None), "b": working(5)}, 4) == {"a": [2, 3], "b": [0, 1]}


@pytest.mark.parametrize(("partitions", "elder", "newer"), [(1, [0], []), (2, [0], [1])])
def test_partitions_that_an_outbox_has_beyond_the_bus_are_given_to_nobody(
    partitions: int, elder: list[int], newer: list[int]
) -> None:
    """Given an outbox whose partitions somebody raised to three, then it is shared out as every other outbox is."""
    found = shared_out({"a": working(None), "b": working(5)}, {TOPIC: partitions, "nrm.outbox.ngo-b": 3}, partitions)

    assert found == {
        "a": {TOPIC: newer, "nrm.outbox.ngo-b": newer},
        "b": {TOPIC: elder, "nrm.outbox.ngo-b": elder},
    }


def test_a_member_keeps_its_age_while_it_works_and_loses_it_with_the_last_partition() -> None:
    """Given a member that worked since generation 5, then later generations change nothing until it has no partition."""
    member = working(5)
    assert given({"a": working(6), "m": member}, 1)["m"] == [0]
    member.noted(LAST, works=False)
    assert given({"a": working(6), "m": member}, 1)["m"] == []


def test_a_member_that_was_frozen_comes_behind_the_one_that_took_over() -> None:
    """Given a member that worked since generation 5 and missed the last one, when it wakes up, then the newer one goes on."""
    assert given({"a": working(5, last=7), "b": working(8)}, 1) == {"a": [], "b": [0]}


def resting() -> type[InOrder]:
    """Return the assignor of a member that lost its partitions by its silence, and rests."""
    made = working(5)
    made.rests(LAST)
    return made


def test_a_member_that_rests_gets_nothing_beside_others() -> None:
    """Given one that was silent lately, then a silent one that returns gets all, and a new one too; alone it gets all itself."""
    assert given({"a": resting(), "b": working(8, last=LAST - 1)}, 2) == {"a": [], "b": [0, 1]}
    assert given({"a": resting(), "b": None}, 1) == {"a": [], "b": [0]}
    assert given({"a": resting()}, 2) == {"a": [0, 1]}
    rested = resting()
    rested.noted(LAST, works=False)
    assert given({"a": rested, "b": working(8)}, 2) == {"a": [1], "b": [0]}


def test_a_member_knows_that_it_was_silent() -> None:
    """Given a group that shared out twice since this member's last time, then it was away; a new member never was."""
    assert [working(5).missed(each) for each in (LAST, LAST + 1, LAST + 2)] == [False, False, True]
    assert not InOrder.made(1).missed(LAST)


def test_a_new_member_comes_behind_those_that_work() -> None:
    """Given a process that has just started, then whoever works goes on."""
    assert given({"a": InOrder.made(1), "b": working(8)}, 1) == {"a": [], "b": [0]}


def test_a_member_of_an_earlier_release_is_served_too() -> None:
    """Given a member that tells nothing of its age, then it comes behind those that work, and gets what is left."""
    assert given({"a": None, "b": working(4)}, 2) == {"a": [1], "b": [0]}
    assert given({"a": None}, 2) == {"a": [0, 1]}
