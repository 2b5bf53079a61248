"""A private key at rest: raw on a bus for playing, else sealed under a passphrase or the content of a key file.

A private key of this bus is a seed of 32 bytes, or PEM where it is the authority's, and so is its file where nothing
protects it. A sealed file is a JSON object that names its parameters: scrypt (RFC 7914) makes a key of the passphrase, AES-256-GCM seals with it.
The passphrase is asked at the terminal, or is what the file holds that NRMBUS_KEY_FILE names; it is kept in this
process's memory alone, once, so that nothing else has to carry it about.
"""

import contextlib
import getpass
import os
import secrets
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from nrmbus.wire import base64, json
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import files

SETTING: Final = "NRMBUS_KEY_FILE"
"""The environment names the file, never what is in it."""

SEED_BYTES: Final = 32
LEAST: Final = 12
"""Bytes of a passphrase or key file that are asked for at least; a key file of ours has 64 hex digits."""

COST: Final = (2**15, 8, 3)
"""scrypt's n, r and p: 32 MiB and a fifth of a second, one of the settings that OWASP's password storage page holds equal."""

_MOST_MEMORY: Final = 2**20
_MOST_WORK: Final = 2**21
"""Of n times r (128 bytes each: 128 MiB), and of that times p (half a second): a file that asks for more would fill the memory of
whoever opens it, or keep him for minutes."""
_SEALED: Final = b'{"aead":'
_PEM: Final = b"-----BEGIN "
_SALT: Final = 16
_IV: Final = 12
_FILE_LIMIT: Final = 4096
_KEY_FILE_LIMIT: Final = 64 * 1024
_BOUND: Final = b"nrmbus/key-file/v1\0"

KeyFileCode = Literal[
    "key_locked",
    "key_passphrase_wrong",
    "key_malformed",
    "key_file_missing",
    "key_file_open_to_others",
    "key_file_short",
    "key_file_long",
]

_SENTENCES: Final[dict[KeyFileCode, str]] = {
    "key_locked": f"Private keys are sealed: name the key file with {SETTING}=FILE, or run this where it can ask for the passphrase.",
    "key_passphrase_wrong": "The passphrase or key file does not open the private keys here: give the one that they were sealed under.",
    "key_malformed": "A private key's file cannot be read: restore it from a backup.",
    "key_file_missing": f"The file that {SETTING} names cannot be read: mount or restore it, or name another.",
    "key_file_open_to_others": f"The file that {SETTING} names can be read by others than its owner: chmod 600 FILE.",
    "key_file_short": f"A passphrase or key file has at least {LEAST} bytes: nrmbus keys new FILE makes a good one.",
    "key_file_long": f"A key file has at most {_KEY_FILE_LIMIT} bytes: nrmbus keys new FILE makes a good one.",
}


class KeyFileError(Exception):
    """A private key cannot be read. The message is a sentence that says what mends it, and holds no value and no secret."""

    def __init__(self, code: KeyFileCode) -> None:
        super().__init__(_SENTENCES[code])
        self.code: KeyFileCode = code


class Passphrase:
    """What private keys are sealed under. It shows itself nowhere, and cannot be pickled."""

    __slots__ = ("_keys", "_salt", "_secret")

    def __init__(self, secret: bytes) -> None:
        """Take what was typed, or what a key file holds. Raises ``key_file_short`` below 12 bytes."""
        if len(secret) < LEAST:
            raise KeyFileError("key_file_short")
        self._secret = secret
        self._salt = os.urandom(_SALT)
        self._keys: dict[tuple[bytes, int, int, int], bytes] = {}

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """What the key file at *path* holds, white space around it left out.

        Raises:
            KeyFileError: ``key_file_missing`` (also for what is no plain file), ``key_file_open_to_others``,
                ``key_file_short``, ``key_file_long``.
        """
        try:
            secret, mode = files.read(path, _KEY_FILE_LIMIT + 1)
        except (OSError, ValueError):  # a name with a zero byte is no name
            raise KeyFileError("key_file_missing") from None
        if mode & 0o077:
            raise KeyFileError("key_file_open_to_others")
        if len(secret) > _KEY_FILE_LIMIT:
            raise KeyFileError("key_file_long")
        return cls(secret.strip())

    def seal(self, seed: bytes) -> bytes:
        """The file of *seed*. Files that one process seals share a salt: what opens them, scrypt makes once."""
        n, r, p = COST
        iv = os.urandom(_IV)
        about = {"kdf": "scrypt", "n": n, "r": r, "p": p, "salt": base64.encode(self._salt), "aead": "aes-256-gcm"}
        ct = AESGCM(self._key(self._salt, n, r, p)).encrypt(iv, seed, _aad(about))
        return json.dumps({**about, "iv": base64.encode(iv), "ct": base64.encode(ct)}) + b"\n"

    def open(self, content: bytes) -> bytes:
        """The seed in a sealed file's *content*; raises ``key_malformed`` or ``key_passphrase_wrong``."""
        body = _read(content)
        about = {name: value for name, value in body.items() if name not in ("iv", "ct")}
        key = self._key(base64.read(body["salt"]) or b"", body["n"], body["r"], body["p"])
        iv, ct, seed = base64.read(body["iv"]) or b"", base64.read(body["ct"]) or b"", None
        with contextlib.suppress(InvalidTag, ValueError):
            seed = AESGCM(key).decrypt(iv, ct, _aad(about))
        if seed is None:
            raise KeyFileError("key_passphrase_wrong")
        return seed

    def hand_on(self) -> bytes:
        """What another process of the same bus is told, over a socket that nobody else holds."""
        return self._secret

    def _key(self, salt: bytes, n: int, r: int, p: int) -> bytes:
        found = self._keys.get((salt, n, r, p))
        if found is None:
            found = self._keys[salt, n, r, p] = Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(self._secret)
        return found

    def __repr__(self) -> str:
        """Show nothing."""
        return "Passphrase()"

    def __reduce__(self) -> NoReturn:
        """Refuse: whoever pickles an object that holds this would write it down."""
        raise TypeError("a passphrase is not written down")


