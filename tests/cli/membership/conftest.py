"""What the tests of membership share."""

from datetime import timedelta
from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.admission import home_of
from nrmbus.directory.commands import write_file
from nrmbus.directory.directory import Directory
from nrmbus.directory.operator import Identity, Operator, operator_key
from nrmbus.wire.names import REGISTRAR


@pytest.fixture(name="quiet")
def _quiet(tmp_path: Path) -> BusFolder:
    """Yield a founded bus whose broker does not run; its directory is in the file `entries`."""
    folder = BusFolder(tmp_path / "bus")
    settings = folder.create(bootstrap="127.0.0.1:1", tls=False)
    operator, directory = Operator(folder.path), Directory(settings.bus, operator_key(folder.path))
    operator.found(directory)
    for who, role in ((REGISTRAR, REGISTRAR), ("ngo-a", "ngo_outreach")):
        identity = Identity.at(home_of(folder, who), who)
        directory.add(operator.entry(directory, identity, role, wall_now() - timedelta(hours=1)))
    write_file(directory, folder.path / "entries")
    return folder
