"""Users of the auditor's page, in a file that only its owner can read, with passwords as scrypt hashes.

A user's second factor is an authenticator app, set up at the first sign-in; a new password asks for a new app too. The
secret of the app is sealed to the auditor's sealing key, as a desk seals the secrets of its staff, and bound to the user's
name: a copy of the file shows no code, and nobody's app opens another's session.
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
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import locked, write_json
from nrmbus.directory import Identity
from nrmbus.web.second_factor import step_of
from nrmbus.wire import ids
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.ids import new_ref
from nrmbus.wire.names import AUDITOR

FILE: Final = "users.json"
LEAST: Final = 12
"""The fewest characters of a password."""
MOST: Final = 256
_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,30}")
_COST: Final = {"n": 2**15, "r": 8, "p": 1}
"""RFC 7914: 32 MiB and a tenth of a second for each guess."""
_MEMORY: Final = 64 * 1024 * 1024
_NOBODY: Final = base64.b64encode(b"\0" * 32).decode()


class Users:
    """Users in *home*/users.json; the file is read each time, so that a change counts at once."""

    def __init__(self, home: Path) -> None:
        """Look in *home*; no file is made."""
        self._home, self._path = home, home / FILE

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {"users": {}}
        except ValueError:
            found = {}
        if not isinstance(found.get("users"), dict):
            raise BusError(
                f"{self._path} cannot be read: restore it from a backup, or remove it and add the users again."
            )
        return found

    def names(self) -> Iterator[tuple[str, str, bool]]:
        """Yield name, actor, and permission to sign in, of every user there ever was."""
        for name, each in sorted(self._read()["users"].items()):
            yield name, each["actor"], each.get("hash") is not None

    def own_number(self) -> str:
        """Return the subject of questions about no case: random, made once, and never that of a case."""
        found = self._read().get("questions")
        if found is None:
            with self._changing() as body:
                found = body.setdefault("questions", new_ref())
        return str(found)

    def account(self, name: str) -> str:
        """Return the actor of the account *name* of this machine: random, made at its first question, and stored."""
        found = self._read().get("accounts", {}).get(name)
        if found is None:
            with self._changing() as body:
                found = body.setdefault("accounts", {}).setdefault(name, _random(_taken(body)))
        return str(found)

    def accounts(self) -> Iterator[tuple[str, str]]:
        """Yield name and actor of every account of this machine that has asked."""
        yield from sorted(self._read().get("accounts", {}).items())

    def knows(self, actor: str) -> bool:
        """Return whether *actor* is the number of an account, or of a user who may sign in."""
        body = self._read()
        admitted = {each["actor"] for each in body["users"].values() if each.get("hash")}
        return actor in admitted or actor in body.get("accounts", {}).values()

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Give the content of the file to change in the block; a lock keeps two processes from undoing each other's changes."""
        with locked(self._path.with_name("users.lock")):
            body = self._read()
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
        with self._changing() as body:
            users = body["users"]
            actor = users[name]["actor"] if name in users else _random(_taken(body))
            users[name] = {"actor": actor, "salt": _text(salt), "hash": _text(hashed), **_COST}
            body.setdefault("questions", new_ref())
        return str(actor)

    def remove(self, name: str) -> None:
        """Let *name* sign in no more; raises BusError if there is no such user."""
        with self._changing() as body:
            if name not in body["users"]:
                raise BusError("There is no user of this name: nrmbus auditor user list")
            body["users"][name] = {"actor": body["users"][name]["actor"]}

    def password_of(self, name: str) -> str | None:
        """Return the salt of *name*, which changes with the password and reveals nothing of it, or None if *name* may not sign in."""
        user = self._read()["users"].get(name, {})
        return user["salt"] if user.get("hash") else None

    def app_of(self, name: str) -> bool:
        """Return whether *name* has set up an authenticator app."""
        return "app" in self._read()["users"].get(name, {})

    def set_up(self, name: str, password: str, secret: str, step: int) -> bool:
        """Let the app with *secret* be the second factor of *name*; return False if there is one, or the password is another now.

        *password* is the value of `password_of`, and *step* the time step of the code that the app has shown.
        """
        with self._changing() as body:
            user = body["users"].get(name, {})
            if "app" in user or not user.get("hash") or user["salt"] != password:
                return False
            user |= {"app": _sealed(self._keys(), name, secret), "step": step}
            return True

    def is_code(self, name: str, code: str, now: datetime) -> bool:
        """Return whether the app of *name* shows *code* at *now*; a code is taken once.

        An app whose secret no key opens any more shows no right code: a new password asks for a new app.
        """
        with self._changing() as body:
            user = body["users"].get(name, {})
            secret = _opened(self._keys(), name, user["app"]) if "app" in user else None
            step = step_of(secret, code, now, user["step"]) if secret is not None else None
            if step is not None:
                user["step"] = step
            return step is not None

    def hand_over(self) -> None:
        """Seal the secret of every app to the sealing key in use; to be called before a replaced key is destroyed."""
        keys = self._keys()
        if all(kid == keys.sealing.kid for kid, _, _ in _apps(self._read())):
            return
        with self._changing() as body:
            for kid, name, user in _apps(body):
                secret = _opened(keys, name, user["app"])
                if kid != keys.sealing.kid and secret is not None:
                    user["app"] = _sealed(keys, name, secret)

    def _keys(self) -> Identity:
        return Identity.at(self._home, AUDITOR)

    def signed_in(self, name: str, password: str) -> str | None:
        """Return the actor of *name* if *password* is right, else None. Takes as long for an unknown name; blocks for 0.1 s."""
        user = self._read()["users"].get(name, {})
        known = base64.b64decode(user.get("hash") or _NOBODY)
        cost = {each: int(user.get(each, value)) for each, value in _COST.items()}
        found = _hashed(password[:MOST], base64.b64decode(user.get("salt") or _NOBODY), cost)
        same = hmac.compare_digest(found, known)
        return str(user["actor"]) if same and user.get("hash") else None


def _hashed(password: str, salt: bytes, cost: dict[str, int]) -> bytes:
    raw = password.encode("utf-8", "replace")
    return hashlib.scrypt(raw, salt=salt, maxmem=_MEMORY, dklen=32, **cost)


def _apps(body: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the kid that the app's secret is sealed to, the name, and the stored values, of every user with an app."""
    return [(user["app"]["kid"], name, user) for name, user in body["users"].items() if "app" in user]


def _info(name: str) -> bytes:
    return b"nrmbus/auditor-app/v1\0" + ids.lp(name)


def _sealed(keys: Identity, name: str, secret: str) -> dict[str, str]:
    to = keys.sealing.seal_to
    return {"kid": to.kid, "sealed": _text(to.wrap(secret.encode(), _info(name)))}


def _opened(keys: Identity, name: str, app: dict[str, str]) -> str | None:
    own = keys.opening.get(app["kid"])
    try:
        return own.open(base64.b64decode(app["sealed"]), _info(name)).decode() if own else None
    except LetterClosed:
        return None


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _taken(body: dict[str, Any]) -> set[str]:
    return {each["actor"] for each in body["users"].values()} | set(body.get("accounts", {}).values())


def _random(taken: set[str]) -> str:
    while (actor := str(secrets.randbelow(900_000) + 100_000)) in taken:
        pass
    return actor
