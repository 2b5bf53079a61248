"""Build hook of the wheel: pack data files of the package into one archive, which `nrmbus.packed` reads.

The files are listed in `pyproject.toml`; the same files make the same archive, byte for byte.
"""

import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZipFile, ZipInfo

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive; ZIP knows no earlier one."""


class Pack(BuildHookInterface[Any]):
    """Makes ``nrmbus/data.zip`` of the folders and files in ``files``, which are patterns of paths below ``services/nrmbus``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the archive, and have it taken into the wheel. An editable install reads the clone's own files."""
        if version == "editable":
            return
        package = Path(self.root, "services", "nrmbus")
        self.made = Path(tempfile.mkdtemp())
        archive = self.made / "data.zip"
        # By bzip2, which takes 41 kB less than deflate; it is in each Python that our users have: Debian's, uv's, macOS's.
        with ZipFile(archive, "w", ZIP_BZIP2, compresslevel=9) as packed:
            for found in sorted(each for name in self.config["files"] for each in package.glob(name)):
                for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
                    if path.is_file() and path.name != "README.md":
                        entry = ZipInfo(path.relative_to(package).as_posix(), _LONG_AGO)
                        entry.external_attr = 0o644 << 16
                        packed.writestr(entry, path.read_bytes(), ZIP_BZIP2, compresslevel=9)
        build_data["force_include"][str(archive)] = "nrmbus/data.zip"
        # Read at run time, too; the page beside them is for readers of the tree, and `exclude` holds for no forced folder.
        for topic in Path(self.root, "deploy", "topics").glob("*.yaml"):
            build_data["force_include"][str(topic)] = f"nrmbus/deploy/topics/{topic.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the interface
        """Remove the archive, which is in the wheel now."""
        if version != "editable":
            (self.made / "data.zip").unlink()
            self.made.rmdir()
