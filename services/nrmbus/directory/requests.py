"""The file that goes from an agency to its admitters, and back: the entry as far as it is signed, and what comes with it.

It holds public keys and signatures only, and may be sent by any way: whoever alters it, breaks a signature. So it is with
what comes back: whoever could put another authority into it, would be the broker to that agency.
"""

import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationError

from nrmbus.bus.folder import write_json
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Entry, body_of
from nrmbus.directory.errors import DirectoryCode, DirectoryError
from nrmbus.directory.fold import SERVICES
from nrmbus.events.model import AgencyId, CaseRef, Code, Digest, Frozen, Time
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import files
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

LARGEST: Final = 4 * 1024 * 1024
Pem = Annotated[str, Field(max_length=8192)]
Word = Annotated[str, Field(max_length=2048)]


class Disposal(Frozen):
    """What an agency that leaves did with one case: its own copy is deleted, or handed to another agency."""

    bus: Code
    agency: AgencyId
    case: CaseRef
    outcome: Literal["deleted", "handed_over"]
    to: AgencyId | None = None
    at: Time


class Issued(Frozen):
    """What the operator signs of a certificate that goes back to an agency: by digest, itself and whoever certified the broker."""

    bus: Code
    agency: AgencyId
    certificate: Digest
    ca: Digest


def vouched(bus: str, agency: str, certificate: str, ca: str, key: SigningKey) -> str:
    """The operator's word that *certificate* is that of *agency*, and that the broker is certified by *ca*; both PEM."""
    body = Issued(bus=bus, agency=agency, certificate=digest(certificate), ca=digest(ca))
    return statement.sign("certificate", body_of(body), key).decode("ascii")


def believe(bus: str, agency: str, certificate: str, ca: str, word: str | None, operator: VerifyKey) -> None:
    """Return if *word* is the operator's, as `vouched` makes it, on just these two.

    Raises:
        DirectoryError: ``certificate_altered``.
    """
    said = None
    try:
        said, _ = statement.verify("certificate", (word or "").encode(), {operator.kid: operator}.__getitem__)
    except WireError:
        said = None
    if said != body_of(Issued(bus=bus, agency=agency, certificate=digest(certificate), ca=digest(ca))):
        raise DirectoryError("certificate_altered")


class Carried(Frozen):
    """What goes between an agency and those who admit: by file, or as a record of its topic."""

    malformed: ClassVar[DirectoryCode] = "request_malformed"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file at *path*. Raises DirectoryError as `parsed`; OSError when it cannot be read."""
        raw, _ = files.read(path, LARGEST + 1)
        return cls.parsed(raw)

    @classmethod
    def parsed(cls, raw: bytes) -> Self:
        """Read what stands in a file or a record. Raises DirectoryError with the code `malformed`."""
        found = None
        try:
            if len(raw) <= LARGEST:
                found = cls.model_validate_json(json.dumps(json.loads(raw, limit=LARGEST)))
        except (WireError, ValidationError):
            found = None
        if found is None:
            raise DirectoryError(cls.malformed)
        return found

    def write(self, path: Path) -> None:
        """Write the file to *path*, whole or not at all, for its owner only."""
        write_json(path, body_of(self))


class Request(Carried):
    """The file. *certificate* and *ca* come back with the admission, and *word*, the operator's on both."""

    form: Literal["nrmbus-request/1"] = "nrmbus-request/1"
    entry: Entry
    csr: Pem | None = None
    disposals: tuple[Annotated[str, Field(max_length=4096)], ...] = ()
    certificate: Pem | None = None
    ca: Pem | None = None
    word: Word | None = None

    @classmethod
    def parsed(cls, raw: bytes) -> Self:
        """As `Carried.parsed`; ``request_changed`` too, where what came with the entry is not what it names."""
        found = super().parsed(raw)
        if found.entry.csr != (digest(found.csr) if found.csr is not None else None):
            raise DirectoryError("request_changed")
        if found.entry.cases != (digest(*found.disposals) if found.disposals else None):
            raise DirectoryError("request_changed")
        return found

    def having(
        self, entry: Entry, certificate: str | None = None, ca: str | None = None, word: str | None = None
    ) -> "Request":
        """The same with *entry* one step on, and what the authority answered."""
        return Request(
            entry=entry,
            csr=self.csr,
            disposals=self.disposals,
            certificate=certificate or self.certificate,
            ca=ca or self.ca,
            word=word or self.word,
        )


def digest(*texts: str) -> str:
    """What an entry names of the *texts* that come with it."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def disposed(body: Disposal, key: SigningKey) -> str:
    """*body*, signed by the agency that leaves."""
    return statement.sign("erasure", body_of(body), key).decode("ascii")


def disposed_cases(directory: Directory, request: Request) -> frozenset[str]:
    """The cases of which the agency of *request* has signed what it did.

    Raises:
        DirectoryError: ``request_invalid``: one is not signed by it, is another's, or names nobody who could take the case over.
    """
    agency, found = request.entry.agency, set()
    for each in request.disposals:
        body = None
        try:
            raw, _ = statement.verify("erasure", each.encode(), lambda kid: directory.any_verify_key(agency, kid))
            body = Disposal.model_validate_json(json.dumps(raw))
        except (WireError, ValidationError):
            body = None
        if body is None or (body.bus, body.agency) != (directory.bus, agency):
            raise DirectoryError("request_invalid")
        if body.outcome == "handed_over" and not _takes_over(directory, body):
            raise DirectoryError("request_invalid")
        found.add(body.case)
    return frozenset(found)


def _takes_over(directory: Directory, said: Disposal) -> bool:
    """Whether a case may have been handed over as *said*: to another agency, that has not left itself."""
    to = said.to
    return (
        to is not None
        and to not in {said.agency, *SERVICES}
        and directory.state(to, said.at) in ("admitted", "suspended")
    )
