"""``nrmbus ledger``: the place of a desk's ledger, a file or a PostgreSQL server."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import write_json
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.options import BusContext
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import copying
from nrmbus.desk.store.address import Address
from nrmbus.desk.store.place import Place, place_of, run

app = Commands("ledger", "The place of a desk's ledger: a file, or a PostgreSQL server.")

FILE: Final = "file"


@app.register(example="nrmbus ledger copy vac --to postgresql://nrmbus@db.example.org/ledger")
def copy(
    agency: Annotated[str, typer.Argument(help="The agency's id.")],
    to: Annotated[str, typer.Option(metavar="ADDRESS", help=f"The PostgreSQL database, or `{FILE}`.")],
    *,
    context: BusContext,
) -> None:
    """Copy the ledger of a stopped desk to a PostgreSQL server, or from there to a file; the desk then starts there.

    The target must be empty. Every row is compared before the copy counts, and a copy that was cut leaves nothing. The
    earlier ledger stays as it is, with its keys: remove it once the desk runs on the new one.
    """
    folder = context.folder
    home = folder.agency(agency)
    if not home.agency_json.exists():
        raise BusError(f"There is no desk of {agency} in {folder.path}: the ledger of a desk is copied on its machine.")
    target = home.ledger if to == FILE else _address(to)
    source: Place | None = None
    try:
        source = place_of(home)
        if source == target:
            raise BusError(f"The ledger of {agency} is there already.")
        with folder.alone(agency):
            on_server = target if isinstance(target, Address) else source
            counts = run(copying.copy(source, target, bus=folder.settings.bus, agency=agency), on_server)
            settings = {**json.loads(home.agency_json.read_bytes()), "ledger": to}
            if to == FILE:
                del settings["ledger"]
            write_json(home.agency_json, settings)
    except DeskError as error:
        raise BusError(f"Nothing was copied. {_reason(error, source, target)}") from None
    except SQLAlchemyError as error:  # its text has a statement of the ledger
        raise BusError(
            f"Nothing was copied. The ledger, or its copy, cannot be read or written ({type(error).__name__}): make room if "
            "a disk is full, see that a server answers, then give the command again."
        ) from None
    where = home.ledger if to == FILE else to
    typer.echo(
        f"Copied and compared: {counted(sum(counts.values()), 'row')}. The desk of {agency} starts on {where} from now on."
    )
    typer.echo("The earlier ledger is as it was, and has keys that are erased later: remove it once the desk runs.")


def _address(to: str) -> Address:
    try:
        return Address.parse(to)
    except DeskError:
        raise BusError(
            f"Nothing was copied. --to is `{FILE}`, or the address of a PostgreSQL database without a password: "
            "postgresql://USER@HOST/DATABASE, with paths from / on. The password stands in the file that PGPASSFILE names."
        ) from None


def _reason(error: DeskError, source: Place | None, target: Place) -> str:
    """Return why a copy failed: the sentences about a running desk know `agency.json` alone, and not the option."""
    if not isinstance(target, Address) or source is None:
        return error.sentence
    if error.code in ("ledger_away", "ledger_driver_missing", "ledger_unfit"):
        named = "--to" if isinstance(source, Path) else "--to and `ledger` in agency.json"
        return error.sentence.replace("`ledger` in agency.json", named)
    return error.detail if error.code == "ledger_held" else error.sentence
