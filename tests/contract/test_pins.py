"""constraints.txt: everybody gets the very versions that were tested, on every machine that is served."""

import re
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contract.tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
MACHINES = [("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64")]
LINE = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==[0-9][0-9a-z.]*(?: ; (?P<marker>.+))?")


def environments() -> list[dict[str, str]]:
    """Marker environments of every served machine and Python."""
    return [
        {
            "sys_platform": sys_platform,
            "platform_system": system,
            "platform_machine": machine,
            "os_name": "posix",
            "python_version": python,
            "python_full_version": f"{python}.9",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        for python in PYTHONS
        for sys_platform, system, machine in MACHINES
    ]


def wanted(
    roots: Iterable[Requirement], environment: dict[str, str], requires: Callable[[str], list[str] | None]
) -> set[str]:
    """Names of all packages that *roots* bring in *environment*; *requires* tells what a package asks for, None if unknown."""
    seen: set[tuple[str, str]] = set()
    waiting = [(root, "") for root in roots]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wish in {"", *requirement.extras}:
            if (name, wish) not in seen:
                seen.add((name, wish))
                waiting += [(Requirement(line), wish) for line in requires(name) or []]
    return {name for name, _ in seen}


def installed(name: str) -> list[str] | None:
    """Return the requirements of the installed package *name*; None where it is not installed."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return None


def faults(text: str) -> list[str]:
    """Each line of a constraints file that is neither a comment nor one exact version, maybe with a marker."""
    return [line for line in text.splitlines() if not line.startswith("#") and not LINE.fullmatch(line)]


def pinned(text: str, environment: dict[str, str]) -> set[str]:
    """The packages that a constraints file fixes in *environment*."""
    lines = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    return {canonicalize_name(line.name) for line in lines if line.marker is None or line.marker.evaluate(environment)}


TEXT = (ROOT / "constraints.txt").read_text(encoding="utf-8")
ROOTS = [
    Requirement(line)
    for lines in ([*PROJECT["dependencies"], "hatchling", "editables"], *PROJECT["optional-dependencies"].values())
    for line in lines
    if Requirement(line).name != PROJECT["name"]  # an extra within an extra
]


def test_every_line_is_one_exact_version() -> None:
    """No address, no hash, no range: any mirror serves the file, and two installs a year apart are equal."""
    assert faults(TEXT) == []


@pytest.mark.thorough
def test_every_package_of_every_served_machine_is_pinned() -> None:
    """Packages that only macOS or only one Python needs count too. Where one is missing: add it, by its marker, and tell why."""
    for environment in environments():
        assert wanted(ROOTS, environment, installed) - pinned(TEXT, environment) == set(), environment


@pytest.mark.thorough
def test_no_pin_is_left_over() -> None:
    """A pin that nothing asks for is a dependency that was dropped: `make pins` leaves it out."""
    needed = set().union(*(wanted(ROOTS, environment, installed) for environment in environments()))
    named = set().union(*(pinned(TEXT, environment) for environment in environments()))

    assert named - needed == set()


def test_installed_versions_are_the_pinned_ones() -> None:
    """The tests run on the pinned versions, so these are known to work."""
    pins = {canonicalize_name(line.name): line for line in map(Requirement, filter(LINE.fullmatch, TEXT.splitlines()))}
    here = {name: metadata.version(name) for name, line in pins.items() if line.marker is None}

    assert [name for name, version in here.items() if version not in pins[name].specifier] == []


def test_a_missing_pin_is_found() -> None:
    """Sabotage: a package that only macOS asks for, through an extra of another, is missed on macOS alone."""
    asked = {"a": ['b[fast] ; sys_platform == "darwin"'], "b": ['c ; extra == "fast"', 'd ; extra == "slow"'], "c": []}
    missing = [
        environment["sys_platform"]
        for environment in environments()
        if wanted([Requirement("a")], environment, asked.get) - {"a", "b"} == {"c"}
    ]

    assert set(missing) == {"darwin"}


def test_an_index_line_is_found() -> None:
    """Sabotage: addresses, hashes, ranges and options are no pins."""
    bad = ["--find-links wheels", "a @ file:///wheels/a.whl", "a>=1", "a==1 --hash=sha256:00", "A_b==1", ""]

    assert faults("\n".join(["# made so", "a==1.0", 'b==2 ; python_version == "3.11"', *bad, "c==3"])) == bad
