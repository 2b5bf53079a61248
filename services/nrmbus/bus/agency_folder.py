"""Folder of one agency's desk below the folder of its bus, and what its ``agency.json`` sets."""

import json
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.errors import NoBus

BACKED_UP: Final = "backup.json"
"""File that says, in the folder that was backed up, when the last backup was complete."""
OLD_BACKUP: Final = timedelta(days=1)
"""Age from which the last backup is too old, if there was a backup."""


def backed_up(path: Path) -> datetime | None:
    """Return when the last backup of the folder at *path* was complete; None if none is known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return datetime.fromisoformat(json.loads((path / BACKED_UP).read_bytes())["made"])
    return None


@dataclass(frozen=True, slots=True)
class AgencySettings:
    """Settings of one agency: its ``agency.json``. Admission writes the first part of it, a person the rest."""

    capacity: Any = field(default_factory=dict)
    """A shelter's places by category of person, like `{"women": 4, "children": 2}`; admission writes those of `--agencies FILE`.
    A change holds from the next start of the desk."""
    speaks: Any = field(default_factory=dict)
    """Versions of events that the agency's own system speaks, by type, like `{"referral.submitted": 2}`; version 1 if not named."""
    reader: Any = None
    """Staff number of the person who answers for readings by the agency's system; without it each reading names its reader."""
    port: Any = None
    """Port of the desk's door on 127.0.0.1; without it the desk chooses one and keeps it."""
    listen: Any = None
    """Address of the desk's door for other machines, always by TLS, like `{"address": "10.1.2.3", "port": 8443, "names": ["desk.example.org"]}`; without it only this machine reaches the door."""
    requests_a_minute: Any = None
    """Requests a minute that each token of the agency's systems may send at the door, unless it has a limit of its own; 6000 without it."""
    ledger: Any = None
    """Address of the desk's ledger on a PostgreSQL server, like `postgresql://USER@HOST/DATABASE`, never with a password; without it the ledger is a file."""
    edge: Any = field(default_factory=list)
    """Adapters for other standards above the desk's door, like `["cloudevents", "fhir"]`; none without it."""
    smtp: Any = None
    """Mail server for notices to the agency's people, which have no content: `host` and `from`, `port`, `tls` (`starttls`, `implicit`, or `none` to this machine), `user` with `password_file`, `ca` with the server's own authority, and `pages`, the address that a mail leads to, like `{"host": "mail.example.org", "from": "notices@example.org", "user": "desk", "password_file": "/run/credentials/nrmbus-desk@ngo-b.service/smtp", "pages": "https://desk.example.org:8443"}`; without it nobody gets mail."""
    staff: Any = None
    """Sign-in of the agency's people: `roles` with the permissions of a role that are to differ, `provider` with an OpenID provider that signs them in, like `{"roles": {"worker": ["read_cases", "publish"]}, "provider": {"issuer": "https://id.example.org", "client_id": "nrmbus", "secret_file": "/run/credentials/nrmbus-desk@ngo-b.service/oidc"}}`; without it passwords and second factors, and the permissions of desk/staff/roles.yaml."""
    public: Any = None
    """Public page of a hotline with anonymous messages, like `{"name": {"az": "…", "en": "…", "ru": "…"}, "run_by": "ngo", "phone": "…", "port": 8480}`; none without it. `services/nrmbus/public/README.md` has its members."""
    webhooks: Any = None
    """Receivers of webhooks beyond the public internet: `networks` that the desk may send to, `http_on_loopback` for tests, `ca` with the receivers' own authority, like `{"networks": ["10.1.0.0/16"], "ca": "/etc/ssl/agency.pem"}`; without it only public addresses by https."""


MEMBERS: Final = ("agency", "role", "supervisor", *(each.name for each in fields(AgencySettings)))
"""Names in ``agency.json``: who the agency is, and what is set for its desk and its public page."""


@dataclass(frozen=True, slots=True)
class AgencyFolder:
    """The folder of one agency's desk."""

    path: Path

    @property
    def id(self) -> str:
        """The agency's id in the directory."""
        return self.path.name

    @property
    def backed_up(self) -> datetime | None:
        """Return when the last backup of this folder, or of the bus's folder around it, was complete; None if none is known."""
        found = (backed_up(self.path), backed_up(self.path.parent.parent))
        return max((each for each in found if each is not None), default=None)

    @property
    def agency_json(self) -> Path:
        """Role, supervisor and settings of the agency; its desk is started when the file appears."""
        return self.path / "agency.json"

    @property
    def admitting_json(self) -> Path:
        """What ``agency.json`` will have once the directory has the agency."""
        return self.path / ".admitting.json"

    @property
    def settings(self) -> AgencySettings:
        """What ``agency.json`` sets; a service of the bus with a desk has none. Values are not checked.

        Raises:
            NoBus: the file cannot be read.
        """
        found = self._set()
        return AgencySettings(**{each.name: found[each.name] for each in fields(AgencySettings) if each.name in found})

    @property
    def unread(self) -> str | None:
        """Return a sentence if ``agency.json`` has names that are none of `MEMBERS`, which it does not repeat; None otherwise.

        Such a name stops no start, since an earlier release that came back finds settings of the later one.

        Raises:
            NoBus: the file cannot be read.
        """
        count = len(self._set().keys() - set(MEMBERS))
        if not count:
            return None
        members = "a member" if count == 1 else f"{count} members"
        return f"{self.agency_json} has {members} that this release does not read: the names are {', '.join(MEMBERS)}."

    def _set(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.agency_json.read_bytes()))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError):
            raise NoBus(f"{self.agency_json} is not a JSON object: correct it, or restore it from a backup.") from None

    @property
    def keys(self) -> Path:
        """The folder of its private keys, ``signing.seed``, ``sealing.seed`` and ``witness.seed``."""
        return self.path / "keys"

    @property
    def ledger(self) -> Path:
        """The desk's database."""
        return self.path / "ledger.sqlite"

    @property
    def door(self) -> Path:
        """Address and token of the desk's door."""
        return self.path / "door.json"
