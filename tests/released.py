"""The last release, beside the code under test: its tree from the project's history, for processes of their own.

Until there is a release, it is the last commit whose formats later ones must go on understanding, and whose profile has the
values of today's under the same name: a desk keeps a case waiting that was judged by other values. A copy of the project
without its history has no earlier release; `THIS` stands in for it there, and the names of the tests say so.
"""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

COMMIT: Final = "634e6c12e74016db078585d3d825097faf4f18ac"
THIS: Final = "this release"
HERE: Final = Path(__file__).parents[1]


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, check=False)


RELEASES: Final = (COMMIT,) if _git("cat-file", "-e", f"{COMMIT}^{{commit}}").returncode == 0 else ()
"""The last release, where the history is there; for tests that are made for each of them."""


def unpack(commit: str, into: Path) -> Path:
    """Write the code of *commit* into the folder *into*; return the folder that Python imports it from."""
    if commit == THIS:
        return HERE / "services"
    archive = _git("archive", commit, "services", "deploy")
    archive.check_returncode()
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(into, filter="data")
    return into / "services"