def _is_borne(n: int, r: int, p: int) -> bool:
    """Whether scrypt with these parameters is neither too cheap for a thief nor too dear for whoever opens it."""
    whole = n >= 2**14 and n & (n - 1) == 0 and r >= 1 and p >= 1
    return whole and n * r <= _MOST_MEMORY and n * r * p <= _MOST_WORK


def _aad(about: dict[str, Any]) -> bytes:
    return _BOUND + sha256(json.dumps(about)).digest()


def _read(content: bytes) -> dict[str, Any]:
    body: dict[str, Any] = {}
    with contextlib.suppress(WireError):
        body = json.loads(content.strip(), limit=_FILE_LIMIT)
    match body:
        case {
            "kdf": "scrypt",
            "aead": "aes-256-gcm",
            "n": int() as n,
            "r": int() as r,
            "p": int() as p,
            "salt": str(),
            "iv": str(),
            "ct": str(),
        } if len(body) == 8 and bool not in {type(r), type(p)} and _is_borne(n, r, p):
            return body
    raise KeyFileError("key_malformed")


# -- this process's passphrase ---------------------------------------------------------------------------------------


def asked() -> Passphrase | None:
    """The passphrase by the file that NRMBUS_KEY_FILE names, else as typed at the terminal; None where nobody can be asked.

    Raises:
        KeyFileError: as `Passphrase.of_file`.
    """
    named = os.environ.get(SETTING)
    if named:
        return Passphrase.of_file(Path(named))
    if not sys.stdin.isatty():
        return None
    return Passphrase(getpass.getpass("Passphrase of the private keys: ").encode())


class _Held:
    """The passphrase of this process."""

    passphrase: Passphrase | None = None


def hold(passphrase: Passphrase | None) -> None:
    """Have this process read and write private keys under *passphrase*; with none, write them raw."""
    _Held.passphrase = passphrase


def held() -> Passphrase | None:
    """The passphrase that this process holds."""
    return _Held.passphrase


# -- files -----------------------------------------------------------------------------------------------------------


def is_sealed(path: Path) -> bool:
    """Whether the private key at *path* lies sealed."""
    return files.read(path, len(_SEALED))[0] == _SEALED


def read(path: Path) -> bytes:
    """The seed, or the PEM, in the private key's file at *path*; where it lies sealed and no passphrase is held, somebody is asked.

    Raises:
        KeyFileError: ``key_locked``, ``key_passphrase_wrong``, ``key_malformed``.
        OSError: there is no such file, or it cannot be read.
    """
    content = b""
    with contextlib.suppress(files.NotPlainError):
        content, _ = files.read(path, _FILE_LIMIT + 1)
    if not content.startswith(_SEALED) and (len(content) == SEED_BYTES or content.startswith(_PEM)):
        return content
    _read(content)
    passphrase = held() or asked()
    if passphrase is None:
        raise KeyFileError("key_locked")
    seed = passphrase.open(content)
    hold(passphrase)
    return seed


def write(path: Path, seed: bytes) -> None:
    """Write the private key *seed* to *path*, sealed if this process holds a passphrase; whole or not at all, mode 0600."""
    passphrase = held()
    content = passphrase.seal(seed) if passphrase is not None else seed
    for missing in reversed([each for each in (path.parent, *path.parent.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # with parents=True, those above would be open to others
    # Written under another name first: a key half on disk would lock its agency out.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync(path.parent)


def protect(path: Path) -> bool:
    """Seal the private key at *path* if it lies raw, and overwrite what lay there; whether it did.

    Raises:
        KeyFileError: ``key_locked`` when this process holds no passphrase.
    """
    if held() is None:
        raise KeyFileError("key_locked")
    old = path.with_name(f".{path.name}.raw")
    if old.exists():  # cut the last time, before the sealed file was written or after
        old.unlink() if old.samefile(path) else _end(old)
    if is_sealed(path):
        return False
    seed = path.read_bytes()
    os.link(path, old)
    write(path, seed)
    _end(old)
    return True


def _end(old: Path) -> None:
    # A key that is being set aside has another name for a moment, and is wanted there.
    old.unlink() if old.stat().st_nlink > 1 else destroy(old)


def set_aside(path: Path, to: Path) -> None:
    """Give the private key at *path* the name *to* too, on disk when this returns; done twice, nothing changes.

    Whoever then writes another key to *path* leaves the old one where `destroy` overwrites it: a copy would leave its
    first bytes on the disk.
    """
    for missing in reversed([each for each in (to.parent, *to.parent.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if not to.exists():
        os.link(path, to)
    _sync(to.parent)


def destroy(path: Path) -> None:
    """Overwrite the file at *path*, then remove it; the removal is on disk when this returns.

    A file system that never writes in place, or a disk that wears evenly, may keep the old bytes: a sealed file is
    worth nothing there without its passphrase, a raw one is. Raises FileNotFoundError.
    """
    with path.open("r+b") as file:
        size = max(os.fstat(file.fileno()).st_size, SEED_BYTES)
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
