"""Address of a ledger on a PostgreSQL server, which never contains a password."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from nrmbus.desk.errors import DeskError

_SCHEMES: Final = ("postgresql", "postgres")
_PASSWORDS: Final = ("password", "sslpassword")
_FILES: Final = ("passfile", "servicefile", "sslrootcert", "sslcert", "sslkey", "sslcrl")
"""Members that name a file. A relative path would mean another file for each folder that a desk is started in."""


@dataclass(frozen=True, slots=True)
class Address:
    """``postgresql://USER@HOST[:PORT]/DATABASE[?sslmode=…&passfile=…]``, as libpq and asyncpg read it."""

    url: str

    @classmethod
    def parse(cls, url: Any) -> Self:
        """Return the address in *url*. Raises DeskError ``ledger_unfit``, also for one with a password or a relative path."""
        try:
            parts = urlsplit(url) if isinstance(url, str) else None
            # to read a port that is none raises ValueError
            is_unfit = parts is None or parts.password is not None or parts.port == 0 or _is_unfit(parts.query)
        except ValueError:
            parts, is_unfit = None, True
        if parts is None or is_unfit or parts.scheme not in _SCHEMES or len(parts.path) < 2:
            raise DeskError("ledger_unfit")
        return cls(url)


def _is_unfit(query: str) -> bool:
    members = parse_qs(query)
    paths = [path for name in _FILES for path in members.get(name, ())]
    return any(name in members for name in _PASSWORDS) or not all(Path(path).is_absolute() for path in paths)
