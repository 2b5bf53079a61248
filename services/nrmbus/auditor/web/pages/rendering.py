"""Templates of the auditor's page and of a replay's HTML file: the same macros, with links to a server or without."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER: Final = Path(__file__).parent


@cache
def environment(*, one: bool, links: bool) -> Environment:
    """Return the templates; *one*: there is one partition, *links*: a server answers at the addresses of events.

    ``place_of`` writes where a registration stands.
    """
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["place_of"] = place_of(one=one)
    made.globals["links"] = links
    return made


def place_of(*, one: bool) -> Callable[[Any], str]:
    """Return a function that writes the number of a registration, after its partition unless there is *one*."""
    return partial(_place, one=one)


def static(name: str) -> str:
    """Return the text of a static file."""
    return (FOLDER / "static" / name).read_text(encoding="utf-8")


def _place(each: Any, *, one: bool) -> str:
    """Return the place of *each*: a row, a point, an entry's registration or a record."""
    partition, number = (each["partition"], each["number"]) if isinstance(each, dict) else (each.partition, each.number)
    return str(number) if one else f"{partition}/{number}"
