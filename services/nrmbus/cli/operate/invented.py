"""Invented buses, `nrmbus sandbox` and `nrmbus up --example`: their agencies, and the mark by which a folder is known as one."""

from pathlib import Path
from typing import Final

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.membership.admitting import newcomers_of
from nrmbus.directory.admission import Newcomer
from nrmbus.directory.entry import Contact
from nrmbus.play.people import OFFICES

INVENTED: Final = "Everything on this bus is invented: agencies, people, cases. Its keys lie open on the disk. Never bring a real case here."


def agencies_file() -> Path:
    """Return the file of invented agencies: in the wheel beside the package, else in the tree."""
    packaged, name = Path(__file__).parents[2] / "deploy" / "agencies", "az-example.yaml"
    return (packaged if packaged.is_dir() else Path(__file__).parents[4] / "deploy" / "agencies") / name


def newcomers_of_example(policy: str) -> dict[str, Newcomer]:
    """Return the agencies of an example: those of the file, and the offices that have no cases."""
    offices = {id: Newcomer(id, contact=Contact(name=name)) for id, name in OFFICES.items()}
    return {**newcomers_of(agencies_file(), policy), **offices}


def mark_of(folder: BusFolder, kind: str) -> Path:
    """Return the folder that marks the bus in *folder* as invented, of this *kind*; a new bus does not have it yet.

    Raises:
        BusError: there is a bus that is none of this kind.
    """
    mark = folder.path / kind
    if folder.exists and not mark.is_dir():
        raise BusError(
            f"The bus in {folder.path} is no {kind}, and nobody may act there by a script: choose another --data DIR."
        )
    return mark
