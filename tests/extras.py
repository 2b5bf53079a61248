"""A Python that sees the packages of one extra alone, as a fresh environment with only that extra would."""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contract.test_pins import installed, wanted

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_BLOCK = """
import sys
class _Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, _Absent())
"""


def lines(extra: str = "") -> Iterator[Requirement]:
    """Yield what nrmbus asks for, with *extra* if one is given; an extra within an extra is resolved."""
    for line in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            for inner in requirement.extras:
                yield from lines(inner)
        else:
            yield requirement


@cache
def _owners() -> Mapping[str, list[str]]:
    return {module: [*map(canonicalize_name, owners)] for module, owners in metadata.packages_distributions().items()}


def packages(extra: str) -> set[str]:
    """Return the packages of an environment with only *extra*."""
    return wanted([*lines(), *lines(extra)], {}, installed) | {canonicalize_name(PROJECT["name"])}


@cache
def absent(extra: str) -> frozenset[str]:
    """Return the modules that are installed here and would not be with only *extra*."""
    present = packages(extra)
    return frozenset(module for module, owners in _owners().items() if present.isdisjoint(owners))


def only(extra: str) -> str:
    """Return Python code after which a program finds no package but those of *extra*."""
    return without(*absent(extra))


def without(*modules: str) -> str:
    """Return Python code after which a program finds none of *modules*."""
    return _BLOCK.format(names=set(modules))


def command(extra: str, *words: str) -> list[str]:
    """Return the command line of ``nrmbus`` with *words*, where only *extra* is installed."""
    run = "from nrmbus.cli import main; main()"
    return [sys.executable, "-c", f"{only(extra)}\nsys.argv = {['nrmbus', *words]!r}\n{run}"]
