"""structlog without rich: a service writes JSON lines, and has no terminal.

structlog loads rich wherever it is installed, for tracebacks in colour: 60 modules and 3 MiB in each process. The command
line needs rich, so it is installed. `tests/desk/test_memory.py` tells when this may go.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Let imports inside fail to find the package *name*, unless this process has it already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = cast("ModuleType", None)  # Python's own way to say that there is none
    try:
        yield
    finally:
        del sys.modules[name]


with _hidden("rich"):
    import structlog

__all__ = ["structlog"]
