"""Private keys at rest: raw on a bus for playing, else sealed under a passphrase or the content of a key file.

A private key is a seed of 32 bytes, or PEM for the authority's; an unprotected file holds exactly this. A sealed file is a
JSON object with its parameters: scrypt (RFC 7914) derives a key from the passphrase, and AES-256-GCM seals with it.
The passphrase is asked at the terminal, or read from the file that NRMBUS_KEY_FILE names. One place in the memory of this
process holds it, and no other.
"""

import contextlib
import fcntl
import getpass
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from nrmbus.environment import CREDENTIALS, KEY_FILE
from nrmbus.wire import base64, json
from nrmbus.wire.disk import flush, sync
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import files

SETTING: Final = KEY_FILE.name
"""Environment variable with the path of the key file."""
_OTHERS: Final = 0o077
_OTHERS_OF_A_CREDENTIAL: Final = 0o037
"""There systemd lets the service read by an access list, whose mask the system shows as the group's right to read."""

SEED_BYTES: Final = 32
LEAST: Final = 12
"""Smallest size of a passphrase or key file, in bytes; our own key files have 64 hex digits."""

COST: Final = (2**15, 8, 3)
"""scrypt's n, r and p: 32 MiB and a fifth of a second, one of the equal settings of OWASP's password storage page."""

_MOST_MEMORY: Final = 2**20
_MOST_WORK: Final = 2**21
"""Limits of n·r (128 bytes each: 128 MiB) and of n·r·p (half a second). A file with larger parameters could fill the
memory of its reader, or stop it for minutes."""
_SEALED: Final = b'{"aead":'
_PEM: Final = b"-----BEGIN "
_SALT: Final = 16
_IV: Final = 12
_FILE_LIMIT: Final = 4096
_KEY_FILE_LIMIT: Final = 64 * 1024
_BOUND: Final = b"nrmbus/key-file/v1\0"
_PARTIAL: Final = re.compile(r"\.(.+\.seed|key\.pem)\.[0-9]+\.[0-9a-f]{8}")
"""Name under which `write` writes a private key first. Other files of the same folders have such names too, and no lock."""

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
    "key_passphrase_wrong": "The passphrase or key file does not open the private keys here: give the one that they were sealed under. After a restore from before nrmbus keys change, give that command once more with the same two.",
    "key_malformed": "A private key's file cannot be read: restore it from a backup.",
    "key_file_missing": "The file that {named} names cannot be read: mount or restore it, or name another.",
    "key_file_open_to_others": "The file that {named} names can be read by others than its owner: chmod 600 FILE.",
    "key_file_short": f"A passphrase or key file has at least {LEAST} bytes: nrmbus keys new FILE makes a good one.",
    "key_file_long": f"A key file has at most {_KEY_FILE_LIMIT} bytes: nrmbus keys new FILE makes a good one.",
}


class KeyFileError(Exception):
    """Error for a private key that cannot be read. The message names the remedy, and holds no value and no secret."""

    def __init__(self, code: KeyFileCode, named: str = SETTING) -> None:
        """*named* is the setting or option that names the key file."""
        super().__init__(_SENTENCES[code].format(named=named))
        self.code: KeyFileCode = code


