"""The list of those who admit, changed as an agency is admitted: proposed in a file, signed by two of them, entered."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ValidationError

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory import joining
from nrmbus.directory.admission import numbering, read_directory
from nrmbus.directory.commands import operator_of, publish
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import AdmitterKey, Admitters
from nrmbus.directory.errors import DirectoryCode, DirectoryError
from nrmbus.directory.fold import TWO
from nrmbus.directory.operator import Admitter
from nrmbus.directory.requests import Carried


class Listing(Carried):
    """The file that goes from one admitter to the next, and to the operator. Public keys and signatures only."""

    malformed: ClassVar[DirectoryCode] = "list_malformed"

    form: Literal["nrmbus-admitters/1"] = "nrmbus-admitters/1"
    listed: Admitters

    @property
    def is_complete(self) -> bool:
        """Return whether only the operator's number is missing."""
        return len(self.listed.admitted) >= TWO


@dataclass(frozen=True, slots=True)
class Change:
    """Changes of a list of admitters: names that are added, that get another key, and that are removed."""

    added: tuple[str, ...]
    other_key: tuple[str, ...]
    removed: tuple[str, ...]

    @classmethod
    def of(cls, directory: Directory, listed: Admitters) -> "Change":
        """Return the changes between the current list and *listed*."""
        before, after = _present(directory), {each.name: each.key for each in listed.admitters}
        both = before.keys() & after.keys()
        return cls(
            tuple(sorted(after.keys() - both)),
            tuple(sorted(each for each in both if before[each] != after[each])),
            tuple(sorted(before.keys() - both)),
        )


def _present(directory: Directory) -> dict[str, str]:
    """Return the public keys (base64) by name. Raises DirectoryError ``not_founded``."""
    if directory.roll.admitters is None:
        raise DirectoryError("not_founded")
    return {each.name: each.key for each in directory.roll.admitters.admitters}


def propose(directory: Directory, *, added: Mapping[str, str], removed: Collection[str] = ()) -> Listing:
    """Return the list with *added* (name to public key, base64) and without *removed*, unsigned.

    Raises:
        DirectoryError: ``not_founded``; ``admitter_unknown``: a removed name is no admitter; ``state_same``;
            ``admitters_few``; ``weak_key``, also for a text that is longer than any key.
    """
    present = _present(directory)
    if not set(removed) <= present.keys():
        raise DirectoryError("admitter_unknown")
    after = {name: key for name, key in {**present, **added}.items() if name not in removed}
    if after == present:
        raise DirectoryError("state_same")
    if len(after) < TWO:
        raise DirectoryError("admitters_few")
    head = directory.roll.admitters.head if directory.roll.admitters else ""
    with suppress(ValidationError):
        keys = [AdmitterKey(name=name, key=key) for name, key in sorted(after.items())]
        return Listing(listed=joining.listed(directory, keys, head))
    raise DirectoryError("weak_key")


def _see_that_heads_stay(directory: Directory, listing: Listing) -> None:
    # Signers are shown names only. Another key for heads would make every head of the operator stop its readers.
    if directory.roll.admitters is None or listing.listed.head != directory.roll.admitters.head:
        raise DirectoryError("head_key_changed")


def sign(directory: Directory, listing: Listing, admitter: Admitter) -> Listing:
    """Return *listing* with one more admitter's signature.

    Raises:
        DirectoryError: ``head_key_changed``, or it would not be believed; the code says why.
    """
    _see_that_heads_stay(directory, listing)
    signed = joining.admitted_by(listing.listed, admitter.key)
    try:
        directory.checked_admitters(joining.changed(signed, number=directory.number + 1))
    except DirectoryError as error:
        if error.code != "admitters_missing":  # the other one is still to sign
            raise
    return Listing(listed=signed)


async def enter(folder: BusFolder, listing: Listing) -> Directory:
    """Number and publish the list that two have signed; return the directory after it.

    Raises:
        DirectoryError: ``not_yet_two``, ``not_operator``, ``head_key_changed``, or it is not believed.
    """
    if not listing.is_complete:
        raise DirectoryError("not_yet_two")
    async with numbering(folder):
        directory, operator = await read_directory(folder), operator_of(folder)
        _see_that_heads_stay(directory, listing)
        raw = operator.number(listing.listed, directory)
        directory.add(raw)
        await publish(folder, [raw, operator.head(directory, wall_now(), folder.addresses)])
    return directory
