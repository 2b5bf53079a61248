"""Answers as JSON types and as tables, in the forms that several commands print."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table

from nrmbus.wire import times


def plain(value: Any) -> Any:
    """Return *value* in JSON types: fields that are None are left out, and times are written as on the wire."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return times.write(value) if isinstance(value, datetime) else value


def numbered_table(*titles: str, number: str = "no.") -> Table:
    """Return a table of rows with a *number*, a time and more columns, whose cells break where the terminal ends."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(number, justify="right", style="dim", no_wrap=True)
    table.add_column("time (UTC)", no_wrap=True)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
