"""Listener of a door for other machines: TLS alone, with the agency's own certificate or one of the door's own authority.

Certificate files that were renewed are taken up with the next connection. Handshakes are bounded, since a connection is
nobody's before its handshake is over.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from nrmbus.bus.embedded.ports import HOST
from nrmbus.bus.errors import BusError
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.door_authority import DoorAuthority
from nrmbus.bus.reach import piped
from nrmbus.telemetry import log

FOLDER: Final = "door"
"""Folder of the door's own authority, in the agency's folder."""
HANDSHAKES: Final = 50
"""Handshakes at once; beyond that number the oldest is cut off."""
HANDSHAKE_SECONDS: Final = 10.0
SOON: Final = timedelta(days=14)
"""Time before the end of the agency's own certificate from which health, status and doctor name it."""
_NAME: Final = re.compile(r"(?=[A-Za-z0-9])[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\.?")
_MEMBERS: Final = ("address", "port", "names", "certificate", "key", "clients", "tls")
_OLDEST: Final = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a door listens for other machines, and how it proves who it is."""

    address: str
    port: int
    names: tuple[str, ...] = ()
    """Host names and addresses in the certificate of the door's own authority; unused with a certificate of the agency."""
    certificate: Path | None = None
    key: Path | None = None
    clients: Path | None = None
    """Authorities of the clients; if set, each client needs a certificate, besides its token."""
    tls: str = "1.3"
    """Oldest version that is spoken."""
    who: str = "The desk"
    member: str = "listen"
    """Who listens, and the setting that says where, for the sentences of an error."""

    @classmethod
    def parse(cls, found: Any, where: Path, *, who: str = "The desk", member: str = "listen") -> "Listen | None":
        """Return the setting *member* of the file *where*, by which *who* listens; None if nothing is set.

        Raises:
            BusError: the setting is wrong, or has nothing to make a certificate from.
        """
        if found is None:
            return None
        wrong = _wrong_member(found)
        if wrong is not None:
            raise BusError(
                f"`{member}` in {where} is wrong at `{wrong}`: write"
                ' {"address": "10.1.2.3", "port": 8443, "names": ["desk.example.org"]}, or see the page of the desk.'
            )
        members: dict[str, Any] = {**found, "names": tuple(found.get("names", ()))}
        members |= {each: Path(found[each]).expanduser() for each in ("certificate", "key", "clients") if each in found}
        asked = cls(**members, who=who, member=member)
        if asked.certificate is None and not asked.names:
            raise BusError(
                f"{who} was not started: without TLS it listens on this machine alone. Give `certificate` and `key` in "
                f"`{member}` of {where}, or for a desk `names` for a certificate of its own authority."
            )
        return asked

    def has_here(self, port: int | None) -> bool:
        """Return whether *port* of 127.0.0.1, where a door for this machine is, would be this listener's."""
        address = ip_address(self.address)
        return port == self.port and (address.is_unspecified or address == ip_address(HOST))


def _wrong_member(found: Any) -> str | None:
    """Return the first member that does not fit, or None; a name that is none of ours is not repeated."""
    if not isinstance(found, Mapping) or found.keys() - set(_MEMBERS):
        return "its members"
    names = found.get("names", [])
    fits = {
        "address": _is_address(found.get("address")),
        "port": type(found.get("port")) is int and 0 < found["port"] < 65_536,
        "names": isinstance(names, list) and all(isinstance(each, str) and _is_host(each) for each in names),
        **{each: _is_path(found.get(each, "")) for each in ("certificate", "key", "clients")},
        "tls": found.get("tls", "1.3") in tuple(_OLDEST),
        "certificate and key": ("certificate" in found) == ("key" in found),
    }
    return next((each for each, is_right in fits.items() if not is_right), None)


def _is_address(found: Any) -> bool:
    try:
        ip_address(found if isinstance(found, str) else "")
    except ValueError:
        return False
    return True


def _is_path(found: Any) -> bool:
    try:
        Path(found).expanduser()
    except (TypeError, RuntimeError):  # no text; nobody's home
        return False
    return True


def _is_host(found: str) -> bool:
    return _is_address(found) or _NAME.fullmatch(found) is not None


