"""Keys on disk: an agency's own, and those of the operator and of admitters, who make entries of the directory."""

import base64
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, Self

from nrmbus.bus.errors import KeysSealed
from nrmbus.bus.private_files import locked_folder, write_private
from nrmbus.directory import joining, requests
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import AdmitterKey, Admitters, Contact, Entry, Head, LogEntry, body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import SERVICES, TWO
from nrmbus.wire import ids, statement, times
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import files, keyfile
from nrmbus.wire.keys.keys import SealingKey, SigningKey, VerifyKey
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer


def operator_key(home: Path) -> VerifyKey:
    """Return the operator's public key in *home*/keys/operator.pub, which a service or a desk trusts.

    Raises:
        DirectoryError: ``operator_key_missing``: the bus was not set up, or the file was not copied to this machine;
            ``operator_key_malformed``.
    """
    try:
        with suppress(ValueError, WireError):
            raw, _ = files.read(home / "keys" / OPERATOR_KEY, _KEY_LINE)
            return VerifyKey(bytes.fromhex(raw.decode("ascii").strip()))
    except FileNotFoundError:
        raise DirectoryError("operator_key_missing") from None
    except OSError:
        pass
    raise DirectoryError("operator_key_malformed")


OPERATOR_KEY: Final = "operator.pub"
_KEY_LINE: Final = 128
NEXT: Final = "next"
PAST: Final = "past"
MADE: Final = "made"
"""The file of the kids of every key that was made here: public, and kept when the keys themselves are gone."""
OF_LOGS: Final = ("log-ed25519", "log-mldsa44")
"""Names of the files of the keys that sign the auditor's logs."""
INTERIM: Final = "interim"
"""The file of the kids of interim keys, each with the time since which it is used."""
_GONE: Final = ".gone"


class _Pair(Protocol):
    @property
    def seed(self) -> bytes: ...


def _secret(home: Path, purpose: str, generate: Callable[[], _Pair]) -> bytes:
    path = home / "keys" / f"{purpose}.seed"
    if not path.exists():
        # A person's command and a running desk may ask for keys at the same time; a request must not name a key that another
        # process has replaced.
        with locked_folder(path.parent):
            if not path.exists():
                keyfile.write(path, generate().seed)
    return _read(path)


def _read(path: Path) -> bytes:
    """Return the private key at *path*. Raise KeysSealed if it cannot be opened, or is another kind of key."""
    try:
        seed = keyfile.read(path)
        if len(seed) != keyfile.SEED_BYTES:
            raise keyfile.KeyFileError("key_malformed")
        return seed
    except keyfile.KeyFileError as error:
        raise KeysSealed(str(error)) from None


