"""Standby hosts: machines that the operator admits to run the bus's own services beside those of the first machine.

A service has one signing key, since readers accept one key of an agency at a time (decision 0081). So the signing keys go
to the host, and with the auditor's those of her logs, sealed to a key that the host makes for one request and destroys
afterwards. The host makes its TLS keys, which never leave it: each host has certificates of its own, and the operator can
take them back.

The file goes from the host to the operator and back. It holds public keys, certificates, and the sealed signing keys.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from cryptography import x509
from pydantic import Field

from nrmbus.bus.errors import KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.admission import catch_up, home_of
from nrmbus.directory.commands import read_as
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryCode, DirectoryError
from nrmbus.directory.invitation import digits_of, in_fours
from nrmbus.directory.operator import OF_LOGS, Identity, LogIdentity, Operator, operator_key
from nrmbus.directory.renewal import GOOD_FOR
from nrmbus.directory.requests import Carried, Pem, Word, believe
from nrmbus.events.model import AgencyId, Code, Time
from nrmbus.wire import base64, json
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.ids import lp
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import SealingKey, SealTo, SigningKey
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER

SERVED: Final = (REGISTRAR, TIMEKEEPER, AUDITOR)
"""Services that stand by on another host. Each needs its signing key there, and the auditor the keys of her logs.

A bus whose auditor is elsewhere gives no keys of hers: they are not the operator's.

