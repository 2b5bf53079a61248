"""Permissions of the agency's people: closed lists of roles and permissions, and the role's permissions at one agency."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, get_args

import yaml

from nrmbus.desk.errors import DeskError
from nrmbus.packed import packed

Role = Literal["worker", "duty_officer", "supervisor", "administrator"]
Permission = Literal[
    "read_cases", "open_letters", "publish", "decide", "approve", "see_reads", "see_colleagues", "intake",
    "manage_staff", "manage_tokens", "see_health",
]  # fmt: skip
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)
OF_ADMINISTRATORS: Final[frozenset[Permission]] = frozenset(("manage_staff", "manage_tokens", "see_health"))
"""The only permissions that the role of an administrator may have, so that nobody reaches a case by managing accounts."""

DECISIONS: Final = frozenset(
    {
        "identification.reasonable_grounds_decided", "identification.status_decided", "identification.status_revoked",
        "review.decided", "safeguard.best_interests_decided", "access.terminated", "access.revoked",
        "access.break_glass", "access.break_glass_objected", "deadline.lifted",
    }
)  # fmt: skip
"""Types of events that need the permission to decide; every other type needs the permission to publish."""

Given = Mapping[Role, frozenset[Permission]]


class Permitted(Protocol):
    """Anybody with permissions: a member of staff."""

    @property
    def permissions(self) -> frozenset[Permission]:
        """Permissions of the member."""
        ...


def permission_for(type: str) -> Permission:
    """Return the permission that whoever publishes an event of *type* needs."""
    return "decide" if type in DECISIONS else "publish"


def permits(member: Permitted, permission: Permission) -> bool:
    """Return whether *member* has *permission*."""
    return permission in member.permissions


@dataclass(frozen=True, slots=True)
class Provider:
    """OpenID provider of the agency, which signs its members in."""

    issuer: str
    client_id: str
    secret_file: Path | None = None
    """File with the client's secret; None for a public client."""
    is_only: bool = False
    """True if nobody signs in with a password here."""

    @property
    def secret(self) -> str | None:
        """Return the client's secret, read from its file; None for a public client."""
        return None if self.secret_file is None else self.secret_file.read_text(encoding="utf-8").strip()


def _read(found: Any) -> dict[Role, frozenset[Permission]]:
    if not isinstance(found, dict):
        raise DeskError("staff_unfit")
    read = dict[Role, frozenset[Permission]]()
    for role, named in found.items():
        if role not in ROLES or not isinstance(named, list) or not all(each in PERMISSIONS for each in named):
            raise DeskError("staff_unfit")
        read[role] = frozenset(named)
    if not read.get("administrator", OF_ADMINISTRATORS) <= OF_ADMINISTRATORS:
        raise DeskError("staff_unfit")
    return read


@cache
def defaults() -> Given:
    """Return the permissions of each role at an agency that has set nothing."""
    return MappingProxyType(_read(yaml.safe_load(packed("desk/staff/roles.yaml").read_text(encoding="utf-8"))))


@dataclass(frozen=True, slots=True)
class StaffSettings:
    """Settings of an agency for its people: ``staff`` in ``agency.json``."""

    permissions: Given = field(default_factory=defaults)
    provider: Provider | None = None

    @classmethod
    def read(cls, given: Any) -> "StaffSettings":
        """Read *given*, the member ``staff`` of ``agency.json``; None has the defaults.

        Raises:
            DeskError: ``staff_unfit``.
        """
        if given is None:
            return cls()
        if not isinstance(given, dict) or not given.keys() <= {"roles", "provider"}:
            raise DeskError("staff_unfit")
        return cls(_roles(given.get("roles", {})), _provider(given.get("provider")))


def together(roles: Iterable[Role], given: Given) -> frozenset[Permission]:
    """Return what a member with *roles* may do."""
    return frozenset(each for role in roles for each in given[role])


def _roles(found: Any) -> Given:
    return MappingProxyType({**defaults(), **_read(found)})


def _provider(found: Any) -> Provider | None:
    if found is None:
        return None
    names = {"issuer", "client_id", "secret_file", "only"}
    if not isinstance(found, dict) or not {"issuer", "client_id"} <= found.keys() <= names:
        raise DeskError("staff_unfit")
    issuer, client, secret, only = (found.get(each) for each in ("issuer", "client_id", "secret_file", "only"))
    texts = all(isinstance(each, str) and each for each in (issuer, client))
    if not texts or not _is_issuer(str(issuer)) or not isinstance(secret, str | None):
        raise DeskError("staff_unfit")
    if not isinstance(only, bool | None):
        raise DeskError("staff_unfit")
    return Provider(str(issuer), str(client), None if secret is None else Path(secret), bool(only))


def _is_issuer(text: str) -> bool:
    """Return whether *text* can be an issuer (OpenID Connect Discovery 2): by https, with a host, without query and fragment."""
    from httpx import URL, InvalidURL  # noqa: PLC0415 - few agencies have a provider

    try:
        found = URL(text)
    except (InvalidURL, ValueError):
        return False
    is_plain = not found.userinfo and not found.query and not found.fragment and not text.endswith(("?", "#"))
    is_port = found.port is None or 0 < found.port < 65_536
    return text.startswith("https://") and bool(found.host) and is_port and is_plain
