"""Licences and the bill of materials: what a machine with nrmbus has, who may use it so, and nothing that nobody looked at."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from contract.test_compose import program
from contract.test_pins import installed, wanted
from contract.tree import ROOT
from extras import lines
from nrmbus.bus.embedded.jars import pinned

SBOM = program(ROOT / ".ci" / "sbom.py")


@pytest.fixture(name="bill", scope="module")
def _bill() -> Any:
    return SBOM.bill()


def test_every_licence_is_permissive_or_an_exception_with_a_reason() -> None:
    """A package or jar that came in with an update is looked at, before somebody depends on it."""
    assert [*SBOM.wrong_licences(SBOM.licences())] == []


def test_no_exception_is_left_over() -> None:
    """An exception for a package that is gone would let the next one of that name in."""
    here = dict(SBOM.licences())

    assert SBOM.EXCEPTIONS.keys() <= here.keys()
    assert [name for name in SBOM.EXCEPTIONS if SBOM.is_permissive(here[name])] == []
    assert SBOM.JARS.keys() <= here.keys()
    assert SBOM.NAMED.keys() <= here.keys()


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("AGPL-3.0-only", "a: AGPL-3.0-only is neither permissive"),
        ("MIT AND LGPL-3.0-only", "a: MIT AND LGPL-3.0-only is neither permissive"),
        ("", "a: its licence is unknown"),
        ("Dual License", "a: Dual License is neither permissive"),
    ],
)
def test_another_licence_is_found(expression: str, says: str) -> None:
    """Sabotage: copyleft, alone or beside another, and words that say nothing are named; a choice with a permissive one is not."""
    (found,) = SBOM.wrong_licences([("a", expression), ("b", "GPL-2.0-only OR MIT")])

    assert found.startswith(says)


def test_it_has_every_package_and_jar_and_no_tool_of_the_tests(bill: Any) -> None:
    """The bill names all that the extras bring here, and each of Kafka's jars with its digest."""
    roots = [*lines(), *(each for extra in SBOM.extras() for each in lines(extra))]
    packages = {each["name"] for each in bill["components"] if each["purl"].startswith("pkg:pypi/")}
    digests = {each["hashes"][0]["content"] for each in bill["components"] if each["purl"].startswith("pkg:maven/")}

    assert packages == {name for name in wanted(roots, {}, installed) if installed(name) is not None}
    assert digests == {jar.sha256 for jar in pinned()}
    assert packages.isdisjoint({"pytest", "hypothesis", "mypy"})


def test_its_format_is_that_of_the_standard(bill: Any) -> None:
    """The schema of CycloneDX accepts the bill, which is the same each time; a wrong field is noticed."""
    judge = JsonStrictValidator(SchemaVersion.V1_6)

    assert judge.validate_str(json.dumps(bill)) is None
    assert SBOM.bill() == bill
    assert judge.validate_str(json.dumps({**bill, "serialNumber": "7"})) is not None
