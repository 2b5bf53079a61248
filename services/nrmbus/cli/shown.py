"""Tables in the form that several commands print."""

from datetime import datetime

from rich import box
from rich.table import Table


def numbered_table(*titles: str, number: str = "no.") -> Table:
    """Return a table of rows with a *number*, a time and more columns, whose cells break where the terminal ends."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(number, justify="right", style="dim", no_wrap=True)
    table.add_column("time (UTC)", no_wrap=True)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def short(time: str) -> str:
    """Return *time*, as on the wire, without seconds and zone: 2026-03-02 09:00."""
    return time[:16].replace("T", " ")


def utc(time: datetime) -> str:
    """Return *time*, which is in UTC, to the second: 2026-03-02 09:00:00 UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