def _pairs(home: Path, below: str = "") -> tuple[SigningKey, SealingKey, SigningKey]:
    return (
        SigningKey.from_seed(_secret(home, f"{below}signing", SigningKey.generate)),
        SealingKey.from_seed(_secret(home, f"{below}sealing", SealingKey.generate)),
        SigningKey.from_seed(_secret(home, f"{below}witness", SigningKey.generate)),
    )


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@dataclass(frozen=True, slots=True)
class Identity:
    """An agency's own private keys, each for one purpose. They never leave *home*.

    ``witness`` co-signs the checkpoints of the auditor's logs; the bus's own services are no witnesses. ``opening`` has
    every sealing key, by kid, since letters on the way may be sealed to the key before or the next one. ``kids`` names
    every key that was ever made here. ``interim`` are sealing keys that a desk made when the admitted key's time was over,
    with the time of first use: the desk's stored data are sealed to them, and no request names them.
    """

    agency: str
    signing: SigningKey = field(repr=False)
    sealing: SealingKey = field(repr=False)
    witness: SigningKey = field(repr=False)
    opening: Mapping[str, SealingKey] = field(repr=False)
    kids: frozenset[str] = frozenset()
    interim: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def at(cls, home: Path, agency: str) -> Self:
        """Load the keys in *home*/keys, or make them there on first use (files 0600)."""
        signing, sealing, witness = _pairs(home)
        past = [SealingKey.from_seed(_read(path)) for path in sorted((home / "keys" / PAST).glob("sealing-*.seed"))]
        opening, kids = [sealing, *past], {signing.kid, witness.kid}
        coming = {each.stem: _read(each) for each in (home / "keys" / NEXT).glob("*.seed")}
        opening += [SealingKey.from_seed(seed) for purpose, seed in coming.items() if purpose == "sealing"]
        kids |= {SigningKey.from_seed(coming[purpose]).kid for purpose in ("signing", "witness") if purpose in coming}
        kids |= {each.kid for each in opening}
        by_kid = {each.kid: each for each in opening}
        return cls(agency, signing, sealing, witness, by_kid, frozenset(kids | _made(home)), _interim(home))

    @classmethod
    def next_at(cls, home: Path, agency: str) -> Self:
        """Return the pairs that will replace those of *home*; made on first use, and in use only after `promote`."""
        signing, sealing, witness = _pairs(home, f"{NEXT}/")
        kids = frozenset({signing.kid, sealing.kid, witness.kid})
        return cls(agency, signing, sealing, witness, {sealing.kid: sealing}, kids)

    def promote(self, home: Path) -> None:
        """Have the next pairs of *home* take the place of these. The old sealing key is kept, for letters under way."""
        keys = home / "keys"
        _note_made(home, self.kids)
        if (keys / NEXT / "sealing.seed").exists():
            keyfile.set_aside(keys / "sealing.seed", _past(home, self.sealing.kid))
        for purpose in ("sealing", "witness", *OF_LOGS, "signing"):  # cut before the last, all is done the next time
            coming = keys / NEXT / f"{purpose}.seed"
            if coming.exists():
                coming.rename(keys / f"{purpose}.seed")

    @staticmethod
    def kids_in(keys: Path) -> Mapping[str, str]:
        """Return the kids of the pairs in the folder *keys* by purpose; makes none.

        Raises:
            KeysSealed: a key cannot be opened.
        """
        found = {purpose: keys / f"{purpose}.seed" for purpose in ("signing", "sealing", "witness")}
        seeds = {purpose: _read(path) for purpose, path in found.items() if path.exists()}
        return {
            purpose: (SealingKey if purpose == "sealing" else SigningKey).from_seed(seed).kid
            for purpose, seed in seeds.items()
        }

    def end_next(self, home: Path) -> None:
        """Destroy the next pairs of *home*, which never take the place of these. Their sealing key is kept, for letters under way."""
        keys, sealing = home / "keys" / NEXT, self.kids_in(home / "keys" / NEXT).get("sealing")
        _note_made(home, self.kids)
        if sealing is not None:
            keyfile.set_aside(keys / "sealing.seed", _past(home, sealing))
            (keys / "sealing.seed").unlink()
        for purpose in ("witness", *OF_LOGS, "signing"):  # cut before the last, all is done the next time
            if (keys / f"{purpose}.seed").exists():
                keyfile.destroy(keys / f"{purpose}.seed")

    def succeeded(self, home: Path, at: datetime | None = None) -> Self:
        """Return these keys with another sealing key, made now; the old key is kept as a replaced one.

        With *at*, the bus's time, the new key is an interim key, used since then; without, a key to request for the directory.
        A crash at any point loses no key.
        """
        made = SealingKey.generate()
        _note_made(home, {*self.kids, made.kid})
        if at is not None:
            before = "".join(f"{kid} {times.write(since)}\n" for kid, since in self.interim.items())
            write_private(home / "keys" / INTERIM, f"{before}{made.kid} {times.write(at)}\n".encode())
        current = home / "keys" / "sealing.seed"
        keyfile.set_aside(current, _past(home, self.sealing.kid))
        keyfile.write(current, made.seed)
        return self.at(home, self.agency)

    def to_ask_for(self, home: Path) -> Self:
        """Return these keys as a request may name them: an interim key has another end than the directory would give it."""
        return self.succeeded(home) if self.sealing.kid in self.interim else self

    @staticmethod
    def signing_at(home: Path) -> SigningKey | None:
        """Return the signing key in *home*, or None if it is not there: none is made. Every other key there is opened too.

        Raises:
            KeysSealed: a key cannot be opened.
        """
        keys = home / "keys"
        seeds = {path: _read(path) for path in sorted(keys.rglob("*.seed"))}
        seed = seeds.get(keys / "signing.seed")
        return SigningKey.from_seed(seed) if seed is not None else None

    @staticmethod
    def signer_at(home: Path) -> VerifyKey | None:
        """Return the public half of the signing key in *home*, which is not made here.

        None if there is no such key, it cannot be read, or nothing given opens it.

        Raises:
            KeysSealed: another passphrase or key file was given.
        """
        path = home / "keys" / "signing.seed"
        try:
            return SigningKey.from_seed(keyfile.read(path)).verify_key if path.exists() else None
        except keyfile.KeyFileError as error:
            if error.code not in ("key_locked", "key_malformed"):
                raise KeysSealed(str(error)) from None
        except (OSError, WireError):
            pass
        return None

    @staticmethod
    def replaced_at(home: Path) -> frozenset[str]:
        """Return the kids of replaced sealing keys whose private keys are still in *home*/keys; opens none of them."""
        files = (home / "keys" / PAST).glob("sealing-*.seed")
        return frozenset(f"xwing:{path.stem.removeprefix('sealing-')}" for path in files)

    @staticmethod
    def interim_at(home: Path) -> Mapping[str, datetime]:
        """Return the interim keys of *home*, each with its time of first use; opens none of them."""
        return _interim(home)

    @staticmethod
    def destroy(home: Path, kid: str) -> None:
        """Destroy the sealing key *kid* that was replaced: overwritten, then removed. Its kid stays among those made here."""
        path, coming = _past(home, kid), home / "keys" / NEXT / "sealing.seed"
        if not path.exists() and coming.exists() and SealingKey.from_seed(_read(coming)).kid == kid:
            path = coming  # admitted, and its time over before it was ever used
        gone = path.with_suffix(_GONE)  # cut in between, it is no key that somebody tries to read
        path.rename(gone)
        _end_left_over(home)
        keyfile.destroy(gone)

    @staticmethod
    def finish_destroying(home: Path) -> None:
        """Destroy what `destroy` was cut at, and what an interrupted writing of a key has left.

        Raises:
            OSError: a file cannot be destroyed; all others are. The first such error is raised.
        """
        _end_left_over(home)
        failed = None
        for gone in sorted((home / "keys").glob(f"*/*{_GONE}")):
            try:
                keyfile.destroy(gone)
            except OSError as error:
                failed = failed or error
        if failed is not None:
            raise failed


