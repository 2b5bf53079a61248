"""Migrations: a ledger of an earlier release is upgraded, and one of an unknown release is refused."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agencies import BUS
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import schema
from nrmbus.desk.store.ledger import Ledger

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("meta", sa.Column("remark", sa.Text()))
"""


def made(path: Path) -> None:
    """Make a ledger of this release at *path*, with one row."""
    schema.bring_up(path)
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("INSERT INTO meta VALUES ('bus', 'of before')")


def test_an_upgraded_ledger_keeps_its_rows_and_gets_the_new_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next release adds a column and starts on a ledger of this release."""
    path = tmp_path / "ledger.sqlite"
    made(path)
    shutil.copytree(schema.MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "r0002_remark.py").write_text(NEXT)
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr(schema, "REVISION", "0002")

    schema.bring_up(path)

    assert schema.revision_of(path) == "0002"
    with closing(sqlite3.connect(path)) as ledger:
        assert ledger.execute("SELECT name, value, remark FROM meta").fetchall() == [("bus", "of before", None)]


async def test_a_ledger_of_an_unknown_release_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    """A desk that was downgraded does not start, and says which release to start."""
    path = tmp_path / "ledger.sqlite"
    made(path)
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '0099'")

    with pytest.raises(DeskError, match="start the desk with that release, or with a newer one") as refused:
        await Ledger.open(path, bus=BUS, agency="vac")

    assert refused.value.code == "ledger_unknown"
    assert schema.revision_of(path) == "0099"
    with closing(sqlite3.connect(path)) as ledger:
        assert ledger.execute("SELECT value FROM meta").fetchall() == [("of before",)]
