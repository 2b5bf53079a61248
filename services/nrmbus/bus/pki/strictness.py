"""Certificates of authorities that Python 3.13 and newer do not trust: it asks OpenSSL to hold them to RFC 5280."""

import ssl
from typing import Final, TypeVar

from cryptography import x509

Kind = TypeVar("Kind", bound=x509.ExtensionType)

MADE_AGAIN: Final = "the cluster's administrator makes the authority's certificate again with the critical extensions basicConstraints=CA:TRUE and keyUsage=keyCertSign,cRLSign and the extension subjectKeyIdentifier, over the same key and name"
"""Mends every such certificate of an authority; certificates that were issued with its key stay good, unless `ISSUED_AGAIN`
is about them."""

MISSING_AUTHORITY_KEY: Final = 85
"""Code of OpenSSL for a certificate that does not name its authority's key."""
ISSUED_AGAIN: Final = "the cluster's administrator issues the brokers' certificates again with the extension authorityKeyIdentifier, under an authority whose certificate has subjectKeyIdentifier"
"""Mends certificates that do not name their authority's key; no other certificate of the authority mends them."""


def is_strict() -> bool:
    """Return whether this Python trusts no such certificate."""
    return bool(ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT)


def untrusted(authorities: bytes) -> str | None:
    """Return why a strict Python does not trust one of *authorities* (PEM), or None if it trusts all.

    Raises:
        ValueError: there is no certificate in it.
    """
    for each in x509.load_pem_x509_certificates(authorities):
        constraints = _extension(each, x509.BasicConstraints)
        if constraints is None or not (constraints.critical and constraints.value.ca):
            return "basicConstraints=CA:TRUE is missing or not critical"
        usage = _extension(each, x509.KeyUsage)
        if usage is None or not usage.value.key_cert_sign:
            return "keyUsage=keyCertSign is missing"
        if _extension(each, x509.SubjectKeyIdentifier) is None:
            return "subjectKeyIdentifier is missing"
    return None


def _extension(of: x509.Certificate, kind: type[Kind]) -> x509.Extension[Kind] | None:
    try:
        return of.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
