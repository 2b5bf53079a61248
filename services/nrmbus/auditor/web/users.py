"""Users of the auditor's page, in a file that only its owner can read, with passwords as scrypt hashes.

A user's second factor is an authenticator app (`apps.py`), set up at the first sign-in; a new password asks for a new app too.
A user's ``actor`` is a random number that the history has with each question; only this file says whose number it is. So a
user who leaves stays in the file, without a password. Accounts of this machine, whose commands ask without a password,
have numbers of their own in the same file.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import locked, write_json
from nrmbus.wire.ids import new_ref

FILE: Final = "users.json"
LEAST: Final = 12
"""The fewest characters of a password."""
MOST: Final = 256
_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,30}")
_COST: Final = {"n": 2**15, "r": 8, "p": 1}
"""RFC 7914: 32 MiB and a tenth of a second for each guess."""
_MEMORY: Final = 64 * 1024 * 1024
_NOBODY: Final = base64.b64encode(b"\0" * 32).decode()


class UsersUnreadable(BusError):
    """Raised when the file of users is there and cannot be read."""


class Users:
    """Users in *home*/users.json; the file is read each time, so that a change counts at once."""

    def __init__(self, home: Path) -> None:
        """Look in *home*; no file is made."""
        self._path = home / FILE

    def read(self) -> dict[str, Any]:
        """Return the content of the file; raises UsersUnreadable if it cannot be read."""
        try:
            found: Any = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {"users": {}}
        except (ValueError, OSError):
            found = {}
        if not isinstance(found, dict) or not isinstance(found.get("users"), dict):
            raise UsersUnreadable(
                f"{self._path} cannot be read: move it away, then restore it with nrmbus restore DIR --part users, or add the users again."
            )
        return cast("dict[str, Any]", found)

    def names(self) -> Iterator[tuple[str, str, bool]]:
        """Yield name, actor, and permission to sign in, of every user there ever was."""
        for name, each in sorted(self.read()["users"].items()):
            yield name, each["actor"], each.get("hash") is not None

    def own_number(self) -> str:
        """Return the subject of questions about no case: random, made once, and never that of a case."""
        found = self.read().get("questions")
        if found is None:
            with self.changing() as body:
                found = body.setdefault("questions", new_ref())
        return str(found)

    def account(self, name: str) -> str:
        """Return the actor of the account *name* of this machine: random, made at its first question, and stored."""
        found = self.read().get("accounts", {}).get(name)
        if found is None:
            with self.changing() as body:
                found = body.setdefault("accounts", {}).setdefault(name, _random(_taken(body)))
        return str(found)

    def accounts(self) -> Iterator[tuple[str, str]]:
        """Yield name and actor of every account of this machine that has asked."""
        yield from sorted(self.read().get("accounts", {}).items())

    def knows(self, actor: str) -> bool:
        """Return whether *actor* is the number of an account, or of a user who may sign in."""
        body = self.read()
        admitted = {each["actor"] for each in body["users"].values() if each.get("hash")}
        return actor in admitted or actor in body.get("accounts", {}).values()

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Give the content of the file to change in the block; a lock keeps two processes from undoing each other's changes."""
        with locked(self._path.with_name("users.lock")):
            body = self.read()
            yield body
            write_json(self._path, body)

    @staticmethod
    def check_name(name: str) -> None:
        """Raise BusError if *name* does not have the form of a name."""
        if not _NAME.fullmatch(name):
            raise BusError("A name has 2 to 31 of a-z, 0-9, '.', '_' and '-', and begins with a letter.")

    def add(self, name: str, password: str) -> str:
        """Let *name* sign in with *password*, which replaces an earlier one, and return the actor.

        Raises:
            BusError: the name has another form, or the password is too short or too long.
        """
        self.check_name(name)
        if not LEAST <= len(password) <= MOST:
            raise BusError(f"A password has {LEAST} to {MOST} characters.")
        salt = secrets.token_bytes(16)
        hashed = _hashed(password, salt, _COST)
        with self.changing() as body:
            users = body["users"]
            actor = users[name]["actor"] if name in users else _random(_taken(body))
            users[name] = {"actor": actor, "salt": _text(salt), "hash": _text(hashed), **_COST}
            body.setdefault("questions", new_ref())
        return str(actor)

    def remove(self, name: str) -> None:
        """Let *name* sign in no more; raises BusError if there is no such user."""
        with self.changing() as body:
            if name not in body["users"]:
                raise BusError("There is no user of this name: nrmbus auditor user list")
            body["users"][name] = {"actor": body["users"][name]["actor"]}

    def password_of(self, name: str) -> str | None:
        """Return the salt of *name*, which changes with the password and reveals nothing of it, or None if *name* may not sign in."""
        user = self.read()["users"].get(name, {})
        return user["salt"] if user.get("hash") else None

    def signed_in(self, name: str, password: str) -> str | None:
        """Return the actor of *name* if *password* is right, else None. Takes as long for an unknown name; blocks for 0.1 s."""
        user = self.read()["users"].get(name, {})
        known = base64.b64decode(user.get("hash") or _NOBODY)
        cost = {each: int(user.get(each, value)) for each, value in _COST.items()}
        found = _hashed(password[:MOST], base64.b64decode(user.get("salt") or _NOBODY), cost)
        same = hmac.compare_digest(found, known)
        return str(user["actor"]) if same and user.get("hash") else None


def _hashed(password: str, salt: bytes, cost: dict[str, int]) -> bytes:
    raw = password.encode("utf-8", "replace")
    return hashlib.scrypt(raw, salt=salt, maxmem=_MEMORY, dklen=32, **cost)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _taken(body: dict[str, Any]) -> set[str]:
    return {each["actor"] for each in body["users"].values()} | set(body.get("accounts", {}).values())


def _random(taken: set[str]) -> str:
    while (actor := str(secrets.randbelow(900_000) + 100_000)) in taken:
        pass
    return actor
