"""Requests for new keys that wait on the bus: `nrmbus agency waiting` lists them, `nrmbus agency admit --waiting` signs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nrmbus.bus.folder import BusFolder
from nrmbus.directory.commands import admitter_of, is_complete, read_as, reader_of, sign, time_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.requests import Request
from nrmbus.directory.rotation import send, waiting
from nrmbus.wire import base64, times
from nrmbus.wire.keys.keys import SealTo, VerifyKey

NOTHING: Final = "Nothing waits for an admitter."
_SECOND: Final = (
    "a second admitter has to sign as well. See in a minute with nrmbus agency waiting that the request names you; if another "
    "admitter signed at the same time, sign again"
)


async def listed(folder: BusFolder) -> list[str]:
    """Return a line for each waiting request: agency, new keys, signers.

    Raises:
        DirectoryError: the directory cannot be read from here, or believed.
    """
    home = reader_of(folder)
    directory = await read_as(folder, home)
    names = directory.roll.admitter_kids
    found = await waiting(folder, home, directory)
    return [_line(each, names) for each in found.values()] or [NOTHING]


def _line(request: Request, names: Mapping[str, str]) -> str:
    entry = request.entry
    by = [names[each.keyid] for each in entry.admitted]
    keys = [VerifyKey(base64.read(entry.signing) or b"").kid, SealTo(base64.read(entry.sealing) or b"").kid]
    until = f", the old ones until {times.write(entry.until)}" if entry.until else ""
    return f"{entry.agency} ({entry.kind}, {entry.role}): {', '.join(keys)}{until}; signed by {' and '.join(by) or 'nobody yet'}."


@dataclass(frozen=True, slots=True)
class Answered:
    """Result for one waiting request, in a line; ``refused`` if it was not signed."""

    line: str
    refused: bool = False


async def signed(folder: BusFolder, agency: str | None, name: str | None) -> list[Answered]:
    """Sign as an admitter the waiting requests of *agency*, or of all, and send them; return a result for each.

    Raises:
        DirectoryError: as `listed`; ``nothing_waiting`` of this agency; ``admitter_key_missing``.
    """
    home = reader_of(folder)
    directory, now = await read_as(folder, home), await time_of(folder, folder.reach(home))
    admitter = admitter_of(folder, name, directory)
    found = await waiting(folder, home, directory)
    if agency is not None:
        found = {agency: found[agency]} if agency in found else {}
    if not found:
        raise DirectoryError("nothing_waiting")
    answers = []
    for request in found.values():
        try:
            done = sign(directory, request, admitter, now)
            await send(folder, home, done)
            left = "the operator enters it" if is_complete(done) else _SECOND
            signer = directory.roll.admitter_kids[admitter.key.kid]
            answers.append(Answered(f"{request.entry.agency} ({request.entry.kind}): {signer} has signed; {left}."))
        except DirectoryError as error:
            answers.append(Answered(f"{request.entry.agency}: {error}", refused=True))
    return answers
