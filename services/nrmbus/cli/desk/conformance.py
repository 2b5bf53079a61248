"""``nrmbus conformance``: whether a door keeps the promises on which agencies' systems rely."""

import asyncio
import json
import re
import ssl
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nrmbus.bus.errors import BusError
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import AsJson
from nrmbus.client.door import UNFIT, Address, address_in, context_of
from nrmbus.client.errors import RequestRefused

app = Commands()

_MARKS = {"holds": "[green]holds[/]", "broken": "[bold red]broken[/]", "not_tried": "[yellow]not tried[/]"}
_WIDEST = len("not tried")
_IS_ADDRESS = re.compile("https?://", re.IGNORECASE)
_LAST_PORT = 65535


@app.register(example="nrmbus conformance ./my-bus/agencies/ngo-a/door.json --publish")
def conformance(
    door: Annotated[
        str, typer.Argument(help="Address of the door, or a `door.json` with address, token and files for TLS.")
    ],
    *,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token, if the door is given by its address.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Authority of the door's certificate, if it is not a public one."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate of this program with its key, if the door asks for one."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key of the certificate, if it is in a file of its own.")
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish invented events, at a bus without real cases.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check over HTTP whether a door keeps the promises on which agencies' systems rely, and say which it breaks.

    The door may be that of a desk, or an implementation of an agency's own. Without --publish nothing is published, and
    the promises that need an event are not tried. Exit status: 1 if a promise is broken.
    """
    try:
        from nrmbus.published.conformance import promises  # noqa: PLC0415 - its validator is an extra of its own
    except ModuleNotFoundError as error:
        if error.name != "jsonschema":
            raise
        raise BusError("The judge of answers is not installed: pip install 'nrmbus[conformance]'") from None
    at = _address(door, token_file)
    if certificate is not None:
        at = at._replace(certificate=str(certificate), key=None)
    given = {name: str(file) for name, file in (("ca", ca), ("key", key)) if file is not None}
    at = at._replace(**given)
    found = asyncio.run(_checked(promises, at, publish=publish, as_json=as_json))
    if as_json:
        typer.echo(
            json.dumps({"door": at.url, "promises": [{**asdict(each), "outcome": each.outcome} for each in found]})
        )
    else:
        count = {outcome: sum(each.outcome == outcome for each in found) for outcome in _MARKS}
        typer.echo(
            f"{count['holds']} promises hold, {count['broken']} are broken, {count['not_tried']} were not tried."
        )
    if any(each.broken for each in found):
        raise typer.Exit(1)


async def _checked(promises: Any, at: Address, *, publish: bool, as_json: bool) -> list[Any]:
    console, found, verify = Console(highlight=False), [], _context(at)
    async with promises.Probe.at(at.url, at.token, publishes=publish, verify=verify) as probe:
        async for each in promises.check(probe):
            found.append(each)
            if not as_json:
                rows = Table.grid(padding=(0, 2))
                rows.add_column(width=_WIDEST)
                rows.add_column()
                rows.add_row(_MARKS[each.outcome], each.promise)
                if each.broken or each.not_tried:
                    rows.add_row("", Text(str(each.broken or each.not_tried)))
                console.print(rows)
    return found


def _context(at: Address) -> ssl.SSLContext:
    """Return the context for connections to the door, as the SDK has it.

    Raises:
        BusError: the door is on another machine and not asked over https, or a file cannot be read as what it should be.
    """
    try:
        return context_of(at)
    except RequestRefused as error:
        raise BusError(f"Nothing was sent, since {error}.") from None
    except (OSError, ValueError):  # SSLError is an OSError; a NUL in a file's name is a ValueError
        raise BusError(
            "The authority, the certificate or the key cannot be read: each is a PEM file, and the key is the certificate's."
        ) from None


def _address(door: str, token_file: Path | None) -> Address:
    """Return the address of the door: as given, or from ``door.json`` as the SDK reads the file.

    Raises:
        BusError: no token is given, or a file cannot be read.
    """
    try:
        at = Address(door.rstrip("/"), "") if _IS_ADDRESS.match(door) else address_in(Path(door))
        if at is None:
            raise FileNotFoundError
        url = httpx.URL(at.url)
        if url.scheme not in ("http", "https") or not 0 <= (url.port or 0) <= _LAST_PORT:
            raise ValueError
        if token_file is not None:
            whole = typer.get_text_stream("stdin").read() if str(token_file) == "-" else token_file.read_text("utf-8")
            at = at._replace(token=whole.strip())
        if not (at.token.isascii() and at.token.isprintable()):  # no header can carry it
            raise ValueError
    except (*UNFIT, AttributeError):  # a token that is no text has no such methods
        raise BusError(
            "The address or the token cannot be read: give an https address, or name a door.json or a token file."
        ) from None
    if not at.token:
        raise BusError("A door that is given by its address needs --token-file FILE, or `-` for standard input.")
    return at
