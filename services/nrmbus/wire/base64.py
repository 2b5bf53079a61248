"""Base64 with one spelling for every value: the standard alphabet, padded, no stray bits (RFC 4648 section 3.5)."""

import binascii

from nrmbus.wire.errors import WireCode, WireError


def encode(raw: bytes) -> str:
    """Write *raw* in base64."""
    return binascii.b2a_base64(raw, newline=False).decode()


def read(text: str | bytes) -> bytes | None:
    """Read base64 in the spelling of `encode`; None for every other text."""
    written = text.encode("ascii", "replace") if isinstance(text, str) else text
    try:
        raw = binascii.a2b_base64(written, strict_mode=True)
    except ValueError:
        return None
    return raw if binascii.b2a_base64(raw, newline=False) == written else None


def decode(text: str | bytes, code: WireCode) -> bytes:
    """Read base64 as `read`; raise *code* instead of returning None."""
    raw = read(text)
    if raw is None:
        raise WireError(code)
    return raw
