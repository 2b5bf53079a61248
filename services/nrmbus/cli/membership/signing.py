"""Work of `nrmbus agency admit` with a file: an admitter's signature, and the entry on the operator's machine."""

import hashlib
from pathlib import Path

from nrmbus.auditor.history.whole import audited
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.commands import admitter_of, enter, is_complete, is_operator, seen_by_admitter, sign
from nrmbus.directory.entry import CHANGES_KEYS
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.invitation import digits_of, in_fours
from nrmbus.directory.requests import Request


def to_read_out(request: Request) -> str | None:
    """Return the fingerprint of a request's keys that agency and admitters compare aloud (32 hex digits), or None if it has none."""
    entry = request.entry
    if entry.kind not in CHANGES_KEYS:
        return None
    keys = "".join(f"{each}\n" for each in (entry.agency, entry.signing, entry.sealing, entry.witness))
    return in_fours(hashlib.sha256(keys.encode()).hexdigest())


async def admitted(
    folder: BusFolder, file: Path, name: str | None, fingerprint: str | None = None, known: Path | None = None
) -> str:
    """Sign the request in *file* as the admitter *name*, enter it if it is complete and the operator's key is here; return a report.

    *known* as for `nrmbus.directory.commands.seen_by_admitter`.

    Raises:
        DirectoryError: it cannot be admitted, or nobody is here who could sign; ``request_other``: its keys have not the
            *fingerprint* that the agency read out.
    """
    asked = Request.read(file)
    digits = to_read_out(asked)
    if fingerprint is not None and digits_of(fingerprint) != digits_of(digits or ""):
        raise DirectoryError("request_other")
    agency, kind, by = asked.entry.agency, asked.entry.kind, asked.entry.supervisor
    supervised = f", supervised by {by}" if by else ""
    if contact := asked.entry.contact:
        supervised += f", found as {', '.join(filter(None, (contact.name, contact.address, contact.phone)))}"
    if not is_complete(asked):
        directory, now = await seen_by_admitter(folder, known)
        admitter = admitter_of(folder, name, directory)
        open_cases = await _cases(folder, agency) if kind == "retired" else ()
        asked = sign(directory, asked, admitter, now, open_cases)
        asked.write(file)
        if by and by not in directory.roll.agencies:
            supervised += ", who is not on this bus"
    if not is_complete(asked):
        compared = f"\nBefore that, have the agency read out its fingerprint; it has to be: {digits}" if digits else ""
        return (
            f"{agency} ({kind}, {asked.entry.role}{supervised}): one admitter has signed {file}; a second one does: "
            f"nrmbus agency admit {file}{compared}"
        )
    if not is_operator(folder):
        return (
            f"{agency} ({kind}): two admitters have signed {file}; the operator enters it: nrmbus agency admit {file}"
        )
    asked.write(file)  # a place that takes no file is refused before anything is entered or issued
    asked = await enter(folder, asked)
    asked.write(file)
    more = f" {file} goes back to the agency: nrmbus agency check {agency} {file}" if asked.certificate else ""
    if asked.csr and not asked.certificate:
        more = f" It holds from {asked.entry.valid_from:%Y-%m-%d %H:%M} UTC on; then nrmbus agency renew {agency}"
    if kind == "confirmed":
        more = f" At the agency: nrmbus agency check {agency}"
    return f"{agency} is entered as {kind}.{more}"


async def _cases(folder: BusFolder, agency: str) -> set[str]:
    history = (await audited(folder)).history
    return {each.registration.subject for each in history.entries if each.concerns(agency)}
