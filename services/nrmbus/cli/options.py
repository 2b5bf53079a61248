"""Options that several commands have: which bus is meant, and by which file it is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nrmbus.bus.folder import BusFolder

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The bus's folder. (default: below the XDG data folder)")
]
Bus = Annotated[str, typer.Option("--bus", metavar="NAME", help="The bus's name below the XDG data folder.")]
Known = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="FILE",
        help="Where the broker lets nobody in: what nrmbus agency list --signed FILE has written elsewhere.",
    ),
]
DEFAULT_BUS = "local"
PLAINTEXT = "Kafka is reached in plain text: whoever reaches it may read and write everything there."
"""What is said of a bus that does not know who comes to its broker."""


def folder_of(data: Path | None, bus: str) -> "BusFolder":
    """The folder that the options mean; whether or not a bus is in it."""
    from nrmbus.bus.folder import BusFolder

    return BusFolder(data) if data else BusFolder.named(bus)
