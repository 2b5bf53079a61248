"""The numbers of a service's machine; one that cannot be read is left out."""

import json
from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.vitals import vitals


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    return folder


def test_without_a_supervisor_the_restarts_are_unknown(folder: BusFolder) -> None:
    """A desk that `nrmbus run` started alone does not say that it never restarted."""
    found = vitals(folder, folder.service("registrar"), "registrar")

    assert "restarts" not in found
    assert "certificate_left" not in found


@pytest.mark.parametrize("content", [b"", b"[]", b'{"registrar": 3}', b'{"registrar": {"restarts": "3"}}', b"{}"])
def test_a_damaged_list_of_services_says_nothing(folder: BusFolder, content: bytes) -> None:
    """A half-written file costs one number, and never the page."""
    folder.run.mkdir(exist_ok=True)
    (folder.run / "services.json").write_bytes(content)

    assert "restarts" not in vitals(folder, folder.path, "registrar")


def test_restarts_and_disk_are_told(folder: BusFolder) -> None:
    """The supervisor's count is each service's own."""
    folder.run.mkdir(exist_ok=True)
    (folder.run / "services.json").write_text(json.dumps({"registrar": {"restarts": 3}, "auditor": {"restarts": 1}}))
    found = vitals(folder, folder.path, "registrar")

    assert found["restarts"] == 3
    assert 0 < found["disk_free"] <= found["disk_size"]


def test_a_folder_that_is_gone_has_no_disk(folder: BusFolder) -> None:
    """The page is shown without its disk."""
    assert "disk_free" not in vitals(folder, folder.path / "gone", "registrar")
