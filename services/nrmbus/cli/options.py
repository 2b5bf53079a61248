"""Options that several commands share."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.reach import is_address

DEFAULT_BUS: Final = "local"


def _folder(text: str) -> Path:
    """Return the folder called *text*. An unset variable gives an empty text, which is no word for the current folder.

    Raises:
        BadParameter: the text is empty.
    """
    if not text:
        raise typer.BadParameter("a folder has a name, and this text is empty. Write . for the current folder.")
    return Path(text)


Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", parser=_folder, help="The bus's folder. (default: below the XDG data folder)"
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BusContext:
    """Options that say which bus a command is about."""

    data: Data = None
    bus: Annotated[
        str | None,
        typer.Option(
            "--bus", metavar="NAME", help=f"The bus's name below the XDG data folder. (default: {DEFAULT_BUS})"
        ),
    ] = None

    @property
    def folder(self) -> BusFolder:
        """Folder of the options, with or without a bus. The process then knows the folder's profiles.

        Raises:
            NoBus: the bus's name is not a plain name, or a profile in the folder cannot be used.
            BadParameter: folder and name are both given, which may be two buses.
        """
        if self.data is not None and self.bus is not None:
            raise typer.BadParameter("Give --data or --bus, not both.")
        name = DEFAULT_BUS if self.bus is None else self.bus
        folder = BusFolder.named(name) if self.data is None else BusFolder(self.data)
        if folder.profiles.is_dir():
            from nrmbus.host.profiles import know_profiles  # noqa: PLC0415 - few buses have profiles of their own

            know_profiles(folder)
        return folder


Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        help="Processes that verify the history, if the command reads it itself. (default: one per processor, for a long one)",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Case = Annotated[
    str, typer.Option("--case", metavar="REF", help="The case: its reference, or the first 8 digits or more.")
]
OnlyCase = Annotated[
    str | None,
    typer.Option("--case", metavar="REF", help="Only this case: its reference, or the first 8 digits or more."),
]
InCase = Annotated[
    str | None,
    typer.Option("--case", metavar="REF", help="Only in this case: its reference, or the first 8 digits or more."),
]
EVENT: Final = (
    "The event: its id or the first 8 characters or more, its number in nrmbus replay, or a type (its newest event)."
)
"""Help of the argument of a command about one event."""


Known = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="FILE",
        help="If this machine has no certificate: the file that nrmbus agency list --signed FILE wrote on another machine.",
    ),
]


def to_write(file: Path | None) -> Path | None:
    """Return *file*, which a command is to write, once the place can take a file. Callback of the option.

    A command could otherwise record a disclosure without handing it over. Folders are made by people: a slip in a path
    could otherwise leave a case's evidence in an unknown folder.

    Raises:
        BusError: the folder of *file* does not exist or takes no file, or *file* is a folder.
    """
    if file is None:
        return None
    folder = file.expanduser().absolute().parent
    if not folder.is_dir():
        raise BusError(
            f"{file} cannot be written, because {folder} is not a folder: make the folder first, or name another file."
        )
    if file.is_dir():
        raise BusError(f"{file} is a folder: name a file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BusError(f"{file} cannot be written, because this account may not write to {folder}: name another file.")
    return file


PLAINTEXT = "Kafka is reached in plain text: everybody who can reach it can read and write everything there."
"""Warning about a bus whose broker does not know its clients."""


def checked_address(bootstrap: str | None) -> None:
    """Check that *bootstrap*, if given, has the address of a broker, or addresses of several.

    Raises:
        BadParameter: *bootstrap* has no such address.
    """
    if bootstrap is not None and not is_address(bootstrap):
        raise typer.BadParameter("--bootstrap takes HOST:PORT, or several of them separated by commas")
