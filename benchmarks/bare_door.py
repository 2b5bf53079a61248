"""A bare FastAPI route that commits one row, FULL: what a door costs that checks, signs, seals and sends nothing."""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI


def main(ledger: Path, port: int) -> None:
    """Serve the route on *port* of this machine, with its rows in *ledger*."""
    connection = sqlite3.connect(ledger, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.post("/v1/events", status_code=202)
    async def take(body: dict[str, Any]) -> dict[str, Any]:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute("INSERT INTO outbox (body) VALUES (?)", (json.dumps(body),)).lastrowid
        connection.execute("COMMIT")
        return {"verdict": "pending", "row": row}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
