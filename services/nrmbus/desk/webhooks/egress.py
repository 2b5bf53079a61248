"""Egress guard: the addresses to which a desk sends. Only public ones, unless the administrator allows a network.

A webhook's URL comes from a program with a token; without a guard the desk would send wherever that program wants, also to
services that trust every machine of the agency's network. The name is resolved once, every address that it has is checked,
and the connection goes to a checked address.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from nrmbus.desk.errors import DeskError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL: Final = 2_048
PORTS: Final = {"https": 443, "http": 80}

CLOSED: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",  # a cloud's own service for its machines, at a public address
            "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
        ),
    )
)  # fmt: skip
"""Networks for special purposes, by IANA's registries of July 2026: this host, private, shared, link-local (with every
cloud's metadata), documentation, benchmarks, multicast, reserved; Teredo and 6to4, which contain an IPv4 address."""

_GLOBAL_V6: Final = ip_network("2000::/3")
"""The only block from which public IPv6 addresses are given: not in it are loopback, link-local and unique local addresses,
NAT64, addresses that contain an IPv4 address, segment routing, and multicast."""


@cache
def tls_by(authorities: Path | None) -> ssl.SSLContext:
    """Return TLS settings that trust the *authorities* in a file, or the system's; read once, since it takes 25 ms."""
    return ssl.create_default_context(cafile=authorities)


@dataclass(frozen=True, slots=True)
class Url:
    """Parts of a webhook's URL."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, as they are sent."""

    @property
    def name(self) -> str:
        """Return the value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if PORTS[self.scheme] == self.port else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Egress:
    """Setting ``webhooks`` of ``agency.json``: what the administrator allows."""

    networks: tuple[Network, ...] = ()
    """Networks to which the desk may send though they are not public."""
    plain_on_loopback: bool = False
    """True if ``http`` without TLS is allowed to this machine itself, for tests."""
    authorities: Path | None = None
    """PEM file with the certificates of authorities that receivers' certificates come from; None for the system's."""

    @classmethod
    def read(cls, setting: Any) -> Self:
        """Read the setting, and the file that it names. Raises DeskError ``webhooks_unfit``."""
        try:
            given = dict(setting or {})
            networks, plain, ca = given.pop("networks", []), given.pop("http_on_loopback", False), given.pop("ca", None)
            if given or type(plain) is not bool or not (ca is None or Path(ca).is_file()):
                raise DeskError("webhooks_unfit")
            found = cls(tuple(map(ip_network, networks)), plain, Path(ca) if ca else None)
            if ca:
                tls_by(found.authorities)
            return found
        except (ValueError, TypeError, OSError):  # an error of TLS is an OSError
            raise DeskError("webhooks_unfit") from None

    def parsed(self, url: str) -> Url:
        """Return the parts of *url*. Raises DeskError ``webhook_address_refused`` for a URL that no webhook may have."""
        try:
            parts = urlsplit(url)
            port = parts.port if parts.port is not None else PORTS[parts.scheme]
            host = (
                (parts.hostname or "").encode("idna").decode() if ":" not in (parts.hostname or "") else parts.hostname
            )
        except (ValueError, KeyError):  # UnicodeError is a ValueError
            raise DeskError("webhook_address_refused") from None
        fit = len(url) <= LONGEST_URL and url.isascii() and url.isprintable() and " " not in url and port
        schemes = {"https", "http"} if self.plain_on_loopback else {"https"}
        if (
            not (fit and host and parts.scheme in schemes)
            or ("[" in url) != (":" in host)
            or "@" in parts.netloc
            or "#" in url
            or "\\" in url
        ):
            raise DeskError("webhook_address_refused")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Url(parts.scheme, host, port, target)

    def checked(self, url: Url, addresses: Iterable[str]) -> tuple[str, ...]:
        """Return the *addresses* of *url*, all of which may be sent to.

        Raises:
            DeskError: ``webhook_address_refused`` if one of them may not, or if there is none.
        """
        found = tuple(dict.fromkeys(addresses))
        if not found or not all(self.allows(each, plain=url.scheme == "http") for each in found):
            raise DeskError("webhook_address_refused")
        return found

    def allows(self, address: str, *, plain: bool = False) -> bool:
        """Return whether the desk may send to *address*; *plain*: without TLS, which is only for this machine itself."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        named = any(found.version == each.version and found in each for each in self.networks)
        return named and found.is_loopback if plain else named or is_public(found)


def is_public(address: Address) -> bool:
    """Return whether *address* is of a host on the public internet."""
    closed = any(address.version == each.version and address in each for each in CLOSED)
    return not closed and (isinstance(address, IPv4Address) or address in _GLOBAL_V6)
