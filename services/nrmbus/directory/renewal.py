"""Another certificate for an agency on a machine of its own, asked for by file; where the operator is, it renews itself.

The file goes to the operator and back: the agency signs what it asks for with the signing key that is current, so nobody
else is certified in its name, and a suspended agency not at all.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from nrmbus.bus import certificate
from nrmbus.bus.authority import Authority
from nrmbus.bus.folder import BusFolder, write_json
from nrmbus.bus.gate import Gate
from nrmbus.bus.reach import Tls
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.heads import utc_time
from nrmbus.directory.operator import Identity, Operator, operator_key
from nrmbus.directory.requests import LARGEST, Pem, Word, believe
from nrmbus.events.model import AgencyId, Code, Frozen, Time
from nrmbus.wire import files, json, statement
from nrmbus.wire.errors import WireError

GOOD_FOR: Final = timedelta(days=7)
"""How old a request may be: one that was found on an old disk asks for nothing."""


class Asked(Frozen):
    """What the agency signs."""

    bus: Code
    agency: AgencyId
    csr: Pem
    made: Time


class Renewal(Frozen):
    """The file. *certificate* and *ca* come back, and *word*, the operator's on both."""

    form: Literal["nrmbus-renewal/1"] = "nrmbus-renewal/1"
    asked: Annotated[str, Field(max_length=32768)]
    certificate: Pem | None = None
    ca: Pem | None = None
    word: Word | None = None

    @classmethod
    def read(cls, path: Path) -> "Renewal":
        """Read the file at *path*. Raises DirectoryError ``request_malformed``; OSError when it cannot be read."""
        (raw, _), found = files.read(path, LARGEST + 1), None
        try:
            if len(raw) <= LARGEST:
                found = cls.model_validate_json(json.dumps(json.loads(raw, limit=LARGEST)))
        except (WireError, ValidationError):
            found = None
        if found is None:
            raise DirectoryError("request_malformed")
        return found

    def write(self, path: Path) -> None:
        """Write the file to *path*, whole or not at all, for its owner only."""
        write_json(path, body_of(self))


def ask(folder: BusFolder, agency: str) -> Renewal:
    """At the agency: a request for another certificate of its TLS key, signed with its signing key."""
    home = folder.agency(agency).path
    asked = Asked(
        bus=folder.settings.bus,
        agency=agency,
        csr=certificate.request(Tls(home)).decode("ascii"),
        made=utc_time(),
    )
    return Renewal(asked=statement.sign("request", body_of(asked), Identity.at(home, agency).signing).decode("ascii"))


def asked_by(directory: Directory, renewal: Renewal) -> Asked:
    """What is asked for, once it is known that the agency asks for it, and now.

    Raises:
        DirectoryError: ``request_malformed``; ``request_invalid``: another bus's, too old, or not signed with the key that
            is current, as it is for nobody who is suspended.
    """
    raw, found = renewal.asked.encode(), None
    try:
        found = Asked.model_validate_json(statement.body_of("request", raw))
    except (WireError, ValidationError):
        found = None
    if found is None:
        raise DirectoryError("request_malformed")
    now, sound = utc_time(), False
    try:
        statement.verify("request", raw, lambda kid: directory.verify_key(found.agency, kid, now))
        sound = found.bus == directory.bus and abs(now - found.made) <= GOOD_FOR
    except WireError:
        sound = False
    if not sound:
        raise DirectoryError("request_invalid")
    return found


def issue(folder: BusFolder, directory: Directory, renewal: Renewal) -> Renewal:
    """At the operator: certify what is asked for, and have the broker let it in. Blocking.

    Raises:
        DirectoryError: as `asked_by`.
        NotCertified: the key that comes with it is weak, or another's.
    """
    asked, authority = asked_by(directory, renewal), Authority(folder)
    issued = authority.issue(asked.agency, asked.csr.encode())
    Gate(folder).apply()
    operator = Operator(folder.path)
    pem, ca, word = operator.vouched(folder.settings.bus, asked.agency, issued, authority.brokers_ca)
    return Renewal(asked=renewal.asked, certificate=pem, ca=ca, word=word)


def keep(folder: BusFolder, agency: str, renewal: Renewal) -> None:
    """At the agency: keep the certificate that came back; its desk makes its connections anew at its next start.

    Raises:
        DirectoryError: ``request_invalid`` when there is no certificate in it, ``certificate_altered``.
    """
    if renewal.certificate is None or renewal.ca is None:
        raise DirectoryError("request_invalid")
    came, operator = (renewal.certificate, renewal.ca, renewal.word), operator_key(folder.path)
    believe(folder.settings.bus, agency, *came, operator)
    certificate.keep(Tls(folder.agency(agency).path), renewal.certificate.encode(), renewal.ca.encode())
