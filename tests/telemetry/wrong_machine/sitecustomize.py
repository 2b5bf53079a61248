"""Faults of a machine, in each Python process whose PYTHONPATH names this folder: a clock ahead, a full disk.

A fault lasts while its file is in the folder that NRMBUS_TEST_FAULTS names: ``clock`` holds seconds, ``disk`` free bytes.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Any

_AT = Path(os.environ.get("NRMBUS_TEST_FAULTS", "/nowhere"))
_time, _disk_usage = time.time, shutil.disk_usage


def _number(fault: str) -> float | None:
    try:
        return float((_AT / fault).read_text())
    except (OSError, ValueError):
        return None


def _wrong_time() -> float:
    return _time() + (_number("clock") or 0.0)


def _full(path: Any) -> Any:
    found, free = _disk_usage(path), _number("disk")
    return found if free is None else found._replace(free=int(free))


time.time = _wrong_time
shutil.disk_usage = _full
