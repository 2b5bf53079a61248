"""The file that goes from an agency to its admitters, and back: the entry as far as it is signed, and what comes with it.

It holds public keys and signatures only, and may be sent by any way: whoever alters it, breaks a signature.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from nrmbus.bus.folder import write_json
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Entry, body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.events.model import AgencyId, CaseRef, Code, Frozen, Time
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import SigningKey

LARGEST: Final = 4 * 1024 * 1024
Pem = Annotated[str, Field(max_length=8192)]


class Disposal(Frozen):
    """What an agency that leaves did with one case: its own copy is deleted, or handed to another agency."""

    bus: Code
    agency: AgencyId
    case: CaseRef
    outcome: Literal["deleted", "handed_over"]
    to: AgencyId | None = None
    at: Time


class Request(Frozen):
    """The file. *certificate* and *ca* come back with the admission."""

    form: Literal["nrmbus-request/1"] = "nrmbus-request/1"
    entry: Entry
    csr: Pem | None = None
    disposals: tuple[Annotated[str, Field(max_length=4096)], ...] = ()
    certificate: Pem | None = None
    ca: Pem | None = None

    @classmethod
    def read(cls, path: Path) -> "Request":
        """Read the file at *path*.

        Raises:
            DirectoryError: ``request_malformed``, ``request_changed`` where what came with the entry is not what it names.
            OSError: it cannot be read.
        """
        return cls.parsed(path.read_bytes())

    @classmethod
    def parsed(cls, raw: bytes) -> "Request":
        """Read what stands in a file or a record. Raises DirectoryError as `read`."""
        found = None
        try:
            if len(raw) <= LARGEST:
                found = cls.model_validate_json(json.dumps(json.loads(raw, limit=LARGEST)))
        except (WireError, ValidationError):
            found = None
        if found is None:
            raise DirectoryError("request_malformed")
        if found.entry.csr != (digest(found.csr) if found.csr is not None else None):
            raise DirectoryError("request_changed")
        if found.entry.cases != (digest(*found.disposals) if found.disposals else None):
            raise DirectoryError("request_changed")
        return found

    def write(self, path: Path) -> None:
        """Write the file to *path*, whole or not at all, for its owner only."""
        write_json(path, body_of(self))

    def having(self, entry: Entry, certificate: bytes | None = None, ca: bytes | None = None) -> "Request":
        """The same with *entry* one step on, and what the authority answered."""
        return Request(
            entry=entry,
            csr=self.csr,
            disposals=self.disposals,
            certificate=certificate.decode("ascii") if certificate else self.certificate,
            ca=ca.decode("ascii") if ca else self.ca,
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
        DirectoryError: ``request_invalid``: one is not signed by it, or is another's.
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
        if body.outcome == "handed_over" and (body.to is None or not directory.knows(body.to)):
            raise DirectoryError("request_invalid")
        found.add(body.case)
    return frozenset(found)
