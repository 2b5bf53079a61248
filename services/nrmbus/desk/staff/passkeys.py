"""Passkeys (WebAuthn level 2): the options for a browser, and the check of its answer.

A challenge needs no memory: it names its end and its purpose under a key of this process. A used challenge is refused
until its end. A passkey always verifies its user too (user verification), so that it is two factors in one.
"""

import hmac
import json
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from nrmbus.desk.staff.members import Member, Passkey
from nrmbus.wire import times

GOOD_FOR: Final = timedelta(minutes=10)
LONGEST: Final = 32 * 1024
"""Most characters of a browser's answer."""
SIGN_IN: Final = "sign-in"
_RANDOM, _SECONDS, _TAG = 16, 8, 16


class Challenges:
    """Challenges of one process."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now, self._key = now, secrets.token_bytes(32)
        self._used: dict[bytes, datetime] = {}

    def new(self, what_for: str) -> bytes:
        """Return a challenge for *what_for*."""
        ends = int((self._now() + GOOD_FOR).timestamp()).to_bytes(_SECONDS, "big")
        said = secrets.token_bytes(_RANDOM) + ends
        return said + self._tag(said, what_for)

    def take(self, challenge: bytes, what_for: str) -> bool:
        """Return whether *challenge* is one for *what_for* that was neither used nor has ended; it is used from now on."""
        said, tag, now = challenge[:-_TAG], challenge[-_TAG:], self._now()
        if len(said) != _RANDOM + _SECONDS or not hmac.compare_digest(tag, self._tag(said, what_for)):
            return False
        seconds = int.from_bytes(said[_RANDOM:], "big")
        self._used = {each: end for each, end in self._used.items() if end > now}
        if seconds < now.timestamp() or challenge in self._used:
            return False
        self._used[challenge] = now + GOOD_FOR
        return True

    def _tag(self, said: bytes, what_for: str) -> bytes:
        return hmac.new(self._key, said + what_for.encode(), sha256).digest()[:_TAG]


def is_possible_at(host: str) -> bool:
    """Return whether browsers make passkeys for *host*: a name, and no address of a machine."""
    return not (host.replace(".", "").isdecimal() or ":" in host or not host)


def options_to_add(member: Member, known: Iterable[Passkey], host: str, challenge: bytes) -> str:
    """Return what a browser needs to make a passkey for *member* at *host*, as JSON; those *known* are not made again.

    A phone may copy the labels of its passkeys to an account elsewhere: they have the member's number and the host, which
    a passkey cannot do without, and name neither the member nor the agency.
    """
    from webauthn import base64url_to_bytes, generate_registration_options, options_to_json  # noqa: PLC0415 - as in `added`
    from webauthn.helpers.structs import (  # noqa: PLC0415 - the same
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    chosen = AuthenticatorSelectionCriteria(
        resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
    )
    excluded = [PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.id)) for each in known if each.host == host]
    options = generate_registration_options(
        rp_id=host, rp_name=host, user_name=member.number, user_id=member.number.encode(), challenge=challenge,
        authenticator_selection=chosen, exclude_credentials=excluded,
    )  # fmt: skip
    return options_to_json(options)


def options_to_use(host: str, challenge: bytes) -> str:
    """Return what a browser needs to sign in with any passkey that it has for *host*, as JSON."""
    from webauthn import generate_authentication_options, options_to_json  # noqa: PLC0415 - as in `added`
    from webauthn.helpers.structs import UserVerificationRequirement  # noqa: PLC0415 - the same

    required = UserVerificationRequirement.REQUIRED
    return options_to_json(generate_authentication_options(rp_id=host, challenge=challenge, user_verification=required))


def challenge_in(answer: str) -> tuple[str, bytes]:
    """Return the passkey's id and the challenge that a browser's *answer* names; empty ones if it is no answer."""
    from webauthn import base64url_to_bytes  # noqa: PLC0415 - as in `added`

    try:
        found: Any = json.loads(answer[:LONGEST])
        client = json.loads(base64url_to_bytes(found["response"]["clientDataJSON"]))
        return str(found["id"]), base64url_to_bytes(client["challenge"])
    except (ValueError, TypeError, KeyError, LookupError):
        return "", b""


def added(member: str, answer: str, challenge: bytes, host: str, origin: str, now: datetime) -> Passkey | None:
    """Return the new passkey of *member* in a browser's *answer*; None if the answer does not hold."""
    from webauthn import verify_registration_response  # noqa: PLC0415 - 90 ms, and several MB, that few desks need
    from webauthn.helpers import bytes_to_base64url  # noqa: PLC0415 - the same
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - the same

    try:
        found = verify_registration_response(
            credential=answer[:LONGEST], expected_challenge=challenge, expected_rp_id=host, expected_origin=origin,
            require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, TypeError, LookupError):
        return None
    id = bytes_to_base64url(found.credential_id)
    return Passkey(id, member, host, found.credential_public_key, found.sign_count, times.write(now), None)


def used(key: Passkey, answer: str, challenge: bytes, origin: str) -> int | None:
    """Return the authenticator's counter after a sign-in with *key*; None if the browser's *answer* does not hold.

    An authenticator whose counter goes back was copied, and is refused.
    """
    from webauthn import verify_authentication_response  # noqa: PLC0415 - as in `added`
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - the same

    try:
        found = verify_authentication_response(
            credential=answer[:LONGEST], expected_challenge=challenge, expected_rp_id=key.host, expected_origin=origin,
            credential_public_key=key.public_key, credential_current_sign_count=key.uses, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, TypeError, LookupError):
        return None
    return found.new_sign_count
