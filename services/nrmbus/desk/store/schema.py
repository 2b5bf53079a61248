"""Tables of a ledger, made or upgraded when a desk starts.

A fresh ledger gets the tables of this release at once and is stamped with their revision. Alembic takes 0.4 s to import
and is needed only for a ledger of an earlier release. A test holds that both ways end in the same tables.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, create_mock_engine, inspect

from nrmbus.bus.errors import BusError
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store.tables import METADATA

if TYPE_CHECKING:
    from alembic.config import Config

REVISION: Final = "0013"
"""Newest revision in ``migrations/versions``."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_STAMP: Final = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the ledger behind *connection*; None if it has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def bring_up(connection: Connection) -> None:
    """Make or upgrade the tables behind *connection*, all or nothing: after a kill the next start finds the ledger as it was.

    Raises:
        DeskError: ``ledger_unknown`` if a release that this one does not know made the tables.
    """
    with connection.begin():
        bring_up_within(connection)


def bring_up_within(connection: Connection) -> None:
    """Make or upgrade the tables within the open transaction. Raises DeskError as `bring_up`."""
    revision = revision_of(connection)
    if revision is None:
        make(connection)
    elif revision != REVISION:
        migrate(connection)


def make(connection: Connection) -> None:
    """Make the tables of this release within the open transaction."""
    for statement in _statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(_STAMP)
    connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{REVISION}')")  # noqa: S608 - a constant


@cache
def _statements(dialect: str) -> tuple[str, ...]:
    """Return what makes every table and index in *dialect*, in order of their references; compiled once a process."""
    made: list[str] = []

    def add(statement: Any, *_: Any, **__: Any) -> None:
        made.append(str(statement.compile(dialect=engine.dialect)))  # else the condition of an index is left out

    engine = create_mock_engine(f"{dialect}+asyncpg://" if dialect == "postgresql" else f"{dialect}://", add)
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


def migrate(connection: Connection) -> None:
    """Run the migrations up to the newest revision within the open transaction.

    Raises:
        DeskError: ``ledger_unknown`` if this release has no such revision as the ledger's.
    """
    from alembic import command  # noqa: PLC0415 - as in `_config`

    command.upgrade(_known(connection), "head")


def take_back(connection: Connection, release: str) -> str:
    """Undo the migrations that *release* does not know, in one transaction; return the revision after it.

    Raises:
        DeskError: ``ledger_unknown`` if this release has no such revision as the ledger's.
        BusError: *release* is older than the first one, or not a release's number.
    """
    wanted = _number(release)
    target = next((revision for revision, since in releases().items() if _number(since) <= wanted), None)
    if target is None:
        raise BusError(f"No release up to {release} has a ledger.")
    undo(connection, target)
    return target


def undo(connection: Connection, revision: str) -> None:
    """Undo the migrations after *revision*, in one transaction.

    Raises:
        DeskError: ``ledger_unknown`` as in `take_back`.
    """
    from alembic import command  # noqa: PLC0415 - as in `_config`

    with connection.begin():
        config = _known(connection)
        if revision_of(connection) != revision:
            command.downgrade(config, revision)


def _number(release: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in release.split("."))
    except ValueError:
        raise BusError(f"{release} is no release's number, as 0.1.0 is.") from None


def _known(connection: Connection) -> "Config":
    """Return Alembic's settings for the open transaction, on a ledger of a revision that this release knows."""
    from alembic.migration import MigrationContext  # noqa: PLC0415 - as in `_config`

    if not releases().keys() >= set(MigrationContext.configure(connection).get_current_heads()):
        raise DeskError("ledger_unknown")
    config = _config()
    config.attributes["connection"] = connection
    return config
