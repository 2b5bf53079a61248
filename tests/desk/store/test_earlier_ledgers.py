"""A ledger of an earlier release, when a desk of this one starts on it."""

import sqlite3
from pathlib import Path

from sqlalchemy import insert

from desk.given import CASE
from nrmbus.desk.store import schema, tables


def test_a_ledger_of_an_earlier_release_keeps_what_it_holds(tmp_path: Path) -> None:
    """Renewed when the desk starts, with the new tables beside the old rows."""
    path = tmp_path / "ledger.sqlite"
    engine = schema._engine(path)
    schema.migrate(engine, "0001")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('bus', 'of before')")
    engine.dispose()
    assert schema.revision_of(path) == "0001"

    schema.bring_up(path)

    assert schema.revision_of(path) == schema.REVISION
    with sqlite3.connect(path) as found:
        assert found.execute("SELECT value FROM meta").fetchall() == [("of before",)]
        assert found.execute("SELECT count(*) FROM witnessed").fetchone() == (0,)
    found.close()


def test_bare_digests_of_what_was_asked_leave_a_ledger_of_an_earlier_release(tmp_path: Path) -> None:
    """They were of whole requests, letters included: no file of the ledger has one once the desk has started."""
    path, digest = tmp_path / "ledger.sqlite", "d1" * 32
    engine = schema._engine(path)
    schema.migrate(engine, "0003")
    row = {
        "turn": 1, "subject": CASE, "id": "a1", "type": "case.closed", "origin": "door", "state": "closed",
        "asked": digest, "clear": b"{}", "made": "2026-03-02T05:00:00Z",
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(tables.outbox), [row])
    engine.dispose()

    schema.bring_up(path)

    with sqlite3.connect(path) as found:
        assert found.execute("SELECT asked FROM outbox").fetchall() == [("",)]
    found.close()
    assert [each.name for each in tmp_path.iterdir() if digest.encode() in each.read_bytes()] == []
