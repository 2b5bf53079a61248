"""Request file between an agency and its admitters: the entry with its signatures so far, and its attachments.

The file holds public keys and signatures only, and may be sent by any channel: an alteration breaks a signature. The
operator signs the answer too, since with another authority in it somebody could act as the broker to that agency.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationError

from nrmbus.bus.private_files import json_lines, write_private
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Entry, body_of
from nrmbus.directory.errors import DirectoryCode, DirectoryError
from nrmbus.directory.fold import SERVICES
from nrmbus.events.model import AgencyId, CaseRef, Code, Digest, Frozen, Time
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import files
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a file or record, unless its class says otherwise."""
Pem = Annotated[str, Field(max_length=8192)]
Word = Annotated[str, Field(max_length=2048)]


class Disposal(Frozen):
    """Declaration of a leaving agency about one case: its copy is deleted, or handed over to another agency."""

    bus: Code
    agency: AgencyId
    case: CaseRef
    outcome: Literal["deleted", "handed_over"]
    to: AgencyId | None = None
    at: Time


class Issued(Frozen):
    """Operator's statement on an issued certificate: digests of the certificate and of the broker's authority."""

    bus: Code
    agency: AgencyId
    certificate: Digest
    ca: Digest


def vouched(bus: str, agency: str, certificate: str, ca: str, key: SigningKey) -> str:
    """Return the operator's statement that *certificate* is that of *agency* and *ca* certifies the broker; both PEM."""
    body = Issued(bus=bus, agency=agency, certificate=digest(certificate), ca=digest(ca))
    return statement.sign("certificate", body_of(body), key).decode("ascii")


def believe(bus: str, agency: str, certificate: str, ca: str, word: str | None, operator: VerifyKey) -> None:
    """Return if *word* is the operator's, as `vouched` makes it, on just these two.

    Raises:
        DirectoryError: ``certificate_altered``.
    """
    said = None
    with suppress(WireError):
        said, _ = statement.verify("certificate", (word or "").encode(), {operator.kid: operator}.__getitem__)
    if said != body_of(Issued(bus=bus, agency=agency, certificate=digest(certificate), ca=digest(ca))):
        raise DirectoryError("certificate_altered")


class Carried(Frozen):
    """File or topic record that agency, admitters and operator exchange."""

    malformed: ClassVar[DirectoryCode] = "request_malformed"
    largest: ClassVar[int] = LARGEST

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file at *path*. Raises DirectoryError as `parsed`; OSError when it cannot be read."""
        raw, _ = files.read(path, cls.largest + 1)
        return cls.parsed(raw)

    @classmethod
    def parsed(cls, raw: bytes) -> Self:
        """Read what stands in a file or a record. Raises DirectoryError with the code `malformed`."""
        with suppress(WireError, ValidationError):
            if len(raw) <= cls.largest:
                return cls.model_validate_json(json.dumps(json.loads(raw, limit=cls.largest)))
        raise DirectoryError(cls.malformed)

    @property
    def written(self) -> bytes:
        """The content of the file.

        Raises:
            DirectoryError: ``request_large``: `read` would refuse it.
        """
        raw = json_lines(body_of(self))
        if len(raw) > self.largest:
            raise DirectoryError("request_large")
        return raw

    def write(self, path: Path) -> None:
        """Write the file to *path*, whole or not at all, for its owner only. Raises DirectoryError as `written`."""
        write_private(path, self.written)


class Request(Carried):
    """The file. *certificate* and *ca* come back with the admission, and *word*, the operator's on both.

    An agency that leaves declares something of each case in a list of 8 MiB, the longest of `nrmbus agency retire --cases`.
    """

    largest: ClassVar[int] = 128 * 1024 * 1024
    form: Literal["nrmbus-request/1"] = "nrmbus-request/1"
    entry: Entry
    csr: Pem | None = None
    disposals: tuple[Annotated[str, Field(max_length=4096)], ...] = ()
    certificate: Pem | None = None
    ca: Pem | None = None
    word: Word | None = None

    @classmethod
    def parsed(cls, raw: bytes) -> Self:
        """Parse as `Carried.parsed`; raise ``request_changed`` too if an attachment is not the one that the entry names."""
        found = super().parsed(raw)
        if found.entry.csr != (digest(found.csr) if found.csr is not None else None):
            raise DirectoryError("request_changed")
        if found.entry.cases != (digest(*found.disposals) if found.disposals else None):
            raise DirectoryError("request_changed")
        return found

    def having(
        self, entry: Entry, certificate: str | None = None, ca: str | None = None, word: str | None = None
    ) -> "Request":
        """Return the request with *entry* one step on, and with the authority's answer."""
        return Request(
            entry=entry,
            csr=self.csr,
            disposals=self.disposals,
            certificate=certificate or self.certificate,
            ca=ca or self.ca,
            word=word or self.word,
        )


def digest(*texts: str) -> str:
    """Return the digest by which an entry names its attachments *texts*."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def disposed(body: Disposal, key: SigningKey) -> str:
    """Return *body*, signed by the agency that leaves."""
    return statement.sign("erasure", body_of(body), key).decode("ascii")


def disposed_cases(directory: Directory, request: Request) -> frozenset[str]:
    """Return the cases for which the agency of *request* has signed its declaration.

    Raises:
        DirectoryError: ``request_invalid``: a declaration is unsigned, another agency's, or names no possible new holder.
    """
    agency, found = request.entry.agency, set()
    for each in request.disposals:
        body = None
        with suppress(WireError, ValidationError):
            raw, _ = statement.verify("erasure", each.encode(), lambda kid: directory.any_verify_key(agency, kid))
            body = Disposal.model_validate_json(json.dumps(raw))
        if body is None or (body.bus, body.agency) != (directory.bus, agency):
            raise DirectoryError("request_invalid")
        if body.outcome == "handed_over" and not _takes_over(directory, body):
            raise DirectoryError("request_invalid")
        found.add(body.case)
    return frozenset(found)


def _takes_over(directory: Directory, disposal: Disposal) -> bool:
    """Return whether the case may have been handed over as *disposal*: to another agency that has not left itself."""
    to = disposal.to
    return (
        to is not None
        and to not in {disposal.agency, *SERVICES}
        and directory.state(to, disposal.at) in ("admitted", "suspended")
    )
