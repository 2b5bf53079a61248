"""Requests to a door on this machine by the standard library alone, for commands that should answer at once."""

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS = 2.0
"""Seconds that a door on this machine may take to accept a connection."""


def asked(home: Path, method: str, path: str, patience: float, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """Send *body* as JSON to the door whose ``door.json`` is in *home*; return the status and the body of the answer.

    *patience* is in seconds, for the answer.

    Raises:
        OSError, HTTPException: no door answers.
        ValueError, KeyError: the file is no door's.
    """
    door = json.loads((home / "door.json").read_bytes())
    at = urlsplit(door["url"])
    headers = {"authorization": f"Bearer {door['token']}", "content-type": "application/json"}
    connection = HTTPConnection(at.hostname or "", at.port, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(patience)
        connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
