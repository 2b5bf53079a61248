"""``nrmbus export``: the evidence of a case, or the history that a release of figures counts, in one file."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Final

import typer

from nrmbus.auditor.evidence.verifier import Key, Trust, Verification
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private, write_private_lines
from nrmbus.bus.references import whole
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.audit.on_record import Asker, Question
from nrmbus.cli.audit.own_reading import verified
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import BusContext, to_write
from nrmbus.cli.release_file import read_release
from nrmbus.directory import operator_key
from nrmbus.directory.admission import read_directory
from nrmbus.events.figures import Release
from nrmbus.statistics.exported import NotThisHistory, exported
from nrmbus.wire import ids, times
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.log.note import Ed25519Verifier, vkey

app = Commands()

_TOO_LARGE: Final = "FAILED: evidence_too_large"
"""Verdict of the verifier on a file beyond its bounds."""


@app.register(example="nrmbus export --case 5f0c1a2b --out case.evidence.jsonl")
def export(
    *,
    case: Annotated[
        str | None,
        typer.Option("--case", metavar="REF", help="The case: its reference, or the first 8 digits or more."),
    ] = None,
    release: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of a case: write the history that this release of figures counts, for nrmbus recount.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where to write it; no file may be there yet.", callback=to_write),
    ],
    asker: Asker,
    context: BusContext,
) -> None:
    """Write the evidence of a case, or the history behind published figures, to one file.

    The export is recorded before it is written. The auditor must run, because its log proves the registrations. The file
    contains everything up to the auditor's best checkpoint; later events need a later export. Letters stay sealed.

    With --release FILE it writes the whole history that published figures count instead: envelopes and recipients of every
    case, without letters. It has counts that the figures suppress: give it to nobody who may not see the envelopes.
    """
    folder = context.folder
    if (case is None) == (release is None):
        raise BusError("Say what is exported: --case REF, or --release FILE for the history behind published figures.")
    if out.exists():
        raise BusError(f"{out} exists already: choose another file with --out FILE.")
    if release is not None:
        _history(folder, (release, read_release(release)), out, asker.question(folder))
        return
    _evidence(folder, str(case), out, asker.question(folder))


def _evidence(folder: BusFolder, case: str, out: Path, question: Question) -> None:
    """Write the evidence of *case*, once *question* is recorded."""
    question.needs_the_auditor()
    with question.finding():
        subject = whole(case, question.cases(case))
    raw = question.evidence(subject, question.put("export", subject))
    header = json.loads(raw.partition(b"\n")[0])
    rows = map(json.loads, raw.splitlines())  # one at a time: together they take several times the file's memory
    is_signed = any("\n\n" in each["note"] for each in rows if each["kind"] == "checkpoint")
    held = asyncio.run(_keys(folder, subject))
    write_private(out.absolute(), raw)
    tried = [(each, *_verdict(out, each if is_signed else each[-1:])) for each in held]
    keys, status, verdict = next((each for each in tried if each[1] != 1), tried[0])
    if verdict == _TOO_LARGE:  # the verifier stops there, so it has found nothing wrong
        raise BusError(
            f"{out} was written, and is not verified: it is larger than this release of nrmbus verify reads. The export is "
            "recorded. Keep the file; a later release may verify it."
        )
    if status == 1:
        out.unlink()
        raise BusError(
            f"The evidence does not verify ({verdict}), so it was removed: keep the bus's folder as it is, and ask its operator."
        )
    typer.echo(f"{out}: {header['counts']['registration']} registrations of case {subject}.")
    if later := header["later"]:
        typer.echo(
            f"{later} later registrations are not in the newest checkpoint: export again after the next one, within the hour."
        )
    if not is_signed:
        typer.echo(
            "No checkpoint covers this case yet, so the file is not anchored: export again after the next checkpoint, within the hour."
        )
        return
    typer.echo(
        "To verify the file, people need these public keys, from you and from the agencies themselves, not with the file:\n"
        + "\n".join(f"  {option} {key}" for option, key in keys)
    )


def _history(folder: BusFolder, given: tuple[Path, Release], out: Path, question: Question) -> None:
    """Write the history that the release of a file counts, once *question* is recorded."""
    file, release = given
    if release.bus != folder.settings.bus:
        raise BusError("These figures are of another bus: give a release that nrmbus figures wrote here.")
    seen = verified(folder)
    question.put("figures")
    made = times.write(wall_now())
    records = ((kept.entry.registration.partition, kept.record) for kept in seen.history.kept())
    try:
        count = write_private_lines(out.absolute(), exported(release, seen.directory.signed, records, made=made))
    except NotThisHistory as error:
        raise BusError(
            f"The release does not count this history ({error}): it is of another bus, or somebody has changed it."
        ) from None
    operator = Ed25519Verifier(f"nrmbus/{release.bus}/operator", operator_key(folder.path).public)
    typer.echo(
        f"{out}: {count} lines, the history that the figures of {release.period} count.\n"
        f"To check the figures: nrmbus recount {file} --history {out} --operator KEY. People need the key from you, not with "
        f"the file:\n  --operator {vkey(operator)}"
    )


async def _keys(folder: BusFolder, case: str) -> list[list[tuple[str, str]]]:
    """Return option and key of everybody who may vouch for *case*: the log, the witnesses, and last the operator.

    There is a list for each pair of keys that the log ever had, the newest first: the checkpoint may be signed by an earlier one.
    The keys come from the directory in the topic, by the operator's key on this machine, and not from the auditor.
    """
    directory = await read_directory(folder)
    pairs = directory.log_keys()
    if not pairs:
        raise BusError("The directory names no keys of the auditor's logs: nrmbus up")
    origin = origin_of(directory.bus, ids.partition_of(case, folder.settings.partitions))
    operator = Ed25519Verifier(f"nrmbus/{directory.bus}/operator", operator_key(folder.path).public)
    others = [*(("--witness", vkey(each)) for each in directory.witnesses()), ("--operator", vkey(operator))]
    return [[*(("--log", vkey(each)) for each in pair.verifiers(origin)), *others] for pair in reversed(pairs)]


def _verdict(path: Path, keys: list[tuple[str, str]]) -> tuple[int, str]:
    """Return exit status and sentence of the verifier for the file at *path* with *keys*, without a quorum."""
    log, witnesses, operator = (
        tuple(Key.read(key, 1, 4, 6) for option, key in keys if option == wanted)
        for wanted in ("--log", "--witness", "--operator")
    )
    return Verification(path, Trust(log, witnesses, 0 if log else None, operator[0])).verdict
