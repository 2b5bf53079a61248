"""Codes of the second factor: by an authenticator app (TOTP, RFC 6238), and recovery codes for its loss."""

import hmac
import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

STEP_SECONDS: Final = 30
_EARLY_AND_LATE: Final = (0, -1, 1)
"""Steps that are taken: a phone's clock may be half a minute wrong."""
RECOVERY_CODES: Final = 8
_RECOVERY_ALPHABET: Final = "abcdefghjkmnpqrstvwxyz23456789"


def new_secret() -> str:
    """Return a secret for an authenticator app: 160 bits, in base32."""
    import pyotp  # noqa: PLC0415 - as in `step_of`

    return pyotp.random_base32()


def address(secret: str, member: str, place: str) -> str:
    """Return the ``otpauth://`` address that an app reads from a picture; the app shows *member* and *place* to its owner."""
    import pyotp  # noqa: PLC0415 - as in `step_of`

    return pyotp.TOTP(secret).provisioning_uri(name=member, issuer_name=place)


def step_of(secret: str, code: str, now: datetime, after: int | None) -> int | None:
    """Return the time step of *code* if it is right at *now* and later than the step *after*; None otherwise.

    A code is taken once, so that a person who looks over a shoulder cannot use it again.
    """
    import pyotp  # noqa: PLC0415 - a process that nobody signs in at needs no memory for it

    given = "".join(code.split())
    totp, current, found = pyotp.TOTP(secret), int(now.timestamp()) // STEP_SECONDS, None
    for step in (current + each for each in _EARLY_AND_LATE):
        same = hmac.compare_digest(totp.at(step * STEP_SECONDS).encode(), given.encode("utf-8", "replace"))
        if same and (after is None or step > after):
            found = step
    return found


def picture(text: str) -> str:
    """Return *text* as a QR code: an SVG element without style or script."""
    import segno  # noqa: PLC0415 - as in `step_of`

    return segno.make(text, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=True)


def new_recovery_codes() -> tuple[str, ...]:
    """Return recovery codes, each for one sign-in without the app: 59 bits in three groups of four."""
    return tuple(
        "-".join("".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(4)) for _ in range(3))
        for _ in range(RECOVERY_CODES)
    )


def digest(code: str) -> str:
    """Return the digest of a recovery code, which is kept sealed; spaces, dashes and capitals do not count."""
    plain = "".join(each for each in code.lower() if each.isalnum())
    return b64encode(sha256(plain.encode("utf-8", "replace")).digest()).decode()


def without(codes: Sequence[str], given: str) -> tuple[str, ...] | None:
    """Return the digests *codes* without that of *given*; None if it is not among them."""
    found = digest(given)
    return tuple(each for each in codes if each != found) if found in codes else None
