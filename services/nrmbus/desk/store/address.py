"""Address of a ledger on a PostgreSQL server, which never contains a password."""

from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from nrmbus.desk.errors import DeskError

_SCHEMES: Final = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class Address:
    """``postgresql://USER@HOST[:PORT]/DATABASE[?sslmode=…&passfile=…]``, as libpq and asyncpg read it."""

    url: str

    @classmethod
    def parse(cls, url: Any) -> Self:
        """Return the address in *url*. Raises DeskError ``ledger_unfit``, also for one with a password."""
        try:
            parts = urlsplit(url) if isinstance(url, str) else None
            is_unfit = parts is None or parts.password is not None or "password" in parse_qs(parts.query)
            is_unfit = is_unfit or parts is None or parts.port == 0  # to read a port that is none raises ValueError
        except ValueError:
            parts, is_unfit = None, True
        if parts is None or is_unfit or parts.scheme not in _SCHEMES or len(parts.path) < 2:
            raise DeskError("ledger_unfit")
        return cls(url)
