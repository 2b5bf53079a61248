"""Build hook of the wheel: pack data files of the package into one archive, which `nrmbus.packed` reads.

The files are listed in `pyproject.toml`; the same files make the same archive, byte for byte.
"""

import lzma
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive; ZIP knows no earlier one."""


def _is_left_out(path: Path) -> bool:
    """Return whether *path* is a page for readers of the tree, or was left by Finder, an editor or a translator's program."""
    hidden = any(part.startswith(".") for part in path.parts)
    return hidden or path.name == "README.md" or path.name.endswith((".mo", "~"))


class Pack(BuildHookInterface[Any]):
    """Makes ``nrmbus/data.zip.xz`` of the folders and files in ``files``, which are patterns of paths below ``services/nrmbus``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the archive, and have it taken into the wheel. An editable install reads the clone's own files."""
        if version == "editable":
            return
        package = Path(self.root, "services", "nrmbus")
        self.made = Path(tempfile.mkdtemp())
        archive = self.made / "data.zip.xz"
        found = {
            path for name in self.config["files"] for each in package.glob(name) for path in (each, *each.rglob("*"))
        }
        whole = BytesIO()
        with ZipFile(whole, "w") as packed:
            # By kind and name, so that the same page's words in three languages stand side by side.
            for path in sorted(found, key=lambda each: (each.suffix, each.name, each)):
                if path.is_file() and not _is_left_out(path.relative_to(package)):
                    entry = ZipInfo(path.relative_to(package).as_posix(), _LONG_AGO)
                    entry.external_attr = 0o644 << 16
                    packed.writestr(entry, path.read_bytes())
        # As a whole, which takes 200 kB less than file by file. lzma is in each Python that our users have: Debian's, uv's, macOS's.
        archive.write_bytes(lzma.compress(whole.getvalue(), preset=6 | lzma.PRESET_EXTREME))
        build_data["force_include"][str(archive)] = "nrmbus/data.zip.xz"
        # Read at run time, too; the page beside them is for readers of the tree, and `exclude` holds for no forced folder.
        for topic in Path(self.root, "deploy", "topics").glob("*.yaml"):
            build_data["force_include"][str(topic)] = f"nrmbus/deploy/topics/{topic.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the interface
        """Remove the archive, which is in the wheel now."""
        if version != "editable":
            (self.made / "data.zip.xz").unlink()
            self.made.rmdir()
