"""Addresses of a broker and the certificate for them. Every Kafka client is made with a `Reach`, or with HOST:PORT alone.

HOST:PORT alone is plain text under the broker's anonymous user; the embedded broker answers no such client.
A cluster has several addresses, with commas between: a client asks one after the other until a broker answers.
"""

import errno
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.errors import KeysSealed, NoBus


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS files of a service or an agency in its folder *home*, for the owner only."""

    home: Path

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return self.home / "tls"

    @property
    def key(self) -> Path:
        """The private key's file: raw on a bus for playing, else sealed (`nrmbus.wire.keys.keyfile`)."""
        return self.folder / "key.pem"

    @property
    def next_key(self) -> Path:
        """The file of a key that takes the key's place once a certificate over it is stored (`certificate.keep`)."""
        return self.folder / "next" / "key.pem"

    @property
    def certificate(self) -> Path:
        """The file of the certificate."""
        return self.folder / "cert.pem"

    @property
    def ca(self) -> Path:
        """The file of the authority that certifies the broker."""
        return self.folder / "ca.pem"

    def private_key(self) -> bytes:
        """Return the private key, PKCS #8 in PEM, which must stay in memory.

        Raises:
            KeysSealed: nothing given opens it; the message says what to give.
            OSError: there is none.
        """
        from nrmbus.wire.keys import keyfile  # noqa: PLC0415 - a command that opens no key loads no cryptography

        try:
            return keyfile.read(self.key)
        except keyfile.KeyFileError as error:
            raise KeysSealed(str(error)) from None


_PORT: Final = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9-]{0,62}(\.[A-Za-z0-9-]{1,63})*\.?"
_IPV6: Final = r"\[[0-9A-Fa-f:.]+\]"
_PLACE: Final = rf"({_NAME}|{_IPV6}):{_PORT}"
"""HOST:PORT as each client of Kafka reads it: a client stops at a name with an empty or too long label."""
ADDRESS: Final = f"^{_PLACE}(,{_PLACE})*$"
"""The pattern of a broker's address, HOST:PORT, or of several with commas between."""


SIGNED_ADDRESS: Final = rf"^([A-Za-z0-9][A-Za-z0-9.-]*|{_IPV6}):{_PORT}$"
"""The published pattern of one address in a signed head. It includes names that `is_address` refuses; readers skip those."""


def is_address(bootstrap: str) -> bool:
    """Return whether *bootstrap* has the form of a broker's address, HOST:PORT, or of several with commas between."""
    return re.fullmatch(ADDRESS, bootstrap) is not None


def parts(address: str) -> tuple[str, int]:
    """Return host and port of one *address*, HOST:PORT; an IPv6 host without its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Reach:
    """Address of a cluster, *bootstrap* (HOST:PORT, several with commas between), and the files of the holder who connects.

    Without files the cluster is reached in plain text.
    """

    bootstrap: str
    tls: Tls | None = None

    def __str__(self) -> str:
        return self.bootstrap

    @property
    def servers(self) -> list[str]:
        """The addresses as a list, since FastStream takes one string for one host."""
        return self.bootstrap.split(",")

    def context(self) -> ssl.SSLContext | None:
        """Return the context of a TLS 1.3 connection that checks the broker's name, or None for plain text.

        Raises:
            NoBus: a file is missing, or they do not belong together.
            KeysSealed: nothing given opens the private key.
        """
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.tls.ca))
            with piped(self.tls.private_key()) as key:
                context.load_cert_chain(self.tls.certificate, f"/dev/fd/{key}")
        except (OSError, ssl.SSLError):
            raise NoBus(_UNUSABLE.format(self.tls.folder)) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def settings(self) -> dict[str, Any]:
        """Return the settings for aiokafka."""
        context = self.context()
        secured = {"security_protocol": "SSL", "ssl_context": context} if context else {}
        return {"bootstrap_servers": self.servers, **secured}

    def confluent(self) -> dict[str, Any]:
        """Return the settings for librdkafka, private key included: hand them to a client only, never to a log.

        Raises:
            NoBus: there is no private key.
            KeysSealed: nothing given opens it.
        """
        if self.tls is None:
            return {"bootstrap.servers": self.bootstrap}
        try:
            key = self.tls.private_key().decode("ascii")
        except OSError:
            raise NoBus(_UNUSABLE.format(self.tls.folder)) from None
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "ssl",
            "ssl.ca.location": str(self.tls.ca),
            "ssl.certificate.location": str(self.tls.certificate),
            "ssl.key.pem": key,
            "ssl.endpoint.identification.algorithm": "https",
        }

    def properties(self) -> bytes:
        """Return the settings for Kafka's own tools, private key included, as a properties file: hand it over by `piped` only.

        Raises:
            NoBus: there is no private key.
            KeysSealed: nothing given opens it.
        """
        if self.tls is None:
            return b"security.protocol=PLAINTEXT\n"
        try:
            key, chain, authority = self.tls.private_key(), self.tls.certificate.read_bytes(), self.tls.ca.read_bytes()
        except OSError:
            raise NoBus(_UNUSABLE.format(self.tls.folder)) from None
        pem = {"keystore.key": key, "keystore.certificate.chain": chain, "truststore.certificates": authority}
        lines = ["security.protocol=SSL", "ssl.keystore.type=PEM", "ssl.truststore.type=PEM"]
        lines += [f"ssl.{name}=" + text.decode("ascii").strip().replace("\n", "\\n") for name, text in pem.items()]
        return "\n".join([*lines, ""]).encode()


_PIPED: Final = 4096
"""Bytes that every system's pipe holds, however many of them there are."""
_UNUSABLE: Final = "{} has no certificate that can be used: nrmbus up makes one on the operator's machine, nrmbus agency check AGENCY FILE keeps one elsewhere, and nrmbus agency renew AGENCY gets one by file"


@contextmanager
def piped(content: bytes) -> Iterator[int]:
    """Yield the N of ``/dev/fd/N``, a pipe with *content* for libraries that only read files. Nothing is on disk.

    The pipe is read once, holds 4096 bytes without a reader, and is passed to a process by `subprocess`' ``pass_fds``.

    Raises:
        OSError: the content is larger than that, or no pipe can be had.
    """
    ours, theirs = os.pipe()
    try:
        with os.fdopen(theirs, "wb", buffering=0) as end:
            os.set_blocking(theirs, False)  # too large a content fails, since no reader is there yet
            if len(content) > _PIPED or end.write(content) != len(content):
                raise OSError(errno.EMSGSIZE, "too large for a pipe that nobody reads yet")
        yield ours
    finally:
        os.close(ours)


Where = Reach | str
"""A cluster and a holder's files, or the cluster's addresses alone for plain text."""


def reach(where: Where) -> Reach:
    """Return *where* as a `Reach`."""
    return Reach(where) if isinstance(where, str) else where
