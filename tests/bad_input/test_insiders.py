"""An admitted agency gets no further than the Rules allow, whatever its desk sends."""

from collections.abc import Iterator
from typing import Any

import pytest

from bad_input.given import CONSENT, Post, posted
from bad_input.insiders import HOLD, TRIES, Insiders, Try
from brokers import Broker
from nrmbus.wire import ids

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module", name="all_")
def _all(kafka: Broker) -> Iterator[Insiders]:
    with posted(kafka) as (post, _):
        yield Insiders(post)


@pytest.fixture(scope="module", name="post")
def _post(all_: Insiders) -> Post:
    return all_.post


@pytest.mark.parametrize("tried", TRIES, ids=lambda tried: tried.what)
def test_an_insiders_attempt_is_refused_and_reaches_nobody(tried: Try, all_: Insiders, post: Post) -> None:
    """One row of the table: a numbered refusal with code, rule and article, and no copy of it for anybody."""
    fate = tried.do(all_)

    assert (fate.verdict, fate.code) == ("refused", tried.code)
    assert fate.registration is not None
    assert fate.registration["rule"]
    assert fate.registration["article"]
    post.read()
    others = {agency for agency, id in post.delivered if id == fate.registration["id"]} - {fate.registration["source"]}
    before = tried.code == "id_reused"  # there the id is another's, which did reach its readers
    assert before or not others


def test_the_letter_of_the_rows_goes_through_when_it_is_sealed_as_is_right(all_: Insiders) -> None:
    """The refusals above have the reason of their row."""
    assert all_.refer(all_.readers()).verdict == "registered"


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("consent.given", CONSENT), ("access.hold_placed", HOLD), ("case.closed", {"reason": "other", "follow_up": False}),
        ("access.granted", {"what": "case", "purpose": "case_work"}), ("letter.opened", {}),
        ("access.break_glass", {"reason": "missing_person"}), ("needs.assessed", {}),
    ],
)  # fmt: skip
def test_a_stranger_cannot_tell_whether_there_is_a_case(type_: str, data: dict[str, Any], all_: Insiders) -> None:
    """For a case of ngo-a and for no case at all, vac reads the same answer of the same length in the same place."""
    more = {"approver": "S-2", "referral": "9e" * 16} if type_ == "access.break_glass" else {}
    told = []
    for case in (all_.known(), ids.new_ref()):
        if type_ == "needs.assessed":
            data = {"to": ["ngo-l"]}
        said = all_.say("vac", type_, data, case, **more).registration
        assert said is not None
        told.append(
            {name: value for name, value in said.items() if name in ("code", "rule", "article", "verdict", "policy")}
            | {"names": sorted(said)}
        )

    assert told[0] == told[1]
