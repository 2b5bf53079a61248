"""Work of `nrmbus agency renew` (a certificate by file) and `nrmbus agency head` (the care of a directory without `nrmbus up`)."""

import asyncio
from contextlib import suppress
from pathlib import Path

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import OPERATOR
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.counted import counted
from nrmbus.directory import DirectoryError, renewal
from nrmbus.directory.admission import catch_up, home_of, read_directory
from nrmbus.directory.commands import is_operator, read_file, sign_head, with_keys_that_hold
from nrmbus.directory.operator import NEXT, Identity
from nrmbus.directory.operator_inbox import answer


def renewed(folder: BusFolder, agency: str, file: Path | None, known: Path | None = None) -> str:
    """Do the next step with *file*: request, issue or store; return a sentence about it.

    Keys that wait in the agency's folder sign the request if they hold by the directory in the file *known*: without a
    certificate, `nrmbus agency check` cannot see that they do.

    Raises:
        BusError: the file to be written has a certificate that is not stored yet, or is no renewal.
        DirectoryError, NotCertified: a file is not in order.
        OSError: the file *known* cannot be read.
    """
    if file is None:
        path, home, more = Path(f"{agency}.renewal.json"), home_of(folder, agency), ""
        waiting = home / "keys" / NEXT
        if Identity.kids_in(waiting) and known is not None:
            with_keys_that_hold(home, agency, read_file(folder, known), wall_now())
        elif Identity.kids_in(waiting):
            more = (
                f"\nNew keys wait in {waiting}. If they are valid by now, the operator refuses {path}: run the "
                "command again with --directory FILE, which nrmbus agency list --signed FILE wrote on another machine."
            )
        asked = renewal.ask(folder, agency)
        if path.exists() and not _is_done(folder, agency, path):
            raise BusError(
                f"{path} is there already, and may have the next certificate of {agency}: nrmbus agency renew {agency} {path} "
                "stores the certificate. Otherwise move the file."
            )
        asked.write(path)
        return f"{path} goes to the operator: nrmbus agency renew {agency} {path}{more}"
    found, back = renewal.Renewal.read(file), f"{file} goes back to the agency: nrmbus agency renew {agency} {file}"
    if found.certificate is not None and is_operator(folder) and agency not in folder.agencies():
        return f"It has its certificate already: {back}"
    if found.certificate is not None:
        renewal.keep(folder, agency, found)
        return f"{agency} has its certificate; its desk takes it within a minute, or when it starts."
    if not is_operator(folder):
        return f"{file} has no certificate yet: the operator runs nrmbus agency renew {agency} {file}"
    found.write(file)  # a place that takes no file is refused before a certificate is issued: an agency gets three
    renewal.issue(folder, asyncio.run(read_directory(folder)), found).write(file)
    return back


def _is_done(folder: BusFolder, agency: str, path: Path) -> bool:
    """Return whether nobody needs the renewal in *path* any more: it has no certificate, or none that the agency could store."""
    with suppress(DirectoryError):
        found = renewal.Renewal.read(path)
        with suppress(DirectoryError):
            renewal.check(folder, agency, found)
            return False
        return True
    return False


async def looked_after(folder: BusFolder) -> list[str]:
    """Sign the head of the directory, and answer the agencies' requests; return a line for each action.

    The operator's own certificate is renewed first, and the rights of expired certificates are removed.

    Raises:
        DirectoryError: ``not_operator``.
        BusError, KafkaError: the broker does not answer.
    """
    if is_operator(folder):
        gate = Gate(folder)
        await asyncio.to_thread(gate.equip, {OPERATOR: folder.keys})
        await catch_up(folder)
        await asyncio.to_thread(gate.apply)
    directory = await sign_head(folder)
    return [f"Signed: {counted(directory.number, 'entry', 'entries')}.", *map(str, await answer(folder))]
