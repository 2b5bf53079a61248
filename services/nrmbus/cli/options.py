"""Options that several commands have: which bus is meant, and by which file it is known."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.reach import is_address

DEFAULT_BUS: Final = "local"
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The bus's folder. (default: below the XDG data folder)")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BusContext:
    """Options that say which bus a command is about."""

    data: Data = None
    bus: Annotated[str, typer.Option("--bus", metavar="NAME", help="The bus's name below the XDG data folder.")] = (
        DEFAULT_BUS
    )

    @property
    def folder(self) -> BusFolder:
        """Folder that the options mean, whether or not a bus is in it.

        Raises:
            NoBus: the bus's name is not a plain name.
        """
        return BusFolder(self.data) if self.data else BusFolder.named(self.bus)


Known = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="FILE",
        help="Where the broker lets nobody in: what nrmbus agency list --signed FILE has written elsewhere.",
    ),
]


def to_write(file: Path | None) -> Path | None:
    """Return *file*, which a command is to write, once it is clear that a file can be there. The callback of such an option.

    A command that records something first would else record what it then cannot hand over. Folders are made by people:
    a slip in a path would else leave a case's evidence in a folder that nobody knows of.

    Raises:
        BusError: its folder does not exist or takes no file, or *file* is a folder.
    """
    if file is None:
        return None
    folder = file.expanduser().absolute().parent
    if not folder.is_dir():
        raise BusError(
            f"{file} cannot be written, since {folder} is not a folder: make it first, or name another file."
        )
    if file.is_dir():
        raise BusError(f"{file} is a folder: name a file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BusError(f"{file} cannot be written, since this account may not write to {folder}: name another file.")
    return file


PLAINTEXT = "Kafka is reached in plain text: whoever reaches it may read and write everything there."
"""What is said of a bus that does not know who comes to its broker."""


def checked_address(bootstrap: str | None) -> None:
    """Look that *bootstrap*, where it is given, is the address of a broker, or those of several.

    Raises:
        BadParameter: it is not.
    """
    if bootstrap is not None and not is_address(bootstrap):
        raise typer.BadParameter("--bootstrap wants HOST:PORT, or several of them with commas between")
