"""The staff of a desk without its inbox and its door; an authenticator app, and an authenticator for passkeys."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pyotp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from agencies import Town, town
from desk.given import StandingClock
from desk.kept import place_at
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.staff.staff import Staff
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store.ledger import Ledger

PASSWORD = "three quiet winters"
HOST, ORIGIN = "localhost", "http://localhost:8000"


def holds() -> bool:
    """Say that what somebody signed in with holds still."""
    return True


@dataclass
class GivenStaff:
    """The staff of ngo-a, and the clock by which sessions end."""

    staff: Staff
    seat: Seat
    clock: StandingClock

    def later(self, **how: float) -> None:
        """Let time pass."""
        self.clock.time += timedelta(**how)

    def app(self, secret: str) -> str:
        """Return what an authenticator app with *secret* shows now."""
        return pyotp.TOTP(secret).at(self.clock.time)

    async def invited(self, name: str = "Leyla Example", *roles: Any, **more: Any) -> tuple[Member, str]:
        """Return a member who was just added, and the one-time password."""
        new = NewMember.model_validate({"name": name, "roles": roles or ("worker",), **more})
        member, once = await self.staff.add(new, "door.json")
        return member, once or ""

    async def half_way(self, name: str, password: str) -> str:
        """Return the cookie of a sign-in whose password is right."""
        value, stage = await self.staff.with_password(name, password)
        assert stage is not None
        return value

    async def settled(self, name: str = "Leyla Example", *roles: Any) -> tuple[Member, str, str, tuple[str, ...]]:
        """Return a member with an own password and an app: member, the app's secret, the first cookie, recovery codes."""
        member, once = await self.invited(name, *roles)
        value = await self.half_way(name, once)
        assert await self.staff.set_first_password(value, PASSWORD) is None
        secret = self.staff.half_way(value)[0].secret
        cookie, codes = await self.staff.with_first_code(value, self.app(secret))
        return self.staff.members.there(member.number), secret, cookie, codes


@asynccontextmanager
async def staff_at(
    home: Path, clock: StandingClock | None = None, *, settings: StaffSettings | None = None, here: Town | None = None
) -> AsyncIterator[GivenStaff]:
    """Yield the staff of a desk whose ledger is at *home*; a second call goes on with it."""
    here, clock = here or town(), clock or StandingClock()
    ledger = await Ledger.open(await place_at(home / "ledger.sqlite"), bus=here.bus, agency="ngo-a")
    seat = Seat(
        bus=here.bus, identity=here.identities["ngo-a"], ledger=ledger, directory=here.directory, rules=here.rules,
        agencies=here.agencies, clock=StandingClock(),
    )  # fmt: skip
    try:
        yield GivenStaff(Staff(seat, settings or StaffSettings(), clock.now), seat, clock)
    finally:
        await ledger.close()


@dataclass
class Authenticator:
    """An authenticator with one passkey, as a phone or a key on a ring has it."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = b"an-id-of-sixteen"
    uses: int = 0
    verifies_user: bool = True

    def added(self, options: str, origin: str = ORIGIN) -> str:
        """Return the browser's answer to *options* for a new passkey."""
        asked = json.loads(options)
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        new = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        data = self._data(asked["rp"]["id"], 0x40) + new
        attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", asked["challenge"], origin)
        return self._answer(
            {"attestationObject": bytes_to_base64url(attested), "clientDataJSON": bytes_to_base64url(client)}
        )

    def used(self, options: str, origin: str = ORIGIN, host: str | None = None) -> str:
        """Return the browser's answer to *options* for a sign-in."""
        asked = json.loads(options)
        self.uses += 1
        data = self._data(host or asked["rpId"], 0)
        client = self._client("webauthn.get", asked["challenge"], origin)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "authenticatorData": bytes_to_base64url(data),
                "clientDataJSON": bytes_to_base64url(client),
                "signature": bytes_to_base64url(signature),
            }
        )

    def _data(self, host: str, more: int) -> bytes:
        flags = 0x01 | (0x04 if self.verifies_user else 0) | more
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.uses.to_bytes(4, "big")

    def _client(self, type_: str, challenge: str, origin: str) -> bytes:
        assert base64url_to_bytes(challenge)
        return json.dumps({"type": type_, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()

    def _answer(self, response: dict[str, str]) -> str:
        id = bytes_to_base64url(self.id)
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": response})


def one_time_in(text: str) -> str:
    """Return the one-time password that *text* shows."""
    (found,) = set(re.findall(r"\b[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}\b", text))
    return str(found)