class TlsListener:
    """A bound socket for other machines, and the certificate that it shows."""

    def __init__(self, listen: Listen, home: Path, name: str) -> None:
        """Bind the address, and read the certificate, or have the door's own authority in *home* certify one for *name*.

        Raises:
            BusError: the certificate cannot be used, another program has the port, or this account may not listen on it.
            KeysSealed: nothing given opens the authority's key, or the key is damaged.
        """
        self._listen = listen
        self._authority = None if listen.certificate else DoorAuthority(home / FOLDER, f"door of {name}")
        self._valid: tuple[datetime, datetime] | None = None
        """When the certificate of the door's own authority begins, and when another one is due."""
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._shaking: dict[_Handshake, None] = {}
        """Connections that are not through with their handshake, oldest first."""
        self._context = self._made()
        self.socket = _bound(listen)

    @property
    def url(self) -> str:
        """The address of the door for another machine: the first name, if there are names."""
        host = (*self._listen.names, self._listen.address)[0]
        return f"https://{f'[{host}]' if ':' in host else host}:{self._listen.port}"

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection, made again if the files changed or another certificate is due.

        Files that cannot be used, since they are half written, leave the earlier certificate in place.
        """
        is_due = self._valid is not None and not self._valid[0] <= certificate.now() < self._valid[1]
        if is_due or self._files() != self._seen:
            try:
                self._context = self._made()
            except (BusError, OSError):
                self._seen = self._files()
                log.report("door_certificate_unfit", port=self._listen.port)
        return self._context

    def ending(self) -> dict[str, str] | None:
        """Return the end of the agency's own certificate if it ends soon, with what to do; None otherwise."""
        if self._listen.certificate is None:
            return None
        with suppress(OSError, ValueError):
            end = x509.load_pem_x509_certificate(self._listen.certificate.read_bytes()).not_valid_after_utc
            if end - certificate.now() > SOON:
                return None
            ends = f"{end:%Y-%m-%dT%H:%M:%SZ}"
            what = f"The certificate of the door for other machines ends on {ends[:10]}"
            return {"ends": ends, "sentence": f"{what}: put a newer one into the files that `listen` names."}
        return None

    def _files(self) -> tuple[tuple[int, ...], ...]:
        paths = (self._listen.certificate, self._listen.key, self._listen.clients)
        found = [path.stat() for path in paths if path is not None and path.exists()]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _made(self) -> ssl.SSLContext:
        self._seen = self._files()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _OLDEST[self._listen.tls]
        context.set_alpn_protocols(["http/1.1"])
        try:
            if self._authority is not None:
                made = self._authority.issue(self._listen.names)
                self._valid = (made.begins, made.due)
                with piped(made.chain) as first, piped(made.key) as second:
                    context.load_cert_chain(f"/dev/fd/{first}", f"/dev/fd/{second}")
            elif self._listen.certificate is not None:
                # With a password given, OpenSSL asks for none at the terminal.
                context.load_cert_chain(self._listen.certificate, self._listen.key, password=lambda: b"")
            if self._listen.clients is not None:
                context.load_verify_locations(self._listen.clients)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError):
            raise BusError(
                f"{self._listen.who} was not started: `certificate`, `key` or `clients` in `{self._listen.member}` of its "
                "agency.json cannot be used. Check that the files are there, in PEM, without a passphrase, and belong together."
            ) from None
        return context

    async def serve(self, make: Callable[[], asyncio.Protocol], backlog: int) -> asyncio.Server:
        """Accept connections; *make* returns the protocol of one that is through with its handshake."""
        return await asyncio.get_running_loop().create_server(
            lambda: _Handshake(self, make), sock=self.socket.dup(), backlog=backlog
        )

    def admit(self, handshake: "_Handshake") -> None:
        """Take a new connection; if too many are not through with their handshake, cut off the oldest."""
        if len(self._shaking) >= HANDSHAKES:
            next(iter(self._shaking)).cut_off()
        self._shaking[handshake] = None

    def leave(self, handshake: "_Handshake") -> None:
        """Forget a connection that is through with its handshake, or gone."""
        self._shaking.pop(handshake, None)

    def cut_off(self) -> None:
        """Cut off every connection that is not through with its handshake."""
        for each in list(self._shaking):
            each.cut_off()


class _Handshake(asyncio.Protocol):
    """A connection until the end of its TLS handshake; the protocol behind it is told nothing before."""

    def __init__(self, listener: TlsListener, make: Callable[[], asyncio.Protocol]) -> None:
        self._listener, self._make = listener, make
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy: a stream's transport
        self._transport = transport
        transport.pause_reading()
        self._listener.admit(self)
        self._task = asyncio.get_running_loop().create_task(self._shake(transport))

    def cut_off(self) -> None:
        """End the connection at once."""
        self._listener.leave(self)
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    async def _shake(self, transport: asyncio.Transport) -> None:
        early = _Early()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                early,
                self._listener.context(),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            transport.abort()
            return
        except Exception:
            transport.abort()
            raise
        finally:
            self._listener.leave(self)
        if secured is None or early.is_lost:
            transport.abort()
            return
        protocol = self._make()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        if early.data:
            protocol.data_received(bytes(early.data))


class _Early(asyncio.Protocol):
    """Keeper of what a client sends right behind its handshake."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.is_lost = True


def _bound(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ip_address(listen.address).version == 6 else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((listen.address, listen.port))
        found.listen()  # at once, as the door on this machine does (`http_server`): a port that is only bound can be taken
    except PermissionError:
        found.close()
        raise BusError(
            f"{listen.who} was not started: this account may not listen on port {listen.port}. Give `{listen.member}` in its "
            f"agency.json a port above 1023, and have the firewall pass port {listen.port} on to it."
        ) from None
    except OSError:
        found.close()
        raise BusError(
            f"{listen.who} was not started: this machine does not have the address {listen.address}, or another program has "
            f"port {listen.port} there. Correct `{listen.member}` in its agency.json, or end that program."
        ) from None
    return found
