"""Migrations: a ledger of an earlier release is upgraded, and one of an unknown release is refused."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agencies import BUS
from nrmbus.bus.errors import BusError
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import schema
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import on_tables

NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{schema.REVISION}"
branch_labels = None
depends_on = None
release = "99.0.0"


def upgrade() -> None:
    op.add_column("meta", sa.Column("remark", sa.Text()))


def downgrade() -> None:
    op.drop_column("meta", "remark")
"""


def made(path: Path) -> None:
    """Make a ledger of this release at *path*, with one row."""
    on_tables(path, schema.bring_up)
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("INSERT INTO meta VALUES ('bus', 'of before')")


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the next release, which adds a column."""
    shutil.copytree(schema.MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "next_remark.py").write_text(NEXT)
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr(schema, "REVISION", "next")


def test_an_upgraded_ledger_keeps_its_rows_and_gets_the_new_column(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The next release adds a column and starts on a ledger of this release; it can be taken back with what was written."""
    path, before = tmp_path / "ledger.sqlite", schema.REVISION
    made(path)
    request.getfixturevalue("next_release")

    on_tables(path, schema.bring_up)

    assert on_tables(path, schema.revision_of) == "next"
    with closing(sqlite3.connect(path)) as ledger, ledger:
        assert ledger.execute("SELECT name, value, remark FROM meta").fetchall() == [("bus", "of before", None)]
        ledger.execute("INSERT INTO meta VALUES ('agency', 'of now', 'lost with its column')")

    assert on_tables(path, lambda tables: schema.take_back(tables, "98.0.0")) == before

    assert on_tables(path, schema.revision_of) == before
    with closing(sqlite3.connect(path)) as ledger:
        assert ledger.execute("SELECT * FROM meta").fetchall() == [("bus", "of before"), ("agency", "of now")]


@pytest.mark.parametrize(("release", "sentence"), [("0.0.9", "has a ledger"), ("next", "no release's number")])
def test_a_ledger_is_not_taken_back_to_a_release_that_never_was(tmp_path: Path, release: str, sentence: str) -> None:
    """A mistyped release changes nothing."""
    path = tmp_path / "ledger.sqlite"
    made(path)

    with pytest.raises(BusError, match=sentence):
        on_tables(path, lambda tables: schema.take_back(tables, release))

    assert on_tables(path, schema.revision_of) == schema.REVISION


async def test_a_ledger_of_an_unknown_release_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    """A desk that was downgraded does not start, and says which release to start."""
    path = tmp_path / "ledger.sqlite"
    made(path)
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '0099'")

    with pytest.raises(DeskError, match="start the desk with that release, or with a newer one") as refused:
        await Ledger.open(path, bus=BUS, agency="vac")

    assert refused.value.code == "ledger_unknown"
    assert on_tables(path, schema.revision_of) == "0099"
    with closing(sqlite3.connect(path)) as ledger:
        assert ledger.execute("SELECT value FROM meta").fetchall() == [("of before",)]
