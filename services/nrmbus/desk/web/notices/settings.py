"""Mail server of an agency: the member ``smtp`` of ``agency.json``, read strictly."""

import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from nrmbus.desk.errors import DeskError

Tls = Literal["starttls", "implicit", "none"]
PORTS: Final[dict[Tls, int]] = {"starttls": 587, "implicit": 465, "none": 25}
"""Port of each way, unless another one is set."""
_NAMES: Final = frozenset({"host", "port", "tls", "from", "user", "password_file", "ca", "pages"})
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?P<domain>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)")
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")


@dataclass(frozen=True)
class MailSettings:
    """Where mails are handed over, from whom they come, and the address of the pages that they lead to."""

    host: str
    port: int
    tls: Tls
    sender: str
    user: str | None = None
    password_file: Path | None = None
    authorities: Path | None = None
    pages: str | None = None

    @classmethod
    def read(cls, given: Any) -> Self:
        """Read *given*, the member ``smtp`` of ``agency.json``.

        Raises:
            DeskError: ``smtp_unfit``.
        """
        if not isinstance(given, dict) or not {"host", "from"} <= given.keys() <= _NAMES:
            raise DeskError("smtp_unfit")
        tls = given.get("tls", "starttls")
        if tls not in tuple(PORTS):  # in the dict itself, a list or an object cannot be looked up
            raise DeskError("smtp_unfit")
        port, user = given.get("port", PORTS[tls]), given.get("user")
        texts = (
            given["host"],
            given["from"],
            *(given[name] for name in ("user", "password_file", "ca", "pages") if name in given),
        )
        if not all(isinstance(each, str) and each for each in texts) or type(port) is not int or not 0 < port < 65_536:
            raise DeskError("smtp_unfit")
        found = cls(
            host=given["host"], port=port, tls=tls, sender=given["from"], user=user, password_file=_file(given, "password_file"),
            authorities=_file(given, "ca"), pages=given.get("pages"),
        )  # fmt: skip
        if not found._is_fit:
            raise DeskError("smtp_unfit")
        return found

    @property
    def _is_fit(self) -> bool:
        secured = self.tls != "none" or (_is_here(self.host) and self.user is None)
        try:
            pages = urlsplit(self.pages or "https://here")
        except ValueError:  # a bracket without its other half
            return False
        return (
            secured
            and _HOST.fullmatch(self.host) is not None
            and _ADDRESS.fullmatch(self.sender) is not None
            and (self.user is None) == (self.password_file is None)
            and (pages.scheme == "https" or (pages.scheme == "http" and _is_here(pages.hostname or "")))
            and pages.username is None and bool(pages.hostname) and not (pages.query or pages.fragment)
        )  # fmt: skip

    @property
    def domain(self) -> str:
        """Return the domain of the sender: the only host name that a mail has of this side."""
        return self.sender.rpartition("@")[2]

    @property
    def password(self) -> str | None:
        """Return the password, read from its file at each use, so that a changed one holds at once."""
        return None if self.password_file is None else self.password_file.read_text(encoding="utf-8").strip()

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Return the TLS settings: the system's authorities, or those of the agency's file."""
        return ssl.create_default_context(cafile=self.authorities)


def _file(given: dict[str, Any], name: str) -> Path | None:
    """Return the file that the member *name* names; raise DeskError ``smtp_unfit`` if the desk finds none there."""
    if name not in given:
        return None
    path = Path(given[name])
    with suppress(OSError):  # a folder that is closed to the desk's account
        if path.is_file():
            return path
    raise DeskError("smtp_unfit")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
