"""Data files of the package: folders and files in a clone, and one archive in a wheel.

The archive, `data.zip.xz`, is made by `.ci/pack.py` when a wheel is built, of what `pyproject.toml` lists there. An agency's
system that needs the SDK alone has these files too, and they take a sixth of their size.
"""

import lzma
from functools import cache
from importlib.resources.abc import Traversable
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import Path as PathInArchive
from zipfile import ZipFile

ARCHIVE: Final = "data.zip.xz"
_HERE: Final = Path(__file__).parent


def packed(name: str) -> Traversable:
    """Return the data folder or file *name*, a path below the package such as ``play/scenarios``."""
    there = _HERE / name
    if there.exists() or not (_HERE / ARCHIVE).exists():
        return there
    archive = PathInArchive(_archive(), name)
    return archive if archive.exists() else PathInArchive(_archive(), f"{name}/")


@cache
def _archive() -> ZipFile:
    """Return the archive, unpacked and held in memory: 2 MB.

    Services are forks of one process. An open file would have one position for all of them, and two that read at once
    would read each other's bytes.
    """
    return ZipFile(BytesIO(lzma.decompress((_HERE / ARCHIVE).read_bytes())))
