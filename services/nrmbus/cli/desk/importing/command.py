"""``nrmbus import``: publishes an agency's running cases from a table, after the desk has checked every row."""

import asyncio
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import UNANSWERED, door_of, sentence_of
from nrmbus.cli.desk.importing import sheet, table
from nrmbus.cli.desk.importing.sheet import Row
from nrmbus.cli.desk.importing.table import Fault, Table
from nrmbus.cli.options import BusContext
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError, TokenRefused
from nrmbus.events.errors import Problem
from nrmbus.wire.ids import new_ref

app = Commands()

KEY_FILE: Final = "import.json"
"""File in the agency's folder with the key under which the ids of imported events are made."""
_SAID: Final = frozenset({"registered", "pending"})


class Outcome(NamedTuple):
    """Result of a row, or the result of its dry run."""

    word: str
    types: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def line(self, number: int) -> str:
        """Return the line about the row *number*: nothing that stood in the row."""
        if not self.faults:
            return f"row {number}: {self.word} ({', '.join(self.types)})"
        told = [f"{f'column {each.column}: ' if each.column else ''}{each.sentence}" for each in self.faults]
        return f"row {number}: {self.word}\n" + "\n".join(f"  {each}" for each in told)


@app.register(example="nrmbus import ngo-a running-cases.xlsx --actor a-17 --dry-run", name="import")
def import_cases(
    agency: Annotated[str, typer.Argument(help="The agency whose cases they are.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The table: XLSX, or CSV in UTF-8.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, and publish nothing.")] = False,
    only_fitting: Annotated[
        bool, typer.Option("--only-fitting", help="Publish the rows that fit although others do not.")
    ] = False,
    actor: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Code of the person who imports, for rows without a column `actor`."),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=30, help="Seconds to wait for each verdict.")] = 20.0,
    context: BusContext,
) -> None:
    """Publish the running cases of an agency from a table: one row is one case, one column a field of an event.

    The desk first checks every row, with the reading and the Rules of publishing, and says for each what to do. Nothing
    is published if a row does not fit, except with --only-fitting. The same row of the same table is published once,
    however often the command is given: the column `number`, which stays on this machine, tells the cases apart.

    deploy/examples/running-cases.csv is a template. Exit status: 0 if every row fits or is registered, 1 if not, 3 if a
    verdict is still missing.
    """
    folder = context.folder
    header, *rows = sheet.filled(sheet.rows_of(file, _zone(folder)))
    outcomes = asyncio.run(
        _import(folder, agency, _Work(table.table_of(header.cells), rows, actor, wait), dry_run, only_fitting)
    )
    counted = Counter(each.word for each in outcomes)
    typer.echo(", ".join(f"{count} {word}" for word, count in counted.items()) + ".")
    if dry_run:
        typer.echo("Nothing was published: this was a dry run.")
    good = {"fits", *_SAID}
    raise typer.Exit(1 if set(counted) - good else UNANSWERED if counted["pending"] and not dry_run else 0)


def _zone(folder: BusFolder) -> ZoneInfo:
    """Return the time zone of the bus's Rules: that of the times which people write into a spreadsheet."""
    from nrmbus.rules import load_profile  # noqa: PLC0415 - loads the profile, which only a table needs

    return (
        load_profile(folder.settings.policy).zone if folder.exists else ZoneInfo("UTC")
    )  # `door_of` says that there is no bus


class _Work(NamedTuple):
    table: Table
    rows: Sequence[Row]
    actor: str | None
    wait: float


async def _import(folder: BusFolder, agency: str, work: _Work, dry_run: bool, only_fitting: bool) -> list[Outcome]:  # noqa: FBT001 - the command's own flags
    async with door_of(folder, agency) as door:
        key, made = _key(folder.agency(agency).path, keep=not dry_run)
        importing = _Importing(door, work, key, made)
        checked = [await importing.check(row) for row in work.rows]
        faulty = [each for each in checked if each.faults]
        if dry_run or (faulty and not only_fitting):
            _show(work.rows, checked)
            if faulty and not dry_run:
                typer.echo(
                    "Nothing was published: correct these rows, or publish the others with --only-fitting.", err=True
                )
            return checked
        outcomes = []
        for row, found in zip(work.rows, checked, strict=True):
            try:
                outcomes.append(found if found.faults else await importing.publish(row))
            except DoorError as error:  # a refusal of the row is an outcome
                raise BusError(
                    f"{sentence_of(folder, agency, error)}\nThe import ended at row {row.number}. Give the same command again"
                    " when the desk takes it: what is published already is not published twice."
                ) from None
            typer.echo(outcomes[-1].line(row.number))
        return outcomes


