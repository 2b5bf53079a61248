"""The wheel: what somebody else installs is what was tested."""

import subprocess
import sys
import zipfile
from pathlib import Path

from contract.tree import ROOT, files


def test_the_wheel_carries_every_file_of_the_rooms(tmp_path: Path) -> None:
    """Profiles, scenarios, topics and the ledger's migrations are read at run time: they travel with the code. Tests do not."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    services, topics = ROOT / "services", ROOT / "deploy" / "topics"
    rooms = {path.relative_to(services).as_posix() for path in files() if path.is_relative_to(services / "nrmbus")}
    declared = {f"nrmbus/deploy/topics/{path.name}" for path in files() if path.parent == topics} | {
        "nrmbus/deploy/quotas.yaml"
    }

    assert carried == rooms | declared
