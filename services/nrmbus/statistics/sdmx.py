"""Release of figures as SDMX-ML 2.1: the structure message, and the data message in the structure-specific format.

Eurostat reads and publishes SDMX-ML and not SDMX-JSON; every SDMX reader knows version 2.1 (decision 0065). Each table has
a data structure of its own. A suppressed cell is an observation without a value, ``OBS_STATUS`` Q (suppressed) and
``CONF_STATUS`` C (confidential). The standard has codes that tell primary from secondary suppression. They are not used:
they would say which cells are below k.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from nrmbus.events.figures import TOTAL, UNKNOWN, Release, Row, Table, Unit
from nrmbus.statistics.specs import OPEN

MAINTAINER: Final = "NRMBUS"
"""Agency that maintains the data structures: this project. The sender of a release is named in its header."""
VERSION: Final = "1.0"
_SCHEMAS: Final = "http://www.sdmx.org/resources/sdmxml/schemas/v2_1"
_MESSAGE: Final = f"{_SCHEMAS}/message"
_STRUCTURE: Final = f"{_SCHEMAS}/structure"
_COMMON: Final = f"{_SCHEMAS}/common"
_SPECIFIC: Final = f"{_SCHEMAS}/data/structurespecific"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_PREFIXES: Final = {"mes": _MESSAGE, "str": _STRUCTURE, "com": _COMMON, "ss": _SPECIFIC, "xsi": _INSTANCE}
_BAND: Final = re.compile(r"(\d+)-(\d+)")
_OPEN_BAND: Final = re.compile(r"(\d+)\+")
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_@$-]")

_CROSS_DOMAIN: Final = {UNKNOWN: "_U", "other": "_O", "Other": "_O"}
"""Codes that the SDMX guidelines give to every code list, beside ``_T``, the total: not specified, other."""
_CONCEPTS: Final = {"age": "AGE_GROUP", "age_band": "AGE", "citizenship": "CITIZEN"}
_OBS_STATUS: Final = {"A": "Normal value", "Q": "Missing value; suppressed"}
_CONF_STATUS: Final = {"F": "Free (free for publication)", "C": "Confidential statistical information"}
_UNITS: Final[Mapping[Unit, tuple[str, str]]] = {
    "persons": ("PS", "Persons"), "events": ("NR", "Number of events"), "minutes": ("MIN", "Minutes"),
    "AZN": ("AZN", "Azerbaijani manat"),
}  # fmt: skip
"""Code and name of each unit of a table."""
_FREQUENCIES: Final = {"A": "Annual", "Q": "Quarterly"}
for _prefix, _uri in _PREFIXES.items():
    register_namespace(_prefix, _uri)


class Names(Protocol):
    """Names of tables, dimensions and codes in each language."""

    def table(self, table: Table) -> Mapping[str, str]:
        """Return the name of *table* by language."""
        ...

    def dimension(self, dimension: str) -> Mapping[str, str]:
        """Return the name of *dimension* by language."""
        ...

    def code(self, dimension: str, code: str) -> Mapping[str, str]:
        """Return the name of *code* of *dimension* by language."""
        ...


@dataclass(frozen=True, slots=True)
class _Codes:
    """Code list of one concept: identifier, codes with their names by language, and whether more codes may come."""

    id: str
    names: Mapping[str, str]
    codes: Mapping[str, Mapping[str, str]]
    is_partial: bool = False


def structure(release: Release, names: Names, *, prepared: datetime) -> bytes:
    """Return the structure message of *release*: code lists, concepts, and a data structure with its dataflow per table."""
    message, _ = _message("Structure", release, prepared)
    structures = SubElement(message, _q(_MESSAGE, "Structures"))
    flows = SubElement(structures, _q(_STRUCTURE, "Dataflows"))
    for table in release.tables:
        flow = SubElement(flows, _q(_STRUCTURE, "Dataflow"), _maintained(_flow_id(table)))
        _named(flow, names.table(table))
        SubElement(SubElement(flow, _q(_STRUCTURE, "Structure")), "Ref", _reference(_id(table.id), "DataStructure"))
    lists = SubElement(structures, _q(_STRUCTURE, "Codelists"))
    for each in _lists(release, names):
        made = SubElement(lists, _q(_STRUCTURE, "Codelist"), _maintained(each.id))
        if each.is_partial:
            made.set("isPartial", "true")
        _named(made, each.names)
        for code, called in each.codes.items():
            _named(SubElement(made, _q(_STRUCTURE, "Code"), {"id": code}), called)
    concepts = SubElement(SubElement(structures, _q(_STRUCTURE, "Concepts")), _q(_STRUCTURE, "ConceptScheme"))
    concepts.attrib.update(_maintained("CS_NRM"))
    _named(concepts, {"en": "Concepts of the figures of a national referral mechanism"})
    for id, called in _concepts(release, names):
        _named(SubElement(concepts, _q(_STRUCTURE, "Concept"), {"id": id}), called)
    wholes = SubElement(structures, _q(_STRUCTURE, "DataStructures"))
    for table in release.tables:
        _data_structure(wholes, table, names)
    return _written(message)


def data(release: Release, *, prepared: datetime) -> bytes:
    """Return the data message of *release*: a data set per table, an observation per cell."""
    message, header = _message("StructureSpecificData", release, prepared)
    for number, table in enumerate(release.tables):
        namespace = f"urn:sdmx:org.sdmx.infomodel.datastructure.DataStructure={MAINTAINER}:{_id(table.id)}({VERSION}):ObsLevelDim:AllDimensions"
        message.set(f"xmlns:t{number}", namespace)
        said = SubElement(
            header,
            _q(_MESSAGE, "Structure"),
            {"structureID": _id(table.id), "namespace": namespace, "dimensionAtObservation": "AllDimensions"},
        )
        reference = SubElement(SubElement(said, _q(_COMMON, "Structure")), "Ref")
        reference.attrib.update(_reference(_id(table.id), "DataStructure"))
    for number, table in enumerate(release.tables):
        found = SubElement(
            message,
            _q(_MESSAGE, "DataSet"),
            {
                _q(_SPECIFIC, "structureRef"): _id(table.id),
                _q(_INSTANCE, "type"): f"t{number}:DataSetType",
                _q(_SPECIFIC, "dataScope"): "DataStructure",
                _q(_SPECIFIC, "action"): "Replace",
            },
        )
        for row in table.rows:
            SubElement(found, "Obs", _observation(release, table, row))
    return _written(message)


def code_of(dimension: str, key: str) -> str:
    """Return the SDMX code of *key*: the codes of the cross-domain lists where they have one, else the key as an identifier."""
    if key in _CROSS_DOMAIN:
        return _CROSS_DOMAIN[key]
    if dimension == "age_band":
        if found := _BAND.fullmatch(key):
            return f"Y{found[1]}T{found[2]}"
        if found := _OPEN_BAND.fullmatch(key):
            return f"Y_GE{found[1]}"
    if dimension == "sex" and key == "X":
        return "_O"
    return _ILLEGAL.sub("_", key)


def _observation(release: Release, table: Table, row: Row) -> dict[str, str]:
    found = {"FREQ": _frequency(release), "REF_AREA": _area(release)}
    found |= {
        _concept(dimension): code_of(dimension, key) for dimension, key in zip(table.dimensions, row.keys, strict=True)
    }
    found["TIME_PERIOD"] = release.period
    said = {"OBS_STATUS": "Q", "CONF_STATUS": "C"}
    if row.count is not None:
        said = {"OBS_VALUE": str(row.count), "OBS_STATUS": "A", "CONF_STATUS": "F"}
    return {**found, **said, "UNIT_MEASURE": _UNITS[table.unit][0]}


def _data_structure(parent: Element, table: Table, names: Names) -> None:
    made = SubElement(parent, _q(_STRUCTURE, "DataStructure"), _maintained(_id(table.id)))
    _named(made, names.table(table))
    parts = SubElement(made, _q(_STRUCTURE, "DataStructureComponents"))
    dimensions = SubElement(parts, _q(_STRUCTURE, "DimensionList"), {"id": "DimensionDescriptor"})
    ids = ["FREQ", "REF_AREA", *map(_concept, table.dimensions)]
    for place, id in enumerate(ids, 1):
        one = SubElement(dimensions, _q(_STRUCTURE, "Dimension"), {"id": id, "position": str(place)})
        _of_concept(one, id)
        _enumerated(one, id)
    time = SubElement(dimensions, _q(_STRUCTURE, "TimeDimension"), {"id": "TIME_PERIOD", "position": str(len(ids) + 1)})
    _of_concept(time, "TIME_PERIOD")
    local = SubElement(time, _q(_STRUCTURE, "LocalRepresentation"))
    SubElement(local, _q(_STRUCTURE, "TextFormat"), {"textType": "ObservationalTimePeriod"})
    attributes = SubElement(parts, _q(_STRUCTURE, "AttributeList"), {"id": "AttributeDescriptor"})
    for id in ("OBS_STATUS", "CONF_STATUS", "UNIT_MEASURE"):
        one = SubElement(attributes, _q(_STRUCTURE, "Attribute"), {"id": id, "assignmentStatus": "Mandatory"})
        _of_concept(one, id)
        _enumerated(one, id)
        related = SubElement(one, _q(_STRUCTURE, "AttributeRelationship"))
        SubElement(SubElement(related, _q(_STRUCTURE, "PrimaryMeasure")), "Ref", {"id": "OBS_VALUE"})
    measures = SubElement(parts, _q(_STRUCTURE, "MeasureList"), {"id": "MeasureDescriptor"})
    measure = SubElement(measures, _q(_STRUCTURE, "PrimaryMeasure"), {"id": "OBS_VALUE"})
    _of_concept(measure, "OBS_VALUE")
    local = SubElement(measure, _q(_STRUCTURE, "LocalRepresentation"))
    SubElement(local, _q(_STRUCTURE, "TextFormat"), {"textType": "Integer"})


def _lists(release: Release, names: Names) -> Iterator[_Codes]:
    """Yield every code list, in the order of the identifiers."""
    used: dict[str, dict[str, None]] = {}
    for table in release.tables:
        for place, dimension in enumerate(table.dimensions):
            used.setdefault(dimension, {}).update(dict.fromkeys(row.keys[place] for row in table.rows))
    found = [
        _Codes("CL_FREQ", {"en": "Frequency"}, _english(_FREQUENCIES)),
        _Codes("CL_REF_AREA", {"en": "Reference area"}, {_area(release): {"en": _area(release)}}, is_partial=True),
        _Codes("CL_OBS_STATUS", {"en": "Observation status"}, _english(_OBS_STATUS), is_partial=True),
        _Codes("CL_CONF_STATUS", {"en": "Confidentiality status"}, _english(_CONF_STATUS), is_partial=True),
        _Codes("CL_UNIT_MEASURE", {"en": "Unit of measure"}, _english(dict(_UNITS.values())), is_partial=True),
    ]
    for dimension, keys in used.items():
        every = dict.fromkeys([TOTAL, *keys])
        codes = {code_of(dimension, key): names.code(dimension, key) for key in every}
        found.append(
            _Codes(f"CL_{_concept(dimension)}", names.dimension(dimension), codes, is_partial=dimension in OPEN)
        )
    yield from sorted(found, key=lambda each: each.id)


def _english(names: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    return {code: {"en": name} for code, name in names.items()}


def _concepts(release: Release, names: Names) -> Iterator[tuple[str, Mapping[str, str]]]:
    fixed = {
        "FREQ": "Frequency", "REF_AREA": "Reference area", "TIME_PERIOD": "Time period", "OBS_VALUE": "Observation value",
        "OBS_STATUS": "Observation status", "CONF_STATUS": "Confidentiality status",
        "UNIT_MEASURE": "Unit of measure",
    }  # fmt: skip
    yield from _english(fixed).items()
    for dimension in dict.fromkeys(each for table in release.tables for each in table.dimensions):
        yield _concept(dimension), names.dimension(dimension)


def _message(kind: str, release: Release, prepared: datetime) -> tuple[Element, Element]:
    """Return a message of *kind*, and its header."""
    message = Element(_q(_MESSAGE, kind))
    header = SubElement(message, _q(_MESSAGE, "Header"))
    for name, text in (
        ("ID", f"NRM_{_area(release)}_{_ILLEGAL.sub('_', release.period)}"),
        ("Test", "false"),
        ("Prepared", prepared.isoformat(timespec="seconds")),
    ):
        SubElement(header, _q(_MESSAGE, name)).text = text
    SubElement(header, _q(_MESSAGE, "Sender"), {"id": f"{MAINTAINER}_{_area(release)}"})
    return message, header


def _written(message: Element) -> bytes:
    indent(message, "")
    return bytes(tostring(message, encoding="utf-8", xml_declaration=True)) + b"\n"


def _q(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}"


def _named(element: Element, names: Mapping[str, str]) -> None:
    for language, name in names.items():
        SubElement(element, _q(_COMMON, "Name"), {_LANG: language}).text = name


def _maintained(id: str) -> dict[str, str]:
    return {"id": id, "agencyID": MAINTAINER, "version": VERSION}


def _reference(id: str, kind: str) -> dict[str, str]:
    return {**_maintained(id), "class": kind}


def _of_concept(parent: Element, id: str) -> None:
    identity = SubElement(parent, _q(_STRUCTURE, "ConceptIdentity"))
    whole = {"maintainableParentID": "CS_NRM", "maintainableParentVersion": VERSION, "agencyID": MAINTAINER}
    SubElement(identity, "Ref", {"id": id, **whole, "class": "Concept", "package": "conceptscheme"})


def _enumerated(parent: Element, id: str) -> None:
    listed = SubElement(SubElement(parent, _q(_STRUCTURE, "LocalRepresentation")), _q(_STRUCTURE, "Enumeration"))
    SubElement(listed, "Ref", _reference(f"CL_{id}", "Codelist"))


def _concept(dimension: str) -> str:
    return _CONCEPTS.get(dimension, _ILLEGAL.sub("_", dimension).upper())


def _id(table: str) -> str:
    return "NRM_" + re.sub(r"[^A-Za-z0-9]", "_", table).upper()


def _flow_id(table: Table) -> str:
    return f"{_id(table.id)}_FLOW"


def _area(release: Release) -> str:
    return release.profile.partition("@")[0].upper()


def _frequency(release: Release) -> str:
    return "Q" if "Q" in release.period else "A"