def _end_left_over(home: Path) -> None:
    """Destroy what an interrupted writing has left in any folder of keys: a key is written in one, and destroyed in another."""
    keys = home / "keys"
    for folder in (keys, keys / NEXT, keys / PAST):
        keyfile.end_left_over(folder)


def _past(home: Path, kid: str) -> Path:
    return home / "keys" / PAST / f"sealing-{kid.partition(':')[2]}.seed"


def _made(home: Path) -> frozenset[str]:
    listed = home / "keys" / MADE
    return frozenset(listed.read_text(encoding="ascii").split() if listed.exists() else ())


def _note_made(home: Path, kids: Iterable[str]) -> None:
    write_private(home / "keys" / MADE, " ".join(sorted({*_made(home), *kids})).encode())


def _interim(home: Path) -> dict[str, datetime]:
    listed = home / "keys" / INTERIM
    lines = listed.read_text(encoding="ascii").splitlines() if listed.exists() else []
    read = {kid: times.read(since) for kid, since in map(str.split, lines)}
    return {kid: since for kid, since in read.items() if since is not None}


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """The auditor's pairs that sign the checkpoints of its logs: Ed25519, and ML-DSA-44 for when that no longer holds."""

    signing: SigningKey = field(repr=False)
    lasting: MLDSA44SigningKey = field(repr=False)

    @classmethod
    def at(cls, home: Path) -> Self:
        """Load the pairs in *home*/keys, or make them there on first use (files 0600)."""
        return cls._below(home, "")

    @classmethod
    def next_at(cls, home: Path) -> Self:
        """Return the pairs that will replace those of *home*; `Identity.promote` has them take their place."""
        return cls._below(home, f"{NEXT}/")

    @classmethod
    def _below(cls, home: Path, below: str) -> Self:
        signing, lasting = (f"{below}{name}" for name in OF_LOGS)
        return cls(
            SigningKey.from_seed(_secret(home, signing, SigningKey.generate)),
            MLDSA44SigningKey(_secret(home, lasting, MLDSA44SigningKey.generate)),
        )

    def signers(self, origin: str) -> tuple[Ed25519Signer, Cosigner]:
        """Return both pairs under the name of the log *origin*."""
        return Ed25519Signer(origin, self.signing), Cosigner(origin, self.lasting)

    @property
    def public(self) -> LogEntry:
        """Return the public halves, as an entry of the directory names them."""
        return LogEntry(ed25519=_text(self.signing.public), mldsa44=_text(self.lasting.public))


