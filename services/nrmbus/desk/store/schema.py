"""Tables of a ledger, made or upgraded when a desk starts.

A fresh ledger gets the tables of this release at once and is stamped with their revision. Alembic takes 0.4 s to import
and is needed only for a ledger of an earlier release. A test holds that both ways end in the same tables.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, create_mock_engine, event
from sqlalchemy.pool import NullPool

from nrmbus.bus.errors import BusError
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store.tables import METADATA

if TYPE_CHECKING:
    from alembic.config import Config

REVISION: Final = "0001"
"""Newest revision in ``migrations/versions``."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_STAMP: Final = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"


def revision_of(path: Path) -> str | None:
    """Return the revision of the ledger at *path*; None if it has no tables yet."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found[0]) if found else None


def bring_up(path: Path) -> None:
    """Make or upgrade the tables at *path*, all or nothing: after a kill the next start finds the ledger as it was.

    Raises:
        DeskError: ``ledger_unknown`` if a release that this one does not know made the tables.
    """
    revision = revision_of(path)
    if revision == REVISION:
        return
    engine = _engine(path)
    try:
        if revision is None:
            _fresh(engine)
        else:
            migrate(engine)
    finally:
        engine.dispose()


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    # sqlite3 would commit before each CREATE; without its own transactions, BEGIN and COMMIT are ours.
    @event.listens_for(engine, "connect")
    def _plain(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _fresh(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in _statements():
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(_STAMP)
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (REVISION,))


@cache
def _statements() -> tuple[str, ...]:
    """Return what makes every table and index, in order of their references; compiled once a process."""
    made: list[str] = []

    def add(statement: Any, *_: Any, **__: Any) -> None:
        made.append(str(statement.compile(dialect=engine.dialect)))  # else the condition of an index is left out

    engine = create_mock_engine("sqlite://", add)
    METADATA.create_all(engine, checkfirst=False)
    return tuple(made)


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - 0.4 s that most starts need not spend

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def releases() -> dict[str, str]:
    """Return every revision that this release knows, newest first, with the first release that had it."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as in `_config`

    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return {script.revision: str(script.module.release) for script in scripts}


def migrate(engine: Engine) -> None:
    """Run the migrations up to the newest revision in one transaction.

    Raises:
        DeskError: ``ledger_unknown`` if this release has no such revision as the ledger's.
    """
    from alembic import command  # noqa: PLC0415 - as in `_config`

    with _known(engine) as config:
        command.upgrade(config, "head")


def take_back(path: Path, release: str) -> str:
    """Undo the migrations at *path* that *release* does not know, in one transaction; return the revision after it.

    Raises:
        DeskError: ``ledger_unknown`` if this release has no such revision as the ledger's.
        BusError: *release* is older than the first one, or not a release's number.
    """
    from alembic import command  # noqa: PLC0415 - as in `_config`

    wanted = _number(release)
    target = next((revision for revision, since in releases().items() if _number(since) <= wanted), None)
    if target is None:
        raise BusError(f"No release up to {release} has a ledger.")
    engine = _engine(path)
    try:
        with _known(engine) as config:
            if revision_of(path) != target:
                command.downgrade(config, target)
    finally:
        engine.dispose()
    return target


def _number(release: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in release.split("."))
    except ValueError:
        raise BusError(f"{release} is no release's number, as 0.1.0 is.") from None


@contextmanager
def _known(engine: Engine) -> "Iterator[Config]":
    """Yield Alembic's settings within a transaction on a ledger of a revision that this release knows."""
    from alembic.migration import MigrationContext  # noqa: PLC0415 - as in `_config`

    with engine.begin() as connection:
        if not releases().keys() >= set(MigrationContext.configure(connection).get_current_heads()):
            raise DeskError("ledger_unknown")
        config = _config()
        config.attributes["connection"] = connection
        yield config
