"""Altered evidence, logs on disk and topics: each alteration has its exact code, and every code has an alteration."""

from collections.abc import Iterator
from typing import get_args

import pytest

from auditor.alteration import Place, Row
from auditor.altered_topics import TOPICS
from auditor.evidence.altered_evidence import EVIDENCE
from auditor.log.altered_tiles import TILES
from nrmbus.auditor.errors import LogCode
from nrmbus.auditor.evidence.verifier import CODES
from nrmbus.auditor.history.history import HistoryCode
from nrmbus.desk.witness.decision import SENTENCES as ALARMS

TABLE: list[Row] = [*EVIDENCE, *TILES, *TOPICS]


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("altered"))
    yield place
    place.evidence.log.close()


@pytest.mark.thorough
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.what} {row.by}: {row.name}")
def test_each_alteration_has_its_code(row: Row, place: Place) -> None:
    """The reader of altered evidence, of an altered folder or topic names the code of the failure."""
    assert row.said(place) == row.code


LISTS = {
    "verifier": (set(CODES), {"verifier"}),
    "log": (set(get_args(LogCode)), {"log", "reading"}),
    "history": (set(get_args(HistoryCode)), {"history"}),
    "proof": (set(ALARMS), {"witness", "collecting", "policy"}),
}
"""Each closed list, and the readers that use its codes."""


def spoken(by: set[str], rows: list[Row]) -> set[str]:
    """Return the codes in *rows* of the readers *by*."""
    return {code for row in rows if row.by in by for code in row.code.split()}


@pytest.mark.parametrize("name", LISTS)
def test_every_code_of_a_closed_list_has_an_alteration(name: str) -> None:
    """A code without an alteration fails here, and so does a code outside every list."""
    codes, by = LISTS[name]

    assert spoken(by, TABLE) == codes


def test_a_new_code_without_an_alteration_is_found() -> None:
    """Sabotage: without the rows of one code, exactly that code is missing."""
    for codes, by in LISTS.values():
        for code in codes:
            rest = [row for row in TABLE if code not in row.code.split()]
            assert code in codes - spoken(by, rest)


def test_the_table_has_evidence_tiles_and_topics() -> None:
    """The table has at least thirty rows of each, and no name twice."""
    for what in ("evidence", "tile", "topic"):
        assert sum(row.what == what for row in TABLE) >= 30
    assert len({(row.what, row.by, row.name) for row in TABLE}) == len(TABLE)