@dataclass(frozen=True, slots=True)
class Admitter:
    """A person who admits, with a key of their own that signs nothing else."""

    name: str
    key: SigningKey = field(repr=False)

    @classmethod
    def at(cls, home: Path, name: str) -> Self:
        """Load the key in *home*/admitters/*name*/keys, or make it there on first use (file 0600)."""
        return cls(name, SigningKey.from_seed(_secret(home / "admitters" / name, "admission", SigningKey.generate)))

    @classmethod
    def here(cls, home: Path) -> tuple[Self, ...]:
        """Return the admitters whose keys are below *home*, by name."""
        names = sorted(path.parents[1].name for path in (home / "admitters").glob("*/keys/admission.seed"))
        return tuple(cls.at(home, name) for name in names)

    @property
    def public(self) -> AdmitterKey:
        """Name and public key, as the directory has them."""
        return AdmitterKey(name=self.name, key=_text(self.key.public))


FIRST_ADMITTERS: Final = ("admitter-a", "admitter-b")
"""Default admitters of a new bus: both keys are stored with the operator's until they are moved to two people."""


class Operator:
    """Operator of one bus: numbers and signs entries and heads. Admission needs the signatures of two admitters."""

    def __init__(self, home: Path) -> None:
        """Load the keys in *home*/keys, or make them on first use: ``operator.seed``, ``head.seed``.

        Raises:
            DirectoryError: ``not_operator``: the bus has an operator, whose key is elsewhere; ``operator_key_malformed``:
                ``operator.pub`` is another operator's.
        """
        self.home = home
        public = home / "keys" / OPERATOR_KEY
        if public.exists() and not (home / "keys" / "operator.seed").exists():
            raise DirectoryError("not_operator")
        self._here: tuple[Admitter, ...] | None = None
        self._key = SigningKey.from_seed(_secret(home, "operator", SigningKey.generate))
        self._head = SigningKey.from_seed(_secret(home, "head", SigningKey.generate))
        there = None
        with suppress(DirectoryError):  # it is missing, or a full disk took half of it
            there = operator_key(home).public
        if there is None:
            write_private(public, f"{self._key.public.hex()}\n".encode())
        elif there != self._key.public:
            raise DirectoryError("operator_key_malformed")

    @property
    def public(self) -> bytes:
        """Return the key that everybody on this bus trusts for the directory: 32 bytes."""
        return self._key.public

    @property
    def signing(self) -> SigningKey:
        """Return the operator's key, for what else the operator vouches for: a backup of the bus."""
        return self._key

    def number(self, entry: Entry | Admitters, directory: Directory) -> bytes:
        """Return *entry* under the next number, signed for the topic. `Directory.add` checks whether it is believed."""
        return statement.sign("directory", body_of(entry) | {"number": directory.number + 1}, self._key)

    def vouched(self, bus: str, agency: str, certificate: bytes, ca: bytes) -> tuple[str, str, str]:
        """Return a *certificate* of *agency* and the *ca* of the broker, both PEM, with this operator's signature over them."""
        texts = certificate.decode("ascii"), ca.decode("ascii")
        return (*texts, requests.vouched(bus, agency, *texts, self._key))

    def admitters(self, directory: Directory, listed: tuple[AdmitterKey, ...]) -> bytes:
        """Return the next list of admitters, signed by the admitters here; the first list of a bus needs no signature of theirs."""
        made = joining.listed(directory, listed, _text(self._head.public))
        for each in self._admitting(directory):
            made = joining.admitted_by(made, each.key)
        return self.number(made, directory)

    def found(self, directory: Directory) -> bytes | None:
        """Return the first list of admitters, added to *directory*, or None if there is a list.

        Raises:
            DirectoryError: ``admitters_few``: only one was named.
        """
        if directory.roll.admitters is not None:
            return None
        here = Admitter.here(self.home) or tuple(Admitter.at(self.home, name) for name in FIRST_ADMITTERS)
        if len(here) < TWO:
            raise DirectoryError("admitters_few")
        raw = self.admitters(directory, tuple(each.public for each in here))
        directory.add(raw)
        return raw

    def can_admit(self, directory: Directory) -> bool:
        """Return whether the keys of two admitters that *directory* lists are here."""
        return len(self._admitting(directory)) >= TWO

    def _admitting(self, directory: Directory) -> tuple[Admitter, ...]:
        known = directory.roll.admitter_kids
        if self._here is None:
            self._here = Admitter.here(self.home)  # opening keys that are under a passphrase takes a while
        return tuple(each for each in self._here if each.key.kid in known)[:TWO]

    def head(self, directory: Directory, time: datetime, addresses: tuple[str, ...] = ()) -> bytes:
        """Return a head over *directory*, signed at *time* by the wall clock, with the *addresses* of the broker for agencies."""
        head = Head(
            bus=directory.bus,
            number=directory.number,
            digest=directory.digest,
            time=time,
            addresses=addresses or None,
        )
        return statement.sign("directory-head", body_of(head), self._head)

    def entry(
        self,
        directory: Directory,
        identity: Identity,
        role: str,
        valid_from: datetime,
        supervisor: str | None = None,
        log: LogIdentity | None = None,
        contact: Contact | None = None,
    ) -> bytes | None:
        """Return the next entry for *identity*, whose private keys are here, fully signed; None if nothing would change.

        A *directory* without entries is founded first. *log* is the auditor's.

        Raises:
            DirectoryError: the id is reserved, the agency stands there with another role, its key before is not here
                (``previous_key_missing``), or those of two admitters are not (``admitters_missing``).
        """
        self.found(directory)
        reserved = identity.agency in ids.RESERVED_NAMES | SERVICES.keys()
        if reserved and SERVICES.get(identity.agency) != role:
            raise DirectoryError("id_reserved")
        now = directory.entries.get(identity.agency)
        if now and now.role != role:
            raise DirectoryError("role_changed")
        wanted = joining.Wanted(
            identity.agency,
            role,
            identity.signing.public,
            identity.sealing.public,
            None if reserved else identity.witness.public,
            supervisor,
            contact,
            log.public if log else None,
        )
        asked = joining.proposed(directory, wanted, "rotated" if now else "admitted", made=valid_from)
        if now and all(getattr(now, name) == getattr(asked, name) for name in _SAID):
            return None
        entry = joining.challenged(asked)
        entry = joining.changed(entry, opened=joining.opened(entry, [identity.sealing]))
        entry = joining.asked_by(entry, [identity.signing, *([] if reserved else [identity.witness])])
        for admitter in self._admitting(directory):
            entry = joining.admitted_by(entry, admitter.key)
        directory.checked(entry)
        return self.number(entry, directory)


_SAID: Final = ("role", "supervisor", "contact", "signing", "sealing", "witness", "log")
