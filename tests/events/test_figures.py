"""The exchange form of the figures."""

import pytest

from nrmbus.events.errors import Invalid
from nrmbus.events.figures import TOTAL, Checkpoint, Release, Row, Table
from nrmbus.wire import json

TABLE = Table(
    id="identified_by_sex",
    title="Identified victims by sex",
    unit="persons",
    dimensions=("sex",),
    rows=(Row(keys=("F",), count=31), Row(keys=("M",)), Row(keys=("X",)), Row(keys=(TOTAL,), count=44)),
)
RELEASE = Release(
    bus="az-example",
    by="statistics",
    period="2026",
    k=11,
    profile="az@2022-04-29",
    checkpoints=(Checkpoint(partition=0, size=7, head="0" * 64),),
    tables=(TABLE,),
)


def test_release_survives_its_json() -> None:
    """A release that is read from its JSON is the same release, under the same digest."""
    assert Release.read(RELEASE.to_json()) == RELEASE
    assert Release.read(RELEASE.to_json()).digest == RELEASE.digest


def test_its_json_is_that_of_the_wire() -> None:
    """The digest names the same bytes as everywhere on the bus: RFC 8785."""
    assert RELEASE.to_json() == json.dumps(RELEASE.to_mapping())


def test_suppressed_cell_has_no_count() -> None:
    """A suppressed cell is there without a number, so that nobody reads it as zero."""
    assert b'{"keys":["M"]}' in RELEASE.to_json()
    assert (RELEASE.table("identified_by_sex").cell("M"), RELEASE.table("identified_by_sex").cell("F")) == (None, 31)


@pytest.mark.parametrize(
    "damage",
    [
        (b'"count":31', b'"count":31.5'),
        (b'"M"', b'"F"'),
        (b'"k":11', b'"k":0'),
        (b'{"keys":["M"]}', b'{"keys":["M","adult"]}'),
        (b'"2026"', b'"0001"'),
        (b'"2026"', b'"9999"'),
        (b'"k":11', b'"k": 11'),
        (b'{"beside"', b'{"note":"x","beside"'),
    ],
)
def test_anything_else_is_refused(damage: tuple[bytes, bytes]) -> None:
    """A broken number, a cell that stands twice, no threshold, a key too many, a year that no calendar ends, a blank: not read."""
    assert damage[0] in RELEASE.to_json()
    with pytest.raises(Invalid):
        Release.read(RELEASE.to_json().replace(*damage))


def test_unknown_table_or_cell_is_named() -> None:
    """A table or cell that the release does not have is no suppressed one."""
    with pytest.raises(KeyError):
        RELEASE.table("identified_by_shoe")
    with pytest.raises(KeyError):
        TABLE.cell("Z")
