"""``nrmbus check --agencies`` lists the broker's facts on each agency, and says what to do about a fault."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nrmbus.bus.vitals import RELEASE
from nrmbus.cli.hosts import Placed
from nrmbus.cli.operate.peers import UNKNOWN_RELEASE, Answer, Heard, _release, steps, steps_of_host
from nrmbus.timekeeper.silence import Reading

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = (NOW + timedelta(days=20)).isoformat()
PEER = {
    "agency": "ngo-b",
    "suspended": False,
    "connected": ["192.0.2.7"],
    "releases": [RELEASE],
    "certificate_ends": LATER,
}
AT = NOW - timedelta(minutes=40)
ANSWER = Answer(signed=AT, appended=AT + timedelta(seconds=0.5), published=AT - timedelta(seconds=1.5))
HEARD = Heard(readings=(Reading(9, 10), Reading(4, 4)), rights=(), last=AT, answer=ANSWER)


def said(peer: Mapping[str, Any], heard: Heard) -> dict[str, tuple[bool | None, str]]:
    """Return by step whether the step works, and the sentence."""
    return {each.step: (each.well, each.what) for each in steps(peer, heard, NOW)}


def test_an_agency_that_is_well() -> None:
    """Given a connected desk that has read and co-signed, then each step works and names its evidence."""
    found = said(PEER, HEARD)
    assert [(step, well) for step, (well, _) in found.items()] == [
        ("connected", True), ("release", True), ("certificate", True), ("rights", True),
        ("last record", True), ("inbox", True), ("answer", True), ("clock", True),
    ]  # fmt: skip
    assert "From 192.0.2.7" in found["connected"][1]
    assert "20 days" in found["certificate"][1]
    assert found["inbox"][1] == "Read to 9, 4, the end."
    assert "40 minutes ago" in found["last record"][1]
    assert "after 2.0 s" in found["answer"][1]


@pytest.mark.parametrize(
    ("peer", "heard", "step", "well", "says"),
    [
        ({"connected": [], "releases": []}, {}, "connected", False, "Ask its people for the result of nrmbus check"),
        ({"releases": ["0.0.9"]}, {}, "release", True, f"0.0.9; {RELEASE} runs here"),
        ({"certificate_ends": NOW.isoformat()}, {}, "certificate", False, "ended on 2026-03-02"),
        ({"certificate_ends": (NOW + timedelta(days=3)).isoformat()}, {}, "certificate", False, "was not renewed"),
        ({}, {"rights": ("ngo-b.1 allow read topic nrm.cases is declared, and not on the broker: nrmbus topics apply", "x")}, "rights", False, "nrmbus topics apply. And 1 more."),
        ({}, {"rights": None}, "rights", None, "in plain text"),
        ({}, {"readings": (Reading(2, 9),)}, "inbox", None, "7 offsets wait"),
        ({}, {"readings": (Reading(2, 9),), "stuck": True}, "inbox", False, "nrmbus doctor on its machine"),
        ({}, {"last": None}, "last record", None, "has written nothing"),
        ({}, {"answer": None}, "answer", None, "has co-signed nothing yet"),
        ({}, {"unanswered": NOW - timedelta(minutes=20)}, "answer", False, "has not co-signed the checkpoint of 2026-03-02 11:40:00"),
        ({}, {"unanswered": NOW - timedelta(seconds=9)}, "answer", True, "after 2.0 s"),
        ({}, {"answer": ANSWER._replace(signed=AT + timedelta(seconds=90))}, "clock", False, "was 90 s ahead of the broker's"),
        ({}, {"answer": ANSWER._replace(signed=AT - timedelta(seconds=90))}, "clock", None, "was made 90 s earlier by its clock"),
    ],
)  # fmt: skip
def test_a_fault_names_what_to_do(
    peer: dict[str, Any], heard: dict[str, Any], step: str, *, well: bool | None, says: str
) -> None:
    """Given one fault, then its step names the fault. Facts that cannot be seen from here are no fault."""
    of_heard = {name: getattr(HEARD, name) for name in HEARD.__dataclass_fields__} | heard
    found = said(PEER | peer, Heard(**of_heard))[step]

    assert found[0] is well
    assert says in found[1]


@pytest.mark.parametrize(
    ("client_id", "release"),
    [
        (f"ngo-b@{RELEASE}", RELEASE),
        ("ngo-b@1.2.0rc1+local-1", "1.2.0rc1+local-1"),
        ("ngo-b", UNKNOWN_RELEASE),
        ("ngo-b@0.1.0[/red]", UNKNOWN_RELEASE),
        ("ngo-b@0.1.0\x1b[2J", UNKNOWN_RELEASE),
        ("ngo-b@0.1.0\n", UNKNOWN_RELEASE),
        (f"ngo-b@{'1' * 41}", UNKNOWN_RELEASE),
    ],
)
def test_an_agency_writes_nothing_else_to_the_operators_terminal(client_id: str, release: str) -> None:
    """Given a desk that told the broker anything but a release, then its release is unknown."""
    assert _release(client_id) == release


def test_an_agency_that_has_left_is_asked_nothing() -> None:
    """Given a suspended agency, then nothing of it is a fault: the broker denies it everything on purpose."""
    assert [each.well for each in steps(PEER | {"suspended": True, "connected": []}, Heard(), NOW)] == [None]


@pytest.mark.parametrize(
    ("state", "connected", "expected"),
    [
        ("stands by", "192.0.2.8", [("connected", True), ("certificate", True)]),
        ("away", None, [("connected", False), ("certificate", True)]),
        ("old keys", "192.0.2.8", [("keys", False), ("connected", True), ("certificate", True)]),
    ],
)
def test_a_standby_host(state: str, connected: str | None, expected: list[tuple[str, bool]]) -> None:
    """Given a service on a standby host, then a lost one and one with earlier keys are faults: nobody would take over."""
    host = Placed("host-b", "registrar", state, connected, LATER)
    assert [(each.step, each.well) for each in steps_of_host(host, NOW)] == expected
