"""Figures as SDMX-ML, judged by the standard's schemas and by a reader of somebody else's."""

from datetime import UTC, datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from pysdmx.errors import Invalid
from pysdmx.io import read_sdmx
from pysdmx.io.xml.doc_validation import validate_doc
from pysdmx.model import Codelist, DataStructureDefinition

from nrmbus.events.figures import TOTAL, Checkpoint, Release, Row, Table
from nrmbus.statistics import sdmx

PREPARED: Final = datetime(2027, 1, 11, 8, 0, tzinfo=UTC)
PERSONS: Final = Table(
    id="identified_by_sex_and_age",
    title="Identified victims by sex and age",
    unit="persons",
    dimensions=("sex", "age_band"),
    rows=(
        Row(keys=(TOTAL, TOTAL), count=44),
        Row(keys=("F", "25-34"), count=31),
        Row(keys=("F", "65+")),
        Row(keys=("M", TOTAL)),
        Row(keys=("X", "unknown"), count=0),
    ),
)
REGIONS: Final = Table(
    id="identified_by_region",
    title="Identified victims by region",
    unit="persons",
    dimensions=("region",),
    rows=(Row(keys=("AZ-BA",), count=12, before=15), Row(keys=(TOTAL,))),
)
RELEASE: Final = Release(
    bus="az-example",
    by="statistics",
    period="2026",
    k=11,
    profile="az@2022-04-29",
    checkpoints=(Checkpoint(partition=0, size=7, head="0" * 64),),
    tables=(PERSONS, REGIONS),
)


class Names:
    """Names in two languages."""

    def table(self, table: Table) -> dict[str, str]:
        """Return the table's title."""
        return {"en": table.title, "az": f"az {table.title}"}

    def dimension(self, dimension: str) -> dict[str, str]:
        """Return the dimension itself."""
        return {"en": dimension, "az": f"az {dimension}"}

    def code(self, dimension: str, code: str) -> dict[str, str]:
        """Return the code itself."""
        return {"en": f"{dimension} {code}"}


def structure() -> str:
    """Return the structure message of the release."""
    return sdmx.structure(RELEASE, Names(), prepared=PREPARED).decode()


def data() -> str:
    """Return the data message of the release."""
    return sdmx.data(RELEASE, prepared=PREPARED).decode()


def observations() -> list[dict[str, str]]:
    """Return the observations of the data message, with the table in ``of``."""
    found = []
    for each in ET.fromstring(data()):  # noqa: S314 - our own file
        of = next((value for name, value in each.attrib.items() if name.endswith("}structureRef")), "")
        found += [{**row.attrib, "of": of} for row in each if row.tag == "Obs"]
    return found


@pytest.mark.parametrize("message", [structure, data])
def test_message_fits_the_standard_s_schema(message: Any) -> None:
    """Structure and data are valid SDMX-ML 2.1."""
    validate_doc(message())


@pytest.mark.parametrize(("right", "wrong"), [("mes:Prepared", "mes:Made"), ("structureID=", "structure=")])
def test_broken_message_is_found(right: str, wrong: str) -> None:
    """Sabotage: the schema refuses a message with another element or attribute."""
    with pytest.raises(Invalid):
        validate_doc(data().replace(right, wrong))


def test_foreign_reader_finds_every_observation_in_the_structure() -> None:
    """Each observation has one code of the structure's list for every dimension and attribute that the structure asks for."""
    found = read_sdmx(structure()).structures or ()
    lists = {each.id: {code.id for code in each.items} for each in found if isinstance(each, Codelist)}
    structures = {each.id: each for each in found if isinstance(each, DataStructureDefinition)}

    for each in observations():
        parts = structures[each["of"]].components
        assert {part.id for part in parts} - set(each) <= {"OBS_VALUE"}
        assert set(each) - {"of"} <= {part.id for part in parts}
        for part in parts:
            if f"CL_{part.id}" in lists:
                assert each[part.id] in lists[f"CL_{part.id}"]


def test_published_cells_are_the_release_s() -> None:
    """Sex and age have the codes of the SDMX lists, and a region that of ISO 3166-2."""
    found = {(each.get("SEX"), each.get("AGE"), each.get("REGION")): each for each in observations()}

    assert found["F", "Y25T34", None]["OBS_VALUE"] == "31"
    assert found["_T", "_T", None]["OBS_VALUE"] == "44"
    assert found["_O", "_U", None]["OBS_VALUE"] == "0"
    assert found[None, None, "AZ-BA"]["OBS_VALUE"] == "12"
    assert {(each["FREQ"], each["REF_AREA"], each["TIME_PERIOD"]) for each in observations()} == {("A", "AZ", "2026")}


def test_suppressed_cell_has_no_value_and_does_not_say_why() -> None:
    """A cell below k and a cell that would give it away look alike: suppressed, confidential, and without a number."""
    suppressed = [each for each in observations() if "OBS_VALUE" not in each]

    assert {(each.get("SEX"), each.get("AGE")) for each in suppressed} == {("F", "Y_GE65"), ("M", "_T"), (None, None)}
    assert {(each["OBS_STATUS"], each["CONF_STATUS"]) for each in suppressed} == {("Q", "C")}
    others = [each for each in observations() if "OBS_VALUE" in each]
    assert {(each["OBS_STATUS"], each["CONF_STATUS"]) for each in others} == {("A", "F")}


def test_list_has_every_code_of_its_tables_and_an_open_one_says_so() -> None:
    """A release has a row for every code of a closed list; a list of regions or countries is marked as partial."""
    whole = ET.fromstring(structure())  # noqa: S314 - our own file
    lists = {each.attrib["id"]: each for each in whole.iter() if each.tag.endswith("}Codelist")}

    assert {each.attrib["id"] for each in lists["CL_SEX"] if "id" in each.attrib} == {"_T", "F", "M", "_O"}
    assert lists["CL_SEX"].get("isPartial") is None
    assert lists["CL_REGION"].get("isPartial") == "true"


def test_same_release_gives_the_same_bytes() -> None:
    """A second export of the same release gives the same file."""
    assert (structure(), data()) == (structure(), data())
    assert sdmx.data(Release.read(RELEASE.to_json()), prepared=PREPARED).decode() == data()
