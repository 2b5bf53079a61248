"""Certificates that brokers show. The administrators of a cluster renew those of its brokers; the bus only sees their ends."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from socket import create_connection
from typing import Final, Self

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.reach import parts
from nrmbus.cli.operate.faults import SOON, Finding

PATIENCE_SECONDS: Final = 5.0
"""Seconds for a connection; a firewall that drops packets answers nothing at all."""
RENEWED_BY: Final = (
    "nrmbus up renews it on a bus with its own Kafka; a cluster's administrators renew it, one broker after the other "
    "(deploy/RUNBOOK.md#certificate-ends)"
)
EXPIRED: Final = 10
"""Code of OpenSSL for a certificate whose time is over."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Times of the certificate that a broker shows, and the version of TLS."""

    begins: datetime
    ends: datetime
    version: str | None

    @classmethod
    def by(cls, secured: ssl.SSLSocket) -> Self:
        """Return those of the broker at the other end of *secured*, whose certificate was verified."""
        told = secured.getpeercert() or {}
        begins, ends = (
            datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told[each])), UTC) for each in ("notBefore", "notAfter")
        )
        return cls(begins, ends, secured.version())

    def ends_soon(self, now: datetime) -> bool:
        """Return whether it ends within days, or within the last third of a shorter life: whoever renews it has not."""
        return self.ends - now < min(SOON, (self.ends - self.begins) / 3)


def shown(host: str, port: int, context: ssl.SSLContext) -> Shown:
    """Return the certificate of the broker at *host* and *port*.

    Raises:
        SSLCertVerificationError: it is not trusted.
        OSError: there is no way to it, or it speaks no TLS.
    """
    with (
        create_connection((host, port), PATIENCE_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as secured,
    ):
        return Shown.by(secured)


def of_broker_certificates(folder: BusFolder, now: datetime) -> Iterator[Finding]:
    """Yield the brokers of the bus's cluster whose certificates have ended or end soon; others report brokers that do not answer.

    The certificate of the bus's own Kafka is a file of the folder.

    Raises:
        BusError: the operator's own certificate or key cannot be used.
    """
    context = folder.as_operator.context() if folder.settings.bootstrap else None
    if context is None:
        return
    addresses = folder.bootstrap.split(",")
    with ThreadPoolExecutor(len(addresses)) as pool:  # each that drops packets takes as long as all
        for address, says in zip(addresses, pool.map(partial(_says, context=context, now=now), addresses), strict=True):
            if says:
                yield Finding(
                    "certificate",
                    f"The certificate of the broker at {address} {says}.",
                    "After the end no service and no desk reaches this broker.",
                    RENEWED_BY,
                )


def _says(address: str, context: ssl.SSLContext, now: datetime) -> str:
    """Return when the certificate of the broker at *address* ends, or that it has; an empty text if it does not end soon."""
    try:
        found = shown(*parts(address), context)
    except ssl.SSLCertVerificationError as error:
        return "has ended" if error.verify_code == EXPIRED else ""
    except OSError:
        return ""
    return f"ends on {found.ends:%Y-%m-%d %H:%M} UTC" if found.ends_soon(now) else ""
