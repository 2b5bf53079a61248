"""A desk may cast an event to another version; the original is beside it, so that anybody can verify its publisher."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nrmbus.wire.envelope import Signed
    from nrmbus.wire.keys.keys import VerifyKey


def verify_original(row: Mapping[str, Any], key_of: "Callable[[str, str], VerifyKey]") -> "Signed":
    """Return the event that the source of an inbox *row* signed, if its signature, the registrar's and the row fit together.

    Args:
        row: an event as ``Received.row`` has it, with its ``original``.
        key_of: the public key of an agency (or ``registrar``) by its id and the key's, as the directory has it:
            `nrmbus.directory.Directory.any_verify_key`. It raises LookupError or WireError where there is none.

    Returns:
        The envelope: ``type``, ``version``, ``data`` (bytes) and all else as published, whatever the row was cast to.

    Raises:
        WireError: ``signature_invalid`` when a byte is not as signed, or the row is about another event;
            ``key_not_current`` when there is no such key; ``unreadable`` or another code when it is no event at all.
        ModuleNotFoundError: cryptography is not installed; the message says which extra has it.
    """
    try:
        from nrmbus.client.signed import verified  # noqa: PLC0415 - the SDK does without cryptography
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cryptography", "nacl"}:
            raise
        message = "verify_original needs the package cryptography, which is not installed: pip install 'nrmbus[cli]'"
        raise ModuleNotFoundError(message, name=error.name) from None
    return verified(row, key_of)
