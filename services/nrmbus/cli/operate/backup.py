"""``nrmbus backup`` and ``nrmbus restore``."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from nrmbus.backup import make, restore
from nrmbus.backup.errors import BackupError
from nrmbus.backup.folders import BROKER, DIRECTORY, FOLDER, PARTS
from nrmbus.backup.store import KEEP, Manifest, Store
from nrmbus.backup.topics import Progress
from nrmbus.backup.verify import Trust, Verified, key_here, verified
from nrmbus.bus.errors import BusError, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.membership.keys import KeysContext, unlock
from nrmbus.cli.operate.foreground import progress_bar
from nrmbus.cli.options import AsJson, checked_address
from nrmbus.directory import DirectoryError
from nrmbus.environment import KEY_FILE
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.names import CASES

app = Commands()

Where = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backups, on another disk.")]
Generation = Annotated[
    int | None,
    typer.Option(
        "--generation",
        metavar="N",
        help="An older backup of this folder. (default: the newest; a lost ledger or key is restored from the newest that has it)",
    ),
]
Signer = Annotated[
    str | None,
    typer.Option(
        "--signer",
        metavar="KEY",
        help="The key that must have signed the backup, as known from elsewhere: in the form that the command prints, or the line of keys/operator.pub. With restore, none takes an agency's backup that nobody signed.",
    ),
]
_NONE: Final = "none"
_UNPROTECTED = "{} private keys lie unprotected in this backup: whoever has it can act as their owners."
_ON_SERVERS = (
    "On a PostgreSQL server, and not in it, is the ledger of {}: back that up there, for example with pg_dump."
)
_ELSEWHERE = "The passphrase or key file of the private keys is not in it: keep a copy of that elsewhere."


@app.register(example="nrmbus backup /mnt/backup --data ./my-bus")
def backup(
    directory: Where,
    *,
    context: KeysContext,
    agency: Annotated[
        str | None,
        typer.Option(
            "--agency",
            metavar="ID",
            help="Back up the folder of this agency alone, or of the auditor on her own machine (auditor).",
        ),
    ] = None,
    keep: Annotated[
        int,
        typer.Option(
            min=1,
            help="Newest backups that are kept here, beside the last one of each earlier day; none stays longer than 30 days.",
        ),
    ] = KEEP,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Only verify a backup that is here, without the bus; damaged files of it are moved aside."
        ),
    ] = False,
    generation: Generation = None,
    signer: Signer = None,
    as_json: AsJson = False,
) -> None:
    """Back up a bus while it runs, or an agency's folder: keys as they are sealed, ledgers, and the history record by record.

    A second backup into the same folder writes only what is new. Exit status: 1 if nothing was written, if a ledger or
    key was lost since an earlier backup, if an older backup that is due could not be removed, or if --verify finds a fault.
    """
    if signer is not None and not verify:
        raise typer.BadParameter("Give --verify with it: the keys here sign a new backup.", param_hint="--signer")
    store = Store.at(directory)
    try:
        with _progress(as_json=as_json) as progress:
            if verify:
                return _say(_verified(context, store, generation, signer, progress), as_json=as_json)
            made = _made(context, store, agency, keep, progress)
    except BackupError as error:
        return _fail(error, as_json=as_json)
    except DirectoryError as error:
        raise BusError(str(error)) from None
    body = {
        "generation": made.manifest.generation, "written": made.written, "removed": made.removed,
        "signed_by": made.signed_by, "private_keys": made.manifest.private_keys, "numbers": _numbers(made),
        "on_servers": list(made.on_servers),
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(body))
        return None
    upto = ", ".join(f"partition {number} up to number {last}" for number, last in _numbers(made).items())
    typer.echo(f"Backup {made.manifest.generation} is complete: {made.written} new bytes{f'; {upto}' if upto else ''}.")
    typer.echo(_UNPROTECTED.format(len(made.unprotected)) if made.unprotected else _ELSEWHERE)
    if made.on_servers:
        typer.echo(_ON_SERVERS.format(", ".join(made.on_servers)))
    if made.signed_by:
        typer.echo(f"Signed by {made.signed_by}: note this key apart from the backups, to compare it after a loss.")
    else:
        typer.echo(f"Its manifest is not signed: name the key file with {KEY_FILE.name}=FILE to have it signed.")
    return None


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Progress]:
    """Yield a function that shows progress, unless a program reads the output."""
    if as_json:
        yield lambda _what, _done, _total: None
        return
    with progress_bar() as shown:
        yield shown


def _verified(
    context: KeysContext, store: Store, generation: int | None, signer: str | None, progress: Progress
) -> Verified:
    """Verify a backup; if a file is damaged, move every damaged one aside. A restore moves nothing: its next try may read the file."""
    folder = context.folder

    def key_of(manifest: Manifest) -> VerifyKey | None:
        # An agency's key is opened only if nobody has to type a passphrase for it. Another key file than the agency's is
        # no fault of the backup: the signer is then as unknown as without a key file.
        with suppress(KeysSealed):
            return key_here(folder, manifest) if manifest.kind == "bus" or _opens_unasked(context) else None
        return None

    try:
        return verified(store, generation, progress, Trust(key_of, signer))[1]
    except BackupError as error:
        if error.code in ("file_cut", "file_altered"):
            store.set_aside()
        raise


def _made(context: KeysContext, store: Store, agency: str | None, keep: int, progress: Progress) -> make.Made:
    folder = context.folder
    settings = folder.settings
    if agency is not None:
        # A desk's folder is copied without its keys being opened; they only sign.
        sign = settings.play or _opens_unasked(context)
        if sign:
            context.unlock(folder)
        return make.of_agency(folder, store, agency, keep=keep, progress=progress, sign=sign)
    if folder.is_joined:
        raise BusError("The operator is on another machine: say nrmbus backup DIR --agency ID.")
    context.unlock(folder)
    return asyncio.run(make.of_bus(folder, store, keep=keep, progress=progress))


def _numbers(made: make.Made) -> dict[str, int]:
    return {number: each.number for number, each in made.manifest.records.get(CASES, {}).items()}


def _opens_unasked(context: KeysContext) -> bool:
    return context.keys_unprotected or KEY_FILE.get() is not None


def _say(found: Verified, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"verified": True, **found.json()}))
        return
    typer.echo(
        f"Backup {found.generation} of {found.made} verifies: {counted(found.files, 'file')}, {found.length:,} bytes, by {found.by}."
    )
    for number, last in found.numbers.items():
        typer.echo(
            f"Partition {number}: up to number {last}; published up to {found.checkpoints.get(number, 0)}, "
            f"co-signed up to {found.cosigned.get(number, 0)}."
        )
    typer.echo(f"Private keys are {found.private_keys}.")
    typer.echo(_signed(found))
    if found.unfinished:
        typer.echo("A later backup was cut off, or is being written; it does not count.")


def _signed(found: Verified) -> str:
    """Return who signed a backup; if no key outside the backup vouches for the signer, also how people compare the key."""
    if not found.signed_by:
        return "Signed by nobody: anybody who could write to the folder of the backups may have made it."
    if found.signer_known:
        return f"Signed by {found.signed_by}, as expected."
    compare = (
        f"keys/operator.pub in the folder of an agency's machine must be {found.signer}"
        if found.kind == "bus"
        else f"nrmbus agency show {found.agency} on another machine must name this signing key"
    )
    return (
        f"Signed by {found.signed_by}. No key here vouches for this signature: a stranger who could write to the folder of "
        f"the backups may have made it. Compare the key before you start anything: {compare}."
    )


def _fail(error: BackupError, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"verified": False, "code": error.code, "where": error.where}))
    else:
        sys.stderr.write(f"nrmbus: {error}\n")
    raise typer.Exit(1)


def _check_options(part: str | None, agency: str | None, *, over_newer: bool, bootstrap: str | None) -> None:
    """Check that each option has an effect: an option without effect would restore more than was asked for.

    Raises:
        typer.BadParameter: an option has no effect, or there is no such part.
    """
    if part is not None and part not in PARTS:
        raise typer.BadParameter(f"There is no part {part}: {', '.join(PARTS)}.", param_hint="--part")
    of_agencies = [each for each in PARTS if each not in (BROKER, DIRECTORY, FOLDER)]
    if agency is not None and part not in of_agencies:
        raise typer.BadParameter(f"Give --part with it, one of {', '.join(of_agencies)}.", param_hint="--agency")
    if over_newer and part in (None, FOLDER):
        raise typer.BadParameter(
            "Give --part with it, not folder: a whole folder is restored into an empty one.", param_hint="--over-newer"
        )
    if bootstrap is not None and part not in (None, FOLDER):
        raise typer.BadParameter(
            "Leave --part out, or give --part folder: another part keeps the cluster.", param_hint="--bootstrap"
        )


def _trust(folder: BusFolder, part: str | None, signer: str | None) -> Trust:
    """Return what vouches for the signature of a backup of which *part* is restored into *folder*."""
    is_unsigned = signer == _NONE
    compared = None if is_unsigned else signer
    if part in (None, FOLDER):  # keys that a restore that was cut off has left are of a backup, and vouch for none
        return Trust(compared=compared, takes_unsigned=is_unsigned)
    return Trust(lambda each: key_here(folder, each), compared, takes_unknown=False, takes_unsigned=is_unsigned)


@app.register(example="nrmbus restore /mnt/backup --data ./my-bus", name="restore")
def restored(
    directory: Where,
    *,
    context: KeysContext,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="NAME", help=f"Only a part that was lost: {', '.join(PARTS)}."),
    ] = None,
    agency: Annotated[
        str | None, typer.Option("--agency", metavar="ID", help="With --part: only what is this agency's.")
    ] = None,
    generation: Generation = None,
    over_newer: Annotated[
        bool, typer.Option("--over-newer", help="With --part: lose what is here and newer than the backup.")
    ] = False,
    signer: Signer = None,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The cluster of the restored bus, if it is another than before; empty, but with --part folder.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup: a whole bus into an empty folder, or with --part one part that was lost.

    The backup is verified first. A broker gets each record with its number, bytes and offset. --part folder restores
    everything else into an empty folder, for a machine that was lost while its cluster was not.

    The folder's own key of the bus or agency must have signed a part, or the key of --signer. An empty folder has no key
    that vouches for the signer: compare the printed key before you start anything.
    """
    checked_address(bootstrap)
    _check_options(part, agency, over_newer=over_newer, bootstrap=bootstrap)
    store, folder, left = Store.at(directory), context.folder, list[str]()

    def opened(stage: BusFolder) -> None:
        unlock(stage, unprotected=context.keys_unprotected)

    try:
        with _progress(as_json=as_json) as progress:
            trust, sources = _trust(folder, part, signer), dict[str, int]()
            if generation is None and part in ("ledger", "keys"):
                sources = restore.sources(store, folder, part, agency, trust)
            numbers = sorted({*sources.values()})
            backups = [verified(store, each, progress, trust) for each in numbers or (generation,)]
            manifest, found = backups[-1]
            if sources:
                manifest = restore.joined({each.generation: each for each, _ in backups}, sources)
            if part in (None, FOLDER):
                restore.everything(store, manifest, folder, opened, progress, bootstrap, only_folder=part == FOLDER)
                written = [str(folder.path)]
            else:
                written, left = restore.one_part(
                    store, manifest, folder, part, opened, progress, agency=agency, over_newer=over_newer
                )
    except BackupError as error:
        return _fail(error, as_json=as_json)
    generations = {path: sources.get(path, found.generation) for path in written}
    taken = [each for _, each in backups if each.generation in generations.values()] or [found]
    found = taken[-1]
    if as_json:
        by = {"signed_by": found.signed_by, "signer": found.signer, "signer_known": found.signer_known}
        body = {"generation": found.generation, "made": found.made, "restored": written, "left": left, **by}
        typer.echo(json.dumps({**body, "generations": generations}))
        return None
    for each in taken:
        paths = [path for path, number in generations.items() if number == each.generation]
        typer.echo(f"Backup {each.generation} of {each.made} is restored: {', '.join(paths) or 'nothing was missing'}.")
    if sources and taken[0].generation < store.generations()[-1]:
        typer.echo(
            "Later backups lack what was lost, or have it from after the loss: --generation N takes one of them."
        )
    if left:
        typer.echo(
            f"Left as they are, since they are here: {', '.join(left)}. If one is damaged, move it away and restore once more."
        )
    typer.echo(_signed(found))
    is_bus, is_whole = manifest.kind == "bus", part in (None, FOLDER)
    command = "nrmbus up" if is_bus else f"nrmbus run {manifest.agency}"
    once = ", once it no longer runs on the old machine" if is_whole else ""
    host = "; on another host with --listen and the name that the agencies know, if they reach it"
    typer.echo(f"Next{once}: {command} --data '{folder.path}'{host if is_bus and is_whole else ''}.")
    return None
