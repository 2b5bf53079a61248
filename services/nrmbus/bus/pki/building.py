"""Parts that every certificate of a bus has: those of the bus's authority and those of a desk's door."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nrmbus.bus.pki.certificate import now

_SKEW: Final = timedelta(minutes=5)
"""A certificate is valid from so long before it is made, for machines whose clock is behind."""


def begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    life: timedelta,
    by: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    """Return a certificate of *key* for *subject*, without what differs by purpose; *by* is the issuer's key."""
    at = now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _SKEW)
        .not_valid_after(at + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by), critical=False)
    )


def usage(*, signs: bool) -> x509.KeyUsage:
    """Return what the key of an authority is for, which *signs* certificates, or that of anybody else."""
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def general_name(host: str) -> x509.GeneralName:
    """Return *host* as a certificate names it: an address, or else a name."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def written(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return *key* in PEM (PKCS #8), to be sealed by who keeps it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
