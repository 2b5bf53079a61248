"""The town of all tests: its agencies, their roles and keys, the operator, the directory and the Rules.

Everybody and everything is invented; an id has the same role in every room. Keys take time to make: those of an agency are made
once a process, when they are first needed, and so is the directory of each bus. A `Town` has its own tables, so a test may
change it; `town` is the shared one, which nobody changes.
"""

import atexit
import hashlib
import shutil
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from nrmbus.directory import Directory, Identity, LogIdentity, Operator
from nrmbus.rules import Agency, Rules, load_profile
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import Cosigner, message
from nrmbus.wire.log.note import Signature, key_id_of

BUS: Final = "play-0123456789abcdef"
POLICY: Final = "az@2022-04-29"
JOINED: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When everybody was admitted."""
NOW: Final = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
"""Monday, 9:00 in Baku."""
CASE: Final = "ab" * 16
SIGNAL: Final[dict[str, Any]] = {
    "detector": "ngo_outreach", "child": False, "urgency": "emergency", "detected_abroad": False, "basis": ["indicators"],
}  # fmt: skip
"""The data of the first event of a case."""

ROLES: Final[Mapping[str, str]] = {
    "ngo-a": "ngo_outreach",
    "ngo-l": "ngo_legal",
    "special-unit": "special_unit",
    "shelter": "shelter_state",
    "ngo-shelter": "ngo_shelter",
    "vac": "vac",
    "fund": "fund",
    "migration": "migration",
    "police-x": "police_other",
    "embassy": "embassy",
    "consulate": "consulate",
    "iom": "international_organisation",
    "district": "education",
    "school": "education",
    "hospital": "health",
    "guardianship": "guardianship",
    "child-commission": "child_commission",
    "court": "court",
    "auditor": "auditor",
    "prosecution": "prosecution",
    "coordinator": "coordinator",
    "timekeeper": "timekeeper",
    "statistics": "statistics",
    "registrar": "registrar",
}
"""Id and role of everybody, in the order in which they joined: the directory's last entry is the registrar's."""
SUPERVISORS: Final[Mapping[str, str]] = {"school": "district"}
AGENCIES: Final[Mapping[str, Agency]] = {id: Agency(id, role, SUPERVISORS.get(id)) for id, role in ROLES.items()}


def reference(alias: str) -> str:
    """Return the 128 random bits that *alias* stands for; here not random, so that tests repeat."""
    return hashlib.sha256(alias.encode()).hexdigest()[:32]


@cache
def home() -> Path:
    """Return the folder of all keys of this process; it goes with the process."""
    folder = Path(mkdtemp(prefix="town-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def operator() -> Operator:
    """Return the operator, whose two admitters' keys are in `home` too."""
    return Operator(home())


@cache
def identity(agency: str, turn: str = "") -> Identity:
    """Return the keys of *agency*, which lie in a folder of its name in `home`; other keys for each *turn*."""
    return Identity.at(home() / agency / turn, agency)


@cache
def log_keys() -> LogIdentity:
    """Return the keys with which the auditor signs logs."""
    return LogIdentity.at(home() / "auditor")


def cosignature(agency: str, text: bytes, time: int) -> Signature:
    """Return the co-signature of *agency*'s witness on the checkpoint *text*; a *time* of 0 is none, as no desk signs it."""
    witness = identity(agency).witness
    verifier = Cosigner(witness_name(BUS, agency), witness).verifier
    signed = witness.sign(message(verifier.kind, verifier.name, text, time))
    return Signature(verifier.name, key_id_of(verifier), time.to_bytes(8) + signed)


class Town:
    """Everybody on one bus, with keys and a directory."""

    def __init__(
        self, bus: str = BUS, roles: Mapping[str, str] = ROLES, since: datetime = JOINED, policy: str = POLICY
    ) -> None:
        """Let everybody of *roles* have joined the *bus* at *since*; *policy* is in force there."""
        self.bus = bus
        self.operator = operator()
        self.directory = _copied(_joined(bus, tuple(roles.items()), since))
        self.identities = {agency: identity(agency) for agency in roles}
        self.agencies = {agency: Agency(agency, role, SUPERVISORS.get(agency)) for agency, role in roles.items()}
        self.rules = Rules(load_profile(policy), self.agencies)

    def admit(self, agency: str, role: str, since: datetime = JOINED) -> None:
        """Have *agency* join too."""
        _admit(self.directory, agency, role, since)
        self.identities[agency] = identity(agency)
        self.agencies[agency] = Agency(agency, role)


@cache
def town() -> Town:
    """Return the town that nobody changes."""
    return Town()


@cache
def _joined(bus: str, roles: tuple[tuple[str, str], ...], since: datetime) -> Directory:
    directory = Directory(bus, VerifyKey(operator().public))
    for agency, role in roles:
        _admit(directory, agency, role, since)
    return directory


def _admit(directory: Directory, agency: str, role: str, since: datetime) -> None:
    keys = log_keys() if agency == "auditor" else None
    entry = operator().entry(directory, identity(agency), role, since, SUPERVISORS.get(agency), keys)
    assert entry is not None, f"{agency} has joined already"
    directory.add(entry)


def _copied(directory: Directory) -> Directory:
    """Return a directory with the same entries that goes on from here by itself; what its tables hold never changes."""
    twin = copy(directory)
    for name, table in vars(directory).items():
        if isinstance(table, list | dict):
            setattr(twin, name, table.copy())
    return twin
