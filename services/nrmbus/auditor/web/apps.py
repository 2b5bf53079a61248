"""Authenticator apps of the auditor's users: the second factor of a sign-in (RFC 6238).

The secret of an app is sealed to the auditor's sealing key, as a desk seals the secrets of its staff, and bound to the
user's name: a copy of the file shows no code, and nobody's app opens another's session. The secrets stand in the file of
the users, whose module needs no cryptography: commands that only look up a user's number start faster.
"""

import base64
from datetime import datetime
from pathlib import Path
from typing import Any

from nrmbus.auditor.web.users import Users
from nrmbus.directory import Identity
from nrmbus.web.second_factor import step_of
from nrmbus.wire import ids
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.names import AUDITOR


class Apps:
    """Apps of the users in a folder of the auditor's, whose keys are there too."""

    def __init__(self, home: Path) -> None:
        """Look in *home*."""
        self._home, self._users = home, Users(home)

    def has(self, name: str) -> bool:
        """Return whether *name* has set up an app."""
        return "app" in self._users.read()["users"].get(name, {})

    def set_up(self, name: str, password: str, secret: str, step: int) -> bool:
        """Let the app with *secret* be the second factor of *name*; return False if there is one, or the password is another now.

        *password* is the value of `Users.password_of`, and *step* the time step of the code that the app has shown.
        """
        with self._users.changing() as body:
            user = body["users"].get(name, {})
            if "app" in user or not user.get("hash") or user["salt"] != password:
                return False
            user |= {"app": _sealed(self._keys(), name, secret), "step": step}
            return True

    def is_code(self, name: str, code: str, now: datetime) -> bool:
        """Return whether the app of *name* shows *code* at *now*; a code is taken once.

        An app whose secret no key opens any more shows no right code: a new password asks for a new app.
        """
        with self._users.changing() as body:
            user = body["users"].get(name, {})
            secret = _opened(self._keys(), name, user["app"]) if "app" in user else None
            step = step_of(secret, code, now, user["step"]) if secret is not None else None
            if step is not None:
                user["step"] = step
            return step is not None

    def hand_over(self) -> None:
        """Seal the secret of every app to the sealing key in use; to be called before a replaced key is destroyed."""
        keys = self._keys()
        if all(kid == keys.sealing.kid for kid, _, _ in _apps(self._users.read())):
            return
        with self._users.changing() as body:
            for kid, name, user in _apps(body):
                secret = _opened(keys, name, user["app"])
                if kid != keys.sealing.kid and secret is not None:
                    user["app"] = _sealed(keys, name, secret)

    def _keys(self) -> Identity:
        return Identity.at(self._home, AUDITOR)


def _apps(body: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the kid that the app's secret is sealed to, the name, and the stored values, of every user with an app."""
    return [(user["app"]["kid"], name, user) for name, user in body["users"].items() if "app" in user]


def _info(name: str) -> bytes:
    return b"nrmbus/auditor-app/v1\0" + ids.lp(name)


def _sealed(keys: Identity, name: str, secret: str) -> dict[str, str]:
    to = keys.sealing.seal_to
    return {"kid": to.kid, "sealed": base64.b64encode(to.wrap(secret.encode(), _info(name))).decode()}


def _opened(keys: Identity, name: str, app: dict[str, str]) -> str | None:
    own = keys.opening.get(app["kid"])
    try:
        return own.open(base64.b64decode(app["sealed"]), _info(name)).decode() if own else None
    except LetterClosed:
        return None
