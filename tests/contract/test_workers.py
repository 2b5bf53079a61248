"""Tests on several workers: a file stays whole, so that its fixtures are made once and its tests keep their order."""

import os
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from contract.tree import ROOT

FILE = """
import os, pytest

@pytest.mark.parametrize("turn", range(4))
def test_turn(turn):
    with open({log!r}, "a") as log:
        log.write(__name__ + " " + os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def workers_of(home: Path, options: list[str]) -> dict[str, set[str]]:
    """Return for each of three files the workers that ran its tests, by pytest with these *options* and two workers."""
    log = home / "log"
    for name in ("test_a", "test_b", "test_c"):
        (home / f"{name}.py").write_text(FILE.format(log=str(log)))
    (home / "pytest.ini").write_text("[pytest]\n")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    alone["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # it begins sooner without those that it does not need
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", *options, "-n", "2", "-p", "no:cacheprovider", home],
        env=alone, cwd=home, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    found = defaultdict(set)
    for line in log.read_text().splitlines():
        file, worker = line.split()
        found[file].add(worker)
    return dict(found)


@pytest.mark.thorough
def test_one_worker_runs_a_whole_file(tmp_path: Path) -> None:
    """An option that pytest-xdist no longer knows how to hold (as ``loadgroup`` since pytest 9.2) is seen here."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    found = workers_of(tmp_path, [each for each in options["addopts"] if "dist" in each or "scope" in each])

    assert {len(workers) for workers in found.values()} == {1}
    assert len(found) == 3


@pytest.mark.thorough
def test_a_file_that_is_torn_apart_is_noticed(tmp_path: Path) -> None:
    """Sabotage: without that option, several workers share the tests of a file."""
    assert max(len(workers) for workers in workers_of(tmp_path, ["--dist=load", "--maxschedchunk=1"]).values()) > 1
