"""Ledgers in files that cost less: what does not differ between the desks that tests build is made once a process."""

from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine
from sqlalchemy.util import LRUCache

from nrmbus.desk.store import schema, sqlite


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


def share_tables(patch: pytest.MonkeyPatch) -> None:
    """Have each new ledger begin as a copy of the first one of this process, whose tables the product's own code made.

    Only a file that a desk made just now, and that is still empty, is filled; the file and its mode stay the desk's own.
    The cache has one entry for each revision that the tables are stamped with; a few tests have a revision of their own.
    """
    making, made = sqlite.making, dict[str, bytes]()

    def copying(path: Path) -> Engine:
        engine, revision = making(path), schema.REVISION
        if not path.exists() or path.stat().st_size:  # a test of the tables themselves, or a ledger that goes on
            return engine
        if revision in made:
            path.write_bytes(made[revision])
        else:
            with engine.connect() as connection:
                schema.bring_up(connection)
            # The file is whole: its only connection is closed, so nothing is left in the write-ahead file.
            made[revision] = path.read_bytes()
        return engine

    patch.setattr(sqlite, "making", copying)