def _show(rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
    for row, outcome in zip(rows, outcomes, strict=True):
        typer.echo(outcome.line(row.number))


class _Importing:
    """The rows of a table at the door of their agency's desk."""

    def __init__(self, door: Door, work: _Work, key: bytes, made: int) -> None:
        self._door, self._work, self._key, self._made = door, work, key, made
        numbers = Counter(table.own_number(work.table, row) for row in work.rows)
        self._twice = {number for number, count in numbers.items() if count > 1}

    def _events(self, row: Row) -> tuple[list[dict[str, Any]], list[Fault]]:
        work = self._work
        events, faults = table.events_of(work.table, row, actor=work.actor, key=self._key, made=self._made)
        if table.own_number(work.table, row) in self._twice:
            faults.append(
                Fault(sheet.column_name(work.table.number), "has the number of another row: give each case its own.")
            )
        return events, faults

    async def check(self, row: Row) -> Outcome:
        """Return what would become of *row*: by the table's own form, and by the desk."""
        events, faults = self._events(row)
        types = tuple(each["type"] for each in events)
        if not events:
            return Outcome("does not fit", types, tuple(faults))
        asked = [await self._with_reference(each) for each in events]
        checks = (await self._door.check(asked))["checks"]
        for kind, check in zip(types, checks, strict=True):
            faults += self._faults(kind, check)
        verdicts = {check["verdict"] for check in checks}
        word = "does not fit" if faults else "registered" if verdicts == {"registered"} else "fits"
        return Outcome(word, types, tuple(faults))

    def _faults(self, kind: str, check: dict[str, Any]) -> list[Fault]:
        if check["verdict"] not in {"refused", "failed"}:
            return []
        if problems := check.get("problems"):
            found = (
                Problem(each["pointer"], each["kind"], each.get("allowed", ()), each.get("nearest", ()))
                for each in problems
            )
            return [table.fault_of(self._work.table, kind, each) for each in found]
        ground = " ".join(str(check[name]) for name in ("code", "rule") if check.get(name))
        article = f" ({check['article']})" if check.get("article") else ""
        return [Fault(None, f"{kind} {ground}{article}: {check.get('sentence', 'see the log of the desk.')}")]

    async def publish(self, row: Row) -> Outcome:
        """Publish the events of *row*, up to the first that is not registered."""
        events, _ = self._events(row)
        types = tuple(each["type"] for each in events)
        case, words = None, set()
        for each in events:
            body = await self._with_reference(each) | ({"case": case} if case else {})
            try:
                answer = await self._door.publish(body, wait=self._work.wait)
            except DoorError as error:
                if error.retryable or isinstance(error, TokenRefused):  # of the desk, and not of this row
                    raise
                faults = [table.fault_of(self._work.table, each["type"], found) for found in error.problems]
                return Outcome(
                    "refused", types, tuple(faults or [Fault(None, f"{each['type']} {error.code}: {error.sentence}")])
                )
            case = answer["case"]
            if answer["verdict"] not in _SAID:
                return Outcome(answer["verdict"], types, tuple(self._faults(each["type"], answer)))
            words.add(answer["verdict"])
        return Outcome("pending" if "pending" in words else "registered", types)

    async def _with_reference(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return *event* with a reference, if the type needs one: the desk's existing reference, or a new one."""
        if not table.asks_for_reference(event):
            return event
        try:
            ref = (await self._door.event(event["id"])).get("ref")
        except DoorError as error:
            if error.code != "not_found":
                raise
            ref = None
        return {**event, "ref": ref or new_ref()}


def _key(home: Path, *, keep: bool) -> tuple[bytes, int]:
    """Return the key of the agency's imports and the time at which it was made, in milliseconds; *keep* a new one.

    Raises:
        BusError: the file is damaged. Another key would publish every imported case again.
    """
    file = home / KEY_FILE
    try:
        found = json.loads(file.read_bytes())
        return bytes.fromhex(found["key"]), int(found["made"])
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):
        raise BusError(
            f"{file} cannot be read: move it away, then restore it with nrmbus restore DIR --part settings --agency {home.name}. "
            "With another key every case would be imported again."
        ) from None
    key, made = secrets.token_bytes(32), time.time_ns() // 1_000_000
    if keep:
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        write_private(partial, json.dumps({"key": key.hex(), "made": made}).encode())
        try:
            os.link(partial, file)  # never over the key of an import that began at the same moment
        except FileExistsError:
            return _key(home, keep=False)
        finally:
            partial.unlink()
    return key, made
