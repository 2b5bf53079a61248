"""Where a broker is, and as whom one comes to it. Every client of the bus is made with one of these, or with HOST:PORT alone.

HOST:PORT alone is plain text, as whoever the broker takes anybody for: a bus's own broker answers nobody who comes so.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrmbus.bus.errors import NoBus


@dataclass(frozen=True, slots=True)
class Tls:
    """The three files that a service or an agency has in its folder *home*, for its owner only."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.home / "tls"

    @property
    def key(self) -> Path:
        """The private key, PKCS #8."""
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        """What the authority certified."""
        return self.folder / "cert.pem"

    @property
    def ca(self) -> Path:
        """Whom the holder trusts to name the broker."""
        return self.folder / "ca.pem"


@dataclass(frozen=True, slots=True)
class Reach:
    """A broker at *bootstrap* (HOST:PORT), and whose files say who comes; none is plain text."""

    bootstrap: str
    tls: Tls | None = None

    def __str__(self) -> str:
        return self.bootstrap

    def context(self) -> ssl.SSLContext | None:
        """What a TLS connection is made with: TLS 1.3, the broker's name checked; none for plain text.

        Raises:
            NoBus: a file is missing, or they do not belong together.
        """
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.tls.ca))
            context.load_cert_chain(self.tls.certificate, self.tls.key)
        except (OSError, ssl.SSLError):
            raise NoBus(f"{self.tls.folder} has no certificate that can be used: nrmbus up makes one") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def settings(self) -> dict[str, Any]:
        """What aiokafka must be told."""
        context = self.context()
        secured = {"security_protocol": "SSL", "ssl_context": context} if context else {}
        return {"bootstrap_servers": self.bootstrap, **secured}

    def confluent(self) -> dict[str, Any]:
        """What librdkafka must be told."""
        if self.tls is None:
            return {"bootstrap.servers": self.bootstrap}
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "ssl",
            "ssl.ca.location": str(self.tls.ca),
            "ssl.certificate.location": str(self.tls.certificate),
            "ssl.key.location": str(self.tls.key),
            "ssl.endpoint.identification.algorithm": "https",
        }


Where = Reach | str
"""A broker as one comes to it, or its HOST:PORT for who comes in plain text."""


def reach(where: Where) -> Reach:
    """*where* as a `Reach`."""
    return Reach(where) if isinstance(where, str) else where