class Passphrase:
    """Passphrase that seals private keys. Its repr shows nothing, and it cannot be pickled."""

    __slots__ = ("_keys", "_salt", "_secret")

    def __init__(self, secret: bytes) -> None:
        """Take the typed passphrase, or the content of a key file. Raises ``key_file_short`` below 12 bytes."""
        if len(secret) < LEAST:
            raise KeyFileError("key_file_short")
        self._secret = secret
        self._salt = os.urandom(_SALT)
        self._keys: dict[tuple[bytes, int, int, int], bytes] = {}

    @classmethod
    def of_file(cls, path: Path, named: str = SETTING) -> Self:
        """Return the passphrase in the key file at *path*, without surrounding white space; an error says by *named* what names the file.

        Raises:
            KeyFileError: ``key_file_missing`` (also for a folder, pipe or device), ``key_file_open_to_others``,
                ``key_file_short``, ``key_file_long``.
        """
        try:
            secret, mode = files.read(path, _KEY_FILE_LIMIT + 1)
        except (OSError, ValueError):  # a name with a zero byte is no name
            raise KeyFileError("key_file_missing", named) from None
        if mode & (_OTHERS_OF_A_CREDENTIAL if _is_credential(path) else _OTHERS):
            raise KeyFileError("key_file_open_to_others", named)
        if len(secret) > _KEY_FILE_LIMIT:
            raise KeyFileError("key_file_long")
        return cls(secret.strip())

    def seal(self, seed: bytes) -> bytes:
        """Return the sealed file of *seed*. The files of one process share a salt, so that scrypt runs once to open them."""
        n, r, p = COST
        iv = os.urandom(_IV)
        about = {"kdf": "scrypt", "n": n, "r": r, "p": p, "salt": base64.encode(self._salt), "aead": "aes-256-gcm"}
        ct = AESGCM(self._key(self._salt, n, r, p)).encrypt(iv, seed, _aad(about))
        return json.dumps({**about, "iv": base64.encode(iv), "ct": base64.encode(ct)}) + b"\n"

    def open(self, content: bytes) -> bytes:
        """Return the seed in a sealed file's *content*; raises ``key_malformed`` or ``key_passphrase_wrong``."""
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
        """Return the secret, for another process of the same bus over a private socket."""
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
        """Raise TypeError: a pickle of any object with the passphrase would write it to disk."""
        raise TypeError("a passphrase is not written down")


def _is_borne(n: int, r: int, p: int) -> bool:
    """Return True if these scrypt parameters are neither too cheap for a thief nor too expensive for the reader."""
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
    """Return the passphrase from the file that NRMBUS_KEY_FILE names, else from the terminal; None without a terminal.

    Raises:
        KeyFileError: as `Passphrase.of_file`.
    """
    named = KEY_FILE.get()
    if named:
        return Passphrase.of_file(Path(named))
    if not sys.stdin.isatty():
        return None
    return Passphrase(getpass.getpass("Passphrase of the private keys: ").encode())


def _is_credential(path: Path) -> bool:
    folder = CREDENTIALS.get()
    return bool(folder) and path.parent == Path(folder or "")


class _Held:
    """Holder of this process's passphrase."""

    passphrase: Passphrase | None = None


def hold(passphrase: Passphrase | None) -> None:
    """Use *passphrase* for all private keys of this process; with None, write them raw."""
    _Held.passphrase = passphrase


def held() -> Passphrase | None:
    """Return the passphrase of this process; None if it has none."""
    return _Held.passphrase


# -- files -----------------------------------------------------------------------------------------------------------


def is_sealed(path: Path) -> bool:
    """Return True if the private key at *path* is sealed."""
    return files.read(path, len(_SEALED))[0] == _SEALED


