"""Judges that are written in Go: ``python tests/go_tools.py`` (make tools) builds them, once for each version and machine.

They lie beside Kafka in the cache of this user, so that another clone has them too. Where Go is missing, or the network for
it, nothing is built; a line says so here, and another at the head of each run of pytest.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrmbus.bus.folder import cache_home

BUILD_SECONDS: Final = 1200.0
"""Longest build of one tool: promtool and helm have thousands of files of others, and two processors need minutes."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of another project, and the tests that ask it."""

    package: str
    version: str
    judges: str
    tags: str = ""

    def path(self, name: str) -> Path:
        """Return the place of the program *name* in this version."""
        return cache_home() / "tools" / f"{name}@{self.version}"


TOOLS: Final = {
    "oasdiff": Tool("github.com/oasdiff/oasdiff", "v1.37.0", "published/test_openapi.py"),
    "promtool": Tool(
        "github.com/prometheus/prometheus/cmd/promtool",
        "v0.316.0",
        "telemetry/test_alerts.py and test_dashboards.py",
        tags="remove_all_sd",  # the ways to find services in other people's clouds are most of its code
    ),
    "helm": Tool("helm.sh/helm/v3/cmd/helm", "v3.22.0", "contract/test_helm.py"),
}


def found(name: str) -> list[str]:
    """Return the command of the tool *name*: built here, or installed; an empty list without it, for a parametrized test."""
    built = TOOLS[name].path(name)
    installed = shutil.which(name)
    return [str(built)] if built.exists() else [installed] if installed else []


def missing() -> list[str]:
    """Return one line for each tool that is not there."""
    return [
        f"{name} is not there, and judges nothing in {each.judges} (make tools; it needs Go)"
        for name, each in TOOLS.items()
        if not found(name)
    ]


def build(name: str, go: str) -> str | None:
    """Build the tool *name* if it is not there; return the last line of what went wrong, or None."""
    tool = TOOLS[name]
    place = tool.path(name)
    if place.exists():
        return None
    sys.stderr.write(f"Building {name} {tool.version} into {place.parent}, once: some minutes\n")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        command = [go, "install", *(["-tags", tool.tags] if tool.tags else []), f"{tool.package}@{tool.version}"]
        environment = {**os.environ, "GOBIN": scratch, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"not ready after {BUILD_SECONDS:.0f} seconds"
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        (Path(scratch) / name).replace(place)
    return None


def main() -> None:
    """Build what is missing, and say what could not be built; a machine without Go is well, too."""
    go = shutil.which("go")
    for name in TOOLS if go else ():
        if (error := build(name, go or "")) is not None:
            sys.stderr.write(f"{name} was not built: {error}\n")
    sys.stderr.writelines(f"{each}\n" for each in missing())


if __name__ == "__main__":
    main()
