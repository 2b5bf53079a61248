"""Records of the directory as models: an agency's entry, the list of admitters, a head; and the signed bytes of each.

An entry carries three kinds of signatures: the operator's around it (DSSE, thing ``directory``), two admitters' over
`admission_of` it (thing ``admission``), and over `request_of` it (thing ``request``) those of the agency's new keys and
of its key before.
"""

from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from nrmbus.bus.reach import SIGNED_ADDRESS
from nrmbus.events.model import AgencyId, Code, Digest, Frozen, Time
from nrmbus.wire import ids, json

NOTHING_BEFORE: Final = "0" * 64
"""``previous`` of an agency's first entry."""

Kind = Literal["admitted", "rotated", "lost", "confirmed", "suspended", "resumed", "retired"]
"""Kinds of entries: with ``confirmed`` the agency proves that it opened the challenge to its new sealing key."""

Ed25519 = Annotated[str, Field(max_length=64, description="Ed25519 public key, 32 bytes, base64")]
Kid = Annotated[str, Field(pattern=r"^ed25519:[0-9a-f]{32}$")]

SIGNATURES: Final = 8
"""How many admitters' signatures an entry or a list has at most; two are wanted."""

CHANGES_KEYS: Final = frozenset({"admitted", "rotated", "lost"})
"""Kinds that bring keys; every other repeats those of the entry before."""


class Signature(Frozen):
    """One signature over a request or an admission."""

    keyid: Kid
    sig: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$", description="Ed25519 signature, 64 bytes, base64")]


class LogEntry(Frozen):
    """The public keys that sign the checkpoints of the auditor's logs."""

    ed25519: Ed25519
    mldsa44: Annotated[str, Field(max_length=1800, description="ML-DSA-44 public key, 1312 bytes, base64")]


Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\P{C}+$")]
"""One line for people to read, with nothing that moves a cursor or turns text round."""


class Contact(Frozen):
    """How a person finds the agency. Public on the bus: a shelter whose place is secret leaves its address out."""

    name: Annotated[Line, Field(description="The agency's name, as people know it")]
    address: Annotated[Line | None, Field(description="Where it receives people; absent: not to be known")] = None
    phone: Annotated[
        str | None, Field(pattern=r"^\+?[0-9][0-9 ()/-]{1,30}$", description="Its office's number, nobody's own")
    ] = None


class Challenge(Frozen):
    """32 random bytes, sealed to the new sealing key: who opens them holds it."""

    sealed: Annotated[str, Field(max_length=1600, description="HPKE, as a letter's wrapped key, base64")]
    digest: Annotated[Digest, Field(description="SHA-256 of a label and the 32 bytes")]


class Entry(Frozen):
    """One step of one agency: its role and public keys from *valid_from* on."""

    bus: Code
    number: Annotated[int, Field(ge=1, description="Over all entries of the bus, without gaps")]
    agency: AgencyId
    step: Annotated[int, Field(ge=1, description="Over the entries of this agency, without gaps")]
    previous: Annotated[Digest, Field(description="Digest of the admission before; zeros for the first")]
    kind: Kind
    role: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
    supervisor: AgencyId | None = None
    contact: Contact | None = None
    signing: Ed25519
    sealing: Annotated[str, Field(max_length=1700, description="X-Wing public key, 1216 bytes, base64")]
    witness: Annotated[
        str | None, Field(max_length=64, description="Ed25519 public key, 32 bytes, base64; absent: not a witness")
    ] = None
    log: LogEntry | None = None
    csr: Annotated[Digest | None, Field(description="SHA-256 of the certificate request that came with it")] = None
    cases: Annotated[Digest | None, Field(description="SHA-256 of what a retired agency signed of each case")] = None
    until: Annotated[Time | None, Field(description="How long the keys before are good for what is under way")] = None
    made: Annotated[Time, Field(description="When the admitters signed first, or the agency confirmed")]
    valid_from: Time
    challenge: Challenge | None = None
    opened: Annotated[str | None, Field(max_length=44, description="What the challenge held, 32 bytes, base64")] = None
    asked: Annotated[tuple[Signature, ...], Field(max_length=4, description="By the agency's keys")] = ()
    admitted: Annotated[tuple[Signature, ...], Field(max_length=SIGNATURES, description="By admitters")] = ()

    @property
    def lacks_overlap(self) -> bool:
        """Return whether the old keys would end before the new ones begin."""
        return self.until is not None and self.until < self.valid_from


class AdmitterKey(Frozen):
    """A person who may admit, by a name and a key of their own."""

    name: AgencyId
    key: Ed25519


class Admitters(Frozen):
    """Admitters from now on, and the key that signs heads. The operator signs the first list, two admitters each later one."""

    bus: Code
    number: Annotated[int, Field(ge=1)]
    admitters: Annotated[tuple[AdmitterKey, ...], Field(min_length=2, max_length=64)]
    head: Annotated[Ed25519, Field(description="Signs heads of the directory: Ed25519 public key, 32 bytes, base64")]
    previous: Digest
    admitted: Annotated[
        tuple[Signature, ...], Field(max_length=SIGNATURES, description="By admitters of the list before")
    ] = ()


class Head(Frozen):
    """How far the directory goes, as signed every hour by the wall's clock."""

    bus: Code
    number: Annotated[int, Field(ge=0, le=json.MAX_INTEGER)]
    digest: Digest
    time: Annotated[Time, Field(description="By the wall's clock, on a bus for playing too")]
    addresses: Annotated[
        tuple[Annotated[str, Field(pattern=SIGNED_ADDRESS, max_length=270)], ...] | None,
        Field(max_length=16, description="Where agencies reach the broker, HOST:PORT each; absent if none does"),
    ] = None


_BY_AGENCY: Final = (
    "bus", "agency", "step", "previous", "kind", "role", "supervisor", "signing", "sealing", "witness", "log", "csr",
    "cases", "until", "contact", "opened",
)  # fmt: skip
_BY_ADMITTERS: Final = (*_BY_AGENCY[:-1], "made", "valid_from", "challenge")


def body_of(entry: Frozen) -> dict[str, Any]:
    """Return the JSON members of *entry*, without absent ones."""
    return entry.model_dump(mode="json", exclude_none=True)


def _picked(entry: Entry, names: tuple[str, ...]) -> bytes:
    body = body_of(entry)
    return json.dumps({name: body[name] for name in names if name in body})


def request_of(entry: Entry) -> bytes:
    """Return the canonical JSON of *entry* that the agency signs."""
    return _picked(entry, _BY_AGENCY)


def admission_of(entry: Entry | Admitters) -> bytes:
    """Return the canonical JSON of *entry* that each admitter signs, without the number, which the operator gives."""
    if isinstance(entry, Entry):
        return _picked(entry, _BY_ADMITTERS)
    return json.dumps({name: each for name, each in body_of(entry).items() if name not in ("number", "admitted")})


def digest_of(entry: Entry | Admitters) -> str:
    """Return the digest that the agency's next entry, or the next list, names as ``previous``."""
    return json.digest(admission_of(entry))


def challenge_info(bus: str, agency: str, step: int, kid: str) -> bytes:
    """Return the label that a challenge is sealed under: it opens for this agency, step and key only."""
    return b"nrmbus/challenge/v1\0" + b"".join(map(ids.lp, (bus, agency, str(step), kid)))


def challenge_digest(secret: bytes) -> str:
    """Return the commitment of an entry to the challenge's *secret* (32 bytes)."""
    return sha256(b"nrmbus/challenge/v1\0" + secret).hexdigest()
