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
    """Makes ``nrmbus/data.zip.xz`` of the folders and files in ``files``, which are patterns of paths below ``services/nrmbus``, and of the topics' files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the archive, and have it taken into the wheel. An editable install reads the clone's own files."""
        if version == "editable":
            return
        # Hatchling writes the extras that an extra has one by one, which takes 8 kB; every installer follows their names.
        core = self.metadata.core
        core.optional_dependencies.update(core.config.get("optional-dependencies", {}))
        package = Path(self.root, "services", "nrmbus")
        self.made = Path(tempfile.mkdtemp())
        archive = self.made / "data.zip.xz"
        topics = Path(self.root, "deploy", "topics")
        found = {
            (path.relative_to(package).as_posix(), path)
            for name in self.config["files"]
            for each in package.glob(name)
            for path in (each, *each.rglob("*"))
        } | {(f"deploy/topics/{each.name}", each) for each in topics.glob("*.yaml")}
        whole = BytesIO()
        with ZipFile(whole, "w") as packed:
            # By kind and name, so that the same page's words in three languages stand side by side.
            for name, path in sorted(found, key=lambda each: (each[1].suffix, each[1].name, each[0])):
                if path.is_file() and not _is_left_out(Path(name)):
                    entry = ZipInfo(name, _LONG_AGO)
                    entry.external_attr = 0o644 << 16
                    packed.writestr(entry, path.read_bytes())
        # As a whole, which takes 200 kB less than file by file. lzma is in each Python that our users have: Debian's, uv's, macOS's.
        # Bytes of text have no places of four, as lzma expects of programs.
        best = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0}
        archive.write_bytes(lzma.compress(whole.getvalue(), filters=[best]))
        build_data["force_include"][str(archive)] = "nrmbus/data.zip.xz"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the interface
        """Remove the archive, which is in the wheel now."""
        if version != "editable":
            (self.made / "data.zip.xz").unlink()
            self.made.rmdir()