Nothing is sealed to these services, so their sealing keys stay on the first machine, and the host makes others.
"""
_OWN: Final = "standby"
"""Name of the file of the key to which the answer is sealed."""


class Standby(Carried):
    """The file: a request of a host, and the operator's answer."""

    malformed: ClassVar[DirectoryCode] = "standby_malformed"

    form: Literal["nrmbus-standby/1"] = "nrmbus-standby/1"
    bus: Code
    host: AgencyId
    made: Time
    sealing: Annotated[str, Field(max_length=4096)]
    requests: dict[AgencyId, Pem]
    """Certificate requests by service; none on a bus in plain text."""
    keys: Annotated[str, Field(max_length=16384)] | None = None
    """Signing keys, sealed to *sealing* for this request alone."""
    certificates: dict[AgencyId, Pem] | None = None
    words: dict[AgencyId, Word] | None = None
    """The operator's statement on each certificate and on *ca*, the authority of the broker."""
    ca: Pem | None = None

    @property
    def asked(self) -> bytes:
        """Return the digest of what the host asked."""
        members = {"bus", "host", "made", "sealing", "requests"}
        return hashlib.sha256(json.dumps({key: body_of(self)[key] for key in members})).digest()

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint that two people compare: 32 hex digits in groups of four, over all that the host asked."""
        return in_fours(self.asked.hex())


def ask(folder: BusFolder, host: str) -> Standby:
    """Return the request of this machine to be the standby *host*; make its keys here. An earlier request is void then."""
    own = SealingKey.generate()
    keyfile.write(folder.keys / f"{_OWN}.seed", own.seed)
    requests = {
        each: certificate.request(Tls(home_of(folder, each)), anew=True).decode("ascii")
        for each in (SERVED if folder.settings.tls else ())
    }
    return Standby(
        bus=folder.settings.bus,
        host=host,
        made=wall_now(),
        sealing=base64.encode(own.public),
        requests=requests,
    )


def admit(folder: BusFolder, request: Standby, fingerprint: str) -> Standby:
    """Return *request* with the operator's answer, once the broker lets the host in. Blocking.

    *fingerprint* is what the host's person read out.

    Raises:
        DirectoryError: ``standby_other``, ``other_bus``, ``standby_old``, ``standby_known``, ``standby_malformed``,
            ``not_operator``.
        KafkaFailed: the broker does not answer.
        KafkaError: as `catch_up`.
        NotCertified: a key of the request is weak, or another's.
    """
    operator, authority, at = Operator(folder.path), Authority(folder), certificate.now()
    if digits_of(fingerprint) != digits_of(request.fingerprint):
        raise DirectoryError("standby_other")
    if request.bus != folder.settings.bus:
        raise DirectoryError("other_bus")
    if abs(wall_now() - request.made) > GOOD_FOR:
        raise DirectoryError("standby_old")
    asyncio.run(catch_up(folder))
    if request.host in authority.hosts(at):
        raise DirectoryError("standby_known")
    if set(request.requests) != set(SERVED if folder.settings.tls else ()):
        raise DirectoryError("standby_malformed")
    sealed = _sealed(folder, request)
    certificates, words, ca = dict[str, str](), dict[str, str](), None
    for each in served(folder) if request.requests else ():
        asked = request.requests[each]
        gave = Identity.at(home_of(folder, each), each).signing.kid
        issued = authority.issue(each, asked.encode(), host=request.host, gave=gave)
        certificates[each], ca, words[each] = operator.vouched(folder.settings.bus, each, issued, authority.brokers_ca)
    Gate(folder).apply()
    answer = {"keys": sealed, "certificates": certificates, "words": words, "ca": ca}
    return Standby.model_validate_json(json.dumps({**body_of(request), **{k: v for k, v in answer.items() if v}}))


def served(folder: BusFolder) -> tuple[str, ...]:
    """Return the services whose keys the operator in *folder* can give to a host."""
    return tuple(each for each in SERVED if each != AUDITOR or not folder.audited_elsewhere)


def _sealed(folder: BusFolder, request: Standby) -> str:
    secrets = {
        each: {name: base64.encode(seed) for name, seed in _seeds(home_of(folder, each), each).items()}
        for each in served(folder)
    }
    try:
        seal_to = SealTo(base64.read(request.sealing) or b"")
    except WireError:
        raise DirectoryError("standby_malformed") from None
    return base64.encode(seal_to.wrap(json.dumps(secrets), _info(request)))


def _info(request: Standby) -> bytes:
    return lp("nrmbus standby v1") + lp(request.bus) + lp(request.host) + lp(request.asked)


def _seeds(home: Path, service: str) -> dict[str, bytes]:
    """Return the seeds that a host needs of *service*, by the name of their file in *home*."""
    found = {"signing": Identity.at(home, service).signing.seed}
    if service == AUDITOR:
        log = LogIdentity.at(home)
        found |= dict(zip(OF_LOGS, (log.signing.seed, log.lasting.seed), strict=True))
    return found


async def take(folder: BusFolder, answer: Standby) -> tuple[str, ...]:
    """Keep the operator's *answer* on the standby host, once the directory confirms the keys; the request's own key is destroyed.

    Returns the services that may stand by here.

    Raises:
        DirectoryError: ``standby_unanswered``, ``standby_not_ours``, ``standby_keys``, ``certificate_altered``,
            ``certificate_invalid`` also where this machine's clock is wrong.
        KafkaError: the broker does not answer, or does not let this host in.
    """
    if answer.keys is None:
        raise DirectoryError("standby_unanswered")
    secrets = _opened(folder, answer)
    for each in secrets if answer.requests else ():
        _keep_certificate(folder, each, answer)
    directory = await read_as(folder, folder.service(REGISTRAR))
    for each, seeds in secrets.items():
        _confirm(directory, each, seeds)
    for each, seeds in secrets.items():
        for name, seed in seeds.items():
            keyfile.write(home_of(folder, each) / "keys" / f"{name}.seed", seed)
    folder.be_host(answer.host)
    keyfile.destroy(folder.keys / f"{_OWN}.seed")
    return tuple(secrets)


def is_untaken(folder: BusFolder, answer: Standby) -> bool:
    """Return whether *answer* has keys for this machine that `take` has not kept yet.

    Raises:
        KeysSealed: this process cannot open the key of the request.
    """
    with suppress(DirectoryError):
        return answer.keys is not None and bool(_opened(folder, answer))
    return False


def _confirm(directory: Directory, service: str, seeds: Mapping[str, bytes]) -> None:
    """Raise DirectoryError, ``standby_keys``, unless the *directory* names these keys for *service* now."""
    entry, log = directory.entries.get(service), None
    if service == AUDITOR:
        signing, lasting = (seeds[name] for name in OF_LOGS)
        log = LogIdentity(SigningKey.from_seed(signing), MLDSA44SigningKey(lasting)).public
    current = directory.signing_kid(service, wall_now())
    if entry is None or SigningKey.from_seed(seeds["signing"]).kid != current or (log and log != entry.log):
        raise DirectoryError("standby_keys")


def _opened(folder: BusFolder, answer: Standby) -> dict[str, dict[str, bytes]]:
    """Return the seeds in *answer* by service and name; each service has what `_seeds` gives it."""
    try:
        seed = keyfile.read(folder.keys / f"{_OWN}.seed")
    except FileNotFoundError:
        raise DirectoryError("standby_not_ours") from None
    except keyfile.KeyFileError as error:
        raise KeysSealed(str(error)) from None
    with suppress(LetterClosed, WireError, KeyError, TypeError, AttributeError):
        raw = SealingKey.from_seed(seed).open(base64.read(answer.keys or "") or b"", _info(answer))
        read = json.loads(raw, limit=len(raw))
        of: dict[str, tuple[str, ...]] = {
            each: ("signing", *(OF_LOGS if each == AUDITOR else ())) for each in SERVED if each in read
        }
        found = {each: {name: base64.read(read[each][name]) or b"" for name in names} for each, names in of.items()}
        if all(len(each) == keyfile.SEED_BYTES for seeds in found.values() for each in seeds.values()):
            return found
    raise DirectoryError("standby_not_ours")


def _keep_certificate(folder: BusFolder, service: str, answer: Standby) -> None:
    home = home_of(folder, service)
    pem, ca = (answer.certificates or {}).get(service, ""), answer.ca or ""
    believe(folder.settings.bus, service, pem, ca, (answer.words or {}).get(service), operator_key(folder.path))
    issued = x509.load_pem_x509_certificate(pem.encode())
    if not issued.not_valid_before_utc <= certificate.now() < issued.not_valid_after_utc:
        raise DirectoryError("certificate_invalid")
    certificate.keep(Tls(home), pem.encode(), ca.encode())


def revoke(folder: BusFolder, host: str) -> None:
    """Take the operator's blessing back: every certificate of *host* ends, on open connections too. Blocking.

    Raises:
        DirectoryError: ``standby_unknown``.
        KafkaFailed: the broker does not answer; called again, it does what is left.
        KafkaError: as `catch_up`.
    """
    found = Authority(folder).revoke_host(host)
    asyncio.run(catch_up(folder))
    Gate(folder).apply()  # also for a host taken off before: that call may have been cut before the broker heard of it
    if not found:
        raise DirectoryError("standby_unknown")
