"""``nrmbus keys``: private keys at rest, and the check that a bus does not run with unprotected keys unnoticed."""

import getpass
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from nrmbus.bus.errors import BusError, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import BusContext
from nrmbus.environment import KEY_FILE
from nrmbus.wire.disk import flush, sync
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keyfile import KeyFileError, Passphrase

app = Commands("keys", "Private keys on disk: seal them, and make a key file for that.")

Unprotected = Annotated[
    bool,
    typer.Option(
        "--keys-unprotected", help="Store private keys unprotected on disk, as a bus for playing always does."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysContext(BusContext):
    """Options of a command that makes or opens private keys."""

    keys_unprotected: Unprotected = False

    def unlock(self, folder: BusFolder) -> None:
        """Prepare the private keys of *folder* for use; raises as `unlock`."""
        unlock(folder, unprotected=self.keys_unprotected)

    def unlocked(self) -> BusFolder:
        """Return the folder of a bus that exists, with its private keys ready for use; raises NoBus, and as `unlock`."""
        folder = self.folder
        folder.settings  # noqa: B018 - raises where no bus was made
        self.unlock(folder)
        return folder


_PLACES: Final = (
    "keys/*.seed",
    "keys/authority/key.pem",
    "*/tls/key.pem",
    "*/tls/next/key.pem",
    "agencies/*/tls/key.pem",
    "agencies/*/tls/next/key.pem",
    "agencies/*/door/key.pem",
    "*/keys/**/*.seed",
    "agencies/*/keys/**/*.seed",
    "admitters/*/keys/*.seed",
)
_LEFT: Final = tuple("{}/.{}.raw".format(*place.rsplit("/", 1)) for place in _PLACES)
"""Names under which an interrupted sealing leaves the raw key; the next sealing removes them, and what `left_over` finds."""


def private_keys(folder: BusFolder) -> tuple[Path, ...]:
    """Return the files of all private keys in *folder*, sorted: of agencies, services, admitters, operator, authority, broker.

    The remains of an interrupted sealing or writing are among them.
    """
    found = {path for place in (*_PLACES, *_LEFT) for path in folder.path.glob(place)}
    return tuple(sorted(found.union(*map(keyfile.left_over, _folders(folder)))))


def _folders(folder: BusFolder) -> set[Path]:
    """Return the folders in which private keys are written."""
    homes = {place.rpartition("/")[0] for place in _PLACES}
    return {path for home in homes for path in folder.path.glob(home) if path.is_dir()}


def _whole(found: Iterable[Path]) -> list[Path]:
    """Return *found* without the remains of an interrupted writing, which may lack a part."""
    return [path for path in found if not keyfile.is_partial(path)]


@contextmanager
def sentences() -> Iterator[None]:
    """Turn a key that cannot be opened into one sentence.

    Raises:
        KeysSealed: in place of what the block raised.
    """
    try:
        yield
    except KeyFileError as error:
        raise KeysSealed(str(error)) from None


def unlock(folder: BusFolder, *, unprotected: bool = False, play: bool = False) -> None:
    """Have this process hold the passphrase of the private keys of *folder*; call it before any key is made.

    The keys of a bus for playing are always unprotected, with a warning. On any other bus, and in a folder without a bus,
    no key is made or used unprotected unless *unprotected* is True. *play* says that a bus for playing is about to be made.

    Raises:
        KeysSealed: nothing protects the keys, the passphrase does not open the sealed ones, or a `change` was cut.
    """
    if play or (folder.exists and folder.settings.play):
        typer.echo("This is a bus for playing: its private keys are unprotected. Publish nothing real on it.", err=True)
        return
    found = private_keys(folder)
    if is_changing(found):
        raise KeysSealed(
            "A change of the passphrase was cut here, so some private keys may need the old one and others the new one: "
            f"give nrmbus keys change --data '{folder.path}' again, with the same two."
        )
    sealed = [path for path in found if keyfile.is_sealed(path)]
    if unprotected and not sealed:
        typer.echo(
            "The private keys of this bus are unprotected: anybody who can read its folder can act as its agencies.",
            err=True,
        )
        return
    if len(sealed) < len(found) and not unprotected:
        raise KeysSealed(
            f"{len(found) - len(sealed)} of {len(found)} private keys lie unprotected: nrmbus keys protect "
            f"--data '{folder.path}', or say --keys-unprotected."
        )
    with sentences():
        passphrase = keyfile.asked()
        if passphrase is None and sealed:
            raise KeysSealed(
                f"The private keys of this bus are sealed, so this needs what opens them: name their key file with "
                f"{keyfile.SETTING}=FILE, or type the passphrase at a terminal."
                + (" --keys-unprotected opens no sealed key: leave it out." if unprotected else "")
            )
        if passphrase is None:
            raise KeysSealed(
                "Nothing protects the private keys of this bus: name a key file kept elsewhere with "
                f"{keyfile.SETTING}=FILE (nrmbus keys new FILE makes one), or give --keys-unprotected."
            )
        _kept_elsewhere(folder, _named())
        _tried(passphrase, _whole(sealed))
        keyfile.hold(passphrase)


def _named() -> Path | None:
    named = KEY_FILE.get()
    return Path(named) if named else None


def is_changing(found: Iterable[Path]) -> bool:
    """Return True if a `change` of the private keys at *found* was cut."""
    return any(keyfile.before_change(path).exists() for path in found)


def _kept_elsewhere(folder: BusFolder, named: Path | None) -> None:
    if named is not None and named.resolve().is_relative_to(folder.path.resolve()):
        raise KeysSealed(
            "The key file is in the folder whose keys it opens, so a thief of the folder has both: move the key file elsewhere."
        )


def _tried(passphrase: Passphrase, sealed: list[Path]) -> None:
    """Check that *passphrase* opens the sealed keys; if there are none yet, ask for the typed passphrase again."""
    if sealed:
        passphrase.open(sealed[0].read_bytes())
    elif _named() is None:
        _typed_again(passphrase)


def _typed_again(passphrase: Passphrase) -> None:
    if getpass.getpass("Once more: ").encode() != passphrase.hand_on():
        raise KeysSealed("The two passphrases differ: type the same one twice.")


@app.register(example="nrmbus keys new /media/usb/nrmbus.key")
def new(
    file: Annotated[Path, typer.Argument(help="The key file to make, outside the bus's folder and its backups.")],
) -> None:
    """Make a key file with random content, readable by its owner only."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BusError(f"{file} cannot be made ({error.strerror}): name another file.") from None
    try:
        with os.fdopen(descriptor, "w") as made:
            made.write(secrets.token_hex(32) + "\n")
            made.flush()
            flush(made.fileno())
        sync(file.parent)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise BusError(f"{file} cannot be written ({error.strerror}): name another file.") from None
    typer.echo(f"{file} is made. Without it, the keys that are sealed with it are lost: keep a copy away from the bus.")


@app.register(example="nrmbus keys protect --data ./my-bus")
def protect(context: BusContext) -> None:
    """Seal the unprotected private keys of a bus with a passphrase, or with the key file that NRMBUS_KEY_FILE names.

    The unprotected files are overwritten. Copies in backups remain: change those keys with nrmbus agency rotate.
    """
    folder = context.folder
    if folder.settings.play:
        raise BusError("This is a bus for playing, whose keys always stay unprotected: publish nothing real on it.")
    if folder.is_held:
        raise BusError(f"The bus in {folder.path} is running: end it first, and start it with the same passphrase.")
    if alone := folder.running:
        raise BusError(
            f"In {folder.path} nrmbus run has started {' and '.join(alone)}: end that first, and start it with the same passphrase."
        )
    # Held before the passphrase is typed: a service that started meanwhile would write raw keys beside the sealed ones.
    with folder.idle(), sentences():
        found = _whole(private_keys(folder))
        passphrase = keyfile.asked()
        if passphrase is None:
            raise KeysSealed(f"Name a key file kept elsewhere with {keyfile.SETTING}=FILE, or run this at a terminal.")
        _kept_elsewhere(folder, _named())
        _tried(passphrase, [path for path in found if keyfile.is_sealed(path)])
        if named := _named():
            sync(named)  # a copy that a power cut loses would leave the sealed keys without what opens them
        keyfile.hold(passphrase)
        for each in _folders(folder):
            keyfile.end_left_over(each)
        done = [path for path in found if keyfile.protect(path)]
        with suppress(FileNotFoundError):  # the broker's key once more, as an earlier version had it
            keyfile.destroy(folder.service("broker") / "tls" / "keystore.pem")
    others = "; the others were already" if len(done) < len(found) else ""
    typer.echo(f"{len(done)} of {len(found)} private keys were sealed{others}.")


@app.register(example="nrmbus keys change --to /media/usb/new.key --data ./my-bus")
def change(
    *,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="The new key file; without it the new passphrase is typed."),
    ] = None,
    context: BusContext,
) -> None:
    """Seal the private keys of a bus, or of an agency's folder, with another passphrase or key file.

    NRMBUS_KEY_FILE names the present key file; without it the present passphrase is typed. The keys stay the same, and
    backups made before still open with the old passphrase. If the command is cut, give it again with the same two.
    """
    folder = context.folder
    if folder.settings.play:
        raise BusError("This is a bus for playing, whose keys always stay unprotected: publish nothing real on it.")
    with folder.idle(), sentences():
        for each in _folders(folder):
            keyfile.end_left_over(each)
        found = private_keys(folder)
        if not found:
            raise BusError(f"No private key lies in {folder.path}: there is nothing to change.")
        if raw := [path for path in found if not keyfile.is_sealed(path)]:
            raise KeysSealed(
                f"{len(raw)} of {len(found)} private keys lie unprotected: nrmbus keys protect --data '{folder.path}' "
                "seals them, with the present passphrase if the others have one."
            )
        before = keyfile.asked()
        if before is None:
            raise KeysSealed(
                f"Name the present key file with {keyfile.SETTING}=FILE, or run this at a terminal and type the passphrase."
            )
        done = _changed(found, before, _new(folder, before, to))
    others = "; the others were already" if done < len(found) else ""
    typer.echo(f"{done} of {len(found)} private keys were sealed with the new passphrase or key file{others}.")
    typer.echo(f"The next start needs it: put it where the service reads it, or name it in {keyfile.SETTING}.")
    typer.echo(
        "Backups made before still open with the old one: make a backup now, verify it, and then remove each copy of "
        "the earlier ones. Keep the old one apart for as long as an earlier backup is kept."
    )
    typer.echo(
        "The keys are the same: if somebody else may have a copy of them and the old one, replace them with nrmbus agency lost."
    )


def _new(folder: BusFolder, before: Passphrase, to: Path | None) -> Passphrase:
    """Return the passphrase in the key file *to*, which is on disk then, or the one that a person types twice."""
    if to is not None:
        _kept_elsewhere(folder, to)
        made = Passphrase.of_file(to, "--to")
        sync(to)
    elif sys.stdin.isatty():
        made = Passphrase(getpass.getpass("New passphrase: ").encode())
        _typed_again(made)
    else:
        raise KeysSealed("Name the new key file with --to FILE, or run this at a terminal and type the new passphrase.")
    if made.hand_on() == before.hand_on():
        raise KeysSealed("The new passphrase or key file is the present one: nrmbus keys new FILE makes another.")
    return made


def _changed(found: Iterable[Path], before: Passphrase, after: Passphrase) -> int:
    """Do `keyfile.change`; its errors say what to do."""
    try:
        return keyfile.change(found, before, after)
    except KeyFileError as error:
        if error.code == "key_passphrase_wrong" and is_changing(found):
            raise KeysSealed(
                "An earlier change was cut, and a private key opens with neither of these two: give nrmbus keys change with the two of that change."
            ) from None
        raise
    except OSError as error:
        raise BusError(
            f"A private key cannot be written ({error.strerror}), and none is lost: make room, and give the same command again."
        ) from None