def read(path: Path) -> bytes:
    """Return the seed, or the PEM, in the private key's file at *path*; ask for a passphrase if a sealed file needs one.

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
    """Write the private key *seed* to *path*, sealed if this process holds a passphrase; whole or not at all, mode 0600.

    Remains of an interrupted writing in the same folder are destroyed first.
    """
    passphrase = held()
    content = passphrase.seal(seed) if passphrase is not None else seed
    for missing in reversed([each for each in (path.parent, *path.parent.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # with parents=True, those above would be open to others
    end_left_over(path.parent)
    # Written under another name first: a key half on disk would lock its agency out.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(OSError):  # on a file system without locks, `left_over` finds nothing
                fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content)
            file.flush()
            flush(file.fileno())
            partial.replace(path)  # while the lock holds: a file of this name without a lock is taken for left over
    except BaseException:
        _discard(partial)
        raise
    sync(path.parent)


def is_partial(path: Path) -> bool:
    """Return whether *path* has the name that `write` gives a private key until the key is whole on disk."""
    return _PARTIAL.fullmatch(path.name) is not None


def left_over(folder: Path) -> Iterator[Path]:
    """Yield the files that an interrupted `write` has left in *folder*: each has a private key, or a part of one.

    A process holds the lock of the file that it writes, and the system releases the lock of a killed process. The number in
    the name says nothing: containers that share a folder count their processes separately.
    """
    for path in sorted(folder.glob(".*")):
        if is_partial(path) and _is_free(path):
            yield path


def _is_free(partial: Path) -> bool:
    with contextlib.suppress(OSError):  # locked, or renamed meanwhile
        descriptor = os.open(partial, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The lock may be that of the whole key, if it got its name just now. An empty file holds no key yet, and its
            # process may not have locked it yet.
            found = os.fstat(descriptor)
            return found.st_size > 0 and os.path.samestat(found, partial.stat())
        finally:
            os.close(descriptor)
    return False


def end_left_over(folder: Path) -> None:
    """Destroy what `left_over` finds in *folder*: after the key itself is destroyed, a copy would still open its letters."""
    for path in left_over(folder):
        _discard(path)


def _discard(partial: Path) -> None:
    try:
        _overwrite(partial)
    except OSError:  # a full disk may take no other bytes, and another process may have removed the file
        partial.unlink(missing_ok=True)


def protect(path: Path) -> bool:
    """Seal a raw private key at *path* and overwrite the raw file; return True if this was done.

    Raises:
        KeyFileError: ``key_locked`` when this process holds no passphrase.
    """
    if held() is None:
        raise KeyFileError("key_locked")
    end_left_over(path.parent)
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
    # A key that is being set aside has two names for a moment; the second one must stay.
    old.unlink() if old.stat().st_nlink > 1 else destroy(old)


def before_change(path: Path) -> Path:
    """Return the second name of the file that the private key at *path* had before `change`, until the whole change is on disk."""
    return path.with_name(f".{path.name}.old")


def change(found: Iterable[Path], before: Passphrase, after: Passphrase) -> int:
    """Seal the private keys at *found* under *after* in place of *before*; return how many *after* did not open yet.

    Every new file is on disk before the first old one is overwritten. If the process is killed, one of the two passphrases
    opens each key. The same call finishes the change; a call with the two exchanged takes it back. Until then a key
    has a file under the name `before_change`, unless the kill came before the first change or after the last.

    Raises:
        KeyFileError: ``key_passphrase_wrong`` when a key opens with neither, ``key_malformed``; nothing was changed.
        OSError: a file cannot be written; the change is as if the process was killed.
    """
    keys = [*found]
    due = {path: seed for path in keys if (seed := _to_change(path.read_bytes(), before, after)) is not None}
    for path in due:
        old = before_change(path)
        if old.exists() and not old.samefile(path):  # from a call with the two exchanged
            _end(old)
        set_aside(path, old)
    hold(after)
    for path, seed in due.items():
        write(path, seed)
    for old in map(before_change, keys):
        if old.exists():
            _end(old)
    return len(due)


def _to_change(content: bytes, before: Passphrase, after: Passphrase) -> bytes | None:
    """Return the seed in *content* if *before* opens it; None if *after* does."""
    try:
        return before.open(content)
    except KeyFileError as error:
        if error.code != "key_passphrase_wrong":
            raise
    after.open(content)
    return None


def set_aside(path: Path, to: Path) -> None:
    """Give the private key at *path* the second name *to*, on disk when this returns; idempotent.

    The file has two names instead of a copy. After another key was written to *path*, `destroy` overwrites the same bytes
    on the disk under *to*.
    """
    for missing in reversed([each for each in (to.parent, *to.parent.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if not to.exists():
        os.link(path, to)
    sync(to.parent)


def destroy(path: Path) -> None:
    """Overwrite the file at *path*, then remove it; the removal is on disk when this returns.

    A copy-on-write file system, or a disk with wear levelling, may keep the old bytes. They are worthless without the
    passphrase if the file was sealed, but not if it was raw. Remains of an interrupted `write` in its folder are destroyed first.
    Raises FileNotFoundError.
    """
    end_left_over(path.parent)
    _overwrite(path)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        size = max(os.fstat(file.fileno()).st_size, SEED_BYTES)
        file.write(os.urandom(size))
        file.flush()
        flush(file.fileno())
    path.unlink()
    sync(path.parent)
