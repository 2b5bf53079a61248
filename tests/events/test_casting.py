"""An event in another version: agencies upgrade when they can, and none reads less or more than was said."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.given import CHAIN, Second, Third, bodies
from nrmbus.events.body import Body
from nrmbus.events.casting import Lost, cast, in_version
from nrmbus.events.errors import UnknownType, UnknownVersion
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import TYPES, versions
from nrmbus.published import vectors
from nrmbus.published.fidelity import broken

SEVERAL: dict[str, Mapping[int, type[Data]]] = {
    **{name: versions(name) for name in dict.fromkeys(name for name, _ in TYPES) if len(versions(name)) > 1},
    "case.example": CHAIN,
}
"""Every published type with several versions, and one of three that is not published."""
STEPS = [
    pytest.param(steps, upper, id=f"{name}-{upper}") for name, steps in SEVERAL.items() for upper in steps if upper > 1
]
CHAINS = [pytest.param(steps, id=name) for name, steps in SEVERAL.items()]


def spelled(*parts: Any) -> str:
    """The parts as JSON, for an equality that tells true from 1."""
    return json.dumps(parts, sort_keys=True)


def test_the_two_types_of_the_amendment_have_several_versions() -> None:
    """If the properties below ran over nothing, they would hold of nothing."""
    assert {"referral.submitted", "identification.status_decided"} <= SEVERAL.keys()


@pytest.mark.thorough
@pytest.mark.parametrize(("steps", "upper"), STEPS)
@given(st.data())
def test_up_then_down_gives_back_the_same_body(
    steps: Mapping[int, type[Data]], upper: int, draw: st.DataObject
) -> None:
    """An upgraded desk hands an event of an older desk on to another older desk unchanged, without a loss."""
    said = draw.draw(bodies(steps[upper - 1]))

    raised = cast(steps, upper - 1, upper, said.data, said.letter)
    back = cast(steps, upper, upper - 1, raised.data, raised.letter)
    assert raised.lost == ()
    assert back.lost == ()
    assert spelled(back.data, back.letter) == spelled(said.data, said.letter)


@pytest.mark.thorough
@pytest.mark.parametrize(("steps", "upper"), STEPS)
@given(st.data())
def test_down_then_up_differs_only_where_a_loss_is_named(
    steps: Mapping[int, type[Data]], upper: int, draw: st.DataObject
) -> None:
    """Every value outside the pointers of `lost` is there again after the way down and up."""
    said = draw.draw(bodies(steps[upper]))

    lowered = cast(steps, upper, upper - 1, said.data, said.letter)
    back = cast(steps, upper - 1, upper, lowered.data, lowered.letter)
    before, after = (
        leaves({"data": said.data, "letter": said.letter}),
        leaves({"data": back.data, "letter": back.letter}),
    )
    lost = [each.pointer for each in lowered.lost]
    assert all(each.version == upper for each in lowered.lost)
    missing = {pointer for pointer in before if before[pointer] != after.get(pointer)}
    assert {pointer for pointer in missing if not covered(pointer, lost)} <= moved(before, lost)
    assert all(any(covered(pointer, [each]) for pointer in missing) for each in lost)


def leaves(tree: Any, pointer: str = "") -> dict[str, str]:
    """Return the text of every scalar, and of every empty list or object, by its pointer."""
    if isinstance(tree, Mapping) and tree:
        return {at: value for name, inner in tree.items() for at, value in leaves(inner, f"{pointer}/{name}").items()}
    if isinstance(tree, list) and tree:
        return {
            at: value for number, inner in enumerate(tree) for at, value in leaves(inner, f"{pointer}/{number}").items()
        }
    return {pointer: spelled(tree)}


def covered(pointer: str, lost: list[str]) -> bool:
    """Return True if *pointer* is one of *lost*, or within it."""
    return any(pointer == each or pointer.startswith(f"{each}/") for each in lost)


def moved(before: dict[str, str], lost: list[str]) -> set[str]:
    """Return the pointers of list items behind a lost item: they move up, and `broken` compares them."""
    lists = {each.rpartition("/")[0] for each in lost if each.rpartition("/")[2].isdecimal()}
    return {pointer for pointer in before if any(pointer.startswith(f"{each}/") for each in lists)}


@pytest.mark.thorough
@pytest.mark.parametrize("steps", CHAINS)
@given(st.data())
def test_no_cast_breaks_a_promise(steps: Mapping[int, type[Data]], draw: st.DataObject) -> None:
    """Each result fits its version, has no invented value, shows nobody more, and leaves the input unchanged."""
    version = draw.draw(st.sampled_from(list(steps)))
    said = draw.draw(bodies(steps[version]))

    assert list(broken(steps, version, said)) == []


@pytest.mark.thorough
@pytest.mark.parametrize("steps", CHAINS)
@given(st.data())
def test_two_casts_are_one(steps: Mapping[int, type[Data]], draw: st.DataObject) -> None:
    """From version a to c is from a to b and on to c, what got lost included, as long as the way goes one way."""
    first, middle, last = sorted(draw.draw(st.lists(st.sampled_from(list(steps)), min_size=3, max_size=3)))
    if draw.draw(st.booleans()):
        first, last = last, first
    said = draw.draw(bodies(steps[first]))
    before = copy.deepcopy(said)

    whole = cast(steps, first, last, said.data, said.letter)
    half = cast(steps, first, middle, said.data, said.letter)
    rest = cast(steps, middle, last, half.data, half.letter)
    assert spelled(whole.data, whole.letter) == spelled(rest.data, rest.letter)
    assert whole.lost == half.lost + rest.lost
    assert said == before


def test_a_loss_is_named_in_the_version_that_had_it() -> None:
    """From 3 to 1, the losses of version 2 come before those of version 1; no lost value is repeated."""
    said = Body({"what": "visit", "times": 2}, {"name": [{"text": "Example", "script": "latin"}, {"text": "Other"}]})

    found = cast(CHAIN, 3, 1, said.data, said.letter)

    assert found.data == {"what": "other"}
    assert found.letter == {"name": "Example"}
    assert found.lost == (
        Lost(3, "/data/what"),
        Lost(3, "/letter/name/0/script"),
        Lost(3, "/letter/name/1"),
        Lost(2, "/data/times"),
    )


def test_a_referral_means_in_version_2_what_it_meant_in_version_1() -> None:
    """A code becomes an object without time frame, a language a list of one."""
    said = {
        "to": ["example-unit"],
        "mode": "referral",
        "reason": "LegalAid",
        "urgency": "normal",
        "services": ["legal", "food"],
    }

    found = cast(versions("referral.submitted"), 1, 2, said, {"interpreter": "rus", "name": "Example"})

    assert found.data == said | {"services": [{"code": "legal"}, {"code": "food"}]}
    assert found.letter == {"interpreter": ["rus"], "name": "Example"}
    assert found.lost == ()


def test_a_decision_keeps_in_version_1_what_fits() -> None:
    """Agency and articles have no place there, and are named."""
    said = {
        "status": "PresumedVictimOfTrafficking",
        "deciding_body": {"type": "GovernmentalAuthority", "agency": "example-unit"},
        "reasons": [{"code": "insufficient_information"}, {"code": "other", "article": "Law art. 17.2"}],
    }

    found = cast(versions("identification.status_decided"), 2, 1, said)

    assert found.data == said | {
        "deciding_body": "GovernmentalAuthority",
        "reasons": ["insufficient_information", "other"],
    }
    assert found.lost == (Lost(2, "/data/deciding_body/agency"), Lost(2, "/data/reasons/1/article"))


@pytest.mark.parametrize(
    ("type_", "asked"),
    [
        (
            "referral.submitted",
            {"to": ["ngo-b"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": []},
        ),
        ("shelter.bed_requested", {"to": ["shelter"], "urgency": "urgent"}),
    ],
)
def test_a_name_that_may_be_an_agencys_is_withheld_from_in_every_version(type_: str, asked: dict[str, Any]) -> None:
    """Given `court`, which is a role and the id of an agency, then an older reader withholds from that agency; the role of no agency is named as lost."""
    steps = versions(type_)
    upper = max(steps)

    found = cast(steps, upper, upper - 1, asked | {"withhold_from": ["court", "migration", "special_unit"]})
    raised = cast(steps, upper - 1, upper, found.data)
    back = cast(steps, upper, upper - 1, raised.data)

    assert found.data == asked | {"withhold_from": ["court", "migration"]}
    assert found.lost == (Lost(upper, "/data/withhold_from/2"),)
    assert (back.data, back.lost) == (found.data, ())


def test_a_cast_changes_data_and_version_only() -> None:
    """The envelope stays as it was signed; only data and version are those of the other version."""
    event = vectors.event()

    same, nothing = in_version(versions(event.type), event, 1)
    other, lost = in_version(versions(event.type), event, 2)
    assert same is event
    assert nothing == lost == ()
    assert other.version == 2
    assert isinstance(other.data, versions(event.type)[2])
    assert all(
        getattr(other, name) == getattr(event, name) for name in Event.model_fields if name not in ("version", "data")
    )


@pytest.mark.parametrize(("version", "to"), [(1, 4), (4, 1), (0, 1), (1, 0)])
def test_a_version_that_is_not_published_is_refused_with_those_that_are(version: int, to: int) -> None:
    """The error lists the published versions of the type."""
    with pytest.raises(UnknownVersion) as raised:
        cast(CHAIN, version, to, {})
    assert raised.value.known == (1, 2, 3)


def test_a_type_that_is_not_published_is_refused() -> None:
    """There is nothing to cast."""
    with pytest.raises(UnknownType):
        cast(versions("case.invented"), 1, 2, {})


class Lossy(Second):
    """It drops in silence."""

    @classmethod
    def down(cls, said: Body) -> Any:
        """Leave a value out without naming it."""
        return Second.down(said)._replace(lost=())


class Inventive(Second):
    """It knows better."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """It says how many, though nobody did."""
        return Body({**said.data, "times": 1}, said.letter)


class Talkative(Third):
    """It tells everybody."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """It puts the name where everybody reads."""
        return Body({**said.data, "what": said.letter.get("name", said.data["what"])}, said.letter)


class Clumsy(Second):
    """Cast that changes its input."""

    @classmethod
    def up(cls, said: Body) -> Body:
        """It changes the original."""
        said.data["what"] = "other"  # type: ignore[index]  # sabotage
        return said


class Boastful(Second):
    """It names losses that were none."""

    @classmethod
    def down(cls, said: Body) -> Any:
        """Name an absent value, and a kept one, as lost."""
        return Second.down(said)._replace(lost=("/data/times", "/data/what"))


class Failing(Second):
    """It expects what need not be there."""

    @classmethod
    def down(cls, said: Body) -> Any:
        """Not every event says how many, and not every reader has the letter."""
        return Second.down(Body({**said.data, "times": said.data["times"]}, {"name": said.letter["name"]}))


def _with(model: type[Data]) -> Mapping[int, type[Data]]:
    return {**CHAIN, model.version: model}


@pytest.mark.parametrize(
    ("steps", "version", "said", "told"),
    [
        (
            _with(Lossy),
            2,
            Body({"what": "bed", "times": 2}, {}),
            "not what is missing after `up`, at /data/times",
        ),
        (_with(Inventive), 1, Body({"what": "bed"}, {}), "`up` invents a value at /data/times of version 2"),
        (
            _with(Talkative),
            2,
            Body({"what": "bed"}, {"name": "Example"}),
            "`up` shows at /data/what of version 3",
        ),
        (_with(Clumsy), 1, Body({"what": "bed"}, {}), "`up` of version 2 changes what it was given"),
        (_with(Boastful), 2, Body({"what": "bed"}, {}), "names as lost what was not there: /data/times"),
        (
            _with(Boastful),
            2,
            Body({"what": "bed", "times": 2}, {}),
            "not what is missing after `up`, at /data/what",
        ),
        (_with(Failing), 2, Body({"what": "bed"}, {}), "`down` of version 2 raises KeyError"),
    ],
    ids=["silent loss", "invention", "indiscretion", "mutation", "nothing lost", "kept", "failure"],
)
def test_a_broken_promise_is_noticed(steps: Mapping[int, type[Data]], version: int, said: Body, told: str) -> None:
    """Sabotage: each promise broken once is named, with version and pointer and without a value."""
    found = list(broken(steps, version, said))

    assert any(told in sentence for sentence in found), found
    assert "Example" not in " ".join(found)
