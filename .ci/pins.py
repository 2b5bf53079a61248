"""Write constraints.txt anew: what the package index has today, exact, for every Python of the classifiers that is here.

Needs nothing but Python and pip. Each Python gets a fresh environment; the oldest goes first and the others take its
versions, so that a line differs by Python only where it must, and then carries a marker.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ("hatchling", "editables")  # what builds the editable install; .ci/install puts them in first
HEADER = """\
# Exact versions for pip's -c, on Linux and macOS, for Python {pythons}; no index, address or hash, so that any mirror serves.
# Made by `make pins`: a resolve of all extras and of what builds it, wheels only, in fresh environments, oldest Python first.
# A line with a marker is needed, or must differ, for that Python only. tests/contract/test_pins.py checks that none is missing.
"""


def interpreters(versions: Iterable[str]) -> dict[str, str]:
    """The interpreters at hand by version: those named in PYTHONS, else python3.X on the PATH; one that does not run is left out."""
    named = os.environ.get("PYTHONS", "").split() or [f"python{version}" for version in versions]
    found: dict[str, str] = {}
    for name in named:
        if path := shutil.which(name):
            answer = subprocess.run(
                [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
            if answer.returncode == 0:
                found[answer.stdout.strip()] = path
    return found


def resolve(python: str, requirements: Iterable[str], pinned: Mapping[str, str]) -> dict[str, str]:
    """Install *requirements* into a fresh environment of *python*, at the versions *pinned* where those name one; say what came."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        constraints = Path(folder) / "pinned.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pinned.items()), encoding="utf-8")
        command = [*pip, "install", "--quiet", "--only-binary", ":all:", "-c", str(constraints), *requirements]
        subprocess.run(command, check=True)
        listed = subprocess.run([*pip, "list", "--format", "json"], capture_output=True, text=True, check=True)
    came = {re.sub(r"[-_.]+", "-", row["name"]).lower(): row["version"] for row in json.loads(listed.stdout)}
    return {name: version for name, version in came.items() if name not in {"pip", "setuptools"}}


def lines(resolved: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Merge what each Python got: one bare line where all need a package and agree, else one line with a marker for each."""
    written = []
    for name in sorted({name for packages in resolved.values() for name in packages}):
        versions = {python: packages[name] for python, packages in resolved.items() if name in packages}
        if len(versions) == len(resolved) and len(set(versions.values())) == 1:
            written.append(f"{name}=={next(iter(versions.values()))}")
        else:
            written += [f'{name}=={version} ; python_version == "{python}"' for python, version in versions.items()]
    return written


def main() -> None:
    """Resolve for each Python and write the file; exit with a sentence where none is to be found or pip finds no solution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    own = f"{project['name']}["  # an extra within an extra
    requirements = [*project["dependencies"], *(line for line in extras if not line.startswith(own)), *BUILD]
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    pythons = interpreters(versions)
    missing = [version for version in versions if version not in pythons]
    if missing:
        sys.exit(
            f"nrmbus: pins must hold for Python {', '.join(versions)}, and {', '.join(missing)} is not on the PATH; "
            'name them all: make pins PYTHONS="/path/to/python3.11 /path/to/python3.12 /path/to/python3.13"'
        )
    resolved: dict[str, dict[str, str]] = {}
    pinned: dict[str, str] = {}
    for version in versions:
        print(f"Resolving with Python {version}", flush=True)
        try:
            resolved[version] = resolve(pythons[version], requirements, pinned)
        except subprocess.CalledProcessError:
            sys.exit(
                f"nrmbus: pip found no solution for Python {version}; what it says above names the packages to free in pyproject.toml"
            )
        pinned |= resolved[version]
    text = HEADER.format(pythons=", ".join(versions)) + "".join(f"{line}\n" for line in lines(resolved))
    (ROOT / "constraints.txt").write_text(text, encoding="utf-8")
    print(f"constraints.txt: {text.count('==')} packages. Now: make test")


if __name__ == "__main__":
    main()
