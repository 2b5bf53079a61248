"""Statements of the ledgers in files, compiled once a process and not once for each desk that a test builds."""

from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine
from sqlalchemy.util import LRUCache

from nrmbus.desk.store import sqlite


class _Compiled(LRUCache[Any, Any]):
    """Cache of compiled statements that engines share.

    SQLAlchemy's key begins with the engine's dialect object and holds everything else that a statement's text depends on.
    All engines of `sqlite` are made by one function with the same dialect options, so their dialects are left out of the key.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


_MOST: Final = 2_000
"""Bound of the cache; all ledgers of a whole run have a few hundred statements."""


def share_compiled(patch: pytest.MonkeyPatch) -> None:
    """Have every ledger in a file use one cache of compiled statements."""
    engine_of, compiled = sqlite._engine, _Compiled(_MOST)

    def sharing(path: Path, *pragmas: str, **more: Any) -> Engine:
        engine = engine_of(path, *pragmas, **more)
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    patch.setattr(sqlite, "_engine", sharing)
