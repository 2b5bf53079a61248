"""What `nrmbus agency admit` does with a file: an admitter's signature, and where the operator's key is, the entry."""

from pathlib import Path

from nrmbus.auditor.history import audited
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.changes import admitter_of, enter, is_complete, is_operator, read_as, reader_of, sign, time_of
from nrmbus.directory.requests import Request


async def admitted(folder: BusFolder, file: Path, name: str | None) -> str:
    """Sign the request in *file* as the admitter *name*, enter it where it is complete and the operator's key is here; what was done.

    Raises:
        DirectoryError: it cannot be admitted, or nobody is here who could sign.
    """
    asked = Request.read(file)
    agency, kind = asked.entry.agency, asked.entry.kind
    if not is_complete(asked):
        home = reader_of(folder)
        directory, now = await read_as(folder, home), await time_of(folder, folder.reach(home))
        admitter = admitter_of(folder, name, directory)
        open_cases = await _cases(folder, agency) if kind == "retired" else ()
        asked = sign(directory, asked, admitter, now, open_cases)
        asked.write(file)
    if not is_complete(asked):
        return f"{agency} ({kind}, {asked.entry.role}): one admitter has signed {file}; a second one does: nrmbus agency admit {file}"
    if not is_operator(folder):
        return (
            f"{agency} ({kind}): two admitters have signed {file}; the operator enters it: nrmbus agency admit {file}"
        )
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
